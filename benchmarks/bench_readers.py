"""The readers beside tools that only read: a million meters × 12 months beside polars, a workbook beside calamine.

Run: ``python benchmarks/bench_readers.py [--meters 1000000] [--rows 200000]`` (unset OMP_NUM_THREADS to use all cores).
Every comparison is timed in one run, best of three; read the ratios. Writes ``benchmarks/results/bench_readers.json``.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import python_calamine
import xlsxwriter

from elec2water.config import Config
from elec2water.tables.context import Context
from elec2water.tables.reader import read_one

RESULTS = Path(__file__).parent / "results" / "bench_readers.json"
CONFIG = Config.model_validate({"project": {"name": "x"}})
MONTHS = np.arange(np.datetime64("2025-10"), np.datetime64("2026-10"))


def write_csv(path, meters):
    """Write a row for every meter and month."""
    rng = np.random.default_rng(0)
    ids = np.char.zfill(np.arange(meters).astype(str), 8)
    day = MONTHS.astype("datetime64[D]").astype(str), (MONTHS + 1).astype("datetime64[D]").astype(str)
    frame = {"表号": np.repeat(ids, 12), "开始日期": np.tile(day[0], meters), "结束日期": np.tile(day[1], meters)}
    pl.DataFrame(frame | {"电量": np.round(rng.gamma(2, 300, 12 * meters), 2)}).write_csv(path)


def write_book(path, rows):
    """Write a workbook of six columns."""
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["表号", "开始日期", "结束日期", "电量", "户号", "倍率"])
        for i in range(rows):
            month = MONTHS[i % 12]
            start, end = month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]")
            sheet.write_row(i + 1, 0, [f"{i // 12:08d}", str(start), str(end), i % 997 * 1.5, f"05{i // 12:08d}", 20])


def seconds(job, times=3):
    """Time a job, best of some runs."""
    best = np.inf
    for _ in range(times):
        began = time.perf_counter()
        job()
        best = min(best, time.perf_counter() - began)
    return best


def ours(path):
    """Read, type and check one file."""
    table, _ = read_one(Path(path), Context("readings", "x"), CONFIG)
    return table.to_frame()


def calamine(path):
    """Read all cells."""
    return python_calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python(skip_empty_area=False)


def peak_gb(path):
    """Read in a process of its own and tell how much memory it took."""
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import bench_readers as b; b.show_peak({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def show_peak(path):
    """Print the peak memory of reading a file."""
    ours(path)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def main():
    """Measure, write, print."""
    options = argparse.ArgumentParser()
    options.add_argument("--meters", type=int, default=1_000_000)
    options.add_argument("--rows", type=int, default=200_000)
    given = options.parse_args()
    record = {}
    with tempfile.TemporaryDirectory() as folder:
        for meters in (given.meters // 4, given.meters):
            path = Path(folder) / "readings.csv"
            write_csv(path, meters)
            types = {"表号": pl.String}
            alone = seconds(lambda p=path, t=types: pl.read_csv(p, schema_overrides=t))
            dated = seconds(lambda p=path, t=types: pl.read_csv(p, schema_overrides=t, try_parse_dates=True))
            mine = seconds(lambda p=path: ours(p))
            record[f"csv {meters:,} × 12"] = {
                "elec2water_s": round(mine, 3), "polars_s": round(alone, 3), "polars_dates_s": round(dated, 3),
                "ratio": round(mine / alone, 2), "ratio_dates": round(mine / dated, 2),
                "peak_gb": round(peak_gb(path), 2),
            }  # fmt: skip
        book = Path(folder) / "readings.xlsx"
        write_book(book, given.rows)
        alone, mine = seconds(lambda: calamine(book)), seconds(lambda: ours(book))
        record[f"xlsx {given.rows:,} rows"] = {
            "elec2water_s": round(mine, 3), "calamine_s": round(alone, 3), "ratio": round(mine / alone, 2),
            "peak_gb": round(peak_gb(book), 2),
        }  # fmt: skip
    RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
