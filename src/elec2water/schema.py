"""The tables as data: ``data/schema.csv`` (columns), ``data/units.csv`` (units) and ``data/words.csv`` (words).

What ``coefficients.nc`` holds is in ``data/variables.csv``.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

TYPES = ("id", "text", "category", "choice", "number", "integer", "date", "datetime", "month", "bool")
"""Types of columns: an open ``category`` keeps words it does not know, a ``choice`` does not."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one table.

    Attributes
    ----------
    table, column : str
        Canonical names; `column` carries its unit.
    heading_zh : str
        The main Chinese heading.
    aliases : tuple of str
        Further headings it answers to, Chinese and English.
    type : str
        One of :data:`TYPES`.
    unit : str
        Canonical unit, ``""`` for none; the key of :func:`units`.
    required : bool
        Whether the column must be there.
    forms : tuple of (str, str)
        ``(group, form)``: in every group of a table one form must be complete, as ``("form", "billing")``.
    lower, upper : str
        Hard physical bounds (numbers or ISO dates), ``""`` for none. What lies outside is left out with a finding.
    range_rule : str
        The rule of that finding.
    default : str
        What a blank means, ``""`` for unknown.
    meaning_zh, meaning_en : str
        For the nomenclature.
    """

    table: str
    column: str
    heading_zh: str
    aliases: tuple[str, ...]
    type: str
    unit: str
    required: bool
    forms: tuple[tuple[str, str], ...]
    lower: str
    upper: str
    range_rule: str
    default: str
    meaning_zh: str
    meaning_en: str

    @property
    def headings(self) -> tuple[str, ...]:
        """Every heading it answers to, canonical name first."""
        return (self.column, self.heading_zh, *self.aliases)


@cache
def _all_columns() -> dict[str, tuple[Column, ...]]:
    found: dict[str, list[Column]] = defaultdict(list)
    for record in _records("schema.csv"):
        column = _column_of(record)
        if column.type not in TYPES:
            raise ValueError(f"data/schema.csv: {column.table}.{column.column} has type {column.type!r}, not {TYPES}")
        found[column.table].append(column)
    return {table: tuple(columns) for table, columns in found.items()}


def tables() -> tuple[str, ...]:
    """Give the names of the tables, ``wells`` first."""
    return tuple(_all_columns())


def columns(table: str) -> tuple[Column, ...]:
    """Give the columns of a table in their canonical order.

    Parameters
    ----------
    table : str
        One of :func:`tables`.

    Returns
    -------
    tuple of Column

    Raises
    ------
    KeyError
        If there is no such table.

    Examples
    --------
    >>> columns("meters")[0].column
    'meter_id'
    """
    return _all_columns()[table]


def names(table: str) -> tuple[str, ...]:
    """Give the canonical column names of a table."""
    return tuple(column.column for column in columns(table))


def column(table: str, name: str) -> Column:
    """Give one column by its canonical name; ``KeyError`` if there is none."""
    by_name = {item.column: item for item in columns(table)}
    return by_name[name]


@cache
def units() -> Mapping[str, Mapping[str, float]]:
    """Give the units headings may carry: canonical unit → word → factor to the canonical unit.

    Examples
    --------
    >>> units()["m3"]["万m3"]
    10000.0
    """
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for record in _records("units.csv"):
        found[record["unit"]][record["word"]] = float(record["factor"])
    return dict(found)


@cache
def words(kind: str) -> Mapping[str, str]:
    """Give the words of one kind (a column, or ``null``, ``bool``, ``total_row``, ``note_row``): word → value.

    Examples
    --------
    >>> words("status")["报废"]
    'abandoned'
    """
    return {record["word"]: record["value"] for record in _records("words.csv") if record["kind"] == kind}


@cache
def variables() -> Mapping[str, Mapping[str, str]]:
    """Give what is said of every variable of ``coefficients.nc``: name → ``long_name``, ``units``, ``description``.

    Texts have no unit.

    Examples
    --------
    >>> variables()["depth_to_water"]["units"]
    'm'
    """
    return {
        record["variable"]: {name: record[name] for name in ("long_name", "units", "description") if record[name]}
        for record in _records("variables.csv")
    }


@cache
def _records(name: str) -> tuple[dict[str, str], ...]:
    text = (resources.files("elec2water") / "data" / name).read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def _column_of(record: dict[str, str]) -> Column:
    required = record["required"]
    return Column(
        table=record["table"],
        column=record["column"],
        heading_zh=record["heading_zh"],
        aliases=tuple(record["aliases"].split("|")) if record["aliases"] else (),
        type=record["type"],
        unit=record["unit"],
        required=required == "yes",
        forms=tuple(_form(part) for part in required.split("|") if "=" in part),
        lower=record["lower"],
        upper=record["upper"],
        range_rule=record["range_rule"] or "OUT_OF_RANGE",
        default=record["default"],
        meaning_zh=record["meaning_zh"],
        meaning_en=record["meaning_en"],
    )


def _form(part: str) -> tuple[str, str]:
    group, form = part.split("=")
    return group, form
