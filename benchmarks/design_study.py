"""What the design is worth: expected against realised precision, and designs against each other, on known counties.

For every county the network is planned on the energy of one year and measures the next. Three designs of one size
draw again and again: simple random sampling with class means (what counties do), systematic sampling ∝ energy with the
ratio to energy, and ours with the package's design-based GREG; on some draws the package's model is fitted to the
monthly pairs of our sample on top. The design starts from published priors: nothing has been measured yet. A second one
of the same size starts from what a first network measured for a year: is its expected precision true as well? ::

    python benchmarks/design_study.py --counties 20 --draws 60 --models 2
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

from counties import GENERATORS
from elec2water.coefficient import fit_coefficient
from elec2water.design import design_sample, learned, systematic_pps
from elec2water.design.allocation import inclusion_probabilities
from elec2water.design.drawing import Draw, draw_sample
from elec2water.energy import MonthlyEnergy
from elec2water.strata import classify
from elec2water.survey import design_totals
from elec2water.volume import estimate_volume

RESULTS = Path(__file__).parent / "results"
YEAR = 12


def months_of(back):
    """Twelve months, so many years before the last."""
    return slice(-YEAR * (back + 1), -YEAR * back or None)


class Plan:
    """A county, the design planned on the year before, and what the year after holds."""

    def __init__(self, county, n, seed, *, back=0, anticipated=None):
        grid = np.asarray(county.electric)
        before, after = (county.energy_kwh[:, months_of(k)].sum(axis=1) for k in (back + 1, back))
        kept = np.flatnonzero(grid & (before > 0) & (after > 0))
        self.county, self.kept, self.back = county, kept, back
        self.wells = county.wells.iloc[kept].reset_index(drop=True)
        if "status" in self.wells:
            self.wells["status"] = "in_use"
        self.before, self.energy = before[kept], after[kept]
        self.volume = county.volume_m3[kept][:, months_of(back)].sum(axis=1)
        self.total = self.volume.sum()
        self.n = n
        known = None if anticipated is None else anticipated(self)
        self.design = design_sample(self.wells, self.before, n=n, seed=seed, anticipated=known)
        by = [c for c in ("aquifer", "pump_power_kw", "pump_depth_m") if c in self.wells]
        self.classes = classify(self.wells, by)
        place = pd.Index(self.wells["well_id"]).get_indexer(self.design.frame["well_id"])
        self.place = place
        self.kappa = np.full(len(self.wells), np.nan)
        self.kappa[place] = self.design.frame["coefficient_m3_per_kwh"]
        names, codes = np.unique(self.design.frame["stratum"].to_numpy(dtype=str), return_inverse=True)
        self.names, self.codes = tuple(names), codes
        self.probability = self.design.frame["inclusion_probability"].to_numpy()
        self.anticipated = (self.design.frame["energy_kwh"] * self.design.frame["coefficient_m3_per_kwh"]).to_numpy()

    def ours(self, seed):
        """Draw by our design: rows, weights, strata."""
        frame = self.wells.iloc[self.place].reset_index(drop=True)
        p = self.probability
        what = Draw(
            wells=frame,
            energy=self.design.frame["energy_kwh"].to_numpy(),
            volume=self.anticipated,
            codes=self.codes,
            names=self.names,
            probability=p,
            conditional=p,
            draw_codes=self.codes,
            pools=(),
            network=np.zeros(p.size, dtype=bool),
        )
        drawn = draw_sample(what, seed=seed, reserve_ratio=0.0)[1]
        return self.place[drawn], 1.0 / self.probability[drawn], self.codes[drawn]

    def greg(self, rows, weights):
        """Estimate the total as a release does, without the model."""
        table = design_totals(
            sample=rows,
            volume_m3=self.volume[rows],
            energy_kwh=self.energy,
            weights=weights,
            strata=self.classes,
            prediction=self.kappa * self.energy,
            domains={"county": np.full(len(self.wells), "county", dtype=object)},
        ).table.set_index("estimator")
        return table.loc["greg", "volume_m3"], table.loc["greg", "se_m3"]

    def random_class_means(self, rng):
        """Draw at random, and apply the mean coefficient of each class to its energy."""
        rows = rng.choice(len(self.wells), self.n, replace=False)
        kappa = self.volume[rows] / self.energy[rows]
        codes = self.classes.codes
        size = len(self.classes.cells)
        count = np.bincount(codes[rows], minlength=size)
        mean = np.bincount(codes[rows], kappa, size) / np.maximum(count, 1)
        mean[count == 0] = kappa.mean()
        return (mean[codes] * self.energy).sum()

    def systematic(self, rng):
        """Draw systematically ∝ energy, and apply the ratio to all energy."""
        along = rng.permutation(len(self.wells))
        p = inclusion_probabilities(self.before, self.n)
        rows = along[systematic_pps(p[along], rng.random())]
        return (self.volume[rows] / p[rows]).sum() / (self.energy[rows] / p[rows]).sum() * self.energy.sum()

    def electricity(self, years, back=None):
        """Monthly energy of so many years up to the one that is measured, or another."""
        back = self.back if back is None else back
        part = slice(-YEAR * (back + years), -YEAR * back or None)
        kwh = np.asarray(self.county.energy_kwh[self.kept][:, part], dtype=np.float64)
        return MonthlyEnergy(
            self.wells["well_id"].to_numpy(dtype=object),
            self.county.months[part],
            kwh,
            np.zeros_like(kwh),
            np.full(kwh.shape, "A"),
        )

    def levels(self, back=None):
        """Depths to water that are known by the end of the year that is measured, or another."""
        back = self.back if back is None else back
        table, end = self.county.water_levels, self.county.months[months_of(back)][-1]
        return table.loc[table["month"].to_numpy(dtype="datetime64[M]") <= end]

    def fitted(self, rows):
        """Fit the package's model to the monthly pairs of the sample wells."""
        energy, months = self.electricity(min(2, len(self.county.months) // YEAR - self.back)), months_of(self.back)
        starts = self.county.months[months].astype("datetime64[s]")
        ends = (self.county.months[months] + 1).astype("datetime64[s]")
        pairs = pd.DataFrame(
            {
                "well_id": np.repeat(self.wells["well_id"].to_numpy(dtype=object)[rows], YEAR),
                "start": np.tile(starts, rows.size),
                "end": np.tile(ends, rows.size),
                "energy_kwh": energy.kwh[rows][:, -YEAR:].ravel(),
                "volume_m3": np.asarray(self.county.volume_m3[self.kept][rows][:, months]).ravel(),
            }
        ).astype({"well_id": "str"})
        pairs = pairs.loc[pairs["energy_kwh"] > 0].reset_index(drop=True)
        return fit_coefficient(pairs, self.wells, self.levels(), energy=energy), energy

    def model(self, rows):
        """Estimate the total of the year by the package's model, from the pairs of the sample wells."""
        coefficient, energy = self.fitted(rows)
        quarters = [f"{str(m)[:4]}Q{(int(str(m)[5:]) + 2) // 3}" for m in self.county.months[months_of(self.back)][::3]]
        return sum(
            estimate_volume(
                coefficient, energy, quarter=q, wells=self.wells, water_levels=self.levels()
            ).wells.volume_m3.sum()
            for q in quarters
        )


def after_a_year(county, n, seed):
    """Plan again when a first network of `n` wells has been measured for a year."""
    first = Plan(county, n, seed, back=1)
    coefficient, _ = first.fitted(first.ours(seed)[0])

    def anticipated(plan):
        return learned(coefficient, plan.wells, plan.levels(1), plan.electricity(2, 1), source="pairs")

    return Plan(county, n, seed, anticipated=anticipated)


def study(name, seed, options):
    county = GENERATORS[name](options.wells, seed)
    plan, again = Plan(county, options.n, seed), after_a_year(county, options.n, seed)
    rng = np.random.default_rng(seed)
    error = {"srs_class_means": [], "systematic_pps": [], "ours_ht": [], "ours_greg": [], "ours_model": [], "se": []}
    error |= {"second_greg": [], "second_se": []}
    for draw in range(options.draws):
        error["srs_class_means"].append(plan.random_class_means(rng) / plan.total - 1)
        error["systematic_pps"].append(plan.systematic(rng) / plan.total - 1)
        rows, weights, _ = plan.ours(10_000 * seed + draw)
        total, se = plan.greg(rows, weights)
        error["ours_greg"].append(total / plan.total - 1)
        error["se"].append(se / plan.total)
        error["ours_ht"].append((weights * plan.volume[rows]).sum() / plan.total - 1)
        total, se = again.greg(*again.ours(10_000 * seed + draw)[:2])
        error["second_greg"].append(total / again.total - 1)
        error["second_se"].append(se / again.total)
        if draw < options.models:
            error["ours_model"].append(plan.model(rows) / plan.total - 1)
    rms = {key: float(np.sqrt(np.mean(np.square(values)))) for key, values in error.items() if values}
    return {
        "generator": name,
        "seed": seed,
        "expected": plan.design.expected_cv,
        "second_expected": again.design.expected_cv,
        "n_strata": len(plan.design.allocation),
        "proportional": float(
            design_sample(plan.wells, plan.before, n=plan.n, seed=1, allocation="proportional").expected_cv
        ),
        **rms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counties", type=int, default=5)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--models", type=int, default=0)
    parser.add_argument("--wells", type=int, default=1500)
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--kinds", default="", help="generators, separated by commas; all by default")
    parser.add_argument("--add", action="store_true", help="keep what the file holds of other generators")
    parser.add_argument("--out", type=Path, default=RESULTS / "design_study.json")
    options = parser.parse_args()
    started = time.perf_counter()
    kinds = options.kinds.split(",") if options.kinds else list(GENERATORS)
    rows = [study(name, seed, options) for name in kinds for seed in range(1, options.counties + 1)]
    if options.add and options.out.exists():
        rows = [r for r in json.loads(options.out.read_text("utf-8"))["counties"] if r["generator"] not in kinds] + rows
    summary = summarised(rows)
    print(summary.T.round(4).to_string(), f"\n{time.perf_counter() - started:.0f} s")
    facts = {**vars(options), "out": None, "kinds": None, "summary": summary.to_dict("index"), "counties": rows}
    options.out.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def summarised(rows):
    """Average over the counties of a kind, and over all."""
    table = pd.DataFrame(rows)
    table["realised_over_expected"] = table["ours_greg"] / table["expected"]
    table["second_realised_over_expected"] = table["second_greg"] / table["second_expected"]
    columns = [c for c in table.columns if c not in ("generator", "seed")]
    summary = table.groupby("generator")[columns].mean()
    summary.loc["all"] = table[columns].mean()
    summary["below_srs"] = 1 - summary["ours_greg"] / summary["srs_class_means"]
    summary["below_systematic"] = 1 - summary["ours_greg"] / summary["systematic_pps"]
    return summary


if __name__ == "__main__":
    main()
