"""Counties written without the package, by pandas alone, with headings of any kind; its commands in this process."""

import contextlib
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from elec2water import cli

CHINESE = {
    "wells": {
        "well_id": "取水口编号", "name": "取水口名称", "township": "乡镇", "village": "村", "aquifer": "取水层位",
        "pump_power_kw": "水泵功率（kW）", "pump_depth_m": "水泵安装深度(米)", "irrigation_method": "灌溉方式",
        "irrigated_area_mu": "灌溉面积(亩)", "permit_no": "取水许可证编号",
    },
    "meters": {"meter_id": "表号", "well_id": "取水口编号", "multiplier": "综合倍率", "share": "分摊比例"},
    "readings": {
        "meter_id": "表号", "read_on": "抄表日期", "register_kwh": "示数", "start": "开始日期", "end": "结束日期",
        "energy_kwh": "电量（千瓦时）",
    },
    "pairs": {"well_id": "取水口编号", "start": "开始时间", "end": "结束时间", "energy_kwh": "电量",
        "volume_m3": "水量"},
    "permits": {"permit_no": "取水许可证编号", "holder": "取水权人", "annual_volume_m3": "年许可水量"},
}  # fmt: skip
TOML = '[project]\nname = "手写县"\n'


def county(n=24, sample=8, first="2025-07", last="2026-09", towns=3, seed=0):
    """Make frames of a county whose coefficients follow 367.1·η/H: wells, readings (billing), pairs."""
    rng = np.random.default_rng(seed)
    months = np.arange(np.datetime64(first), np.datetime64(last) + 1)
    ids = np.array([f"{i + 12:04d}" for i in range(n)])
    deep = rng.random(n) < 0.4
    head = np.where(deep, rng.uniform(60, 110, n), rng.uniform(15, 45, n))
    power = np.where(deep, rng.choice([11, 15, 22], n), rng.choice([4, 5.5, 7.5], n))
    kappa = 367.1 * rng.lognormal(np.log(0.5), 0.12, n) / (head + 8)
    season = np.array([0.2, 0.2, 0.8, 1.5, 1.5, 1, 0.8, 1, 0.7, 0.5, 0.3, 0.2])[months.astype(int) % 12]
    kwh = rng.gamma(4, 60, n)[:, None] * season * rng.lognormal(0, 0.2, (n, len(months))) * (power / 8)[:, None]
    kwh = np.round(kwh, 2)
    wells = pd.DataFrame({
        "well_id": ids, "name": [f"-{i}号井" for i in range(n)],
        "township": [f"镇{t}" for t in rng.integers(0, towns, n)],
        "village": rng.choice(["NA", "东村", "null"], n), "aquifer": np.where(deep, "深层", "浅层"),
        "pump_power_kw": power, "pump_depth_m": np.round(head + 10),
        "irrigation_method": rng.choice(["管灌", "畦灌"], n),
        "irrigated_area_mu": np.round(rng.uniform(20, 150, n)),
        "permit_no": [f"P{i // 4:03d}" for i in range(n)],
    })  # fmt: skip
    return {
        "wells": wells,
        "readings": _intervals("meter_id", ids, months, np.arange(n), energy_kwh=kwh),
        "pairs": _pairs(rng, ids, months, kwh, kappa, sample),
    }


def _pairs(rng, ids, months, kwh, kappa, sample):
    chosen = np.sort(rng.choice(len(ids), min(sample, len(ids)), replace=False))
    volume = np.round(kwh * kappa[:, None] * rng.lognormal(0, 0.05, kwh.shape), 1)
    return _intervals("well_id", ids, months, chosen, energy_kwh=kwh, volume_m3=volume)


def _intervals(name, ids, months, rows, **values):
    well, month = np.repeat(rows, len(months)), np.tile(np.arange(len(months)), len(rows))
    frame = {name: ids[well]}
    frame["start"] = months[month].astype("datetime64[D]").astype(str)
    frame["end"] = (months[month] + 1).astype("datetime64[D]").astype(str)
    return pd.DataFrame(frame | {key: value[well, month] for key, value in values.items()})


def write(folder: Path, frames, *, chinese=(), suffix="csv", encoding="utf-8", toml=TOML):
    """Write a project folder; `chinese` names the tables with Chinese headings, `suffix` may differ by table."""
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    (folder / "elec2water.toml").write_text(toml, encoding="utf-8")
    for name, frame in frames.items():
        kind = suffix.get(name, "csv") if isinstance(suffix, dict) else suffix
        table = frame.rename(columns=CHINESE.get(name, {})) if name in chinese else frame
        path = folder / "inputs" / f"{name}.{kind}"
        if kind == "csv":
            table.to_csv(path, index=False, encoding=encoding)
        elif kind == "xlsx":
            table.to_excel(path, index=False, engine="openpyxl")
        else:
            table.to_parquet(path, index=False)
    return folder


def changed(frames, table, column, row, value):
    """Give the frames with one cell changed."""
    frame = frames[table].copy()
    frame[column] = frame[column].astype(object)
    frame.iloc[row, frame.columns.get_loc(column)] = value
    return {**frames, table: frame}


def command(*args):
    """Run a command in this process: exit status, standard output, standard error."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["elec2water", *map(str, args)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
        status = 0
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.argv = before
    return status, out.getvalue(), err.getvalue()


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV of the package as text."""
    return pd.read_csv(path, encoding="utf-8-sig", dtype=str, keep_default_na=False)
