"""Sample wells that the registry knows by another number: their electricity tells which."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import month_of
from elec2water.energy import MonthlyEnergy
from elec2water.findings import Findings, findings_of

LEAST_MONTHS = 3
"""Months in which the electricity of pairs and of a well has to be the same."""
SAME = 0.002
"""Relative difference up to which electricity is the same: what rounding to whole kWh leaves of a month of pumping."""
_OF_ALL = 0.8
_TURNED_KWH = 100.0
"""Months with less are left out: to rest alike is not to be the same."""


def renamed_wells(pairs: pd.DataFrame, energy: MonthlyEnergy, *, lang: str = "zh") -> Findings:
    """Name the registered well whose electricity is that of a sample well which is not registered.

    A well is named where it alone has, of all wells without pairs of their own, the same electricity as the pairs in
    ``LEAST_MONTHS`` months and in most of those that can be compared. Among a million wells that vary as farm wells do
    some well has three equal months by chance one time in thirty, and more months never.

    Parameters
    ----------
    pairs : DataFrame
        Pairs as they were read, of wells that are not registered too.
    energy : MonthlyEnergy
        Electricity of the registered wells.
    lang : str
        Language of the findings.
    """
    if pairs.empty or not {"well_id", "start", "end", "energy_kwh"} <= set(pairs.columns):
        return Findings.empty()
    strange = pairs.loc[~pairs["well_id"].isin(energy.well_id)]
    free = ~pd.Index(energy.well_id).isin(pairs["well_id"])
    named = []
    for well_id, own in strange.groupby("well_id", sort=True):
        place, n = _same_electricity(own, energy, free)
        if place >= 0:
            named.append((well_id, own.index[0], energy.well_id[place], n))
    if not named:
        return Findings.empty()
    ids, rows, known, months = zip(*named, strict=True)
    return findings_of(
        "PAIR_WELL_RENAMED",
        table="pairs",
        file=pairs.attrs.get("file", ""),
        row=np.array(rows),
        well_id=np.array(ids, dtype=object),
        observed=np.array(months),
        limit=LEAST_MONTHS,
        candidate=np.array(known, dtype=object),
        lang=lang,
    )


def _same_electricity(own: pd.DataFrame, energy: MonthlyEnergy, free: NDArray[np.bool_]) -> tuple[int, int]:
    """Give the place of the only well of those ``free`` (N,) with the electricity of some pairs, or -1; and months."""
    start, end = (own[name].to_numpy(dtype="datetime64[s]") for name in ("start", "end"))
    month, kwh = month_of(start), own["energy_kwh"].to_numpy(dtype=np.float64)
    whole = (start == month.astype("datetime64[s]")) & (end == (month + 1).astype("datetime64[s]"))
    used = whole & (kwh >= _TURNED_KWH) & np.isin(month, energy.months)
    if used.sum() < LEAST_MONTHS:
        return -1, 0
    same = np.zeros(free.size, dtype=np.int64)
    for column, value in zip(np.searchsorted(energy.months, month[used]), kwh[used], strict=True):
        same += np.abs(energy.kwh[:, column] - value) <= SAME * value
    found = np.flatnonzero(free & (same >= max(LEAST_MONTHS, _OF_ALL * used.sum())))
    return (int(found[0]), int(same[found[0]])) if found.size == 1 else (-1, 0)
