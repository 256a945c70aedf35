"""Accuracy of every quarter of a year, the quiet ones too: the table of docs/accuracy.md.

Most water is pumped in one or two quarters; the others must be reported as well. There wells rest, electricity that
pumps nothing weighs, and a total hangs on few wells. As `accuracy.py`, the quarter after the last pair::

    python benchmarks/quarters.py --counties 24 --generators demo two_age
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

from accuracy import RESULTS, Case, run_study
from counties import GENERATORS
from elec2water.demo import true_wells

PERIODS = ("2025Q4", "2026Q1", "2026Q2", "2026Q3")


def summarise(results: pd.DataFrame) -> pd.DataFrame:
    """Give a row a generator, size and quarter; per cent."""
    rows = []
    for (generator, n, period), part in results.groupby(["generator", "n", "period"], sort=False):
        error = 100 * part["model"]
        rows.append(
            {
                "counties": generator,
                "sample wells": n,
                "quarter": period,
                "number": len(part),
                "share of the year": 100 * part["share"].mean(),
                "RMSE best": 100 * np.sqrt((part["best"] ** 2).mean()),
                "RMSE": np.sqrt((error**2).mean()),
                "bias": error.mean(),
                "± se": error.sem(),
                "stated": 100 * part["cv"].mean(),
                **{f"cover {name}": 100 * part[f"cover_{name}"].mean() for name in ("county", "township", "well")},
            }
        )
    return pd.DataFrame(rows)


def share_of_year(case: Case, water: dict[tuple[str, int], dict[str, float]]) -> float:
    """Give the part of a year's water that is pumped in a quarter of a county."""
    key = case.generator, case.seed
    if key not in water:
        county = GENERATORS[case.generator](case.wells, case.seed)
        m3 = {p: true_wells(county, p)["volume_m3"].to_numpy()[county.electric].sum() for p in PERIODS}
        water[key] = {p: float(value / sum(m3.values())) for p, value in m3.items()}
    return water[key][case.period]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counties", type=int, default=24)
    parser.add_argument("--generators", nargs="*", default=["demo"])
    parser.add_argument("--sizes", nargs="*", type=int, default=[60, 150])
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    a = parser.parse_args()
    cases = [
        Case(g, a.seed + s, n, "next", period=period)
        for g in a.generators
        for n in a.sizes
        for period in PERIODS
        for s in range(a.counties)
    ]
    water: dict[tuple[str, int], dict[str, float]] = {}
    results = run_study(cases, a.jobs).assign(
        period=[case.period for case in cases], share=[share_of_year(case, water) for case in cases]
    )
    table = summarise(results)
    (RESULTS / "quarters.json").write_text(
        json.dumps({"rows": table.round(3).to_dict("records")}, indent=1) + "\n", encoding="utf-8"
    )
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main()
