"""Wells that share the path of their class, exactly: every well integrated out, one T × T precision a class.

``y_it = c_{g(i),t} + d_it + ε_it``: the path c of the class, a random walk d of the well's own, noise. Given the
variances all is Gaussian; the path's posterior needs a precision (T, T) and a vector a class, accumulated over wells,
and a well's own level is then a line in the path. The cost is linear in wells; nothing is approximated.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from elec2water.recursion import compiled
from elec2water.recursion.level import LOG_2PI
from elec2water.recursion.panel import Floats, Ints, Panel, make_panel
from elec2water.recursion.sweep import Scratch, Swept, sweep

_CHUNK = 2048


@dataclass(frozen=True)
class PathPrior:
    """A path before any reading: ``c_1 ~ N(mean, initial)``, ``c_t - mean = memory (c_{t-1} - mean) + N(0, step)``.

    Memory one is a random walk. Variances in the square of the unit of y.
    """

    initial: float
    step: float
    mean: float = 0.0
    memory: float = 1.0

    def covariance(self, steps: int) -> Floats:
        """Covariance of the path over T months, (T, T)."""
        variance = np.empty(steps)
        variance[:1] = self.initial
        for t in range(1, steps):
            variance[t] = self.memory**2 * variance[t - 1] + self.step
        lag = np.abs(np.arange(steps)[:, None] - np.arange(steps))
        first = np.minimum(np.arange(steps)[:, None], np.arange(steps))
        return np.asarray(variance[first] * self.memory**lag)


@dataclass(frozen=True)
class WellInformation:
    """What N wells say of the paths of G classes over T months, and where each well stands given the path.

    Attributes
    ----------
    precision : (G, T, T)
        Sum over the wells of a class of the precision they add to its path.
    vector : (G, T)
        Sum of ``S_i⁻¹y_i``.
    quadratic, log_det, n_read : (G,)
        Constants of the likelihood.
    order : (N,)
        Wells in the order of ``mean``, ``variance`` and ``weights``: by class.
    first : (G + 1,)
        Where each class begins in ``order``.
    mean, variance : (N,)
        A well's own level after the last month is ``N(mean - weights'c, variance)``.
    weights : (T, N)
    """

    precision: Floats
    vector: Floats
    quadratic: Floats
    log_det: Floats
    n_read: NDArray[np.int64]
    order: Ints
    first: Ints
    mean: Floats
    variance: Floats
    weights: Floats

    @property
    def n_steps(self) -> int:
        """Months taken in, T."""
        return int(self.vector.shape[1])

    def append(self, y: ArrayLike, q: ArrayLike, r: ArrayLike) -> WellInformation:
        """Take in one month of every well; the months before are not read again.

        Parameters
        ----------
        y : (N,)
            Readings in the order of the first call; NaN for none.
        q, r : scalar or (N,)
            Variance of the movement of a well's own level into the month, and of its reading.

        Raises
        ------
        ValueError
            As in :func:`integrate_wells`.
        """
        month = np.asarray(y, dtype=np.float64).reshape(-1, 1)
        if month.shape[0] != self.order.size:
            raise ValueError(f"y: expected one reading for each of {self.order.size} wells, found {month.shape[0]}")
        panel = make_panel(month, q, r, 0.0, 0.0).take(self.order)
        variance = self.variance + panel.q[:, 0]
        F = variance + panel.r[:, 0]
        read = np.isfinite(panel.y[:, 0])
        inverse = np.where(read, 1.0 / F, 0.0)
        v = np.where(read, panel.y[:, 0], 0.0) - np.where(read, self.mean, 0.0)
        gain, kept = variance * inverse, np.where(read, panel.r[:, 0] / F, 1.0)
        weights = np.empty((self.n_steps + 1, self.order.size))
        grown = [self._grow(g, inverse, v, kept, weights) for g in range(self.first.size - 1)]
        weights[-1] = gain
        groups = np.diff(self.first)
        code = np.repeat(np.arange(groups.size), groups)
        return replace(
            self,
            precision=np.array([matrix for matrix, _ in grown]),
            vector=np.array([vector for _, vector in grown]),
            quadratic=self.quadratic + np.bincount(code, v * v * inverse, groups.size),
            log_det=self.log_det + np.bincount(code, np.where(read, np.log(F), 0.0), groups.size),
            n_read=self.n_read + np.bincount(code, read, groups.size).astype(np.int64),
            mean=self.mean + gain * v,
            variance=variance * kept,
            weights=weights,
        )

    def _grow(self, g: int, inverse: Floats, v: Floats, kept: Floats, weights: Floats) -> tuple[Floats, Floats]:
        """Add a month to the precision and vector of one class, the innovation's row ``(-weights, 1)``.

        The rows of ``weights`` for the months before are filled.
        """
        steps = self.n_steps
        matrix = np.zeros((steps + 1, steps + 1))
        vector = np.zeros(steps + 1)
        for start in range(self.first[g], self.first[g + 1], _CHUNK):
            here = slice(start, min(start + _CHUNK, self.first[g + 1]))
            old = self.weights[:, here]
            scaled = old * inverse[here]
            matrix[:steps, :steps] += scaled @ old.T
            matrix[steps, :steps] -= scaled.sum(axis=1)
            vector[:steps] -= scaled @ v[here]
            np.multiply(old, kept[here], out=weights[:steps, here])
            matrix[steps, steps] += inverse[here].sum()
            vector[steps] += inverse[here] @ v[here]
        matrix[:steps, :steps] += self.precision[g]
        matrix[:steps, steps] = matrix[steps, :steps]
        vector[:steps] += self.vector[g]
        return matrix, vector

    def class_codes(self) -> Ints:
        """Class of each well, (N,), in the order of the first call."""
        codes = np.empty(self.order.size, dtype=np.intp)
        codes[self.order] = np.repeat(np.arange(self.first.size - 1), np.diff(self.first))
        return codes

    def own_levels(self, paths: ClassPaths) -> tuple[Floats, Floats]:
        """Mean and variance of every well's own level d after the last month, the path's error included, (N,) each."""
        return self._after_last(paths, with_path=False)

    def levels(self, paths: ClassPaths) -> tuple[Floats, Floats]:
        """Mean and variance of every well's level c + d after the last month, jointly, (N,) each."""
        return self._after_last(paths, with_path=True)

    def _after_last(self, paths: ClassPaths, *, with_path: bool) -> tuple[Floats, Floats]:
        mean, variance = np.empty(self.order.size), np.empty(self.order.size)
        for g, (begin, end) in enumerate(zip(self.first[:-1], self.first[1:], strict=True)):
            for start in range(begin, end, _CHUNK):
                here = slice(start, min(start + _CHUNK, end))
                loading = -self.weights[:, here]
                if with_path:
                    loading[-1] += 1.0
                mean[self.order[here]] = self.mean[here] + paths.mean[g] @ loading
                shared = np.einsum("tn,tn->n", loading, paths.covariance[g] @ loading)
                variance[self.order[here]] = self.variance[here] + shared
        return mean, variance


@dataclass(frozen=True)
class ClassPaths:
    """Posterior of the paths: ``mean`` (G, T), ``covariance`` (G, T, T), and each class's log-likelihood (G,)."""

    mean: Floats
    covariance: Floats
    log_likelihood: Floats


def integrate_wells(
    y: ArrayLike,
    q: ArrayLike,
    r: ArrayLike,
    *,
    variance: ArrayLike,
    classes: ArrayLike | None = None,
    n_classes: int | None = None,
    engine: compiled.Engine = "auto",
) -> WellInformation:
    """Integrate the own levels of N wells out and add up what they say of the paths of their classes.

    Parameters
    ----------
    y : (N, T)
        Readings; NaN where there is none, also before a well came in.
    q : scalar, (N,) or (N, T)
        Variance of the movement of a well's own level into each month. Zero until a well came in, so that its level
        is as uncertain then as that of others in the first month.
    r : scalar, (N,) or (N, T)
        Variance of the readings.
    variance : scalar or (N,)
        Of a well's own level before it is first read; its mean is zero.
    classes : (N,), optional
        Code 0..G-1 of the class whose path a well follows; one class if left out.
    n_classes : int, optional
        G; one more than the largest code if left out.
    engine : {"auto", "numpy", "numba"}
        As in :func:`elec2water.recursion.filter_levels`.

    Returns
    -------
    WellInformation

    Raises
    ------
    ValueError
        Shapes that do not match, a code out of range, an infinite reading, or a variance that is none.

    Notes
    -----
    Exact whatever the number of wells: the joint filter of Durbin & Koopman with N + 1 states costs N³.
    """
    panel = make_panel(y, q, r, 0.0, variance)
    codes, n_groups = _checked_classes(classes, n_classes, panel.n_series)
    order = np.argsort(codes, kind="stable")
    first = np.searchsorted(codes[order], np.arange(n_groups + 1))
    steps = panel.n_steps
    out = WellInformation(
        np.zeros((n_groups, steps, steps)),
        np.zeros((n_groups, steps)),
        np.zeros(n_groups),
        np.zeros(n_groups),
        np.zeros(n_groups, dtype=np.int64),
        np.asarray(order, dtype=np.intp),
        np.asarray(first, dtype=np.intp),
        np.empty(panel.n_series),
        np.empty(panel.n_series),
        np.empty((steps, panel.n_series)),
    )
    _accumulate(panel, out, compiled.sweep_kernel(engine, panel.y.size))
    if not np.isfinite(out.quadratic).all():
        raise ValueError("y: expected finite readings or NaN for gaps, found infinite ones")
    return out


def _accumulate(panel: Panel, out: WellInformation, kernel: compiled.Kernel | None) -> None:
    """Sweep all wells in portions, in a fixed order of summation whatever the number of threads."""
    parts = [
        (g, slice(start, min(start + _CHUNK, end)))
        for g, (begin, end) in enumerate(zip(out.first[:-1].tolist(), out.first[1:].tolist(), strict=True))
        for start in range(begin, end, _CHUNK)
    ]
    sorted_already = bool(np.array_equal(out.order, np.arange(out.order.size)))

    rooms = threading.local()

    def portion(k: int) -> Swept:
        here = parts[k][1]
        if not hasattr(rooms, "scratch"):
            rooms.scratch = Scratch.of(panel.n_steps, min(_CHUNK, panel.n_series))
        found = sweep(panel.take(here if sorted_already else out.order[here]), rooms.scratch, kernel)
        out.mean[here], out.variance[here], out.weights[:, here] = found.mean, found.variance, found.weights
        return found

    for (g, _), found in zip(parts, compiled.in_threads(portion, range(len(parts))), strict=True):
        out.precision[g] += found.precision
        out.vector[g] += found.vector
        out.quadratic[g] += found.quadratic
        out.log_det[g] += found.log_det
        out.n_read[g] += found.n_read


def solve_paths(wells: WellInformation, priors: PathPrior | tuple[PathPrior, ...]) -> ClassPaths:
    """Posterior of the paths of the classes, given what their wells say.

    Parameters
    ----------
    wells : WellInformation
    priors : PathPrior, or one for each class
        Classes are independent of one another.

    Returns
    -------
    ClassPaths
        The log-likelihood is that of all readings of a class, path and wells integrated out.

    Raises
    ------
    ValueError
        As many priors as classes are wanted.
    """
    n_groups = wells.first.size - 1
    each = (priors,) * n_groups if isinstance(priors, PathPrior) else priors
    if len(each) != n_groups:
        raise ValueError(f"priors: expected one, or one for each of {n_groups} classes, found {len(each)}")
    solved = [_solve_path(wells, g, prior) for g, prior in enumerate(each)]
    return ClassPaths(
        np.array([mean for mean, _, _ in solved]),
        np.array([covariance for _, covariance, _ in solved]),
        np.array([value for _, _, value in solved]),
    )


def _solve_path(wells: WellInformation, g: int, prior: PathPrior) -> tuple[Floats, Floats, float]:
    """With ``B = chol(prior)`` and ``A = I + B'ΛB`` the posterior covariance is ``B A⁻¹B'``: well-scaled throughout."""
    steps = wells.n_steps
    B = linalg.cholesky(prior.covariance(steps), lower=True)
    precision, about = wells.precision[g], np.full(steps, prior.mean)
    # The vector and the quadratic form of readings less the prior mean.
    vector = wells.vector[g] - precision @ about
    quadratic = wells.quadratic[g] - 2.0 * about @ wells.vector[g] + about @ precision @ about
    factor = linalg.cholesky(np.eye(steps) + B.T @ precision @ B, lower=True)
    root = linalg.solve_triangular(factor, B.T, lower=True)
    covariance = root.T @ root
    scaled = root @ vector
    log_likelihood = -0.5 * (
        wells.n_read[g] * LOG_2PI
        + wells.log_det[g]
        + 2.0 * float(np.log(np.diag(factor)).sum())
        + quadratic
        - float(scaled @ scaled)
    )
    return about + root.T @ scaled, covariance, float(log_likelihood)


def _checked_classes(classes: ArrayLike | None, n_classes: int | None, n: int) -> tuple[Ints, int]:
    if classes is None:
        return np.zeros(n, dtype=np.intp), n_classes or 1
    codes = np.asarray(classes)
    if codes.shape != (n,) or codes.dtype.kind not in "iu":
        raise ValueError(f"classes: expected an integer code for each of {n} wells, found {codes.dtype} {codes.shape}")
    n_groups = int(codes.max(initial=-1)) + 1 if n_classes is None else n_classes
    if n and (codes.min() < 0 or codes.max() >= n_groups):
        raise ValueError(f"classes: expected codes 0 to {n_groups - 1}, found {codes.min()} to {codes.max()}")
    return codes.astype(np.intp), n_groups
