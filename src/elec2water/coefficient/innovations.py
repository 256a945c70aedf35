"""Standardised innovations of sample wells, and the tests that find a break or a slow drift in them.

For each well the pairs in the order of time are whitened by the Cholesky factor of what the model allows, given the
shared effects: the innovations are independent standard normal variables while nothing changes (Harvey 1989,
Forecasting, Structural Time Series Models and the Kalman Filter, section 5.4). A change of level from a pair on is a
known direction in them, so that its generalised likelihood ratio has a standard normal root (Willsky & Jones 1976,
IEEE Trans. Autom. Control 21); drifts are summed up by a two-sided CUSUM (Page 1954, Biometrika 41).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import special

from elec2water.coefficient.gaussian import Group, Rows, WellVariances, group_wells, well_covariance

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

PAIRS_A_YEAR = 12.0
CUSUM_SLACK = 0.5
"""Half the drift, in standard deviations a pair, that the CUSUM is to find."""
STEP_SHARE, DRIFT_SHARE = 0.55, 0.15
"""Shares of the false alarms that the two tests may use; tails heavier than the normal's have the rest."""
OWN_SLOPE_SD = 0.3
"""Standard deviation of a well's own slope on the ln head: outlet and friction are more or less of it than usual, and
near the end of the pump's curve κ falls faster than 367.1 η/H with a constant η."""
_KEPT = 0.9
EACH_AT_LEAST = 1.0
"""Standard deviations by which each of two pairs must lean to the side of a change."""
AGREE_WITHIN = 2.5
"""Standard deviations within which the two must agree on its size, unless both are as far out as this themselves."""
CLEARER_BY = 1.5
"""Standard deviations by which a change one pair later must be the clearer; one that began earlier hardly ever is."""
_FEWEST_BEFORE = 3
_INNER = 0.90
_USUAL_WIDTH = 1.2
_ENOUGH = 100
_PRIOR_PAIRS = 24.0
_CUT = 2.5
_CUT_VARIANCE = 0.97
_RUN = 6
_WAY_BACK = 0.5
_CLIP = 3.0


@dataclass(frozen=True)
class Limits:
    """Limits of the two tests for a rate of false alarms.

    Attributes
    ----------
    step : float
        Standard deviations of a change of level seen in two pairs one after the other.
    cusum : float
        Of the cumulative sums.
    """

    step: float
    cusum: float

    @classmethod
    def of(cls, alarms_per_100_well_years: float) -> Limits:
        """Share the alarms allowed between the two tests, and leave some to the tails of real readings.

        The step is tested at each pair, two-sided; that the tests of neighbours overlap and that both pairs must agree
        keep nine tenths of the alarms of the plain normal limit (simulated). The mean time
        between false alarms of the CUSUM follows from Siegmund's approximation ``(e^{2kb} - 2kb - 1) / 2k²`` with
        ``b = h + 1.166`` (Siegmund 1985, Sequential Analysis, eq. 2.57), halved for its two sides.
        """
        rate = alarms_per_100_well_years / (100.0 * PAIRS_A_YEAR)
        h, k = 3.0, CUSUM_SLACK
        while 2.0 / _time_between(h, k) > DRIFT_SHARE * rate:
            h += 0.05
        return cls(float(special.ndtri(1.0 - 0.5 * STEP_SHARE * rate / _KEPT)), h)


def _time_between(h: float, k: float) -> float:
    x = 2.0 * k * (h + 1.166)
    return float((np.exp(x) - x - 1.0) / (2.0 * k * k))


@dataclass(frozen=True)
class Alarms:
    """What the two tests say of each sample well, (W,); rows are -1 where there is no alarm.

    Attributes
    ----------
    step_row, step_found : (W,)
        First pair of a change of level, and the pair after it that confirmed it.
    step, step_z : (W,)
        Size in ln κ, and in standard deviations.
    drift_row, drift_found : (W,)
        First pair of a drift and the pair at which the cumulative sum passed its limit.
    drift_sum : (W,)
    """

    step_row: Ints
    step_found: Ints
    step: Floats
    step_z: Floats
    drift_row: Ints
    drift_found: Ints
    drift_sum: Floats

    @property
    def any(self) -> NDArray[np.bool_]:
        """(W,) True where a test has sounded."""
        return np.asarray((self.step_row >= 0) | (self.drift_row >= 0))

    @classmethod
    def none(cls, n_wells: int) -> Alarms:
        """Give alarms for wells of which none has one."""
        rows = [np.full(n_wells, -1, dtype=np.intp) for _ in range(4)]
        sizes = [np.zeros(n_wells) for _ in range(3)]
        return cls(rows[0], rows[1], sizes[0], sizes[1], rows[2], rows[3], sizes[2])


@dataclass(frozen=True)
class Allowed:
    """What the residuals of wells may do where nothing changed.

    Attributes
    ----------
    rows : Rows
        Pairs by well in the order of time, without robust weights.
    variances : WellVariances
    shared : (R,)
        Variance that the months' common movement adds to each pair.
    own : tuple of (R,)
        Directions in which each well moves by an amount of its own, a standard normal variable. How far is
        learned from its own past: a well that swings more than others with its water table is no alarm every spring.
    """

    rows: Rows
    variances: WellVariances
    shared: Floats
    own: tuple[Floats, ...] = ()

    def covariance(self, group: Group) -> Floats:
        """Covariance (w, n, n) of the residuals of the wells of a group."""
        S = well_covariance(group, self.rows, self.variances)
        for direction in self.own:
            S += direction[group.rows][:, :, None] * direction[group.rows][:, None, :]
        diagonal = np.arange(group.rows.shape[1])
        S[:, diagonal, diagonal] += self.shared[group.rows]
        return S


def scan(residual: Floats, allowed: Allowed, limits: Limits) -> Alarms:
    """Test every well since its last known change of pump.

    Parameters
    ----------
    residual : (R,)
        ``y - Xθ̂``.
    allowed : Allowed
    limits : Limits
    """
    parts, rows = [], allowed.rows
    for group in group_wells(rows):
        if group.rows.shape[1] > _FEWEST_BEFORE + 1:
            L = np.asarray(np.linalg.cholesky(allowed.covariance(group)), dtype=np.float64)
            parts.append(_Part(group, L, _whitened(L, residual[group.rows]), _pairs_before(group.pump)))
    alarms = Alarms.none(rows.n_wells)
    steps = [_steps_seen(part) for part in parts]
    counted = [part.before >= _FEWEST_BEFORE for part in parts]
    scores = [np.where(c[:, :-1], seen.score, np.nan) for c, seen in zip(counted, steps, strict=True)]
    for part, seen, width in zip(parts, steps, _widths(scores), strict=True):
        _find_steps(alarms, part, seen, width, limits.step)
    single = [np.where(c, part.z, np.nan) for c, part in zip(counted, parts, strict=True)]
    widths = _widths(single)
    longer = _run_width([z / w for z, w in zip(single, widths, strict=True)])
    for part, width in zip(parts, widths, strict=True):
        _find_drifts(alarms, part, longer * width, limits.cusum)
    return alarms


@dataclass(frozen=True)
class _Part:
    """Wells with the same number of pairs: Cholesky factors (w, n, n), innovations and pairs before each (w, n)."""

    group: Group
    factor: Floats
    z: Floats
    before: Ints


def _widths(scores: list[Floats]) -> list[Floats]:
    """Tell how much wider than standard normal ones the scores at each pair are, (w, n) for each part.

    As the inner nine tenths of all wells' are, drawn to what the well's own scores were before: readings err with
    heavier tails than the variances say, and some wells swing with the seasons. A change moves neither.
    """
    every = np.concatenate([np.abs(s[np.isfinite(s)]) for s in scores]) if scores else np.zeros(0)
    common = _USUAL_WIDTH
    if every.size >= _ENOUGH:
        common = max(1.0, float(np.quantile(every, _INNER)) / float(special.ndtri(0.5 * (1.0 + _INNER))))
    return [_own_width(score, common) for score in scores]


def _own_width(score: Floats, common: float) -> Floats:
    """Width of a well's scores before each pair: their mean square, cut, as if 24 of the common width were known."""
    square = np.minimum(np.nan_to_num(score) ** 2, (_CUT * common) ** 2) / _CUT_VARIANCE
    n = np.cumsum(np.isfinite(score), axis=1) - np.isfinite(score)
    total = np.cumsum(square, axis=1) - square
    return np.asarray(np.sqrt((_PRIOR_PAIRS * common**2 + total) / (_PRIOR_PAIRS + n)))


def _run_width(scores: list[Floats]) -> float:
    """Tell how much wider sums of half a year of innovations are than those of independent ones; at least one.

    What the variances do not know of slow movement shows there, in all wells alike, and is no fault of one of them.
    """
    sums = [
        np.abs(sliding_window_view(np.clip(s, -_CLIP, _CLIP), _RUN, axis=1).sum(axis=2))
        for s in scores
        if s.shape[1] >= _RUN
    ]
    every = np.concatenate([s[np.isfinite(s)] for s in sums]) if sums else np.zeros(0)
    if every.size < _ENOUGH:
        return 1.0
    usual = float(special.ndtri(0.5 * (1.0 + _INNER)) * np.sqrt(_RUN))
    return max(1.0, float(np.quantile(every, _INNER)) / usual)


def lone_outliers(rows: Rows, residual: Floats, outlying: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which outlying pairs (R,) stand alone among their well's: wrong readings, for a changed well stays changed.

    The next pair is then back, by more than half of the way, where the last one before that is not outlying was: within
    a run of outlying pairs, which is a change, the one before is no measure of it.
    """
    lone = np.zeros(outlying.size, dtype=bool)
    place = np.arange(outlying.size)
    usual = np.maximum.accumulate(np.where(outlying, -1, place))
    j = np.flatnonzero(outlying[:-1])
    j = j[(usual[j] >= 0) & (rows.well[usual[j]] == rows.well[j]) & (rows.well[j + 1] == rows.well[j])]
    out, back = residual[j] - residual[usual[j]], residual[j + 1] - residual[usual[j]]
    lone[j] = np.sign(out) * back < _WAY_BACK * np.abs(out)
    return lone


def _whitened(L: Floats, residual: Floats) -> Floats:
    """Solve ``Lz = residual`` for each well, (w, n)."""
    z = np.empty_like(residual)
    for j in range(residual.shape[1]):
        z[:, j] = (residual[:, j] - np.einsum("wj,wj->w", L[:, j, :j], z[:, :j])) / L[:, j, j]
    return z


def _pairs_before(pump: Ints) -> Ints:
    """Count the pairs of the last pump before each pair, (w, n); -1 for pairs of an earlier pump."""
    latest = pump == pump[:, -1:]
    return np.where(latest, np.cumsum(latest, axis=1) - 1, -1)


@dataclass(frozen=True)
class _Steps:
    """A change of level from each pair on as it and the next show it, all (w, n - 1).

    ``score`` of the change and ``size`` in ln κ; ``lean``, the lesser of the two towards it, seen from the pairs
    before; ``odd``, what the two differ by, a standard normal variable where there is a change of whatever size.
    """

    score: Floats
    size: Floats
    lean: Floats
    odd: Floats


def _steps_seen(part: _Part) -> _Steps:
    L, z = part.factor, part.z
    j = np.arange(z.shape[1] - 1)
    # What a change of one from pair j on is in the innovations of the pairs j and j + 1.
    u0 = 1.0 / L[:, j, j]
    u1 = (1.0 - L[:, j + 1, j] * u0) / L[:, j + 1, j + 1]
    length = np.sqrt(u0**2 + u1**2)
    score = (u0 * z[:, :-1] + u1 * z[:, 1:]) / length
    odd = np.abs(u1 * z[:, :-1] - u0 * z[:, 1:]) / length
    alone = L[:, j + 1, j] * z[:, :-1] + L[:, j + 1, j + 1] * z[:, 1:]
    alone /= np.sqrt(L[:, j + 1, j] ** 2 + L[:, j + 1, j + 1] ** 2)
    return _Steps(score, score / length, np.minimum(np.sign(score) * z[:, :-1], np.sign(score) * alone), odd)


def _find_steps(alarms: Alarms, part: _Part, seen: _Steps, width: Floats, limit: float) -> None:
    """Note the first change of level of each well: beyond the limit, and both pairs say so.

    One wrong reading is none: the pair beside it neither leans its way nor agrees with it. Where the next two pairs
    show it far more clearly, the change began with these, and the pair before only leaned its way.
    """
    agreed = (seen.odd < width * AGREE_WITHIN) | (seen.lean > width * AGREE_WITHIN)
    found = (np.abs(seen.score) > width * limit) & (seen.lean > width * EACH_AT_LEAST) & agreed
    found &= part.before[:, :-1] >= _FEWEST_BEFORE
    here = np.flatnonzero(found.any(axis=1))
    first = found.argmax(axis=1)[here]
    after = np.minimum(first + 1, found.shape[1] - 1)
    gain = np.abs(seen.score[here, after]) - np.abs(seen.score[here, first])
    first = np.where(found[here, after] & (gain > CLEARER_BY * width[here, first]), after, first)
    wells = part.group.wells[here]
    alarms.step_row[wells] = part.group.rows[here, first]
    alarms.step_found[wells] = part.group.rows[here, first + 1]
    alarms.step[wells] = seen.size[here, first]
    alarms.step_z[wells] = seen.score[here, first] / width[here, first]


def _find_drifts(alarms: Alarms, part: _Part, width: Floats, limit: float) -> None:
    """Note where the CUSUM passes its limit; innovations are cut, so that one wrong reading sounds no alarm."""
    group, z = part.group, np.clip(part.z / width, -_CLIP, _CLIP)
    total = np.zeros((2, z.shape[0]))
    began = np.zeros((2, z.shape[0]), dtype=np.intp)
    for j in range(z.shape[1]):
        steps = np.array([z[:, j], -z[:, j]]) - CUSUM_SLACK
        began = np.where(total == 0.0, j, began)
        total = np.where(part.before[:, j] >= _FEWEST_BEFORE, np.maximum(total + steps, 0.0), 0.0)
        side, highest = total.argmax(axis=0), total.max(axis=0)
        new = (highest > limit) & (alarms.drift_row[group.wells] < 0)
        wells = group.wells[new]
        alarms.drift_row[wells] = group.rows[new, began[side, np.arange(side.size)][new]]
        alarms.drift_found[wells] = group.rows[new, j]
        alarms.drift_sum[wells] = np.where(side == 0, highest, -highest)[new]
