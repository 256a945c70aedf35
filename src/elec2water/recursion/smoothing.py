"""Levels at every month given all readings: of independent series, and of wells that share a path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from elec2water.recursion.panel import Floats, Ints, Panel, make_panel
from elec2water.recursion.path import ClassPaths

_CHUNK = 8192
_CHUNK_JOINT = 1024


@dataclass(frozen=True)
class SmoothedLevels:
    """Mean and variance of every level at every month given all readings, (N, T) each."""

    means: Floats
    variances: Floats


def smooth_levels(
    y: ArrayLike, q: ArrayLike, r: ArrayLike, *, mean: ArrayLike = 0.0, variance: ArrayLike
) -> SmoothedLevels:
    """Smooth N independent local levels; arguments and errors as in :func:`elec2water.recursion.filter_levels`.

    Durbin & Koopman (2012), equations 2.37 and 2.43: ``a_t + P_t r_{t-1}`` and ``P_t - P_t²N_{t-1}``.
    """
    panel = make_panel(y, q, r, mean, variance)
    out = SmoothedLevels(np.empty(panel.y.shape), np.empty(panel.y.shape))
    for part, chunk in panel.chunks(_CHUNK):
        pieces = _forward(chunk)
        back, information = np.zeros(chunk.n_series), np.zeros(chunk.n_series)
        for t in range(chunk.n_steps - 1, -1, -1):
            kept, inverse = pieces.kept[t], pieces.inverse[t]
            back = pieces.innovation[t] * inverse + kept * back
            information = inverse + kept**2 * information
            out.means[part, t] = pieces.mean[t] + pieces.variance[t] * back
            out.variances[part, t] = pieces.variance[t] * (1.0 - pieces.variance[t] * information)
    return out


def smooth_wells(
    y: ArrayLike,
    q: ArrayLike,
    r: ArrayLike,
    *,
    variance: ArrayLike,
    classes: Ints | None = None,
    paths: ClassPaths,
) -> SmoothedLevels:
    """Smooth the levels c + d of wells that share the paths of their classes, jointly with the error of the paths.

    Meant for the wells that are looked at: the cost is wells × months³.

    Parameters
    ----------
    y, q, r, variance : as in :func:`elec2water.recursion.integrate_wells`, for the wells wanted
    classes : (N,), optional
        Class of each; the only one if left out.
    paths : ClassPaths
        Posterior of the paths from all wells, these among them.
    """
    panel = make_panel(y, q, r, 0.0, variance)
    code = np.zeros(panel.n_series, dtype=np.intp) if classes is None else classes
    out = SmoothedLevels(np.empty(panel.y.shape), np.empty(panel.y.shape))
    for part, chunk in panel.chunks(_CHUNK_JOINT):
        own = _own_covariance(chunk)
        readings, read, _, r_month = chunk.by_month()
        precision = (read / r_month).T
        # Given c the own level is B(y - c): the level c + d moves with the path by what is left, I - B.
        B = own * precision[:, None, :]
        loading = np.eye(chunk.n_steps) - B
        here = code[part]
        path, spread = paths.mean[here], paths.covariance[here]
        out.means[part] = np.einsum("nst,nt->ns", B, readings.T) + np.einsum("nst,nt->ns", loading, path)
        shared = np.einsum("nst,nst->ns", loading @ spread, loading)
        out.variances[part] = np.diagonal(own, axis1=1, axis2=2) + shared
    return out


@dataclass(frozen=True)
class AuxiliaryResiduals:
    """What does not fit, (N, T) each, in standard deviations: single readings, and moves of the level into a month.

    NaN where nothing was read, and in the first month, into which no level moves.
    """

    reading: Floats
    move: Floats


def auxiliary_residuals(
    y: ArrayLike, q: ArrayLike, r: ArrayLike, *, mean: ArrayLike = 0.0, variance: ArrayLike
) -> AuxiliaryResiduals:
    """Standardised smoothed errors of readings and moves; arguments as in :func:`smooth_levels`.

    ``u_t/√D_t`` and ``r_{t-1}/√N_{t-1}`` of Harvey & Koopman (1992, J. Bus. Econ. Statist. 10; Durbin & Koopman 2012,
    section 7.5): the first is that of the reading against all others, the second that of what follows against what
    went before.
    """
    panel = make_panel(y, q, r, mean, variance)
    out = AuxiliaryResiduals(np.full(panel.y.shape, np.nan), np.full(panel.y.shape, np.nan))
    for part, chunk in panel.chunks(_CHUNK):
        pieces = _forward(chunk)
        back, information = np.zeros(chunk.n_series), np.zeros(chunk.n_series)
        for t in range(chunk.n_steps - 1, -1, -1):
            kept, inverse = pieces.kept[t], pieces.inverse[t]
            gain = pieces.variance[t] * inverse
            scaled = pieces.innovation[t] * inverse
            weight = inverse + gain**2 * information
            read = inverse > 0.0
            out.reading[part, t] = np.where(read, (scaled - gain * back) / np.sqrt(np.where(read, weight, 1.0)), np.nan)
            back = scaled + kept * back
            information = inverse + kept**2 * information
            if t:
                known = information > 0.0
                out.move[part, t] = np.where(known, back / np.sqrt(np.where(known, information, 1.0)), np.nan)
    return out


@dataclass(frozen=True)
class _Pieces:
    """Prediction of each month: level and its variance, innovation, 1/F and 1 - K; (T, n) each."""

    mean: Floats
    variance: Floats
    innovation: Floats
    inverse: Floats
    kept: Floats


def _forward(chunk: Panel) -> _Pieces:
    y, read, q, r = chunk.by_month()
    pieces = _Pieces(*(np.empty(y.shape) for _ in range(5)))
    mean, variance = chunk.mean.copy(), chunk.variance.copy()
    for t in range(y.shape[0]):
        if t:
            variance = variance + q[t]
        F = variance + r[t]
        pieces.mean[t], pieces.variance[t] = mean, variance
        pieces.inverse[t] = read[t] / F
        pieces.kept[t] = np.where(read[t] > 0.0, r[t] / F, 1.0)
        pieces.innovation[t] = y[t] - mean
        mean = mean + variance * pieces.inverse[t] * pieces.innovation[t]
        variance = variance * pieces.kept[t]
    return pieces


def _own_covariance(chunk: Panel) -> Floats:
    """Covariance of a well's own level between months, the path and all readings given, (n, T, T).

    Durbin & Koopman (2012), table 4.4: ``P_s L_s⋯L_{t-1}(1 - N_{t-1}P_t)`` for s ≤ t.
    """
    pieces, steps = _forward(chunk), chunk.n_steps
    covariance = np.empty((chunk.n_series, steps, steps))
    information = np.zeros(chunk.n_series)
    left = np.empty((steps, chunk.n_series))
    rest = np.empty((steps, chunk.n_series))
    for t in range(steps - 1, -1, -1):
        information = pieces.inverse[t] + pieces.kept[t] ** 2 * information
        rest[t] = 1.0 - information * pieces.variance[t]
    for t in range(steps):
        left[t] = pieces.variance[t]
        covariance[:, : t + 1, t] = (left[: t + 1] * rest[t]).T
        covariance[:, t, : t + 1] = covariance[:, : t + 1, t]
        left[: t + 1] *= pieces.kept[t]
    return covariance
