"""The exact Gaussian algebra: every sample well eliminated in its own small block.

The model of METHOD.md, given its variances, is

    y_ij = ln κ_ij = f_i'θ_F + g_ij'θ_G + d[c_ij] + r_i(t_ij) + ε_ij,      θ ~ N(μ, P)

with ``f`` what a well always has, ``g`` what changes in time, ``d`` one value for each aquifer and month (cell
``c``), ``r_i`` the well's own path (a constant level plus an Ornstein–Uhlenbeck drift) and ε the error of one pair.
Integrating ``r_i`` out leaves one small covariance ``S_i`` a well; the shared ``θ`` then has precision ``P⁻¹ + Σ
X_i'S_i⁻¹X_i`` (Lindley & Smith 1972, eq. 13; Rasmussen & Williams 2006, eq. 2.8 and 2.30). The cost is linear in
wells and pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from elec2water.coefficient.inverse import Inverse, invert_covariances
from elec2water.coefficient.shared import Prior

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_PORTION = 300_000  # elements of the blocks of one batch of wells, so that they stay in the processor's cache
_MANY_WELLS = 40  # in a batch, from which recursions over its pairs are faster than factorising well by well
_SPARSE_FROM = 1_000_000  # elements of the static features, of which most are zeros of classes and townships


@dataclass(frozen=True)
class Rows:
    """What the sample wells measured, in the order of the wells.

    ``well`` (R,) is sorted; wells are 0..W-1 and each has at least one row. ``time`` in years, ``pump`` counts the
    pumps a well has had, ``unread`` the years between the first pair of that pump and this one in which nobody read the
    well, ``cell`` is the aquifer-month, ``scale`` multiplies the error variance of a pair, ``extra`` adds to it.
    """

    well: Ints
    y: Floats
    time: Floats
    pump: Ints
    unread: Floats
    cell: Ints
    static: Floats  # (W, p_F)
    moving: Floats  # (R, p_G)
    scale: Floats  # (R,)
    extra: Floats  # (R,)
    level_scale: Floats  # (W,) multiplies the variance of a well's level
    n_cells: int

    @property
    def n_wells(self) -> int:
        """Number of sample wells with pairs."""
        return int(self.static.shape[0])

    @property
    def n_shared(self) -> int:
        """Number of shared effects, the length of θ."""
        return int(self.static.shape[1] + self.moving.shape[1] + self.n_cells)

    def take_wells(self, wells: Ints) -> Rows:
        """Keep some wells, in increasing order, with all their pairs."""
        place = np.full(self.n_wells, -1, dtype=np.intp)
        place[wells] = np.arange(wells.size)
        kept = np.flatnonzero(place[self.well] >= 0)
        return Rows(
            well=place[self.well[kept]],
            y=self.y[kept],
            time=self.time[kept],
            pump=self.pump[kept],
            unread=self.unread[kept],
            cell=self.cell[kept],
            static=self.static[wells],
            moving=self.moving[kept],
            scale=self.scale[kept],
            extra=self.extra[kept],
            level_scale=self.level_scale[wells],
            n_cells=self.n_cells,
        )

    def product(self, theta: Floats) -> Floats:
        """``Xθ`` (R,) without writing X out."""
        a = self.static.shape[1]
        b = a + self.moving.shape[1]
        return (self.static @ theta[:a])[self.well] + self.moving @ theta[a:b] + theta[b:][self.cell]

    def matrix(self) -> Floats:
        """Give the (R, p) matrix X of the shared effects, written out; for small problems and tests."""
        cells = np.zeros((self.y.size, self.n_cells))
        cells[np.arange(self.y.size), self.cell] = 1.0
        return np.hstack([self.static[self.well], self.moving, cells])


@dataclass(frozen=True)
class WellVariances:
    """Variances of what belongs to one well: level, drift (with its memory in years) and the error of a pair.

    ``pump_share`` of the level is the pump's; ``renewal`` is the part of the pumps that a year replaces without a word.
    """

    level: float
    drift: float
    error: float
    memory: float
    pump_share: float = 0.5
    renewal: float = 0.0

    def path(self, lag: Floats, level: Floats, unseen: Floats | float = 0.0) -> Floats:
        """Covariance of a well's path at times ``lag`` years apart (infinite: another pump), ``unseen`` of them unread.

        A new pump redraws the drift and the ``pump_share`` of the level's variance; what belongs to the borehole stays.
        While the well was read a new pump would have shown. In h unread years, as a Poisson process replaces pumps, it
        is still the same one with probability ``exp(-renewal h)``, and its level else is another of the same variance
        that the old one tells nothing of: the covariance of the pump's part is that probability times its variance.
        Unread years are told by a clock that stands still while the well is read, so that this is the covariance of a
        first-order autoregression on that clock, positive definite whatever gaps there are.
        """
        same = np.where(np.isinf(lag), 0.0, np.exp(-self.renewal * unseen))
        return self.drift * np.exp(-lag / self.memory) + level * (1.0 - self.pump_share * (1.0 - same))


@dataclass(frozen=True)
class Blocks:
    """What the wells say of θ: precision ``J`` (p, p), ``h`` (p,), and the constants of the log-likelihood."""

    J: Floats
    h: Floats
    quadratic: float
    log_det: float
    n: int
    inverses: tuple[Floats, ...]  # S⁻¹ (w, n, n) of each group


@dataclass(frozen=True)
class Group:
    """Wells with the same number of pairs, so that their blocks are one batch.

    ``rows`` (w, n) into :class:`Rows`, the pairs of a well in the order of pump and time; ``time``, ``pump`` and
    ``unread`` (w, n) are theirs.
    """

    wells: Ints
    rows: Ints
    time: Floats
    pump: Ints
    unread: Floats

    @property
    def lag(self) -> Floats:
        """Years between the pairs of a well, (w, n, n); infinite across a change of pump."""
        lag = np.abs(self.time[:, :, None] - self.time[:, None, :])
        lag[self.pump[:, :, None] != self.pump[:, None, :]] = np.inf
        return lag

    @property
    def unseen(self) -> Floats | float:
        """Years between the pairs of a well in which it was not read, (w, n, n); zero where there are none at all."""
        if not self.unread.any():
            return 0.0
        return np.abs(self.unread[:, :, None] - self.unread[:, None, :])

    def lag_to(self, times: Floats, pumps: Ints) -> tuple[Floats, Floats]:
        """Years from a moment of each well (w,), with the pump it has then (w,), to its pairs.

        Returns
        -------
        lag : (w, n)
            Infinite where a pair is of another pump.
        unseen : (w, n)
            Years of them in which the well was not read.
        """
        lag = np.where(self.pump == pumps[:, None], np.abs(times[:, None] - self.time), np.inf)
        return lag, np.abs(self.clock(times, pumps)[:, None] - self.unread)

    def clock(self, times: Floats, pumps: Ints) -> Floats:
        """Read the clock of unread years of the pump a well has (w,) at a moment (w,).

        It goes on before the first pair of a pump and after the last, where there is none, and evenly within a gap.
        """
        same, late = self.pump == pumps[:, None], self.time > times[:, None]
        before, after = same & ~late, same & late
        last, next_ = np.where(before, self.time, -np.inf).max(axis=1), np.where(after, self.time, np.inf).min(axis=1)
        counted = np.where(before, self.unread, -np.inf).max(axis=1)
        until = np.where(after, self.unread, np.inf).min(axis=1)
        began, goes_on = before.any(axis=1), after.any(axis=1)
        ahead = np.where(goes_on, next_ - times, 0.0)
        since = np.where(began, times - last, 0.0)
        part = np.divide(since, since + ahead, out=np.zeros_like(since), where=began & goes_on)
        within = np.where(began, counted, 0.0) + part * np.where(began & goes_on, until - counted, 0.0)
        outside = np.where(began, counted + since, np.where(goes_on, until - ahead, times))
        return np.where(began & goes_on, within, outside)


def group_wells(rows: Rows) -> tuple[Group, ...]:
    """Batch the wells by their number of pairs, those of several pumps or with gaps apart, in portions."""
    order = np.lexsort((rows.time, rows.pump, rows.well))
    counts = np.bincount(rows.well, minlength=rows.n_wells)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    several = np.zeros(rows.n_wells, dtype=bool)
    several[rows.well[(rows.pump != rows.pump[order[starts[rows.well]]]) | (rows.unread != 0.0)]] = True
    kind = 2 * counts + several
    groups = []
    for which in np.unique(kind[counts > 0]):
        n, alike = int(which) // 2, np.flatnonzero(kind == which)
        for wells in np.array_split(alike, -(-alike.size * n * n // _PORTION)):
            index = order[starts[wells][:, None] + np.arange(n)]
            groups.append(Group(wells, index, rows.time[index], rows.pump[index], rows.unread[index]))
    return tuple(groups)


def well_covariance(group: Group, rows: Rows, variances: WellVariances) -> Floats:
    """Covariance ``S`` (w, n, n) of the wells' own path and error, θ given."""
    level = variances.level * rows.level_scale[group.wells]
    covariance = variances.path(group.lag, level[:, None, None], group.unseen)
    diagonal = np.arange(group.rows.shape[1])
    covariance[:, diagonal, diagonal] += variances.error * rows.scale[group.rows] + rows.extra[group.rows]
    return covariance


def _inverse(group: Group, rows: Rows, variances: WellVariances) -> Inverse:
    if group.wells.size < _MANY_WELLS:
        S = well_covariance(group, rows, variances)
        matrix = np.asarray(np.linalg.inv(S), dtype=np.float64)
        return Inverse(matrix, matrix.sum(axis=2), np.asarray(np.linalg.slogdet(S)[1], dtype=np.float64))
    return invert_covariances(
        group.time,
        group.pump,
        group.unread,
        variances.error * rows.scale[group.rows] + rows.extra[group.rows],
        variances.level * rows.level_scale[group.wells],
        drift=variances.drift,
        memory=variances.memory,
        pump_share=variances.pump_share,
        renewal=variances.renewal,
    )


def eliminate_wells(
    rows: Rows, groups: tuple[Group, ...], variances: WellVariances, *, keep_inverses: bool = True
) -> Blocks:
    """Integrate every well out and add up what is left for θ.

    Parameters
    ----------
    rows, groups, variances
    keep_inverses : bool
        Whether the blocks hold the wells' inverse covariances, which take as many numbers as each well's pairs squared.

    Returns
    -------
    Blocks
        ``J = Σ X_i'S_i⁻¹X_i``, ``h = Σ X_i'S_i⁻¹y_i``, ``Σ y_i'S_i⁻¹y_i`` and ``Σ ln|S_i|``.
    """
    n, n_cells = rows.y.size, rows.n_cells
    ones_row = np.empty(n)
    told = np.column_stack([rows.y, rows.moving])
    told_row = np.empty_like(told)
    cell_cell = np.zeros(n_cells * n_cells)
    log_det, inverses = 0.0, []
    for group in groups:
        inverse = _inverse(group, rows, variances)
        log_det += float(inverse.log_det.sum())
        ones_row[group.rows] = inverse.row_sums
        told_row[group.rows] = np.matmul(inverse.matrix, told[group.rows])
        cell = rows.cell[group.rows]
        pair = cell[:, :, None] * n_cells + cell[:, None, :]
        cell_cell += np.bincount(pair.ravel(), weights=inverse.matrix.ravel(), minlength=n_cells * n_cells)
        if keep_inverses:
            inverses.append(inverse.matrix)
    J, h = _assemble(rows, ones_row, told_row, cell_cell.reshape(n_cells, n_cells))
    return Blocks(J, h, float(rows.y @ told_row[:, 0]), log_det, n, tuple(inverses))


def _assemble(rows: Rows, ones_row: Floats, told_row: Floats, cell_cell: Floats) -> tuple[Floats, Floats]:
    """Put J and h together from ``S⁻¹1`` (R,), ``S⁻¹[y, moving]`` (R, 1 + p_G) and the part of the cells."""
    n_wells, n_cells = rows.n_wells, rows.n_cells
    by_well, by_cell = _summed(rows.well, told_row, n_wells), _summed(rows.cell, told_row, n_cells)
    one_well = _summed(rows.well, ones_row[:, None], n_wells)[:, 0]
    one_cell = np.bincount(rows.well * n_cells + rows.cell, weights=ones_row, minlength=n_wells * n_cells)
    beside = np.hstack([by_well, one_cell.reshape(n_wells, n_cells)])
    J = np.empty((rows.n_shared, rows.n_shared))
    a = rows.static.shape[1]
    b = a + rows.moving.shape[1]
    J[:a, :a], told = _static_products(rows.static, one_well, beside)
    J[:a, a:] = told[:, 1:]
    own = rows.moving.T @ told_row
    J[a:b, a:b] = own[:, 1:]
    J[a:b, b:] = by_cell[:, 1:].T
    J[b:, b:] = cell_cell
    J[a:, :a] = J[:a, a:].T
    J[b:, a:b] = J[a:b, b:].T
    return 0.5 * (J + J.T), np.concatenate([told[:, 0], own[:, 0], by_cell[:, 0]])


def _summed(code: Ints, values: Floats, n: int) -> Floats:
    """Add up the rows of ``values`` (R, k) that have the same code, (n, k)."""
    every = np.arange(code.size)
    return np.asarray(sparse.csr_array((np.ones(code.size), (code, every)), shape=(n, code.size)) @ values)


def _static_products(static: Floats, weight: Floats, beside: Floats) -> tuple[Floats, Floats]:
    """Give ``F'diag(weight)F`` and ``F'beside`` of the static features F (W, p_F)."""
    if static.size < _SPARSE_FROM:
        return static.T @ (weight[:, None] * static), static.T @ beside
    features = sparse.csr_array(static)
    across = features.T.tocsr()
    return (across @ (sparse.diags_array(weight) @ features)).toarray(), np.asarray(across @ beside)


@dataclass(frozen=True)
class Solution:
    """Posterior of θ given the variances: mean (p,), Cholesky factor of the precision, log marginal likelihood of y."""

    mean: Floats
    factor: Floats
    log_likelihood: float

    def covariance(self) -> Floats:
        """Posterior covariance of θ, (p, p)."""
        covariance = linalg.cho_solve((self.factor, True), np.eye(self.mean.size), check_finite=False)
        return np.asarray(0.5 * (covariance + covariance.T))


def solve_shared(blocks: Blocks, prior: Prior) -> Solution:
    """Combine the wells' blocks with the prior of θ."""
    b = blocks.h + prior.precision @ prior.mean
    factor = linalg.cholesky(blocks.J + prior.precision, lower=True, check_finite=False)
    mean = linalg.cho_solve((factor, True), b, check_finite=False)
    log_likelihood = -0.5 * (
        blocks.n * np.log(2 * np.pi)
        + blocks.log_det
        + prior.log_det
        + 2 * float(np.log(np.diag(factor)).sum())
        + blocks.quadratic
        + float(prior.mean @ prior.precision @ prior.mean)
        - float(b @ mean)
    )
    return Solution(mean, factor, log_likelihood)


def variance_slopes(
    rows: Rows,
    groups: tuple[Group, ...],
    variances: WellVariances,
    blocks: Blocks,
    solution: Solution,
    covariance: Floats,
) -> Floats:
    """Slope of the log marginal likelihood along the log standard deviations of level, drift and error, (3,).

    For ``S = Σ_k v_k A_k`` it is ``-v_k Σ_i [tr(S⁻¹A_k) - q'A_k q - tr(S⁻¹ X C X' S⁻¹ A_k)]`` with ``q = S⁻¹(y -
    Xθ̂)`` and ``C`` the posterior covariance of θ (Rasmussen & Williams 2006, eq. 5.9, with θ integrated out).
    """
    residual = rows.y - rows.product(solution.mean)
    slopes = np.zeros(3)
    for group, inverse in zip(groups, blocks.inverses, strict=True):
        spread = shared_spread(rows, group, covariance)
        q = np.einsum("wij,wj->wi", inverse, residual[group.rows])
        inner = inverse - q[:, :, None] * q[:, None, :] - inverse @ spread @ inverse
        unit = replace(variances, drift=1.0)
        level = rows.level_scale[group.wells][:, None, None]
        slopes[1] -= variances.drift * float((inner * unit.path(group.lag, np.zeros((1, 1, 1)))).sum())
        unit = replace(variances, drift=0.0)
        slopes[0] -= variances.level * float((inner * unit.path(group.lag, level, group.unseen)).sum())
        diagonal = np.diagonal(inner, axis1=1, axis2=2)
        slopes[2] -= variances.error * float((diagonal * rows.scale[group.rows]).sum())
    return slopes


def shared_spread(rows: Rows, group: Group, covariance: Floats) -> Floats:
    """Give ``X_i C X_i'`` (w, n, n) of a group of wells, C (p, p) the covariance of θ, without writing X out."""
    a = rows.static.shape[1]
    b = a + rows.moving.shape[1]
    static, moving, cell = rows.static[group.wells], rows.moving[group.rows], rows.cell[group.rows]
    common = static @ covariance[:a]
    mixed = np.einsum("wnm,wm->wn", moving, common[:, a:b]) + np.take_along_axis(common[:, b:], cell, axis=1)
    # What moves against itself and against the aquifer-months of the other pair.
    crossed = moving @ (0.5 * moving @ covariance[a:b, a:b] + covariance[b:, a:b][cell]).transpose(0, 2, 1)
    crossed += mixed[:, :, None]
    spread = crossed + crossed.transpose(0, 2, 1)
    spread += covariance[b:, b:][cell[:, :, None], cell[:, None, :]]
    spread += np.einsum("wa,wa->w", common[:, :a], static)[:, None, None]
    return np.asarray(spread)


@dataclass(frozen=True)
class WellPaths:
    """What the pairs of the sample wells say of their own paths at chosen times, θ given.

    ``r_i(s) | θ, y ~ N(offset - gain·θ, variance)`` with ``offset`` (K,), ``gain`` (K, p), ``variance`` (K,).
    """

    offset: Floats
    gain: Floats
    variance: Floats


def predict_paths(
    rows: Rows, groups: tuple[Group, ...], variances: WellVariances, *, times: Floats, pumps: Ints
) -> WellPaths:
    """Condition every sample well's path on its own pairs.

    Parameters
    ----------
    times : (W,) years
        When each well's path is wanted.
    pumps : (W,)
        Which of its pumps the well has at that time.
    """
    n_wells, p = rows.n_wells, rows.n_shared
    offset, gain, variance = np.zeros(n_wells), np.zeros((n_wells, p)), np.zeros(n_wells)
    p_static, p_moving = rows.static.shape[1], rows.moving.shape[1]
    for group in groups:
        level = variances.level * rows.level_scale[group.wells]
        lag, unseen = group.lag_to(times[group.wells], pumps[group.wells])
        cross = variances.path(lag, level[:, None], unseen)
        weight = np.linalg.solve(well_covariance(group, rows, variances), cross[:, :, None])[:, :, 0]
        offset[group.wells] = (weight * rows.y[group.rows]).sum(axis=1)
        variance[group.wells] = level + variances.drift - (weight * cross).sum(axis=1)
        gain[group.wells, :p_static] = weight.sum(axis=1)[:, None] * rows.static[group.wells]
        gain[group.wells, p_static : p_static + p_moving] = np.einsum("wn,wnk->wk", weight, rows.moving[group.rows])
        np.add.at(gain, (group.wells[:, None], p_static + p_moving + rows.cell[group.rows]), weight)
    return WellPaths(offset, gain, np.maximum(variance, 0.0))


def path_means(rows: Rows, groups: tuple[Group, ...], variances: WellVariances, blocks: Blocks, mean: Floats) -> Floats:
    """Give the expected path of every sample well at its last pair, all its pairs and θ = ``mean`` given, (W,)."""
    residual = rows.y - rows.product(mean)
    found = np.zeros(rows.n_wells)
    for group, inverse in zip(groups, blocks.inverses, strict=True):
        level = variances.level * rows.level_scale[group.wells]
        lag = np.abs(group.time - group.time[:, -1:])
        lag[group.pump != group.pump[:, -1:]] = np.inf
        unseen = np.abs(group.unread - group.unread[:, -1:])
        weighed = np.einsum("wij,wj->wi", inverse, residual[group.rows])
        found[group.wells] = (variances.path(lag, level[:, None], unseen) * weighed).sum(axis=1)
    return found


def path_covariances(
    rows: Rows, groups: tuple[Group, ...], variances: WellVariances, *, times: Floats, later: Floats, pumps: Ints
) -> Floats:
    """Covariance of every sample well's path at two times, θ and its own pairs given, (W,).

    ``k(t, s) - k_t'S⁻¹k_s`` with ``k_t`` the covariance of the path at t and the pairs. Arguments as for
    :func:`predict_paths`, ``later`` (W,) the second time; the pump stays.
    """
    found = np.zeros(rows.n_wells)
    for group in groups:
        level = variances.level * rows.level_scale[group.wells]
        at, after, pump = times[group.wells], later[group.wells], pumps[group.wells]
        now, unseen = group.lag_to(at, pump)
        then, unseen_then = group.lag_to(after, pump)
        weight = np.linalg.solve(
            well_covariance(group, rows, variances), variances.path(now, level[:, None], unseen)[:, :, None]
        )[:, :, 0]
        unread = np.abs(group.clock(after, pump) - group.clock(at, pump))
        told = (weight * variances.path(then, level[:, None], unseen_then)).sum(axis=1)
        found[group.wells] = variances.path(np.abs(after - at), level, unread) - told
    return found


def pair_residuals(
    rows: Rows, groups: tuple[Group, ...], variances: WellVariances, blocks: Blocks, solution: Solution
) -> tuple[Floats, Floats]:
    """Give expected error of each pair and its variance, given all pairs: ``E[ε|y]`` and ``var[ε|y]``, both (R,).

    With ``D`` the diagonal error covariance, ``E[ε|y] = D S⁻¹(y - Xθ)`` and ``var[ε|y,θ] = D - D S⁻¹ D``; the part
    of θ's own uncertainty is left out, it is of the order 1/wells.
    """
    n = rows.y.size
    residual = rows.y - rows.product(solution.mean)
    mean, variance = np.empty(n), np.empty(n)
    for group, inverse in zip(groups, blocks.inverses, strict=True):
        D = variances.error * rows.scale[group.rows] + rows.extra[group.rows]
        mean[group.rows] = D * np.einsum("wij,wj->wi", inverse, residual[group.rows])
        variance[group.rows] = D - D**2 * np.diagonal(inverse, axis1=1, axis2=2)
    return mean, np.maximum(variance, 0.0)
