"""Where wells are, as coordinates to spread a sample over; and what is done where nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.design.selection import spread_order
from elec2water.findings import Findings, findings_of

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]

_KM_A_DEGREE = 111.2


@dataclass(frozen=True)
class Places:
    """Coordinates of wells.

    Attributes
    ----------
    coordinates : (N, 2) or (N, 1) array
        East and north of the middle of the county [km]. Where no well has a place, one column: the rank of the well in
        an order by township and, in each, by size.
    known : (N,) array of bool
        Whether the place is the well's own.
    findings : Findings
    """

    coordinates: Floats
    known: Booleans
    findings: Findings


def places_of(wells: pd.DataFrame, size: Floats, *, seed: int, lang: str = "zh") -> Places:
    """Take the places of wells from the registry.

    Degrees become kilometres on a plane that touches the middle of the county (equirectangular: distances within a
    county are right to a few parts in a thousand). A well without a place is put in the middle of its township, or of
    the county where none of the township's wells has one, and is named in a finding. Where no well has a place, a
    sample is spread over townships and sizes instead.

    Parameters
    ----------
    wells : DataFrame
        ``well_id, township``; ``longitude, latitude`` in degrees where known.
    size : (N,) array
        Orders the wells of a township where there are no places.
    seed : int
        Orders the townships there.
    lang : str

    Returns
    -------
    Places
    """
    longitude, latitude = (_degrees(wells, name) for name in ("longitude", "latitude"))
    known = np.isfinite(longitude) & np.isfinite(latitude) & (np.abs(latitude) < 90) & (np.abs(longitude) <= 180)
    known &= (longitude != 0) | (latitude != 0)
    townships = wells["township"].astype("str").fillna("").to_numpy(dtype=object).astype(str)
    if not known.any():
        order = spread_order(townships.tolist(), size, seed)
        rank = np.empty(len(wells))
        rank[order] = np.arange(len(wells))
        note = findings_of("DESIGN_NO_COORDINATES", table="wells", observed=[len(wells)] * bool(len(wells)), lang=lang)
        return Places(rank[:, None], known, note)
    middle = np.median(longitude[known]), np.median(latitude[known])
    east = (longitude - middle[0]) * _KM_A_DEGREE * np.cos(np.radians(middle[1]))
    plane = np.column_stack([east, (latitude - middle[1]) * _KM_A_DEGREE])
    lost = np.sort(wells["well_id"].to_numpy(dtype=object)[~known].astype(str))
    note = findings_of("DESIGN_COORDINATES_MISSING", table="wells", well_id=lost, lang=lang)
    return Places(_filled(plane, known, townships), known, note)


def _degrees(wells: pd.DataFrame, name: str) -> Floats:
    if name not in wells.columns:
        return np.full(len(wells), np.nan)
    return pd.to_numeric(wells[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _filled(plane: Floats, known: Booleans, townships: NDArray[np.str_]) -> Floats:
    """Put wells without a place where the middle of their township is."""
    filled = np.where(known[:, None], plane, 0.0)
    if known.all():
        return filled
    table = pd.DataFrame({"east": filled[known, 0], "north": filled[known, 1], "township": townships[known]})
    middles = table.groupby("township")[["east", "north"]].median()
    own = middles.reindex(townships[~known]).to_numpy(dtype=np.float64)
    filled[~known] = np.where(np.isfinite(own), own, np.median(filled[known], axis=0))
    return filled
