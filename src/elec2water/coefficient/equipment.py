"""When the pumps of wells were changed: as the registry says, or as their readings showed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Dates = NDArray[np.datetime64]

NEVER = np.datetime64("9999-01-01", "s")
"""Stands for a date of installation that is not known."""


@dataclass(frozen=True)
class Equipment:
    """Changes of pumps, sorted by well and date, one row a change.

    Attributes
    ----------
    well_id : (K,)
        Text.
    date : (K,) datetime64[s]
        When the pump began to work.
    detected : (K,)
        True where readings showed it and no registry said so.
    """

    well_id: NDArray[np.object_]
    date: Dates
    detected: NDArray[np.bool_]

    @classmethod
    def none(cls) -> Equipment:
        """Give equipment of which no change is known."""
        return cls(np.empty(0, object), np.empty(0, "datetime64[s]"), np.empty(0, bool))

    @classmethod
    def of(cls, well_id: NDArray[np.object_], date: Dates, *, detected: bool = False) -> Equipment:
        """Make it of wells and dates side by side; dates that are not known are left out."""
        known = ~np.isnat(date) & (date < NEVER)
        made = cls(well_id[known], date[known].astype("datetime64[s]"), np.full(int(known.sum()), detected))
        return Equipment.none().adding(made)

    def adding(self, other: Equipment) -> Equipment:
        """Join two; a change that both know is one, and the registry's word stands before that of readings."""
        frame = pd.DataFrame(
            {
                "well": np.concatenate([self.well_id, other.well_id]),
                "date": np.concatenate([self.date, other.date]),
                "detected": np.concatenate([self.detected, other.detected]),
            }
        ).sort_values(["well", "date", "detected"], kind="stable")
        frame = frame.drop_duplicates(["well", "date"])
        if len(frame) == self.date.size:
            return self
        return Equipment(
            frame["well"].to_numpy(dtype=object),
            frame["date"].to_numpy(dtype="datetime64[s]"),
            frame["detected"].to_numpy(dtype=bool),
        )

    def of_wells(self, well_id: NDArray[np.object_]) -> Equipment:
        """Keep the changes of some wells."""
        kept = np.isin(self.well_id.astype(str), well_id.astype(str))
        return self if kept.all() else Equipment(self.well_id[kept], self.date[kept], self.detected[kept])

    def history(self, well_id: NDArray[np.object_]) -> PumpHistory:
        """Give the changes of wells by their place in ``well_id`` (W,)."""
        place = np.asarray(pd.Index(well_id, dtype=object).get_indexer(pd.Index(self.well_id, dtype=object)))
        return PumpHistory(place[place >= 0].astype(np.intp), self.date[place >= 0])


@dataclass(frozen=True)
class PumpHistory:
    """Changes of pumps by place of the well: ``well`` and ``date``, (K,) each."""

    well: Ints
    date: Dates

    def number(self, well: Ints, when: Dates) -> Ints:
        """Count the changes that each well (R,) has had by a moment (R,)."""
        order = np.lexsort((self.date, self.well))
        key, asked = _keys(self.well[order], self.date[order]), _keys(well, when)
        return np.asarray(np.searchsorted(key, asked, side="right") - np.searchsorted(key, _keys(well)), dtype=np.intp)

    def since(self, well: Ints, when: Dates) -> Dates:
        """Give the last change up to a moment, NaT where there was none, (R,)."""
        order = np.lexsort((self.date, self.well))
        key = _keys(self.well[order], self.date[order])
        place = np.searchsorted(key, _keys(well, when), side="right") - 1
        found = np.full(well.size, np.datetime64("NaT", "s"))
        some = place >= np.searchsorted(key, _keys(well))
        found[some] = self.date[order][place[some]]
        return found


def _keys(well: Ints, date: Dates | None = None) -> NDArray[np.int64]:
    """One sortable number for a well and a moment."""
    span = np.int64(1) << 40
    seconds = 0 if date is None else date.astype("datetime64[s]").astype(np.int64) + (span >> 1)
    return np.asarray(well.astype(np.int64) * span + seconds, dtype=np.int64)
