"""A table with typed columns, still knowing the file and row of every record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from elec2water import schema
from elec2water.identifiers import ascending

Values: TypeAlias = Any
"""A column: numbers and dates in numpy, text dictionary-encoded."""

TEXT = pd.StringDtype(storage="pyarrow", na_value=np.nan)
TEXT_TYPES = ("id", "text", "category", "choice")
DATE_TYPES = ("date", "datetime", "month")

_DAY_S = 86_400

MANY_READINGS = 1_000_000
"""From here on the meters of readings are categories of text and not text cell by cell."""


@dataclass(frozen=True, slots=True)
class TypedTable:
    """Columns of one table.

    Attributes
    ----------
    table : str
        Its name.
    columns : mapping of str to array
        (n,) float64, ``datetime64[s]``, or text as ``pyarrow.DictionaryArray``.
    rows : numpy.ndarray
        (n,) row number in the file.
    file_codes : numpy.ndarray
        (n,) index into `files`.
    files : tuple of str
        Names of the files read.
    """

    table: str
    columns: Mapping[str, Values]
    rows: npt.NDArray[np.int64]
    file_codes: npt.NDArray[np.int16]
    files: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def keep(self, mask: npt.NDArray[np.bool_]) -> TypedTable:
        """Keep some rows."""
        if mask.all():
            return self
        chosen = pa.array(mask)
        columns = {
            name: values[mask] if isinstance(values, np.ndarray) else values.filter(chosen)
            for name, values in self.columns.items()
        }
        return replace(self, columns=columns, rows=self.rows[mask], file_codes=self.file_codes[mask])

    def with_columns(self, **columns: object) -> TypedTable:
        """Replace or add columns."""
        return replace(self, columns={**self.columns, **columns})

    def without(self, *names: str) -> TypedTable:
        """Leave columns out."""
        if not any(name in self.columns for name in names):
            return self
        return replace(self, columns={name: values for name, values in self.columns.items() if name not in names})

    def with_names_in_order(self) -> TypedTable:
        """Put the names of the meters of very many readings in order, so that codes rise where a file lists them so."""
        if not _stays_coded(self, "meter_id") or self.columns["meter_id"].dictionary.null_count:
            return self
        return self.with_columns(meter_id=ascending(self.columns["meter_id"]))

    def stacked(self, other: TypedTable) -> TypedTable:
        """Put more rows of the same files below; a column that they do not have is missing for them."""
        columns = {name: _joined([values, _column(other, name, values)]) for name, values in self.columns.items()}
        rows, codes = np.append(self.rows, other.rows), np.append(self.file_codes, other.file_codes)
        return replace(self, columns=columns, rows=rows, file_codes=codes)

    def blanked(self, names: Sequence[str], mask: npt.NDArray[np.bool_]) -> TypedTable:
        """Leave out the numbers of some rows."""
        return (
            self.with_columns(**{name: np.where(mask, np.nan, self.columns[name]) for name in names})
            if mask.any()
            else self
        )

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """Give a numeric column, all NaN where it is absent."""
        if name not in self.columns:
            return np.broadcast_to(np.nan, len(self))
        return np.asarray(self.columns[name])

    def dates(self, name: str) -> npt.NDArray[np.datetime64]:
        """Give a date column, all NaT where it is absent."""
        if name not in self.columns:
            return np.broadcast_to(np.datetime64("NaT", "s"), len(self))
        return np.asarray(self.columns[name])

    def codes(self, name: str) -> npt.NDArray[np.int64]:
        """Give integer codes of any column: equal cells have equal codes, missing ones −1."""
        values = self.columns[name]
        if isinstance(values, np.ndarray):
            return _days(values) if values.dtype.kind == "M" else pd.factorize(values)[0].astype(np.int64)
        return self.ranks(name).astype(np.int64)

    def ranks(self, name: str) -> npt.NDArray[np.integer[Any]]:
        """Give integers of any column, equal where cells are; dates keep their order, missing ones come first."""
        values = self.columns[name]
        if not isinstance(values, np.ndarray):
            return np.asarray(
                values.indices if values.indices.null_count == 0 else values.indices.cast(pa.int64()).fill_null(-1)
            )
        return values.view(np.int64) if values.dtype == np.dtype("datetime64[s]") else self.codes(name)

    def distinct(self, name: str) -> pa.Array:
        """Give the distinct values of a text column, in the order of :meth:`codes`."""
        return self.columns[name].dictionary

    def is_blank(self, name: str) -> npt.NDArray[np.bool_]:
        """Tell where a column is missing."""
        values = self.columns[name]
        if isinstance(values, np.ndarray):
            return np.isnat(values) if values.dtype.kind == "M" else np.asarray(pd.isna(values))
        return np.asarray(values.is_null())

    def equals_word(self, name: str, *words: str) -> npt.NDArray[np.bool_]:
        """Tell where a text column is one of some words."""
        if name not in self.columns:
            return np.zeros(len(self), dtype=bool)
        hit = np.append(np.asarray(pc.is_in(self.distinct(name), value_set=pa.array(words, pa.string()))), False)
        return np.asarray(hit[self.codes(name)]).astype(bool)

    def place(self, positions: npt.NDArray[np.int64]) -> dict[str, object]:
        """Say where records stand, for findings: file, row and identifiers."""
        names = np.array(self.files, dtype=object)
        where: dict[str, object] = {"file": names[self.file_codes[positions]], "row": self.rows[positions]}
        for name in ("well_id", "meter_id"):
            if name in self.columns:
                where[name] = self.text(name, positions)
        return where

    def text(self, name: str, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        """Give cells of a text column, ``None`` where missing."""
        cells = self.columns[name].take(pa.array(positions)).cast(pa.string())
        return np.array(cells.to_pylist(), dtype=object)

    def to_frame(self) -> pd.DataFrame:
        """Give the frame of docs/architecture.md: canonical columns first, index = row in the file.

        Where several files were read, a last column ``file`` says which one a record is from.
        """
        known = {column.column: column for column in schema.columns(self.table)}
        names = [*known, *(name for name in self.columns if name not in known)]
        no_text = pd.Series(pd.array(pa.nulls(len(self), pa.large_string()), dtype=TEXT), copy=False)
        data = {
            name: _series(self.columns[name], coded=_stays_coded(self, name))
            if name in self.columns
            else _empty(known[name], no_text)
            for name in names
        }
        if len(set(self.files)) > 1:
            distinct, place = np.unique(np.array(self.files, dtype=object), return_inverse=True)
            data["file"] = pd.Series(pd.Categorical.from_codes(place[self.file_codes], categories=pd.Index(distinct)))
        frame = pd.DataFrame(data, copy=False)
        frame.index = pd.Index(self.rows, name="row")
        frame.attrs["file"] = ", ".join(self.files)
        return frame


def _stays_coded(table: TypedTable, name: str) -> bool:
    """Whether a text column stays coded: meters of millions of readings need not be compared letter by letter again."""
    return table.table == "readings" and name == "meter_id" and name in table and len(table) >= MANY_READINGS


def _days(dates: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
    """Give dates the number of their day where all are whole days, else of their kind; −1 where missing."""
    seconds = dates.astype("datetime64[s]", copy=False).view(np.int64)
    missing = np.isnat(dates)
    days: npt.NDArray[np.int64] = seconds // _DAY_S
    known = ~missing if missing.any() else np.True_
    if not np.any(known) or ((days * _DAY_S != seconds) & known).any():
        return pd.factorize(dates)[0].astype(np.int64)
    days -= days.min(where=known, initial=np.iinfo(np.int64).max)
    days[missing] = -1
    return days


def concat(parts: Sequence[TypedTable]) -> TypedTable:
    """Join the files of one table; a column that a file does not have is missing for its rows."""
    if len(parts) == 1:
        return parts[0]
    first: dict[str, Values] = {}
    for part in parts:
        for name, values in part.columns.items():
            first.setdefault(name, values)
    columns = {name: _joined([_column(part, name, like) for part in parts]) for name, like in first.items()}
    codes = np.concatenate([np.full(len(part), i, dtype=np.int16) for i, part in enumerate(parts)])
    rows = np.concatenate([part.rows for part in parts])
    return TypedTable(parts[0].table, columns, rows, codes, tuple(file for part in parts for file in part.files))


def _column(part: TypedTable, name: str, like: object) -> Values:
    if name not in part.columns:
        if isinstance(like, np.ndarray):
            missing = np.datetime64("NaT", "s") if like.dtype.kind == "M" else np.nan
            return np.full(len(part), missing)
        return pa.nulls(len(part), pa.string()).dictionary_encode()
    values = part.columns[name]
    if isinstance(values, np.ndarray) != isinstance(like, np.ndarray):
        return _as_text(values)
    return values


def _as_text(values: Values) -> pa.DictionaryArray:
    if isinstance(values, np.ndarray):
        cells = [None if np.isnan(x) else f"{x:.15g}" for x in values]
        return pa.array(cells, pa.string()).dictionary_encode()
    return values


def _joined(arrays: Sequence[Values]) -> Values:
    if all(isinstance(array, np.ndarray) for array in arrays):
        return np.concatenate(arrays)
    texts = [_as_text(array) for array in arrays]
    return pa.chunked_array(texts).unify_dictionaries().combine_chunks()


def _series(values: Values, *, coded: bool) -> Values | pd.Series[str]:
    if isinstance(values, np.ndarray):
        return values
    if coded and values.dictionary.null_count == 0:
        categories = pd.Index(pd.array(values.dictionary.cast(pa.large_string()), dtype=TEXT))
        filled = values.indices if values.indices.null_count == 0 else values.indices.cast(pa.int64()).fill_null(-1)
        codes = np.asarray(filled.to_numpy(zero_copy_only=False))
        # Names in order are all different; pandas then hashes none of them to see that.
        _ = categories.is_monotonic_increasing
        return pd.Series(pd.Categorical.from_codes(codes, categories=categories))
    return pd.Series(pd.array(values.cast(pa.large_string()), dtype=TEXT), copy=False)


def _empty(column: schema.Column, no_text: pd.Series[str]) -> Values | pd.Series[str]:
    """Give a column that the file does not have: one value seen from every row, and one blank text, take no memory."""
    if column.type in TEXT_TYPES:
        return no_text
    missing = np.datetime64("NaT", "s") if column.type in DATE_TYPES else np.nan
    return np.broadcast_to(missing, len(no_text))
