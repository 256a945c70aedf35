"""Depths to water held against the pumps that lift it: a water table below the pumps is no depth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from elec2water.findings import Findings
from elec2water.identifiers import places
from elec2water.tables.context import Context
from elec2water.tables.typed import TypedTable

SUCTION_M = 8.0
"""A pump above the water draws it up this far at most: an atmosphere is 10 m, less losses and vapour."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def below_pumps(levels: TypedTable, wells: TypedTable, context: Context) -> Findings:
    """Report series of water levels that mostly lie deeper than their pumps reach (``LEVEL_BELOW_PUMP``).

    A well's own series is held against its pump, that of a township and aquifer against the median of theirs. What is
    deeper by more than a pump can suck is the elevation of the water, another unit or another aquifer. One finding a
    series, at its first row.
    """
    if "depth_m" not in levels or "pump_depth_m" not in wells:
        return Findings.empty()
    cell_of_well, cell, n_cells = _cells(levels, wells)
    pump = wells.numbers("pump_depth_m")
    hang = _medians(cell_of_well, pump, n_cells)
    series = cell
    if "well_id" in levels:
        own = np.append(places(levels.distinct("well_id"), wells.distinct("well_id")), -1)[levels.codes("well_id")]
        series = np.where(own >= 0, n_cells + own, np.where(levels.codes("well_id") >= 0, -1, cell))
        hang = np.append(hang, _medians(wells.codes("well_id"), pump, len(wells.distinct("well_id"))))
    depth = levels.numbers("depth_m")
    usual = _medians(series, depth, len(hang))
    first = np.full(len(hang), -1, dtype=np.int64)
    held = np.flatnonzero((series >= 0) & np.isfinite(depth))[::-1]
    first[series[held]] = held
    told = np.flatnonzero(usual > hang + SUCTION_M)
    told = told[np.argsort(first[told], kind="stable")]
    return context.finding(
        "LEVEL_BELOW_PUMP",
        **levels.place(first[told]),
        where=_names(levels, first[told]),
        observed=np.round(usual[told], 1),
        limit=np.round(hang[told], 1),
    )


def _cells(levels: TypedTable, wells: TypedTable) -> tuple[Ints, Ints, int]:
    """Give the township and aquifer of wells and of levels one number, -1 where either is not known; and how many."""
    of_well, of_level = np.zeros(len(wells), dtype=np.int64), np.zeros(len(levels), dtype=np.int64)
    size = 1
    for name in ("township", "aquifer"):
        n = len(wells.distinct(name)) if name in wells else 0
        here = wells.codes(name) if n else np.full(len(wells), -1, dtype=np.int64)
        there = np.full(len(levels), -1, dtype=np.int64)
        if n and name in levels:
            there = np.append(places(levels.distinct(name), wells.distinct(name)), -1)[levels.codes(name)]
        of_well = np.where((of_well >= 0) & (here >= 0), of_well * n + here, -1)
        of_level = np.where((of_level >= 0) & (there >= 0), of_level * n + there, -1)
        size *= n
    return of_well, of_level, size


def _medians(group: Ints, values: Floats, size: int) -> Floats:
    """Median of the known values of each group 0 … size - 1, NaN where there is none."""
    known = (group >= 0) & np.isfinite(values)
    median = pd.Series(values[known]).groupby(group[known]).median()
    result = np.full(size, np.nan)
    result[median.index.to_numpy(dtype=np.int64)] = median.to_numpy()
    return result


def _names(levels: TypedTable, at: Ints) -> list[str]:
    parts = [levels.text(name, at) for name in ("well_id", "township", "aquifer") if name in levels]
    return [
        " ".join(str(cell) for cell in cells if isinstance(cell, str) and cell) for cells in zip(*parts, strict=True)
    ]
