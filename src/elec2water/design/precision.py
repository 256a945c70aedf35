"""What a design promises: expected CV by domain, and the curve of precision against the number of wells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from elec2water.design.allocation import Allocation, Allocator
from elec2water.design.domains import Domain, Floats, Integers, expected_cv

COUNTY_RULE = 5
"""Typical wells that Hebei's rules ask of a county at least (METHOD.md; data/published/china_sampling_rules.csv)."""
_POINTS = 24
MANY_WELLS = 5_000
MANY_STRATA = 1_000
"""Beyond so many wells or strata a design for every point of the curve would take longer than the design."""


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


def precision_curve(chosen: Allocation, expected_cvs: Callable[[Sequence[int]], Sequence[float]]) -> pd.DataFrame:
    """Tabulate the expected CV of the county's total for other numbers of wells: ``CURVE_COLUMNS``.

    Each is the best that a design of at most so many wells gives: whole wells and minima make a few more wells a little
    worse here and there, where fewer would do. A number with two marks has two rows.

    Parameters
    ----------
    chosen : Allocation
        The one of this design.
    expected_cvs : callable
        Gives the CVs of designs of other sizes.
    """
    n, most = int(chosen.n_sample.sum()), int(chosen.n_wells.sum())
    marks = (("rule", COUNTY_RULE), ("n-10", n - 10), ("n", n), ("n+10", n + 10), ("n+50", n + 50))
    points = set() if chosen.n_wells.size > MANY_STRATA else set(_spaced(n, most))
    sizes = sorted(m for m in points | {m for _, m in marks} if 1 < m <= most or m == n)
    others = [m for m in sizes if m != n]
    found = dict(zip(others, expected_cvs(others), strict=True)) | {n: chosen.total_cv}
    bounded = [max(found[m], found[n]) if m < n else min(found[m], found[n]) for m in sizes]
    best = dict(zip(sizes, np.minimum.accumulate(bounded).tolist(), strict=True))
    rows = [(m, mark) for m in sizes for mark in [name for name, at in marks if at == m] or [""]]
    return pd.DataFrame(
        {
            "n": np.array([m for m, _ in rows], dtype=np.int64),
            "expected_cv": [best[m] for m, _ in rows],
            "mark": pd.Series([mark for _, mark in rows], dtype="str"),
        }
    )


def _spaced(n: int, most: int) -> list[int]:
    top = min(most, max(4 * n, 100))
    values = np.geomspace(2, top, _POINTS) if top > 2 else np.array([top])
    return list(map(int, np.unique(np.round(values))))
