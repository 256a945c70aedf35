"""Spells in which a meter reads too little or too much by a known multiplier."""

from __future__ import annotations

from dataclasses import dataclass, fields

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

    The mean residual z of a spell against the meter's other months, months weighing by the energy usual in them, has
    the variance V = s²/n + s²/n' + drift². The odds of a factor k against none are (z² - (z ± ln k)²)/2V; the spell of
    the greatest odds is reported where they exceed the threshold, in powers of ten. Meters without a multiplier above 5
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
    return np.asarray((np.abs(residual) > _LEAST_DROP).any(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Running sums over the months in which a meter turned, shape (R', M + 1).

    Of weights w, w·e, w·e², w·s², w²·s² and 1, with e the residual and s its spread. A month weighs by the energy usual
    in it: what a lamp does in winter says nothing of a multiplier.
    """

    weight: Floats
    residual: Floats
    square: Floats
    variance: Floats
    variance_of_sum: Floats
    count: Floats

    @classmethod
    def of(cls, usual: Usual, rows: Ints) -> _Sums:
        residual, group = usual.residual[rows], usual.group[rows]
        known = np.isfinite(residual)
        sd = np.where(residual > 0, usual.upper_sd[group], usual.lower_sd[group])
        weight = np.where(known, np.minimum(np.exp(usual.effect[group]), 1.0), 0.0)
        e = np.where(known, residual, 0.0)
        parts = (weight, weight * e, weight * e**2, weight * sd**2, weight**2 * sd**2, known.astype(np.float64))
        return cls(*(np.pad(np.cumsum(part, axis=1), ((0, 0), (1, 0))) for part in parts))

    def between(self, start: int, end: int) -> _Sums:
        """Give the sums over a spell, shape (R',) each."""
        return _Sums(*(getattr(self, f.name)[:, end] - getattr(self, f.name)[:, start] for f in fields(self)))

    def without(self, part: _Sums) -> _Sums:
        """Give the sums over all other months."""
        return _Sums(*(getattr(self, f.name)[:, -1] - getattr(part, f.name) for f in fields(self)))


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
        inner = sums.between(start, end)
        outer = sums.without(inner)
        possible = (inner.count >= 1) & (outer.count >= 1) & (inner.count <= 2 * outer.count)
        # Spells of one month are digit slips or pauses: another rule's business.
        possible &= (inner.count >= 2) | (outer.count < inner.count)
        possible &= (inner.weight > 0) & (outer.weight > 0)
        w_in, w_out = np.where(possible, inner.weight, 1.0), np.where(possible, outer.weight, 1.0)
        z = inner.residual / w_in - outer.residual / w_out
        own = outer.square - outer.residual**2 / w_out
        safe = np.where(outer.variance > 0, outer.variance, 1.0)
        restless = np.maximum(np.where(outer.variance > 0, own / safe, 1.0), 1.0)
        sampling = inner.variance_of_sum / w_in**2 + np.maximum(outer.variance_of_sum, 0.0) / w_out**2
        gap = np.abs(z) - log_k
        odds = np.where(possible, (z**2 - gap**2) / (2.0 * (restless * sampling + DRIFT_SD**2)), -np.inf)
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
            f"倍率 {m:g} 重复相乘|其余月份丢失倍率 {m:g}|互感器更换|新增用电",
            f"multiplier {m:g} applied twice|multiplier {m:g} lost in the other months|transformer exchanged|new load",
        )
        for m, gone in zip(k.tolist(), lost.tolist(), strict=True)
    ]
    return np.array(texts, dtype=object)
