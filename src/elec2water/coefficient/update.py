"""Updating a coefficient: new and corrected pairs, water levels and pumps come in, the variances stay as they are.

The posterior at given variances is a function of all pairs alone, so that pair by pair, month by month and all at
once are the same numbers; a late or corrected pair is no special case. Only the search for the variances is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import decimal_year, month_of
from elec2water.coefficient.changes import Seen, see_changes, watched
from elec2water.coefficient.context import WellContext, in_order_of, on_grid, registered_ids
from elec2water.coefficient.delivery import METHOD
from elec2water.coefficient.equipment import FAULT_VARIANCE, FAULTS, WORKS, Equipment
from elec2water.coefficient.features import OF_SEASON, OF_WATER
from elec2water.coefficient.gauges import Gauges
from elec2water.coefficient.gaussian import Rows
from elec2water.coefficient.innovations import Limits
from elec2water.coefficient.news import UpdateRecord, class_news, empty_methods
from elec2water.coefficient.posterior import Posterior, fingerprint, posterior_at
from elec2water.coefficient.result import Coefficient, Outlook
from elec2water.coefficient.rows import measured_rows, pair_moments, unread_years
from elec2water.coefficient.shared import Layout
from elec2water.coefficient.water import first_level
from elec2water.coefficient.works import changed_methods
from elec2water.energy import MonthlyEnergy
from elec2water.errors import UsageError
from elec2water.pairs import Measurements, MergedPairs, measurements, merge_pairs, short_test_rel_u
from elec2water.threads import one_thread

Floats = NDArray[np.float64]
Months = NDArray[np.datetime64]

_YEAR = 12


_NEVER = np.datetime64("9999-01", "M")


@dataclass(frozen=True)
class Given:
    """What an update is made from: the pairs that stand now, and the registry if it was given.

    Water levels and electricity are given from a month on; what was known of the months before stands.
    """

    merged: MergedPairs
    context: WellContext | None
    levels_from: np.datetime64
    energy_from: np.datetime64

    def since(self, merged: MergedPairs) -> Given:
        """Give the same with other pairs."""
        return replace(self, merged=merged)


@one_thread
def update_coefficient(
    coefficient: Coefficient,
    pairs: pd.DataFrame | None = None,
    wells: pd.DataFrame | None = None,
    water_levels: pd.DataFrame | None = None,
    *,
    energy: MonthlyEnergy | None = None,
    until: np.datetime64 | None = None,
    whole: bool = False,
    with_news: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Coefficient:
    """Bring a coefficient up to date; the one given is left as it is.

    Parameters
    ----------
    coefficient : Coefficient
    pairs, wells, water_levels, energy, until, progress : optional
        As for :func:`elec2water.coefficient.fit.fit_coefficient`, and what is left out stands as it was known. A pair
        of the same well and time stands in the place of the one known before. Without the registry only wells that
        have pairs already can be updated, and their levels of later months are taken as usual.
    whole : bool
        ``pairs`` is the whole table, see :func:`elec2water.pairs.merge_pairs`.
    with_news : bool
        Work out ``news``, which costs a posterior more for corrected pairs, and one where the registry, water levels
        or electricity are given too.

    Raises
    ------
    UsageError
        Pairs of wells that the coefficient does not know and no registry to find them in; registry and electricity as
        for a fit.
    """
    coefficient, well_id, grid = _located(coefficient, pairs, wells)
    energy = energy if energy is None or wells is None else in_order_of(wells, energy)
    water_levels = water_levels if wells is None else coefficient.gauges.joined(water_levels)
    given = coefficient.measured.take(np.zeros(0, dtype=np.intp)) if pairs is None else measurements(pairs, well_id)
    given = given.take(np.flatnonzero(grid[given.well]))
    merged = merge_pairs(coefficient.measured, given, whole=whole and pairs is not None)
    months = _months(coefficient, merged.pairs, until)
    context = None
    if wells is not None:
        context = coefficient.context(wells, water_levels, energy, months, merged.pairs)
    told = Given(merged, context, first_level(water_levels), _NEVER if energy is None else energy.months[0])
    updated = absorb(coefficient, told, well_id, months, progress)
    if wells is not None:
        updated = replace(updated, gauges=Gauges.of(water_levels))
    record = _record(coefficient, told, updated, with_news=with_news)
    if wells is not None and context is not None:
        record = replace(record, methods=_other_methods(coefficient, wells, context))
    return replace(updated, record=record)


def seen_today(
    coefficient: Coefficient,
    pairs: pd.DataFrame,
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None = None,
    *,
    energy: MonthlyEnergy | None = None,
) -> tuple[Coefficient, Coefficient]:
    """Give a coefficient as registry, levels and electricity of today make it, without any new pair.

    First with its own pairs as they were, then as the whole table has them now.
    """
    coefficient, well_id, grid = _located(coefficient, pairs, wells)
    energy = None if energy is None else in_order_of(wells, energy)
    water_levels = coefficient.gauges.joined(water_levels)
    table = measurements(pairs, well_id)
    merged = merge_pairs(coefficient.measured, table.take(np.flatnonzero(grid[table.well])), whole=True)
    months = coefficient.posterior.layout.months
    context = coefficient.context(wells, water_levels, energy, months, merged.pairs)
    given = Given(merged, context, first_level(water_levels), _NEVER if energy is None else energy.months[0])
    return _without_new(coefficient, given)


def _without_new(coefficient: Coefficient, given: Given) -> tuple[Coefficient, Coefficient]:
    """Read the old pairs again in the light of today, as they were and as they are corrected."""
    merged = given.merged
    nothing = coefficient.measured.take(np.zeros(0, dtype=np.intp))
    same = _at_known_months(coefficient, given.since(merge_pairs(coefficient.measured, nothing)))
    kept = merged.known_before()
    if not (merged.corrected.any() or merged.withdrawn.size) or not kept.pairs.well.size:
        return same, same
    return same, _at_known_months(coefficient, given.since(kept))


def _at_known_months(coefficient: Coefficient, given: Given) -> Coefficient:
    layout, place = coefficient.posterior.layout, np.unique(given.merged.pairs.well)
    known = pd.Index(coefficient.posterior.sample).get_indexer(pd.Index(place))
    sample_id = coefficient.sample_id[known]
    # A pump that the registry tells of now is news of the registry, not of the new pairs.
    equipment = coefficient.equipment
    if given.context is not None:
        equipment = equipment.of_wells(sample_id).adding(given.context.registered(place))
    sample, rows = updated_rows(coefficient, given, layout, equipment)
    posterior = _at_nodes(coefficient, rows, layout, sample)
    level = coefficient.outlook.level
    outlook = replace(coefficient.outlook, level=level[known] if level.size else level)
    seen = replace(coefficient, posterior=posterior, sample_id=sample_id, measured=given.merged.pairs, outlook=outlook)
    return replace(seen, equipment=equipment)


def absorb(
    coefficient: Coefficient,
    given: Given,
    well_id: NDArray[np.object_],
    months: Months,
    progress: Callable[[str], None] | None = None,
) -> Coefficient:
    """Give the coefficient whose pairs are those of ``given``, at the variances of ``coefficient``."""
    layout = replace(coefficient.posterior.layout, months=months)
    place = np.unique(given.merged.pairs.well)
    sample_id = well_id[place]
    equipment = coefficient.equipment
    if given.context is not None:
        equipment = equipment.of_wells(sample_id).adding(given.context.registered(place))
    anchor = (coefficient.windows.level[-1] + 1).astype("datetime64[s]")
    seen = _watch(coefficient, given, layout, watched(equipment, anchor), anchor, progress)
    fresh = given.merged.origin[seen.changes.found] < 0
    table = seen.changes.take(fresh).table(sample_id, pair_moments(given.merged.pairs, layout))
    return replace(
        coefficient,
        posterior=seen.posterior,
        sample_id=sample_id,
        measured=given.merged.pairs,
        equipment=seen.equipment,
        outlook=_outlook(coefficient, given, months, seen.posterior),
        record=UpdateRecord(changes=table, loads=seen.loads.table(sample_id)),
    )


def _watch(
    coefficient: Coefficient,
    given: Given,
    layout: Layout,
    equipment: Equipment,
    anchor: np.datetime64,
    progress: Callable[[str], None] | None,
) -> Seen:
    """Absorb the pairs, and absorb them again with the wells reset that broke with their past since the fit."""
    sample = np.unique(given.merged.pairs.well)

    def posterior_with(some: Equipment) -> Posterior:
        _, rows = updated_rows(coefficient, given, layout, some)
        return _at_nodes(coefficient, rows, layout, sample, progress)

    limits = Limits.of(coefficient.options.alarms_per_100_well_years)
    return see_changes(posterior_with, equipment, _ids(coefficient, given, sample), given.merged.pairs, limits, anchor)


def _ids(coefficient: Coefficient, given: Given, sample: NDArray[np.intp]) -> NDArray[np.object_]:
    return coefficient.sample_id[sample] if given.context is None else given.context.well_id[sample]


def _at_nodes(
    coefficient: Coefficient,
    rows: Rows,
    layout: Layout,
    sample: NDArray[np.intp],
    progress: Callable[[str], None] | None = None,
) -> Posterior:
    before, student_df = coefficient.posterior, coefficient.options.student_df
    if before.told_by and before.told_by == fingerprint(rows, layout, student_df):
        return before if np.array_equal(before.sample, sample) else replace(before, sample=sample)
    psi = np.log(before.sd)
    return posterior_at(
        rows,
        layout,
        sample,
        psi=psi,
        weight=before.weight,
        student_df=student_df,
        renewal=before.renewal,
        progress=progress,
    )


def _record(before: Coefficient, given: Given, after: Coefficient, *, with_news: bool) -> UpdateRecord:
    """Say what came in and what it moved."""
    merged = given.merged
    record = replace(
        after.record,
        new=merged.pairs.take(merged.new),
        corrected=merged.pairs.take(merged.corrected),
        withdrawn=before.measured.take(merged.withdrawn),
    )
    if not with_news:
        return record
    same, corrected = _without_new(before, given)
    return replace(record, news=class_news(before, same.posterior, corrected.posterior, after))


def updated_rows(
    coefficient: Coefficient, given: Given, layout: Layout, equipment: Equipment
) -> tuple[NDArray[np.intp], Rows]:
    """Pairs as rows of the regression; what is not given again stays as it was known."""
    if given.context is None:
        sample, rows = _rows_of_known_wells(coefficient, given.merged.pairs, layout, equipment)
    else:
        sample, rows = measured_rows(given.merged.pairs, given.context, coefficient.spec, layout, equipment)
    return sample, _as_known(coefficient, given, sample, rows)


def _located(
    coefficient: Coefficient, pairs: pd.DataFrame | None, wells: pd.DataFrame | None
) -> tuple[Coefficient, NDArray[np.object_], NDArray[np.bool_]]:
    """Place the sample wells in the registry, or in a registry of themselves alone where none is given."""
    if wells is not None:
        well_id = registered_ids(wells)
        return coefficient.placed(well_id), well_id, on_grid(wells)
    asked = np.zeros(0, dtype=object) if pairs is None else pairs["well_id"].unique().astype(object)
    unknown = asked[~np.isin(asked.astype(str), coefficient.sample_id.astype(str))]
    if unknown.size:
        first = ", ".join(map(str, unknown[:5]))
        raise UsageError(
            f"pairs: expected wells that the coefficient has pairs of, found {unknown.size} others ({first}); "
            "give the registry: update(pairs, wells, water_levels, energy=…)"
        )
    return coefficient.placed(coefficient.sample_id), coefficient.sample_id, np.ones(coefficient.sample_id.size, bool)


def _months(coefficient: Coefficient, measured: Measurements, until: np.datetime64 | None) -> Months:
    known = coefficient.posterior.layout.months
    seen = measured.months_within
    seen = seen[~np.isnat(seen)]
    ends = [known[0], known[-1]] + ([] if until is None else [np.datetime64(str(until), "M")])
    span = np.concatenate([seen, np.array(ends)])
    return np.arange(span.min(), span.max() + 1)


def _rows_of_known_wells(
    coefficient: Coefficient, measured: Measurements, layout: Layout, equipment: Equipment
) -> tuple[NDArray[np.intp], Rows]:
    """Rows without a registry: static features as in the fit, levels and energy as usual, season of the middle."""
    old, spec = coefficient.posterior.rows, coefficient.spec
    sample, position = np.unique(measured.well, return_inverse=True)
    first = np.searchsorted(old.well, sample)
    aquifer = (old.cell[first] // coefficient.posterior.layout.months.size)[position]
    middle = pair_moments(measured, layout)
    year = decimal_year(middle)
    pumps = equipment.history(coefficient.sample_id[sample])
    month = np.clip(np.searchsorted(layout.months, month_of(middle)), 0, layout.months.size - 1)
    worn_since = spec.worn_since(pumps.since(position, middle))
    number = pumps.number(position, middle)
    return sample, Rows(
        well=np.asarray(position, dtype=np.intp),
        y=np.log(measured.coefficient),
        time=year,
        pump=number,
        unread=unread_years(measured, position, number, spec, layout),
        cell=np.asarray(aquifer * layout.months.size + month, dtype=np.intp),
        static=old.static[sample],
        moving=spec.moving(aquifer, year, short_test=measured.test, worn_since=worn_since),
        scale=np.ones(year.size),
        extra=short_test_rel_u(measured) ** 2 + FAULT_VARIANCE * pumps.under(FAULTS, position, middle),
        level_scale=np.ones(sample.size),
        n_cells=layout.n_cells,
    )


def _as_known(coefficient: Coefficient, given: Given, sample: NDArray[np.intp], rows: Rows) -> Rows:
    """Keep levels, energy and attributes of pairs known before where nothing newer was given."""
    old, layout = coefficient.posterior.plain_rows, coefficient.posterior.layout
    level, lasting, anomaly = (layout.moving_names.index(name) for name in (*OF_WATER, "energy_anomaly"))
    season = [k for k, name in enumerate(layout.moving_names) if name.startswith(OF_SEASON)]
    here = np.flatnonzero(given.merged.origin >= 0)
    origin = given.merged.origin[here]
    month = layout.months[old.cell[origin] % layout.months.size]
    unleveled, unmetered = month < given.levels_from, month < given.energy_from
    moving, scale, static = rows.moving.copy(), rows.scale.copy(), rows.static
    y = rows.y.copy()
    for column in (level, lasting, *layout.unseen):
        moving[here[unleveled], column] = old.moving[origin[unleveled], column]
    moving[here[unleveled], level] = _at_other_works(coefficient, given, sample, moving[:, level])[here[unleveled]]
    for column in (anomaly, *season):
        moving[here[unmetered], column] = old.moving[origin[unmetered], column]
    scale[here[unmetered]] = old.scale[origin[unmetered]]
    y[here[unmetered]] = old.y[origin[unmetered]]
    had_levels = bool(old.moving[:, lasting].any() or old.moving[~_of_works(coefficient)[old.well], level].any())
    had_energy = any(f.name == "log_energy" for f in coefficient.spec.numeric)
    windows = coefficient.windows
    if (had_levels and given.levels_from > windows.level[0]) or (
        had_energy and given.energy_from > windows.energy_end - (_YEAR - 1)
    ):
        static = static.copy()
        place = pd.Index(coefficient.posterior.sample).get_indexer(pd.Index(sample))
        static[place >= 0] = old.static[place[place >= 0]]
    return replace(rows, y=y, moving=moving, scale=scale, static=static)


def _other_methods(coefficient: Coefficient, wells: pd.DataFrame, context: WellContext) -> pd.DataFrame:
    """Give the sample wells whose irrigation method is another than it was, and of which no day says since when."""
    before, layout = coefficient.posterior, coefficient.posterior.layout
    factor = next((f for f in layout.factors if f.name == METHOD), None)
    if factor is None:
        return empty_methods()
    start = layout.factor_start(METHOD)
    had = before.rows.static[:, start : start + len(factor.levels)]
    return changed_methods(factor.levels, had, wells.iloc[before.sample], context.works.take(before.sample))


def _of_works(coefficient: Coefficient) -> NDArray[np.bool_]:
    """Tell of which sample wells, (W,), the coefficient knows that their works were changed."""
    equipment = coefficient.equipment
    changed = equipment.well_id[equipment.cause.astype(str) == WORKS]
    return np.isin(coefficient.sample_id.astype(str), changed.astype(str))


def _at_other_works(coefficient: Coefficient, given: Given, sample: NDArray[np.intp], level: Floats) -> Floats:
    """Give the answer to the ln head of pairs (R,) with works that the registry tells of now and did not before.

    ``level`` (R,) is their answer as the coefficient knew it, of which no water level is given again.
    """
    if given.context is None:
        return level
    told = coefficient.sample_id[_of_works(coefficient)].astype(str)
    new = ~np.isin(given.context.well_id[sample].astype(str), told)
    raised = np.where(new, given.context.works.raised[sample], 0.0)
    pairs, spec = given.merged.pairs, coefficient.spec
    some = np.flatnonzero(raised[np.searchsorted(sample, pairs.well)])
    if not some.size:
        return level
    works = given.context.works.take(pairs.well[some])
    before = pair_moments(pairs, coefficient.posterior.layout)[some] < works.since
    answer = level.copy()
    answer[some] = spec.bent(spec.unbent(level[some]) - np.where(before, works.raised, 0.0))
    return answer


def _outlook(coefficient: Coefficient, given: Given, months: Months, posterior: Posterior) -> Outlook:
    """When the coefficient stands, and where water stood at its sample wells over the last year known till then."""
    year = float(decimal_year(np.array([months[-1] + 1], dtype="datetime64[s]"))[0])
    level = np.zeros(posterior.sample.size)
    before = pd.Index(coefficient.posterior.sample).get_indexer(pd.Index(posterior.sample))
    if coefficient.outlook.level.size:
        level[before >= 0] = coefficient.outlook.level[before[before >= 0]]
    if given.context is not None and given.levels_from < _NEVER:
        recent = given.context.water(posterior.sample)[:, -_YEAR:]
        known = np.isfinite(recent)
        bent = coefficient.spec.bent(np.where(known, recent, 0.0))
        mean = bent.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        level = np.where(known.any(axis=1), mean, level)
    return Outlook(year, level)
