"""Wells that share a meter whose shares nobody stated: what intervals of single wells hold, and what totals make of it.

    python benchmarks/shared_meters.py [--wells 1500] [--counties 3]

In counties of every generator two wells in five, or as many as have neighbours, are put on meters with one or two
others of their village. Wells are split by size; held against the truth are the energy and, with 60 sample wells, the
volume of a quarter, and the county's total against that of the same county with a meter at each well. Writes
benchmarks/results/shared_meters.json and .md.
"""

import numpy as np
import pandas as pd

from accuracy import PAIR_MONTHS, QUARTER, Case, sample
from counties import GENERATORS
from elec2water.calendar_ import quarter_months
from elec2water.coefficient import FitOptions, fit_coefficient
from elec2water.demo import measure_pairs, true_wells
from elec2water.energy import impute, monthly_energy
from elec2water.strata import classify
from elec2water.volume import estimate_volume
from recorded import keep, markdown, options

JOINED, NOMINAL_Z = {"two wells in five": 0.4, "all with neighbours": 2.0}, 1.6448536


def wired(county, rng, joined):
    """Put neighbours of a village on one meter; give the meter of every well, and which wells share."""
    village = county.wells["village"].astype(str) if "village" in county.wells else ""
    place = (county.wells["township"].astype(str) + "/" + village).to_numpy()
    wells = np.flatnonzero(county.electric & (county.energy_kwh.sum(axis=1) > 0))
    order = wells[np.argsort(place[wells], kind="stable")]
    meter, at = np.arange(len(place)), 0
    while at < len(order) - 2:
        size = int(rng.integers(2, 4))
        group = order[at : at + size]
        if rng.random() < joined / 2 and len(set(place[group])) == 1:
            meter[group] = group[0]
            at += size
        else:
            at += 1
    return meter, np.isin(meter, np.flatnonzero(np.bincount(meter, minlength=len(place)) > 1))


def bills(county, meter):
    """Give the links, no share stated, and what each meter counted every month."""
    ids = county.well_id
    links = pd.DataFrame({"meter_id": ids[meter], "well_id": ids})
    kwh = pd.DataFrame(county.energy_kwh).groupby(meter).sum()
    first, after = (edge.astype("datetime64[s]") for edge in (county.months, county.months + 1))
    readings = pd.DataFrame({
        "meter_id": np.repeat(ids[kwh.index], len(first)), "start": np.tile(first, len(kwh)),
        "end": np.tile(after, len(kwh)), "energy_kwh": kwh.to_numpy().ravel(),
    })  # fmt: skip
    return links.astype("str"), readings.astype({"meter_id": "str"})


def electricity(county, meter):
    """Read and fill what the meters counted."""
    links, readings = bills(county, meter)
    read, _ = monthly_energy(county.wells, links, readings, first=county.months[0], last=county.months[-1])
    power = county.wells["pump_power_kw"].to_numpy(dtype=np.float64)
    return impute(read, classify(county.wells, FitOptions().strata_by).codes, power_kw=power)


def estimated(county, energy, pairs):
    """Give the volumes of the quarter."""
    levels = county.water_levels if len(county.water_levels) else None
    last = county.months[county.months_of(QUARTER)[-1]]
    fit = fit_coefficient(pairs, county.wells, levels, energy=energy, until=last)
    return estimate_volume(fit, energy, quarter=QUARTER, wells=county.wells, water_levels=levels)


def energies_held(county, energy, shares):
    """Count the wells on shared meters, and those whose energy of the quarter is within its 90 % interval."""
    truth = county.energy_kwh[:, county.months_of(QUARTER)].sum(axis=1)
    window = energy.window(*quarter_months(QUARTER)[[0, -1]])
    mean, variance = window.kwh.sum(axis=1), window.variance.sum(axis=1)
    variance = variance + 2.0 * sum(window.lags[k][:, : 2 - k].sum(axis=1) for k in range(2))
    looked = shares & (truth > 0) & (mean > 0)
    tail = 1.0 if energy.split is None else 1.0 + energy.split.tail(len(mean))
    spread = np.sqrt(tail * np.log1p(variance / np.where(mean > 0, mean, 1.0) ** 2))
    apart = np.abs(np.log(np.where(looked, truth, 1.0) / np.where(looked, mean, 1.0)) + 0.5 * spread**2)
    return int(looked.sum()), int((apart <= NOMINAL_Z * spread)[looked].sum())


def study(name, wells, seed, joined):
    """Count the wells whose truth their intervals hold; the total against that with a meter at each well."""
    county = GENERATORS[name](wells, seed)
    meter, shares = wired(county, np.random.default_rng(seed), joined)
    energy, alone = electricity(county, meter), electricity(county, np.arange(len(meter)))
    first = county.months_of(QUARTER)[0]
    ids, _ = sample(county, energy, first, Case(name, seed, 60, "next", wells))
    span = {"first": county.months[first - PAIR_MONTHS], "last": county.months[first - 1]}
    pairs = measure_pairs(county, ids, **span, refusal=0.12, seed=seed)
    volume, own = estimated(county, energy, pairs), estimated(county, alone, pairs)
    water, of = true_wells(county, QUARTER)["volume_m3"].to_numpy(), volume.wells
    inside = (of.lower_m3 <= water) & (water <= of.upper_m3)
    converted = ~of.sampled & (of.kwh > 50.0)
    looked, held = energies_held(county, energy, shares)
    return {
        "share": float(shares[county.electric].mean()),
        "wells": looked,
        "energy": held,
        "converted": int((converted & shares).sum()),
        "volume": int(inside[converted & shares].sum()),
        "alone": int((converted & ~shares).sum()),
        "volume alone": int(inside[converted & ~shares].sum()),
        "total": float(volume.county.volume_m3[0] / own.county.volume_m3[0] - 1.0),
        "cv": float(volume.county.se_m3[0] / volume.county.volume_m3[0]),
    }


def row(results):
    """Sum up the counties of a kind."""
    counts = ("wells", "energy", "converted", "volume", "alone", "volume alone")
    total = 100 * np.array([r["total"] for r in results])
    return {key: sum(r[key] for r in results) for key in counts} | {
        "share": float(np.mean([r["share"] for r in results])),
        "total": float(total.mean()),
        "se": float(total.std(ddof=1) / np.sqrt(total.size)) if total.size > 1 else float("nan"),
        "cv": float(100 * np.mean([r["cv"] for r in results])),
    }


def table(results):
    """Write the results as Markdown."""
    head = ["county", "wells on shared meters", "90 % of energy hold", "90 % of volume hold", "wells alone: volume",
        "total against a meter at each well", "its stated error"]  # fmt: skip
    parts = [("energy", "wells"), ("volume", "converted"), ("volume alone", "alone")]
    return markdown(
        head,
        [
            [
                f"{name}, {joined}",
                f"{100 * r['share']:.0f} %",
                *(f"{100 * r[a] / r[b]:.1f} %" if r[b] else "" for a, b in parts),
                f"{r['total']:+.1f} ± {r['se']:.1f} %",
                f"{r['cv']:.1f} %",
            ]
            for joined, kinds in results.items()
            for name, r in kinds.items()
        ],
    )


def main():
    asked = options(__doc__, counties=3)
    results = {}
    for words, joined in JOINED.items():
        results[words] = {}
        for name in GENERATORS:
            parts = [study(name, asked.wells, seed, joined) for seed in range(1, asked.counties + 1)]
            results[words][name] = row(parts)
            print(words, name, results[words][name], flush=True)
    keep("shared_meters", results, table(results))


if __name__ == "__main__":
    main()
