"""Intervals of energy: what a meter used from one day to another, and which of them can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from elec2water.energy.arrays import Bools, Floats, Ints, Texts
from elec2water.energy.reporter import NOTHING, Reporter, together
from elec2water.findings import Findings

LONGEST_DAYS = 3 * 366
"""An interval longer than this says nothing about its months; it is taken for a wrong date and left out."""
HALF = 0.5
"""Intervals that share at least this part of the shorter one state the same energy twice; below it, reading days were
written down a few days off and both energies are real."""


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Energy of n intervals.

    Attributes
    ----------
    meter : numpy.ndarray, shape (n,)
        Code of the meter.
    start, end : numpy.ndarray, shape (n,)
        Days since 1970-01-01, end exclusive.
    kwh : numpy.ndarray, shape (n,)
        Energy [kWh], after the multiplier.
    estimated : numpy.ndarray, shape (n,)
        True where the total itself is somebody's estimate.
    row : numpy.ndarray, shape (n,)
        Row of the source file (of the closing read, for registers).
    """

    meter: Ints
    start: Ints
    end: Ints
    kwh: Floats
    estimated: Bools
    row: Ints

    def __len__(self) -> int:
        return len(self.meter)

    def take(self, which: Bools | Ints) -> Intervals:
        """Give some of the intervals, by mask or index."""
        return Intervals(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    def in_order(self) -> Intervals:
        """Sort by meter, start, end and row: what follows no longer depends on the order of the file."""
        return self.take(self.order())

    def order(self) -> Ints:
        """Give the places of the intervals by meter, start, end and row."""
        return np.lexsort((self.row, self.end, self.start, self.meter))

    @staticmethod
    def concat(parts: Sequence[Intervals]) -> Intervals:
        """Lay several sets end to end."""
        names = [f.name for f in fields(Intervals)]
        return Intervals(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def usable(intervals: Intervals, reporter: Reporter, causes: Texts | str = "") -> tuple[Intervals, Findings]:
    """Leave out intervals that end before they start, last for years, or hold negative energy.

    Parameters
    ----------
    intervals : Intervals
        Energies are finite.
    reporter : Reporter
        Who speaks.
    causes : numpy.ndarray of str, shape (n,), or str
        What may be behind a negative energy.

    Returns
    -------
    tuple of Intervals and Findings
        ``READING_PERIOD`` and ``NEGATIVE_ENERGY`` for those left out.
    """
    length = intervals.end - intervals.start
    wrong = (length <= 0) | (length > LONGEST_DAYS)
    negative = intervals.kwh < 0
    long = reporter.of(
        "READING_PERIOD",
        intervals.take(wrong),
        observed=length[wrong],
        limit=f"1–{LONGEST_DAYS}",
        energy_kwh=np.round(np.abs(intervals.kwh[wrong]), 1),
    )
    below = reporter.of(
        "NEGATIVE_ENERGY",
        intervals.take(negative),
        observed=intervals.kwh[negative],
        limit="≥ 0",
        energy_kwh=np.round(-intervals.kwh[negative], 1),
        candidates=causes if isinstance(causes, str) else causes[negative],
    )
    return intervals.take(~wrong & ~negative), together(long, below)


def distinct(intervals: Intervals, reporter: Reporter) -> tuple[Intervals, Findings]:
    """Settle repeated periods of a meter, as :func:`distinct_index` says; give the intervals left, in order."""
    index, found = distinct_index(intervals, reporter)
    return intervals.take(index), found


def distinct_index(intervals: Intervals, reporter: Reporter, form: str = "") -> tuple[Ints, Findings]:
    """Settle repeated periods of one meter.

    The same period with the same energy counts once, and an estimate gives way to an actual reading of its period. The
    same period with different energies is a contradiction: all of them are left out, none is summed.

    Parameters
    ----------
    intervals : Intervals
        Of energies, or of registers and no length.
    reporter : Reporter
        Who speaks.
    form : str
        ``@REGISTER`` where they are registers, for the wording.

    Returns
    -------
    tuple of numpy.ndarray and Findings
        Places of the intervals that are left, in order; ``READING_REPEATED`` (info) and ``READING_CONTRADICTION``.
    """
    order = intervals.order()
    rows = intervals.take(order)
    if not len(rows):
        return order, NOTHING
    opens = np.r_[True, (np.diff(rows.meter) != 0) | (np.diff(rows.start) != 0) | (np.diff(rows.end) != 0)]
    period, starts = np.cumsum(opens) - 1, np.flatnonzero(opens)
    only_estimates = np.logical_and.reduceat(rows.estimated, starts)[period]
    superseded = rows.estimated & ~only_estimates
    lowest = np.minimum.reduceat(np.where(superseded, np.inf, rows.kwh), starts)[period]
    highest = np.maximum.reduceat(np.where(superseded, -np.inf, rows.kwh), starts)[period]
    contradictory = ~superseded & (lowest != highest)
    chosen = np.full(len(starts), len(rows))
    np.minimum.at(chosen, period[~superseded], np.flatnonzero(~superseded))
    repeated = ~contradictory & (np.arange(len(rows)) != chosen[period])
    twice = reporter.of(f"READING_REPEATED{form}", rows.take(repeated), observed=rows.kwh[repeated])
    opposing = rows.take(contradictory)
    opposed = reporter.of(
        f"READING_CONTRADICTION{form}",
        opposing,
        observed=opposing.kwh,
        energy_kwh=np.where(opposing.end > opposing.start, np.round(np.abs(opposing.kwh), 1), np.nan),
        candidates=reporter.choose(
            "换表（新旧表各一条）|更正后重复导出|分时电量分行|两块表用了同一表号",
            "meter exchanged (a row each)|exported again after a correction|bands in rows|two meters under one name",
        ),
    )
    return order[~repeated & ~contradictory], together(twice, opposed)


def merge_estimated(intervals: Intervals, reporter: Reporter) -> tuple[Intervals, Findings]:
    """Merge every estimated interval forward into the actual one that closes it.

    An actual read after estimates carries what the estimates got wrong; only the sum from the last actual read to the
    next is measured. Runs of estimates without a closing actual read stay estimates.

    Parameters
    ----------
    intervals : Intervals
        In order, periods distinct.

    Returns
    -------
    tuple of Intervals and Findings
        ``ESTIMATE_MERGED`` (info), one for each estimate merged.
    """
    n = len(intervals)
    if not intervals.estimated.any():
        return intervals, NOTHING
    touches_next = np.zeros(n, dtype=bool)
    touches_next[:-1] = (intervals.meter[1:] == intervals.meter[:-1]) & (intervals.start[1:] == intervals.end[:-1])
    breaks = ~(intervals.estimated & touches_next)
    run = np.cumsum(np.r_[0, breaks[:-1]])
    last = np.flatnonzero(breaks)
    closed = ~intervals.estimated[last]
    joined = closed[run] & intervals.estimated
    first = np.flatnonzero(np.r_[True, (np.diff(run) != 0) | ~closed[run[1:]]])
    final = np.r_[first[1:], n] - 1
    merged = Intervals(
        meter=intervals.meter[first],
        start=intervals.start[first],
        end=intervals.end[final],
        kwh=np.add.reduceat(intervals.kwh, first),
        estimated=intervals.estimated[final],
        row=intervals.row[final],
    )
    found = reporter.of("ESTIMATE_MERGED", intervals.take(joined), observed=intervals.kwh[joined])
    return merged, found


def without_overlaps(intervals: Intervals, reporter: Reporter) -> tuple[Intervals, Findings]:
    """Settle intervals of one meter that overlap.

    Two that share at least half of the shorter one state the same energy twice and are both left out; a smaller
    overlap is a reading day written down late, and both energies are kept.

    Parameters
    ----------
    intervals : Intervals
        In order.

    Returns
    -------
    tuple of Intervals and Findings
        ``READING_OVERLAP`` with the days shared, and whether the energy was kept.
    """
    if len(intervals) < 2:
        return intervals, NOTHING
    reach, holder = _reach_before(intervals)
    same = np.r_[False, intervals.meter[1:] == intervals.meter[:-1]]
    shared = np.where(same, np.minimum(reach, intervals.end) - intervals.start, 0)
    length = intervals.end - intervals.start
    twice = (shared > 0) & (shared >= HALF * np.minimum(length, length[holder]))
    left_out = twice.copy()
    left_out[holder[twice]] = True
    touched = (shared > 0) | left_out
    found = reporter.of(
        "READING_OVERLAP",
        intervals.take(touched),
        observed=np.where(shared > 0, shared, length)[touched],
        limit="0",
        energy_kwh=np.round(np.abs(intervals.kwh[touched]), 1),
        outcome=np.where(left_out, *reporter.choose(("未采用", "保留"), ("left out", "kept")))[touched],
    )
    return intervals.take(~left_out), found


def _reach_before(intervals: Intervals) -> tuple[Ints, Ints]:
    """Give the furthest end among the meter's earlier intervals, and which interval holds it."""
    span = np.int64(intervals.end.max() - intervals.start.min() + 1)
    reach = (intervals.end - intervals.start.min()) + intervals.meter * span
    furthest = np.maximum.accumulate(reach)
    index = np.maximum.accumulate(np.where(reach == furthest, np.arange(len(reach)), 0))
    holder = np.r_[0, index[:-1]]
    return intervals.end[holder], holder
