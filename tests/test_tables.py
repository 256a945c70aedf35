"""Whole files: encodings, containers, layouts; each bad file is made here and ends in a finding, not a traceback."""

import os

import pytest

from elec2water import schema
from elec2water.config import Config
from elec2water.tables import read_tables
from tables_kit import PAIRS, READINGS, WELLS, read, rows_of


def test_clean_files_give_no_finding(tmp_path):
    tables, findings = read(tmp_path)
    assert findings.count == 0, findings
    assert tables.wells["well_id"].tolist() == ["0012", "0013"]
    assert tables.wells.index.tolist() == [2, 3]
    assert tables.wells.attrs["file"] == "inputs/wells.csv"
    assert tables.wells["power_source"].tolist() == ["grid", "grid"]
    assert tables.readings["start"].dtype == "datetime64[s]"
    assert tables.meters.empty
    assert tuple(tables.meters.columns) == schema.names("meters")
    assert repr(tables) == "Tables(wells 2, meters 0, readings 2, pairs 1, water_levels 0, permits 0, corrections 0)"


def test_registries_that_know_months_or_years_of_pumps_lose_none(tmp_path):
    rows = "0012,城关镇,浅层,7.5,45,2018年\n0013,城关镇,浅层,7.5,45,2019-05\n0014,城关镇,浅层,7.5,45,不详\n"
    text = "取水口编号,乡镇（街道）,取水层位,水泵功率,水泵安装深度,水泵安装日期\n" + rows
    tables, findings = read(tmp_path, wells__csv=text.encode())
    days = tables.wells["pump_installed_on"].dt.strftime("%Y-%m-%d").tolist()
    assert days[:2] == ["2018-07-01", "2019-05-01"]
    (told,) = findings.of(rule="DATE_COARSE").frame["message"]
    assert "2 个日期只到月或年（如“2018年”）" in told
    assert rows_of(findings, "NOT_A_DATE", "warning") in ([4], [])


@pytest.mark.parametrize("codec", ["gb18030", "utf-8", "utf-8-sig", "utf-16"])
def test_encodings_read_alike(tmp_path, codec):
    text = "取水口编号,乡镇（街道）,取水层位,水泵功率,水泵安装深度\n0012,䶮㙍㐂𠮷,浅层,7.5,45\n"
    tables, findings = read(tmp_path, wells__csv=text.encode(codec))
    assert findings.errors.count == 0, findings
    assert tables.wells["township"].tolist() == ["䶮㙍㐂𠮷"]
    assert tables.wells["well_id"].tolist() == ["0012"]
    assert tables.wells["pump_depth_m"].tolist() == [45.0]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "NO_ROWS"),
        (b"   ", "HEADER_NOT_FOUND"),
        (WELLS.split("\n")[0].encode(), "NO_ROWS"),
        ("取水口编号,乡镇,取水层位,水泵功率,水泵安装深度\n1,东乡".encode("gb18030")[:-1], "ENCODING"),
        (WELLS.encode("utf-16")[2:], "ENCODING"),
        (b"\xff\xfea", "ENCODING"),
        ("取水口編號,鄉鎮,層位\n1,東,深\n".encode("big5"), "HEADER_NOT_FOUND"),
        (b"a,b,c\n1,2,3\n", "HEADER_NOT_FOUND"),
        (b"<html><table><tr><td>well_id</td></tr></table></html>", "NO_ROWS"),
        (b"<html><frameset><frame src='sheet001.htm'></frameset></html>", "FILE_FORMAT"),
        (b"MIME-Version: 1.0\nContent-Type: multipart/related\n", "FILE_FORMAT"),
        (b"PAR1" + b"\x00" * 50, "FILE_BROKEN"),
        (b"PK\x03\x04" + b"\x00" * 50, "FILE_BROKEN"),
        (b"\xd0\xcf\x11\xe0" + b"\x00" * 512 + "EncryptedPackage".encode("utf-16-le"), "PASSWORD"),
        (b"\xd0\xcf\x11\xe0" + b"\x00" * 512, "FILE_BROKEN"),
        ((WELLS + '"0014,东乡,浅层,7.5,45\n').encode(), "FILE_BROKEN"),
    ],
)
def test_unreadable_files_are_refused_not_raised(tmp_path, data, rule):
    tables, findings = read(tmp_path, wells__csv=data)
    assert findings.errors.frame["rule"].tolist() == [rule]
    assert findings.errors.frame["file"].tolist() == ["inputs/wells.csv"]
    assert tables.wells.empty


def test_cut_text_names_its_row(tmp_path):
    data = "取水口编号,乡镇,取水层位,水泵功率,水泵安装深度\n1,东,浅层,7,45\n2,东乡".encode("gb18030")[:-1]
    _, findings = read(tmp_path, wells__csv=data)
    assert rows_of(findings, "ENCODING", "error") == [3]


@pytest.mark.parametrize(
    ("column", "bad"),
    [("取水口编号", b"\xff"), ("水泵功率", b"\xff"), ("乡镇", b"\xb6\xab"), ("取水口编号", b"\xb6\xab")],
)
def test_text_that_is_no_utf8_behind_a_plain_beginning_is_seen_in_any_column(tmp_path, column, bad):
    names = ["取水口编号", "乡镇", "取水层位", "水泵功率", "水泵安装深度"]
    rows = [[f"{i:08d}", "a", "shallow", "7.5", "45"] for i in range(20_000)]
    text = "\n".join(
        ",".join(cells) for cells in (["well_id", "township", "aquifer", "pump_power_kw", "pump_depth_m"], *rows)
    )
    last = b"\n" + b",".join(bad if name == column else b"9" for name in names)
    tables, findings = read(tmp_path, wells__csv=text.encode() + last)
    if bad == b"\xff":
        assert rows_of(findings, "ENCODING", "error") == [20_002]
        assert tables.wells.empty
    else:
        assert "ENCODING_NORMALISED" in set(findings.frame["rule"])
        assert len(tables.wells) == 20_001
        assert "东" in {*tables.wells["well_id"], *tables.wells["township"], *findings.frame["observed"]}


@pytest.mark.parametrize("delimiter", ["\t", ";"])
def test_other_delimiters(tmp_path, delimiter):
    tables, findings = read(tmp_path, wells__csv=WELLS.replace(",", delimiter))
    assert findings.count == 0
    assert tables.wells["pump_depth_m"].tolist() == [45.0, 80.0]


def test_too_many_cells_name_the_row(tmp_path):
    _, findings = read(tmp_path, wells__csv=WELLS + "0014,东乡,浅层,1,234,45\n")
    assert rows_of(findings, "ROW_TOO_WIDE", "error") == [4]


def test_title_totals_notes_and_blank_lines_are_dropped_with_a_count(tmp_path):
    text = "某县机井登记表,,,,\n" + WELLS + ",,,,\n合 计,,,18.5,\n\n填表人：张三,,审核人：李四,,\n"
    tables, findings = read(tmp_path, wells__csv=text)
    assert tables.wells.index.tolist() == [3, 4]
    assert findings.frame.set_index("rule")["observed"].to_dict() == {
        "ROWS_ABOVE_HEADER": "1",
        "BLANK_ROWS_DROPPED": "2",
        "TOTAL_ROWS_DROPPED": "1",
        "NOTE_ROWS_DROPPED": "1",
    }


def test_all_missing_and_doubled_files_are_reported_together(tmp_path):
    read(tmp_path, readings__parquet=b"x", readings__csv=READINGS)
    (tmp_path / "inputs" / "pairs.csv").unlink()
    _, findings = read_tables(tmp_path, Config.model_validate({"project": {"name": "x"}}))
    found = findings.errors.frame.set_index("table")["rule"].to_dict()
    assert found == {"pairs": "MISSING_FILE", "readings": "TWO_FILES"}


def test_listed_files_are_joined(tmp_path):
    more = WELLS.replace("0012", "0022").replace("0013", "0023").replace("pump_depth_m", "pump_depth_m,备注2")
    (tmp_path / "更多 #1.csv").write_text(more.replace("45", "45,a").replace("80", "80,b"), encoding="utf-8")
    tables, findings = read(tmp_path, {"inputs": {"wells": ("inputs/wells.csv", "更多 #1.csv")}})
    assert findings.errors.count == 0, findings
    assert tables.wells["well_id"].tolist() == ["0012", "0013", "0022", "0023"]
    assert tables.wells.index.tolist() == [2, 3, 2, 3]
    assert tables.wells["备注2"].fillna("").tolist() == ["", "", "a", "b"]


def test_one_content_given_twice_is_refused(tmp_path):
    _, findings = read(tmp_path, {"inputs": {"wells": ("inputs/wells.csv", "inputs/wells.csv")}})
    assert findings.errors.frame["rule"].tolist() == ["DUPLICATE_FILE"]


@pytest.mark.skipif(os.name == "nt", reason="no FIFO there")
def test_a_pipe_or_a_folder_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name in ("pipe.csv", "folder.csv"):
        _, findings = read(tmp_path, {"inputs": {"wells": (name,)}})
        assert findings.errors.frame["rule"].tolist() == ["NOT_A_FILE"]


def test_all_missing_columns_are_listed_at_once_with_what_is_like_them(tmp_path):
    _, findings = read(tmp_path, wells__csv="取水口编号,乡镇,泵安装深度\n1,东乡,40\n")
    errors = findings.errors.frame
    assert errors["rule"].tolist() == ["MISSING_COLUMN"] * 3
    assert errors["limit"].str.contains("aquifer|pump_power_kw|pump_depth_m").all()
    assert "泵安装深度" in set(errors["observed"])


def test_readings_need_one_complete_form(tmp_path):
    _, findings = read(tmp_path, readings__csv="表号,抄表日期\n0012,2026-07-01\n")
    assert findings.errors.frame["limit"].tolist() == ["示数 / register_kwh"]


def test_two_headings_for_one_column_are_refused(tmp_path):
    text = WELLS.replace("township", "township,乡镇").replace("东乡", "东乡,西乡")
    _, findings = read(tmp_path, wells__csv=text)
    assert findings.errors.frame["observed"].tolist() == ["township | 乡镇"]


@pytest.mark.parametrize(
    "heading", ["用电量（千瓦时）", "用电量\n(kWh)", " 电 量 (ＫＷ·ｈ) ", "电量【度】", "*有功电量：", "Energy_kWh"]
)
def test_variants_of_a_heading_are_one_column(tmp_path, heading):
    text = READINGS.replace("energy_kwh", f'"{heading}"')
    tables, findings = read(tmp_path, readings__csv=text)
    assert findings.count == 0, findings
    assert tables.readings["energy_kwh"].tolist() == [1200.0, 900.0]


@pytest.mark.parametrize(
    ("heading", "factor"),
    [
        ("年许可水量（万m³）", 1e4),
        ("年许可水量万立方米", 1e4),
        ("许可水量(万方)", 1e4),
        ("年许可水量", 1.0),
        ("许可水量（㎥）", 1.0),
    ],
)
def test_units_of_headings_are_converted_once(tmp_path, heading, factor):
    tables, findings = read(tmp_path, permits__csv=f"取水许可证编号,{heading}\nC370212G2020-0001,2.5\n")
    assert tables.permits["annual_volume_m3"].tolist() == [2.5 * factor]
    assert findings.of(rule="UNIT_CONVERTED").count == int(factor != 1.0)


def test_a_unit_of_another_kind_is_refused(tmp_path):
    _, findings = read(tmp_path, readings__csv=READINGS.replace("energy_kwh", "电量(元)"))
    assert findings.errors.frame["rule"].tolist() == ["HEADING_UNIT"]


def test_headings_of_the_project_itself(tmp_path):
    text = WELLS.replace("well_id", "机号")
    _, findings = read(tmp_path, wells__csv=text)
    assert findings.errors.frame["rule"].tolist() == ["MISSING_COLUMN"]
    tables, findings = read(tmp_path, {"aliases": {"wells": {"机 号": "well_id"}}}, wells__csv=text)
    assert findings.count == 0
    assert tables.wells["well_id"].tolist() == ["0012", "0013"]


def test_further_columns_are_kept_and_named_unless_used(tmp_path):
    text = (
        WELLS.replace("depth_m\n", "depth_m,泵型,台数,旧编号\n")
        .replace("45", "45,QJ200,1,007")
        .replace("80", "80,QJ250,2,0x8")
    )
    tables, findings = read(tmp_path, {"model": {"covariates": ("台数",)}}, wells__csv=text)
    assert findings.of(rule="UNKNOWN_COLUMN").frame["observed"].tolist() == ["旧编号", "泵型"]
    assert tables.wells["台数"].tolist() == [1.0, 2.0]
    assert tables.wells["旧编号"].tolist() == ["007", "0x8"]


def test_row_order_does_not_matter(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    lines = (PAIRS + "0013,2026-07-01,2026-08-01,0,400\n0013,2026-08-01,2026-09-01,10,40\n").strip().split("\n")
    one, _ = read(tmp_path / "a", pairs__csv="\n".join(lines))
    two, _ = read(tmp_path / "b", pairs__csv="\n".join([lines[0], *lines[:0:-1]]))
    order = ["well_id", "start"]
    left, right = (t.pairs.sort_values(order, ignore_index=True) for t in (one, two))
    assert left.equals(right)
