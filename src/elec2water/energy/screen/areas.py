"""What irrigated area says of the energy of a meter: a norm per mu, learned from the county's own meters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from elec2water.energy.arrays import Bools, Floats, Ints
from elec2water.energy.screen.usual import Usual, classes, median

ENOUGH_AREAS = 50
"""Meters with an irrigated area from which on areas are asked."""
_BELIEVED_SD = 3.0
"""Areas farther from what is usual for their power are slips (hectares, a village's area) rather than fields."""
_PRIOR_METERS = 15.0
_ROUNDS, _CLIP = 10, 1.5
_MEDIAN_TO_SD = 1.4826


def allowing_for_area(usual: Usual, area_per_kw: Floats) -> Usual:
    """Measure the level of a meter against what its class uses on as much land, where its area is known.

    Parameters
    ----------
    usual : Usual
        R meters.
    area_per_kw : numpy.ndarray, shape (R,)
        Irrigated mu per kW, NaN where unknown.

    Returns
    -------
    Usual
        With other gaps, and smaller spreads, of the meters with an area.
    """
    ratio = np.log(area_per_kw, out=np.full(len(area_per_kw), np.nan), where=area_per_kw > 0)
    explained, known = explained_by_area(usual.level, ratio, usual.group)
    if not known.any():
        return usual
    rest = np.where(known, usual.level - explained, np.nan)
    centre, spread = classes(rest, usual.group, int(usual.group.max()) + 1)
    gap = np.where(known, rest - centre[usual.group], usual.gap)
    return replace(usual, gap=gap, spread=np.where(known, spread[usual.group], usual.spread))


def explained_by_area(level: Floats, ratio: Floats, group: Ints) -> tuple[Floats, Bools]:
    """Tell what area explains of levels: slope × how much more area a meter has than its class, per kW.

    The slope is a robust one (Huber 1964) within classes, between 0 (area says nothing) and 1 (so much for each mu).

    Parameters
    ----------
    level : numpy.ndarray, shape (R,)
        ln kWh per kW, NaN where unknown.
    ratio : numpy.ndarray, shape (R,)
        ln irrigated mu per kW, NaN where unknown.
    group : numpy.ndarray, shape (R,)
        Class of each meter, 0 … G - 1.

    Returns
    -------
    explained : numpy.ndarray, shape (R,)
        [ln], 0 where nothing is known of the area.
    known : numpy.ndarray, shape (R,)
        Where the area is known, and like what others have.
    """
    more = ratio - _centres(ratio, group)
    sd = _MEDIAN_TO_SD * float(median(np.abs(more)[None, :], axis=1)[0]) if np.isfinite(more).any() else 0.0
    known = np.isfinite(more) & (np.abs(more) <= _BELIEVED_SD * sd)
    both = known & np.isfinite(level)
    if np.count_nonzero(both) < ENOUGH_AREAS or sd == 0.0:
        return np.zeros(len(level)), np.zeros(len(level), dtype=bool)
    x, y = more[both], (level - _centres(np.where(both, level, np.nan), group))[both]
    slope = 0.0
    for _ in range(_ROUNDS):
        gap = np.abs(y - slope * x)
        clip = _CLIP * _MEDIAN_TO_SD * float(np.median(gap))
        weight = np.minimum(1.0, np.divide(clip, gap, out=np.ones_like(gap), where=gap > 0))
        slope = float((weight * x * y).sum() / (weight * x**2).sum())
    return np.where(known, min(max(slope, 0.0), 1.0) * np.where(known, more, 0.0), 0.0), known


def _centres(values: Floats, group: Ints) -> Floats:
    """Give every meter the median of its class, drawn towards that of all."""
    county = float(median(values[None, :], axis=1)[0])
    centre = np.full(int(group.max(initial=0)) + 1, county)
    for g in np.unique(group[np.isfinite(values)]):
        own = values[(group == g) & np.isfinite(values)]
        weight = len(own) / (len(own) + _PRIOR_METERS)
        centre[g] = weight * float(np.median(own)) + (1.0 - weight) * county
    return np.asarray(centre[group])
