"""How long a quarter takes for counties of 10⁴, 10⁵ and 10⁶ wells, step by step, how it grows, and how much memory.

Usage: python benchmarks/bench_scale.py [largest number of wells] [--townships T]

Each county (60 sample wells, three wells a permit) is written as Parquet and run in a process of its own: once with the
bills of the quarter alone, which is what the figure of a million wells × 3 readings speaks of, and once with fifteen
months, as counties keep them. Without last year's bills a well is known by the electricity of the quarter: the other
nine months count as a mean one of the three. Steps are seconds that the processor computes, so that other work on the
machine counts less; what the operating system takes beside, nearly all to hand out memory, is a row by itself, since
it differs by a factor of twenty between a computer of its own (0.1 s a gigabyte) and a virtual machine whose host has
taken back what was free (the table says what a gigabyte costs here). The whole run is by the clock, and means little
where the load of the machine is above one.
Writes benchmarks/results/bench_scale.json and .md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from elec2water import county, outputs, project, quarter

RESULTS = Path(__file__).parent / "results"
QUARTER = "2026Q3"
SAMPLE = 60
STEPS = {
    "read_project": "reading and checking the tables",
    "read_energy": "electricity by well and month",
    "screen": "fault rules",
    "impute": "missing months",
    "fit_coefficient": "fit",
    "estimate_volume": "volumes of wells",
    "totals_frame": "totals with intervals",
    "survey_totals": "design-based totals",
    "release_files": "files of the release",
    "publish_release": "publishing",
}
NOT_SECONDS = ("load of the machine over its cores", "a gigabyte of fresh memory, s")
FORMS = {"the quarter alone": "2026-07", "fifteen months": "2025-07"}
"""First month of the readings and pairs."""
COMPUTING = ("read_energy", "impute", "fit_coefficient", "estimate_volume", "totals_frame")


def write_county(folder, n, townships, first, seed=1):
    """Write a county whose coefficients follow 367.1·η/H, from a month on; one reading in 300 is missing."""
    rng = np.random.default_rng(seed)
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    (folder / "elec2water.toml").write_text('[project]\nname = "大县"\n', encoding="utf-8")
    months = np.arange(np.datetime64(first), np.datetime64("2026-10"))
    ids = pd.Series([f"{i:09d}" for i in range(n)], dtype="str")
    deep = rng.random(n) < 0.4
    head = np.where(deep, rng.uniform(60, 110, n), rng.uniform(15, 45, n))
    power = np.where(deep, rng.choice([11, 15, 22], n), rng.choice([4, 5.5, 7.5], n)).astype(float)
    kappa = 367.1 * rng.lognormal(np.log(0.5), 0.12, n) / (head + 8)
    season = np.array([0.2, 0.2, 0.8, 1.5, 1.5, 1, 0.8, 1, 0.7, 0.5, 0.3, 0.2])[months.astype(int) % 12]
    size = (n, len(months))
    kwh = np.round(rng.gamma(4, 60, n)[:, None] * season * rng.lognormal(0, 0.2, size) * (power / 8)[:, None], 2)
    pd.DataFrame({
        "well_id": ids, "township": [f"镇{t:04d}" for t in rng.integers(0, townships, n)],
        "aquifer": np.where(deep, "深层", "浅层"), "pump_power_kw": power, "pump_depth_m": np.round(head + 10),
        "irrigation_method": rng.choice(["管灌", "畦灌"], n), "irrigated_area_mu": np.round(rng.uniform(20, 150, n)),
        "permit_no": [f"P{i // 3:07d}" for i in range(n)],
    }).to_parquet(inputs / "wells.parquet", index=False)  # fmt: skip
    month, well = np.nonzero(rng.random((len(months), n)) >= 1 / 300)
    _intervals("meter_id", ids, months, well, month, energy_kwh=kwh).to_parquet(
        inputs / "readings.parquet", index=False
    )
    chosen = np.repeat(np.sort(rng.choice(n, SAMPLE, replace=False)), len(months))
    volume = kwh * kappa[:, None] * rng.lognormal(0, 0.05, size)
    pairs = _intervals(
        "well_id", ids, months, chosen, np.tile(np.arange(len(months)), SAMPLE), energy_kwh=kwh, volume_m3=volume
    )
    pairs.to_parquet(inputs / "pairs.parquet", index=False)


def _intervals(name, ids, months, well, month, **values):
    frame = {name: ids.take(well).to_numpy(), "start": months[month].astype("datetime64[s]")}
    frame["end"] = (months[month] + 1).astype("datetime64[s]")
    return pd.DataFrame(frame | {key: value[well, month] for key, value in values.items()})


def timed(module, name, seconds, system):
    """Count the seconds that a function of a module computes, and those of the operating system meanwhile."""
    inner = getattr(module, name)

    def outer(*args, **kwargs):
        before = os.times()
        try:
            return inner(*args, **kwargs)
        finally:
            after = os.times()
            seconds[name] = seconds.get(name, 0.0) + after.user - before.user
            system[name] = system.get(name, 0.0) + after.system - before.system

    setattr(module, name, outer)


def fresh_gigabyte():
    """Seconds until a gigabyte that this program did not have before is written to."""
    started = time.perf_counter()
    np.empty(125_000_000).fill(1.0)
    return time.perf_counter() - started


def peak_gb():
    """Most memory that this program held; ``getrusage`` would begin with what its parent held."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


def run_one(folder):
    """Run a county in this process and print its seconds by step."""
    seconds, system = {}, {}
    steps = {
        project: ("read_project", "publish_release"),
        county: ("read_energy", "screen", "impute"),
        quarter: ("fit_coefficient", "estimate_volume", "survey_totals"),
    }
    for module, names in steps.items():
        for name in names:
            timed(module, name, seconds, system)
    for name in ("totals_frame", "release_files"):
        timed(outputs, name, seconds, system)
    started, busy = time.perf_counter(), time.process_time()
    project.run(folder, quarter=QUARTER)
    whole, busy = time.perf_counter() - started, time.process_time() - busy
    facts = {words: seconds[name] for name, words in STEPS.items() if name in seconds}
    facts["energy to totals, fault rules left out"] = sum(seconds[name] for name in COMPUTING)
    facts["from Parquet to totals with intervals"] = sum(seconds[name] for name in ("read_project", *COMPUTING))
    facts["the operating system meanwhile"] = sum(system[name] for name in ("read_project", *COMPUTING))
    facts["whole run, processor and operating system"], facts["whole run, clock"] = busy, whole
    facts["load of the machine over its cores"] = os.getloadavg()[0] / (os.cpu_count() or 1)
    facts["peak memory, GB"] = peak_gb()
    facts["a gigabyte of fresh memory, s"] = fresh_gigabyte()
    print(json.dumps({name: round(value, 3) for name, value in facts.items()}))


def table(form, results):
    """Write the results as markdown, a row a step, and by how much the last tenfold number of wells took longer."""
    sizes = list(results)
    heads = [
        f"{form}, seconds",
        *(f"{int(n):,} wells" for n in sizes),
        *(["growth for 10 × the wells"] if len(sizes) > 1 else []),
    ]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for step in results[sizes[0]]:
        values = [results[n][step] for n in sizes]
        growth = [f"× {values[-1] / values[-2]:.1f}" if step not in NOT_SECONDS else ""] if len(sizes) > 1 else []
        lines.append("| " + " | ".join([step, *(f"{value:.2f}" for value in values), *growth]) + " |")
    return "\n".join(lines) + "\n"


def measured(first, options):
    """Run counties of growing size whose readings begin in a month."""
    results = {}
    for n in (10**4, 10**5, 10**6):
        if n > options.largest:
            break
        with tempfile.TemporaryDirectory() as place:
            write_county(Path(place) / "county", n, options.townships, first)
            words = [sys.executable, __file__, "--run", str(Path(place) / "county")]
            made = subprocess.run(words, check=True, capture_output=True, text=True)
        results[str(n)] = json.loads(made.stdout)
        print(first, n, results[str(n)], flush=True)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("largest", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--townships", type=int, default=20)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_one(options.run)
        return
    results = {form: measured(first, options) for form, first in FORMS.items()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_scale.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    tables = [table(form, found) for form, found in results.items()]
    (RESULTS / "bench_scale.md").write_text("\n".join(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
