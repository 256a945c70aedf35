"""Reading intervals that are no month, and meters that are read every few months as a rule."""

from __future__ import annotations

import numpy as np

from elec2water.energy.arrays import Bools, Floats
from elec2water.energy.intervals import Intervals
from elec2water.energy.reporter import NOTHING, Reporter, together
from elec2water.findings import Findings, findings_of
from elec2water.rules import RuleSettings

SHORTEST_DAYS = 10
_MONTH_DAYS = 30.4
_A_RULE = 3
"""Readings of a meter from which its own usual interval is known; below, the county's."""


def off_cycle(intervals: Intervals, settings: RuleSettings, reporter: Reporter) -> Findings:
    """Report intervals of a few days or of half a month more than usual (``OFF_CYCLE``); their energy is spread.

    Usual is a month, or what most intervals of a meter have where that is longer: meters that are read every few months
    as a rule are counted and not listed (``READ_EVERY``). Where a few days are the rule, as in counties read every day,
    only the long ones are odd.

    Parameters
    ----------
    intervals : Intervals
        Before estimates are merged.
    settings : RuleSettings
        The threshold is the longest interval [days] of which nothing is said where meters are read every month.
    reporter : Reporter
        Who speaks.

    Returns
    -------
    Findings
    """
    length = intervals.end - intervals.start
    longest = settings.limit("OFF_CYCLE")
    usual = _usual_days(intervals, longest)
    rare = usual > longest
    shortest = SHORTEST_DAYS if len(length) and np.median(length) >= SHORTEST_DAYS else 0
    limit = np.where(rare, usual + longest - _MONTH_DAYS, longest)
    odd = np.flatnonzero((length > limit) | (length < shortest))
    return together(_listed(intervals, odd, limit, shortest, reporter), _read_every(intervals, usual, rare, reporter))


def _usual_days(intervals: Intervals, longest: float) -> Floats:
    """Give the usual length of the intervals of each one's meter [days], (n,): the middle one, or the county's."""
    length = (intervals.end - intervals.start).astype(np.float64)
    usual = np.full(len(length), _MONTH_DAYS)
    meters = int(intervals.meter.max(initial=-1)) + 1
    long = np.zeros(meters, dtype=bool)
    long[intervals.meter[length > longest]] = True
    some = np.flatnonzero(long[intervals.meter])
    if not some.size:
        return usual
    meter = intervals.meter[some]
    order = np.lexsort((length[some], meter))
    count = np.bincount(meter, minlength=meters)
    first = np.cumsum(count) - count
    middle = np.full(meters, float(np.median(length)))
    own = np.flatnonzero(count >= _A_RULE)
    middle[own] = length[some][order[first[own] + (count[own] - 1) // 2]]
    usual[some] = middle[meter]
    return usual


def _listed(intervals: Intervals, odd: np.ndarray, limit: Floats, shortest: int, reporter: Reporter) -> Findings:
    if not odd.size:
        return NOTHING
    some = intervals.take(odd)
    return reporter.of(
        "OFF_CYCLE",
        some,
        observed=some.end - some.start,
        limit=[f"{shortest}–{most:.0f}" for most in limit[odd]],
        energy_kwh=np.round(np.abs(some.kwh), 1),
    )


def _read_every(intervals: Intervals, usual: Floats, rare: Bools, reporter: Reporter) -> Findings:
    """Count the meters that are read every two months and more rarely, and their energy, by their cycle."""
    months = np.where(rare, np.round(usual / _MONTH_DAYS), 0).astype(np.int64)
    cycles = [int(k) for k in np.unique(months[rare])]
    return findings_of(
        "READ_EVERY",
        table="readings",
        file=reporter.file,
        observed=cycles,
        energy_kwh=[float(np.abs(intervals.kwh[months == k]).sum()) for k in cycles],
        n=[int(np.unique(intervals.meter[months == k]).size) for k in cycles],
        lang=reporter.lang,
    )
