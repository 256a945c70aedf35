"""Selection of stratified samples: ours against svy, samplics and R's `sampling`, in one run.

    python benchmarks/bench_selection.py [--peer-seconds 300] [--peer-gb 12]

The frame is that of ../shared/data/reference/allocation_frame.py (1,000,000 wells, 15,570 strata), or 100,000 wells of
it. A peer that does not finish within the time or the memory is said to have not. Writes
benchmarks/results/bench_selection.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import svy
from samplics.sampling import SampleSelection
from samplics.utils.types import SelectMethod

from elec2water.design.coordination import sizes_above
from elec2water.design.cube import balanced
from elec2water.design.pivotal import local_pivotal
from elec2water.design.random_draw import random_pps, simple_random

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results" / "bench_selection.json"
REFERENCE = ROOT.parent / "shared" / "data" / "reference" / "allocation_frame.py"
RATE = 0.0963
R_SCRIPT = """
suppressMessages(library(sampling)); args <- commandArgs(trailingOnly = TRUE); job <- args[2]
d <- read.csv(file.path(args[1], "frame.csv"))
if (job == "simple") {
  n <- read.csv(file.path(args[1], "n.csv"))$n
  e <- system.time(s <- strata(d, "stratum", n, "srswor"))[["elapsed"]]; size <- nrow(s)
} else {
  X <- cbind(1, d$east, d$north, sqrt(d$kwh)); S <- d$stratum + 1
  if (job == "cube") e <- system.time(s <- samplecube(cbind(d$p, X), d$p, comment = FALSE, method = 2))[["elapsed"]]
  else e <- system.time(s <- balancedstratification(X, S, d$p, comment = FALSE, method = 2))[["elapsed"]]
  size <- sum(s)
}
cat(e, size, "\\n")
"""


def frame(n: int) -> pd.DataFrame:
    """Wells by stratum, with places round the middle of their township, and probabilities by energy."""
    specification = importlib.util.spec_from_file_location("allocation_frame", REFERENCE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    wells = module.generate(n=1_000_000).iloc[:n]
    if n < 1_000_000:
        wells = wells.assign(township=wells["township"] % max(1, n * 300 // 1_000_000))
    keys = ["township", "layer", "power_class", "depth_class"]
    stratum = wells.groupby(keys, sort=True).ngroup().to_numpy()
    rng = np.random.default_rng(1)
    towns = wells["township"].to_numpy()
    middles = rng.uniform(0, 300, (towns.max() + 1, 2))
    places = middles[towns] + rng.normal(0, 5, (len(wells), 2))
    size = np.bincount(stratum)
    each = np.minimum(np.maximum(np.round(RATE * size), 2), size).astype(np.int64)
    kwh = wells["energy_kwh"].to_numpy()
    p = sizes_above(kwh, stratum, each, np.zeros(len(wells)))
    table = {"stratum": stratum, "kwh": kwh, "p": p, "east": places[:, 0], "north": places[:, 1]}
    return pd.DataFrame(table).assign(n=each[stratum])


def sizes(data: pd.DataFrame) -> np.ndarray:
    return data.groupby("stratum")["n"].first().to_numpy()


def ours(job: str, data: pd.DataFrame) -> float:
    codes, p = data["stratum"].to_numpy(), data["p"].to_numpy()
    places = data[["east", "north"]].to_numpy()
    auxiliaries = np.column_stack([np.ones(len(data)), places, np.sqrt(data["kwh"])])
    n = sizes(data)
    jobs: dict[str, Callable[[], np.ndarray]] = {
        "simple": lambda: simple_random(codes, n, seed=1),
        "pps": lambda: random_pps(p, codes, seed=1),
        "spatial": lambda: local_pivotal(p, places, codes=codes, seed=1),
        "cube": lambda: balanced(p, np.column_stack([p, auxiliaries]), seed=1),
        "stratified cube": lambda: balanced(p, auxiliaries, codes=codes, seed=1),
        "doubly balanced": lambda: balanced(p, auxiliaries, codes=codes, coordinates=places, seed=1),
    }
    best = np.inf
    for _ in range(5 if job in ("simple", "pps") else 1):
        start = time.perf_counter()
        drawn = jobs[job]()
        best = min(best, time.perf_counter() - start)
    if abs(drawn.size - round(p.sum())) > 1:
        raise RuntimeError(f"{job}: {drawn.size} drawn, {p.sum():.1f} wanted")
    return best


def svy_simple(data: pd.DataFrame) -> float:
    sample = svy.Sample(pl.from_pandas(data[["stratum", "kwh"]]), svy.Design(stratum="stratum"))
    wanted = dict(enumerate(sizes(data).tolist()))
    start = time.perf_counter()
    sample.sampling.srs(n=wanted, rstate=1)
    return time.perf_counter() - start


def samplics_simple(data: pd.DataFrame) -> float:
    selection = SampleSelection(method=SelectMethod.srs_wor, strat=True, wr=False)
    wanted = dict(enumerate(sizes(data).tolist()))
    start = time.perf_counter()
    selection.select(np.arange(len(data)), wanted, data["stratum"].to_numpy())
    return time.perf_counter() - start


def limited(call: Callable[[pd.DataFrame], float], data: pd.DataFrame, seconds: float, gb: float) -> float | str:
    """Run a peer in a process of its own, with a limit of memory and time."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(gb * 2**30), int(gb * 2**30)))
        try:
            send.send(call(data))
        except MemoryError:
            send.send(f"more than {gb:g} GB")
        except Exception as error:  # what a peer raises is its result
            send.send(type(error).__name__)

    process = context.Process(target=work)
    process.start()
    answer = receive.recv() if receive.poll(seconds) else f"not in {seconds:g} s"
    process.kill()
    process.join()
    return answer


def in_r(job: str, data: pd.DataFrame, seconds: float) -> float | str:
    rscript = shutil.which("Rscript")
    if rscript is None:
        return "no R"
    with tempfile.TemporaryDirectory() as folder:
        data.sort_values("stratum").to_csv(f"{folder}/frame.csv", index=False)
        pd.DataFrame({"n": sizes(data)}).to_csv(f"{folder}/n.csv", index=False)
        (Path(folder) / "job.R").write_text(R_SCRIPT)
        try:
            done = subprocess.run(
                [rscript, f"{folder}/job.R", folder, job], check=False, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return f"not in {seconds:g} s"
        return float(done.stdout.split()[0]) if done.returncode == 0 else "failed"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer-seconds", type=float, default=300.0)
    parser.add_argument("--peer-gb", type=float, default=12.0)
    options = parser.parse_args()
    rows = []

    def record(job: str, data: pd.DataFrame, tool: str, seconds: float | str) -> None:
        rows.append(
            {"job": job, "wells": len(data), "strata": int(data["stratum"].nunique()), "tool": tool, "s": seconds}
        )
        print(rows[-1], flush=True)

    small, large = frame(100_000), frame(1_000_000)
    tiny = frame(10_000)
    for data in (small, large):
        for job in ("simple", "pps", "spatial", "stratified cube", "doubly balanced"):
            record(job, data, "elec2water", ours(job, data))
        record("simple", data, "svy", limited(svy_simple, data, options.peer_seconds, options.peer_gb))
        record("simple", data, "samplics", limited(samplics_simple, data, options.peer_seconds, options.peer_gb))
        record("simple", data, "R sampling::strata", in_r("simple", data, options.peer_seconds))
    for job, theirs in (("cube", "samplecube"), ("stratified cube", "balancedstratification")):
        record(job, tiny, "elec2water", ours(job, tiny))
        record(
            job,
            tiny,
            f"R sampling::{theirs}",
            in_r("cube" if job == "cube" else "stratified", tiny, options.peer_seconds),
        )
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
