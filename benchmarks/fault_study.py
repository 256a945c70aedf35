"""What the rules on electricity find: faults of BAD_INPUTS.md C-G planted in clean counties, one kind at a time.

    python benchmarks/fault_study.py [--wells 1500] [--counties 3] [--first 1] [--generators demo ...] [--faults ...]

For every generator of counties.py: recall of each fault (a planted meter or its well is named by a rule that answers
the fault), and alarms of each rule per 1,000 well-quarters of the county as it was made. Meters are planted in months
that carry at least 2 % of a year of theirs: a slip in a month without use moves nothing. Writes
benchmarks/results/fault_study.json and .md; counties of other seeds (--first 11) have a record of their own.
"""

import argparse
import json

import numpy as np
import pandas as pd

from counties import GENERATORS
from elec2water.energy.assemble import read_energy
from elec2water.energy.screen import screen
from elec2water.energy.screen.series import Desk
from elec2water.rules import RuleSettings
from elec2water.strata import classify
from recorded import RESULTS, keep

KEY = ["rule", "meter_id", "well_id", "period"]
"""What makes two findings one: a fault is found by what was not said of the county as it was made."""
PLANTED = 40
MONTHS = 24
#: True of the county as it was made, so not false: meters that stopped being read, lamps in winter, odd intervals.
STATED = {"METER_SILENT", "NON_PUMP_LOAD", "OFF_CYCLE", "ESTIMATE_MERGED", "PARTIAL_MONTH", "SEVERAL_METERS",
          "SHARED_METER", "METER_NO_DATA", "WELL_WITHOUT_ENERGY", "OVER_CAPACITY"}  # fmt: skip


class County:
    """Hold a county's readings as a matrix of bills, meters × months, that faults are planted in."""

    def __init__(self, made):
        self.made, self.months = made, made.months[-MONTHS:]
        readings = made.readings
        start = readings["start"].to_numpy().astype("datetime64[D]")
        whole = (start.astype("datetime64[M]").astype("datetime64[D]") == start) & (
            readings["end"].to_numpy().astype("datetime64[D]")
            == (start.astype("datetime64[M]") + 1).astype("datetime64[D]")
        )
        self.other = readings[~whole | readings["meter_id"].isin(readings.loc[~whole, "meter_id"])]
        bills = readings.drop(self.other.index)
        bills = bills[bills["start"] >= self.months[0].astype("datetime64[s]")]
        self.other = self.other[self.other["start"] >= self.months[0].astype("datetime64[s]")]
        table = _wide(bills, "energy_kwh")
        self.meter, self.kwh = table.index.to_numpy(dtype=object), table.to_numpy()
        self.estimated = _wide(bills.assign(guess=bills["quality"].eq("estimated")), "guess").to_numpy() == 1
        meters = made.meters.drop_duplicates("meter_id").set_index("meter_id").reindex(self.meter)
        self.multiplier, self.well = meters["multiplier"].to_numpy(), meters["well_id"].to_numpy(dtype=object)

    def share(self):
        """Give the part of a mean year's energy that each month carries."""
        year = np.nansum(self.kwh, axis=1, keepdims=True) / (self.kwh.shape[1] / 12)
        return np.nan_to_num(self.kwh / np.where(year > 0, year, np.nan))

    def bills(self, kwh):
        """Write the matrix as billing rows."""
        meter, month = np.nonzero(np.isfinite(kwh))
        return pd.DataFrame(
            {
                "meter_id": pd.Series(self.meter[meter], dtype="str"),
                "start": self.months[month].astype("datetime64[s]"),
                "end": (self.months[month] + 1).astype("datetime64[s]"),
                "energy_kwh": np.round(kwh[meter, month], 2),
                "quality": pd.Series(np.where(self.estimated[meter, month], "estimated", "actual"), dtype="str"),
            }
        )

    def registers(self, which, kwh, start):
        """Write register reads at month ends of some meters, from a register that stood at `start`."""
        moved = np.nan_to_num(kwh[which]) / self.multiplier[which, None]
        register = start[:, None] + np.pad(np.cumsum(moved, axis=1), ((0, 0), (1, 0)))
        edges = np.append(self.months, self.months[-1] + 1).astype("datetime64[s]")
        meter = np.repeat(np.arange(len(which)), len(edges))
        return pd.DataFrame(
            {
                "meter_id": pd.Series(self.meter[which][meter], dtype="str"),
                "read_on": np.tile(edges, len(which)),
                "register_kwh": np.round(register.ravel(), 2),
            }
        )

    def findings(self, readings, meters=None, wells=None):
        """Give everything that is said of the readings."""
        wells = self.made.wells if wells is None else wells
        readings = pd.concat([readings, self.other], ignore_index=True)
        readings.index += 2
        meters = self.made.meters if meters is None else meters
        found = read_energy(wells, meters, readings, first=self.months[0], last=self.months[-1], lang="en")
        by = [name for name in ("aquifer", "pump_power_kw", "pump_depth_m") if wells[name].notna().any()]
        desk = Desk(found.reporter, wells["well_id"].to_numpy(dtype=object), RuleSettings())
        return (found.findings + screen(found.meters, classify(wells, by).codes, desk)).frame


def _wide(bills, column):
    return bills.pivot_table(index="meter_id", columns="start", values=column, aggfunc="sum", min_count=1)


def _some(eligible, rng):
    rows = np.flatnonzero(eligible)
    return rng.choice(rows, min(PLANTED, len(rows)), replace=False)


def _month_of_use(county, rows, rng, least=0.02):
    return np.array([rng.choice(np.flatnonzero(used)) for used in _used(county, least)[rows]])


def _used(county, least=0.02):
    """Tell months of use that were read: an estimate is merged into the read after it, whatever stands in it."""
    return (county.share() >= least) & ~county.estimated


def slip(factor):
    """Make one month ten or a hundred times too high."""

    def plant(county, rng):
        rows = _some(_used(county).any(axis=1), rng)
        kwh, month = county.kwh.copy(), _month_of_use(county, rows, rng)
        kwh[rows, month] *= factor
        return rows, {"readings": county.bills(kwh)}

    return plant


def lost(kind):
    """Lose the multiplier for three months of use, for good after two of them, or throughout; or apply it twice."""

    def plant(county, rng):
        used = county.share() >= 0.02
        rows = _some((county.multiplier >= 10) & (used.sum(axis=1) >= 6), rng)
        kwh = county.kwh.copy()
        for row in rows:
            months = np.flatnonzero(used[row])
            first = {"on": rng.choice(months[2:-3]), "throughout": 0}.get(kind, rng.choice(months[:-3]))
            last = kwh.shape[1] if kind in {"on", "throughout"} else months[months >= first][2] + 1
            kwh[row, first:last] *= county.multiplier[row] if kind == "twice" else 1.0 / county.multiplier[row]
        return rows, {"readings": county.bills(kwh)}

    return plant


def unit(factor):
    """Report a meter in another unit."""

    def plant(county, rng):
        rows = _some((county.share() >= 0.02).sum(axis=1) >= 3, rng)
        kwh = county.kwh.copy()
        kwh[rows] /= factor
        frame = county.bills(kwh)
        exact = frame["meter_id"].isin(county.meter[rows])
        frame.loc[exact, "energy_kwh"] = county.bills(county.kwh).loc[exact, "energy_kwh"] / factor
        return rows, {"readings": frame}

    return plant


def registers(kind):
    """Let a register roll over (digits known or not), exchange a meter, type a read wrong."""

    def plant(county, rng):
        used = (np.nansum(county.kwh, axis=1) > 200) & _used(county).any(axis=1)
        rows = _some(used & np.isfinite(county.kwh).all(axis=1), rng)
        total = np.nansum(county.kwh[rows], axis=1) / county.multiplier[rows]
        month = _month_of_use(county, rows, rng)
        frame = county.registers(rows, county.kwh, rng.uniform(2000, 30000, len(rows)))
        meters = county.made.meters.copy()
        here = meters["meter_id"].isin(county.meter[rows])
        meters.loc[here, "digits"] = np.nan
        register = frame["register_kwh"].to_numpy().reshape(len(rows), -1).copy()
        after = np.arange(register.shape[1]) > month[:, None]
        if kind == "exchange":
            register = np.where(after, register - register[np.arange(len(rows)), month][:, None] * 0.98, register)
            register = np.where(after, register - 0.9 * register[np.arange(len(rows)), month][:, None] * 0.02, register)
        elif kind == "typing":
            register = np.where(np.arange(register.shape[1]) == month[:, None], register / 10, register)
        else:
            wrap = 10.0**6
            register += (wrap - register[np.arange(len(rows)), month] - 0.5 * total / 24)[:, None]
            register = np.mod(register, wrap)
            if kind == "rollover, digits known":
                meters.loc[here, "digits"] = 6
        frame["register_kwh"] = np.round(register.ravel(), 2)
        rest = county.bills(county.kwh)
        rest = rest[~rest["meter_id"].isin(county.meter[rows])]
        return rows, {"readings": pd.concat([rest, frame], ignore_index=True), "meters": meters}

    return plant


def copied(kind):
    """Shift a block of the season to the next row of the sheet, or fill in last year's again."""

    def plant(county, rng):
        used = county.share() >= 0.02
        kwh, n = county.kwh.copy(), county.kwh.shape[1]
        last_year = used[:, n - 12 :].sum(axis=1) >= 4
        rows = _some(last_year & (np.r_[last_year[1:], False] if kind == "rows" else True), rng)
        rows = rows[np.r_[True, np.diff(np.sort(rows)) > 1]] if kind == "rows" else rows
        if kind == "rows":
            rows = np.sort(rows)
            kwh[rows + 1, n - 12 :] = county.kwh[rows, n - 12 :]
        else:
            kwh[rows, n - 12 : n - 3] = county.kwh[rows, n - 24 : n - 15]
        return rows, {"readings": county.bills(kwh)}

    return plant


def duplicates(kind):
    """State a month twice: alike, or with another energy."""

    def plant(county, rng):
        rows = _some(_used(county).any(axis=1), rng)
        month = _month_of_use(county, rows, rng)
        frame = county.bills(county.kwh)
        again = county.bills(np.where(np.isin(np.arange(len(county.meter)), rows)[:, None], county.kwh, np.nan))
        chosen = {(county.meter[r], county.months[m]) for r, m in zip(rows, month, strict=True)}
        starts = again["start"].to_numpy().astype("datetime64[M]")
        again = again[[pair in chosen for pair in zip(again["meter_id"], starts, strict=True)]]
        if kind == "other":
            again = again.assign(energy_kwh=np.round(again["energy_kwh"] * rng.uniform(0.2, 0.9, len(again)), 2))
        return rows, {"readings": pd.concat([frame, again], ignore_index=True)}

    return plant


def flat(county, rng):
    """Let four months of use carry the same estimate."""
    used = county.share() >= 0.02
    rows = _some(used.sum(axis=1) >= 6, rng)
    kwh = county.kwh.copy()
    for row in rows:
        first = min(rng.choice(np.flatnonzero(used[row])), kwh.shape[1] - 4)
        kwh[row, first : first + 4] = np.round(np.nanmean(county.kwh[row]), 0)
    return rows, {"readings": county.bills(kwh)}


def zeros(county, rng):
    """Plant no energy from May to September of the last year."""
    rows = _some((county.share()[:, -5:] >= 0.02).sum(axis=1) >= 4, rng)
    kwh = county.kwh.copy()
    kwh[rows, -5:] = 0.0
    return rows, {"readings": county.bills(kwh)}


def silent(county, rng):
    """Leave meters out of the file for the last quarter."""
    rows = _some(np.isfinite(county.kwh).all(axis=1), rng)
    kwh = county.kwh.copy()
    kwh[rows, -3:] = np.nan
    return rows, {"readings": county.bills(kwh)}


def load(county, rng):
    """Put a household on the meter of a pump that rests in winter: a third of its mean month."""
    rows = _some((county.share() >= 0.02).sum(axis=1) >= 3, rng)
    kwh = county.kwh.copy()
    kwh[rows] += np.nanmean(kwh[rows], axis=1)[:, None] / 3 * rng.uniform(0.9, 1.1, kwh[rows].shape)
    return rows, {"readings": county.bills(kwh)}


def orphan(county, rng):
    """Leave a meter without a well."""
    rows = _some((county.share() >= 0.02).any(axis=1), rng)
    meters = county.made.meters
    return rows, {"readings": county.bills(county.kwh), "meters": meters[~meters["meter_id"].isin(county.meter[rows])]}


def joined(county, rng):
    """Bill two months as one."""
    rows = _some(_used(county).any(axis=1), rng)
    month = np.minimum(_month_of_use(county, rows, rng), county.kwh.shape[1] - 2)
    kwh = county.kwh.copy()
    long = pd.DataFrame(
        {
            "meter_id": pd.Series(county.meter[rows], dtype="str"),
            "start": county.months[month].astype("datetime64[s]"),
            "end": (county.months[month] + 2).astype("datetime64[s]"),
            "energy_kwh": np.nan_to_num(kwh[rows, month]) + np.nan_to_num(kwh[rows, month + 1]),
        }
    )
    kwh[rows, month] = kwh[rows, month + 1] = np.nan
    return rows, {"readings": pd.concat([county.bills(kwh), long], ignore_index=True)}


FAULTS = {
    "×10 slip (F14)": (slip(10), {"SPIKE", "OVER_CAPACITY"}),
    "×100 slip (F14)": (slip(100), {"SPIKE", "OVER_CAPACITY"}),
    "multiplier lost, three months of use (F08)": (lost("three"), {"MULTIPLIER_SUSPECT"}),
    "multiplier lost for good, after two months of use or more (F08)": (lost("on"), {"MULTIPLIER_SUSPECT"}),
    "multiplier never applied, told by the class alone (F10)": (lost("throughout"), {"MULTIPLIER_SUSPECT"}),
    "multiplier applied twice (F10)": (lost("twice"), {"MULTIPLIER_SUSPECT", "OVER_CAPACITY"}),
    "unit 万kWh (D03)": (unit(1e4), {"UNIT_SUSPECT"}),
    "unit MWh (D03)": (unit(1e3), {"UNIT_SUSPECT"}),
    "rollover, digits unknown (F02)": (registers("rollover"), {"NEGATIVE_ENERGY"}),
    "rollover, digits known (F02)": (registers("rollover, digits known"), {"REGISTER_ROLLOVER", "NEGATIVE_ENERGY"}),
    "meter exchanged (F01)": (registers("exchange"), {"NEGATIVE_ENERGY", "SPIKE", "OVER_CAPACITY"}),
    "register typed wrong (F01)": (registers("typing"), {"NEGATIVE_ENERGY"}),
    "block shifted to the next meter (C05)": (copied("rows"), {"SERIES_COPIED"}),
    "last year's block filled in again": (copied("year"), {"SERIES_COPIED"}),
    "month stated twice, alike (C06)": (duplicates("same"), {"READING_REPEATED"}),
    "month stated twice, different (C05)": (duplicates("other"), {"READING_CONTRADICTION"}),
    "same estimate for months": (flat, {"FLAT_LINE"}),
    "zeros in the season (F12)": (zeros, {"LONG_ZERO"}),
    "missing for a quarter (F11)": (silent, {"METER_SILENT", "METER_NO_DATA"}),
    "household load (F16)": (load, {"NON_PUMP_LOAD"}),
    "meter without a well (G04)": (orphan, {"METER_WITHOUT_WELL"}),
    "two months as one (E07)": (joined, {"OFF_CYCLE"}),
}


def study(name, wells, seeds, faults=None):
    """Measure recall by fault (all, or those given) and alarms by rule of one generator."""
    faults = FAULTS if faults is None else faults
    recall, alarms, quarters = {fault: [0, 0] for fault in faults}, {}, 0
    for seed in seeds:
        county = County(GENERATORS[name](wells, seed))
        clean = county.findings(county.bills(county.kwh))
        named = set(zip(*(clean[name] for name in KEY), strict=True))
        quarters += wells * MONTHS // 3
        for rule, count in clean["rule"].value_counts().items():
            alarms[rule] = alarms.get(rule, 0) + int(count)
        for number, (fault, (plant, answers)) in enumerate(FAULTS.items()):
            if fault not in faults:
                continue
            rows, planted = plant(county, np.random.default_rng([seed, number]))
            found = county.findings(**planted)
            found = found[found["rule"].isin(answers)]
            keys = zip(*(found[name] for name in KEY), strict=True)
            fresh = [key for key in keys if key not in named or key[0] in {"METER_SILENT", "OVER_CAPACITY"}]
            meters, of_wells = {key[1] for key in fresh}, {key[2] for key in fresh} - {""}
            hits = [county.meter[r] in meters or county.well[r] in of_wells for r in rows]
            recall[fault][0] += sum(hits)
            recall[fault][1] += len(hits)
    return {"recall": recall, "alarms": alarms, "well_quarters": quarters}


def tables(results):
    """Write two Markdown tables: recall by fault, alarms by rule."""
    names = list(results)
    lines = ["| fault | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for fault in FAULTS:
        cells = [results[n]["recall"].get(fault, (0, 0)) for n in names]
        lines.append(f"| {fault} | " + " | ".join(f"{100 * a / b:.0f} %" if b else "–" for a, b in cells) + " |")
    lines += ["", "| rule | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    rules = sorted({rule for n in names for rule in results[n]["alarms"]})
    for rule in [*(r for r in rules if r not in STATED), "sum of false alarms", *(r for r in rules if r in STATED)]:
        cells = [
            1000 * (
                sum(v for k, v in results[n]["alarms"].items() if k not in STATED)
                if rule == "sum of false alarms" else results[n]["alarms"].get(rule, 0)
            ) / results[n]["well_quarters"]
            for n in names
        ]  # fmt: skip
        lines.append(
            f"| {rule}{' (true of the county)' if rule in STATED else ''} | "
            + " | ".join(f"{c:.2f}" for c in cells)
            + " |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wells", type=int, default=1500)
    parser.add_argument("--counties", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="seed of the first county")
    parser.add_argument("--generators", nargs="*", default=list(GENERATORS), help="the others keep their record")
    parser.add_argument(
        "--faults", nargs="*", default=[""], help="those whose name holds a word; the others keep theirs"
    )
    options = parser.parse_args()
    asked = {name: fault for name, fault in FAULTS.items() if any(word in name for word in options.faults)}
    seeds = range(options.first, options.first + options.counties)
    record = "fault_study" if options.first == 1 else f"fault_study_{options.first}"
    known = RESULTS / f"{record}.json"
    results = json.loads(known.read_text(encoding="utf-8")) if known.exists() else {}
    for name in options.generators:
        new = study(name, options.wells, seeds, asked)
        results[name] = new | {"recall": results.get(name, new)["recall"] | new["recall"]}
    keep(record, results, tables(results))


if __name__ == "__main__":
    main()
