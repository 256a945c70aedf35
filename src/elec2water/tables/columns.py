"""From raw columns to typed ones, one at a time: parse, convert the unit, hold against the bounds, fill defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from elec2water import schema
from elec2water.findings import Findings
from elec2water.tables import dates, parse
from elec2water.tables.private import hide
from elec2water.tables.typed import DATE_TYPES, TEXT_TYPES, TypedTable, Values

if TYPE_CHECKING:
    from elec2water.tables.context import Context
    from elec2water.tables.headings import Heading
    from elec2water.tables.raw import RawTable

_UNIT_SHOWN = {
    "kwh": "kWh", "kw": "kW", "m3": "m³", "m3/h": "m³/h", "m3/kwh": "m³/kWh", "kwh/m3": "kWh/m³", "deg": "°",
    "mu": "亩", "fraction": "", "1": "",
}  # fmt: skip
_POWER_OTHERWISE = r"^[0-9.]+([eE][0-9]+|\s*[*×xX+/]\s*[0-9.]+|\s*([A-Za-z]+|马力|匹))$"
"""7.5*2 and 7.5HP are powers, but not in the form that can be used."""
_FOR_UNKNOWN = {"quality": "estimated"}
"""What a record with an unknown word is treated as where leaving the word out would say too much of it."""
_LOOKS_LIKE_CODE = r"^0[0-9]|^[+-]?[0-9]{16,}"


def type_columns(raw: RawTable, headings: tuple[Heading | None, ...], context: Context) -> tuple[TypedTable, Findings]:
    """Type every column of one file.

    Parameters
    ----------
    raw : RawTable
        Cells as they stand.
    headings : tuple of Heading or None
        What each column is.
    context : Context
        For the findings.

    Returns
    -------
    TypedTable
        Canonical columns and further ones; wrong cells are missing.
    Findings
        A warning for each wrong cell, with its raw text; an info for each column that was rewritten.
    """
    known = {column.column: column for column in schema.columns(context.table)}
    done: dict[str, Any] = {}
    checks: list[_Checked] = []
    for heading, cells in zip(headings, raw.columns, strict=True):
        if heading is None:
            continue
        if heading.column in known:
            checked = _checked(known[heading.column], heading, cells)
            done[heading.column] = checked.values
            checks.append(checked)
        else:
            done[heading.column] = _further(cells)
    checks = _swapped(checks)
    nameless = _nameless(raw, headings, context)
    done |= _defaults(known, set(done), len(raw.rows))
    table = TypedTable(context.table, done, raw.rows, np.zeros(len(raw.rows), np.int16), (context.file,))
    return table, nameless + Findings.concat(item for check in checks for item in _reported(check, table, context))


def _nameless(raw: RawTable, headings: tuple[Heading | None, ...], context: Context) -> Findings:
    """Report cells that stand under no heading: nobody can tell what they are, and they are not read."""
    found = []
    for number, (heading, cells) in enumerate(zip(headings, raw.columns, strict=True), 1):
        if heading is None and cells.null_count < len(cells):
            filled = np.flatnonzero(~np.asarray(parse.parse_text(cells, "text").values.is_null()))
            if len(filled):
                text = _raw(cells, filled[:1])[0]
                row = int(raw.rows[filled[0]])
                found.append(context.finding("UNNAMED_COLUMN", observed=len(filled), row=row, limit=number, text=text))
    return Findings.concat(found)


@dataclass(frozen=True, slots=True)
class _Checked:
    column: schema.Column
    cells: pa.Array
    values: Any
    wrong: Mapping[str, npt.NDArray[np.bool_]]
    normalised: int
    noted: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    other: npt.NDArray[np.float64] | None = None


def _checked(column: schema.Column, heading: Heading, cells: pa.Array) -> _Checked:
    if column.type in TEXT_TYPES:
        parsed = _parsed_text(column, cells)
        return _Checked(column, cells, _with_default(column, parsed), parsed.wrong, parsed.normalised)
    if column.type in DATE_TYPES:
        parsed = dates.parse_dates(cells, months=column.type == "month")
    elif column.type == "bool":
        parsed = parse.parse_bools(cells)
    else:
        parsed = parse.parse_numbers(cells, column.unit)
    values = parsed.values * heading.factor if heading.factor != 1.0 else parsed.values
    wrong, noted = dict(parsed.wrong), {}
    if column.table == "wells" and column.type == "date" and "NOT_A_DATE" in wrong and wrong["NOT_A_DATE"].any():
        coarse = dates.coarse_dates(cells)
        read = wrong["NOT_A_DATE"] & ~np.isnat(coarse)
        values, noted["DATE_COARSE"] = np.where(read, coarse, values), read
        wrong["NOT_A_DATE"] = wrong["NOT_A_DATE"] & ~read
    if column.column == "multiplier" and wrong["NOT_A_NUMBER"].any():
        ratio = parse.parse_ratios(cells)
        read = wrong["NOT_A_NUMBER"] & np.isfinite(ratio)
        values, noted["MULTIPLIER_FROM_RATIO"] = np.where(read, ratio, values), read
        wrong["NOT_A_NUMBER"] = wrong["NOT_A_NUMBER"] & ~read
    if column.range_rule == "POWER_RANGE" and wrong["NOT_A_NUMBER"].any():
        wrong["POWER_RANGE@FORM"] = wrong["NOT_A_NUMBER"] & parse.matches(cells, _POWER_OTHERWISE)
        wrong["NOT_A_NUMBER"] = wrong["NOT_A_NUMBER"] & ~wrong["POWER_RANGE@FORM"]
    if column.type == "integer":
        wrong["NOT_AN_INTEGER"] = np.isfinite(values) & (values != np.floor(values))
    outside = _outside(column, values)
    if outside is not None:
        wrong[column.range_rule] = wrong[column.range_rule] | outside if column.range_rule in wrong else outside
    left_out = np.zeros(len(values), dtype=bool)
    for mask in wrong.values():
        left_out |= mask
    missing = np.datetime64("NaT", "s") if values.dtype.kind == "M" else np.nan
    if left_out.any():
        values = np.where(left_out, missing, values)
    if column.default and column.type == "number":
        values = np.where(np.isnan(values) & ~left_out, float(column.default), values)
    return _Checked(column, cells, values, wrong, parsed.normalised, noted)


def _swapped(checks: list[_Checked]) -> list[_Checked]:
    """Tell positions whose halves are each other's from those that are merely wrong."""
    by_name = {check.column.column: i for i, check in enumerate(checks)}
    if not {"longitude", "latitude"} <= by_name.keys():
        return checks
    east, north = (checks[by_name[name]] for name in ("longitude", "latitude"))
    both = east.wrong["OUT_OF_RANGE"] & north.wrong["OUT_OF_RANGE"]
    if not both.any():
        return checks
    as_east, as_north = (parse.parse_numbers(check.cells, "deg").values for check in (north, east))
    fits = both & ~_beyond(east.column, as_east) & ~_beyond(north.column, as_north)
    changed = list(checks)
    for check, other in ((east, as_east), (north, as_north)):
        wrong = {**check.wrong, "OUT_OF_RANGE": check.wrong["OUT_OF_RANGE"] & ~fits}
        if check is east:
            wrong["POSITION_SWAPPED"] = fits
        changed[by_name[check.column.column]] = replace(check, wrong=wrong, other=other)
    return changed


def _parsed_text(column: schema.Column, cells: pa.Array) -> parse.Parsed:
    words = column.column if column.type in ("category", "choice") and schema.words(column.column) else ""
    null_kind = {"id": "" if column.required else "null_id", "text": ""}.get(column.type, "null")
    return parse.parse_text(cells, column.type, words=words, null_kind=null_kind)


def _with_default(column: schema.Column, parsed: parse.Parsed) -> pa.DictionaryArray:
    unknown = parsed.wrong.get("UNKNOWN_WORD", np.zeros(len(parsed.values), dtype=bool))
    if column.column in _FOR_UNKNOWN and unknown.any():
        word = _FOR_UNKNOWN[column.column]
        return pc.if_else(pa.array(unknown), word, parsed.values.cast(pa.string())).dictionary_encode()
    if not column.default:
        return parsed.values
    fill = pa.array(np.asarray(parsed.values.is_null()) & ~unknown)
    return pc.if_else(fill, column.default, parsed.values.cast(pa.string())).dictionary_encode()


def _outside(column: schema.Column, values: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    return _beyond(column, values) if column.lower or column.upper else None


def _beyond(column: schema.Column, values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if values.dtype.kind == "M":
        low, high = np.datetime64(column.lower, "s"), np.datetime64(column.upper, "s")
        # a missing date counts as the smallest number
        seconds = values.astype("datetime64[s]", copy=False).view(np.int64)
        if len(seconds) and low.astype(np.int64) <= seconds.min() and seconds.max() <= high.astype(np.int64):
            return np.zeros(len(values), dtype=bool)
        return np.asarray((values < low) | (values > high))
    least, most = float(column.lower or -np.inf), float(column.upper or np.inf)
    # the smallest of numbers of which one is missing is missing
    if len(values) and least <= values.min() and values.max() <= most:
        return np.zeros(len(values), dtype=bool)
    return np.asarray((values < least) | (values > most))


def _further(cells: pa.Array) -> Values:
    """Keep a column the schema does not know: numbers when every cell is one and none looks like a code, else text."""
    as_text = parse.parse_text(cells, "text")
    if pa.types.is_temporal(cells.type) or pa.types.is_boolean(cells.type):
        return as_text.values
    if bool(pc.any(pc.match_substring_regex(as_text.values.dictionary, _LOOKS_LIKE_CODE)).as_py()):
        return as_text.values
    numbers = parse.parse_numbers(cells)
    is_number = not numbers.wrong["NOT_A_NUMBER"].any() and bool(np.isfinite(numbers.values).any())
    return numbers.values if is_number else as_text.values


def _defaults(known: Mapping[str, schema.Column], there: set[str], size: int) -> dict[str, Any]:
    absent = [column for name, column in known.items() if column.default and name not in there]
    return {
        column.column: np.full(size, float(column.default))
        if column.type == "number"
        else pa.DictionaryArray.from_arrays(pa.array(np.zeros(size, np.int32)), pa.array([column.default]))
        for column in absent
    }


def _reported(check: _Checked, table: TypedTable, context: Context) -> list[Findings]:
    name = check.column.column
    found = []
    for rule, mask in {**check.wrong, **check.noted}.items():
        if rule == "UNKNOWN_WORD" and name in _FOR_UNKNOWN:
            rule = "UNKNOWN_WORD@QUALITY"
        at = np.flatnonzero(mask)
        if rule == "DATE_COARSE" and len(at):
            example = _raw(check.cells, at[:1])[0]
            row = int(table.rows[at[0]])
            found.append(context.finding(rule, row=row, observed=len(at), limit=example, column=name))
        elif len(at):
            where = table.place(at)
            found.append(
                context.finding(
                    rule,
                    **where,
                    observed=_raw(check.cells, at),
                    limit=_limits(check, rule, at, table, context.lang),
                    column=name,
                )
            )
    if check.column.required and check.column.type != "id":
        found.append(_blanks(check, table, context))
    if check.normalised:
        found.append(context.finding("VALUES_NORMALISED", observed=check.normalised, column=name))
    return found


def _blanks(check: _Checked, table: TypedTable, context: Context) -> Findings:
    """Report blank cells of a required column (those that were filled but wrong have their finding already)."""
    column = check.column
    blank = table.is_blank(column.column)
    for mask in check.wrong.values():
        blank &= ~mask
    at = np.flatnonzero(blank)
    if len(at) == len(table):
        return context.finding("BLANK_COLUMN", observed=len(at), column=column.column, limit=column.heading_zh)
    return context.finding("BLANK_VALUE", **table.place(at), column=column.column, limit=column.heading_zh)


def _raw(cells: pa.Array, at: npt.NDArray[np.int64]) -> list[str]:
    taken = cells.take(pa.array(at)).to_pylist()
    texts = ["" if cell is None else f"{cell:.15g}" if isinstance(cell, float) else str(cell)[:80] for cell in taken]
    return [hide(text) for text in texts]


def _limits(check: _Checked, rule: str, at: npt.NDArray[np.int64], table: TypedTable, lang: str) -> object:
    if rule in check.noted:
        return [f"{value:g}" for value in table.numbers(check.column.column)[at]]
    return (
        check.other[at] if rule == "POSITION_SWAPPED" and check.other is not None else _limit(check.column, rule, lang)
    )


def _limit(column: schema.Column, rule: str, lang: str) -> str:
    if rule == column.range_rule:
        low, high = (text if "-" in text[1:] else f"{float(text):,.10g}" for text in (column.lower, column.upper))
        return f"{low} – {high} {_UNIT_SHOWN.get(column.unit, column.unit)}".strip()
    if rule.startswith("UNKNOWN_WORD"):
        words = schema.words("bool" if column.type == "bool" else column.column)
        first = {code: word for word, code in reversed(list(words.items()))}
        codes = dict.fromkeys(words.values())
        return ", ".join(codes) if lang == "en" else "、".join(f"{first[code]}（{code}）" for code in codes)
    return column.heading_zh
