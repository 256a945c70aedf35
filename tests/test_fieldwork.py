"""What leaves the office: sheets that print, maps that open, a report on one page; text stays text."""

import io
import re
import sqlite3
import struct
import zipfile

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import openpyxl
import pandas as pd
import pytest
from python_calamine import CalamineWorkbook

from elec2water.design import design_sample, read_design, write_design
from elec2water.errors import UsageError
from elec2water.fieldwork import field_sheet
from elec2water.fieldwork.field_sheet import field_sheet_bytes
from elec2water.fieldwork.geopackage import CGCS2000, Layer, geopackage_bytes
from elec2water.fieldwork.outputs import design_files
from elec2water.fieldwork.sheet_words import sheet_words
from elec2water.fieldwork.visits import VISIT_COLUMNS, map_sheet, visits_of
from elec2water.plot_design import sample_map
from elec2water.strata import classify


@pytest.fixture(autouse=True)
def no_window():
    with mpl.rc_context({"backend": "agg"}):
        yield
    plt.close("all")


def county(n=120, seed=2):
    rng = np.random.default_rng(seed)
    wells = pd.DataFrame(
        {
            "well_id": [f"{i:04d}" for i in range(n)],
            "name": ["=1+1号井", "-3号井", *[f"{i}号井" for i in range(2, n)]],
            "township": rng.choice(["东阳镇", "西河乡"], n),
            "village": rng.choice(["刘庄", "王庄"], n),
            "longitude": 115.1 + 0.3 * rng.random(n),
            "latitude": 36.4 + 0.3 * rng.random(n),
            "aquifer": rng.choice(["浅层", "深层"], n),
            "pump_power_kw": rng.choice([5.5, 11.0], n),
            "pump_depth_m": np.round(rng.uniform(20, 90, n)),
            "irrigation_method": rng.choice(["pipe", "border"], n),
        }
    ).astype(dict.fromkeys(("well_id", "name", "township", "village", "aquifer", "irrigation_method"), "str"))
    energy = np.round(np.exp(rng.normal(8, 0.7, n)), 2)
    meters = pd.DataFrame({"meter_id": [f"M{i}" for i in range(n)], "well_id": wells["well_id"], "multiplier": 20.0})
    return wells, energy, pd.concat([meters, meters.iloc[:1].assign(meter_id="M0b", multiplier=1.0)], ignore_index=True)


def drawn():
    wells, energy, meters = county()
    design = design_sample(wells, energy, classify(wells, ["aquifer"]), n=20, seed=1)
    return design, wells, energy, meters


def visits():
    design, wells, energy, meters = drawn()
    return visits_of(design.sample, wells, meters=meters, annual_kwh=energy.tolist())


def test_visits_know_where_which_meter_and_in_what_order():
    design, wells, energy, meters = drawn()
    table = visits()
    assert tuple(table.columns) == VISIT_COLUMNS
    assert table["number"].tolist() == list(range(1, len(design.sample) + 1))
    assert table["role"].tolist() == sorted(table["role"])
    primary = table.loc[table["role"] == "primary"]
    assert primary["township"].tolist() == sorted(primary["township"])
    registry = wells.set_index("well_id")
    assert table["name"].tolist() == registry.loc[table["well_id"], "name"].tolist()
    kwh = pd.Series(energy, index=wells["well_id"])
    assert table["annual_kwh"].tolist() == kwh[table["well_id"]].tolist()
    both = visits_of(pd.DataFrame({"well_id": ["0000", "0001"]}), wells.assign(township="东"), meters=meters)
    both = both.sort_values("well_id")
    assert both["meter_id"].tolist() == ["M0、M0b", "M1"]
    assert both["multiplier"].tolist() == ["20、1", "20"]
    assert both["role"].tolist() == ["primary", "primary"]
    alone = visits_of(pd.DataFrame({"well_id": ["x"], "reason": ["换泵"]}), pd.DataFrame({"well_id": ["y"]}))
    assert alone.loc[0, ["well_id", "township", "map_sheet", "reason"]].tolist() == ["x", "", "", "换泵"]


def test_map_sheets_are_those_of_the_national_series():
    """GB/T 13989-2012: the sheet 1:10 000 with its south-west corner at 114°33′45″ E, 39°22′30″ N is J50G015010."""
    assert map_sheet(114 + 33 / 60 + 45 / 3600, 39 + 22 / 60 + 30 / 3600) == "J50G015010"
    assert map_sheet(114.0, 36.0 + 1e-9) == "J50G096001"
    assert map_sheet(119.99, 39.99) == "J50G001096"
    assert map_sheet(-3.0, 40.0) == ""


def workbook(lang="zh"):
    return openpyxl.load_workbook(io.BytesIO(field_sheet_bytes(visits(), title="演示县", lang=lang)))


def test_the_field_sheet_lists_every_well_and_asks_for_everything():
    table = visits()
    book = workbook()
    assert book.sheetnames == ["样本井清单", "测试规程", "记录表"]
    cells = list(book["样本井清单"].iter_rows(values_only=True))
    assert [row[2] for row in cells[2 : 2 + len(table)]] == table["well_id"].tolist()
    assert {row[1] for row in cells[2 : 2 + len(table)]} == {"必测", "备选"}
    assert {row[12] for row in cells[2 : 2 + len(table)]} <= {"管灌", "畦灌"}
    form = "".join(str(cell) for row in book["记录表"].iter_rows(values_only=True) for cell in row if cell)
    for asked in ("静水位", "动水位", "电表", "综合倍率", "水量", "电量", "照片", "60 min", "图幅"):
        assert asked in form
    rules = "".join(str(row[0]) for row in book["测试规程"].iter_rows(values_only=True) if row[0])
    for rule in ("不少于 60 min", "水位稳定", "静水位", "额定功率 × 小时", "照片"):
        assert rule in rules
    assert form.count("抽水测试记录表") == len(table)
    assert len(book["记录表"].row_breaks.brk) == len(table) - 1


def test_a_very_long_list_says_what_a_short_one_says(monkeypatch):
    table = visits()
    table.loc[:3, "village"] = [" <刘 & 王>庄 ", '=1+"x"', "王庄", "\x07响铃"]
    table.loc[5, "annual_kwh"], table.loc[6, "longitude"] = np.nan, 115.123456789
    short = openpyxl.load_workbook(io.BytesIO(field_sheet_bytes(table, title="县")))["样本井清单"]
    monkeypatch.setattr(field_sheet, "_MOST_FORMS", 5)
    content = field_sheet_bytes(table, title="县")
    assert content == field_sheet_bytes(table, title="县")
    long = openpyxl.load_workbook(io.BytesIO(content))["样本井清单"]
    assert long.dimensions == short.dimensions
    assert list(long.iter_rows(values_only=True)) == list(short.iter_rows(values_only=True))
    assert "f" not in {cell.data_type for row in long.iter_rows() for cell in row}
    grid = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_name("样本井清单").to_python()
    assert [row[2] for row in grid[2 : 2 + len(table)]] == table["well_id"].tolist()
    assert long["C4"].number_format == "@"


def test_the_field_sheet_prints_on_a4_with_repeated_headings():
    book = workbook()
    assert all(sheet.page_setup.paperSize == 9 for sheet in book)
    assert book["样本井清单"].page_setup.orientation == "landscape"
    assert book["样本井清单"].print_title_rows == "$1:$2"
    assert all(sheet.sheet_properties.pageSetUpPr.fitToPage for sheet in book)


def test_names_that_look_like_formulas_stay_names():
    wells, _, _ = county()
    table = visits_of(pd.DataFrame({"well_id": ["0000", "0001"]}), wells.assign(village='=HYPERLINK("x")\x07'))
    book = openpyxl.load_workbook(io.BytesIO(field_sheet_bytes(table, title="县")))
    row = {cell.value: cell.data_type for line in (3, 4) for cell in book["样本井清单"][line]}
    assert row["=1+1号井"] == "s"
    assert row['=HYPERLINK("x")'] == "s"
    assert row["0000"] == "s"


def test_sheets_in_english_and_without_wells():
    assert workbook("en").sheetnames == ["Wells", "Protocol", "Forms"]
    empty = field_sheet_bytes(visits().iloc[:0], title="县")
    assert openpyxl.load_workbook(io.BytesIO(empty))["记录表"].max_row > 30
    with pytest.raises(UsageError, match="lang"):
        field_sheet_bytes(visits(), title="县", lang="fr")
    with pytest.raises(UsageError, match="visits_of"):
        field_sheet_bytes(visits().drop(columns="meter_id"), title="县")
    zh, en = sheet_words("zh"), sheet_words("en")
    assert zh.words.keys() == en.words.keys()
    assert len(zh.protocol) == len(en.protocol)
    assert all(len(line) == 6 for part in zh.form for line in part.lines)


def test_the_geopackage_is_one_by_the_standard(tmp_path):
    """OGC 12-128r18: requirements 2 (application id), 10–11 (systems), 13 (contents), 19 (header), 21 (columns)."""
    path = tmp_path / "map.gpkg"
    table = visits().assign(when=pd.Timestamp("2026-03-01"), flag=True)
    table.loc[3, "longitude"] = np.nan
    path.write_bytes(geopackage_bytes([Layer("sample_wells", "样本井", table)]))
    with sqlite3.connect(path) as base:
        assert base.execute("PRAGMA application_id").fetchone() == (0x47504B47,)
        assert 10300 <= base.execute("PRAGMA user_version").fetchone()[0] < 10400
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert base.execute("PRAGMA foreign_key_check").fetchall() == []
        systems = {row[0] for row in base.execute("SELECT srs_id FROM gpkg_spatial_ref_sys")}
        assert systems == {-1, 0, 4326, CGCS2000}
        assert base.execute("SELECT * FROM gpkg_geometry_columns").fetchall() == [
            ("sample_wells", "geom", "POINT", CGCS2000, 0, 0)
        ]
        bounds = base.execute("SELECT min_x, max_y, srs_id FROM gpkg_contents").fetchone()
        assert bounds == (table["longitude"].min(), table.loc[table["longitude"].notna(), "latitude"].max(), CGCS2000)
        rows = base.execute(
            'SELECT geom, well_id, longitude, latitude, number, "when", flag FROM sample_wells'
        ).fetchall()
        kinds = {row[1]: row[2] for row in base.execute("PRAGMA table_info(sample_wells)")}
    assert kinds["number"] == "INTEGER"
    assert kinds["longitude"] == "DOUBLE"
    assert kinds["when"] == "DATE"
    assert [row[1] for row in rows] == table["well_id"].tolist()
    assert rows[3][0] is None
    for geometry, _, x, y, _, when, flag in rows[:3]:
        assert struct.unpack("<2sBBiBIdd", geometry) == (b"GP", 0, 1, CGCS2000, 1, 1, x, y)
        assert (when, flag) == ("2026-03-01", 1)


def test_a_geopackage_takes_any_column_name_and_refuses_what_is_no_layer():
    frame = pd.DataFrame(
        {"longitude": [115.0], "latitude": [36.0], "fid": [7], "Geom": ["x"], 'a"b': ["y"], "A": 1, "a": 2}
    )
    assert geopackage_bytes([Layer("wells", "w", frame)]).startswith(b"SQLite format 3\x00")
    assert geopackage_bytes([Layer("wells", "w", frame.iloc[:0])])
    for layer in (Layer("a b", "x", frame), Layer("wells", "x", frame.drop(columns="latitude"))):
        with pytest.raises(UsageError, match="GeoPackage"):
            geopackage_bytes([layer])


def test_the_files_of_a_design_are_the_same_each_time(tmp_path):
    design, wells, energy, meters = drawn()
    files = design_files(design, wells, county="演示县", meters=meters, annual_kwh=energy)
    assert sorted(files) == ["field_sheet.xlsx", "map.gpkg", "map.png", "report.html"]
    assert files == design_files(design, wells, county="演示县", meters=meters, annual_kwh=energy)
    written = write_design(design, tmp_path, files)
    assert {path.name for path in written} >= {*files, "sample.csv", "frame.csv"}
    assert written[-1].name == "sample.csv"
    write_design(design, tmp_path, {"report.html": b"x"})
    assert not (tmp_path / "map.png").exists()
    write_design(design, tmp_path, files)
    again = read_design(tmp_path)
    pd.testing.assert_frame_equal(again.frame, design.frame)
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_is_one_self_contained_page_that_says_what_was_asked():
    design, wells, energy, _ = drawn()
    page = design_files(design, wells, county="<县>&", annual_kwh=energy)["report.html"].decode()
    assert "<县>" not in page
    assert "&lt;县&gt;&amp;" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    for heading in (
        "覆盖范围",
        "样本井数增减的影响",
        "各统计范围的预期精度",
        "分层与样本分配",
        "少 10 眼",
        "多 10 眼",
        "多 50 眼",
        "不少于 5 眼",
    ):
        assert heading in page
    assert f"{100 * design.expected_cv:.1f} %" in page
    assert "$" not in re.sub(r"base64,[^\"]*", "", page)
    english = design_files(design, wells, county="X", lang="en")["report.html"].decode()
    assert "Expected precision by domain" in english
    assert not re.search(
        "[\u4e00-\u9fff]", re.sub(r"<td[^>]*>[^<]*</td>|<style>.*?</style>", "", english, flags=re.DOTALL)
    )


def test_without_coordinates_there_is_no_map_and_everything_else():
    design, wells, _, _ = drawn()
    files = design_files(design, wells.drop(columns=["longitude", "latitude"]), county="县")
    assert sorted(files) == ["field_sheet.xlsx", "map.gpkg", "report.html"]
    with pytest.raises(UsageError, match="no well has"):
        sample_map(visits().assign(longitude=np.nan), wells.iloc[:0])


def test_the_map_shows_every_well_that_has_a_place_and_counts_the_others():
    wells, _, _ = county()
    table = visits()
    table.loc[table.index[:2], "longitude"] = np.nan
    ax = sample_map(table, wells, title="县")
    marks = sum(line.get_xdata().size for line in ax.lines if line.get_marker() in "os")
    assert marks == len(table) - 2
    assert "2 眼样本井没有经纬度" in ax.get_title(loc="left")
    numbers = {text.get_text() for text in ax.texts}
    assert {str(n) for n in table.loc[(table["role"] == "primary"), "number"]} - numbers == {"1", "2"}


def test_no_mark_of_a_visit_hides_the_name_of_a_township():
    """Two wells stand on the middle of their township and one just above: the name gives way, as drawn."""
    wells, _, _ = county()
    one = wells.head(9).assign(township="东阳镇", longitude=115.2, latitude=36.5 + 0.002 * np.arange(9))
    table = visits_of(pd.DataFrame({"well_id": one["well_id"].iloc[[3, 4, 5]]}), one)
    ax = sample_map(table, one.assign(longitude=one["longitude"] + [-0.1, 0.1, 0, 0, 0, 0, 0, -0.1, 0.1]), title="县")
    ax.figure.canvas.draw()
    name = next(text for text in ax.texts if text.get_text() == "东阳镇").get_window_extent()
    marks = [ax.transData.transform(line.get_xydata()) for line in ax.lines if line.get_marker() in "os"]
    assert len(np.concatenate(marks)) == 3
    assert not any(name.contains(*mark) for mark in np.concatenate(marks))


def test_the_map_of_a_province_has_dots_and_names_its_counties():
    wells, _, _ = county()
    wells = wells.assign(county=np.where(wells["longitude"] < 115.25, "东县", "西县"))
    wells["township"] = [f"镇{i}" for i in range(len(wells))]
    table = visits_of(pd.DataFrame({"well_id": wells["well_id"].repeat(1)}), wells)
    several = pd.concat([table] * 20, ignore_index=True)
    ax = sample_map(several, wells, title="省")
    shown = {text.get_text() for text in ax.texts}
    assert {"东县", "西县"} <= shown
    assert not any(text.startswith("镇") for text in shown)
    assert [line.get_xdata().size for line in ax.lines if line.get_marker() == "o"] == [len(several)]


def test_text_that_looks_like_an_escape_of_the_format_is_escaped(monkeypatch):
    """ECMA-376 part 1, 22.9.2.19: ``_x0041_`` is read as A, and ``_x005F_`` as the underscore itself."""
    monkeypatch.setattr(field_sheet, "_MOST_FORMS", 5)
    content = field_sheet_bytes(visits().assign(village="_x0041_"), title="县")
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        assert ">_x005F_x0041_</t>" in parts.read("xl/worksheets/sheet1.xml").decode()
