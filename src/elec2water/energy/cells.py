"""Energy per row and month while it is being gathered: sums, covered days, variance, and covariance of near months."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from elec2water.energy.arrays import Floats, Ints

Reasons = npt.NDArray[np.uint8]

ENOUGH_DAYS = 0.8
"""A month with at least this part of its days read is scaled up; with less it is unknown."""
LAGS = 2
"""Months of one quarter are at most so far apart."""
SPREAD, SCALED, SHARED, ESTIMATED = (np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8))
"""Why an energy is not simply what was read: spread over months, scaled up from part of the days, split between wells
of one meter, estimated by the reader. They add up."""
REASONS = {int(SPREAD): "spread over months", int(SCALED): "scaled up to the month",
           int(SHARED): "split between the wells of a meter", int(ESTIMATED): "estimated by the reader"}  # fmt: skip
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
    reason : numpy.ndarray
        Sum of :data:`SPREAD`, :data:`SCALED`, :data:`SHARED` and :data:`ESTIMATED`; 0 where it is what was read.
    lags : numpy.ndarray, shape (0 or 2, R, M)
        Covariance of a month with the first and second one after it [kWh²]; without months where all are 0.
    """

    kwh: Floats
    variance: Floats
    days: Floats
    reason: Reasons
    lags: Floats

    @classmethod
    def empty(cls, rows: int, months: int) -> Cells:
        """Give cells without a day read."""
        shape = (rows, months)
        reason = np.zeros(shape, dtype=np.uint8)
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape), reason, np.zeros((0, *shape)))

    def with_lags(self) -> Cells:
        """Make room for covariances between months."""
        return self if len(self.lags) else replace(self, lags=np.zeros((LAGS, *self.kwh.shape)))

    def add(self, row: Ints, month: Ints, kwh: Floats, variance: Floats, days: Ints, reason: Reasons) -> None:
        """Add pieces of intervals to the cells, in place; all arguments have shape (p,)."""
        flat = row * self.kwh.shape[1] + month
        np.add.at(self.kwh.reshape(-1), flat, kwh)
        np.add.at(self.variance.reshape(-1), flat, variance)
        np.add.at(self.days.reshape(-1), flat, days)
        np.bitwise_or.at(self.reason.reshape(-1), flat, reason)


def scaled_up(cells: Cells, days: Floats, shape_per_day: float, *, in_place: bool = False) -> Cells:
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
    in_place : bool
        Change the arrays of ``cells``, which nobody else holds, where few rows are partly read.

    Returns
    -------
    Cells
        ``kwh`` and ``variance`` NaN where fewer than :data:`ENOUGH_DAYS` of the days were read.
    """
    wanted = np.broadcast_to(days, cells.days.shape)
    odd = np.flatnonzero((cells.days != wanted).any(axis=1))
    if not len(odd):
        return cells
    if 2 * len(odd) > len(wanted):
        return _scaled(cells, wanted, shape_per_day)
    some = Cells(cells.kwh[odd], cells.variance[odd], cells.days[odd], cells.reason[odd], cells.lags[:, odd])
    scaled = _scaled(some, wanted[odd], shape_per_day)
    names = ("kwh", "variance", "days", "reason", "lags")
    out = cells if in_place else Cells(*(getattr(cells, name).copy() for name in names))
    for name in names[:-1]:
        getattr(out, name)[odd] = getattr(scaled, name)
    out.lags[:, odd] = scaled.lags
    return out


def _scaled(cells: Cells, wanted: Floats, shape_per_day: float) -> Cells:
    part = np.divide(np.minimum(cells.days, wanted), wanted, out=np.zeros_like(cells.days), where=wanted > 0)
    enough, full = part >= ENOUGH_DAYS, part >= _FULL
    scale = np.where(enough, 1.0 / np.where(part > 0, part, 1.0), np.nan)
    kwh = cells.kwh * scale
    spread = (1.0 - part) / (part * (shape_per_day * wanted + 1.0) + (part == 0))
    variance = cells.variance * scale**2 + kwh**2 * np.where(full, 0.0, spread)
    reason = np.where(enough & ~full, cells.reason | SCALED, cells.reason)
    return Cells(kwh, variance, np.where(enough, wanted, 0.0), reason, _scaled_lags(cells.lags, scale))


def _scaled_lags(lags: Floats, scale: Floats) -> Floats:
    factor = np.nan_to_num(scale)
    out = np.zeros_like(lags)
    for k in range(len(lags)):
        out[k, :, : -k - 1] = lags[k, :, : -k - 1] * factor[:, : -k - 1] * factor[:, k + 1 :]
    return out
