"""The cases of bad input of sections A to F that a reader meets, each with what it must end in."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import xlsxwriter

import forms_kit as kit

HEAD_W = "取水口编号,取水口名称,乡镇,村,取水层位,水泵功率,水泵安装深度"
WELLS = f"""{HEAD_W}
0012,-3号井,东乡,NA,浅层,7.5,45
0013,二号井,东乡,null,深层,11,80
0014,三号井,西乡,王村,浅层,7.5,40
"""
READINGS = """表号,开始日期,结束日期,电量
0012,2026-07-01,2026-08-01,1200
0013,2026-07-01,2026-08-01,900
0014,2026-07-01,2026-08-01,800
0012,2026-08-01,2026-09-01,1100
0013,2026-08-01,2026-09-01,850
0014,2026-08-01,2026-09-01,700
"""
PAIRS = "取水口编号,开始时间,结束时间,电量,水量\n0012,2026-07-01,2026-08-01,100,400\n"
CLEAN = {"wells.csv": WELLS, "readings.csv": READINGS, "pairs.csv": PAIRS}
TOML = '[project]\nname = "测试县"\ncounty_code = "370212"\n'
TOTAL = 5550.0
HEADINGS = HEAD_W.split(",")

Files = dict[str, bytes | str | None]


@dataclass(frozen=True)
class Case:
    """One case: what is given in place of the clean files, and what it must end in.

    `ends` is R (refused, exit status 1), C (the configuration refused, exit status 2, naming the key in `rule`), F (a
    finding that warns), W (a warning), N (read as meant) or ok; `rule` and `row` are those of the finding asked for,
    `holds` looks at the tables, `zone` is the time zone of the machine.
    """

    name: str
    what: str
    ends: str
    files: Files | Callable[[Path], None] = field(default_factory=dict)
    rule: str = ""
    row: int | None = None
    toml: str = ""
    holds: Callable[[object], bool] | None = None
    zone: str = ""


def kwh(tables) -> float:
    """Sum what was read."""
    return float(tables.readings["energy_kwh"].sum())


def same_total(tables) -> bool:
    """Whether the energy is that of the clean table."""
    return abs(kwh(tables) - TOTAL) < 1e-6


def rows(text: str) -> list[list[object]]:
    """Split plain CSV text."""
    return [line.split(",") for line in text.strip().split("\n")]


def book(text: str, **more) -> bytes:
    """Write an xlsx of text cells."""
    return kit.xlsx_of(rows(text), **more)


def rezipped(data: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """Rewrite the members of a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, change(info.filename, old.read(info)))
    return out.getvalue()


def in_sheet(data: bytes, pattern: str, by: str) -> bytes:
    """Change the XML of the first sheet."""
    return rezipped(data, lambda n, b: re.sub(pattern.encode(), by.encode(), b) if "sheet1.xml" in n else b)


def added(data: bytes, *members: tuple[str, bytes]) -> bytes:
    """Add members to a zip."""
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def sheet_with(cells: dict[str, object], formulas: dict[str, tuple[str, object]] | None = None) -> bytes:
    """Write the readings with further cells and formulas."""
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream, {"in_memory": True, "strings_to_numbers": False}) as made:
        sheet = made.add_worksheet()
        for r, row in enumerate(rows(READINGS)):
            for c, cell in enumerate(row):
                sheet.write(r, c, float(cell) if c == 3 and r else cell)
        for address, value in cells.items():
            sheet.write(address, value)
        for address, (formula, value) in (formulas or {}).items():
            sheet.write_formula(address, formula, None, value)
    return stream.getvalue()


def merged_form() -> bytes:
    """A merged title and a heading of two rows: 示数 over 上期 and 本期."""
    head = [
        ["农灌电表抄表清单"],
        ["表号", "抄表日期", "", "示数", "", "倍率"],
        ["", "上次抄表日期", "本次抄表日期", "上期", "本期", ""],
    ]
    body = [
        ["0012", "2026-07-01", "2026-08-01", 100, 160, 20],
        ["0013", "2026-07-01", "2026-08-01", 10, 55, 20],
        ["0014", "2026-07-01", "2026-08-01", 5, 45, 20],
    ]
    merged = [
        (0, 0, 0, 5, head[0][0]),
        (1, 0, 2, 0, "表号"),
        (1, 1, 1, 2, "抄表日期"),
        (1, 3, 1, 4, "示数"),
        (1, 5, 2, 5, "倍率"),
    ]
    return kit.xlsx_of([*head, *body], merged)


def merged_villages() -> bytes:
    """Vertically merged townships; the last well's is blank and not merged."""
    body = [
        ["0012", "a", "东乡", "NA", "浅层", 7.5, 45],
        ["0013", "b", "", "x", "深层", 11, 80],
        ["0014", "c", "", "y", "浅层", 7.5, 40],
    ]
    return kit.xlsx_of([HEADINGS, *body], [(1, 2, 2, 2, "东乡")])


def wide(text_of_months: str = "2026年7月,2026年8月", title: str = "") -> str:
    """A column a month."""
    return (f"{title}\n" if title else "") + (
        f"表号,{text_of_months}\n0012,1200,1100\n0013,900,850\n0014,800,700\n合计,2900,2650\n"
    )


def ocr(text: str, **by: str) -> str:
    """Replace words of a table."""
    for old, new in by.items():
        text = text.replace(old, new)
    return text


def changed_wells(old: str, new: str) -> Files:
    """The registry with one word changed."""
    return {"wells.csv": WELLS.replace(old, new)}


def changed_readings(old: str, new: str) -> Files:
    """The readings with one word changed."""
    return {"readings.csv": READINGS.replace(old, new)}


def with_column(text: str, heading: str, *cells: str) -> str:
    """Add a column to a table."""
    head, *body = text.strip().split("\n")
    return "\n".join([f"{head},{heading}", *(f"{row},{cell}" for row, cell in zip(body, cells, strict=True))]) + "\n"


def linked(folder: Path) -> None:
    """Put a symbolic link in place of the readings."""
    (folder / "inputs" / "readings.csv").rename(folder / "real.csv")
    (folder / "inputs" / "readings.csv").symlink_to(folder / "real.csv")


def piped(folder: Path) -> None:
    """Put a pipe in place of the readings."""
    (folder / "inputs" / "readings.csv").unlink()
    os.mkfifo(folder / "inputs" / "readings.csv")


def a_folder(folder: Path) -> None:
    """Put an empty folder in place of the readings."""
    (folder / "inputs" / "readings.csv").unlink()
    (folder / "inputs" / "readings.csv").mkdir()


def months_twice(folder: Path) -> None:
    """Copy one monthly file of a folder under another name."""
    (folder / "inputs" / "readings.csv").unlink()
    place = folder / "inputs" / "readings"
    place.mkdir()
    for name in ("7月.csv", "7月 - 副本.csv"):
        (place / name).write_text(READINGS, encoding="utf-8")


def odd_path(folder: Path) -> None:
    """Move the readings to a name of Chinese letters, blanks and #, its accents apart as macOS writes them."""
    place = folder / "数据 #1" / ("长" * 60)
    place.mkdir(parents=True)
    (folder / "inputs" / "readings.csv").rename(place / "电量 #é.csv")


ODD_PATH = f'[inputs]\nreadings = "数据 #1/{"长" * 60}/电量 #é.csv"\n'
PERMITS = "取水许可证编号,取水权人,年许可水量（m³）\nC370212G2020-0001,甲,20000\n"
PERMIT_WELLS = with_column(WELLS, "取水许可证编号", *["C370212G2020-0001"] * 3)
BANDS = """表号,电费年月,时段,电量
0012,202607,总,1200
0012,202607,尖,100
0012,202607,峰,300
0012,202607,平,500
0012,202607,谷,300
0013,202607,总,900
0013,202607,峰,400
0013,202607,平,400
0013,202607,谷,100
"""
TWO_ENDED = """表号,起始日期,截止日期,上期示数,本期示数,倍率,电量
0012,2026-07-01,2026-08-01,100,160,20,1200
0013,2026-07-01,2026-08-01,10,55,20,900
0014,2026-07-01,2026-08-01,5,45,20,{last}
"""
BILLS = """表号,起始日期,截止日期,抄见电量,换表电量,退补电量,合计电量
0012,2026-07-01,2026-08-01,1000,200,0,{first}
0013,2026-07-01,2026-08-01,900,0,-300,600
0014,2026-07-01,2026-08-01,800,0,0,800
"""
XLS_ROWS = [[c if r == 0 or i < 3 else float(c) for i, c in enumerate(row)] for r, row in enumerate(rows(READINGS))]
RARE = ocr(WELLS, 东乡="䶮㙍㐂𠮷乡")

CASES = [
    # Section A, container and encoding
    Case(
        "A01",
        "CSV in GBK",
        "N",
        {k: v.encode("gbk") for k, v in CLEAN.items()},
        "ENCODING_NORMALISED",
        holds=same_total,
    ),
    Case(
        "A02",
        "GB18030 of four bytes",
        "N",
        {"wells.csv": RARE.encode("gb18030")},
        holds=lambda t: t.wells["township"].iloc[0] == "䶮㙍㐂𠮷乡",
    ),
    Case("A03", "UTF-8 with BOM", "ok", {k: v.encode("utf-8-sig") for k, v in CLEAN.items()}, holds=same_total),
    Case(
        "A04", "UTF-16 with BOM", "N", {"readings.csv": READINGS.replace(",", "\t").encode("utf-16")}, holds=same_total
    ),
    Case("A04b", "UTF-16 LE without BOM", "R", {"readings.csv": READINGS.encode("utf-16-le")}, "ENCODING"),
    Case(
        "A05", "Big5", "R", {"readings.csv": "表號,抄表日期,示數\n1,2026-07-01,5\n".encode("big5")}, "HEADER_NOT_FOUND"
    ),
    Case("A05b", "Shift-JIS", "R", {"readings.csv": "メータ番号,電力量,期間\n1,2,3\n".encode("shift-jis")}),
    Case(
        "A07",
        "cut inside a character",
        "R",
        {"wells.csv": ocr(WELLS, 王村="王").encode("gb18030").rstrip()[:-9] + b"\xb6"},
        "ENCODING",
    ),
    Case(
        "A09",
        "HTML named .xls",
        "N",
        {"readings.csv": None, "readings.xls": kit.html_of(rows(READINGS))},
        holds=same_total,
    ),
    Case(
        "A09b",
        "HTML frameset without a table",
        "R",
        {"readings.csv": None, "readings.xls": b"<html><frameset><frame src=a.htm></frameset></html>"},
        "FILE_FORMAT",
    ),
    Case(
        "A09c",
        "tab-separated GBK named .xls",
        "N",
        {"readings.csv": None, "readings.xls": READINGS.replace(",", "\t").encode("gbk")},
        holds=same_total,
    ),
    Case(
        "A09d",
        "XML of Excel 2003 named .xls",
        "N",
        {"readings.csv": None, "readings.xls": kit.xml_of(XLS_ROWS)},
        holds=same_total,
    ),
    Case(
        "A09e",
        "MHTML named .xls",
        "R",
        {"readings.csv": None, "readings.xls": b"MIME-Version: 1.0\nX: y\n\n"},
        "FILE_FORMAT",
    ),
    Case(
        "A11", "xls of Excel 97", "ok", {"readings.csv": None, "readings.xls": kit.xls_of(XLS_ROWS)}, holds=same_total
    ),
    Case("A11b", "ods", "ok", {"readings.csv": None, "readings.ods": kit.ods_of(XLS_ROWS)}, holds=same_total),
    Case("A11c", "WPS .et", "R", {"readings.csv": None, "readings.et": kit.xls_of(XLS_ROWS)}, "FILE_FORMAT"),
    Case(
        "A12",
        "workbook with a password",
        "R",
        {
            "readings.csv": None,
            "readings.xlsx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le"),
        },
        "PASSWORD",
    ),
    Case(
        "A14",
        "formula to another workbook",
        "W",
        {"readings.csv": None, "readings.xlsx": sheet_with({}, {"D3": ("=[1]Sheet1!A1", 900)})},
        "EXTERNAL_LINK",
        3,
        holds=same_total,
    ),
    Case("A15", "0 bytes", "R", {"readings.csv": None, "readings.xlsx": b""}, "NO_ROWS"),
    Case("A15b", "cut xlsx", "R", {"readings.csv": None, "readings.xlsx": book(READINGS)[:3000]}, "FILE_BROKEN"),
    Case(
        "A16",
        "zip bomb",
        "R",
        {
            "readings.csv": None,
            "readings.xlsx": rezipped(book(READINGS), lambda n, b: b + b" " * (1 << 26) if "styles" in n else b),
        },
        "WORKBOOK_HOSTILE",
    ),
    Case(
        "A16b",
        "gzip bomb",
        "R",
        {"readings.csv": None, "readings.csv.gz": kit.gz_of(READINGS + "\n" * (1 << 25))},
        "WORKBOOK_HOSTILE",
    ),
    Case(
        "A17",
        "a cell at XFD1048576",
        "R",
        {"readings.csv": None, "readings.xlsx": sheet_with({"XFD1048576": "x"})},
        "STRAY_CELL",
        1048576,
    ),
    Case(
        "A18",
        "a blank at T1048576",
        "W",
        {"readings.csv": None, "readings.xlsx": sheet_with({"T1048576": " "})},
        "STRAY_BLANK",
        1048576,
        holds=same_total,
    ),
    Case(
        "A19",
        "wrong dimension",
        "N",
        {
            "readings.csv": None,
            "readings.xlsx": in_sheet(book(READINGS), '<dimension ref="[^"]*"', '<dimension ref="A1"'),
        },
        holds=same_total,
    ),
    Case(
        "A20",
        "entity bomb",
        "R",
        {
            "readings.csv": None,
            "readings.xlsx": rezipped(
                book(READINGS),
                lambda n, b: b.replace(b"?>", b'?><!DOCTYPE x [<!ENTITY a "b">]>', 1) if "sharedStrings" in n else b,
            ),
        },
        "WORKBOOK_HOSTILE",
    ),
    Case(
        "A20b",
        "entity behind a long comment",
        "R",
        {
            "readings.csv": None,
            "readings.xlsx": rezipped(
                book(READINGS),
                lambda n, b: (
                    b.replace(b"?>", b"?><!--" + b"x" * 9000 + b'--><!DOCTYPE x [<!ENTITY a "b">]>', 1)
                    if "sheet1" in n
                    else b
                ),
            ),
        },
        "WORKBOOK_HOSTILE",
    ),
    Case(
        "A20c",
        "entities in the XML of Excel 2003",
        "R",
        {
            "readings.csv": None,
            "readings.xls": kit.xml_of(XLS_ROWS).replace(b"?><?mso", b'?><!DOCTYPE x [<!ENTITY a "b">]><?mso', 1),
        },
        "WORKBOOK_HOSTILE",
    ),
    Case(
        "A21",
        "zip member outside",
        "R",
        {"readings.csv": None, "readings.xlsx": added(book(READINGS), ("../../x", b"x"))},
        "WORKBOOK_HOSTILE",
    ),
    Case(
        "A21b",
        "20,000 members",
        "R",
        {"readings.csv": None, "readings.xlsx": added(book(READINGS), *((f"m{i}", b"") for i in range(20_000)))},
        "WORKBOOK_HOSTILE",
    ),
    Case("A23", "one month twice under two names", "R", months_twice, "DUPLICATE_FILE"),
    Case("A26", "odd path", "ok", odd_path, toml=ODD_PATH, holds=same_total),
    Case("A27", "symbolic link", "R", linked, "NOT_A_FILE"),
    Case("A27b", "pipe", "R", piped, "NOT_A_FILE"),
    Case("A27c", "folder without tables", "R", a_folder, "NOT_A_FILE"),
    Case("A27d", "/dev/zero", "R", {}, "NOT_A_FILE", toml='[inputs]\nreadings = "/dev/zero"\n'),
    # Section B, layout
    Case(
        "B01",
        "merged title, headings of two rows",
        "N",
        {"readings.csv": None, "readings.xlsx": merged_form()},
        holds=lambda t: abs(kwh(t) - 2900) < 1e-9,
    ),
    Case(
        "B01b",
        "units in a row of their own, columns numbered",
        "N",
        {"wells.csv": WELLS.replace("深度\n", "深度\n,,,,,千瓦,米\n甲,乙,1,2,3,4,5\n")},
        holds=lambda t: t.wells["pump_depth_m"].tolist() == [45, 80, 40],
    ),
    Case(
        "B02",
        "小计 and 合计",
        "N",
        {"readings.csv": READINGS.replace("0012,2026-08", "小计,,,2900\n0012,2026-08") + "合计,,,5550\n"},
        "TOTAL_ROWS_DROPPED",
        holds=same_total,
    ),
    Case(
        "B02b",
        "合计 above the rows",
        "N",
        {"readings.csv": READINGS.replace("电量\n", "电量\n合计,,,5550\n")},
        holds=same_total,
    ),
    Case(
        "B02c",
        "合计 that is not the sum",
        "W",
        {"readings.csv": READINGS + "合计,,,6550\n"},
        "SUM_DIFF",
        8,
        holds=same_total,
    ),
    Case(
        "B04",
        "notes and stamps below",
        "N",
        {"readings.csv": READINGS + "填表人：张三,,审核人：李四,\n（盖章）,,,\n以上数据未经审核,,,\n"},
        "NOTE_ROWS_DROPPED",
        holds=same_total,
    ),
    Case(
        "B05",
        "vertically merged cells",
        "N",
        {"wells.csv": None, "wells.xlsx": merged_villages()},
        "BLANK_VALUE",
        4,
        holds=lambda t: t.wells["township"].fillna("").tolist() == ["东乡", "东乡", ""],
    ),
    Case(
        "B07",
        "two sheets with the headings",
        "R",
        {
            "readings.csv": None,
            "readings.xlsx": kit.xlsx_of(rows(READINGS), title="7月", **{"7月 (2)": rows(READINGS)}),
        },
        "SHEETS_AMBIGUOUS",
    ),
    Case(
        "B07b",
        "all sheets, asked for",
        "N",
        {
            "readings.csv": None,
            "readings.xlsx": kit.xlsx_of(
                rows("表号,电量\n0012,1200\n0013,900\n0014,800"),
                title="2026年7月",
                **{"2026年8月": rows("表号,电量\n0012,1100\n0013,850\n0014,700")},
            ),
        },
        "PERIOD_FROM_NAME",
        toml='[inputs]\nreadings = "inputs/readings.xlsx#*"\n',
        holds=same_total,
    ),
    Case(
        "B09",
        "synonyms, brackets, line breaks",
        "N",
        {"readings.csv": READINGS.replace("表号", '"电 表\n编号"').replace("电量", "用电量（千瓦时）")},
        holds=same_total,
    ),
    Case(
        "B10",
        "unknown column",
        "W",
        {"readings.csv": with_column(READINGS, "操作员", *"abcdef")},
        "UNKNOWN_COLUMN",
        holds=same_total,
    ),
    Case("B10b", "all missing columns at once", "R", {"wells.csv": "取水口编号,取水口名称\n1,a\n"}, "MISSING_COLUMN"),
    Case(
        "B11",
        "columns in another order",
        "ok",
        {"readings.csv": "\n".join(",".join(reversed(line.split(","))) for line in READINGS.strip().split("\n"))},
        holds=same_total,
    ),
    Case(
        "B12",
        "#DIV/0! in a cell",
        "F",
        {"readings.csv": None, "readings.xlsx": sheet_with({}, {"D3": ("=1/0", "#DIV/0!")})},
        "CELL_ERROR",
        3,
    ),
    Case("B12b", "#N/A as text in CSV", "F", changed_readings(",900", ",#REF!"), "NOT_A_NUMBER", 3),
    Case(
        "B13",
        "formula without a result",
        "F",
        {"readings.csv": None, "readings.xlsx": sheet_with({}, {"D3": ("=400+500", "")})},
        "UNCACHED_FORMULA",
        3,
    ),
    Case(
        "B14",
        "numbers as text, NBSP, apostrophe",
        "N",
        {"readings.csv": READINGS.replace(",1200", ",'1200\u00a0").replace(",900", ",\u200b900 ")},
        holds=same_total,
    ),
    Case("B15", "wide, year in the heading", "N", {"readings.csv": wide()}, "WIDE_READ", holds=same_total),
    Case(
        "B15b",
        "wide, year in the title",
        "N",
        {"readings.csv": wide("7月,8月", "2026年机井用电")},
        "WIDE_READ",
        holds=same_total,
    ),
    Case("B15c", "wide, no year anywhere", "R", {"readings.csv": wide("7月,8月")}, "YEAR_UNKNOWN"),
    Case("B15d", "wide, a month twice", "R", {"readings.csv": wide("2026年7月,202607")}, "PERIOD_TWICE"),
    Case(
        "B15e",
        "wide, Chinese numerals and a year column",
        "N",
        {"readings.csv": "表号,年度,七月,八月\n0012,2026,1200,1100\n0013,2026,900,850\n0014,2026,800,700\n"},
        holds=same_total,
    ),
    Case(
        "B15f",
        "wide, blank is not zero",
        "N",
        {"readings.csv": wide().replace(",850", ",").replace(",2650", ",1800")},
        holds=lambda t: len(t.readings) == 5,
    ),
    Case("B16", "headings only", "R", {"readings.csv": READINGS.split("\n", maxsplit=1)[0]}, "NO_ROWS"),
    Case("B16b", "empty sheet", "R", {"readings.csv": None, "readings.xlsx": kit.xlsx_of([])}, "HEADER_NOT_FOUND"),
    Case(
        "B18",
        "tables side by side",
        "R",
        {"readings.csv": "\n".join(f"{line},,{line}" for line in READINGS.strip().split("\n"))},
        "DUPLICATE_HEADING",
    ),
    Case(
        "B18b",
        "tables stacked",
        "R",
        {"readings.csv": READINGS + ",,,\n取水口编号,乡镇,取水层位,水泵功率\n0012,东乡,浅层,7\n"},
        "TABLES_STACKED",
        9,
    ),
    Case(
        "B18c",
        "headings repeated on every page",
        "N",
        {"readings.csv": READINGS.replace("0012,2026-08", READINGS.split("\n", maxsplit=1)[0] + "\n0012,2026-08")},
        "HEADINGS_REPEATED",
        holds=same_total,
    ),
    # Section C, identifiers
    Case("C01", "leading zeros lost", "F", {"readings.csv": READINGS.replace("\n0012", "\n12")}, "ID_LENGTH", 2),
    Case("C02", "1.23457E+18", "R", changed_readings("0012,2026-07", "1.23457E+18,2026-07"), "ID_PRECISION_LOST", 2),
    Case(
        "C02b",
        "nineteen digits that end in zeros",
        "R",
        {"readings.csv": READINGS.replace("0012", "1301230000000120000").replace("0013", "1301230000000130000")},
        "ID_PRECISION_LOST",
    ),
    Case(
        "C03",
        "full-width digits",
        "N",
        changed_readings("0012,2026-07", "００１２,2026-07"),
        holds=lambda t: same_total(t) and set(t.readings["meter_id"]) == {"0012", "0013", "0014"},
    ),
    Case(
        "C06",
        "rows pasted twice",
        "W",
        {"readings.csv": READINGS + "0012,2026-07-01,2026-08-01,1200\n"},
        "DUPLICATE_ROW",
        8,
        holds=same_total,
    ),
    Case(
        "C07",
        "one well twice, different",
        "R",
        {"wells.csv": WELLS + "0012,a,东乡,b,浅层,9,45\n"},
        "DUPLICATE_INTAKE",
        5,
    ),
    Case(
        "C08",
        "one well under two codes",
        "F",
        {
            "wells.csv": with_column(
                WELLS + "9012,三号井(旧),西乡,王村,浅层,7.5,40\n",
                "经度,纬度",
                "115.1,36.1",
                "115.2,36.2",
                "115.3,36.3",
                "115.30002,36.3",
            )
        },
        "POSSIBLE_SAME_WELL",
        5,
    ),
    Case(
        "C10",
        "old permit number",
        "W",
        {"permits.csv": PERMITS.replace("C370212G2020-0001", "取水(鲁)字〔2015〕第0012号")},
        "PERMIT_FORMAT",
        2,
    ),
    Case(
        "C11",
        "surface permit for a well",
        "F",
        {"wells.csv": PERMIT_WELLS.replace("G2020", "S2020")},
        "PERMIT_MISMATCH",
    ),
    Case(
        "C11b",
        "permit of another division",
        "F",
        {"permits.csv": PERMITS.replace("370212", "130123")},
        "PERMIT_MISMATCH",
        2,
    ),
    Case("C14", "a village called NA", "ok", {}, holds=lambda t: t.wells["village"].tolist()[:2] == ["NA", "null"]),
    Case(
        "C15",
        "invisible marks in ids",
        "N",
        changed_readings("0012,2026-07", "\u200b0012\u3000\u202e,2026-07"),
        holds=same_total,
    ),
    Case(
        "C16",
        "identity number in a remark",
        "F",
        {"wells.csv": with_column(WELLS, "备注", "户主13800138000", "身份证 370212199001011234", "")},
        "PII_FOUND",
        holds=lambda t: not t.wells["备注"].str.contains(r"\d{11}", na=False).any(),
    ),
    Case(
        "C16b",
        "phone in the account column",
        "F",
        {"readings.csv": ocr(with_column(READINGS, "户号", "13800138000", *(f"05000000{i}" for i in range(5))), x="x")},
        "PII_FOUND",
    ),
    Case(
        "C16c",
        "a column of phones",
        "F",
        {"wells.csv": with_column(WELLS, "联系电话", "13800138000", "13900139000", "0532-8888")},
        "PII_FOUND",
        holds=lambda t: t.wells["联系电话"].isna().all(),
    ),
    # Section D, numbers and units
    Case(
        "D01",
        "m³ under a heading of 万m³",
        "F",
        {"wells.csv": PERMIT_WELLS, "permits.csv": PERMITS.replace("m³", "万m³")},
        "UNIT_SUSPECT",
        2,
    ),
    Case(
        "D01b",
        "万m³ under a heading of m³",
        "F",
        {"wells.csv": PERMIT_WELLS, "permits.csv": PERMITS.replace("20000", "2")},
        "UNIT_SUSPECT",
        2,
    ),
    Case(
        "D03",
        "万度 in the heading",
        "N",
        {
            "readings.csv": READINGS.replace("电量", "电量(万度)")
            .replace(",1200", ",0.12")
            .replace(",900", ",0.09")
            .replace(",800", ",0.08")
            .replace(",1100", ",0.11")
            .replace(",850", ",0.085")
            .replace(",700", ",0.07")
        },
        "UNIT_CONVERTED",
        holds=same_total,
    ),
    Case("D03b", "a unit in the cell", "N", changed_readings(",1200", ",0.12万度"), holds=same_total),
    Case("D04", "separators and full width", "N", changed_readings(",1200", ',"１，２００．０"'), holds=same_total),
    Case("D04b", "1 234,5", "F", changed_readings(",1200", ',"1 234,5"'), "NOT_A_NUMBER", 2),
    *(
        Case(
            f"D06 {text}",
            "what Python would take for a number",
            "F",
            changed_readings(",1200", f",{text}"),
            "NOT_A_NUMBER",
            2,
        )
        for text in ("nan", "inf", "-Infinity", "1e400", "1_000", "0x10", "TRUE", "1/2")
    ),
    *(
        Case(
            f"D08 {text}",
            "power that cannot be",
            "F",
            changed_wells("浅层,7.5,45", f"浅层,{text},45"),
            "POWER_RANGE",
            2,
        )
        for text in ("0", "0.01", "5500", "7.5HP", "7.5*2", "-7.5")
    ),
    Case("D08 blank", "no power", "F", changed_wells("浅层,7.5,45", "浅层,,45"), "BLANK_VALUE", 2),
    Case(
        "D09",
        "pump below the well",
        "F",
        {"wells.csv": with_column(WELLS, "井深", "40", "100", "60")},
        "DEPTH_ORDER",
        2,
    ),
    *(
        Case(f"D09 {text}", "depth that cannot be", "F", changed_wells(",45\n", f",{text}\n"), "OUT_OF_RANGE", 2)
        for text in ("0", "-45", "4500")
    ),
    Case(
        "D10",
        "degrees, minutes and seconds",
        "N",
        {"wells.csv": with_column(WELLS, "经度,纬度", "114°30′36″,36°30′00″", "114.6,36.5", "114.7,36.6")},
        holds=lambda t: abs(t.wells["longitude"].iloc[0] - 114.51) < 1e-9,
    ),
    *(
        Case(
            f"D10 {name}",
            "positions",
            "F",
            {"wells.csv": with_column(WELLS, "经度,纬度", cell, "114.6,36.5", "114.7,36.6")},
            rule,
            2,
        )
        for name, cell, rule in (
            ("swapped", "36.5,114.6", "POSITION_SWAPPED"),
            ("114.30.12", "114.30.12,36.5", "NOT_A_NUMBER"),
            ("0/0", "0,0", "OUT_OF_RANGE"),
            ("Gauss-Kruger", "39512345.6,4045678.9", "OUT_OF_RANGE"),
            ("half", "114.6,", "POSITION_INCOMPLETE"),
        )
    ),
    Case(
        "D10 elsewhere",
        "a position out of the county",
        "F",
        {
            "wells.csv": with_column(
                WELLS + "".join(f"1{i:03d},a,东乡,b,浅层,7,{40 + i}\n" for i in range(8)),
                "经度,纬度",
                "118.6,36.5",
                *(f"114.{6 + i % 3}{i},36.5{i}" for i in range(10)),
            )
        },
        "POSITION_OUTLIER",
        2,
    ),
    Case(
        "D12",
        "coefficient the wrong way round",
        "F",
        {"pairs.csv": PAIRS.replace("100,400", "40000,400")},
        "COEF_RANGE",
        2,
    ),
    Case("D12b", "coefficient 0", "F", {"pairs.csv": PAIRS.replace("100,400", "100,0")}, "PAIR_VOLUME", 2),
    Case(
        "D14", "printed total differs by rounding", "W", {"readings.csv": READINGS + "合计,,,5550.03\n"}, "SUM_DIFF", 8
    ),
    Case(
        "D17",
        "-0.0",
        "N",
        changed_readings(",1200", ",-0.0"),
        holds=lambda t: str(t.readings["energy_kwh"].iloc[0]) == "0.0",
    ),
    # Section E, dates
    Case(
        "E01",
        "serial dates",
        "N",
        changed_readings("0012,2026-07-01,2026-08-01", "0012,46204,46235"),
        "VALUES_NORMALISED",
        holds=lambda t: str(t.readings["start"].iloc[0].date()) == "2026-07-01",
    ),
    *(
        Case(
            f"E03 {text}",
            "dates as written",
            "N",
            changed_readings("0012,2026-07-01,2026-08-01", f"0012,{text},2026-08-01"),
            holds=lambda t: str(t.readings["start"].iloc[0].date()) == "2026-07-01",
        )
        for text in (
            "2026.7.1",
            "2026年7月1日",
            "2026/7/1 0:00",
            "20260701",
            "2026-06-30T16:00:00Z",
            "2026-07-01T00:00:00+08:00",
        )
    ),
    Case(
        "E03 31/7/2026",
        "the day beyond doubt",
        "N",
        changed_readings("0012,2026-07-01,2026-08-01", "0012,2026-07-01,31/7/2026"),
        holds=lambda t: str(t.readings["end"].iloc[0].date()) == "2026-07-31",
    ),
    *(
        Case(
            f"E03 {text}",
            "dates in doubt",
            "F",
            changed_readings("0012,2026-07-01,2026-08-01", f"0012,{text},2026-08-01"),
            "AMBIGUOUS_DATE",
            2,
        )
        for text in ("26-7-1", "3/7/2026", "07-01-26")
    ),
    Case("E03 impossible", "no such day", "F", changed_readings("0012,2026-07-01", "0012,2026-02-30"), "NOT_A_DATE", 2),
    Case(
        "E06",
        "billing months without a reading day",
        "W",
        {"readings.csv": "表号,电费年月,电量\n0012,202607,1200\n0013,202607,900\n"},
        "PERIOD_ASSUMED",
    ),
    Case(
        "E06b",
        "billing months with a reading day",
        "N",
        {"readings.csv": "表号,电费年月,电量\n0012,202607,1200\n0013,202607,900\n"},
        toml="[energy]\nread_day = 25\n",
        holds=lambda t: str(t.readings["start"].iloc[0].date()) == "2026-06-26",
    ),
    Case(
        "E06c",
        "7月 in a column, the year in the title",
        "N",
        {"readings.csv": "2026年用电量\n表号,月份,电量\n0012,7月,1200\n0013,8,900\n"},
        "YEAR_TAKEN",
        holds=lambda t: sorted(map(str, t.readings["start"].dt.date)) == ["2026-07-01", "2026-08-01"],
    ),
    Case("E09", "a date before 2000", "F", changed_readings("0012,2026-07-01", "0012,1926-07-01"), "OUT_OF_RANGE", 2),
    Case(
        "E09b",
        "a date decades ahead",
        "F",
        changed_readings("0012,2026-07-01,2026-08-01", "0012,2026-07-01,2066-08-01"),
        "DATE_IN_FUTURE",
        2,
    ),
    Case(
        "E15",
        "a quarter that its rows leave",
        "R",
        {"readings.csv": "2026年二季度农灌电量\n" + READINGS},
        "PERIOD_MISMATCH",
    ),
    # Section F, series, as far as one row or its statement tells
    Case(
        "F04",
        "exchange inside the total",
        "N",
        {"readings.csv": BILLS.format(first=1200)},
        holds=lambda t: (
            abs(t.readings.loc[t.readings["quality"].fillna("") != "adjustment", "energy_kwh"].sum() - 2900) < 1e-9
        ),
    ),
    Case("F04b", "exchange beside the total", "N", {"readings.csv": BILLS.format(first=1000)}, "EXCHANGE_ADDED", 2),
    Case("F04c", "exchange that does not add up", "F", {"readings.csv": BILLS.format(first=1777)}, "EXCHANGE_CHECK", 2),
    Case(
        "F05",
        "settlements apart",
        "ok",
        {"readings.csv": BILLS.format(first=1200)},
        holds=lambda t: (
            t.readings.loc[t.readings["quality"].fillna("") == "adjustment", "energy_kwh"].tolist() == [-300.0]
        ),
    ),
    Case("F06", "total and bands", "N", {"readings.csv": BANDS}, "BANDS_LEFT_OUT", holds=lambda t: kwh(t) == 2100),
    Case(
        "F06b",
        "bands that are not the total",
        "F",
        {"readings.csv": BANDS.replace("尖,100", "尖,190")},
        "SUM_CHECK",
        2,
        holds=lambda t: kwh(t) == 2100,
    ),
    Case(
        "F06c",
        "no total",
        "N",
        {"readings.csv": "\n".join(x for x in BANDS.split("\n") if "总" not in x)},
        holds=lambda t: len(t.readings) == 2,
    ),
    Case("F08", "registers against energy", "F", {"readings.csv": TWO_ENDED.format(last=40)}, "MULTIPLIER_CHECK", 4),
    Case(
        "F08b",
        "registers and energy agree",
        "ok",
        {"readings.csv": TWO_ENDED.format(last=800)},
        holds=lambda t: kwh(t) == 2900,
    ),
]
