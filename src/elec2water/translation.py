"""What code says in English, in the words of an official: steps of long work and errors, by the phrases of a table.

Code below the command line speaks English, since its callers are programs. ``data/messages.csv`` holds each phrase that
a command can show, with names in braces where it varies, and the same phrase in Chinese.
"""

from __future__ import annotations

import re
from functools import cache

from elec2water.design.words import worded

_NAME = re.compile(r"\\\{(\w+)\\\}")


@cache
def _phrases() -> list[tuple[re.Pattern[str], str]]:
    """Give each phrase as a pattern, with the Chinese for it; the first that fits is meant."""
    rows = worded("messages.csv", "zh")
    return [(re.compile(_NAME.sub(r"(?P<\1>.+?)", re.escape(row["en"]))), row["zh"]) for row in rows]


def translated(text: str, lang: str) -> str:
    """Say a message of the package in another language, line by line.

    Parameters
    ----------
    text : str
        English, as a step of long work or an error says it.
    lang : {"zh", "en"}

    Returns
    -------
    str
        The message in that language; a line for which there is no phrase stays as it is.

    Examples
    --------
    >>> translated("wells held out: part 2 of 10", "zh")
    '留出井检验：第 2/10 份'
    >>> translated("out of cheese", "zh")
    'out of cheese'
    """
    return text if lang == "en" else "\n".join(map(_line, text.split("\n")))


def _line(text: str) -> str:
    for pattern, chinese in _phrases():
        if found := pattern.fullmatch(text):
            return chinese.format(**{name: _line(part) for name, part in found.groupdict().items()})
    return text
