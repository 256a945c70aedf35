"""The words in which a design speaks to its readers, which are data: ``data/design_report.csv``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources

from elec2water.errors import UsageError
from elec2water.rules import LANGUAGES

Words = Mapping[str, str]


@cache
def design_words(lang: str) -> Words:
    """Read the words in one language.

    Parameters
    ----------
    lang : {"zh", "en"}

    Raises
    ------
    UsageError
        If the language is not known.
    """
    return {row["key"]: row[lang] for row in worded("design_report.csv", lang)}


def worded(name: str, lang: str) -> list[dict[str, str]]:
    """Read the rows of a file of ``data/`` that has a column for each language.

    Raises
    ------
    UsageError
        If the language is not known.
    """
    if lang not in LANGUAGES:
        raise UsageError(f"lang: expected one of {', '.join(LANGUAGES)}, found {lang!r}")
    text = (resources.files("elec2water") / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def word(kind: str, code: object, lang: str) -> str:
    """Say a code in words; as it is where there is none.

    Examples
    --------
    >>> word("reason", "sealed", "zh")
    '封存'
    """
    return design_words(lang).get(f"{kind}_{code}", str(code))
