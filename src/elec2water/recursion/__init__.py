"""Recursions over very many wells at once: month by month, missing values, own noise, and a path that classes share."""

from elec2water.recursion.level import FilteredLevels, LevelState, filter_levels
from elec2water.recursion.path import ClassPaths, PathPrior, WellInformation, integrate_wells, solve_paths
from elec2water.recursion.smoothing import (
    AuxiliaryResiduals,
    SmoothedLevels,
    auxiliary_residuals,
    smooth_levels,
    smooth_wells,
)

__all__ = [
    "AuxiliaryResiduals",
    "ClassPaths",
    "FilteredLevels",
    "LevelState",
    "PathPrior",
    "SmoothedLevels",
    "WellInformation",
    "auxiliary_residuals",
    "filter_levels",
    "integrate_wells",
    "smooth_levels",
    "smooth_wells",
    "solve_paths",
]
