"""What was pumped: volumes of every well and domain, with their joint error."""

from elec2water.volume.estimate import estimate_volume
from elec2water.volume.result import Totals, Volume, WellVolumes

__all__ = ["Totals", "Volume", "WellVolumes", "estimate_volume"]
