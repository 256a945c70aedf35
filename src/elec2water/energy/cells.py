"""Energy per row and month while it is being gathered: sums, covered days, variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elec2water.energy.arrays import Bools, Floats, Ints

ENOUGH_DAYS = 0.8
"""A month with at least this part of its days read is scaled up; with less it is unknown."""
_FULL = 1.0 - 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """What is known of R rows (spells of meters, or wells) in M months; every array has shape (R, M).

    Attributes
    ----------
    kwh : numpy.ndarray
        Energy of the days read [kWh].
    variance : numpy.ndarray
        Variance of that energy [kWh²].
    days : numpy.ndarray
        Days read.
    estimated : numpy.ndarray
        True where any part was spread, shared or estimated.
    """

    kwh: Floats
    variance: Floats
    days: Floats
    estimated: Bools

    @classmethod
    def empty(cls, rows: int, months: int) -> Cells:
        """Give cells without a day read."""
        shape = (rows, months)
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool))

    def add(self, row: Ints, month: Ints, kwh: Floats, variance: Floats, days: Ints, estimated: Bools) -> None:
        """Add pieces of intervals to the cells, in place; all arguments have shape (p,)."""
        flat = row * self.kwh.shape[1] + month
        np.add.at(self.kwh.reshape(-1), flat, kwh)
        np.add.at(self.variance.reshape(-1), flat, variance)
        np.add.at(self.days.reshape(-1), flat, days)
        np.logical_or.at(self.estimated.reshape(-1), flat, estimated)


def scaled_up(cells: Cells, days: Floats, shape_per_day: float) -> Cells:
    """Scale partly read months up to the whole month, or make them NaN.

    With daily energies independent gamma of one rate, the part f of the days that was read holds a Beta-distributed
    part of the energy with mean f and variance f(1 - f)/(a n + 1); the total is what was read divided by it.

    Parameters
    ----------
    cells : Cells
        What was read.
    days : numpy.ndarray, shape (R, M) or (M,)
        Days each cell should have.
    shape_per_day : float
        The gamma shape a of a day's energy: small where irrigation comes in bursts.

    Returns
    -------
    Cells
        ``kwh`` and ``variance`` NaN where fewer than :data:`ENOUGH_DAYS` of the days were read.
    """
    if np.array_equal(cells.days, np.broadcast_to(days, cells.days.shape)):
        return cells
    wanted = np.broadcast_to(days, cells.days.shape)
    part = np.divide(np.minimum(cells.days, wanted), wanted, out=np.zeros_like(cells.days), where=wanted > 0)
    enough, full = part >= ENOUGH_DAYS, part >= _FULL
    scale = np.where(enough, 1.0 / np.where(part > 0, part, 1.0), np.nan)
    kwh = cells.kwh * scale
    spread = (1.0 - part) / (part * (shape_per_day * wanted + 1.0) + (part == 0))
    variance = cells.variance * scale**2 + kwh**2 * np.where(full, 0.0, spread)
    return Cells(kwh, variance, np.where(enough, wanted, 0.0), cells.estimated | (enough & ~full))
