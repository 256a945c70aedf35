"""Spells in which a meter reads too little or too much by a known multiplier."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from elec2water.energy.arrays import Floats, Ints, Texts
from elec2water.energy.screen.series import Desk, MeterMonths, Suspects
from elec2water.energy.screen.usual import Usual
from elec2water.findings import Findings

LEAST_MULTIPLIER = 5.0
"""Smaller factors cannot be told from a change of crop."""
LEAST_OF_FACTOR = 0.7
"""Least part of ln k by which a spell has moved that lacks k: vegetables in winter move by two thirds of ln 20."""
DRIFT_SD = 0.35
"""Standard deviation [ln] by which a spell of a well differs from its other months without any fault."""
ENOUGH_MONTHS = 3
"""Months from which on the months outside of a spell tell how restless a meter is."""
ENOUGH_PLAIN = 100
"""Meters without a multiplier from which on their levels tell how far levels lie apart."""
_LEAST_DROP = 1.0
_TAIL, _TAIL_SD = 0.05, 1.6449
_ANY_LEVEL = 100.0
_LENGTHS = (1, 2, 3, 4, 5, 6, 9, 12, 18, 24)
_TEN = float(np.log(10.0))


def lost_multipliers(series: MeterMonths, usual: Usual, desk: Desk) -> Findings:
    """Report spells in which a meter's energy fits 1/k or k times the usual, k its multiplier (``MULTIPLIER_SUSPECT``).

    A meter's level is normal about that of its class (per kW), with the spread τ² of the class. The means x of a spell
    and x' of the other months, months weighing by the energy usual in them, are then jointly normal with the variances
    τ² + v, τ² + v' and the covariance τ², v = s²/n + drift²/2. The log odds of a factor k in the spell against none
    are d'S⁻¹x - d'S⁻¹d/2 with d = (∓ln k, 0); the spell of the greatest odds is reported where they exceed the
    threshold, in powers of ten. Where there are no other months the class alone is the measure.

    Meters without a multiplier above 5 have none to lose; months in which a lamp alone turned the meter tell nothing of
    one; a meter whose register is multiplied here cannot lack its multiplier between two spells that have it; and what
    moved from a meter's other months by less than k to the power of ``LEAST_OF_FACTOR`` is a habit that the class does
    not share.
    """
    k = series.multiplier
    usual = replace(usual, residual=np.where(series.at_rest(), np.nan, usual.residual))
    far = _drops(usual.residual) | (np.abs(usual.gap) > _LEAST_DROP)
    scanned = np.flatnonzero((k >= LEAST_MULTIPLIER) & (usual.count >= 2) & far)
    best = _Best.none(len(scanned))
    sums, levels = _Sums.of(usual, scanned), _Levels.of(series, usual, scanned)
    months = series.kwh.shape[1]
    for length in (*(n for n in _LENGTHS if n < months), *range(1, months + 1)):
        starts = range(months - length + 1) if length in _LENGTHS else (0, months - length)
        for start in starts:
            open_ = ~series.one_multiplier[scanned] | sums.reach_an_end(start, start + length)
            best = best.or_better(sums, levels, start, start + length, np.log(k[scanned]), open_)
    needed = desk.settings.limit("MULTIPLIER_SUSPECT") * _TEN
    last = np.maximum(best.end - 1, 0)
    moved = np.abs(best.shift) >= LEAST_OF_FACTOR * np.log(k[scanned])
    told = (
        (moved | sums.are_all(best))
        & (best.odds > needed)
        & (last >= series.asked.start)
        & (best.start < series.asked.stop)
    )
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

    def reach_an_end(self, start: int, end: int) -> np.typing.NDArray[np.bool_]:
        """Tell for which meters there is no month of use before a spell, or none after it."""
        return np.asarray((self.count[:, start] == 0) | (self.count[:, end] == self.count[:, -1]))

    def are_all(self, best: _Best) -> np.typing.NDArray[np.bool_]:
        """Tell which meters have no month of use beside their likeliest spell."""
        meter = np.arange(len(self.count))
        return np.asarray(self.count[meter, best.end] - self.count[meter, best.start] == self.count[:, -1])

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

    def or_better(
        self, sums: _Sums, levels: _Levels, start: int, end: int, log_k: Floats, open_: np.typing.NDArray[np.bool_]
    ) -> _Best:
        """Keep the likelier of the spell so far and this one, where this one is open to a fault."""
        inner = sums.between(start, end)
        outer = sums.without(inner)
        alone = outer.weight <= 0
        # Spells of one month are digit slips or pauses: another rule's business.
        possible = open_ & ((inner.count >= 2) | (outer.count < inner.count)) & (inner.weight > 0)
        w_in, w_out = np.where(possible, inner.weight, 1.0), np.where(alone, 1.0, outer.weight)
        x_in, x_out = inner.residual / w_in + levels.gap, outer.residual / w_out + levels.gap
        restless = _restlessness(inner, outer, w_in, w_out)
        v_in = restless * inner.variance_of_sum / w_in**2 + 0.5 * DRIFT_SD**2
        v_out = restless * np.maximum(outer.variance_of_sum, 0.0) / w_out**2 + 0.5 * DRIFT_SD**2
        prior = levels.spread**2
        determinant = (prior + v_in) * (prior + v_out) - prior**2
        precision = np.where(alone, 1.0 / (prior + v_in), (prior + v_out) / determinant)
        pull = precision * x_in - np.where(alone, 0.0, prior / determinant) * x_out
        odds = log_k * np.abs(pull) - 0.5 * log_k**2 * precision
        better = possible & (odds > self.odds)
        return _Best(
            np.where(better, start, self.start),
            np.where(better, end, self.end),
            np.where(better, odds, self.odds),
            np.where(better, pull / precision, self.shift),
        )


def _restlessness(inner: _Sums, outer: _Sums, w_in: Floats, w_out: Floats) -> Floats:
    """Tell how much more a meter's months vary within the spell and within the others than its class's do, at least 1.

    The others alone tell where they are enough: a fault that begins or ends within the spell makes it vary.
    """
    own_out, own_in = (part.square - part.residual**2 / w for part, w in ((outer, w_out), (inner, w_in)))
    enough = outer.count >= ENOUGH_MONTHS
    own = own_out + np.where(enough, 0.0, own_in)
    usual = outer.variance + np.where(enough, 0.0, inner.variance)
    return np.maximum(np.divide(own, usual, out=np.ones_like(own), where=usual > 0), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Levels:
    """How far the level of each meter lies from that of its class [ln], and the spread of levels on that side."""

    gap: Floats
    spread: Floats

    @classmethod
    def of(cls, series: MeterMonths, usual: Usual, rows: Ints) -> _Levels:
        """Measure the tails of all levels together: classes are too small to show theirs.

        Meters without a multiplier tell them where they are enough: faults must not hide behind themselves.
        """
        gap = np.where(series.capacity_kw > 0, usual.gap, np.nan)
        spread = usual.spread
        sized = np.isfinite(gap)
        if not sized.any():
            return cls(np.zeros(len(rows)), np.full(len(rows), _ANY_LEVEL))
        plain = sized & ~(series.multiplier >= LEAST_MULTIPLIER)
        tellers = plain if np.count_nonzero(plain) >= ENOUGH_PLAIN else sized
        low, high = np.quantile((gap / spread)[tellers], [_TAIL, 1.0 - _TAIL]) / _TAIL_SD
        wide = spread * np.where(gap < 0, max(-low, 1.0), max(high, 1.0))
        return cls(np.where(sized, gap, 0.0)[rows], np.where(sized, wide, _ANY_LEVEL)[rows])


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
