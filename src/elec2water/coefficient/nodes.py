"""Variances integrated, not plugged in: a few weighted nodes over the posterior of the log standard deviations.

With 10 to 60 sample wells the variances themselves are uncertain, and an interval at their best value is too short
(trap 6 of METHOD.md). The mode is found, the curvature there gives axes, and a central composite design around it is
weighted by the true density (Rue, Martino & Chopin 2009, J. R. Statist. Soc. B 71, section 6.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Floats = NDArray[np.float64]


class Density(Protocol):
    """A log density of the log standard deviations, unnormalised."""

    def value(self, psi: Floats) -> float:
        """Log density at ``psi`` (d,)."""

    def with_slope(self, psi: Floats) -> tuple[float, Floats]:
        """Log density and its gradient (d,)."""


_RADIUS = 1.1  # f0 of Rue et al. (2009)
_STEP = 0.08  # of the finite differences, on the scale of log standard deviations
_LIMIT = 6.0
_KNOWN = 0.05  # a log standard deviation known this well is as good as known


@dataclass(frozen=True)
class Nodes:
    """Points ``psi`` (K, d) and weights (K,) that add up to one; the first point is the mode."""

    psi: Floats
    weight: Floats
    log_density: Floats

    def heaviest(self, n: int) -> Nodes:
        """Keep the ``n`` points of most weight, the mode first among them, and at least the mode."""
        if n >= self.weight.size:
            return self
        kept = np.sort(np.append(0, 1 + np.argsort(-self.weight[1:], kind="stable")[: max(n - 1, 0)]))
        return Nodes(self.psi[kept], self.weight[kept] / self.weight[kept].sum(), self.log_density[kept])


def find_mode(density: Density, start: Floats, centre: Floats | None = None) -> Floats:
    """Mode of a smooth log density, by L-BFGS-B within ±6 of the centre (the start, if none is given)."""

    def falling(psi: Floats) -> tuple[float, Floats]:
        value, slope = density.with_slope(psi)
        return -value, -slope

    bounds = [(c - _LIMIT, c + _LIMIT) for c in (start if centre is None else centre)]
    found = optimize.minimize(
        falling, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-9, "gtol": 1e-2}
    )
    return np.asarray(found.x, dtype=np.float64)


def curvature(density: Density, mode: Floats) -> Floats:
    """Negative Hessian (d, d) of the log density, by central differences of its slope."""
    steps = _STEP * np.eye(mode.size)
    rows = [(density.with_slope(mode - e)[1] - density.with_slope(mode + e)[1]) / (2 * _STEP) for e in steps]
    hessian = np.array(rows)
    return np.asarray(0.5 * (hessian + hessian.T))


def _corners(d: int) -> Floats:
    """Corners of a two-level fraction of resolution V at least, d ≤ 8 factors."""
    if d <= 4:
        return np.array(list(product([-1.0, 1.0], repeat=d)))
    base = np.array(list(product([-1.0, 1.0], repeat=d - 1)))
    return np.column_stack([base, base.prod(axis=1)])


def composite_design(d: int) -> tuple[Floats, Floats]:
    """Give standard points (K, d) and base weights (K,) of the central composite design of Rue et al. (2009).

    All points but the centre lie on the sphere of radius ``f0 √d``; the weights make the first two moments of a
    standard Gaussian exact once multiplied by its density.
    """
    axial = np.sqrt(d) * np.vstack([np.eye(d), -np.eye(d)])
    corners = _corners(d) if d > 1 else np.empty((0, d))
    sphere = _RADIUS * np.vstack([axial, corners])
    on_sphere = 1.0 / (sphere.shape[0] * _RADIUS**2)
    centre = 1.0 - 1.0 / _RADIUS**2
    density = np.exp(-0.5 * d * _RADIUS**2)
    points = np.vstack([np.zeros(d), sphere])
    weights = np.concatenate([[centre], np.full(sphere.shape[0], on_sphere / density)])
    return points, weights


def integrate(density: Density, start: Floats, centre: Floats | None = None) -> Nodes:
    """Weighted nodes over a posterior of log standard deviations.

    Directions that the data know to 5 % need no nodes: the standard deviations are left at their best value there.

    Parameters
    ----------
    density : Density
        Posterior of ψ.
    start : (d,)
        Where the search begins.
    centre : (d,), optional
        The mode is sought within ±6 of it; the start by default.
    """
    mode = find_mode(density, start, centre)
    values, vectors = np.linalg.eigh(curvature(density, mode))
    # A direction that neither data nor prior bends keeps the width of a weak prior instead of running away.
    width = 1.0 / np.sqrt(np.maximum(values, 1.0))
    open_ = width > _KNOWN
    if not open_.any():
        return Nodes(mode[None, :], np.ones(1), np.array([density.value(mode)]))
    axes = vectors[:, open_] * width[open_]
    points, base = composite_design(int(open_.sum()))
    psi = mode + points @ axes.T
    log_values = np.array([density.value(point) for point in psi])
    log_weight = np.log(base) + log_values - log_values[0]
    weight = np.exp(log_weight - log_weight.max())
    keep = weight > 1e-6 * weight.max()
    weight = np.where(keep, weight, 0.0)[keep]
    return Nodes(psi[keep], weight / weight.sum(), log_values[keep])
