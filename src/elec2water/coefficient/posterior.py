"""The joint posterior of the shared effects and of the sample wells' own paths, its variances integrated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from elec2water.coefficient import gaussian, nodes
from elec2water.coefficient.gaussian import Blocks, Group, Rows, Solution, WellPaths, WellVariances
from elec2water.coefficient.shared import Layout, aquifer_correlation, month_correlation

Floats = NDArray[np.float64]

DRIFT_MEMORY_YEARS = 2.0
# Of 54 wells tested anew after a few years 12 had moved by more than 25 %, 9 of them by a new pump (METHOD.md).
PUMP_RENEWAL_PER_YEAR = 0.03
_ROBUST_ROUNDS = 3
_ENOUGH_WELLS = 600
_SAME_VARIANCES = 0.05
_WELLS_A_MEDIAN = 20
_MAD_TO_SD = 1.4826
_LEAST_SPREAD = 0.05
_COVARIANCE_BYTES = 400_000_000
WELL_LIMIT = 4.0
"""Standard deviations from its class beyond which a well hardly moves the class."""
IMPOSSIBLE_PAIR = 8.0
"""Times the median error variance beyond which a month is not taken as measured."""


@dataclass(frozen=True)
class SdPrior:
    """Lognormal prior of a standard deviation of ln κ: its median and the standard deviation of its logarithm."""

    name: str
    median: float
    log_sd: float


SD_PRIORS = (
    SdPrior("level", 0.27, 0.50),  # within aquifer × depth × method the log-sd of wells is 0.2-0.4 (METHOD.md)
    SdPrior("drift", 0.07, 0.50),  # repeat tests within a season agree to 4-9 %
    SdPrior("error", 0.04, 0.50),  # monthly pairs are precise
    SdPrior("stratum", 0.05, 0.70),
    SdPrior("township", 0.05, 0.70),
    # Pumping tests of one age overstate the totals of later years by amounts within 1.3 % of one another, water levels
    # and wear included (USGS SIR 2005-5063; METHOD.md): what a season does to all wells beyond them is no more.
    SdPrior("month", 0.015, 0.60),
)
SD_NAMES = tuple(p.name for p in SD_PRIORS)


@dataclass(frozen=True)
class Posterior:
    """Mixture over the variance nodes of exact Gaussian posteriors.

    Attributes
    ----------
    layout : Layout
        What each effect of θ is.
    sd : (K, 6)
        Standard deviations at the nodes, in the order of ``SD_NAMES``.
    weight : (K,)
        Weights of the nodes.
    means, covariances : (K, p), (K, p, p)
        Posterior of θ at each node.
    rows : Rows
        The pairs behind it, with the weights the robust error model gave them.
    sample : (W,)
        Place in the registry of each sample well.
    plain_scale : (R,), optional
        ``rows.scale`` before the robust weights; ones in files of format 1, which did not keep it.
    told_by : str
        :func:`fingerprint` of the pairs and effects it was worked out from; empty where that is not known.
    renewal : float
        Part of the pumps that a year replaces without a word: none in files that do not say it.
    """

    layout: Layout
    sd: Floats
    weight: Floats
    means: Floats
    covariances: Floats
    rows: Rows
    sample: NDArray[np.intp]
    log_likelihood: float
    plain_scale: Floats | None = None
    told_by: str = ""
    renewal: float = PUMP_RENEWAL_PER_YEAR

    @property
    def plain_rows(self) -> Rows:
        """The pairs and wells as they count before the robust model weighs them."""
        scale = np.ones(self.rows.y.size) if self.plain_scale is None else self.plain_scale
        weight = scale / self.rows.scale
        return replace(
            self.rows, scale=scale, extra=self.rows.extra * weight, level_scale=np.ones_like(self.rows.level_scale)
        )

    def take_wells(self, wells: NDArray[np.intp], sample: NDArray[np.intp]) -> Posterior:
        """Keep what some sample wells know of themselves, in increasing order; their places are then ``sample``."""
        kept = np.isin(self.rows.well, wells)
        scale = None if self.plain_scale is None else self.plain_scale[kept]
        return replace(self, sample=sample, rows=self.rows.take_wells(wells), plain_scale=scale)

    @cached_property
    def mean(self) -> Floats:
        """Posterior mean of θ over the nodes, (p,)."""
        return np.asarray(self.weight @ self.means)

    @cached_property
    def covariance(self) -> Floats:
        """Posterior covariance of θ over the nodes, (p, p): within nodes plus between them."""
        within = np.einsum("k,kij->ij", self.weight, self.covariances)
        between = self.means - self.mean
        return np.asarray(within + (self.weight[:, None] * between).T @ between)

    @cached_property
    def variance(self) -> dict[str, float]:
        """Posterior mean of each variance component."""
        return dict(zip(SD_NAMES, (self.weight @ self.sd**2).tolist(), strict=True))

    @property
    def typical(self) -> WellVariances:
        """Well variances at their posterior mean."""
        v = self.variance
        return WellVariances(v["level"], v["drift"], v["error"], DRIFT_MEMORY_YEARS, renewal=self.renewal)

    @property
    def impossible_pairs(self) -> NDArray[np.bool_]:
        """Pairs whose error the robust fit had to make far larger than a working water meter's, (R,).

        Larger than it is for such a month at that: one with hardly any electricity says little without being wrong.
        """
        factor = self.rows.scale / self.plain_rows.scale
        return np.asarray(factor > IMPOSSIBLE_PAIR * np.median(factor))

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Sample wells batched by their number of pairs."""
        return gaussian.group_wells(self.rows)

    @cached_property
    def unbiasing(self) -> Floats:
        """Matrix ``Q`` (p, p) with which ``exp(a'θ̂ + ½ a'Qa)`` has the expectation of ``exp(a'θ)`` over samples.

        The posterior mean ``exp(a'θ̂ + ½ a'Ca)`` of a regression with a vague prior overshoots by about ``a'Ca``
        (trap 2 of METHOD.md; Bradu & Mundlak 1970, J. Am. Statist. Assoc. 65, for the regression alone). With pooled
        effects ``z ~ N(0, P_z)`` and ``K = I - C P⁻¹`` the sampling variance of ``a'θ̂`` is ``a'(K C + K_z P_z
        K_z')a``, so ``Q = diag(0, P_z)`` less that. Where there are no data ``K = 0`` and the answer is the prior's.
        """
        pooled = self.layout.is_pooled
        total = np.zeros_like(self.covariances[0])
        for weight, sd, C in zip(self.weight, self.sd, self.covariances, strict=True):
            prior = self.layout.prior(dict(zip(SD_NAMES, sd, strict=True)))
            K = np.eye(C.shape[0]) - C @ prior.precision
            P_z = prior.covariance[np.ix_(pooled, pooled)]
            sampling = K @ C + K[:, pooled] @ P_z @ K[:, pooled].T
            Q = -0.5 * (sampling + sampling.T)
            Q[np.ix_(pooled, pooled)] += P_z
            total += weight * Q
        return np.asarray(total)

    def covering(self, months: NDArray[np.datetime64]) -> Posterior:
        """Extend the aquifers' movement to months outside the fit; exact, as it is a first-order autoregression.

        Given ``d`` at the fitted months, ``d_new = A d + e`` with ``A = R_no R_oo⁻¹`` and ``var e = σ² B ⊗ (R_nn - A
        R_on)``.
        """
        old = self.layout.months
        new = np.setdiff1d(months, old)
        if not new.size:
            return self
        layout = replace(self.layout, months=np.union1d(old, new))
        transform, noise = _month_extension(self.layout, layout)
        month_variance = self.sd[:, SD_NAMES.index("month")] ** 2
        means = self.means @ transform.T
        covariances = transform @ self.covariances @ transform.T + month_variance[:, None, None] * noise
        place = _cell_places(self.layout, layout)
        rows = replace(self.rows, cell=place[self.rows.cell], n_cells=layout.n_cells)
        return replace(self, layout=layout, means=means, covariances=covariances, rows=rows)

    def month_transform(self, months: NDArray[np.datetime64]) -> Floats:
        """Give what the aquifers' movement at the fitted months says of that at others: (A·m, A·M), see covering."""
        layout = replace(self.layout, months=np.union1d(self.layout.months, months))
        transform, _ = _month_extension(self.layout, layout)
        place = np.searchsorted(layout.months, months)
        cells = np.arange(len(layout.aquifers))[:, None] * layout.months.size + place
        return np.asarray(transform[layout.cells_start + cells.ravel(), self.layout.cells_start :])

    def paths(self, times: Floats, pumps: NDArray[np.intp]) -> WellPaths:
        """Give what the pairs say of every sample well's own path at the given times (W,), at the typical variances."""
        return gaussian.predict_paths(self.rows, self.groups, self.typical, times=times, pumps=pumps)

    def path_covariances(self, times: Floats, later: Floats, pumps: NDArray[np.intp]) -> Floats:
        """Give the covariance of every sample well's own path at two times (W,), its pairs and θ given, (W,)."""
        return gaussian.path_covariances(self.rows, self.groups, self.typical, times=times, later=later, pumps=pumps)


def fit_posterior(
    rows: Rows,
    layout: Layout,
    sample: NDArray[np.intp],
    *,
    student_df: float = 4.0,
    progress: Callable[[str], None] | None = None,
) -> Posterior:
    """Fit the model of METHOD.md to the pairs of the sample wells.

    Pairs have Student errors, as scale mixtures: each pair's weight is its expectation at the mode of the variances,
    updated three times (Lange, Little & Taylor 1989, J. Am. Statist. Assoc. 84, section 3). A well further than four
    standard deviations from its class keeps its own level and loses weight in the class. The variances are sought as if
    every well had been read throughout: pumps are replaced at a rate that is taken as known, and a normal variance
    proportional to that of levels would take the jumps of few wells for the spread of all.

    Parameters
    ----------
    rows : Rows
        Pairs, sorted by well.
    layout : Layout
    sample : (W,)
        Place in the registry of each well of ``rows``.
    student_df : float
        Degrees of freedom of the errors of pairs.
    progress : callable, optional
        Told in words what is being done.
    """
    tell = progress or (lambda _: None)
    some = rows.take_wells(thinned(rows.n_wells))
    # What a few wells with another pump jump by over a gap says nothing of how far all others lie apart.
    some = replace(some, unread=np.zeros_like(some.unread))
    found = _variance_nodes(some, layout, student_df, tell).heaviest(_COVARIANCE_BYTES // (8 * layout.size**2))
    return posterior_at(
        rows, layout, sample, psi=found.psi, weight=found.weight, student_df=student_df, progress=progress
    )


def posterior_at(
    rows: Rows,
    layout: Layout,
    sample: NDArray[np.intp],
    *,
    psi: Floats,
    weight: Floats,
    student_df: float = 4.0,
    renewal: float = PUMP_RENEWAL_PER_YEAR,
    progress: Callable[[str], None] | None = None,
) -> Posterior:
    """Joint posterior with the variances held at their nodes, exact whatever the order in which the pairs came.

    Parameters
    ----------
    rows : Rows
        All pairs, without robust weights; those are found anew, as a function of the pairs alone.
    layout, sample, student_df, progress
        As for :func:`fit_posterior`.
    psi, weight : (K, 6), (K,)
        Log standard deviations at the nodes, the mode first, and the nodes' weights.
    renewal : float
        As for :class:`Posterior`.
    """
    tell = progress or (lambda _: None)
    groups = gaussian.group_wells(rows)
    robust = rows
    for round_ in range(_ROBUST_ROUNDS):
        tell(f"fit: weights of pairs and wells, round {round_ + 1} of {_ROBUST_ROUNDS}")
        robust = reweight(rows, robust, groups, layout, psi[0], student_df, renewal)
    tell(f"fit: joint posterior at {len(psi)} nodes")
    solutions = _solutions(robust, groups, layout, psi, renewal)
    return Posterior(
        layout,
        np.exp(psi),
        weight,
        np.array([s.mean for s in solutions]),
        np.array([s.covariance() for s in solutions]),
        robust,
        sample,
        solutions[0].log_likelihood,
        rows.scale,
        fingerprint(rows, layout, student_df),
        renewal,
    )


def fingerprint(rows: Rows, layout: Layout, student_df: float) -> str:
    """Name what a posterior is a function of, its variances apart: equal pairs and effects have equal names."""
    told = blake2b(repr((layout, student_df, layout.months.tolist())).encode(), digest_size=16)
    for field in fields(Rows):
        told.update(np.ascontiguousarray(getattr(rows, field.name)).data)
    return told.hexdigest()


def evidence(rows: Rows, posterior: Posterior) -> float:
    """Log marginal likelihood of pairs with their robust weights, at the mode of a posterior's variances."""
    groups, psi = gaussian.group_wells(rows), np.log(posterior.sd[0])
    return _solve(rows, groups, posterior.layout, psi, posterior.renewal)[0].log_likelihood


def _solutions(rows: Rows, groups: tuple[Group, ...], layout: Layout, psi: Floats, renewal: float) -> list[Solution]:
    """Posterior of θ at every node; nodes whose well variances are as good as the same share the wells' blocks."""
    blocks: dict[tuple[float, ...], Blocks] = {}
    solutions = []
    for node in psi:
        near = [key for key in blocks if np.abs(np.array(key) - node[:3]).max() < _SAME_VARIANCES]
        key = near[0] if near and rows.n_wells > _ENOUGH_WELLS else tuple(node[:3].tolist())
        if key not in blocks:
            variances = well_variances(node, renewal)
            blocks[key] = gaussian.eliminate_wells(rows, groups, variances, keep_inverses=False)
        solutions.append(
            gaussian.solve_shared(blocks[key], layout.prior(dict(zip(SD_NAMES, np.exp(node), strict=True))))
        )
    return solutions


def thinned(n_wells: int) -> NDArray[np.intp]:
    """Places of the wells from which variances are learned: all, or every k-th of a large network.

    Six hundred wells know the spread of wells to 3 %, which no interval can tell from knowing it exactly.
    """
    step = max(1, n_wells // _ENOUGH_WELLS)
    return np.arange(0, n_wells, step, dtype=np.intp)


def _variance_nodes(rows: Rows, layout: Layout, student_df: float, tell: Callable[[str], None]) -> nodes.Nodes:
    groups = gaussian.group_wells(rows)
    # Volumes computed from a table coefficient have no error at all: the search must not follow them to zero.
    centre = start = np.log([p.median for p in SD_PRIORS])
    robust = rows
    for round_ in range(_ROBUST_ROUNDS):
        tell(f"fit: variances, round {round_ + 1} of {_ROBUST_ROUNDS}")
        start = nodes.find_mode(SdDensity(robust, groups, layout), start, centre)
        robust = reweight(rows, robust, groups, layout, start, student_df)
    tell("fit: integrating over the variances")
    return nodes.integrate(SdDensity(robust, groups, layout), start, centre)


def well_variances(psi: Floats, renewal: float = PUMP_RENEWAL_PER_YEAR) -> WellVariances:
    """Variances of a well's level, drift and pair error from log standard deviations."""
    level, drift, error = np.exp(2 * psi[:3])
    return WellVariances(float(level), float(drift), float(error), DRIFT_MEMORY_YEARS, renewal=renewal)


def _solve(
    rows: Rows, groups: tuple[Group, ...], layout: Layout, psi: Floats, renewal: float = PUMP_RENEWAL_PER_YEAR
) -> tuple[Solution, Blocks]:
    blocks = gaussian.eliminate_wells(rows, groups, well_variances(psi, renewal))
    prior = layout.prior(dict(zip(SD_NAMES, np.exp(psi), strict=True)))
    return gaussian.solve_shared(blocks, prior), blocks


@dataclass(frozen=True)
class SdDensity:
    """Log posterior of the log standard deviations ψ, in the order of ``SD_NAMES``, all else integrated out."""

    rows: Rows
    groups: tuple[Group, ...]
    layout: Layout

    def value(self, psi: Floats) -> float:
        """Log density at ψ (6,)."""
        return _solve(self.rows, self.groups, self.layout, psi)[0].log_likelihood + _sd_prior(psi)[0]

    def with_slope(self, psi: Floats) -> tuple[float, Floats]:
        """Log density and its gradient."""
        solution, blocks = _solve(self.rows, self.groups, self.layout, psi)
        covariance = solution.covariance()
        sd = dict(zip(SD_NAMES, np.exp(psi), strict=True))
        own = gaussian.variance_slopes(self.rows, self.groups, well_variances(psi), blocks, solution, covariance)
        shared = self.layout.prior_slopes(sd, solution.mean, covariance)
        prior, prior_slope = _sd_prior(psi)
        slope = np.concatenate([own, [shared[name] for name in SD_NAMES[3:]]]) + prior_slope
        return solution.log_likelihood + prior, slope


def _sd_prior(psi: Floats) -> tuple[float, Floats]:
    z = (psi - np.log([p.median for p in SD_PRIORS])) / np.array([p.log_sd for p in SD_PRIORS])
    return -0.5 * float(z @ z), -z / np.array([p.log_sd for p in SD_PRIORS])


def reweight(
    rows: Rows,
    robust: Rows,
    groups: tuple[Group, ...],
    layout: Layout,
    psi: Floats,
    student_df: float,
    renewal: float = PUMP_RENEWAL_PER_YEAR,
) -> Rows:
    """One step of the robust weights of pairs and wells, at the log standard deviations ``psi``."""
    variances = well_variances(psi, renewal)
    solution, blocks = _solve(robust, groups, layout, psi, renewal)
    error, error_variance = gaussian.pair_residuals(robust, groups, variances, blocks, solution)
    base = variances.error * rows.scale + rows.extra
    weight = (student_df + 1.0) / (student_df + (error**2 + error_variance) / base)
    return replace(
        rows,
        scale=rows.scale / weight,
        extra=rows.extra / weight,
        level_scale=_level_scale(gaussian.path_means(robust, groups, variances, blocks, solution.mean), variances),
    )


def _level_scale(mean: Floats, variances: WellVariances) -> Floats:
    spread = np.sqrt(variances.level + variances.drift)
    if mean.size >= _WELLS_A_MEDIAN:
        # Bad wells raise the estimated spread and hide behind it; the median of the others does not move.
        spread = min(spread, _MAD_TO_SD * float(np.median(np.abs(mean))))
    return outlying_scale(np.abs(mean) / max(spread, _LEAST_SPREAD))


def outlying_scale(z: Floats) -> Floats:
    """Factor on the variance of a well's level, from how many standard deviations it lies from its class.

    One up to the limit; beyond, the fourth power, so that a well that lies absurdly far hardly moves its class at all.
    """
    return np.asarray(np.maximum(1.0, z / WELL_LIMIT) ** 4)


def outlying_z(scale: Floats) -> Floats:
    """Invert :func:`outlying_scale`: standard deviations from the class, at least the limit."""
    return np.asarray(WELL_LIMIT * scale**0.25)


def _cell_places(old: Layout, new: Layout) -> NDArray[np.intp]:
    month = np.searchsorted(new.months, old.months)
    aquifer = np.arange(len(old.aquifers))
    return np.asarray((aquifer[:, None] * new.months.size + month).ravel(), dtype=np.intp)


def _month_extension(old: Layout, new: Layout) -> tuple[Floats, Floats]:
    """Matrix that carries θ of the old layout to the new, (p_new, p_old), and the unit covariance it adds."""
    correlation = month_correlation(new.months)
    known = np.isin(new.months, old.months)
    A = np.zeros((new.months.size, old.months.size))
    A[known] = np.eye(old.months.size)
    A[~known] = correlation[np.ix_(~known, known)] @ np.linalg.inv(correlation[np.ix_(known, known)])
    left = correlation - A @ correlation[np.ix_(known, known)] @ A.T
    left[known] = left[:, known] = 0.0
    transform = np.zeros((new.size, old.size))
    head = old.cells_start
    transform[:head, :head] = np.eye(head)
    transform[head:, head:] = np.kron(np.eye(len(old.aquifers)), A)
    noise = np.zeros((new.size, new.size))
    noise[head:, head:] = np.kron(aquifer_correlation(len(old.aquifers)), left)
    return transform, noise
