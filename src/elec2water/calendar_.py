"""Months and quarters: ``numpy.datetime64[M]`` inside, the text ``2026Q3`` outside."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from elec2water.errors import UsageError

Months = npt.NDArray[np.datetime64]
"""Array of ``datetime64[M]``."""

_QUARTER = re.compile(r"(?a:(\d{4})Q([1-4]))")


def month_of(dates: npt.ArrayLike) -> Months:
    """Give the calendar month of each date.

    Parameters
    ----------
    dates : array_like
        Dates or date-times (``datetime64`` of any unit, ``datetime``, ISO text), any shape; ``NaT`` stays ``NaT``.

    Returns
    -------
    numpy.ndarray
        ``datetime64[M]``, the shape of `dates`.

    Examples
    --------
    >>> month_of(["2026-03-31", "2026-04-01"])
    array(['2026-03', '2026-04'], dtype='datetime64[M]')
    """
    values: npt.NDArray[Any] = np.asarray(dates)
    if values.dtype.kind != "M":
        values = values.astype("datetime64[s]")
    return values.astype("datetime64[M]")


def quarter_months(quarter: str) -> Months:
    """Give the three months of a quarter.

    Parameters
    ----------
    quarter : str
        Text like ``2026Q3``.

    Returns
    -------
    numpy.ndarray
        ``datetime64[M]``, shape (3,).

    Raises
    ------
    UsageError
        If `quarter` is not four digits, ``Q`` and 1 to 4.

    Examples
    --------
    >>> quarter_months("2026Q3")
    array(['2026-07', '2026-08', '2026-09'], dtype='datetime64[M]')
    """
    match = _QUARTER.fullmatch(quarter) if isinstance(quarter, str) else None
    if match is None or match[1] == "0000":
        raise UsageError(
            f"quarter: expected text like '2026Q3' (a year, 'Q' and 1 to 4), found {quarter!r}; the months July to "
            "September 2026 are --quarter 2026Q3"
        )
    first = np.datetime64(f"{match[1]}-{3 * int(match[2]) - 2:02d}", "M")
    return first + np.arange(3)


def quarter_of(dates: npt.ArrayLike) -> npt.NDArray[np.str_]:
    """Name the quarter of each date.

    Parameters
    ----------
    dates : array_like
        Dates as for :func:`month_of`, any shape.

    Returns
    -------
    numpy.ndarray
        Text like ``2026Q3`` and ``""`` for ``NaT``, the shape of `dates`.

    Examples
    --------
    >>> quarter_of(["2026-07-01", "2026-12"])
    array(['2026Q3', '2026Q4'], dtype='<U6')
    """
    months = month_of(dates)
    known = ~np.isnat(months)
    number = np.where(known, months, np.datetime64("1970-01", "M")).astype(np.int64)
    year = np.char.mod("%04d", 1970 + number // 12)
    name = np.char.add(year, np.char.mod("Q%d", number % 12 // 3 + 1))
    return np.where(known, name, "").astype("<U6")


def days_in_month(months: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Count the days of each month.

    Parameters
    ----------
    months : array_like
        Months (or dates in them), any shape; none may be ``NaT``.

    Returns
    -------
    numpy.ndarray
        ``int64``, the shape of `months`.

    Raises
    ------
    UsageError
        If a month is ``NaT``.

    Examples
    --------
    >>> days_in_month(["2024-02", "2026-02", "2026-07"])
    array([29, 28, 31])
    """
    month = month_of(months)
    if np.isnat(month).any():
        raise UsageError(f"months: expected known months, found {int(np.isnat(month).sum())} blank one(s) (NaT)")
    days = (month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")
    return np.asarray(days.astype(np.int64))


def decimal_year(dates: Months) -> npt.NDArray[np.float64]:
    """Give dates of any shape as decimal years of 365.25 days from 1970; NaN for ``NaT``.

    Examples
    --------
    >>> float(decimal_year(np.array(["2000-01-01T12"], dtype="datetime64[s]"))[0])
    2000.0
    """
    days = dates.astype("datetime64[s]").astype(np.float64) / 86400.0
    return np.where(np.isnat(dates), np.nan, 1970.0 + days / 365.25)
