"""The months of meters as they were read, and what is known of each meter: what every rule looks at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from elec2water.calendar_ import Months
from elec2water.energy.arrays import Bools, Floats, Ints, Texts, distinct_numbers, is_one_of, numbers
from elec2water.energy.axis import Axis
from elec2water.energy.cells import ENOUGH_DAYS, Cells
from elec2water.energy.intervals import Intervals
from elec2water.energy.links import Epochs, Links
from elec2water.energy.registry import Registry
from elec2water.energy.reporter import Reporter
from elec2water.energy.resting import LONGEST, Rest, rest_of
from elec2water.findings import MOST_LISTED, Findings, largest_of
from elec2water.rules import RuleSettings

IDLE = ("standby", "sealed", "abandoned")
OFF_GRID = ("diesel", "solar")


@dataclass(frozen=True, slots=True, eq=False)
class MeterMonths:
    """Energy of R meters in M consecutive months, before anything is shared between wells.

    Attributes
    ----------
    months : numpy.ndarray, shape (M,)
        ``datetime64[M]``.
    kwh : numpy.ndarray, shape (R, M)
        Energy [kWh]; NaN where fewer than 80 % of the days were read.
    estimated : numpy.ndarray, shape (R, M)
        True where any part was spread over months, scaled up or estimated.
    capacity_kw, area_mu, multiplier : numpy.ndarray, shape (R,)
        Rated power and irrigated area of the wells on the meter and its multiplier, NaN where unknown.
    well : numpy.ndarray, shape (R,)
        Position of a well on the meter, -1 where there is none.
    idle : numpy.ndarray, shape (R,)
        True for meters of wells that are on standby, sealed or abandoned, or not driven by the grid.
    one_multiplier : numpy.ndarray, shape (R,)
        True where every energy is a register's difference times one multiplier, applied here.
    intervals : Intervals
        The readings behind them.
    asked : slice
        The months that findings are wanted for.
    """

    months: Months
    kwh: Floats
    estimated: Bools
    capacity_kw: Floats
    area_mu: Floats
    multiplier: Floats
    well: Ints
    idle: Bools
    one_multiplier: Bools
    intervals: Intervals
    asked: slice

    def in_period(self) -> Bools:
        """Tell which months findings are wanted for, shape (M,)."""
        mask = np.zeros(len(self.months), dtype=bool)
        mask[self.asked] = True
        return mask

    @property
    def other_load(self) -> Floats:
        """Electricity of a month behind each meter that pumps nothing, as volumes leave it out, shape (R,) [kWh].

        The wells on a meter share it as they share its energy. Only months asked for are looked at, as volumes do.
        """
        return self._rest_since(self.asked.start).load

    def at_rest(self) -> Bools:
        """Tell in which months a meter read no more than what else than a pump is behind it, shape (R, M).

        What a lamp takes while the pump rests is equal from month to month, and far below the usual, by its nature.
        """
        return self._rest_since(0).months(self.kwh)

    def _rest_since(self, first: int) -> Rest:
        end = self.asked.stop
        return rest_of(self.kwh[:, max(first, end - LONGEST) : end], self.capacity_kw)

    def evenly(self) -> MeterMonths:
        """Give the same with readings over several months in equal parts, to hundredths of a kWh.

        What is the same reading twice is then the same months, however the county's season had them spread.
        """
        rows = np.flatnonzero(self.estimated.any(axis=1))
        if not len(rows):
            return self
        kwh, reading = self.kwh.copy(), self.readings_of(rows)
        _, of = np.unique(reading, return_inverse=True)
        of = of.reshape(reading.shape)
        count = np.bincount(of.ravel())
        mean = np.bincount(of.ravel(), kwh[rows].ravel()) / count
        kwh[rows] = np.where(count[of] > 1, np.round(mean[of], 2), kwh[rows])
        return replace(self, kwh=kwh)

    def readings_of(self, meter: Ints) -> Ints:
        """Tell which reading months of some meters are of, by the middle of the month, shape (k, M).

        The place in `intervals` put in order: equal where one reading was spread over months. Months that no reading
        covers have numbers of their own, below zero.

        Parameters
        ----------
        meter : numpy.ndarray, shape (k,)
            Positions of the meters, rising.
        """
        some = self.intervals.take(np.flatnonzero(np.isin(self.intervals.meter, meter))).in_order()
        middle = self.months.astype("datetime64[D]").astype(np.int64) + 14
        base = int(min(some.start.min(initial=0), middle.min(initial=0)))
        span = int(max(some.start.max(initial=0), middle.max(initial=0))) - base + 1
        at = np.searchsorted(some.meter * span + some.start - base, meter[:, None] * span + middle - base, "right") - 1
        held = np.maximum(at, 0)
        covers = (at >= 0) & (some.meter[held] == meter[:, None]) & (some.end[held] > middle)
        return np.where(covers, at, -1 - np.arange(at.size).reshape(at.shape))

    def rows(self, meter: Ints, month: Ints) -> Ints:
        """Give the row of the file behind the greatest part of meter-months, -1 where there is none; shape (k,)."""
        concerned = np.flatnonzero(np.isin(self.intervals.meter, meter))
        some = self.intervals.take(concerned[np.argsort(self.intervals.meter[concerned], kind="stable")])
        first = self.months[month].astype("datetime64[D]").astype(np.int64)
        last = (self.months[month] + 1).astype("datetime64[D]").astype(np.int64)
        begin, end = (np.searchsorted(some.meter, meter, side=side) for side in ("left", "right"))
        found = np.full(len(meter), -1, dtype=np.int64)
        for k, part in enumerate(map(slice, begin, end)):
            shared = np.minimum(some.end[part], last[k]) - np.maximum(some.start[part], first[k])
            if shared.size and shared.max() > 0:
                found[k] = some.row[part][np.argmax(shared)]
        return found


def series_of_meters(
    cells: Cells,
    intervals: Intervals,
    registry: Registry,
    epochs: Epochs,
    wells: pd.DataFrame,
    axis: Axis,
    asked: slice,
    one_multiplier: Bools,
) -> MeterMonths:
    """Bring what the spells of meters read together by meter.

    Parameters
    ----------
    cells : Cells
        A row for each spell of `epochs`.
    intervals : Intervals
        The readings behind them.
    registry, epochs, wells, axis : Registry, Epochs, DataFrame, Axis
        Meters, wells and months.
    asked : slice
        The months that findings are wanted for.
    one_multiplier : numpy.ndarray, shape (n_meters,)
        As :func:`elec2water.energy.registers.one_multiplier` tells.

    Returns
    -------
    MeterMonths
    """
    n_meters = len(registry.meter_id)
    kwh, days, estimated = cells.kwh, cells.days, cells.reason > 0
    if len(epochs.meter) != n_meters:
        first = epochs.first[:-1]
        kwh, days = np.add.reduceat(kwh, first, axis=0), np.add.reduceat(days, first, axis=0)
        estimated = np.logical_or.reduceat(estimated, first, axis=0)
    odd = np.flatnonzero((days != axis.days).any(axis=1))
    if len(odd):
        part = np.minimum(days[odd] / axis.days, 1.0)
        kwh = kwh.copy()
        kwh[odd] = np.where(part >= ENOUGH_DAYS, kwh[odd] / np.where(part > 0, part, 1.0), np.nan)
    links = registry.links
    largest = _last_link(links.meter, n_meters, *_size_and_name(links, wells))
    latest = _last_link(links.meter, n_meters, links.start, links.end, np.nan_to_num(links.multiplier))
    well = np.append(links.well, -1)[largest]
    multiplier = np.append(links.multiplier, np.nan)[latest]
    out_of_use = is_one_of(wells, "status", IDLE) | is_one_of(wells, "power_source", OFF_GRID)
    return MeterMonths(
        months=axis.months,
        kwh=kwh,
        estimated=estimated,
        capacity_kw=links.capacity_kw,
        area_mu=_area_of(links.meter, links.well, numbers(wells, "irrigated_area_mu"), n_meters),
        multiplier=multiplier,
        well=well,
        idle=np.append(out_of_use, False)[well],
        one_multiplier=one_multiplier,
        intervals=intervals,
        asked=asked,
    )


def _size_and_name(links: Links, wells: pd.DataFrame) -> tuple[Floats, Ints]:
    """Give what a well must have most of to stand for a meter it shares: rated power, and then the first name."""
    name = np.zeros(len(links.meter), dtype=np.int64)
    shared = np.flatnonzero(np.bincount(links.meter, minlength=1)[links.meter] > 1)
    name[shared] = -pd.factorize(wells["well_id"].iloc[links.well[shared]], sort=True)[0]
    return np.nan_to_num(numbers(wells, "pump_power_kw"))[links.well], name


def _last_link(meter: Ints, n_meters: int, *keys: Floats | Ints) -> Ints:
    """Give the link of each meter that is last by some keys, whatever the order of the links; -1 without a link."""
    order = np.arange(len(meter)) if (meter[1:] > meter[:-1]).all() else np.lexsort((*keys[::-1], meter))
    link = np.full(n_meters, -1, dtype=np.int64)
    link[meter[order]] = order
    return link


def _area_of(meter: Ints, well: Ints, area: Floats, n_meters: int) -> Floats:
    """Sum the areas of the wells on each meter, NaN where one is unknown."""
    pair = distinct_numbers(meter * (len(area) + 1) + well)
    meter, well = np.divmod(pair, len(area) + 1)
    total = np.bincount(meter, weights=area[well], minlength=n_meters)
    return np.where(total > 0, total, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Suspects:
    """Meters and spells of months that a rule names, all arrays of shape (k,).

    Attributes
    ----------
    meter, first, last : numpy.ndarray
        The meter, and the first and last month (columns) of the spell.
    observed, limit : numpy.ndarray
        What was seen, and from where on it is reported.
    stake : numpy.ndarray
        Energy at stake [kWh].
    candidates : numpy.ndarray of str
        Causes, likeliest first, ``|`` between them.
    """

    meter: Ints
    first: Ints
    last: Ints
    observed: Floats
    limit: Floats
    stake: Floats
    candidates: Texts


@dataclass(frozen=True, eq=False)
class Desk:
    """Where findings are written: who speaks, the names of the wells, and what the project chose."""

    reporter: Reporter
    well_id: Texts
    settings: RuleSettings

    @cached_property
    def mixed(self) -> npt.NDArray[np.uint64]:
        """A number mixed from the name of each meter."""
        return np.asarray(pd.util.hash_array(self.reporter.meter_id, categorize=False))

    def findings(self, rule: str, suspects: Suspects, series: MeterMonths) -> Findings:
        """Make the findings of a rule, those with most at stake one by one."""
        order = np.lexsort((suspects.first, suspects.meter, -suspects.stake))
        meter, first, last = suspects.meter[order], suspects.first[order], suspects.last[order]
        row = np.full(len(order), np.nan)
        row[:MOST_LISTED] = series.rows(meter[:MOST_LISTED], first[:MOST_LISTED])
        well = series.well[meter]
        return largest_of(
            rule,
            suspects.stake[order],
            table="readings",
            file=self.reporter.file,
            row=np.where(row >= 0, row, np.nan),
            meter_id=self.reporter.meter_id[meter],
            well_id=np.where(well >= 0, self.well_id[well], ""),
            period=_spells(series.months[first], series.months[last]),
            observed=suspects.observed[order],
            limit=suspects.limit[order],
            energy_kwh=np.round(suspects.stake[order], 1),
            candidates=suspects.candidates[order],
            lang=self.reporter.lang,
        )


def _spells(first: Months, last: Months) -> Texts:
    """Write spells of months, ``2026-03`` or ``2026-03/2026-05`` (both included)."""
    begin, end = first.astype(str).astype(object), last.astype(str).astype(object)
    return np.where(first == last, begin, begin + "/" + end)
