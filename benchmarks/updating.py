"""Five years of simulated counties: whether the coefficient follows the wells and notices what changes.

Studies (METHOD.md: no public data pair electricity and water over years, so that this rests on simulation):

* ``levels``: pairs of year one only, water levels known: bias and coverage of the county total year by year, beside the
  coefficient of year one held fixed;
* ``drawn``: the same, the wear of each county and how strongly κ answers to its head drawn as far apart as is believed
  (0.6 % a year; a slope of 0.2) around its generator's, so that the intervals are held against counties that differ in
  what no office knows of its own;
* ``blind``: as ``levels``, without water levels.

    python benchmarks/updating.py levels --counties 40 --generators demo equation shallow two_age lognormal

Counties come from the package's generator and from the others of benchmarks/counties.py. Bias is told as it stands in
the year of the tests and as what the years after added. Results in benchmarks/results/updating_<study>.json and .md.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd

from counties import GENERATORS
from elec2water.coefficient import FitOptions, fit_coefficient
from elec2water.coefficient.delivery import HEAD_BEYOND_M
from elec2water.coefficient.water import level_movement
from elec2water.demo import measure_pairs, simulate_county
from elec2water.design import design_sample
from elec2water.energy import MonthlyEnergy
from elec2water.strata import classify
from elec2water.volume import estimate_volume

RESULTS = Path(__file__).parent / "results"
YEARS, WELLS, SAMPLE = 5, 500, 60
LAST = 2026
LEVEL_SLOPE_SD = 0.2


def county_of(seed, generator="demo"):
    if generator == "demo":
        return simulate_county(WELLS, seed, months=12 * YEARS, end_quarter=f"{LAST}Q3")
    return GENERATORS[generator](WELLS, seed, months=12 * YEARS)


def otherwise(county, seed, *, slope_sd=LEVEL_SLOPE_SD):
    """Let κ of all wells of a county fall so much more or less, with time and with its head, as it may by the prior."""
    wear, slope = np.random.default_rng([seed, 11]).standard_normal(2) * (FitOptions().wear_sd_per_year, slope_sd)
    years = np.arange(county.months.size) / 12.0
    beyond = np.full(len(county.wells), HEAD_BEYOND_M)
    head, _ = level_movement(county.wells, county.water_levels, county.months, county.months[:12], beyond)
    factor = np.exp(wear * years + slope * np.nan_to_num(head))
    return dataclasses.replace(county, kappa=county.kappa * factor, volume_m3=county.volume_m3 * factor)


def energy_of(county, until=None):
    kwh = np.where(county.electric[:, None], np.asarray(county.energy_kwh, dtype=np.float64), np.nan)
    energy = MonthlyEnergy(county.well_id, county.months, kwh, 0.0 * kwh, np.full(kwh.shape, "A"))
    return energy if until is None else energy.window(county.months[0], until)


def sample_of(county, seed, n=SAMPLE):
    """Draw the sample wells as ``elec2water design`` would, by the energy of the first year."""
    took = np.where(county.electric, np.asarray(county.energy_kwh)[:, :12].sum(axis=1), 0.0)
    strata = classify(county.wells, FitOptions().strata_by)
    drawn = design_sample(county.wells, took, strata, n=n, seed=seed, thin_strata="collapse")
    return np.sort(county.rows(drawn.primary["well_id"].to_numpy(dtype=object)))


def registry_at(county, month):
    """Give the registry as it stood at the end of a month: a pump put in later is not in it yet."""
    if "pump_installed_on" not in county.wells:
        return county.wells
    installed = county.wells["pump_installed_on"]
    later = installed.to_numpy(dtype="datetime64[M]") > month
    return county.wells.assign(pump_installed_on=installed.mask(later))


def fixed_volume(county, chosen, year_one, columns):
    """Class ratios of year one, aquifer by aquifer, applied to the energy of later months for ever."""
    volume = np.zeros(columns.size)
    aquifer = county.wells["aquifer"].fillna("").to_numpy(dtype=object)
    kwh, m3 = np.asarray(county.energy_kwh), np.asarray(county.volume_m3)
    ratio_all = m3[chosen][:, year_one].sum() / kwh[chosen][:, year_one].sum()
    for name in np.unique(aquifer):
        here = chosen[aquifer[chosen] == name]
        ratio = m3[here][:, year_one].sum() / kwh[here][:, year_one].sum() if here.size > 4 else ratio_all
        volume += ratio * kwh[(aquifer == name) & county.electric][:, columns].sum(axis=0)
    return volume.sum()


def follow(seed, generator="demo", *, study="levels", options=None):
    """One county: totals of the irrigation quarter (Q3) of every year, by the fixed coefficient and by the update."""
    county = county_of(seed, generator)
    county = otherwise(county, seed) if study == "drawn" else county
    chosen = sample_of(county, seed)
    pairs = measure_pairs(county, county.well_id[chosen], first=county.months[0], last=county.months[11], seed=seed)
    levels_known = None if study == "blind" else county.water_levels
    registry = registry_at(county, county.months[11])
    fitted = fit_coefficient(
        pairs, registry, levels_known, energy=energy_of(county, county.months[11]), options=options
    )
    early = np.arange(12)
    rows = []
    for year in (0, 2, 4):
        quarter = f"{LAST - YEARS + 1 + year}Q3"
        columns = county.months_of(quarter)
        energy = energy_of(county, county.months[columns[-1]])
        tables = registry_at(county, county.months[columns[-1]]), levels_known
        now = fitted.update(None, *tables, energy=energy, until=county.months[columns[-1]], with_news=False)
        volume = estimate_volume(now, energy, quarter=quarter, wells=tables[0], water_levels=tables[1])
        total = volume.county
        truth = float(np.asarray(county.volume_m3)[county.electric][:, columns].sum())
        held = fixed_volume(county, chosen, early, columns)
        rows.append(
            {
                "generator": generator, "seed": seed, "year": year + 1, "truth": truth,
                "estimate": float(total.volume_m3[0]),
                "se": float(total.se_m3[0]), "lower": float(total.lower_m3[0]), "upper": float(total.upper_m3[0]),
                "fixed": held,
            }
        )  # fmt: skip
    return rows


def summary_of(rows):
    """Give a row a generator and year."""
    frame = pd.DataFrame(rows)
    frame["error"] = frame["estimate"] / frame["truth"] - 1.0
    frame["held"] = frame["fixed"] / frame["truth"] - 1.0
    first = frame[frame["year"] == 1].set_index(["generator", "seed"])
    out = []
    for (generator, year), part in frame.groupby(["generator", "year"], sort=False):
        part = part.set_index(["generator", "seed"])
        error, relative_se = part["error"], part["se"] / part["estimate"]
        inside = (part["lower"] <= part["truth"]) & (part["truth"] <= part["upper"])
        grown = error - first["error"].reindex(part.index)
        out.append(
            {
                "generator": generator, "year": int(year), "counties": len(part), "bias": error.mean(),
                "bias_se": error.sem(), "added": grown.mean(), "added_se": grown.sem(),
                "rmse": float(np.sqrt((error**2).mean())), "se": relative_se.mean(), "covered_90": inside.mean(),
                "z_mean": (error / relative_se).mean(), "z_sd": (error / relative_se).std(),
                "fixed_bias": part["held"].mean(),
                "fixed_added": (part["held"] - first["held"].reindex(part.index)).mean(),
            }
        )  # fmt: skip
    return out


def markdown(table):
    """Write the summary as Markdown."""
    head = (
        "counties", "year", "number", "bias, %", "added since year 1, %", "RMSE, %", "stated, %", "90 % intervals, %",
        "mean z", "fixed coefficient: bias, %", "added since year 1, %",
    )  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in table:
        r = {k: v if isinstance(v, str | int) else 100 * v for k, v in r.items()}
        added = "" if r["year"] == 1 else f"{r['added']:+.1f} ± {r['added_se']:.1f}"
        held = "" if r["year"] == 1 else f"{r['fixed_added']:+.1f}"
        cells = (
            r["generator"], r["year"], r["counties"], f"{r['bias']:+.1f} ± {r['bias_se']:.1f}", added,
            f"{r['rmse']:.1f}", f"{r['se']:.1f}", f"{r['covered_90']:.0f}", f"{r['z_mean'] / 100:+.2f}",
            f"{r['fixed_bias']:+.1f}", held,
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=["levels", "drawn", "blind"])
    parser.add_argument("--counties", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--generators", nargs="*", default=["demo"])
    parser.add_argument("--add", action="store_true", help="keep the counties already there")
    options = parser.parse_args()
    path = RESULTS / f"updating_{options.study}.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if options.add else []
    for generator in options.generators:
        for seed in range(options.first_seed, options.first_seed + options.counties):
            rows += follow(seed, generator, study=options.study)
        table = summary_of(rows)
        path.write_text(json.dumps({"by_year": table, "rows": rows}, indent=1) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(markdown(table), encoding="utf-8")
    print(pd.DataFrame(table).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
