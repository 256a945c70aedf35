"""Rows by the block, whose arrays stay in the cache of the processor: a million wells at once wait for memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Record = TypeVar("Record")

ROWS = 16_384
"""Three months of them, in doubles, are a third of a megabyte."""


def blocks(n: int, rows: int = ROWS) -> Iterator[slice]:
    """Give the blocks of n rows, the last one shorter.

    Examples
    --------
    >>> list(blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))


def by_block(make: Callable[[slice], Record], n: int, rows: int = ROWS) -> Record:
    """Give what ``make`` makes of n rows, block by block.

    Parameters
    ----------
    make : callable
        Of a slice of the rows; gives a dataclass of arrays, one entry a row along their first axis. What it gives of
        a row must not depend on other rows.
    n : int
    rows : int
        Rows a block.

    Returns
    -------
    dataclass
        As ``make(slice(0, n))`` would give it.
    """
    first = make(slice(0, min(rows, n)))
    if n <= rows:
        return first
    names = [field.name for field in fields(first)]  # type: ignore[arg-type]
    whole = {name: _room(getattr(first, name), n) for name in names}
    for part in blocks(n, rows):
        made = first if part.start == 0 else make(part)
        for name in names:
            whole[name][part] = getattr(made, name)
    return type(first)(**whole)


def rows_of(record: Record, rows: slice) -> Record:
    """Give some rows of a dataclass of arrays."""
    return type(record)(**{name: values[rows] for name, values in vars(record).items()})


def _room(values: NDArray[np.generic], n: int) -> NDArray[np.generic]:
    return np.empty((n, *values.shape[1:]), dtype=values.dtype)
