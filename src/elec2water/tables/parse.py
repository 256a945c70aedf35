"""From text to numbers and identifiers by whole columns; what is not understood is marked, not guessed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from elec2water import schema
from elec2water.identifiers import by_order

Bools = npt.NDArray[np.bool_]

_INVISIBLE = r"[\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2064}\x{2066}-\x{2069}\x{FEFF}\x{00AD}\x{0000}-\x{0008}]"
_TEXT_FORMULA = r'^="([^"]*)"$'
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_GROUPED = r"^[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+|(?: [0-9]{3})+)(\.[0-9]*)?$"
_GROUPED_UNIT = r"^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?\s*[^0-9,.\s][^0-9,]*$"
_DASHES = r"^[\x{2212}\x{2013}]\s*([0-9])"
_RATIO = r"^(?P<over>[1-9][0-9]{0,5})/(?P<under>[1-9][0-9]{0,5})$"
_WITH_UNIT = r"^(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))\s*(?P<unit>[^0-9.+\-*/ ][^0-9+\-*]*)$"
_DMS = r"^(?P<d>[0-9]{1,3})[°度](?P<m>[0-9]{1,2})[′'分](?P<s>[0-9]{1,2}(?:\.[0-9]+)?)(?:′′|''|\"|秒)?[NEne北东]?$"
_PRECISION_LOST = r"^[0-9](\.[0-9]+)?[eE]\+[0-9]+$|^[0-9]{15,}\.0$"


@dataclass(frozen=True, slots=True)
class Parsed:
    """One column, parsed.

    Attributes
    ----------
    values : numpy.ndarray or pyarrow.DictionaryArray
        (n,) float64, datetime64[s] or dictionary-encoded text.
    wrong : dict of str to numpy.ndarray
        Rule → (n,) mask of the cells that break it; their value is missing.
    normalised : int
        Cells that were understood only after rewriting (width, separators, units, serials).
    """

    values: Any
    wrong: dict[str, Bools]
    normalised: int = 0


@dataclass(frozen=True, slots=True)
class Coded:
    """Text as integer codes into its distinct values (−1 where missing)."""

    codes: npt.NDArray[np.integer[Any]]
    values: pa.Array

    def spread(self, distinct: npt.NDArray[Any], missing: object) -> npt.NDArray[Any]:
        """Give each row the result for its distinct value."""
        padded = np.append(distinct, np.array([missing], dtype=distinct.dtype))
        if distinct.dtype == bool and not padded.any():
            return np.zeros(len(self.codes), dtype=bool)
        spread: npt.NDArray[Any] = padded[self.codes]
        return spread


def encode(column: pa.Array) -> Coded:
    """Code a column by its distinct values.

    Parameters
    ----------
    column : pyarrow.Array
        (n,) text, dictionary-encoded or typed (typed values are written as text).

    Returns
    -------
    Coded
    """
    if pa.types.is_dictionary(column.type):
        encoded = column
    else:
        text = column if pa.types.is_string(column.type) else _as_text(column)
        encoded = by_order(text)
    indices = encoded.indices if encoded.indices.null_count == 0 else pc.fill_null(encoded.indices.cast(pa.int64()), -1)
    return Coded(np.asarray(indices), encoded.dictionary.cast(pa.string()))


def longest(values: pa.Array) -> int:
    """Give the length of the longest text, in bytes; 0 where there is none."""
    return int(pc.max(pc.binary_length(values)).as_py() or 0)


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type):
        whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), 1e15))
        integers = pc.cast(pc.if_else(whole, column, 0.0), pa.int64(), safe=False)
        return pc.if_else(whole, pc.cast(integers, pa.string()), pc.cast(column, pa.string()))
    return pc.cast(column, pa.string())


def tidy(text: pa.Array, *, compatible: bool = True) -> pa.Array:
    """Take away what is not seen: blanks around, zero-width and direction marks, a text apostrophe, ``="…"``.

    Parameters
    ----------
    text : pyarrow.Array
        (n,) strings.
    compatible : bool
        Also turn full-width forms into plain ones (NFKC).
    """
    if not pc.all(pc.string_is_ascii(text)).as_py():
        if compatible:
            text = pc.utf8_normalize(text, form="NFKC")
        text = pc.replace_substring_regex(text, pattern=_INVISIBLE, replacement="")
    text = pc.utf8_trim_whitespace(text)
    if pc.any(pc.starts_with(text, "'")).as_py():
        text = pc.replace_substring_regex(text, pattern=r"^'(.)", replacement=r"\1")
    if pc.any(pc.starts_with(text, '="')).as_py():
        text = pc.replace_substring_regex(text, pattern=_TEXT_FORMULA, replacement=r"\1")
    return text


def parse_text(column: pa.Array, kind: str, *, words: str = "", null_kind: str = "") -> Parsed:
    """Clean identifiers, free text and words.

    Parameters
    ----------
    column : pyarrow.Array
        (n,) raw cells.
    kind : str
        ``id``, ``text``, ``category`` or ``choice``.
    words : str
        Kind of ``data/words.csv`` that turns words into canonical ones; only a ``choice`` refuses unknown ones.
    null_kind : str
        Kind of ``data/words.csv`` that means blank.

    Returns
    -------
    Parsed
        Dictionary-encoded text.
    """
    coded = encode(column)
    if kind == "id" and not (words or null_kind) and pc.all(pc.ascii_is_alnum(coded.values)).as_py():
        return Parsed(_coded_as(column, coded), {})
    clean = tidy(coded.values, compatible=kind != "text")
    blank = pc.or_(pc.equal(clean, ""), is_word(clean, null_kind))
    wrong: dict[str, Bools] = {}
    if kind == "id":
        wrong["ID_PRECISION_LOST"] = coded.spread(
            mask_of(pc.match_substring_regex(clean, _PRECISION_LOST)), missing=False
        )
    if words:
        clean, known = _canonical(clean, words)
        if kind == "choice":
            unknown = mask_of(pc.and_not(pc.invert(known), blank))
            wrong["UNKNOWN_WORD"] = coded.spread(unknown, missing=False)
            blank = pc.or_(blank, pc.invert(known))
    changed = np.not_equal(mask_of(pc.not_equal(clean, coded.values)), mask_of(blank)) & ~mask_of(blank)
    normalised = 0 if words else int(coded.spread(changed, missing=False).sum())
    if not (mask_of(blank).any() or mask_of(pc.not_equal(clean, coded.values)).any()):
        return Parsed(_coded_as(column, coded), wrong)
    values = pc.if_else(blank, pa.scalar(None, pa.string()), clean)
    return Parsed(_recoded(coded, values), wrong, normalised)


def _coded_as(column: pa.Array, coded: Coded) -> pa.DictionaryArray:
    """Give the column itself where it is coded text already."""
    same = pa.types.is_dictionary(column.type) and column.dictionary.type == pa.string()
    return column if same else _as_dictionary(coded.codes, coded.values)


def _recoded(coded: Coded, values: pa.Array) -> pa.DictionaryArray:
    """Code anew: two spellings of one identifier have become one value."""
    encoded = _dictionary(values)
    inner = np.asarray(encoded.indices.fill_null(-1)).astype(np.int64)
    codes = coded.spread(inner, missing=-1)
    return _as_dictionary(codes, encoded.dictionary)


def _as_dictionary(codes: npt.NDArray[np.integer[Any]], values: pa.Array) -> pa.DictionaryArray:
    missing = codes < 0
    indices = pa.array(codes.astype(np.int32, copy=False), mask=missing if missing.any() else None)
    return pa.DictionaryArray.from_arrays(indices, values)


def _dictionary(values: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    merged = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return merged.dictionary_encode()


def _canonical(text: pa.Array, words: str) -> tuple[pa.Array, pa.Array]:
    table = {word.casefold(): value for word, value in schema.words(words).items()}
    keys = pa.array(list(table), type=pa.string())
    place = pc.index_in(pc.utf8_lower(text), value_set=keys)
    found = pc.take(pa.array(list(table.values()), type=pa.string()), place)
    return pc.coalesce(found, text), pc.is_valid(place)


def parse_numbers(column: pa.Array, unit: str = "") -> Parsed:
    """Read numbers: full-width digits, thousands separators, null words, a unit behind the number.

    Parameters
    ----------
    column : pyarrow.Array
        (n,) text or numbers.
    unit : str
        Canonical unit of the column; a cell may carry one of its words.

    Returns
    -------
    Parsed
        float64, NaN where blank or wrong (``NOT_A_NUMBER``).
    """
    if _is_numeric(column.type):
        numbers = pc.cast(column, pa.float64(), safe=False)
        values = np.asarray(numbers.fill_null(np.nan) if numbers.null_count else numbers)
        if np.isfinite(values.sum()):
            return Parsed(values + 0.0, {"NOT_A_NUMBER": np.zeros(len(values), dtype=bool)})
        infinite = np.isinf(values)
        return Parsed(np.where(infinite, np.nan, values) + 0.0, {"NOT_A_NUMBER": infinite})
    coded = encode(column)
    clean = tidy(coded.values)
    plain = pc.match_substring_regex(clean, _NUMBER)
    values = np.asarray(pc.cast(pc.if_else(plain, clean, "nan"), pa.float64()))
    blank = mask_of(pc.or_(pc.equal(clean, ""), is_word(clean, "null")))
    odd = ~mask_of(plain) & ~blank
    if odd.any():
        values = values.copy()
        values[odd] = _odd_numbers(clean.filter(pa.array(odd)), unit)
    bad = ~np.isfinite(values) & ~blank
    values = np.where(bad, np.nan, values) + 0.0
    rewritten = (odd | mask_of(pc.and_(pc.not_equal(clean, coded.values), plain))) & ~bad
    return Parsed(
        coded.spread(values, missing=np.nan),
        {"NOT_A_NUMBER": coded.spread(bad, missing=False)},
        int(coded.spread(rewritten, missing=False).sum()),
    )


def matches(column: pa.Array, pattern: str) -> Bools:
    """Tell which cells are of a form, once they are tidied."""
    coded = encode(column)
    return coded.spread(mask_of(pc.match_substring_regex(tidy(coded.values), pattern)), missing=False)


def parse_ratios(column: pa.Array) -> npt.NDArray[np.float64]:
    """Read a ratio of two whole numbers, the first the larger, as its quotient: 100/5 is 20; NaN where it is none."""
    coded = encode(column)
    parts = pc.extract_regex(tidy(coded.values), _RATIO)
    over, under = (pc.cast(pc.struct_field(parts, name), pa.float64()).fill_null(np.nan) for name in ("over", "under"))
    over, under = np.asarray(over), np.asarray(under)
    told = over > under
    return coded.spread(np.where(told, over / np.where(told, under, 1.0), np.nan), missing=np.nan)


def _odd_numbers(text: pa.Array, unit: str) -> npt.NDArray[np.float64]:
    text = pc.replace_substring_regex(text, pattern=_DASHES, replacement=r"-\1")
    plain = pc.or_(pc.match_substring_regex(text, _GROUPED), pc.match_substring_regex(text, _NUMBER))
    bare = pc.replace_substring_regex(text, pattern="[, ]", replacement="")
    values = np.asarray(pc.cast(pc.if_else(plain, bare, "nan"), pa.float64()))
    grouped = pc.match_substring_regex(text, _GROUPED_UNIT)
    parts = pc.extract_regex(pc.if_else(grouped, pc.replace_substring(text, ",", ""), text), _WITH_UNIT)
    if unit and parts.null_count < len(text):
        factors = {word.casefold(): factor for word, factor in schema.units()[unit].items()}
        place = pc.index_in(
            pc.utf8_lower(pc.struct_field(parts, "unit")), value_set=pa.array(list(factors), type=pa.string())
        )
        factor = pc.take(pa.array(list(factors.values())), place)
        scaled = pc.multiply(pc.cast(pc.struct_field(parts, "number"), pa.float64()), factor)
        values = np.where(np.isnan(values), np.asarray(scaled.fill_null(np.nan)), values)
    if unit == "deg":
        values = np.where(np.isnan(values), _degrees(text), values)
    return values


def _degrees(text: pa.Array) -> npt.NDArray[np.float64]:
    parts = pc.extract_regex(text, _DMS)
    degree, minute, second = (
        np.asarray(pc.cast(pc.struct_field(parts, name), pa.float64()).fill_null(np.nan)) for name in "dms"
    )
    return np.where((minute < 60) & (second < 60), degree + minute / 60 + second / 3600, np.nan)


def parse_bools(column: pa.Array) -> Parsed:
    """Read 是/否, yes/no, 1/0 as 1.0 and 0.0; ``UNKNOWN_WORD`` for the rest."""
    if pa.types.is_boolean(column.type) or _is_numeric(column.type):
        values = np.asarray(pc.cast(column, pa.float64()).fill_null(np.nan))
        bad = ~np.isnan(values) & (values != 0) & (values != 1)
        return Parsed(np.where(bad, np.nan, values), {"UNKNOWN_WORD": bad})
    coded = encode(column)
    clean = tidy(coded.values)
    known_as, known = _canonical(clean, "bool")
    values = np.asarray(pc.cast(pc.if_else(known, known_as, "nan"), pa.float64()))
    blank = mask_of(pc.or_(pc.equal(clean, ""), is_word(clean, "null")))
    bad = np.isnan(values) & ~blank
    return Parsed(coded.spread(values, missing=np.nan), {"UNKNOWN_WORD": coded.spread(bad, missing=False)})


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_word(text: pa.Array, kind: str) -> pa.Array:
    """Tell which texts are words of a kind of ``data/words.csv``."""
    return pc.is_in(pc.utf8_lower(text), value_set=_word_set(kind))


@cache
def _word_set(kind: str) -> pa.Array:
    return pa.array([word.casefold() for word in schema.words(kind)] if kind else [], type=pa.string())


def mask_of(column: pa.Array) -> Bools:
    """Give a column of truth values as an array; missing is false."""
    return np.asarray(pc.fill_null(column, fill_value=False)).astype(bool)
