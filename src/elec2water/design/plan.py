"""How large the sample is: for a number of wells, for money, for one target or for many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from elec2water.design.allocation import (
    Allocation,
    AllocationRule,
    Allocator,
    Population,
    allocated,
    apportioned,
    check_size,
)
from elec2water.design.domains import Domain, Floats, Integers, compromise, tuned_sizes, whole_strata
from elec2water.errors import UsageError


@dataclass(frozen=True)
class Budget:
    """Money for measuring: each well, and each township that is visited.

    Attributes
    ----------
    total, per_well, per_township : float
        In one currency.
    """

    total: float
    per_well: float
    per_township: float = 0.0

    def wells(self, n_townships: int, n_wells: int) -> int:
        """Most wells that are paid for wherever they are drawn.

        Parameters
        ----------
        n_townships : int
            Townships that a sample may reach.
        n_wells : int
            Wells of the frame, the most that can be drawn.

        Returns
        -------
        int
            At least 1.

        Raises
        ------
        UsageError
            If a cost is not positive or the money does not pay for one well.
        """
        if not (0 < self.per_well < math.inf and 0 <= self.per_township < math.inf and 0 < self.total < math.inf):
            raise UsageError(
                f"design: a budget needs a positive total and cost_per_well and a cost_per_township of at least 0, "
                f"found {self.total:g}, {self.per_well:g} and {self.per_township:g}"
            )
        n = math.floor(self.total / (self.per_well + self.per_township) + 1e-9)
        if n > n_townships:
            n = max(math.floor((self.total - self.per_township * n_townships) / self.per_well + 1e-9), n_townships)
        if n < 1:
            raise UsageError(
                f"design: the budget of {self.total:g} does not pay for one well ({self.per_well:g}) and one township "
                f"({self.per_township:g})"
            )
        return min(n, n_wells)

    def spent(self, n: int, n_townships: int) -> float:
        """Cost of a sample.

        Parameters
        ----------
        n : int
            Wells.
        n_townships : int
            Townships in which they lie.

        Returns
        -------
        float
            In the currency of the budget.
        """
        return self.per_well * n + self.per_township * n_townships


@dataclass(frozen=True)
class Plan:
    """The sizes that were chosen.

    Attributes
    ----------
    allocator : Allocator
    chosen : Allocation
    factor : float
        What the targets were multiplied by to meet a given number of wells.
    needed : int
        Wells that the targets of several domains take by themselves, whatever the minima of strata; zero for others.
    """

    allocator: Allocator
    chosen: Allocation
    factor: float = 1.0
    needed: int = 0

    def with_probability(self, probability: Floats, n_sample: Integers) -> Plan:
        """Give the plan as it was drawn: the variance that the inclusion probabilities leave."""
        population = self.allocator.population
        left = population.spread**2 * (1.0 / (probability * population.response) - 1.0)
        variance = np.maximum(population.by_stratum(left), 0.0)
        chosen = replace(self.chosen, n_sample=n_sample.astype(np.int64), variance=variance)
        return replace(self, chosen=chosen)


def planned(
    population: Population,
    domains: Sequence[Domain],
    minimum: Integers,
    *,
    n: int | None,
    target_cv: float | None,
    rule: AllocationRule,
    several: bool,
) -> Plan:
    """Choose the sizes of the strata by number, by the county's target, or by the targets of several domains.

    Parameters
    ----------
    population : Population
    domains : sequence of Domain
        Those with a finite target count where `several`.
    minimum : (H,) array of int
    n, target_cv : int or float, optional
        Exactly one of them, unless `several`.
    rule : {"optimal", "neyman", "proportional"}
    several : bool
        Whether more than the county's total has a target; with `n` all targets move by one factor.

    Returns
    -------
    Plan

    Raises
    ------
    UsageError
        If the numbers do not fit each other or a target cannot be reached.
    """
    if not several:
        allocator = Allocator(population, minimum)
        return Plan(allocator, allocated(allocator, n=n, target_cv=target_cv, rule=rule))
    promised = [domain for domain in domains if math.isfinite(domain.target_cv)]
    if n is None:
        sizes, factor = tuned_sizes(population, promised), 1.0
    else:
        check_size(n, None, population.n_wells, rule)
        sizes, factor = compromise(population, promised, n)
    tuned = replace(population, size=sizes)
    allocator = Allocator(tuned, minimum)
    if n is None:
        needed = math.ceil(float(np.minimum(sizes, 1.0).sum()))
        return Plan(allocator, allocator.result(whole_strata(allocator, promised)), needed=needed)
    shares = tuned.by_stratum(np.minimum(sizes, 1.0))
    whole = apportioned(shares, n, allocator.start(n), allocator.n_wells)
    return Plan(allocator, allocator.result(whole), factor)
