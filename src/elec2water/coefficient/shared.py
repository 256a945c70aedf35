"""The shared effects θ: where each stands, and what is believed of them before the first pair.

θ = [regression on what a well has | pooled factors (classes, townships, …) | regression on what moves in time |
aquifer × month]. The first and third have fixed, weakly informative priors (``data/priors.csv`` names the source of
each); the variances of classes, townships and months are estimated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MONTH_MEMORY = 0.85
"""Correlation of the common movement of an aquifer from one month to the next."""
AQUIFER_CORRELATION = 0.5
"""Correlation of the common movement between aquifers in one month."""


@dataclass(frozen=True)
class Regressor:
    """A regression coefficient with its Gaussian prior; ``random`` where that is its distribution and no belief.

    ``beside`` names another one whose prior is that of the sum of the two: what this one adds is not known of it.
    """

    name: str
    mean: float
    sd: float
    random: bool = False
    beside: str = ""


@dataclass(frozen=True)
class Factor:
    """A pooled factor: one effect a level, ``N(0, sd²)``.

    ``variance`` names the estimated standard deviation, or ``sd`` fixes it.
    """

    name: str
    levels: tuple[str, ...]
    variance: str = ""
    sd: float = 0.0


@dataclass(frozen=True)
class Layout:
    """Names, places and prior of the shared effects."""

    static: tuple[Regressor, ...]
    factors: tuple[Factor, ...]
    moving: tuple[Regressor, ...]
    aquifers: tuple[str, ...]
    months: NDArray[np.datetime64]

    @property
    def n_static(self) -> int:
        """Regressors and factor levels: what a well always has."""
        return len(self.static) + sum(len(f.levels) for f in self.factors)

    @property
    def n_cells(self) -> int:
        """Aquifer × month."""
        return len(self.aquifers) * self.months.size

    @property
    def size(self) -> int:
        """Length of θ."""
        return self.n_static + len(self.moving) + self.n_cells

    def factor_start(self, name: str) -> int:
        """Place of the first level of a factor in θ."""
        start = len(self.static)
        for factor in self.factors:
            if factor.name == name:
                return start
            start += len(factor.levels)
        raise KeyError(name)

    @property
    def moving_start(self) -> int:
        """Place of the first moving regressor in θ."""
        return self.n_static

    @property
    def cells_start(self) -> int:
        """Place of the first aquifer-month in θ; cell = aquifer × months + month."""
        return self.n_static + len(self.moving)

    @property
    def moving_names(self) -> tuple[str, ...]:
        """Names of the moving regressors."""
        return tuple(r.name for r in self.moving)

    @property
    def unseen(self) -> tuple[int, ...]:
        """Places among the moving regressors of those that are random."""
        return tuple(k for k, r in enumerate(self.moving) if r.random)

    @property
    def names(self) -> tuple[str, ...]:
        """One name for every effect of θ."""
        static = [r.name for r in self.static]
        levels = [f"{f.name}[{level}]" for f in self.factors for level in f.levels]
        cells = [f"month[{a},{m}]" for a in self.aquifers for m in self.months]
        return tuple(static + levels + [r.name for r in self.moving] + cells)

    @property
    def is_pooled(self) -> NDArray[np.bool_]:
        """(p,) True where the effect is one of an exchangeable family, False for regression coefficients."""
        pooled = np.zeros(self.size, dtype=bool)
        pooled[len(self.static) : self.n_static] = True
        pooled[self.cells_start :] = True
        pooled[self.moving_start : self.cells_start] = [r.random for r in self.moving]
        return pooled

    def prior_mean(self) -> Floats:
        """Prior mean of θ, (p,)."""
        mean = np.zeros(self.size)
        mean[: len(self.static)] = [r.mean for r in self.static]
        mean[self.moving_start : self.cells_start] = [r.mean for r in self.moving]
        return mean

    def prior(self, sd: dict[str, float]) -> Prior:
        """Prior of θ, the estimated standard deviations given.

        Parameters
        ----------
        sd : dict
            Standard deviation by name: every ``Factor.variance`` and ``month``.
        """
        variance = np.zeros(self.size)
        variance[: len(self.static)] = [r.sd**2 for r in self.static]
        start = len(self.static)
        for factor in self.factors:
            variance[start : start + len(factor.levels)] = (sd[factor.variance] if factor.variance else factor.sd) ** 2
            start += len(factor.levels)
        variance[self.moving_start : self.cells_start] = [r.sd**2 for r in self.moving]
        head = variance[: self.cells_start]
        between, within = aquifer_correlation(len(self.aquifers)), month_correlation(self.months)
        covariance = np.diag(variance)
        precision = np.diag(1.0 / np.where(variance > 0, variance, 1.0))
        for k, regressor in enumerate(self.moving, start=self.moving_start):
            if regressor.beside:
                at = self.moving_start + self.moving_names.index(regressor.beside)
                _as_sum(covariance, precision, at, k)
        cells = slice(self.cells_start, self.size)
        covariance[cells, cells] = sd["month"] ** 2 * np.kron(between, within)
        precision[cells, cells] = np.kron(np.linalg.inv(between), np.linalg.inv(within)) / sd["month"] ** 2
        log_det = (
            float(np.log(head).sum())
            + self.n_cells * 2 * np.log(sd["month"])
            + self.months.size * float(np.linalg.slogdet(between)[1])
            + len(self.aquifers) * float(np.linalg.slogdet(within)[1])
        )
        return Prior(self.prior_mean(), covariance, precision, log_det)

    def prior_slopes(self, sd: dict[str, float], mean: Floats, covariance: Floats) -> dict[str, float]:
        """Slope of the log marginal likelihood along the log of each estimated standard deviation of ``prior``.

        ``-K + (θ̂'Ω⁻¹θ̂ + tr(Ω⁻¹C))/σ²`` for a family of K effects ``N(0, σ²Ω)`` with posterior mean θ̂ and
        covariance C.
        """
        slopes = dict.fromkeys(sd, 0.0)
        for factor in self.factors:
            if factor.variance:
                start = self.factor_start(factor.name)
                here = slice(start, start + len(factor.levels))
                square = float(mean[here] @ mean[here] + np.trace(covariance[here, here]))
                slopes[factor.variance] += square / sd[factor.variance] ** 2 - len(factor.levels)
        cells = slice(self.cells_start, self.size)
        unit = np.kron(
            np.linalg.inv(aquifer_correlation(len(self.aquifers))), np.linalg.inv(month_correlation(self.months))
        )
        square = float(mean[cells] @ unit @ mean[cells] + (unit * covariance[cells, cells]).sum())
        slopes["month"] += square / sd["month"] ** 2 - self.n_cells
        return slopes


@dataclass(frozen=True)
class Prior:
    """Gaussian prior of θ: mean, covariance, precision and ``ln|covariance|``."""

    mean: Floats
    covariance: Floats
    precision: Floats
    log_det: float


def _as_sum(covariance: Floats, precision: Floats, one: int, other: int) -> None:
    """Make the prior of effect ``one`` that of ``one + other``, ``other`` being independent of this sum.

    With a and b the variances of the sum and of ``other``, ``one`` has a + b and a covariance of -b with ``other``;
    the determinant remains a b.
    """
    covariance[one, one] += covariance[other, other]
    covariance[one, other] = covariance[other, one] = -covariance[other, other]
    precision[other, other] += precision[one, one]
    precision[one, other] = precision[other, one] = precision[one, one]


def aquifer_correlation(n: int) -> Floats:
    """Correlation of the common movement between aquifers in one month, (A, A)."""
    return np.full((n, n), AQUIFER_CORRELATION) + (1.0 - AQUIFER_CORRELATION) * np.eye(n)


def month_correlation(months: NDArray[np.datetime64]) -> Floats:
    """Correlation of a stationary first-order autoregression at the given months, (M, M)."""
    number = months.astype("datetime64[M]").astype(np.int64)
    return np.asarray(MONTH_MEMORY ** np.abs(number[:, None] - number[None, :]), dtype=np.float64)
