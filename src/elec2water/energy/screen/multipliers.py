"""Spells in which a meter reads too little or too much by a known multiplier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elec2water.energy.arrays import Floats, Ints, Texts
from elec2water.energy.screen.series import Desk, MeterMonths, Suspects
from elec2water.energy.screen.usual import Usual
from elec2water.findings import Findings

LEAST_MULTIPLIER = 5.0
"""Smaller factors cannot be told from a change of crop."""
DRIFT_SD = 0.35
"""Standard deviation [ln] by which a spell of a well differs from its other months without any fault."""
_LEAST_DROP = 1.0
_LENGTHS = (1, 2, 3, 4, 5, 6, 9, 12, 18, 24)
_TEN = float(np.log(10.0))


def lost_multipliers(series: MeterMonths, usual: Usual, desk: Desk) -> Findings:
    """Report spells in which a meter's energy fits 1/k or k times the usual, k its multiplier (``MULTIPLIER_SUSPECT``).

    The mean residual z of a spell against the meter's other months has the variance
    V = s²/n + s²/n' + drift². The odds of a factor k against none are (z² - (z ± ln k)²)/2V; the spell of the
    greatest odds is reported where they exceed the threshold, in powers of ten. Meters without a multiplier above 5
    have none to lose.
    """
    k = series.multiplier
    scanned = np.flatnonzero((k >= LEAST_MULTIPLIER) & (usual.count >= 2) & _drops(usual.residual))
    best = _Best.none(len(scanned))
    sums = _Sums.of(usual, scanned)
    months = series.kwh.shape[1]
    for length in (*(n for n in _LENGTHS if n < months), *range(1, months)):
        starts = range(months - length + 1) if length in _LENGTHS else (0, months - length)
        for start in starts:
            best = best.or_better(sums, start, start + length, np.log(k[scanned]))
    needed = desk.settings.limit("MULTIPLIER_SUSPECT") * _TEN
    last = np.maximum(best.end - 1, 0)
    told = (best.odds > needed) & (last >= series.asked.start) & (best.start < series.asked.stop)
    return _found(series, scanned[told], best.take(told), desk)


def _drops(residual: Floats) -> np.typing.NDArray[np.bool_]:
    """Tell which meters have a month far from their usual in either direction; others cannot have lost a factor."""
    return np.asarray((np.abs(np.nan_to_num(residual)) > _LEAST_DROP).any(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Running sums over months of residuals, their squares, their count and class variance, shape (R', M + 1)."""

    residual: Floats
    square: Floats
    count: Floats
    variance: Floats

    @classmethod
    def of(cls, usual: Usual, rows: Ints) -> _Sums:
        residual = usual.residual[rows]
        known = np.isfinite(residual)
        sd = np.where(residual > 0, usual.upper_sd[usual.group[rows]], usual.lower_sd[usual.group[rows]])
        filled = np.where(known, residual, 0.0)
        parts = (filled, filled**2, known.astype(np.float64), np.where(known, sd**2, 0.0))
        return cls(*(np.pad(np.cumsum(part, axis=1), ((0, 0), (1, 0))) for part in parts))


@dataclass(frozen=True, slots=True, eq=False)
class _Best:
    """The likeliest spell of each meter so far: months start … end - 1, log odds, and shift [ln]."""

    start: Ints
    end: Ints
    odds: Floats
    shift: Floats

    @classmethod
    def none(cls, n: int) -> _Best:
        return cls(np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, -np.inf), np.zeros(n))

    def take(self, which: np.typing.NDArray[np.bool_]) -> _Best:
        return _Best(self.start[which], self.end[which], self.odds[which], self.shift[which])

    def or_better(self, sums: _Sums, start: int, end: int, log_k: Floats) -> _Best:
        columns = (sums.residual, sums.square, sums.count, sums.variance)
        inside, q_in, n_in, v_in = (a[:, end] - a[:, start] for a in columns)
        outside, q_out, n_out, v_out = (a[:, -1] - b for a, b in zip(columns, (inside, q_in, n_in, v_in), strict=True))
        possible = (n_in >= 1) & (n_out >= 1) & (n_in <= 2 * n_out)
        safe_in, safe_out = np.maximum(n_in, 1.0), np.maximum(n_out, 1.0)
        z = inside / safe_in - outside / safe_out
        own = q_out - outside**2 / safe_out
        restless = np.maximum(np.divide(own, v_out, out=np.ones_like(own), where=v_out > 0), 1.0)
        variance = restless * (v_in / safe_in**2 + np.maximum(v_out, 0.0) / safe_out**2) + DRIFT_SD**2
        gap = np.abs(z) - log_k
        odds = np.where(possible, (z**2 - gap**2) / (2.0 * variance), -np.inf)
        # Spells of one month are digit slips or pauses: another rule's business.
        odds = np.where((n_in >= 2) | (n_out < n_in), odds, -np.inf)
        better = odds > self.odds
        return _Best(
            np.where(better, start, self.start),
            np.where(better, end, self.end),
            np.where(better, odds, self.odds),
            np.where(better, z, self.shift),
        )


def _found(series: MeterMonths, meter: Ints, best: _Best, desk: Desk) -> Findings:
    k = series.multiplier[meter]
    running = np.pad(np.cumsum(np.nan_to_num(series.kwh[meter]), axis=1), ((0, 0), (1, 0)))
    rows = np.arange(len(meter))
    energy = running[rows, best.end] - running[rows, best.start]
    lost = best.shift < 0
    return desk.findings(
        "MULTIPLIER_SUSPECT",
        Suspects(
            meter=meter,
            first=best.start,
            last=np.maximum(best.end - 1, 0),
            observed=np.exp(best.shift).round(3),
            limit=np.where(lost, np.round(1.0 / k, 4), k),
            stake=np.where(lost, energy * (k - 1.0), energy * (1.0 - 1.0 / k)),
            candidates=_causes(k, lost, desk),
        ),
        series,
    )


def _causes(k: Floats, lost: np.typing.NDArray[np.bool_], desk: Desk) -> Texts:
    say = desk.reporter.choose
    texts = [
        say(
            f"丢失倍率 {m:g}|互感器更换|停泵或改种",
            f"multiplier {m:g} lost|transformer exchanged|pump rested or crop changed",
        )
        if gone
        else say(
            f"倍率 {m:g} 重复相乘|互感器更换|新增用电", f"multiplier {m:g} applied twice|transformer exchanged|new load"
        )
        for m, gone in zip(k.tolist(), lost.tolist(), strict=True)
    ]
    return np.array(texts, dtype=object)
