"""``design/``: written all at once, read back as it was."""

from __future__ import annotations

import codecs
import csv
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as pa_csv

from elec2water.design.frame import COVERAGE_COLUMNS, EXCLUDED_COLUMNS
from elec2water.design.result import (
    ALLOCATION_COLUMNS,
    CURVE_COLUMNS,
    FRAME_COLUMNS,
    MERGES_COLUMNS,
    PRECISION_COLUMNS,
    SAMPLE_COLUMNS,
    Design,
)
from elec2water.errors import UsageError
from elec2water.findings import Findings

_TEXT = (
    "well_id",
    "stratum",
    "role",
    "reason",
    "domain",
    "key",
    "mark",
    "merged_into",
    "stands_for",
    "network",
    "quarter",
)
_MANY_ROWS = 100_000
_MANY_BYTES = 4_000_000
_WHOLE = ("order", "n_wells", "n_sample", "n_certain", "n_neyman", "n_proportional", "n")
_DECIMALS = {"energy_kwh": 3, "inclusion_probability": 12, "weight": 9}
_OTHER_DECIMALS = 8
_TABLES = {
    "allocation": ALLOCATION_COLUMNS[:4],
    "coverage": COVERAGE_COLUMNS,
    "excluded": EXCLUDED_COLUMNS,
    "sample": SAMPLE_COLUMNS[:6],
}
_OPTIONAL = {"allocation": ALLOCATION_COLUMNS[4:], "sample": SAMPLE_COLUMNS[6:]}
CHOSEN = "next_chosen.csv"
READ_BACK = ("design.json", "allocation.csv", "coverage.csv", "excluded.csv", "frame.csv", "sample.csv")
"""What of ``design/`` estimates may depend on; the rest is for people."""
_SHEETS = ("field_sheet.xlsx", "map.gpkg", "map.png", "report.html")
"""Files of an earlier design that would tell of wells no longer drawn."""
_FURTHER = {"frame": FRAME_COLUMNS, "precision": PRECISION_COLUMNS, "curve": CURVE_COLUMNS, "merges": MERGES_COLUMNS}


def write_design(
    design: Design, folder: str | os.PathLike[str], sheets: Mapping[str, bytes] | None = None
) -> list[Path]:
    """Write a design: ``sample.csv``, ``allocation.csv``, ``frame.csv`` and its other tables, and ``design.json``.

    Every file is complete under a temporary name before any gets its own, and ``sample.csv`` comes last: a run that is
    cut short leaves the old design or the new one. The same design gives the same bytes.

    Parameters
    ----------
    design : Design
    folder : path
        Made if need be.
    sheets : mapping of str to bytes, optional
        Further files by name: the field sheet, the map, the report.

    Returns
    -------
    list of Path
        The files written.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    expected_cv = round(design.expected_cv, _OTHER_DECIMALS)
    facts = {"seed": design.seed, "expected_cv": expected_cv, "policy": dict(design.policy)}
    with tempfile.TemporaryDirectory(prefix=".design-", dir=target) as temporary:
        staged = [
            _write_text(
                Path(temporary) / "design.json", json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8"
            )
        ]
        staged += [_write_whole(Path(temporary) / name, content) for name, content in (sheets or {}).items()]
        for name in (*_FURTHER, *_TABLES):
            staged.append(_write_whole(Path(temporary) / f"{name}.csv", _csv(getattr(design, name))))
        for name in set(_SHEETS) - set(sheets or {}):
            (target / name).unlink(missing_ok=True)
        for path in staged:
            path.replace(target / path.name)
    return [target / path.name for path in staged]


def read_design(folder: str | os.PathLike[str]) -> Design:
    """Read what :func:`write_design` wrote; identifiers stay text.

    Parameters
    ----------
    folder : path

    Returns
    -------
    Design
        Without the findings of the day it was drawn.

    Raises
    ------
    UsageError
        If a file or column is missing, or a number cannot be read.
    """
    source = Path(folder)
    missing = [name for name in ("design.json", *(f"{n}.csv" for n in _TABLES)) if not (source / name).is_file()]
    if missing:
        raise UsageError(f"design: {source} has no {', '.join(missing)}; draw a sample first with `elec2water design`")
    tables: dict[str, pd.DataFrame] = {
        name: _read(source / f"{name}.csv", columns, _OPTIONAL.get(name, ())) for name, columns in _TABLES.items()
    }
    further = {
        name: _read(source / f"{name}.csv", columns)
        for name, columns in _FURTHER.items()
        if (source / f"{name}.csv").is_file()
    }
    _check_repeated(tables["sample"], source / "sample.csv")
    facts = _read_facts(source / "design.json")
    return Design(
        sample=tables["sample"],
        allocation=tables["allocation"],
        coverage=tables["coverage"],
        excluded=tables["excluded"],
        expected_cv=float(facts["expected_cv"]),
        seed=int(facts["seed"]),
        findings=Findings.empty(),
        policy=facts.get("policy", {}),
        **further,
    )


def read_sample(folder: str | os.PathLike[str]) -> pd.DataFrame | None:
    """Read ``sample.csv`` alone, as a county may have written it by hand: the columns of the contract, nothing else.

    Parameters
    ----------
    folder : path

    Returns
    -------
    pandas.DataFrame or None
        ``well_id, stratum, role, weight``, and ``stands_for`` if it is there; ``None`` where there is no such file.

    Raises
    ------
    UsageError
        If a column is missing, a weight is no number, or the text is neither UTF-8 nor GB18030.
    """
    path = Path(folder) / "sample.csv"
    if not path.is_file():
        return None
    asked = ("well_id", "stratum", "role", "weight")
    return _check_repeated(_read(path, asked, ("stands_for",)), path)


def read_chosen(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Read which wells ``elec2water next`` has ever chosen to test, and for which quarter first.

    Parameters
    ----------
    folder : path

    Returns
    -------
    pandas.DataFrame
        ``well_id, quarter``; without rows where there is no ``next_chosen.csv``.

    Raises
    ------
    UsageError
        If a column is missing.
    """
    path = Path(folder) / CHOSEN
    if not path.is_file():
        return pd.DataFrame({"well_id": [], "quarter": []}, dtype="str")
    return _read(path, ("well_id", "quarter"))


def read_anticipated(folder: str | os.PathLike[str]) -> pd.Series | None:
    """Read what a design anticipated of the coefficient of every well of its frame, before any was measured.

    Parameters
    ----------
    folder : path

    Returns
    -------
    Series or None
        κ [m³/kWh] by ``well_id``; ``None`` where there is no ``frame.csv``.

    Raises
    ------
    UsageError
        If a column is missing or a number cannot be read.
    """
    path = Path(folder) / "frame.csv"
    if not path.is_file():
        return None
    frame = _read(path, ("well_id", "coefficient_m3_per_kwh")).drop_duplicates("well_id")
    return frame.set_index("well_id")["coefficient_m3_per_kwh"]


def _check_repeated(sample: pd.DataFrame, path: Path) -> pd.DataFrame:
    repeated = np.flatnonzero(sample["well_id"].duplicated())
    if repeated.size:
        wells = sample["well_id"].iloc[repeated].unique().tolist()
        raise UsageError(
            f"design: {path}, row {repeated[0] + 2}: well {wells[0]} is listed twice ({len(wells)} such wells); "
            "a well is in the sample once: take the other rows out"
        )
    return sample


def read_policy(folder: str | os.PathLike[str]) -> Mapping[str, object]:
    """Read how the errors of a design are to be formed; nothing where the sample was listed by hand.

    Parameters
    ----------
    folder : path

    Raises
    ------
    UsageError
        If ``design.json`` cannot be read.
    """
    path = Path(folder) / "design.json"
    policy: Mapping[str, object] = _read_facts(path).get("policy", {}) if path.is_file() else {}
    return policy


def _csv(frame: pd.DataFrame) -> bytes:
    """Write a table; one of a million rows ten times as fast, with other ends of lines and quotes.

    Numbers are rounded: the last digits of a sum are those of the machine, and say nothing.
    """
    frame = frame.round({name: _DECIMALS.get(str(name), _OTHER_DECIMALS) for name in frame.columns})
    if len(frame) <= _MANY_ROWS:
        return frame.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig")
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return codecs.BOM_UTF8 + content


def _write_text(path: Path, text: str, encoding: str) -> Path:
    return _write_whole(path, text.encode(encoding))


def _write_whole(path: Path, content: bytes) -> Path:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return path


def _read(path: Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read the columns that must be there, and those of the optional ones that are."""
    if path.stat().st_size > _MANY_BYTES:
        found = _read_many(path, columns, optional)
        if found is not None:
            return found
    records = [record for record in csv.reader(_decoded(path).splitlines()) if record]
    header = records[0] if records else []
    if not set(columns) <= set(header):
        raise UsageError(f"design: {path} lacks the columns {[name for name in columns if name not in header]}")
    short = [i for i, record in enumerate(records[1:], start=2) if len(record) != len(header)]
    if short:
        raise UsageError(
            f"design: {path}, row {short[0]}: expected {len(header)} cells, found {len(records[short[0] - 1])}"
        )
    frame = pd.DataFrame(records[1:], columns=header, dtype="str")
    return pd.DataFrame(
        {name: _typed(frame[name], name, path) for name in (*columns, *(c for c in optional if c in header))}
    )


def _read_many(path: Path, columns: tuple[str, ...], optional: tuple[str, ...]) -> pd.DataFrame | None:
    """Read a table of a million rows ten times as fast; None where something is wrong, for :func:`_read` to name."""
    kinds = {name: pa.string() if name in _TEXT else pa.float64() for name in (*columns, *optional)}
    try:
        table = pa_csv.read_csv(
            path,
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(column_types=kinds, null_values=[""], strings_can_be_null=False),
        )
    except pa.ArrowException:
        return None
    there = [*columns, *(name for name in optional if name in table.column_names)]
    if not set(columns) <= set(table.column_names) or any(table[name].null_count for name in there if name in _WHOLE):
        return None
    frame: pd.DataFrame = table.select(there).to_pandas()
    return frame.astype({name: "str" if name in _TEXT else "int64" for name in there if name in (*_TEXT, *_WHOLE)})


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UsageError(f"design: {path}: expected text in UTF-8, found other bytes; save it as CSV UTF-8")


def _typed(values: pd.Series, name: str, path: Path) -> pd.Series:
    if name in _TEXT:
        return values
    try:
        numbers = values.replace("", np.nan).astype("float64")
        return numbers.astype("int64") if name in _WHOLE else numbers
    except ValueError as error:
        raise UsageError(f"design: {path}, column {name}: {error}; write it again with `elec2water design`") from error


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UsageError(f"design: {path} cannot be read: {error}") from error
    if not {"seed", "expected_cv"} <= facts.keys():
        raise UsageError(f"design: {path} lacks seed or expected_cv; write it again with `elec2water design`")
    return facts
