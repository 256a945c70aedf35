"""The local level of very many independent series: filtered at once, gaps allowed, one month added in O(N).

``y_t = level_t + ε_t``, ``ε_t ~ N(0, r_t)``; ``level_t = level_{t-1} + η_t``, ``η_t ~ N(0, q_t)`` (Durbin & Koopman
2012, Time Series Analysis by State Space Methods, section 2.2, with the gaps of section 2.7).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elec2water.recursion import compiled
from elec2water.recursion.panel import Floats, Panel, make_panel, refuse_infinite

LOG_2PI = float(np.log(2.0 * np.pi))
_CHUNK = 8192
_LOG_EVERY = 4  # steps whose variances are multiplied before a logarithm is taken: products stay within 1e±280


@dataclass(frozen=True)
class LevelState:
    """Where N levels stand after the last month: all that a new month needs.

    Attributes
    ----------
    mean, variance : (N,)
        Of the level, given the readings so far.
    log_likelihood : (N,)
        Of the readings of each series.
    n_read : (N,)
        Readings so far.
    """

    mean: Floats
    variance: Floats
    log_likelihood: Floats
    n_read: NDArray[np.int64]

    def append(self, y: ArrayLike, q: ArrayLike, r: ArrayLike) -> LevelState:
        """Take in one month; the months before are not read again.

        Parameters
        ----------
        y : (N,)
            Readings; NaN for none.
        q, r : scalar or (N,)
            Variance of the movement into the month, and of its readings.

        Raises
        ------
        ValueError
            As in :func:`filter_levels`.
        """
        month = np.asarray(y, dtype=np.float64)
        panel = make_panel(month.reshape(month.size, 1), q, r, self.mean, self.variance)
        before = Panel(panel.y, panel.q, panel.r, panel.mean, panel.variance + panel.q[:, 0])
        found = _filter(before, every_step=False, engine="numpy").state
        total = self.log_likelihood + found.log_likelihood
        return LevelState(found.mean, found.variance, total, self.n_read + found.n_read)


@dataclass(frozen=True)
class FilteredLevels:
    """Filtered levels: the state after the last month and, where asked for, after every month, (N, T)."""

    state: LevelState
    means: Floats | None = None
    variances: Floats | None = None


def filter_levels(
    y: ArrayLike,
    q: ArrayLike,
    r: ArrayLike,
    *,
    mean: ArrayLike = 0.0,
    variance: ArrayLike,
    every_step: bool = False,
    engine: compiled.Engine = "auto",
) -> FilteredLevels:
    """Filter N independent local levels.

    Parameters
    ----------
    y : (N, T)
        Readings; NaN where there is none. The levels are in the unit of y, variances in its square.
    q : scalar, (N,) or (N, T)
        Variance of the movement into each month; the first month's is not used.
    r : scalar, (N,) or (N, T)
        Variance of each reading, positive also where nothing was read.
    mean, variance : scalar or (N,)
        Of the level in the first month before it is read. The variance may be large but not infinite.
    every_step : bool
        Whether to keep the level after every month.
    engine : {"auto", "numpy", "numba"}
        ``numba`` needs the extra ``elec2water[fast]``; ``auto`` takes it for large panels where it is installed. The
        answers agree to rounding.

    Returns
    -------
    FilteredLevels

    Raises
    ------
    ValueError
        Shapes that do not match, an infinite reading, or a variance that is none.
    UsageError
        ``engine="numba"`` where numba is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([[1.0, np.nan, 2.0]])
    >>> done = filter_levels(y, q=1.0, r=1.0, variance=1.0)
    >>> done.state.mean.round(3), done.state.variance.round(3), done.state.n_read
    (array([1.571]), array([0.714]), array([2]))
    """
    found = _filter(make_panel(y, q, r, mean, variance), every_step=every_step, engine=engine)
    refuse_infinite(found.state.log_likelihood)
    return found


def _filter(panel: Panel, *, every_step: bool, engine: compiled.Engine) -> FilteredLevels:
    n, steps = panel.y.shape
    means = np.empty((n, steps)) if every_step else None
    variances = np.empty((n, steps)) if every_step else None
    state = LevelState(np.empty(n), np.empty(n), np.empty(n), np.empty(n, dtype=np.int64))
    kernel = compiled.filter_kernel(engine, panel.y.size)
    if kernel is not None:
        compiled.run_filter(kernel, panel, state, means, variances)
        return FilteredLevels(state, means, variances)
    for part, chunk in panel.chunks(_CHUNK):
        here = LevelState(*(getattr(state, field.name)[part] for field in fields(LevelState)))
        with np.errstate(invalid="ignore"):  # an infinite reading is told by the likelihood
            _filter_chunk(
                chunk,
                here,
                None if means is None else means[part],
                None if variances is None else variances[part],
            )
    return FilteredLevels(state, means, variances)


def _filter_chunk(chunk: Panel, out: LevelState, means: Floats | None, variances: Floats | None) -> None:
    """Filter one portion into the views ``out``, ``means`` and ``variances``."""
    y, read, q, r = chunk.by_month()
    mean, P = chunk.mean.copy(), chunk.variance.copy()
    quadratic, log_det, product = np.zeros(P.size), np.zeros(P.size), np.ones(P.size)
    F, gain, v = np.empty(P.size), np.empty(P.size), np.empty(P.size)
    for t in range(y.shape[0]):
        if t:
            P += q[t]
        np.add(P, r[t], out=F)
        np.divide(read[t], F, out=gain)
        np.subtract(y[t], mean, out=v)
        scaled = v * gain
        v *= scaled
        quadratic += v
        scaled *= P
        mean += scaled
        # r/F where read and 1 elsewhere: 1 - P/F would lose the digits of a variance far below that before.
        gain *= r[t]
        gain += 1.0 - read[t]
        P *= gain
        product *= np.where(read[t] > 0.0, F, 1.0)
        if (t + 1) % _LOG_EVERY == 0:
            log_det += np.log(product)
            product.fill(1.0)
        if means is not None and variances is not None:
            means[:, t], variances[:, t] = mean, P
    log_det += np.log(product)
    count = read.sum(axis=0)
    out.mean[:], out.variance[:], out.n_read[:] = mean, P, count
    out.log_likelihood[:] = -0.5 * (count * LOG_2PI + log_det + quadratic)
