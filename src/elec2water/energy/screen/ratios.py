"""Bills held against the registers of the same days: the multiplier that was really applied."""

from __future__ import annotations

import numpy as np

from elec2water.energy.arrays import Floats, Ints
from elec2water.energy.intervals import Intervals
from elec2water.energy.links import Links
from elec2water.energy.reporter import NOTHING, Reporter, periods
from elec2water.findings import Findings
from elec2water.rules import RuleSettings

_LEAST_KWH = 1.0


def multiplier_ratios(
    moved: Intervals, billing: Intervals, links: Links, settings: RuleSettings, reporter: Reporter
) -> Findings:
    """Report meters whose bills are not register difference × multiplier over the days that both state.

    Parameters
    ----------
    moved : Intervals
        Register differences, after the multiplier, on days that are billed too.
    billing : Intervals
        Bills.
    links : Links
        Multipliers of the meters.
    settings : RuleSettings
        The threshold is the relative gap from which on it is reported.
    reporter : Reporter
        Who speaks.

    Returns
    -------
    Findings
        ``MULTIPLIER_RATIO``, one a meter whose bills and differences cover the same days.
    """
    if not settings.speaks("MULTIPLIER_RATIO") or not len(moved) or not len(billing):
        return NOTHING
    n = len(links.digits)
    (m_first, m_last, m_kwh), (b_first, b_last, b_kwh) = (_spans(part, n) for part in (moved, billing))
    same = (m_first == b_first) & (m_last == b_last) & (m_kwh > _LEAST_KWH) & (b_kwh > _LEAST_KWH)
    ratio = np.divide(b_kwh, m_kwh, out=np.ones(n), where=same)
    meter = np.flatnonzero(same & (np.abs(ratio - 1.0) > settings.limit("MULTIPLIER_RATIO")))
    if not len(meter):
        return NOTHING
    stated, _ = links.multiplier_between(meter, m_first[meter], m_last[meter])
    applied = ratio[meter] * stated
    say = reporter.choose
    causes = [
        say(f"实际倍率 {a:.4g}（登记 {s:.4g}）", f"multiplier is {a:.4g}, not {s:.4g}")
        if a > 1.0 + settings.limit("MULTIPLIER_RATIO")
        else say(f"电量未乘倍率 {s:.4g}", f"multiplier {s:.4g} not applied to the bills")
        for a, s in zip(applied.tolist(), stated.tolist(), strict=True)
    ]
    return reporter.of_meters(
        "MULTIPLIER_RATIO",
        meter,
        table="readings",
        period=periods(m_first[meter], m_last[meter]),
        observed=applied.round(4),
        limit=stated,
        energy_kwh=np.abs(b_kwh - m_kwh)[meter].round(1),
        candidates=causes,
    )


def _spans(intervals: Intervals, n: int) -> tuple[Ints, Ints, Floats]:
    """Give first day, day after the last, and energy of each meter."""
    first = np.full(n, np.iinfo(np.int64).max)
    last = np.full(n, np.iinfo(np.int64).min)
    np.minimum.at(first, intervals.meter, intervals.start)
    np.maximum.at(last, intervals.meter, intervals.end)
    kwh = np.bincount(intervals.meter, weights=intervals.kwh, minlength=n).astype(np.float64)
    return first, last, kwh
