"""From meters to wells: shares, sums of several meters, and months that are only partly known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from elec2water.energy.arrays import Bools, Floats, Ints
from elec2water.energy.axis import Axis
from elec2water.energy.cells import ESTIMATED, LAGS, SCALED, SHARED, SPREAD, Cells, scaled_up
from elec2water.energy.links import Epochs

TWICE = 1.2
"""A well whose meters together cover a month more often than this has meters in parallel, not one after the other."""


def cells_of_wells(cells: Cells, epochs: Epochs, n_wells: int, axis: Axis, shape_per_day: float) -> Cells:
    """Sum what the meters read into wells.

    Meters of a well that follow each other (an exchange) may each cover a part of a month. Meters in parallel must all
    be known: the sum of those that happen to be known is not the well's energy, so that the month is NaN.

    Parameters
    ----------
    cells : Cells
        What was read, a row for each spell of `epochs`.
    epochs : Epochs
        Spells of meters, their wells and shares.
    n_wells : int
        Number of wells N.
    axis : Axis
        The M months.
    shape_per_day : float
        Gamma shape of a day's energy, for scaling up.

    Returns
    -------
    Cells
        Shape (N, M); ``kwh`` NaN where too little was read.
    """
    if _one_to_one(epochs):
        moved = _moved(cells, epochs, n_wells)
        return scaled_up(moved, axis.days, shape_per_day, in_place=moved is not cells)
    sums = scaled_up(_summed(cells, epochs, epochs.well, n_wells), axis.days, shape_per_day)
    parallel = _wells_in_parallel(cells, epochs, n_wells, axis)
    if parallel.any():
        _sum_whole_meters(sums, cells, epochs, parallel, axis, shape_per_day)
    return sums


def _one_to_one(epochs: Epochs) -> bool:
    alone = all(np.all(np.bincount(code, minlength=1) <= 1) for code in (epochs.well, epochs.epoch))
    return bool(alone and np.all(epochs.share == 1.0))


def _moved(cells: Cells, epochs: Epochs, n_wells: int) -> Cells:
    if len(epochs.well) == n_wells == len(cells.kwh) and np.array_equal(epochs.well, epochs.epoch):
        return cells
    out = Cells.empty(n_wells, cells.kwh.shape[1])
    out.kwh[epochs.well] = cells.kwh[epochs.epoch]
    out.days[epochs.well] = cells.days[epochs.epoch]
    if cells.reason.any():
        out.variance[epochs.well] = cells.variance[epochs.epoch]
        out.reason[epochs.well] = cells.reason[epochs.epoch]
    if len(cells.lags):
        out = out.with_lags()
        out.lags[:, epochs.well] = cells.lags[:, epochs.epoch]
    return out


def _summed(cells: Cells, epochs: Epochs, target: Ints, n: int) -> Cells:
    """Sum the links' parts of their meters into rows; var(sE) = s² var E + E² var s, months' covariances alike."""

    def matrix(weight: Floats) -> sparse.csr_array:
        return sparse.csr_array((weight, (target, epochs.epoch)), shape=(n, len(epochs.meter)))

    takes_part = np.where((epochs.share > 0) | np.isnan(epochs.share), 1.0, 0.0)
    split = matrix(np.where(epochs.share_variance > 0, 1.0, 0.0))
    kwh = matrix(epochs.share) @ cells.kwh
    variance = matrix(epochs.share**2) @ cells.variance + matrix(epochs.share_variance) @ cells.kwh**2
    days = matrix(np.ones(len(target))) @ cells.days
    reason = np.where(split @ (cells.days > 0) > 0, SHARED, np.uint8(0))
    for bit in (bit for bit in (SPREAD, SCALED, ESTIMATED) if np.any(cells.reason & bit)):
        reason |= np.where(matrix(takes_part) @ ((cells.reason & bit) > 0).astype(np.float64) > 0, bit, np.uint8(0))
    out = Cells(kwh, variance, days, reason, np.zeros((0, *kwh.shape)))
    if not len(cells.lags) and not np.any(epochs.share_variance > 0):
        return out
    out = out.with_lags()
    for k in range(LAGS):
        if len(cells.lags):
            out.lags[k] += matrix(epochs.share**2) @ cells.lags[k]
        product = np.zeros_like(cells.kwh)
        product[:, : -k - 1] = cells.kwh[:, : -k - 1] * cells.kwh[:, k + 1 :]
        out.lags[k] += matrix(epochs.share_variance) @ product
    return out


def _groups(epochs: Epochs, n_wells: int) -> tuple[Ints, Ints]:
    """Give the (meter, well) pair of each link, and the well of each pair."""
    key = epochs.meter[epochs.epoch] * np.int64(n_wells) + epochs.well
    pair, group = np.unique(key, return_inverse=True)
    return group, pair % n_wells


def _wells_in_parallel(cells: Cells, epochs: Epochs, n_wells: int, axis: Axis) -> Bools:
    group, well = _groups(epochs, n_wells)
    many = np.bincount(well, minlength=n_wells) > 1
    if not many.any():
        return many
    links = np.flatnonzero(many[epochs.well])
    target, source = epochs.well[links], epochs.epoch[links]
    covered = np.zeros((n_wells, len(axis.days)))
    np.add.at(covered, target, cells.days[source])
    read = np.zeros(len(well), dtype=bool)
    np.logical_or.at(read, group[links], (cells.days[source] > 0).any(axis=1))
    held = np.zeros(len(well), dtype=bool)
    np.logical_or.at(held, group[links], (_days_held(epochs, source, axis) > 0).any(axis=1))
    silent = np.zeros(n_wells, dtype=bool)
    silent[well[held & ~read]] = True
    twice = (covered > TWICE * axis.days).any(axis=1)
    return many & (twice | silent)


def _days_held(epochs: Epochs, source: Ints, axis: Axis) -> Floats:
    """Days of each month that lie in a spell, shape (len(source), M)."""
    start = np.maximum(epochs.start[source, None], axis.edges[:-1])
    end = np.minimum(epochs.end[source, None], axis.edges[1:])
    return np.asarray(np.maximum(end - start, 0), dtype=np.float64)


def _sum_whole_meters(
    sums: Cells, cells: Cells, epochs: Epochs, parallel: Bools, axis: Axis, shape_per_day: float
) -> None:
    """Put into `sums`, for the wells in parallel, the sum of their meters, each scaled up by itself."""
    links = np.flatnonzero(parallel[epochs.well])
    source = epochs.epoch[links]
    some = Epochs(
        epochs.meter, epochs.start, epochs.end, epochs.first, source, epochs.well[links], epochs.share[links],
        epochs.share_variance[links],
    )  # fmt: skip
    group, well = _groups(some, len(parallel))
    held = np.zeros((len(well), len(axis.days)))
    np.add.at(held, group, _days_held(epochs, source, axis))
    meters = scaled_up(_summed(cells, some, group, len(well)), held, shape_per_day)
    absent = held == 0
    wells = np.flatnonzero(parallel)
    place = np.searchsorted(wells, well)
    days = np.zeros((len(wells), len(axis.days)))
    np.maximum.at(days, place, held)
    total = Cells.empty(*days.shape)
    np.add.at(total.kwh, place, np.where(absent, 0.0, meters.kwh))
    np.add.at(total.variance, place, np.where(absent, 0.0, meters.variance))
    np.bitwise_or.at(total.reason, place, meters.reason)
    if len(meters.lags):
        total = total.with_lags()
        for k in range(LAGS):
            np.add.at(total.lags[k], place, meters.lags[k])
    whole = scaled_up(replace(total, days=days), axis.days, shape_per_day)
    for name in ("kwh", "variance", "days", "reason"):
        getattr(sums, name)[wells] = getattr(whole, name)
    if len(whole.lags):
        sums.lags[:, wells] = whole.lags
