"""Months that are ten or a hundred times too high: digit slips, catch-up bills, another load."""

from __future__ import annotations

import numpy as np

from elec2water.energy.arrays import Bools, Floats, Ints, Texts
from elec2water.energy.screen.series import Desk, MeterMonths, Suspects
from elec2water.energy.screen.usual import Usual
from elec2water.findings import Findings

LEAST_MONTHS = 4
"""Months in which a meter must have turned before one of them can be called unusual."""
PRIOR_MONTHS = 6.0
"""Weight of the class in how restless a meter is, as a number of months."""
LEAST_GAP = float(np.log(2.0))
"""A slip stands this far [ln] above all but one of the meter's other months; an honest maximum does not."""
MATERIAL = 0.1
"""Part of a meter's year from which on a month is looked at as closely as the threshold says."""
_TEN = float(np.log(10.0))


def spikes(series: MeterMonths, usual: Usual, desk: Desk) -> Findings:
    """Report months whose energy fits ten times what is usual far better than what is usual (``SPIKE``).

    With ln E normal about the usual with standard deviation s, the odds of a tenfold slip against none are
    ln 10 (e - ln 10 / 2) / s² at a residual e; reported where they exceed the threshold, in powers of ten.
    Where the months of a class are erratic, s is large and much is needed; so it is for a meter that is more erratic
    than its class, and for a month of winter that moves the meter's year by little: there ten times the odds are asked
    for. A slip also stands apart from the meter's other months.
    """
    needed = desk.settings.limit("SPIKE") * _TEN
    with np.errstate(invalid="ignore"):
        some = np.flatnonzero((usual.residual > 0.5 * _TEN).any(axis=1) & (usual.count >= LEAST_MONTHS))
    sd = usual.upper_sd[usual.group[some]] * _restlessness(usual, some)
    least = 0.5 * _TEN + (needed + _TEN * ~_matters(series.kwh[some])) * sd**2 / _TEN
    row, month = np.nonzero((np.nan_to_num(usual.residual[some]) > least) & series.in_period())
    meter, limit = some[row], least[row, month]
    residual = usual.residual[meter, month]
    apart = residual - _third(usual.residual[meter]) > LEAST_GAP
    meter, month, residual, limit = meter[apart], month[apart], residual[apart], limit[apart]
    energy = series.kwh[meter, month]
    return desk.findings(
        "SPIKE",
        Suspects(
            meter=meter,
            first=month,
            last=month,
            observed=np.exp(residual).round(1),
            limit=np.exp(limit).round(1),
            stake=energy - energy * np.exp(-residual),
            candidates=_causes(series, meter, month, residual, desk),
        ),
        series,
    )


def _matters(kwh: Floats) -> Bools:
    """Tell which months hold a tenth of what the meter uses in a year without them; shape (k, M)."""
    known = np.isfinite(kwh)
    filled = np.where(known, kwh, 0.0)
    others = filled.sum(axis=1, keepdims=True) - filled
    months = np.maximum(known.sum(axis=1, keepdims=True) - 1, 1)
    return np.asarray(filled >= MATERIAL * others * 12.0 / np.maximum(months, 12))


def _restlessness(usual: Usual, rows: Ints) -> Floats:
    """Tell how much more the other months of some meters vary than their class's do, at least 1; shape (k, M)."""
    residual, group = np.nan_to_num(usual.residual[rows]), usual.group[rows]
    square = (residual / np.where(residual > 0, usual.upper_sd[group], usual.lower_sd[group])) ** 2
    others = square.sum(axis=1, keepdims=True) - square + PRIOR_MONTHS
    return np.asarray(np.sqrt(np.maximum(others / (usual.count[rows] - 1 + PRIOR_MONTHS)[:, None], 1.0)))


def _third(residual: Floats) -> Floats:
    """Give the third greatest value of each row, so that two slips of a meter do not hide each other; -inf if none."""
    filled = np.where(np.isfinite(residual), residual, -np.inf)
    return np.asarray(np.partition(filled, -3, axis=1)[:, -3]) if residual.shape[1] > 2 else filled[:, 0]


def _causes(series: MeterMonths, meter: Ints, month: Ints, residual: Floats, desk: Desk) -> Texts:
    say = desk.reporter.choose
    before = np.where(month > 0, series.kwh[meter, np.maximum(month - 1, 0)], 0.0)
    waited = ~(before > 0)
    causes = np.empty(len(meter), dtype=object)
    for k in range(len(meter)):
        words = [say(f"多录一位（×{10 ** max(1, round(residual[k] / _TEN))}）", "a digit too many")]
        multiplier = series.multiplier[meter[k]]
        if multiplier > 1 and abs(residual[k] - np.log(multiplier)) < _TEN / 2:
            words.insert(0, say(f"倍率 {multiplier:g} 重复相乘", f"multiplier {multiplier:g} applied twice"))
        if waited[k]:
            words.insert(0, say("补抄或追补以前月份", "catch-up of months before"))
        words.append(say("其他用电", "another load"))
        causes[k] = "|".join(words)
    return causes
