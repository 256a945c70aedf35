"""Missing electricity: months that are known are hidden and imputed, in counties of every generator.

    python benchmarks/hidden_months.py [--wells 1500] [--counties 4]

Three studies: 5 % of the well-months hidden (do 90 % intervals hold 90 % of them?), 5 % of the meters hidden for the
whole last quarter (how far is the county's energy off, and what does that add to an error of 3 % of the volume?), and a
month of which only some wells have been read yet (how far is the county's energy of that month off?).
Writes benchmarks/results/hidden_months.json and .md, few_read.json and .md.
"""

from dataclasses import replace

import numpy as np

from counties import GENERATORS
from elec2water.energy import impute, monthly_energy, predict_missing
from elec2water.strata import classify
from recorded import keep, markdown, options

MONTHS, HIDDEN, BASE_ERROR = 18, 0.05, 0.03
READ = (0.0, 0.005, 0.02, 0.1, 0.3)
PLACES = (-1, -3, -5)


def county_energy(name, wells, seed):
    """Give the energy of a county, classes, neighbourhoods and powers of its wells."""
    made = GENERATORS[name](wells, seed)
    months = made.months[-MONTHS:]
    energy, _ = monthly_energy(made.wells, made.meters, made.readings, first=months[0], last=months[-1])
    by = [c for c in ("aquifer", "pump_power_kw", "pump_depth_m") if made.wells[c].notna().any()]
    facts = {
        "power_kw": made.wells["pump_power_kw"].to_numpy(dtype=float),
        "neighbours": made.wells["township"].to_numpy(dtype=object),
    }
    return energy, classify(made.wells, by).codes, facts


def hide(energy, mask):
    """Take the energies of a mask away."""
    kwh, variance = (np.where(mask, np.nan, values) for values in (energy.kwh, energy.variance))
    return replace(energy, kwh=kwh, variance=variance, quality=np.where(mask, "N", energy.quality))


def single_months(energy, codes, facts, rng):
    """Measure coverage and error of well-months hidden one by one."""
    mask = (rng.random(energy.kwh.shape) < HIDDEN) & (energy.quality == "A")
    law = predict_missing(hide(energy, mask), codes, **facts)
    shown = mask & np.isfinite(law.mean)
    truth = energy.kwh[shown]
    lower, upper = (bound[shown] for bound in law.interval(0.9))
    return {
        "n": int(shown.sum()),
        "inside": int(((lower <= truth) & (truth <= upper)).sum()),
        "bias": float((law.mean[shown] - truth).sum() / truth.sum()),
        "rmse": float(np.sqrt(np.mean((law.mean[shown] - truth) ** 2))),
        "sd": float(np.sqrt(np.mean(law.variance[shown]))),
    }


def whole_quarter(energy, codes, facts, rng):
    """Measure the error of the county's quarter when 5 % of the wells are not read in it, and what was said of it."""
    told = np.isfinite(energy.kwh[:, -3:]).all(axis=1) & np.isfinite(energy.kwh[:, :-3]).any(axis=1)
    gone = told & (rng.random(len(told)) < HIDDEN)
    mask = np.zeros(energy.kwh.shape, dtype=bool)
    mask[gone, -3:] = True
    filled = impute(hide(energy, mask), codes, **facts)
    total = float(energy.kwh[told, -3:].sum())
    error = float(filled.kwh[gone, -3:].sum() - energy.kwh[gone, -3:].sum()) / total
    variance = filled.variance[gone, -3:].sum()
    variance += 2.0 * sum(filled.lags[k][gone, -3 : -k - 1].sum() for k in range(2))
    return {"error": error, "said": float(np.sqrt(variance)) / total}


def few_read(energy, codes, facts, rng, share, place):
    """Measure the error of the county's month when only a share of its wells was read in it, and what was said."""
    told = np.isfinite(energy.kwh[:, place]) & np.isfinite(energy.kwh).any(axis=1)
    gone = told & (rng.random(len(told)) >= share)
    mask = np.zeros(energy.kwh.shape, dtype=bool)
    mask[gone, place] = True
    filled = impute(hide(energy, mask), codes, **facts)
    total, imputed = float(energy.kwh[told, place].sum()), filled.kwh[gone, place]
    variance = filled.variance[gone, place].sum() + filled.common[place] * imputed.sum() ** 2
    return {"error": float(imputed.sum() - energy.kwh[gone, place].sum()) / total, "said": float(variance**0.5) / total}


def months_of_few(name, wells, seeds):
    """Sum up the third study over counties, by the share of wells that were read."""
    found = {share: [] for share in READ}
    for seed in seeds:
        county, rng = county_energy(name, wells, seed), np.random.default_rng(seed)
        for share in READ:
            found[share] += [few_read(*county, rng, share, place) for place in PLACES]
    told = {}
    for share, cases in found.items():
        error, said = (np.array([case[key] for case in cases]) for key in ("error", "said"))
        told[f"{share:g}"] = {
            "n": len(cases),
            "error": float(np.sqrt(np.mean(error**2))),
            "said": float(np.sqrt(np.mean(said**2))),
            "inside": float((np.abs(error) < 1.645 * said).mean()),
        }
    return told


def study(name, wells, seeds):
    """Sum up both studies over counties."""
    months, quarters = [], []
    for seed in seeds:
        energy, codes, facts = county_energy(name, wells, seed)
        rng = np.random.default_rng(seed)
        months.append(single_months(energy, codes, facts, rng))
        quarters += [whole_quarter(energy, codes, facts, rng) for _ in range(5)]
    n = sum(m["n"] for m in months)
    errors = np.array([q["error"] for q in quarters])
    rms = float(np.sqrt(np.mean(errors**2)))
    return {
        "hidden": n,
        "coverage": sum(m["inside"] for m in months) / n,
        "bias": float(np.mean([m["bias"] for m in months])),
        "rmse / said": float(np.sqrt(sum(m["rmse"] ** 2 for m in months) / sum(m["sd"] ** 2 for m in months))),
        "quarter error": rms,
        "quarter said": float(np.sqrt(np.mean([q["said"] ** 2 for q in quarters]))),
        "growth": float(np.hypot(BASE_ERROR, rms) - BASE_ERROR),
    }


def table(results):
    """Write the results as Markdown."""
    head = ["county", "hidden months", "90 % intervals hold", "bias", "error / said",
            "quarter, 5 % of meters missing", "said", "3 % grows by"]  # fmt: skip
    return markdown(
        head,
        [
            [name, f"{r['hidden']:,}", f"{100 * r['coverage']:.1f} %", f"{100 * r['bias']:+.1f} %",
             f"{r['rmse / said']:.2f}", f"{100 * r['quarter error']:.2f} %", f"{100 * r['quarter said']:.2f} %",
             f"{100 * r['growth']:.2f} points"]
            for name, r in results.items()
        ],
    )  # fmt: skip


def table_of_few(results):
    """Write the third study as Markdown: error / said, and how many 90 % intervals held."""
    head = ["county", *(f"{100 * share:g} % read" for share in READ)]
    cells = [
        [name, *(f"{100 * r['error']:.0f} / {100 * r['said']:.0f} %, {100 * r['inside']:.0f} %" for r in told.values())]
        for name, told in results.items()
    ]
    return markdown(head, cells)


def main():
    asked = options(__doc__, counties=4)
    few = {name: months_of_few(name, asked.wells, range(1, 5 * asked.counties + 1)) for name in GENERATORS}
    keep("few_read", few, table_of_few(few))
    results = {name: study(name, asked.wells, range(1, asked.counties + 1)) for name in GENERATORS}
    keep("hidden_months", results, table(results))


if __name__ == "__main__":
    main()
