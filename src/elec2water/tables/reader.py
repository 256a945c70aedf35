"""The doors: a project folder in, typed tables and findings out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from elec2water import schema
from elec2water.errors import DataRefusedError
from elec2water.findings import Findings
from elec2water.tables import container, headings
from elec2water.tables.columns import type_columns
from elec2water.tables.context import Context
from elec2water.tables.relations import relate
from elec2water.tables.rows import drop_non_records
from elec2water.tables.typed import TypedTable, concat
from elec2water.tables.validate import validate

if TYPE_CHECKING:
    from elec2water.config import Config

REQUIRED = ("wells", "readings", "pairs")
"""Tables without which nothing can be estimated."""

SUFFIXES = (".csv", ".xlsx", ".parquet", ".xls", ".xlsm", ".txt", ".tsv")
"""Names looked for in ``inputs/``; what a file is, its first bytes tell."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a project; one that is not given is an empty frame with its columns.

    Attributes
    ----------
    wells, meters, readings, pairs, water_levels, permits, corrections : pandas.DataFrame
        Canonical columns (docs/nomenclature.md) and further ones behind them. Identifiers and categories are text,
        numbers float64, dates ``datetime64[s]``; what is missing is NaN or NaT. The index is the row in the source
        file (its first line is 1) and ``frame.attrs["file"]`` its name.
    """

    wells: pd.DataFrame
    meters: pd.DataFrame
    readings: pd.DataFrame
    pairs: pd.DataFrame
    water_levels: pd.DataFrame
    permits: pd.DataFrame
    corrections: pd.DataFrame

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(getattr(self, name)):,}" for name in schema.tables())
        return f"Tables({sizes})"


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path
    sheet: str | None
    name: str


def read_tables(folder: str | Path, config: Config) -> tuple[Tables, Findings]:
    """Read and check every table of a project.

    Parameters
    ----------
    folder : path_like
        The project folder; relative paths of ``[inputs]`` start here.
    config : Config
        Where the tables are, the project's own headings, the language of findings.

    Returns
    -------
    Tables
        What could be read; a table that was refused is empty.
    Findings
        Everything noticed in all tables. If ``findings.errors`` is not empty, nothing should be computed from the
        tables: raise ``DataRefusedError(findings)``.
    """
    root, lang = Path(folder), config.project.language
    typed: dict[str, TypedTable] = {}
    found: list[Findings] = []
    for name in schema.tables():
        table, findings = _read_table(name, root, config)
        found.append(findings)
        if table is not None:
            typed[name] = table
    found.append(relate(typed, lang))
    frames = {name: _frame(name, typed.get(name)) for name in schema.tables()}
    return Tables(**frames), Findings.concat(found)


def _read_table(name: str, root: Path, config: Config) -> tuple[TypedTable | None, Findings]:
    context = Context(name, f"inputs/{name}", config.project.language)
    try:
        sources = _sources(name, root, config, context)
    except DataRefusedError as refused:
        return None, _findings_of(refused)
    parts: list[TypedTable] = []
    found = _same_content(sources, context)
    for source in sources:
        try:
            part, findings = _read_file(source, Context(name, source.name, context.lang), config)
        except DataRefusedError as refused:
            found += _findings_of(refused)
        else:
            parts.append(part)
            found += findings
    if not parts or found.errors.count:
        return None, found
    whole = concat(parts)
    checked, findings = validate(whole, Context(name, ", ".join(whole.files), context.lang, config.energy.read_day))
    return checked, found + findings


def _findings_of(refused: DataRefusedError) -> Findings:
    return Findings(refused.findings.frame)


def _sources(name: str, root: Path, config: Config, context: Context) -> list[_Source]:
    listed: tuple[str, ...] = getattr(config.inputs, name)
    if listed:
        return [_source(root, text) for text in listed]
    folder = root / "inputs"
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [path for path in there if path.stem == name and path.suffix.lower() in SUFFIXES]
    if len(files) > 1:
        raise context.refuse("TWO_FILES", observed=", ".join(path.name for path in files))
    if not files and name in REQUIRED:
        raise context.refuse("MISSING_FILE", limit=f"inputs/{name}.csv, .xlsx, .parquet")
    return [_Source(path, None, f"inputs/{path.name}") for path in files]


def _source(root: Path, text: str) -> _Source:
    """Understand ``path`` and ``path#sheet``; a file whose name holds a # is itself."""
    path = root / text
    if not path.exists() and "#" in text:
        file, _, sheet = text.rpartition("#")
        return _Source(root / file, sheet, text)
    return _Source(path, None, text)


def _same_content(sources: list[_Source], context: Context) -> Findings:
    """Refuse one content given twice: its energy would count twice."""
    if len(sources) < 2:
        return Findings.empty()
    seen: dict[tuple[str, str | None], str] = {}
    twice: list[tuple[str, str]] = []
    for source in sources:
        if not source.path.is_file():
            continue
        with source.path.open("rb") as stream:
            key = (hashlib.file_digest(stream, "sha256").hexdigest(), source.sheet)
        if key in seen:
            twice.append((source.name, seen[key]))
        seen.setdefault(key, source.name)
    return context.finding("DUPLICATE_FILE", observed=[a for a, _ in twice], limit=[b for _, b in twice])


def _read_file(source: _Source, context: Context, config: Config) -> tuple[TypedTable, Findings]:
    own: Mapping[str, str] = getattr(config.aliases, context.table)
    raw = container.read_raw(
        source.path, source.sheet, context, lambda cells: headings.count_known(context.table, cells, own)
    )
    resolved, found = headings.resolve(raw.headings, own, context)
    found += raw.findings + _further(resolved, context, config)
    if found.errors.count:
        raise DataRefusedError(found)
    raw, dropped = drop_non_records(raw, resolved, context)
    if len(raw.rows) == 0:
        raise DataRefusedError(found + dropped + context.finding("NO_ROWS", observed=0))
    table, typed = type_columns(raw, resolved, context)
    return table, found + dropped + typed


def _further(resolved: tuple[headings.Heading | None, ...], context: Context, config: Config) -> Findings:
    """Point out columns that nothing uses: a misspelt heading looks like one."""
    known = {*schema.names(context.table), *config.strata.by, *config.model.covariates, *config.estimate.domains}
    extra = [heading.column for heading in resolved if heading is not None and heading.column not in known]
    return context.finding("UNKNOWN_COLUMN", observed=extra)


def _frame(name: str, table: TypedTable | None) -> pd.DataFrame:
    if table is not None:
        return table.to_frame()
    nothing: npt.NDArray[np.int64] = np.array([], dtype=np.int64)
    return TypedTable(name, {}, nothing, nothing.astype(np.int16), ()).to_frame()
