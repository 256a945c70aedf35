"""The page of outputs names every column that a release has, each with its unit, and none that it has not."""

import re
from pathlib import Path

import pandas as pd
import pytest

from county_kit import command, county, read_table, write

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "outputs.md").read_text(encoding="utf-8")
UNITS = {"_kwh": "kWh", "_m3": "m³", "_percent": "%", "_m3_per_kwh": "m³/kWh"}


def documented():
    """Rows (column, Chinese, unit, meaning) of each file of the page."""
    parts = re.split(r"^## (\S+) · .*$", PAGE, flags=re.MULTILINE)[1:]
    rows = r"^\| `(\w+)` \| ([^|]+) \| ([^|]*)\|(.*)\|$"
    return {
        name: re.findall(rows, text, flags=re.MULTILINE) for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    made = write(tmp_path_factory.mktemp("page"), county(n=12, sample=6))
    for quarter in ("2026Q2", "2026Q3"):
        status, _, err = command("run", made, "--quarter", quarter)
        assert status == 0, err
    return made / "releases" / "2026Q3" / "r1"


def test_the_page_has_the_columns_of_the_files_in_their_order(release):
    tables = {path.name for path in release.iterdir() if path.suffix in {".csv", ".parquet"}}
    assert set(documented()) == tables
    for name, rows in documented().items():
        frame = pd.read_parquet(release / name) if name.endswith(".parquet") else read_table(release / name)
        assert [row[0] for row in rows] == frame.columns.tolist(), name


def test_units_of_the_page_are_those_of_the_names():
    for name, rows in documented().items():
        for column, chinese, unit, _ in rows:
            ending = max((end for end in UNITS if column.endswith(end)), key=len, default="")
            assert not ending or unit.strip() == UNITS[ending], (name, column)
            assert re.search("[\u4e00-\u9fff]", chinese), (name, column)


def test_a_figure_is_traced_down_to_the_months_of_its_wells(release):
    """What the page says of how the files hang together, by pandas alone."""
    totals = read_table(release / "totals.csv").astype({"volume_m3": float, "energy_kwh": float})
    wells = pd.read_parquet(release / "wells.parquet").set_index("well_id")
    months = pd.read_parquet(release / "energy.parquet")
    whole = totals.loc[totals["domain"] == "county"].iloc[0]
    assert whole["volume_m3"] == pytest.approx(wells["volume_m3"].sum(), abs=6e-4)
    assert whole["energy_kwh"] == pytest.approx(wells["energy_kwh"].sum(), abs=6e-4)
    by_well = months.groupby("well_id")["energy_kwh"].sum()
    pd.testing.assert_series_equal(wells["energy_kwh"], by_well.reindex(wells.index), rtol=1e-12, check_names=False)
    product = wells["energy_kwh"] * wells["coefficient_m3_per_kwh"]
    pd.testing.assert_series_equal(wells["volume_m3"], product, rtol=1e-12, check_names=False)
    news = read_table(release / "news.csv").iloc[:, 4:].astype(float)
    assert (news.iloc[:, :-1].sum(axis=1) - news.iloc[:, -1]).abs().max() < 5e-6
