"""elec2water: from the electricity of farm wells to volumes of water, with an uncertainty that can be believed.

The way of the data, as in a notebook::

    import elec2water as e2w

    county = e2w.read_project("county")               # tables, checked; county.findings
    energy, found = county.energy()                   # kWh per well and month
    coefficient = e2w.fit_coefficient(county.pairs, county.wells, county.water_levels, energy=energy)
    volume = e2w.estimate_volume(coefficient, energy, quarter="2026Q3", wells=county.wells,
                                 water_levels=county.water_levels)
    volume.table("township")
"""

from importlib import metadata

from elec2water.beginning import demo
from elec2water.checking import check
from elec2water.coefficient import Coefficient, FitOptions, fit_coefficient
from elec2water.coefficient.state import from_dataset, to_dataset
from elec2water.config import Config, load_config
from elec2water.county import County, read_project
from elec2water.design import Budget, Design, Network, design_sample, read_design, write_design
from elec2water.energy import MonthlyEnergy, impute, monthly_energy
from elec2water.errors import ConfigError, DataRefusedError, Elec2WaterError, ReleaseError, UsageError
from elec2water.findings import Findings
from elec2water.ledger import list_releases, open_ledger, rebuild_ledger
from elec2water.levels import depth_by_well
from elec2water.project import Run, approve, design, next_wells, releases, run, validate
from elec2water.release import publish_release
from elec2water.retest import Costs, RetestPlan, next_tests
from elec2water.strata import Strata, classify
from elec2water.survey import design_totals
from elec2water.tables import Tables, read_tables
from elec2water.telemetry import FollowedLevels, follow_levels
from elec2water.validation import Validation, validate_coefficient
from elec2water.volume import Totals, Volume, estimate_volume

__version__ = metadata.version("elec2water")

__all__ = [
    "Budget",
    "Coefficient",
    "Config",
    "ConfigError",
    "Costs",
    "County",
    "DataRefusedError",
    "Design",
    "Elec2WaterError",
    "Findings",
    "FitOptions",
    "FollowedLevels",
    "MonthlyEnergy",
    "Network",
    "ReleaseError",
    "RetestPlan",
    "Run",
    "Strata",
    "Tables",
    "Totals",
    "UsageError",
    "Validation",
    "Volume",
    "approve",
    "check",
    "classify",
    "demo",
    "depth_by_well",
    "design",
    "design_sample",
    "design_totals",
    "estimate_volume",
    "fit_coefficient",
    "follow_levels",
    "from_dataset",
    "impute",
    "list_releases",
    "load_config",
    "monthly_energy",
    "next_tests",
    "next_wells",
    "open_ledger",
    "publish_release",
    "read_design",
    "read_project",
    "read_tables",
    "rebuild_ledger",
    "releases",
    "run",
    "to_dataset",
    "validate",
    "validate_coefficient",
    "write_design",
]
