"""How a well's neighbours did in a month, beyond what their class did: local rain, a canal that was opened."""

from __future__ import annotations

import numpy as np

from elec2water.energy.arrays import Floats, Ints
from elec2water.sums import membership

_BOUNDS = (0.2, 5.0)
_NOTHING = 1e-12


def neighbour_factor(energy: Floats, mean: Floats, spread: Floats, group: Ints) -> Floats:
    """Give the factor by which the other wells of a neighbourhood exceeded what was expected of them.

    The ratio of observed to expected energy of the neighbours in the month is drawn towards 1 by B/(B + s), with s its
    sampling variance and B the variance between neighbourhoods, by moments over all of them (Bühlmann and Straub
    1970): where neighbourhoods do not differ, the factor is 1.

    Parameters
    ----------
    energy : numpy.ndarray, shape (N, M)
        NaN where unknown.
    mean, spread : numpy.ndarray, shape (N, M)
        What was expected, and its relative variance.
    group : numpy.ndarray, shape (N,)
        Neighbourhood of each well, 0 … G - 1; -1 for none.

    Returns
    -------
    numpy.ndarray, shape (N, M)
        1 for wells without a neighbourhood.
    """
    seen = np.isfinite(energy) & (group >= 0)[:, None]
    sums = membership(np.where(group >= 0, group, 0), int(group.max(initial=0)) + 1)
    observed = np.where(seen, energy, 0.0)
    expected = np.where(seen, mean, 0.0)
    noise = np.where(seen, mean**2 * spread, 0.0)
    totals = [np.asarray(sums @ part) for part in (observed, expected, noise)]
    between = _between(*totals)
    own = np.maximum(group, 0)
    others = [total[own] - part for total, part in zip(totals, (observed, expected, noise), strict=True)]
    ratio, sampling = _ratio(*others)
    factor = 1.0 + (ratio - 1.0) * between / np.maximum(between + sampling, _NOTHING)
    return np.where((group >= 0)[:, None], np.clip(factor, *_BOUNDS), 1.0)


def _ratio(observed: Floats, expected: Floats, noise: Floats) -> tuple[Floats, Floats]:
    some = expected > _NOTHING
    ratio = np.divide(observed, expected, out=np.ones_like(observed), where=some)
    sampling = np.divide(noise, expected**2, out=np.full_like(noise, np.inf), where=some)
    return ratio, sampling


def _between(observed: Floats, expected: Floats, noise: Floats) -> float:
    """Variance of the ratios between neighbourhoods, their sampling noise taken off."""
    ratio, sampling = _ratio(observed, expected, noise)
    known = np.isfinite(sampling)
    weight = np.where(known, 1.0 / (0.01 + np.where(known, sampling, 1.0)), 0.0)
    excess = np.where(known, (ratio - 1.0) ** 2 - np.where(known, sampling, 0.0), 0.0)
    total = float(weight.sum())
    return max(float((weight * excess).sum()) / total, 0.0) if total > 0 else 0.0
