"""What a sample well on a shared meter uses itself, where nobody stated its share.

The share that size tells is off by a factor that the well's coefficient has a part in: of two wells that give the same
water the one with the poorer pump uses more of the meter's electricity. A regression of ln κ on the ln of energies that
are off loses a part of its slope (attenuation: Fuller 1987, Measurement Error Models, eq. 1.1.7), and the classes of
wells have to make up for it. The sample well's own meter, in its pairs, says what the well used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from elec2water.calendar_ import month_of
from elec2water.energy import MonthlyEnergy
from elec2water.pairs import Measurements

Floats = NDArray[np.float64]

LEAST_DAYS = 90.0
"""Days of pairs without which a well's own energy is not told by them."""
FARTHEST = 20.0
"""Factor beyond which the pairs are of another well or in another unit."""


def own_energy_factor(energy: MonthlyEnergy, measured: Measurements) -> Floats:
    """Give by what the electricity of each well is to be multiplied to be its own as its pairs read it, (N,).

    One where its share is stated, where it has no pairs of meters that cover ``LEAST_DAYS``, and where these would have
    it more than ``FARTHEST`` times as much or as little.

    Parameters
    ----------
    energy : MonthlyEnergy
        Of N wells.
    measured : Measurements
        Pairs, with places among the N wells.
    """
    factor = np.ones(len(energy.well_id))
    if energy.split is None or not (energy.split.damping > 0).any():
        return factor
    shared = np.unique(energy.split.well[energy.split.damping > 0])
    pairs = measured.take(np.isin(measured.well, shared) & ~measured.test & ~np.isnat(measured.start))
    taken = _taken(energy, pairs)
    known = np.isfinite(taken)
    read, took, days = (
        np.bincount(pairs.well[known], by[known], factor.size) for by in (pairs.energy_kwh, taken, pairs.days)
    )
    ratio = np.divide(read, took, out=np.ones_like(factor), where=(days >= LEAST_DAYS) & (took > 0))
    return np.where((ratio < FARTHEST) & (ratio > 1.0 / FARTHEST), ratio, factor)


def _taken(energy: MonthlyEnergy, pairs: Measurements) -> Floats:
    """Electricity that was taken for each pair's well over its interval, (R,); NaN where it is not all known."""
    edges = np.append(energy.months, energy.months[-1] + 1).astype("datetime64[s]")
    kwh = energy.kwh[pairs.well]
    inside = (pairs.start >= edges[0]) & (pairs.end <= edges[-1])
    known, unknown = (_between(by, edges, pairs) for by in (np.nan_to_num(kwh), np.isnan(kwh).astype(np.float64)))
    return np.where(inside & (unknown == 0.0), known, np.nan)


def _between(of_month: Floats, edges: NDArray[np.datetime64], pairs: Measurements) -> Floats:
    """Sum what months (R, M) have over the interval of each pair, parts of months by their days, (R,)."""
    running = np.concatenate([np.zeros((of_month.shape[0], 1)), np.cumsum(of_month, axis=1)], axis=1)
    row, first = np.arange(of_month.shape[0]), month_of(edges[0])

    def until(when: NDArray[np.datetime64]) -> Floats:
        column = np.clip((month_of(when) - first).astype(np.intp), 0, of_month.shape[1] - 1)
        part = (when - edges[column]) / (edges[column + 1] - edges[column])
        return np.asarray(running[row, column] + part * of_month[row, column])

    return until(pairs.end) - until(pairs.start)
