"""Electricity: from readings to energy per well and month, and the months that are missing."""

from elec2water.energy.assemble import EnergyReading, monthly_energy, read_energy
from elec2water.energy.imputation import Imputation, impute, predict_missing
from elec2water.energy.monthly import MonthlyEnergy

__all__ = [
    "EnergyReading",
    "Imputation",
    "MonthlyEnergy",
    "impute",
    "monthly_energy",
    "predict_missing",
    "read_energy",
]
