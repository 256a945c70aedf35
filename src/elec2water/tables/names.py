"""Names of townships and aquifers that seem to be one written twice, and those that only one table knows."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import numpy.typing as npt

from elec2water.findings import Findings
from elec2water.identifiers import places
from elec2water.tables.context import Context
from elec2water.tables.typed import TypedTable

FEW = 0.25
"""Part of the wells of the commoner name up to which a like name is taken for a slip of the pen."""
_MOST_NAMES = 3_000
_DIFFERENT = re.compile(r"[0-9a-z〇一二三四五六七八九十百东西南北上下前后大小新老旧中内外左右甲乙丙丁]")
"""What tells one place from another however little it is: numbers, letters, directions, sizes."""
_UNITS = ("镇", "乡", "村", "街道", "办事处", "场", "区", "组", "层")
_ADDED_AT_END = 2
_LEAST_LENGTH = 3

Ints = npt.NDArray[np.int64]


def alike(one: str, other: str) -> bool:
    """Tell whether two names may be one: but for blanks, marks and widths, a sign left out, an ending or the unit.

    Examples
    --------
    >>> alike("城关镇", "城 关镇"), alike("城关镇", "城关乡"), alike("第一含水组", "第一含水层组")
    (True, True, True)
    >>> alike("大王庄", "小王庄"), alike("第一含水组", "第二含水组"), alike("李家镇", "王家镇")
    (False, False, False)
    """
    a, b = sorted((_plain(one), _plain(other)), key=len)
    if a == b:
        return True
    start = _same_from_the_start(a, b)
    end = _same_from_the_start(a[start:][::-1], b[start:][::-1])
    left, added = a[start : len(a) - end], b[start : len(b) - end]
    if _DIFFERENT.search(left + added):
        return False
    if left in ("", *_UNITS) and added in _UNITS and end == 0:
        return True
    if end == 0 and len(added) == 1:
        return left == ""
    return left == "" and len(added) <= (_ADDED_AT_END if end == 0 else 1) and len(a) >= _LEAST_LENGTH


def _same_from_the_start(one: str, other: str) -> int:
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _plain(name: str) -> str:
    return re.sub(r"[\s\W_]+", "", unicodedata.normalize("NFKC", name)).casefold()


def names_alike(wells: TypedTable, context: Context) -> Findings:
    """Report townships and aquifers of few wells whose name is nearly that of another (``NAMES_ALIKE``)."""
    found = []
    for column in ("township", "aquifer"):
        if column not in wells:
            continue
        names, codes = [str(name) for name in wells.distinct(column)], wells.codes(column)
        if len(names) > _MOST_NAMES:
            continue
        count = np.bincount(codes[codes >= 0], minlength=len(names))
        pairs = [
            (rare, usual)
            for rare in np.argsort(count, kind="stable").tolist()
            for usual in np.flatnonzero(count * FEW >= count[rare]).tolist()
            if count[rare] and alike(names[rare], names[usual])
        ]
        told = dict(pairs)
        first = np.array([int(np.flatnonzero(codes == rare)[0]) for rare in told], dtype=np.int64)
        found.append(
            context.finding(
                "NAMES_ALIKE",
                **wells.place(first),
                column=column,
                observed=[names[rare] for rare in told],
                candidate=[names[usual] for usual in told.values()],
                n=count[list(told)].astype(np.int64),
                limit=count[list(told.values())].astype(np.int64),
            )
        )
    return Findings.concat(found)


def names_unknown(levels: TypedTable, wells: TypedTable, context: Context) -> Findings:
    """Report townships and aquifers of water levels that no well has (``LEVEL_NAME_UNKNOWN``): nobody uses them.

    Levels of wells go by the well, whatever names stand beside it.
    """
    found, by_name = [], levels.codes("well_id") < 0 if "well_id" in levels else np.ones(len(levels), dtype=bool)
    for column in ("township", "aquifer"):
        if column not in levels or column not in wells:
            continue
        known = wells.distinct(column)
        codes = np.where(by_name, levels.codes(column), -1)
        strange = np.flatnonzero(places(levels.distinct(column), known) < 0)
        strange = strange[np.isin(strange, codes)]
        names = [str(name) for name in levels.distinct(column)]
        like = [next((str(k) for k in known if alike(str(k), names[code])), None) for code in strange.tolist()]
        first = np.array([int(np.flatnonzero(codes == code)[0]) for code in strange], dtype=np.int64)
        found.append(
            context.finding(
                "LEVEL_NAME_UNKNOWN",
                **levels.place(first),
                column=column,
                observed=[names[code] for code in strange],
                candidate=like,
                n=np.bincount(codes[codes >= 0], minlength=len(names))[strange].astype(np.int64),
            )
        )
    return Findings.concat(found)
