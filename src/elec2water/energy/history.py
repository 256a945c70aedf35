"""Electricity as tables people look at: the months of a meter with what was found, and which months were read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from elec2water.energy.cells import REASONS
from elec2water.energy.monthly import QUALITIES, MonthlyEnergy
from elec2water.energy.screen.series import MeterMonths
from elec2water.errors import UsageError
from elec2water.findings import Findings
from elec2water.keys import recurring_text

READ = ("A", "E", "J")
_SAID = {"A": "", "S": "no reading, or too few days read", "N": "nothing known", "J": "see corrections"}
METHODS = {"A": "read", "E": "computed", "J": "correction", "S": "imputation", "N": "none"}


def meter_months(
    series: MeterMonths, meter_id: npt.NDArray[np.object_], meter: str, findings: Findings
) -> pd.DataFrame:
    """Give the months of one meter.

    Parameters
    ----------
    series : MeterMonths
        Of all meters.
    meter_id : numpy.ndarray, shape (R,)
        Their names.
    meter : str
        Which one.
    findings : Findings
        Of the county.

    Returns
    -------
    pandas.DataFrame
        ``month`` (text), ``energy_kwh``, ``quality`` (A, E, N) and ``flags``, the rules that name the meter and the
        month and are more than information, ``|`` between them.

    Raises
    ------
    UsageError
        There is no such meter.
    """
    place = np.flatnonzero(meter_id == meter)
    if not len(place):
        raise UsageError(f"meter: expected a meter of the readings, found {meter!r}")
    energy, estimated = series.kwh[place[0], series.asked], series.estimated[place[0], series.asked]
    months = series.months[series.asked]
    frame = findings.frame
    named = frame[frame["meter_id"].eq(meter) & frame["severity"].ne("info") & frame["period"].ne("")]
    flags = [""] * len(months)
    for rule, period in sorted(set(zip(named["rule"], named["period"], strict=True))):
        for k in np.flatnonzero(_within(months, period)):
            flags[k] = f"{flags[k]}|{rule}" if flags[k] else rule
    quality = np.where(np.isnan(energy), "N", np.where(estimated, "E", "A"))
    return pd.DataFrame({"month": months.astype(str), "energy_kwh": energy, "quality": quality, "flags": flags})


def _within(months: npt.NDArray[np.datetime64], period: str) -> npt.NDArray[np.bool_]:
    """Tell which months a period of a finding touches; the end of one written in days does not belong to it."""
    first, _, last = period.partition("/")
    try:
        begin, end = np.datetime64(first), np.datetime64(last or first)
    except ValueError:
        return np.zeros(len(months), dtype=bool)
    if len(last) > len("2026-01"):
        end = end - np.timedelta64(1, "D")
    return np.asarray((months >= begin.astype("datetime64[M]")) & (months <= end.astype("datetime64[M]")))


def coverage(energy: MonthlyEnergy, keys: npt.NDArray[np.object_]) -> pd.DataFrame:
    """Count the wells that were read in each month.

    Parameters
    ----------
    energy : MonthlyEnergy
        Of N wells.
    keys : numpy.ndarray, shape (N,)
        Group of each well, such as its township.

    Returns
    -------
    pandas.DataFrame
        ``key, month, n_wells, n_read``, a row a group and month.
    """
    code, names = pd.factorize(np.asarray(keys, dtype=object), sort=True)
    read = np.isin(energy.quality, READ)
    size = np.bincount(code, minlength=len(names))
    counts = [np.bincount(code, weights=read[:, m], minlength=len(names)) for m in range(len(energy.months))]
    return pd.DataFrame(
        {
            "key": np.tile(np.asarray(names, dtype=object), len(energy.months)),
            "month": np.repeat(energy.months.astype(str), len(names)),
            "n_wells": np.tile(size, len(energy.months)),
            "n_read": np.concatenate(counts).astype(np.int64) if counts else np.zeros(0, dtype=np.int64),
        }
    )


def well_months(energy: MonthlyEnergy) -> pd.DataFrame:
    """Give every well and month with its quality letter, the method behind it and the reason.

    Returns
    -------
    pandas.DataFrame
        ``well_id, month, energy_kwh, se_kwh, quality, method, reason``, wells in their order, months within them.

    Raises
    ------
    UsageError
        If a quality is none of the letters.
    """
    n, m = energy.kwh.shape
    letter = _letter_codes(energy.quality)
    said = [_reason(code) for code in range(sum(REASONS) + 1)]
    reason = energy.reason.astype(np.int64).ravel()
    for mark, words in _SAID.items():
        reason[letter == list(METHODS).index(mark)] = len(said)
        said.append(words)
    return pd.DataFrame(
        {
            "well_id": recurring_text(energy.well_id, np.repeat(np.arange(n), m)),
            "month": recurring_text(energy.months.astype(str).tolist(), np.tile(np.arange(m), n)),
            "energy_kwh": energy.kwh.ravel(),
            "se_kwh": np.sqrt(energy.variance).ravel(),
            "quality": recurring_text(list(METHODS), letter),
            "method": recurring_text(list(METHODS.values()), letter),
            "reason": recurring_text(said, reason),
        }
    )


def _letter_codes(quality: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """Give each quality its place in ``METHODS``, row by row; a letter is a code point, and these are few."""
    code = np.ascontiguousarray(quality).view(np.uint32).ravel()
    place = np.full(max(int(code.max(initial=0)), 127) + 1, -1, dtype=np.int64)
    place[[ord(letter) for letter in METHODS]] = np.arange(len(METHODS))
    letter = place[code] if quality.dtype.itemsize == np.dtype("U1").itemsize else np.full(1, -1)
    if (letter < 0).any():
        odd = sorted(set(np.unique(quality).tolist()) - set(METHODS))
        raise UsageError(
            f"energy.quality: expected the letters {', '.join(METHODS)}, found {', '.join(map(repr, odd))}"
        )
    return letter


def _reason(code: int) -> str:
    return ", ".join(text for bit, text in REASONS.items() if code & bit) or QUALITIES["A"]
