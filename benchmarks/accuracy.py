"""Accuracy and calibration over simulated counties with known truth: the table of docs/accuracy.md.

A county is drawn, its sample wells are chosen by ``design``, measured for 18 months with 12 % refusals, and a
quarter is estimated from its electricity bills: the next quarter (pairs end before it begins) or the same (pairs run
through it). The model is held against the class mean, the stratified ratio, and the best possible under the design:
the difference estimator whose regression is known from a census, so that only the sampling of residuals is left;
once with the true volumes of the sample wells, once as their water meters read them.

    python benchmarks/accuracy.py --counties 100 --generators demo lognormal two_age shallow --jobs 2
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

from counties import GENERATORS
from elec2water.coefficient import FitOptions, fit_coefficient
from elec2water.coefficient.rows import shared_static
from elec2water.demo import County, measure_pairs, true_wells
from elec2water.demo.measuring import WaterMeters, draw_water_meters
from elec2water.design import design_sample
from elec2water.energy import MonthlyEnergy, impute, monthly_energy
from elec2water.strata import classify
from elec2water.volume import Volume, estimate_volume

RESULTS = Path(__file__).parent / "results"
QUARTER = "2026Q3"
SIZES = (20, 60, 150)
PAIR_MONTHS = 18
REFUSAL = 0.12
LARGE_ENOUGH_KWH = 50.0


@dataclass(frozen=True)
class Case:
    """One county, one sample size, one timing."""

    generator: str
    seed: int
    n: int
    when: str
    wells: int = 2000
    period: str = QUARTER


def study(case: Case) -> dict[str, float | str | int]:
    """Estimate one county and hold it against its truth."""
    county = GENERATORS[case.generator](case.wells, case.seed)
    columns = county.months_of(case.period)
    last_pair = columns[-1] if case.when == "same" else columns[0] - 1
    energy, strata = electricity(county)
    ids, probability = sample(county, energy, columns[0], case)
    pairs = measure_pairs(
        county,
        ids,
        first=county.months[last_pair - PAIR_MONTHS + 1],
        last=county.months[last_pair],
        refusal=REFUSAL,
        seed=case.seed,
    )
    levels = county.water_levels if len(county.water_levels) else None
    coefficient = fit_coefficient(pairs, county.wells, levels, energy=energy, until=county.months[columns[-1]])
    volume = estimate_volume(coefficient, energy, quarter=case.period, wells=county.wells, water_levels=levels)
    truth = true_wells(county, case.period)
    counted = np.isfinite(volume.wells.volume_m3) & county.electric
    V = np.where(counted, truth["volume_m3"].to_numpy(), 0.0)
    result: dict[str, float | str | int] = {
        "generator": case.generator,
        "seed": case.seed,
        "n": case.n,
        "when": case.when,
        "n_measured": coefficient.sample_id.size,
    }
    result.update(_against_truth(volume, county, counted, V))
    result.update(_peers(pairs, volume, strata.labels, county, counted, V))
    place, expand, predicted = _census_prediction(coefficient, volume, county, energy, levels, probability, counted, V)
    read = np.exp(sample_meters(county, case.seed).log_bias[place])
    for name, known in (("best", V[place]), ("best_metered", V[place] * read)):
        level = (expand * known).sum() / (expand * predicted[place]).sum()
        result[name] = float(predicted.sum() * level / V.sum() - 1.0)
    return result


def electricity(county: County):
    """Bills to energy per well and month, missing months imputed, as ``run`` does it; and the classes of wells."""
    strata = classify(county.wells, FitOptions().strata_by)
    read, _ = monthly_energy(
        county.wells, county.meters, county.readings, first=county.months[0], last=county.months[-1]
    )
    power = county.wells["pump_power_kw"].to_numpy(dtype=np.float64)
    return impute(read, strata.codes, power_kw=power), strata


def sample_meters(county: County, seed: int) -> WaterMeters:
    """Give the instrument errors behind the pairs of `study`."""
    drawn = inspect.signature(measure_pairs).parameters
    return draw_water_meters(
        county,
        refusal=REFUSAL,
        seed=seed,
        meter_bias_sd=drawn["meter_bias_sd"].default,
        shared_meter_error_sd=drawn["shared_meter_error_sd"].default,
    )


def sample(county: County, energy: MonthlyEnergy, first_column: int, case: Case):
    """Sample wells by the design on the energy of the year before the quarter, with their inclusion probabilities."""
    before = energy.annual_kwh(county.months[first_column - 1])
    drawn = design_sample(county.wells, before, n=case.n, seed=case.seed).primary
    return drawn["well_id"].tolist(), drawn.set_index("well_id")["inclusion_probability"]


def _against_truth(volume: Volume, county: County, counted, V) -> dict[str, float]:
    total = volume.county
    out = {
        "model": float(total.volume_m3[0] / V.sum() - 1.0),
        "cv": float(total.se_m3[0] / total.volume_m3[0]),
        "cover_county": float(total.lower_m3[0] <= V.sum() <= total.upper_m3[0]),
    }
    for domain in ("township", "aquifer"):
        keys = county.wells[domain].fillna("未知").to_numpy(dtype=object)
        totals = volume.total(np.where(counted, keys, None))
        true = pd.Series(V[counted]).groupby(keys[counted]).sum().reindex(totals.keys).to_numpy()
        out[f"cover_{domain}"] = float(np.mean((totals.lower_m3 <= true) & (true <= totals.upper_m3)))
        out[f"rmse_{domain}"] = float(np.sqrt(np.mean((totals.volume_m3 / true - 1.0) ** 2)))
    w = volume.wells
    inside = (w.lower_m3 <= V) & (w.upper_m3 >= V)
    large = counted & (w.kwh > LARGE_ENOUGH_KWH)
    out["cover_well"] = float(inside[large].mean())
    for name, mask in (("sampled", w.sampled & large), ("imputed", (w.method == "imputed") & large)):
        out[f"cover_{name}"] = float(inside[mask].mean()) if mask.any() else np.nan
    return out


def _peers(pairs, volume: Volume, labels, county: County, counted, V) -> dict[str, float]:
    """Give the class mean of κ and the ratio ΣV/ΣE of the class, applied to each well's energy."""
    sums = pairs.groupby("well_id")[["volume_m3", "energy_kwh"]].sum()
    kappa = (pairs["volume_m3"] / pairs["energy_kwh"]).groupby(pairs["well_id"]).mean()
    stratum = pd.Series(labels, index=county.well_id)
    kwh = np.nan_to_num(volume.wells.kwh) * counted
    mean = kappa.groupby(stratum.loc[kappa.index].to_numpy()).mean()
    by_class = sums.groupby(stratum.loc[sums.index].to_numpy()).sum()
    ratio = by_class["volume_m3"] / by_class["energy_kwh"]
    every = sums["volume_m3"].sum() / sums["energy_kwh"].sum()
    return {
        "class_mean": float((kwh * stratum.map(mean).fillna(kappa.mean()).to_numpy()).sum() / V.sum() - 1.0),
        "ratio": float((kwh * stratum.map(ratio).fillna(every).to_numpy()).sum() / V.sum() - 1.0),
    }


def _census_prediction(coefficient, volume: Volume, county: County, energy, levels, probability, counted, V):
    """Give the sample wells, their weights, and every well's volume by a regression fitted to all true κ."""
    columns = county.months[county.months_of(volume.quarter)]
    context = coefficient.context(county.wells, levels, energy, columns)
    everyone = np.arange(len(county.wells))
    X = shared_static(context.static, coefficient.posterior.layout, everyone)
    kwh = np.nan_to_num(volume.wells.kwh) * counted
    use = (kwh > LARGE_ENOUGH_KWH) & (V > 0)
    weight = kwh[use] / kwh[use].mean()
    y = np.log(V[use] / kwh[use])
    normal = X[use].T @ (weight[:, None] * X[use]) + 1e-3 * np.eye(X.shape[1])
    predicted = kwh * np.exp(X @ np.linalg.solve(normal, X[use].T @ (weight * y)))
    place = county.rows(coefficient.sample_id)
    place = place[counted[place] & (kwh[place] > 0)]
    expand = 1.0 / probability.loc[county.well_id[place]].to_numpy()
    return place, expand, predicted


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """Per cent: RMSE, bias with its standard error, and coverage of 90 % intervals, a row a generator.

    Timing and sample size.
    """
    rows = []
    for (generator, when, n), part in results.groupby(["generator", "when", "n"], sort=False):
        rmse = {
            k: 100 * float(np.sqrt((part[k] ** 2).mean()))
            for k in ("class_mean", "ratio", "best", "best_metered", "model")
        }
        row = {"generator": generator, "quarter": when, "sample wells": n, "counties": len(part)}
        row |= {f"RMSE {k.replace('_', ' ')}": v for k, v in rmse.items()}
        row["model / best"] = rmse["model"] / rmse["best"]
        row["bias"] = 100 * part["model"].mean()
        row["± se"] = 100 * part["model"].std() / np.sqrt(len(part))
        row["stated CV"] = 100 * part["cv"].mean()
        for name in ("county", "township", "aquifer", "well", "sampled", "imputed"):
            row[f"cover {name}"] = 100 * part[f"cover_{name}"].mean()
        rows.append(row)
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """Give the table as Markdown."""
    shown = table.copy()
    for name in shown.columns[4:]:
        digits = 2 if name in ("model / best", "bias", "± se") else 1
        shown[name] = shown[name].map(lambda v, d=digits: f"{v:.{d}f}")
    lines = ["| " + " | ".join(shown.columns) + " |", "|" + "---|" * len(shown.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in shown.to_numpy()]
    return "\n".join(lines) + "\n"


def run_study(cases: list[Case], jobs: int) -> pd.DataFrame:
    """Run the cases, in parallel where asked; progress on standard error."""
    rows = []
    if jobs == 1:
        for k, case in enumerate(cases):
            rows.append(study(case))
            print(f"\r{k + 1}/{len(cases)}", end="", file=sys.stderr)
    else:
        with ProcessPoolExecutor(jobs) as pool:
            for k, row in enumerate(pool.map(study, cases)):
                rows.append(row)
                print(f"\r{k + 1}/{len(cases)}", end="", file=sys.stderr)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counties", type=int, default=100)
    parser.add_argument("--wells", type=int, default=2000)
    parser.add_argument("--generators", nargs="*", default=list(GENERATORS))
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--when", nargs="*", default=["next", "same"])
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", default="accuracy")
    parser.add_argument("--add", action="store_true", help="keep the counties already there")
    a = parser.parse_args()
    cases = [
        Case(g, a.seed + s, n, w, a.wells)
        for g in a.generators
        for w in a.when
        for n in a.sizes
        for s in range(a.counties)
    ]
    results = run_study(cases, a.jobs)
    RESULTS.mkdir(exist_ok=True)
    if a.add:
        kept = json.loads((RESULTS / f"{a.out}.json").read_text(encoding="utf-8"))["cases"]
        results = pd.concat([pd.DataFrame(kept), results], ignore_index=True)
    table = summarise(results)
    (RESULTS / f"{a.out}.json").write_text(
        json.dumps({"cases": results.round(6).to_dict("records")}, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (RESULTS / f"{a.out}.md").write_text(markdown(table), encoding="utf-8")
    print(markdown(table))


if __name__ == "__main__":
    main()
