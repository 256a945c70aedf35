"""Readings by account or by well: the meter that the table of meters knows for it, where there is but one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from elec2water.findings import Findings
from elec2water.identifiers import places
from elec2water.tables.context import Context
from elec2water.tables.typed import TypedTable


def by_meter(tables: Mapping[str, TypedTable], lang: str) -> tuple[dict[str, TypedTable], Findings]:
    """Replace identifiers of readings that are accounts (户号) or wells by the meter they stand for.

    Parameters
    ----------
    tables : mapping of str to TypedTable
        What was read.
    lang : str
        Language of the findings.

    Returns
    -------
    dict of str to TypedTable
        The same tables; readings by meter as far as the table of meters tells.
    Findings
        An info with the count; a warning for each account that has several meters.
    """
    done = dict(tables)
    if "readings" in tables and "meters" not in tables:
        return _linked_by_readings(done, lang)
    if "readings" not in tables or "meters" not in tables:
        return done, Findings.empty()
    readings, meters = tables["readings"], tables["meters"]
    context = Context("readings", ", ".join(readings.files), lang)
    found = []
    for column in ("account_no", "well_id"):
        if column in meters:
            readings, more = _by(readings, meters, column, context)
            found.append(more)
    done["readings"] = readings
    return done, Findings.concat([*found, _other_accounts(tables["readings"], meters, context)])


def _linked_by_readings(tables: dict[str, TypedTable], lang: str) -> tuple[dict[str, TypedTable], Findings]:
    """Make the table of meters that nobody gave from readings that name meter and well side by side."""
    readings = tables["readings"]
    if "well_id" not in readings or "wells" not in tables:
        return tables, Findings.empty()
    meter, well = (readings.codes(name) for name in ("meter_id", "well_id"))
    known = np.append(places(readings.distinct("well_id"), tables["wells"].distinct("well_id")), -1)[well] >= 0
    named = np.flatnonzero((meter >= 0) & known)
    if not len(named):
        return tables, Findings.empty()
    _, first = np.unique(meter[named] * (int(well.max()) + 1) + well[named], return_index=True)
    mask = np.zeros(len(readings), dtype=bool)
    mask[named[first]] = True
    rows = readings.keep(mask)
    columns = {name: rows.columns[name] for name in ("meter_id", "well_id", "account_no") if name in rows}
    columns["multiplier"] = np.ones(len(rows))
    links = TypedTable("meters", columns, rows.rows, rows.file_codes, rows.files)
    found = Context("readings", ", ".join(readings.files), lang).finding("LINKS_FROM_READINGS", observed=len(rows))
    return {**tables, "meters": links}, found


def _other_accounts(readings: TypedTable, meters: TypedTable, context: Context) -> Findings:
    """Report meters whose readings name another account than the table of meters: one of the two is another's."""
    if "account_no" not in readings or "account_no" not in meters:
        return Findings.empty()
    size = len(meters.distinct("account_no")) + 1
    meter, account = (
        np.append(places(readings.distinct(name), meters.distinct(name)), -1)[readings.codes(name)]
        for name in ("meter_id", "account_no")
    )
    told = (meters.codes("meter_id") >= 0) & (meters.codes("account_no") >= 0)
    stated = meters.codes("meter_id")[told] * size + meters.codes("account_no")[told]
    rows = np.flatnonzero((meter >= 0) & (readings.codes("account_no") >= 0))
    rows = rows[np.isin(meter[rows], meters.codes("meter_id")[told])]
    strange = rows[~np.isin(meter[rows] * size + account[rows], stated)]
    _, first = np.unique(meter[strange], return_index=True)
    at = strange[np.sort(first)]
    of_meter = dict(
        zip(meters.codes("meter_id")[told].tolist(), meters.codes("account_no")[told].tolist(), strict=True)
    )
    names = meters.distinct("account_no").to_pylist()
    known = [names[of_meter[m]] for m in meter[at].tolist()]
    return context.finding(
        "ACCOUNT_MISMATCH", **readings.place(at), observed=readings.text("account_no", at), limit=known
    )


def _by(readings: TypedTable, meters: TypedTable, column: str, context: Context) -> tuple[TypedTable, Findings]:
    ids = readings.distinct("meter_id")
    strange = np.flatnonzero(places(ids, meters.distinct("meter_id")) < 0)
    if len(strange) == 0:
        return readings, Findings.empty()
    place = places(ids.take(pa.array(strange)), meters.distinct(column))
    first, several = _meters_of(meters, column)
    one = (place >= 0) & ~several[place]
    many = (place >= 0) & several[place]
    found = [_several(readings, strange[many], column, context)]
    if not one.any():
        return readings, Findings.concat(found)
    texts = ids.to_pylist()
    names = meters.distinct("meter_id").to_pylist()
    for at, of in zip(strange[one].tolist(), place[one].tolist(), strict=True):
        texts[at] = names[first[of]]
    values = pa.array(texts, pa.string()).dictionary_encode()
    codes = np.append(np.asarray(values.indices).astype(np.int32), np.int32(-1))[readings.codes("meter_id")]
    changed = pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), values.dictionary)
    found.append(context.finding("ACCOUNT_AS_METER", observed=int(one.sum()), column=column))
    return readings.with_columns(meter_id=changed), Findings.concat(found)


def _meters_of(meters: TypedTable, column: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Give the first meter of every distinct value of a column, and whether there are several."""
    code, meter = meters.codes(column), meters.codes("meter_id")
    use = (code >= 0) & (meter >= 0)
    first = np.full(len(meters.distinct(column)) + 1, -1, dtype=np.int64)
    first[code[use][::-1]] = meter[use][::-1]
    several = np.zeros(len(first), dtype=bool)
    several[code[use][first[code[use]] != meter[use]]] = True
    return first, several


def _several(readings: TypedTable, at: npt.NDArray[np.int64], column: str, context: Context) -> Findings:
    if len(at) == 0:
        return Findings.empty()
    rows = np.flatnonzero(np.isin(readings.codes("meter_id"), at))
    _, first = np.unique(readings.codes("meter_id")[rows], return_index=True)
    return context.finding("ACCOUNT_AMBIGUOUS", **readings.place(rows[first]), column=column)
