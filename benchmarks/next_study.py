"""What choosing the tests is worth: ten tests a year by ``next``, at random, and of the wells tested longest ago.

    python benchmarks/next_study.py [--counties 10] [--wells 800] [--sample 60] [--generators demo equation shallow]

Five years of simulated counties. Sixty wells of the design are tested in the first year; in each of the four years
after ten more tests are made, in August, in one of four ways:

* ``next``: those that :func:`elec2water.next_tests` chooses for the county total, among all wells;
* ``random``: at random among all wells that can be tested;
* ``random again``: at random among the wells tested before;
* ``oldest``: again those tested longest ago.

With ``--months 12`` the sixty wells are read every month of the first year instead; with ``--sample 30`` they are
thirty. With ``--wear drawn`` the wear of each county is drawn from what is believed of it (``updating.otherwise``):
tests of later years are worth what they tell of it, which is nothing where it is what was believed. The coefficient
is updated each year with its variances held. Written: the stated variance of the total of the last summer quarter,
against that of ``next``, the errors of the four summers' totals against the truth, and how often the 90 % intervals
held. Results in benchmarks/results/next_study_<kind>.json and .md. What can be attained at most:
benchmarks/next_bound.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd

import elec2water as e2w
from accuracy import electricity
from counties import GENERATORS
from elec2water.coefficient import FitOptions
from elec2water.demo import County, simulate_county
from elec2water.demo.measuring import measure_pairs, measure_tests
from elec2water.energy import MonthlyEnergy
from updating import otherwise, registry_at

RESULTS = Path(__file__).parent / "results" / "next_study"
YEARS = (2023, 2024, 2025, 2026)
LAST = "2026Q3"
TESTS_A_YEAR = 10
SAMPLE = 60
COMMON_U = FitOptions().shared_meter_rel_u
WAYS = ("next", "random", "random again", "oldest")


def until(energy: MonthlyEnergy, month: np.datetime64) -> MonthlyEnergy:
    """Give electricity as it was known at the end of a month."""
    kept = energy.months <= month
    return dataclasses.replace(
        energy,
        months=energy.months[kept],
        kwh=energy.kwh[:, kept],
        variance=energy.variance[:, kept],
        quality=energy.quality[:, kept],
        common=energy.common[kept],
    )


def known_levels(county: County, year: int) -> pd.DataFrame:
    """Give the water levels measured before a year."""
    levels = county.water_levels
    return levels.loc[levels["month"].to_numpy() < np.datetime64(f"{year}-01-01")]


def measured(county: County, wells, month: str, seed: int, kind: str) -> pd.DataFrame:
    """Test wells once, or read their water meters over the month."""
    if kind == "test":
        return measure_tests(county, wells, month=month, seed=seed, refusal=0.0)
    return measure_pairs(county, wells, first=month, last=month, seed=seed, refusal=0.0, missing=0.0)


def first_year(
    county: County, energy: MonthlyEnergy, strata, n: int, seed: int, kind: str, *, months: int = 1
) -> pd.DataFrame:
    """Measure the wells of the design in July and August of the first year, or every month of it."""
    drawn = e2w.design_sample(
        county.wells, energy.annual_kwh(energy.months[11]), strata, n=n, seed=seed, thin_strata="collapse"
    ).primary
    wells = drawn["well_id"].to_numpy(dtype=object)
    if months > 1:
        return measure_pairs(county, wells, first=county.months[0], last=county.months[months - 1], seed=seed)
    half = wells.size // 2
    parts = [
        measured(county, wells[:half], "2022-07", seed, kind),
        measured(county, wells[half:], "2022-08", seed + 1, kind),
    ]
    return pd.concat(parts, ignore_index=True)


def chosen(way: str, state, county: County, energy: MonthlyEnergy, year: int, kind: str, rng) -> np.ndarray:
    """Give the ids of the wells to test this year."""
    coefficient, pairs = state
    expected = energy.carried(np.datetime64(f"{year}-09"))
    wells = registry_at(county, np.datetime64(f"{year - 1}-12"))
    volume = e2w.estimate_volume(
        coefficient, expected, quarter=f"{year}Q3", wells=wells, water_levels=known_levels(county, year)
    )
    if way == "next":
        plan = e2w.next_tests(coefficient, volume, wells, n=TESTS_A_YEAR, kind=kind)
        return plan.wells["well_id"].to_numpy(dtype=object)
    able = county.well_id[np.nan_to_num(volume.wells.converted_m3.sum(axis=1)) > 0]
    tested = pairs.groupby("well_id")["start"].max().sort_values(kind="stable")
    if way == "oldest":
        return tested.index[:TESTS_A_YEAR].to_numpy(dtype=object)
    pool = able if way == "random" else tested.index.to_numpy(dtype=object)
    return rng.choice(pool, TESTS_A_YEAR, replace=False)


def county_of(generator: str, n_wells: int, seed: int, wear: str) -> County:
    """Make a county of five years."""
    if generator == "demo":
        county = simulate_county(n_wells, seed, months=60, end_quarter=LAST)
    else:
        county = GENERATORS[generator](n_wells, seed, months=60)
    return otherwise(county, seed, slope_sd=0.0) if wear == "drawn" else county


def county_case(
    generator: str, seed: int, n_wells: int, n: int, kind: str, wear: str = "believed", months: int = 1
) -> list[dict[str, float | str | int]]:
    """All ways in one county: a row a way."""
    county = county_of(generator, n_wells, seed, wear)
    energy, strata = electricity(county)
    pairs0 = first_year(county, energy, strata, n, seed, kind, months=months)
    at = np.datetime64("2022-12")
    first = registry_at(county, at)
    start = e2w.fit_coefficient(pairs0, first, county.water_levels, energy=until(energy, at), until=at)
    rows = []
    for way in WAYS:
        rng = np.random.default_rng(seed)
        coefficient, pairs = start, pairs0
        outcomes = []
        for year in YEARS:
            before = until(energy, np.datetime64(f"{year - 1}-12"))
            ids = chosen(way, (coefficient, pairs), county, before, year, kind, rng)
            new = measured(county, ids, f"{year}-08", seed + 7 * year, kind)
            pairs = pd.concat([pairs, new], ignore_index=True)
            now = np.datetime64(f"{year}-09")
            registry = registry_at(county, now)
            coefficient = coefficient.update(
                new, registry, county.water_levels, energy=until(energy, now), until=now, with_news=False
            )
            outcomes.append(_outcome(coefficient, county, energy, f"{year}Q3", registry))
        means = {f"mean_{name}": float(np.mean([o[name] for o in outcomes])) for name in ("square", "covered", "error")}
        rows.append({"generator": generator, "seed": seed, "way": way, **outcomes[-1], **means})
    return rows


def _outcome(coefficient, county: County, energy: MonthlyEnergy, quarter: str, wells) -> dict[str, float]:
    volume = e2w.estimate_volume(coefficient, energy, quarter=quarter, wells=wells, water_levels=county.water_levels)
    truth = np.where(county.electric, county.volume_m3[:, county.months_of(quarter)].sum(axis=1), 0.0)
    total = volume.county
    true = truth[np.isfinite(volume.wells.volume_m3)].sum()
    return {
        "cv": float(total.se_m3[0] / total.volume_m3[0]),
        "error": float(total.volume_m3[0] / true - 1.0),
        "square": float((total.volume_m3[0] / true - 1.0) ** 2),
        "covered": float(total.lower_m3[0] <= true <= total.upper_m3[0]),
        "wells_tested": int(coefficient.sample_id.size),
    }


def summarise(cases: pd.DataFrame) -> pd.DataFrame:
    """Give a row a way: mean stated CV, variance against ``next`` (mean of ratios, with its standard error), RMSE."""
    wide = cases.pivot_table(index=["generator", "seed"], columns="way", values="cv")
    rows = []
    for way in WAYS:
        part = cases.loc[cases["way"] == way]
        ratio = 1.0 - (wide["next"] / wide[way]) ** 2
        own = 1.0 - (wide["next"] ** 2 - COMMON_U**2) / (wide[way] ** 2 - COMMON_U**2)
        rows.append(
            {
                "tests chosen": way,
                "counties": len(part),
                "stated CV, %": 100 * part["cv"].mean(),
                "variance lower with next by, %": 100 * ratio.mean(),
                "± se": 100 * ratio.std() / np.sqrt(len(ratio)),
                "without the meters' common error, %": 100 * own.mean(),
                "RMSE of four summers, %": 100 * float(np.sqrt(part["mean_square"].mean())),
                "bias, %": 100 * part["mean_error"].mean(),
                "90 % intervals held, %": 100 * part["mean_covered"].mean(),
            }
        )
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """Write the table as Markdown."""
    shown = table.copy()
    for name in shown.columns[2:]:
        shown[name] = shown[name].map("{:.1f}".format)
    lines = ["| " + " | ".join(shown.columns) + " |", "|" + "---|" * len(shown.columns)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in shown.to_numpy()]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counties", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--wells", type=int, default=800)
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--kind", choices=("test", "meter"), default="meter")
    parser.add_argument("--months", type=int, default=1)
    parser.add_argument("--wear", choices=("believed", "drawn"), default="believed")
    parser.add_argument("--generators", nargs="*", default=["demo"])
    parser.add_argument("--add", action="store_true", help="keep the counties already there")
    a = parser.parse_args()
    name = a.kind if a.wear == "believed" else f"{a.kind}_{a.wear}"
    name = name if a.months == 1 else f"{name}_{a.months}"
    name = name if a.sample == SAMPLE else f"{name}_of_{a.sample}"
    path = RESULTS.with_name(f"next_study_{name}.json")
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"] if a.add else []
    every = [(kind, seed) for seed in range(a.first, a.first + a.counties) for kind in a.generators]
    for generator, seed in every:
        cases += county_case(generator, seed, a.wells, a.sample, a.kind, a.wear, a.months)
        print(
            generator, seed, {row["way"]: round(100 * float(row["cv"]), 2) for row in cases[-len(WAYS) :]}, flush=True
        )
        result = {"wells": a.wells, "sample": a.sample, "tests_a_year": TESTS_A_YEAR, "kind": a.kind, "cases": cases}
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    table = summarise(pd.DataFrame(cases))
    RESULTS.with_name(f"next_study_{name}.md").write_text(markdown(table), encoding="utf-8")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
