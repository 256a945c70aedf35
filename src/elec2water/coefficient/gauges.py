"""Water levels as a coefficient remembers them, so that a table may be started anew without losing what it said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.coefficient.water import first_level
from elec2water.levels import observation_days, plausible_depths

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

PLACE = ("well_id", "township", "aquifer")


@dataclass(frozen=True)
class Gauges:
    """Depths to water by place and month; several observations of one place and month are their mean.

    Attributes
    ----------
    places : (G, 3) object
        ``well_id``, ``township`` and ``aquifer`` of each place where levels were observed; blank text where not given.
    place : (n,)
        Row of ``places`` of each depth.
    date : (n,) datetime64[D]
        The middle of the month where the table gave the month alone.
    depth_m : (n,)
    """

    places: NDArray[np.object_]
    place: Ints
    date: NDArray[np.datetime64]
    depth_m: Floats

    @classmethod
    def none(cls) -> Gauges:
        """Give no levels."""
        empty = np.empty((0, len(PLACE)), dtype=object)
        return cls(empty, np.empty(0, np.intp), np.empty(0, "datetime64[D]"), np.empty(0))

    @classmethod
    def of(cls, water_levels: pd.DataFrame | None) -> Gauges:
        """Keep what a table of water levels says; rows that say nothing of depth, time or place are left out."""
        if water_levels is None or water_levels.empty or "depth_m" not in water_levels.columns:
            return cls.none()
        day, depth = observation_days(water_levels), plausible_depths(water_levels)
        named = water_levels.reindex(columns=list(PLACE)).astype("str").fillna("")
        placed = (named != "").any(axis=1).to_numpy(dtype=bool)
        told = np.isfinite(depth) & np.isfinite(day) & placed
        if not told.any():
            return cls.none()
        day = day[told].astype(np.int64).astype("datetime64[D]")
        place = named[told].groupby(list(PLACE), sort=True).ngroup().to_numpy(dtype=np.intp)
        frame = pd.DataFrame({"place": place, "month": day.astype("datetime64[M]").astype(np.int64)})
        frame = frame.assign(day=day.astype(np.int64), depth=depth[told])
        mean = frame.groupby(["place", "month"], sort=True, as_index=False).mean()
        first = np.unique(place, return_index=True)[1]
        return cls(
            named[told].to_numpy(dtype=object)[first],
            mean["place"].to_numpy(dtype=np.intp),
            np.floor(mean["day"].to_numpy(dtype=np.float64)).astype(np.int64).astype("datetime64[D]"),
            mean["depth"].to_numpy(dtype=np.float64),
        )

    def before(self, water_levels: pd.DataFrame | None) -> NDArray[np.bool_]:
        """Tell which depths are of months before the first of a table, (n,): these it says nothing of."""
        return np.asarray(self.date.astype("datetime64[M]") < first_level(water_levels))

    def joined(self, water_levels: pd.DataFrame | None) -> pd.DataFrame | None:
        """Give a table of today with the depths before its first month in front of it."""
        older = np.flatnonzero(self.before(water_levels))
        if not older.size:
            return water_levels
        kept = pd.DataFrame(
            {name: pd.array(self.places[self.place[older], k], dtype="str") for k, name in enumerate(PLACE)}
        ).replace("", np.nan)
        kept = kept.assign(date=self.date[older].astype("datetime64[s]"), depth_m=self.depth_m[older])
        kept.index = pd.Index(np.zeros(older.size, dtype=np.int64))
        if water_levels is None or water_levels.empty:
            return kept
        table = pd.concat([kept, water_levels])
        table.attrs = water_levels.attrs
        return table
