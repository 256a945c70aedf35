"""The inverse covariance of wells' pairs, from the recursions of the filter instead of a factorisation.

The pairs of a well in the order of time have covariance ``S = D + v ρ^|t-s| + l`` with D the errors, v the drift that
is forgotten in ``memory`` years and at a new pump, and l the covariance of the level. D and the drift are a first-order
autoregression read with error, whose inverse the Kalman filter gives in closed form: with ``K_t = P_t/F_t``, ``L_t = 1
- K_t``, ``N_{t-1} = 1/F_t + (ρ_{t+1} L_t)² N_t`` (de Jong 1989, J. Am. Statist. Assoc. 84; Durbin & Koopman 2012,
sections 4.4-4.7)

    (A⁻¹)_tt = 1/F_t + (ρ_{t+1} K_t)² N_t
    (A⁻¹)_st = -ρ_{s+1} K_s [ρ_{s+2} L_{s+1} ⋯ ρ_t L_{t-1}] (1/F_t - ρ_{t+1}² L_t K_t N_t)        for s < t

The level is the same for all pairs of one pump between which there was no gap without readings; such runs of pairs are
few. With Z (n, g) the indicators of a well's g runs and L (g, g) the covariance of the level among them it is added by
the formula of Woodbury, ``S⁻¹ = A⁻¹ - A⁻¹Z (I + LM)⁻¹L Z'A⁻¹`` with ``M = Z'A⁻¹Z`` and ``|S| = |A| |I + LM|``, which is
that of Sherman & Morrison where there is one run. The work grows with the square of a well's pairs, times its runs,
where a factorisation takes the cube.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Inverse:
    """``S⁻¹`` (w, n, n) of each of w wells, its row sums ``S⁻¹1`` (w, n) and ``ln|S|`` (w,)."""

    matrix: Floats
    row_sums: Floats
    log_det: Floats


def invert_covariances(
    time: Floats,
    pump: Ints,
    unread: Floats,
    noise: Floats,
    level: Floats,
    *,
    drift: float,
    memory: float,
    pump_share: float,
    renewal: float,
) -> Inverse:
    """Invert the covariance of the pairs of w wells.

    Parameters
    ----------
    time, pump : (w, n)
        When each pair was measured [years] and with which of the well's pumps, sorted by pump and time.
    unread : (w, n)
        Years without readings since the first pair of the pump.
    noise : (w, n)
        Variance of the error of each pair, positive.
    level : (w,)
        Variance of the level of each well.
    drift, memory : float
        Variance of the drift and the years in which it is forgotten; a new pump draws it anew.
    pump_share : float
        Share of the variance of the level that a new pump draws anew.
    renewal : float
        New pumps a year where nobody reads the well.
    """
    same = pump[:, 1:] == pump[:, :-1]
    carried = np.where(same, np.exp(-np.abs(np.diff(time, axis=1)) / memory), 0.0)
    matrix, log_det = _invert_drift(carried, noise, drift)
    sums = matrix.sum(axis=2)
    begins = np.ones(pump.shape, dtype=bool)
    begins[:, 1:] = ~same | (unread[:, 1:] != unread[:, :-1])
    if not begins[:, 1:].any():
        # A well of one pump, read throughout, has one level, however it is shared.
        scale = level / (1.0 + level * sums.sum(axis=1))
        matrix -= (scale[:, None] * sums)[:, :, None] * sums[:, None, :]
        log_det -= np.log(scale / level)
        return Inverse(matrix, sums * (scale / level)[:, None], log_det)
    run = np.cumsum(begins, axis=1) - 1
    runs = run[:, :, None] == np.arange(run.max() + 1)
    first = runs.argmax(axis=1)
    pump, unread = np.take_along_axis(pump, first, axis=1), np.take_along_axis(unread, first, axis=1)
    kept = np.exp(-renewal * np.abs(unread[:, :, None] - unread[:, None, :]))
    kept[pump[:, :, None] != pump[:, None, :]] = 0.0
    among = level[:, None, None] * (1.0 - pump_share * (1.0 - kept))
    return _with_level(matrix, sums, log_det, runs.astype(np.float64), among)


def _invert_drift(carried: Floats, noise: Floats, drift: float) -> tuple[Floats, Floats]:
    """Invert noise and drift alone: the matrix (w, n, n) and ``ln|A|`` (w,); ``carried`` (w, n - 1) is ρ."""
    w, n = noise.shape
    innovation, gain = np.empty((w, n)), np.empty((w, n))
    P = np.full(w, drift)
    for t in range(n):
        innovation[:, t] = P + noise[:, t]
        gain[:, t] = P / innovation[:, t]
        if t + 1 < n:
            P = carried[:, t] ** 2 * gain[:, t] * noise[:, t] + (1.0 - carried[:, t] ** 2) * drift
    kept = noise / innovation
    precision = 1.0 / innovation
    matrix = np.empty((w, n, n))
    matrix[:, -1, -1] = precision[:, -1]
    ahead = precision[:, -1].copy()
    tail = np.zeros((w, n))
    tail[:, -1] = precision[:, -1]
    for s in range(n - 2, -1, -1):
        rho, K = carried[:, s], gain[:, s]
        matrix[:, s, s] = precision[:, s] + (rho * K) ** 2 * ahead
        row = (-rho * K)[:, None] * tail[:, s + 1 :]
        matrix[:, s, s + 1 :] = row
        matrix[:, s + 1 :, s] = row
        through = rho * kept[:, s]
        tail[:, s + 1 :] *= through[:, None]
        tail[:, s] = precision[:, s] - rho * through * K * ahead
        ahead = precision[:, s] + through**2 * ahead
    return matrix, np.log(innovation).sum(axis=1)


def _with_level(matrix: Floats, sums: Floats, log_det: Floats, runs: Floats, among: Floats) -> Inverse:
    """Add a level of covariance ``among`` (w, g, g) for the runs of pairs of each well, ``runs`` (w, n, g) of 0 and 1.

    A run that a well does not have has no pairs, and whatever covariance it has counts for nothing.
    """
    of_run = matrix @ runs
    told = runs.transpose(0, 2, 1) @ of_run
    grown = np.eye(runs.shape[2]) + among @ told
    kept = np.asarray(np.linalg.solve(grown, among), dtype=np.float64)
    weighed = of_run @ kept
    matrix -= weighed @ of_run.transpose(0, 2, 1)
    sums = sums - np.einsum("wng,wg->wn", weighed, told.sum(axis=2))
    return Inverse(matrix, sums, log_det + np.linalg.slogdet(grown)[1])
