"""Energies in another unit: a meter, a month or a whole file a thousand or ten thousand times off."""

from __future__ import annotations

import numpy as np

from elec2water.energy.screen.series import Desk, MeterMonths, Suspects
from elec2water.energy.screen.usual import Usual, median, tellers
from elec2water.findings import Findings, findings_of

FACTORS = {1_000.0: "MWh", 10_000.0: "万kWh"}
HOURS_PER_MONTH = 730.0
LEAST_TURNED = 1 / 3
"""Part of the meters that must have used energy for the middle one to tell."""
_TEN = float(np.log(10.0))


def meters_in_other_units(series: MeterMonths, usual: Usual, desk: Desk) -> Findings:
    """Report meters whose level fits another unit better than its class (``UNIT_SUSPECT``).

    The odds of a factor k against none are those of two normal laws of the level about its class; reported where they
    exceed the threshold, in powers of ten.
    """
    gap, spread = usual.gap, usual.spread
    needed = desk.settings.limit("UNIT_SUSPECT") * _TEN
    best, factor = np.full(len(gap), -np.inf), np.ones(len(gap))
    for k in FACTORS:
        odds = (gap**2 - (np.abs(gap) - np.log(k)) ** 2) / (2.0 * spread**2)
        better = odds > best
        best, factor = np.where(better, odds, best), np.where(better, k, factor)
    meter = np.flatnonzero((best > needed) & (usual.count > 0))
    few = gap[meter] < 0
    say = desk.reporter.choose
    texts = [
        say(f"单位 {FACTORS[k]}", f"unit {FACTORS[k]}")
        if low
        else say("单位为 Wh 或已乘倍率", "unit Wh or multiplied twice")
        for k, low in zip(factor[meter].tolist(), few.tolist(), strict=True)
    ]
    energy = np.nansum(series.kwh[meter], axis=1)
    return desk.findings(
        "UNIT_SUSPECT",
        Suspects(
            meter=meter,
            first=np.full(len(meter), series.asked.start),
            last=np.full(len(meter), series.asked.stop - 1),
            observed=np.exp(gap[meter]),
            limit=np.where(few, 1.0 / factor[meter], factor[meter]),
            stake=np.where(few, energy * (factor[meter] - 1.0), energy * (1.0 - 1.0 / factor[meter])),
            candidates=np.array(texts, dtype=object),
        ),
        series,
    )


def months_in_other_units(series: MeterMonths, desk: Desk) -> Findings:
    """Report months in which the pumps that turned ran hardly at all, or more than always (``UNIT_SUSPECT_MONTH``).

    Looked at is the middle one of the meters that used energy, where at least a third of all did.
    """
    some = tellers(np.zeros(len(series.kwh), dtype=np.int64), desk.mixed)
    kwh, capacity = series.kwh[some], series.capacity_kw[some]
    # What readings over several months leave for a month is the season's word, and no month as it was written down.
    kwh = np.where(series.estimated[some], np.nan, kwh)
    turned = kwh > 0
    part = median(np.where(turned, kwh, np.nan) / (capacity[:, None] * HOURS_PER_MONTH), axis=0)
    many = turned.sum(axis=0) >= LEAST_TURNED * np.isfinite(kwh).sum(axis=0)
    low = 1.0 / desk.settings.limit("UNIT_SUSPECT_MONTH")
    month = np.flatnonzero(np.isfinite(part) & many & series.in_period() & ((part < low) | (part > 1.0)))
    if not len(month):
        return Findings.empty()
    say = desk.reporter.choose
    too_low, too_high = (
        say("单位 万kWh|单位 MWh", "unit 万kWh|unit MWh"),
        say("单位 Wh|倍率重复相乘", "unit Wh|multiplied twice"),
    )
    small = part[month] < low
    return findings_of(
        "UNIT_SUSPECT_MONTH",
        table="readings",
        file=desk.reporter.file,
        period=series.months[month].astype(str),
        observed=(100.0 * part[month]).round(6),
        limit=f"{100 * low:g}–100",
        energy_kwh=np.round(np.nansum(series.kwh[:, month], axis=0), 1),
        candidates=np.where(small, too_low, too_high),
        lang=desk.reporter.lang,
    )
