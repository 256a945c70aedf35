"""Pairs as rows of the regression: what moves in the months of a pair, against sums written out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_kit import small_case
from elec2water.coefficient.predict import forecast_pairs
from elec2water.coefficient.rows import LONGEST_REST, Spans, unread_years
from elec2water.pairs import measurements


@pytest.fixture(scope="module")
def case():
    return small_case(n_wells=60, n_sample=12)


@pytest.fixture(scope="module")
def fitted(case):
    return case.fit()


def context_of(case, fitted):
    return fitted.context(case.wells, case.water_levels, case.energy, fitted.posterior.layout.months)


def pair(case, well, start, end):
    frame = pd.DataFrame({"well_id": case.energy.well_id[[well]], "energy_kwh": [100.0], "volume_m3": [250.0]})
    dates = {name: np.array([day], dtype="datetime64[s]") for name, day in (("start", start), ("end", end))}
    return measurements(frame.assign(kind="meter", **dates), case.energy.well_id)


@given(well=st.integers(0, 59), start=st.integers(0, 250), days=st.integers(1, 120))
def test_what_moves_is_the_mean_of_the_days_by_energy(case, fitted, well, start, days):
    context = context_of(case, fitted)
    day = context.months[0].astype("datetime64[D]") + start
    measured = pair(case, well, day, day + days)
    months = np.arange(day, day + days).astype("datetime64[M]")
    column = np.searchsorted(context.months, months[np.isin(months, context.months)])
    length = (context.months + 1).astype("datetime64[D]") - context.months.astype("datetime64[D]")
    kwh = context.kwh[well, column] / length.astype(np.int64)[column]
    by_day = kwh if kwh.sum() > 0 else 1.0 / length.astype(np.int64)[column]
    expected = (by_day @ context.level[well, column]) / by_day.sum()
    found = Spans.of(measured, context, fitted.posterior.layout).mean(context.level, measured.well)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_pair_within_one_month_has_what_moves_in_that_month_to_the_last_digit(case, fitted):
    context, measured = context_of(case, fitted), fitted.measured
    column = np.searchsorted(context.months, measured.start.astype("datetime64[M]"))
    found = Spans.of(measured, context, fitted.posterior.layout).mean(context.level, measured.well)
    np.testing.assert_array_equal(found, context.level[measured.well, column])


def test_the_forecast_of_a_quarter_is_that_of_its_months_by_energy(case, fitted):
    last = fitted.posterior.layout.months[-1]
    kwh = case.energy.kwh[:, np.searchsorted(case.energy.months, last) - np.arange(2, -1, -1)]
    wells = np.flatnonzero((kwh > 0).all(axis=1))
    begin = [(last - 2 + k).astype("datetime64[s]") for k in range(4)]

    def forecast(energy, first, stop):
        frame = pd.DataFrame({"well_id": case.energy.well_id[wells], "energy_kwh": energy, "volume_m3": energy})
        dates = {"start": np.full(wells.size, begin[first]), "end": np.full(wells.size, begin[stop])}
        asked = measurements(frame.assign(kind="meter", **dates), case.energy.well_id)
        return forecast_pairs(fitted, asked, case.wells, case.water_levels, case.energy).mean

    monthly = np.column_stack([forecast(kwh[wells, k], k, k + 1) for k in range(3)])
    whole = (monthly * kwh[wells]).sum(axis=1) / kwh[wells].sum(axis=1)
    error = np.log(forecast(kwh[wells].sum(axis=1), 0, 3) / whole)
    middle = np.log(monthly[:, 1] / whole)
    assert np.abs(error).mean() < 0.5 * np.abs(middle).mean()


@given(well=st.integers(0, 59), start=st.integers(0, 250), days=st.integers(1, 500))
def test_the_season_of_a_pair_is_that_of_its_months_by_energy(case, fitted, well, start, days):
    """Oracle: sums month by month of sines at the middles of what the pair has of each; within one month, its own."""
    context, layout = context_of(case, fitted), fitted.posterior.layout
    first = context.months[0].astype("datetime64[D]") + start
    last = min(first + days, (context.months[-1] + 1).astype("datetime64[D]"))
    measured = pair(case, well, first, last)
    weight, waves = [], []
    for column, month in enumerate(context.months):
        begin, end = max(first, month.astype("datetime64[D]")), min(last, (month + 1).astype("datetime64[D]"))
        if begin < end:
            length = ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(int)
            part = (end - begin).astype(int) / length
            weight.append((part * context.kwh[well, column], part))
            when = begin.astype("datetime64[s]") + (end - begin).astype("timedelta64[s]") // 2
            year = 1970.0 + when.astype(float) / 86400.0 / 365.25
            waves.append([f(k * np.pi * year) for k in (2, 4) for f in (np.sin, np.cos)])
    by = np.array(weight)[:, 0 if np.array(weight)[:, 0].sum() > 0 else 1]
    found = Spans.of(measured, context, layout).season
    np.testing.assert_allclose(found[0], by @ np.array(waves) / by.sum(), atol=1e-11)


def test_a_fit_looks_at_all_months_of_its_pairs(case):
    """Read by the half-year: the months are those of which pairs have half or more, not those of their middles."""
    quarter = case.pairs["start"].dt.to_period("Q").astype(str)
    summed = case.pairs.assign(quarter=quarter).groupby(["well_id", "quarter"], as_index=False)
    pairs = summed.agg({"energy_kwh": "sum", "volume_m3": "sum", "kind": "first"})
    begin = pd.PeriodIndex(pairs["quarter"], freq="Q")
    pairs = pairs.assign(start=begin.start_time, end=(begin + 2).start_time).drop(columns="quarter")
    months = replace(case, pairs=pairs[begin.quarter % 2 == 1]).fit().posterior.layout.months
    starts = pairs["start"][begin.quarter % 2 == 1]
    assert months[0] == np.datetime64(starts.min(), "M")
    assert months[-1] == np.datetime64(starts.max(), "M") + 5


@given(st.data())
def test_years_unread_are_those_of_long_gaps_within_each_pump(case, fitted, data):
    """Oracle: the days that no pair of the pump covers, in runs longer than a rest; pairs side by side leave none."""
    spans = data.draw(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 400)), min_size=2, max_size=8))
    ends = np.cumsum([rest + length for rest, length in spans])
    days = np.datetime64("2010-01-01") + np.column_stack([ends - [length for _, length in spans], ends])
    frames = [pair(case, well, *day) for well in (3, 5) for day in days]
    measured = replace(frames[0], **{f: np.concatenate([getattr(one, f) for one in frames]) for f in vars(frames[0])})
    pumps = data.draw(st.lists(st.integers(0, 1), min_size=len(spans), max_size=len(spans)).map(sorted))
    pump, well = np.tile(np.array(pumps, dtype=np.intp), 2), np.repeat(np.arange(2), len(spans))
    order = data.draw(st.permutations(range(well.size)))
    shuffled = unread_years(
        measured.take(np.array(order)), well[order], pump[order], fitted.spec, fitted.posterior.layout
    )
    found = np.empty(well.size)
    found[order] = shuffled
    for i, of in enumerate(pumps):
        first = days[pumps.index(of), 0]
        covered = np.zeros(int((days[i, 0] - first).astype(int)), dtype=bool)
        for start, end in days[pumps.index(of) : i]:
            covered[(start - first).astype(int) : (end - first).astype(int)] = True
        runs = np.diff(np.flatnonzero(np.r_[True, covered, True])) - 1
        expected = runs[runs > 365.25 * LONGEST_REST].sum() / 365.25
        assert found[[i, i + len(spans)]] == pytest.approx(expected, abs=1e-9)
    before = replace(fitted.spec, unread_gaps=False)
    assert not unread_years(measured, well, pump, before, fitted.posterior.layout).any()
