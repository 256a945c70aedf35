"""Joining thin strata: to a neighbour in the list, or to the nearest on a line."""

from __future__ import annotations

import heapq
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Integers: TypeAlias = NDArray[np.int64]


def join_nearest(size: ArrayLike, position: ArrayLike, *, minimum: float = 0.0, at_most: int | None = None) -> Integers:
    """Join thin strata to the one nearest to them on a line, until all are large enough and few enough.

    The thinnest goes first; two that join stand at their mean position, weighted by size.

    Parameters
    ----------
    size : (H,) array
        What makes a stratum thin or not.
    position : (H,) array
        Where it stands: its anticipated ln κ, say.
    minimum : float
        Strata of a smaller size are joined.
    at_most : int, optional
        Joining goes on until no more strata than this are left.

    Returns
    -------
    (H,) array of int
        The new stratum of each stratum, counted from 0 in the order of the list.

    Examples
    --------
    >>> join_nearest([9, 1, 8], [0.0, 0.7, 1.0], minimum=2).tolist()
    [0, 1, 1]
    """
    order = np.argsort(np.asarray(position, dtype=np.float64), kind="stable")
    joined = collapse(
        np.asarray(size)[order],
        minimum=minimum,
        at_most=at_most,
        position=np.asarray(position, dtype=np.float64)[order],
    )
    group = np.empty(order.size, dtype=np.int64)
    group[order] = joined
    first = np.unique(group, return_index=True)[1]
    return np.argsort(np.argsort(first, kind="stable"), kind="stable")[group].astype(np.int64)


def collapse(
    size: ArrayLike,
    *,
    minimum: float = 0.0,
    at_most: int | None = None,
    parent: ArrayLike | None = None,
    position: ArrayLike | None = None,
) -> Integers:
    """Join thin strata to a neighbour in the list, until all are large enough and few enough.

    The thinnest goes first, to the smaller of its two neighbours; to one of another parent only when its own has no
    other left. Neighbours in ``Strata.cells`` are neighbours in class.

    Parameters
    ----------
    size : (H,) array
        What makes a stratum thin or not: its sample wells, its energy.
    minimum : float
        Strata of a smaller size are joined.
    at_most : int, optional
        Joining goes on until no more strata than this are left.
    parent : (H,) array, optional
        Strata of one parent (aquifer, say) are joined among themselves first.
    position : (H,) array, optional
        Ascending places on a line: the nearer of the two neighbours is taken, not the smaller.

    Returns
    -------
    (H,) array of int
        The new stratum of each stratum, counted from 0 in the order of the list.
    """
    sizes: list[float] = np.asarray(size, dtype=np.float64).tolist()
    n = len(sizes)
    parents = [0] * n if parent is None else np.unique(np.asarray(parent), return_inverse=True)[1].tolist()
    place: list[float] = [0.0] * n if position is None else np.asarray(position, dtype=np.float64).tolist()
    before, after = list(range(-1, n - 1)), list(range(1, n + 1))
    absorbed = [False] * n
    left, limit = n, n if at_most is None else max(at_most, 1)
    heap = [(size_h, h) for h, size_h in enumerate(sizes)]
    heapq.heapify(heap)
    while left > 1 and (heap[0][0] < minimum or left > limit):
        size_h, thin = heapq.heappop(heap)
        if absorbed[thin] or size_h != sizes[thin]:
            continue
        beside = [k for k in (before[thin], after[thin]) if 0 <= k < n]
        other = min(beside, key=lambda k: (parents[k] != parents[thin], abs(place[k] - place[thin]), sizes[k], k))
        first, second = min(thin, other), max(thin, other)
        parents[first] = parents[other]
        place[first] = _between(place[first], place[second], sizes[first], sizes[second])
        sizes[first] += sizes[second]
        absorbed[second] = True
        after[first] = after[second]
        if after[second] < n:
            before[after[second]] = first
        heapq.heappush(heap, (sizes[first], first))
        left -= 1
    return np.cumsum(~np.array(absorbed, dtype=np.bool_)) - 1


def _between(low: float, high: float, weight_low: float, weight_high: float) -> float:
    """Mean of two places, weighted by what stands there."""
    total = weight_low + weight_high
    return 0.5 * (low + high) if total <= 0 else low + (high - low) * (weight_high / total)
