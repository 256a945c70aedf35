"""Keys of several columns as one number a row, and which of them occur more than once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

_GLANCE = 10_000
"""Rows that are looked at together: they stay in the cache of the processor, and most disorder shows in the first."""


def combine(*codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Give rows with the same codes the same number, others another (−1 counts as a code).

    Examples
    --------
    >>> combine(np.array([0, 0, 1]), np.array([5, 5, 5])).tolist()
    [13, 13, 20]
    """
    combined = codes[0] + 1
    for code in codes[1:]:
        width = int(code.max(initial=-1)) + 2
        if int(combined.max(initial=0)) + 1 > (1 << 62) // width:
            combined = pd.factorize(combined)[0].astype(np.int64)
        combined = combined * width + (code + 1)
    return combined


def in_order(one: npt.NDArray[np.integer[Any]], other: npt.NDArray[np.integer[Any]]) -> bool:
    """Tell whether rows rise strictly by one code, and by the other where that is equal: then no two are alike.

    Examples
    --------
    >>> in_order(np.array([0, 0, 1]), np.array([3, 5, 4])), in_order(np.array([0, 0]), np.array([3, 3]))
    (True, False)
    """
    return all(
        bool(((a[1:] > a[:-1]) | ((a[1:] == a[:-1]) & (b[1:] > b[:-1]))).all())
        for a, b in ((part[at : at + _GLANCE + 1] for part in (one, other)) for at in range(0, len(one), _GLANCE))
    )


def repeated(key: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Tell which values occur more than once; sorting is the fast way to see that none does, but for what is in order.

    Examples
    --------
    >>> repeated(np.array([4, 7, 4])).tolist()
    [True, False, True]
    """
    if len(key) < 2 or bool((key[1:] > key[:-1]).all()):
        return np.zeros(len(key), dtype=bool)
    ordered = np.sort(key)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.isin(key, twice) if len(twice) else np.zeros(len(key), dtype=bool)
