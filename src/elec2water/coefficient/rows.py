"""Pairs of sample wells as rows of the regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elec2water.calendar_ import decimal_year, month_of
from elec2water.coefficient.context import WellContext
from elec2water.coefficient.equipment import FAULT_VARIANCE, FAULTS, NEVER, Equipment
from elec2water.coefficient.features import FeatureSpec, Static, harmonics
from elec2water.coefficient.gaussian import Rows
from elec2water.coefficient.shared import Layout
from elec2water.pairs import Measurements, short_test_rel_u

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_SMALL_MONTH = 0.05
_LEAST_PUMPING = 0.2
_SECONDS_A_YEAR = 365.25 * 86400.0
LONGEST_REST = 0.75
"""Years: a well of one crop may rest as long between two seasons; nobody reads it in a longer gap."""
_LOAD_REL_U = 10.0
"""Relative standard uncertainty of what another load takes in a month, a half, against the error of a pair (0.05)."""


@dataclass(frozen=True)
class Spans:
    """The months of each of R pairs: ``place`` (K,) of the pair, ``column`` (K,) of the month, ``weight`` (K,).

    ``year`` (K,) is the middle, as a decimal year, of what a pair has of the month.

    The coefficient of an interval is the mean of its months' weighted by energy, and so, to first order, is what moves
    it. Weights of a pair sum to one: by the well's electricity of the days that lie within, by the days alone where
    that of one of the months is not known. A pair within one month has that month alone.
    """

    place: Ints
    column: Ints
    weight: Floats
    year: Floats

    @classmethod
    def of(cls, measured: Measurements, context: WellContext, layout: Layout) -> Spans:
        """Cut pairs where months begin."""
        moment = pair_moments(measured, layout)
        middle = column_of(context, moment)
        first, last = month_of(measured.start), month_of(measured.end - np.timedelta64(1, "s"))
        count = np.where(np.isnat(measured.start), 1, np.maximum((last - first).astype(np.int64) + 1, 1))
        place = np.repeat(np.arange(count.size), count)
        column, weight, moment = middle[place], np.ones(place.size), moment[place]
        several = np.flatnonzero((count > 1)[place])
        pair = place[several]
        month = first[pair] + (np.arange(place.size) - (np.cumsum(count) - count)[place])[several]
        column[several] = np.clip(np.searchsorted(context.months, month), 0, context.months.size - 1)
        begin, end = month.astype("datetime64[s]"), (month + 1).astype("datetime64[s]")
        since = np.maximum(measured.start[pair], begin)
        within = np.minimum(measured.end[pair], end) - since
        moment[several] = since + within // 2
        days = within / (end - begin) * (context.months[column[several]] == month)
        kwh = days * context.kwh[measured.well[pair], column[several]]
        unknown = np.bincount(pair, np.isnan(kwh) & (days > 0), count.size)[pair] > 0
        kwh = np.where(unknown, 0.0, np.nan_to_num(kwh))
        known, seen = (np.bincount(pair, by, count.size)[pair] > 0 for by in (kwh, days))
        column[several] = np.where(seen, column[several], middle[pair])
        weight[several] = np.where(known, kwh, np.where(seen, days, 1.0))
        weight /= np.bincount(place, weight, count.size)[place]
        return cls(place, column, weight, decimal_year(moment))

    def mean(self, values: Floats, row: Ints) -> Floats:
        """Mean over each pair of what row ``row`` (R,) of ``values`` (·, M) has in its months, NaN where in none."""
        value = values[row[self.place], self.column]
        known = np.isfinite(value)
        weight = np.where(known, self.weight, 0.0)
        total = np.bincount(self.place, weight, row.size)
        part = np.divide(weight, total[self.place], out=np.zeros_like(weight), where=known & (total[self.place] > 0))
        mean = np.bincount(self.place, part * np.where(known, value, 0.0), row.size)
        return np.where(total > 0, mean, np.nan)

    @property
    def season(self) -> Floats:
        """Mean over each pair of the harmonics of the year, (R, 4)."""
        parts = harmonics(self.year)
        n = int(self.place[-1]) + 1 if self.place.size else 0
        return np.column_stack([np.bincount(self.place, self.weight * part, n) for part in parts.T])


def measured_rows(
    measured: Measurements, context: WellContext, spec: FeatureSpec, layout: Layout, equipment: Equipment
) -> tuple[Ints, Rows]:
    """Pairs as rows of the regression: the place in the registry of each sample well (W,), and the rows."""
    sample, position = np.unique(measured.well, return_inverse=True)
    position = np.asarray(position, dtype=np.intp)
    middle = pair_moments(measured, layout)
    month = month_of(middle)
    spans = Spans.of(measured, context, layout)
    aquifer = context.static.aquifer[measured.well]
    pumps = equipment.history(context.well_id[sample])
    moving = spec.moving(
        aquifer,
        decimal_year(middle),
        season=spans.season,
        level=spans.mean(context.level, measured.well),
        anomaly=np.where(measured.test, 0.0, spans.mean(context.anomaly, measured.well)),
        short_test=measured.test,
        worn_since=spec.worn_since(pumps.since(position, middle)),
        unseen=spans.mean(context.unseen, aquifer),
        lasting=spans.mean(context.lasting, aquifer),
    )
    cell_month = np.clip(np.searchsorted(layout.months, month), 0, layout.months.size - 1)
    installed = context.pump_installed[measured.well]
    pumping = _pumping(measured, context, spans)
    number = pumps.number(position, middle)
    rows = Rows(
        well=position,
        y=np.log(measured.coefficient / pumping),
        time=decimal_year(middle),
        pump=number,
        unread=unread_years(measured, position, number, spec, layout),
        cell=np.asarray(aquifer * layout.months.size + cell_month, dtype=np.intp),
        static=_static_when_measured(shared_static(context.static, layout, sample), position, middle, installed, spec),
        moving=moving,
        scale=_scale(measured, context, pumping),
        extra=short_test_rel_u(measured) ** 2 + FAULT_VARIANCE * pumps.under(FAULTS, position, middle),
        level_scale=np.ones(sample.size),
        n_cells=layout.n_cells,
    )
    return np.asarray(sample, dtype=np.intp), rows


def unread_years(measured: Measurements, well: Ints, pump: Ints, spec: FeatureSpec, layout: Layout) -> Floats:
    """Years without readings between the first pair of each pump and each of its pairs, (R,).

    Gaps from the end of all pairs before to the start of the next count where they are longer than a well may rest
    between two seasons. In a shorter one it was as good as read: it is looked at as soon as it pumps again. What was
    fitted before such gaps were counted goes on without them.

    Parameters
    ----------
    measured : Measurements
    well, pump : (R,)
        Sample well of each pair and the number of its pump.
    spec : FeatureSpec
    layout : Layout
    """
    unread = np.zeros(well.size)
    if not spec.unread_gaps or not well.size:
        return unread
    middle = pair_moments(measured, layout)
    start, end = (
        np.where(np.isnat(when), middle, when).astype("datetime64[s]").astype(np.int64)
        for when in (measured.start, measured.end)
    )
    order = np.lexsort((middle, pump, well))
    begins = np.ones(well.size, dtype=bool)
    begins[1:] = (np.diff(well[order]) != 0) | (np.diff(pump[order]) != 0)
    run = np.cumsum(begins)
    # Runs lie so far apart that the latest end of one is before the first start of the next.
    apart = run * (1 + end.max() - start.min())
    reached = np.maximum.accumulate(end[order] + apart) - apart
    gap = np.zeros(well.size)
    gap[1:] = np.where(begins[1:], 0, start[order][1:] - reached[:-1]) / _SECONDS_A_YEAR
    total = np.cumsum(np.where(gap > LONGEST_REST, gap, 0.0))
    unread[order] = total - total[begins][run - 1]
    return unread


def pumping_of_pairs(measured: Measurements, context: WellContext, layout: Layout) -> Floats:
    """Give the share of the electricity of each pair that pumped, (R,): a short test runs nothing but the pump.

    Water that came in a month taken for one of rest says that it was none: there the share is at least a fifth.
    """
    return _pumping(measured, context, Spans.of(measured, context, layout))


def _pumping(measured: Measurements, context: WellContext, spans: Spans) -> Floats:
    share = spans.mean(context.pumping, measured.well)
    return np.asarray(np.where(measured.test, 1.0, np.maximum(share, _LEAST_PUMPING)))


def head_movement(measured: Measurements, context: WellContext, layout: Layout) -> Floats:
    """Ln head of each pair less the well's own, (R,); zero where unknown."""
    return np.nan_to_num(Spans.of(measured, context, layout).mean(context.level, measured.well))


def column_of(context: WellContext, middle: NDArray[np.datetime64]) -> Ints:
    """Give the month of the context in which each pair lies, (R,)."""
    place = np.searchsorted(context.months, month_of(middle))
    return np.asarray(np.clip(place, 0, context.months.size - 1), dtype=np.intp)


def pair_moments(measured: Measurements, layout: Layout) -> NDArray[np.datetime64]:
    """Middle of each pair, (R,); the last month of the fit where a test has no date."""
    return np.where(np.isnat(measured.middle), layout.months[-1].astype("datetime64[s]"), measured.middle)


def shared_static(static: Static, layout: Layout, wells: NDArray[np.intp]) -> Floats:
    """Give static features of some wells with the factors written out as columns of zeros and ones, (n, p_F)."""
    blocks = [static.dense[wells]]
    for k, factor in enumerate(layout.factors):
        one_hot = np.zeros((wells.size, len(factor.levels)))
        code = static.codes[wells, k]
        known = np.flatnonzero(code >= 0)
        one_hot[known, code[known]] = 1.0
        blocks.append(one_hot)
    return np.hstack(blocks)


def _static_when_measured(
    static: Floats, well: Ints, middle: NDArray[np.datetime64], installed: NDArray[np.datetime64], spec: FeatureSpec
) -> Floats:
    """Blank the age of pumps that were put in after a well was measured: its pairs tell of the pump before."""
    names = [feature.name for feature in spec.numeric]
    before = np.zeros(static.shape[0], dtype=bool)
    before[well[(middle < installed) & (installed < NEVER)]] = True
    if "pump_age" in names and before.any():
        static = static.copy()
        static[before, 1 + names.index("pump_age")] = 0.0
    return static


def _scale(measured: Measurements, context: WellContext, pumping: Floats) -> Floats:
    """Error variance of a pair against that of an ordinary month: a month with hardly any energy says little.

    So does one in which the pump took but the share ``pumping`` of it: what is left errs by what the rest is off.
    """
    annual = context.annual_kwh[measured.well]
    small = _SMALL_MONTH * np.where(np.isfinite(annual), annual, 0.0) / 12.0
    rest = _LOAD_REL_U * (1.0 - pumping) / pumping
    return np.where(measured.test, 1.0, 1.0 + (small / measured.energy_kwh) ** 2 + rest**2)
