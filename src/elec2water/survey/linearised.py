"""The variance of linearised statistics under a stratified design, for any number of domains at once.

A statistic θ̂_d is replaced by the sum of its influence values u_id over the sample (Taylor linearisation; Särndal,
Swensson and Wretman 1992, section 5.5). With π the inclusion probability (or sampling fraction) of unit i in stratum h,
of n_h units,

    c_i = (1 − π_i) n_h / (n_h − 1),    V_d = Σ_h Σ_{i∈h} c_i (u_id − ū_hd)²,    ū_hd = Σ c_i u_id / Σ c_i.

Under simple random sampling this is the usual variance with its finite population correction; under probability
proportional to size without replacement it is Hájek's approximation in the form of Deville (1999), which needs no joint
probabilities; with π taken as 0 it is the with-replacement variance of Hansen and Hurwitz.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array

from elec2water.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
LonelyPolicy: TypeAlias = Literal["adjust", "center", "certainty", "fail"]
_LONELY_POLICIES = ("adjust", "center", "certainty", "fail")


def lonely_policy(name: object) -> LonelyPolicy:
    """Check the name of a policy for strata with one unit.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    for policy in get_args(LonelyPolicy):
        if policy == name:
            found: LonelyPolicy = policy
            return found
    raise UsageError(f"survey: lonely must be one of {', '.join(_LONELY_POLICIES)}, found {name!r}")


@dataclass(frozen=True)
class Estimate:
    """Estimates and their standard errors.

    Attributes
    ----------
    estimate, se : (D,) array
    n_sample : (D,) array of int
        Sample units in each domain.
    """

    estimate: Floats
    se: Floats
    n_sample: Integers


@dataclass(frozen=True)
class SampleDesign:
    """A stratified sample and how its variance is formed.

    Attributes
    ----------
    weights : (n,) array
    strata : (n,) array of int
        Codes from 0.
    factor : (n,) array
        c_i above; for the only unit of a stratum, 1 − π_i.
    lonely : (n,) array of bool
        Units alone in their stratum, where their variance counts.
    centred : bool
        Whether the influence of a lonely unit is taken about its mean over the sample, or about zero.
    """

    weights: Floats
    strata: Integers
    factor: Floats
    lonely: NDArray[np.bool_]
    centred: bool

    @classmethod
    def of(
        cls,
        weights: ArrayLike,
        strata: ArrayLike | None = None,
        *,
        fraction: ArrayLike | None = None,
        lonely: LonelyPolicy = "adjust",
    ) -> SampleDesign:
        """Describe a sample.

        Parameters
        ----------
        weights : (n,) array
            Design weights, positive.
        strata : (n,) array, optional
            Stratum of each unit, of any type; one stratum by default.
        fraction : (n,) array, optional
            Inclusion probability (unequal probabilities) or sampling fraction n_h/N_h (simple random sampling within
            strata) of each unit; by default the sample counts as drawn with replacement.
        lonely : {"adjust", "center", "certainty", "fail"}
            Strata with one unit: ``adjust`` counts the square of its influence value, as R's ``survey`` computes (the
            influence of a ratio or GREG total has mean zero); ``center`` takes it about the mean over the sample;
            ``certainty`` gives it no variance; ``fail`` is an error.

        Returns
        -------
        SampleDesign

        Raises
        ------
        UsageError
            If shapes differ, a weight is not positive, a fraction is not in [0, 1], or a stratum has one unit under
            ``fail``.
        """
        w = np.asarray(weights, dtype=np.float64)
        labels = np.zeros(w.size, dtype=np.int64) if strata is None else np.asarray(strata)
        f = np.zeros(w.size) if fraction is None else np.asarray(fraction, dtype=np.float64)
        _check_sample(w, labels, f, lonely)
        names, codes, size = np.unique(labels, return_inverse=True, return_counts=True)
        alone = (size == 1)[codes]
        if lonely == "fail" and alone.any():
            thin = [str(name) for name in names[size == 1][:5]]
            raise UsageError(f"survey: {np.sum(size == 1)} strata have one sample unit, first {thin}; collapse them")
        factor = (1.0 - f) * np.where(size == 1, 1.0, size / np.maximum(size - 1, 1))[codes]
        counted = alone & (lonely != "certainty")
        factor = np.where(alone & ~counted, 0.0, factor)
        return cls(w, codes.astype(np.int64), factor, counted, centred=lonely == "center")

    @property
    def size(self) -> int:
        """Number of sample units."""
        return self.weights.size

    @property
    def n_strata(self) -> int:
        """Number of strata."""
        return int(self.strata.max()) + 1

    def apply(self, v: Floats) -> Floats:
        """Return K v, with K the matrix of the variance: the covariance of Σu and Σv is u'Kv.

        Parameters
        ----------
        v : (n, P) array
        """
        c = self.factor[:, None]
        inside = np.where(self.lonely[:, None], 0.0, c)
        sums = sum_by(self.strata, inside * v, self.n_strata)
        centre = sums / self._positive_mass()[:, None]
        if not (self.centred and self.lonely.any()):
            return np.asarray(c * v - inside * centre[self.strata], dtype=np.float64)
        from_mean = np.where(self.lonely[:, None], c * (v - v.mean(axis=0)), 0.0)
        applied = inside * (v - centre[self.strata]) + from_mean - from_mean.sum(axis=0) / self.size
        return np.asarray(applied, dtype=np.float64)

    def variance_by_domain(self, u: Floats, domains: Domains) -> Floats:
        """Variance of the sum of `u` over each domain (D,); a unit is in one domain, its `u` is zero in the others."""
        cu = self.factor * u
        in_cells = sum_by(domains.cell, np.where(self.lonely, 0.0, cu), domains.cell_stratum.size)
        centring = in_cells**2 / self._positive_mass()[domains.cell_stratum]
        variance = domains.sums(cu * u) - sum_by(domains.cell_domain, centring, domains.size)
        if self.centred and self.lonely.any():
            variance = variance + self._centring_of_lonely(u, domains)
        return np.maximum(variance, 0.0)

    def _positive_mass(self) -> Floats:
        """Σ c_i by stratum; 1 where it is zero, for what is divided there is zero too."""
        mass = sum_by(self.strata, np.where(self.lonely, 0.0, self.factor), self.n_strata)
        return np.asarray(np.where(mass > 0, mass, 1.0), dtype=np.float64)

    def _centring_of_lonely(self, u: Floats, domains: Domains) -> Floats:
        mean = domains.sums(u) / self.size
        c = np.where(self.lonely, self.factor, 0.0)
        return np.asarray(mean**2 * c.sum() - 2.0 * mean * domains.sums(c * u), dtype=np.float64)


@dataclass(frozen=True)
class Domains:
    """Which domain each sample unit is in, and the cells (stratum × domain) that have units: prepared once, used often.

    Attributes
    ----------
    codes : (n,) array of int
        Domain of each unit, 0 … D−1.
    size : int
        D.
    cell : (n,) array of int
    cell_stratum, cell_domain : (C,) array of int
    """

    codes: Integers
    size: int
    cell: Integers
    cell_stratum: Integers
    cell_domain: Integers

    @classmethod
    def of(cls, design: SampleDesign, codes: ArrayLike | None = None, size: int | None = None) -> Domains:
        """Prepare domains for a design.

        Parameters
        ----------
        design : SampleDesign
        codes : (n,) array of int, optional
            Domain of each unit, from 0; one domain of all by default.
        size : int, optional
            Number of domains, where some may have no unit.

        Returns
        -------
        Domains

        Raises
        ------
        UsageError
            If the codes do not fit the sample or the number of domains.
        """
        domain = np.zeros(design.size, dtype=np.int64) if codes is None else np.asarray(codes, dtype=np.int64)
        if domain.shape != (design.size,):
            raise UsageError(f"survey: domain codes have shape {domain.shape}, expected ({design.size},)")
        least, most = (int(domain.min()), int(domain.max())) if domain.size else (0, -1)
        count = most + 1 if size is None else size
        if least < 0 or most >= count:
            raise UsageError(f"survey: domain codes must lie in 0 … {count - 1}, found {least} … {most}")
        cells, cell = np.unique(design.strata * count + domain, return_inverse=True)
        return cls(domain, count, cell.astype(np.int64), cells // count, cells % count)

    def sums(self, values: Floats) -> Floats:
        """Sum of (n,) values, or of each column of (n, P) values, by domain: (D,) or (D, P)."""
        return sum_by(self.codes, values, self.size)

    def count(self) -> Integers:
        """Sample units by domain (D,)."""
        return np.bincount(self.codes, minlength=self.size).astype(np.int64)


def sum_by(codes: Integers, values: Floats, size: int) -> Floats:
    """Sum (n,) values, or each column of (n, P) values, by code: (size,) or (size, P)."""
    if values.ndim == 1:
        return np.bincount(codes, weights=values, minlength=size).astype(np.float64, copy=False)
    n = codes.size
    indicator = csc_array((np.ones(n), codes, np.arange(n + 1)), shape=(size, n))
    return np.asarray(indicator @ values, dtype=np.float64)


def sparse_plus_low_rank_variance(
    design: SampleDesign, domains: Domains, own: Floats, shared: Floats, loading: Floats
) -> Floats:
    """Variance of statistics whose influence is ``own_i 1(i∈d) + Σ_k shared_ik loading_dk``.

    Every unit bears on every domain through a few shared quantities (regression coefficients), so the n × D influence
    matrix is never formed: V_d = s'Ks + 2 l's'KB + l'B'KB l.

    Parameters
    ----------
    design : SampleDesign
    domains : Domains
    own : (n,) array
    shared : (n, P) array
    loading : (D, P) array

    Returns
    -------
    (D,) array
    """
    if domains.size == 1:
        return design.variance_by_domain(own + shared @ loading[0], domains)
    applied = design.apply(shared)
    gram = shared.T @ applied
    cross = domains.sums(own[:, None] * applied)
    variance = design.variance_by_domain(own, domains)
    variance = variance + 2.0 * (cross * loading).sum(axis=1) + ((loading @ gram) * loading).sum(axis=1)
    return np.asarray(np.maximum(variance, 0.0), dtype=np.float64)


def _check_sample(w: Floats, strata: NDArray[np.generic], f: Floats, lonely: str) -> None:
    if w.ndim != 1 or w.size == 0 or strata.shape != w.shape or f.shape != w.shape:
        raise UsageError(
            f"survey: weights {w.shape}, strata {strata.shape} and fraction {f.shape} must be of one length, at least 1"
        )
    if not (np.isfinite(w) & (w > 0)).all():
        raise UsageError("survey: weights must be positive and finite; leave units out rather than weight them 0")
    if not ((f >= 0) & (f <= 1)).all():
        raise UsageError(f"survey: fractions must lie in [0, 1], found {f.min()} … {f.max()}")
    if lonely not in _LONELY_POLICIES:
        raise UsageError(f"survey: lonely must be one of {_LONELY_POLICIES}, not {lonely!r}")
