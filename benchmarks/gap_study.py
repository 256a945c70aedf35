"""How far the design-based answer is from the model's where both are right: what a gap must be to be a finding.

Small counties with known truth are drawn, sampled by the design, measured with refusals, and a quarter is estimated by
the model and by the estimators of ``design_totals.csv``. Kept of every county, township and stratum with five sample
wells: both totals, both standard errors, the degrees of freedom and the truth. ::

    python benchmarks/gap_study.py --counties 32 --generators demo lognormal
    python benchmarks/gap_study.py --counties 24 --first 101 --generators two_age shallow --name gap_study_others
    python benchmarks/gap_study.py --counties 60 --sizes 60 --when next --name gap_study_next --generators demo
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent))

from accuracy import PAIR_MONTHS, QUARTER, REFUSAL, Case, electricity
from counties import GENERATORS
from elec2water.coefficient import fit_coefficient
from elec2water.demo import measure_pairs, true_wells
from elec2water.design import design_sample
from elec2water.energy.arrays import positions
from elec2water.quarter import measured_of
from elec2water.survey import adjust_for_refusal, design_totals, joint_standard_error
from elec2water.survey.published import WELLS_A_TOTAL
from elec2water.volume import estimate_volume

RESULTS = Path(__file__).parent / "results"
WELLS = 600
SIZES = (30, 90)


def study(case: Case) -> list[dict[str, object]]:
    """Both answers of a county and its townships beside the truth, a record a domain and estimator."""
    county = GENERATORS[case.generator](case.wells, case.seed)
    columns = county.months_of(QUARTER)
    last_pair = columns[-1] if case.when == "same" else columns[0] - 1
    energy, strata = electricity(county)
    before = energy.annual_kwh(county.months[columns[0] - 1])
    drawn = design_sample(county.wells, before, n=case.n, seed=case.seed)
    primary = drawn.primary
    pairs = measure_pairs(
        county,
        primary["well_id"].tolist(),
        first=county.months[last_pair - PAIR_MONTHS + 1],
        last=county.months[last_pair],
        refusal=REFUSAL,
        seed=case.seed,
    )
    levels = county.water_levels if len(county.water_levels) else None
    coefficient = fit_coefficient(pairs, county.wells, levels, energy=energy, until=county.months[columns[-1]])
    volume = estimate_volume(coefficient, energy, quarter=QUARTER, wells=county.wells, water_levels=levels)
    m3, kwh = measured_of(coefficient, volume)
    place = coefficient.posterior.sample
    ids = county.wells["well_id"].to_numpy(dtype=object)[place]
    weights = adjust_for_refusal(
        1.0 / primary["inclusion_probability"], primary["well_id"].isin(ids), primary["stratum"]
    )
    at = pd.Index(primary["well_id"]).get_indexer(ids)
    frame = drawn.frame.set_index("well_id")["coefficient_m3_per_kwh"]
    kappa = np.append(frame.to_numpy(dtype=np.float64), np.nan)[positions(county.wells["well_id"], frame.index)]
    township = county.wells["township"].fillna("未知").to_numpy(dtype=object)
    whole = np.full(len(county.wells), "县", dtype=object)
    domains = {"county": whole, "township": township, "stratum": strata.labels}
    survey = design_totals(
        sample=place,
        volume_m3=m3,
        energy_kwh=volume.wells.kwh,
        sample_energy_kwh=kwh,
        weights=np.maximum(weights[at], 1.0),
        prediction=kappa * volume.wells.kwh,
        strata=strata,
        sample_strata=primary["stratum"].to_numpy(dtype=object)[at],
        domains=domains,
    )
    model = pd.concat([volume.table(name, labels) for name, labels in domains.items()])
    truth = true_wells(county, QUARTER)["volume_m3"].to_numpy()
    counted = np.isfinite(volume.wells.volume_m3) & county.electric
    true = pd.concat({
        name: pd.Series(np.where(counted, truth, 0.0)).groupby(labels).sum() for name, labels in domains.items()
    }).rename_axis(["domain", "key"]).rename("truth_m3").reset_index()  # fmt: skip
    both = survey.table.merge(model, on=["domain", "key"], suffixes=("", "_model"))
    both = both.merge(true, on=["domain", "key"])
    both["meter_m3"] = volume.shared_meter_rel_u * both["volume_m3_model"]
    kept = [
        "domain",
        "estimator",
        "n_sample",
        "volume_m3",
        "se_m3",
        "volume_m3_model",
        "se_m3_model",
        "meter_m3",
        "truth_m3",
    ]
    kept += [name for name in ("degrees_of_freedom",) if name in both]
    named = {"generator": case.generator, "seed": case.seed, "n": case.n, "when": case.when}
    return [named | record for record in both[kept].round(3).to_dict("records")]


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """Say how often a gap is beyond two joint standard errors, by three rules, and how often intervals are right."""
    frame = records.loc[records["n_sample"] >= WELLS_A_TOTAL]
    design, model = frame["se_m3"], frame["se_m3_model"]
    gap = (frame["volume_m3"] - frame["volume_m3_model"]).abs()
    joint = joint_standard_error(design, model, frame["degrees_of_freedom"])
    t = stats.t.ppf(0.95, np.maximum(frame["degrees_of_freedom"], 1)) * design / frame["volume_m3"]
    told = frame[["generator", "domain", "estimator", "n"]].assign(
        totals=1.0,
        bias=frame["volume_m3"] / frame["truth_m3"] - 1.0,
        bias_model=frame["volume_m3_model"] / frame["truth_m3"] - 1.0,
        sd_of_gap=(gap / frame["truth_m3"]) ** 2,
        joint=(joint / frame["truth_m3"]) ** 2,
        found=gap > 2.0 * joint,
        as_independent=gap > 2.0 * np.hypot(design, model),
        hausman=gap**2 > 4.0 * np.maximum(design**2 - model**2, 0.0),
        interval_90=np.abs(np.log(frame["truth_m3"] / frame["volume_m3"])) <= t,
    )
    groups = told.groupby(["domain", "estimator", "generator", "n"])
    means = groups.mean().assign(totals=groups["totals"].sum())
    return means.assign(sd_of_gap=means["sd_of_gap"] ** 0.5, joint=means["joint"] ** 0.5)


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--counties", type=int, default=32)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--generators", nargs="+", default=["demo", "lognormal"])
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--when", choices=["same", "next"], default="same", help="pairs up to the quarter, or in it")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--name", default="gap_study")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.counties)
    cases = [
        Case(generator, seed, n, given.when, WELLS)
        for generator in given.generators
        for n in given.sizes
        for seed in seeds
    ]
    with ProcessPoolExecutor(given.jobs) as pool:
        records = pd.DataFrame([record for found in pool.map(study, cases) for record in found])
    table = summary(records)
    print(table.round(3).to_string())
    facts = {"command": " ".join(sys.argv[1:]), "table": table.reset_index().round(4).to_dict("records")}
    (RESULTS / f"{given.name}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
