"""Checks between tables: what one table names and another does not know, with the energy at stake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from elec2water.findings import Findings
from elec2water.identifiers import places
from elec2water.tables.coefficients import doubtful_coefficients
from elec2water.tables.context import Context
from elec2water.tables.depths import below_pumps
from elec2water.tables.names import names_alike, names_unknown
from elec2water.tables.places import far_links, permits_and_pumps

if TYPE_CHECKING:
    from elec2water.tables.typed import TypedTable


_WRITTEN_OTHERWISE = (
    (r"\.0+$", ""), (r"\([^()]*\)$", ""), (r"[\s_/.#-]+", ""), ("o", "0"), ("[il]", "1"), ("^0+", ""),
)  # fmt: skip


def relate(tables: Mapping[str, TypedTable], lang: str = "zh") -> Findings:
    """Hold the tables against each other.

    Parameters
    ----------
    tables : mapping of str to TypedTable
        ``wells`` and whatever else was read without an error.
    lang : str
        Language of the findings.

    Returns
    -------
    Findings
        Warnings, one for each identifier that is not known on the other side.
    """
    if "wells" not in tables:
        return Findings.empty()
    contexts = {name: Context(name, ", ".join(table.files), lang) for name, table in tables.items()}
    found = [_unknown(tables, contexts, "pairs", "well_id", "ORPHAN_PAIR")]
    found.append(_unknown(tables, contexts, "water_levels", "well_id", "ORPHAN_LEVEL"))
    found.append(names_alike(tables["wells"], contexts["wells"]))
    if "water_levels" in tables:
        found.append(names_unknown(tables["water_levels"], tables["wells"], contexts["water_levels"]))
        found.append(below_pumps(tables["water_levels"], tables["wells"], contexts["water_levels"]))
    if "permits" in tables:
        found.append(permits_and_pumps(tables["wells"], tables["permits"], contexts["permits"]))
        found.append(_unknown_permits(tables, contexts["wells"]))
    if "pairs" in tables:
        found.append(doubtful_coefficients(tables["pairs"], tables["wells"], contexts["pairs"]))
    if "meters" in tables:
        found.append(far_links(tables["meters"], tables["wells"], contexts["meters"]))
    found += _links(tables, contexts)
    return Findings.concat(found)


def _first_rows(table: TypedTable, name: str) -> npt.NDArray[np.int64]:
    """Give the position of the first record of every distinct value."""
    codes = table.codes(name)
    first = np.full(len(table.distinct(name)), -1, dtype=np.int64)
    present = np.flatnonzero(codes >= 0)[::-1]
    first[codes[present]] = present
    return first


def _candidates(unknown: pa.Array, other: pa.Array) -> list[str]:
    """Name the only known identifier that differs in how it is written; it is shown, never applied."""
    if len(unknown) == 0:
        return []
    reduced = _reduced(other)
    counts = {item["values"]: item["counts"] for item in pc.value_counts(reduced).to_pylist()}
    place = pc.index_in(_reduced(unknown), value_set=reduced).to_pylist()
    keys = _reduced(unknown).to_pylist()
    return [
        "" if at is None or counts[key] > 1 else str(other[at].as_py()) for key, at in zip(keys, place, strict=True)
    ]


def _reduced(values: pa.Array) -> pa.Array:
    """Take away what hands and spreadsheets change: leading zeros, case, blanks and strokes, remarks, O for 0, 12.0."""
    text = pc.utf8_lower(values)
    for pattern, by in _WRITTEN_OTHERWISE:
        text = pc.replace_substring_regex(text, pattern=pattern, replacement=by)
    return text


def _unknown(
    tables: Mapping[str, TypedTable], contexts: Mapping[str, Context], name: str, column: str, rule: str
) -> Findings:
    if name not in tables or column not in tables[name]:
        return Findings.empty()
    table, registry = tables[name], tables["wells"].distinct("well_id")
    first = _first_rows(table, column)
    missing = np.flatnonzero((first >= 0) & (places(table.distinct(column), registry) < 0))
    if len(missing) == 0:
        return Findings.empty()
    values = table.distinct(column).take(pa.array(missing))
    hints = _hints(values, registry)
    where = table.place(first[missing])
    return contexts[name].finding(rule, **where, candidate=hints) + _lost_zeros(contexts[name], where, values, hints)


def _hints(values: pa.Array, registry: pa.Array) -> list[str]:
    shown = _candidates(values[:2000], registry)
    return shown + [""] * (len(values) - len(shown))


def _lost_zeros(context: Context, where: Mapping[str, object], values: pa.Array, hints: list[str]) -> Findings:
    """Say of unknown identifiers that they are a known one without its leading zeros (or with more, or as 12.0)."""
    texts = values.to_pylist()
    bare = [text.lower().removesuffix(".0").lstrip("0") for text in texts]
    known = [hint.lower() for hint in hints]
    at = [i for i, text in enumerate(texts) if known[i] not in ("", text.lower()) and known[i].lstrip("0") == bare[i]]
    some = {name: np.asarray(cells, dtype=object)[at] for name, cells in where.items()}
    return context.finding("ID_LENGTH", **some, observed=[texts[i] for i in at], limit=[hints[i] for i in at])


def _amount(kwh: npt.NDArray[np.float64]) -> list[str]:
    """Write the energy for a reader, nothing where a register alone does not tell it."""
    return ["" if np.isnan(value) else f"{value:.0f}" if value >= 1e6 else f"{value:.6g}" for value in kwh]


def _unknown_permits(tables: Mapping[str, TypedTable], context: Context) -> Findings:
    wells, permits = tables["wells"], tables["permits"]
    if "permit_no" not in wells or "permit_no" not in permits:
        return Findings.empty()
    first = _first_rows(wells, "permit_no")
    missing = np.flatnonzero((first >= 0) & (places(wells.distinct("permit_no"), permits.distinct("permit_no")) < 0))
    at = first[missing]
    return context.finding("PERMIT_NOT_FOUND", **wells.place(at), observed=wells.text("permit_no", at))


def _reversed(found: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Turn the map of distinct keys into distinct values around, without looking anything up again."""
    back = np.full(size, -1, dtype=np.int64)
    known = np.flatnonzero(found >= 0)
    back[found[known]] = known
    return back


def _links(tables: Mapping[str, TypedTable], contexts: Mapping[str, Context]) -> list[Findings]:
    """Follow the energy: readings → meters → wells, and back."""
    if "readings" not in tables:
        return []
    readings, wells = tables["readings"], tables["wells"]
    links = tables.get("meters")
    meters = wells.distinct("well_id") if links is None else links.distinct("meter_id")
    read_meters = readings.distinct("meter_id")
    known = places(read_meters, meters)
    energy = _energy_by_meter(readings)
    first = _first_rows(readings, "meter_id")
    at = np.flatnonzero((first >= 0) & (known < 0))
    strange = read_meters.take(pa.array(at))
    hints = _hints(strange, meters)
    where = readings.place(first[at])
    found = [
        _lost_zeros(contexts["readings"], where, strange, hints),
        contexts["readings"].finding(
            "ORPHAN_READING",
            **where,
            observed=energy[at],
            kwh=_amount(energy[at]),
            energy_kwh=np.abs(energy[at]),
            candidate=hints,
        ),
    ]
    back = _reversed(known, len(meters))
    meter_energy = np.append(energy, np.nan)[back]
    if links is None:
        return found + _well_findings(wells, back >= 0, meter_energy, contexts["wells"])
    registry = places(links.distinct("well_id"), wells.distinct("well_id"))
    found += _link_findings(links, registry, wells.distinct("well_id"), back, meter_energy, contexts["meters"])
    to_link = _reversed(registry, len(wells.distinct("well_id")))
    per_well = np.append(_well_energy(links, meter_energy), np.nan)[to_link]
    return found + _well_findings(wells, to_link >= 0, per_well, contexts["wells"])


def _energy_by_meter(readings: TypedTable) -> npt.NDArray[np.float64]:
    """Sum the billed kWh of each distinct meter; NaN where only a register is given."""
    codes, size = readings.codes("meter_id"), len(readings.distinct("meter_id"))
    energy = readings.numbers("energy_kwh")
    use = (codes >= 0) & ~np.isnan(energy)
    if not use.all():
        codes, energy = codes[use], energy[use]
    total = np.bincount(codes, weights=energy, minlength=size)
    billed = np.bincount(codes, minlength=size) > 0
    return np.asarray(np.where(billed, total, np.nan), dtype=np.float64)


def _well_energy(links: TypedTable, meter_energy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sum the kWh of the meters of each distinct linked well (a shared meter counts whole for each of its wells)."""
    meter, well = links.codes("meter_id"), links.codes("well_id")
    use = (meter >= 0) & (well >= 0)
    weights = np.nan_to_num(meter_energy)[meter[use]]
    return np.asarray(np.bincount(well[use], weights=weights, minlength=len(links.distinct("well_id"))), np.float64)


def _link_findings(
    links: TypedTable,
    registry: npt.NDArray[np.int64],
    known_wells: pa.Array,
    back: npt.NDArray[np.int64],
    meter_energy: npt.NDArray[np.float64],
    context: Context,
) -> list[Findings]:
    at = np.flatnonzero(np.append(registry, 0)[links.codes("well_id")] < 0)
    kwh = np.append(meter_energy, np.nan)[links.codes("meter_id")[at]]
    strange = links.columns["well_id"].take(pa.array(at)).cast(pa.string())
    hints = _hints(strange, known_wells)
    first = _first_rows(links, "meter_id")
    silent = np.flatnonzero((first >= 0) & (back < 0))
    return [
        context.finding(
            "ORPHAN_METER",
            **links.place(at),
            observed=kwh,
            kwh=_amount(kwh),
            energy_kwh=np.abs(kwh),
            candidate=hints,
        ),
        _lost_zeros(context, links.place(at), strange, hints),
        context.finding("LINK_WITHOUT_READINGS", **links.place(first[silent])),
    ]


def _well_findings(
    wells: TypedTable, served: npt.NDArray[np.bool_], energy: npt.NDArray[np.float64], context: Context
) -> list[Findings]:
    codes = wells.codes("well_id")
    electric = ~wells.equals_word("power_source", "diesel", "solar")
    closed = wells.equals_word("status", "sealed", "abandoned")
    without = np.flatnonzero(~np.append(served, values=True)[codes] & electric & ~closed)
    kwh = np.append(energy, np.nan)[codes]
    inactive = np.flatnonzero(closed & (kwh > 0))
    return [
        context.finding("ORPHAN_WELL", **wells.place(without)),
        context.finding(
            "INACTIVE_WITH_ENERGY", **wells.place(inactive), observed=kwh[inactive], energy_kwh=kwh[inactive]
        ),
    ]
