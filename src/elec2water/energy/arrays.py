"""The kinds of array the energy room works with, and how a frame's columns become them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from elec2water.identifiers import in_order, places
from elec2water.stamps import wall_time

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

SECONDS_PER_DAY = 86_400
NO_DAY = np.int64(-(10**9))
"""Stands for a blank date among day numbers (days since 1970-01-01)."""
FOREVER = np.int64(10**9)
"""Day number that no date reaches: an interval without an end."""


def numbers(frame: pd.DataFrame, column: str) -> Floats:
    """Give a column as float64, all NaN where the frame has no such column; shape (n,)."""
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    return frame[column].to_numpy(dtype=np.float64, na_value=np.nan)


def days(frame: pd.DataFrame, column: str) -> Ints:
    """Give a date column as whole days since 1970-01-01, :data:`NO_DAY` where blank or absent; shape (n,)."""
    if column not in frame.columns or not len(frame):
        return np.full(len(frame), NO_DAY)
    stamps = wall_time(frame[column])
    number = stamps.view(np.int64) // SECONDS_PER_DAY
    number[np.isnat(stamps)] = NO_DAY
    return number


def texts(frame: pd.DataFrame, column: str) -> Texts:
    """Give a text column as objects, ``""`` where blank or absent; shape (n,)."""
    if column not in frame.columns:
        return np.full(len(frame), "", dtype=object)
    return frame[column].astype("str").fillna("").to_numpy(dtype=object)


def positions(ids: pd.Series[Any] | pd.Index[Any], among: pd.Series[Any] | pd.Index[Any]) -> Ints:
    """Find each id in a list of ids.

    Parameters
    ----------
    ids : pandas.Series or Index, length n
        Text, may be blank.
    among : pandas.Series or Index
        Text; where one occurs more than once the first counts.

    Returns
    -------
    numpy.ndarray
        ``int64`` (n,): the position in `among`, -1 where it is not there or blank.
    """
    values = pa.array(ids.astype("str"), type=pa.large_string(), from_pandas=True)
    listed = pa.array(among.astype("str"), type=pa.large_string(), from_pandas=True)
    return places(values, listed)


def is_one_of(frame: pd.DataFrame, column: str, words: Sequence[str]) -> Bools:
    """Tell where a text column is one of some words, nowhere where it is absent; shape (n,)."""
    if column not in frame.columns:
        return np.zeros(len(frame), dtype=bool)
    return np.asarray(frame[column].isin(list(words)), dtype=bool)


def distinct_numbers(numbers: Ints) -> Ints:
    """Give the distinct whole numbers in ascending order: of millions, sorting finds them sooner than hashing."""
    ordered = np.sort(numbers)
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]


def codes(ids: pd.Series[Any]) -> tuple[Ints, pd.Index[Any]]:
    """Give ids numbers in the order of their names, so that nothing depends on which meter a file lists first.

    Exports list the same meters month after month, or all months of a meter one after the other; both are recognised
    by comparing neighbours, so that a million names are hashed and not twelve million.

    Parameters
    ----------
    ids : pandas.Series, length n
        Text or categories of text, may be blank.

    Returns
    -------
    code : numpy.ndarray, shape (n,)
        ``int64``, -1 where blank.
    names : pandas.Index
        The distinct ids, by code.
    """
    code, names = _codes_of_categories(ids) if isinstance(ids.dtype, pd.CategoricalDtype) else _codes_of_texts(ids)
    order = in_order(pa.array(names.astype("str"), type=pa.large_string()))
    if order is None:
        return code, names
    rank = np.full(len(order) + 1, -1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[code], names[order]


def _codes_of_texts(ids: pd.Series[Any]) -> tuple[Ints, pd.Index[Any]]:
    """Give numbers to ids in the order in which they first occur."""
    values = pa.chunked_array([pa.array(ids.astype("str"), type=pa.large_string(), from_pandas=True)]).combine_chunks()
    n = len(values)
    if n > 1 and values.null_count == 0:
        block = _block_length(values)
        if block < n:
            code, names = pd.factorize(ids.iloc[:block])
            return np.resize(np.asarray(code, dtype=np.int64), n), pd.Index(names)
        heads = np.append(True, pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False))
        if 2 * np.count_nonzero(heads) < n:
            code, names = pd.factorize(ids[heads])
            length = np.diff(np.append(np.flatnonzero(heads), n))
            return np.repeat(np.asarray(code, dtype=np.int64), length), pd.Index(names)
    code, names = pd.factorize(ids)
    return np.asarray(code, dtype=np.int64), pd.Index(names)


def _codes_of_categories(ids: pd.Series[Any]) -> tuple[Ints, pd.Index[Any]]:
    """Give the codes that a categorical column has already, without those of categories that do not occur."""
    code = np.asarray(ids.cat.codes, dtype=np.int64)
    names = pd.Index(ids.cat.categories.astype("str"))
    used = np.zeros(len(names) + 1, dtype=bool)
    used[code] = True
    if used[:-1].all():
        return code, names
    place = np.append(np.cumsum(used[:-1]) - 1, -1)
    return place[code], names[used[:-1]]


def _block_length(values: pa.Array) -> int:
    """Give the length of the block of ids that the list repeats, or the length of the list."""
    again = pc.index(values[1:], values[0]).as_py() + 1
    if again > 1 and pc.all(pc.equal(values[again:], values[:-again])).as_py():
        return int(again)
    return len(values)


def runs(counts: Ints) -> tuple[Ints, Ints]:
    """Count through runs laid end to end.

    Parameters
    ----------
    counts : numpy.ndarray, shape (n,)
        Length of each run.

    Returns
    -------
    tuple of numpy.ndarray, each of shape (counts.sum(),)
        The run of each member, and its place in the run (0, 1, …).

    Examples
    --------
    >>> runs(np.array([2, 0, 3]))
    (array([0, 0, 2, 2, 2]), array([0, 1, 0, 1, 2]))
    """
    run = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return run, np.arange(len(run)) - first[run]
