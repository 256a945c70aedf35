"""Readings as bills and meters state them, settled into one row a reading: bands, directions, exchanges."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from elec2water import schema
from elec2water.findings import Findings
from elec2water.tables.keys import combine
from elec2water.tables.typed import TypedTable

if TYPE_CHECKING:
    from elec2water.tables.context import Context

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Settled = tuple[TypedTable, Findings]

BANDS = ("energy_sharp_kwh", "energy_peak_kwh", "energy_flat_kwh", "energy_valley_kwh")
_SUMMED = ("energy_kwh", "register_kwh", "register_start_kwh", "register_end_kwh", "metered_kwh")
_PERIOD = ("read_on", "start", "end", "month", "used_on")
_ROUNDING_KWH, _ROUNDING_REL = 1.0, 0.002
"""Parts are printed in whole kWh each: sums may differ by that much from the printed total."""


def settle(table: TypedTable, context: Context) -> Settled:
    """Bring readings of any statement into the two forms of the contract.

    Only what flows to the user counts (正向有功); of 总, 尖, 峰, 平 and 谷 only the total, which is held against its
    parts; what an exchanged meter had counted (换表电量) is added once; settlements (退补) become rows of their own
    with quality ``adjustment``; a start and an end register become the energy between them.

    Parameters
    ----------
    table : TypedTable
        Readings, typed.
    context : Context
        For the findings.

    Returns
    -------
    TypedTable
        Without the columns that only say how energy is made up.
    Findings
        What was left out, added or does not add up, with rows.
    """
    found = []
    for step in _STEPS:
        table, more = step(table, context)
        found.append(more)
    return table, Findings.concat(found)


def _close(one: Floats, other: Floats) -> Mask:
    return np.asarray(np.abs(one - other) <= np.maximum(_ROUNDING_KWH, _ROUNDING_REL * np.abs(other)))


def _rows(table: TypedTable, mask: Mask, context: Context, rule: str, **values: npt.NDArray[np.generic]) -> Findings:
    at = np.flatnonzero(mask)
    if len(at) == 0:
        return Findings.empty()
    return context.finding(rule, **table.place(at), **{name: value[at] for name, value in values.items()})


def _counted(table: TypedTable, mask: Mask, context: Context, rule: str, **values: object) -> Findings:
    if not mask.any():
        return Findings.empty()
    return context.finding(rule, observed=int(mask.sum()), row=table.rows[int(np.argmax(mask))], **values)


@cache
def _words(kind: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(schema.words(kind).items(), key=lambda item: -len(item[0])))


def _says(table: TypedTable, column: str, kind: str) -> npt.NDArray[np.object_] | None:
    """Give what the cells of a column say in the words of a kind: the longest found in the cell, "" for nothing.

    ``None`` where no cell says anything.
    """
    if column not in table:
        return None
    texts = [(text or "").lower() for text in table.distinct(column).to_pylist()]
    alone = schema.words(f"{kind}_alone")
    said = [next((value for word, value in _words(kind) if word in text), alone.get(text, "")) for text in texts]
    return np.array([*said, ""], dtype=object)[table.codes(column)] if any(said) else None


def _one_direction(table: TypedTable, context: Context) -> Settled:
    """Leave out what was fed back and what is not energy (反向, 无功)."""
    columns = [name for name in ("direction", "time_of_use", "quality") if name in table]
    spoken = [said for name in columns if (said := _says(table, name, "flow")) is not None]
    found = Findings.concat(_not_understood(table, name, context) for name in ("direction", "time_of_use"))
    if not spoken:
        return table.without("direction"), found
    other = np.logical_or.reduce([(said != "") & (said != "forward") for said in spoken])
    kwh = float(np.nansum(np.where(other, table.numbers("energy_kwh"), 0.0)))
    found += _counted(table, other, context, "DIRECTION_LEFT_OUT", kwh=kwh)
    return table.keep(~other).without("direction"), found


def _not_understood(table: TypedTable, name: str, context: Context) -> Findings:
    """Report cells of a direction or band that say neither: their rows count as if nothing were said."""
    if name not in table:
        return Findings.empty()
    known = [said for kind in ("flow", "band") if (said := _says(table, name, kind)) is not None]
    silent = np.logical_and.reduce([said == "" for said in known]) if known else np.ones(len(table), dtype=bool)
    at = np.flatnonzero(silent & ~table.is_blank(name))
    if not len(at):
        return Findings.empty()
    limit = ", ".join(schema.words("flow" if name == "direction" else "band"))
    return context.finding("UNKNOWN_WORD", **table.place(at), observed=table.text(name, at), column=name, limit=limit)


def _one_band(table: TypedTable, context: Context) -> Settled:
    """Of the rows of a meter and period keep the total; where only its parts are there, their sum."""
    band = _says(table, "time_of_use", "band")
    bare = table.without("time_of_use")
    if band is None:
        return bare, Findings.empty()
    part = (band != "") & (band != "total")
    if not part.any():
        return bare, Findings.empty()
    key = combine(*(table.codes(name) for name in ("meter_id", *_PERIOD) if name in table))
    group = np.unique(key, return_inverse=True)[1]
    has_total = np.zeros(int(group.max()) + 1, dtype=bool)
    has_total[group[~part]] = True
    complete = _all_bands(band, group, part)
    sums = {name: _sum_of(bare.numbers(name), group, part) for name in _SUMMED if name in bare}
    first = np.zeros(len(table), dtype=bool)
    first[np.unique(np.where(part, group, -1), return_index=True)[1]] = True
    first &= part & ~has_total[group]
    found = [
        _held_against_parts(bare, ~part & _has_parts(group, part), sums, complete, group, context),
        _rows(table, first & ~complete[group], context, "BANDS_INCOMPLETE"),
        _counted(table, part & has_total[group], context, "BANDS_LEFT_OUT"),
        _counted(table, first & complete[group], context, "BANDS_SUMMED"),
    ]
    summed = {
        name: np.where(first, np.where(complete[group], total[group], np.nan), bare.numbers(name))
        for name, total in sums.items()
    }
    return bare.with_columns(**summed).keep(~part | first), Findings.concat(found)


def _all_bands(band: npt.NDArray[np.object_], group: Ints, part: Mask) -> Mask:
    """Tell which groups have as many different bands as any group of the file."""
    names, code = np.unique(band[part].astype(str), return_inverse=True)
    there = np.zeros((int(group.max()) + 1, len(names)), dtype=bool)
    there[group[part], code] = True
    count = there.sum(axis=1)
    return np.asarray(count == count.max())


def _has_parts(group: Ints, part: Mask) -> Mask:
    there = np.zeros(int(group.max()) + 1, dtype=bool)
    there[group[part]] = True
    return np.asarray(there[group])


def _sum_of(values: Floats, group: Ints, part: Mask) -> Floats:
    """Sum the parts of every group; NaN where one of them is missing."""
    return np.asarray(np.bincount(group[part], weights=values[part], minlength=int(group.max()) + 1))


def _held_against_parts(
    table: TypedTable, totals: Mask, sums: dict[str, Floats], complete: Mask, group: Ints, context: Context
) -> Findings:
    energy = table.numbers("energy_kwh")
    if "energy_kwh" not in sums:
        return Findings.empty()
    of_parts = sums["energy_kwh"][group]
    known = totals & complete[group] & ~np.isnan(energy) & ~np.isnan(of_parts)
    return _rows(table, known & ~_close(of_parts, energy), context, "SUM_CHECK", observed=of_parts, limit=energy)


def _band_columns(table: TypedTable, context: Context) -> Settled:
    """Hold the total against the columns of its parts; where it is blank, sum them."""
    there = [name for name in BANDS if name in table]
    if not there:
        return table, Findings.empty()
    parts = np.array([table.numbers(name) for name in there])
    known = ~np.isnan(parts).all(axis=0)
    needed = [i for i, name in enumerate(there) if name != "energy_sharp_kwh"]
    whole = known & ~np.isnan(parts[needed]).any(axis=0) if len(needed) >= 2 else np.zeros(len(table), dtype=bool)
    of_parts, energy = np.nansum(parts, axis=0), table.numbers("energy_kwh")
    use = whole & np.isnan(energy)
    wrong = whole & ~np.isnan(energy) & ~_close(of_parts, energy)
    found = [
        _rows(table, wrong, context, "SUM_CHECK", observed=of_parts, limit=energy),
        _rows(table, known & ~whole & np.isnan(energy), context, "BANDS_INCOMPLETE"),
        _counted(table, use, context, "BANDS_SUMMED"),
    ]
    return table.with_columns(energy_kwh=np.where(use, of_parts, energy)).without(*BANDS), Findings.concat(found)


def _parts_of_the_bill(table: TypedTable, context: Context) -> Settled:
    """Tell what the meter counted from what was settled: 抄见 + 换表 is energy, 退补 stands apart."""
    names = ("metered_kwh", "exchange_kwh", "adjustment_kwh")
    if not any(name in table for name in names):
        return table, Findings.empty()
    energy = table.numbers("energy_kwh")
    moved = _moved(table)
    metered = np.where(np.isnan(table.numbers("metered_kwh")), moved, table.numbers("metered_kwh"))
    exchange, settled = (np.nan_to_num(table.numbers(name)) for name in names[1:])
    counted = metered + exchange
    billed = ~np.isnan(energy)
    more = billed & ((exchange != 0) | (settled != 0))
    stated = more & ~np.isnan(metered)
    ways = [_close(counted, energy), _close(counted + settled, energy), _close(metered, energy),
        _close(metered + settled, energy)]  # fmt: skip
    clear = stated & np.logical_or.reduce(ways)
    disagree = billed & ~np.isnan(table.numbers("metered_kwh")) & ~np.logical_or.reduce(ways)
    pumped = np.where(clear | ~billed, counted, energy)
    added = ~np.isnan(pumped) & (exchange != 0) & clear & ways[2] & ~ways[0] & ~ways[1]
    found = [
        _rows(table, disagree, context, "EXCHANGE_CHECK", observed=energy, limit=counted + settled),
        _rows(table, more & ~clear & ~disagree, context, "EXCHANGE_UNCLEAR", observed=energy, limit=exchange + settled),
        _rows(table, added, context, "EXCHANGE_ADDED", observed=exchange, limit=energy),
    ]
    bare = table.with_columns(energy_kwh=pumped).without(*names)
    return _with_adjustments(bare, settled), Findings.concat(found)


def _moved(table: TypedTable) -> Floats:
    """Give the difference of the two registers of a row times its multiplier, NaN where one is not known."""
    start, end = table.numbers("register_start_kwh"), table.numbers("register_end_kwh")
    return np.asarray((end - start) * table.numbers("multiplier"))


def _with_adjustments(table: TypedTable, settled: Floats) -> TypedTable:
    """Give every settlement a row of its own behind the others, of the same row of the file."""
    some = settled != 0
    if not some.any():
        return table
    if "quality" not in table:
        table = table.with_columns(quality=pa.nulls(len(table), pa.string()).dictionary_encode())
    rows = table.keep(some)
    ends = {name: np.full(len(rows), np.nan) for name in _SUMMED[1:4] if name in table}
    word = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(rows), np.int32)), pa.array(["adjustment"]))
    return table.stacked(rows.with_columns(energy_kwh=settled[some], quality=word, **ends))


def _exchange_rows(table: TypedTable, context: Context) -> Settled:
    """Add rows of exchanged meters (换表电量 by row) to the row of the same meter and period."""
    exchange = table.equals_word("quality", "exchange")
    if not exchange.any():
        return table, Findings.empty()
    key = combine(*(table.codes(name) for name in ("meter_id", *_PERIOD) if name in table))
    group = np.unique(key, return_inverse=True)[1]
    energy = table.numbers("energy_kwh")
    regular = ~exchange & ~table.equals_word("quality", "adjustment") & ~np.isnan(energy)
    count = np.bincount(group[regular], minlength=int(group.max()) + 1)
    joins = exchange & (count[group] == 1) & ~np.isnan(energy)
    more = np.bincount(group[joins], weights=energy[joins], minlength=len(count))
    takes = regular & (count[group] == 1) & (more[group] != 0)
    found = _rows(table, takes, context, "EXCHANGE_ADDED", observed=more[group], limit=energy)
    quality = table.columns["quality"].cast(pa.string())
    actual = pc.if_else(pa.array(exchange), "actual", quality).dictionary_encode()
    changed = table.with_columns(energy_kwh=np.where(takes, energy + more[group], energy), quality=actual)
    return changed.keep(~joins), found


def _two_registers(table: TypedTable, context: Context) -> Settled:
    """Take the energy between the registers of a row; where it cannot be told here, give both as reads."""
    if "register_end_kwh" not in table:
        return table.without("register_start_kwh"), Findings.empty()
    names = ("register_start_kwh", "register_end_kwh")
    first, last = (table.numbers(name) for name in names)
    energy, moved, multiplier = table.numbers("energy_kwh"), _moved(table), table.numbers("multiplier")
    adjusted = table.equals_word("quality", "adjustment")
    dated = ~np.isnat(table.dates("start")) & ~np.isnat(table.dates("end"))
    wrong = ~np.isnan(energy) & ~np.isnan(moved) & (moved >= 0) & ~_close(energy, moved) & ~adjusted
    found = [
        _rows(
            table, wrong, context, "MULTIPLIER_CHECK", observed=energy, limit=moved, multiplier=multiplier,
            ratio=np.divide(energy, last - first, out=np.full(len(table), np.nan), where=last > first),
        )
    ]  # fmt: skip
    told = np.isnan(energy) & dated & (moved >= 0)
    energy = np.where(told, moved, energy)
    open_ = np.isnan(energy) & ~np.isnan(last)
    register = np.where(open_ & np.isnan(table.numbers("register_kwh")), last, table.numbers("register_kwh"))
    day = np.where(open_ & np.isnat(table.dates("read_on")), table.dates("end"), table.dates("read_on"))
    whole = table.with_columns(energy_kwh=energy, register_kwh=register, read_on=day)
    begins = open_ & dated & ~np.isnan(first)
    rows = whole.keep(begins).with_columns(register_kwh=first[begins], read_on=table.dates("start")[begins])
    return _new_reads(whole.without(*names), rows.without(*names)), Findings.concat(found)


def _new_reads(table: TypedTable, earlier: TypedTable) -> TypedTable:
    """Add reads unless the row before has the very same one: the end of a period is the start of the next."""
    if not len(earlier):
        return table
    both = table.stacked(earlier)
    key = combine(both.codes("meter_id"), both.codes("read_on"), both.codes("register_kwh"))
    repeated = np.isin(key[len(table) :], key[: len(table)])
    return table.stacked(earlier.keep(~repeated))


_STEPS: tuple[Callable[[TypedTable, Context], Settled], ...] = (
    _one_direction,
    _one_band,
    _band_columns,
    _parts_of_the_bill,
    _exchange_rows,
    _two_registers,
)
