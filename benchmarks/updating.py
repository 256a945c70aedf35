"""Five years of simulated counties: whether the coefficient follows the wells and notices what changes.

Studies (METHOD.md: no public data pair electricity and water over years, so that this rests on simulation):

* ``levels``: pairs of year one only, water levels known: bias and coverage of the county total year by year, beside the
  coefficient of year one held fixed;
* ``blind``: the same without water levels.

    python benchmarks/updating.py levels --counties 40
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from elec2water.coefficient import FitOptions, fit_coefficient
from elec2water.demo import measure_pairs, simulate_county
from elec2water.design import design_sample
from elec2water.energy import MonthlyEnergy
from elec2water.strata import classify
from elec2water.volume import estimate_volume

RESULTS = Path(__file__).parent / "results"
YEARS, WELLS, SAMPLE = 5, 500, 60
LAST = 2026


def county_of(seed):
    return simulate_county(WELLS, seed, months=12 * YEARS, end_quarter=f"{LAST}Q4")


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


def fixed_volume(county, chosen, year_one, columns):
    """Class ratios of year one, aquifer by aquifer, applied to the energy of later months for ever."""
    volume = np.zeros(columns.size)
    aquifer = county.wells["aquifer"].fillna("").to_numpy()
    kwh, m3 = np.asarray(county.energy_kwh), np.asarray(county.volume_m3)
    ratio_all = m3[chosen][:, year_one].sum() / kwh[chosen][:, year_one].sum()
    for name in np.unique(aquifer):
        here = chosen[aquifer[chosen] == name]
        ratio = m3[here][:, year_one].sum() / kwh[here][:, year_one].sum() if here.size > 4 else ratio_all
        volume += ratio * kwh[(aquifer == name) & county.electric][:, columns].sum(axis=0)
    return volume.sum()


def follow(seed, *, levels=True):
    """One county: totals of the irrigation quarter (Q3) of every year, by the fixed coefficient and by the update."""
    county = county_of(seed)
    chosen = sample_of(county, seed)
    pairs = measure_pairs(county, county.well_id[chosen], first=county.months[0], last=county.months[11], seed=seed)
    tables = county.wells, county.water_levels if levels else None
    fitted = fit_coefficient(pairs, *tables, energy=energy_of(county, county.months[11]))
    early = np.arange(12)
    rows = []
    for year in (0, 2, 4):
        quarter = f"{LAST - YEARS + 1 + year}Q3"
        columns = county.months_of(quarter)
        energy = energy_of(county, county.months[columns[-1]])
        now = fitted.update(None, *tables, energy=energy, until=county.months[columns[-1]], with_news=False)
        volume = estimate_volume(now, energy, quarter=quarter, wells=tables[0], water_levels=tables[1])
        total = volume.county
        truth = float(np.asarray(county.volume_m3)[county.electric][:, columns].sum())
        held = fixed_volume(county, chosen, early, columns)
        rows.append(
            {
                "seed": seed, "year": year + 1, "truth": truth, "estimate": float(total.volume_m3[0]),
                "se": float(total.se_m3[0]), "lower": float(total.lower_m3[0]), "upper": float(total.upper_m3[0]),
                "fixed": held,
            }
        )  # fmt: skip
    return rows


def summary_of(rows):
    frame = pd.DataFrame(rows)
    first = frame[frame["year"] == 1].set_index("seed")
    out = []
    for year, part in frame.groupby("year"):
        part = part.set_index("seed")
        error = part["estimate"] / part["truth"] - 1
        # What staleness adds: the error beyond that of the same county in year one.
        held = part["fixed"] / part["truth"] - 1
        inside = (part["lower"] <= part["truth"]) & (part["truth"] <= part["upper"])
        grown = held - (first["fixed"] / first["truth"] - 1)
        out.append(
            {
                "year": int(year), "counties": len(part), "bias": error.mean(), "bias_se": error.sem(),
                "rmse": float(np.sqrt((error**2).mean())), "covered_90": inside.mean(),
                "se": (part["se"] / part["estimate"]).mean(), "fixed_bias": held.mean(), "fixed_grown": grown.mean(),
                "fixed_rmse": float(np.sqrt((held**2).mean())),
            }
        )  # fmt: skip
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=["levels", "blind"])
    parser.add_argument("--counties", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1000)
    options = parser.parse_args()
    rows = []
    for seed in range(options.first_seed, options.first_seed + options.counties):
        rows += follow(seed, levels=options.study == "levels")
    table = summary_of(rows)
    print(pd.DataFrame(table).round(4).to_string(index=False))
    path = RESULTS / f"updating_{options.study}.json"
    path.write_text(json.dumps({"by_year": table, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
