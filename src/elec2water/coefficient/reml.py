"""The restricted likelihood of nested random intercepts from sufficient statistics.

With ``a = σ²_stratum/σ²_error``, ``b = σ²_well/σ²_error``, ``n`` rows in a well, ``c = n/(1 + nb)``, ``C = Σc`` over
the wells of a stratum, ``m = Σcz̄/C`` and ``z = (x, y)``,

    M = Σ_rows (z − z̄)(z − z̄)' + Σ_wells c(z̄ − m)(z̄ − m)' + Σ_strata C/(1 + aC) mm'
    ln|V| = Σ_wells ln(1 + nb) + Σ_strata ln(1 + aC)

are the cross products ``Z'V⁻¹Z`` and the determinant in the REML criterion of Bates, Mächler, Bolker & Walker (2015,
Journal of Statistical Software 67(1), eq. 39-42), with β and σ_error profiled out. Every term is a sum of squares, so
that nothing cancels. Wells of a stratum with the same number of rows weigh the same at any variances and are added up
once more: an evaluation touches one cell for each stratum and number of rows, whatever the number of wells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]

DEPENDENT = 1e-11  # share of a column that the columns before it leave unexplained, below which it counts as none


@dataclass(frozen=True)
class Rotation:
    """Coordinates in which the columns of X are orthonormal and y is the residual of least squares.

    The likelihood of ``(XT, y − Xb)`` is that of ``(X, y)`` for any b and invertible T, up to ``log_det``; in these
    coordinates a year of 2026 or a mean of a million costs no digits.
    """

    beta: Floats  # (p,) b
    inverse: Floats  # (p, p) T
    log_det: float  # -2 ln|T|

    @classmethod
    def of(cls, y: Floats, X: Floats) -> Rotation:
        """Find them by the Cholesky factor of X'X."""
        with np.errstate(over="ignore", invalid="ignore"):
            gram, product, square = X.T @ X, X.T @ y, y @ y
        if not (np.isfinite(gram).all() and np.isfinite(product).all() and np.isfinite(square)):
            _refuse_infinite(y, X)
        scale = np.sqrt(np.diag(gram))
        scale[scale == 0.0] = 1.0
        lower = cholesky(gram / np.outer(scale, scale), "the columns before it")
        inverse = np.linalg.inv(lower).T / scale[:, None]
        log_det = 2.0 * float(np.log(np.diag(lower) * scale).sum())
        return cls(inverse @ (inverse.T @ product), inverse, log_det)

    def apply(self, y: Floats, X: Floats) -> Floats:
        """Rows in the new coordinates, as columns: (p + 1, R)."""
        Z = np.empty((X.shape[1] + 1, y.size))
        np.matmul(self.inverse.T, X.T, out=Z[:-1])
        np.subtract(y, X @ self.beta, out=Z[-1])
        return Z


@dataclass(frozen=True)
class Statistics:
    """The sufficient statistics, q = p + 1 columns with y the last; cells are in the order of their strata.

    A class holds the wells with the same number of rows, a cell those of one class in one stratum.
    """

    n_rows: int
    within: Floats  # (q, q) scatter of rows about their well
    class_rows: Floats  # (K,) rows of each well of a class
    class_wells: Floats  # (K,) wells of a class
    scatter: Floats  # (K, q, q) scatter of well means about their cell
    cell_class: Ints  # (G,)
    cell_wells: Floats  # (G,) wells of a cell
    cell_mean: Floats  # (q, G) mean of the well means
    cell_stratum: Ints  # (G,) positions in ``strata``
    first_cell: Ints  # (S,) first cell of a stratum
    strata: Ints  # (S,) codes of the strata that have rows

    @property
    def n_wells(self) -> int:
        """Number of wells with rows."""
        return int(self.class_wells.sum())


def decompose(Z: Floats, well: Ints, labels: Ints) -> Statistics:
    """Split the scatter of the rows ``Z`` (q, R): within wells, between wells of a cell, cells."""
    count = np.bincount(well, minlength=labels.size)
    used = np.flatnonzero(count)
    rows = count[used].astype(np.float64)
    mean = np.stack([np.bincount(well, weights=column, minlength=labels.size)[used] for column in Z]) / rows
    class_rows, size_class = np.unique(count[used], return_inverse=True)
    key, cell = np.unique(labels[used] * class_rows.size + size_class, return_inverse=True)
    cell_wells = np.bincount(cell).astype(np.float64)
    cell_mean = np.stack([np.bincount(cell, weights=column) for column in mean]) / cell_wells
    strata, first_cell, cell_stratum = np.unique(key // class_rows.size, return_index=True, return_inverse=True)
    return Statistics(
        n_rows=well.size,
        within=Z @ Z.T - (mean * rows) @ mean.T,
        class_rows=class_rows.astype(np.float64),
        class_wells=np.bincount(size_class).astype(np.float64),
        scatter=_scatter(mean - cell_mean[:, cell], size_class),
        cell_class=key % class_rows.size,
        cell_wells=cell_wells,
        cell_mean=cell_mean,
        cell_stratum=cell_stratum,
        first_cell=first_cell,
        strata=strata,
    )


def _scatter(deviation: Floats, size_class: Ints) -> Floats:
    """Cross products (K, q, q) of the columns of ``deviation`` (q, W), class by class."""
    in_order = deviation[:, np.argsort(size_class, kind="stable")]
    ends = np.cumsum(np.bincount(size_class))[:-1]
    return np.stack([part @ part.T for part in np.split(in_order, ends, axis=1)])


@dataclass(frozen=True)
class Criterion:
    """Deviance at one point, its derivatives in (a, b), and what is profiled out there."""

    deviance: float
    gradient: Floats  # (2,)
    hessian: Floats  # (2, 2)
    beta: Floats
    inverse: Floats  # (p, p) (X'V⁻¹X)⁻¹, V relative to the error variance
    sigma: float
    stratum_effect: Floats


@dataclass(frozen=True)
class WithinStrata:
    """Terms of M and ln|V| below the strata, and ``C`` and ``m`` of the strata: value and two derivatives in b."""

    M: Floats  # (3, q, q)
    log_det: Floats  # (3,)
    C: Floats  # (3, S)
    m: Floats  # (3, q, S)


def within_strata(data: Statistics, b: float) -> WithinStrata:
    """Eliminate the wells at the ratio ``b`` of their variance to that of the error."""
    c = data.class_rows / (1.0 + data.class_rows * b)
    by_class = np.stack([c, -(c**2), 2.0 * c**3])
    by_cell = by_class[:, data.cell_class] * data.cell_wells
    C = np.add.reduceat(by_cell, data.first_cell, axis=1)
    m0 = np.add.reduceat(by_cell[0] * data.cell_mean, data.first_cell, axis=1) / C[0]
    D = data.cell_mean - m0[:, data.cell_stratum]
    m1 = np.add.reduceat(by_cell[1] * D, data.first_cell, axis=1) / C[0]
    m2 = (np.add.reduceat(by_cell[2] * D, data.first_cell, axis=1) - 2.0 * C[1] * m1) / C[0]
    M = np.tensordot(by_class, data.scatter, axes=1) + np.stack([(D * w) @ D.T for w in by_cell])
    M[0] += data.within
    M[2] -= 2.0 * (m1 * C[0]) @ m1.T
    wells = data.class_wells
    log_det = np.array([wells @ np.log1p(data.class_rows * b), wells @ c, -(wells @ c**2)])
    return WithinStrata(M, log_det, C, np.stack([m0, m1, m2]))


def _between_strata(low: WithinStrata, a: float) -> tuple[Floats, Floats]:
    """Terms of M (6, q, q) and ln|V| (6,) of random strata: value and derivatives in a, b, aa, ab, bb."""
    (C0, C1, C2), (m0, m1, m2) = low.C, low.m
    u = 1.0 / (1.0 + a * C0)
    e, slope, h = C0 * u, C1 * u**2, a * u * C1
    M_bb = (
        _symmetric(C2 * u**2 - 2.0 * slope * h, m0, m0)
        + _symmetric(4.0 * slope, m0, m1)
        + _symmetric(2.0 * e, m0, m2)
        + _symmetric(2.0 * e, m1, m1)
    )
    M = [
        _symmetric(e, m0, m0),
        _symmetric(-(e**2), m0, m0),
        _symmetric(slope, m0, m0) + _symmetric(2.0 * e, m0, m1),
        _symmetric(2.0 * e**3, m0, m0),
        _symmetric(-2.0 * e * slope, m0, m0) - _symmetric(2.0 * e**2, m0, m1),
        M_bb,
    ]
    L = [-np.log(u), e, h, -(e**2), slope, a * u * C2 - h**2]
    return np.stack(M), np.array([term.sum() for term in L])


def _symmetric(weight: Floats, left: Floats, right: Floats) -> Floats:
    product = (left * weight) @ right.T
    return (product + product.T) / 2.0


def _fixed_strata(low: WithinStrata) -> tuple[Floats, Floats]:
    """Do the same for strata with a coefficient each: no M, and ``ln|X'V⁻¹X|`` of their own columns."""
    C0, C1, C2 = low.C
    L = np.array([np.log(C0).sum(), 0.0, (C1 / C0).sum(), 0.0, 0.0, (C2 / C0 - (C1 / C0) ** 2).sum()])
    return np.zeros((6, *low.M.shape[1:])), L


def criterion(data: Statistics, ratios: Floats, *, fixed: bool) -> Criterion:
    """REML deviance at ``ratios`` (a, b) of the variances of strata and wells to that of the error."""
    a, b = ratios.tolist()
    low = within_strata(data, b)
    M, L = _fixed_strata(low) if fixed else _between_strata(low, a)
    M[[0, 2, 5]] += low.M
    L[[0, 2, 5]] += low.log_det
    inverse = np.linalg.inv(M[0, :-1, :-1]).astype(np.float64, copy=False)
    beta = inverse @ M[0, :-1, -1]
    contrast = np.append(-beta, 1.0)
    projected = M @ contrast
    residual = projected @ contrast  # of value and derivatives, beta held
    scaled = inverse @ M[:, :-1, :-1]
    df = data.n_rows - beta.size - (low.C.shape[1] if fixed else 0)
    sigma2 = residual[0] / df
    first = L[1:3] + np.trace(scaled[1:3], axis1=1, axis2=2) + residual[1:3] / sigma2
    second = L[3:] + np.trace(scaled[3:], axis1=1, axis2=2) + residual[3:] / sigma2
    slopes = projected[1:3, :-1]
    hessian = second[[[0, 1], [1, 2]]] - np.einsum("aij,bji->ab", scaled[1:3], scaled[1:3])
    hessian -= 2.0 * slopes @ inverse @ slopes.T / sigma2 + np.outer(residual[1:3], residual[1:3]) / (df * sigma2**2)
    determinants = L[0] + np.linalg.slogdet(M[0, :-1, :-1])[1]
    shrinkage = 1.0 if fixed else a * low.C[0] / (1.0 + a * low.C[0])
    return Criterion(
        deviance=float(determinants + df * (1.0 + np.log(2.0 * np.pi * sigma2))),
        gradient=first,
        hessian=hessian,
        beta=beta,
        inverse=inverse,
        sigma=float(np.sqrt(sigma2)),
        stratum_effect=shrinkage * (contrast @ low.m[0]),
    )


def cholesky(gram: Floats, others: str) -> Floats:
    """Lower factor of a matrix of unit diagonal, naming the first column of X that depends on ``others``."""
    lower = np.zeros_like(gram)
    for j in range(gram.shape[0]):
        column = gram[j:, j] - lower[j:, :j] @ lower[j, :j]
        if column[0] <= DEPENDENT:
            raise ValueError(f"column {j} of X is a linear combination of {others}; leave it out")
        lower[j:, j] = column / np.sqrt(column[0])
    return lower


def _refuse_infinite(y: Floats, X: Floats) -> None:
    for name, values in (("y", y[:, None]), ("X", X)):
        bad = np.argwhere(~np.isfinite(values))
        if bad.size:
            row, column = bad[0]
            where = f"row {row}" + (f", column {column}" if name == "X" else "")
            raise ValueError(
                f"{name} must be finite; found {values[row, column]} in {where}"
                f" ({len({int(r) for r, _ in bad})} rows in all): drop those rows first"
            )
    raise ValueError("y or X is too large to be squared; rescale it")
