"""What a design tells of itself: its tables and findings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.design.plan import Budget, Plan
from elec2water.design.stratified import StratifiedFrame
from elec2water.findings import Findings, findings_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_MUCH_MORE = 1.2


@dataclass(frozen=True)
class Account:
    """A draw with what led to it.

    Attributes
    ----------
    frame : StratifiedFrame
        N wells in H strata.
    plan : Plan
        Sizes that were wanted.
    probability : (N,) array
        Inclusion probabilities.
    drawn : (n,) array of int
        Places of the primary wells in the frame.
    """

    frame: StratifiedFrame
    plan: Plan
    probability: Floats
    drawn: Integers

    @cached_property
    def drawn_plan(self) -> Plan:
        """The plan as it was drawn."""
        frame = self.frame
        return self.plan.with_probability(
            self.probability, np.bincount(frame.codes[self.drawn], minlength=len(frame.names))
        )

    def allocation(self) -> pd.DataFrame:
        """Give a row a stratum: its wells, its sample, and what other rules would give."""
        frame, chosen = self.frame, self.drawn_plan.chosen
        energy = np.bincount(frame.codes, weights=frame.energy)
        n = int(chosen.n_sample.sum())
        allocator = self.plan.allocator
        return pd.DataFrame(
            {
                "stratum": pd.Series(frame.names, dtype="str"),
                "n_wells": chosen.n_wells,
                "n_sample": chosen.n_sample,
                "expected_cv": chosen.expected_cv,
                "energy_kwh": energy,
                "coefficient_m3_per_kwh": chosen.volume / energy,
                "n_certain": np.bincount(frame.codes, weights=self.probability >= 1.0).astype(np.int64),
                "n_neyman": allocator.shared(n, "neyman"),
                "n_proportional": allocator.shared(n, "proportional"),
            }
        )

    def wells(self) -> pd.DataFrame:
        """Give a row a well of the frame."""
        frame, names = self.frame, np.asarray(self.frame.names, dtype=object)
        return pd.DataFrame(
            {
                "well_id": frame.wells["well_id"].astype("str"),
                "stratum": pd.Series(names[frame.codes], dtype="str"),
                "energy_kwh": frame.energy,
                "coefficient_m3_per_kwh": frame.anticipated.coefficient,
                "log_sd": frame.anticipated.log_sd,
                "size": self.plan.allocator.population.spread,
                "inclusion_probability": self.probability,
            }
        )

    def spent(self, budget: Budget | None) -> dict[str, object]:
        """Say what the draw costs of a budget."""
        if budget is None:
            return {}
        townships = int(self.frame.wells["township"].iloc[self.drawn].nunique(dropna=False))
        cost = budget.spent(self.drawn.size, townships)
        return {"budget": budget.total, "cost": cost, "townships_visited": townships}

    def findings(self, merges: pd.DataFrame, minimum: Integers, target_cv: float | None, lang: str) -> Findings:
        """Say which strata were joined, which have fewer wells than their ``minimum`` (H,), and what gave way."""
        chosen = self.drawn_plan.chosen
        found = _merge_findings(merges, lang) + self._relaxed(minimum, lang)
        if self.plan.factor > 1.0:
            found += findings_of("DESIGN_TARGETS_RELAXED", table="wells", observed=f"{self.plan.factor:.2f}", lang=lang)
        n, strata = int(chosen.n_sample.sum()), chosen.n_wells.size
        if self.plan.needed and n > _MUCH_MORE * self.plan.needed + strata / 2:
            found += findings_of(
                "DESIGN_MINIMA_DRIVE", table="wells", observed=n, limit=self.plan.needed, strata=strata, lang=lang
            )
        if target_cv is not None and (chosen.n_sample == chosen.n_wells).all():
            found += findings_of(
                "DESIGN_CENSUS",
                table="wells",
                observed=int(chosen.n_wells.sum()),
                limit=f"{100 * target_cv:g}%",
                lang=lang,
            )
        return found

    def _relaxed(self, minimum: Integers, lang: str) -> Findings:
        chosen = self.drawn_plan.chosen
        least = np.minimum(chosen.n_wells, minimum)
        short = np.flatnonzero(chosen.n_sample < least)
        return findings_of(
            "DESIGN_MINIMUM_RELAXED",
            table="wells",
            observed=chosen.n_sample[short],
            limit=least[short],
            stratum=[self.frame.names[h] for h in short],
            lang=lang,
        )


def _merge_findings(merges: pd.DataFrame, lang: str) -> Findings:
    return findings_of(
        "DESIGN_STRATA_COLLAPSED",
        table="wells",
        observed=merges["stratum"].tolist(),
        limit=merges["merged_into"].tolist(),
        count=merges["n_wells"].tolist(),
        gap=[f"{np.expm1(gap):.0%}" for gap in merges["coefficient_gap"]],
        lang=lang,
    )
