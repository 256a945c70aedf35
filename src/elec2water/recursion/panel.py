"""A panel of series: N wells by T months, gaps as NaN, with the variances that belong to each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Panel:
    """Readings (N, T) of the local level ``y_t = level_t + ε_t``, ``level_t = level_{t-1} + η_t``.

    ``y`` (N, T) with NaN where nothing was read; ``q`` and ``r`` (N, 1) or (N, T): variance of the movement into
    month t and of the reading of month t; ``mean`` and ``variance`` (N,): the level before the first reading.
    """

    y: Floats
    q: Floats
    r: Floats
    mean: Floats
    variance: Floats

    @property
    def n_series(self) -> int:
        """Number of series, N."""
        return int(self.y.shape[0])

    @property
    def n_steps(self) -> int:
        """Number of months, T."""
        return int(self.y.shape[1])

    def take(self, wells: Ints | slice) -> Panel:
        """Keep some series."""
        return Panel(self.y[wells], self.q[wells], self.r[wells], self.mean[wells], self.variance[wells])

    def chunks(self, size: int) -> Iterator[tuple[slice, Panel]]:
        """Series in portions that stay in the processor's cache."""
        for start in range(0, self.n_series, size):
            part = slice(start, min(start + size, self.n_series))
            yield part, self.take(part)

    def by_month(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Give readings with zeros for gaps, a mask of ones and zeros, q and r; all (T, N), a month in one piece."""
        y = np.array(self.y.T, order="C")
        gap = np.isnan(y)
        y[gap] = 0.0
        q, r = (np.broadcast_to(np.ascontiguousarray(values.T), y.shape) for values in (self.q, self.r))
        return y, 1.0 - gap, q, r


def make_panel(y: ArrayLike, q: ArrayLike, r: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Panel:
    """Check and line up the arrays of a panel.

    Parameters
    ----------
    y : (N, T)
    q, r : scalar, (N,) or (N, T)
    mean, variance : scalar or (N,)

    Raises
    ------
    ValueError
        Shapes that do not match, a variance that is negative, NaN or infinite, or r of zero.
    """
    readings = np.asarray(y, dtype=np.float64)
    if readings.ndim != 2:
        raise ValueError(f"y: expected an array of wells by months (N, T), found shape {readings.shape}")
    n, steps = readings.shape
    panel = Panel(
        readings,
        _by_series("q", q, n, steps),
        _by_series("r", r, n, steps),
        _one_each("mean", mean, n),
        _one_each("variance", variance, n),
    )
    for name, values, least in (("q", panel.q, 0.0), ("r", panel.r, None), ("variance", panel.variance, 0.0)):
        _refuse_variance(name, values, least)
    return panel


def refuse_infinite(log_likelihood: Floats) -> None:
    """Refuse series whose likelihood is no number: a reading or a mean that is infinite or NaN.

    Raises
    ------
    ValueError
    """
    bad = np.flatnonzero(~np.isfinite(log_likelihood))
    if bad.size:
        raise ValueError(
            f"y: expected finite readings or NaN for gaps, and variances within 1e±70; {bad.size} series have no"
            f" likelihood, the first at {bad[:5].tolist()}"
        )


def _by_series(name: str, values: ArrayLike, n: int, steps: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 2 and array.shape == (n, steps):
        return array
    if array.ndim == 2 and array.shape == (n, 1):
        return array
    if array.ndim == 0 or array.shape == (n,):
        return np.ascontiguousarray(np.broadcast_to(array, (n,)))[:, None]
    raise ValueError(f"{name}: expected a number, ({n},) or ({n}, {steps}), found shape {array.shape}")


def _one_each(name: str, values: ArrayLike, n: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or array.shape == (n,):
        return np.ascontiguousarray(np.broadcast_to(array, (n,)))
    raise ValueError(f"{name}: expected a number or ({n},), found shape {array.shape}")


def _refuse_variance(name: str, values: Floats, least: float | None) -> None:
    if not values.size:
        return
    smallest, largest = float(values.min()), float(values.max())
    wrong = smallest <= 0.0 if least is None else smallest < least
    if wrong or not np.isfinite(smallest) or not np.isfinite(largest):
        bound = "positive" if least is None else "not negative"
        raise ValueError(f"{name}: expected finite variances that are {bound}, found {smallest} to {largest}")
