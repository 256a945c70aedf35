"""What METHOD.md fixes beforehand, as options of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FitOptions:
    """What METHOD.md fixes beforehand; the section ``[model]`` and ``[strata]`` of the configuration.

    Attributes
    ----------
    strata_by : tuple of str
        Columns of wells whose classes have coefficients of their own.
    strata_breaks : mapping of str to tuple of float
        Bounds of the classes of a numeric column, in its unit; quantiles where none are given.
    strata_classes : int
        Classes of a numeric column without bounds.
    covariates : tuple of str
        Further columns of wells that ln κ is regressed on.
    wear_mean_per_year, wear_sd_per_year : float
        Prior of the change of ln κ a year, mean and standard deviation.
    student_df : float
        Degrees of freedom of the errors of pairs: smaller ones believe outliers less.
    shared_meter_rel_u : float
        Relative standard uncertainty that all water meters have in common.
    meter_rel_u : float
        Relative standard uncertainty of a water meter that states none.
    alarms_per_100_well_years : float
        False alarms of a change that are put up with.
    resting_load : bool
        Leave the steady load of months of rest out of the energy that pumps.
    """

    strata_by: tuple[str, ...] = ("aquifer", "pump_power_kw", "pump_depth_m")
    strata_breaks: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    strata_classes: int = 3
    covariates: tuple[str, ...] = ()
    wear_mean_per_year: float = -0.02
    wear_sd_per_year: float = 0.006
    student_df: float = 4.0
    shared_meter_rel_u: float = 0.01
    meter_rel_u: float = 0.02
    alarms_per_100_well_years: float = 1.0
    resting_load: bool = True
