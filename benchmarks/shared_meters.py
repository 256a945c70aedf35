"""Wells that share a meter whose shares nobody stated: what the intervals of single wells hold.

    python benchmarks/shared_meters.py [--wells 1500] [--counties 3]

In counties of every generator two wells in five are put on meters with one or two neighbours of their village. Wells
are split by power × area; held against the truth are the energy and, with 60 sample wells, the volume of a quarter.
Writes benchmarks/results/shared_meters.json and .md.
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

JOINED, NOMINAL_Z = 0.4, 1.6448536


def wired(county, rng):
    """Put neighbours of a village on one meter; give the meter of every well, and which wells share."""
    village = county.wells["village"].astype(str) if "village" in county.wells else ""
    place = (county.wells["township"].astype(str) + "/" + village).to_numpy()
    wells = np.flatnonzero(county.electric & (county.energy_kwh.sum(axis=1) > 0))
    order = wells[np.argsort(place[wells], kind="stable")]
    meter, at = np.arange(len(place)), 0
    while at < len(order) - 2:
        size = int(rng.integers(2, 4))
        group = order[at : at + size]
        if rng.random() < JOINED / 2 and len(set(place[group])) == 1:
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


def study(name, wells, seed):
    """Count the wells whose truth their intervals hold."""
    county = GENERATORS[name](wells, seed)
    meter, shares = wired(county, np.random.default_rng(seed))
    links, readings = bills(county, meter)
    read, _ = monthly_energy(county.wells, links, readings, first=county.months[0], last=county.months[-1])
    power = county.wells["pump_power_kw"].to_numpy(dtype=np.float64)
    energy = impute(read, classify(county.wells, FitOptions().strata_by).codes, power_kw=power)
    columns = county.months_of(QUARTER)
    truth = county.energy_kwh[:, columns].sum(axis=1)
    window = energy.window(*quarter_months(QUARTER)[[0, -1]])
    mean, variance = window.kwh.sum(axis=1), window.variance.sum(axis=1)
    variance = variance + 2.0 * sum(window.lags[k][:, : 2 - k].sum(axis=1) for k in range(2))
    looked = shares & (truth > 0) & (mean > 0)
    tail = 1.0 if energy.split is None else 1.0 + energy.split.tail(len(mean))
    spread = np.sqrt(tail * np.log1p(variance / np.where(mean > 0, mean, 1.0) ** 2))
    apart = np.abs(np.log(np.where(looked, truth, 1.0) / np.where(looked, mean, 1.0)) + 0.5 * spread**2)
    ids, _ = sample(county, energy, columns[0], Case(name, seed, 60, "next", wells))
    last = columns[0] - 1
    pairs = measure_pairs(
        county, ids, first=county.months[last - PAIR_MONTHS + 1], last=county.months[last], refusal=0.12, seed=seed
    )
    levels = county.water_levels if len(county.water_levels) else None
    fit = fit_coefficient(pairs, county.wells, levels, energy=energy, until=county.months[columns[-1]])
    volume = estimate_volume(fit, energy, quarter=QUARTER, wells=county.wells, water_levels=levels).wells
    water = true_wells(county, QUARTER)["volume_m3"].to_numpy()
    inside = (volume.lower_m3 <= water) & (water <= volume.upper_m3)
    converted = ~volume.sampled & (volume.kwh > 50.0)
    return {
        "wells": int(looked.sum()),
        "energy": int((apart <= NOMINAL_Z * spread)[looked].sum()),
        "converted": int((converted & shares).sum()),
        "volume": int(inside[converted & shares].sum()),
        "alone": int((converted & ~shares).sum()),
        "volume alone": int(inside[converted & ~shares].sum()),
    }


def table(results):
    """Write the results as Markdown."""
    head = ["county", "wells on shared meters", "90 % of energy hold", "90 % of volume hold", "wells alone: volume"]
    parts = [("energy", "wells"), ("volume", "converted"), ("volume alone", "alone")]
    return markdown(
        head,
        [[name, f"{r['wells']:,}", *(f"{100 * r[a] / r[b]:.1f} %" for a, b in parts)] for name, r in results.items()],
    )


def main():
    asked = options(__doc__, counties=3)
    results = {}
    for name in GENERATORS:
        parts = [study(name, asked.wells, seed) for seed in range(1, asked.counties + 1)]
        results[name] = {key: sum(part[key] for part in parts) for key in parts[0]}
    keep("shared_meters", results, table(results))


if __name__ == "__main__":
    main()
