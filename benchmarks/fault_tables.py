"""What the checks of the tables find: faults of BAD_INPUTS.md C to G planted in the files of clean demo counties.

    python benchmarks/fault_tables.py [--wells 400] [--counties 3]

The faults that a cell, a row or a relation gives away; those that only the run of a meter tells are in fault_study.py.
Each kind is planted by itself in rows drawn at random; it counts as found where a finding of a rule that answers it,
not made of the clean county, names its row or its identifier. Writes benchmarks/results/fault_tables.json and .md.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from elec2water import beginning, county
from elec2water.errors import DataRefusedError
from recorded import keep, markdown, options

PLANTED = 20
WELL, METER, PERMIT, ENERGY = "取水口编号", "表号", "取水许可证编号", "电量"


def cells(table, column, change):
    """Change cells of a column; a function of the old text, or the new one."""

    def plant(tables, rng):
        frame = tables[table]
        able = np.flatnonzero(frame[column] != "")
        at = np.sort(rng.choice(able, min(PLANTED, len(able)), replace=False))
        old = frame[column].iloc[at]
        frame.loc[frame.index[at], column] = [change(text) if callable(change) else change for text in old]
        return table, at

    return plant


def rows_added(table, change, size=PLANTED):
    """Put changed copies of rows below a table."""

    def plant(tables, rng):
        frame = tables[table]
        at = np.sort(rng.choice(len(frame), min(size, len(frame)), replace=False))
        tables[table] = pd.concat([frame, change(frame.iloc[at].copy())], ignore_index=True)
        return table, np.arange(len(frame), len(frame) + len(at))

    return plant


def swapped(tables, rng):
    """Exchange longitude and latitude."""
    frame = tables["wells"]
    at = np.sort(rng.choice(np.flatnonzero(frame["经度"] != ""), PLANTED, replace=False))
    frame.loc[at, ["经度", "纬度"]] = frame.loc[at, ["纬度", "经度"]].to_numpy()
    return "wells", at


def deeper(tables, rng):
    """Set the pump below the bottom of its well."""
    frame = tables["wells"]
    at = np.sort(rng.choice(np.flatnonzero(frame["井深"] != ""), PLANTED, replace=False))
    frame.loc[at, "水泵安装深度"] = [f"{float(text) + 20:g}" for text in frame.loc[at, "井深"]]
    return "wells", at


def sealed(tables, rng):
    """Call wells sealed that used electricity."""
    kwh = pd.to_numeric(tables["readings"][ENERGY]).groupby(tables["readings"][METER]).sum()
    used = tables["meters"].loc[tables["meters"][METER].map(kwh) > 500, WELL]
    frame = tables["wells"]
    able = np.flatnonzero(frame[WELL].isin(used) & (frame["运行状态"] == "在用"))
    at = np.sort(rng.choice(able, PLANTED, replace=False))
    frame.loc[at, "运行状态"] = "封填"
    return "wells", at


def beyond_capacity(tables, rng):
    """Let a month of the last year use three times what the pump can."""
    power = tables["meters"][WELL].map(tables["wells"].set_index(WELL)["水泵功率"])
    kilowatts = pd.to_numeric(power).groupby(tables["meters"][METER]).sum()
    frame = tables["readings"]
    late = pd.to_datetime(frame["开始日期"]) > pd.Timestamp(frame["结束日期"].max()) - pd.DateOffset(years=1)
    able = np.flatnonzero(late & (frame[METER].map(kilowatts) > 0) & (pd.to_numeric(frame[ENERGY]) > 0))
    at = np.sort(rng.choice(able, PLANTED, replace=False))
    frame.loc[at, ENERGY] = [f"{3 * 744 * kilowatts[meter]:.0f}" for meter in frame.loc[at, METER]]
    return "readings", at


def planned_above(tables, rng):
    """Plan more than the permit allows."""
    frame = tables["permits"]
    at = np.sort(rng.choice(len(frame), min(PLANTED, len(frame)), replace=False))
    frame.loc[at, "年计划水量"] = [f"{2 * float(text):.0f}" for text in frame.loc[at, "年许可水量"]]
    return "permits", at


def inverse(tables, rng):
    """Write pairs whose coefficient no pump has: the volume a hundredfold."""
    frame = tables["pairs"]
    at = np.sort(rng.choice(len(frame), PLANTED, replace=False))
    frame.loc[at, "水量"] = [f"{100 * float(text):.1f}" for text in frame.loc[at, "水量"]]
    return "pairs", at


FAULTS = {
    "leading zeros lost (C01)": (cells("meters", WELL, lambda text: text.lstrip("0")), {"ORPHAN_METER", "ID_LENGTH"}),
    "identifier as 1.23457E+18 (C02)": (cells("readings", METER, "1.23457E+18"), {"ID_PRECISION_LOST"}),
    "intake twice in the registry (C07)": (
        rows_added("wells", lambda rows: rows.assign(水泵功率="26.0")), {"DUPLICATE_INTAKE"},
    ),
    "one well under two codes (C08)": (
        rows_added("wells", lambda rows: rows.assign(取水口编号="9" + rows[WELL], 取水口名称=""), size=PLANTED // 4),
        {"POSSIBLE_SAME_WELL"},
    ),
    "permit number of the old form (C10)": (
        cells("permits", PERMIT, lambda text: f"取水(冀)字〔2015〕第{text[-4:]}号"), {"PERMIT_FORMAT"},
    ),
    "words for numbers (D06)": (cells("readings", ENERGY, "0x10"), {"NOT_A_NUMBER"}),
    "1e400 (D06)": (cells("readings", ENERGY, "1e400"), {"NOT_A_NUMBER"}),
    "power in W (D08)": (cells("wells", "水泵功率", lambda text: f"{1000 * float(text):.0f}"), {"POWER_RANGE"}),
    "power 7.5*2 (D08)": (cells("wells", "水泵功率", "7.5*2"), {"POWER_RANGE"}),
    "pump below its well (D09)": (deeper, {"DEPTH_ORDER"}),
    "longitude and latitude exchanged (D10)": (swapped, {"POSITION_SWAPPED"}),
    "position 0 (D10)": (cells("wells", "经度", "0"), {"OUT_OF_RANGE", "POSITION_OUTLIER"}),
    "position in another county (D10)": (
        cells("wells", "经度", lambda text: f"{float(text) + 2:.6f}"), {"POSITION_OUTLIER", "LINK_FAR"},
    ),
    "coefficient no pump has (D12)": (inverse, {"COEF_RANGE"}),
    "year of two digits (E03)": (cells("readings", "结束日期", lambda text: text[2:]), {"AMBIGUOUS_DATE"}),
    "year in the future (E09)": (cells("readings", "结束日期", lambda text: "2062" + text[4:]), {"DATE_IN_FUTURE"}),
    "end before start (E07)": (cells("readings", "结束日期", "2020-01-01"), {"READING_PERIOD"}),
    "negative energy (F01)": (cells("readings", ENERGY, "-120"), {"NEGATIVE_ENERGY"}),
    "more than power and hours (F15)": (beyond_capacity, {"OVER_CAPACITY", "SPIKE"}),
    "readings of an unknown meter (G04)": (cells("readings", METER, lambda text: "X" + text), {"ORPHAN_READING"}),
    "meter of an unknown well (G04)": (cells("meters", WELL, lambda text: "X" + text), {"ORPHAN_METER"}),
    "sealed well with energy (G07)": (sealed, {"INACTIVE_WITH_ENERGY"}),
    "permit of nothing (G10)": (cells("permits", "年许可水量", "0"), {"PERMIT_VOLUME"}),
    "plan above the permit (G12)": (planned_above, {"PLAN_GT_PERMIT"}),
    "aquifer blank (G15)": (cells("wells", "取水层位", ""), {"BLANK_VALUE"}),
}  # fmt: skip


def findings_of(folder):
    """Read a project and its electricity; what is found, also where it is refused."""
    read = county.read_project(folder)
    if read.findings.errors.count:
        return read.findings.frame
    try:
        return (read.findings + read.energy()[1]).frame
    except DataRefusedError as refused:
        return (read.findings + refused.findings).frame


def marks(found, answers):
    """Give what findings name: rule, table and row or identifier."""
    told = found[found["rule"].isin(answers)]
    return {
        (message, table, str(value))
        for name in ("row", "well_id", "meter_id")
        for message, table, value in zip(told["message"], told["table"], told[name], strict=True)
        if str(value) not in ("", "<NA>")
    }


def recall_of(folder, tables, clean, fault, seed):
    """Plant one kind of fault; count the planted and the found."""
    plant, answers = FAULTS[fault]
    planted = {name: frame.copy() for name, frame in tables.items()}
    table, at = plant(planted, np.random.default_rng(seed))
    for name, frame in planted.items():
        frame.to_csv(folder / "inputs" / f"{name}.csv", index=False, encoding="utf-8-sig")
    fresh = {value for _, where, value in marks(findings_of(folder), answers) - marks(clean, answers) if where == table}
    rows = planted[table].iloc[at]
    ids = rows[[name for name in (WELL, METER) if name in rows]].to_numpy(dtype=object)
    return sum(str(row + 2) in fresh or not fresh.isdisjoint(own) for row, own in zip(at, ids, strict=True)), len(at)


def main():
    asked = options(__doc__, counties=3)
    counts = {fault: [0, 0] for fault in FAULTS}
    alarms, answering = {}, set().union(*(answers for _, answers in FAULTS.values()))
    for seed in range(1, asked.counties + 1):
        with tempfile.TemporaryDirectory() as there:
            folder = beginning.demo(Path(there) / "county", wells=asked.wells, seed=seed)
            tables = {
                path.stem: pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
                for path in sorted((folder / "inputs").glob("*.csv"))
            }
            clean = findings_of(folder)
            for rule, count in clean.loc[clean["rule"].isin(answering), "rule"].value_counts().items():
                alarms[rule] = alarms.get(rule, 0) + int(count)
            for number, fault in enumerate(FAULTS):
                found, planted = recall_of(folder, tables, clean, fault, [seed, number])
                counts[fault] = [counts[fault][0] + found, counts[fault][1] + planted]
    quarters = asked.counties * asked.wells * 36 // 3
    rows = [[fault, str(planted), f"{100 * found / planted:.0f} %"] for fault, (found, planted) in counts.items()]
    rates = [[rule, str(count), f"{1000 * count / quarters:.2f}"] for rule, count in sorted(alarms.items())]
    text = markdown(["fault", "planted", "found"], rows)
    text += "\n" + markdown(["rule", "findings of the clean counties", "per 1,000 well-quarters"], rates)
    keep("fault_tables", {"recall": counts, "alarms": alarms, "well_quarters": quarters}, text)


if __name__ == "__main__":
    main()
