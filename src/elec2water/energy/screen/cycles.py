"""Reading intervals that are no month, and months that were estimated one after the other."""

from __future__ import annotations

import numpy as np

from elec2water.energy.intervals import Intervals
from elec2water.energy.reporter import NOTHING, Reporter
from elec2water.energy.screen.series import MOST_LISTED
from elec2water.findings import Findings, findings_of
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
    order = odd[np.lexsort((intervals.row[odd], -np.abs(intervals.kwh[odd])))]
    listed, rest = order[:MOST_LISTED], order[MOST_LISTED:]
    found = reporter.of(
        "OFF_CYCLE",
        intervals.take(listed),
        observed=length[listed],
        limit=f"{SHORTEST_DAYS}–{longest:g}",
        energy_kwh=np.round(np.abs(intervals.kwh[listed]), 1),
    )
    if len(rest):
        found += findings_of(
            "MORE_OF_RULE", table="readings", file=reporter.file, observed=len(rest), limit=MOST_LISTED,
            of="OFF_CYCLE", energy_kwh=round(float(np.abs(intervals.kwh[rest]).sum()), 1), lang=reporter.lang,
        )  # fmt: skip
    return found
