"""Pumps replaced and nobody told: how many are found within two monthly readings, and what the total makes of it.

    python benchmarks/pumps.py [--counties 3] [--wells 500] [--sample 100]

Counties of all generators, read for a year and then updated month by month for two more. In each 3 % of the pumps a
year are replaced. A new pump raises κ by exp(0.27 ± 0.15): where pumps were repaired in California the flow rose from
960 to 1360 gpm at the same head, for 96 hp in place of 89, which is 31 % (Hanson, Benefits and costs of improving
pumping efficiency, California Agriculture). ``demo own`` replaces them as the demo county does, at any age, which
raises κ by exp(0.19 ± 0.16).

Told beside what is found: what could be. A change of size d is seen in two readings as a normal variable around d
with the standard deviation s that the variances, the reading errors and the well's past leave; the best test of that
rate of false alarms finds Φ(d/s - limit) of them. Results in benchmarks/results/pumps.json and .md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special

from counties import GENERATORS
from elec2water.calendar_ import quarter_months
from elec2water.coefficient import Coefficient, fit_coefficient
from elec2water.coefficient.innovations import PAIRS_A_YEAR
from elec2water.demo import County, measure_pairs, simulate_county
from elec2water.energy import MonthlyEnergy
from elec2water.volume import estimate_volume

RESULTS = Path(__file__).parent / "results" / "pumps"
LAST, FIRST_MONTHS = "2026Q3", 12
REPLACED_A_YEAR = 0.03
GAIN = (0.27, 0.15)
BEFORE, AFTER = 3, 2
MOVED = 0.08
SAME_CHANGE = 3
"""Months within which two alarms of a well are of one change."""
SIZES = (0.0, 0.10, 0.15, 0.20, 0.25, 0.30, 9.0)


@dataclasses.dataclass(frozen=True)
class Replaced:
    """A county with its replacements: the month of each well's new pump (-1: none) and its size in ln κ, (N,)."""

    county: County
    month: np.ndarray
    size: np.ndarray


def own_law(n_wells: int, seed: int) -> Replaced:
    """Replace pumps as the demo county does; the same county without gives the size."""
    county = simulate_county(n_wells, seed, replaced_per_year=REPLACED_A_YEAR, recorded=0.0)
    same = simulate_county(n_wells, seed, replaced_per_year=1e-9, recorded=0.0)
    jump = np.log(county.kappa / same.kappa)
    month = np.where(np.isnat(county.pump_replaced), -1, np.searchsorted(county.months, county.pump_replaced))
    return Replaced(county, month, np.where(month >= 0, jump[np.arange(n_wells), month], 0.0))


def published_law(name: str, n_wells: int, seed: int) -> Replaced:
    """Replace pumps of a county in which none is replaced otherwise."""
    make = GENERATORS[name]
    county = (
        simulate_county(n_wells, seed, replaced_per_year=1e-9, recorded=0.0) if name == "demo" else make(n_wells, seed)
    )
    rng = np.random.default_rng([seed, 3])
    months = county.months.size
    when = rng.exponential(PAIRS_A_YEAR / REPLACED_A_YEAR, n_wells)
    month = np.where(when < months, when.astype(np.intp), -1)
    size = np.where(month >= 0, GAIN[0] + GAIN[1] * rng.standard_normal(n_wells), 0.0)
    new = (month >= 0)[:, None] & (np.arange(months) >= month[:, None])
    kappa = county.kappa * np.exp(np.where(new, size[:, None], 0.0))
    energy = county.energy_kwh * county.kappa / kappa
    return Replaced(dataclasses.replace(county, kappa=kappa, energy_kwh=energy), month, size)


def electricity(county: County, last: np.datetime64) -> MonthlyEnergy:
    """Give what every meter showed until a month."""
    kwh = np.where(county.electric[:, None], np.asarray(county.energy_kwh, dtype=np.float64), np.nan)
    energy = MonthlyEnergy(county.well_id, county.months, kwh, 0.0 * kwh, np.full(kwh.shape, "A"))
    return energy.window(county.months[0], last)


def followed(made: Replaced, pairs: pd.DataFrame) -> tuple[Coefficient, pd.DataFrame]:
    """Fit the first year, update month by month; the coefficient at the end, and what was found in which month."""
    county, start = made.county, pairs["start"].to_numpy(dtype="datetime64[M]")
    tables = county.wells, county.water_levels
    last = county.months[FIRST_MONTHS - 1]
    state = fit_coefficient(pairs[start <= last], *tables, energy=electricity(county, last))
    told = [state.changes.assign(at=FIRST_MONTHS - 1)]
    for m in range(FIRST_MONTHS, county.months.size):
        month = county.months[m]
        energy = electricity(county, month)
        state = state.update(pairs[start == month], *tables, energy=energy, until=month, with_news=False)
        told.append(state.changes.assign(at=m))
    return state, pd.concat(told, ignore_index=True)


def step_sd(state: Coefficient, place: int, before: int) -> float:
    """Give the standard deviation of a change of one well seen in two readings, ``before`` of them having gone before.

    At the variances learned, the moments of the well's own readings and what each of them can err.
    """
    v, rows = state.posterior.typical, state.posterior.plain_rows
    mine = np.flatnonzero(rows.well == np.flatnonzero(state.posterior.sample == place)[0])[: before + AFTER]
    time = rows.time[mine]
    S = v.path(np.abs(time[:, None] - time), np.full((1, 1), v.level))
    S += np.diag(v.error * rows.scale[mine] + np.where(rows.extra[mine] < 1.0, rows.extra[mine], 0.0))
    gain = np.linalg.solve(S[:before, :before], S[:before, before:]).T
    ahead = S[before:, before:] - gain @ S[:before, before:]
    return float(1.0 / np.sqrt(np.linalg.inv(ahead).sum()))


def attainable(size: np.ndarray, sd: float) -> np.ndarray:
    """Share found by the best test at one false alarm in 100 well-years, for changes of some sizes."""
    limit = special.ndtri(1.0 - 0.5 / (100.0 * PAIRS_A_YEAR))
    return special.ndtr(np.abs(size) / sd - limit) + special.ndtr(-np.abs(size) / sd - limit)


def episodes(made: Replaced, told: pd.DataFrame) -> list[tuple[int, int]]:
    """Give place of the well and month of the first alarm of each change, those found by the first fit left out.

    An alarm that dates the change of the one before anew, by at most a quarter, is no other.
    """
    told = told.sort_values(["well_id", "at", "since"], kind="stable")
    place = made.county.rows(told["well_id"].to_numpy(dtype=object)).tolist()
    since = told["since"].to_numpy(dtype="datetime64[M]").astype(int).tolist()
    found: list[tuple[int, int]] = []
    last: dict[int, int] = {}
    for well, at, month in zip(place, told["at"].tolist(), since, strict=True):
        if abs(month - last.get(well, -SAME_CHANGE)) > SAME_CHANGE and at >= FIRST_MONTHS:
            found.append((well, at))
        last[well] = month
    return found


def events(made: Replaced, state: Coefficient, pairs: pd.DataFrame, told: pd.DataFrame) -> tuple[list[dict], dict]:
    """Give a row a replacement that could be found by the end, and the false alarms with the years watched."""
    county = made.county
    column = np.searchsorted(county.months, pairs["start"].to_numpy(dtype="datetime64[M]"))
    reads = pd.DataFrame({"place": county.rows(pairs["well_id"].to_numpy(dtype=object)), "month": column})
    alarms = episodes(made, told)
    rows, years = [], 0.0
    for place, months in reads.groupby("place")["month"]:
        read, new = months.to_numpy(), made.month[place]
        years += (read.max() + 1 - FIRST_MONTHS) / PAIRS_A_YEAR if read.max() >= FIRST_MONTHS else 0.0
        before, after = (read < new).sum(), np.sort(read[read >= new])
        if new < FIRST_MONTHS or before < BEFORE or after.size < AFTER:
            continue
        at = [at for well, at in alarms if well == place and at >= after[0]]
        size, sd = float(made.size[place]), step_sd(state, place, int(before))
        rows.append(
            {
                "size": size,
                "two": bool(at and min(at) <= after[1]),
                "ever": bool(at),
                "attainable": float(attainable(np.array(size), sd)),
            }
        )
    false = [(place, at) for place, at in alarms if made.month[place] < 0 or at < made.month[place]]
    unmoved = sum(not has_moved(county, place, at) for place, at in false)
    return rows, {"false": len(false), "unmoved": unmoved, "years": years}


def has_moved(county: County, place: int, at: int) -> bool:
    """Tell whether κ of a well had moved by 8 % against that of the middle well, in the two months of an alarm."""
    own = np.log(county.kappa[place]) - np.median(np.log(county.kappa), axis=0)
    return bool(abs(own[at - 1 : at + 1].mean() - own[max(at - 7, 0) : at - 1].mean()) >= MOVED)


def total(made: Replaced, state: Coefficient) -> dict[str, float]:
    """Give the county's total of the last quarter against the truth."""
    county = made.county
    energy = electricity(county, county.months[-1])
    volume = estimate_volume(state, energy, quarter=LAST, wells=county.wells, water_levels=county.water_levels).county
    columns = np.isin(county.months, quarter_months(LAST))
    truth = float(np.asarray(county.volume_m3)[county.electric][:, columns].sum())
    return {
        "error": float(volume.volume_m3[0]) / truth - 1.0,
        "cv": float(volume.se_m3[0] / volume.volume_m3[0]),
        "covered": bool(volume.lower_m3[0] <= truth <= volume.upper_m3[0]),
    }


def case(name: str, seed: int, n_wells: int, n: int) -> dict[str, object]:
    """One county."""
    made = own_law(n_wells, seed) if name == "demo own" else published_law(name, n_wells, seed)
    county = made.county
    pool = np.flatnonzero(county.electric)
    chosen = np.sort(np.random.default_rng([seed, 4]).choice(pool, n, replace=False))
    pairs = measure_pairs(
        county, county.well_id[chosen], first=county.months[0], last=county.months[-1], seed=seed, refusal=0.0
    )
    state, told = followed(made, pairs)
    rows, rates = events(made, state, pairs, told)
    return {"generator": name, "seed": seed, "events": rows, **rates, **total(made, state)}


def by_generator(cases: list[dict]) -> pd.DataFrame:
    """Give a row a generator."""
    out = []
    for name in dict.fromkeys(c["generator"] for c in cases):
        part = [c for c in cases if c["generator"] == name]
        rows = pd.DataFrame([e for c in part for e in c["events"]])
        large = rows[rows["size"].abs() >= 0.20]
        errors = np.array([c["error"] for c in part])
        years = sum(c["years"] for c in part)
        out.append(
            {
                "generator": name,
                "replaced": len(rows),
                "found in two readings, %": 100 * rows["two"].mean(),
                "attainable, %": 100 * rows["attainable"].mean(),
                "of those ≥ 22 %, %": 100 * large["two"].mean(),
                "attainable there, %": 100 * large["attainable"].mean(),
                "false alarms in 100 well-years": 100 * sum(c["false"] for c in part) / years,
                "of wells whose κ had not moved by 8 %": 100 * sum(c["unmoved"] for c in part) / years,
                "total: bias, %": 100 * errors.mean(),
                "total: stated sd, %": 100 * np.mean([c["cv"] for c in part]),
                "total: 90 % intervals held": f"{sum(c['covered'] for c in part)} of {len(part)}",
            }
        )
    return pd.DataFrame(out)


def by_size(cases: list[dict]) -> pd.DataFrame:
    """Give a row a class of sizes, all generators together."""
    rows = pd.DataFrame([e for c in cases for e in c["events"]])
    place = np.digitize(rows["size"].abs(), SIZES) - 1
    out = []
    for k in range(len(SIZES) - 1):
        part = rows[place == k]
        if part.empty:
            continue
        low, high = (100 * np.expm1(SIZES[j]) for j in (k, k + 1))
        label = f"{low:.0f} % and more" if SIZES[k + 1] > 1 else f"{low:.0f} to {high:.0f} %"
        found = {"found in two readings, %": part["two"], "attainable, %": part["attainable"], "ever, %": part["ever"]}
        out.append(
            {"change of κ": label, "replaced": len(part)}
            | {name: 100 * values.mean() for name, values in found.items()}
        )
    return pd.DataFrame(out)


def markdown(table: pd.DataFrame) -> str:
    """Write a table as Markdown."""
    shown = table.map(lambda v: f"{v:.1f}" if isinstance(v, float) else str(v))
    lines = ["| " + " | ".join(shown.columns) + " |", "|" + "---|" * len(shown.columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in shown.to_numpy()]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counties", type=int, default=3)
    parser.add_argument("--first", type=int, default=101)
    parser.add_argument("--wells", type=int, default=500)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--generators", nargs="*", default=["demo own", "demo", "lognormal", "two_age", "equation"])
    parser.add_argument("--add", action="store_true", help="keep the cases already there")
    a = parser.parse_args()
    path = RESULTS.with_suffix(".json")
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"] if a.add else []
    for seed in range(a.first, a.first + a.counties):
        for name in a.generators:
            cases.append(case(name, seed, a.wells, a.sample))
            print(name, seed, {k: v for k, v in cases[-1].items() if k not in {"events", "generator"}}, flush=True)
            text = json.dumps({"wells": a.wells, "sample": a.sample, "cases": cases}, indent=1)
            path.write_text(text + "\n", encoding="utf-8")
    tables = by_generator(cases), by_size(cases)
    RESULTS.with_suffix(".md").write_text("\n".join(map(markdown, tables)), encoding="utf-8")
    for table in tables:
        print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main()
