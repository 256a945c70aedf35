"""Pairs of sample wells as rows of the regression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from elec2water.calendar_ import decimal_year, month_of
from elec2water.coefficient.context import WellContext
from elec2water.coefficient.equipment import FAULT_VARIANCE, FAULTS, NEVER, Equipment
from elec2water.coefficient.features import FeatureSpec, Static
from elec2water.coefficient.gaussian import Rows
from elec2water.coefficient.shared import Layout
from elec2water.pairs import Measurements, short_test_rel_u

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_SMALL_MONTH = 0.05
_LEAST_PUMPING = 0.2
_LOAD_REL_U = 10.0
"""Relative standard uncertainty of what another load takes in a month, a half, against the error of a pair (0.05)."""


def measured_rows(
    measured: Measurements, context: WellContext, spec: FeatureSpec, layout: Layout, equipment: Equipment
) -> tuple[Ints, Rows]:
    """Pairs as rows of the regression: the place in the registry of each sample well (W,), and the rows."""
    sample, position = np.unique(measured.well, return_inverse=True)
    position = np.asarray(position, dtype=np.intp)
    middle = pair_moments(measured, layout)
    month = month_of(middle)
    column = column_of(context, middle)
    aquifer = context.static.aquifer[measured.well]
    pumps = equipment.history(context.well_id[sample])
    moving = spec.moving(
        aquifer,
        decimal_year(middle),
        level=context.level[measured.well, column],
        anomaly=np.where(measured.test, 0.0, context.anomaly[measured.well, column]),
        short_test=measured.test,
        worn_since=spec.worn_since(pumps.since(position, middle)),
        unseen=context.unseen[aquifer, column],
        lasting=context.lasting[aquifer, column],
    )
    cell_month = np.clip(np.searchsorted(layout.months, month), 0, layout.months.size - 1)
    installed = context.pump_installed[measured.well]
    pumping = pumping_of_pairs(measured, context, column)
    rows = Rows(
        well=position,
        y=np.log(measured.coefficient / pumping),
        time=decimal_year(middle),
        pump=pumps.number(position, middle),
        cell=np.asarray(aquifer * layout.months.size + cell_month, dtype=np.intp),
        static=_static_when_measured(shared_static(context.static, layout, sample), position, middle, installed, spec),
        moving=moving,
        scale=_scale(measured, context, pumping),
        extra=short_test_rel_u(measured) ** 2 + FAULT_VARIANCE * pumps.under(FAULTS, position, middle),
        level_scale=np.ones(sample.size),
        n_cells=layout.n_cells,
    )
    return np.asarray(sample, dtype=np.intp), rows


def pumping_of_pairs(measured: Measurements, context: WellContext, column: Ints) -> Floats:
    """Give the share of the electricity of each pair that pumped, (R,): a short test runs nothing but the pump.

    Water that came in a month taken for one of rest says that it was none: there the share is at least a fifth.
    """
    share = context.pumping[measured.well, column]
    return np.asarray(np.where(measured.test, 1.0, np.maximum(share, _LEAST_PUMPING)))


def head_movement(measured: Measurements, context: WellContext, layout: Layout) -> Floats:
    """Ln head of each pair less the well's own, (R,); zero where unknown."""
    return np.nan_to_num(context.level[measured.well, column_of(context, pair_moments(measured, layout))])


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
