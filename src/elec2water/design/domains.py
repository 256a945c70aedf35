"""Inclusion probabilities that keep a promise to every domain, and what any probabilities promise.

With a model of the volumes, the variance of the total of a domain is Σ v²(1/π − 1) over its wells. The fewest wells
(Σ π) under a bound for every domain have π = min(1, v √Σ_d λ_d) with one price λ_d for each domain the well lies in:
the multi-domain problem of :mod:`~elec2water.design.multidomain` with the cells in which all domains agree as strata,
solved again as wells become certain. Domains may cross each other and the strata.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from elec2water.design.allocation import Allocator, Population
from elec2water.design.multidomain import Bounds, real_optimum
from elec2water.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_CERTAINTY_ROUNDS = 30
_HALVINGS = 40


@dataclass(frozen=True)
class Domain:
    """One kind of reported total.

    Attributes
    ----------
    name : str
        ``county``, ``township``, ``aquifer``, ``stratum`` or a column of wells.
    keys : tuple of str
        Names of its D domains.
    codes : (N,) array of int
        Domain of each well of the frame.
    target_cv : float
        What is promised to each; infinite where nothing is.
    """

    name: str
    keys: tuple[str, ...]
    codes: Integers
    target_cv: float = math.inf

    def sums(self, values: Floats) -> Floats:
        """Add up by domain (D,)."""
        return np.asarray(np.bincount(self.codes, values, len(self.keys)), dtype=np.float64)


def expected_cv(domain: Domain, population: Population, probability: Floats) -> Floats:
    """Anticipated CV of the total of each domain (D,), the expected losses included."""
    left = domain.sums(population.spread**2 * (1.0 / (probability * population.response) - 1.0))
    volume = domain.sums(population.volume)
    return np.sqrt(np.maximum(left, 0.0)) / np.where(volume > 0, volume, np.nan)


def tuned_sizes(population: Population, domains: Sequence[Domain]) -> Floats:
    """Sizes with which the fewest wells keep every promise.

    Parameters
    ----------
    population : Population
        Its ``spread`` and ``volume`` count, its sizes do not.
    domains : sequence of Domain
        At least one with a finite target.

    Returns
    -------
    (N,) array
        The optimal inclusion probabilities before they are capped at one.

    Raises
    ------
    UsageError
        If a target cannot be reached even with all wells, because of those expected to be lost.
    """
    promised = [domain for domain in domains if math.isfinite(domain.target_cv)]
    goals = [_goal(domain, population) for domain in promised]
    v = population.spread
    cells, cell = _cells(promised)
    certain = np.zeros(v.size, dtype=bool)
    for _ in range(_CERTAINTY_ROUNDS):
        free = np.where(certain, 0.0, v)
        sums = np.asarray(np.bincount(cell, free, len(cells[0])), dtype=np.float64)
        bounds = [
            Bounds(cells[k], sums**2, goal + np.bincount(domain.codes, free**2, goal.size))
            for k, (domain, goal) in enumerate(zip(promised, goals, strict=True))
        ]
        drawn = real_optimum(bounds)
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(sums > 0, drawn / sums, 0.0)
        reached = certain | (v * rate[cell] >= 1.0)
        if (reached == certain).all():
            break
        certain = reached
    return np.where(certain, np.maximum(v * rate[cell], 1.0), v * rate[cell])


def _cells(domains: Sequence[Domain]) -> tuple[list[Integers], Integers]:
    """Cross domains: the domain of every kind that each cell lies in, and the cell of each well."""
    cells: list[Integers] = []
    cell = np.zeros(domains[0].codes.size, dtype=np.int64)
    for domain in domains:
        found, cell = np.unique(cell * len(domain.keys) + domain.codes, return_inverse=True)
        cells = [*(codes[found // len(domain.keys)] for codes in cells), found % len(domain.keys)]
    return cells, cell


def compromise(population: Population, domains: Sequence[Domain], n: int) -> tuple[Floats, float]:
    """Sizes for a given number of wells: the targets are all relaxed, or tightened, by one factor until `n` is met.

    Parameters
    ----------
    population : Population
    domains : sequence of Domain
    n : int

    Returns
    -------
    sizes : (N,) array
    factor : float
        What the targets were multiplied by.
    """
    low, high = 1e-3, 1e3
    sizes = population.spread
    for _ in range(_HALVINGS):
        factor = math.sqrt(low * high)
        try:
            sizes = tuned_sizes(population, [_scaled(domain, factor) for domain in domains])
            needed = float(np.minimum(sizes, 1.0).sum())
        except UsageError:
            needed = math.inf
        if needed > n:
            low = factor
        else:
            high = factor
        if high < low * 1.0005:
            break
    return tuned_sizes(population, [_scaled(domain, high) for domain in domains]), high


def whole_strata(allocator: Allocator, domains: Sequence[Domain]) -> Integers:
    """Round the sums of inclusion probabilities by stratum to whole wells, every promise kept.

    Every stratum is rounded up, and then, those that gained most first, down again where no domain feels it.

    Parameters
    ----------
    allocator : Allocator
        Of a population with the sizes that :func:`tuned_sizes` gives.
    domains : sequence of Domain

    Returns
    -------
    (H,) array of int
    """
    population, n_wells, minimum = allocator.population, allocator.n_wells, allocator.minimum
    certain = population.size >= 1.0
    sure = np.bincount(population.codes, certain, n_wells.size).astype(np.int64)
    real = population.by_stratum(np.minimum(population.size, 1.0))
    up = np.clip(np.ceil(real - 1e-9).astype(np.int64), minimum, n_wells)
    drawn = np.maximum(up - sure, 1e-300).astype(np.float64)
    loads = _loads(population, domains, certain)
    slack = np.concatenate(
        [_goal(d, population) + d.sums(np.where(certain, 0.0, population.spread**2)) for d in domains]
    )
    slack -= loads @ (1.0 / drawn)
    trimmed = up.copy()
    for h in np.argsort(real - up, kind="stable"):
        if trimmed[h] <= max(minimum[h], sure[h] + 1):
            continue
        rows = slice(loads.indptr[h], loads.indptr[h + 1])
        more = loads.data[rows] * (1.0 / (drawn[h] - 1.0) - 1.0 / drawn[h])
        if (more <= slack[loads.indices[rows]]).all():
            slack[loads.indices[rows]] -= more
            trimmed[h] -= 1
    return trimmed if _kept(allocator, domains, trimmed) else up


def _loads(population: Population, domains: Sequence[Domain], certain: NDArray[np.bool_]) -> csc_array:
    """Numerators of 1/n_h in the variance of every domain, (ΣD, H)."""
    free = np.flatnonzero(~certain)
    codes, size = population.codes[free], population.size[free]
    sizes = np.bincount(codes, size, population.n_wells.size)
    load = sizes[codes] * population.spread[free] ** 2 / size
    starts = np.cumsum([0] + [len(domain.keys) for domain in domains])
    rows = np.concatenate([start + d.codes[free] for start, d in zip(starts, domains, strict=False)])
    columns = np.tile(codes, len(domains))
    shape = (int(starts[-1]), population.n_wells.size)
    return csc_array((np.tile(load, len(domains)), (rows, columns)), shape=shape)


def _kept(allocator: Allocator, domains: Sequence[Domain], n: Integers) -> bool:
    probability = allocator.probabilities(n)
    return all(
        bool((np.nan_to_num(expected_cv(d, allocator.population, probability)) <= d.target_cv * (1 + 1e-9)).all())
        for d in domains
    )


def _scaled(domain: Domain, factor: float) -> Domain:
    return Domain(domain.name, domain.keys, domain.codes, domain.target_cv * factor)


def _goal(domain: Domain, population: Population) -> Floats:
    """Variance of each domain before losses that is its target after them."""
    squares = domain.sums(population.spread**2)
    volume = domain.sums(population.volume)
    goal = ((domain.target_cv * volume) ** 2 + squares) * population.response - squares
    broken = np.flatnonzero((goal < 0) & (volume > 0))
    if broken.size:
        least = np.sqrt(squares * (1 / population.response - 1)) / np.where(volume > 0, volume, np.inf)
        worst = broken[np.argmax(least[broken])]
        raise UsageError(
            f"design: no number of wells reaches {domain.target_cv:g} for {broken.size} domains of {domain.name!r}: "
            f"with {1 - population.response:.0%} of the wells expected to be lost, all wells of {domain.keys[worst]!r} "
            f"leave {least[worst]:.2%}; raise the target, or lower refusal_rate and dead_meter_rate"
        )
    return np.where(volume > 0, goal, np.inf)
