"""One sweep over a portion of wells: what each says of a path added to its own level, its level integrated out.

A well reads ``y_t = c_t + d_t + ε_t``: the path c that it shares, its own random walk d and noise. Given c the
readings have covariance S over months; a well adds ``S⁻¹`` to the precision of c and ``S⁻¹y`` to its vector. Both come
from the Kalman filter and the backward recursion of de Jong (1989, J. Am. Statist. Assoc. 84; Durbin & Koopman 2012,
sections 4.4, 4.5 and 4.7): with gain ``K_t = P_t/F_t``, ``L_t = 1 - K_t`` and ``N_{t-1} = 1/F_t + L_t²N_t``,

    (S⁻¹)_tt = 1/F_t + K_t²N_t,      (S⁻¹)_st = -K_s L_{s+1}⋯L_{t-1} (1/F_t - L_t K_t N_t)   for s < t.

The second is a product of what depends on s and what depends on t, so that the sum over wells is a product of
matrices: the cost of wells × months² is paid at the speed of the processor's matrix kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from elec2water.recursion import compiled
from elec2water.recursion.panel import Floats, Panel

_STRIP = 8
"""Months between which the products L are formed anew."""


@dataclass(frozen=True)
class Swept:
    """What a portion of n wells says of the path over T months.

    ``precision`` (T, T) and ``vector`` (T,) of c; ``quadratic``, ``log_det`` and ``n_read`` are the constants of the
    likelihood. After the last month a well's own level is ``mean - weights'c`` with ``variance``, given c: ``mean`` and
    ``variance`` (n,), ``weights`` (T, n), the last in the room of the scratch: copy it before the next portion.
    """

    precision: Floats
    vector: Floats
    quadratic: float
    log_det: float
    n_read: int
    mean: Floats
    variance: Floats
    weights: Floats


@dataclass(frozen=True)
class Scratch:
    """Room for the sweeps of portions of up to n wells, used again and again: fresh pages cost more than the sums."""

    y: Floats
    gain: Floats
    kept: Floats
    cross: Floats
    error: Floats
    diagonal: Floats

    @classmethod
    def of(cls, steps: int, n: int) -> Scratch:
        """Make room for n wells of T months."""
        return cls(*(np.empty((steps, n)) for _ in fields(cls)))


def sweep(chunk: Panel, scratch: Scratch, kernel: compiled.Kernel | None = None) -> Swept:
    """Sweep a portion of wells, by numpy or by the compiled ``kernel``, in the room of ``scratch``."""
    steps, n = chunk.n_steps, chunk.n_series
    room = scratch if scratch.y.shape == chunk.y.T.shape else Scratch.of(steps, n)
    mean, variance, sums = chunk.mean.copy(), chunk.variance.copy(), np.empty((3, n))
    np.copyto(room.y, chunk.y.T)
    q, r = np.ascontiguousarray(chunk.q.T), np.ascontiguousarray(chunk.r.T)
    if kernel is None:
        with np.errstate(invalid="ignore"):  # an infinite reading is told by the likelihood
            _forward(room, q, r, mean, variance, sums)
            _backward(room)
    else:
        kernel(room.y, q, r, mean, variance, room.gain, room.kept, room.cross, room.error, room.diagonal, sums)
    vector = room.error.sum(axis=1)
    weights = room.y
    precision = _cross_products(room, weights)
    precision += precision.T
    precision[np.diag_indices(steps)] = room.diagonal.sum(axis=1)
    quadratic, log_det, n_read = sums.sum(axis=1).tolist()
    return Swept(precision, vector, quadratic, log_det, int(n_read), mean, variance, weights)


def _forward(room: Scratch, q: Floats, r: Floats, mean: Floats, variance: Floats, sums: Floats) -> None:
    """Kalman filter with c = 0; leaves 1/F in ``cross`` and v/F in ``error``, and moves mean and variance on."""
    sums.fill(0.0)
    q, r = (np.broadcast_to(values, room.y.shape) for values in (q, r))
    gain, kept, cross, error = room.gain, room.kept, room.cross, room.error
    for t in range(room.y.shape[0]):
        read = ~np.isnan(room.y[t])
        if t:
            variance += q[t]
        F = np.where(read, variance + r[t], 1.0)
        np.divide(read, F, out=cross[t])
        np.multiply(variance, cross[t], out=gain[t])
        kept[t] = np.where(read, r[t] * cross[t], 1.0)
        v = np.where(read, room.y[t] - mean, 0.0)
        np.multiply(v, cross[t], out=error[t])
        sums[0] += v * error[t]
        sums[1] += np.log(F)
        sums[2] += read
        v *= gain[t]
        mean += v
        variance *= kept[t]


def _backward(room: Scratch) -> None:
    """Turn v/F into the elements of S⁻¹y, 1/F into the factor of column t, and give the diagonal of S⁻¹."""
    n = room.y.shape[1]
    back, information = np.zeros(n), np.zeros(n)
    for t in range(room.y.shape[0] - 1, -1, -1):
        K, L, error, cross = room.gain[t], room.kept[t], room.error[t], room.cross[t]
        moved = L * back
        moved += error
        error -= K * back
        back = moved
        scaled = K * information
        np.multiply(K, scaled, out=room.diagonal[t])
        room.diagonal[t] += cross
        scaled *= L
        information *= L
        information *= L
        information += cross
        cross -= scaled


def _cross_products(room: Scratch, weights: Floats) -> Floats:
    """Sum ``(S⁻¹)_st`` over wells for s < t, (T, T) with zeros elsewhere, and fill ``weights`` (T, n).

    ``weights`` are those after the last month. ``room.cross`` is used up.
    """
    steps, n = room.gain.shape
    upper = np.zeros((steps, steps))
    for begin in range(0, steps, _STRIP):
        end = min(begin + _STRIP, steps)
        since = np.ones(n)
        for t in range(begin, end):
            upper[begin:t, t] -= weights[begin:t] @ room.cross[t]
            room.cross[t] *= since
            since *= room.kept[t]
            weights[begin:t] *= room.kept[t]
            weights[t] = room.gain[t]
        if begin:
            upper[:begin, begin:end] -= weights[:begin] @ room.cross[begin:end].T
            weights[:begin] *= since
    return upper
