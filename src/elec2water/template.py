"""Empty tables to fill in: a workbook a table, its columns, words and bounds as the readers know them.

Which columns a workbook has is in ``data/template.csv``; what they are, in ``data/schema.csv``.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from dataclasses import dataclass
from functools import cache
from importlib import resources

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from elec2water import schema
from elec2water.schema import Column

_CREATED = dt.datetime(1980, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)
_ROWS = 1_048_575
_UNITS = {"kw": "kW", "kwh": "kWh", "m3": "m³", "deg": "°"}
_MU = {"zh": "亩", "en": "mu"}
_SAID = {
    "zh": {
        "fill": "填写",
        "about": "说明",
        "columns": ("列", "必填", "单位", "范围", "含义"),
        "required": "必填",
        "list": "可选：{words}",
        "bounds": "{lower} 至 {upper}",
        "end": "不含该日：7 月的电量写 7 月 1 日至 8 月 1 日",
    },
    "en": {
        "fill": "fill in",
        "about": "about",
        "columns": ("column", "required", "unit", "range", "meaning"),
        "required": "required",
        "list": "one of: {words}",
        "bounds": "{lower} to {upper}",
        "end": "not included: the energy of July is from 1 July to 1 August",
    },
}
_FORMATS = {"id": "@", "date": "yyyy-mm-dd", "datetime": "yyyy-mm-dd hh:mm", "month": "@"}
"""Of the cells of a column; identifiers are text, so that ``0012`` stays ``0012``."""


@dataclass(frozen=True)
class _Field:
    """A column of a workbook, and the words that its cells may have."""

    column: Column
    words: tuple[str, ...]

    @property
    def must(self) -> bool:
        """Whether no record is read without it, in the form that the workbook has."""
        forms = {form for _, form in self.column.forms}
        return self.column.required or bool(forms & {"billing", "measured", "month", "area"})


@cache
def _fields(table: str, lang: str) -> tuple[_Field, ...]:
    text = resources.files("elec2water").joinpath("data/template.csv").read_text(encoding="utf-8")
    return tuple(
        _Field(schema.column(table, row["column"]), tuple(filter(None, row[f"words_{lang}"].split("|"))))
        for row in csv.DictReader(text.splitlines())
        if row["table"] == table
    )


def template_tables() -> tuple[str, ...]:
    """Give the tables of which there is a template, those that a county must have first."""
    return "wells", "readings", "pairs", "meters", "water_levels", "permits"


def template_bytes(table: str, lang: str = "zh") -> bytes:
    """Write an empty workbook of a table: headings with units, notes on them, lists of words, a sheet that explains.

    Parameters
    ----------
    table : str
        One of :func:`template_tables`.
    lang : {"zh", "en"}
        Of headings, notes and words; the readers take both.

    Returns
    -------
    bytes
        Of an xlsx file, the same every time.
    """
    buffer, fields = io.BytesIO(), _fields(table, lang)
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        book.set_properties({"title": table, "created": _CREATED})
        _write_form(book, book.add_worksheet(_SAID[lang]["fill"]), fields, lang)
        _write_about(book, book.add_worksheet(_SAID[lang]["about"]), fields, lang)
    return buffer.getvalue()


def _write_form(book: xlsxwriter.Workbook, sheet: Worksheet, fields: tuple[_Field, ...], lang: str) -> None:
    sheet.freeze_panes(1, 1)
    for place, field in enumerate(fields):
        heading = _heading(field.column, lang)
        cell = {"num_format": _FORMATS[field.column.type]} if field.column.type in _FORMATS else {}
        sheet.set_column(place, place, max(12, 2 * len(heading) + 2), book.add_format(cell))
        sheet.write_string(0, place, heading, _head(book, must=field.must))
        sheet.write_comment(0, place, "\n".join(filter(None, _notes(field, lang))))
        if field.words:
            # A word that is not in the list is asked about and not forbidden: the readers know many more.
            rule = {"validate": "list", "source": list(field.words), "error_type": "warning"}
            sheet.data_validation(1, place, _ROWS, place, rule)


def _write_about(book: xlsxwriter.Workbook, sheet: Worksheet, fields: tuple[_Field, ...], lang: str) -> None:
    said, wrapped = _SAID[lang], book.add_format({"text_wrap": True, "valign": "top"})
    sheet.set_column(0, 3, 20, wrapped)
    sheet.set_column(4, 4, 60, wrapped)
    for place, heading in enumerate(said["columns"]):
        sheet.write_string(0, place, heading, _head(book, must=False))
    for row, field in enumerate(fields, start=1):
        meaning, words, bounds, end = _notes(field, lang)
        unit = _unit(field.column, lang)
        required = said["required"] if field.must else ""
        text = "\n".join(filter(None, (meaning, words, end)))
        for place, value in enumerate((_heading(field.column, lang), required, unit, bounds, text)):
            sheet.write_string(row, place, str(value))


def _head(book: xlsxwriter.Workbook, *, must: bool) -> Format:
    return book.add_format({"bold": True, "border": 1, "num_format": "@", "bg_color": "#FFE699" if must else "#E8E8E8"})


def _unit(column: Column, lang: str) -> str:
    known = {**_UNITS, "mu": _MU[lang], "": "", "1": "", "fraction": ""}
    return known.get(column.unit, column.unit)


def _heading(column: Column, lang: str) -> str:
    """Give the heading of a column; a Chinese one with its unit, which canonical names have."""
    if lang == "en":
        return column.column
    unit = _unit(column, lang)
    return f"{column.heading_zh}({unit})" if unit else column.heading_zh


def _notes(field: _Field, lang: str) -> tuple[str, str, str, str]:
    """Give what a column means, its words, its bounds, and what must be known of an end; blank where there is none."""
    column, said = field.column, _SAID[lang]
    words = str(said["list"]).format(words="、".join(field.words)) if field.words else ""
    bounds = str(said["bounds"]).format(lower=column.lower, upper=column.upper) if column.upper else ""
    meaning = column.meaning_zh if lang == "zh" else column.meaning_en
    return meaning, words, bounds, str(said["end"]) if column.column == "end" else ""
