"""The readers beside tools that only read: a million meters × 12 months beside polars, a workbook beside calamine.

Run: ``python benchmarks/bench_readers.py [--meters 1000000] [--rows 200000]`` (unset OMP_NUM_THREADS to use all cores).
Every comparison is timed in one run, ours and theirs by turns, best of five; read the ratios. From Parquet a process of
its own reads registry and readings, checks them, makes energy by well and month and looks for faults. Writes
``benchmarks/results/bench_readers.json``.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import python_calamine
import xlsxwriter

from elec2water import county
from elec2water.config import Config
from elec2water.tables.context import Context
from elec2water.tables.reader import read_one

RESULTS = Path(__file__).parent / "results" / "bench_readers.json"
CONFIG = Config.model_validate({"project": {"name": "x"}})
MONTHS = np.arange(np.datetime64("2025-10"), np.datetime64("2026-10"))


def long_table(meters, *, by_month):
    """Give a row for every meter and month, ordered by meter or by month."""
    rng = np.random.default_rng(0)
    ids = np.char.zfill(np.arange(meters).astype(str), 8)
    first, after = (edge.astype("datetime64[D]").astype(str) for edge in (MONTHS, MONTHS + 1))
    across, along = (np.tile, np.repeat) if by_month else (np.repeat, np.tile)
    frame = {"表号": across(ids, 12), "开始日期": along(first, meters), "结束日期": along(after, meters)}
    return pl.DataFrame(frame | {"电量": np.round(rng.gamma(2, 300, 12 * meters), 2)})


def wide_table(meters):
    """Give a row for every meter and a column for every month."""
    rng = np.random.default_rng(0)
    names = [f"{month.astype(object):%Y年%m月}" for month in MONTHS]
    ids = np.char.zfill(np.arange(meters).astype(str), 8)
    return pl.DataFrame({"表号": ids} | {name: np.round(rng.gamma(2, 300, meters), 2) for name in names})


def write_project(folder, meters):
    """Write a project of Parquet tables: as many wells as meters."""
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    (folder / "elec2water.toml").write_text('[project]\nname = "x"\n', encoding="utf-8")
    table = long_table(meters, by_month=True)
    dates = [pl.col(name).str.to_date() for name in ("开始日期", "结束日期")]
    table.with_columns(dates).write_parquet(inputs / "readings.parquet")
    ids = table["表号"][:meters].to_numpy()
    pd.DataFrame({
        "取水口编号": ids, "乡镇": np.char.add("乡", (np.arange(meters) % 300).astype(str)), "取水层位": "浅层",
        "水泵功率": 15.0, "水泵安装深度": 40.0,
    }).to_parquet(inputs / "wells.parquet", index=False)  # fmt: skip
    pair = {"取水口编号": ids[:1], "开始时间": "2025-10-01", "结束时间": "2025-11-01", "电量": 100.0, "水量": 400.0}
    pd.DataFrame(pair).to_parquet(inputs / "pairs.parquet", index=False)


def write_book(path, rows):
    """Write a workbook of six columns."""
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["表号", "开始日期", "结束日期", "电量", "户号", "倍率"])
        for i in range(rows):
            month = MONTHS[i % 12]
            start, end = month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]")
            sheet.write_row(i + 1, 0, [f"{i // 12:08d}", str(start), str(end), i % 997 * 1.5, f"05{i // 12:08d}", 20])


def by_turns(times, **jobs):
    """Time jobs by turns; give the best by the clock and by the processor of each."""
    best = dict.fromkeys(jobs, (np.inf, np.inf))
    for _ in range(times):
        for name, job in jobs.items():
            clock, processor = time.perf_counter(), time.process_time()
            job()
            spent = time.perf_counter() - clock, time.process_time() - processor
            best[name] = tuple(map(min, best[name], spent))
    return best


def beside(ours_and_theirs, path):
    """Write times and ratios."""
    mine, *others = ours_and_theirs
    record = {f"{name}_s": round(spent[0], 3) for name, spent in ours_and_theirs.items()}
    for name in others:
        clock, processor = (a / b for a, b in zip(ours_and_theirs[mine], ours_and_theirs[name], strict=True))
        record |= {f"ratio_{name}": round(clock, 2), f"ratio_{name}_processor": round(processor, 2)}
    return record | {"peak_gb": round(in_own_process("show_peak", path), 2)}


def ours(path):
    """Read, type and check one file."""
    table, _ = read_one(Path(path), Context("readings", "x"), CONFIG)
    return table.to_frame()


def calamine(path):
    """Read all cells."""
    return python_calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python(skip_empty_area=False)


def in_own_process(function, path):
    """Call a function of this module in a process of its own and read what it prints."""
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import bench_readers as b; b.{function}({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def show_energy(folder):
    """Print the seconds from Parquet to the energy of wells and months with its findings, and the peak memory."""
    began, processor = time.perf_counter(), time.process_time()
    project = county.read_project(folder)
    energy, found = project.energy()
    spent = {"clock_s": round(time.perf_counter() - began, 2), "processor_s": round(time.process_time() - processor, 2)}
    peak = own_peak()
    print(json.dumps({"cells": energy.kwh.size, "findings": found.count, "peak_gb": round(peak, 2)} | spent))


def own_peak():
    """Give the peak memory of this process in GB; what getrusage says begins with that of the process before."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))[1]) / 1e6


def show_peak(path):
    """Print the peak memory of reading a file."""
    ours(path)
    print(own_peak())


def csv_case(folder, meters, *, by_month):
    """Read a file beside polars."""
    path = Path(folder) / "readings.csv"
    long_table(meters, by_month=by_month).write_csv(path)
    types = {"表号": pl.String}
    return beside(
        by_turns(
            5,
            elec2water=lambda: ours(path),
            polars=lambda: pl.read_csv(path, schema_overrides=types),
            polars_dates=lambda: pl.read_csv(path, schema_overrides=types, try_parse_dates=True),
        ),
        path,
    )


def wide_case(folder, meters):
    """Read a wide file beside polars: by itself, and with the rows that a long table has."""
    path = Path(folder) / "wide.csv"
    wide_table(meters).write_csv(path)
    types = {"表号": pl.String}
    return beside(
        by_turns(
            5,
            elec2water=lambda: ours(path),
            polars=lambda: pl.read_csv(path, schema_overrides=types),
            polars_long=lambda: (
                pl.read_csv(path, schema_overrides=types).unpivot(index="表号").sort("表号", "variable")
            ),
        ),
        path,
    )


def main():
    """Measure, write, print."""
    options = argparse.ArgumentParser()
    options.add_argument("--meters", type=int, default=1_000_000)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--only", nargs="*", default=["csv", "xlsx", "parquet"], help="the others keep their record")
    given = options.parse_args()
    record = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for meters in (given.meters // 100, given.meters // 10, given.meters) if "csv" in given.only else ():
            record[f"csv {meters:,} × 12, wide"] = wide_case(folder, meters)
            for order in ("meter", "month"):
                name = f"csv {meters:,} × 12, by {order}"
                record[name] = csv_case(folder, meters, by_month=order == "month")
        if "xlsx" in given.only:
            book = Path(folder) / "readings.xlsx"
            write_book(book, given.rows)
            times = by_turns(3, elec2water=lambda: ours(book), calamine=lambda: calamine(book))
            record[f"xlsx {given.rows:,} rows"] = beside(times, book)
        for meters in (given.meters // 10, given.meters) if "parquet" in given.only else ():
            project = Path(folder) / str(meters)
            write_project(project, meters)
            record[f"parquet {meters:,} × 12, to energy and findings"] = in_own_process("show_energy", project)
    record = dict(
        sorted(record.items(), key=lambda case: (case[0].split()[0], int(case[0].split()[1].replace(",", ""))))
    )
    RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
