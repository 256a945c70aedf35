"""Tables as bytes: the same table gives the same bytes on every machine."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr

# A spreadsheet takes a cell that begins with one of these for a formula. The second row are the characters that become
# one of the first under NFKC, which some programs apply on opening.
FORMULA_STARTS = "=+-@\t\r\n＝＋－＠﹢﹣﹦﹫⁺⁼₊₌﬩⩵⩶"
_BLANKS = r"[\s\u200b-\u200f\u2060\ufeff]*"
_RISKY = re.compile(rf"'*{_BLANKS}[{re.escape(FORMULA_STARTS)}]")
_ESCAPED = re.compile(rf"'+{_BLANKS}[{re.escape(FORMULA_STARTS)}]")
_QUOTED = re.compile(r'[",\r\n]')

_ROW_GROUP = 1 << 20

_Writer = Callable[[Any], str]


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
    # A line of a single empty field would be a blank line, which readers pass over.
    rows = [c or '""' for c in columns[0]] if len(columns) == 1 else map(",".join, zip(*columns, strict=True))
    return ("\ufeff" + "\n".join([header, *rows]) + "\n").encode("utf-8")


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
    pq.write_table(table, sink, version="2.6", compression="zstd", row_group_size=_ROW_GROUP)
    data: bytes = sink.getvalue().to_pybytes()
    return data


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


def _cells(column: pd.Series, spec: str) -> list[str]:
    """Write every value of a column as a field ready to be joined; what recurs (keys, counts) is written once."""
    if column.dtype.kind == "f":
        write = _float_writer(spec)
        missing = column.isna().to_numpy()
        return ["" if gone else write(value) for value, gone in zip(column.to_list(), missing, strict=True)]
    codes, levels = pd.factorize(column, use_na_sentinel=True)
    write, values = _writer(pd.Series(levels))
    fields = np.array([*(write(value) for value in values), ""], dtype=object)
    return list(fields[codes])


def _writer(column: pd.Series) -> tuple[_Writer, list[Any]]:
    """Choose how the values of a column without gaps are written, and give them as plain Python objects."""
    kind = column.dtype.kind
    if kind == "M":
        dates = column.dt.tz_localize(None).to_numpy().astype("datetime64[s]")
        whole_days = bool(np.all(dates == dates.astype("datetime64[D]")))
        return str, np.datetime_as_string(dates, unit="D" if whole_days else "s").tolist()
    if kind in "iub":
        return str, column.to_list()
    return lambda value: _text_cell(str(value)), column.to_list()


def _float_writer(spec: str) -> _Writer:
    """Write floats by a format, or with the fewest digits; ``z`` turns what rounds to -0 into 0 (PEP 682)."""
    if spec:
        pattern = "{:z" + spec + "}"
        return pattern.format
    return lambda value: repr(value + 0.0)


def _text_cell(text: str) -> str:
    text = escape_text(text)
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
