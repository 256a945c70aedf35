"""What a fit says of every class that has sample wells: one row a class, for tables and figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.coefficient.posterior import Posterior
from elec2water.stats import lognormal_sd, mixture_quantile

Floats = NDArray[np.float64]


def class_table(posterior: Posterior, *, shared_meter_rel_u: float, confidence: float = 0.90) -> pd.DataFrame:
    """Mean coefficient of the wells of every class that was measured, with its interval.

    It is that of wells with the mean attributes of the class's sample wells, at the end of the months of the fit, with
    water at its usual level, over a mean month of the year. What a class's wells have in a quarter is weighted by
    their energy and stands in ``coefficients.csv`` of a release.

    Parameters
    ----------
    posterior : Posterior
    shared_meter_rel_u : float
        Relative standard uncertainty common to all water meters.
    confidence : float
        Level of the intervals.

    Returns
    -------
    DataFrame
        ``stratum, coefficient_m3_per_kwh, se, lower, upper, confidence, n_sample_wells, n_pairs``; the mean is unbiased
        (``Posterior.unbiasing``), the interval is the mixture over the nodes of the variances.
    """
    names, code = _sample_classes(posterior)
    n_wells = np.bincount(code, minlength=names.size)
    a = _mean_attributes(posterior, code, n_wells)
    v = posterior.variance
    shift = 0.5 * np.einsum("si,ij,sj->s", a, posterior.unbiasing, a, optimize=True)
    mean = np.exp(a @ posterior.mean + 0.5 * (v["level"] + v["drift"]) + shift)
    centre = a @ posterior.means.T + 0.5 * (posterior.sd[:, :2] ** 2).sum(axis=1)
    variance = np.einsum("si,kij,sj->sk", a, posterior.covariances, a, optimize=True) + shared_meter_rel_u**2
    alpha = 0.5 * (1.0 - confidence)
    nodes = centre.T, np.sqrt(variance).T
    total = (variance + centre**2) @ posterior.weight - (centre @ posterior.weight) ** 2
    return pd.DataFrame(
        {
            "stratum": names,
            "coefficient_m3_per_kwh": mean,
            "se": lognormal_sd(mean, total),
            "lower": np.exp(mixture_quantile(alpha, *nodes, posterior.weight)),
            "upper": np.exp(mixture_quantile(1.0 - alpha, *nodes, posterior.weight)),
            "confidence": confidence,
            "n_sample_wells": n_wells,
            "n_pairs": np.bincount(code[posterior.rows.well], minlength=names.size),
        }
    )


def _sample_classes(posterior: Posterior) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """Names of the classes with sample wells, and the place of each sample well's (W,) among them."""
    layout = posterior.layout
    levels = next(f.levels for f in layout.factors if f.name == "stratum")
    start = layout.factor_start("stratum")
    level = posterior.rows.static[:, start : start + len(levels)].argmax(axis=1)
    seen, code = np.unique(level, return_inverse=True)
    return np.array(levels, dtype=object)[seen], np.asarray(code, dtype=np.intp)


def _mean_attributes(posterior: Posterior, code: NDArray[np.intp], n_wells: NDArray[np.intp]) -> Floats:
    """Mean regressors of each class's sample wells (S, p); those that move in time are at their reference, zero."""
    static = posterior.rows.static
    a = np.zeros((n_wells.size, posterior.layout.size))
    np.add.at(a[:, : static.shape[1]], code, static)
    return a / n_wells[:, None]
