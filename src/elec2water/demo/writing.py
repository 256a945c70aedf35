"""A county as a project folder: configuration, inputs as a county would hand them in, and the truth beside them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from elec2water import schema
from elec2water.calendar_ import quarter_of
from elec2water.demo.county import County, true_wells, truth_totals
from elec2water.demo.measuring import measure_pairs
from elec2water.demo.streams import stream
from elec2water.errors import UsageError

Sample: TypeAlias = Sequence[str] | Callable[[County], Sequence[str]]

CSV_UP_TO: Final = 50_000
_PAIR_MONTHS: Final = 18
_QUARTER: Final = 3
_BLOCK: Final = 50_000
_SAMPLE: Final = 60

_CONFIG: Final = """\
[project]
name = {name}
county_code = {code}

[strata]
by = ["aquifer", "pump_power_kw", "pump_depth_m"]

[estimate]
confidence = 0.90
domains = ["county", "township", "aquifer", "stratum", "permit_no"]
"""

_README: Final = """\
真值（模拟县，种子 {seed}）：不是输入，只用来检验结果。
The truth of a simulated county (seed {seed}). It is no input: hold results against it.

monthly.parquet   well_id, month, energy_kwh, volume_m3, kappa_m3_per_kwh   每眼井每月；水量包括柴油、光伏井
wells.parquet     well_id, quarter, electric, energy_kwh, volume_m3         每眼井，{quarter}
totals.parquet    domain, key, quarter, n_wells, energy_kwh, volume_m3, other_volume_m3
                  volume_m3: 电力井 wells on the grid; other_volume_m3: 柴油、光伏井 wells without metered electricity
"""


def write_county(
    folder: str | os.PathLike[str],
    county: County,
    *,
    sample: Sample | None = None,
    refusal: float = 0.12,
    seed: int | None = None,
) -> Path:
    """Write a project folder ready for ``elec2water run``.

    Parameters
    ----------
    folder
        New or empty.
    county
        At least 6 months.
    sample
        Ids of the wells that get water meters, or a function that chooses them from the county; by default 60 drawn at
        random, in proportion to aquifer and pump depth.
    refusal
        Share of sample wells that give no pairs.
    seed
        Seed of the measuring campaign; the county's by default.

    Returns
    -------
    pathlib.Path
        The folder: ``elec2water.toml``, ``inputs/`` (CSV with Chinese headings up to 50,000 wells, Parquet above),
        ``truth/``. The same county, sample and seed give the same bytes. It appears whole or not at all.

    Raises
    ------
    UsageError
        The folder holds something already, or the county is too short.
    """
    target = free_folder(folder)
    if len(county.months) < 2 * _QUARTER:
        raise UsageError(f"county: expected at least 6 months, found {len(county.months)}; simulate more months")
    pairs = sample_pairs(county, _sample_ids(county, sample), refusal, county.seed if seed is None else seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _write_project(partial, county, pairs)
        if target.exists():
            target.rmdir()
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def free_folder(folder: str | os.PathLike[str]) -> Path:
    """Give the path of a folder to be written.

    Parameters
    ----------
    folder : path_like
        New or empty.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    UsageError
        If it holds something already, or is a file.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"folder: expected a new or empty folder, found {target} in use; choose another")
    return target


def sample_pairs(county: County, well_ids: Sequence[str], refusal: float, seed: int) -> pd.DataFrame:
    """Pairs of the demo project: 18 months up to the last quarter, and that quarter for half of the wells.

    Parameters
    ----------
    county
        The county.
    well_ids
        Sample wells.
    refusal
        Share of wells that give nothing.
    seed
        Seed of the campaign.

    Returns
    -------
    pandas.DataFrame
        Table ``pairs``; the other half's meters of the last quarter are not read yet.
    """
    first = county.months[max(len(county.months) - _PAIR_MONTHS - _QUARTER, 0)]
    pairs = measure_pairs(county, well_ids, first=first, last=county.months[-1], refusal=refusal, seed=seed)
    ids = np.sort(np.asarray(well_ids, dtype=object))
    waiting = ids[stream(seed, "waiting").permutation(len(ids))[: len(ids) // 2]]
    late = pairs["start"] >= county.months[-_QUARTER].astype("datetime64[s]")
    kept: pd.DataFrame = pairs[~(late & pairs["well_id"].isin(waiting))]
    return kept.reset_index(drop=True)


def random_sample(county: County, n: int, seed: int) -> list[str]:
    """Draw `n` wells in use on the grid, in proportion to aquifer and third of pump depth."""
    wells = county.wells
    used = wells["status"].eq("in_use") if "status" in wells else pd.Series(data=True, index=wells.index)
    frame = np.flatnonzero(county.electric & np.asarray(used, dtype=bool))
    depth = wells["pump_depth_m"].iloc[frame]
    third = np.floor(2.999 * np.asarray(depth.fillna(depth.median()).rank(pct=True)))
    layer = pd.factorize(wells["aquifer"].iloc[frame])[0]
    order = np.lexsort((stream(seed, "sample").random(len(frame)), third, layer))
    n = min(n, len(frame))
    start = stream(seed, "sample start").random()
    chosen = frame[order[((np.arange(n) + start) * len(frame) / max(n, 1)).astype(int)]]
    return [str(county.well_id[k]) for k in chosen]


def _sample_ids(county: County, sample: Sample | None) -> Sequence[str]:
    if sample is None:
        return random_sample(county, _SAMPLE, county.seed)
    return sample(county) if callable(sample) else sample


def _write_project(folder: Path, county: County, pairs: pd.DataFrame) -> None:
    name, code = (json.dumps(text, ensure_ascii=False) for text in (county.name, county.county_code))
    (folder / "elec2water.toml").write_text(_CONFIG.format(name=name, code=code), encoding="utf-8", newline="\n")
    inputs, truth = folder / "inputs", folder / "truth"
    inputs.mkdir()
    truth.mkdir()
    small = {
        "wells": county.wells,
        "meters": county.meters,
        "pairs": pairs,
        "water_levels": county.water_levels,
        "permits": county.permits,
    }
    tables: dict[str, Iterable[pd.DataFrame]] = {k: [frame] for k, frame in small.items() if len(frame)}
    tables["readings"] = county.billing.blocks()
    for table, frames in tables.items():
        if len(county.well_id) <= CSV_UP_TO:
            _write_csv(inputs / f"{table}.csv", table, frames)
        else:
            _write_parquet(inputs / f"{table}.parquet", frames)
    _write_truth(truth, county)


def _write_truth(folder: Path, county: County) -> None:
    quarter = str(quarter_of(county.months[-1:])[0])
    _write_parquet(folder / "monthly.parquet", _monthly(county))
    _write_parquet(folder / "wells.parquet", [true_wells(county, quarter)])
    domains = ("county", "township", "aquifer", "permit_no")
    present = tuple(domain for domain in domains if domain == "county" or domain in county.wells)
    _write_parquet(folder / "totals.parquet", [truth_totals(county, quarter, present)])
    text = _README.format(seed=county.seed, quarter=quarter)
    (folder / "README.txt").write_text(text, encoding="utf-8", newline="\n")


def _monthly(county: County) -> Iterable[pd.DataFrame]:
    months = county.months.astype("datetime64[s]")
    for first in range(0, len(county.well_id), _BLOCK):
        rows = slice(first, first + _BLOCK)
        ids = county.well_id[rows]
        yield pd.DataFrame(
            {
                "well_id": pd.Series(np.repeat(ids, len(months)), dtype="str"),
                "month": np.tile(months, len(ids)),
                "energy_kwh": county.energy_kwh[rows].ravel(),
                "volume_m3": county.volume_m3[rows].ravel(),
                "kappa_m3_per_kwh": county.kappa[rows].ravel(),
            }
        )


def _write_parquet(path: Path, frames: Iterable[pd.DataFrame]) -> None:
    writer = None
    for frame in frames:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _write_csv(path: Path, table: str, frames: Iterable[pd.DataFrame]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        for number, frame in enumerate(frames):
            _in_chinese(frame, table).to_csv(file, index=False, header=number == 0, lineterminator="\n")


def _in_chinese(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """Headings and words as a county office writes them; dates as text."""
    columns = {}
    for name, values in frame.items():
        column = schema.column(table, str(name))
        columns[column.heading_zh] = _cells(values, column.type, column.column)
    return pd.DataFrame(columns, index=frame.index)


def _cells(values: pd.Series, kind: str, name: str) -> pd.Series:
    if kind in {"date", "datetime", "month"}:
        return _dates(values, kind)
    if kind == "bool":
        return values.map({True: "是", False: "否"})
    if kind in {"choice", "category"} and (words := schema.words(name)):
        first = {value: word for word, value in reversed(list(words.items()))}
        return values.map(first).fillna(values)
    if kind in {"number", "integer"} and bool((values.isna() | (values % 1 == 0)).all()):
        return values.astype("Int64")
    return values


def _dates(values: pd.Series, kind: str) -> pd.Series:
    stamps = values.to_numpy(dtype="datetime64[s]")
    day = np.datetime_as_string(stamps, unit="M" if kind == "month" else "D")
    timed = stamps != stamps.astype("datetime64[D]")
    if kind == "datetime" and timed.any():
        minute = np.char.replace(np.datetime_as_string(stamps, unit="m"), "T", " ")
        day = np.where(timed, minute, day)
    return pd.Series(day, index=values.index).mask(np.isnat(stamps))
