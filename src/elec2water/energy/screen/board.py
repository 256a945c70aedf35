"""All rules on the series of meters, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from elec2water.energy.arrays import Ints
from elec2water.energy.screen.areas import allowing_for_area
from elec2water.energy.screen.copies import repeated_values
from elec2water.energy.screen.multipliers import lost_multipliers
from elec2water.energy.screen.series import Desk, MeterMonths
from elec2water.energy.screen.slips import spikes
from elec2water.energy.screen.units import meters_in_other_units, months_in_other_units
from elec2water.energy.screen.usual import Usual, fit_usual
from elec2water.energy.screen.zeros import base_loads, long_zeros, months_of_zeros, silent_meters
from elec2water.findings import Findings

_USUAL_RULES: Mapping[str, Callable[[MeterMonths, Usual, Desk], Findings]] = {
    "SPIKE": spikes,
    "MULTIPLIER_SUSPECT": lost_multipliers,
    "LONG_ZERO": long_zeros,
    "METER_SILENT": silent_meters,
    "NON_PUMP_LOAD": base_loads,
    "UNIT_SUSPECT": meters_in_other_units,
}
_PLAIN_RULES: Mapping[str, Callable[[MeterMonths, Desk], Findings]] = {
    "SERIES_COPIED": repeated_values,
    "UNIT_SUSPECT_MONTH": months_in_other_units,
    "MONTH_ALL_ZERO": months_of_zeros,
}


def screen(series: MeterMonths, groups: Ints, desk: Desk) -> Findings:
    """Ask every rule that the project did not disable.

    Parameters
    ----------
    series : MeterMonths
        R meters, M months.
    groups : numpy.ndarray, shape (N,)
        Class of each well, 0 … G - 1.
    desk : Desk
        Who speaks, and the thresholds.

    Returns
    -------
    Findings
        None of them changes a value: the user decides by ``corrections``.
    """
    if not np.isfinite(series.kwh).any():
        return Findings.empty()
    size = np.where(series.capacity_kw > 0, series.capacity_kw, 1.0)
    group = np.where(series.well >= 0, groups[series.well], int(groups.max(initial=0)) + 1)
    _, group = np.unique(group, return_inverse=True)
    usual = fit_usual(series.kwh, np.asarray(group, dtype=np.int64), size, desk.mixed)
    usual = allowing_for_area(usual, series.area_mu / size)
    asked: dict[str, Callable[[], Findings]] = {
        name: partial(rule, series, usual, desk) for name, rule in _USUAL_RULES.items()
    }
    asked |= {name: partial(rule, series, desk) for name, rule in _PLAIN_RULES.items()}
    told = (name for name in asked if name == "SERIES_COPIED" or desk.settings.speaks(name))
    return Findings.concat(asked[name]() for name in told)
