"""One county in every form its readings come in: the same energy, the same totals as from the clean table."""

import numpy as np
import pandas as pd
import pytest

import forms_kit as kit
from county_kit import command, read_table
from elec2water import beginning
from elec2water.county import read_project

GB = "gb18030"


@pytest.fixture(scope="module")
def county(tmp_path_factory):
    """A demo county whose readings are whole months: folder, frame of readings, energy per well and month."""
    folder = tmp_path_factory.mktemp("clean") / "county"
    beginning.demo(folder, wells=60, seed=3)
    path = folder / "inputs" / "readings.csv"
    readings = kit.frame_of(path)
    whole = readings["start"].str.endswith("-01") & readings["end"].str.endswith("-01") & (readings["start"] >= "2026")
    whole &= (pd.to_datetime(readings["end"]) - pd.to_datetime(readings["start"])).dt.days < 32
    readings = readings[whole & ~readings.duplicated(["meter_id", "start"], keep=False)].reset_index(drop=True)
    path.write_text(kit.csv_of(kit.long_rows(readings)), encoding="utf-8")
    return folder, readings, energy(folder)


def energy(folder):
    made = read_project(folder)
    assert made.findings.errors.count == 0, made.findings
    return made.energy()[0].kwh


def rewritten(county, tmp_path, files, toml=""):
    """Copy the county with other files of readings; paths below inputs/."""
    folder, _, _ = county
    target = tmp_path / "county"
    for path in folder.glob("inputs/*.csv"):
        if path.name != "readings.csv":
            (target / "inputs").mkdir(parents=True, exist_ok=True)
            (target / "inputs" / path.name).write_bytes(path.read_bytes())
    (target / "elec2water.toml").write_text(
        (folder / "elec2water.toml").read_text(encoding="utf-8") + toml, encoding="utf-8"
    )
    for name, data in files.items():
        place = target / "inputs" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data if isinstance(data, bytes) else data.encode())
    return target


def monthly_files(readings, write, suffix):
    return {
        f"readings/{month[:4]}年{int(month[5:])}月.{suffix}": write(readings, month)
        for month in kit.months_of(readings)
    }


def merged_xlsx(readings):
    rows, merged = kit.merged_wide(readings)
    return kit.xlsx_of(rows, merged)


def merged_html(readings):
    months = kit.months_of(readings)
    years = [month[:4] for month in months]
    spans = [(f"{year}年", 1, years.count(year)) for year in dict.fromkeys(years)]
    head = [
        [(kit.TITLE, 1, len(months) + 4)],
        [("序号", 2, 1), ("表号", 2, 1), ("户名", 2, 1), *spans, ("合计", 2, 1)],
        [(f"{int(month[5:])}月", 1, 1) for month in months],
    ]
    return kit.html_of(kit.wide_rows(readings)[1:], head)


FORMS = {
    "GB18030 CSV": lambda r: {"readings.csv": kit.csv_of(kit.long_rows(r)).encode(GB)},
    "UTF-16 tab-separated .xls": lambda r: {"readings.xls": kit.csv_of(kit.long_rows(r), "\t").encode("utf-16")},
    "tab-separated GBK .xls": lambda r: {"readings.xls": kit.csv_of(kit.long_rows(r), "\t").encode(GB)},
    "wide CSV": lambda r: {"readings.csv": kit.csv_of(kit.wide_rows(r))},
    "wide CSV, 202601": lambda r: {"readings.csv": kit.csv_of(kit.wide_rows(r, "{y}{m:02d}"))},
    "wide CSV, month and unit": lambda r: {"readings.csv": kit.csv_of(kit.wide_rows(r, "{y}-{m:02d} 电量(kWh)"))},
    "wide xlsx, merged headings": lambda r: {"readings.xlsx": merged_xlsx(r)},
    "wide xls of Excel 97": lambda r: {"readings.xls": kit.xls_of(*kit.merged_wide(r))},
    "wide HTML .xls": lambda r: {"readings.xls": merged_html(r)},
    "wide ods, bare months": lambda r: {"readings.ods": kit.ods_of([["2026年"], *kit.wide_rows(r, "{m}月")])},
    "XML of Excel 2003": lambda r: {"readings.xls": kit.xml_of(kit.long_rows(r))},
    "folder of monthly CSV": lambda r: monthly_files(r, lambda x, m: kit.csv_of(kit.of_month(x, m)).encode(GB), "csv"),
    "folder of monthly xlsx": lambda r: monthly_files(r, lambda x, m: kit.xlsx_of(kit.of_month(x, m)), "xlsx"),
    "zip of monthly CSV": lambda r: {
        "readings.zip": kit.zip_of({f"{m}.csv": kit.csv_of(kit.of_month(r, m)) for m in kit.months_of(r)})
    },
    "CSV in gzip": lambda r: {"readings.csv.gz": kit.gz_of(kit.csv_of(kit.long_rows(r)))},
    "rows of bands": lambda r: {"readings.csv": kit.csv_of(kit.bands_of(r))},
    "columns of bands": lambda r: {"readings.xlsx": kit.xlsx_of(kit.band_columns(r))},
    "bands without their total": lambda r: {"readings.csv": kit.csv_of(kit.band_columns(r, total=False))},
    "two registers and multiplier": lambda r: {"readings.csv": kit.csv_of(kit.two_registers(r))},
    "metered, exchanged, settled": lambda r: {"readings.csv": kit.csv_of(kit.bills(r))},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_energy(county, tmp_path, form):
    _, readings, expected = county
    target = rewritten(county, tmp_path, FORMS[form](readings))
    np.testing.assert_allclose(energy(target), expected, rtol=1e-9, atol=1e-6)


def test_a_run_from_a_wide_workbook_equals_the_run_from_the_clean_table(county, tmp_path):
    folder, readings, _ = county
    target = rewritten(county, tmp_path, {"readings.xlsx": merged_xlsx(readings)})
    totals = []
    for place in (folder, target):
        status, _, err = command("run", place, "--quarter", "2026Q3")
        assert status == 0, err
        totals.append(read_table(place / "releases/2026Q3/r1/totals.csv"))
    columns = ["energy_kwh", "volume_m3", "se_m3", "lower_m3", "upper_m3"]
    one, other = (table[columns].astype(float).to_numpy() for table in totals)
    np.testing.assert_allclose(other, one, rtol=1e-9)
