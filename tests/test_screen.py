"""What the rules on electricity see: one planted fault each against its closed form, then the seeded faults."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from elec2water.energy import read_energy
from elec2water.energy.resting import resting_load
from elec2water.energy.screen import Desk, multipliers, screen
from elec2water.energy.screen.areas import ENOUGH_AREAS, explained_by_area
from elec2water.energy.screen.usual import fit_usual, median
from elec2water.findings import MOST_LISTED, largest_of
from elec2water.rules import RuleSettings

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
MONTHS = np.arange(np.datetime64("2025-01"), np.datetime64("2026-07"))
SEASON = np.array([0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 2.0, 1.0, 0.5, 0.2, 0.0])[MONTHS.astype(int) % 12]


def county(n=60, seed=4):
    rng = np.random.default_rng(seed)
    kwh = rng.lognormal(5.0, 0.4, n)[:, None] * SEASON * rng.lognormal(0.0, 0.3, (n, len(MONTHS)))
    return np.round(kwh, 2)


def tables(kwh, multiplier=1.0):
    ids = pd.array([f"m{k:03d}" for k in range(len(kwh))], dtype="str")
    well, month = np.nonzero(np.isfinite(kwh))
    readings = pd.DataFrame(
        {
            "meter_id": ids.take(well),
            "start": MONTHS[month].astype("datetime64[s]"),
            "end": (MONTHS[month] + 1).astype("datetime64[s]"),
            "energy_kwh": kwh[well, month],
        },
        index=np.arange(2, len(well) + 2),
    )
    wells = pd.DataFrame({"well_id": ids, "pump_power_kw": 15.0})
    meters = pd.DataFrame({"meter_id": ids, "well_id": ids, "multiplier": multiplier})
    return wells, meters, readings


def findings(kwh, multiplier=1.0, settings=None, wells=None, lang="en"):
    made, meters, readings = tables(kwh, multiplier)
    wells = made if wells is None else wells
    read = read_energy(wells, meters, readings, first=MONTHS[0], last=MONTHS[-1], lang=lang)
    desk = Desk(read.reporter, wells["well_id"].to_numpy(dtype=object), settings or RuleSettings())
    return screen(read.meters, np.zeros(len(kwh), dtype=np.int64), desk)


def test_a_clean_county_gives_no_cause_to_speak():
    assert findings(county(), multiplier=20.0).count == 0


def test_a_slip_is_named_with_its_month_its_row_and_its_energy():
    kwh = county()
    kwh[7, 5] *= 10
    found = findings(kwh).frame
    assert found[["rule", "meter_id", "well_id", "period"]].to_numpy().tolist() == [
        ["SPIKE", "m007", "m007", "2025-06"]
    ]
    row = np.flatnonzero(np.isfinite(kwh).ravel()).tolist().index(7 * len(MONTHS) + 5) + 2
    assert found["row"][0] == row
    assert found["energy_kwh"][0] == pytest.approx(0.9 * kwh[7, 5], rel=0.1)
    assert "digit" in found["candidates"][0]


def test_a_month_after_a_gap_is_a_catch_up_before_it_is_a_slip():
    kwh = county()
    kwh[7, 5] *= 10
    kwh[7, 4] = np.nan
    assert findings(kwh).frame["candidates"][0].startswith("catch-up")


@pytest.mark.parametrize(("first", "last"), [(6, 9), (14, 18), (2, 8)])
def test_a_lost_multiplier_is_named_with_its_spell(first, last):
    kwh = county()
    kwh[9, first:last] /= 20.0
    found = findings(kwh, multiplier=20.0).frame
    assert found["rule"].tolist() == ["MULTIPLIER_SUSPECT"]
    assert (found["meter_id"][0], found["limit"][0]) == ("m009", "0.05")
    assert "20 lost" in found["candidates"][0]
    assert found["energy_kwh"][0] == pytest.approx(19 * kwh[9, first:last].sum(), abs=0.1)
    assert findings(kwh, multiplier=1.0).of(rule="MULTIPLIER_SUSPECT").count == 0, "nothing to lose"


def by_register(kwh, meter, multiplier=20.0, *, beside=False):
    """The tables of `kwh` with one meter read by register, its multiplier written beside the reads or not."""
    wells, meters, readings = tables(kwh, multiplier)
    rest = readings[readings["meter_id"].ne(f"m{meter:03d}")]
    register = 100.0 + np.r_[0.0, np.cumsum(kwh[meter])] / multiplier
    reads = pd.DataFrame(
        {
            "meter_id": pd.array([f"m{meter:03d}"] * len(register), dtype="str"),
            "read_on": np.append(MONTHS, MONTHS[-1] + 1).astype("datetime64[s]"),
            "register_kwh": register,
            "multiplier": multiplier if beside else np.nan,
        },
        index=np.arange(len(rest) + 2, len(rest) + 2 + len(register)),
    )
    return wells, meters, pd.concat([rest.assign(register_kwh=np.nan), reads])


@pytest.mark.parametrize(
    ("first", "last", "beside", "told"),
    [(6, 9, False, False), (6, 9, True, True), (14, 18, False, True), (0, 8, False, True)],
)
def test_a_multiplier_applied_here_is_not_lost_between_two_spells_that_have_it(first, last, beside, told):
    """Of a register, which only rises, nobody but this package makes energy; what was exchanged stays exchanged."""
    kwh = county()
    kwh[9, first:last] /= 20.0
    wells, meters, readings = by_register(kwh, 9, beside=beside)
    read = read_energy(wells, meters, readings, first=MONTHS[0], last=MONTHS[-1], lang="en")
    np.testing.assert_allclose(read.meters.kwh[9, : len(MONTHS)], kwh[9], atol=1e-6)
    desk = Desk(read.reporter, wells["well_id"].to_numpy(dtype=object), RuleSettings())
    found = screen(read.meters, np.zeros(len(wells), dtype=np.int64), desk).of(rule="MULTIPLIER_SUSPECT").frame
    assert found["meter_id"].tolist() == ["m009"] * told


def test_which_meters_have_one_multiplier_that_is_applied_here():
    kwh = county(4)
    wells, meters, readings = by_register(kwh, 1)
    twice = meters.iloc[[1]].assign(multiplier=1.0, valid_to=pd.Timestamp("2025-03-01"))
    for links, expected in ((meters, [1]), (pd.concat([meters, twice]), [])):
        series = read_energy(wells, links, readings, first=MONTHS[0], last=MONTHS[-1]).meters
        assert np.flatnonzero(series.one_multiplier).tolist() == expected


def test_a_winter_of_vegetables_is_no_multiplier_applied_twice(monkeypatch):
    """Six times as much as the class uses in winter: further from 20 than months scatter, and far from 1 as well."""
    kwh = county(200)
    winter = SEASON < 0.5
    kwh[:, winter] = np.round(np.random.default_rng(2).lognormal(1.0, 0.3, (200, winter.sum())), 2)

    def named(factor):
        spoilt = kwh.copy()
        spoilt[7, winter & (np.arange(len(MONTHS)) > 6)] *= factor
        return findings(spoilt, multiplier=20.0).of(rule="MULTIPLIER_SUSPECT").frame["meter_id"].tolist()

    assert (named(6.0), named(20.0)) == ([], ["m007"])
    monkeypatch.setattr(multipliers, "LEAST_OF_FACTOR", 0.0)
    assert named(6.0) == ["m007"]


def test_a_multiplier_that_never_was_applied_is_told_by_the_class():
    kwh = county(n=200)
    kwh[7] /= 30.0
    found = findings(kwh, multiplier=30.0).frame
    assert found.loc[found["rule"] == "MULTIPLIER_SUSPECT", "meter_id"].tolist() == ["m007"]


def test_the_odds_of_a_spell_are_those_of_two_normal_laws():
    rng = np.random.default_rng(3)
    months, spread, gap, k = 8, 0.8, -0.4, np.log(20.0)
    residual, sd, weight = rng.normal(0, 0.3, months), 0.35, rng.uniform(0.2, 1.0, months)
    parts = (np.ones(months), residual, residual**2, np.full(months, sd**2), np.full(months, sd**2), np.ones(months))
    scale = (weight, weight, weight, weight, weight**2, np.ones(months))
    sums = multipliers._Sums(*(np.r_[0.0, np.cumsum(p * w)][None, :] for p, w in zip(parts, scale, strict=True)))
    levels = multipliers._Levels(np.array([gap]), np.array([spread]))
    best = multipliers._Best.none(1).or_better(sums, levels, 2, 5, np.array([k]), np.array([True]))
    inner, outer = np.arange(2, 5), np.r_[0:2, 5:months]
    means = [np.average(residual[at], weights=weight[at]) + gap for at in (inner, outer)]
    rest = weight[outer] @ residual[outer] ** 2 - weight[outer].sum() * (means[1] - gap) ** 2
    restless = max(rest / (weight[outer].sum() * sd**2), 1.0)
    noise = [
        restless * (weight[at] ** 2).sum() * sd**2 / weight[at].sum() ** 2 + multipliers.DRIFT_SD**2 / 2
        for at in (inner, outer)
    ]
    covariance = spread**2 + np.diag(noise)
    laws = [multivariate_normal([shift, 0.0], covariance).logpdf(means) for shift in (k, -k, 0.0)]
    assert best.odds[0] == pytest.approx(max(laws[:2]) - laws[2], rel=1e-9)


def test_last_months_of_zeros_are_said_unless_the_season_makes_them():
    kwh = county()
    kwh[:, -2:] = 0.0
    assert findings(kwh).of(rule="MONTH_ALL_ZERO").frame["period"].tolist() == ["2026-05", "2026-06"]
    kwh[:, -14:-12] = 0.0
    assert findings(kwh).of(rule="MONTH_ALL_ZERO").count == 0


def test_what_is_not_listed_is_counted_with_its_energy():
    stake = np.arange(1500.0)
    found = largest_of(
        "METER_WITHOUT_WELL", stake, table="readings", file="x", lang="en", meter_id=stake.astype(str),
        observed=stake, energy_kwh=stake,
    )  # fmt: skip
    more = found.of(rule="MORE_OF_RULE").frame
    assert (found.count, more["observed"].tolist()) == (MOST_LISTED + 1, ["500"])
    assert more["energy_kwh"].tolist() == [stake[:500].sum()]
    assert found.of(rule="METER_WITHOUT_WELL").frame["energy_kwh"].min() == 500.0


def test_another_unit_of_one_meter_and_of_a_whole_month():
    kwh = county()
    kwh[3] /= 1e4
    found = findings(kwh).frame
    assert found[["rule", "meter_id"]].to_numpy().tolist() == [["UNIT_SUSPECT", "m003"]]
    assert "万kWh" in found["candidates"][0]
    kwh = county()
    kwh[:, 5] /= 1e4
    assert findings(kwh).of(rule="UNIT_SUSPECT_MONTH").frame["period"].tolist() == ["2025-06"]


def test_a_month_that_nobody_wrote_down_is_of_no_other_unit():
    """What is left for a month of a reading over several is the season's word."""
    kwh = county()
    kwh[:, 5] /= 1e4
    made, meters, readings = tables(kwh, 1.0)
    read = read_energy(made, meters, readings, first=MONTHS[0], last=MONTHS[-1], lang="en")
    spread = read.meters.estimated.copy()
    spread[:, 5] = True
    desk = Desk(read.reporter, made["well_id"].to_numpy(dtype=object), RuleSettings())
    classes = np.zeros(len(kwh), dtype=np.int64)
    assert screen(read.meters, classes, desk).of(rule="UNIT_SUSPECT_MONTH").count == 1
    assert screen(replace(read.meters, estimated=spread), classes, desk).of(rule="UNIT_SUSPECT_MONTH").count == 0


def test_zeros_count_in_the_season_only():
    kwh = county()
    kwh[5, 3:9] = 0.0
    found = findings(kwh).frame
    assert found[["rule", "meter_id", "period"]].to_numpy().tolist() == [["LONG_ZERO", "m005", "2025-04/2025-09"]]
    standby = tables(kwh)[0].assign(
        status=pd.array(["standby" if k == 5 else "in_use" for k in range(60)], dtype="str")
    )
    assert findings(kwh, wells=standby).count == 0


def test_a_meter_that_falls_silent_is_not_zero():
    kwh = county()
    kwh[8, -3:] = np.nan
    found = findings(kwh).frame
    assert found[["rule", "meter_id", "period"]].to_numpy().tolist() == [["METER_SILENT", "m008", "2026-04/2026-06"]]
    assert found["energy_kwh"][0] == pytest.approx(kwh[8, 3:6].sum(), rel=0.5)


def test_a_lamp_that_burns_in_winter():
    kwh = county()
    kwh[2] += np.round(60.0 + np.random.default_rng(1).normal(0.0, 3.0, len(MONTHS)), 2)
    found = findings(kwh).frame
    assert found[["rule", "meter_id", "severity"]].to_numpy().tolist() == [["NON_PUMP_LOAD", "m002", "info"]]
    assert float(found["observed"][0]) == pytest.approx(60.0, abs=3.0)


def test_a_load_is_stated_as_volumes_leave_it_out_also_behind_a_meter_of_two_wells():
    """A lamp that flickers by a third: other months, also those before the months asked for, tell other loads."""
    kwh = county()
    rng = np.random.default_rng(7)
    for meter in (2, 9):
        kwh[meter] += np.round(40.0 * np.exp(rng.normal(0.0, 0.3, len(MONTHS))), 2)
    wells, meters, readings = tables(kwh)
    second = pd.DataFrame({"well_id": pd.array(["m009b"], dtype="str"), "pump_power_kw": 5.5})
    link = pd.DataFrame({"meter_id": ["m009"], "well_id": ["m009b"], "multiplier": [1.0]}).astype(meters.dtypes)
    wells, meters = (pd.concat(both, ignore_index=True) for both in ((wells, second), (meters, link)))
    read = read_energy(wells, meters, readings, first=MONTHS[6], last=MONTHS[-1], lang="en")
    desk = Desk(read.reporter, wells["well_id"].to_numpy(dtype=object), RuleSettings())
    found = screen(read.meters, np.zeros(len(wells), dtype=np.int64), desk).of(rule="NON_PUMP_LOAD").frame
    stated = found.set_index("meter_id")["observed"].astype(float)
    left_out = resting_load(read.energy.kwh, wells["pump_power_kw"].to_numpy())
    assert sorted(stated.index) == ["m002", "m009"]
    assert stated["m002"] == pytest.approx(left_out[2], abs=0.1)
    assert stated["m009"] == pytest.approx(left_out[9] + left_out[-1], abs=0.1)
    assert (left_out[[2, 9, -1]] > 0.0).all()


def test_a_load_above_a_day_of_pumping_is_told_by_the_months_in_which_the_class_stands_still():
    kwh = county()
    kwh[2] += np.round(300.0 + np.random.default_rng(1).normal(0.0, 9.0, len(MONTHS)), 2)
    found = findings(kwh).of(rule="NON_PUMP_LOAD").frame
    assert found["meter_id"].tolist() == ["m002"]
    assert float(found["observed"][0]) == pytest.approx(300.0, rel=0.05)
    assert not resting_load(kwh, np.full(len(kwh), 15.0)).any()


def test_wells_that_irrigate_when_others_do_not_have_no_other_load():
    """Half of a class stands still in every month: what a meter takes in such months is irrigation as in any other."""
    kwh = np.random.default_rng(8).choice([0.0, 150.0], county().shape)
    often = 300.0 * np.exp(np.random.default_rng(9).normal(0.0, 0.2, len(MONTHS)))
    often[::4] = 130.0
    kwh[2] = np.round(often, 2)
    assert "m002" not in set(findings(kwh).of(rule="NON_PUMP_LOAD").frame["meter_id"])
    lamp = 110.0 * np.exp(np.random.default_rng(10).normal(0.0, 0.02, len(MONTHS)))
    kwh[3] = np.round(lamp, 2)
    found = findings(kwh).of(rule="NON_PUMP_LOAD").frame.set_index("meter_id")
    assert 0.9 < float(found.loc["m003", "limit"]) <= 1.0


def test_flat_lines_and_copied_blocks():
    kwh = county()
    kwh[11, 3:8] = 321.0
    assert findings(kwh).frame[["rule", "meter_id", "period"]].to_numpy().tolist() == [
        ["FLAT_LINE", "m011", "2025-04/2025-08"]
    ]
    kwh = county()
    kwh[13, 3:9] = kwh[12, 3:9]
    found = findings(kwh).of(rule="SERIES_COPIED").frame
    assert sorted(found["meter_id"]) == ["m012", "m013"]
    assert "m012" in found.loc[found["meter_id"] == "m013", "candidates"].item()
    kwh = county()
    kwh[12:14, 3:15] = np.where(np.arange(12) % 3 == 1, 0.0, kwh[12, 3:15])
    kwh[12:14, 3:15:6] = 0.0
    found = findings(kwh).of(rule="SERIES_COPIED").frame
    assert sorted(found["meter_id"]) == ["m012", "m013"]
    kwh = county()
    kwh[14, 14:18] = kwh[14, 2:6]
    found = findings(kwh).of(rule="SERIES_COPIED").frame
    assert set(found["meter_id"]) == {"m014"}


def test_a_lamp_that_burns_while_the_pump_rests_is_no_copy_of_itself():
    kwh = county()
    kwh[3] = np.where(SEASON > 0, np.round(kwh[3] + 19.37, 2), 19.37)
    kwh[4] = np.where(MONTHS.astype(int) % 3 == 0, 24.61, kwh[4] + 24.61)
    assert findings(kwh).of(rule="SERIES_COPIED").count == 0


def test_a_lamp_while_the_pump_rests_is_no_flat_line_and_has_lost_no_multiplier():
    rng = np.random.default_rng(8)
    kwh = county(120)
    rests = (rng.random(kwh.shape) < 0.9) & (SEASON <= 0.5)
    kwh[rests] = 0.0
    kwh[3] = np.where(SEASON <= 0.5, 19.37, kwh[3] + 19.37)
    kwh[4] = np.where((SEASON <= 0.5) | (np.arange(len(MONTHS)) == 4), 9.61, kwh[4] + 9.61)
    assert findings(kwh, multiplier=20.0).of(rule="FLAT_LINE").count == 0
    assert findings(kwh, multiplier=20.0).of(rule="MULTIPLIER_SUSPECT").count == 0
    kwh[5, 12:18] = np.where(kwh[5, 12:18] > 0, np.maximum(kwh[5, 12:18], 60.0) / 20.0, 0.0).round(2)
    assert set(findings(kwh, multiplier=20.0).of(rule="MULTIPLIER_SUSPECT").frame["meter_id"]) == {"m005"}


def test_a_meter_without_a_reading_in_all_months_asked_for_is_unknown_and_not_imputed():
    wells, meters, readings = tables(county())
    silent = readings["meter_id"].eq("m008") & (readings["start"] >= np.datetime64("2025-04-01"))
    read = read_energy(wells, meters, readings[~silent], first=np.datetime64("2025-07"), last=MONTHS[-1], lang="en")
    desk = Desk(read.reporter, wells["well_id"].to_numpy(dtype=object), RuleSettings())
    said = (read.findings + screen(read.meters, np.zeros(60, dtype=np.int64), desk)).frame
    assert said.loc[said["meter_id"].eq("m008"), "rule"].tolist() == ["METER_NO_DATA"]


def test_a_block_edited_in_one_month_tells_how_many_months_are_still_equal():
    kwh = county()
    kwh[14, 12:18] = kwh[14, 0:6]
    kwh[14, 15] += 50.0
    frame = findings(kwh).of(rule="SERIES_COPIED").frame
    equal = np.count_nonzero(SEASON[2:6] > 0) - 1
    assert set(frame["meter_id"]) == {"m014"}
    assert set(frame["observed"].astype(float)) == {float(equal)}


def test_months_that_one_reading_was_spread_over_are_no_copies_of_one_another():
    kwh = county()
    wells, meters, monthly = tables(kwh)
    said = {}
    for step in (3, 6, 12):
        total = np.add.reduceat(kwh, np.arange(0, len(MONTHS), step), axis=1).round(2)
        total[9, 12 // step :] = total[9, : total.shape[1] - 12 // step]
        edge = np.append(MONTHS[::step], MONTHS[-1] + 1).astype("datetime64[s]")
        frame = pd.DataFrame(
            {
                "meter_id": np.repeat(wells["well_id"].to_numpy(), total.shape[1]),
                "start": np.tile(edge[:-1], len(kwh)),
                "end": np.tile(edge[1:], len(kwh)),
                "energy_kwh": total.ravel(),
            }
        )
        frame.attrs.update(monthly.attrs)
        frame.index = np.arange(2, len(frame) + 2)
        read = read_energy(wells, meters, frame, first=MONTHS[0], last=MONTHS[-1], lang="en")
        desk = Desk(read.reporter, wells["well_id"].to_numpy(dtype=object), RuleSettings())
        found = screen(read.meters, np.zeros(len(kwh), dtype=np.int64), desk).of(rule="SERIES_COPIED").frame
        said[step] = sorted(set(found["meter_id"]))
    # A year of quarters filled in again is still told; one figure a year is too little to tell.
    assert said == {3: ["m009"], 6: said[6], 12: []}
    assert set(said[6]) <= {"m009"}


def test_whole_numbers_repeat_by_chance_and_are_not_called_copies():
    kwh = np.minimum(np.round(county(400) / 20.0), 9.0)
    assert findings(kwh).of(rule="SERIES_COPIED").count == 0


def test_a_project_can_silence_a_rule_or_move_its_threshold():
    kwh = county()
    kwh[7, 5] *= 10
    assert findings(kwh, settings=RuleSettings(frozenset({"SPIKE"}))).count == 0
    assert findings(kwh, settings=RuleSettings(threshold={"SPIKE": 300.0})).count == 0
    assert findings(kwh, lang="zh").frame["candidates"][0].startswith("多录一位")


def test_the_order_of_rows_does_not_matter():
    kwh = county()
    kwh[7, 5] *= 10
    kwh[5, 3:9] = 0.0
    kwh[13, 3:9] = kwh[12, 3:9]
    wells, meters, readings = tables(kwh)
    order = np.random.default_rng(1).permutation(len(readings))
    reports = []
    for rows in (readings, readings.iloc[order]):
        read = read_energy(wells, meters, rows, first=MONTHS[0], last=MONTHS[-1], lang="en")
        desk = Desk(read.reporter, wells["well_id"].to_numpy(dtype=object), RuleSettings())
        reports.append(screen(read.meters, np.zeros(60, dtype=np.int64), desk))
    assert reports[0].count >= 4
    assert reports[0].equals(reports[1])


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]])
@pytest.mark.parametrize("power", [[15.0, 5.0, 7.5], [5.0, 5.0, 5.0]])
def test_a_shared_meter_is_judged_as_its_largest_well_whatever_the_order_of_the_links(order, power):
    """Of wells as large as each other the first by name; the multiplier is that of the latest link."""
    _, _, readings = tables(county(2))
    wells = pd.DataFrame({"well_id": ["w3", "w1", "w2"], "pump_power_kw": power})
    meters = pd.DataFrame(
        {
            "meter_id": ["m000", "m000", "m000", "m001"],
            "well_id": ["w3", "w1", "w2", "w2"],
            "multiplier": [1.0, 20.0, 1.0, 30.0],
            "valid_from": pd.to_datetime([None, "2025-05-01", None, None]),
        }
    )
    series = read_energy(wells, meters.iloc[order], readings, first=MONTHS[0], last=MONTHS[-1]).meters
    assert series.well.tolist() == [0 if power[0] == 15.0 else 1, 2]
    assert series.multiplier.tolist() == [20.0, 30.0]


def test_what_is_usual_does_not_feel_one_month_in_ten():
    kwh = county(200)
    spoilt = kwh.copy()
    spoilt[np.arange(200), np.arange(200) % 9 + 3] *= 10.0
    ids = np.array([f"m{k}" for k in range(200)], dtype=object)
    group, size = np.zeros(200, dtype=np.int64), np.ones(200)
    clean, faulty = (
        fit_usual(values, group, size, pd.util.hash_array(ids, categorize=False)) for values in (kwh, spoilt)
    )
    assert np.abs(clean.level - faulty.level).mean() < 0.15
    np.testing.assert_allclose(np.diff(clean.effect[0, 3:9]), np.diff(np.log(SEASON[3:9])), atol=0.15)


@pytest.mark.parametrize("slope", [0.0, 0.6, 1.0])
def test_irrigated_area_explains_levels_by_the_slope_they_were_made_with(slope):
    rng = np.random.default_rng(5)
    group, ratio = np.repeat([0, 1], 300), rng.normal(2.0, 0.5, 600)
    level = np.array([3.0, 4.0])[group] + slope * ratio + rng.normal(0.0, 0.2, 600)
    level[:30] -= np.log(20.0)
    ratio[[40, 50]] = 2.0 + np.log(15.0), np.nan
    explained, known = explained_by_area(level, ratio, group)
    assert not known[40]
    assert not known[50]
    assert explained[40] == explained[50] == 0.0
    centre = np.array([np.nanmedian(ratio[group == g]) for g in (0, 1)])
    assert np.polyfit((ratio - centre[group])[known], explained[known], 1)[0] == pytest.approx(slope, abs=0.05)


def test_few_areas_explain_nothing():
    level = np.random.default_rng(6).normal(size=200)
    ratio = np.where(np.arange(200) < ENOUGH_AREAS - 1, level, np.nan)
    explained, known = explained_by_area(level, ratio, np.zeros(200, dtype=np.int64))
    assert not known.any()
    assert not explained.any()


def test_median_passes_over_what_is_unknown():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(7, 9))
    values[rng.random(values.shape) < 0.4] = np.nan
    values[2] = np.nan
    expected = [
        np.sort(v[np.isfinite(v)])[(np.isfinite(v).sum() - 1) // 2] if np.isfinite(v).any() else np.nan for v in values
    ]
    np.testing.assert_array_equal(median(values, axis=1), expected)


@pytest.fixture(scope="module")
def study():
    sys.path.insert(0, str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("fault_study", BENCHMARKS / "fault_study.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["fault_study"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(BENCHMARKS))
    del sys.modules["fault_study"]


@pytest.mark.parametrize("generator", ["demo", "lognormal"])
def test_seeded_faults_are_found_and_clean_counties_left_alone(study, generator):
    named = ("×10 slip", "multiplier lost, three", "exchanged", "rollover, digits known", "shifted", "twice, alike")
    kept = {fault: study.FAULTS[fault] for fault in study.FAULTS if any(name in fault for name in named)}
    assert len(kept) == len(named)
    study.FAULTS = kept
    result = study.study(generator, 500, [11])
    found, planted = np.sum(list(result["recall"].values()), axis=0)
    assert found >= 0.85 * planted
    false = sum(count for rule, count in result["alarms"].items() if rule not in study.STATED)
    assert false < 5e-3 * result["well_quarters"]
