"""The cube method: samples whose Horvitz–Thompson totals of auxiliaries are those of the frame, sizes of strata kept.

The vector of probabilities walks at random, never leaving the cube nor the balancing equations, to a corner (Deville
and Tillé 2004). Each step moves a few units only (Chauvet and Tillé 2006), and here many disjoint groups of units at
once: first inside strata, then across them (Hasler and Tillé 2014), then with one auxiliary less at a time, the last
first. A direction of the walk is a combination of exchanges between two neighbours of one stratum, so the size of every
stratum is kept to the last bit. Where places are given, groups are of near units (Grafström and Tillé 2013), and the
number of sample units in the halves, quarters, … of a Hilbert curve through the map is balanced besides, the coarse
before the fine: strata that lie across one another on the map are so spread together, not each for itself.

References
----------
Deville, J.-C. and Tillé, Y. (2004), Efficient balanced sampling: the cube method, Biometrika 91, 893-912.
Chauvet, G. and Tillé, Y. (2006), A fast algorithm for balanced sampling, Computational Statistics 21, 53-62.
Grafström, A. and Tillé, Y. (2013), Doubly balanced spatial sampling with spreading and restitution of auxiliary totals,
Environmetrics 24, 120-131.
Hasler, C. and Tillé, Y. (2014), Fast balanced sampling for highly stratified population, CSDA 74, 81-94.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from elec2water.design.selection import checked_probability, decided, generator_of, partitions, settle

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_CURVE_BITS = 16
_MOST_LEVELS = 5
_UNITS_A_CELL = 2.5
_WORK = 4e7
_MOST_UNITS = 200_000
_DEPENDENT = 1e-7
_TIE = 1e-6


def balanced(
    probability: Floats,
    auxiliaries: Floats,
    *,
    seed: int,
    codes: Integers | None = None,
    coordinates: Floats | None = None,
    pools: Sequence[Integers] = (),
    part: str = "cube",
) -> Integers:
    """Draw a sample that is balanced on auxiliaries, with the given inclusion probabilities.

    The Horvitz–Thompson total Σ x/π of the sample comes as near to the total of the frame as whole units allow: the
    first column to be given up in landing is the last. A stratum whose probabilities sum to a whole number gets exactly
    that many units.

    Parameters
    ----------
    probability : (N,) array
        Inclusion probabilities in [0, 1]; one is certainty.
    auxiliaries : (N, P) array
        Most important first; a constant or the size behind the probabilities may be among them.
    seed : int
    codes : (N,) array of int, optional
        Stratum of each unit; one stratum by default. Strata with codes near each other are balanced together first.
    coordinates : (N, D) array, optional
        Places: near units are then seldom drawn together.
    pools : sequence of (N,) arrays of int
        Coarser strata in which the left-overs are settled before they are anywhere, one after the other.
    part : str
        Makes the random numbers those of this draw alone.

    Returns
    -------
    (n,) array of int
        Positions drawn, ascending. They depend on the order of the units given: sort them by identifier first.

    Raises
    ------
    UsageError
        If a probability is outside [0, 1], a value is not finite, or shapes differ.
    """
    p = checked_probability(probability, auxiliaries, codes).copy()
    rng = generator_of(seed, part)
    near = rng.permutation(p.size) if coordinates is None else curve_order(coordinates)
    columns = _per_probability(auxiliaries, p)
    if coordinates is not None:
        columns = np.column_stack([columns, _contrasts(p, near)])
    for strata in partitions(p.size, codes, pools):
        along = near[np.argsort(strata[near], kind="stable")]
        walk = _Walk(p, columns, strata, rng)
        _fly_inside(walk, along, columns.shape[1])
        for kept in range(columns.shape[1], -1, -1):
            _fly_across(walk, along, kept)
    return decided(p, rng)


@dataclass(frozen=True)
class _Walk:
    """The state of the walk; `p` is moved in place."""

    p: Floats
    columns: Floats
    codes: Integers
    rng: np.random.Generator

    def undecided(self, along: Integers) -> Integers:
        return along[(self.p[along] > 0) & (self.p[along] < 1)]

    def step(self, units: Integers, exchanges: Integers, kept: int) -> None:
        """Move disjoint groups of units, each along one direction that keeps its balance.

        Parameters
        ----------
        units : (B, K) array of int
            First unit of each exchange.
        exchanges : (B, K) array of int
            Second unit: of the same stratum. K = kept + 1.
        """
        weights = null_vectors(self.columns[units, :kept] - self.columns[exchanges, :kept])
        groups, k = units.shape
        row = np.repeat(np.arange(groups), k)
        member = np.concatenate([units.ravel(), exchanges.ravel()])
        found, slot = self._told_apart(member)
        group = np.empty(found.size, dtype=np.int64)
        group[slot] = np.concatenate([row, row])
        both = np.concatenate([weights.ravel(), -weights.ravel()])
        direction: Floats = np.bincount(slot, weights=both).astype(np.float64, copy=False)
        self.p[found] = settle(self._moved(self.p[found], direction, group, groups))

    def _told_apart(self, member: Integers) -> tuple[Integers, Integers]:
        """Give the units among `member`, each once, and the place of every member there; without a sort."""
        last = np.empty(self.p.size, dtype=np.int64)
        last[member] = np.arange(member.size)
        holder = last[member]
        own = holder == np.arange(member.size)
        return member[own], (np.cumsum(own) - 1)[holder]

    def _moved(self, p: Floats, direction: Floats, group: Integers, groups: int) -> Floats:
        """Go to one of the two ends of the segment inside the cube, so that the expectation stays."""
        ahead, behind = _reach(p, direction, group, groups), _reach(p, -direction, group, groups)
        forward = self.rng.random(groups) * (ahead + behind) < behind
        return np.clip(p + np.where(forward, ahead, -behind)[group] * direction, 0.0, 1.0)


def _reach(p: Floats, direction: Floats, group: Integers, groups: int) -> Floats:
    """Return how far each group can go along its direction before a unit of it is decided."""
    still = direction == 0.0
    room = np.where(direction > 0, 1.0 - p, p) / np.where(still, 1.0, np.abs(direction))
    least = np.full(groups, np.inf)
    np.minimum.at(least, group, np.where(still, np.inf, room))
    return least


def null_vectors(differences: Floats) -> Floats:
    """Return for each of B matrices (K, K−1) a unit vector (K,) that all its columns are orthogonal to: (B, K).

    The last column of the full orthogonal factor of a QR decomposition. Its sign, and where columns hang together but
    for rounding its direction, would hang on the last digits of the data; both are settled, so that a sample does not
    change with the order in which sums were formed.
    """
    if differences.shape[2] == 0:
        return np.ones(differences.shape[:2])
    vector, hanging = _cross_product(differences) if differences.shape[2] == 2 else _last_of_qr(differences)
    if hanging.any():
        vector[hanging] = _orthogonal(differences[hanging])
    largest = np.abs(vector)
    lead = (largest >= (1.0 - _TIE) * largest.max(axis=1, keepdims=True)).argmax(axis=1)
    return np.asarray(vector * np.sign(vector[np.arange(lead.size), lead])[:, None])


def _last_of_qr(differences: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the last orthogonal vector of each matrix, and whether a column hangs on those before it."""
    q, r = np.linalg.qr(differences, mode="complete")
    pivot = np.abs(np.diagonal(r, axis1=1, axis2=2))
    hanging = (pivot <= _DEPENDENT * np.linalg.norm(differences, axis=1)).any(axis=1)
    return q[:, :, -1].copy(), hanging


def _cross_product(differences: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """As :func:`_last_of_qr` for matrices (3, 2), which a province has millions of."""
    (a, b, c), (d, e, f) = differences[:, :, 0].T, differences[:, :, 1].T
    vector = np.column_stack([b * f - c * e, c * d - a * f, a * e - b * d])
    length = np.sqrt((vector**2).sum(axis=1))
    hanging = length <= _DEPENDENT * np.sqrt((a * a + b * b + c * c) * (d * d + e * e + f * f))
    return vector / np.where(hanging, 1.0, length)[:, None], hanging


def _orthogonal(differences: Floats) -> Floats:
    """As :func:`null_vectors`, by Gram and Schmidt, twice: columns that hang on those before them are passed over."""
    matrices, k, columns = differences.shape
    basis = np.zeros((matrices, k, columns))
    for j in range(columns):
        rest = differences[:, :, j]
        before = np.linalg.norm(rest, axis=1)
        for _ in range(2):
            rest = rest - np.einsum("bkj,bj->bk", basis[:, :, :j], np.einsum("bkj,bk->bj", basis[:, :, :j], rest))
        length = np.linalg.norm(rest, axis=1)[:, None]
        basis[:, :, j] = np.divide(rest, length, out=np.zeros_like(rest), where=length > _DEPENDENT * before[:, None])
    free = 1.0 - (basis**2).sum(axis=2)
    axis = (free >= (1.0 - _TIE) * free.max(axis=1, keepdims=True)).argmax(axis=1)
    row = np.arange(matrices)
    vector = -np.einsum("bkj,bj->bk", basis, basis[row, axis])
    vector[row, axis] += 1.0
    return np.asarray(vector / np.linalg.norm(vector, axis=1, keepdims=True))


def _fly_inside(walk: _Walk, along: Integers, kept: int) -> None:
    """Move groups of kept + 2 neighbours inside strata, until no stratum has so many undecided units."""
    size = kept + 2
    while True:
        along = walk.undecided(along)
        rank, count = _ranks(walk.codes[along])
        shift = np.where(count > 2 * size, walk.rng.integers(0, size), 0)
        start = np.flatnonzero(((rank - shift) % size == 0) & (rank >= shift) & (rank + size <= count))
        if start.size == 0:
            return
        group = along[start[:, None] + np.arange(size)]
        walk.step(group[:, :-1], group[:, 1:], kept)


def _fly_across(walk: _Walk, along: Integers, kept: int) -> None:
    """Move groups of whole strata, each with kept + 1 exchanges, until so many are no longer left."""
    while True:
        along = walk.undecided(along)
        exchange = np.flatnonzero(walk.codes[along[1:]] == walk.codes[along[:-1]])
        rounds = exchange.size // (kept + 1)
        if rounds == 0:
            return
        rank, _ = _ranks(walk.codes[along])
        chosen = _apart(exchange, rank[exchange], kept + 1)
        walk.step(along[chosen], along[chosen + 1], kept)


def _apart(exchange: Integers, rank: Integers, size: int) -> Integers:
    """Gather exchanges into groups of `size` that share no unit with another group: (B, size) positions.

    `rank` is the place of the first unit in its stratum; a group begins where a stratum does.
    """
    opens = np.flatnonzero(rank == 0)
    before = opens // (2 * size)
    starts = opens[np.unique(before, return_index=True)[1]]
    room = np.diff(np.append(starts, exchange.size))
    starts = starts[room >= size]
    if starts.size == 0:
        starts = np.zeros(1, dtype=np.int64)
    return np.asarray(exchange[starts[:, None] + np.arange(size)])


def _ranks(codes: Integers) -> tuple[Integers, Integers]:
    """Place of each unit in its run of equal codes, and the length of the run."""
    if codes.size == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    start = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])
    length = np.diff(np.append(start, codes.size))
    return np.arange(codes.size) - np.repeat(start, length), np.repeat(length, length)


def _per_probability(auxiliaries: Floats, p: Floats) -> Floats:
    """Return x/π, each column scaled to one; nothing for units that are never drawn."""
    ratio = np.divide(auxiliaries, p[:, None], out=np.zeros_like(auxiliaries), where=p[:, None] > 0)
    scale = np.sqrt((ratio**2).mean(axis=0)) if p.size else np.ones(auxiliaries.shape[1])
    return np.asarray(ratio / np.where(scale > 0, scale, 1.0))


def _contrasts(p: Floats, near: Integers) -> Floats:
    """Return the differences between neighbouring halves of the curve, of their halves, …: (N, 2^L − 1), x/π.

    As many levels as leave a cell some sample units, and fewer for many units: the work grows with the square of the
    columns. None for a province: groups of near units spread its thousands of sample units well enough.
    """
    if p.size > _MOST_UNITS:
        return np.zeros((p.size, 0))
    finest = np.log2(max(p.sum() / _UNITS_A_CELL, 1.0))
    affordable = 0.5 * np.log2(_WORK / max(p.size, 1))
    levels = int(np.clip(np.floor(min(finest, affordable)), 0, _MOST_LEVELS))
    middle = np.empty(p.size)
    middle[near] = (np.cumsum(p[near]) - 0.5 * p[near]) / max(p.sum(), np.finfo(float).tiny)
    columns = []
    for level in range(1, levels + 1):
        cell = np.minimum((middle * 2**level).astype(np.int64), 2**level - 1)
        side = np.where(cell % 2 == 0, 1.0, -1.0)
        columns += [np.where(cell // 2 == pair, side, 0.0) for pair in range(2 ** (level - 1))]
    return np.column_stack(columns) if columns else np.zeros((p.size, 0))


def curve_order(coordinates: Floats) -> Integers:
    """Order points along a Hilbert curve through their two widest columns, so that neighbours in the order are near.

    Parameters
    ----------
    coordinates : (N, D) array

    Returns
    -------
    (N,) array of int

    References
    ----------
    Skilling, J. (2004), Programming the Hilbert curve, AIP Conf. Proc. 707, 381-387.
    """
    widest = np.sort(np.argsort(-np.ptp(coordinates, axis=0), kind="stable")[:2])
    extent = float(np.ptp(coordinates, axis=0).max(initial=0.0)) or 1.0
    cells = ((coordinates[:, widest] - coordinates[:, widest].min(axis=0)) / extent * (2**_CURVE_BITS - 1)).astype(
        np.int64
    )
    x, y = cells[:, 0], cells[:, -1] if widest.size > 1 else np.zeros(len(cells), dtype=np.int64)
    key = np.zeros(len(cells), dtype=np.int64)
    for bit in range(_CURVE_BITS - 1, -1, -1):
        right, upper = (x >> bit) & 1, (y >> bit) & 1
        key = (key << 2) | ((3 * right) ^ upper)
        flip = (upper == 0) & (right == 1)
        mask = (1 << bit) - 1
        x, y = np.where(flip, ~x & mask, x & mask), np.where(flip, ~y & mask, y & mask)
        turn = upper == 0
        x, y = np.where(turn, y, x), np.where(turn, x, y)
    return np.argsort(key, kind="stable").astype(np.int64)
