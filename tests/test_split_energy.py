"""A sample well on a shared meter is known by its own electricity: the shares that size tells are off."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core_kit import small_case
from elec2water.coefficient.split_energy import LEAST_DAYS, own_energy_factor
from elec2water.energy import MonthlyEnergy
from elec2water.energy.split import Split
from elec2water.pairs import measurements

MONTHS = np.arange(np.datetime64("2025-01"), np.datetime64("2026-01"))
USED = np.array([[30.0, 20, 50, 80, 90, 60, 40, 70, 50, 30, 10, 20], [5.0] * 12, [40.0] * 12])


def county(taken, *, damping=(0.2, 0.2)):
    """Three wells of which the first two share a meter."""
    split = Split(np.array([0, 1]), np.zeros(2, dtype=np.intp), taken[:2], np.array(damping))
    ids = np.array(["a", "b", "c"], dtype=object)
    return MonthlyEnergy(ids, MONTHS, taken, 0.0 * taken, np.full(taken.shape, "E"), split=split)


def pairs(well, spans):
    """Pairs of one well that used, every day of a month alike, what ``USED`` says."""
    lengths = ((MONTHS + 1).astype("datetime64[D]") - MONTHS.astype("datetime64[D]")).astype(int)
    daily = np.repeat(USED[well] / lengths, lengths)
    rows = []
    for start, end in spans:
        a, b = ((np.datetime64(t, "D") - MONTHS[0].astype("datetime64[D]")).astype(int) for t in (start, end))
        rows.append({"well_id": "abc"[well], "start": pd.Timestamp(start), "end": pd.Timestamp(end),
            "energy_kwh": daily[a:b].sum(), "volume_m3": 3.0, "kind": "meter"})  # fmt: skip
    return measurements(pd.DataFrame(rows), np.array(["a", "b", "c"], dtype=object))


@pytest.mark.parametrize(
    "spans",
    [
        [("2025-03-01", "2025-04-01"), ("2025-05-01", "2025-06-01"), ("2025-06-01", "2025-07-01")],
        [("2025-02-11", "2025-06-20")],
        [("2025-01-01", "2025-12-31")],
    ],
)
def test_the_factor_is_what_its_own_meter_read_over_what_was_taken(spans):
    """Oracle: every energy was taken for 0.4 times what it was, in months and parts of months alike."""
    factor = own_energy_factor(county(0.4 * USED), pairs(0, spans))
    np.testing.assert_allclose(factor, [2.5, 1.0, 1.0], rtol=1e-12)


def test_what_is_stated_or_alone_or_hardly_read_stays():
    half = [("2025-01-01", "2025-07-01")]
    np.testing.assert_array_equal(own_energy_factor(county(0.4 * USED, damping=(0.0, 0.0)), pairs(0, half)), 1.0)
    np.testing.assert_array_equal(own_energy_factor(county(0.4 * USED), pairs(2, half)), 1.0)
    short = pairs(0, [("2025-03-01", "2025-05-01")])
    assert short.days.sum() < LEAST_DAYS
    np.testing.assert_array_equal(own_energy_factor(county(0.4 * USED), short), 1.0)
    np.testing.assert_array_equal(own_energy_factor(county(0.01 * USED), pairs(0, half)), 1.0)
    gap = 0.4 * USED
    gap[0, 3] = np.nan
    np.testing.assert_array_equal(own_energy_factor(county(gap), pairs(0, half)), 1.0)
    later = 0.4 * USED
    later[0, [0, 11]] = np.nan
    read = pairs(0, [("2025-03-01", "2025-08-01")])
    np.testing.assert_allclose(own_energy_factor(county(later), read)[0], 2.5, rtol=1e-12)
    beyond = pairs(0, half)
    beyond = replace(beyond, start=beyond.start - np.timedelta64(400, "D"))
    np.testing.assert_array_equal(own_energy_factor(county(0.4 * USED), beyond), 1.0)


def test_a_month_is_held_against_the_usual_of_the_same_reckoning():
    """The own electricity is what a well is known by; its months are as the meter was split, and so is their usual."""
    case = small_case(60, 40, 5, pair_months=18, last_pair=-1, missing=0.0)
    split = Split(np.arange(60), np.arange(60) // 2, np.nan_to_num(0.5 * case.energy.kwh), np.full(60, 0.2))
    halved = replace(case, energy=replace(case.energy, kwh=0.5 * case.energy.kwh, split=split))
    fitted, usual = halved.fit(), case.fit()
    months = case.energy.months[-3:]
    seen = fitted.context(halved.wells, halved.water_levels, halved.energy, months)
    plain = usual.context(case.wells, case.water_levels, case.energy, months)
    place = fitted.posterior.sample
    read = own_energy_factor(halved.energy, fitted.measured)[place]
    assert (np.abs(read - 2.0) < 0.2).mean() > 0.8
    np.testing.assert_allclose(seen.annual_kwh[place], 0.5 * plain.annual_kwh[place], rtol=1e-9)
    np.testing.assert_allclose(seen.anomaly[place], plain.anomaly[place], atol=1e-9)


def test_the_answer_to_energy_is_not_watered_down_by_shares_that_are_off():
    """A county with meters of its own, and the same where all wells share and shares are off by a factor of two."""
    case = small_case(60, 40, 5, pair_months=18, last_pair=-1, missing=0.0)
    off = np.exp(0.7 * np.random.default_rng(1).standard_normal(60))
    kwh = case.energy.kwh * off[:, None]
    split = Split(np.arange(60), np.arange(60) // 2, np.nan_to_num(kwh), np.full(60, 0.2))
    shared = replace(case, energy=replace(case.energy, kwh=kwh, split=split))
    own, with_pairs = case.fit(), shared.fit()
    blind = replace(case, energy=replace(case.energy, kwh=kwh)).fit()
    place = 1 + [f.name for f in own.spec.numeric].index("log_energy_per_mu")
    slope, told, untold = (fitted.posterior.mean[place] for fitted in (own, with_pairs, blind))
    assert abs(told - slope) < 0.25 * abs(untold - slope)
