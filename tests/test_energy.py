"""From readings to energy per well and month: every step against a closed form or a loop over single days."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elec2water.energy import MonthlyEnergy, monthly_energy
from elec2water.energy.arrays import codes, positions
from elec2water.energy.intervals import Intervals
from elec2water.energy.links import Epochs, split_shares
from elec2water.energy.periods import cut, spread
from elec2water.energy.profile import DailyProfile
from elec2water.energy.shares import POWER_AREA, PRIOR, precision
from elec2water.errors import UsageError

JAN, MAR, JUN = (np.datetime64(m) for m in ("2026-01", "2026-03", "2026-06"))


def text(values):
    return pd.array(list(values), dtype="str")


def dates(values):
    return np.array([np.datetime64("NaT") if v is None else np.datetime64(v) for v in values], dtype="datetime64[s]")


def wells_of(*ids, power=None, area=None, **columns):
    n = len(ids)
    frame = pd.DataFrame({"well_id": text(ids), "pump_power_kw": [50.0] * n if power is None else power})
    frame["irrigated_area_mu"] = [np.nan] * n if area is None else area
    frame.index = np.arange(2, n + 2)
    return frame.assign(**columns)


def meters_of(*rows):
    """Rows of (meter_id, well_id, dict of further columns)."""
    frame = pd.DataFrame({"meter_id": text(r[0] for r in rows), "well_id": text(r[1] for r in rows)})
    extra = [r[2] if len(r) > 2 else {} for r in rows]
    for name in ("multiplier", "digits", "share"):
        frame[name] = np.array([e.get(name, np.nan) for e in extra], dtype=float)
    for name in ("valid_from", "valid_to"):
        frame[name] = dates(e.get(name) for e in extra)
    frame.index = np.arange(2, len(rows) + 2)
    return frame


NO_METERS = meters_of(("x", "x"))[:0]


def bills(*rows):
    """Rows of (meter_id, start, end, kWh, quality)."""
    frame = pd.DataFrame({"meter_id": text(r[0] for r in rows)})
    frame["read_on"], frame["register_kwh"] = dates([None] * len(rows)), np.nan
    frame["start"], frame["end"] = dates(r[1] for r in rows), dates(r[2] for r in rows)
    frame["energy_kwh"] = np.array([r[3] for r in rows], dtype=float)
    frame["quality"] = text(r[4] if len(r) > 4 else None for r in rows)
    frame.index = np.arange(2, len(rows) + 2)
    return frame


def reads(*rows):
    """Rows of (meter_id, day, register, quality)."""
    frame = pd.DataFrame({"meter_id": text(r[0] for r in rows), "read_on": dates(r[1] for r in rows)})
    frame["register_kwh"] = np.array([r[2] for r in rows], dtype=float)
    frame["quality"] = text(r[3] if len(r) > 3 else None for r in rows)
    frame.index = np.arange(2, len(rows) + 2)
    return frame


def run(wells, meters, readings, first=JAN, last=MAR):
    energy, findings = monthly_energy(wells, meters, readings, first=first, last=last, lang="en")
    return energy, findings


def rules(findings):
    return sorted(set(findings.frame["rule"]))


def by_days(start, end, kwh, rate, months):
    """The oracle: hand every single day its part, then add up by month."""
    days = np.arange(np.datetime64(start, "D"), np.datetime64(end, "D"))
    weight = np.array([rate[int((d.astype("datetime64[M]") - months[0]).astype(int))] for d in days])
    return [kwh * weight[days.astype("datetime64[M]") == m].sum() / weight.sum() for m in months]


def test_calendar_months_are_taken_as_they_are():
    readings = bills(("a", "2026-01-01", "2026-02-01", 100.0), ("a", "2026-02-01", "2026-03-01", 0.0))
    energy, findings = run(wells_of("a"), NO_METERS, readings)
    np.testing.assert_array_equal(energy.kwh, [[100.0, 0.0, np.nan]])
    np.testing.assert_array_equal(energy.variance, [[0.0, 0.0, np.nan]])
    assert "".join(energy.quality[0]) == "AAN"
    assert not findings.count


def test_register_differences_times_the_multiplier():
    readings = reads(("m", "2026-01-01", 10.0), ("m", "2026-02-01", 15.0), ("m", "2026-03-01", 15.0))
    energy, _ = run(wells_of("a"), meters_of(("m", "a", {"multiplier": 20})), readings)
    np.testing.assert_allclose(energy.kwh[0, :2], [100.0, 0.0])


def test_a_register_rolls_over_only_with_known_digits_and_possible_energy():
    readings = reads(("m", "2026-01-01", 99_990.0), ("m", "2026-02-01", 40.0))
    energy, findings = run(wells_of("a"), meters_of(("m", "a", {"digits": 5, "multiplier": 2})), readings)
    assert energy.kwh[0, 0] == 100.0
    assert "REGISTER_ROLLOVER" in rules(findings)
    for meters, power in [
        (meters_of(("m", "a")), 50.0),
        (meters_of(("m", "a", {"digits": 5})), np.nan),
        (meters_of(("m", "a", {"digits": 7})), 50.0),
    ]:
        energy, findings = run(wells_of("a", power=[power]), meters, readings)
        assert np.isnan(energy.kwh[0, 0])
        negative = findings.of(rule="NEGATIVE_ENERGY").frame
        assert list(negative["row"]) == [3]
        assert list(negative["meter_id"]) == ["m"]


def test_negative_bills_are_left_out_and_adjustments_kept_apart():
    readings = bills(
        ("a", "2026-01-01", "2026-02-01", -5.0),
        ("a", "2026-02-01", "2026-03-01", 70.0),
        ("a", "2026-02-01", "2026-03-01", -900.0, "adjustment"),
    )
    energy, findings = run(wells_of("a"), NO_METERS, readings)
    np.testing.assert_array_equal(energy.kwh, [[np.nan, 70.0, np.nan]])
    assert rules(findings) == ["ADJUSTMENT_APART", "NEGATIVE_ENERGY"]


def test_an_estimate_is_merged_into_the_actual_reading_that_follows():
    estimated = bills(
        ("a", "2026-01-01", "2026-02-01", 10.0, "estimated"),
        ("a", "2026-02-01", "2026-03-01", 10.0, "estimated"),
        ("a", "2026-03-01", "2026-04-01", 880.0, "actual"),
    )
    whole = bills(("a", "2026-01-01", "2026-04-01", 900.0))
    energy, findings = run(wells_of("a"), NO_METERS, estimated)
    expected, _ = run(wells_of("a"), NO_METERS, whole)
    np.testing.assert_allclose(energy.kwh, expected.kwh)
    np.testing.assert_allclose(energy.kwh[0], [900 * 31 / 90, 900 * 28 / 90, 900 * 31 / 90])
    np.testing.assert_allclose(energy.variance, expected.variance)
    assert "".join(energy.quality[0]) == "EEE"
    assert len(findings.of(rule="ESTIMATE_MERGED").frame) == 2


def test_estimated_reads_between_actual_ones_are_bridged_and_trailing_ones_stay_estimates():
    readings = reads(
        ("m", "2026-01-01", 0.0),
        ("m", "2026-02-01", 500.0, "estimated"),
        ("m", "2026-03-01", 590.0),
        ("m", "2026-04-01", 700.0, "estimated"),
    )
    energy, _ = run(wells_of("a"), meters_of(("m", "a")), readings)
    np.testing.assert_allclose(energy.kwh[0], [310.0, 280.0, 110.0])
    assert energy.variance[0, 2] == pytest.approx((0.3 * 110.0) ** 2)
    assert "".join(energy.quality[0]) == "EEE"


def test_exact_duplicates_count_once_and_contradictions_not_at_all():
    same = ("a", "2026-01-01", "2026-02-01", 100.0)
    other = ("a", "2026-02-01", "2026-03-01", 30.0)
    energy, findings = run(wells_of("a"), NO_METERS, bills(same, same, other, (*other[:3], 31.0)))
    np.testing.assert_array_equal(energy.kwh, [[100.0, np.nan, np.nan]])
    assert list(findings.of(rule="READING_REPEATED").frame["row"]) == [3]
    assert sorted(findings.of(rule="READING_CONTRADICTION").frame["row"]) == [4, 5]


def test_an_actual_reading_supersedes_the_estimate_of_its_period():
    rows = [("a", "2026-01-01", "2026-02-01", k, q) for k, q in [(80.0, "estimated"), (100.0, "actual")]]
    energy, findings = run(wells_of("a"), NO_METERS, bills(*rows))
    assert (energy.kwh[0, 0], energy.quality[0, 0]) == (100.0, "A")
    assert "READING_CONTRADICTION" not in rules(findings)


def test_a_few_days_overlap_is_kept_and_half_a_period_is_stated_twice():
    slip = bills(("a", "2026-01-01", "2026-02-03", 33.0), ("a", "2026-02-01", "2026-03-01", 28.0))
    energy, findings = run(wells_of("a"), NO_METERS, slip)
    assert np.nansum(energy.kwh) == pytest.approx(61.0)
    assert len(findings.of(rule="READING_OVERLAP").frame) == 1
    twice = bills(("a", "2026-01-01", "2026-02-01", 31.0), ("a", "2026-01-11", "2026-02-11", 31.0))
    energy, findings = run(wells_of("a"), NO_METERS, twice)
    assert np.isnan(energy.kwh).all()
    assert len(findings.of(rule="READING_OVERLAP").frame) == 2


def test_where_a_meter_has_both_forms_the_bill_counts():
    billed = bills(("a", "2026-01-01", "2026-02-01", 100.0))
    both = pd.concat([billed, reads(("a", "2026-01-01", 5.0), ("a", "2026-02-01", 60.0))])
    energy, findings = run(wells_of("a"), NO_METERS, both)
    assert energy.kwh[0, 0] == 100.0
    assert "READING_TWO_FORMS" in rules(findings)


@pytest.mark.parametrize("days", [24, 25, 30, 31])
def test_a_month_is_scaled_up_from_eighty_percent_of_its_days(days):
    end = str(np.datetime64("2026-01-01") + days)
    energy, findings = run(wells_of("a"), NO_METERS, bills(("a", "2026-01-01", end, 10.0 * days)))
    if days == 24:
        assert np.isnan(energy.kwh[0, 0])
        assert "PARTIAL_MONTH" in rules(findings)
        return
    assert energy.kwh[0, 0] == pytest.approx(310.0)
    assert energy.quality[0, 0] == ("A" if days == 31 else "E")
    part = days / 31
    assert energy.variance[0, 0] == pytest.approx(310.0**2 * (1 - part) / part / (0.1 * 31 + 1))


def two_wells():
    """The concentration of two wells by power × area where nothing was learned."""
    return precision(np.array([POWER_AREA]), np.array([2]), PRIOR)[0]


def test_stated_shares_split_a_meter_and_unstated_ones_go_by_power_and_area():
    readings = bills(("m", "2026-01-01", "2026-02-01", 100.0))
    wells = wells_of("a", "b", power=[10.0, 20.0], area=[30.0, 30.0])
    energy, _ = run(wells, meters_of(("m", "a", {"share": 0.25}), ("m", "b", {"share": 0.75})), readings)
    np.testing.assert_allclose(energy.kwh[:, 0], [25.0, 75.0])
    assert (energy.variance[:, 0] == 0).all()
    energy, findings = run(wells, meters_of(("m", "a"), ("m", "b")), readings)
    np.testing.assert_allclose(energy.kwh[:, 0], [100 / 3, 200 / 3])
    np.testing.assert_allclose(energy.variance[:, 0], 100.0**2 * (2 / 9) / (two_wells() + 1.0))
    assert "SHARED_METER" in rules(findings)
    energy, findings = run(wells, meters_of(("m", "a", {"share": 0.25})), readings)
    assert energy.kwh[0, 0] == 25.0
    assert float(findings.of(rule="SHARE_REST").frame["observed"].iloc[0]) == pytest.approx(75.0)


def test_links_that_change_within_an_interval_share_it_by_days():
    """Well a until 11 January, a and b by stated halves until 21 January, b alone afterwards."""
    meters = meters_of(
        ("m", "a", {"valid_to": "2026-01-21", "share": 0.5}), ("m", "b", {"valid_from": "2026-01-11", "share": 0.5})
    )
    readings = bills(("m", "2026-01-01", "2026-02-01", 310.0))
    energy, findings = run(wells_of("a", "b"), meters, readings)
    assert np.isnan(energy.kwh[:, 0]).all()
    partial = findings.of(rule="PARTIAL_MONTH").frame
    assert float(partial["observed"].iloc[0]) == pytest.approx(50 + 100 + 110 / 2)


def test_a_meter_moved_between_wells_at_a_month_end():
    meters = meters_of(("m", "a", {"valid_to": "2026-02-01"}), ("m", "b", {"valid_from": "2026-02-01"}))
    energy, _ = run(wells_of("a", "b"), meters, bills(("m", "2026-01-01", "2026-03-01", 590.0)))
    np.testing.assert_allclose(energy.kwh, [[310.0, np.nan, np.nan], [np.nan, 280.0, np.nan]])


def test_exchanged_meters_fill_a_month_together_and_parallel_meters_must_all_be_known():
    meters = meters_of(("old", "a"), ("new", "a"))
    exchanged = bills(("old", "2026-01-01", "2026-02-11", 410.0), ("new", "2026-02-11", "2026-04-01", 490.0))
    energy, findings = run(wells_of("a"), meters, exchanged)
    np.testing.assert_allclose(energy.kwh[0], [310.0, 280.0, 310.0])
    assert "SEVERAL_METERS" in rules(findings)
    parallel = bills(
        ("old", "2026-01-01", "2026-02-01", 10.0),
        ("new", "2026-01-01", "2026-02-01", 7.0),
        ("new", "2026-02-01", "2026-03-01", 8.0),
    )
    energy, _ = run(wells_of("a"), meters, parallel)
    np.testing.assert_array_equal(energy.kwh[0], [17.0, np.nan, np.nan])


def test_a_meter_that_is_missing_from_the_file_is_not_zero():
    readings = bills(("m", "2026-01-01", "2026-02-01", 10.0))
    energy, findings = run(wells_of("a", "b"), meters_of(("m", "a"), ("n", "a")), readings)
    assert np.isnan(energy.kwh).all()
    assert list(findings.of(rule="METER_NO_DATA").frame["meter_id"]) == ["n"]
    energy, findings = run(wells_of("a"), meters_of(("m", "a"), ("n", "a", {"valid_to": "2025-12-01"})), readings)
    assert energy.kwh[0, 0] == 10.0


def test_orphans_are_found_both_ways_with_their_energy():
    readings = bills(("stray", "2026-01-01", "2026-02-01", 123.0), ("a", "2026-01-01", "2026-02-01", 1.0))
    wells = wells_of("a", "b", "c", power_source=["grid", "grid", "diesel"])
    _, findings = run(wells, NO_METERS, readings)
    stray = findings.of(rule="METER_WITHOUT_WELL").frame
    assert (stray["meter_id"].item(), float(stray["observed"].item())) == ("stray", 123.0)
    assert list(findings.of(rule="WELL_WITHOUT_ENERGY").frame["well_id"]) == ["b"]
    _, findings = run(wells, meters_of(("a", "a"), ("stray", "zz")), readings)
    assert findings.of(rule="LINK_UNKNOWN_WELL").frame["row"].item() == 3
    outside = meters_of(("a", "a"), ("stray", "b", {"valid_from": "2026-03-01"}))
    _, findings = run(wells, outside, readings)
    assert float(findings.of(rule="ENERGY_OUTSIDE_LINK").frame["observed"].item()) == 123.0


def test_energy_beyond_the_pump_is_reported_and_kept():
    energy, findings = run(wells_of("a", power=[10.0]), NO_METERS, bills(("a", "2026-01-01", "2026-02-01", 8_185.0)))
    assert energy.kwh[0, 0] == 8_185.0
    over = findings.of(rule="OVER_CAPACITY").frame
    assert float(over["limit"].item()) == pytest.approx(10 * 24 * 31 * 1.1)
    _, findings = run(wells_of("a", power=[10.0]), NO_METERS, bills(("a", "2026-01-01", "2026-02-01", 8_183.0)))
    assert not findings.count


def test_a_changed_multiplier_is_not_guessed():
    meters = meters_of(
        ("m", "a", {"multiplier": 20, "valid_to": "2026-02-01"}),
        ("m", "a", {"multiplier": 30, "valid_from": "2026-02-01"}),
    )
    steps = [("m", "2026-01-01", 0.0), ("m", "2026-02-01", 1.0), ("m", "2026-03-01", 2.0)]
    energy, _ = run(wells_of("a"), meters, reads(*steps))
    np.testing.assert_allclose(energy.kwh[0, :2], [20.0, 30.0])
    energy, findings = run(wells_of("a"), meters, reads(steps[0], steps[2]))
    assert np.isnan(energy.kwh[0]).all()
    assert "MULTIPLIER_AMBIGUOUS" in rules(findings)


def test_identifiers_stay_text():
    readings = bills(("0012", "2026-01-01", "2026-02-01", 1.0), ("12", "2026-01-01", "2026-02-01", 2.0))
    energy, _ = run(wells_of("12", "0012"), NO_METERS, readings)
    np.testing.assert_array_equal(energy.kwh[:, 0], [2.0, 1.0])


def test_nothing_read_is_unknown_and_wrong_arguments_are_named():
    energy, findings = run(wells_of("a"), NO_METERS, bills(("a", "2026-01-01", "2026-02-01", 1.0))[:0])
    assert np.isnan(energy.kwh).all()
    assert rules(findings) == ["WELL_WITHOUT_ENERGY"]
    with pytest.raises(UsageError, match="first <= last"):
        run(wells_of("a"), NO_METERS, bills(("a", "2026-01-01", "2026-02-01", 1.0)), first=MAR, last=JAN)
    with pytest.raises(UsageError, match="meter_id"):
        run(wells_of("a"), NO_METERS, bills(("a", "2026-01-01", "2026-02-01", 1.0)).drop(columns="meter_id"))


def test_the_county_profile_splits_an_interval_that_crosses_months():
    """Forty meters read monthly use three times as much a day in February; one is read only twice."""
    edges = ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"]
    rows = [(f"w{i}", edges[m], edges[m + 1], (31.0, 84.0, 31.0)[m]) for i in range(40) for m in range(3)]
    rows.append(("x", "2026-01-01", "2026-03-21", 1000.0))
    energy, _ = run(wells_of(*(f"w{i}" for i in range(40)), "x"), NO_METERS, bills(*rows))
    axis = np.arange(JAN, MAR + 1)
    expected = by_days("2026-01-01", "2026-03-21", 1000.0, [1.0, 3.0, 1.0], axis)
    np.testing.assert_allclose(energy.kwh[-1, :2], expected[:2], rtol=1e-12)


def one_epoch(n):
    far = np.full(n, 10**9)
    every = np.arange(n)
    return Epochs(every, -far, far, np.arange(n + 1), every, every, np.ones(n), np.zeros(n))


def intervals_of(rows):
    meter, start, length, kwh = (np.array(v) for v in zip(*rows, strict=True))
    return Intervals(meter, start, start + length, kwh, np.zeros(len(meter), bool), np.arange(len(meter)))


interval_rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(20_000, 20_400), st.integers(1, 200), st.floats(0.0, 1e6)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(rows=interval_rows, rate=st.lists(st.floats(0.01, 10.0), min_size=24, max_size=24))
def test_spreading_equals_the_loop_over_days_and_conserves_energy(rows, rate):
    intervals = intervals_of(rows)
    first = np.datetime64(20_000, "D").astype("datetime64[M]")
    months = first + np.arange(24)
    pieces = cut(intervals, one_epoch(4))
    kwh, variance = spread(intervals, pieces, DailyProfile(np.array(rate), 0.1), int(first.astype(int)))
    assert (variance >= 0).all()
    total = np.bincount(pieces.parent, weights=kwh, minlength=len(intervals))
    np.testing.assert_allclose(total, intervals.kwh, rtol=1e-9, atol=1e-12)
    for i in range(len(intervals)):
        table = np.zeros(24)
        table[pieces.month[pieces.parent == i] - int(first.astype(int))] = kwh[pieces.parent == i]
        start, end = (np.datetime64(int(d), "D") for d in (intervals.start[i], intervals.end[i]))
        np.testing.assert_allclose(table, by_days(start, end, intervals.kwh[i], rate, months), rtol=1e-9, atol=1e-9)


@st.composite
def chains(draw):
    """Registers of a few meters read on days that cover January to June without a gap."""
    rows = []
    for meter in "mno"[: draw(st.integers(1, 3))]:
        days = sorted({0, 181, *draw(st.lists(st.integers(1, 180), max_size=8))})
        steps = draw(st.lists(st.integers(0, 3_000), min_size=len(days), max_size=len(days)))
        rows += [
            (meter, str(np.datetime64("2026-01-01") + day), float(register))
            for day, register in zip(days, np.cumsum(steps), strict=True)
        ]
    return rows


LINKED = meters_of(("m", "a"), ("m", "b"), ("n", "b"), ("o", "c", {"multiplier": 10}))


@settings(max_examples=12, deadline=None)
@given(rows=chains(), seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 100.0))
def test_energy_is_conserved_in_any_row_order_and_unit(rows, seed, scale):
    """What the registers moved is what the wells get, when every meter of a well is read."""
    used = sorted({r[0] for r in rows})
    meters = LINKED[LINKED["meter_id"].isin(used)]
    wells = wells_of("a", "b", "c", power=[1e5, 2e5, 3e5], area=[1.0, 1.0, 1.0])
    readings = reads(*rows)
    energy, _ = run(wells, meters, readings, JAN, JUN)
    moved = sum(max(r[2] for r in rows if r[0] == m) - min(r[2] for r in rows if r[0] == m) for m in used[:2])
    moved += 10 * (rows[-1][2] - min(r[2] for r in rows if r[0] == "o")) if "o" in used else 0
    assert energy.total_kwh == pytest.approx(moved, rel=1e-9, abs=1e-9)
    order = np.random.default_rng(seed).permutation(len(readings))
    shuffled, _ = run(wells, meters, readings.iloc[order], JAN, JUN)
    np.testing.assert_allclose(shuffled.kwh, energy.kwh, rtol=1e-12)
    np.testing.assert_allclose(shuffled.variance, energy.variance, rtol=1e-9, atol=1e-9)
    scaled, _ = run(wells, meters, readings.assign(register_kwh=readings["register_kwh"] * scale), JAN, JUN)
    np.testing.assert_allclose(scaled.kwh, energy.kwh * scale, rtol=1e-9, atol=1e-9 * scale)


@settings(max_examples=40, deadline=None)
@given(cuts=st.sets(st.integers(1, 180), max_size=6), kwh=st.floats(0.0, 1e6))
def test_an_interval_split_in_proportion_to_its_days_gives_the_same_months(cuts, kwh):
    edges = [0, *sorted(cuts), 181]
    day = [str(np.datetime64("2026-01-01") + d) for d in edges]
    parts = [("a", s, e, kwh * (j - i) / 181) for s, e, i, j in zip(day, day[1:], edges, edges[1:], strict=False)]
    whole, _ = run(wells_of("a"), NO_METERS, bills(("a", day[0], day[-1], kwh)), JAN, JUN)
    split, _ = run(wells_of("a"), NO_METERS, bills(*parts), JAN, JUN)
    np.testing.assert_allclose(split.kwh, whole.kwh, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    stated=st.lists(st.one_of(st.just(np.nan), st.floats(0.0, 1.0)), min_size=1, max_size=5),
    power=st.floats(1.0, 100.0),
)
def test_shares_never_exceed_the_meter_and_reach_it_unless_stated_otherwise(stated, power):
    n = len(stated)
    share, variance, _ = split_shares(np.zeros(n, int), np.array(stated), np.full(n, power), np.full(n, 2.0), 1)
    assert share.sum() <= 1 + 1e-9
    if np.isnan(stated).any():
        assert share.sum() == pytest.approx(1.0)
    assert ((variance >= 0) & (share >= 0)).all()


def test_wells_of_a_meter_share_by_area_over_coefficient_where_all_have_one():
    group, none = np.array([0, 0, 1, 1]), np.full(4, np.nan)
    power, area = np.array([10.0, 10.0, 10.0, 30.0]), np.array([30.0, 90.0, 50.0, 50.0])
    kappa = np.array([2.0, 3.0, 4.0, np.nan])
    share, variance, _ = split_shares(group, none, power, area, 2, kappa=kappa)
    np.testing.assert_allclose(share, [15 / 45, 30 / 45, 0.25, 0.75], rtol=1e-12)
    before = split_shares(group, none, power, area, 2)
    assert variance[0] * before[0][0] * (1 - before[0][0]) < before[1][0] * share[0] * (1 - share[0])
    assert variance[2:].tolist() == before[1][2:].tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["0012", "12", "a", "井1", None]), max_size=30), st.integers(1, 3), st.integers(1, 3))
def test_codes_name_every_row(ids, times, each):
    column = pd.Series(text([i for i in ids * times for _ in range(each)]))
    code, names = codes(column)
    back = [None if c < 0 else names[c] for c in code]
    assert back == [None if pd.isna(v) else v for v in column]
    found = positions(column, pd.Index(names))
    np.testing.assert_array_equal(found, code)


def test_window_pads_with_unknown_months_and_annual_energy_fills_gaps_by_season():
    """Two wells of one season; the second known in half of the months only: its year is twice as big, exactly."""
    months = np.arange(np.datetime64("2025-01"), np.datetime64("2026-01"))
    season = np.array([1, 1, 4, 9, 12, 8, 3, 2, 6, 2, 1, 1.0])
    kwh = np.vstack([season, 2 * season, season])
    kwh[1, ::2] = np.nan
    kwh[2, :] = np.nan
    quality, variance = np.where(np.isnan(kwh), "N", "A"), np.where(np.isnan(kwh), np.nan, 0.0)
    energy = MonthlyEnergy(np.array(["a", "b", "c"], dtype=object), months, kwh, variance, quality)
    np.testing.assert_allclose(energy.annual_kwh(months[-1]), [50.0, 100.0, np.nan], rtol=1e-6)
    wider = energy.window(months[0] - 1, months[2])
    assert np.isnan(wider.kwh[0, 0])
    assert wider.quality[0, 0] == "N"
    np.testing.assert_array_equal(wider.kwh[0, 1:], season[:3])
    assert "3 wells" in repr(energy)
    with pytest.raises(UsageError, match="shape"):
        MonthlyEnergy(energy.well_id, months[:2], kwh, kwh, quality)


def test_the_multiplier_beside_a_read_comes_before_that_of_the_meter():
    readings = reads(("m", "2026-01-01", 10.0), ("m", "2026-02-01", 15.0), ("m", "2026-03-01", 16.0))
    readings["multiplier"] = [30.0, 30.0, np.nan]
    energy, _ = run(wells_of("a"), meters_of(("m", "a", {"multiplier": 20})), readings)
    np.testing.assert_allclose(energy.kwh[0, :2], [150.0, 30.0])
    readings["multiplier"] = [30.0, 40.0, 40.0]
    energy, findings = run(wells_of("a"), meters_of(("m", "a")), readings)
    np.testing.assert_array_equal(energy.kwh[0, :2], [np.nan, 40.0])
    assert "MULTIPLIER_AMBIGUOUS" in rules(findings)


def test_bills_tell_the_multiplier_that_was_applied():
    steps = reads(("m", "2026-01-01", 10.0), ("m", "2026-02-01", 15.0), ("m", "2026-03-01", 19.0))
    bill = bills(("m", "2026-01-01", "2026-02-01", 5.0), ("m", "2026-02-01", "2026-03-01", 4.0))
    both = pd.concat([steps, bill])
    _, findings = run(wells_of("a"), meters_of(("m", "a", {"multiplier": 20})), both)
    found = findings.of(rule="MULTIPLIER_RATIO").frame
    assert found[["meter_id", "observed", "limit"]].to_numpy().tolist() == [["m", "1", "20"]]
    assert found["candidates"][0] == "multiplier 20 not applied to the bills"
    assert found["energy_kwh"][0] == pytest.approx(19 * 9.0)
    _, findings = run(wells_of("a"), meters_of(("m", "a", {"multiplier": 1})), both)
    assert "MULTIPLIER_RATIO" not in rules(findings)


def test_a_register_that_fell_names_what_may_be_behind_it():
    readings = reads(("m", "2026-01-01", 99_990.0), ("m", "2026-02-01", 40.0))
    _, findings = run(wells_of("a", power=[10.0]), meters_of(("m", "a")), readings)
    causes = findings.of(rule="NEGATIVE_ENERGY").frame["candidates"][0].split("|")
    assert causes[0] == "rollover of 5 digits (50 kWh)"
    assert "meter exchanged" in causes
    readings = reads(("m", "2026-01-01", 40_000.0), ("m", "2026-02-01", 40.0))
    _, findings = run(wells_of("a", power=[10.0]), meters_of(("m", "a")), readings)
    assert findings.of(rule="NEGATIVE_ENERGY").frame["candidates"][0].startswith("meter exchanged")
