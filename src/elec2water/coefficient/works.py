"""When the works that a well delivers to were changed, and what head its pump had to give before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.coefficient.columns import UNKNOWN
from elec2water.coefficient.delivery import METHOD
from elec2water.coefficient.equipment import NEVER, WORKS, Equipment
from elec2water.coefficient.news import empty_methods

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Months = NDArray[np.datetime64]

UNCHANGED = 1e-9


@dataclass(frozen=True)
class Works:
    """The present works of N wells.

    The present irrigation method is what a well has as a feature. Before the day since which it is in use the water ran
    from an open outlet, as nearly all did before they were given pressure, so that the head was lower and ln κ higher
    by ``ln (1 + p/H₀)``.

    Attributes
    ----------
    since : (N,) datetime64[s]
        Day since which the present method is in use; ``NEVER`` where it is not known to have changed.
    raised : (N,)
        By how much it raised ln H; zero where it did not, or is not known to have.
    """

    since: NDArray[np.datetime64]
    raised: Floats

    @classmethod
    def of(cls, since: NDArray[np.datetime64], log_delivery: Floats) -> Works:
        """Make it of the days in the registry and what each method adds to ln H (N,), NaN where unknown."""
        raised = np.where(since < NEVER, np.nan_to_num(log_delivery), 0.0)
        return cls(np.where(raised > UNCHANGED, since, NEVER), np.where(raised > UNCHANGED, raised, 0.0))

    def take(self, wells: Ints) -> Works:
        """Keep some wells."""
        return Works(self.since[wells], self.raised[wells])

    def movement(self, months: Months) -> Floats:
        """Give the ln head of each well in each month less that of its present works, (N, M): zero or less.

        A month in which the works were changed has its days before and after.
        """
        moved = np.zeros((self.since.size, months.size))
        some = np.flatnonzero(self.raised)
        begin, end = (when.astype("datetime64[s]").astype(np.float64) for when in (months, months + 1))
        since = self.since[some].astype("datetime64[s]").astype(np.float64)
        before = np.clip((since[:, None] - begin) / (end - begin), 0.0, 1.0)
        moved[some] = -self.raised[some, None] * before
        return moved

    def added_to(self, level: Floats, months: Months) -> Floats:
        """Give the movement of ln head (N, M) by water and works, from that by water alone, unknown where both are."""
        some = np.flatnonzero(self.raised)
        if not some.size:
            return level
        level, moved = level.copy(), self.take(some).movement(months)
        level[some] = np.where(moved < 0.0, np.nan_to_num(level[some]) + moved, level[some])
        return level

    def equipment(self, well_id: NDArray[np.object_]) -> Equipment:
        """Give the changes as changes of the equipment of wells (N,)."""
        return Equipment.of(well_id, self.since, cause=WORKS)


def changed_methods(levels: Sequence[str], before: Floats, wells: pd.DataFrame, works: Works) -> pd.DataFrame:
    """Give the wells whose method is another than it was, and of which no day says since when.

    Parameters
    ----------
    levels : sequence of str
        Irrigation methods.
    before : (W, number of levels)
        One where a well had the method, zero else.
    wells : DataFrame
        The W wells as the registry has them now.
    works : Works
        Theirs.

    Returns
    -------
    DataFrame
        ``well_id, before, now``.
    """
    if METHOD not in wells.columns:
        return empty_methods()
    had = np.where(before.any(axis=1), np.array(levels, dtype=object)[before.argmax(axis=1)], UNKNOWN)
    now = wells[METHOD].astype(object).where(wells[METHOD].notna(), UNKNOWN).to_numpy(dtype=object)
    changed = (had != now) & (had != UNKNOWN) & (now != UNKNOWN) & (works.since == NEVER)
    return pd.DataFrame(
        {"well_id": wells["well_id"].to_numpy(dtype=object)[changed], "before": had[changed], "now": now[changed]}
    )
