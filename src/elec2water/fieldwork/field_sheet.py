"""The field sheet: a workbook to print and take along: the wells, the protocol, and a record form for every well."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from elec2water.errors import UsageError
from elec2water.fieldwork.long_list import with_rows
from elec2water.fieldwork.sheet_words import Part, Purpose, SheetWords, sheet_words, stratum_label

_CREATED = dt.datetime(1980, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)
_FIRST = 2
_MOST_FORMS = 1_000
_BLANK_FORMS = 2
_A4 = 9
_WORDED = ("role", "irrigation_method")
_WHOLE = ("annual_kwh",)
_FORM_COLUMNS = 6
_FORM_WIDTH = 15.0
_PAGE_WIDTH = 78
_LINE_HEIGHT = 15.5
_LIST_HEIGHT = 26.0
_CELL_LIMIT = 32_767
_PROPERTY_LIMIT = 250


@dataclass(frozen=True)
class _Styles:
    title: Format
    head: Format
    cell: Format
    number: Format
    label: Format
    section: Format
    text: Format
    note: Format

    @classmethod
    def of(cls, book: xlsxwriter.Workbook) -> _Styles:
        line = {"border": 1, "valign": "vcenter", "font_size": 10}
        return cls(
            title=book.add_format({"bold": True, "font_size": 14, "align": "center", "valign": "vcenter"}),
            head=book.add_format(line | {"bold": True, "text_wrap": True, "align": "center", "bg_color": "#E8E8E8"}),
            cell=book.add_format(line | {"text_wrap": True, "num_format": "@"}),
            number=book.add_format(line | {"num_format": "General", "align": "left"}),
            label=book.add_format(line | {"text_wrap": True, "bg_color": "#F2F2F2"}),
            section=book.add_format(line | {"bold": True, "bg_color": "#D9D9D9"}),
            text=book.add_format({"text_wrap": True, "valign": "top", "font_size": 11}),
            note=book.add_format({"text_wrap": True, "valign": "vcenter", "font_size": 9, "italic": True}),
        )


def field_sheet_bytes(visits: pd.DataFrame, *, title: str, lang: str = "zh", purpose: Purpose = "sample") -> bytes:
    """Write the workbook for the field team: wells to visit, the pumping-test protocol, a form for each well.

    Everything prints on A4; headings repeat, every form has a page of its own. Text of the registry is written as text,
    never as a formula.

    Parameters
    ----------
    visits : DataFrame
        Of :func:`~.visits.visits_of`; for re-tests with ``expected``, the coefficient that each test should find.
    title : str
        Of the county and the occasion, on every page.
    lang : {"zh", "en"}
    purpose : {"sample", "retest"}
        A probability sample has strata and reserves; wells that are chosen for what their tests are worth have none.

    Returns
    -------
    bytes
        Of an xlsx file; the same visits give the same bytes. With more than 1,000 wells the forms are two blank ones.

    Raises
    ------
    UsageError
        If a column is missing, or the language is not known.
    """
    sheet_of = sheet_words(lang, purpose)
    missing = [column.name for column in sheet_of.columns if column.name not in visits.columns]
    if missing:
        raise UsageError(f"field sheet: the visits lack the columns {missing}; make them with visits_of")
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(buffer, options) as book:
        book.set_properties({"title": _text(title)[:_PROPERTY_LIMIT], "created": _CREATED})
        styles, words = _Styles.of(book), sheet_of.words
        _write_list(book.add_worksheet(words["sheet_list"]), visits, title, sheet_of, styles)
        _write_protocol(book.add_worksheet(words["sheet_protocol"]), title, sheet_of, styles)
        _write_forms(book.add_worksheet(words["sheet_forms"]), visits, title, sheet_of, styles)
    content = buffer.getvalue()
    return content if len(visits) <= _MOST_FORMS else with_rows(content, _rest(visits, sheet_of), below=_FIRST + 1)


def _set_page(sheet: Worksheet, words: Mapping[str, str], *, landscape: bool) -> None:
    sheet.set_paper(_A4)
    sheet.set_margins(left=0.5, right=0.4, top=0.5, bottom=0.6)
    sheet.set_footer("&C" + words["page"].format(page="&P", pages="&N"))
    sheet.center_horizontally()
    if landscape:
        sheet.set_landscape()


def _write_list(sheet: Worksheet, visits: pd.DataFrame, title: str, sheet_of: SheetWords, styles: _Styles) -> None:
    words, last = sheet_of.words, len(sheet_of.columns) - 1
    written = visits if len(visits) <= _MOST_FORMS else visits.iloc[:1]
    _set_page(sheet, words, landscape=True)
    sheet.fit_to_pages(1, 0)
    sheet.set_default_row(_LIST_HEIGHT)
    sheet.merge_range(0, 0, 0, last, _text(f"{title}　{words['list_title']}"), styles.title)
    sheet.set_row(0, 26)
    sheet.set_row(1, 32)
    for position, column in enumerate(sheet_of.columns):
        sheet.set_column(position, position, column.width)
        sheet.write_string(1, position, column.heading, styles.head)
        for row, value in enumerate(_shown(written[column.name], words), start=_FIRST):
            _write(sheet, row, position, value, styles)
    sheet.repeat_rows(0, 1)
    sheet.freeze_panes(2, 3)
    below = len(visits) + 2
    if len(visits):
        sheet.autofilter(1, 0, below - 1, last)
    sheet.merge_range(below, 0, below, last, words["list_note"], styles.note)
    sheet.set_row(below, 30)


def _rest(visits: pd.DataFrame, sheet_of: SheetWords) -> list[list[object]]:
    """Cells of a long list from its second well on, by column."""
    shown = (_shown(visits[column.name].iloc[1:], sheet_of.words) for column in sheet_of.columns)
    return [[_cell(value) for value in cells] for cells in shown]


def _write_protocol(sheet: Worksheet, title: str, sheet_of: SheetWords, styles: _Styles) -> None:
    _set_page(sheet, sheet_of.words, landscape=False)
    sheet.fit_to_pages(1, 1)
    sheet.set_column(0, 0, _PAGE_WIDTH)
    sheet.write_string(0, 0, _text(f"{title}　{sheet_of.words['protocol_title']}"), styles.title)
    sheet.set_row(0, 28)
    for row, paragraph in enumerate(sheet_of.protocol, start=1):
        sheet.write_string(row, 0, paragraph, styles.text)
        sheet.set_row(row, _LINE_HEIGHT * (1 + _width(paragraph) // (_PAGE_WIDTH - 4)) + 6)


def _write_forms(sheet: Worksheet, visits: pd.DataFrame, title: str, sheet_of: SheetWords, styles: _Styles) -> None:
    _set_page(sheet, sheet_of.words, landscape=False)
    sheet.fit_to_pages(1, 0)
    sheet.set_column(0, _FORM_COLUMNS - 1, _FORM_WIDTH)
    row, breaks = 0, []
    for record in _forms(visits, sheet_of.words):
        heading = _text(f"{title}　{sheet_of.words['form_title']}")
        sheet.merge_range(row, 0, row, _FORM_COLUMNS - 1, heading, styles.title)
        sheet.set_row(row, 24)
        for part in sheet_of.form:
            row = _write_part(sheet, row + 1, part, record, styles)
        row += 1
        breaks.append(row)
    sheet.set_h_pagebreaks(breaks[:-1])


def _forms(visits: pd.DataFrame, words: Mapping[str, str]) -> Sequence[Mapping[object, object]]:
    """Give what each form knows beforehand; blank ones where there are no wells, or too many to print."""
    if not 0 < len(visits) <= _MOST_FORMS:
        return [{}] * _BLANK_FORMS
    worded = {name: pd.Series(_shown(visits[name], words), index=visits.index, dtype="object") for name in _WORDED}
    return visits.assign(**worded).to_dict("records")


def _write_part(sheet: Worksheet, row: int, part: Part, record: Mapping[object, object], styles: _Styles) -> int:
    """Write a part of a form from `row` on: a heading, boxes of label and value, a grid; return its last row."""
    sheet.merge_range(row, 0, row, _FORM_COLUMNS - 1, part.heading, styles.section)
    span = _FORM_COLUMNS // part.across
    for position, (label, known) in enumerate(part.boxes):
        column = position % part.across * span
        if column == 0:
            row += 1
            sheet.set_row(row, part.height)
        sheet.write_string(row, column, label, styles.label)
        if span > 2:
            sheet.merge_range(row, column + 1, row, column + span - 1, "", styles.cell)
        _write(sheet, row, column + 1, record.get(known, ""), styles)
    for line in part.lines:
        row += 1
        sheet.set_row(row, part.height)
        for column, cell in enumerate(line):
            sheet.write_string(row, column, cell, styles.label if cell else styles.cell)
    return row


def _shown(column: pd.Series, words: Mapping[str, str]) -> list[object]:
    """Give the cells of a column as Python values, blank where missing, words of the language for codes."""
    cells = column.astype("object").where(column.notna(), "").tolist()
    if column.name == "stratum":
        return [stratum_label(str(cell), words) for cell in cells]
    if column.name in _WORDED:
        return [words.get(f"{column.name}_{cell}", cell) for cell in cells]
    return [round(cell) if isinstance(cell, float) else cell for cell in cells] if column.name in _WHOLE else cells


def _cell(value: object) -> str | float | None:
    """Give what is written of a value: text that a cell can hold, a number to six decimals, or nothing."""
    if isinstance(value, str):
        return _text(value) or None
    return round(float(value), 6) if isinstance(value, (int, float)) and value == value else None


def _write(sheet: Worksheet, row: int, column: int, value: object, styles: _Styles) -> None:
    cell = _cell(value)
    if isinstance(cell, float):
        sheet.write_number(row, column, cell, styles.number)
    elif cell is not None:
        sheet.write_string(row, column, cell, styles.cell)
    else:
        sheet.write_blank(row, column, None, styles.cell)


def _text(value: str) -> str:
    """Keep what a cell can hold: no control characters, at most as many characters as Excel reads."""
    if value.isprintable() and len(value) <= _CELL_LIMIT:
        return value
    return "".join(c for c in value if c >= " " or c in "\n\t")[:_CELL_LIMIT]


def _width(text: str) -> int:
    """Width of a text in Latin characters; a Chinese one takes two."""
    return sum(2 if ord(c) > 0x2E80 else 1 for c in text)
