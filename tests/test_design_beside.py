"""What the design-based answer is made of: the quarter's own pairs as they are, earlier ones moved to the quarter."""

import numpy as np
import pandas as pd
import pytest

from core_kit import small_case
from elec2water.quarter import measured_of

READ, LATER = "2025Q3", "2026Q3"


@pytest.fixture(scope="module")
def fitted():
    """A year of pairs to September 2025, in a demo county."""
    case = small_case(150, 40, 5, last_pair=-13, pair_months=12)
    coefficient = case.fit()
    return coefficient, {quarter: case.volume(coefficient, quarter) for quarter in (READ, LATER)}


def test_pairs_of_the_quarter_are_taken_as_they_were_read(fitted):
    coefficient, volumes = fitted
    m3, kwh = measured_of(coefficient, volumes[READ])
    pairs, rows = coefficient.measured, coefficient.posterior.rows
    here = (pairs.middle >= np.datetime64("2025-07-01")) & (pairs.middle < np.datetime64("2025-10-01"))
    by_well = pd.Series(pairs.volume_m3[here]).groupby(rows.well[here]).sum()
    assert by_well.size > 30
    np.testing.assert_allclose(m3[by_well.index], by_well.to_numpy(), rtol=1e-12)
    # the pumps' part of the pairs' electricity, which is what ln κ was made of
    share = pd.Series((pairs.volume_m3 / np.exp(rows.y))[here]).groupby(rows.well[here]).sum()
    np.testing.assert_allclose(kwh[by_well.index], share.to_numpy(), rtol=1e-12)


def test_pairs_of_the_year_before_are_moved_by_what_unmeasured_wells_moved(fitted):
    """Oracle: the coefficients that the volumes of both quarters give to wells without pairs, by aquifer."""
    coefficient, volumes = fitted
    (m3, kwh), (later_m3, later_kwh) = (measured_of(coefficient, volumes[quarter]) for quarter in (READ, LATER))
    read = kwh > 0
    np.testing.assert_allclose(later_kwh[read], kwh[read], rtol=1e-12)
    moved = np.log(later_m3[read] / m3[read])
    before, now = volumes[READ].wells, volumes[LATER].wells
    others = ~now.sampled & (now.volume_m3 > 0) & (before.volume_m3 > 0)
    kappa, was = (wells.volume_m3[others] / wells.kwh[others] for wells in (now, before))
    expected = np.log(kappa / was)
    assert np.median(expected) < -0.01
    assert np.median(moved) == pytest.approx(np.median(expected), abs=0.006)
