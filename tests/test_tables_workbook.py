"""Workbooks: equal to CSV where they are sound, refused with the cell's address where they are not."""

import io
import re
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from tables_kit import WELLS, cells, read, rows_of, workbook

HEAD = ["取水口编号", "乡镇", "取水层位", "水泵功率", "水泵安装深度"]


def rezipped(data: bytes, change) -> bytes:
    """Rewrite the members of a zip: `change(name, bytes)` gives the new bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, change(info.filename, old.read(info)))
    return out.getvalue()


def in_sheet(data: bytes, pattern: str, by: str) -> bytes:
    def change(name: str, content: bytes) -> bytes:
        return re.sub(pattern.encode(), by.encode(), content) if "worksheets/sheet1" in name else content

    return rezipped(data, change)


def test_a_sheet_equals_the_csv(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    from_csv, _ = read(tmp_path / "a")
    rows = [cells(WELLS)[0], ["0012", "东乡", "浅层", 7.5, 45], ["0013", "东乡", "深层", 11, 80]]
    from_sheet, findings = read(tmp_path / "b", wells__xlsx=workbook(Sheet1=rows))
    assert findings.count == 0, findings
    assert from_sheet.wells.equals(from_csv.wells)


def test_a_wrong_dimension_is_not_believed(tmp_path):
    data = in_sheet(workbook(S=cells(WELLS)), '<dimension ref="[^"]*"', '<dimension ref="A1"')
    tables, _ = read(tmp_path, wells__xlsx=data)
    assert len(tables.wells) == 2


def with_stray(address: str, text: str) -> bytes:
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream) as book:
        sheet = book.add_worksheet()
        for r, row in enumerate(cells(WELLS)):
            sheet.write_row(r, 0, row)
        sheet.write(address, text)
    return stream.getvalue()


@pytest.mark.parametrize(("address", "text"), [("XFD1048576", "x"), ("XFD1048576", " "), ("T1048576", "x")])
def test_a_stray_cell_is_refused_with_its_address(tmp_path, address, text):
    _, findings = read(tmp_path, wells__xlsx=with_stray(address, text))
    assert findings.errors.frame[["rule", "observed", "row"]].to_numpy().tolist() == [["STRAY_CELL", address, 1048576]]


def test_a_stray_blank_is_cut_off(tmp_path):
    tables, findings = read(tmp_path, wells__xlsx=with_stray("T1048576", " "))
    assert findings.frame[["rule", "observed", "row"]].to_numpy().tolist() == [["STRAY_BLANK", "T1048576", 1048576]]
    assert tables.wells["well_id"].tolist() == ["0012", "0013"]


def test_hostile_zips_are_refused(tmp_path):
    good = workbook(S=cells(WELLS))
    bomb = rezipped(
        good, lambda name, b: b.replace(b"?>", b'?><!DOCTYPE x [<!ENTITY a "b">]>', 1) if "sheet1" in name else b
    )
    path = rezipped(good, lambda name, b: b)
    with zipfile.ZipFile(stream := io.BytesIO(path), "a") as archive:
        archive.writestr("../../x", b"x")
    huge = rezipped(good, lambda name, b: b + b" " * (1 << 25) if "styles" in name else b)
    for data in (bomb, stream.getvalue(), huge):
        _, findings = read(tmp_path, wells__xlsx=data)
        assert findings.errors.frame["rule"].tolist() == ["WORKBOOK_HOSTILE"]
    for data in (good[: len(good) // 2], good[:40]):
        _, findings = read(tmp_path, wells__xlsx=data)
        assert findings.errors.frame["rule"].tolist() == ["FILE_BROKEN"]


def test_errors_and_uncached_formulas_are_reported_with_their_cell(tmp_path):
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEAD)
        sheet.write_row(1, 0, ["0012", "东乡", "浅层"])
        sheet.write_formula("D2", "=1/0", None, "#DIV/0!")
        sheet.write_formula("E2", "=40+5", None, 45)
        sheet.write_row(2, 0, ["0013", "东乡", "深层", 11])
        sheet.write_formula("E3", "=40+40", None, "")
    tables, findings = read(tmp_path, wells__xlsx=stream.getvalue())
    assert rows_of(findings, "CELL_ERROR", "warning") == [2]
    assert rows_of(findings, "UNCACHED_FORMULA", "warning") == [3]
    assert "D2" in findings.of(rule="CELL_ERROR").frame["message"][0]
    assert "E3" in findings.of(rule="UNCACHED_FORMULA").frame["message"][0]
    assert tables.wells["pump_depth_m"].fillna(-1).tolist() == [45.0, -1.0]
    assert tables.wells["pump_power_kw"].fillna(-1).tolist() == [-1.0, 11.0]


def test_several_sheets_with_the_headings_must_be_named(tmp_path):
    one = [HEAD, ["0012", "东乡", "浅层", 7.5, 45]]
    two = [HEAD, ["0013", "东乡", "浅层", 7.5, 45]]
    data = workbook(说明=[["本表由县局填写"]], 一=one, 二=two)
    _, findings = read(tmp_path, wells__xlsx=data)
    assert findings.errors.frame[["rule", "observed"]].to_numpy().tolist() == [["SHEETS_AMBIGUOUS", "一, 二"]]
    listed = {"inputs": {"wells": ("inputs/wells.xlsx#二", "inputs/wells.xlsx#一")}}
    tables, findings = read(tmp_path, listed, wells__xlsx=data)
    assert findings.count == 0, findings
    assert tables.wells["well_id"].tolist() == ["0013", "0012"]
    _, findings = read(tmp_path, {"inputs": {"wells": ("inputs/wells.xlsx#三",)}}, wells__xlsx=data)
    assert findings.errors.frame["rule"].tolist() == ["SHEET_NOT_FOUND"]


def test_vertically_merged_cells_count_for_all_their_rows(tmp_path):
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream) as book:
        sheet = book.add_worksheet()
        sheet.merge_range("A1:E1", "机井登记表")
        sheet.write_row(1, 0, HEAD)
        for r, name in enumerate(["0012", "0013", "0014"], start=2):
            sheet.write_row(r, 0, [name, "", "浅层", 7.5, 45])
        sheet.merge_range("B3:B4", "东乡")
    tables, findings = read(tmp_path, wells__xlsx=stream.getvalue())
    assert tables.wells["township"].fillna("").tolist() == ["东乡", "东乡", ""]
    assert rows_of(findings, "BLANK_VALUE", "warning") == [5]


def test_a_long_number_as_identifier_has_lost_digits(tmp_path):
    rows = [HEAD, [1234567890123456789, "东乡", "浅层", 7.5, 45], [12, "东乡", "浅层", 7.5, 45]]
    _, findings = read(tmp_path, wells__xlsx=workbook(S=rows))
    assert rows_of(findings, "ID_PRECISION_LOST", "error") == [2]


def test_parquet_equals_csv_and_keeps_text(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    from_csv, _ = read(tmp_path / "a")
    typed = pa.table({
        "well_id": ["0012", "0013"], "township": ["东乡", "东乡"], "aquifer": ["浅层", "深层"],
        "pump_power_kw": pa.array([7.5, 11.0], pa.float32()), "pump_depth_m": pa.array([45, 80], pa.int16()),
    })  # fmt: skip
    stream = io.BytesIO()
    pq.write_table(typed, stream)
    from_parquet, findings = read(tmp_path / "b", wells__parquet=stream.getvalue())
    assert findings.count == 0, findings
    assert from_parquet.wells.equals(from_csv.wells)


def test_parquet_of_every_type_ends_in_findings(tmp_path):
    columns = {
        "well_id": pa.array(["1", "2"]).dictionary_encode(),
        "township": pa.array(["a", None]).cast(pa.large_string()),
        "aquifer": pa.DictionaryArray.from_arrays(pa.array([0, None], pa.uint8()), pa.array(["浅层"])),
        "pump_power_kw": pa.array([7, 8]).cast(pa.decimal128(21, 2)),
        "pump_depth_m": pa.array([b"45", b"50"], pa.binary()),
        "well_depth_m": pa.array([True, False]),
        "status": pa.nulls(2),
        "pump_installed_on": pa.array([1, 2], pa.duration("s")),
        "vfd": pa.array(["是", "否"]).dictionary_encode(),
        "list": pa.array([[1], [2, 3]]),
        "struct": pa.array([{"a": 1}, {"a": 2}]),
    }
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    tables, findings = read(tmp_path, wells__parquet=stream.getvalue())
    assert sorted(findings.of(rule="COLUMN_TYPE").frame["observed"]) == ["list", "pump_depth_m", "struct"]
    assert tables.wells["pump_power_kw"].tolist() == [7.0, 8.0]
    assert tables.wells["vfd"].tolist() == [1.0, 0.0]
    assert rows_of(findings, "NOT_A_NUMBER", "warning") == [2, 3]
    assert rows_of(findings, "NOT_A_DATE", "warning") == [2, 3]
    assert rows_of(findings, "BLANK_VALUE", "warning") == [3, 3]


def test_parquet_numbers_as_identifiers_and_zoned_times(tmp_path):
    zoned = pa.array([1782835200, 1785513600], pa.timestamp("s", tz="UTC"))
    stream = io.BytesIO()
    pq.write_table(
        pa.table({"meter_id": pa.array([12, 13]), "start": zoned, "end": ["2026-08-01", "2026-09-01"],
                  "energy_kwh": pa.array([1.0, float("inf")])}), stream,
    )  # fmt: skip
    tables, findings = read(tmp_path, readings__parquet=stream.getvalue())
    assert tables.readings["meter_id"].tolist() == ["12", "13"]
    # 2026-06-30 16:00 UTC is midnight of July 1 in Shanghai
    assert tables.readings["start"].astype(str).tolist() == ["2026-07-01", "2026-08-01"]
    assert rows_of(findings, "NOT_A_NUMBER", "warning") == [3]
