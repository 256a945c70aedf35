"""Files as county offices and grid companies really send them, beyond the list of bad input: each with its end."""

from __future__ import annotations

import io
from pathlib import Path

import xlsxwriter

import forms_kit as kit
from bad_input_cases import (
    PAIRS,
    READINGS,
    WELLS,
    XLS_ROWS,
    Case,
    changed_readings,
    rezipped,
    rows,
    same_total,
    sheet_with,
    with_column,
)

HEAD, *BODY = rows(READINGS)
LINKS = """表号,户号,取水口编号,综合倍率
M1,0500000001,0012,20
M2,0500000002,0013,20
M3,0500000003,0014,20
"""
BY_METER = [[f"M{int(meter) - 11}", *rest] for meter, *rest in BODY]


def text_of(heading: str, lines) -> str:
    """Write plain CSV."""
    return "\n".join([heading, *(",".join(map(str, line)) for line in lines)]) + "\n"


def months_as(write) -> str:
    """The readings by billing month, the month as `write` writes it."""
    return text_of("表号,电费年月,电量", [(m, write(int(s[:4]), int(s[5:7])), k) for m, s, _, k in BODY])


def county_form() -> bytes:
    """A merged title, a unit, townships merged downwards, their subtotals, the person who filled it in."""
    return kit.xlsx_of(
        [["某县2026年农灌机井用电情况统计表"], ["单位：千瓦时"], ["序号", "乡镇", "表号", "7月", "8月", "备注"],
         [1, "东乡", "0012", 1200, 1100, ""], [2, "", "0013", 900, 850, "换表"], ["", "东乡小计", "", 2100, 1950, ""],
         [3, "西乡", "0014", 800, 700, ""], ["", "西乡小计", "", 800, 700, ""], ["合计", "", "", 2900, 2650, ""],
         ["制表人：张三", "", "", "审核：李四"]],
        [(0, 0, 0, 5, "某县2026年农灌机井用电情况统计表"), (3, 1, 4, 1, "东乡")],
    )  # fmt: skip


def in_folder(**files: bytes | str):
    """Put files into a folder in place of the readings."""

    def make(folder: Path) -> None:
        (folder / "inputs" / "readings.csv").unlink()
        place = folder / "inputs" / "readings"
        place.mkdir()
        for name, data in files.items():
            (place / name).write_bytes(data if isinstance(data, bytes) else data.encode())

    return make


def of_1904() -> bytes:
    """Dates in the calendar of old Macintosh workbooks, which begins in 1904."""
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream, {"in_memory": True, "date_1904": True}) as made:
        sheet, dated = made.add_worksheet(), made.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_row(0, 0, HEAD)
        for r, (meter, start, end, kwh) in enumerate(BODY, 1):
            sheet.write_row(r, 0, [meter, "", "", float(kwh)])
            for c, day in ((1, start), (2, end)):
                sheet.write_datetime(r, c, kit.pd.Timestamp(day).to_pydatetime(), dated)
    return stream.getvalue()


def filtered() -> bytes:
    """Rows that a filter hides."""
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream, {"in_memory": True}) as made:
        sheet = made.add_worksheet()
        for r, row in enumerate([HEAD, *BODY]):
            sheet.write_row(r, 0, row)
        sheet.set_row(3, None, None, {"hidden": True})
    return stream.getvalue()


def months(tables) -> list[str]:
    """Months that the readings begin in."""
    return sorted({str(day)[:7] for day in tables.readings["start"].dropna()})


def whole_months(tables) -> bool:
    """Whether nothing is lost and every period is a month."""
    days = (tables.readings["end"] - tables.readings["start"]).dt.days
    return same_total(tables) and bool((days == 31).all())


def xlsx(data: bytes):
    """A workbook in place of the readings."""
    return {"readings.csv": None, "readings.xlsx": data}


FUTURE = "2026年度农灌电量统计\n表号," + ",".join(f"{m}月" for m in range(1, 13)) + "\n"
REGISTERS = "2026年抄表记录\n表号,6月30日示数,7月31日示数,8月31日示数\nM1,100,160,215\nM2,0,45,87.5\nM3,5,45,80\n"

UGLY = [
    Case("U county form", "title, unit, subtotals of townships, signatures", "N", xlsx(county_form()), "WIDE_READ",
        holds=same_total),
    Case("U sections", "townships as section rows, subtotals under each", "N", {"readings.csv":
        "表号,2026年7月,2026年8月\n东乡,,\n0012,1200,1100\n0013,900,850\n小计,2100,1950\n西乡,,\n0014,800,700\n"
        "小计,800,700\n总计,2900,2650\n"}, "TOTAL_ROWS_DROPPED", holds=same_total),
    Case("U pages", "sums carried from page to page", "N", {"readings.csv":
        READINGS.replace("0012,2026-08", "本页小计,,,2900\n承前页,,,2900\n0012,2026-08") + "过次页,,,5550\n"},
        "TOTAL_ROWS_DROPPED", holds=same_total),
    Case("U full width", "full-width digits in ids, dates and numbers", "N", changed_readings(
        "0012,2026-07-01,2026-08-01,1200", '００１２,２０２６－０７－０１,２０２６／０８／０１,"１，２００"'),
        holds=same_total),
    Case("U last day", "periods that end on their last day", "W", {"readings.csv":
        READINGS.replace("07-01,2026-08-01", "07-01,2026-07-31").replace("2026-09-01", "2026-08-31")},
        "END_INCLUSIVE", 2, holds=whole_months),
    Case("U last minute", "a period that ends at 23:59:59", "N", changed_readings(
        "2026-08-01,1200", "2026-07-31 23:59:59,1200"), holds=whole_months),
    Case("U read day", "last days on the 25th, all of one month", "W", {"readings.csv":
        text_of(",".join(HEAD), [(m, "2026-06-26", "2026-07-25", k) for m, _, _, k in BODY[:3]])}, "END_INCLUSIVE",
        holds=lambda t: set(t.readings["end"].dt.day) == {26}),
    Case("U 2026年7月", "months in words", "N", {"readings.csv": months_as("{}年{}月".format)}, holds=same_total),
    Case("U 202607.0", "months that pandas wrote", "N", {"readings.csv": months_as("{}{:02d}.0".format)},
        holds=same_total),
    Case("U 2026.1", "an October that lost its zero", "F", {"readings.csv":
        "表号,电费年月,电量\n0012,2026.09,1200\n0012,2026.1,1100\n"}, "AMBIGUOUS_DATE", 3,
        holds=lambda t: months(t) == ["2026-09"]),
    Case("U 2026.1 wide", "the same in the headings", "R", {"readings.csv":
        "表号,2026.9,2026.1,2026.11\n0012,1,2,3\n0013,4,5,6\n"}, "PERIOD_DOUBTFUL"),
    Case("U 26年7月", "no month can be told", "R", {"readings.csv":
        "表号,电费年月,电量\n0012,26年7月,1200\n0012,Aug-26,1100\n"}, "NO_USABLE_READING"),
    Case("U year, month", "年 and 月 in columns of their own", "N", {"readings.csv":
        text_of("表号,年,月,电量", [(m, s[:4], int(s[5:7]), k) for m, s, _, k in BODY])}, "YEAR_TAKEN",
        holds=same_total),
    Case("U year to come", "zeros in the months that nobody has read yet", "F", {"readings.csv": FUTURE +
        "".join(f"{m}," + ",".join(["0"] * 6 + [a, b] + ["0"] * 4) + "\n" for m, a, b in
            (("0012", "1200", "1100"), ("0013", "900", "850"), ("0014", "800", "700")))}, "MONTH_ALL_ZERO"),
    Case("U last year's", "上年同期, 累计 and 同比 beside the months", "N", {"readings.csv":
        "2026年\n表号,7月,8月,本年累计,上年同期,同比%\n0012,1200,1100,2300,2000,15%\n0013,900,850,1750,1700,3%\n"
        "0014,800,700,1500,1400,7%\n"}, "WIDE_READ", holds=same_total),
    Case("U registers by day", "6月30日示数 in the heading", "N", {"meters.csv": LINKS, "readings.csv": REGISTERS},
        "WIDE_READ", holds=lambda t: min(map(str, t.readings["read_on"].dt.date)) == "2026-06-30"),
    Case("U cumulative", "energy since January is no month's", "R", {"readings.csv":
        "表号,2026年7月累计电量,2026年8月累计电量\n0012,1200,2300\n"}, "HEADER_NOT_FOUND"),
    Case("U two titles", "the same headings again under the title of another month", "R", {"readings.csv":
        "2026年7月\n表号,电量\n0012,1200\n0013,900\n\n2026年8月\n表号,电量\n0012,1100\n0013,850\n"},
        "TABLES_STACKED", 6),
    Case("U sheets", "a sheet a month, the year in the file's name", "N", {"readings.csv": None, "2026年电量.xlsx":
        kit.xlsx_of([["表号", "电量"], ["0012", 1200], ["0013", 900], ["0014", 800]], title="7月",
            **{"8月": [["表号", "电量"], ["0012", 1100], ["0013", 850], ["0014", 700]]})}, "PERIOD_FROM_NAME",
        toml='[inputs]\nreadings = "inputs/2026年电量.xlsx#*"\n', holds=same_total),
    Case("U zip", "an archive of monthly files with Chinese names in a folder", "N", in_folder(**{"电量.zip":
        kit.zip_of({f"2026年{m}月.csv": text_of("户号,电量", [(a, k) for a, s, _, k in BODY if int(s[5:7]) == m])
            for m in (7, 8)})}), "PERIOD_FROM_NAME", holds=same_total),
    Case("U two companies", "two grid companies, two forms, two encodings", "N", in_folder(**{
        "国网.csv": text_of("用户编号,用户名称,电费年月,有功总电量",
            [(m, "甲", s[:7].replace("-", ""), k) for m, s, _, k in BODY if m == "0012"]),
        "农电.csv": text_of("电表资产编号,抄表起始日期,抄表截止日期,用电量(度)",
            [(m, s.replace("-", "/"), e.replace("-", "/"), k) for m, s, e, k in BODY if m != "0012"]).encode("gbk")}),
        "ENCODING_NORMALISED", holds=same_total),
    Case("U 户号 and 表号", "rows shifted against their accounts", "F", {"meters.csv": LINKS, "readings.csv":
        text_of(",".join(["户号", *HEAD]), [(f"050000000{int(row[0][1]) % 3 + 1}", *row) for row in BY_METER])},
        "ACCOUNT_MISMATCH", 2, holds=same_total),
    Case("U ids 12.0", "identifiers that pandas turned into numbers", "F", {"readings.csv":
        text_of(",".join(HEAD), [(f"{int(m)}.0", *rest) for m, *rest in BODY])}, "ID_LENGTH", 2),
    Case("U OO12", "a letter for a digit", "F", changed_readings("0012,", "OO12,"), "ORPHAN_READING", 2),
    Case('U ="0012"', "text forced by a formula", "N", {"readings.csv": None, "readings.xls":
        "\n".join("\t".join([f'="{line[0]}"' if i else line[0], *line[1:]]) for i, line in enumerate([HEAD, *BODY]))
        .encode("utf-16")}, "VALUES_NORMALISED", holds=same_total),
    Case("U BOM lies", "a mark of UTF-8 before GBK", "N", {"readings.csv": b"\xef\xbb\xbf" + READINGS.encode("gbk")},
        "ENCODING_NORMALISED", holds=same_total),
    Case("U UTF-32", "UTF-32", "R", {"readings.csv": READINGS.encode("utf-32")}, "ENCODING"),
    Case("U semicolons", "semicolons", "ok", {"readings.csv": READINGS.replace(",", ";")}, holds=same_total),
    Case("U decimal commas", "semicolons and decimal commas", "F", {"readings.csv":
        READINGS.replace(",", ";").replace("1200", "1200,5")}, "NOT_A_NUMBER", 2),
    Case("U heading/unit", "电量/kWh", "ok", {"readings.csv": READINGS.replace("电量", "电量/kWh")},
        holds=same_total),
    Case("U joined files", "monthly files put behind each other, their marks inside", "N", {"readings.csv":
        "\ufeff" + text_of(",".join(HEAD), BODY[:3]) + "\ufeff" + text_of(",".join(HEAD), BODY[3:])},
        "HEADINGS_REPEATED", 5, holds=same_total),
    Case("U 1904", "the calendar of 1904", "ok", xlsx(of_1904()), holds=whole_months),
    Case("U #", "well names such as 1#井", "ok", {name: text.replace("0012", "1#井") for name, text in
        (("wells.csv", WELLS), ("readings.csv", READINGS), ("pairs.csv", PAIRS))}, holds=same_total),
    Case("U catch-up", "a negative settlement of the same month", "F", {"readings.csv":
        READINGS + "0012,2026-07-01,2026-08-01,-300\n"}, "NEGATIVE_ENERGY", 8),
    Case("U marks for nothing", "— / 无 - for blank", "F", {"readings.csv": READINGS.replace(",1200", ",—")
        .replace(",900", ",/").replace(",800", ",无").replace(",1100", ",-")}, "READING_INCOMPLETE", 2,
        holds=lambda t: t.readings["energy_kwh"].sum() == 1550),
    Case("U money", "yuan are no kWh", "F", changed_readings(",1200", ",1200元"), "NOT_A_NUMBER", 2),
    Case("U accountants' minus", "a negative number in brackets", "F", changed_readings(",1200", ",(1200)"),
        "NOT_A_NUMBER", 2),
    Case("U one column", "text pasted into one column of a sheet", "R", xlsx(kit.xlsx_of([[",".join(r)] for r in
        [HEAD, *BODY]])), "HEADER_NOT_FOUND"),
    Case("U ods", "an OpenDocument sheet whose end is misspelt", "R", {"readings.csv": None,
        "readings.ods": rezipped(kit.ods_of(XLS_ROWS), lambda n, b: b.replace(b"</text:p></table:table-cell></table:"
            b"table-row></table:table>", b"</textx:p></table:table-cell></table:table-row></table:table#"))},
        "FILE_BROKEN"),
    Case("U rar", "an archive that nothing opens", "R", {"readings.csv": None, "readings.rar": b"Rar!\x1a\x07\x00"},
        "FILE_FORMAT"),
    Case("U hidden rows", "rows that a filter hides are data", "ok", xlsx(filtered()), holds=same_total),
    Case("U multiplier 100/5", "a multiplier that is a ratio", "W", {"meters.csv":
        LINKS.replace("0012,20", "0012,100/5"), "readings.csv": text_of(",".join(HEAD), BY_METER)},
        "MULTIPLIER_FROM_RATIO", 2, holds=lambda t: t.meters["multiplier"].iloc[0] == 20.0),
    Case("U multiplier 5/100", "a ratio the wrong way round", "F", {"meters.csv":
        LINKS.replace("0012,20", "0012,5/100"), "readings.csv": text_of(",".join(HEAD), BY_METER)},
        "MULTIPLIER_UNKNOWN", 2),
    Case("U link order", "a link that ends before it begins", "F", {"meters.csv":
        "表号,取水口编号,启用日期,停用日期\n0012,0012,2026-08-01,2026-01-01\n0013,0013,,\n0014,0014,,\n"},
        "PERIOD_ORDER", 2),
    Case("U shares in percent", "60% is 0.6, 40 is not 0.4", "F", {"meters.csv":
        "表号,取水口编号,分摊比例\nM1,0012,60%\nM1,0013,40\nM3,0014,1\n", "readings.csv":
        text_of(",".join(HEAD), [row for row in BY_METER if row[0] != "M2"])}, "OUT_OF_RANGE", 3),
    Case("U stray remark", "a remark far to the right of the table", "W", xlsx(sheet_with({"H3": "此表已核"})),
        holds=same_total),
    # Cases of the list that a reader cannot end by itself
    Case("D12 45", "a coefficient of 45 for 4.5", "F", {"pairs.csv": PAIRS.replace("100,400", "100,4500")},
        "COEF_RANGE", 2),
    Case("D12 inverse", "kWh/m³ for m³/kWh", "F", {"pairs.csv": PAIRS.replace("100,400", "400,100")}, "COEF_RANGE", 2),
    Case("E11", "a permit renewed under a new number within the quarter", "ok", {
        "wells.csv": with_column(WELLS, "取水许可证编号", *["C370212G2026-0009"] * 3), "permits.csv":
        "取水许可证编号,取水权人,年许可水量（m³）,有效期起,有效期止\nC370212G2021-0001,甲,20000,2021-08-15,2026-08-15\n"
        "C370212G2026-0009,甲,20000,2026-08-15,2031-08-15\n"}, holds=same_total),
    Case("G05", "a meter whose wells lie 40 km apart", "F", {
        "wells.csv": with_column(WELLS, "经度,纬度", "114.1,36.5", "114.11,36.5", "114.55,36.5"), "meters.csv":
        "表号,取水口编号,分摊比例\nM1,0012,0.5\nM1,0014,0.5\nM2,0013,1\n", "readings.csv":
        text_of(",".join(HEAD), [row for row in BY_METER if row[0] != "M3"])}, "LINK_FAR", 2),
]  # fmt: skip
