"""Which meter serves which well, when, and with what part of its energy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from elec2water.energy.arrays import FOREVER, Bools, Floats, Ints, runs
from elec2water.energy.shares import EQUAL, POWER, POWER_AREA, PRIOR, STATED, WATER, precision

ROUNDING = 0.02
"""Stated shares whose sum is within this of 1 were rounded; they are brought to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """The links between meters and wells, and what is known of the meters.

    Attributes
    ----------
    meter, well : numpy.ndarray, shape (L,)
        Codes of the meter and position of the well.
    start, end : numpy.ndarray, shape (L,)
        Days for which the link holds (since 1970-01-01, end exclusive; ``±FOREVER`` where open).
    share : numpy.ndarray, shape (L,)
        Stated part of the meter's energy; NaN where not stated.
    multiplier : numpy.ndarray, shape (L,)
        Of the meter while the link holds; NaN where not stated.
    digits, capacity_kw : numpy.ndarray, shape (n_meters,)
        Digits of the register, NaN where unknown; rated power of all wells on the meter, NaN where one is unknown.
    """

    meter: Ints
    well: Ints
    start: Ints
    end: Ints
    share: Floats
    multiplier: Floats
    digits: Floats
    capacity_kw: Floats

    def multiplier_between(self, meter: Ints, start: Ints, end: Ints) -> tuple[Floats, Floats]:
        """Give the least and the greatest multiplier of a meter during intervals; 1 where none is stated.

        Links that do not hold during the interval are asked only when no other states a multiplier.
        """
        n_meters = len(self.digits)
        low, high = _extremes(self.meter, self.multiplier, n_meters)
        least, most = low[meter], high[meter]
        changing = np.flatnonzero(least != most)
        if len(changing):
            query, link = _pairs(meter[changing], self.meter, n_meters)
            during = changing[query]
            holds = (self.start[link] < end[during]) & (self.end[link] > start[during])
            value = np.where(holds, self.multiplier[link], np.nan)
            inner_low, inner_high = _extremes(query, value, len(changing), default=np.nan)
            least[changing] = np.where(np.isnan(inner_low), least[changing], inner_low)
            most[changing] = np.where(np.isnan(inner_high), most[changing], inner_high)
        return least, most


@dataclass(frozen=True, slots=True, eq=False)
class Epochs:
    """Spells of a meter during which its links stay the same, and the links of each.

    Attributes
    ----------
    meter, start, end : numpy.ndarray, shape (E,)
        Code of the meter and days of the spell (end exclusive), at least one a meter, sorted by meter and start.
    first : numpy.ndarray, shape (n_meters + 1,)
        Epochs ``first[m]:first[m + 1]`` belong to meter m.
    epoch, well : numpy.ndarray, shape (K,)
        The epoch and the well of each link.
    share, share_variance : numpy.ndarray, shape (K,)
        Part of the epoch's energy that goes to the well, and the variance of that part.
    basis : numpy.ndarray, shape (K,), optional
        What the share is by, :data:`STATED` to :data:`WATER`; None where all are stated.
    """

    meter: Ints
    start: Ints
    end: Ints
    first: Ints
    epoch: Ints
    well: Ints
    share: Floats
    share_variance: Floats
    basis: Ints | None = None

    def believing(self, spread: Floats) -> Epochs:
        """Give shares nobody stated the variance of other spreads than :data:`~elec2water.energy.shares.PRIOR`."""
        if self.basis is None:
            return self
        count = _open_wells(self.epoch, self.basis, len(self.meter))
        before, after = (precision(self.basis, count, s) for s in (PRIOR, spread))
        return replace(self, share_variance=self.share_variance * (before + 1.0) / (after + 1.0))


def of_first_well(links: Links, values: Ints, n_meters: int) -> Ints:
    """Give each meter what its first well has of ``values`` (N,), shape (n_meters,); 0 for a meter without a well."""
    out = np.zeros(n_meters, dtype=values.dtype)
    out[links.meter[::-1]] = values[links.well[::-1]]
    return out


def _open_wells(group: Ints, basis: Ints, n_groups: int) -> Ints:
    return np.asarray(np.bincount(group, weights=basis != STATED, minlength=n_groups)[group]).astype(np.int64)


def epochs_of(
    links: Links,
    power_kw: Floats,
    area_mu: Floats,
    kappa: Floats | None = None,
    size: Floats | None = None,
) -> Epochs:
    """Cut the life of every meter where one of its links begins or ends, and share its energy in each piece.

    Parameters
    ----------
    links : Links
        L links of n meters.
    power_kw, area_mu : numpy.ndarray, shape (N,)
        Rated power, or what stands for it, and irrigated area of the wells, NaN where unknown.
    kappa : numpy.ndarray, shape (N,), optional
        Coefficient of the wells [m³/kWh] as an earlier posterior has it, NaN where unknown.
    size : numpy.ndarray, shape (N,), optional
        What stands for power × area, as for :func:`split_shares`.

    Returns
    -------
    Epochs
    """
    n_meters = len(links.digits)
    begins, ends = links.start > -FOREVER, links.end < FOREVER
    meter = np.concatenate([np.arange(n_meters), links.meter[begins], links.meter[ends]])
    start = np.concatenate([np.full(n_meters, -FOREVER), links.start[begins], links.end[ends]])
    meter, start = _distinct_pairs(meter, start)
    first = np.searchsorted(meter, np.arange(n_meters + 1))
    end = np.r_[start[1:], FOREVER]
    end[first[1:] - 1] = FOREVER
    link, place = runs(np.diff(first)[links.meter])
    epoch = first[links.meter[link]] + place
    active = (links.start[link] <= start[epoch]) & (links.end[link] >= end[epoch])
    link, epoch = link[active], epoch[active]
    if not (epoch[1:] > epoch[:-1]).all():
        order = np.lexsort((links.well[link], epoch))
        link, epoch = link[order], epoch[order]
    well = links.well[link]
    stated = links.share[link]
    share, variance, basis = np.ones(len(well)), np.zeros(len(well)), np.full(len(well), STATED)
    # Of a meter that serves one well nothing is shared: all of a county's, in most.
    shared = np.flatnonzero((np.bincount(epoch, minlength=len(meter))[epoch] > 1) | ~np.isnan(stated))
    share[shared], variance[shared], basis[shared] = split_shares(
        epoch[shared],
        stated[shared],
        power_kw[well[shared]],
        area_mu[well[shared]],
        len(meter),
        kappa=None if kappa is None else kappa[well[shared]],
        size=None if size is None else size[well[shared]],
    )
    return Epochs(meter, start, end, first, epoch, well, share, variance, basis if variance.any() else None)


def split_shares(
    group: Ints,
    stated: Floats,
    power_kw: Floats,
    area_mu: Floats,
    n_groups: int,
    *,
    kappa: Floats | None = None,
    size: Floats | None = None,
) -> tuple[Floats, Floats, Ints]:
    """Share one meter's energy between its wells.

    Stated shares are taken as they are (brought to 1 when they exceed it or miss it by rounding). What they leave is
    split over wells without a stated share by rated power × irrigated area, by power alone where an area is unknown,
    equally where a power is unknown. Where a coefficient is known of all of them, it is split by area ÷ coefficient:
    fields ask for water, and a pump that lifts less of it with a kWh uses more of them.

    Parameters
    ----------
    group : numpy.ndarray, shape (K,)
        Which meter (or spell of one) each link belongs to, below `n_groups`.
    stated, power_kw, area_mu : numpy.ndarray, shape (K,)
        Stated share, rated power [kW] and area [mu]; NaN where unknown.
    n_groups : int
        Number of groups.
    kappa : numpy.ndarray, shape (K,), optional
        Coefficient of each well [m³/kWh]; NaN where unknown.
    size : numpy.ndarray, shape (K,), optional
        What stands for power × area, :func:`~elec2water.energy.shares.size_by`; that product by default.

    Returns
    -------
    share, variance : numpy.ndarray, shape (K,)
        The part of the energy, and its variance: that of a Dirichlet law for parts nobody stated, 0 for stated ones,
        as wide as :data:`~elec2water.energy.shares.PRIOR` has it.
    basis : numpy.ndarray, shape (K,)
        What each is by, :data:`STATED` to :data:`WATER`.
    """
    known = np.isfinite(stated)
    total = np.bincount(group, weights=np.where(known, stated, 0.0), minlength=n_groups)[group]
    n_open = np.bincount(group, weights=~known, minlength=n_groups)[group]
    rounded = (n_open == 0) & (np.abs(total - 1.0) <= ROUNDING)
    scale = 1.0 / np.where((total > 1.0) | rounded, total, 1.0)
    rest = np.clip(1.0 - total, 0.0, 1.0)
    sizes = power_kw, area_mu, power_kw * area_mu if size is None else size
    part, basis = _open_parts(group, ~known, sizes, n_groups, kappa)
    share = np.where(known, stated * scale, rest * part)
    law = precision(basis, n_open.astype(np.int64), PRIOR)
    variance = np.where(known, 0.0, rest**2 * part * (1.0 - part) / (law + 1.0))
    return share, variance, basis


def _open_parts(
    group: Ints, unstated: Bools, sizes: tuple[Floats, Floats, Floats], n_groups: int, kappa: Floats | None
) -> tuple[Floats, Ints]:
    power_kw, area_mu, both = sizes
    powered = _all_in_group(group, ~unstated | (power_kw > 0), n_groups)
    extended = _all_in_group(group, ~unstated | (area_mu > 0), n_groups)
    size = np.where(powered & extended, both, np.where(powered, power_kw, 1.0))
    basis = np.where(powered & extended, POWER_AREA, np.where(powered, POWER, EQUAL))
    if kappa is not None:
        watered = extended & _all_in_group(group, ~unstated | (kappa > 0), n_groups)
        size = np.where(watered, np.divide(area_mu, kappa, out=np.ones_like(size), where=kappa > 0), size)
        basis = np.where(watered, WATER, basis)
    size = np.where(unstated, size, 0.0)
    total = np.bincount(group, weights=size, minlength=n_groups)[group]
    return np.divide(size, total, out=np.zeros_like(size), where=total > 0), np.where(unstated, basis, STATED)


def _all_in_group(group: Ints, holds: Bools, n_groups: int) -> Bools:
    return np.asarray(np.bincount(group, weights=~holds, minlength=n_groups)[group] == 0)


def _extremes(group: Ints, value: Floats, n_groups: int, default: float = 1.0) -> tuple[Floats, Floats]:
    low, high = np.full(n_groups, np.inf), np.full(n_groups, -np.inf)
    known = np.isfinite(value)
    np.minimum.at(low, group[known], value[known])
    np.maximum.at(high, group[known], value[known])
    return np.where(np.isinf(low), default, low), np.where(np.isinf(high), default, high)


def _pairs(wanted: Ints, keys: Ints, n_keys: int) -> tuple[Ints, Ints]:
    """Join: every position in `wanted` with every position in `keys` that holds the same code."""
    order = np.argsort(keys, kind="stable")
    count = np.bincount(keys, minlength=n_keys)
    first = np.cumsum(count) - count
    query, place = runs(count[wanted])
    return query, order[first[wanted[query]] + place]


def _distinct_pairs(major: Ints, minor: Ints) -> tuple[Ints, Ints]:
    if bool((major[1:] > major[:-1]).all()):
        return major, minor
    order = np.lexsort((minor, major))
    major, minor = major[order], minor[order]
    new = np.r_[True, (np.diff(major) != 0) | (np.diff(minor) != 0)] if len(major) else np.zeros(0, dtype=bool)
    return major[new], minor[new]
