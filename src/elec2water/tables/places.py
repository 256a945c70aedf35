"""Where wells lie and what their permits say, held against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import cKDTree

from elec2water import identifiers
from elec2water.findings import Findings
from elec2water.tables.typed import TypedTable

if TYPE_CHECKING:
    from elec2water.tables.context import Context

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Checked = tuple[TypedTable, Findings]

SAME_WELL_M = 5.0
"""Wells nearer than a rig's own size are one well, or a nest of wells of different depths."""
COARSE_SHARE = 0.05
"""Where more pairs of wells than this share of all wells stand in one place, the places are rounded."""
FAR_KM, FAR_TIMES = 60.0, 8.0
"""A well farther from the middle than this, and than so many median distances, is not of the county."""
LINK_KM = 5.0
"""Wells of one meter lie on the lines of one transformer, not farther apart than this."""
_HOURS = 8760.0
_TOO_MUCH, _TOO_LITTLE = 10.0, 5e-4
"""Pumps of farms run some hundred to two thousand hours: permits are 0.01 to 0.3 of what they could lift."""
_TINY_M3 = 20.0
_M_PER_DEGREE = 111_320.0
_PERMIT = r"^[A-D](?P<division>[0-9]{6})(?P<source>[SG])[0-9]{4}-[0-9]{4,}$"


def _metres(table: TypedTable) -> tuple[npt.NDArray[np.int64], Floats]:
    """Give the wells with a position, and their places on a plane [m]."""
    longitude, latitude = table.numbers("longitude"), table.numbers("latitude")
    known = np.flatnonzero(~np.isnan(longitude) & ~np.isnan(latitude))
    north = latitude[known]
    east = longitude[known] * np.cos(np.deg2rad(np.median(north))) if len(known) else longitude[known]
    return known, np.column_stack([east, north]) * _M_PER_DEGREE


def far_positions(table: TypedTable, context: Context) -> Checked:
    """Leave out positions far from all others: mistyped degrees, or another county's well."""
    known, places = _metres(table)
    if len(known) < 8:
        return table, Findings.empty()
    distance = np.hypot(*(places - np.median(places, axis=0)).T)
    limit = max(FAR_KM * 1000.0, FAR_TIMES * float(np.median(distance)))
    far = known[distance > limit]
    found = context.finding(
        "POSITION_OUTLIER", **table.place(far), observed=np.round(distance[distance > limit] / 1000)
    )
    mask = np.zeros(len(table), dtype=bool)
    mask[far] = True
    return table.blanked(("longitude", "latitude"), mask), found


def same_wells(table: TypedTable, context: Context) -> Checked:
    """Report wells of one layer and depth within a few metres of each other."""
    known, places = _metres(table)
    close = may_be_near(places, SAME_WELL_M)
    known, places = known[close], places[close]
    if len(known) < 2:
        return table, Findings.empty()
    found = cKDTree(places).query(places, k=2, distance_upper_bound=SAME_WELL_M)
    distance, nearest = (np.asarray(part) for part in found)
    # where several wells share a place the first neighbour may be the well itself or any of them
    other = np.where(nearest[:, 0] == np.arange(len(known)), nearest[:, 1], nearest[:, 0])
    near = np.flatnonzero(np.isfinite(distance[:, 1]) & (other < len(known)))
    one, two = known[near], known[other[near]]
    alike = _alike(table, one, two)
    one, two, apart = one[alike], two[alike], distance[near, 1][alike]
    later = one > two
    if later.sum() > max(COARSE_SHARE * len(close), 4):
        return table, context.finding("POSITION_COARSE", observed=len(one))
    return table, context.finding(
        "POSSIBLE_SAME_WELL",
        **table.place(one[later]),
        limit=table.text("well_id", two[later]),
        observed=np.round(apart[later], 1),
    )


def may_be_near(places: Floats, distance: float) -> Mask:
    """Say which places may have another so near: all that have one are among them.

    Of two places no farther apart one square of twice the distance holds both, in one of four grids shifted by it.

    Parameters
    ----------
    places : (N, 2) array
    distance : float

    Returns
    -------
    (N,) array of bool
        No place is among them whose nearest is farther away than such a square is wide.
    """
    near = np.zeros(len(places), dtype=bool)
    for shift in np.ndindex(2, 2):
        cell = np.floor((places / distance + shift) / 2).astype(np.int64)
        near |= pd.Series(cell[:, 0] * (1 << 31) + cell[:, 1]).duplicated(keep=False).to_numpy()
    return near


def _alike(table: TypedTable, one: npt.NDArray[np.int64], two: npt.NDArray[np.int64]) -> Mask:
    """Whether nothing known tells two wells apart: layer, depths, power."""
    alike = np.ones(len(one), dtype=bool)
    if "aquifer" in table:
        code = table.codes("aquifer")
        alike &= (code[one] == code[two]) | (code[one] < 0) | (code[two] < 0)
    for name in ("pump_depth_m", "well_depth_m"):
        values = table.numbers(name)
        differs = np.abs(values[one] - values[two]) > 0.1 * np.maximum(values[one], values[two])
        alike &= ~differs
    return np.asarray(alike)


def permit_numbers(table: TypedTable, context: Context) -> Checked:
    """Warn of permits that are not written as electronic permits are, or whose division or source does not fit."""
    if "permit_no" not in table:
        return table, Findings.empty()
    texts = table.distinct("permit_no")
    parts = pc.extract_regex(texts, pattern=_PERMIT)
    if context.table == "wells":
        of_surface = np.asarray(pc.fill_null(pc.equal(pc.struct_field(parts, "source"), "S"), fill_value=False))
        surface = _by_row(table, of_surface) & ~table.is_blank("aquifer")
        reason = "S：地表水" if context.lang == "zh" else "S: surface water"
        return table, _permits(table, surface, reason, context)
    old = _by_row(table, np.asarray(pc.and_(pc.is_null(parts), pc.not_equal(texts, ""))))
    said = _mismatches(pc.struct_field(parts, "division"), context.county_code)
    wrong = _by_row(table, said != "")
    found = context.finding("PERMIT_FORMAT", **table.place(np.flatnonzero(old)), observed=_numbers(table, old))
    return table, found + _permits(table, wrong, said[table.codes("permit_no")[wrong]], context)


def _mismatches(division: pa.Array, county: str) -> npt.NDArray[np.object_]:
    """Say for each permit whose division is not the county, its city or its province: which."""
    coded = division.dictionary_encode()
    fits = {county, f"{county[:4]}00", f"{county[:2]}0000"}
    names = coded.dictionary.to_pylist()
    said = ["" if not county or name in fits else f"{name} ≠ {county}" for name in names]
    return np.asarray(np.array([*said, ""], dtype=object)[np.asarray(coded.indices.fill_null(-1))])


def _by_row(table: TypedTable, distinct: Mask) -> Mask:
    return np.asarray(np.append(distinct, np.False_)[table.codes("permit_no")])


def _numbers(table: TypedTable, mask: Mask) -> npt.NDArray[np.object_]:
    return table.text("permit_no", np.flatnonzero(mask)) if mask.any() else np.zeros(0, dtype=object)


def _permits(table: TypedTable, mask: Mask, reason: str | npt.NDArray[np.object_], context: Context) -> Findings:
    at = np.flatnonzero(mask)
    if len(at) == 0:
        return Findings.empty()
    return context.finding("PERMIT_MISMATCH", **table.place(at), observed=table.text("permit_no", at), limit=reason)


def permits_and_pumps(wells: TypedTable, permits: TypedTable, context: Context) -> Findings:
    """Hold the volume of every permit against what its pumps can lift: a factor of ten thousand is a unit."""
    if "permit_no" not in wells or "permit_no" not in permits:
        return Findings.empty()
    power, depth = wells.numbers("pump_power_kw"), wells.numbers("pump_depth_m")
    # every hour of the year at half the energy lost, from the depth of the pump
    capacity = power * _HOURS * 367.1 * 0.5 / np.fmax(depth, 10.0)
    of_permit = identifiers.places(wells.distinct("permit_no"), permits.distinct("permit_no"))
    place = np.append(of_permit, -1)[wells.codes("permit_no")]
    use = place >= 0
    total = np.bincount(place[use], weights=capacity[use], minlength=len(permits.distinct("permit_no")))
    count = np.bincount(place[use], minlength=len(total))
    volume = permits.numbers("annual_volume_m3")
    codes = permits.codes("permit_no")
    able = np.append(np.where(count > 0, total, np.nan), np.nan)[codes]
    ratio = np.divide(volume, able, out=np.full(len(permits), np.nan), where=(able > 0) & (volume > 0))
    tiny = np.isnan(able) & (volume > 0) & (volume < _TINY_M3)
    at = np.flatnonzero((ratio > _TOO_MUCH) | (ratio < _TOO_LITTLE) | tiny)
    return context.finding(
        "UNIT_SUSPECT@PERMITS",
        **permits.place(at),
        observed=permits.text("permit_no", at) if len(at) else np.zeros(0, dtype=object),
        limit=volume[at],
        ratio=[f"{value:.2g}" for value in ratio[at]],
    )


def far_links(meters: TypedTable, wells: TypedTable, context: Context) -> Findings:
    """Report meters whose wells lie farther apart than a low-voltage line reaches (``LINK_FAR``)."""
    if not {"meter_id", "well_id"} <= meters.columns.keys() or "well_id" not in wells:
        return Findings.empty()
    known, places = _metres(wells)
    place = np.full(len(wells.distinct("well_id")) + 1, -1, dtype=np.int64)
    place[wells.codes("well_id")[known]] = np.arange(len(known))
    of_well = identifiers.places(meters.distinct("well_id"), wells.distinct("well_id"))
    at = np.append(place[of_well], -1)[meters.codes("well_id")]
    link = np.flatnonzero((at >= 0) & (meters.codes("meter_id") >= 0))
    code, here = meters.codes("meter_id")[link], places[at[link]]
    low, high = (np.full((len(meters.distinct("meter_id")), 2), bound) for bound in (np.inf, -np.inf))
    np.minimum.at(low, code, here)
    np.maximum.at(high, code, here)
    apart = np.hypot(*(high - low).T) / 1000.0
    far = apart[code] > LINK_KM
    return context.finding(
        "LINK_FAR", **meters.place(link[far]), observed=np.round(apart[code[far]], 1), limit=f"{LINK_KM:g}"
    )
