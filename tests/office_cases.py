"""Exports of other provinces and companies, written after the readers were: each with its end."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import xlsxwriter

import forms_kit as kit
from bad_input_cases import CLEAN, READINGS, Case, changed_readings, same_total, wide, with_column
from ugly_cases import BODY, HEAD, months_as, text_of, whole_months, xlsx

TWO_MONTHS = [("0012", 1200, 1100), ("0013", 900, 850), ("0014", 800, 700)]
MARKETING = (
    "抄表段编号,抄表段名称,用户编号,用户名称,用电地址,资产编号,示数类型,上次示数,本次示数,综合倍率,抄见电量,"
    "抄表日期,上次抄表日期"
)


def book_of(fill, **options) -> bytes:
    """Write a workbook by a function of it."""
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream, {"in_memory": True, **options}) as made:
        fill(made)
    return stream.getvalue()


def marketing() -> str:
    """The marketing system's list of registers: tabs behind numbers, 抄表日期 and 上次抄表日期, the energy stated."""
    lines, last = [MARKETING], {}
    for meter, start, end, kwh in BODY:
        before = last.get(meter, 100.0)
        last[meter] = before + float(kwh) / 20
        lines.append(
            f"0710203\t,东乡农灌\t,050000{meter}\t,张三,东乡王村,{meter},正向有功（总）,{before},{last[meter]},20,{kwh},"
            f"{end},{start}"
        )
    return "\n".join(lines) + "\n"


def dated_headings(form: str):
    """Months in the headings are dates that a format shows as months."""

    def fill(made) -> None:
        sheet, shown = made.add_worksheet(), made.add_format({"num_format": form})
        sheet.write(0, 0, "表号")
        for column, month in ((1, 7), (2, 8)):
            sheet.write_datetime(0, column, pd.Timestamp(2026, month, 1).to_pydatetime(), shown)
        for r, row in enumerate(TWO_MONTHS, 1):
            sheet.write_row(r, 0, row)

    return fill


def two_years(made) -> None:
    """Two years side by side, the year merged over its months, four months to come."""
    sheet = made.add_worksheet()
    sheet.merge_range(0, 0, 0, 24, "机井用电量统计（千瓦时）")
    sheet.merge_range(1, 0, 2, 0, "表号")
    for number, year in enumerate(("2025年", "2026年")):
        sheet.merge_range(1, 1 + 12 * number, 1, 12 + 12 * number, year)
        sheet.write_row(2, 1 + 12 * number, [f"{month}月" for month in range(1, 13)])
    for r, meter in enumerate(("0012", "0013", "0014"), 3):
        sheet.write_row(r, 0, [meter, *(100 + c for c in range(20))])


def three_rows(made) -> None:
    """Quarter over month over 电量 and 电费: money is no energy."""
    sheet = made.add_worksheet()
    sheet.merge_range(0, 0, 0, 4, "2026年度")
    sheet.merge_range(1, 0, 3, 0, "电表编号")
    sheet.merge_range(1, 1, 1, 4, "第三季度")
    sheet.merge_range(2, 1, 2, 2, "7月")
    sheet.merge_range(2, 3, 2, 4, "8月")
    sheet.write_row(3, 1, ["电量", "电费", "电量", "电费"])
    for r, (meter, july, august) in enumerate(TWO_MONTHS, 4):
        sheet.write_row(r, 0, [meter, july, july * 0.5, august, august * 0.5])


def monthly_sheets(*more: str):
    """A sheet a month, and sheets that sum them."""

    def fill(made) -> None:
        for name, column in (("7月", 1), ("8月", 2), *((word, 0) for word in more)):
            sheet = made.add_worksheet(name)
            sheet.write_row(0, 0, ["表号", "电量"])
            for r, row in enumerate(TWO_MONTHS, 1):
                sheet.write_row(r, 0, [row[0], row[column] if column else row[1] + row[2]])

    return fill


def with_hidden(name: str, table):
    """The data behind a sheet that is hidden."""

    def fill(made) -> None:
        hidden, shown = made.add_worksheet(name), made.add_worksheet("数据")
        for sheet, lines in ((hidden, table), (shown, [HEAD, *BODY])):
            for r, row in enumerate(lines):
                sheet.write_row(r, 0, row)
        hidden.hide()
        shown.activate()
        shown.set_first_sheet()

    return fill


def moved(made) -> None:
    """A table that begins in C5."""
    sheet = made.add_worksheet()
    for r, row in enumerate([HEAD, *BODY]):
        sheet.write_row(r + 4, 2, row)


def page(body: str, charset: str = "utf-8") -> dict[str, bytes | None]:
    """HTML named .xls in place of the readings."""
    text = f'<html><head><meta charset="{charset}"></head><body>{body}</body></html>'
    return {"readings.csv": None, "readings.xls": text.encode(charset)}


def cells(lines, mark: str = "td") -> str:
    """Rows of a table of HTML."""
    return "".join("<tr>" + "".join(f"<{mark}>{cell}</{mark}>" for cell in line) + "</tr>" for line in lines)


def apart(folder: Path) -> None:
    """Multipliers in a file without wells."""
    place = folder / "inputs" / "meters"
    place.mkdir()
    (place / "对应.csv").write_text("表号,取水口编号\n0012,0012\n0013,0013\n0014,0014\n", encoding="utf-8")
    (place / "倍率.csv").write_text("表号,综合倍率\n0012,20\n0013,20\n0014,20\n", encoding="utf-8")


def zip_in_zip(folder: Path) -> None:
    """An archive within an archive."""
    (folder / "inputs" / "readings.csv").unlink()
    (folder / "inputs" / "readings.zip").write_bytes(kit.zip_of({"a.zip": kit.zip_of({"7.csv": READINGS})}))


def ends_on(text: str):
    """The first period with another way to write its end."""
    return changed_readings("2026-07-01,2026-08-01,1200", f"2026-07-01,{text},1200")


def in_unit(heading: str, by: float) -> dict[str, str]:
    """The readings in another unit."""
    return {
        "readings.csv": text_of(",".join([*HEAD[:3], heading]), [(*r[:3], f"{float(r[3]) / by:.10g}") for r in BODY])
    }


def periods(write) -> dict[str, str]:
    """Both days of a period in one column."""
    return {"readings.csv": text_of("户号,计费周期,电量", [(m, write(s, e), k) for m, s, e, k in BODY])}


def begins_at(hour: int):
    """Whether the first period ends at an hour of the 1st of August."""
    return lambda t: same_total(t) and t.readings["end"].iloc[0] == pd.Timestamp(2026, 8, 1, hour)


ENGLISH = {7: "Jul", 8: "August"}
ALL_SHEETS = '[inputs]\nreadings = "inputs/2026年.xlsx#*"\n'
OF_JULY = "2026年7月农灌电量\n表号,本月电量,本年累计\n0012,1200,5000\n0013,900,4000\n0014,800,3500\n"
SIGNED = (
    "注：1.数据来源于营销系统；,,,\n    2.电量单位为千瓦时。,,,\n单位负责人（签字）：    日期：2026年9月5日,,,\n"
    "（盖章）,,,\n"
)
TITLES = ("单位：万千瓦时", "农灌电量（单位：万kWh、万元）", "某县用电统计表（万千瓦时）")

OFFICE = [
    Case("V marketing", "the marketing system's export", "N", {"readings.csv": marketing()}, holds=whole_months),
    Case("V 1.30123E+12", "accounts that a spreadsheet made numbers of", "R", {"readings.csv":
        "户号,电费年月,电量\n1.30123E+12,202607,1200\n1.30123E+12,202607,900\n"}, "ID_PRECISION_LOST", 2),
    Case("V ids as numbers", "identifiers as numbers in a workbook", "F", xlsx(kit.xlsx_of([HEAD, *([int(r[0]), *r[1:3],
        float(r[3])] for r in BODY)])), "ID_LENGTH", 2),
    Case("V multipliers apart", "multipliers in a file of their own", "R", apart, "MISSING_COLUMN"),
    Case("V Jul-26", "as a spreadsheet shows 2026-7", "N", {"readings.csv": wide("Jul-26,Aug-26")}, "WIDE_READ",
        holds=same_total),
    Case("V July 2026", "English months", "N", {"readings.csv": wide("July 2026,August 2026")}, "WIDE_READ",
        holds=same_total),
    Case("V Jul-15 … 18", "days that look like years", "R", {"readings.csv":
        "表号,Jul-15,Jul-16,Jul-17,Jul-18\n0012,1,2,3,4\n"}, "PERIOD_DOUBTFUL"),
    Case("V 26年7月", "years of two digits in the headings", "R", {"readings.csv": wide("26年7月,26年8月")},
        "HEADER_NOT_FOUND"),
    *(Case(f"V dated {form}", "headings that are dates", "N", xlsx(book_of(dated_headings(form))), "WIDE_READ",
        holds=same_total) for form in ('yyyy"年"m"月"', "mmm-yy")),
    Case("V two years", "24 months under two years", "N", xlsx(book_of(two_years)), "WIDE_READ", holds=lambda t:
        len(t.readings) == 60 and t.readings["energy_kwh"].sum() == 6570),
    Case("V three rows", "headings of three rows with money beside energy", "N", xlsx(book_of(three_rows)),
        "WIDE_READ", holds=same_total),
    Case("V 本年累计", "the month of the title is not that of 本年累计", "N", {"readings.csv": OF_JULY},
        "PERIOD_FROM_NAME", holds=lambda t: t.readings["energy_kwh"].sum() == 2900),
    *(Case(f"V {heading}", "a unit in the heading", "N", in_unit(heading, by), "UNIT_CONVERTED", holds=same_total)
        for heading, by in (("售电量（MWh）", 1e3), ("用电量【万kWh】", 1e4), ("电量 单位：万千瓦时", 1e4),
            ("电量(千度)", 1e3), ("电量(亿千瓦时)", 1e8))),
    *(Case(f"V {title}", "the unit in the title", "N", {"readings.csv": f"{title}\n" + in_unit("电量", 1e4)[
        "readings.csv"]}, "UNIT_CONVERTED", holds=same_total) for title in TITLES),
    Case("V two units", "a title with two units", "R", {"readings.csv": "单位：万千瓦时、千瓦时\n" + READINGS},
        "HEADING_UNIT"),
    Case("V notes", "numbered notes and signatures below", "N", {"readings.csv": READINGS + SIGNED},
        "NOTE_ROWS_DROPPED", 8, holds=lambda t: same_total(t) and len(t.readings) == 6),
    Case("V signatures", "signatures in cells of their own, a date alone", "N", {"readings.csv":
        READINGS + "制表：,张三,审核：,李四\n2026年9月5日,,,\n"}, "NOTE_ROWS_DROPPED", 8,
        holds=lambda t: same_total(t) and len(t.readings) == 6),
    Case("V printed", "打印时间 and page", "N", {"readings.csv": READINGS + "打印时间：2026-09-05,,第1页/共1页,\n"},
        "NOTE_ROWS_DROPPED", 8, holds=same_total),
    *(Case(f"V {text}", "a moment of the day", "N", ends_on(text), holds=begins_at(hour)) for text, hour in (
        ("2026-07-31 24:00", 0), ("2026年7月31日24时00分", 0), ("20260801 08:00:00", 8), ("20260801150000", 15),
        ("2026/8/1 上午 8:00:00", 8), ("2026/8/1 下午 3:00", 15), ("2026-08-01 12:00 AM", 0), ("1-Aug-2026", 0),
        ("2026。8。1", 0))),
    *(Case(f"V {text}", "no date that can be told", "F", ends_on(text), rule, 2) for text, rule in (
        ("01-Aug-26", "NOT_A_DATE"), ("2026/08", "NOT_A_DATE"), ("1785513600", "NOT_A_DATE"),
        ("2026-07-31 25:00", "NOT_A_DATE"), ("0026-08-01", "OUT_OF_RANGE"))),
    *(Case(f"V {text}", "a minus that is not one", "F", changed_readings(",1200", f",{text}"), "NEGATIVE_ENERGY", 2)
        for text in ("－1200", "−1200", "–1200")),
    *(Case(f"V {text}", "a number as people write it", "N", changed_readings(",1200", f',"{text}"'),
        "VALUES_NORMALISED", holds=same_total) for text in ("1 200", "0.12万", "1.2千度", "1,200度", "1200 kWh")),
    *(Case(f"V {text}", "no number", "F", changed_readings(",1200", f',"{text}"'), "NOT_A_NUMBER", 2) for text in (
        "1200-", "12,00", "1.200,00", "约1200", "1200(估)", "=60*20", "一千二百", "欠费停电")),
    Case("V sheets", "a sheet a month and nobody says which", "R", xlsx(book_of(monthly_sheets())),
        "SHEETS_AMBIGUOUS"),
    Case("V sheets, no year", "a sheet a month, the year nowhere", "R", xlsx(book_of(monthly_sheets())),
        "YEAR_UNKNOWN", toml='[inputs]\nreadings = "inputs/readings.xlsx#*"\n'),
    Case("V sheets and sum", "a sheet a month and their sum", "W", {"readings.csv": None,
        "2026年.xlsx": book_of(monthly_sheets("全年汇总"))}, "TOTAL_SHEET", toml=ALL_SHEETS, holds=same_total),
    Case("V hidden copy", "an old copy in a hidden sheet", "W", xlsx(book_of(with_hidden("旧", [HEAD, *BODY]))),
        "HIDDEN_SHEET", holds=same_total),
    Case("V hidden codes", "a hidden list of codes", "ok", xlsx(book_of(with_hidden("码表", [["代码"], ["1"]]))),
        holds=same_total),
    Case("V from C5", "a table that begins in C5", "ok", xlsx(book_of(moved)), holds=same_total),
    Case("V 电量 twice", "one column twice", "R", {"readings.csv": with_column(READINGS, "电量",
        *(row[3] for row in BODY))}, "DUPLICATE_HEADING"),
    Case("V two 电量", "one quantity in two units", "R", {"readings.csv": with_column(READINGS, "电量(万kWh)",
        *(f"{float(row[3]) / 1e4}" for row in BODY))}, "DUPLICATE_HEADING"),
    Case("V empty columns", "commas behind every row", "ok", {"readings.csv": READINGS.replace("\n", ",,,,\n")},
        holds=same_total),
    Case("V old Macintosh", "lines that end in CR", "ok", {"readings.csv": READINGS.replace("\n", "\r")},
        holds=same_total),
    Case("V line break", "a line break within quotes", "ok", {"readings.csv":
        with_column(READINGS, "备注", '"换表\n已核"', "", "", "", "", "")}, holds=same_total),
    Case("V open quote", "a quote that nobody closes", "R", {"readings.csv": READINGS.replace("0012,2026-07",
        '"0012,2026-07')}, "FILE_BROKEN"),
    Case("V inches", "a quote for inches", "ok", {"readings.csv": with_column(READINGS, "备注", '6" 管', *[""] * 5)},
        holds=same_total),
    Case("V NUL", "a NUL within an identifier", "R", {"readings.csv": READINGS.replace("0013", "00\x0013", 1)},
        "ENCODING", 3),
    Case("V pipes", "a delimiter that is none of ours", "R", {"readings.csv": READINGS.replace(",", "|")},
        "HEADER_NOT_FOUND"),
    Case("V sep=;", "a line that tells a spreadsheet its delimiter", "ok", {"readings.csv":
        "sep=;\n" + READINGS.replace(",", ";")}, holds=same_total),
    Case("V UTF-16 BE", "UTF-16 the other way round", "N", {"readings.csv":
        b"\xfe\xff" + READINGS.encode("utf-16-be")}, "ENCODING_NORMALISED", holds=same_total),
    Case("V HTML list", "breaks and blanks in HTML", "N", page("<table>" + cells([["表&nbsp;号", "开始<br>日期",
        "结束日期", "电量<br/>(kWh)"], *([*r[:3], f"<b>{int(r[3]):,}</b>&nbsp;"] for r in BODY)]) + "</table>"),
        holds=same_total),
    Case("V HTML in HTML", "a table within the table of a page", "N", page("<table><tr><td>某县供电公司</td></tr><tr>"
        "<td><table>" + cells([HEAD, *BODY]) + "</table></td></tr></table>", "gbk"), holds=same_total),
    Case("V HTML sum", "head, body and foot", "N", page("<table><thead>" + cells([HEAD], "th") + "</thead><tbody>" +
        cells(BODY) + "</tbody><tfoot><tr><td colspan=3>合计</td><td>5550</td></tr></tfoot></table>"),
        "TOTAL_ROWS_DROPPED", holds=same_total),
    Case("V zip in zip", "an archive within an archive", "R", zip_in_zip, "FILE_FORMAT"),
    *(Case(f"V period {number}", "both days of a period in one column", "N", periods(write), holds=whole_months)
        for number, write in enumerate((lambda s, e: f"{s}至{e}", lambda s, e: f"{s}~{e}".replace("-", "."),
            lambda s, e: f"{s.replace('-', '')}-{e.replace('-', '')}"))),
    *(Case(f"V month {number}", "a month as people write it", "N", {"readings.csv": months_as(write)},
        holds=same_total) for number, write in enumerate(("{}年{:02d}月份".format, "{}{:02d}期".format,
            "{} 年 {} 月".format, "{}年第{}月".format, "{}M{:02d}".format, lambda y, m: f"{ENGLISH[m]} {y}"))),
    Case("V quarters", "a column a quarter", "N", {"readings.csv": wide("2026Q2,2026年三季度")}, "WIDE_READ",
        holds=same_total),
    Case("V zero days", "a period that ends where it begins", "F", ends_on("2026-07-01"), "READING_PERIOD", 2),
    Case("V year among months", "a bill of the year beside its months", "F", {"readings.csv":
        READINGS + "0012,2026-01-01,2027-01-01,9000\n"}, "READING_OVERLAP", 8),
    Case("V no energy", "a column of blanks", "R", {"readings.csv": text_of(",".join(HEAD), [(*r[:3], "") for r in
        BODY])}, "NO_USABLE_READING"),
    Case("V d0012", "small letters in identifiers", "F", {**{name: text.replace("0012", "D0012") for name, text in
        CLEAN.items()}, "readings.csv": READINGS.replace("0012", "d0012")}, "ORPHAN_READING", 2),
    Case("V deep", "seventeen lines of explanation above", "ok", {"readings.csv":
        "".join(f"说明第{i}行,,,\n" for i in range(17)) + READINGS}, holds=same_total),
    # Cases of the list that need a configuration, a calendar or a clock
    *(Case(f"D13 {text}", "a percentage where a part of one is asked for", "C", toml=
        f"[estimate]\nconfidence = {text}\n", rule="confidence") for text in ("90", "5", '"90%"', "0.05", "1.0")),
    Case("E12", "a year whose holidays nobody has published", "ok", {name: text.replace("2026-", "2027-") for
        name, text in CLEAN.items()}, holds=same_total),
    Case("E13", "read on a working Saturday", "ok", {"readings.csv": "表号,抄表日期,示数\n" + "".join(
        f"{m},{day},{at}\n" for m, *_ in TWO_MONTHS for day, at in (("2026-01-04", 100), ("2026-02-14", 160)))},
        holds=lambda t: len(t.readings) == 6),
    Case("E14", "a machine that thinks it is in another time zone", "ok", ends_on("2026-07-31T16:00:00Z"),
        zone="Pacific/Kiritimati", holds=whole_months),
]  # fmt: skip
