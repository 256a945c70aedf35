"""Whether the stated inclusion probabilities are true, and samples better spread and balanced than systematic ones.

    python benchmarks/selection_study.py [--draws 20000]

Draws of every method from counties whose strata lie across one another on the map. Writes results/selection_study.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy import stats

from elec2water.design.allocation import inclusion_probabilities
from elec2water.design.coordination import coordinate, floors, sizes_above
from elec2water.design.draw import draw
from elec2water.design.random_draw import random_pps
from elec2water.design.spatial import local_mean_variance, voronoi_balance

RESULTS = Path(__file__).parent / "results" / "selection_study.json"
METHODS = ("balanced", "spatial", "systematic", "random")


def county(seed: int, n: int, strata: int, sample: int) -> dict[str, np.ndarray]:
    """Wells in townships; strata across them; probabilities by energy of the year before; this year's energy."""
    rng = np.random.default_rng(seed)
    codes = np.unique(np.sort(rng.choice(strata, n, p=rng.dirichlet(np.full(strata, 3.0)))), return_inverse=True)[1]
    town = rng.integers(0, 12, n)
    places = rng.random((12, 2))[town] * 40 + rng.normal(0, 3, (n, 2))
    size = rng.lognormal(0, 0.8, n)
    share = np.bincount(codes, size) / size.sum()
    each = np.clip(np.round(sample * share), 2, np.bincount(codes)).astype(int)
    p = np.empty(n)
    for h in range(each.size):
        p[codes == h] = inclusion_probabilities(size[codes == h], each[h])
    along = np.lexsort((np.where(town % 2 == 0, size, -size), town))
    rank = np.empty(n)
    rank[along] = np.arange(n)
    energy = size * rng.lognormal(0, 0.5, n)
    depth = 40 + 8 * np.sin(places[:, 0] / 9) + rng.normal(0, 3, n)
    return {"codes": codes, "places": places, "p": p, "rank": rank[:, None], "energy": energy, "volume": energy / depth}


def agreement(count: np.ndarray, p: np.ndarray, draws: int) -> dict[str, float]:
    """Compare frequencies with probabilities: the largest deviation in binomial standard errors, and χ² of all."""
    uncertain = (p > 0) & (p < 1)
    z = (count - draws * p)[uncertain] / np.sqrt(draws * p * (1 - p))[uncertain]
    tail = 0.005 / z.size
    outside = (count < stats.binom.ppf(tail, draws, p)) | (count > stats.binom.isf(tail, draws, p))
    return {
        "draws": draws, "units": int(z.size), "largest_z": float(np.abs(z).max()), "mean_z2": float((z**2).mean()),
        "outside_99_percent_bounds": int(outside.sum()),
    }  # fmt: skip


def probabilities(draws: int) -> dict[str, dict[str, float]]:
    c = county(1, 60, 4, 16)
    found = {}
    for method in METHODS:
        count = np.zeros(c["p"].size)
        for seed in range(draws):
            options = {"coordinates": c["places"], "auxiliaries": c["energy"][:, None]}
            count[draw(c["p"], c["codes"], seed=seed, method=method, **options)] += 1
        found[method] = agreement(count, c["p"], draws)
        print(method, found[method], flush=True)
    for rotate in (0.0, 0.25):
        count = np.zeros(c["p"].size)
        each = np.bincount(c["codes"], c["p"]).round().astype(int) + 1
        for seed in range(draws):
            network = np.zeros(c["p"].size, dtype=bool)
            network[random_pps(c["p"], c["codes"], seed=seed)] = True
            target = sizes_above(c["energy"], c["codes"], each, floors(network, c["p"], rotate=rotate))
            plan = coordinate(target, c["codes"], network, c["p"], rotate=rotate)
            count[random_pps(plan.conditional, plan.codes, seed=seed, part="new")] += 1
        name = f"rotated by {rotate:.0%}" if rotate else "extended"
        found[name] = agreement(count, plan.probability, draws)
        print(name, found[name], flush=True)
    return found


def quality(counties: int, draws: int) -> list[dict[str, float | str]]:
    """Spread, balance, and the error of Horvitz–Thompson totals of volume, over counties."""
    rows = []
    for method in METHODS:
        v, e, t, ratio = [], [], [], []
        for k in range(counties):
            c = county(100 + k, 1_000, 10, 60)
            p, energy, volume = c["p"], c["energy"], c["volume"]
            along = c["rank"] if method == "systematic" else c["places"]
            totals, variances = [], []
            for seed in range(draws):
                hit = draw(p, c["codes"], seed=seed, method=method, coordinates=along, auxiliaries=energy[:, None])
                v.append(voronoi_balance(p, c["places"], hit))
                e.append(((energy[hit] / p[hit]).sum() / energy.sum() - 1) ** 2)
                totals.append((volume[hit] / p[hit]).sum() / volume.sum() - 1)
                variances.append(
                    local_mean_variance(volume[hit] / volume.sum(), p[hit], c["places"][hit], c["codes"][hit])
                )
            t.append(np.mean(np.square(totals)))
            ratio.append(np.mean(variances) / np.var(totals))
        rows.append(
            {
                "method": method, "voronoi": float(np.mean(v)), "energy_cv": float(np.sqrt(np.mean(e))),
                "volume_cv": float(np.sqrt(np.mean(t))), "local_mean_variance_ratio": float(np.mean(ratio)),
            }
        )  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--counties", type=int, default=20)
    options = parser.parse_args()
    result = {"probabilities": probabilities(options.draws), "quality": quality(options.counties, 40)}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
