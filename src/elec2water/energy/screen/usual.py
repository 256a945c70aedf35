"""What is usual for a meter in a month, by robust means: faults must not hide behind themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elec2water.energy.arrays import Floats, Ints

Mixed = npt.NDArray[np.uint64]

ENOUGH_METERS = 2_000
"""Meters that tell the months of a class; more only take time."""
PRIOR_METERS = 15.0
"""Weight of the whole county in the months of a class, as a number of meters."""
_ROUNDS = 3
_CLIP = 1.5
_MEDIAN_TO_SD = 1.4826
_TAIL, _TAIL_SD = 0.97, 1.8808
_LEAST_SD = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """The law ln E = level_i + effect_gm + noise of the months in which a meter turned.

    Attributes
    ----------
    residual : numpy.ndarray, shape (R, M)
        ln E minus what is usual; NaN where the meter stood still or is unknown.
    upper_sd, lower_sd : numpy.ndarray, shape (G, M)
        Spread of a class-month above and below what is usual, tails included.
    effect : numpy.ndarray, shape (G, M)
        Month effects [ln], median 0 over months; NaN where nobody has read.
    zero_share : numpy.ndarray, shape (G, M)
        Part of the class's meters that stood still.
    level : numpy.ndarray, shape (R,)
        Level [ln kWh per kW]; NaN where a meter never turned.
    class_level : numpy.ndarray, shape (G,)
        Median of the levels of a class.
    gap, spread : numpy.ndarray, shape (R,)
        How far the level of a meter lies from that of its class once its irrigated area is allowed for, and the spread
        of such gaps in the class.
    count : numpy.ndarray, shape (R,)
        Months in which the meter turned.
    group : numpy.ndarray, shape (R,)
        Class of each meter.
    """

    residual: Floats
    upper_sd: Floats
    lower_sd: Floats
    effect: Floats
    zero_share: Floats
    level: Floats
    class_level: Floats
    gap: Floats
    spread: Floats
    count: Ints
    group: Ints


def fit_usual(kwh: Floats, group: Ints, size: Floats, mixed: Mixed) -> Usual:
    """Fit levels and class-month effects by medians (Tukey's median polish), then every meter's level.

    Parameters
    ----------
    kwh : numpy.ndarray, shape (R, M)
        NaN where unknown.
    group : numpy.ndarray, shape (R,)
        Class of each meter, 0 … G - 1.
    size : numpy.ndarray, shape (R,)
        Rated power [kW]; levels of a class are compared per kW.
    mixed : numpy.ndarray, shape (R,)
        A number mixed from each meter's name: which of many tell for their class goes by it, not by their order.

    Returns
    -------
    Usual
    """
    n_groups = int(group.max(initial=0)) + 1
    chosen = tellers(group, mixed)
    logs = _log(kwh[chosen])
    effect, level = _polish(logs, group[chosen], n_groups)
    residual = logs - level[:, None] - effect[group[chosen]]
    upper, lower = _spreads(residual, group[chosen], n_groups)
    zero = _zero_share(kwh[chosen], group[chosen], n_groups)
    logs = _log(kwh)
    logs -= effect[group]
    count = np.count_nonzero(np.isfinite(logs), axis=1)
    level = _levels(logs, np.minimum(upper, lower)[group] * _CLIP, np.exp(effect)[group])
    logs -= level[:, None]
    sized = level - np.log(size)
    centre, spread = classes(sized[chosen], group[chosen], n_groups)
    gap = sized - centre[group]
    return Usual(logs, upper, lower, effect, zero, sized, centre, gap, spread[group], count, group)


def _log(kwh: Floats) -> Floats:
    logs = np.full(kwh.shape, np.nan)
    return np.log(kwh, out=logs, where=kwh > 0)


def tellers(group: Ints, mixed: Mixed) -> Ints:
    """Choose the meters that tell for their class: all of a small class, some of a large one."""
    step = 1 + np.bincount(group) // ENOUGH_METERS
    crowded = np.flatnonzero(step[group] > 1)
    chosen = np.ones(len(group), dtype=bool)
    if len(crowded):
        chosen[crowded] = mixed[crowded] % step[group[crowded]].astype(np.uint64) == 0
    return np.flatnonzero(chosen)


def _polish(logs: Floats, group: Ints, n_groups: int) -> tuple[Floats, Floats]:
    """Give class-month effects (G, M) and levels (n,) by turns; a small class borrows from the county."""
    level = median(logs, axis=1)
    effect = np.zeros((n_groups, logs.shape[1]))
    for _ in range(_ROUNDS):
        county = median(logs - level[:, None], axis=0)
        for g in range(n_groups):
            some = logs[group == g] - level[group == g, None]
            weight = np.count_nonzero(np.isfinite(some), axis=0) / (
                np.count_nonzero(np.isfinite(some), axis=0) + PRIOR_METERS
            )
            own = np.where(weight > 0, np.nan_to_num(median(some, axis=0)), 0.0)
            effect[g] = weight * own + (1.0 - weight) * np.nan_to_num(county)
            effect[g] -= np.median(effect[g])
        level = median(logs - effect[group], axis=1)
    return effect, level


def _spreads(residual: Floats, group: Ints, n_groups: int) -> tuple[Floats, Floats]:
    """Give upper and lower spreads (G, M): of the middle, or of the 97 % tail where that is wider."""
    upper, lower = (np.empty((n_groups, residual.shape[1])) for _ in range(2))
    for out, sign in ((upper, 1.0), (lower, -1.0)):
        side = np.where(sign * residual > 0, sign * residual, np.nan)
        county = _half_spread(side)
        for g in range(n_groups):
            count = np.count_nonzero(np.isfinite(side[group == g]), axis=0)
            weight = count / (count + 2.0 * PRIOR_METERS)
            out[g] = np.maximum(weight * _half_spread(side[group == g]) + (1.0 - weight) * county, _LEAST_SD)
    return upper, lower


def _half_spread(side: Floats) -> Floats:
    """Give the standard deviation of a half-normal by its median and by its tail, the greater; 0 without values."""
    ordered = np.sort(side, axis=0)
    count = np.count_nonzero(np.isfinite(ordered), axis=0)
    tail = 2.0 * _TAIL - 1.0
    columns = np.arange(ordered.shape[1])
    quantile = [
        np.where(count > 0, ordered[np.minimum((q * count).astype(np.int64), np.maximum(count - 1, 0)), columns], 0.0)
        if len(ordered)
        else np.zeros(ordered.shape[1])
        for q in (0.5, tail)
    ]
    return np.asarray(np.maximum(quantile[0] * _MEDIAN_TO_SD, quantile[1] / _TAIL_SD))


def _zero_share(kwh: Floats, group: Ints, n_groups: int) -> Floats:
    zero, seen = kwh == 0, np.isfinite(kwh)
    county = (zero.sum(axis=0) + 0.5) / (seen.sum(axis=0) + 1.0)
    shares = [
        (zero[group == g].sum(axis=0) + PRIOR_METERS * county) / (seen[group == g].sum(axis=0) + PRIOR_METERS)
        for g in range(n_groups)
    ]
    return np.array(shares)


def _levels(logs: Floats, clip: Floats, weight: Floats) -> Floats:
    """Mean over months with residuals clipped (Huber 1964), months weighing by the energy usual in them; NaN if none.

    A lamp in winter then says little of how much a pump uses in summer.
    """
    known = np.isfinite(logs)
    filled = np.where(known, logs, 0.0)
    weight = np.where(known, weight, 0.0)
    total = weight.sum(axis=1)
    safe = np.where(total > 0, total, 1.0)
    level = (weight * filled).sum(axis=1) / safe
    step, low = np.empty_like(filled), -clip
    for _ in range(_ROUNDS):
        np.subtract(filled, level[:, None], out=step)
        np.clip(step, low, clip, out=step)
        level = level + np.einsum("rm,rm->r", weight, step) / safe
    return np.where(total > 0, level, np.nan)


def classes(level: Floats, group: Ints, n_groups: int) -> tuple[Floats, Floats]:
    """Median and spread of the levels of each class, drawn towards the county's."""
    county = median(level[:, None], axis=0)
    county_sd = _MEDIAN_TO_SD * median(np.abs(level[:, None] - county), axis=0)
    centre, spread = np.empty(n_groups), np.empty(n_groups)
    for g in range(n_groups):
        own = level[group == g][:, None]
        count = np.count_nonzero(np.isfinite(own))
        weight = count / (count + PRIOR_METERS)
        middle = median(own, axis=0)
        centre[g] = (weight * np.nan_to_num(middle) + (1.0 - weight) * np.nan_to_num(county))[0]
        sd = _MEDIAN_TO_SD * median(np.abs(own - centre[g]), axis=0)
        spread[g] = max((weight * np.nan_to_num(sd) + (1.0 - weight) * np.nan_to_num(county_sd))[0], _LEAST_SD)
    return centre, spread


def median(values: Floats, axis: int) -> Floats:
    """Give medians that pass over NaN, NaN where there is no value; the lower of two middle values.

    Examples
    --------
    >>> median(np.array([[3.0, np.nan, 1.0, 2.0]]), axis=1)
    array([2.])
    """
    if values.shape[axis] == 0:
        return np.full(values.shape[1 - axis], np.nan)
    ordered = np.sort(values, axis=axis)
    count = np.count_nonzero(np.isfinite(ordered), axis=axis)
    place: npt.NDArray[np.int64] = np.maximum(count - 1, 0) // 2
    return np.asarray(np.take_along_axis(ordered, np.expand_dims(place, axis), axis=axis).squeeze(axis))
