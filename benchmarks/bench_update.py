"""A province's update: 20,000 sample wells, 36 months of pairs, 500 shared effects; and how it grows.

    python benchmarks/bench_update.py [--wells 20000] [--months 36]

The posterior is fitted from the pairs (variances searched and integrated, robust weights, joint covariance at every
node), and again with the variances held, as an update of a loaded coefficient does it. Sizes of a half and a quarter
are timed beside it. Writes benchmarks/results/bench_update.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np

from elec2water.coefficient.gaussian import Rows
from elec2water.coefficient.posterior import fit_posterior, posterior_at
from elec2water.coefficient.shared import Factor, Layout, Regressor

RESULTS = Path(__file__).parent / "results" / "bench_update.json"
N_REGRESSORS, N_STRATA, N_TOWNSHIPS, AQUIFERS = 12, 60, 312, ("浅层", "深层", "岩溶")
N_MOVING = 8


def province(n_wells: int, n_months: int, seed: int = 5) -> tuple[Rows, Layout]:
    """Pairs of sample wells, one a month less a tenth, with a layout of 500 effects at 36 months."""
    rng = np.random.default_rng(seed)
    months = np.datetime64("2023-10") + np.arange(n_months)
    layout = Layout(
        tuple(Regressor(f"x{k}", 0.0, 0.3) for k in range(N_REGRESSORS)),
        (
            Factor("stratum", tuple(f"s{k}" for k in range(N_STRATA)), variance="stratum"),
            Factor("township", tuple(f"t{k}" for k in range(N_TOWNSHIPS)), variance="township"),
        ),
        tuple(Regressor(f"m{k}", 0.0, 0.1) for k in range(N_MOVING)),
        AQUIFERS,
        months,
    )
    static = np.zeros((n_wells, layout.n_static))
    static[:, :N_REGRESSORS] = rng.normal(size=(n_wells, N_REGRESSORS))
    here = np.arange(n_wells)
    static[here, N_REGRESSORS + rng.integers(0, N_STRATA, n_wells)] = 1.0
    static[here, N_REGRESSORS + N_STRATA + rng.integers(0, N_TOWNSHIPS, n_wells)] = 1.0
    aquifer = rng.integers(0, len(AQUIFERS), n_wells)
    kept = rng.random((n_wells, n_months)) > 0.1
    well, month = np.nonzero(kept)
    moving = 0.1 * rng.normal(size=(well.size, N_MOVING))
    theta = 0.05 * rng.normal(size=layout.size)
    level = 0.25 * rng.normal(size=n_wells)
    rows = Rows(
        well=well.astype(np.intp),
        y=np.zeros(well.size),
        time=2023.8 + month / 12.0,
        pump=np.zeros(well.size, dtype=np.intp),
        unread=np.zeros(well.size),
        cell=(aquifer[well] * n_months + month).astype(np.intp),
        static=static,
        moving=moving,
        scale=np.ones(well.size),
        extra=np.zeros(well.size),
        level_scale=np.ones(n_wells),
        n_cells=layout.n_cells,
    )
    y = rows.product(theta) + level[well] + 0.05 * rng.normal(size=well.size)
    return Rows(**{**rows.__dict__, "y": y}), layout


def seconds(n_wells: int, n_months: int) -> dict[str, float]:
    """Wall-clock and processor time of one fit [s]."""
    rows, layout = province(n_wells, n_months)
    begin, cpu = time.perf_counter(), time.process_time()
    posterior = fit_posterior(rows, layout, np.arange(n_wells))
    fitted = time.perf_counter() - begin
    posterior_at(rows, layout, posterior.sample, psi=np.log(posterior.sd), weight=posterior.weight)
    return {
        "wells": n_wells,
        "months": n_months,
        "pairs": int(rows.y.size),
        "effects": layout.size,
        "nodes": int(posterior.weight.size),
        "seconds": fitted,
        "update_seconds": time.perf_counter() - begin - fitted,
        "cpu_seconds": time.process_time() - cpu,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wells", type=int, default=20_000)
    parser.add_argument("--months", type=int, default=36)
    a = parser.parse_args()
    sizes = [(a.wells // 4, a.months), (a.wells // 2, a.months), (a.wells, a.months // 2), (a.wells, a.months)]
    result = {"fit": [seconds(*size) for size in sizes]}
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for row in result["fit"]:
        print(row)
    print("peak MB", round(result["peak_mb"]))


if __name__ == "__main__":
    main()
