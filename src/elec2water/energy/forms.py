"""The two forms of readings as arrays: which rows are billing, registers, adjustments, or nothing usable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from elec2water.energy.arrays import NO_DAY, Bools, Floats, Ints, days, is_one_of, numbers
from elec2water.energy.intervals import Intervals
from elec2water.energy.registers import Reads

_LEAST_DAYS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Forms:
    """The rows of a readings frame, sorted out; a row that holds neither form has been reported by ``tables``.

    Attributes
    ----------
    billing : Intervals
        Rows that state a period and its energy.
    reads : Reads
        Rows that state a register on a day (and no energy: where a row holds both, the energy counts).
    adjustments : Intervals
        Rows of quality ``adjustment``: money settled, not water pumped.
    """

    billing: Intervals
    reads: Reads
    adjustments: Intervals


def sort_out(readings: pd.DataFrame, meter: Ints) -> Forms:
    """Sort the rows of a readings frame by form.

    Parameters
    ----------
    readings : pandas.DataFrame, n rows
        Canonical columns; the index is the row of the file.
    meter : numpy.ndarray, shape (n,)
        Code of the meter of each row, -1 where blank.

    Returns
    -------
    Forms
    """
    row = readings.index.to_numpy(dtype=np.int64)
    estimated, adjusted = _qualities(readings)
    start, end, kwh = days(readings, "start"), days(readings, "end"), numbers(readings, "energy_kwh")
    named = meter >= 0
    bills = named & np.isfinite(kwh) & (start > NO_DAY) & (end > NO_DAY)
    billing = Intervals(meter, start, end, kwh, estimated, row)
    if bills.all() and not adjusted.any():
        return Forms(billing, _reads(readings[:0], meter[:0], estimated[:0], row[:0]), billing.take(row[:0]))
    reads = _reads(readings, meter, estimated, row)
    registers = named & ~bills & np.isfinite(reads.register) & (reads.day > NO_DAY)
    adjustments = adjusted & named & np.isfinite(kwh)
    return Forms(
        billing=billing.take(bills & ~adjusted),
        reads=reads.take(registers & ~adjusted),
        adjustments=billing.take(adjustments),
    )


def metered_pairs(pairs: pd.DataFrame) -> tuple[Intervals, pd.Index[Any]]:
    """Give the electricity of sample wells over ten days and more, no short tests; ``meter`` numbers the wells named.

    The wells' names are beside it.
    """
    start, end, kwh = days(pairs, "start"), days(pairs, "end"), numbers(pairs, "energy_kwh")
    test = is_one_of(pairs, "kind", ("test",))
    stated = np.flatnonzero(~test & (start > NO_DAY) & (end - start >= _LEAST_DAYS) & (kwh >= 0))
    well, names = pd.factorize(pairs["well_id"].iloc[stated])
    row = pairs.index.to_numpy(dtype=np.int64)[stated]
    found = Intervals(
        well.astype(np.int64), start[stated], end[stated], kwh[stated], np.zeros(stated.size, dtype=bool), row
    )
    return found, names


def _reads(readings: pd.DataFrame, meter: Ints, estimated: Bools, row: Ints) -> Reads:
    return Reads(
        meter, days(readings, "read_on"), numbers(readings, "register_kwh"), estimated, row, _multipliers(readings)
    )


def _multipliers(readings: pd.DataFrame) -> Floats:
    beside = numbers(readings, "multiplier")
    return np.where(beside > 0, beside, np.nan)


def _qualities(readings: pd.DataFrame) -> tuple[Bools, Bools]:
    n = len(readings)
    if "quality" not in readings.columns or not readings["quality"].notna().any():
        return np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    code, names = pd.factorize(readings["quality"])
    lookup = np.append(np.asarray(names, dtype=object), "")
    return np.asarray(lookup == "estimated")[code], np.asarray(lookup == "adjustment")[code]
