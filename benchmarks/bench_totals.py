"""3,000 township totals and their joint covariance over 1,000,000 wells: closed form against draws and marginaleffects.

    python benchmarks/bench_totals.py [--wells 1000000] [--townships 3000] [--strata 60]

Draws are timed on a few and scaled to 1,000 (said in the output). marginaleffects takes part where it is installed.
Writes benchmarks/results/bench_totals.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import pandas as pd

from elec2water.volume.shared_error import Loadings

RESULTS = Path(__file__).parent / "results" / "bench_totals.json"
DRAWS_TIMED = 20
DRAWS = 1000


def best(job: Callable[[], object], repeat: int = 5) -> float:
    """Best wall-clock time [s] of several warm runs."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        job()
        times.append(time.perf_counter() - begin)
    return min(times)


def wells(n: int, townships: int, strata: int, seed: int = 7):
    """Wells with a stratum, a township, one regressor and a volume; a coefficient covariance for strata and slope."""
    rng = np.random.default_rng(seed)
    stratum, township = rng.integers(0, strata, n), np.sort(rng.integers(0, townships, n))
    slope = rng.normal(size=n)
    volume = np.exp(rng.normal(8.0, 0.8, n))
    p = strata + 1
    root = 0.05 * rng.normal(size=(p, p)) / np.sqrt(p)
    covariance = root @ root.T + np.diag(np.full(p, 0.02**2))
    loadings = Loadings(
        dense=slope[:, None],
        dense_at=np.array([strata]),
        codes=np.zeros((n, 0), dtype=np.intp),
        cells=stratum[:, None].astype(np.intp),
        carry=np.eye(p),
        moving=np.zeros((n, 1, 0)),
        moving_at=np.zeros(0, dtype=np.intp),
        sample=np.zeros(0, dtype=np.intp),
        gain=np.zeros((0, p)),
        size=p,
    )
    return stratum, township.astype(np.intp), slope, volume, covariance, loadings


def closed_form(loadings: Loadings, volume, township, n_townships: int, covariance):
    """Joint covariance of the township totals [m⁶] from the shared effects."""
    sums = loadings.domain_sums(volume[:, None], township, n_townships)
    return sums @ covariance @ sums.T


def by_draws(stratum, township, slope, volume, covariance, n_townships: int, n_draws: int):
    """Township totals under draws of the coefficients, (draws, G)."""
    rng = np.random.default_rng(1)
    theta = rng.multivariate_normal(np.zeros(len(covariance)), covariance, n_draws)
    out = np.empty((n_draws, n_townships))
    for k, draw in enumerate(theta):
        out[k] = np.bincount(township, weights=volume * np.exp(draw[stratum] + draw[-1] * slope), minlength=n_townships)
    return out


def marginaleffects_seconds(stratum, township, slope) -> float | None:
    """Seconds of avg_predictions(by township) of a linear model with the strata as dummies."""
    if find_spec("marginaleffects") is None:
        return None
    smf, avg_predictions = import_module("statsmodels.formula.api"), import_module("marginaleffects").avg_predictions
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"s": pd.Categorical(stratum.astype(str)), "t": pd.Categorical(township.astype(str)), "x": slope}
    )
    frame["y"] = rng.normal(size=len(frame))
    fitted = frame.groupby("t", observed=True).head(7)
    fit = smf.ols("y ~ x + C(s)", fitted).fit()
    begin = time.perf_counter()
    avg_predictions(fit, newdata=frame, by="t")
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wells", type=int, default=1_000_000)
    parser.add_argument("--townships", type=int, default=3000)
    parser.add_argument("--strata", type=int, default=60)
    a = parser.parse_args()
    stratum, township, slope, volume, covariance, loadings = wells(a.wells, a.townships, a.strata)
    ours = best(lambda: closed_form(loadings, volume, township, a.townships, covariance))
    draws = best(lambda: by_draws(stratum, township, slope, volume, covariance, a.townships, DRAWS_TIMED), repeat=1) * (
        DRAWS / DRAWS_TIMED
    )
    peer = marginaleffects_seconds(stratum, township, slope)
    exact = np.sqrt(np.diag(closed_form(loadings, volume, township, a.townships, covariance)))
    drawn = by_draws(stratum, township, slope, volume, covariance, a.townships, 200).std(axis=0)
    result = {
        "wells": a.wells,
        "townships": a.townships,
        "effects": a.strata + 1,
        "closed_form_s": ours,
        "draws_1000_s_scaled": draws,
        "ratio_draws": draws / ours,
        "marginaleffects_s": peer,
        "ratio_marginaleffects": None if peer is None else peer / ours,
        "median_sd_drawn_over_closed": float(np.median(drawn / exact)),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, value in result.items():
        print(f"{name:32} {value}")


if __name__ == "__main__":
    main()
