"""What sample wells measured: water and electricity over the same interval, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_HOURS_PER_DAY = 24.0
_TEST_REL_U = 0.05


@dataclass(frozen=True)
class Measurements:
    """Pairs of the sample wells, sorted by well and time.

    Attributes
    ----------
    well : (R,)
        Place of the well in the registry.
    start, end : (R,) datetime64[s]
        Interval, end exclusive; NaT where a test has no date.
    energy_kwh, volume_m3 : (R,)
    meter_rel_u : (R,)
        Relative standard uncertainty of the water meter, NaN where not stated.
    test : (R,)
        True for a short pumping test.
    row : (R,)
        Row of the pair in its file.
    """

    well: NDArray[np.intp]
    start: NDArray[np.datetime64]
    end: NDArray[np.datetime64]
    energy_kwh: Floats
    volume_m3: Floats
    meter_rel_u: Floats
    test: NDArray[np.bool_]
    row: NDArray[np.int64]

    @property
    def coefficient(self) -> Floats:
        """κ = V/E [m³/kWh], (R,)."""
        return self.volume_m3 / self.energy_kwh

    @property
    def middle(self) -> NDArray[np.datetime64]:
        """Middle of each interval, (R,) datetime64[s]."""
        return self.start + (self.end - self.start) / 2

    @property
    def days(self) -> Floats:
        """Length of each interval in days, (R,)."""
        return (self.end - self.start).astype("timedelta64[s]").astype(np.float64) / 86400.0

    def take(self, index: NDArray[np.generic]) -> Measurements:
        """Keep the pairs of an index or mask."""
        fields = (
            self.well,
            self.start,
            self.end,
            self.energy_kwh,
            self.volume_m3,
            self.meter_rel_u,
            self.test,
            self.row,
        )
        return Measurements(*(field[index] for field in fields))


def measurements(pairs: pd.DataFrame, well_id: NDArray[np.object_]) -> Measurements:
    """Turn the pairs of wells that are in the registry into arrays; pairs without a usable κ are left out.

    Parameters
    ----------
    pairs : DataFrame
        The table ``pairs``; a short test may give ``flow_m3_per_h`` and ``power_kw`` instead of volume and energy.
    well_id : (N,)
        Identifiers of the registry, whose places are returned.
    """
    n = len(pairs)
    energy = _column(pairs, "energy_kwh").copy()
    volume = _column(pairs, "volume_m3").copy()
    kind = pairs["kind"].astype("str").to_numpy(dtype=object) if "kind" in pairs else np.full(n, "meter", dtype=object)
    by_rate = ~(np.isfinite(energy) & np.isfinite(volume))
    energy[by_rate] = _column(pairs, "power_kw")[by_rate]
    volume[by_rate] = _column(pairs, "flow_m3_per_h")[by_rate]
    well = pd.Index(well_id, dtype=object).get_indexer(pd.Index(pairs["well_id"].astype(object)))
    start = pairs["start"].to_numpy(dtype="datetime64[s]")
    end = pairs["end"].to_numpy(dtype="datetime64[s]")
    table = Measurements(
        np.asarray(well, dtype=np.intp),
        start,
        np.where(np.isnat(end), start, end),
        energy,
        volume,
        _column(pairs, "volume_rel_u"),
        (kind == "test") | by_rate,
        np.asarray(pairs.index, dtype=np.int64),
    )
    usable = (well >= 0) & (energy > 0) & (volume > 0) & np.isfinite(energy) & np.isfinite(volume)
    table = table.take(np.flatnonzero(usable))
    return table.take(np.lexsort((table.row, table.start, table.well)))


def short_test_rel_u(measured: Measurements) -> Floats:
    """Relative standard uncertainty that a short test adds to a pair, (R,): repeat tests agree to 4-9 % (METHOD.md)."""
    return np.where(measured.test, _TEST_REL_U, 0.0)


def _column(frame: pd.DataFrame, name: str) -> Floats:
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    return np.asarray(frame[name].to_numpy(dtype=np.float64, na_value=np.nan))
