"""The rules by which a frame is sampled, whatever the number of wells: its strata, their minima, the probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.design.allocation import AllocationRule, Allocator, apportioned
from elec2water.design.coordination import coordinate, floors, sizes_above
from elec2water.design.cuts import ThinStrata
from elec2water.design.drawing import Draw
from elec2water.design.network import Network
from elec2water.design.plan import Plan, planned
from elec2water.design.precision import MANY_STRATA, MANY_WELLS
from elec2water.design.stratified import StratifiedFrame

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_ROUNDING = 1e-9
_NO_LIMIT = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Scheme:
    """How a frame would be sampled with any number of wells.

    Attributes
    ----------
    frame : StratifiedFrame
        In the strata it was given, none of them joined.
    joining : str
        What is done with strata that are too many or too thin.
    min_wells, min_per_stratum : int
        Fewest wells of the frame and of the sample in a stratum.
    take_all_kwh : float
    response : float
        Share of the drawn wells that is measured in the end.
    rule : {"optimal", "neyman", "proportional"}
    network : Network or None
    """

    frame: StratifiedFrame
    joining: ThinStrata
    min_wells: int
    min_per_stratum: int
    take_all_kwh: float
    response: float
    rule: AllocationRule
    network: Network | None

    def most_strata(self, n: int | None) -> int:
        """Strata that `n` wells bear: each with twice its minimum, or with one well where neighbours are joined."""
        each = 2 * self.min_per_stratum if self.joining == "coefficient" else 1
        return _NO_LIMIT if n is None else max(n // each, 1)

    def n_strata(self) -> int:
        """Count the strata that are thick enough to stand alone, however small the sample."""
        return len(self.frame.with_fewer_strata(self.joining, self.min_wells, _NO_LIMIT)[0].names)

    def stratified(self, n: int | None) -> tuple[StratifiedFrame, pd.DataFrame, Integers]:
        """Join the strata that `n` wells do not bear.

        Returns
        -------
        frame : StratifiedFrame
            With a stratum of the biggest users, if they are all taken.
        merges : DataFrame
            What was joined.
        minimum : (H,) array of int
            Fewest sample wells of each stratum.
        """
        joined, merges = self.frame.with_fewer_strata(self.joining, self.min_wells, self.most_strata(n))
        frame, minimum = joined.with_take_all(self.take_all_kwh, self.min_per_stratum)
        return frame, merges, minimum

    def fewest(self, target_cv: float) -> int:
        """Count the wells with which the county's total reaches a CV, strata joined where so few do not bear them.

        Parameters
        ----------
        target_cv : float

        Raises
        ------
        UsageError
            If no number of wells reaches it.
        """
        frame, _, minimum = self.stratified(None)
        plan = planned(
            frame.population(self.response),
            (),
            self.least(frame, minimum),
            n=None,
            target_cv=target_cv,
            rule=self.rule,
            several=False,
        )
        low, high = max(math.ceil(self._kept() - _ROUNDING), 1), int(plan.chosen.n_sample.sum())
        if len(frame.names) <= self.most_strata(high):
            return high
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._cv_of(middle) <= target_cv else (middle + 1, high)
        return high

    def least(self, frame: StratifiedFrame, minimum: Integers) -> Integers:
        """Raise the minima of strata (H,) to what an existing network takes of them."""
        if self.network is None:
            return minimum
        return self.network.minimum(frame.wells["well_id"], frame.codes, minimum)

    def draw_of(self, frame: StratifiedFrame, plan: Plan) -> Draw:
        """Give every well its probability, and what is to be drawn now that the existing network is what it is."""
        population, n_sample = plan.allocator.population, plan.chosen.n_sample
        kept = np.zeros(frame.codes.size, dtype=bool)
        if self.network is None:
            probability = plan.allocator.probabilities(n_sample)
            return frame.draw(probability, probability, frame.codes, (), kept)
        kept, previous = self.network.among(frame.wells["well_id"])
        least = floors(kept, previous, rotate=self.network.rotate)
        target = sizes_above(population.size, frame.codes, n_sample, least)
        how = coordinate(target, frame.codes, kept, previous, rotate=self.network.rotate)
        return frame.draw(how.probability, how.conditional, how.codes, how.pools, kept)

    def expected_cvs(self, sizes: Sequence[int], plan: Plan, drawn: StratifiedFrame, *, several: bool) -> list[float]:
        """Give the expected CV of the county's total for other numbers of wells, each designed as this one was.

        Where targets of several domains tuned the plan, or there are very many strata, its own strata are kept and its
        sizes shared alike.

        Parameters
        ----------
        sizes : sequence of int
        plan : Plan
            The one of this design.
        drawn : StratifiedFrame
            The one it is for.
        several : bool
            Whether several domains have targets.
        """
        many = len(self.frame.names) > MANY_STRATA or max(sizes, default=0) > MANY_WELLS
        if several or many:
            return [self._cv_drawn(drawn, _shared_alike(plan, n)) for n in sizes]
        return [self._cv_of(n) for n in sizes]

    def _cv_of(self, n: int) -> float:
        scheme = self if self.network is None or n >= self._kept() else replace(self, network=None)
        if self.joining == "fail" and len(self.frame.names) > n:
            scheme = replace(scheme, joining="coefficient")
        frame, _, minimum = scheme.stratified(n)
        plan = planned(
            frame.population(self.response),
            (),
            scheme.least(frame, minimum),
            n=n,
            target_cv=None,
            rule=self.rule,
            several=False,
        )
        return scheme._cv_drawn(frame, plan)

    def _kept(self) -> float:
        """Count the wells of the existing network that stay, on average; a design of fewer is drawn afresh."""
        if self.network is None:
            return 0.0
        kept, previous = self.network.among(self.frame.wells["well_id"])
        return float(floors(kept, previous, rotate=self.network.rotate).sum())

    def _cv_drawn(self, frame: StratifiedFrame, plan: Plan) -> float:
        if self.network is None or len(plan.allocator.n_wells) != len(frame.names):
            return plan.chosen.total_cv
        return plan.with_probability(self.draw_of(frame, plan).probability, plan.chosen.n_sample).chosen.total_cv


def _shared_alike(plan: Plan, n: int) -> Plan:
    """Give the strata shares of `n` wells as they have of the plan; the frame as one stratum if there are more."""
    allocator = plan.allocator
    if n < allocator.n_wells.size:
        p = allocator.population
        whole = Allocator(replace(p, codes=np.zeros_like(p.codes)), 1)
        return Plan(whole, whole.of_size(n))
    shares = plan.chosen.n_sample.astype(np.float64)
    return Plan(allocator, allocator.result(apportioned(shares, n, allocator.start(n), allocator.n_wells)))
