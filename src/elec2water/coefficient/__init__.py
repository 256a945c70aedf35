"""What a kWh is worth: the conversion coefficient of every well, as a joint posterior."""

from elec2water.coefficient.fit import fit_coefficient
from elec2water.coefficient.options import FitOptions
from elec2water.coefficient.posterior import Posterior
from elec2water.coefficient.result import Coefficient

__all__ = ["Coefficient", "FitOptions", "Posterior", "fit_coefficient"]
