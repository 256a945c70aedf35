"""The local pivotal method: samples spread over the map, or over any space, with exact inclusion probabilities.

Two near units duel (Deville and Tillé 1998): the loser gives its probability to the winner, so that hardly ever both
are drawn. Units that are each other's nearest duel first (LPM1 of Grafström, Lundström and Schelin 2012). Such a pair
stays a pair until it duels, for units only leave: the order of duels does not matter, and all pairs of a round duel at
once, in all strata together.

References
----------
Deville, J.-C. and Tillé, Y. (1998), Unequal probability sampling without replacement through a splitting method,
Biometrika 85, 89-101.
Grafström, A., Lundström, N.L.P. and Schelin, L. (2012), Spatially balanced sampling through the pivotal method,
Biometrics 68, 514-520.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from elec2water.design.selection import checked_probability, decided, generator_of, partitions, settle
from elec2water.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_JITTER = 1e-7


def local_pivotal(
    probability: Floats,
    coordinates: Floats,
    *,
    seed: int,
    codes: Integers | None = None,
    pools: Sequence[Integers] = (),
    part: str = "pivotal",
) -> Integers:
    """Draw a spatially balanced sample with the given inclusion probabilities.

    A stratum whose probabilities sum to a whole number gets exactly that many units. What is left over of the others
    duels across strata, so that the whole sample has the sum of all probabilities, rounded down or up at random.

    Parameters
    ----------
    probability : (N,) array
        Inclusion probabilities in [0, 1]; one is certainty.
    coordinates : (N, D) array
        Places, all columns in one unit. Equal places are told apart at random.
    seed : int
    codes : (N,) array of int, optional
        Stratum of each unit; one stratum by default.
    pools : sequence of (N,) arrays of int
        Coarser strata in which the left-overs duel before they do so anywhere, one after the other.
    part : str
        Makes the random numbers those of this draw alone.

    Returns
    -------
    (n,) array of int
        Positions drawn, ascending. They depend on the order of the units given: sort them by identifier first.

    Raises
    ------
    UsageError
        If a probability is outside [0, 1] or a coordinate is not finite, or the shapes differ.
    """
    p = checked_probability(probability, coordinates, codes).copy()
    if coordinates.shape[1] == 0:
        raise UsageError("design: the local pivotal method needs at least one column of coordinates")
    rng = generator_of(seed, part)
    points = _told_apart(coordinates, rng)
    for strata in partitions(p.size, codes, pools):
        _duel(p, points, strata, rng)
    return decided(p, rng)


def _told_apart(coordinates: Floats, rng: np.random.Generator) -> Floats:
    """Move every point by far less than points are apart, so that no two distances are equal."""
    extent = float(np.ptp(coordinates, axis=0).max(initial=0.0)) or 1.0
    moved = (coordinates - coordinates.mean(axis=0)) / extent + _JITTER * (rng.random(coordinates.shape) - 0.5)
    return np.asarray(moved)


def _duel(p: Floats, points: Floats, codes: Integers, rng: np.random.Generator) -> None:
    """Let nearest neighbours of one stratum duel until no stratum has two undecided units; `p` is changed in place."""
    spread = np.column_stack([points, 10.0 * codes])
    left = np.flatnonzero((p > 0) & (p < 1))
    while (left := left[_has_company(codes[left])]).size:
        nearest = _nearest(spread[left])
        first = np.flatnonzero((nearest[nearest] == np.arange(left.size)) & (np.arange(left.size) < nearest))
        fight(p, left[first], left[nearest[first]], rng)
        left = left[(p[left] > 0) & (p[left] < 1)]


def _nearest(points: Floats) -> Integers:
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    return np.asarray(tree.query(points, k=[2])[1])[:, 0].astype(np.int64)


def _has_company(codes: Integers) -> NDArray[np.bool_]:
    size = np.bincount(codes) if codes.size else np.zeros(1, dtype=np.int64)
    return np.asarray(size[codes] > 1)


def fight(p: Floats, i: Integers, j: Integers, rng: np.random.Generator) -> None:
    """One duel of each pair (Deville and Tillé 1998, section 5.2): the expectation of `p` does not move."""
    a, b = p[i], p[j]
    total = a + b
    below = total < 1
    share = np.where(below, a / total, (1.0 - b) / np.where(below, 1.0, 2.0 - total))
    wins = rng.random(total.size) < share
    winner, loser = np.where(below, total, 1.0), np.where(below, 0.0, total - 1.0)
    p[i], p[j] = np.where(wins, winner, loser), np.where(wins, loser, winner)
    both = np.concatenate([i, j])
    p[both] = settle(p[both])
