"""Reading intervals that are no month, and months that were estimated one after the other."""

from __future__ import annotations

import numpy as np

from elec2water.energy.intervals import Intervals
from elec2water.energy.reporter import NOTHING, Reporter
from elec2water.findings import Findings
from elec2water.rules import RuleSettings

SHORTEST_DAYS = 10


def off_cycle(intervals: Intervals, settings: RuleSettings, reporter: Reporter) -> Findings:
    """Report intervals of a few days or of more than a month and a half (``OFF_CYCLE``); their energy is spread.

    Where a few days are the rule, as in counties read every day, only the long ones are odd.

    Parameters
    ----------
    intervals : Intervals
        Before estimates are merged.
    settings : RuleSettings
        The threshold is the longest interval [days] of which nothing is said.
    reporter : Reporter
        Who speaks.

    Returns
    -------
    Findings
    """
    length = intervals.end - intervals.start
    longest = settings.limit("OFF_CYCLE")
    shortest = SHORTEST_DAYS if len(length) and np.median(length) >= SHORTEST_DAYS else 0
    odd = np.flatnonzero((length > longest) | (length < shortest))
    if not len(odd):
        return NOTHING
    some = intervals.take(odd)
    return reporter.of(
        "OFF_CYCLE",
        some,
        observed=length[odd],
        limit=f"{shortest}–{longest:g}",
        energy_kwh=np.round(np.abs(some.kwh), 1),
    )
