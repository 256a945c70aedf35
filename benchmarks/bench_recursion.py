"""Local levels of very many series, and the path a class shares, beside the libraries that users would pick.

    python benchmarks/bench_recursion.py [--series 1000000] [--steps 40]

Readings with 20 % gaps, variances of movement and noise of each series' own. Peers that take seconds for a few hundred
series are timed on fewer and scaled (said in the output); those that are not installed are left out. R KFAS, which no
package registry serves here, enters by its frozen answers and the times of ../shared/PEERS.md. Writes
benchmarks/results/bench_recursion.json.
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

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from statsmodels.tsa.statespace.kalman_filter import KalmanFilter

from elec2water.recursion import PathPrior, filter_levels, integrate_wells, smooth_levels, solve_paths

RESULTS = Path(__file__).parent / "results" / "bench_recursion.json"
REFERENCE = Path(__file__).parents[1] / "tests" / "data"
KFAS = {"log_likelihood": 1010.38530007, "path_T": 0.0088127529, "variance_T": 1.6792527429e-03, "own_T": -0.1803590049}


def best(job: Callable[[], object], repeat: int = 3) -> float:
    """Best wall-clock time [s] of several runs."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        job()
        times.append(time.perf_counter() - begin)
    return min(times)


def readings(n: int, steps: int, seed: int = 1):
    """Make readings (N, T) with a fifth missing, and each series' variances."""
    rng = np.random.default_rng(seed)
    q, r = rng.uniform(0.01, 0.05, n) ** 2, rng.uniform(0.05, 0.2, n) ** 2
    y = rng.standard_normal((n, steps))
    y *= np.sqrt(q)[:, None]
    np.cumsum(y, axis=1, out=y)
    y += np.sqrt(r)[:, None] * rng.standard_normal((n, steps))
    y[rng.random((n, steps)) < 0.2] = np.nan
    return y, q, r


def independent(y, q, r) -> dict[str, float]:
    """Seconds of our filters and of the smoother."""
    jobs = {
        "elec2water numba, last state and likelihood": lambda: filter_levels(y, q, r, variance=1.0, engine="numba"),
        "elec2water numpy, last state and likelihood": lambda: filter_levels(y, q, r, variance=1.0, engine="numpy"),
        "elec2water numba, every month": lambda: filter_levels(y, q, r, variance=1.0, every_step=True, engine="numba"),
        "elec2water smoother": lambda: smooth_levels(y, q, r, variance=1.0),
    }
    filter_levels(y[:10], q[:10], r[:10], variance=1.0, engine="numba")
    found = {name: best(job) for name, job in jobs.items()}
    state = filter_levels(y, q, r, variance=1.0).state
    found["elec2water, one month added"] = best(lambda: state.append(y[:, 0], q, r))
    return found


def simdkalman_seconds(y, q, r) -> float:
    """Seconds of simdkalman, filtered states and likelihood, in portions of 100,000 for its memory."""
    simd = import_module("simdkalman")

    def job() -> None:
        for start in range(0, len(y), 100_000):
            part = slice(start, start + 100_000)
            kf = simd.KalmanFilter(np.eye(1), q[part, None, None], np.ones((1, 1)), r[part, None, None])
            kf.compute(
                y[part],
                0,
                initial_value=np.zeros(1),
                initial_covariance=np.ones((1, 1)),
                smoothed=False,
                filtered=True,
                observations=False,
                log_likelihood=True,
            )

    return best(job, 2)


def statsmodels_seconds(y, q, r) -> tuple[float, float]:
    """Seconds of the bare statsmodels filter on these series, and the largest difference of states from ours."""
    ours = filter_levels(y, q, r, variance=1.0).state
    worst = 0.0
    begin = time.perf_counter()
    for i in range(len(y)):
        model = KalmanFilter(k_endog=1, k_states=1)
        model.bind(y[i][None, :].copy())
        model["design"], model["transition"], model["selection"] = [[1.0]], [[1.0]], [[1.0]]
        model["state_cov"], model["obs_cov"] = [[q[i]]], [[r[i]]]
        model.initialize_known(np.zeros(1), np.ones((1, 1)))
        model.tolerance = 0.0
        done = model.filter()
        worst = max(
            worst,
            abs(done.filtered_state[0, -1] - ours.mean[i]),
            abs(done.filtered_state_cov[0, 0, -1] - ours.variance[i]),
            abs(done.llf_obs.sum() - ours.log_likelihood[i]),
        )
    return time.perf_counter() - begin, worst


def filterpy_seconds(y, q, r) -> float:
    """Seconds of filterpy's filter on these series."""
    kalman = import_module("filterpy.kalman").KalmanFilter
    begin = time.perf_counter()
    for i in range(len(y)):
        kf = kalman(dim_x=1, dim_z=1)
        kf.F, kf.H, kf.Q, kf.R, kf.P = np.eye(1), np.eye(1), q[i] * np.eye(1), r[i] * np.eye(1), np.eye(1)
        for t, value in enumerate(y[i]):
            if t:
                kf.predict()
            kf.update(None if np.isnan(value) else value)
    return time.perf_counter() - begin


def pykalman_seconds(y, q, r) -> float:
    """Seconds of pykalman's filter on these series."""
    kalman = import_module("pykalman").KalmanFilter
    begin = time.perf_counter()
    for i in range(len(y)):
        kf = kalman(np.eye(1), np.eye(1), q[i] * np.eye(1), r[i] * np.eye(1), np.zeros(1), np.zeros(1), np.eye(1))
        kf.filter(np.ma.masked_invalid(y[i][:, None]))
    return time.perf_counter() - begin


def rts_seconds(y) -> float:
    """Seconds of rts-smoother (one q and r for all)."""
    smooth = import_module("rts_smoother").smooth
    frame = pd.DataFrame(y.T)
    return best(lambda: smooth(frame, 0.03**2, 0.12**2), 2)


def peers(y, q, r) -> dict[str, dict[str, float]]:
    """Seconds of every peer that is installed, scaled to all series."""
    n = len(y)
    found: dict[str, dict[str, float]] = {}
    seconds, worst = statsmodels_seconds(y[:300], q[:300], r[:300])
    found["statsmodels KalmanFilter"] = {"timed": 300, "seconds": seconds * n / 300, "largest_difference": worst}
    few = {"filterpy": (filterpy_seconds, 60), "pykalman": (pykalman_seconds, 30)}
    for name, (job, m) in few.items():
        if find_spec(name) is not None:
            found[name] = {"timed": m, "seconds": job(y[:m], q[:m], r[:m]) * n / m}
    if find_spec("rts_smoother") is not None:
        found["rts-smoother (one q and r)"] = {"timed": n, "seconds": rts_seconds(y)}
    if find_spec("simdkalman") is not None:
        found["simdkalman"] = {"timed": n, "seconds": simdkalman_seconds(y, q, r)}
    return found


def shared(y, q, r) -> dict[str, float]:
    """Seconds of the exact filter with a shared path, and of adding a month to it."""
    prior = PathPrior(0.25, 0.04**2)
    found = {}
    for engine in ("numba", "numpy"):
        integrate_wells(y[:10], q[:10], r[:10], variance=0.04, engine=engine)
        found[f"elec2water {engine}"] = best(
            lambda engine=engine: solve_paths(integrate_wells(y, q, r, variance=0.04, engine=engine), prior)
        )
    wells = integrate_wells(y, q, r, variance=0.04)
    paths = solve_paths(wells, prior)
    found["levels of all wells given the path"] = best(lambda: wells.levels(paths))
    found["one month added"] = best(lambda: wells.append(y[:, 0], q, r))
    return found


def joint_statsmodels(y, q, r) -> float:
    """Seconds of the joint filter with one state for the path and one for every well."""
    n = len(y)
    model = KalmanFilter(k_endog=n, k_states=n + 1)
    model.bind(y.T.copy())
    model["design"] = np.hstack([np.ones((n, 1)), np.eye(n)])
    model["transition"] = model["selection"] = np.eye(n + 1)
    model["state_cov"], model["obs_cov"] = np.diag(np.r_[0.04**2, q]), np.diag(r)
    model.initialize_known(np.zeros(n + 1), np.diag(np.r_[0.25, np.full(n, 0.04)]))
    return best(model.filter, 1)


def answers() -> dict[str, float]:
    """Our answers on the data of the frozen KFAS run."""
    y = pd.read_csv(REFERENCE / "kfas_shared_level_Y.csv").to_numpy().T
    own = pd.read_csv(REFERENCE / "kfas_shared_level_qR.csv")
    wells = integrate_wells(y, own["q"].to_numpy(), own["R"].to_numpy(), variance=0.04)
    paths = solve_paths(wells, PathPrior(0.25, 0.04**2))
    return {
        "log_likelihood": float(paths.log_likelihood.sum()),
        "path_T": float(paths.mean[0, -1]),
        "variance_T": float(paths.covariance[0, -1, -1]),
        "own_T": float(wells.own_levels(paths)[0][0]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=40)
    a = parser.parse_args()
    y, q, r = readings(a.series, a.steps)
    result = {
        "series": a.series,
        "steps": a.steps,
        "independent": independent(y, q, r),
        "peers": peers(y, q, r),
        "shared": shared(y, q, r),
        "joint_statsmodels": {str(n): joint_statsmodels(y[:n], q[:n], r[:n]) for n in (50, 100, 200)},
        "answers": answers(),
        "kfas": KFAS,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
