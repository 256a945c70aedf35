"""What was pumped: volumes of every well and domain, with their joint error."""

from elec2water.volume.estimate import estimate_volume, volume_in
from elec2water.volume.result import StratumCoefficients, Volume
from elec2water.volume.totals import Totals
from elec2water.volume.wells import WellVolumes

__all__ = ["StratumCoefficients", "Totals", "Volume", "WellVolumes", "estimate_volume", "volume_in"]
