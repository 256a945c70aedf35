"""What a fit says of every class that has sample wells: one row a class, for tables and figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.coefficient.features import OF_WATER
from elec2water.coefficient.posterior import Posterior
from elec2water.stats import lognormal_sd, mixture_quantile

Floats = NDArray[np.float64]


def class_table(
    posterior: Posterior,
    *,
    shared_meter_rel_u: float,
    confidence: float = 0.90,
    years: float = 0.0,
    level: Floats | None = None,
) -> pd.DataFrame:
    """Mean coefficient of the wells of every class that was measured, with its interval.

    It is that of wells with the mean attributes of the class's sample wells over a mean month of the year; at the end
    of the months of the fit and with water at its usual level, unless said otherwise. What a class's wells have in a
    quarter is weighted by their energy and stands in ``coefficients.csv`` of a release.

    Parameters
    ----------
    posterior : Posterior
    shared_meter_rel_u : float
        Relative standard uncertainty common to all water meters.
    confidence : float
        Level of the intervals.
    years : float
        Years after the end of the months of the fit.
    level : (W,), optional
        ln head at the sample wells less their reference.

    Returns
    -------
    DataFrame
        ``stratum, coefficient_m3_per_kwh, se, lower, upper, confidence, n_sample_wells, n_pairs``; the mean is unbiased
        (``Posterior.unbiasing``), the interval is the mixture over the nodes of the variances.
    """
    classes = sample_classes(posterior)
    a = class_loadings(posterior, classes, years=years, level=level)
    mean = class_mean(posterior, a)
    centre = a @ posterior.means.T + 0.5 * (posterior.sd[:, :2] ** 2).sum(axis=1)
    variance = np.einsum("si,kij,sj->sk", a, posterior.covariances, a, optimize=True) + shared_meter_rel_u**2
    alpha = 0.5 * (1.0 - confidence)
    nodes = centre.T, np.sqrt(variance).T
    total = (variance + centre**2) @ posterior.weight - (centre @ posterior.weight) ** 2
    return pd.DataFrame(
        {
            "stratum": classes.names,
            "coefficient_m3_per_kwh": mean,
            "se": lognormal_sd(mean, total),
            "lower": np.exp(mixture_quantile(alpha, *nodes, posterior.weight)),
            "upper": np.exp(mixture_quantile(1.0 - alpha, *nodes, posterior.weight)),
            "confidence": confidence,
            "n_sample_wells": classes.n_wells,
            "n_pairs": classes.counts(posterior.rows.well),
        }
    )


@dataclass(frozen=True)
class SampleClasses:
    """Names of the classes with sample wells (S,), and the place of each sample well's (W,) among them.

    -1 for a class that the fit did not know.
    """

    names: NDArray[np.object_]
    code: NDArray[np.intp]

    @property
    def n_wells(self) -> NDArray[np.intp]:
        """Sample wells of each class, (S,)."""
        return self.counts(np.arange(self.code.size))

    def counts(self, wells: NDArray[np.intp]) -> NDArray[np.intp]:
        """Count by class what belongs to some wells, (S,)."""
        code = self.code[wells]
        return np.bincount(code[code >= 0], minlength=self.names.size)


def sample_classes(posterior: Posterior) -> SampleClasses:
    """Find the class of every sample well."""
    layout = posterior.layout
    levels = next(f.levels for f in layout.factors if f.name == "stratum")
    start = layout.factor_start("stratum")
    one_hot = posterior.rows.static[:, start : start + len(levels)]
    level = np.where(one_hot.any(axis=1), one_hot.argmax(axis=1), -1)
    seen = np.unique(level[level >= 0])
    code = np.where(level >= 0, np.searchsorted(seen, level), -1)
    return SampleClasses(np.array(levels, dtype=object)[seen], np.asarray(code, dtype=np.intp))


def class_loadings(
    posterior: Posterior, classes: SampleClasses, *, years: float = 0.0, level: Floats | None = None
) -> Floats:
    """Mean regressors of each class's sample wells (S, p), ``years`` after the reference with water at ``level`` (W,).

    Season and months are at their mean, zero.
    """
    static, layout = posterior.rows.static, posterior.layout
    inside = classes.code >= 0
    a = np.zeros((classes.names.size, layout.size))
    np.add.at(a[:, : static.shape[1]], classes.code[inside], static[inside])
    if level is not None:
        mean = np.bincount(classes.code[inside], level[inside], classes.names.size)
        a[:, [layout.moving_start + layout.moving_names.index(name) for name in OF_WATER]] = mean[:, None]
    a /= classes.n_wells[:, None]
    a[:, layout.moving_start + layout.moving_names.index("years")] = years
    return a


def class_mean(posterior: Posterior, a: Floats) -> Floats:
    """Unbiased mean coefficient [m³/kWh] of wells with the loadings ``a`` (S, p)."""
    v = posterior.variance
    shift = 0.5 * np.einsum("si,ij,sj->s", a, posterior.unbiasing, a, optimize=True)
    return np.asarray(np.exp(a @ posterior.mean + 0.5 * (v["level"] + v["drift"]) + shift))
