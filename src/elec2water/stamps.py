"""Dates of a column as the clock on the wall shows them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def wall_time(column: pd.Series) -> NDArray[np.datetime64]:
    """Give dates, or text of them, as ``datetime64[s]`` (n,), of a time zone the time of day that it has there.

    A month is the month of the place: the midnight of 1 July in China is not 30 June.

    Examples
    --------
    >>> wall_time(pd.Series(pd.to_datetime(["2026-07-01"]).tz_localize("Asia/Shanghai")))
    array(['2026-07-01T00:00:00'], dtype='datetime64[s]')
    """
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_localize(None)
    return np.asarray(column.to_numpy(dtype="datetime64[s]"))
