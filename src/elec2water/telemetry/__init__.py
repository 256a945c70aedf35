"""Wells whose water meters report every month: their coefficients followed month by month, 10⁵-10⁶ of them."""

from elec2water.telemetry.follow import FollowedLevels, follow_levels, follow_panel
from elec2water.telemetry.monthly import MonthlyCoefficients, monthly_coefficients
from elec2water.telemetry.variances import LevelVariances, learn_variances

__all__ = [
    "FollowedLevels",
    "LevelVariances",
    "MonthlyCoefficients",
    "follow_levels",
    "follow_panel",
    "learn_variances",
    "monthly_coefficients",
]
