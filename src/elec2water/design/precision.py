"""What a design promises: expected CV by domain, and the curve of precision against the number of wells."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from elec2water.design.allocation import Allocation, AllocationRule, Allocator, apportioned
from elec2water.design.domains import Domain, Floats, Integers, expected_cv

COUNTY_RULE = 5
"""Typical wells that Hebei's rules ask of a county at least (METHOD.md; data/published/china_sampling_rules.csv)."""
_POINTS = 24
_MANY_WELLS = 5_000
_MANY_STRATA = 1_000


def precision_table(
    domains: Sequence[Domain], allocator: Allocator, probability: Floats, energy: Floats, drawn: Integers
) -> pd.DataFrame:
    """Tabulate the expected precision of every reported total: ``PRECISION_COLUMNS``.

    Parameters
    ----------
    domains : sequence of Domain
    allocator : Allocator
    probability, energy : (N,) array
        Of the wells of the frame.
    drawn : (n,) array of int
        Rows of the primary sample.
    """
    parts = [
        pd.DataFrame(
            {
                "domain": domain.name,
                "key": pd.Series(domain.keys, dtype="str"),
                "n_wells": np.bincount(domain.codes, minlength=len(domain.keys)),
                "n_sample": np.bincount(domain.codes[drawn], minlength=len(domain.keys)),
                "energy_kwh": domain.sums(energy),
                "expected_cv": expected_cv(domain, allocator.population, probability),
                "target_cv": domain.target_cv if math.isfinite(domain.target_cv) else np.nan,
            }
        )
        for domain in domains
    ]
    return pd.concat(parts, ignore_index=True).astype({"domain": "str"})


def precision_curve(allocator: Allocator, chosen: Allocation, rule: AllocationRule | None) -> pd.DataFrame:
    """Tabulate the expected CV of the county's total for other numbers of wells: ``CURVE_COLUMNS``.

    Where `n` is small for the strata, more of them would be joined: the frame counts as one stratum below twice the
    sum of the minima.

    Parameters
    ----------
    allocator : Allocator
    chosen : Allocation
        The one of this design.
    rule : {"optimal", "neyman", "proportional"} or None
        How it was found; None where it serves several domains, and other sizes share alike.
    """
    n, most = int(chosen.n_sample.sum()), int(allocator.n_wells.sum())
    marks = {COUNTY_RULE: "rule", n - 10: "n-10", n + 10: "n+10", n + 50: "n+50", n: "n"}
    points = set() if allocator.n_wells.size > _MANY_STRATA else set(_spaced(n, most))
    sizes = sorted(m for m in points | marks.keys() if 1 < m <= most)
    return pd.DataFrame(
        {
            "n": np.array(sizes, dtype=np.int64),
            "expected_cv": [_cv_at(m, allocator, chosen, rule) for m in sizes],
            "mark": pd.Series([marks.get(m, "") for m in sizes], dtype="str"),
        }
    )


def _spaced(n: int, most: int) -> list[int]:
    top = min(most, max(4 * n, 100))
    values = np.geomspace(2, top, _POINTS) if top > 2 else np.array([top])
    return list(map(int, np.unique(np.round(values))))


def _cv_at(n: int, allocator: Allocator, chosen: Allocation, rule: AllocationRule | None) -> float:
    drawn = int(chosen.n_sample.sum())
    if n == drawn:
        return chosen.total_cv
    population = allocator.population
    if n < 2 * int(allocator.minimum.sum()):
        curve = allocator.unstratified
        left = float(population.lost(np.array(curve.variance(n)), np.array(curve.sum_of_squares)))
        joined = math.sqrt(left) / math.fsum(allocator.volume)
        return max(joined, chosen.total_cv) if n < drawn else min(joined, chosen.total_cv)
    if rule is not None and max(n, drawn) <= _MANY_WELLS:
        return allocator.of_size(n, rule).total_cv
    shares = chosen.n_sample.astype(np.float64)
    return allocator.result(apportioned(shares, n, allocator.start(n), allocator.n_wells)).total_cv
