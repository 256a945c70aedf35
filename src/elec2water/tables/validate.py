"""Checks within one table: blanks, duplicates, order of dates, values that contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from elec2water import schema
from elec2water.findings import Findings
from elec2water.tables.cycle import first_of_the_day, since_last_read
from elec2water.tables.electricity import settle
from elec2water.tables.ends import exclusive_ends, inclusive_links
from elec2water.tables.keys import combine, in_order, repeated
from elec2water.tables.ledger import reads_of_uses
from elec2water.tables.parse import longest
from elec2water.tables.places import far_positions, permit_numbers, same_wells
from elec2water.tables.ratios import multipliers_of_ratios
from elec2water.tables.running import running_totals
from elec2water.tables.sessions import sum_of_uses, uses_by_day
from elec2water.tables.typed import TypedTable

if TYPE_CHECKING:
    from elec2water.tables.context import Context

Mask = npt.NDArray[np.bool_]
Checked = tuple[TypedTable, Findings]
Times = npt.NDArray[np.int64]

_MEASURED = ("energy_kwh", "volume_m3")
_SAME_FIGURE = 0.01  # pairs of one period that differ by less were rounded twice
_FILLED_UP = "^[0-9]{15}0+$"
_ROUNDED_FROM = 16
_FILLED_SHARE = 0.2
_LATE_S = 2 * 365 * 86_400
COEFFICIENT_BOUNDS = (0.05, 60.0)
"""m³/kWh: 367.1·η/H at η = 0.1 under 730 m of head, and at η = 0.8 under 5 m."""
STATED_WITHIN = 0.02
"""A coefficient that stands beside its volume and energy is rounded, and no more than that."""


def validate(table: TypedTable, context: Context) -> Checked:
    """Check one table.

    Parameters
    ----------
    table : TypedTable
        All files of it.
    context : Context
        For the findings.

    Returns
    -------
    TypedTable
        Exact duplicates dropped; numbers that cannot stand are missing.
    Findings
        One for each record (or for a whole column that is blank).
    """
    table, found = _drop_copies(table, context)
    found += _blank_ids(table, context) + _rounded_ids(table, context)
    for check in _CHECKS[table.table]:
        table, more = check(table, context)
        found += more
    return table, found


def _key_names(table: TypedTable) -> list[str]:
    keys = {
        "wells": ["well_id"],
        "meters": ["meter_id", "well_id"],
        "readings": ["meter_id", "read_on", "start", "end", "month", "used_on"],
        "pairs": ["well_id", "start", "end"],
        "water_levels": ["well_id", "township", "aquifer", "date", "month"],
        "permits": ["permit_no"],
        "corrections": ["meter_id", "start", "end"],
    }
    return [name for name in keys[table.table] if name in table]


def _drop_copies(table: TypedTable, context: Context) -> Checked:
    """Drop rows equal in every column; only rows that share a key are compared in full."""
    names = _key_names(table)
    if not names or len(table) < 2:
        return table, Findings.empty()
    if len(names) > 1 and _all_differ(table, *names[:2]):
        return table, Findings.empty()
    suspects = np.flatnonzero(repeated(combine(*(table.codes(name) for name in names))))
    if len(suspects) == 0:
        return table, Findings.empty()
    part = table.keep(_mask_of(suspects, len(table)))
    copies = suspects[pd.Series(combine(*(part.codes(name) for name in part.columns))).duplicated().to_numpy()]
    if len(copies) == 0:
        return table, Findings.empty()
    found = context.finding("DUPLICATE_ROW", **table.place(copies))
    return table.keep(~_mask_of(copies, len(table))), found


def _all_differ(table: TypedTable, one: str, other: str) -> bool:
    """Tell whether no two rows share both keys, at a glance where a file is in order by meter or by month."""
    a, b = table.ranks(one), table.ranks(other)
    return in_order(a, b) or in_order(b, a) or not repeated(combine(table.codes(one), table.codes(other))).any()


def _mask_of(at: npt.NDArray[np.int64], size: int) -> Mask:
    mask = np.zeros(size, dtype=bool)
    mask[at] = True
    return mask


def _blank_ids(table: TypedTable, context: Context) -> Findings:
    """Report records that name no well, meter or permit: an error where the table is the registry of them."""
    rule = "BLANK_ID" if table.table in ("wells", "permits") else "BLANK_LINK"
    ids = [c for c in schema.columns(table.table) if c.required and c.type == "id" and c.column in table]
    blank = [(c, np.flatnonzero(table.is_blank(c.column))) for c in ids]
    return Findings.concat(
        context.finding(rule, **table.place(at), column=c.column, limit=c.heading_zh) for c, at in blank if len(at)
    )


def _mark(
    table: TypedTable, context: Context, rule: str, mask: Mask, *, leave_out: Sequence[str] = (), **values: object
) -> Checked:
    """Report the rows of a mask and leave out their numbers; values that are arrays go along the whole table."""
    at = np.flatnonzero(mask)
    if len(at) == 0:
        return table, Findings.empty()
    taken = {name: value[at] if isinstance(value, np.ndarray) else value for name, value in values.items()}
    found = context.finding(rule, **table.place(at), **taken)
    return table.blanked([name for name in leave_out if name in table], mask), found


def _unique_ids(rule: str) -> Callable[[TypedTable, Context], Checked]:
    def check(table: TypedTable, context: Context) -> Checked:
        names = [*_key_names(table), *(["valid_from"] if table.table == "permits" else [])]
        there = [name for name in names if name in table]
        mask = repeated(combine(*(table.codes(name) for name in there))) & ~table.is_blank(there[0])
        return _mark(table, context, rule, mask, observed=_text_where(table, there[0], mask))

    return check


def _text_where(table: TypedTable, name: str, mask: Mask) -> npt.NDArray[np.object_]:
    cells = np.empty(len(table), dtype=object)
    cells[mask] = table.text(name, np.flatnonzero(mask)) if mask.any() else None
    return cells


def _half_position(table: TypedTable, context: Context) -> Checked:
    """Leave out a position of which only one half is valid."""
    longitude, latitude = table.numbers("longitude"), table.numbers("latitude")
    alone = np.isnan(longitude) != np.isnan(latitude)
    if "longitude" not in table or "latitude" not in table:
        alone[:] = False
    return _mark(table, context, "POSITION_INCOMPLETE", alone, leave_out=("longitude", "latitude"))


def _depth_order(table: TypedTable, context: Context) -> Checked:
    pump, well = table.numbers("pump_depth_m"), table.numbers("well_depth_m")
    return _mark(
        table,
        context,
        "DEPTH_ORDER",
        pump > well,
        leave_out=("pump_depth_m", "well_depth_m"),
        observed=pump,
        limit=well,
    )


def _link_order(table: TypedTable, context: Context) -> Checked:
    start, end = table.dates("valid_from"), table.dates("valid_to")
    return _mark(table, context, "PERIOD_ORDER", end < start, observed=end, limit=start)


def _multipliers(table: TypedTable, context: Context) -> Checked:
    """Report links whose multiplier is stated but cannot be read: registers then count as they stand."""
    if "multiplier" not in table:
        return table, Findings.empty()
    return _mark(table, context, "MULTIPLIER_UNKNOWN", np.isnan(table.numbers("multiplier")))


def _rounded_ids(table: TypedTable, context: Context) -> Findings:
    """Refuse long identifiers that end in zeros together: a spreadsheet keeps fifteen digits and fills up."""
    parts = []
    for column in schema.columns(table.table):
        if column.type != "id" or column.column not in table:
            continue
        values = table.distinct(column.column)
        if longest(values) < _ROUNDED_FROM:
            continue
        long = np.asarray(pc.match_substring_regex(values, "^[0-9]{16,}$").fill_null(fill_value=False)).astype(bool)
        zeros = np.asarray(pc.match_substring_regex(values, _FILLED_UP).fill_null(fill_value=False)).astype(bool)
        if zeros.sum() >= 2 and zeros.sum() > _FILLED_SHARE * long.sum():
            at = np.flatnonzero(np.append(zeros, np.zeros(1, dtype=bool))[table.codes(column.column)])
            found = context.finding("ID_PRECISION_LOST", **table.place(at), observed=table.text(column.column, at))
            parts.append(found)
    return Findings.concat(parts)


def _lone_dates(table: TypedTable, context: Context) -> Checked:
    """Leave out dates years behind all others: 2062 for 2026."""
    parts = []
    for name in ("read_on", "start", "end", "month", "used_on"):
        days = table.dates(name)
        late = _late(days) if name in table else np.zeros(0, dtype=bool)
        if late.any():
            at = np.flatnonzero(late)
            parts.append(context.finding("DATE_IN_FUTURE", **table.place(at), column=name, observed=days[at]))
            table = table.with_columns(**{name: np.where(late, np.datetime64("NaT", "s"), days)})
    return table, Findings.concat(parts)


def _late(days: npt.NDArray[np.datetime64]) -> Mask:
    """Tell dates two years behind the last of the others; a thousand of them show whether there can be any."""
    some = days[:: max(len(days) // 1000, 1)]
    some = some[~np.isnat(some)]
    # the number of a missing date is the smallest there is
    latest = days.view(np.int64).max(initial=np.iinfo(np.int64).min)
    if not len(some) or latest < np.sort(some)[len(some) // 2].astype(np.int64) + _LATE_S:
        return np.zeros(0, dtype=bool)
    known = np.sort(days[~np.isnat(days)])
    usual = known[max(int(0.98 * (len(known) - 1)), len(known) // 2)]
    return np.asarray(days > usual + np.timedelta64(_LATE_S, "s"))


def _monthly_form(table: TypedTable, context: Context) -> Checked:
    """Take a billing month without dates as the month that the project's reading day ends; else as the calendar month.

    Only the latter is an assumption, and said to be one. A day of reading beside it says no start.
    """
    if "month" not in table:
        return table, Findings.empty()
    month, dated = table.dates("month"), [name for name in ("start", "end", "read_on") if name in table]
    billed = _whole(table, "energy_kwh") | _whole(table, "metered_kwh")
    by_register = _whole(table, "read_on") & (_whole(table, "register_kwh") | ~billed)
    use = ~np.isnat(month) & ~_whole(table, "start", "end") & ~by_register
    if not use.any():
        return table, Findings.empty()
    code, named = pd.factorize(month)
    edges = _named_periods(np.asarray(named), context.read_day)
    first, last = (np.append(edge, np.datetime64("NaT", "s"))[code] for edge in edges)
    if dated:
        first, last = np.where(use, first, table.dates("start")), np.where(use, last, table.dates("end"))
    table = table.with_columns(start=first, end=last)
    if context.read_day:
        return table, Findings.empty()
    return table, context.finding("PERIOD_ASSUMED", observed=int(use.sum()), row=table.rows[np.argmax(use)])


def _named_periods(month: npt.NDArray[np.datetime64], read_day: int) -> list[npt.NDArray[np.datetime64]]:
    """Give first and last day (the last not included) of months, which end on the reading day where there is one."""
    named, late = month.astype("datetime64[M]"), np.timedelta64(read_day, "D")
    opens, closes = (named - 1, named) if read_day else (named, named + 1)
    return [(edge.astype("datetime64[D]") + late).astype("datetime64[s]") for edge in (opens, closes)]


def _null_quality(table: TypedTable, context: Context) -> Checked:
    """Leave out readings that say they are none (缺抄, 无效, N): nothing is known of their months."""
    null = table.equals_word("quality", "null")
    if not null.any():
        return table, Findings.empty()
    energy, register = table.numbers("energy_kwh"), table.numbers("register_kwh")
    table, found = _mark(table, context, "QUALITY_NULL", null, observed=np.where(np.isnan(energy), register, energy))
    return table.keep(~null), found


def _days_of_energy(table: TypedTable, context: Context) -> Checked:
    """Take the energy of a day as that of the interval from its midnight to the next: 日期 and 日用电量."""
    del context
    if "day_kwh" not in table:
        return table, Findings.empty()
    use = (
        ~np.isnan(table.numbers("day_kwh")) & np.isnan(table.numbers("energy_kwh")) & ~np.isnat(table.dates("read_on"))
    )
    day = table.dates("read_on").astype("datetime64[D]")
    edges = {name: (day + step).astype("datetime64[s]") for step, name in enumerate(("start", "end"))}
    settled = {name: np.where(use, edge, table.dates(name)) for name, edge in edges.items()}
    energy = np.where(use, table.numbers("day_kwh"), table.numbers("energy_kwh"))
    read = np.where(use & np.isnan(table.numbers("register_kwh")), np.datetime64("NaT", "s"), table.dates("read_on"))
    return table.with_columns(**settled, energy_kwh=energy, read_on=read).without("day_kwh"), Findings.empty()


def _read_until(table: TypedTable, context: Context) -> Checked:
    """Take the day of reading as the end of a period whose start is told: 上次抄表日期 and 抄表日期."""
    del context
    if "start" not in table or "read_on" not in table:
        return table, Findings.empty()
    use = np.isnat(table.dates("end")) & ~np.isnat(table.dates("start")) & np.isnan(table.numbers("register_kwh"))
    return table.with_columns(end=np.where(use, table.dates("read_on"), table.dates("end"))), Findings.empty()


def _reading_forms(table: TypedTable, context: Context) -> Checked:
    usable = _whole(table, "start", "end", "energy_kwh") | _whole(table, "read_on", "register_kwh")
    if len(table) and not usable.any():
        return table, context.finding("NO_USABLE_READING", observed=len(table))
    table, found = _mark(table, context, "READING_INCOMPLETE", ~usable)
    return table, found + _negative_too(table, ~usable, context)


def _negative_too(table: TypedTable, incomplete: Mask, context: Context) -> Findings:
    """Report negative energies of rows that are not used anyway; of the others the months of their meter tell more."""
    energy = table.numbers("energy_kwh")
    mask = incomplete & (energy < 0) & ~table.equals_word("quality", "adjustment")
    _, found = _mark(table, context, "NEGATIVE_ENERGY", mask, observed=energy, limit="≥ 0")
    return found


def _whole(table: TypedTable, *names: str) -> Mask:
    """Tell the rows that have all of some columns."""
    if any(name not in table for name in names):
        return np.zeros(len(table), dtype=bool)
    return np.asarray(~np.logical_or.reduce([table.is_blank(name) for name in names]))


def _period(table: TypedTable) -> npt.NDArray[np.object_]:
    start, end = (table.dates(name).astype("datetime64[D]").astype(str).astype(object) for name in ("start", "end"))
    return np.asarray(start + "/" + end, dtype=object)


def _with_short_tests(table: TypedTable) -> TypedTable:
    """Give a short test its kind, and the energy and volume of its interval, or of one hour where no times are told.

    One of which the same day is the beginning and the end is of an hour of that day.
    """
    flow, power = table.numbers("flow_m3_per_h"), table.numbers("power_kw")
    energy, volume = table.numbers("energy_kwh"), table.numbers("volume_m3")
    test = (np.isnan(energy) | np.isnan(volume)) & ~np.isnan(flow) & ~np.isnan(power)
    start, end = table.dates("start"), table.dates("end")
    timed = (start != start.astype("datetime64[D]")) | (end != end.astype("datetime64[D]"))
    hours = np.where(timed & (end > start), (end - start).astype(np.float64) / 3600.0, 1.0)
    hours = np.where(np.isnat(start) | np.isnat(end), 1.0, hours)
    of_a_day = (test | table.equals_word("kind", "test")) & ~timed & (end == start)
    one_hour = of_a_day | (test & np.isnat(end))
    return table.with_columns(
        energy_kwh=np.where(test, power * hours, energy),
        volume_m3=np.where(test, flow * hours, volume),
        end=np.where(one_hour, start + np.timedelta64(3600, "s"), end),
        kind=_with_word(table, "kind", test, "test"),
    )


def _with_stated(table: TypedTable) -> tuple[TypedTable, npt.NDArray[np.float64]]:
    """Give tests whose coefficient alone was told one kWh and its water; and the coefficient each row states, or NaN.

    Where the energy is told too, or the volume, the other follows from it.
    """
    inverse = table.numbers("energy_kwh_per_m3")
    turned = np.divide(1.0, inverse, out=np.full(len(table), np.nan), where=inverse > 0)
    told = table.numbers("coefficient_m3_per_kwh")
    stated = np.where(np.isnan(told), turned, told)
    energy, volume = table.numbers("energy_kwh"), table.numbers("volume_m3")
    no_energy, no_volume, usable = np.isnan(energy), np.isnan(volume), stated > 0
    of_volume = np.divide(volume, stated, out=np.full(len(table), np.nan), where=usable)
    alone = no_energy & no_volume & usable
    start, end = table.dates("start"), table.dates("end")
    return table.with_columns(
        energy_kwh=np.where(alone, 1.0, np.where(no_energy, of_volume, energy)),
        volume_m3=np.where(alone, stated, np.where(no_volume & usable, energy * stated, volume)),
        end=np.where(alone & (np.isnat(end) | (end == start)), start + np.timedelta64(3600, "s"), end),
        kind=_with_word(table, "kind", alone, "test"),
    ), stated


def _with_word(table: TypedTable, name: str, where: Mask, word: str) -> pa.DictionaryArray:
    """Give a text column, with a word written into the blank cells of a mask."""
    blank = pa.nulls(len(table), pa.string()).dictionary_encode()
    cells = (table.columns[name] if name in table else blank).cast(pa.string())
    return pc.if_else(pa.array(where & np.asarray(cells.is_null())), word, cells).dictionary_encode()


def _pair_checks(table: TypedTable, context: Context) -> Checked:
    """Leave out pairs that cannot be used, for each of their faults at once."""
    written = _with_short_tests(table)
    table, stated = _with_stated(written)
    out = ("energy_kwh", "volume_m3")
    start, end = table.dates("start"), table.dates("end")
    energy, volume = table.numbers("energy_kwh"), table.numbers("volume_m3")
    undated = np.isnat(start) | np.isnat(end)
    test = table.equals_word("kind", "test")
    incomplete = np.isnan(energy) | np.isnan(volume) | (undated & ~test)
    order = end <= start
    # what follows from the other by a stated coefficient has no fault of its own
    no_energy, no_volume = (written.numbers(name) <= 0 for name in out)
    kappa = np.divide(volume, energy, out=np.full(len(table), np.nan), where=(energy > 0) & (volume > 0))
    absurd = (kappa < COEFFICIENT_BOUNDS[0]) | (kappa > COEFFICIENT_BOUNDS[1])
    differs = ~absurd & (np.abs(kappa - stated) > STATED_WITHIN * stated)
    found = _undated_tests(table, undated & ~incomplete, context)
    cases: list[tuple[str, Mask, dict[str, object]]] = [
        ("PAIR_INCOMPLETE", incomplete, {}),
        ("PERIOD_ORDER", order, {"observed": end, "limit": start}),
        ("PAIR_ENERGY", no_energy, {"observed": energy}),
        ("PAIR_VOLUME", no_volume, {"observed": volume}),
        ("COEF_RANGE", absurd, {"observed": kappa, "limit": "0.05–60", "inverse": 1.0 / np.where(absurd, kappa, 1.0)}),
    ]
    for rule, mask, values in cases:
        table, more = _mark(table, context, rule, mask, leave_out=out, **values)
        found += more
    _, more = _mark(table, context, "COEF_STATED", differs, observed=np.round(stated, 4), limit=np.round(kappa, 4))
    return table, found + more


def _undated_tests(table: TypedTable, undated: Mask, context: Context) -> Findings:
    if not undated.any():
        return Findings.empty()
    return context.finding("PAIR_UNDATED", observed=int(undated.sum()), row=table.rows[np.argmax(undated)])


def _pair_contradictions(table: TypedTable, context: Context) -> Checked:
    """Leave out all pairs of one well, kind and period that differ: nobody knows which of them is right."""
    usable, key, start, end = _dated_pairs(table)
    order = np.lexsort((end, start, key))
    period = np.stack([key, start, end])[:, order]
    if not usable.size:
        return table, Findings.empty()
    first = np.flatnonzero(np.concatenate([[True], (np.diff(period) != 0).any(axis=0)]))
    differ = np.zeros(first.size, dtype=bool)
    for name in _MEASURED:
        value = table.numbers(name)[usable[order]]
        most = np.fmax.reduceat(value, first)
        differ |= most - np.fmin.reduceat(value, first) > _SAME_FIGURE * most
    contradictory = np.zeros(len(table), dtype=bool)
    contradictory[usable[order]] = np.repeat(differ, np.diff(np.append(first, usable.size)))
    return _mark(table, context, "PAIR_CONTRADICTION", contradictory, leave_out=_MEASURED, period=_period(table))


def _dated_pairs(table: TypedTable) -> tuple[npt.NDArray[np.intp], Times, Times, Times]:
    """Give the rows with energy, well and period; a number for their well and kind, and first and last moment."""
    dated = ~np.isnat(table.dates("start")) & ~np.isnat(table.dates("end"))
    usable = np.flatnonzero(~np.isnan(table.numbers("energy_kwh")) & ~table.is_blank("well_id") & dated)
    kind = table.codes("kind") if "kind" in table else np.zeros(len(table), np.int64)
    start, end = (table.dates(name)[usable].astype(np.int64) for name in ("start", "end"))
    return usable, combine(table.codes("well_id"), kind)[usable], start, end


def _pair_overlaps(table: TypedTable, context: Context) -> Checked:
    """Leave out the later of two pairs of one well and kind that share time."""
    usable, key, start, end = _dated_pairs(table)
    order = np.lexsort((end, start, key))
    # one timeline: every well and kind is shifted past the one before, so that a running maximum never reaches back
    shift = pd.factorize(key[order])[0] * (int(end.max(initial=0) - start.min(initial=0)) + 1)
    latest_end = np.maximum.accumulate(end[order] + shift)
    overlaps = np.zeros(len(table), dtype=bool)
    overlaps[usable[order[1:][(start[order] + shift)[1:] < latest_end[:-1]]]] = True
    return _mark(table, context, "PAIR_OVERLAP", overlaps, leave_out=_MEASURED, period=_period(table))


def _plan_above_permit(table: TypedTable, context: Context) -> Checked:
    plan, permit = table.numbers("plan_volume_m3"), table.numbers("annual_volume_m3")
    table, found = _mark(table, context, "PLAN_GT_PERMIT", plan > permit, observed=plan, limit=permit)
    table, more = _mark(table, context, "PERMIT_VOLUME", permit == 0, observed=permit)
    return table, found + more


def _correction_checks(table: TypedTable, context: Context) -> Checked:
    """Refuse decisions that cannot be followed: no action, no reason, no value where one is needed, or wrong dates."""
    needs_value = table.equals_word("action", "multiply", "set")
    start, end = table.dates("start"), table.dates("end")
    blank = table.is_blank("action") | table.is_blank("reason")
    return _mark(
        table,
        context,
        "CORRECTION_INCOMPLETE",
        blank | (needs_value & np.isnan(table.numbers("value"))) | (end <= start),
    )


_CHECKS: dict[str, tuple[Callable[[TypedTable, Context], Checked], ...]] = {
    "wells": (_unique_ids("DUPLICATE_INTAKE"), _half_position, far_positions, same_wells, permit_numbers, _depth_order),
    "meters": (inclusive_links, _link_order, multipliers_of_ratios, _multipliers),
    "readings": (
        _lone_dates,
        _null_quality,
        uses_by_day,
        _days_of_energy,
        _read_until,
        since_last_read,
        first_of_the_day,
        exclusive_ends,
        _monthly_form,
        multipliers_of_ratios,
        reads_of_uses,
        settle,
        sum_of_uses,
        running_totals,
        _reading_forms,
    ),
    "pairs": (exclusive_ends, _pair_checks, _pair_contradictions, _pair_overlaps),
    "water_levels": (),
    "permits": (_unique_ids("DUPLICATE_PERMIT"), permit_numbers, _link_order, _plan_above_permit),
    "corrections": (_correction_checks,),
}
