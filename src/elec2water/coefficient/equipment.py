"""When the pumps and meters of wells were changed: as the registry says, or as their readings showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Dates = NDArray[np.datetime64]

NEVER = np.datetime64("9999-01-01", "s")
"""Stands for a date of installation that is not known."""
NEW_PUMP, WATER_METER, MULTIPLIER, OTHER_LOAD, WEAR = "new_pump", "water_meter", "multiplier", "other_load", "wear"
LOW_WATER = "low_water"
"""The water stands so low that the pump has come to the end of its curve: another pump in effect, and no fault."""
FAULT_OVER = "fault_over"
"""The well is back where it was before a fault that nobody said was mended."""
METER_CHECKED = "meter_checked"
"""The registry's word that the water meter is right from a date on: no change of the well, but the end of a fault."""
WORKS = "works"
"""The well delivers to other works, at another head: pump and meters are the same."""
_SAME_PUMP = (METER_CHECKED, WORKS)
FAULTS = (WATER_METER, MULTIPLIER, OTHER_LOAD)
"""What tells nothing of the class any more."""
FAULT_VARIANCE = 25.0
"""Variance of ln κ of a pair measured through a fault, so that neither well nor class learns from it."""


@dataclass(frozen=True)
class Equipment:
    """Changes of pumps and meters, sorted by well and date, one row a change.

    Attributes
    ----------
    well_id : (K,)
        Text.
    date : (K,) datetime64[s]
        When the pump began to work.
    detected : (K,)
        True where readings showed it and no registry said so.
    cause : (K,)
        Text: ``new_pump``, ``low_water``, ``fault_over``, the fault that the readings point to, ``works`` or
        ``meter_checked``.
    """

    well_id: NDArray[np.object_]
    date: Dates
    detected: NDArray[np.bool_]
    cause: NDArray[np.object_]

    @classmethod
    def none(cls) -> Equipment:
        """Give equipment of which no change is known."""
        return cls(np.empty(0, object), np.empty(0, "datetime64[s]"), np.empty(0, bool), np.empty(0, object))

    @classmethod
    def of(cls, well_id: NDArray[np.object_], date: Dates, *, cause: str = NEW_PUMP) -> Equipment:
        """Make it of wells and dates side by side, of one cause; dates that are not known are left out."""
        known = ~np.isnat(date) & (date < NEVER)
        n = int(known.sum())
        made = cls(
            well_id[known],
            date[known].astype("datetime64[s]"),
            np.zeros(n, dtype=bool),
            np.full(n, cause, dtype=object),
        )
        return Equipment.none().adding(made)

    def adding(self, other: Equipment) -> Equipment:
        """Join two; a change that both know is one, and the registry's word stands before that of readings.

        A meter that was checked on the day of a change was checked all the same.
        """
        frame = pd.DataFrame(
            {
                "well": np.concatenate([self.well_id, other.well_id]),
                "date": np.concatenate([self.date, other.date]),
                "detected": np.concatenate([self.detected, other.detected]),
                "cause": np.concatenate([self.cause, other.cause]),
            }
        ).sort_values(["well", "date", "detected"], kind="stable")
        frame = frame.assign(check=frame["cause"].eq(METER_CHECKED)).drop_duplicates(["well", "date", "check"])
        if len(frame) == self.date.size:
            return self
        return Equipment(
            frame["well"].to_numpy(dtype=object),
            frame["date"].to_numpy(dtype="datetime64[s]"),
            frame["detected"].to_numpy(dtype=bool),
            frame["cause"].to_numpy(dtype=object),
        )

    def take(self, kept: NDArray[np.bool_]) -> Equipment:
        """Keep some changes."""
        return Equipment(self.well_id[kept], self.date[kept], self.detected[kept], self.cause[kept])

    def of_wells(self, well_id: NDArray[np.object_]) -> Equipment:
        """Keep the changes of some wells."""
        kept = np.isin(self.well_id.astype(str), well_id.astype(str))
        return self if kept.all() else self.take(kept)

    def history(self, well_id: NDArray[np.object_]) -> PumpHistory:
        """Give the changes of wells by their place in ``well_id`` (W,)."""
        place = np.asarray(pd.Index(well_id, dtype=object).get_indexer(pd.Index(self.well_id, dtype=object)))
        return PumpHistory(place[place >= 0].astype(np.intp), self.date[place >= 0], self.cause[place >= 0])


@dataclass(frozen=True)
class PumpHistory:
    """Changes of pumps by place of the well: ``well``, ``date`` and ``cause``, (K,) each."""

    well: Ints
    date: Dates
    cause: NDArray[np.object_]

    def _without(self, *causes: str) -> PumpHistory:
        kept = ~np.isin(self.cause.astype(str), causes)
        return PumpHistory(self.well[kept], self.date[kept], self.cause[kept])

    def number(self, well: Ints, when: Dates) -> Ints:
        """Count the changes that made another well of each (R,) by a moment (R,)."""
        changes = self._without(METER_CHECKED)
        order = np.lexsort((changes.date, changes.well))
        key, asked = _keys(changes.well[order], changes.date[order]), _keys(well, when)
        return np.asarray(np.searchsorted(key, asked, side="right") - np.searchsorted(key, _keys(well)), dtype=np.intp)

    def since(self, well: Ints, when: Dates) -> Dates:
        """Give the date of the last change of the pump up to a moment, NaT where there was none, (R,)."""
        changes = self._without(*_SAME_PUMP)
        some, last = changes._last(well, when)
        found = np.full(well.size, np.datetime64("NaT", "s"))
        found[some] = changes.date[last]
        return found

    def under(self, faults: Sequence[str], well: Ints, when: Dates) -> NDArray[np.bool_]:
        """Tell whether the last change up to a moment was one of some faults, (R,).

        A fault lasts until the next change, or until its meter was checked; other works do not end it.
        """
        changes = self._without(WORKS)
        some, last = changes._last(well, when)
        found = np.zeros(well.size, dtype=bool)
        found[some] = np.isin(changes.cause[last].astype(str), faults)
        return found

    def _last(self, well: Ints, when: Dates) -> tuple[NDArray[np.bool_], Ints]:
        """Tell which wells (R,) had a change by a moment (R,), and the place of the last one of those that had."""
        order = np.lexsort((self.date, self.well))
        key = _keys(self.well[order], self.date[order])
        place = np.searchsorted(key, _keys(well, when), side="right") - 1
        some = place >= np.searchsorted(key, _keys(well))
        return np.asarray(some), np.asarray(order[place[some]], dtype=np.intp)


def _keys(well: Ints, date: Dates | None = None) -> NDArray[np.int64]:
    """One sortable number for a well and a moment."""
    span = np.int64(1) << 40
    seconds = 0 if date is None else date.astype("datetime64[s]").astype(np.int64) + (span >> 1)
    return np.asarray(well.astype(np.int64) * span + seconds, dtype=np.int64)
