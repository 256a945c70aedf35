"""The words in which a design speaks to its readers, which are data: ``data/design_report.csv``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources

from elec2water.errors import UsageError

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
    text = (resources.files("elec2water") / "data" / "design_report.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    if lang not in rows[0]:
        raise UsageError(f"design: lang must be 'zh' or 'en', not {lang!r}")
    return {row["key"]: row[lang] for row in rows}


def word(kind: str, code: object, lang: str) -> str:
    """Say a code in words; as it is where there is none.

    Examples
    --------
    >>> word("reason", "sealed", "zh")
    '封存'
    """
    return design_words(lang).get(f"{kind}_{code}", str(code))
