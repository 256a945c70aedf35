"""A Series brought into the order of the wells: it goes by its index and not by place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from elec2water.errors import UsageError


def in_place(series: pd.Series, known: Sequence[pd.Index[Any]], name: str) -> pd.Series:
    """Give a Series in the order of N wells.

    Parameters
    ----------
    series : Series
        Indexed as one of ``known``, in whatever order and perhaps with gaps, or counted from 0 to N - 1.
    known : sequence of Index
        What the wells are known by, (N,) each: the index of the registry, ``well_id``.
    name : str
        Of the argument, for the error.

    Returns
    -------
    Series
        Of N entries, blank where a well has none.

    Raises
    ------
    UsageError
        The index is of other wells, or has one twice.

    Examples
    --------
    >>> in_place(pd.Series([1.0, 2.0], index=["b", "a"]), [pd.Index(["a", "b", "c"])], "energy_kwh").tolist()
    [2.0, 1.0, nan]
    """
    index, n = series.index, len(known[0])
    if any(index.equals(wells) for wells in known):
        return series
    for wells in known:
        if len(index) and index.is_unique and wells.is_unique and index.isin(wells).all():
            return series.reindex(wells)
    if index.equals(pd.RangeIndex(n)):
        return series
    strange = index[~index.isin(known[-1])]
    raise UsageError(
        f"{name}: expected a Series whose index is well_id or the registry's, each once, found {len(strange)} others "
        f"({list(strange[:3])}); give it in the order of the wells: {name}.to_numpy()"
    )
