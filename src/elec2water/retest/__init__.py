"""Which wells to test next: those that cut the variance of the reported totals most, chosen as a set."""

from elec2water.retest.plan import Costs, RetestPlan, next_tests
from elec2water.retest.sheet import plan_files

__all__ = ["Costs", "RetestPlan", "next_tests", "plan_files"]
