"""Tables as bytes: the same table gives the same bytes on every machine."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xarray as xr
from numpy.typing import NDArray

# A spreadsheet takes a cell that begins with one of these for a formula. The second row are the characters that become
# one of the first under NFKC, which some programs apply on opening.
FORMULA_STARTS = "=+-@\t\r\n＝＋－＠﹢﹣﹦﹫⁺⁼₊₌﬩⩵⩶"
_BLANKS = r"[\s\u200b-\u200f\u2060\ufeff]*"
_RISKY = re.compile(rf"'*{_BLANKS}[{re.escape(FORMULA_STARTS)}]")
_ESCAPED = re.compile(rf"'+{_BLANKS}[{re.escape(FORMULA_STARTS)}]")
_MAY_BE_RISKY = re.compile(rf"['\s\u200b-\u200f\u2060\ufeff{re.escape(FORMULA_STARTS)}]")
_QUOTED = re.compile(r'[",\r\n]')
_FIXED = re.compile(r"\.\df")
_SURE_BELOW = 2.0**40
_SURE_FROM_MIDDLE = 2.0**-12  # a product below 2⁴⁰ is exact to 2⁻¹³
_FEW_DIGITS = 3

_ROW_GROUP = 1 << 20
_GLANCE = 10_000


def escape_text(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula.

    The text counts as a formula when it begins, after blanks, with ``= + - @``, tab, carriage return, line feed or a
    form of these that NFKC turns into them. Text that already begins with apostrophes before such a character gets one
    more, so that :func:`unescape_text` is the exact inverse for every text.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> escape_text("-3号井"), escape_text("3号井")
    ("'-3号井", '3号井')
    """
    return "'" + text if _RISKY.match(text) else text


def unescape_text(text: str) -> str:
    """Take back what :func:`escape_text` put before a text.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> unescape_text("'-3号井")
    '-3号井'
    """
    return text[1:] if _ESCAPED.match(text) else text


def csv_bytes(frame: pd.DataFrame, *, float_format: Mapping[str, str] | None = None) -> bytes:
    r"""Write a table as CSV that Excel opens with its Chinese intact, the same bytes on every platform.

    UTF-8 with a byte order mark, comma, ``\n`` line ends (what every reader and `git` take, on Windows too), fields
    quoted only where they must be. Missing values are empty. Text and headings pass through :func:`escape_text`. Dates
    are ISO 8601. The index is not written.

    Parameters
    ----------
    frame : pandas.DataFrame
    float_format : mapping of str to str, optional
        Format specification (``".1f"``) of each floating column; others are written with the fewest digits that read
        back to the same float64. A negative zero is written as zero.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If `float_format` names a column that the frame has not.

    Examples
    --------
    >>> csv_bytes(pd.DataFrame({"well_id": ["0012"], "volume_m3": [1234.56]}), float_format={"volume_m3": ".1f"})
    b'\xef\xbb\xbfwell_id,volume_m3\n0012,1234.6\n'
    """
    formats = dict(float_format or {})
    unknown = sorted(formats.keys() - set(frame.columns))
    if unknown:
        raise ValueError(f"float_format names {unknown}, which are not among the columns {list(frame.columns)}")
    columns = [_cells(frame.iloc[:, i], formats.get(name, "")) for i, name in enumerate(frame.columns)]
    header = ",".join(_text_cell(str(name)) for name in frame.columns)
    return f"\ufeff{header}\n".encode() + _lines(columns)


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """Write a table as Parquet whose bytes depend only on its values, its types and the version of pyarrow.

    The index is not written, nor the metadata in which pandas records its own version. Parquet knows no whole seconds:
    ``datetime64[s]`` reads back as ``datetime64[ms]``.

    Parameters
    ----------
    frame : pandas.DataFrame

    Returns
    -------
    bytes
    """
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    recurring = [name for name in table.column_names if _recurs(table.column(name))]
    pq.write_table(table, sink, version="2.6", compression="zstd", row_group_size=_ROW_GROUP, use_dictionary=recurring)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _recurs(column: pa.ChunkedArray) -> bool:
    """Whether a column is text of few words, as its first cells show: a dictionary of all others takes only time."""
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    head = column.slice(0, _GLANCE)
    return is_text and 4 * len(head.unique()) <= len(head)


def netcdf_bytes(dataset: xr.Dataset) -> bytes:
    """Write labelled arrays as NetCDF-4 in memory; HDF5 is told to keep no times, so equal data give equal bytes.

    Parameters
    ----------
    dataset : xarray.Dataset
        Encodings left over from a file it was read from are ignored.

    Returns
    -------
    bytes
    """
    buffer = io.BytesIO()
    dataset.drop_encoding().to_netcdf(buffer, engine="h5netcdf", format="NETCDF4")
    return buffer.getvalue()


def _lines(columns: Sequence[pa.Array]) -> bytes:
    """Join fields into lines; a line of a single empty field would be a blank line, which readers pass over."""
    if not columns or not len(columns[0]):
        return b""
    if len(columns) == 1:
        columns = [pc.if_else(pc.equal(columns[0], _text("")), _text('""'), columns[0])]
    lines = _joined(*columns[:-1], _joined(columns[-1], _text("\n")), between=",")
    ends = np.frombuffer(lines.buffers()[1], np.int64)[lines.offset : lines.offset + len(lines) + 1]
    return bytes(lines.buffers()[2][int(ends[0]) : int(ends[-1])])


def _cells(column: pd.Series, spec: str) -> pa.Array:
    """Write every value of a column as a field ready to be joined; what recurs (keys, counts) is written once."""
    if column.dtype.kind == "f":
        return _float_cells(column.to_numpy(dtype=np.float64, na_value=np.nan), spec)
    if column.dtype.kind in "iu" and isinstance(column.dtype, np.dtype):
        return pa.array(column.to_numpy()).cast(pa.large_string())
    codes, levels = pd.factorize(column, use_na_sentinel=True)
    fields = pa.concat_arrays([_distinct_cells(pd.Series(levels)), pa.array([""], pa.large_string())])
    return fields.take(pa.array(np.where(codes < 0, len(levels), codes)))


def _distinct_cells(column: pd.Series) -> pa.Array:
    """Write the values of a column without gaps."""
    kind = column.dtype.kind
    if kind == "M":
        dates = column.dt.tz_localize(None).to_numpy().astype("datetime64[s]")
        whole_days = bool(np.all(dates == dates.astype("datetime64[D]")))
        return pa.array(np.datetime_as_string(dates, unit="D" if whole_days else "s").tolist(), pa.large_string())
    if kind in "iub":
        return pa.array([str(value) for value in column.to_list()], pa.large_string())
    return _text_cells(pa.array([str(value) for value in column.to_list()], pa.large_string()))


def _text_cells(texts: pa.Array) -> pa.Array:
    """Escape and quote the few texts that need it, which their first character or a quote mark gives away."""
    first = pc.utf8_slice_codeunits(texts, 0, 1).dictionary_encode()
    begins = np.array([_MAY_BE_RISKY.match(text) is not None for text in first.dictionary.to_pylist()], dtype=bool)
    doubtful = begins[first.indices.to_numpy()] | np.asarray(pc.match_substring_regex(texts, _QUOTED.pattern))
    if not doubtful.any():
        return texts
    mask = pa.array(doubtful)
    written = [_text_cell(text) for text in texts.filter(mask).to_pylist()]
    return pc.replace_with_mask(texts, mask, pa.array(written, pa.large_string()))


def _float_cells(values: NDArray[np.float64], spec: str) -> pa.Array:
    """Write floats by a format, or with the fewest digits; what rounds to -0 is 0 (PEP 682), NaN is empty."""
    if _FIXED.fullmatch(spec):
        quick, fields = _fixed_cells(values, int(spec[1:-1]))
        return pc.replace_with_mask(fields, pa.array(~quick), _exact_cells(values[~quick], spec))
    return _exact_cells(values, spec)


def _exact_cells(values: NDArray[np.float64], spec: str) -> pa.Array:
    write: Callable[[float], str] = f"{{:z{spec}}}".format if spec else lambda value: repr(value + 0.0)
    codes, levels = pd.factorize(values, use_na_sentinel=False)
    fields = ["" if math.isnan(value) else write(value) for value in levels.tolist()]
    return pa.array(fields, pa.large_string()).take(pa.array(codes))


def _fixed_cells(values: NDArray[np.float64], digits: int) -> tuple[NDArray[np.bool_], pa.Array]:
    """Write floats with so many decimals by integers, and tell where that surely rounds as Python does.

    A product with a power of ten is wrong by one unit in the last place at most: what lies that near to the middle
    between two results, or is too large for it, is left to the exact conversion.
    """
    power = 10**digits
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.abs(values) * power
        quick = scaled < _SURE_BELOW
        quick &= np.abs(scaled - np.floor(scaled) - 0.5) > _SURE_FROM_MIDDLE
    whole = np.rint(np.where(quick, scaled, 0.0)).astype(np.int64)
    units, decimals = np.divmod(whole, power)
    fields = pa.array(units).cast(pa.large_string())
    if digits:
        fields = _joined(fields, _padded(decimals, digits), between=".")
    negative = (values < 0) & (whole > 0)
    if negative.any():
        fields = _joined(pc.if_else(pa.array(negative), _text("-"), _text("")), fields)
    return quick, fields


def _padded(numbers: NDArray[np.int64], digits: int) -> pa.Array:
    """Write whole numbers with leading zeros; the few that so few digits make are written once."""
    if digits <= _FEW_DIGITS:
        every = pa.array([f"{number:0{digits}d}" for number in range(10**digits)], pa.large_string())
        return every.take(pa.array(numbers))
    return pc.utf8_lpad(pa.array(numbers).cast(pa.large_string()), digits, "0")


def _joined(*parts: pa.Array | pa.Scalar, between: str = "") -> pa.Array:
    return pc.binary_join_element_wise(*parts, _text(between))


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _text_cell(text: str) -> str:
    text = escape_text(text)
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
