"""How often a multiplier that was never applied can be found at all, by whoever knows how far levels lie apart.

    python benchmarks/level_limit.py [--wells 1500] [--counties 3]

A meter without its multiplier k from the first month has the history of a meter that uses 1/k of the energy; only its
level tells. Levels of meters are held against their class per kW, with and without the irrigated area; the oracle
orders meters with a multiplier by the odds of -ln k against 0 under the true spread of levels and sets its threshold
where it accuses as many sound meters as asked. Beside it the recall of MULTIPLIER_SUSPECT (fault_study.json).
Writes benchmarks/results/level_limit.json and .md.
"""

import json

import numpy as np

from counties import GENERATORS
from elec2water.energy.screen.areas import allowing_for_area
from elec2water.energy.screen.usual import fit_usual
from elec2water.strata import classify
from fault_study import MONTHS, County
from recorded import RESULTS, keep, markdown, options

ALARMS = (0.1, 0.25, 0.5, 1.0)
"""False alarms per 1,000 well-quarters."""
FAULT = "multiplier never applied, told by the class alone (F10)"


def levels(name, wells, seed):
    """Give for every meter its gap by class and by class and area, its multiplier, and whether it is in use."""
    county = County(GENERATORS[name](wells, seed))
    registry = county.made.wells.set_index("well_id")
    place = registry.index.get_indexer(county.well)
    by = [c for c in ("aquifer", "pump_power_kw", "pump_depth_m") if registry[c].notna().any()]
    group = np.unique(classify(county.made.wells, by).codes[place], return_inverse=True)[1]
    power, area = (
        registry[c].to_numpy(dtype=float)[place] if c in registry else np.full(len(place), np.nan)
        for c in ("pump_power_kw", "irrigated_area_mu")
    )
    size = np.where(power > 0, power, 1.0)
    usual = fit_usual(county.kwh, group, size, county.meter)
    gaps = [np.where(power > 0, u.gap, np.nan) for u in (usual, allowing_for_area(usual, area / size))]
    return gaps, county.multiplier, (county.share() >= 0.02).sum(axis=1) >= 6


def recall(gap, multiplier, used, quarters):
    """Give what an oracle finds at each number of false alarms."""
    some = (multiplier >= 5) & np.isfinite(gap)
    gap, log_k, asked = gap[some], np.log(multiplier[some]), (used & (multiplier >= 10))[some]
    sound, faulty = (-shifted * log_k - log_k**2 / 2 for shifted in (gap, (gap - log_k)[asked]))
    order = np.sort(sound)[::-1]
    return [float((faulty > order[min(int(a * quarters / 1000), len(order) - 1)]).mean()) for a in ALARMS]


def study(name, wells, seeds):
    """Put the meters of several counties together."""
    parts = [levels(name, wells, seed) for seed in seeds]
    multiplier, used = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    quarters = len(seeds) * wells * MONTHS // 3
    by_class, by_area = (
        recall(np.concatenate([part[0][k] for part in parts]), multiplier, used, quarters) for k in range(2)
    )
    record = json.loads((RESULTS / "fault_study.json").read_text(encoding="utf-8"))[name]
    hit, planted = record["recall"][FAULT]
    alarms = 1000 * record["alarms"].get("MULTIPLIER_SUSPECT", 0) / record["well_quarters"]
    return {"class": by_class, "class and area": by_area, "rule": hit / planted, "alarms": alarms}


def table(results):
    """Write the results as Markdown."""
    head = ["county", *(f"oracle, {a:g} alarms" for a in ALARMS), "the same without areas", "the rule", "its alarms"]
    rows = [
        [
            name,
            *(f"{100 * part:.0f} %" for part in r["class and area"]),
            " / ".join(f"{100 * part:.0f}" for part in r["class"]) + " %",
            f"{100 * r['rule']:.0f} %",
            f"{r['alarms']:.2f}",
        ]
        for name, r in results.items()
    ]
    return markdown(head, rows)


def main():
    asked = options(__doc__, counties=3)
    results = {name: study(name, asked.wells, range(1, asked.counties + 1)) for name in GENERATORS}
    keep("level_limit", results, table(results))


if __name__ == "__main__":
    main()
