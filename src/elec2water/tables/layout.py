"""Where the headings of a sheet stand and what each column is called: one row or several, merged or not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HEADER_ROWS = 30
"""Rows searched for the headings; forms carry titles and notes above them."""

MAX_HEIGHT = 3
"""Rows that headings may take."""

Range = tuple[tuple[int, int], tuple[int, int]]
"""A merged range: (top, left), (bottom, right), all included, counted from 0."""

Known = Callable[[str], str | None]
"""What a heading means in the table that is read; ``None`` where nothing."""

_PLAIN_NUMBER = re.compile(r"^\s*[+-]?[0-9][0-9,]*(\.[0-9]*)?\s*$")
_MONTH_OR_YEAR = re.compile(r"^([1-9]|1[0-2]|(19|20)[0-9]{2})(\.0)?$")
_STEMS = "甲乙丙丁戊己庚辛壬癸"


@dataclass(frozen=True, slots=True)
class Layout:
    """The headings of a sheet.

    Attributes
    ----------
    start : int
        Index of the first row of headings.
    body : int
        Index of the first row behind them.
    headings : tuple of str
        One for every column, put together from all its rows.
    above : tuple of str
        The filled cells above the headings: titles.
    words : frozenset of str
        The filled cells of all rows of headings: a row of nothing else repeats them, as on every page of a print.
    """

    start: int
    body: int
    headings: tuple[str, ...]
    above: tuple[str, ...]
    words: frozenset[str]


def recognise(
    rows: Sequence[Sequence[str]], merged: Sequence[Range], known: Known, is_unit: Callable[[str], bool]
) -> Layout | None:
    """Find the headings among the first rows of a sheet.

    Parameters
    ----------
    rows : sequence of sequence of str
        The first rows, from the top of the sheet.
    merged : sequence of Range
        Merged cells, where the file tells them; else a blank in an upper row of headings continues what is at its left.
    known : callable
        What a heading means.
    is_unit : callable
        Whether a cell is the unit of a column, as in a row of units below the headings.

    Returns
    -------
    Layout or None
        The rows that name most columns; ``None`` if none names at least two (one, where there is no more than one).
    """
    best: tuple[int, int, int, int] | None = None
    chosen: tuple[str, ...] = ()
    for start in range(min(len(rows), HEADER_ROWS)):
        for height in range(1, min(MAX_HEIGHT, len(rows) - start) + 1):
            if height > 1 and _is_record(rows[start + height - 1], known):
                break
            names = _names(rows[start : start + height], _within(merged, start, height), known)
            below = rows[start + height : start + height + 1]
            if height < MAX_HEIGHT and below and _continues(names, below[0], known, is_unit):
                continue
            rank = (_count(names, known), -_repeats(names, known), -height, -start)
            if rank[0] and (best is None or rank > best):
                best, chosen = rank, names
    if best is None:
        return None
    start, height = -best[3], -best[2]
    body = start + height
    if body < len(rows) and _are_units(rows[body], is_unit):
        chosen = tuple(
            _with_unit(name, unit, known) for name, unit in zip(chosen, _padded(rows[body], len(chosen)), strict=True)
        )
        body += 1
    if body < len(rows) and _numbers_columns(rows[body]):
        body += 1
    above = tuple(cell.strip() for row in rows[:start] for cell in row if cell.strip())
    words = frozenset(cell.strip() for row in rows[start:body] for cell in row if cell.strip())
    return Layout(start, body, chosen, above, words)


def _is_record(row: Sequence[str], known: Known) -> bool:
    """Whether a row holds numbers that no heading has: neither a period nor the number of a month or a year."""
    numbers = (cell.strip() for cell in row if _PLAIN_NUMBER.match(cell))
    return any(not _MONTH_OR_YEAR.match(text) and known(text) is None for text in numbers)


def _continues(names: Sequence[str], below: Sequence[str], known: Known, is_unit: Callable[[str], bool]) -> bool:
    """Whether the row below is one of headings: words under several periods or blanks, nothing where records begin.

    Taken for a record, 上月止码 under 7月 would leave a column of registers for the energy of July.
    """
    row = _padded(below, len(names))
    meanings = [known(name) for name in names]
    first = next((i for i, meaning in enumerate(meanings) if meaning is not None and not meaning.startswith("@")), None)
    if first is None or row[first].strip() or any(_PLAIN_NUMBER.match(cell) for cell in row if cell.strip()):
        return False
    under = [
        cell
        for name, meaning, cell in zip(names, meanings, row, strict=True)
        if cell.strip() and (not name.strip() or (meaning or "").startswith("@"))
    ]
    return len(under) >= 2 and not _are_units(row, is_unit)


def _count(names: Sequence[str], known: Known) -> int:
    """Count distinct meanings; periods alone are no headings, for the rows of a body hold dates too."""
    meanings = {meaning for name in names if (meaning := known(name)) is not None}
    if not any(not meaning.startswith("@") for meaning in meanings):
        return 0
    filled = sum(bool(name.strip()) for name in names)
    return len(meanings) if len(meanings) >= min(2, filled) else 0


def _repeats(names: Sequence[str], known: Known) -> int:
    """Count columns that mean what another one means: what tells them apart stands in a row of headings not taken."""
    meanings = [meaning for name in names if (meaning := known(name)) is not None]
    return len(meanings) - len(set(meanings))


def _within(merged: Sequence[Range], start: int, height: int) -> list[Range] | None:
    """Keep the ranges that touch the rows of headings, counted from the first of them; ``None`` if none is known."""
    if not merged:
        return None
    return [
        ((max(top - start, 0), left), (min(bottom - start, height - 1), right))
        for (top, left), (bottom, right) in merged
        if top < start + height and bottom >= start
    ]


def _names(rows: Sequence[Sequence[str]], merged: list[Range] | None, known: Known) -> tuple[str, ...]:
    if len(rows) == 1:
        return tuple(rows[0])
    width = max(map(len, rows))
    grid = [_padded(row, width) for row in rows]
    if merged is None:
        for upper, row in enumerate(grid[:-1]):
            _continue_right(row, grid[upper + 1 :])
    else:
        _fill_merged(grid, merged)
    return tuple(_joined([row[column] for row in grid], known) for column in range(width))


def _padded(row: Sequence[str], width: int) -> list[str]:
    return [*row, *[""] * (width - len(row))][:width]


def _continue_right(row: list[str], below: Sequence[Sequence[str]]) -> None:
    for column in range(1, len(row)):
        if not row[column].strip() and any(lower[column].strip() for lower in below):
            row[column] = row[column - 1]


def _fill_merged(grid: list[list[str]], merged: list[Range]) -> None:
    for (top, left), (bottom, right) in merged:
        for row in grid[top : bottom + 1]:
            for column in range(left, min(right + 1, len(row))):
                row[column] = row[column].strip() or grid[top][left]


def _joined(parts: Sequence[str], known: Known) -> str:
    """Put the rows of one column's heading together in the way that is known: 示数 over 上期 is 上期示数.

    What stands lowest says what the column is: 电费 under 7月 is no energy of July, whatever stands above it.
    """
    words: list[str] = []
    for part in map(str.strip, parts):
        if part and (not words or part != words[-1]):
            words.append(part)
    if len(words) < 2:
        return words[0] if words else ""
    ways = ["".join(words), "".join(reversed(words)), "".join(words[1:]), "".join(words[:0:-1]), words[-1]]
    return next((way for way in ways if known(way) is not None), " ".join(words))


def _are_units(row: Sequence[str], is_unit: Callable[[str], bool]) -> bool:
    filled = [cell for cell in row if cell.strip()]
    return len(filled) >= 1 and all(is_unit(cell) for cell in filled)


def _with_unit(name: str, unit: str, known: Known) -> str:
    bare = unicodedata.normalize("NFKC", unit).strip().strip("()[]【】")
    combined = f"{name}({bare})"
    return combined if bare and known(combined) is not None else name


def _numbers_columns(row: Sequence[str]) -> bool:
    """Whether a row only numbers the columns, as statistical forms do: 甲 乙 1 2 3."""
    filled = [cell.strip() for cell in row if cell.strip()]
    rest = [cell for cell in filled if cell not in _STEMS]
    stems = filled[: len(filled) - len(rest)]
    if len(filled) < 3 or "".join(stems) != _STEMS[: len(stems)] or rest != filled[len(stems) :]:
        return False
    numbers = [re.sub(r"^[(（]?(\d+)[)）]?$", r"\1", cell) for cell in rest]
    return numbers == [str(i) for i in range(1, len(rest) + 1)]
