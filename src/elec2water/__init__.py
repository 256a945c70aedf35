"""elec2water: from the electricity of farm wells to volumes of water, with an uncertainty that can be believed."""

__version__ = "0.1.0"
