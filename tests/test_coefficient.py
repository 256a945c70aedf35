"""Edge cases through the fit and the volume: every odd small county gives finite, sane numbers without a warning."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core_kit import QUARTER, Case, small_case
from elec2water.calendar_ import decimal_year, quarter_months
from elec2water.coefficient.options import FitOptions
from elec2water.coefficient.predict import forecast_pairs
from elec2water.errors import UsageError
from elec2water.pairs import measurements

SANE = (0.2, 30.0)


@pytest.fixture(scope="module")
def case():
    return small_case(60, 8, 3)


def kappa(volume):
    w = volume.wells
    return w.volume_m3[w.kwh > 0] / w.kwh[w.kwh > 0]


def assert_sane(case: Case, *, quarter=QUARTER, within=3.5, **arguments):
    """Fit and estimate; every number finite, κ within bounds, intervals in order, the truth not absurdly far."""
    volume = case.volume(case.fit(), quarter, **arguments)
    w, county = volume.wells, volume.county
    known = w.method != "none"
    assert known.any()
    for values in (w.volume_m3, w.se_m3, w.lower_m3, w.upper_m3):
        assert np.isfinite(values[known]).all()
        assert np.isnan(values[~known]).all()
    assert (w.lower_m3[known] <= w.volume_m3[known] * (1 + 1e-12)).all()
    assert (w.volume_m3[known] <= w.upper_m3[known] * 1.2).all()
    assert ((kappa(volume) > SANE[0]) & (kappa(volume) < SANE[1])).all()
    assert county.lower_m3[0] < county.volume_m3[0] < county.upper_m3[0]
    truth = case.truth_m3[known][:, -3:].sum()
    if quarter == QUARTER:
        distance = np.log(county.volume_m3[0] / truth) / np.log(county.upper_m3[0] / county.volume_m3[0])
        assert abs(distance) < within / 1.645
    return volume


def of_wells(case, count):
    """Pairs of the first `count` sample wells only."""
    ids = case.pairs["well_id"].unique()[:count]
    return replace(case, pairs=case.pairs[case.pairs["well_id"].isin(ids)])


def relative_se(volume):
    return float(volume.county.se_m3[0] / volume.county.volume_m3[0])


def test_fewer_wells_and_pairs_widen_the_interval(case):
    eight = assert_sane(case)
    one_well = assert_sane(of_wells(case, 1))
    one_pair = assert_sane(replace(case, pairs=case.pairs.iloc[:1]))
    assert relative_se(eight) < relative_se(one_well) <= relative_se(one_pair) * 1.02
    assert 0.03 < relative_se(eight) < 0.25
    assert relative_se(one_pair) < 0.6


@pytest.mark.parametrize(
    "column",
    ["pump_depth_m", "pump_power_kw", "pump_head_m", "irrigated_area_mu", "pump_installed_on", "irrigation_method",
     "aquifer"],
)  # fmt: skip
@pytest.mark.parametrize("blank", ["all", "some"])
def test_an_attribute_blank_for_all_or_some(case, column, blank):
    values = case.wells[column]
    mask = np.ones(60, dtype=bool) if blank == "all" else np.arange(60) % 3 == 0
    assert_sane(case.with_wells(**{column: values.mask(mask)}))


def test_optional_columns_that_are_not_there(case):
    wells = case.wells[["well_id", "township", "aquifer", "pump_power_kw", "pump_depth_m"]]
    assert_sane(replace(case, wells=wells))


def test_no_water_levels(case):
    assert_sane(replace(case, water_levels=None))
    assert_sane(replace(case, water_levels=case.water_levels.iloc[:0]))
    some = case.water_levels[case.water_levels["township"] == case.water_levels["township"].iloc[0]]
    assert_sane(replace(case, water_levels=some))


def test_no_energy_in_the_fit(case):
    coefficient = replace(case, energy=None).fit()
    volume = case.volume(coefficient)
    truth = case.truth_m3[:, -3:].sum()
    assert volume.county.volume_m3[0] == pytest.approx(truth, rel=0.4)


def test_a_class_without_sample_and_one_township(case):
    shallow = case.wells.loc[case.wells["aquifer"].eq("浅层"), "well_id"]
    only = replace(case, pairs=case.pairs[case.pairs["well_id"].isin(shallow)])
    assert 0 < only.pairs["well_id"].nunique() < 8
    assert_sane(only)
    assert_sane(case.with_wells(township="独镇"))


def test_short_tests_without_dates(case):
    pairs = case.pairs.groupby("well_id").head(1)[["well_id", "energy_kwh", "volume_m3"]].copy()
    nat = np.full(len(pairs), np.datetime64("NaT", "s"))
    pairs = pairs.assign(start=nat, end=nat, kind=pd.Series("test", index=pairs.index, dtype="str"))
    volume = assert_sane(replace(case, pairs=pairs))
    assert relative_se(volume) > 0.9 * relative_se(assert_sane(case))


def test_pairs_from_before_the_readings_begin(case):
    late = replace(case.energy, **{
        "months": case.energy.months[24:],
        **{name: getattr(case.energy, name)[:, 24:] for name in ("kwh", "variance", "quality")},
    })  # fmt: skip
    early = small_case(60, 8, 3, last_pair=-10, pair_months=8)
    assert_sane(replace(early, energy=late))


def test_a_quarter_two_years_after_the_last_pair_is_wider():
    """One fit, two summers alike: sample wells have drifted from their pairs, and the common movement is forgotten."""
    case = small_case(60, 20, 3, pair_months=9, last_pair=-27)
    kwh = case.energy.kwh.copy()
    kwh[:, -3:] = kwh[:, -27:-24]
    alike = replace(case, energy=replace(case.energy, kwh=kwh))
    coefficient = alike.fit()
    soon, late = alike.volume(coefficient, "2024Q3"), alike.volume(coefficient, "2026Q3")
    assert_sane(case)
    assert relative_se(late) > 1.04 * relative_se(soon)
    sampled = soon.wells.sampled & (soon.wells.method == "converted") & (late.wells.volume_m3 > 0)
    assert sampled.sum() > 3
    spread = [v.wells.se_m3[sampled] / v.wells.volume_m3[sampled] for v in (soon, late)]
    assert np.median(spread[1] / spread[0]) > 1.3


def test_a_county_of_one_well():
    case = small_case(1, 1, 4)
    volume = assert_sane(case)
    assert volume.county.volume_m3[0] == pytest.approx(volume.wells.volume_m3[0])


def test_wells_without_energy_all_year(case):
    kwh = case.energy.kwh.copy()
    kwh[::4] = 0.0
    idle = replace(case, energy=replace(case.energy, kwh=kwh, variance=np.zeros_like(kwh)))
    volume = idle.volume(idle.fit())
    unmeasured = (np.arange(60) % 4 == 0) & ~volume.wells.partly_measured & (volume.wells.method != "measured")
    assert unmeasured.sum() >= 10
    np.testing.assert_array_equal(volume.wells.volume_m3[unmeasured], 0.0)
    np.testing.assert_array_equal(volume.wells.upper_m3[unmeasured], 0.0)
    assert np.isfinite(volume.county.volume_m3).all()


def test_a_pump_replaced_between_pairs_frees_the_well(case):
    """κ rises by 60 % with the new pump: its date known, the forecast follows the pairs after it, none an outlier."""
    well = case.pairs["well_id"].value_counts().index[0]
    mine = case.pairs["well_id"].eq(well)
    middle = case.pairs.loc[mine, "start"].sort_values().iloc[int(mine.sum()) // 2]
    after = mine & (case.pairs["start"] >= middle)
    pairs = case.pairs.assign(volume_m3=case.pairs["volume_m3"].where(~after, 1.6 * case.pairs["volume_m3"]))
    place = case.wells.index[case.wells["well_id"].eq(well)]
    dated = case.wells["pump_installed_on"].copy()
    dated.loc[place] = middle
    told = replace(case, pairs=pairs).with_wells(pump_installed_on=dated)
    volume = assert_sane(told, within=6.0)
    fitted = told.fit()
    assert not fitted.posterior.impossible_pairs[fitted.measured.well == place[0]].any()
    fresh = (pairs.loc[after, "volume_m3"].sum() / pairs.loc[after, "energy_kwh"].sum()).item()
    found = volume.wells.volume_m3[place[0]] / volume.wells.kwh[place[0]]
    assert found == pytest.approx(fresh, rel=0.25)


def test_covariates_and_their_twins(case):
    twin = case.with_wells(twin=case.wells["pump_depth_m"], soil=np.where(np.arange(60) % 2, "砂", "壤"))
    once = assert_sane(replace(twin, options=FitOptions(covariates=("twin", "soil"))))
    again = assert_sane(replace(twin, options=FitOptions(covariates=("twin", "soil", "twin", "soil"))))
    np.testing.assert_allclose(again.county.volume_m3, once.county.volume_m3, rtol=0.02)


@pytest.mark.parametrize("kind", ["one_coefficient", "one_a_well", "every_pair_twice"])
def test_volumes_that_somebody_computed_do_not_break_the_fit(kind):
    """Volume = table coefficient × energy has no error at all, and neither has a file pasted twice."""
    case = small_case(80, 60, 3)
    pairs, rng = case.pairs, np.random.default_rng(1)
    of_well = pd.Series(rng.uniform(2, 5, 80), case.wells["well_id"])
    computed = {
        "one_coefficient": pairs.assign(volume_m3=3.0 * pairs["energy_kwh"]),
        "one_a_well": pairs.assign(volume_m3=pairs["well_id"].map(of_well) * pairs["energy_kwh"]),
        "every_pair_twice": pd.concat([pairs, pairs], ignore_index=True),
    }[kind]
    volume = replace(case, pairs=computed).volume()
    assert ((kappa(volume) > SANE[0]) & (kappa(volume) < SANE[1])).all()
    assert np.isfinite(volume.county.se_m3).all()
    if kind == "one_coefficient":
        pumps_alone = volume.wells.sampled & (volume.wells.resting_kwh == 0)
        np.testing.assert_allclose(kappa(volume)[pumps_alone[volume.wells.kwh > 0]], 3.0, rtol=0.03)


def test_no_usable_pair_is_refused(case):
    with pytest.raises(UsageError, match="pairs"):
        replace(case, pairs=case.pairs.assign(volume_m3=0.0)).fit()


def test_a_quarter_without_electricity_is_refused(case):
    """Months outside the readings must not be taken from other months in silence."""
    coefficient = case.fit()
    for quarter in ("2020Q1", "2031Q1"):
        with pytest.raises(UsageError, match=quarter):
            case.volume(coefficient, quarter)


def test_a_registry_in_another_order_gives_the_same_volumes(case):
    """Next quarter's file lists the wells in another order; a coefficient knows its sample wells by their ids."""
    coefficient = case.fit()
    order = np.random.default_rng(1).permutation(60)
    energy = replace(
        case.energy, **{k: getattr(case.energy, k)[order] for k in ("well_id", "kwh", "variance", "quality")}
    )
    shuffled = replace(case, wells=case.wells.iloc[order].reset_index(drop=True), energy=energy)
    volume, again = case.volume(coefficient), shuffled.volume(coefficient)
    np.testing.assert_allclose(again.wells.volume_m3, volume.wells.volume_m3[order], rtol=1e-9)
    assert again.wells.sampled.tolist() == volume.wells.sampled[order].tolist()
    forecasts = [
        forecast_pairs(coefficient, measurements(case.pairs, c.wells["well_id"].to_numpy(dtype=object)),
                       c.wells, c.water_levels, c.energy)
        for c in (case, shuffled)
    ]  # fmt: skip
    by_well = [
        pd.Series(f.mean, c.wells["well_id"].iloc[f.well]) for f, c in zip(forecasts, (case, shuffled), strict=True)
    ]
    pd.testing.assert_series_equal(by_well[0].sort_index(), by_well[1].sort_index())


def test_sample_wells_struck_off_the_registry_leave_the_others_as_they_were(case):
    coefficient = case.fit()
    gone = coefficient.posterior.sample[2]
    kept = np.delete(np.arange(60), gone)
    placed = coefficient.placed(case.wells["well_id"].to_numpy(dtype=object)[kept])
    assert placed.sample_id.tolist() == np.delete(coefficient.sample_id, 2).tolist()
    assert kept[placed.posterior.sample].tolist() == np.delete(coefficient.posterior.sample, 2).tolist()
    assert kept[np.unique(placed.measured.well)].tolist() == kept[placed.posterior.sample].tolist()
    times, pumps = np.full(8, 2026.6), np.zeros(8, dtype=np.intp)
    before, after = coefficient.posterior.paths(times, pumps), placed.posterior.paths(times[1:], pumps[1:])
    np.testing.assert_allclose(after.offset, np.delete(before.offset, 2))
    with pytest.raises(UsageError, match="sample wells"):
        coefficient.placed(np.array(["x", "y"], dtype=object))


def test_months_asked_for_in_the_fit_equal_months_added_later(case):
    """`until` lays the months out at once; without it they are added when a volume is made: the same law."""
    now = replace(case, until=quarter_months(QUARTER)[-1])
    early, late = now.volume(now.fit()), case.volume(case.fit())
    np.testing.assert_allclose(early.county.volume_m3, late.county.volume_m3, rtol=2e-4)
    np.testing.assert_allclose(early.county.se_m3, late.county.se_m3, rtol=2e-3)


def test_the_unit_of_water_moves_volumes_by_its_factor(case):
    """A county whose water is all 1.1 times as much has κ some 10 % higher: the prior gives way to 8 wells."""
    more = case.pairs.assign(volume_m3=1.1 * case.pairs["volume_m3"])
    ratio = replace(case, pairs=more).volume().county.volume_m3 / case.volume().county.volume_m3
    assert 1.05 < ratio[0] < 1.1


def test_forecasts_of_pairs_that_were_fitted_are_near_them(case):
    coefficient = case.fit()
    found = forecast_pairs(coefficient, coefficient.measured, case.wells, case.water_levels, case.energy)
    sums = pd.DataFrame(vars(coefficient.measured)).groupby("well")[["volume_m3", "energy_kwh"]].sum()
    np.testing.assert_allclose(found.mean, sums["volume_m3"] / sums["energy_kwh"], rtol=0.10)
    assert found.well.tolist() == sums.index.tolist()
    assert (np.sqrt(found.log_variance) < 0.12).all()


def test_a_blank_attribute_widens_the_forecast_of_a_well_without_pairs(case):
    """The same posterior, the same pairs to forecast; only the attributes of the wells are gone."""
    ids = case.pairs["well_id"].unique()
    known = case.pairs["well_id"].isin(ids[:5])
    registry = case.with_wells(pump_depth_m=case.wells["pump_depth_m"].mask(np.arange(60) % 5 == 1))
    coefficient = replace(registry, pairs=case.pairs[known]).fit()
    target = measurements(case.pairs[~known], case.wells["well_id"].to_numpy(dtype=object))
    blank = case.wells["pump_depth_m"].mask(case.wells["well_id"].isin(ids[5:]))
    with_it, without = (
        forecast_pairs(coefficient, target, wells, case.water_levels, case.energy)
        for wells in (case.wells, case.with_wells(pump_depth_m=blank).wells)
    )
    assert (without.log_variance > with_it.log_variance + 0.001).all()


def test_classes_keep_their_limits_in_another_registry():
    """Wells that leave the registry do not change the classes of those that stay."""
    case = small_case(200, 12, 5)
    coefficient = case.fit()
    whole = case.volume(coefficient)
    sampled = set(coefficient.sample_id)
    leaving = [well for well in case.wells["well_id"] if well not in sampled][:5]
    stay = ~case.wells["well_id"].isin(leaving).to_numpy()
    energy = replace(case.energy, **{
        name: getattr(case.energy, name)[stay] for name in ("well_id", "kwh", "variance", "quality")
    })  # fmt: skip
    fewer = replace(case, wells=case.wells.loc[stay].reset_index(drop=True), energy=energy).volume(coefficient)
    np.testing.assert_allclose(fewer.wells.volume_m3, whole.wells.volume_m3[stay], rtol=0.02)


def test_bad_sample_wells_do_not_hide_behind_the_spread_they_make():
    """A tenth of the sample wells reads ten times too much: they are set apart, and the others' volumes stay."""
    case = small_case(200, 40, 3)
    wells = case.pairs["well_id"].unique()
    bad = case.pairs["well_id"].isin(wells[::10])
    spoilt = replace(
        case, pairs=case.pairs.assign(volume_m3=case.pairs["volume_m3"].where(~bad, 10 * case.pairs["volume_m3"]))
    )
    coefficient = spoilt.fit()
    named = coefficient.sample_id[coefficient.posterior.rows.level_scale > 1.0]
    assert set(wells[::10]) <= set(named)
    clean, dirty = case.volume(), spoilt.volume(coefficient)
    others = ~clean.wells.sampled
    assert np.nansum(dirty.wells.volume_m3[others]) == pytest.approx(np.nansum(clean.wells.volume_m3[others]), rel=0.06)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_peak_shorter_than_the_rest_of_the_year_comes_back_a_year_later(seed):
    """κ 4 % lower in spring and higher in summer, whatever one harmonic does: pairs of 18 months until June tell it.

    Without the second harmonic the summer half of it is forgotten and that of spring carried on.
    """
    case = replace(small_case(120, 30, seed, pair_months=18), water_levels=None)
    years = decimal_year(case.pairs["start"].to_numpy(dtype="datetime64[s]") + np.timedelta64(15, "D"))
    swung = replace(
        case, pairs=case.pairs.assign(volume_m3=case.pairs["volume_m3"] * np.exp(0.04 * np.sin(4 * np.pi * years)))
    )
    plain, told = (c.volume().wells.volume_m3[~c.volume().wells.sampled].sum() for c in (case, swung))
    summer = np.exp(0.04 * np.sin(4 * np.pi * (np.array([6.5, 7.5, 8.5]) / 12.0))).mean()
    assert told / plain == pytest.approx(summer, abs=0.008)
