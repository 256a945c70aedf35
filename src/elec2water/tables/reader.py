"""The doors: a project folder in, typed tables and findings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from elec2water import schema
from elec2water.errors import DataRefusedError
from elec2water.findings import Findings
from elec2water.tables import clock, container, headings, layout, stated, timing, wide
from elec2water.tables.accounts import by_meter
from elec2water.tables.columns import type_columns
from elec2water.tables.context import Context
from elec2water.tables.private import redacted
from elec2water.tables.raw import RawTable
from elec2water.tables.relations import relate
from elec2water.tables.rest import with_rest_depths
from elec2water.tables.rows import drop_non_records
from elec2water.tables.sources import Source, same_content, sources_of, unpacked
from elec2water.tables.typed import TypedTable, concat
from elec2water.tables.validate import validate

if TYPE_CHECKING:
    from elec2water.config import Config

REQUIRED = ("wells", "readings", "pairs")
"""Tables without which nothing can be estimated."""


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
    typed, more = by_meter(typed, lang)
    found += [more, relate(typed, lang)]
    frames = {name: _frame(name, typed.get(name)) for name in schema.tables()}
    frames["wells"] = with_rest_depths(frames["wells"], frames["pairs"])
    return Tables(**frames), Findings.concat(found)


def _read_table(name: str, root: Path, config: Config) -> tuple[TypedTable | None, Findings]:
    context = Context(
        name, f"inputs/{name}", config.project.language, config.energy.read_day, config.project.county_code
    )
    try:
        sources, found = sources_of(name, root, getattr(config.inputs, name), context, required=name in REQUIRED)
    except DataRefusedError as refused:
        return None, _findings_of(refused)
    parts: list[TypedTable] = []
    found += same_content(sources, context)
    for source in sources:
        try:
            with unpacked(source, context) as inside:
                read = [_read_source(one, replace(context, file=one.name), config) for one in inside]
        except DataRefusedError as refused:
            found += _findings_of(refused)
        else:
            parts += [part for part, _ in read]
            found += Findings.concat(more for _, more in read)
    if not parts:
        return None, found
    whole = concat(parts).with_names_in_order()
    checked, findings = validate(whole, replace(context, file=_together(whole.files)))
    return (None if found.errors.count else checked), found + findings


def read_one(path: Path, context: Context, config: Config) -> tuple[TypedTable, Findings]:
    """Read and check one file by itself.

    Parameters
    ----------
    path : pathlib.Path
        The file, or an archive of files.
    context : Context
        The table it is, and how findings call it.
    config : Config
        The project's own headings.

    Returns
    -------
    TypedTable
        Its records.
    Findings
        What was noticed.

    Raises
    ------
    DataRefusedError
        If it cannot be read.
    """
    with unpacked(Source(path, None, context.file), context) as inside:
        read = [_read_source(one, context, config) for one in inside]
    checked, found = validate(concat([table for table, _ in read]), context)
    return checked, Findings.concat([*(more for _, more in read), found])


def _together(files: tuple[str, ...]) -> str:
    names = list(dict.fromkeys(files))
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} … {names[-1]} ({len(names)})"


def _findings_of(refused: DataRefusedError) -> Findings:
    return Findings(refused.findings.frame)


def _read_source(source: Source, context: Context, config: Config) -> tuple[TypedTable, Findings]:
    """Read one file: its sheets, each to typed columns."""
    own: headings.Aliases = tuple(getattr(config.aliases, context.table).items())

    @cache
    def known(text: str) -> str | None:
        return wide.meaning(context.table, text, own)

    def recognise(rows: Sequence[Sequence[str]], merged: Sequence[layout.Range]) -> layout.Layout | None:
        return layout.recognise(rows, merged, known, headings.is_unit)

    def kind_of(text: str) -> str:
        return _kinds(context.table).get((known(text) or "").rpartition(":")[2], "")

    raws = [
        replace(raw, file=_with_folders(raw.file, source.name))
        for raw in container.read_raw(source.path, source.sheet, context, recognise, kind_of)
    ]
    read = [_typed(raw, own, context, config) for raw in raws]
    return concat([table for table, _ in read]), Findings.concat(found for _, found in read)


def _with_folders(file: str, name: str) -> str:
    """Put folders that name a year before the name of a file that names none: 2026年/7月.xlsx."""
    folders = [part for part in name.split("/")[:-1] if stated.years_in(part)]
    return f"{folders[-1]} {file}" if folders and not stated.years_in(file) else file


@cache
def _kinds(table: str) -> Mapping[str, str]:
    return {column.column: column.type for column in schema.columns(table)}


def _typed(raw: RawTable, own: headings.Aliases, context: Context, config: Config) -> tuple[TypedTable, Findings]:
    found = raw.findings
    for step in (drop_non_records, wide.lengthen, timing.with_period, clock.with_hours):
        raw, more = step(raw, own, context)
        found += more
    resolved, more = headings.resolve(raw.headings, own, context)
    found += more + _further(resolved, context, config)
    resolved, more = headings.with_title_unit(resolved, raw.above, context)
    found += more
    if found.errors.count:
        raise DataRefusedError(found)
    if len(raw.rows) == 0:
        raise DataRefusedError(found + context.finding("NO_ROWS", observed=0))
    table, more = type_columns(raw, resolved, context)
    table, private = redacted(table, context)
    return table, found + more + private + timing.outside_title(table, raw, context)


def _further(resolved: tuple[headings.Heading | None, ...], context: Context, config: Config) -> Findings:
    """Point out columns that nothing uses: a misspelt heading looks like one."""
    known = {*schema.names(context.table), *config.strata.by, *config.model.covariates, *config.estimate.domains}
    known |= {word for kind in ("row_number", "year_heading") for word in schema.words(kind)}
    extra = [heading.column for heading in resolved if heading is not None and heading.column not in known]
    return context.finding("UNKNOWN_COLUMN", observed=extra)


def _frame(name: str, table: TypedTable | None) -> pd.DataFrame:
    if table is not None:
        return table.to_frame()
    nothing: npt.NDArray[np.int64] = np.array([], dtype=np.int64)
    return TypedTable(name, {}, nothing, nothing.astype(np.int16), ()).to_frame()
