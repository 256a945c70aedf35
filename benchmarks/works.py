"""Works converted from border to drip, with and without the day since which: the table of docs/updating.md.

    python benchmarks/works.py [--counties 20] [--generators demo equation shallow]

A third of the border wells, whole villages (twenty wells that stand side by side in the registry, where it has none),
is given drip on one day, which asks for 15 m more (each well's own head
with a standard deviation of 30 %, its efficiency moves by 5 %). The registry then has the new method, with or without
``irrigation_method_since``. Sixty wells of the design are read for a year; the works are changed half a year before
their last pair, or after it, on the first day of the quarter that is estimated. Results in
benchmarks/results/works.json and .md.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

import elec2water as e2w
from counties import GENERATORS
from elec2water.demo import County, measure_pairs
from updating import energy_of, sample_of

RESULTS = Path(__file__).parent / "results"
QUARTER = "2026Q3"
DRIP_M, OPEN_M, LEAST_M = 15.0, 12.0, 5.0
DAYS = {"half a year before the last pair": "2026-01-01", "after the last pair": "2026-07-01"}
WAYS = ("as before", "method alone", "method and day")


def converted(county: County, day: str, seed: int) -> tuple[County, np.ndarray]:
    """Give a county of which whole villages changed from border to drip on a day, and the wells that did."""
    rng = np.random.default_rng([seed, 71])
    wells, n = county.wells, len(county.wells)
    village = pd.factorize(wells["village"])[0] if "village" in wells else np.arange(n) // 20
    border = np.asarray(wells["irrigation_method"].astype(object) == "border")
    who = border & (rng.random(village.max() + 2) < 1 / 3)[village]
    pump = wells["pump_depth_m"].to_numpy(dtype=np.float64, na_value=np.nan)
    lift = np.where(np.isfinite(pump), np.maximum(pump - 15.0, LEAST_M), 33.0)
    lift = lift[:, None] if county.depth_m is None else np.asarray(county.depth_m, dtype=np.float64)
    asked = DRIP_M * np.exp(0.3 * rng.standard_normal((n, 1)) - 0.045)
    less = (lift + OPEN_M) / (lift + OPEN_M + asked) * np.exp(0.05 * rng.standard_normal((n, 1)))
    less = np.where(who[:, None] & (county.months >= np.datetime64(day, "M")), less, 1.0)
    return replace(county, energy_kwh=county.energy_kwh / less, kappa=county.kappa * less), who


def registries(wells: pd.DataFrame, who: np.ndarray, day: str) -> dict[str, pd.DataFrame]:
    """Give the registry as it was, with the new method, and with its day too."""
    method = wells["irrigation_method"].astype(object).mask(who, "drip").astype("str")
    since = np.where(who, np.datetime64(day, "s"), np.datetime64("NaT", "s"))
    named = wells.assign(irrigation_method=method.where(wells["irrigation_method"].notna()))
    return dict(zip(WAYS, (wells, named, named.assign(irrigation_method_since=since)), strict=True))


def county_case(generator: str, seed: int, when: str) -> list[dict[str, float | str | int]]:
    """Estimate one county in the three ways: a row a way."""
    county, who = converted(GENERATORS[generator](2000, seed), DAYS[when], seed)
    columns = county.months_of(QUARTER)
    energy, chosen = energy_of(county), sample_of(county, seed)
    pairs = measure_pairs(
        county,
        county.well_id[chosen],
        first=county.months[columns[0] - 12],
        last=county.months[columns[0] - 1],
        refusal=0.12,
        seed=seed,
    )
    truth = np.where(county.electric, np.asarray(county.volume_m3)[:, columns].sum(axis=1), 0.0)
    levels = county.water_levels if len(county.water_levels) else None
    rows = []
    for way, wells in registries(county.wells, who, DAYS[when]).items():
        fitted = e2w.fit_coefficient(pairs, wells, levels, energy=energy, until=county.months[columns[-1]])
        volume = e2w.estimate_volume(fitted, energy, quarter=QUARTER, wells=wells, water_levels=levels)
        total, of_wells = volume.county, np.nan_to_num(volume.wells.volume_m3)
        rows.append(
            {
                "generator": generator,
                "seed": seed,
                "when": when,
                "way": way,
                "share": float(truth[who].sum() / truth.sum()),
                "error": float(total.volume_m3[0] / truth.sum() - 1.0),
                "cv": float(total.se_m3[0] / total.volume_m3[0]),
                "held": float(total.lower_m3[0] <= truth.sum() <= total.upper_m3[0]),
                "converted": float(of_wells[who].sum() / truth[who].sum() - 1.0),
            }
        )
    return rows


def markdown(cases: pd.DataFrame) -> str:
    """Write a row a day and way, over all counties."""
    lines = ["| works changed | registry says | counties | of the water, % | total: bias, % | RMSE, % | stated, % "]
    lines = [lines[0] + "| 90 % intervals held, % | converted wells: bias, % |", "|" + "---|" * 9]
    for (when, way), part in cases.groupby(["when", "way"], sort=False):
        error, own = 100 * part["error"], 100 * part["converted"]
        bias = f"{error.mean():+.1f} ± {error.sem():.1f}"
        lines.append(
            f"| {when} | {way} | {len(part)} | {100 * part['share'].mean():.0f} | {bias} "
            f"| {np.sqrt((error**2).mean()):.1f} | {100 * part['cv'].mean():.1f} | {100 * part['held'].mean():.0f} "
            f"| {own.mean():+.1f} ± {own.sem():.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counties", type=int, default=20)
    parser.add_argument("--generators", nargs="*", default=["demo", "equation", "shallow"])
    parser.add_argument("--seed", type=int, default=3000)
    a = parser.parse_args()
    rows = []
    for when in DAYS:
        for generator in a.generators:
            for seed in range(a.seed, a.seed + a.counties):
                rows += county_case(generator, seed, when)
            print(pd.DataFrame(rows).groupby(["when", "generator", "way"])["error"].mean().to_string(), flush=True)
    text = markdown(pd.DataFrame(rows))
    (RESULTS / "works.md").write_text(text, encoding="utf-8")
    (RESULTS / "works.json").write_text(json.dumps({"cases": rows}, indent=1) + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
