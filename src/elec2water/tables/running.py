"""Energies that only ever grow from period to period: a register, or a running total, under the heading of energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from elec2water.findings import Findings
from elec2water.tables.ends import ENOUGH

if TYPE_CHECKING:
    from elec2water.tables.context import Context
    from elec2water.tables.typed import TypedTable

LEAST_STEPS = 20
"""Steps from one period to the next, over all meters, from which on they tell."""
LEAST_PERIODS = 6
"""Periods above zero of a meter in the middle: use may grow in every meter over a spring, but not over half a year."""
MOST_FALLS = 0.02
"""Part of the steps that may fall: meters are exchanged, and registers typed wrong."""
UNEVEN = 1.5
"""How many times the usual step the greatest of a meter is at least, in the middle: fields are not watered evenly."""


def running_totals(table: TypedTable, context: Context) -> tuple[TypedTable, Findings]:
    """Refuse files whose energies hardly ever fall from one period of a meter to the next (``CUMULATIVE_ENERGY``).

    Of pumping no more than a few meters grow month by month over half a year; registers all do, and unevenly.

    Parameters
    ----------
    table : TypedTable
        Readings, settled.
    context : Context
        For the findings.

    Returns
    -------
    TypedTable
        Unchanged.
    Findings
        An error for each such file, or for all of them where each holds one period.
    """
    meter, energy, start = table.codes("meter_id"), table.numbers("energy_kwh"), table.dates("start")
    some = np.flatnonzero((meter >= 0) & (meter < ENOUGH) & np.isfinite(energy) & ~np.isnat(start))
    if "quality" in table:
        some = some[~table.equals_word("quality", "adjustment")[some]]
    if not len(some):
        return table, Findings.empty()
    code = table.file_codes[some].astype(np.int64)
    one_each = np.zeros_like(code)
    for group in (code, one_each):
        told = _growing(group, meter[some], start[some], energy[some])
        if told:
            return table, Findings.concat(
                context.finding(
                    "CUMULATIVE_ENERGY", file=table.files[g] if group is code else context.file,
                    row=int(table.rows[some[group == g][0]]), observed=rises, limit=steps,
                )
                for g, rises, steps in told
            )  # fmt: skip
    return table, Findings.empty()


def _growing(
    group: npt.NDArray[np.int64],
    meter: npt.NDArray[np.int64],
    start: npt.NDArray[np.datetime64],
    energy: npt.NDArray[np.float64],
) -> list[tuple[int, int, int]]:
    """Give the groups that grow throughout: group, steps that rise, steps that rise or fall."""
    order = np.lexsort((start, meter, group))
    group, meter, energy = group[order], meter[order], energy[order]
    same = (group[1:] == group[:-1]) & (meter[1:] == meter[:-1])
    step = np.where(same, np.diff(energy), 0.0)
    found = []
    for g in np.unique(group).tolist():
        here = group[1:] == g
        rises, falls = int((step[here] > 0).sum()), int((step[here] < 0).sum())
        periods = np.unique(meter[(group == g) & (energy > 0)], return_counts=True)[1]
        enough = rises + falls >= LEAST_STEPS and len(periods) and np.median(periods) >= LEAST_PERIODS
        if enough and falls <= MOST_FALLS * (rises + falls) and _uneven(meter[1:][here & same], step[here & same]):
            found.append((g, rises, rises + falls))
    return found


def _uneven(meter: npt.NDArray[np.int64], step: npt.NDArray[np.float64]) -> bool:
    """Whether the steps of most meters differ as those of registers do, and not as a made-up row of numbers."""
    steps = pd.Series(np.abs(step)).groupby(meter)
    return bool((steps.max() / steps.median().replace(0.0, np.nan)).median() >= UNEVEN)
