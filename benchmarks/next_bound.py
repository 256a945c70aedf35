"""What choosing the tests can be worth at most, and what it is worth where the variances believed are not true.

    python benchmarks/next_bound.py [--counties 2] [--generators demo equation shallow two_age] [--months 1 12]

The setting of benchmarks/next_study.py: sixty wells measured in the first year (once, or every month), ten tests a year
after. At given variances the error of a total is a linear function of readings, so that its variance needs no draw:
counties drawn from the model itself, all of them at once. Every strategy is told the *believed* standard deviations and
judged by the true ones; where both are the same the stated variance is the true one, to the last digit. Beside the
strategies: the best forty tests that a planner could choose in the first year who cared for the last summer alone
(greedy over wells and years), which no strategy that plans year by year can be expected to beat.

Results in benchmarks/results/next_bound.json and .md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd

import elec2water as e2w
from accuracy import electricity
from elec2water.coefficient.posterior import DRIFT_MEMORY_YEARS
from elec2water.demo import measure_pairs
from next_study import LAST, TESTS_A_YEAR, YEARS, county_of, first_year, until
from updating import registry_at, sample_of

RESULTS = Path(__file__).parent / "results" / "next_bound"
GENERATORS = ("demo", "equation", "shallow", "two_age")
TRUE_MONTH_SD = 0.012
"""Standard deviation of the common movement in counties read for three years: 0.009 to 0.014 in four kinds of five."""
BELIEVED = {"0.057": 0.057, "as learned": None, "0.012 (true)": TRUE_MONTH_SD}
SUMMER = 0.624
LEAST_ENERGY = 0.25


@dataclasses.dataclass(frozen=True)
class World:
    """A network after its first year: pairs, loadings of tests (Y, N, p) and of totals (Y, p), volumes (Y, N)."""

    layout: object
    rows: object
    sample: np.ndarray
    tests: np.ndarray
    sums: np.ndarray
    volume: np.ndarray
    able: np.ndarray
    learned: dict[str, float]


def world_of(generator: str, seed: int, months: int, n_wells: int = 800, n: int = 60) -> World:
    """Fit the first year and lay out what tests and totals of the next four load."""
    county = county_of(generator, n_wells, seed, "drawn")
    energy, strata = electricity(county)
    if months == 1:
        pairs = first_year(county, energy, strata, n, seed, "meter")
    else:
        ids = county.well_id[sample_of(county, seed, n)]
        pairs = measure_pairs(county, ids, first=county.months[0], last=county.months[months - 1], seed=seed)
    at = np.datetime64("2022-12")
    registry = registry_at(county, at)
    fitted = e2w.fit_coefficient(pairs, registry, county.water_levels, energy=until(energy, at), until=at)
    last = np.datetime64(f"{LAST[:4]}-09")
    known = fitted.update(None, registry, county.water_levels, energy=energy, until=last, with_news=False)
    layout, tests, sums, volume, able = known.posterior.layout, [], [], [], []
    for year in YEARS:
        made = e2w.estimate_volume(
            known, energy, quarter=f"{year}Q3", wells=county.wells, water_levels=county.water_levels
        )
        none = np.zeros(0, dtype=np.intp)
        bare = dataclasses.replace(made.loadings, sample=none, gain=np.zeros((0, layout.size)))
        one = dataclasses.replace(bare, cells=bare.cells[:, 1:2], moving=bare.moving[:, 1:2])
        converted = made.wells.converted_m3
        every = np.arange(converted.shape[0])
        tests.append(one.mean_rows(every, np.ones((every.size, 1))))
        sums.append(bare.domain_sums(converted, np.zeros(every.size, dtype=np.intp), 1)[0])
        volume.append(converted.sum(axis=1))
        kwh = np.nan_to_num(made.wells.kwh)
        able.append((volume[-1] > 0) & (kwh >= LEAST_ENERGY * np.median(kwh[volume[-1] > 0])))
    return World(
        layout,
        known.posterior.rows,
        known.posterior.sample,
        np.array(tests),
        np.array(sums),
        np.array(volume),
        np.array(able),
        {name: v**0.5 for name, v in known.posterior.variance.items()},
    )


@dataclasses.dataclass(frozen=True)
class Joint:
    """Covariances of all readings that are or could be, (R + YN,) of them: signal, noise, and with the totals (Y,)."""

    signal: np.ndarray
    noise: np.ndarray
    cross: np.ndarray
    totals: np.ndarray

    @classmethod
    def of(cls, world: World, sd: dict[str, float]) -> Joint:
        """Work them out at some standard deviations."""
        prior = world.layout.prior(sd).covariance
        n = world.volume.shape[1]
        X = np.vstack([world.rows.matrix(), world.tests.reshape(-1, prior.shape[0])])
        well = np.r_[world.sample[world.rows.well], np.tile(np.arange(n), len(YEARS))]
        time = np.r_[world.rows.time, np.repeat([y + SUMMER for y in YEARS], n)]
        level, drift = sd["level"] ** 2, sd["drift"] ** 2
        signal = X @ prior @ X.T
        i, j = np.nonzero(well[:, None] == well)
        signal[i, j] += level + drift * np.exp(-np.abs(time[i] - time[j]) / DRIFT_MEMORY_YEARS)
        cross = world.sums @ prior @ X.T
        totals = np.einsum("di,ij,dj->d", world.sums, prior, world.sums)
        for d, year in enumerate(YEARS):
            path = level + drift * np.exp(-np.abs(time - (year + SUMMER)) / DRIFT_MEMORY_YEARS)
            cross[d] += world.volume[d][well] * path
            totals[d] += (world.volume[d] ** 2).sum() * (level + drift)
        return cls(signal, np.full(time.size, sd["error"] ** 2), cross, totals)


class Known:
    """What is known of the totals after some readings, conditioned on one by one."""

    def __init__(self, joint: Joint) -> None:
        self.joint = joint
        self.cross, self.left = joint.cross.copy(), joint.totals.copy()
        self.variance = np.diag(joint.signal) + joint.noise
        self.rows: list[np.ndarray] = []
        self.read: list[int] = []

    def copy(self) -> Known:
        """Give one that goes its own way from here."""
        other = object.__new__(Known)
        other.joint, other.cross, other.left = self.joint, self.cross.copy(), self.left.copy()
        other.variance, other.rows, other.read = self.variance.copy(), list(self.rows), list(self.read)
        return other

    def take(self, k: int) -> None:
        """Condition on one reading."""
        row = self.joint.signal[k].copy()
        for earlier in self.rows:
            row -= earlier[k] * earlier
        root = np.sqrt(self.variance[k])
        row /= root
        along = self.cross[:, k] / root
        self.cross -= np.outer(along, row)
        self.left -= along**2
        self.variance = np.maximum(self.variance - row**2, self.joint.noise)
        self.rows.append(row)
        self.read.append(k)

    def truly(self, true: Joint, d: int) -> float:
        """Give the true mean square error of the total ``d`` estimated so, at other variances than were believed."""
        at = np.array(self.read)
        pick = np.ix_(at, at)
        weight = np.linalg.solve(self.joint.signal[pick] + np.diag(self.joint.noise[at]), self.joint.cross[d, at])
        spread = true.signal[pick] + np.diag(true.noise[at])
        return float(true.totals[d] - 2.0 * weight @ true.cross[d, at] + weight @ spread @ weight)


def by_next(start: Known, world: World, ahead: int) -> Known:
    """Choose each year's tests by that year's total and those of ``ahead`` years more."""
    known, n, first = start.copy(), world.volume.shape[1], world.rows.y.size
    size = world.volume.sum(axis=1)
    for d in range(len(YEARS)):
        weight = np.zeros(len(YEARS))
        weight[d : d + 1 + ahead] = 1.0 / size[d : d + 1 + ahead] ** 2
        here = first + d * n + np.arange(n)
        free = world.able[d].copy()
        for _ in range(TESTS_A_YEAR):
            gain = np.where(free, weight @ known.cross[:, here] ** 2 / known.variance[here], -1.0)
            k = int(gain.argmax())
            free[k] = False
            known.take(int(here[k]))
    return known


def by_chance(start: Known, world: World, rng, *, again: bool) -> Known:
    """Test wells at random, among all or among those measured before."""
    known, n, first = start.copy(), world.volume.shape[1], world.rows.y.size
    tested = np.unique(world.sample[world.rows.well])
    for d in range(len(YEARS)):
        pool = tested if again else np.flatnonzero(world.volume[d] > 0)
        for k in rng.choice(pool, TESTS_A_YEAR, replace=False):
            known.take(first + d * n + int(k))
    return known


def by_age(start: Known, world: World) -> Known:
    """Test the wells again that were measured longest ago, as an office goes through its list."""
    known, n, first = start.copy(), world.volume.shape[1], world.rows.y.size
    order = world.sample[np.argsort(world.rows.time[np.unique(world.rows.well, return_index=True)[1]], kind="stable")]
    turns = np.resize(order, TESTS_A_YEAR * len(YEARS)).reshape(len(YEARS), TESTS_A_YEAR)
    for d, wells in enumerate(turns):
        for k in wells:
            known.take(first + d * n + int(k))
    return known


def by_foresight(start: Known, world: World) -> Known:
    """Choose all forty tests for the last summer's total."""
    known, n, first = start.copy(), world.volume.shape[1], world.rows.y.size
    free, left = world.able.copy(), np.full(len(YEARS), TESTS_A_YEAR)
    for _ in range(TESTS_A_YEAR * len(YEARS)):
        gain = known.cross[-1, first:] ** 2 / known.variance[first:]
        k = int(np.where((free & (left > 0)[:, None]).ravel(), gain, -1.0).argmax())
        known.take(first + k)
        left[k // n] -= 1
        free[k // n, k % n] = False
    return known


def case(generator: str, seed: int, months: int) -> list[dict[str, object]]:
    """One county: a row for each belief and strategy."""
    world = world_of(generator, seed, months)
    true = Joint.of(world, world.learned | {"month": TRUE_MONTH_SD})
    per = world.volume.sum(axis=1)[-1] ** 2
    rows = []
    for name, month in BELIEVED.items():
        start = Known(Joint.of(world, world.learned | ({} if month is None else {"month": month})))
        for k in range(world.rows.y.size):
            start.take(k)
        rng = np.random.default_rng(seed)
        ways = {
            "next, this year alone": by_next(start, world, 0),
            "next": by_next(start, world, 1),
            "random": by_chance(start, world, rng, again=False),
            "random again": by_chance(start, world, rng, again=True),
            "oldest": by_age(start, world),
            "all forty foreseen": by_foresight(start, world),
        }
        for way, known in ways.items():
            rows.append(
                {
                    "generator": generator,
                    "seed": seed,
                    "months": months,
                    "believed": name,
                    "way": way,
                    "stated": float(known.left[-1] / per),
                    "true": known.truly(true, len(YEARS) - 1) / per,
                }
            )
    return rows


def summarise(cases: pd.DataFrame) -> pd.DataFrame:
    """Give a row a first year, belief and strategy: standard deviations, and by how much ``next`` has less variance."""
    rows = []
    for (months, believed), part in cases.groupby(["months", "believed"], sort=False):
        wide = {
            what: part.pivot_table(index=["generator", "seed"], columns="way", values=what)
            for what in ("stated", "true")
        }
        for way in part["way"].unique():
            stated, true = (100.0 * np.sqrt(w[way].mean()) for w in wide.values())
            less = [100.0 * (1.0 - (w["next"] / w[way]).mean()) for w in wide.values()]
            rows.append(
                {
                    "pairs a well in year one": months,
                    "sd of month believed": believed,
                    "tests chosen": way,
                    "stated sd, %": stated,
                    "true sd, %": true,
                    "next: stated variance lower by, %": less[0],
                    "true variance lower by, %": less[1],
                }
            )
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """Write the table as Markdown."""
    shown = table.copy()
    for name in shown.columns[3:]:
        shown[name] = shown[name].map("{:.1f}".format)
    lines = ["| " + " | ".join(shown.columns) + " |", "|" + "---|" * len(shown.columns)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in shown.to_numpy()]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counties", type=int, default=2)
    parser.add_argument("--generators", nargs="*", default=list(GENERATORS))
    parser.add_argument("--months", nargs="*", type=int, default=[1, 12])
    a = parser.parse_args()
    cases: list[dict[str, object]] = []
    for months in a.months:
        for seed in range(1, a.counties + 1):
            for generator in a.generators:
                cases += case(generator, seed, months)
    RESULTS.with_suffix(".json").write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")
    table = summarise(pd.DataFrame(cases))
    RESULTS.with_suffix(".md").write_text(markdown(table), encoding="utf-8")
    print(table.round(1).to_string(index=False))


if __name__ == "__main__":
    main()
