"""The words and the layout of the field sheet, which are data: ``data/field_sheet.csv``, in Chinese and English.

Its rows are words, the columns of the list, the steps of the protocol, and the form from top to bottom: parts, the
boxes of a part (with the column of the visits that fills them in beforehand) and the lines of a grid. A kind with a
purpose behind a point (``column.retest``) stands in the sheets of that purpose alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from elec2water.design.words import worded
from elec2water.strata import SEPARATOR, WORDS

Purpose: TypeAlias = Literal["sample", "retest"]
_METHODS = {name: code for code, name in WORDS["irrigation_method"].items()}


@dataclass(frozen=True)
class Column:
    """A column of the list of wells: the column of the visits, its width and heading."""

    name: str
    width: float
    heading: str


@dataclass(frozen=True)
class Part:
    """A part of the form: boxes (label, column of the visits) so many across, or the lines of a grid."""

    heading: str
    across: int
    height: float
    boxes: tuple[tuple[str, str], ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class SheetWords:
    """The field sheet in one language."""

    words: Mapping[str, str]
    columns: tuple[Column, ...]
    protocol: tuple[str, ...]
    form: tuple[Part, ...]


@cache
def sheet_words(lang: str, purpose: Purpose = "sample") -> SheetWords:
    """Read the words and the layout in one language.

    Parameters
    ----------
    lang : {"zh", "en"}
    purpose : {"sample", "retest"}
        Whether the wells are a probability sample with reserves, or chosen for what their tests are worth.

    Raises
    ------
    UsageError
        If the language is not known.
    """
    rows = worded("field_sheet.csv", lang)
    of_kind: dict[str, list[dict[str, str]]] = {"word": [], "column": [], "protocol": []}
    for row in rows:
        kind, _, only = row["kind"].partition(".")
        if kind in of_kind and only in {"", purpose}:
            of_kind[kind].append(row)
    return SheetWords(
        words={row["key"]: row[lang] for row in of_kind["word"]},
        columns=tuple(Column(row["key"], float(row["size"]), row[lang]) for row in of_kind["column"]),
        protocol=tuple(row[lang] for row in of_kind["protocol"]),
        form=_form(rows, lang),
    )


def _form(rows: list[dict[str, str]], lang: str) -> tuple[Part, ...]:
    opens = [i for i, row in enumerate(rows) if row["kind"] == "part"]
    parts = []
    for start, end in zip(opens, [*opens[1:], len(rows)], strict=True):
        head, inside = rows[start], rows[start + 1 : end]
        boxes = tuple((row[lang], row["key"]) for row in inside if row["kind"] == "box")
        lines = tuple(tuple(row[lang].split("|")) for row in inside if row["kind"] == "line")
        parts.append(Part(head[lang], int(head["key"]), float(head["size"]), boxes, lines))
    return tuple(parts)


def stratum_label(stratum: str, words: Mapping[str, str]) -> str:
    """Say the irrigation methods in a stratum's name in the language of the sheet.

    Parameters
    ----------
    stratum : str
        Such as ``浅层 | 泵深≤29 | 管灌``.
    words : mapping
        ``irrigation_method_<method>``, as in :attr:`SheetWords.words`.

    Examples
    --------
    >>> stratum_label("浅层 | 泵深≤29 | 管灌", sheet_words("en").words)
    '浅层 | 泵深≤29 | pipe'
    """
    return SEPARATOR.join(
        words.get(f"irrigation_method_{_METHODS.get(part, part)}", part) for part in stratum.split(SEPARATOR)
    )
