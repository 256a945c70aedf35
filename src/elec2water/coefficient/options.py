"""What METHOD.md fixes beforehand, as options of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FitOptions:
    """What METHOD.md fixes beforehand; the section ``[model]`` and ``[strata]`` of the configuration."""

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
