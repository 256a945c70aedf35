"""What the electricity itself gives cause to doubt: each rule is a function from the meters' months to findings."""

from elec2water.energy.screen.board import screen
from elec2water.energy.screen.series import Desk, MeterMonths

__all__ = ["Desk", "MeterMonths", "screen"]
