"""Identifiers by whole columns: coded by their distinct values, and found among others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_LONG = 100_000
_LEAST_BLOCK = 1_000
"""What comes again sooner is one of a few words, not the list of meters once more."""
_FEW = 8
"""A list at least so many times as long as the identifiers looked for in it is not hashed."""
_DIGITS, _MOST_DIGITS = "0123456789", 18
_SPARSE = 16
"""A table of all numbers in a range is made of at most so many times as many as occur in it."""


def by_order(text: pa.Array) -> pa.DictionaryArray:
    """Code a column, its distinct values as they come; where rows are in order only some of them are hashed.

    The months of a meter follow each other: one of each run is hashed. Or the meters of a month do, and the next month
    repeats them: those that differ from what stood in their place are. Serial numbers are hashed as numbers.
    """
    if len(text) < _LONG or text.null_count:
        return text.dictionary_encode()
    if 2 * np.count_nonzero(_differ(text.slice(0, _LONG), 1)) <= _LONG:
        return _by_runs(text)
    again = pc.index(text.slice(1), text[0]).as_py() + 1
    if 0 < again < _LEAST_BLOCK:
        return text.dictionary_encode()
    return _by_blocks(text, again) if 0 < again <= len(text) // 2 else _coded(text)


def in_order(names: pa.Array) -> Ints | None:
    """Give the places (n,) of distinct names in ascending order of their bytes, None where they stand in it already.

    Examples
    --------
    >>> in_order(pa.array(["W03", "W01", "W02"])).tolist(), in_order(pa.array(["W01", "W02"]))
    ([1, 2, 0], None)
    """
    if pc.all(pc.less(names.slice(0, max(len(names) - 1, 0)), names.slice(1))).as_py():
        return None
    serials = _serials(names)
    if serials is not None:
        return np.argsort(serials.numbers, kind="stable")
    return np.asarray(pc.array_sort_indices(names)).astype(np.int64)


def ascending(coded: pa.DictionaryArray) -> pa.DictionaryArray:
    """Put the distinct values of a column, of which none is missing, in order."""
    order = in_order(coded.dictionary)
    if order is None:
        return coded
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(rank).take(coded.indices), coded.dictionary.take(pa.array(order)))


def places(ids: pa.Array, among: pa.Array) -> Ints:
    """Find each identifier in a list.

    Parameters
    ----------
    ids : pyarrow.Array, length n
        Text, may be blank.
    among : pyarrow.Array
        Text of the same type; where one occurs more than once the first counts.

    Returns
    -------
    numpy.ndarray, shape (n,)
        The place in `among`, -1 where it is not there or blank.

    Examples
    --------
    >>> places(pa.array(["W02", None, "W01"]), pa.array(["W01", "W02"])).tolist()
    [1, -1, 0]
    """
    if len(ids) * _FEW <= len(among):
        # Of a long list only what a few ids may be is worth a place in the table of hashes.
        asked = np.flatnonzero(pc.is_in(among, value_set=ids, skip_nulls=True).to_numpy(zero_copy_only=False))
        found = pc.index_in(ids, value_set=among.take(pa.array(asked)), skip_nulls=True)
        return np.append(asked, -1)[_filled(found)]
    if len(ids) >= _LONG:
        one, other = _serials(ids), _serials(among)
        if one is not None and other is not None and one.form == other.form:
            return _place_of_numbers(one.numbers, other.numbers)
    return _filled(pc.index_in(ids, value_set=among, skip_nulls=True))


def _filled(found: pa.Array) -> Ints:
    return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Serials:
    """Text that is one prefix and digits behind it, as many everywhere: ``form`` both, ``numbers`` (n,)."""

    form: tuple[str, int]
    numbers: Ints


def _serials(text: pa.Array) -> _Serials | None:
    """Read identifiers as serial numbers, which stand in the same order and are compared much sooner; None if not."""
    first = text[0].as_py() if len(text) and not text.null_count else ""
    prefix = first.rstrip(_DIGITS)
    width = len(first) - len(prefix)
    if not 0 < width <= _MOST_DIGITS:
        return None
    length = pc.min_max(pc.binary_length(text)).as_py()
    if length["min"] != length["max"] or not pc.all(pc.starts_with(text, prefix)).as_py():
        return None
    digits = pc.utf8_slice_codeunits(text, len(prefix)) if prefix else text
    if not pc.all(pc.ascii_is_decimal(digits)).as_py():
        return None
    return _Serials((prefix, width), np.asarray(digits.cast(pa.int64())))


def _place_of_numbers(asked: Ints, listed: Ints) -> Ints:
    low, high = int(listed.min()), int(listed.max())
    size = high - low + 1
    if size > _SPARSE * len(listed):
        return _filled(pc.index_in(pa.array(asked), value_set=pa.array(listed)))
    table = np.full(size + 1, -1, dtype=np.int64)
    table[listed[::-1] - low] = np.arange(len(listed))[::-1]
    return table[np.where((asked >= low) & (asked <= high), asked - low, size)]


def _differ(text: pa.Array, by: int) -> Bools:
    """Tell which cells are not what stood some rows before."""
    return np.asarray(pc.not_equal(text.slice(by), text.slice(0, len(text) - by)))


def _by_runs(text: pa.Array) -> pa.DictionaryArray:
    heads = np.flatnonzero(np.append(np.ones(1, dtype=bool), _differ(text, 1)))
    if 2 * len(heads) > len(text):
        return _coded(text)
    short = _coded(text.take(pa.array(heads)))
    codes = np.repeat(np.asarray(short.indices), np.diff(np.append(heads, len(text))))
    return pa.DictionaryArray.from_arrays(pa.array(codes), short.dictionary)


def _by_blocks(text: pa.Array, length: int) -> pa.DictionaryArray:
    fresh = np.flatnonzero(np.append(np.ones(length, dtype=bool), _differ(text, length)))
    if 2 * len(fresh) > len(text):
        return _coded(text)
    short = _coded(text.take(pa.array(fresh)))
    told, codes = np.asarray(short.indices), np.empty(len(text), dtype=np.int32)
    parts = np.searchsorted(fresh, np.arange(0, len(text) + length, length))
    for at, first, last in zip(range(0, len(text), length), parts[:-1], parts[1:], strict=True):
        block = codes[at : at + length]
        block[:] = codes[max(at - length, 0) :][: len(block)]
        block[fresh[first:last] - at] = told[first:last]
    return pa.DictionaryArray.from_arrays(pa.array(codes), short.dictionary)


def _coded(text: pa.Array) -> pa.DictionaryArray:
    """Code cells; those that rise are all distinct and need not be hashed, serial numbers are hashed as numbers."""
    if pc.all(pc.less(text.slice(0, len(text) - 1), text.slice(1))).as_py():
        return pa.DictionaryArray.from_arrays(pa.array(np.arange(len(text), dtype=np.int32)), text)
    serials = _serials(text) if len(text) >= _LONG else None
    return text.dictionary_encode() if serials is None else _coded_numbers(text, serials.numbers)


def _coded_numbers(text: pa.Array, numbers: Ints) -> pa.DictionaryArray:
    found, distinct = pd.factorize(numbers)
    codes = found.astype(np.int32)
    row = np.empty(len(distinct), dtype=np.int64)
    row[codes[::-1]] = np.arange(len(text))[::-1]
    return pa.DictionaryArray.from_arrays(pa.array(codes), text.take(pa.array(row)))
