"""Allocation and selection on a province frame: ours beside bethel, svy and R sampling, in one run.

    python benchmarks/bench_design.py FRAME_SCRIPT [--python PEERS_PYTHON] [--no-r]

FRAME_SCRIPT is the generator of the reference frame (allocation_frame.py): 1,000,000 wells in 15,570 strata and 300
townships. PEERS_PYTHON is a Python that has bethel (it asks for other versions of what we use). R2BEAT and
SamplingStrata are served by no registry here; their frozen figures are written beside. Writes
benchmarks/results/bench_design.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import bench_selection
from elec2water.design import allocate, cv_bounds, smallest_sample
from elec2water.design.draw import draw

RESULTS = Path(__file__).parent / "results" / "bench_design.json"
TOWNSHIP_CV, COUNTY_CV, MINIMUM = 0.05, 0.02, 2
VARIABLES = ("volume_m3", "energy_kwh")
SVY_SECONDS, SVY_GB = 300.0, 12.0
FROZEN = {"R2BEAT": {"wells": 96_347, "seconds": 171.0}, "SamplingStrata (real-valued)": {"wells": 91_946.47}}
BETHEL = """
import sys, time, json, numpy as np, pandas as pd
from bethel import bth
t = pd.read_parquet(sys.argv[1]); cv = float(sys.argv[2]); wells = 0; start = time.perf_counter()
for _, s in t.groupby("township"):
    strata = pd.DataFrame({"strata": np.arange(len(s)), "var_volume": s["volume_m3_var"].to_numpy(), "cost": 1.0,
        "var_energy": s["energy_kwh_var"].to_numpy(), "population_size": s["size"].to_numpy(), "min_sample": 2,
        "min_rate": 1e-9})
    targets = pd.DataFrame({"cv": [cv, cv], "total": [s["volume_m3_sum"].sum(), s["energy_kwh_sum"].sum()]})
    wells += int(bth(strata, targets)["adjusted_sample"].sum())
print(json.dumps({"wells": wells, "seconds": time.perf_counter() - start}))
"""
SAMPLING_R = """
suppressMessages(library(sampling)); a <- commandArgs(trailingOnly = TRUE)
d <- data.frame(stratum = scan(a[1], quiet = TRUE)); n <- scan(a[2], quiet = TRUE)
t <- system.time(s <- strata(d, "stratum", size = n, method = "srswor"))[["elapsed"]]
cat(t, nrow(s))
"""


def timed(call: Callable, repeat: int = 3):
    best, result = math.inf, None
    for _ in range(repeat):
        start = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - start)
    return best, result


def strata_of(frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Size, variance and sum of every stratum, and the stratum of every well."""
    by = ["county", "township", "layer", "power_class", "depth_class"]
    group = frame.groupby(by, sort=True)
    table = group[list(VARIABLES)].agg(["var", "sum"]).fillna(0.0)
    table.columns = [f"{name}_{what}" for name, what in table.columns]
    return table.assign(size=group.size()).reset_index(), group.ngroup().to_numpy().astype(np.int64)


def bounds_of(table: pd.DataFrame, *, counties: bool):
    size = table["size"].to_numpy()
    kinds = [("township", TOWNSHIP_CV), *([("county", COUNTY_CV)] if counties else [])]
    bounds = []
    for variable in VARIABLES:
        for kind, cv in kinds:
            codes = table[kind].to_numpy().astype(np.int64)
            total = np.bincount(codes, table[f"{variable}_sum"])
            variance = table[f"{variable}_var"].to_numpy()
            bounds.append(cv_bounds(codes, size, variance, total, np.full(total.size, cv)))
    return bounds


def allocation_rows(table: pd.DataFrame, options: argparse.Namespace) -> dict:
    size = table["size"].to_numpy()
    rows = {}
    for name, counties in (("660 constraints", True), ("600 constraints, townships", False)):
        bounds = bounds_of(table, counties=counties)
        seconds, (n, real) = timed(lambda b=bounds: smallest_sample(b, lower=np.minimum(size, MINIMUM), upper=size))
        worst = max(float((bound.load(n.astype(float)) / bound.limit).max()) for bound in bounds)
        rows[f"elec2water, {name}"] = {
            "wells": int(n.sum()), "real_valued": float(real.sum()), "seconds": seconds, "worst_load": worst,
        }  # fmt: skip
    if options.python:
        rows["bethel, a call a township"] = bethel_row(table, options.python)
    return rows | FROZEN


def bethel_row(table: pd.DataFrame, python: str) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "strata.parquet"
        table.to_parquet(path)
        done = subprocess.run(
            [python, "-W", "ignore", "-c", BETHEL, str(path), str(TOWNSHIP_CV)],
            capture_output=True,
            text=True,
            check=True,
        )
    return json.loads(done.stdout)


def selection_rows(codes: np.ndarray, n: np.ndarray, frame: pd.DataFrame, options: argparse.Namespace) -> dict:
    size = np.bincount(codes)
    probability = (n / size)[codes]
    auxiliaries = frame[list(VARIABLES)].to_numpy()
    random, drawn = timed(lambda: draw(probability, codes, seed=1, method="random"))
    balanced, chosen = timed(lambda: draw(probability, codes, seed=1, method="balanced", auxiliaries=auxiliaries), 1)
    rows = {
        "elec2water, random within strata": {"seconds": random, "wells": int(drawn.size)},
        "elec2water, balanced on 2 variables": {"seconds": balanced, "wells": int(chosen.size)},
    }
    rows |= svy_rows(pd.DataFrame({"stratum": codes, "kwh": frame["energy_kwh"].to_numpy(), "n": n[codes]}))
    if options.r and shutil.which("Rscript"):
        rows["R sampling::strata"] = r_row(codes, n)
    return rows


def svy_rows(whole: pd.DataFrame) -> dict:
    """Stratified random samples by svy within limits: of the province, and of a tenth of it with ours beside."""
    tenth = bench_selection.frame(100_000)
    codes, n = tenth["stratum"].to_numpy(), bench_selection.sizes(tenth)
    ours, drawn = timed(lambda: draw((n / np.bincount(codes))[codes], codes, seed=1, method="random"))
    rows = {"elec2water, random within strata, 100,000 wells": {"seconds": ours, "wells": int(drawn.size)}}
    for name, data in (("svy, 100,000 wells", tenth), ("svy", whole)):
        rows[name] = {"seconds": bench_selection.limited(bench_selection.svy_simple, data, SVY_SECONDS, SVY_GB)}
    return rows


def r_row(codes: np.ndarray, n: np.ndarray) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        np.savetxt(root / "codes.txt", np.sort(codes), fmt="%d")
        np.savetxt(root / "n.txt", n, fmt="%d")
        (root / "run.R").write_text(SAMPLING_R, encoding="utf-8")
        done = subprocess.run(
            [shutil.which("Rscript"), root / "run.R", root / "codes.txt", root / "n.txt"],
            capture_output=True,
            text=True,
            check=True,
        )
    seconds, wells = map(float, done.stdout.split())
    return {"seconds": seconds, "wells": int(wells)}


def variance_row(frame: pd.DataFrame, codes: np.ndarray, n: int) -> dict:
    """Anticipated CV of the province's total for one number of wells under the three rules."""
    energy = frame["energy_kwh"].to_numpy()
    return {rule: allocate(energy, codes, n=n, rule=rule).total_cv for rule in ("optimal", "neyman", "proportional")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("frame", type=Path)
    parser.add_argument("--python", default="")
    parser.add_argument("--no-r", dest="r", action="store_false")
    options = parser.parse_args()
    spec = importlib.util.spec_from_file_location("frame", options.frame)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    frame = module.generate()
    table, codes = strata_of(frame)
    size = table["size"].to_numpy()
    bounds = bounds_of(table, counties=True)
    n, _ = smallest_sample(bounds, lower=np.minimum(size, MINIMUM), upper=size)
    results = {
        "strata": len(table),
        "allocation": allocation_rows(table, options),
        "selection": selection_rows(codes, n, frame, options),
        "expected_cv": variance_row(frame, codes, int(n.sum())),
    }
    print(json.dumps(results, indent=1))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
