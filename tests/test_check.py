"""What `check` shows: findings by the energy at stake, figures of meters and coverage, letters with their reasons."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

from elec2water import beginning, checking, project
from elec2water.cli import app
from elec2water.county import read_project
from elec2water.energy import MonthlyEnergy
from elec2water.energy.history import coverage, meter_months, well_months
from elec2water.errors import UsageError
from elec2water.figure import png_bytes
from elec2water.plot_energy import coverage_calendar, meter_series


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = beginning.demo(tmp_path_factory.mktemp("county") / "c", wells=150, seed=8)
    path = made / "inputs" / "readings.csv"
    frame = pd.read_csv(path, dtype=str, encoding="utf-8-sig")
    start, energy = (frame.columns[frame.columns.str.contains(word)][0] for word in ("开始", "电量"))
    summer = frame[start].str.startswith("2026-07-01")
    for rank, factor in ((2, 10), (4, 100)):
        row = frame[summer][energy].astype(float).sort_values(ascending=False).index[rank]
        frame.loc[row, energy] = str(float(frame.loc[row, energy]) * factor)
    frame.to_csv(path, index=False, encoding="utf-8-sig")
    return made


def test_the_findings_with_most_energy_at_stake_come_first(folder):
    done = CliRunner().invoke(app, ["check", str(folder)])
    assert done.exit_code == 0
    assert "涉及电量最多的警告" in done.stdout
    written = pd.read_csv(folder / "findings.csv", encoding="utf-8-sig", dtype={"meter_id": str})
    warned = written[written["severity"] == "warning"]
    assert warned["energy_kwh"].fillna(0.0).is_monotonic_decreasing
    first = warned.iloc[0]
    assert first["rule"] in {"SPIKE", "OVER_CAPACITY"}
    assert isinstance(first["candidates"], str)


def test_figures_are_drawn_on_request(folder):
    done = CliRunner().invoke(app, ["check", str(folder), "--plots", "--json"])
    made = json.loads(done.stdout)["plots"]
    assert made[0].endswith("coverage.png")
    assert len(made) >= 3
    for path in made:
        image = imread(path)[..., :3]
        assert image.min() < 0.2
        assert image.max() > 0.99


def test_a_meter_is_drawn_with_its_flags(folder):
    county = checking.check(folder)
    reading = county.reading()
    meter = county.findings.of(rule="SPIKE").frame["meter_id"].iloc[0]
    months = meter_months(reading.meters, reading.reporter.meter_id, meter, county.findings)
    assert months.set_index("month")["flags"]["2026-07"].count("SPIKE") == 1
    assert months["energy_kwh"].idxmax() == months.index[months["month"] == "2026-07"][0]
    axes = meter_series(months, meter=meter, lang="en")
    heights = [bar.get_height() for bar in axes.patches if bar.get_width() == 0.8]
    assert max(heights) == months["energy_kwh"].max()
    said = " ".join(text.get_text().replace("\n", " ") for text in axes.texts)
    assert "a month that fits ten times the usual" in said
    assert "SPIKE" not in said
    chinese = meter_series(months, meter=meter)
    assert any("某月电量像是多录了一位" in text.get_text() for text in chinese.texts)
    assert png_bytes(axes)[:4] == b"\x89PNG"
    with pytest.raises(UsageError, match="no such"):
        meter_months(reading.meters, reading.reporter.meter_id, "no such", county.findings)
    with pytest.raises(UsageError, match="quality"):
        meter_series(months.drop(columns="quality"), meter=meter)


def test_coverage_counts_wells_that_were_read():
    months = np.arange(np.datetime64("2026-01"), np.datetime64("2026-04"))
    quality = np.array([["A", "E", "N"], ["A", "S", "J"], ["N", "N", "N"]])
    kwh = np.where(quality == "N", np.nan, 1.0)
    energy = MonthlyEnergy(np.array(["a", "b", "c"], dtype=object), months, kwh, kwh * 0.0, quality)
    table = coverage(energy, np.array(["甲", "甲", "乙"], dtype=object))
    assert table.set_index(["key", "month"])["n_read"].to_dict() == {
        ("甲", "2026-01"): 2, ("甲", "2026-02"): 1, ("甲", "2026-03"): 1,
        ("乙", "2026-01"): 0, ("乙", "2026-02"): 0, ("乙", "2026-03"): 0,
    }  # fmt: skip
    axes = coverage_calendar(table, group="乡镇")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["甲", "乙"]
    plt.close("all")
    letters = well_months(energy)
    assert letters["method"].tolist()[:6] == ["read", "computed", "none", "read", "imputation", "correction"]


def test_every_value_that_is_not_what_was_read_has_a_letter_a_method_and_a_reason(folder):
    done = project.run(folder, quarter="2026Q3")
    table = pd.read_parquet(done.release.folder / "energy.parquet")
    columns = ["well_id", "month", "energy_kwh", "se_kwh", "quality", "method", "reason", "stratum"]
    assert list(table.columns) == columns
    assert len(table) == 3 * len(read_project(folder).wells)
    changed = table[table["quality"] != "A"]
    assert set(changed["quality"]) <= set("EJSN")
    assert changed["reason"].ne("").all()
    assert table.loc[table["quality"] == "A", "se_kwh"].eq(0).all()
    wells = pd.read_parquet(done.release.folder / "wells.parquet")
    total = table.groupby("well_id", sort=False)["energy_kwh"].sum(min_count=1)
    converted = wells[wells["method"].isin(["converted", "imputed"])].set_index("well_id")["energy_kwh"]
    np.testing.assert_allclose(total[converted.index], converted, rtol=1e-9)
    totals = done.totals.set_index("domain").loc["county"]
    imputed = table.loc[table["quality"] == "S", "energy_kwh"].sum()
    assert totals["imputed_energy_kwh"] <= imputed + 0.01
