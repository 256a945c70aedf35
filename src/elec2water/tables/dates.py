"""From text to dates: ISO, slashes, dots, 年月日, eight digits, English months, spreadsheet serials, times of day."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from elec2water.tables.parse import Parsed, encode, is_word, mask_of, tidy

_DATE = (
    r"^(?P<y>[12][0-9]{3})[-/.。年](?P<m>[0-9]{1,2})[-/.。月](?P<d>[0-9]{1,2})日?"
    r"(?:[T\s]*(?P<A>上午|下午)?\s*(?P<H>[0-9]{1,2})[:时](?P<M>[0-9]{1,2})分?(?::?(?P<S>[0-9]{1,2})(?:\.[0-9]+)?秒?)?\s*(?P<B>[AaPp][Mm])?)?"
    r"(?P<Z>Z|[+-][0-9]{2}:?[0-9]{2})?(?:\s*\(?(?:星期|周)[一二三四五六日天]\)?)?$"
)
_COMPACT = (
    r"^(?P<y>(?:19|20)[0-9]{2})(?P<m>[0-9]{2})(?P<d>[0-9]{2})"
    r"(?:\s+(?P<H>[0-9]{1,2}):(?P<M>[0-9]{1,2})(?::(?P<S>[0-9]{1,2}))?|(?P<h>[0-9]{2})(?P<n>[0-9]{2})(?P<s>[0-9]{2}))?$"
)
_SPELT = re.compile(
    r"(?:(\d{1,2})[-\s./]+)?([a-z]{3})[a-z]*[-\s./]+(?:(\d{1,2})(?:st|nd|rd|th)?[-\s.,/]+)?((?:19|20)\d\d)",
    re.IGNORECASE,
)
_ENGLISH = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"^(?P<y>(?:19|20)[0-9]{2})\s*[-/.年Mm]?\s*第?(?P<m>[0-9]{1,2})\s*(?:月份?|期|\.0+)?$"
_YEAR = r"^(?P<y>(?:19|20)[0-9]{2})(?:\.1|\s*年?(?:初|春|上半年|夏|秋|下半年|冬|末|底|左右)?)$"
_NAT = np.datetime64("NaT", "s")
_SHANGHAI = 8 * 3600
_DAY_FIRST = r"^(?P<d>1[3-9]|2[0-9]|3[01])[-/.](?P<m>[0-9]{1,2})[-/.](?P<y>(?:19|20)[0-9]{2})$"
_DAY_SECOND = r"^(?P<m>[0-9]{1,2})[-/.](?P<d>1[3-9]|2[0-9]|3[01])[-/.](?P<y>(?:19|20)[0-9]{2})$"
_SERIAL = r"^[2-7][0-9]{4}(\.[0-9]+)?$"
_AMBIGUOUS = r"^[0-9]{1,2}[-/.年][0-9]{1,2}[-/.月][0-9]{1,2}日?([T\s].*)?$|^[0-9]{1,2}[-/.][0-9]{1,2}[-/.][12][0-9]{3}$"


def parse_dates(column: pa.Array, *, months: bool = False) -> Parsed:
    """Read dates and date-times: ISO, slashes, dots, 年月日, eight digits, spreadsheet serials.

    Parameters
    ----------
    column : pyarrow.Array
        (n,) text, dates or timestamps (with a time zone: Asia/Shanghai wall time).
    months : bool
        Months are asked for: ``202603`` and ``2026年3月`` are read, and every date becomes the first of its month.

    Returns
    -------
    Parsed
        ``datetime64[s]``, NaT where blank or wrong (``AMBIGUOUS_DATE``: the year is not told; ``NOT_A_DATE``).
    """
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return Parsed(_first_of_month(_typed_dates(column), months=months), {})
    coded = encode(column)
    clean = tidy(coded.values)
    blank = mask_of(pc.or_(pc.equal(clean, ""), is_word(clean, "null")))
    values = _dates_of(clean, _DATE)
    for pattern in (_COMPACT, _DAY_FIRST, _DAY_SECOND, *((_MONTH,) if months else ())):
        values = np.where(np.isnat(values), _dates_of(clean, pattern), values)
    values = np.where(np.isnat(values), _spelt_dates(clean, months=months), values)
    serial = _serials(clean)
    values = np.where(np.isnat(values), serial, values)
    ambiguous = mask_of(pc.match_substring_regex(clean, _AMBIGUOUS)) & np.isnat(values)
    if months:
        ambiguous |= np.array(lost_zero(clean.to_pylist()), dtype=bool)
        values = np.where(ambiguous, np.datetime64("NaT", "s"), values)
    bad = np.isnat(values) & ~blank & ~ambiguous
    return Parsed(
        coded.spread(_first_of_month(values, months=months), missing=np.datetime64("NaT", "s")),
        {
            "AMBIGUOUS_DATE": coded.spread(ambiguous, missing=False),
            "NOT_A_DATE": coded.spread(bad, missing=False),
        },
        int(coded.spread(~np.isnat(serial) & (values == serial), missing=False).sum()),
    )


def coarse_dates(column: pa.Array) -> npt.NDArray[np.datetime64]:
    """Read what a registry knows to the month or the year alone: the first of that month, the first of July.

    Parameters
    ----------
    column : pyarrow.Array
        (n,) text.

    Returns
    -------
    (n,) datetime64[s]
        NaT where it is neither. 2018.1 may be an October that lost its zero, and is the year.

    Examples
    --------
    >>> coarse_dates(pa.array(["2018-05", "2018年", "2018.1", "老泵"])).astype("datetime64[D]").astype(str).tolist()
    ['2018-05-01', '2018-07-01', '2018-07-01', 'NaT']
    """
    coded = encode(column)
    clean = tidy(coded.values)
    months = np.where(np.array(lost_zero(clean.to_pylist()), dtype=bool), _NAT, _dates_of(clean, _MONTH))
    year = pc.struct_field(pc.extract_regex(clean, _YEAR), "y")
    middle = ((_integers(year) - 1970) * 12 + 6).astype("datetime64[M]").astype("datetime64[s]")
    middle = np.where(mask_of(pc.is_null(year)), _NAT, middle)
    return np.asarray(coded.spread(np.where(np.isnat(months), middle, months), missing=_NAT))


def _spelt_dates(text: pa.Array, *, months: bool) -> npt.NDArray[np.datetime64]:
    """Read dates whose month is an English word: 1-Aug-2026, Aug 1, 2026; Aug-2026 where months are asked for."""
    return np.array([_spelt(cell or "", months=months) for cell in text.to_pylist()], dtype="datetime64[s]")


def _spelt(text: str, *, months: bool) -> str:
    match = _SPELT.fullmatch(text)
    if match is None or match[2].lower() not in _ENGLISH or (match[1] and match[3]):
        return "NaT"
    day = int(match[1] or match[3] or 0)
    month = f"{match[4]}-{_ENGLISH.index(match[2].lower()) + 1:02d}"
    last = np.datetime64(month) + 1 - np.timedelta64(1, "D")
    if day > (last - np.datetime64(month, "D")).astype(int) + 1 or not (day or months):
        return "NaT"
    return f"{month}-{max(day, 1):02d}"


def lost_zero(texts: Sequence[str | None]) -> list[bool]:
    """Tell which months such as 2026.1 may be an October that was a number and lost its zero.

    A January is meant where the others show that their zeros are kept (2026.10) or that months count on (2026.2).

    Examples
    --------
    >>> lost_zero(["2026.09", "2026.1", "2026.11"]), lost_zero(["2026.1", "2026.2"])
    ([False, True, False], [False, False])
    """
    there = {text for text in texts if text}
    doubtful = [re.fullmatch(r"((?:19|20)\d\d)\.1", text or "") for text in texts]
    return [match is not None and there.isdisjoint({f"{match[1]}.10", f"{match[1]}.2"}) for match in doubtful]


def _typed_dates(column: pa.Array) -> npt.NDArray[np.datetime64]:
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        zoned = pc.cast(column, pa.timestamp("s", tz="Asia/Shanghai"), safe=False)
        column = pc.local_timestamp(zoned)
    seconds = pc.cast(column, pa.timestamp("s"), safe=False)
    return np.asarray(seconds.to_numpy(zero_copy_only=False)).astype("datetime64[s]", copy=False)


def _first_of_month(values: npt.NDArray[np.datetime64], *, months: bool) -> npt.NDArray[np.datetime64]:
    return values.astype("datetime64[M]").astype("datetime64[s]") if months else values


def _dates_of(text: pa.Array, pattern: str) -> npt.NDArray[np.datetime64]:
    parts = pc.extract_regex(text, pattern)
    names = [parts.type.field(i).name for i in range(parts.type.num_fields)]
    shift = _to_shanghai(pc.struct_field(parts, "Z")) if "Z" in names else np.int64(0)
    field = {name: _integers(pc.struct_field(parts, name)) for name in names if name not in "ABZ"}
    missing = mask_of(pc.is_null(parts))
    year, month = field["y"], field["m"]
    day = field.get("d", np.ones_like(year))
    first = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    date = first.astype("datetime64[D]") + (day - 1)
    hour, minute, second = (field.get(a, np.zeros_like(year)) + field.get(b, 0) for a, b in ("Hh", "Mn", "Ss"))
    hour = _of_half_day(hour, *(pc.struct_field(parts, name) for name in names if name in "AB"))
    midnight = (hour == 24) & (minute == 0) & (second == 0)
    valid = ~missing & (month >= 1) & (month <= 12) & (day >= 1) & (date.astype("datetime64[M]") == first)
    valid &= ((hour < 24) | midnight) & (minute < 60) & (second < 60)
    stamp = date.astype("datetime64[s]") + (hour * 3600 + minute * 60 + second)
    return np.where(valid, stamp + shift, np.datetime64("NaT", "s"))


def _of_half_day(hour: npt.NDArray[np.int64], *marks: pa.Array) -> npt.NDArray[np.int64]:
    """Count hours marked 上午, 下午, AM or PM through the day."""
    for mark in marks:
        late = mask_of(pc.match_substring_regex(mark, "^(下午|[Pp][Mm])$"))
        early = mask_of(pc.match_substring_regex(mark, "^(上午|[Aa][Mm])$"))
        hour = np.where(late & (hour < 12), hour + 12, np.where(early & (hour == 12), 0, hour))
    return hour


def _to_shanghai(zone: pa.Array) -> npt.NDArray[np.int64]:
    """Seconds to add to a time of a stated zone (Z, +00:00) to give the time in Shanghai; 0 where none is stated."""
    said = {text: _offset(text) for text in pc.unique(zone).to_pylist() if text}
    return np.array([_SHANGHAI - said[text] if text else 0 for text in zone.to_pylist()], dtype=np.int64)


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


def _integers(text: pa.Array) -> npt.NDArray[np.int64]:
    filled = pc.if_else(pc.equal(text, ""), "0", text).fill_null("0")
    return np.asarray(pc.cast(filled, pa.int64()))


def _serials(text: pa.Array) -> npt.NDArray[np.datetime64]:
    """Days since 1899-12-30, as a spreadsheet keeps dates; 1954 to 2119 only: no small number becomes a date."""
    is_serial = pc.match_substring_regex(text, _SERIAL)
    days = np.asarray(pc.cast(pc.if_else(is_serial, text, "0"), pa.float64()))
    stamp = np.datetime64("1899-12-30", "s") + np.round(days * 86400).astype(np.int64)
    return np.where(mask_of(is_serial), stamp, np.datetime64("NaT", "s"))
