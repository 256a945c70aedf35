"""Nested random intercepts: ours against lme-python, mixedlm, statsmodels, R lme4 and R nlme, side by side in one run.

    python benchmarks/bench_mixed.py [--long]

A: y ~ sn + cs + dlh + (1 | stratum) + (1 | well); B: the 60 strata as fixed effects. REML; every tool in turn, for
several rounds after one that warms up, and the best time of each; BLAS on one thread. Ours from integer codes, and from
the frame of text ids that the peers read. Peers that are not installed (pip install lme-python mixedlm polars;
r-cran-lme4) are left out. `--long` adds statsmodels at 2,000 wells and the fixed strata in R (20 s each).
Writes results/bench_mixed.json.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import platform
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from threadpoolctl import threadpool_limits

from elec2water.coefficient.nested import fit_nested
from mixed_data import Nested, generate

ROUNDS, ENOUGH_SECONDS = 12, 4.0
RESULTS = Path(__file__).parent / "results" / "bench_mixed.json"
FORMULA = {
    "A": "y ~ sn + cs + dlh + (1 | stratum) + (1 | well)",
    "B": "y ~ sn + cs + dlh + stratum + (1 | well)",
}
R_SCRIPT = """
args <- commandArgs(trailingOnly = TRUE)
d <- read.csv(args[1], stringsAsFactors = TRUE)
tools <- list()
if (args[2] == "A") {
  tools[["R lme4"]] <- c("lme4", "lmer(y ~ sn + cs + dlh + (1 | stratum) + (1 | well), d)")
  tools[["R nlme"]] <- c("nlme", "lme(y ~ sn + cs + dlh, random = ~ 1 | stratum/well, data = d)")
} else {
  tools[["R lme4"]] <- c("lme4", "lmer(y ~ sn + cs + dlh + stratum + (1 | well), d)")
  tools[["R nlme"]] <- c("nlme", "lme(y ~ sn + cs + dlh + stratum, random = ~ 1 | well, data = d)")
}
for (name in names(tools)) {
  package <- tools[[name]][1]
  if (!suppressMessages(suppressWarnings(require(package, character.only = TRUE, quietly = TRUE)))) next
  call <- parse(text = tools[[name]][2]); best <- Inf
  for (i in seq_len(as.integer(args[3]))) { t <- system.time(m <- eval(call))[["elapsed"]]; best <- min(best, t) }
  cat(sprintf("%s|%.4f|%.10f|%s\\n", name, best, as.numeric(logLik(m, REML = TRUE)), packageVersion(package)))
  detach(paste0("package:", package), character.only = TRUE)
}
"""

Fit: TypeAlias = Callable[[], float]


class Row(NamedTuple):
    """One tool on one case."""

    seconds: float
    log_likelihood: float


def in_turn(fits: dict[str, Fit]) -> dict[str, Row]:
    """Time every tool in turn, so that a busy machine is busy for all; slow ones sit out the later rounds."""
    values = {name: fit() for name, fit in fits.items()}
    seconds: dict[str, list[float]] = {name: [] for name in fits}
    for _ in range(ROUNDS):
        for name, fit in fits.items():
            if sum(seconds[name]) < ENOUGH_SECONDS:
                start = time.perf_counter()
                fit()
                seconds[name].append(time.perf_counter() - start)
    return {name: Row(min(seconds[name]), values[name]) for name in fits}


def frame_of(data: Nested) -> pd.DataFrame:
    """Write the data as the peers read them, with text ids."""
    ids = pd.DataFrame({"stratum": data.stratum[data.well], "well": data.well})
    columns = {"y": data.y, "sn": data.X[:, 1], "cs": data.X[:, 2], "dlh": data.X[:, 3]}
    return pd.DataFrame(
        columns | {"stratum": ids["stratum"].map("S{:03d}".format), "well": ids["well"].map("W{:06d}".format)}
    )


def fit_frame(frame: pd.DataFrame) -> float:
    """Ours from the frame of text ids."""
    well, _ = pd.factorize(frame["well"])
    stratum, _ = pd.factorize(frame["stratum"])
    of_well = np.empty(well.max() + 1, dtype=np.intp)
    of_well[well] = stratum
    X = np.column_stack([np.ones(len(frame)), frame["sn"], frame["cs"], frame["dlh"]])
    return fit_nested(frame["y"].to_numpy(), X, well, of_well).log_likelihood


def ours(case: str, data: Nested, frame: pd.DataFrame) -> dict[str, Fit]:
    y, X, well, stratum = data
    if case == "A":
        return {
            "elec2water": lambda: fit_nested(y, X, well, stratum).log_likelihood,
            "elec2water, from text ids": lambda: fit_frame(frame),
        }
    dummies = np.hstack([X[:, 1:], (stratum[well][:, None] == np.arange(stratum.max() + 1)).astype(float)])
    return {
        "elec2water": lambda: fit_nested(y, X[:, 1:], well, stratum, strata="fixed").log_likelihood,
        "elec2water, dummies written out": lambda: fit_nested(y, dummies, well).log_likelihood,
    }


def python_peers(case: str, frame: pd.DataFrame, *, with_slow: bool) -> dict[str, Fit]:
    fits: dict[str, Fit] = {}
    if importlib.util.find_spec("lme_python"):
        lme, columns = importlib.import_module("lme_python"), importlib.import_module("polars").from_pandas(frame)
        fits[f"lme-python {version('lme-python')}"] = lambda: lme.lmer(FORMULA[case], data=columns).log_likelihood
    if importlib.util.find_spec("mixedlm"):
        mixedlm = importlib.import_module("mixedlm")
        fits[f"mixedlm {version('mixedlm')}"] = lambda: float(mixedlm.lmer(FORMULA[case], frame).logLik().value)
    if with_slow:
        fits[f"statsmodels {version('statsmodels')}"] = lambda: with_statsmodels(frame)
    return fits


def with_statsmodels(frame: pd.DataFrame) -> float:
    model = smf.mixedlm(
        "y ~ sn + cs + dlh", frame, groups="stratum", re_formula="1", vc_formula={"well": "0 + C(well)"}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(model.fit(reml=True).llf)


def with_r(case: str, frame: pd.DataFrame, repeat: int) -> dict[str, Row]:
    """Both R packages on the frame; their versions go by the side of the names."""
    with tempfile.TemporaryDirectory() as folder:
        table, script = Path(folder) / "rows.csv", Path(folder) / "bench.R"
        frame.to_csv(table, index=False, float_format="%.17g")
        script.write_text(R_SCRIPT, encoding="utf-8")
        command = [shutil.which("Rscript") or "Rscript", str(script), str(table), case, str(repeat)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    cells = [line.split("|") for line in done.stdout.splitlines() if line.count("|") == 3]
    return {f"{name} {release}": Row(float(seconds), float(value)) for name, seconds, value, release in cells}


def measure(case: str, n_wells: int, *, long: bool) -> dict[str, Row]:
    """All tools on one case."""
    data = generate(n_wells)
    frame = frame_of(data)
    with_slow = case == "A" and n_wells <= (2000 if long else 500)
    with threadpool_limits(1):
        rows = in_turn(ours(case, data, frame) | python_peers(case, frame, with_slow=with_slow))
    if shutil.which("Rscript") and (case == "A" or long):
        rows |= with_r(case, frame, 1 if n_wells > 2000 else 5)
    return rows


def report_of(n_rows: int, rows: dict[str, Row]) -> dict:
    mine = rows["elec2water"]
    return {
        "rows": n_rows,
        "tools": {
            name: {
                "seconds": row.seconds,
                "times_ours": row.seconds / mine.seconds,
                "log_likelihood": row.log_likelihood,
                "below_ours": mine.log_likelihood - row.log_likelihood,
            }
            for name, row in rows.items()
        },
    }


def show(name: str, case: dict) -> None:
    print(f"\n{name} ({case['rows']:,} rows)\n| tool | s | times ours | REML log-likelihood | below ours |")
    print("|---|---|---|---|---|")
    for tool, row in case["tools"].items():
        print(
            f"| {tool} | {row['seconds']:.4f} | {row['times_ours']:.1f} | {row['log_likelihood']:.6f} "
            f"| {row['below_ours']:.1e} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true")
    arguments = parser.parse_args()
    report: dict[str, dict] = {"python": platform.python_version(), "numpy": np.__version__, "cases": {}}
    for case, n_wells in (("A", 500), ("A", 2000), ("A", 20_000), ("B", 20_000)):
        rows = measure(case, n_wells, long=arguments.long)
        name = f"{case} {n_wells}"
        report["cases"][name] = report_of(generate(n_wells).y.size, rows)
        show(name, report["cases"][name])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
