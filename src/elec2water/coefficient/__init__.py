"""What a kWh is worth: the conversion coefficient of every well, as a joint posterior."""

from elec2water.coefficient.fit import Coefficient, FitOptions, fit_coefficient
from elec2water.coefficient.posterior import Posterior

__all__ = ["Coefficient", "FitOptions", "Posterior", "fit_coefficient"]
