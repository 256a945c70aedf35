"""Months that are equal to the last digit although nothing makes them so: copied blocks, flat lines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from elec2water.energy.arrays import Bools, Floats, Ints
from elec2water.energy.screen.series import Desk, MeterMonths, Suspects
from elec2water.findings import Findings

BLOCK = 3
"""Shortest block of months that is looked for."""
LAGS = (3, 6, 12, 24)
"""Months back from which a meter's own values are copied: a quarter, half a year, one or two years."""
COMMON = 3
"""Meters with the same energy in a month from which on their number tells how surprising it is."""
STANDBY = 4
"""Readings of a meter with the same energy from which on it is what the meter uses at rest: three may be copies."""
_MANY = 4_000_000
_WHOLE = 0.2
_PRIMES = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)


def repeated_values(series: MeterMonths, desk: Desk) -> Findings:
    """Ask both rules on equal energies: ``SERIES_COPIED`` and ``FLAT_LINE``."""
    series = series.evenly()
    cents, resolution = _cents(series.kwh)
    found = [
        rule(series, desk, cents, resolution)
        for name, rule in (("SERIES_COPIED", copied_blocks), ("FLAT_LINE", flat_lines))
        if desk.settings.speaks(name)
    ]
    return Findings.concat(found)


def copied_blocks(series: MeterMonths, desk: Desk, cents: Ints, resolution: float) -> Findings:
    """Report blocks of at least three months that occur twice, in two meters or in one (``SERIES_COPIED``).

    A block of energies v_1 … v_n, read to a resolution r, repeats by chance with a probability near Π r/v; a copy is
    reported where Σ log2(v/r) exceeds log2 of the number of pairs of blocks by the threshold (bits).
    """
    found = _extended(cents, *_twins(cents))
    found = _Pairs.joined(found.take(found.meter != found.other), _repeats(cents))
    bits = _information(series, found, resolution)
    rows, months = cents.shape
    same_meter, same_month = found.meter == found.other, found.start == found.other_start
    pairs = np.where(
        same_meter,
        np.log2(rows * months**2 / 2 + 1),
        np.where(same_month, np.log2(rows**2 * months / 2 + 1), 2 * np.log2(rows * months + 1)),
    )
    told = bits > pairs + desk.settings.limit("SERIES_COPIED")
    told &= (found.end - 1 >= series.asked.start) & (found.start < series.asked.stop)
    return _copies(series, found.take(told), desk)


def _own_surprise(kwh: Floats, reading: Ints, value: float) -> float:
    """Bits of a value among the readings of its own meter: of a lamp or transformer that burns when no pump does.

    Infinite below ``STANDBY`` readings, which leaves it to the other meters to tell how usual the value is. `kwh` and
    `reading` are of its months (M,); months that one reading was spread over are one.
    """
    often = len(np.unique(reading[kwh == value]))
    return float(np.log2(len(np.unique(reading[kwh > 0])) / often)) if often >= STANDBY else np.inf


def flat_lines(series: MeterMonths, desk: Desk, cents: Ints, resolution: float) -> Findings:
    """Report runs of equal energies that are not zero, as estimates carried on are (``FLAT_LINE``).

    Those of a lamp while the pump rests are no estimates.
    """
    least = int(desk.settings.limit("FLAT_LINE"))
    equal = (cents[:, 1:] == cents[:, :-1]) & (cents[:, 1:] > 0)
    if not equal.any():
        return Findings.empty()
    rows = np.flatnonzero(equal.any(axis=1))
    edge = np.zeros((len(rows), 1), dtype=np.int8)
    step = np.diff(np.hstack([edge, equal[rows].astype(np.int8), edge]), axis=1)
    row, start = np.nonzero(step == 1)
    end = np.nonzero(step == -1)[1]
    meter, length = rows[row], end - start + 1
    value = series.kwh[meter, start]
    surprise = (length - 1) * np.log2(np.maximum(value / resolution, 1.0))
    told = (length >= least) & (surprise > np.log2(cents.size + 1) + desk.settings.limit("SERIES_COPIED"))
    told &= (end >= series.asked.start) & (start < series.asked.stop)
    told &= ~series.at_rest()[meter, start]
    cause = desk.reporter.choose("连续估抄|电表停走|按定额计费", "estimates carried on|meter stopped|flat-rate bill")
    return desk.findings(
        "FLAT_LINE",
        Suspects(
            meter=meter[told],
            first=start[told],
            last=end[told],
            observed=length[told].astype(np.float64),
            limit=np.full(int(told.sum()), float(least)),
            stake=value[told] * length[told],
            candidates=np.full(int(told.sum()), cause, dtype=object),
        ),
        series,
    )


def _cents(kwh: Floats) -> tuple[Ints, float]:
    """Give energies in hundredths of a kWh (0 where unknown), and the resolution of the readings [kWh]."""
    hundredths = np.where(np.isnan(kwh), 0.0, kwh)
    hundredths *= 100.0
    cents = np.rint(hundredths, out=hundredths).astype(np.int64)
    turned = cents > 0
    n_turned = np.count_nonzero(turned)
    whole = not n_turned or np.count_nonzero(turned & (cents % 100 != 0)) < _WHOLE * n_turned
    return cents, 1.0 if whole else 0.01


class _Pairs:
    """Blocks ``start … end - 1`` of `meter` that equal the block from `other_start` of `other`; arrays (k,)."""

    __slots__ = ("end", "meter", "other", "other_start", "start")

    def __init__(self, meter: Ints, start: Ints, end: Ints, other: Ints, other_start: Ints) -> None:
        self.meter, self.start, self.end, self.other, self.other_start = meter, start, end, other, other_start

    @classmethod
    def joined(cls, *parts: _Pairs) -> _Pairs:
        return cls(
            *(
                np.concatenate([np.zeros(0, np.int64), *(getattr(part, name) for part in parts)])
                for name in ("meter", "start", "end", "other", "other_start")
            )
        )

    def take(self, which: Bools | Ints) -> _Pairs:
        return _Pairs(*(getattr(self, name)[which] for name in ("meter", "start", "end", "other", "other_start")))


def _repeats(cents: Ints) -> _Pairs:
    """Give what meters repeat of themselves a quarter to two years later, from the first month to the last."""
    parts = []
    for lag in (n for n in LAGS if n < cents.shape[1]):
        equal = (cents[:, lag:] == cents[:, :-lag]) & (cents[:, lag:] > 0)
        meter = np.flatnonzero(np.count_nonzero(equal, axis=1) >= BLOCK)
        some = equal[meter]
        start = np.argmax(some, axis=1)
        end = some.shape[1] - np.argmax(some[:, ::-1], axis=1)
        parts.append(_Pairs(meter, start + lag, end + lag, meter, start))
    return _Pairs.joined(*parts)


def _twins(cents: Ints) -> tuple[Ints, Ints]:
    """Give cells (flat) where two equal blocks begin; each block beside the next that equals it."""
    n_starts = cents.shape[1] - BLOCK + 1
    if n_starts < 1:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    keys, varied = _contents([cents[:, j : j + n_starts] for j in range(BLOCK)])
    # Of very many blocks only those of some contents are compared: a copy is then the same choice in both places.
    step = 1 + np.count_nonzero(varied) // _MANY
    if step > 1:
        varied &= keys % np.uint64(step) == 0
    block = np.flatnonzero(varied)
    keys = keys.ravel()[block]
    ordered = np.sort(keys)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    # Nearly all contents occur once: only the few that do not are put in order with their places.
    twice = np.isin(keys, again) if again.size else np.zeros(keys.size, dtype=bool)
    block, keys = block[twice], keys[twice]
    row, column = np.divmod(block, n_starts)
    order = np.lexsort((row, column, keys))
    twin = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    cell = row * cents.shape[1] + column
    return cell[order[twin]], cell[order[twin + 1]]


def _contents(parts: list[Ints]) -> tuple[npt.NDArray[np.uint64], Bools]:
    """Give a hash of every block, and whether it holds energy in two of its months and not the same in all."""
    first, second, third = parts
    varied = (first > 0).astype(np.int8) + (second > 0) + (third > 0) >= 2
    varied &= ~((first == second) & (second == third))
    key = np.zeros(first.shape, dtype=np.uint64)
    for part, prime in zip(parts, _PRIMES, strict=True):
        key ^= part.view(np.uint64)
        key *= prime
        key ^= key >> np.uint64(29)
    return key, varied


def _extended(cents: Ints, first: Ints, second: Ints) -> _Pairs:
    """Lengthen pairs of equal blocks as far as they stay equal, and drop those found twice."""
    months = cents.shape[1]
    a, i = np.divmod(first, months)
    b, j = np.divmod(second, months)
    start, end = i.copy(), i + BLOCK
    for direction in (-1, 1):
        growing = np.ones(len(a), dtype=bool)
        while growing.any():
            x = start - 1 if direction < 0 else end
            y = j + (x - i)
            inside = growing & (x >= 0) & (x < months) & (y >= 0) & (y < months)
            xs, ys = np.where(inside, x, 0), np.where(inside, y, 0)
            growing = inside & (cents[a, xs] == cents[b, ys])
            start, end = (start - growing, end) if direction < 0 else (start, end + growing)
    other_start = j + (start - i)
    later = (a > b) | ((a == b) & (i > j))
    one, two = np.where(later, b, a), np.where(later, a, b)
    one_start, two_start = np.where(later, other_start, start), np.where(later, start, other_start)
    key = np.stack([one, one_start, two, two_start, end - start], axis=1)
    key = np.unique(key, axis=0) if len(key) else key.reshape(0, 5)
    return _Pairs(key[:, 2], key[:, 3], key[:, 3] + key[:, 4], key[:, 0], key[:, 1])


def _information(series: MeterMonths, pairs: _Pairs, resolution: float) -> Floats:
    """Bits of the energies that a block has in common with its twin, zeros and what differs not counted.

    A value counts for what it is least surprising as: one of its month, or one of its meter. Months that one reading
    was spread over count once, and not at all where both blocks are of that reading: it equals itself.
    """
    kwh = series.kwh
    columns = (pairs.meter, pairs.start, pairs.end, pairs.other, pairs.other_start)
    surprise = {month: _Surprise.of(kwh[:, month], resolution) for month in _months(pairs)}
    meters = np.unique(np.concatenate([pairs.meter, pairs.other]))
    reading = dict(zip(meters.tolist(), series.readings_of(meters), strict=True))
    bits = np.zeros(len(pairs.meter))
    for k, (m, s, e, o, t) in enumerate(zip(*columns, strict=True)):
        counted: dict[int, float] = {}
        for month in range(s, e):
            twin, source = t + month - s, int(reading[m][month])
            if kwh[m, month] > 0 and kwh[m, month] == kwh[o, twin] and source != reading[o][twin]:
                value = kwh[m, month]
                told = min(surprise[month].bits(value), _own_surprise(kwh[m], reading[m], value))
                counted[source] = max(told, counted.get(source, 0.0))
        bits[k] = sum(counted.values())
    return bits


def _months(pairs: _Pairs) -> set[int]:
    return {month for s, e in set(zip(pairs.start.tolist(), pairs.end.tolist(), strict=True)) for month in range(s, e)}


class _Surprise:
    """How little a value of a month is to be expected: by its resolution, or by how often it really occurs."""

    __slots__ = ("ordered", "resolution")

    def __init__(self, ordered: Floats, resolution: float) -> None:
        self.ordered, self.resolution = ordered, resolution

    @classmethod
    def of(cls, column: Floats, resolution: float) -> _Surprise:
        return cls(np.sort(column[np.isfinite(column)]), resolution)

    def bits(self, value: float) -> float:
        fine = np.log2(max(value / self.resolution, 1.0))
        often = int(np.diff(np.searchsorted(self.ordered, [value, np.nextafter(value, np.inf)]))[0])
        common = np.log2(len(self.ordered) / often) if often >= COMMON else np.inf
        return float(min(fine, common))


def _copies(series: MeterMonths, pairs: _Pairs, desk: Desk) -> Findings:
    """One finding for each of the two blocks: which of them is the copy nobody can tell from here."""
    length = pairs.end - pairs.start
    equal = np.array(
        [
            np.count_nonzero(series.kwh[m, s:e] == series.kwh[o, t : t + e - s])
            for m, s, e, o, t in zip(pairs.meter, pairs.start, pairs.end, pairs.other, pairs.other_start, strict=True)
        ],
        dtype=np.float64,
    )
    meter = np.concatenate([pairs.meter, pairs.other])
    start = np.concatenate([pairs.start, pairs.other_start])
    last = start + np.tile(length, 2) - 1
    other = np.concatenate([pairs.other, pairs.meter])
    other_start = np.concatenate([pairs.other_start, pairs.start])
    stake = np.array([np.nansum(series.kwh[m, s : e + 1]) for m, s, e in zip(meter, start, last, strict=True)])
    keep = (last >= series.asked.start) & (start < series.asked.stop)
    return desk.findings(
        "SERIES_COPIED",
        Suspects(
            meter=meter[keep],
            first=start[keep],
            last=last[keep],
            observed=np.tile(equal, 2)[keep],
            limit=np.full(int(keep.sum()), float(BLOCK)),
            stake=stake[keep],
            candidates=_causes(series, meter, other, other_start, desk)[keep],
        ),
        series,
    )


def _causes(series: MeterMonths, meter: Ints, other: Ints, start: Ints, desk: Desk) -> npt.NDArray[np.object_]:
    say, names = desk.reporter.choose, desk.reporter.meter_id
    months = series.months[np.clip(start, 0, len(series.months) - 1)].astype(str)
    texts = [
        say(f"与本表 {month} 起相同：重复填报以前月份", f"same as its own months from {month}: filled in again")
        if m == o
        else say(
            f"与电表 {names[o]} {month} 起相同：整行错位或复制|同一电表两个编号",
            f"same as meter {names[o]} from {month}: rows shifted or copied|one meter under two names",
        )
        for m, o, month in zip(meter, other, months, strict=True)
    ]
    return np.array(texts, dtype=object)
