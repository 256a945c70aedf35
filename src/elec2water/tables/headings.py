"""Which heading is which column, and in which unit it is written."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from elec2water import schema
from elec2water.findings import Findings

if TYPE_CHECKING:
    from elec2water.tables.context import Context

Aliases = tuple[tuple[str, str], ...]
"""The project's own headings of a table: (heading, column)."""

_AMOUNTS = {"kwh", "m3"}
"""Units of what a title states the unit of."""

_NOISE = re.compile("[\\s_\\-·.•⋅*:'\"\u200b-\u200f\u2060\ufeff]+")
_LONGEST = 200
_UNIT_WORD = "单位"
_TITLE_UNIT = re.compile(r"单位[:\uff1a为是]*([^()（）\[\]【】]+)|[(（\[【]([^()（）\[\]【】]+)[)）\]】]\s*$")
_BETWEEN_UNITS = re.compile(r"[、,，;；和及\s]+")
_COUNTED = (":", "(", "共", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
_UNIT_BEHIND = re.compile(r"^(.{2,}?)[/,，、;；](.+)$")
_BRACKETS = re.compile(r"^(.*?)[(\[【〔]([^()\[\]【】〔〕]*)[)\]】〕]$")


@dataclass(frozen=True, slots=True)
class Heading:
    """What a heading was found to be.

    Attributes
    ----------
    column : str
        Canonical column, or the heading itself (trimmed) for a further column.
    factor : float
        Multiplies the numbers to give the canonical unit.
    unit : str
        The unit as written, where it is not the canonical one.
    """

    column: str
    factor: float = 1.0
    unit: str = ""


class _UnknownUnitError(Exception):
    """The heading is a known column with a unit that is none of the column's."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def normal(heading: str) -> str:
    r"""Reduce a heading to what decides: no case, width, blank, line break or punctuation.

    Examples
    --------
    >>> normal("用电量\n（ＫＷ·ｈ）")
    '用电量(kwh)'
    """
    return _NOISE.sub("", unicodedata.normalize("NFKC", heading)).casefold()


def column_of(table: str, text: str, own: Aliases) -> str | None:
    """Tell which column a heading is, whatever its unit; ``None`` where it is none of the table's.

    Examples
    --------
    >>> column_of("readings", "用电量（千瓦时）", ()), column_of("readings", "户名", ())
    ('energy_kwh', None)
    """
    try:
        found = _lookup(table, text, own)
    except _UnknownUnitError as unknown:
        return unknown.column
    return None if found is None else found.column


@cache
def is_total(text: str) -> bool:
    """Whether a heading or the first cell of a row says that a sum stands there.

    Examples
    --------
    >>> is_total("合 计（kWh）"), is_total("东乡小计"), is_total("合计：3户"), is_total("1号井")
    (True, True, True, False)
    """
    word = normal(text)
    if match := _BRACKETS.match(word):
        word = match[1]
    return word.endswith(_total_words()) or word.startswith(
        tuple(f"{total}{mark}" for total in _total_words() for mark in _COUNTED)
    )


def is_total_sheet(name: str) -> bool:
    """Whether the name of a sheet says that it sums others: 汇总, 全年合计.

    Examples
    --------
    >>> is_total_sheet("2026年汇总"), is_total_sheet("7月")
    (True, False)
    """
    return normal(name).endswith(tuple(normal(word) for word in schema.words("total_sheet")))


@cache
def is_year(text: str) -> bool:
    """Whether a heading is that of a column of years."""
    return normal(text) in {normal(word) for word in schema.words("year_heading")}


@cache
def is_unit(text: str) -> bool:
    """Whether a cell is a unit and nothing else, as in a row of units below the headings."""
    return normal(text).strip("()[]【】") in _all_units()


@cache
def _all_units() -> frozenset[str]:
    words = [word for factors in schema.units().values() for word in factors if not word.isdigit()]
    return frozenset(normal(word).strip("()") for word in (*words, *schema.words("unit_word")))


@cache
def _total_words() -> tuple[str, ...]:
    return tuple(dict.fromkeys(normal(word) for word in schema.words("total_row")))


def resolve(headings: Sequence[str], own: Aliases, context: Context) -> tuple[tuple[Heading | None, ...], Findings]:
    """Match every heading of a file to its column.

    Parameters
    ----------
    headings : sequence of str
        As written.
    own : Aliases
        The project's own: heading → column.
    context : Context
        For the findings.

    Returns
    -------
    tuple of Heading or None
        One per heading; ``None`` for a nameless column.
    Findings
        Errors for missing, doubled and misunderstood headings, all at once; infos for converted units.
    """
    table = context.table
    resolved: list[Heading | None] = []
    found: list[Findings] = []
    for heading in headings:
        try:
            known = _lookup(table, heading, own)
        except _UnknownUnitError as unknown:
            expected = ", ".join(schema.units()[schema.column(table, unknown.column).unit])
            found.append(
                context.finding("HEADING_UNIT", observed=heading, limit=expected, column=unknown.column, row=1)
            )
            known = Heading(unknown.column)
        title = " ".join(heading.split())
        resolved.append(known or (Heading(title) if title else None))
        if known and known.factor != 1.0:
            unit = schema.column(table, known.column).unit
            found.append(context.finding("UNIT_CONVERTED", observed=heading, limit=unit, factor=known.factor))
    _stand_in(resolved, table)
    found += [_doubled(headings, resolved, context), _missing(headings, resolved, context)]
    return tuple(resolved), Findings.concat(found)


def with_title_unit(
    resolved: Sequence[Heading | None], above: Sequence[str], context: Context
) -> tuple[tuple[Heading | None, ...], Findings]:
    """Convert amounts whose headings name no unit by the one that a title names for all: 单位：万千瓦时.

    Registers are no amounts. Two units of one kind above a table leave it open which is meant, and are refused.
    """
    units = {
        c.column: c.unit for c in schema.columns(context.table) if c.unit in _AMOUNTS and "register" not in c.column
    }
    found, changed = [], []
    for heading in resolved:
        bare = heading is not None and not heading.unit and heading.column in units
        said = _title_units(tuple(above), units[heading.column]) if heading is not None and bare else {}
        if heading is None or not said:
            changed.append(heading)
            continue
        (word, factor), *others = said.items()
        if any(other != factor for _, other in others):
            found.append(context.finding("HEADING_UNIT", observed=", ".join(said), column=heading.column, row=1))
        if factor != 1.0:
            limit = units[heading.column]
            found.append(
                context.finding("UNIT_CONVERTED", observed=f"{heading.column}: {word}", limit=limit, factor=factor)
            )
        changed.append(Heading(heading.column, factor, word))
    return tuple(changed), Findings.concat(found)


def _title_units(above: tuple[str, ...], unit: str) -> dict[str, float]:
    """Give the units of a kind that titles name, with their factors."""
    factors = _factors(unit)
    parts = [
        normal(part).removeprefix(_UNIT_WORD)
        for text in above
        for groups in _TITLE_UNIT.findall(text)
        for group in groups
        for part in _BETWEEN_UNITS.split(group)
    ]
    return {part: factors[part] for part in parts if part in factors}


def _stand_in(resolved: list[Heading | None], table: str) -> None:
    """Let the metering point, else the account, else the well stand for a meter that readings do not name."""
    names = [heading.column if heading else "" for heading in resolved]
    if table != "readings" or "meter_id" in names:
        return
    for name in ("point_no", "account_no", "well_id"):
        if name in names:
            resolved[names.index(name)] = Heading("meter_id")
            return


def _doubled(headings: Sequence[str], resolved: Sequence[Heading | None], context: Context) -> Findings:
    by_column: dict[str, list[str]] = {}
    for written, heading in zip(headings, resolved, strict=True):
        if heading is not None:
            by_column.setdefault(heading.column, []).append(written)
    doubled = {column: names for column, names in by_column.items() if len(names) > 1}
    return context.finding(
        "DUPLICATE_HEADING",
        row=[1] * len(doubled),
        observed=[" | ".join(names) for names in doubled.values()],
        limit=list(doubled),
    )


def _missing(headings: Sequence[str], resolved: Sequence[Heading | None], context: Context) -> Findings:
    there = {heading.column for heading in resolved if heading is not None}
    missing = missing_columns(context.table, there)
    written = [" ".join(heading.split()) for heading in headings if heading.strip()]
    near = [_nearest(schema.column(context.table, name), written) for name in missing]
    return context.finding(
        "MISSING_COLUMN",
        row=[1] * len(missing),
        limit=[f"{schema.column(context.table, name).heading_zh} / {name}" for name in missing],
        observed=near,
        near=near,
    )


def missing_columns(table: str, there: set[str]) -> list[str]:
    """List the required columns that are not there; of every group of forms that lacks least, then has most, counts."""
    missing = [column.column for column in schema.columns(table) if column.required and column.column not in there]
    groups: dict[str, dict[str, list[str]]] = {}
    for column in schema.columns(table):
        for group, form in column.forms:
            groups.setdefault(group, {}).setdefault(form, []).append(column.column)
    for forms in groups.values():
        lacking = [[name for name in names if name not in there] for names in forms.values()]
        known = [len(names) - len(absent) for names, absent in zip(forms.values(), lacking, strict=True)]
        best = min(zip(lacking, known, strict=True), key=lambda form: (len(form[0]), -form[1]))
        missing += best[0]
    return missing


def _nearest(column: schema.Column, written: Sequence[str]) -> str:
    close = [m for name in column.headings for m in difflib.get_close_matches(name, written, n=1, cutoff=0.6)]
    return close[0] if close else ""


@cache
def _lookup(table: str, heading: str, aliases: Aliases) -> Heading | None:
    if len(heading) > _LONGEST:
        return None
    own = {normal(name): column for name, column in aliases}
    index = _index(table)
    text = normal(heading)
    if text in own:
        return Heading(own[text])
    if text in index:
        return Heading(index[text])
    if match := _BRACKETS.match(text):
        base = own.get(match[1]) or index.get(match[1])
        return _with_unit(table, base, match[2]) if base else None
    if (match := _UNIT_BEHIND.match(text)) and match[2] in _all_units():
        base = own.get(match[1]) or index.get(match[1])
        return _with_unit(table, base, match[2]) if base else None
    return _with_suffix(table, text, own | index)


def _with_unit(table: str, column: str, unit: str) -> Heading:
    unit = unit.removeprefix(_UNIT_WORD)
    known = {item.column: item for item in schema.columns(table)}.get(column)
    if known is None or not known.unit or unit in _marks():
        return Heading(column)
    factors = _factors(known.unit)
    if unit not in factors:
        raise _UnknownUnitError(column)
    return Heading(column, factors[unit], unit)


def _with_suffix(table: str, text: str, index: Mapping[str, str]) -> Heading | None:
    """Read a unit written straight behind the name, as in 年许可水量万m³."""
    for length in range(len(text) - 1, 1, -1):
        column = index.get(text[:length])
        if column is None:
            continue
        known = {item.column: item for item in schema.columns(table)}.get(column)
        factors = _factors(known.unit) if known is not None and known.unit else {}
        unit = text[length:].removeprefix(_UNIT_WORD)
        if unit in factors:
            return Heading(column, factors[unit], unit)
    return None


@cache
def _index(table: str) -> dict[str, str]:
    return {normal(name): column.column for column in schema.columns(table) for name in column.headings}


@cache
def _factors(unit: str) -> dict[str, float]:
    return {normal(word): factor for word, factor in schema.units()[unit].items()}


@cache
def _marks() -> frozenset[str]:
    return frozenset(map(normal, schema.words("note_mark")))
