"""Fitting the coefficient: from the tables of a county to the posterior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.coefficient.changes import Seen, see_changes
from elec2water.coefficient.context import (
    Known,
    WellContext,
    Windows,
    in_order_of,
    learn_wells,
    on_grid,
    registered_ids,
)
from elec2water.coefficient.curvature import bent_rows, learned_curvature
from elec2water.coefficient.equipment import Equipment
from elec2water.coefficient.features import FeatureSpec
from elec2water.coefficient.gauges import Gauges
from elec2water.coefficient.gaussian import Rows
from elec2water.coefficient.innovations import Limits
from elec2water.coefficient.news import UpdateRecord
from elec2water.coefficient.options import FitOptions
from elec2water.coefficient.posterior import Posterior, fit_posterior, posterior_at
from elec2water.coefficient.result import Coefficient
from elec2water.coefficient.rows import head_movement, measured_rows, pair_moments
from elec2water.coefficient.shared import Layout
from elec2water.energy import MonthlyEnergy
from elec2water.errors import UsageError
from elec2water.pairs import Measurements, measurements
from elec2water.threads import one_thread

_SAME_CURVATURE = 0.05


@one_thread
def fit_coefficient(
    pairs: pd.DataFrame,
    wells: pd.DataFrame,
    water_levels: pd.DataFrame | None = None,
    *,
    energy: MonthlyEnergy | None = None,
    until: np.datetime64 | None = None,
    options: FitOptions | None = None,
    pumps: Equipment | None = None,
    progress: Callable[[str], None] | None = None,
) -> Coefficient:
    """Fit the conversion coefficient of every well of a registry.

    Parameters
    ----------
    pairs, wells, water_levels : DataFrame
        Tables of the contract, as :func:`elec2water.tables.read_tables` returns them.
    energy : MonthlyEnergy, optional
        Electricity of all wells; carries the information of poor pumps. Left out, the model does without.
    until : datetime64[M], optional
        Last month for which coefficients are wanted; the last month of pairs by default.
    options : FitOptions, optional
    pumps : Equipment, optional
        Changes of pumps that the registry does not tell, of an earlier coefficient.
    progress : callable, optional
        Told in words what is being done.

    Returns
    -------
    Coefficient

    Raises
    ------
    UsageError
        No usable pair of a well of the registry; a well without a name or there twice; one of which ``energy``, in
        whatever order, knows nothing.
    """
    options = options or FitOptions()
    energy = None if energy is None else in_order_of(wells, energy)
    well_id = registered_ids(wells) if energy is None else energy.well_id
    measured = measurements(pairs, well_id)
    measured = measured.take(np.flatnonzero(on_grid(wells)[measured.well]))
    known = Known(wells, water_levels, energy, measured)
    if measured.well.size == 0:
        raise UsageError(
            f"pairs: expected at least one usable pair of a registered well, found none in {len(pairs)} rows; "
            "check well_id, energy_kwh and volume_m3"
        )
    first, last = _span(measured, energy)
    windows = Windows(_energy_end(energy, last), np.arange(first, last + 1))
    last = last if until is None else max(last, np.datetime64(str(until), "M"))
    months = np.arange(first, last + 1)
    spec, context = learn_wells(known, months, windows, options)
    layout = spec.layout(months)
    sample_id = well_id[np.unique(measured.well)]
    equipment = context.registered(np.unique(measured.well))
    equipment = equipment if pumps is None else equipment.adding(pumps.of_wells(sample_id))
    sample, rows = measured_rows(measured, context, spec, layout, equipment)
    posterior = fit_posterior(rows, layout, sample, student_df=options.student_df, progress=progress)
    movement = head_movement(measured, context, layout)
    spec, posterior = _with_curvature(spec, posterior, rows, movement, options.student_df, progress)
    pairs_as_seen = _Pairs(measured, context, spec, layout)
    seen = _with_changes(posterior, pairs_as_seen, equipment, sample_id, options, progress)
    changes = seen.changes.table(sample_id, pair_moments(measured, layout))
    record = UpdateRecord(changes=changes, loads=seen.loads.table(sample_id))
    told = Coefficient(seen.posterior, spec, options, windows, sample_id, measured, seen.equipment, record=record)
    return replace(told, gauges=Gauges.of(water_levels))


@dataclass(frozen=True)
class _Pairs:
    """Pairs and what is known of their wells: all that rows are made of, but the equipment."""

    measured: Measurements
    context: WellContext
    spec: FeatureSpec
    layout: Layout

    def rows(self, equipment: Equipment) -> Rows:
        return measured_rows(self.measured, self.context, self.spec, self.layout, equipment)[1]


def _with_changes(
    posterior: Posterior,
    pairs: _Pairs,
    equipment: Equipment,
    sample_id: NDArray[np.object_],
    options: FitOptions,
    progress: Callable[[str], None] | None,
) -> Seen:
    """Reset the wells whose own readings broke with their past within the fit, and learn the variances without it."""
    layout, sample, df = posterior.layout, posterior.sample, options.student_df
    psi, weight = np.log(posterior.sd), posterior.weight

    def posterior_with(some: Equipment) -> Posterior:
        if some is equipment:
            return posterior
        return posterior_at(pairs.rows(some), layout, sample, psi=psi, weight=weight, student_df=df, progress=progress)

    moments = pair_moments(pairs.measured, layout)
    limits = Limits.of(options.alarms_per_100_well_years)
    seen = see_changes(posterior_with, equipment, sample_id, pairs.measured, limits, moments.min())
    if seen.equipment is equipment:
        return seen
    anew = fit_posterior(pairs.rows(seen.equipment), layout, sample, student_df=df, progress=progress)
    return replace(seen, posterior=anew)


def _with_curvature(
    spec: FeatureSpec,
    posterior: Posterior,
    rows: Rows,
    movement: NDArray[np.float64],
    student_df: float,
    progress: Callable[[str], None] | None,
) -> tuple[FeatureSpec, Posterior]:
    """Bend the head as the pairs tell, the variances at the nodes found before."""
    curvature = learned_curvature(posterior, movement, spec)
    if abs(curvature - spec.head_curvature) < _SAME_CURVATURE:
        return spec, posterior
    spec = replace(spec, head_curvature=curvature)
    layout, sample = posterior.layout, posterior.sample
    psi, weight = np.log(posterior.sd), posterior.weight
    rows = bent_rows(rows, layout, movement, spec)
    return spec, posterior_at(rows, layout, sample, psi=psi, weight=weight, student_df=student_df, progress=progress)


def _span(measured: Measurements, energy: MonthlyEnergy | None) -> tuple[np.datetime64, np.datetime64]:
    month = measured.months_within
    known = month[~np.isnat(month)]
    if known.size:
        return known.min(), known.max()
    if energy is None:
        return np.datetime64("1970-01", "M"), np.datetime64("1970-01", "M")
    return energy.months[-1], energy.months[-1]


def _energy_end(energy: MonthlyEnergy | None, last: np.datetime64) -> np.datetime64:
    return last if energy is None else energy.months[-1]
