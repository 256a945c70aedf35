"""The short way for readings that are calendar months already: a million meters take a second."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from elec2water.energy.arrays import Bools, Ints
from elec2water.energy.axis import Axis
from elec2water.energy.cells import Cells
from elec2water.energy.intervals import Intervals
from elec2water.energy.links import Epochs

_NOWHERE = -1
_AT_ONCE = 1 << 14
"""Rows that are looked at together: what is made of them on the way stays in the cache of the processor."""


def add_whole_months(cells: Cells, billing: Intervals, epochs: Epochs, blocked: Bools, axis: Axis) -> Bools:
    """Put the energies of orderly meters straight into their cells.

    A meter is orderly if all its rows are actual, not negative, and exactly one calendar month of the axis each, no
    month twice, and its links do not change.

    Parameters
    ----------
    cells : Cells, shape (E, M)
        Filled in place.
    billing : Intervals, n rows
        In any order.
    epochs : Epochs
        Spells of the meters; the rows of `cells`.
    blocked : numpy.ndarray, shape (n_meters,)
        Meters that have to take the long way for another reason.
    axis : Axis
        The M months.

    Returns
    -------
    numpy.ndarray, shape (n,)
        True for the rows that were not taken.
    """
    cell, good = _cells_filled(billing, axis)
    holder = _holders(cell, good, len(blocked) * len(axis.days))
    good &= holder[cell] == np.arange(len(cell), dtype=np.int32)
    orderly = ~blocked & (np.diff(epochs.first) == 1)
    orderly[billing.meter[~good]] = False
    holder = holder.reshape(len(blocked), len(axis.days))
    everything = bool(orderly.all())
    holder = holder if everything else holder[orderly]
    row = slice(None) if everything and len(blocked) == len(cells.kwh) else epochs.first[:-1][orderly]
    held = holder != _NOWHERE
    if len(billing):
        cells.kwh[row] = np.where(held, billing.kwh[holder], 0.0)
        cells.days[row] = held * axis.days
    return np.zeros(len(billing), dtype=bool) if everything else ~orderly[billing.meter]


def _cells_filled(billing: Intervals, axis: Axis) -> tuple[Ints, Bools]:
    """Give the cell (meter × month) each interval fills exactly, and whether it does; cell 0 where it does not."""
    base, size = axis.edges[0], int(axis.edges[-1] - axis.edges[0])
    column = np.full(size + 1, _NOWHERE)
    column[axis.edges[:-1] - base] = np.arange(len(axis.days))
    cell, good = np.empty(len(billing), dtype=np.int64), np.empty(len(billing), dtype=bool)
    for at in range(0, len(billing), _AT_ONCE):
        part = slice(at, at + _AT_ONCE)
        offset = billing.start[part] - base
        month = column[np.where((offset >= 0) & (offset < size), offset, size)]
        fits = (month >= 0) & (axis.edges[month + 1] == billing.end[part])
        good[part] = fits & (billing.kwh[part] >= 0) & ~billing.estimated[part]
        cell[part] = np.where(good[part], month + billing.meter[part] * len(axis.days), 0)
    return cell, good


def _holders(cell: Ints, good: Bools, n_cells: int) -> npt.NDArray[np.int32]:
    """Give the last good row of each cell, shape (n_cells,)."""
    number = np.arange(len(cell), dtype=np.int32)
    holder = np.full(n_cells, _NOWHERE, dtype=np.int32)
    if good.all():
        holder[cell] = number
    else:
        holder[cell[good]] = number[good]
    return holder
