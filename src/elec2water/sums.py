"""Rows of few columns, and sums of rows by group: where numpy would start its inner loop anew for every row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_FEW = 8
"""Columns that are added one after the other, as ``sum`` adds so few: the same to the last digit."""
_SPARSE, _SMALL = 16, 1_000_000
"""Of so many more keys than rows that are possible no table is made."""


def row_sum(values: Floats) -> Floats:
    """Give ``values.sum(axis=1)`` of (N, M), (N,).

    Examples
    --------
    >>> row_sum(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([3., 7.])
    """
    return np.asarray(_reduced(np.add, values))


def row_any(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give ``mask.any(axis=1)`` of (N, M), (N,)."""
    return np.asarray(_reduced(np.logical_or, mask))


def row_all(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give ``mask.all(axis=1)`` of (N, M), (N,)."""
    return np.asarray(_reduced(np.logical_and, mask))


def _reduced(operation: np.ufunc, values: NDArray[np.generic]) -> NDArray[np.generic]:
    if not 0 < values.shape[1] < _FEW:
        return np.asarray(operation.reduce(values, axis=1))
    out = values[:, 0].copy()
    for k in range(1, values.shape[1]):
        operation(out, values[:, k], out=out)
    return out


def squares_of_rows(values: sparse.csr_array) -> Floats:
    """Give the sum of the squares of each row of a sparse (N, F), (N,).

    Examples
    --------
    >>> squares_of_rows(sparse.csr_array(np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]])))
    array([25.,  0.])
    """
    return np.asarray(values.multiply(values).sum(axis=1), dtype=np.float64)


def membership(group: Ints, n_groups: int) -> sparse.csc_array:
    """Give the (G, N) matrix that adds up rows by ``group`` (N,), 0..G-1: one pass over the rows, as they lie.

    Examples
    --------
    >>> membership(np.array([1, 0, 1]), 2) @ np.array([[1.0], [2.0], [3.0]])
    array([[2.],
           [4.]])
    """
    n = group.size
    return sparse.csc_array((np.ones(n), group, np.arange(n + 1)), shape=(n_groups, n))


def renumbered(key: Ints, size: int) -> tuple[Ints, Ints]:
    """Give numbers to the keys (N,), 0..size-1, that occur, in their order: (N,), and the keys they stand for, (K,).

    Examples
    --------
    >>> renumbered(np.array([5, 2, 5]), 9)
    (array([1, 0, 1]), array([2, 5]))
    """
    if size > _SPARSE * key.size + _SMALL:
        found, place = np.unique(key, return_inverse=True)
        return np.asarray(place, dtype=np.intp), found
    there = np.zeros(size, dtype=bool)
    there[key] = True
    number = np.cumsum(there) - 1
    return number[key], np.flatnonzero(there)
