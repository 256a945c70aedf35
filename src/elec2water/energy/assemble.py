"""The chain from readings to energy per well and month."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from elec2water.calendar_ import Months
from elec2water.energy.aligned import add_whole_months
from elec2water.energy.arrays import Bools, Floats, Ints, codes, numbers, positions, texts
from elec2water.energy.axis import Axis
from elec2water.energy.cells import ESTIMATED, SPREAD, Cells
from elec2water.energy.checks import coverage_findings, link_findings, over_capacity, without_energy
from elec2water.energy.corrections import Corrections, Edits, corrected, correction_findings
from elec2water.energy.exchanges import one_a_day
from elec2water.energy.forms import Forms, metered_pairs, sort_out
from elec2water.energy.intervals import Intervals, distinct, merge_estimated, usable, without_overlaps
from elec2water.energy.links import Epochs, Links, epochs_of, of_first_well
from elec2water.energy.monthly import MonthlyEnergy, month_range
from elec2water.energy.periods import Pieces, cut, rate_slopes, spread, spread_covariance
from elec2water.energy.profile import SHAPE_PER_DAY, DailyProfile, Metered, daily_profile
from elec2water.energy.registers import (
    causes_of_fall,
    differences,
    energy_of,
    one_multiplier,
    stated_multipliers,
    without_bridged_estimates,
)
from elec2water.energy.registry import Registry, registry_of
from elec2water.energy.reporter import NOTHING, Reporter, together
from elec2water.energy.screen.cycles import off_cycle
from elec2water.energy.screen.ratios import multiplier_ratios
from elec2water.energy.screen.series import MeterMonths, series_of_meters
from elec2water.energy.shares import fitted_exponents, fitted_spread, measures_of, size_by
from elec2water.energy.split import split_of_meters
from elec2water.energy.spreading import Spreading
from elec2water.energy.wells import cells_of_wells
from elec2water.errors import UsageError
from elec2water.findings import Findings
from elec2water.rules import RuleSettings

MONTHS_BEFORE, MONTHS_AFTER = 36, 12
"""Readings this far around the months asked for are looked at too: for the profile, and to tell meters in succession
from meters in parallel."""


def monthly_energy(
    wells: pd.DataFrame,
    meters: pd.DataFrame,
    readings: pd.DataFrame,
    *,
    first: np.datetime64,
    last: np.datetime64,
    lang: str = "zh",
) -> tuple[MonthlyEnergy, Findings]:
    """Turn electricity readings into energy per well and calendar month.

    Register reads become differences × multiplier; estimates are merged into the actual reads that follow; repeated,
    contradictory, overlapping and negative readings are settled and reported; intervals are spread over months by the
    county's own daily profile (uniformly where the data do not support one), the energy of a meter conserved;
    meters are shared between their wells and summed by well. A month is known if at least 80 % of its days are.

    Parameters
    ----------
    wells, meters, readings : pandas.DataFrame
        Typed frames of ``tables`` (canonical columns, the index the row of the file). `meters` without rows: each
        ``meter_id`` is a ``well_id``. A read or a period's end counts from the start of its day.
    first, last : numpy.datetime64
        First and last month wanted, both included.
    lang : str
        ``zh`` or ``en``: language of the findings.

    Returns
    -------
    tuple of MonthlyEnergy and Findings
        Energy [kWh] of every well in the order of `wells`, and what was seen on the way.

    Raises
    ------
    UsageError
        If `last` is before `first`, or a frame lacks a column that nothing can be done without.
    """
    reading = read_energy(wells, meters, readings, first=first, last=last, lang=lang)
    return reading.energy, reading.findings


@dataclass(frozen=True, slots=True, eq=False)
class EnergyReading:
    """What the readings of a county say.

    Attributes
    ----------
    energy : MonthlyEnergy
        Energy of every well.
    findings : Findings
        What was seen on the way.
    meters : MeterMonths
        Energy of every meter, for :func:`elec2water.energy.screen.screen`.
    reporter : Reporter
        Names of meters and files.
    corrections : Corrections
        The user's decisions.
    """

    energy: MonthlyEnergy
    findings: Findings
    meters: MeterMonths
    reporter: Reporter
    corrections: Corrections


def read_energy(
    wells: pd.DataFrame,
    meters: pd.DataFrame,
    readings: pd.DataFrame,
    *,
    first: np.datetime64,
    last: np.datetime64,
    corrections: pd.DataFrame | None = None,
    settings: RuleSettings | None = None,
    kappa: Floats | None = None,
    pairs: pd.DataFrame | None = None,
    lang: str = "zh",
) -> EnergyReading:
    """Read electricity as :func:`monthly_energy` does, and keep what the rules on meters look at.

    Parameters
    ----------
    wells, meters, readings, first, last, lang
        As for :func:`monthly_energy`.
    corrections : pandas.DataFrame, optional
        Decisions of the user (table ``corrections``); they change what is used, never what was read.
    settings : RuleSettings, optional
        Thresholds of the project; the catalogue's by default.
    kappa : numpy.ndarray, shape (N,), optional
        Coefficient of each well [m³/kWh] as an earlier posterior has it: meters without stated shares are then split
        by area ÷ coefficient and not by power × area.
    pairs : pandas.DataFrame, optional
        The table ``pairs``: the electricity of sample wells tells how a season goes between months that meters read as
        one. It is the energy of no well.

    Returns
    -------
    EnergyReading
    """
    settings = settings or RuleSettings()
    months = month_range(first, last)
    _require(wells, "wells", "well_id")
    _require(readings, "readings", "meter_id")
    if len(meters):
        _require(meters, "meters", "meter_id", "well_id")
    code, read_ids = codes(readings["meter_id"])
    registry, found = registry_of(wells, meters, read_ids, lang)
    reporter = Reporter(registry.meter_id, _file(readings), _file(meters), lang)
    power, area = numbers(wells, "pump_power_kw"), numbers(wells, "irrigated_area_mu")
    epochs = epochs_of(registry.links, power, area, kappa)
    forms = sort_out(readings, code)
    axis = Axis.of(_months_around(months, forms))
    decisions = Corrections.of(corrections, registry.meter_id)
    townships = _Townships(wells, registry, pairs)
    gathered, seen = _gather(forms, registry, epochs, axis, reporter, settings, decisions, townships)
    if epochs.basis is not None:
        size, by_power, spread = _learned_from_others(gathered.cells, epochs, axis, wells, kappa)
        epochs = epochs_of(registry.links, by_power, area, kappa, size).believing(spread)
    of_wells = cells_of_wells(gathered.cells, epochs, len(wells), axis, gathered.profile.shape_per_day)
    split = split_of_meters(gathered.cells, epochs, axis.days)
    spreading = None if gathered.spreading is None else gathered.spreading.of_wells(epochs, townships.of_wells)
    whole = replace(_energy_of(wells, of_wells, axis), split=split, spreading=spreading)
    energy = adjusted(whole, gathered.edits, epochs).window(months[0], months[-1])
    asked = slice(int(np.searchsorted(axis.months, months[0])), int(np.searchsorted(axis.months, months[-1])) + 1)
    parts = [
        found,
        seen,
        reporter.of("ADJUSTMENT_APART", forms.adjustments, observed=forms.adjustments.kwh),
        link_findings(wells, registry, epochs, gathered.cells, axis, asked, reporter),
        coverage_findings(of_wells, gathered.cells, epochs, axis, asked, reporter),
        over_capacity(energy, wells, settings.limit("OVER_CAPACITY"), reporter),
        without_energy(energy, wells, lang),
    ]
    applied_here = one_multiplier(forms.billing, forms.reads, registry.links, len(registry.meter_id))
    series = series_of_meters(gathered.cells, gathered.intervals, registry, epochs, wells, axis, asked, applied_here)
    return EnergyReading(energy, together(*parts), series, reporter, decisions)


def _learned_from_others(
    cells: Cells, epochs: Epochs, axis: Axis, wells: pd.DataFrame, kappa: Floats | None
) -> tuple[Floats, Floats, Floats]:
    """Learn from meters that serve one well each what shares are made by, and how far wells differ in it.

    Given are (N,) what stands for power × area, what stands for power where an area is unknown, and the spread (5,).
    """
    alone = np.bincount(epochs.epoch, minlength=len(epochs.meter))[epochs.epoch] == 1
    link = np.flatnonzero(alone & (epochs.share == 1.0))
    well, kwh = epochs.well[link], np.where(cells.days < axis.days, np.nan, cells.kwh)[epochs.epoch[link]]
    power, area, depth = (numbers(wells, name) for name in ("pump_power_kw", "irrigated_area_mu", "pump_depth_m"))
    village = pd.factorize(texts(wells, "township") + "/" + texts(wells, "village"))[0][well]

    def learned(area_mu: Floats) -> Floats:
        measures = measures_of(power, area_mu, depth)
        return size_by(measures, fitted_exponents(kwh, measures[:, well], village))

    size, by_power = learned(area), learned(np.ones(len(wells)))
    nothing = np.full(len(link), np.nan)
    water = nothing if kappa is None else (area / kappa)[well]
    bases = np.stack([nothing, size[well], by_power[well], np.ones(len(link)), water])
    return size, by_power, fitted_spread(kwh, bases, village)


@dataclass(frozen=True, slots=True, eq=False)
class _Gathered:
    cells: Cells
    profile: DailyProfile
    intervals: Intervals
    edits: Edits
    spreading: Spreading | None


def _gather(
    forms: Forms,
    registry: Registry,
    epochs: Epochs,
    axis: Axis,
    reporter: Reporter,
    settings: RuleSettings,
    decisions: Corrections,
    townships: _Townships,
) -> tuple[_Gathered, Findings]:
    """Fill the cells of all meters: the orderly ones at once, the others interval by interval."""
    cells = Cells.empty(len(epochs.meter), len(axis.days))
    blocked = np.zeros(len(registry.meter_id), dtype=bool)
    blocked[forms.reads.meter] = True
    blocked[decisions.concerned] = True
    rest = add_whole_months(cells, forms.billing, epochs, blocked, axis)
    intervals, found, edits = _settled(forms, rest, registry, reporter, settings, decisions)
    pieces = cut(intervals, epochs)
    crosses = _crosses(pieces, len(intervals))
    crossing = crosses[pieces.parent]
    cells = cells.with_lags() if crossing.any() else cells
    first_month = int(axis.months[0].astype(np.int64))
    flat = DailyProfile(np.full(len(axis.days), np.nan), SHAPE_PER_DAY)
    _add(cells, intervals, pieces, ~crossing, flat, first_month)
    needed = crossing.any() or _partly_read(cells, axis)
    profile = flat
    if needed:
        metered = Metered(intervals, townships.of_meters)
        profile = daily_profile(cells, epochs.meter, metered, crosses, axis, townships.beside)
    _add(cells, intervals, pieces, crossing, profile, first_month)
    orderly = forms.billing if not rest.any() else forms.billing.take(~rest)
    seen = Intervals.concat([orderly, intervals]) if len(intervals) else orderly
    told = crossing.any() and profile.covariance.any()
    spreading = _spreading(intervals, pieces.take(crossing), profile, axis) if told else None
    return _Gathered(cells, profile, seen, edits, spreading), found


def _spreading(intervals: Intervals, pieces: Pieces, profile: DailyProfile, axis: Axis) -> Spreading:
    """Lay out what spells of meters err by together where rates of months are uncertain."""
    first_month = int(axis.months[0].astype(np.int64))
    piece, source, slope = rate_slopes(pieces, intervals.kwh[pieces.parent], profile, first_month)
    month = pieces.month - first_month
    held = (month[piece] >= 0) & (month[piece] < len(axis.months))
    piece, source, slope = piece[held], source[held], slope[held]
    return Spreading(
        axis.months,
        profile.covariance,
        pieces.epoch[piece],
        month[piece],
        month[source],
        slope,
        np.full(piece.size, -1),
        profile.apart * np.nan_to_num(profile.rate),
    )


@dataclass(frozen=True)
class _Townships:
    """Where wells and meters are, asked for only where readings are to be told apart into months."""

    wells: pd.DataFrame
    registry: Registry
    pairs: pd.DataFrame | None

    @cached_property
    def of_wells(self) -> Ints:
        """Number of the township of each well, (N,); of its village where there is one township."""
        for name in ("township", "village"):
            code = np.asarray(pd.factorize(texts(self.wells, name))[0], dtype=np.int64)
            if code.max(initial=0) > 0:
                return code
        return np.zeros(len(self.wells), dtype=np.int64)

    @property
    def of_meters(self) -> Ints:
        """The same of each meter, by its first well, (n_meters,)."""
        return of_first_well(self.registry.links, self.of_wells, len(self.registry.meter_id))

    @property
    def beside(self) -> Metered | None:
        """Electricity that sample wells' pairs state; unlisted wells are a township of their own."""
        if self.pairs is None:
            return None
        intervals, names = metered_pairs(self.pairs)
        place = positions(names, self.wells["well_id"])
        return Metered(intervals, np.append(self.of_wells, self.of_wells.max(initial=-1) + 1)[place])


def _settled(
    forms: Forms,
    rest: Bools,
    registry: Registry,
    reporter: Reporter,
    settings: RuleSettings,
    decisions: Corrections,
) -> tuple[Intervals, Findings, Edits]:
    """Settle billing rows and registers each by their own rules, then one against the other.

    The user's decisions come before any rule leaves a reading out.
    """
    billing, edits = corrected(forms.billing.take(rest), decisions)
    billing, unusable = usable(billing, reporter)
    billing, repeated = distinct(billing, reporter)
    irregular = off_cycle(billing, settings, reporter) if settings.speaks("OFF_CYCLE") else NOTHING
    billing, merged = merge_estimated(billing, reporter)
    billing, overlaps = without_overlaps(billing, reporter)
    reads, repeated_reads = one_a_day(forms.reads, reporter)
    reads, bridged = without_bridged_estimates(reads, reporter)
    moved, registers = energy_of(differences(reads), registry.links, reporter, stated_multipliers(reads))
    moved, more = corrected(moved, _not_yet(decisions, edits), supply=True)
    edits = Edits.joined([edits, more])
    moved, fallen = usable(moved, reporter, causes_of_fall(moved, registry.links, reporter))
    moved, stated_twice = _where_not_billed(moved, billing, registry.links, settings, reporter)
    decided = correction_findings(decisions, edits, reporter)
    parts = [unusable, repeated, irregular, merged, overlaps, repeated_reads, bridged, registers, fallen, stated_twice]
    return Intervals.concat([billing, moved]).in_order(), together(decided, *parts), edits


def _where_not_billed(
    moved: Intervals, billing: Intervals, links: Links, settings: RuleSettings, reporter: Reporter
) -> tuple[Intervals, Findings]:
    """Leave out register differences of days for which the same meter has billed energy."""
    if not len(billing) or not len(moved):
        return moved, NOTHING
    base = min(int(billing.start.min()), int(moved.start.min()))
    span = max(int(billing.end.max()), int(moved.end.max())) - base + 1
    starts = np.sort(billing.meter * span + billing.start - base)
    ends = np.sort(billing.meter * span + billing.end - base)
    opened = np.searchsorted(starts, moved.meter * span + moved.end - base, side="left")
    closed = np.searchsorted(ends, moved.meter * span + moved.start - base, side="right")
    billed = opened > closed
    found = reporter.of("READING_TWO_FORMS", moved.take(billed), observed=moved.kwh[billed])
    return moved.take(~billed), together(
        found, multiplier_ratios(moved.take(billed), billing, links, settings, reporter)
    )


def _not_yet(decisions: Corrections, edits: Edits) -> Corrections:
    """Give the decisions that have not been followed yet."""
    return replace(decisions, meter=np.where(np.isin(np.arange(len(decisions)), edits.correction), -1, decisions.meter))


def adjusted(energy: MonthlyEnergy, edits: Edits, epochs: Epochs) -> MonthlyEnergy:
    """Mark the known months of wells whose meters' energy a decision changed with quality J."""
    some = np.flatnonzero(np.isfinite(edits.after))
    if not len(some):
        return energy
    quality = energy.quality.copy()
    first = energy.months.astype("datetime64[D]").astype(np.int64)
    last = (energy.months + 1).astype("datetime64[D]").astype(np.int64)
    for k in some:
        month = (first < edits.end[k]) & (last > edits.start[k])
        well = np.unique(epochs.well[epochs.meter[epochs.epoch] == edits.meter[k]])
        cells = np.ix_(well, np.flatnonzero(month))
        quality[cells] = np.where(quality[cells] == "N", "N", "J")
    return replace(energy, quality=quality)


def _crosses(pieces: Pieces, n: int) -> Bools:
    return np.asarray(np.bincount(pieces.parent, minlength=n) > 1)


def _partly_read(cells: Cells, axis: Axis) -> bool:
    return bool(np.any((cells.days > 0) & (cells.days < axis.days)))


def _add(
    cells: Cells, intervals: Intervals, pieces: Pieces, which: Bools, profile: DailyProfile, first_month: int
) -> None:
    some = pieces.take(which)
    kwh, variance = spread(intervals, some, profile, first_month)
    column = some.month - first_month
    held = (column >= 0) & (column < cells.kwh.shape[1])
    reason = np.where(intervals.estimated[some.parent], ESTIMATED, np.uint8(0))
    parted = _crosses(some, len(intervals)) & (intervals.kwh > 0.0)
    reason |= np.where(parted[some.parent], SPREAD, np.uint8(0))
    cells.add(some.epoch[held], column[held], kwh[held], variance[held], some.days[held], reason[held])
    for lag in range(1, len(cells.lags) + 1):
        piece, covariance = spread_covariance(intervals, some, kwh, profile, lag)
        inside = held[piece] & held[piece + lag]
        np.add.at(cells.lags[lag - 1], (some.epoch[piece[inside]], column[piece[inside]]), covariance[inside])


def _energy_of(wells: pd.DataFrame, of_wells: Cells, axis: Axis) -> MonthlyEnergy:
    unknown = np.isnan(of_wells.kwh)
    quality = np.full(unknown.shape, "A", dtype="<U1")
    quality[of_wells.reason > 0] = "E"
    quality[unknown] = "N"
    ids = wells["well_id"].to_numpy(dtype=object)
    return MonthlyEnergy(
        ids, axis.months, of_wells.kwh, of_wells.variance, quality, reason=of_wells.reason, lags=of_wells.lags
    )


def _months_around(months: Months, forms: Forms) -> Months:
    """Give the months asked for, and those around them that have readings."""
    bills, reads = forms.billing, forms.reads.day
    begins = [part.min() for part in (bills.start, reads) if len(part)]
    ends = [part.max() - until for part, until in ((bills.end, 1), (reads, 0)) if len(part)]
    if not begins:
        return months
    read = np.array([min(begins), max(ends)]).astype("datetime64[D]").astype("datetime64[M]")
    lower = max(min(read[0], months[0]), months[0] - MONTHS_BEFORE)
    upper = min(max(read[1], months[-1]), months[-1] + MONTHS_AFTER)
    return month_range(lower, upper)


def _require(frame: pd.DataFrame, table: str, *columns: str) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise UsageError(f"{table}: expected the column(s) {missing}, found {list(frame.columns)}; read it with tables")


def _file(frame: pd.DataFrame) -> str:
    return str(frame.attrs.get("file", ""))
