"""Totals of wells with their joint error: the closed form of METHOD.md, trap 1, to second order in the loadings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from elec2water.coefficient.posterior import Posterior
from elec2water.errors import UsageError
from elec2water.stats import mixture_quantile, spread_evenly
from elec2water.sums import membership, squares_of_rows
from elec2water.threads import one_thread
from elec2water.volume.wells import ADDITIVE, METHODS

if TYPE_CHECKING:
    from elec2water.volume.result import Volume

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_DOMAINS_AT_ONCE = 4096
_DOMAINS_BY_NODE = 512
_WELLS_OF_BEND = 20_000
_ROWS_SHOWN = 60


@dataclass(frozen=True)
class Totals:
    """Totals of the G domains of one kind; :meth:`Volume.covariance` gives their joint covariance.

    Attributes
    ----------
    keys : numpy.ndarray, shape (G,)
        Labels of the domains.
    n_wells : numpy.ndarray, shape (G,)
    n_by_method : numpy.ndarray, shape (G, 4)
        Wells measured, converted, imputed and without an estimate.
    kwh, imputed_kwh : numpy.ndarray, shape (G,)
        Electricity [kWh], and that of it which was imputed.
    volume_m3, se_m3, lower_m3, upper_m3 : numpy.ndarray, shape (G,)
        Volume, its standard error and the bounds of its interval [m³].
    sums : numpy.ndarray, shape (G, p)
        Loadings on the errors that wells share [m³]; left out of more domains than anyone takes a covariance of.
    own_m6 : numpy.ndarray, shape (G,)
        Variance that the wells own [m⁶].
    level_m3 : numpy.ndarray, shape (G,)
        Volume of wells whose level is not measured [m³].
    bent_m3 : numpy.ndarray, shape (G,)
        Volume times the shared variance of ln κ [m³].
    common_m3 : scipy.sparse.csr_array, shape (G, F)
        Volume [m³] for a standard deviation of each error of the electricity that wells have in common.
    """

    keys: NDArray[np.object_]
    n_wells: Ints
    n_by_method: Ints
    kwh: Floats
    imputed_kwh: Floats
    volume_m3: Floats
    se_m3: Floats
    lower_m3: Floats
    upper_m3: Floats
    sums: Floats
    own_m6: Floats
    level_m3: Floats
    bent_m3: Floats
    common_m3: sparse.csr_array

    @property
    def frame(self) -> pd.DataFrame:
        """What is reported of each domain, a row a key."""
        names = ("n_wells", "kwh", "volume_m3", "se_m3", "lower_m3", "upper_m3")
        return pd.DataFrame({"key": self.keys} | {name: getattr(self, name) for name in names})

    def __repr__(self) -> str:
        return f"Totals({self.keys.size} domains)\n{self.frame.round(1).to_string(index=False, max_rows=_ROWS_SHOWN)}"

    def _repr_html_(self) -> str:
        return self.frame.round(1).to_html(index=False, max_rows=_ROWS_SHOWN)


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
    def of_volume(cls, volume: Volume) -> Bend:
        """Take some 20,000 wells without a water meter, of all sizes of the error they share."""
        rest = np.flatnonzero(~volume.wells.sampled)
        some = rest[spread_evenly(volume.wells.shared_variance[rest], _WELLS_OF_BEND)]
        converted = volume.wells.converted_m3[some]
        total = converted.sum(axis=1)
        month = converted / np.where(total > 0, total, 1.0)[:, None]
        return cls.of(volume.loadings.mean_rows(some, month), total, volume.posterior)

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


@one_thread
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
    size = keys.size
    sums = _sums(volume, codes, size)
    parts = [_part_bounds(volume, part, codes, sums) for part in _key_parts(codes, size)]
    lower, upper, se, loads = (np.concatenate(found) for found in zip(*parts, strict=True))
    by_method = np.bincount((codes + 1) * len(METHODS) + volume.wells.method_codes, minlength=(size + 1) * len(METHODS))
    n_by_method = by_method.reshape(-1, len(METHODS))[1:]
    return Totals(
        keys=keys,
        n_wells=n_by_method.sum(axis=1),
        n_by_method=n_by_method,
        kwh=sums.kwh,
        imputed_kwh=sums.imputed_kwh,
        volume_m3=sums.volume_m3,
        se_m3=sums.volume_m3 * se,
        lower_m3=sums.volume_m3 * lower,
        upper_m3=sums.volume_m3 * upper,
        sums=loads,
        own_m6=sums.own_m6,
        level_m3=sums.level_m3,
        bent_m3=sums.bent_m3,
        common_m3=sums.common_m3,
    )


@one_thread
def joint_covariance(volume: Volume, totals: Totals) -> Floats:
    """Joint covariance of the totals of one kind, (G, G) m⁶: moments of the nodes' lognormals, to second order.

    Raises
    ------
    UsageError
        If there are more domains than 4,096.
    """
    posterior = volume.posterior
    if totals.sums.shape[1] != posterior.mean.size:
        raise UsageError(f"covariance: expected at most {_DOMAINS_AT_ONCE} domains, found {totals.keys.size}")
    safe = np.where(totals.volume_m3 > 0, totals.volume_m3, 1.0)
    share = np.column_stack([totals.level_m3, totals.bent_m3]) / safe[:, None]
    of_nodes = _one_covariance if totals.keys.size > _DOMAINS_BY_NODE else _mixed_covariance
    joint = np.outer(safe, safe) * of_nodes(volume, totals.sums / safe[:, None], share)
    joint += (totals.common_m3 @ totals.common_m3.T).toarray()
    np.fill_diagonal(joint, totals.se_m3**2)
    return np.asarray(joint * np.outer(totals.volume_m3 > 0, totals.volume_m3 > 0))


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
    """What adds up well by well, (G,) each; a well without domain counts nowhere."""

    kwh: Floats
    imputed_kwh: Floats
    volume_m3: Floats
    own_m6: Floats
    level_m3: Floats
    level_squared_m6: Floats
    bent_m3: Floats  # volume times the shared variance of ln κ
    common_m3: sparse.csr_array  # (G, F)


def _sums(volume: Volume, codes: Ints, n_keys: int) -> _Sums:
    shared = volume.shared_meters
    adding = membership(codes + 1, n_keys + 1)
    sums = (adding @ volume.wells.additive)[1:]
    common = sparse.csr_array(adding @ volume.wells.common_energy_m3)[1:]
    of = dict(zip(ADDITIVE, np.ascontiguousarray(sums.T), strict=True))
    own = of["own_variance_m6"]
    if shared is not None:
        own = own + shared.cross_variance(codes, n_keys)
    return _Sums(
        of["kwh"],
        of["imputed_kwh"],
        of["volume_m3"],
        np.maximum(own, 0.0) + squares_of_rows(common),
        of["at_level_m3"],
        of["level_squared_m6"],
        of["bent_m3"],
        common,
    )


def _part_bounds(volume: Volume, part: _KeyPart, codes: Ints, sums: _Sums) -> tuple[Floats, ...]:
    """Give bounds and standard error of a portion's totals, relative to them, (g,) each; Σ V a, (g, p)."""
    n_keys, posterior = sums.volume_m3.size, volume.posterior
    volumes, converted = volume.wells.volume_m3[part.wells], volume.wells.converted_m3[part.wells]
    here = codes[part.wells]
    known = np.where(np.isfinite(volumes) & (here >= 0), here - part.keys.start, -1)
    total = sums.volume_m3[part.keys]
    safe = np.where(total > 0, total, 1.0)
    loadings, brought = volume.loadings.take(part.wells), volume.brought[part.wells]
    loads = loadings.domain_sums(converted, known, safe.size, brought)
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
