"""The wells to visit, as one table: who they are, where, with which meters, and whom a reserve stands in for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from elec2water.energy.arrays import positions

VISIT_COLUMNS = (
    "number", "role", "well_id", "name", "township", "village", "longitude", "latitude", "map_sheet", "aquifer",
    "pump_power_kw", "pump_depth_m", "well_depth_m", "irrigation_method", "meter_id", "multiplier", "annual_kwh",
    "stratum", "order", "stands_for", "inclusion_probability", "weight", "reason",
)  # fmt: skip
"""Columns of a table of visits, in order; those that nobody knows are blank."""

_REGISTRY = (
    "name", "township", "village", "longitude", "latitude", "aquifer", "pump_power_kw", "pump_depth_m", "well_depth_m",
    "irrigation_method",
)  # fmt: skip
_TEXT = (
    "role", "well_id", "name", "township", "village", "map_sheet", "aquifer", "irrigation_method", "meter_id",
    "multiplier", "stratum", "stands_for", "reason",
)  # fmt: skip
_ROLES = ("primary", "reserve")
_SHEETS_A_DEGREE = (16, 24)
_ZONE = (6.0, 4.0)


def visits_of(
    chosen: pd.DataFrame,
    wells: pd.DataFrame,
    *,
    meters: pd.DataFrame | None = None,
    annual_kwh: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Gather what a field team must know of the wells it is sent to.

    Parameters
    ----------
    chosen : DataFrame
        ``well_id``, and whatever is known of why: ``role`` (primary, reserve), ``stratum``, ``order``, ``stands_for``,
        ``inclusion_probability``, ``weight``, ``reason``.
    wells : DataFrame
        The registry.
    meters : DataFrame, optional
        ``meter_id, well_id`` and ``multiplier``: the electricity meters; those of one well are listed together.
    annual_kwh : (N,) sequence of float, optional
        Last year's energy of each well of the registry.

    Returns
    -------
    DataFrame
        ``VISIT_COLUMNS``, a row a well: primary wells first, by township, village and identifier, as a team drives;
        ``number`` counts them, as on the map; ``map_sheet`` is the sheet of the national 1:10 000 series.
    """
    registry = wells.drop_duplicates("well_id").set_index("well_id")
    if annual_kwh is not None:
        energy = pd.Series(np.round(np.asarray(annual_kwh, dtype=np.float64), 3), index=wells["well_id"].to_numpy())
        registry = registry.assign(annual_kwh=energy[~energy.index.duplicated()])
    table = chosen.reset_index(drop=True)
    known = [name for name in (*_REGISTRY, "annual_kwh") if name in registry.columns and name not in table.columns]
    table = table.join(registry[known], on="well_id")
    if meters is not None and len(meters):
        served = meters.loc[positions(meters["well_id"], table["well_id"]) >= 0]
        table = table.join(_meters(served), on="well_id")
    table["map_sheet"] = _sheets_of(table)
    table = table.reindex(columns=list(VISIT_COLUMNS))
    for name in _TEXT:
        table[name] = table[name].astype("str").where(table[name].notna(), "").astype("str")
    table["role"] = table["role"].where(table["role"].isin(_ROLES), "primary")
    table = table.sort_values(["role", "township", "village", "well_id"], kind="stable", ignore_index=True)
    table["number"] = np.arange(1, len(table) + 1)
    return table


def map_sheet(longitude: float, latitude: float) -> str:
    """Name the sheet of the national 1:10 000 map series that a point is on (GB/T 13989-2012, section 5).

    Parameters
    ----------
    longitude, latitude : float
        Degrees, CGCS2000, north and east.

    Returns
    -------
    str
        Blank where there is no such sheet.

    Examples
    --------
    >>> map_sheet(114.5625, 39.375)
    'J50G015010'
    """
    if not (0 <= longitude < 180 and 0 <= latitude < 88):
        return ""
    across, down = 6 * _SHEETS_A_DEGREE[0], 4 * _SHEETS_A_DEGREE[1]
    zone = int(longitude // _ZONE[0]) + 31
    row = "ABCDEFGHIJKLMNOPQRSTUV"[int(latitude // _ZONE[1])]
    east = int(longitude % _ZONE[0] / _ZONE[0] * across) + 1
    south = down - int(latitude % _ZONE[1] / _ZONE[1] * down)
    return f"{row}{zone}G{south:03d}{east:03d}"


def _sheets_of(table: pd.DataFrame) -> list[str]:
    if not {"longitude", "latitude"} <= set(table.columns):
        return [""] * len(table)
    places = table[["longitude", "latitude"]].to_numpy(dtype=np.float64, na_value=np.nan)
    return [map_sheet(x, y) if np.isfinite([x, y]).all() else "" for x, y in places.tolist()]


def _meters(meters: pd.DataFrame) -> pd.DataFrame:
    """List the meters of each well with their multipliers, as text: ``A1、A2`` and ``1、40``."""
    table = meters.dropna(subset=["well_id", "meter_id"]).drop_duplicates(["well_id", "meter_id"], keep="last")
    factor = table["multiplier"] if "multiplier" in table.columns else pd.Series(np.nan, index=table.index)
    texts = table.assign(multiplier=[f"{value:g}" if np.isfinite(value) else "" for value in factor.astype("float64")])
    texts = texts.sort_values("meter_id")[["well_id", "meter_id", "multiplier"]]
    several = texts["well_id"].duplicated(keep=False)
    joined = texts.loc[several].groupby("well_id").agg("、".join)
    return pd.concat([texts.loc[~several].set_index("well_id"), joined])
