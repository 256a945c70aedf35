"""Electricity that pumps nothing, against Bayes' rule written out and against counties whose water is known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_kit import small_case
from elec2water import estimate_volume, fit_coefficient, read_project
from elec2water.coefficient.options import FitOptions
from elec2water.coefficient.predict import forecast_pairs
from elec2water.demo import simulate_county, write_county
from elec2water.energy.resting import (
    ALIKE,
    AT_REST,
    DOUBTED,
    LEAST_MONTHS,
    NEAR,
    REST_HOURS,
    Rest,
    pumping_share,
    resting_load,
)
from elec2water.keys import Keys
from elec2water.quarter import survey_totals


def year(seed=1, n=60, load=0.2, winter=0.05):
    """Two years of wells that pump in summer and hardly in winter, some with a lamp of 6 to 25 kWh a month."""
    rng = np.random.default_rng(seed)
    power = rng.choice([7.5, 15.0, 30.0], n)
    summer = np.tile(np.isin(np.arange(12), [3, 4, 5, 6, 7]), 2)
    pumps = rng.random((n, 24)) < np.where(summer, 0.98, winter)
    pumped = np.where(pumps, power[:, None] * rng.uniform(60, 250, (n, 24)), 0.0)
    lamp = np.where(rng.random(n) < load, rng.uniform(6, 25, n), 0.0)
    return pumped, lamp, pumped + lamp[:, None] * np.exp(0.2 * rng.standard_normal((n, 24))), power


def lowest_alike(kwh, small):
    """Months of rest in the order of their electricity, until one takes more than twice the median of those before."""
    rising = sorted(small, key=lambda m: kwh[m])
    spared = len(rising) // 10
    alike = rising[: spared + 1]
    for month in rising[spared + 1 :]:
        if kwh[month] > AT_REST * np.median([kwh[m] for m in alike[spared:]]):
            break
        alike.append(month)
    return alike


def by_hand(kwh, power, well):
    """Bayes' rule month by month for one well."""
    if (kwh[well] == 0).any() or np.isfinite(kwh[well]).sum() < LEAST_MONTHS:
        return 0.0
    small = [m for m in range(kwh.shape[1]) if kwh[well, m] <= REST_HOURS * power[well]]
    small = lowest_alike(kwh[well], small)
    if len(small) < 2:
        return 0.0
    middle = np.median([kwh[well, m] for m in small])
    if np.median([abs(np.log(kwh[well, m] / middle)) for m in small]) > 0.5:
        return 0.0
    chance = 1.0
    for m in small:
        none = sum(kwh[i, m] == 0 for i in range(len(kwh)))
        little = sum(0 < kwh[i, m] <= REST_HOURS * power[i] for i in range(len(kwh)))
        chance *= 1.0 - min(none / (none + little), 0.999)
    probability = 0.1 / (0.1 + 0.9 * chance)
    return (probability - 0.1) / 0.9 * middle


@pytest.mark.parametrize("seed", [1, 2])
def test_load_is_bayes_rule_of_the_months_of_rest(seed):
    _, _, kwh, power = year(seed)
    expected = [by_hand(kwh, power, well) for well in range(len(kwh))]
    np.testing.assert_allclose(resting_load(kwh, power), expected, rtol=1e-9, atol=1e-12)
    assert sum(value > 0 for value in expected) > 5


def at_rest_by_hand(kwh, rest, well):
    """Months of one well up to twice a load that is believed, or that repeat a doubted one after other months."""
    load = rest.load[well]
    believed = [load > 0 and value <= AT_REST * load for value in kwh[well]]
    if rest.belief[well] <= DOUBTED or rest.apart[well] > ALIKE or rest.middle[well] == 0:
        return believed
    again = [value > 0 and abs(np.log(value / rest.middle[well])) <= NEAR for value in kwh[well]]
    block = "".join("x" if flag else "." for flag in again).strip(".")
    return [a or b for a, b in zip(believed, again, strict=True)] if "." in block else believed


@pytest.mark.parametrize("seed", range(4))
def test_months_of_rest_are_believed_or_come_back_after_others(seed):
    rng = np.random.default_rng(seed)
    kwh = rng.choice([0.0, 4.0, 9.0, 10.0, 11.0, 60.0, np.nan], (300, 8))
    rest = Rest(np.full(300, 10.0), rng.choice([0.0, 0.1, 0.6], 300), rng.choice([0.05, 0.4, 0.9], 300))
    found = rest.months(kwh)
    assert [row.tolist() for row in found] == [at_rest_by_hand(kwh, rest, well) for well in range(300)]
    believed = (rest.load[:, None] > 0) & (kwh <= AT_REST * rest.load[:, None])
    assert (found & ~believed).any()


def test_one_block_of_equal_small_months_is_no_rest_unless_it_comes_back():
    """A multiplier lost for three months makes one block; a lamp is there again after other months."""
    rest = Rest(np.full(2, 10.0), np.full(2, 0.2), np.zeros(2))
    kwh = np.array([[90.0, 10.0, 10.0, 11.0, 80.0, 70.0], [90.0, 10.0, 10.0, 80.0, 70.0, 11.0]])
    assert rest.months(kwh).tolist() == [[False] * 6, [False, True, True, False, False, True]]


def test_what_is_left_is_what_was_pumped():
    pumped, lamp, kwh, power = year(3, n=400)
    found = pumping_share(kwh, resting_load(kwh, power))
    rest = pumped == 0
    before, after = kwh[rest].sum(), (kwh * found)[rest].sum()
    assert after < 0.1 * before
    assert (kwh * found)[~rest].sum() == pytest.approx(pumped.sum(), rel=2e-4)
    assert (resting_load(kwh, power)[lamp == 0] == 0).all()


@given(st.integers(0, 10_000), st.floats(0.0, 0.6))
def test_where_no_well_ever_rests_small_months_are_irrigation(seed, least):
    rng = np.random.default_rng(seed)
    kwh = rng.lognormal(3.0, 2.0, (40, 18)) + least
    assert not resting_load(kwh, np.full(40, 15.0)).any()


@pytest.mark.parametrize("seed", range(4))
def test_a_large_pump_that_irrigates_for_a_few_hours_has_no_more_than_its_lamp_behind_the_meter(seed):
    """Half of its months are within eight hours of its 37 kW, and irrigate all the same."""
    rng = np.random.default_rng(seed)
    _, _, kwh, power = year(9, n=120, load=0.0)
    lamp = 10.0 * np.exp(0.2 * rng.standard_normal(24))
    pumped = np.where(np.arange(24) % 2, 37.0 * rng.uniform(2.5, 7.0, 24), 0.0)
    load = resting_load(np.vstack([kwh, pumped + lamp]), np.append(power, 37.0))[-1]
    assert load == pytest.approx(10.0, rel=0.25)


def test_a_month_read_late_does_not_hide_a_lamp():
    _, _, kwh, power = year(9, n=120, load=0.0)
    lamp = np.full(24, 10.0)
    lamp[0] = 0.4
    assert resting_load(np.vstack([kwh, lamp]), np.append(power, 15.0))[-1] == pytest.approx(10.0, rel=0.05)


def test_a_small_pump_of_unknown_power_that_irrigates_every_month_does_not_rest():
    _, _, kwh, power = year(7, n=120)
    small = 60.0 * np.random.default_rng(7).lognormal(0.0, 0.3, 24)
    kwh, power = np.vstack([kwh, small]), np.append(power, np.nan)
    assert (small < REST_HOURS * np.nanmedian(power)).all()
    assert resting_load(kwh, power)[-1] == 0.0


def test_unknown_powers_cost_few_lamps_and_make_none():
    _, lamp, kwh, power = year(8, n=400)
    blank = np.random.default_rng(8).random(400) < 0.3
    told, known = resting_load(kwh, np.where(blank, np.nan, power)), resting_load(kwh, power)
    assert (told[lamp == 0] == 0).all()
    assert told[blank].sum() == pytest.approx(known[blank].sum(), rel=0.05)


@given(scale=st.floats(0.01, 100.0))
def test_load_has_the_unit_of_energy(scale):
    _, _, kwh, power = year(4)
    np.testing.assert_allclose(resting_load(kwh * scale, power * scale), scale * resting_load(kwh, power), rtol=1e-9)


def test_a_month_of_none_few_months_or_an_unknown_power():
    _, _, kwh, power = year(5)
    load = resting_load(kwh, power)
    some = np.flatnonzero(load)
    stopped = kwh.copy()
    stopped[some[0], 2] = 0.0
    assert resting_load(stopped, power)[some[0]] == 0.0
    assert not resting_load(kwh[:, : LEAST_MONTHS - 1], power).any()
    assert not resting_load(kwh, np.full(power.size, np.nan)).any()
    unread = kwh.copy()
    unread[some[0], : 24 - LEAST_MONTHS + 1] = np.nan
    assert resting_load(unread, power)[some[0]] == 0.0
    blank = np.where(np.arange(power.size) == some[1], np.nan, power)
    assert resting_load(kwh, blank)[some[1]] > 0.0


@given(st.floats(0.0, 1e4), st.floats(0.0, 1e4), st.floats(0.0, 100.0))
def test_more_electricity_never_pumps_less(one, other, load):
    low, high = sorted((one, other))
    share = pumping_share(np.array([[low, high]]), np.array([load]))[0]
    assert ((share >= 0) & (share <= 1)).all()
    assert share[0] * low <= share[1] * high + 1e-9


def test_winter_water_of_a_county_is_not_that_of_its_lamps():
    """Without the remedy lamps and huts are more than 3 % of the water of the first quarter."""
    county = simulate_county(2000, 1)
    month = county.months_of("2026Q1")
    kwh, m3, kappa = (np.asarray(values) for values in (county.energy_kwh, county.volume_m3, county.kappa))
    power = county.wells["pump_power_kw"].to_numpy(dtype=float, na_value=np.nan)
    latest = np.where(county.electric[:, None], kwh, np.nan)[:, month[-1] - 23 : month[-1] + 1]
    share = pumping_share(kwh, resting_load(latest, power))
    truth = m3[county.electric][:, month].sum()
    with_lamps, without = ((kwh * part * kappa)[county.electric][:, month].sum() for part in (1.0, share))
    assert with_lamps / truth - 1 > 0.03
    assert abs(without / truth - 1) < 0.01


@pytest.fixture(scope="module")
def lit():
    """A county with a lamp behind the meter of every fifth well, and no other load."""
    case = small_case(120, 24, 8, pair_months=18)
    energy = case.energy
    a_day = REST_HOURS * case.wells["pump_power_kw"].fillna(7.5).to_numpy(dtype=float)
    rest = np.where(energy.kwh < a_day[:, None], 0.0, energy.kwh)
    lamp = np.where(np.arange(120) % 5 == 0, 14.0, 0.0)
    return replace(case, energy=replace(energy, kwh=np.where(np.isfinite(rest), rest + lamp[:, None], np.nan))), lamp


def test_lamps_are_not_converted_and_can_be_asked_to_be(lit):
    case, lamp = lit
    volume, all_of_it = (
        replace(case, options=FitOptions(resting_load=asked)).volume(quarter="2026Q1") for asked in (True, False)
    )
    resting = volume.wells.resting_kwh
    assert not resting[lamp == 0].any()
    assert (resting[(lamp > 0) & ~volume.wells.sampled] > 0).mean() > 0.8
    assert not all_of_it.wells.resting_kwh.any()
    np.testing.assert_array_equal(volume.wells.kwh, all_of_it.wells.kwh)
    idle = (lamp > 0) & (np.abs(volume.wells.kwh - 42.0) < 1e-6) & (resting > 0)
    assert idle.any()
    assert not volume.wells.volume_m3[idle].any()
    assert (all_of_it.wells.volume_m3[idle] > 20.0).all()
    # It may have pumped after all: the interval of a well at rest reaches from nothing to what it would have been.
    np.testing.assert_array_equal(volume.wells.lower_m3[idle], 0.0)
    np.testing.assert_allclose(volume.wells.upper_m3[idle], all_of_it.wells.volume_m3[idle], rtol=0.1)


def test_the_design_based_answer_expands_by_what_pumps_too(tmp_path):
    """Three tenths of the electricity pump nothing, everywhere: the ratio's total is seven tenths of what it was."""
    made = simulate_county(120, 7)
    write_county(tmp_path / "county", made, sample=made.well_id[::9].tolist())
    county = read_project(tmp_path / "county")
    energy, _ = county.energy()
    fitted = fit_coefficient(county.pairs, county.wells, county.water_levels, energy=energy)
    volume = estimate_volume(fitted, energy, quarter="2026Q3", wells=county.wells, water_levels=county.water_levels)
    whole = {"county": Keys.of(np.full(120, "all", dtype=object))}

    def ratio_total(share):
        resting = np.nan_to_num(volume.wells.kwh) * share
        told = replace(volume, wells=replace(volume.wells, resting_kwh=resting))
        table = survey_totals(county, fitted, told, whole).table.set_index("estimator")
        return table.loc["ratio", "volume_m3"]

    assert ratio_total(0.3) == pytest.approx(0.7 * ratio_total(0.0), rel=1e-9)


def test_pairs_pump_with_what_is_left_of_their_electricity(lit):
    """Sample wells with a lamp: what is taken off a pair is the lamp's part (these pairs were measured without it)."""
    case, _ = lit
    coefficient = case.fit()
    rows, pairs = coefficient.posterior.rows, coefficient.measured
    pumped = pairs.volume_m3 / np.exp(rows.y)
    with_lamp = pumped < pairs.energy_kwh * (1 - 1e-9)
    assert 0 < with_lamp.sum() < with_lamp.size
    lost = (pairs.energy_kwh - pumped)[with_lamp]
    ordinary = pumped[with_lamp] > 0.5 * pairs.energy_kwh[with_lamp]
    np.testing.assert_allclose(lost[ordinary], 14.0, rtol=0.2)


def test_pairs_of_which_a_lamp_took_most_say_little(lit):
    """Whether a lamp takes 10 or 18 kWh in a month makes all the difference to the water of the other 14."""
    case, _ = lit
    rows, pairs = case.fit().posterior.plain_rows, case.fit().measured
    share = pairs.volume_m3 / np.exp(rows.y) / pairs.energy_kwh
    assert (share <= 0.5).any()
    assert (rows.scale[share <= 0.5] > 100.0).all()
    assert np.median(rows.scale[share == 1.0]) < 1.1


def test_a_forecast_of_pairs_leaves_the_lamp_out(lit):
    """The same coefficient with and without the remedy: forecasts differ by the share that pumps."""
    case, lamp = lit
    coefficient = case.fit()
    month = np.flatnonzero(case.energy.months == np.datetime64("2026-05"))[0]
    kwh = case.energy.kwh[:, month]
    well = np.flatnonzero((kwh > 0) & (lamp > 0))
    start, end = (np.full(well.size, np.datetime64(day, "s")) for day in ("2026-05-01", "2026-06-01"))
    known = coefficient.measured
    asked = replace(
        known, well=well, start=start, end=end, energy_kwh=kwh[well], volume_m3=kwh[well],
        meter_rel_u=np.full(well.size, 0.02), test=np.zeros(well.size, dtype=bool), row=np.arange(well.size),
    )  # fmt: skip
    whole = replace(coefficient, options=replace(coefficient.options, resting_load=False))
    tables = case.wells, case.water_levels, case.energy
    pumping, all_of_it = (forecast_pairs(c, asked, *tables).mean for c in (coefficient, whole))
    ends = np.searchsorted(case.energy.months, coefficient.posterior.layout.months[-1]) + 1
    read = np.where(case.energy.quality[:, :ends] == "S", np.nan, case.energy.kwh[:, :ends])[:, -24:]
    power = case.wells["pump_power_kw"].to_numpy(dtype=float, na_value=np.nan)
    share = pumping_share(kwh[:, None], resting_load(read, power))[well, 0]
    assert (share < 1.0).sum() > 5
    np.testing.assert_allclose(pumping / all_of_it, np.maximum(share, 0.2), rtol=1e-9)
