"""Periods written into headings, titles and names: 2026年7月, 202607, 7月, 三季度; what is not said stays unknown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

_DIGITS = "一二三四五六七八九"
_MONTH_WORDS = {**{word: i for i, word in enumerate(_DIGITS, 1)}, "十": 10, "十一": 11, "十二": 12}
_QUARTER_WORDS = {**{word: i for i, word in enumerate(_DIGITS[:4], 1)}, **{str(i): i for i in range(1, 5)}}
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_MONTH = r"(?P<month>\d{1,2}|十[一二]?|[一二三四五六七八九])"
_ENGLISH = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_WORDS |= {word: i for i, word in enumerate(_ENGLISH, 1)}
_NAME = rf"(?P<month>{'|'.join(_ENGLISH)})[a-z]*"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<!\d){_YEAR}\s*年?度?第?(?P<quarter>[一二三四1-4])季度?",
        rf"(?<!\d){_YEAR}[-_ ]?[Qq](?P<quarter>[1-4])(?!\d)",
        rf"(?<!\d){_YEAR}年度?{_MONTH}月份?(?:(?P<day>\d{{1,2}})[日号]|[底末])?",
        rf"(?<!\d){_YEAR}[-/._](?P<month>\d{{1,2}})(?:[-/._](?P<day>\d{{1,2}}))?(?:[T ]00:00(?::00)?)?(?!\d)",
        rf"(?<!\d){_YEAR}(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])?(?!\d)",
        rf"(?<![a-z0-9]){_NAME}[-./,\s]*{_YEAR}(?!\d)",
        rf"(?<!\d){_YEAR}[-./,\s]*{_NAME}(?![a-z0-9])",
        rf"^{_NAME}[-\s'](?P<short>1[5-9]|[23]\d)$",
        r"(?<![\d一二三四])第?(?P<quarter>[一二三四1-4])季度",
        rf"(?<![\d一二三四五六七八九十年]){_MONTH}月(?P<day>\d{{1,2}})[日号]",
        rf"(?<![\d一二三四五六七八九十年]){_MONTH}月份?[底末]?(?!\d)",
    )
)
_SERIAL = re.compile(r"[34]\d{4}(\.0+)?|5[0-4]\d{3}(\.0+)?")
"""1982 to 2050."""
_LEAP_YEAR = 2024
_YEAR_APART = re.compile(r"(?<!\d)((?:19|20)\d\d)年度?")
_EDGES = " \t\r\n-_/.:·"
_YEAR_ALONE = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")


@dataclass(frozen=True, slots=True)
class Stated:
    """A period as written, and the text around it.

    Attributes
    ----------
    year, quarter, month, day : int or None
        What is said of it; exactly one of `quarter` and `month` is.
    rest : str
        The text without the period.
    """

    year: int | None
    quarter: int | None
    month: int | None
    day: int | None
    rest: str


@cache
def period_in(text: str) -> Stated | None:
    """Find the period that a heading states.

    Examples
    --------
    >>> period_in("2026年1月用电量(kWh)")
    Stated(year=2026, quarter=None, month=1, day=None, rest='用电量(kWh)')
    >>> period_in("Jul-26").year, period_in("Sept 2026").month
    (2026, 9)
    >>> period_in("十二月").month, period_in("202607").month, period_in("13月")
    (12, 7, None)
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    for pattern in _PATTERNS:
        match = pattern.search(plain)
        if match is None:
            continue
        said = match.groupdict()
        month, day = _number(said.get("month"), _MONTH_WORDS), _number(said.get("day"), {})
        quarter = _number(said.get("quarter"), _QUARTER_WORDS)
        rest = (plain[: match.start()] + plain[match.end() :]).strip(_EDGES)
        if not {"year", "short"} & set(said) and len(years := _YEAR_APART.findall(rest)) == 1:
            said["year"], rest = years[0], _YEAR_APART.sub("", rest).strip(_EDGES)
        year = _number(said.get("year"), {})
        if "short" in said:
            year = 2000 + int(said["short"])
        if (month is not None and not 1 <= month <= 12) or (day is not None and not _is_date(year, month, day)):
            continue
        return Stated(year, quarter, month, day, rest)
    return None


def serial_month(text: str) -> Stated | None:
    """Read the number that a spreadsheet keeps for the first of a month, as in headings that lost their format.

    Examples
    --------
    >>> serial_month("46204"), serial_month("46205")
    (Stated(year=2026, quarter=None, month=7, day=1, rest=''), None)
    """
    if not _SERIAL.fullmatch(text):
        return None
    day = np.datetime64("1899-12-30") + int(float(text))
    if day != day.astype("datetime64[M]"):
        return None
    year, month, _ = str(day).split("-")
    return Stated(int(year), None, int(month), 1, "")


def _number(text: str | None, words: dict[str, int]) -> int | None:
    if text is None:
        return None
    return words[text.lower()] if text.lower() in words else int(text)


def _is_date(year: int | None, month: int | None, day: int) -> bool:
    if month is None:
        return False
    first = np.datetime64(f"{year or _LEAP_YEAR:04d}-{month:02d}")
    days = ((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(int)
    return 1 <= day <= int(days)


def years_in(text: str) -> set[int]:
    """Give the years a text names.

    Examples
    --------
    >>> years_in("2025-2026年度机井用电"), years_in("202607 电量"), years_in("C370212G2020-0001")
    ({2025, 2026}, {2026}, {2020})
    """
    plain = unicodedata.normalize("NFKC", text)
    found = {int(year) for year in _YEAR_ALONE.findall(plain)}
    stated = period_in(text)
    return found | ({stated.year} if stated is not None and stated.year is not None else set())


def only_year(texts: Iterable[str]) -> int | None:
    """Give the year of the first text that names any; ``None`` where it names several, or none does."""
    for text in texts:
        years = years_in(text)
        if years:
            return years.pop() if len(years) == 1 else None
    return None


def only_month(texts: Iterable[str]) -> np.datetime64 | None:
    """Give the month of the first text that states one, the year taken from the others where it does not.

    Examples
    --------
    >>> only_month(["机井电量明细", "7月", "2026年"]), only_month(["2026年三季度"])
    (np.datetime64('2026-07'), None)
    """
    said = list(texts)
    for text in said:
        stated = period_in(text)
        if stated is not None and stated.month is not None:
            year = stated.year or only_year(said)
            return np.datetime64(f"{year:04d}-{stated.month:02d}") if year is not None else None
    return None


def bounds(stated: Stated, year: int) -> tuple[np.datetime64, np.datetime64]:
    """Give the first day of a stated period and the day after its last.

    Examples
    --------
    >>> bounds(period_in("四季度"), 2026)
    (np.datetime64('2026-10-01'), np.datetime64('2027-01-01'))
    """
    month = stated.month if stated.month is not None else 3 * (stated.quarter or 1) - 2
    first = np.datetime64(f"{year:04d}-{month:02d}")
    start = first.astype("datetime64[D]")
    if stated.day is not None:
        return start + (stated.day - 1), start + stated.day
    return start, (first + (3 if stated.quarter is not None else 1)).astype("datetime64[D]")
