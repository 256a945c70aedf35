"""The volumes of a quarter: every well, and the total of any domain with its joint error."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from elec2water.coefficient.posterior import Posterior
from elec2water.energy.split import Split
from elec2water.errors import UsageError
from elec2water.keys import Keys, Labels
from elec2water.stats import mixture_quantile
from elec2water.volume.shared_error import Loadings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_DOMAINS_AT_ONCE = 4096
_DOMAINS_BY_NODE = 512
_WELLS_OF_BEND = 20_000
METHODS = ("measured", "converted", "imputed", "none")


@dataclass(frozen=True)
class WellVolumes:
    """Arrays over the wells (N,) of a quarter; NaN where a well has no electricity that could be converted.

    ``unread_month`` (N,) tells that a month of the quarter has no electricity and is not in the volume;
    ``converted_m3`` (N, M) is the part that goes through the shared effects, ``own_variance_m6`` the variance of the
    volume that belongs to the well alone, and ``level_squared_m6`` the square of what depends on an unmeasured
    well's level.
    """

    well_id: NDArray[np.object_]
    kwh: Floats
    imputed_kwh: Floats  # of months that nobody read
    volume_m3: Floats
    se_m3: Floats
    lower_m3: Floats
    upper_m3: Floats
    method_codes: NDArray[np.int8]  # places in METHODS
    quality: NDArray[np.object_]
    partly_measured: NDArray[np.bool_]
    unread_month: NDArray[np.bool_]
    sampled: NDArray[np.bool_]
    converted_m3: Floats
    own_variance_m6: Floats
    path_variance: Floats  # of ln κ, from the well's own level and drift
    common_energy_m3: Floats  # standard error from months nobody has read, common to all wells
    level_squared_m6: Floats
    shared_variance: Floats  # of ln κ, from the shared effects

    @cached_property
    def method(self) -> NDArray[np.object_]:
        """How each volume came about, (N,), one of ``METHODS``."""
        return np.array(METHODS, dtype=object)[self.method_codes]


@dataclass(frozen=True)
class Totals:
    """Totals of the G domains of one kind: arrays (G,) and, on request, their joint covariance."""

    keys: NDArray[np.object_]
    n_wells: Ints
    n_by_method: Ints  # (G, 4)
    kwh: Floats
    imputed_kwh: Floats
    volume_m3: Floats
    se_m3: Floats
    lower_m3: Floats
    upper_m3: Floats
    sums: Floats  # (G, p); left out of more domains than anyone takes a covariance of
    own_m6: Floats
    level_m3: Floats  # (G,) of wells whose level is not measured
    bent_m3: Floats  # (G,) volume times the shared variance of ln κ


@dataclass(frozen=True)
class StratumCoefficients:
    """Coefficients of S strata in M months [m³/kWh].

    ``mean`` and ``log_variance`` (S, M); ``covariance`` (S·M, S·M) [m⁶/kWh²], joint, in the order of ``mean.ravel()``.
    """

    mean: Floats
    log_variance: Floats
    covariance: Floats


@dataclass(frozen=True)
class SharedMeters:
    """Volumes (K,) [m³] of wells that hang on shares of one meter nobody stated.

    Their errors cancel where the wells of a meter are added up.
    """

    split: Split
    volume_m3: Floats

    def cross_variance(self, codes: Ints, n_domains: int) -> Floats:
        """Give what the wells' covariances add to the variance of domains, (G,) m⁶; `codes` (N,) is -1 for none."""
        return self.split.cross_variance(self.volume_m3, codes[self.split.well], n_domains)


@dataclass(frozen=True)
class Volume:
    """Volumes of a quarter."""

    quarter: str
    confidence: float
    wells: WellVolumes
    loadings: Loadings
    posterior: Posterior
    shared_meter_rel_u: float
    monthly_kwh: Floats  # (N, M) electricity of each month, zero where none
    monthly_m3: Floats  # (N, M) volume of each month
    idle_coefficient: Floats  # (N,) coefficient of the quarter where a well used no electricity
    shared_meters: SharedMeters | None = None

    @property
    def z(self) -> float:
        """Standard deviations from the mean to a bound at the stated confidence."""
        return float(special.ndtri(0.5 * (1.0 + self.confidence)))

    def stratum_coefficients(self, codes: Ints, n_strata: int) -> StratumCoefficients:
        """Give each stratum's energy-weighted mean κ [m³/kWh] in every month, with their joint covariance.

        A stratum without energy in a month is weighted by wells.

        Parameters
        ----------
        codes : (N,)
            Stratum of each well, 0..S-1.
        n_strata : int
            S.
        """
        months = [self._stratum_month(codes, n_strata, m) for m in range(self.monthly_kwh.shape[1])]
        mean = np.column_stack([month[0] for month in months])
        g = np.stack([month[1] for month in months], axis=1).reshape(mean.size, -1)
        own = np.sqrt(np.column_stack([month[2] for month in months]))
        common = g @ self.posterior.covariance @ g.T + self.shared_meter_rel_u**2
        # What the wells of a stratum own stays with them from month to month.
        blocks = own[:, :, None] * own[:, None, :]
        place = np.arange(mean.size).reshape(mean.shape)
        common[place[:, :, None], place[:, None, :]] += np.log1p(blocks)
        flat = np.nan_to_num(mean.ravel())
        return StratumCoefficients(
            mean, np.diag(common).reshape(mean.shape).copy(), np.outer(flat, flat) * np.expm1(common)
        )

    def _stratum_month(self, codes: Ints, n_strata: int, month: int) -> tuple[Floats, Floats, Floats]:
        """Mean κ (S,), relative loadings (S, p) and relative variance (S,) that the wells own, of each stratum."""
        kwh = np.bincount(codes, weights=self.monthly_kwh[:, month], minlength=n_strata)
        idle = kwh[codes] <= 0
        known = np.isfinite(self.wells.volume_m3) | idle
        weight = np.where(idle, 1.0, self.monthly_kwh[:, month]) * known
        volume = np.where(idle, self.idle_coefficient, self.monthly_m3[:, month]) * known
        total_weight = np.bincount(codes, weights=weight, minlength=n_strata)
        total = np.bincount(codes, weights=volume, minlength=n_strata)
        safe = np.where(total > 0, total, 1.0)
        parts = np.zeros(self.monthly_kwh.shape)
        parts[:, month] = volume
        g = self.loadings.domain_sums(parts, codes, n_strata) / safe[:, None]
        square = self.wells.volume_m3**2
        relative = np.divide(self.wells.own_variance_m6, square, out=np.zeros(codes.size), where=square > 0)
        own = np.bincount(codes, weights=relative * volume**2, minlength=n_strata) / safe**2
        mean = np.divide(total, total_weight, out=np.full(n_strata, np.nan), where=total_weight > 0)
        return mean, g, own

    def total(self, labels: Labels | None = None) -> Totals:
        """Totals with their joint error, one computation for all domains.

        Parameters
        ----------
        labels : (N,), optional
            The domain of each well; blank (NaN or None) for none. The whole county if left out.
        """
        keys = Keys.of(np.zeros(self.wells.well_id.size) if labels is None else labels)
        return domain_totals(self, keys.codes, keys.names)

    def table(self, domain: str, labels: Labels) -> pd.DataFrame:
        """Totals of one kind of domain as the contract's table, then counts of wells by method and imputed energy.

        Parameters
        ----------
        domain : str
            What the keys are, such as ``township``.
        labels : (N,)
            Key of each well; blank for none.
        """
        totals = self.total(labels)
        frame = pd.DataFrame(
            {
                "domain": domain,
                "key": totals.keys.astype(str),
                "quarter": self.quarter,
                "n_wells": totals.n_wells,
                "energy_kwh": totals.kwh,
                "volume_m3": totals.volume_m3,
                "se_m3": totals.se_m3,
                "lower_m3": totals.lower_m3,
                "upper_m3": totals.upper_m3,
                "confidence": self.confidence,
            }
        )
        for k, method in enumerate(METHODS):
            frame[f"n_{method}"] = totals.n_by_method[:, k]
        return frame.assign(imputed_energy_kwh=totals.imputed_kwh)

    def plot(self, domain: str, labels: Labels, **options: object) -> Axes:
        """Draw ``table(domain, labels)``; options as for :func:`elec2water.plot.totals`."""
        axes: Axes = import_module("elec2water.plot").totals(self.table(domain, labels), domain=domain, **options)
        return axes

    def _repr_html_(self) -> str:
        everything = np.full(self.wells.well_id.size, "", dtype=object)
        return self.table("county", everything).to_html(index=False)

    def covariance(self, totals: Totals) -> Floats:
        """Joint covariance of the totals of one kind, (G, G) m⁶: lognormal moments, ``T_i T_j (exp(c_ij) - 1)``.

        Raises
        ------
        UsageError
            If there are more domains than 4,096.
        """
        posterior = self.posterior
        if totals.sums.shape[1] != posterior.mean.size:
            raise UsageError(f"covariance: expected at most {_DOMAINS_AT_ONCE} domains, found {totals.keys.size}")
        safe = np.where(totals.volume_m3 > 0, totals.volume_m3, 1.0)
        share = np.column_stack([totals.level_m3, totals.bent_m3]) / safe[:, None]
        of_nodes = _one_covariance if totals.keys.size > _DOMAINS_BY_NODE else _mixed_covariance
        joint = np.outer(safe, safe) * of_nodes(self, totals.sums / safe[:, None], share)
        np.fill_diagonal(joint, totals.se_m3**2)
        return np.asarray(joint * np.outer(totals.volume_m3 > 0, totals.volume_m3 > 0))

    @cached_property
    def bend(self) -> Bend:
        """Second-order terms of the totals, from at most 20,000 wells spread evenly over the registry."""
        rest = np.flatnonzero(~self.wells.sampled)
        some = rest[:: 1 + rest.size // _WELLS_OF_BEND]
        total = self.wells.converted_m3[some].sum(axis=1)
        month = self.wells.converted_m3[some] / np.where(total > 0, total, 1.0)[:, None]
        rows = self.loadings.mean_rows(some, month)
        return Bend.of(rows, total, self.posterior)

    @cached_property
    def county(self) -> Totals:
        """The total of all wells."""
        return self.total()


@dataclass(frozen=True)
class Bend:
    """What a sum of lognormals has beyond ``exp(g'θ)``, to second order in the loadings, for a typical mix of wells.

    ``shift`` (K,): ½ (Σ w a'C_k a / Σ w a'C a), less its mean over the nodes: where effects are less certain the mean
    of a lognormal is higher. ``spread``: variance among pairs of wells of ``a_i'C a_j``, over the square of the mean
    ``a_i'C a_i``: ``log Σ w_i w_j exp(c_ij)`` is above ``Σ w_i w_j c_ij`` by half of it.
    """

    shift: Floats
    spread: float

    @classmethod
    def of(cls, rows: Floats, weight: Floats, posterior: Posterior) -> Bend:
        """Work both out from loadings (n, p) of wells with volumes ``weight`` (n,)."""
        if not weight.sum() > 0:
            return cls(np.zeros(posterior.weight.size), 0.0)
        share = weight / weight.sum()
        square = (rows * share[:, None]).T @ rows
        mean = share @ rows
        C = posterior.covariance
        typical = float(np.vdot(square, C))
        by_node = 0.5 * np.array([np.vdot(square, C_k) for C_k in posterior.covariances]) / typical
        product = square @ C
        between = float(np.vdot(product, product.T)) - float(mean @ C @ mean) ** 2
        return cls(by_node - posterior.weight @ by_node, max(between, 0.0) / typical**2)


def domain_totals(volume: Volume, codes: Ints, keys: NDArray[np.object_]) -> Totals:
    """Sum wells by domain; the closed form of METHOD.md, trap 1.

    At each node k of the variances the logarithm of a total is Gaussian with variance ``g'C_k g`` (shared) plus what
    the wells own plus the water meters' common error; the interval is the mixture's.

    Parameters
    ----------
    volume : Volume
    codes : (N,)
        Domain of each well, 0..G-1 in the order of ``keys``; -1 for none.
    keys : (G,)
    """
    wells, size = volume.wells, keys.size
    sums = _sums(volume, codes, size)
    parts = [_part_bounds(volume, part, codes, sums) for part in _key_parts(codes, size)]
    lower, upper, se, loads = (np.concatenate(found) for found in zip(*parts, strict=True))
    by_method = np.bincount((codes + 1) * len(METHODS) + wells.method_codes, minlength=(size + 1) * len(METHODS))
    return Totals(
        keys=keys,
        n_wells=np.bincount(codes + 1, minlength=size + 1)[1:],
        n_by_method=by_method.reshape(-1, len(METHODS))[1:],
        kwh=_added(wells.kwh, codes, size),
        imputed_kwh=_added(wells.imputed_kwh, codes, size),
        volume_m3=sums.volume_m3,
        se_m3=sums.volume_m3 * se,
        lower_m3=sums.volume_m3 * lower,
        upper_m3=sums.volume_m3 * upper,
        sums=loads,
        own_m6=sums.own_m6,
        level_m3=sums.level_m3,
        bent_m3=sums.bent_m3,
    )


@dataclass(frozen=True)
class _KeyPart:
    keys: slice
    wells: Ints | slice


def _key_parts(codes: Ints, n_keys: int) -> list[_KeyPart]:
    """Domains in portions, so that a million permits never need a million rows of shared effects at once."""
    if n_keys <= _DOMAINS_AT_ONCE:
        return [_KeyPart(slice(0, n_keys), slice(None))]
    order = np.argsort(codes, kind="stable")
    starts = np.arange(0, n_keys, _DOMAINS_AT_ONCE)
    bounds = np.searchsorted(codes[order], np.append(starts, n_keys))
    return [
        _KeyPart(slice(k, min(k + _DOMAINS_AT_ONCE, n_keys)), order[bounds[i] : bounds[i + 1]])
        for i, k in enumerate(starts.tolist())
    ]


@dataclass(frozen=True)
class _Sums:
    """What adds up well by well, (G,) each."""

    volume_m3: Floats
    own_m6: Floats
    level_m3: Floats
    level_squared_m6: Floats
    bent_m3: Floats  # volume times the shared variance of ln κ


def _sums(volume: Volume, codes: Ints, n_keys: int) -> _Sums:
    wells, shared = volume.wells, volume.shared_meters
    own = _added(wells.own_variance_m6, codes, n_keys)
    if shared is not None:
        own = own + shared.cross_variance(codes, n_keys)
    return _Sums(
        _added(wells.volume_m3, codes, n_keys),
        np.maximum(own, 0.0) + _added(wells.common_energy_m3, codes, n_keys) ** 2,
        _added(np.where(wells.sampled, 0.0, wells.converted_m3.sum(axis=1)), codes, n_keys),
        _added(wells.level_squared_m6, codes, n_keys),
        _added(wells.converted_m3.sum(axis=1) * wells.shared_variance, codes, n_keys),
    )


def _added(values: Floats, codes: Ints, n_keys: int) -> Floats:
    """Sum by domain, (G,); NaN counts as nothing, and so does a well without domain."""
    known = np.where(np.isnan(values), 0.0, values)
    return np.asarray(np.bincount(codes + 1, known, n_keys + 1)[1:], dtype=np.float64)


def _part_bounds(volume: Volume, part: _KeyPart, codes: Ints, sums: _Sums) -> tuple[Floats, ...]:
    """Give bounds and standard error of a portion's totals, relative to them, (g,) each; Σ V a, (g, p)."""
    n_keys, posterior = sums.volume_m3.size, volume.posterior
    volumes, converted = volume.wells.volume_m3[part.wells], volume.wells.converted_m3[part.wells]
    here = codes[part.wells]
    known = np.where(np.isfinite(volumes) & (here >= 0), here - part.keys.start, -1)
    safe = np.where(sums.volume_m3 > 0, sums.volume_m3, 1.0)[part.keys]
    loads = volume.loadings.take(part.wells).domain_sums(converted, known, safe.size)
    many = n_keys > _DOMAINS_BY_NODE
    relative = _Relative(
        loads / safe[:, None],
        sums.own_m6[part.keys] / safe**2,
        sums.level_squared_m6[part.keys] / safe**2,
        sums.level_m3[part.keys] / safe,
        sums.bent_m3[part.keys] / safe,
    )
    nodes = (_one_node if many else _log_nodes)(volume, relative)
    bounds = _mixture_bounds(nodes, np.ones(1) if many else posterior.weight, volume.confidence)
    return *bounds, loads if n_keys <= _DOMAINS_AT_ONCE else loads[:, :0]


@dataclass(frozen=True)
class _LogNodes:
    """Logarithm of relative totals at each node: shift of the mean and variance, (K, G)."""

    shift: Floats
    variance: Floats


@dataclass(frozen=True)
class _Relative:
    """Totals of G domains relative to their volumes.

    Loadings (G, p), and (G,) each: variance that wells own, its part from levels, share of wells whose level is not
    measured, mean shared variance of the wells.
    """

    g: Floats
    own: Floats
    level_squared: Floats
    level_share: Floats
    bent: Floats

    @property
    def share(self) -> Floats:
        """Give what ``_node_shifts`` multiplies, (G, 2)."""
        return np.column_stack([self.level_share, self.bent])

    def shared(self, volume: Volume) -> Floats:
        """Give ``g'Cg``, (G,)."""
        return np.asarray(np.einsum("gi,gi->g", self.g @ volume.posterior.covariance, self.g))

    def own_factor(self, shared: Floats) -> Floats:
        """Give by how much the wells' own errors grow with shared ones that are larger for a well than for the sum."""
        return np.asarray(np.exp(np.maximum(self.bent - shared, 0.0)))

    def spread(self, volume: Volume) -> Floats:
        """Give the variance of the logarithm that comes of wells loading the effects differently, (G,)."""
        return np.asarray(0.5 * volume.bend.spread * self.bent**2)


def _log_nodes(volume: Volume, total: _Relative) -> _LogNodes:
    posterior = volume.posterior
    level = posterior.sd[:, 0] ** 2 + posterior.sd[:, 1] ** 2
    typical = float(posterior.weight @ level)
    change = np.expm1(level) - float(np.expm1(typical))
    own_k = np.maximum(total.own + change[:, None] * total.level_squared, 0.0)
    own_k *= total.own_factor(total.shared(volume))
    shift = (posterior.means - posterior.mean) @ total.g.T + _node_shifts(volume) @ total.share.T
    shared = np.array([np.einsum("gi,gi->g", total.g @ C, total.g) for C in posterior.covariances])
    return _LogNodes(shift, np.log1p(own_k) + shared + total.spread(volume) + volume.shared_meter_rel_u**2)


def _one_node(volume: Volume, total: _Relative) -> _LogNodes:
    """Take the nodes' first two moments as one: for very many domains, where their tails hardly matter."""
    posterior, weight = volume.posterior, volume.posterior.weight
    level = posterior.sd[:, 0] ** 2 + posterior.sd[:, 1] ** 2
    change = float(weight @ np.expm1(level) - np.expm1(weight @ level))
    shared = total.shared(volume)
    own = (total.own + change * total.level_squared) * total.own_factor(shared)
    shifts = _node_shifts(volume)
    weighted = weight[:, None] * shifts
    moved = np.einsum("gk,gk->g", total.g @ (posterior.means.T @ weighted), total.share)
    squares = np.einsum("gk,gk->g", total.share @ (shifts.T @ weighted), total.share)
    variance = np.log1p(own) + shared + 2.0 * moved + squares + total.spread(volume) + volume.shared_meter_rel_u**2
    return _LogNodes(np.zeros((1, shared.size)), variance[None, :])


def _mixed_covariance(volume: Volume, g: Floats, share: Floats) -> Floats:
    """Relative covariance (G, G) of totals, what wells own left out: the mixture of the nodes' lognormal moments."""
    posterior = volume.posterior
    relative = np.exp((posterior.means - posterior.mean) @ g.T + _node_shifts(volume) @ share.T)
    mean = posterior.weight @ relative
    pairs = 0.5 * volume.bend.spread * np.outer(share[:, 1], share[:, 1]) + volume.shared_meter_rel_u**2
    second = np.zeros((g.shape[0], g.shape[0]))
    for weight, r, C in zip(posterior.weight, relative, posterior.covariances, strict=True):
        second += weight * np.outer(r, r) * np.exp(g @ C @ g.T + pairs)
    return np.asarray(second - np.outer(mean, mean))


def _one_covariance(volume: Volume, g: Floats, share: Floats) -> Floats:
    """Give the same from the first two moments of the nodes, for very many domains."""
    posterior, shifts = volume.posterior, _node_shifts(volume)
    weighted = posterior.weight[:, None] * shifts
    cross = g @ (posterior.means.T @ weighted) @ share.T
    common = g @ posterior.covariance @ g.T + volume.shared_meter_rel_u**2
    common += cross + cross.T + share @ (shifts.T @ weighted) @ share.T
    common += 0.5 * volume.bend.spread * np.outer(share[:, 1], share[:, 1])
    return np.asarray(np.expm1(common))


def _node_shifts(volume: Volume) -> Floats:
    """Give what the nodes of the variances add to the logarithm of totals, (K, 2).

    Times the share of wells whose level is not measured (where wells spread more than is thought, the mean of every
    one of them is higher), and times their mean shared variance.
    """
    posterior = volume.posterior
    half = 0.5 * (posterior.sd[:, 0] ** 2 + posterior.sd[:, 1] ** 2)
    return np.column_stack([half - posterior.weight @ half, volume.bend.shift])


def _mixture_bounds(nodes: _LogNodes, weight: Floats, confidence: float) -> tuple[Floats, Floats, Floats]:
    """Lower and upper bound and standard error of the relative total, (G,) each."""
    alpha = 0.5 * (1.0 - confidence)
    centre, sd = nodes.shift - 0.5 * nodes.variance, np.sqrt(nodes.variance)
    lower, upper = (np.exp(mixture_quantile(a, centre, sd, weight)) for a in (alpha, 1.0 - alpha))
    mean = np.exp(nodes.shift)
    variance = weight @ (mean**2 * np.exp(nodes.variance)) - (weight @ mean) ** 2
    return lower, upper, np.sqrt(np.maximum(variance, 0.0))
