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
    odd = np.flatnonzero((length > longest) | (length < SHORTEST_DAYS))
    if not len(odd):
        return NOTHING
    some = intervals.take(odd)
    return reporter.of(
        "OFF_CYCLE",
        some,
        observed=length[odd],
        limit=f"{SHORTEST_DAYS}–{longest:g}",
        energy_kwh=np.round(np.abs(some.kwh), 1),
    )
