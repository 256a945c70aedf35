"""How long `monthly_energy` takes for 12 billing months of 10⁴, 10⁵ and 10⁶ meters, and how that grows.

Usage: python benchmarks/bench_energy.py [largest number of meters] [--shuffle] [--cycle]
"""

import argparse
import resource
import time

import numpy as np
import pandas as pd

from elec2water.energy import monthly_energy

FIRST, LAST = np.datetime64("2025-01"), np.datetime64("2025-12")


def tables_of(n, *, shuffle, cycle):
    """Make a month-by-month export of n meters; `cycle` reads on the 26th instead of the month's end."""
    rng = np.random.default_rng(20260701)
    ids = pd.array([f"{i:010d}" for i in range(n)], dtype="str")
    edges = np.arange(FIRST, LAST + 2).astype("datetime64[D]") + (25 if cycle else 0)
    well = np.tile(np.arange(n), 12)
    month = np.repeat(np.arange(12), n)
    if shuffle:
        order = rng.permutation(12 * n)
        well, month = well[order], month[order]
    readings = pd.DataFrame(
        {
            "meter_id": ids.take(well),
            "start": edges[month].astype("datetime64[s]"),
            "end": edges[month + 1].astype("datetime64[s]"),
            "energy_kwh": rng.gamma(2.0, 150.0, 12 * n),
        }
    )
    wells = pd.DataFrame({"well_id": ids, "pump_power_kw": np.full(n, 15.0)})
    return wells, pd.DataFrame({"meter_id": ids[:0], "well_id": ids[:0]}), readings


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("largest", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--shuffle", action="store_true")
    parser.add_argument("--cycle", action="store_true")
    options = parser.parse_args()
    before = None
    print("| meters | rows | seconds | CPU seconds | growth per tenfold | peak GB |\n|---|---|---|---|---|---|")
    for n in (10**4, 10**5, 10**6):
        if n > options.largest:
            break
        tables = tables_of(n, shuffle=options.shuffle, cycle=options.cycle)
        started, started_cpu = time.perf_counter(), time.process_time()
        energy, _ = monthly_energy(*tables, first=FIRST, last=LAST)
        seconds, cpu = time.perf_counter() - started, time.process_time() - started_cpu
        if not options.cycle and not np.isclose(energy.total_kwh, tables[2]["energy_kwh"].sum(), rtol=1e-12):
            raise SystemExit(f"energy not conserved for {n} meters")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        growth = f"{seconds / before:.1f}" if before else ""
        print(f"| {n:,} | {12 * n:,} | {seconds:.3f} | {cpu:.3f} | {growth} | {peak:.2f} |", flush=True)
        before = seconds


if __name__ == "__main__":
    main()
