"""Stratified samples drawn at random: simple, or with unequal probabilities; a million units at a time.

References
----------
Hartley, H.O. and Rao, J.N.K. (1962), Sampling with unequal probabilities and without replacement, Ann. Math. Statist.
33, 350-374.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from elec2water.design.selection import checked_probability, generator_of
from elec2water.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_WHOLE = 1e-6


def simple_random(codes: Integers, n: Integers, *, seed: int, part: str = "simple") -> Integers:
    """Draw simple random samples without replacement from all strata at once, by one sort.

    Parameters
    ----------
    codes : (N,) array of int
        Stratum of each unit, 0 … H−1.
    n : (H,) array of int
        Sample size of each stratum.
    seed : int
    part : str
        Makes the random numbers those of this draw alone.

    Returns
    -------
    (Σn,) array of int
        Positions drawn, ascending.

    Raises
    ------
    UsageError
        If a stratum has fewer units than are to be drawn.
    """
    size = np.bincount(codes, minlength=n.size)
    if size.size > n.size or (n > size).any():
        raise UsageError(f"design: {int((n > size[: n.size]).sum())} strata have fewer wells than are to be drawn")
    order = np.argsort(codes + generator_of(seed, part).random(codes.size))
    first = np.cumsum(size) - size
    taken = np.repeat(first - (np.cumsum(n) - n), n) + np.arange(n.sum())
    return np.sort(order[taken]).astype(np.int64)


def random_pps(probability: Floats, codes: Integers | None = None, *, seed: int, part: str = "pps") -> Integers:
    """Draw with the given inclusion probabilities: systematically, the units of every stratum in random order.

    Parameters
    ----------
    probability : (N,) array
        Inclusion probabilities in [0, 1]; one is certainty.
    codes : (N,) array of int, optional
        Stratum of each unit; one stratum by default. Where the probabilities of all sum to whole numbers, strata are
        drawn independently; otherwise one systematic draw runs through all of them.
    seed : int
    part : str
        Makes the random numbers those of this draw alone.

    Returns
    -------
    (n,) array of int
        Positions drawn, ascending.

    Raises
    ------
    UsageError
        If a probability is outside [0, 1], or shapes differ.
    """
    p = checked_probability(probability, None, codes)
    rng = generator_of(seed, part)
    key = rng.random(p.size) if codes is None else codes + rng.random(p.size)
    return systematic_strata(p, codes, np.argsort(key), rng)


def systematic_strata(p: Floats, codes: Integers | None, order: Integers, rng: np.random.Generator) -> Integers:
    """Draw systematically along an order in which every stratum is one run.

    Parameters
    ----------
    p : (N,) array
        Inclusion probabilities.
    codes : (N,) array of int or None
    order : (N,) array of int
    rng : Generator

    Returns
    -------
    (n,) array of int
        Positions drawn, ascending.
    """
    along = np.where(p < 1, p, 0.0)[order]
    runs = np.zeros(p.size, dtype=np.int64) if codes is None else codes[order]
    opens = np.flatnonzero(np.diff(runs, prepend=-1))
    stratum = np.repeat(np.arange(opens.size), np.diff(np.append(opens, p.size)))
    ends = np.cumsum(along)
    sums = np.add.reduceat(along, opens) if p.size else np.zeros(0)
    before = ends[opens] - along[opens]
    if (np.abs(sums - np.round(sums)) < _WHOLE).all():
        start = rng.random(opens.size)
        inside = (ends - before[stratum]) * np.divide(np.round(sums), sums, out=np.ones_like(sums), where=sums > 0)[
            stratum
        ]
        points = start[stratum] + np.minimum(inside, np.round(sums)[stratum])
        last = np.append(opens[1:], p.size) - 1
        points[last] = start + np.round(sums)
    else:
        points = ends + rng.random()
        start = points[opens] - along[opens]
    floor = np.floor(points)
    previous = np.concatenate([[0.0], floor[:-1]]) if p.size else floor
    previous[opens] = np.floor(start)
    certain = np.flatnonzero(p >= 1)
    return np.sort(np.concatenate([certain, order[floor > previous]])).astype(np.int64)
