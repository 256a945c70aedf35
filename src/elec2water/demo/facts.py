"""Figures of a county that published studies report too, so that a generator can be held against them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from elec2water.demo.county import County

Floats: TypeAlias = NDArray[np.float64]

_CLASSES: Final = 6
_QUARTER: Final = 3
_PAIR_MONTHS: Final = 18


def county_facts(county: County) -> dict[str, float]:
    """Describe the coefficients of a county as the literature does, over wells that pumped.

    Parameters
    ----------
    county
        At least 21 months.

    Returns
    -------
    dict of str to float
        * ``kappa_median``, ``kappa_p05``, ``kappa_p95``: over wells, of the last year's mean [m³/kWh];
        * ``cv``: between wells, unstratified;
        * ``class_log_sd``: within aquifer × method × six classes of pump depth;
        * ``within_well_log_sd``: between the months of one well's last year;
        * ``peak_shift``: κ of the three months with most energy over the mean of twelve, less one;
        * ``change_per_year``: of ln κ, last year over the one before (NaN under 24 months);
        * ``class_mean_excess``: last quarter's volume by class means of the 18 months before, applied to energy, over
          the truth, less one; every well measured, so that no sampling error is left;
        * ``energy_kappa_correlation``: between ln energy and ln κ of wells;
        * ``volume_m3_per_well_year``.
    """
    used = county.electric & (county.volume_m3[:, -12:].sum(axis=1) > 0)
    kappa = np.asarray(county.kappa[used], dtype=np.float64)
    year, log_mean = kappa[:, -12:], np.log(kappa[:, -12:].mean(axis=1))
    mean = np.exp(log_mean)
    energy, volume = county.energy_kwh[used][:, -12:], county.volume_m3[used][:, -12:]
    classes = well_classes(county.wells[used])
    peak = int(np.argmax(np.convolve(energy.sum(axis=0), np.ones(_QUARTER), mode="valid")))
    before = np.log(kappa[:, -24:-12]).mean() if kappa.shape[1] >= 24 else np.nan
    return {
        "kappa_median": float(np.median(mean)),
        "kappa_p05": float(np.quantile(mean, 0.05)),
        "kappa_p95": float(np.quantile(mean, 0.95)),
        "cv": float(mean.std() / mean.mean()),
        "class_log_sd": _within(log_mean, classes),
        "within_well_log_sd": float(np.sqrt(np.log(year).var(axis=1).mean())),
        "peak_shift": float(np.mean(year[:, peak : peak + _QUARTER].mean(axis=1) / mean) - 1),
        "change_per_year": float(np.log(year).mean() - before),
        "class_mean_excess": class_mean_excess(county, used, classes),
        "energy_kappa_correlation": float(np.corrcoef(np.log(energy.sum(axis=1)), log_mean)[0, 1]),
        "volume_m3_per_well_year": float(volume.sum(axis=1).mean()),
    }


def well_classes(wells: pd.DataFrame) -> NDArray[np.int64]:
    """Give each well its class: aquifer × method × six of pump depth, as far as the registry has these columns."""
    keys: list[Any] = [wells[name].fillna("") for name in ("aquifer", "irrigation_method") if name in wells]
    depth = wells["pump_depth_m"]
    keys.append(pd.qcut(depth.fillna(depth.median()).rank(method="first"), min(_CLASSES, len(wells)), labels=False))
    return np.asarray(wells.groupby(keys, sort=True).ngroup(), dtype=np.int64)


def class_mean_excess(county: County, used: NDArray[np.bool_], classes: NDArray[np.int64]) -> float:
    """How much class means of κ overstate the last quarter when every well was measured in the 18 months before."""
    past = slice(-_PAIR_MONTHS - _QUARTER, -_QUARTER)
    pumped, taken = county.volume_m3[used][:, past], county.energy_kwh[used][:, past]
    measured = pumped > 1
    ratio = np.divide(pumped, taken, out=np.zeros(pumped.shape), where=measured & (taken > 0))
    count = measured.sum(axis=1)
    well = pd.Series(ratio.sum(axis=1) / np.where(count > 0, count, np.nan))
    mean = well.groupby(classes).transform("mean").fillna(well.mean()).to_numpy()
    energy = county.energy_kwh[used][:, -_QUARTER:].sum(axis=1)
    return float((energy * mean).sum() / county.volume_m3[used][:, -_QUARTER:].sum() - 1)


def _within(values: Floats, classes: NDArray[np.int64]) -> float:
    count = np.bincount(classes)
    mean = np.bincount(classes, weights=values) / np.maximum(count, 1)
    free = max(len(values) - int((count > 0).sum()), 1)
    return float(np.sqrt(((values - mean[classes]) ** 2).sum() / free))
