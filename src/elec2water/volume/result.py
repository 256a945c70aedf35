"""The volumes of a quarter: every well, and the total of any domain with its joint error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from elec2water.coefficient.posterior import Posterior
from elec2water.errors import UsageError
from elec2water.keys import Keys, Labels
from elec2water.placing import in_place
from elec2water.strata import UNKNOWN
from elec2water.volume.shared_error import Loadings
from elec2water.volume.totals import Bend, Totals, domain_totals, joint_covariance
from elec2water.volume.wells import METHODS, SharedMeters, WellVolumes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class StratumCoefficients:
    """Coefficients of S strata in M months [m³/kWh].

    ``mean`` and ``log_variance`` (S, M); ``covariance`` (S·M, S·M) [m⁶/kWh²], joint, in the order of ``mean.ravel()``.
    """

    mean: Floats
    log_variance: Floats
    covariance: Floats


@dataclass(frozen=True)
class Volume:
    """Volumes of a quarter: N wells, M months.

    Attributes
    ----------
    quarter : str
        Text like ``2026Q3``.
    confidence : float
        Of the intervals, between 0 and 1.
    wells : WellVolumes
        Energy [kWh], volume [m³] and error of each well.
    loadings : Loadings
        How the volume of each well hangs on the errors that wells share.
    posterior : Posterior
        Law of these errors.
    shared_meter_rel_u : float
        Relative standard uncertainty that all water meters have in common.
    monthly_kwh, monthly_m3 : numpy.ndarray, shape (N, M)
        Electricity [kWh] and volume [m³] of each month, zero where none.
    idle_coefficient : numpy.ndarray, shape (N,)
        Coefficient of the quarter [m³/kWh] where a well used no electricity.
    shared_meters : SharedMeters, optional
        Wells on one electricity meter, whose errors cancel in sums.
    domains : mapping of str to Series
        Labels of the wells that :meth:`total` knows by name.
    """

    quarter: str
    confidence: float
    wells: WellVolumes
    loadings: Loadings
    posterior: Posterior
    shared_meter_rel_u: float
    monthly_kwh: Floats
    monthly_m3: Floats
    idle_coefficient: Floats
    shared_meters: SharedMeters | None = None
    domains: Mapping[str, pd.Series] = field(default_factory=dict)

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

        Returns
        -------
        StratumCoefficients
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

    def total(self, labels: Labels | str | None = None) -> Totals:
        """Totals with their joint error, one computation for all domains.

        Parameters
        ----------
        labels : (N,) or str, optional
            The domain of each well, blank (NaN or None) for none; or the name of one of ``domains``, such as
            ``township``, where blank ones are a domain of their own (未知) as in a release. The whole county if left
            out. A Series goes by its index, that of the registry or ``well_id``; one counted from 0, as arrays, by
            place.

        Returns
        -------
        Totals
            Of the G domains there are, by ascending label.

        Raises
        ------
        UsageError
            Not a label a well, or a name that is not among ``domains``; a Series of other wells.
        """
        n_wells = self.wells.well_id.size
        given = np.zeros(n_wells) if labels is None else self._named(labels) if isinstance(labels, str) else labels
        keys = self.keys_of(given)
        return domain_totals(self, keys.codes, keys.names)

    def keys_of(self, labels: Labels) -> Keys:
        """Give the groups of wells that labels make, a Series by its index.

        Parameters
        ----------
        labels : (N,)
            As for :meth:`total`.

        Returns
        -------
        Keys
            Of the N wells.

        Raises
        ------
        UsageError
            Not a label a well; a Series of other wells.
        """
        n_wells = self.wells.well_id.size
        keys = Keys.of(self._in_place(labels) if isinstance(labels, pd.Series) else labels)
        if keys.size != n_wells:
            raise UsageError(f"labels: expected one for each of the {n_wells} wells, found {keys.size}")
        return keys

    def _in_place(self, labels: pd.Series) -> pd.Series:
        """Bring a Series of all wells into their order; the registry's index is known from ``domains``."""
        of_registry = [series.index for series in self.domains.values()][:1]
        if len(labels) != self.wells.well_id.size:
            return labels
        return in_place(labels, [*of_registry, pd.Index(self.wells.well_id, dtype=object)], "labels")

    def _named(self, domain: str) -> Labels:
        if domain == "county":
            return np.full(self.wells.well_id.size, "", dtype=object)
        if domain not in self.domains:
            known = ", ".join(["county", *self.domains])
            raise UsageError(f"domain: expected one of {known}, or a label for each well, found {domain!r}")
        return Keys.of(self.domains[domain]).as_text(UNKNOWN)

    def table(self, domain: str, labels: Labels | None = None) -> pd.DataFrame:
        """Totals of one kind of domain as the contract's table, then counts of wells by method and imputed energy.

        Parameters
        ----------
        domain : str
            What the keys are, such as ``township``.
        labels : (N,), optional
            Key of each well; blank for none. The labels of that name in ``domains`` if left out, with blank ones as
            未知, so that the totals add up to the county.

        Returns
        -------
        DataFrame
            A row a domain: ``domain, key, quarter, n_wells, energy_kwh, volume_m3, se_m3, lower_m3, upper_m3,
            confidence``, ``n_measured`` and the like, ``imputed_energy_kwh``.

        Raises
        ------
        UsageError
            Not a label a well, or a name that is not among ``domains``.
        """
        totals = self.total(domain if labels is None else labels)
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

    def plot(self, domain: str, labels: Labels | None = None, **options: object) -> Axes:
        """Draw ``table(domain, labels)``.

        Parameters
        ----------
        domain, labels
            As for :meth:`table`.
        **options
            As for :func:`elec2water.plot.totals`.

        Returns
        -------
        matplotlib.axes.Axes
        """
        axes: Axes = import_module("elec2water.plot").totals(self.table(domain, labels), domain=domain, **options)
        return axes

    def __repr__(self) -> str:
        county = self.county
        if not county.keys.size:
            return f"Volume({self.quarter}, 0 wells)"
        methods = ", ".join(f"{n} {name}" for name, n in zip(METHODS, county.n_by_method[0], strict=True) if n)
        low, high = county.lower_m3[0], county.upper_m3[0]
        return (
            f"Volume({self.quarter}, {self.wells.well_id.size} wells: {methods}; {county.volume_m3[0]:,.0f} m³, "
            f"{self.confidence:.0%} interval {low:,.0f} – {high:,.0f})"
        )

    def _repr_html_(self) -> str:
        return self.table("county").to_html(index=False)

    def covariance(self, totals: Totals) -> Floats:
        """Joint covariance of the totals of one kind: lognormal moments, ``T_i T_j (exp(c_ij) - 1)``.

        Parameters
        ----------
        totals : Totals
            Of this volume, G domains.

        Returns
        -------
        numpy.ndarray, shape (G, G)
            In m⁶.

        Raises
        ------
        UsageError
            If there are more domains than 4,096.
        """
        return joint_covariance(self, totals)

    @cached_property
    def brought(self) -> Floats:
        """What each well's converted volume brings to the loadings of totals, (N, M + q + r)."""
        return self.loadings.brought(self.wells.converted_m3)

    @cached_property
    def bend(self) -> Bend:
        """Second-order terms of the totals, from some 20,000 wells of all sizes of shared error."""
        return Bend.of_volume(self)

    @cached_property
    def county(self) -> Totals:
        """The total of all wells."""
        return self.total()
