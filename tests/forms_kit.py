"""The readings of a county in the forms in which offices and grid companies hold them."""

import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import xlsxwriter
import xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

TITLE = "示范县农灌机井用电量明细表"
NOTES = [["注：本表由供电公司营销系统导出"], ["填表人：张三", "", "审核人：李四"]]


def csv_of(rows, delimiter=","):
    """Write rows as delimited text."""
    return "".join(delimiter.join("" if cell is None else str(cell) for cell in row) + "\n" for row in rows)


def xlsx_of(rows, merged=(), title="Sheet1", **more):
    """Write an xlsx; `merged` are (top, left, bottom, right, text)."""
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream, {"in_memory": True, "strings_to_numbers": False}) as book:
        for name, table in {title: rows, **more}.items():
            sheet = book.add_worksheet(name)
            for r, row in enumerate(table):
                for c, cell in enumerate(row):
                    if cell not in (None, ""):
                        sheet.write(r, c, cell)
            for top, left, bottom, right, text in merged:
                sheet.merge_range(top, left, bottom, right, text)
    return stream.getvalue()


def xls_of(rows, merged=()):
    """Write a BIFF8 workbook of Excel 97."""
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("电量")
    covered = {
        (r, c) for top, left, bottom, right, _ in merged for r in range(top, bottom + 1) for c in range(left, right + 1)
    }
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            if cell not in (None, "") and (r, c) not in covered:
                sheet.write(r, c, cell)
    for top, left, bottom, right, text in merged:
        sheet.write_merge(top, bottom, left, right, text)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def ods_of(rows):
    """Write an OpenDocument spreadsheet."""
    document = OpenDocumentSpreadsheet()
    table = Table(name="电量")
    for row in rows:
        line = TableRow()
        for cell in row:
            number = isinstance(cell, (int, float)) and not isinstance(cell, bool)
            item = TableCell(valuetype="float", value=cell) if number else TableCell(valuetype="string")
            item.addElement(P(text="" if cell is None else str(cell)))
            line.addElement(item)
        table.addElement(line)
    document.spreadsheet.addElement(table)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def html_of(rows, heading_rows=(), encoding="gb18030"):
    """Write what web systems call .xls; `heading_rows` are lists of (text, rowspan, colspan)."""

    def cell(text, down=1, right=1):
        spans = (f" rowspan={down}" if down > 1 else "") + (f" colspan={right}" if right > 1 else "")
        return f"<td{spans}>{'' if text is None else text}</td>"

    lines = ["".join(cell(*item) for item in row) for row in heading_rows] + ["".join(map(cell, row)) for row in rows]
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    page = f'<html><head><meta charset="{encoding}"></head><body><table border=1>\n{body}</table></body></html>'
    return page.encode(encoding)


def xml_of(rows):
    """Write the XML of Excel 2003."""

    def cell(value):
        kind = "Number" if isinstance(value, (int, float)) else "String"
        return "<Cell/>" if value in (None, "") else f'<Cell><Data ss:Type="{kind}">{value}</Data></Cell>'

    body = "".join(f"<Row>{''.join(map(cell, row))}</Row>" for row in rows)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><?mso-application progid="Excel.Sheet"?>'
        '<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet" '
        'xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet">'
        f'<Worksheet ss:Name="电量"><Table>{body}</Table></Worksheet></Workbook>'
    ).encode()


_GbkInfo = type(
    "_GbkInfo",
    (zipfile.ZipInfo,),
    {"_encodeFilenameFlags": lambda self: (self.filename.encode("gb18030"), self.flag_bits)},
)


def zip_of(members):
    """Pack files as Chinese Windows does: names in GBK without the flag."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(_GbkInfo(name), data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def months_of(readings):
    """Give the months of the readings in order."""
    return sorted({text[:7] for text in readings["start"]})


def grid(readings):
    """Give meters, months, and kWh (meters, months) with NaN where there is no reading."""
    named = readings.assign(month=readings["start"].str[:7])
    wide = named.pivot_table(index="meter_id", columns="month", values="energy_kwh", aggfunc="sum")
    return list(wide.index), list(wide.columns), wide.to_numpy()


def _value(kwh):
    return None if np.isnan(kwh) else float(kwh)


def wide_rows(readings, heading="{y}年{m}月", first=("序号", "表号", "户名")):
    """One row of headings, a column a month, totals and notes below."""
    meters, months, kwh = grid(readings)
    head = [*first, *(heading.format(y=month[:4], m=int(month[5:])) for month in months), "合计"]
    body = [
        [i, meter, f"户{i}", *map(_value, row), round(float(np.nansum(row)), 2)]
        for i, (meter, row) in enumerate(zip(meters, kwh, strict=True), start=1)
    ]
    total = ["", "合计", "", *(round(float(v), 2) for v in np.nansum(kwh, axis=0)), round(float(np.nansum(kwh)), 2)]
    return [head, *body, total, *NOTES]


def merged_wide(readings):
    """A merged title and headings of two rows: the year over its months."""
    rows = wide_rows(readings)
    months = months_of(readings)
    years = [month[:4] for month in months]
    top = ["序号", "表号", "户名", *(f"{year}年" for year in years), "合计"]
    lower = ["", "", "", *(f"{int(month[5:])}月" for month in months), ""]
    width = len(top)
    merged = [(0, 0, 0, width - 1, TITLE), *((1, c, 2, c, top[c]) for c in (0, 1, 2, width - 1))]
    for year in dict.fromkeys(years):
        left, count = 3 + years.index(year), years.count(year)
        if count > 1:
            merged.append((1, left, 1, left + count - 1, f"{year}年"))
    return [[TITLE], top, lower, *rows[1:]], merged


def long_rows(readings, headings=("表号", "开始日期", "结束日期", "电量（千瓦时）")):
    """The billing form."""
    columns = ["meter_id", "start", "end", "energy_kwh"]
    return [list(headings), *readings[columns].astype(object).to_numpy().tolist()]


def of_month(readings, month):
    """The rows of one month without any date."""
    some = readings[readings["start"].str[:7] == month]
    return [["户号", "用电量"], *some[["meter_id", "energy_kwh"]].astype(object).to_numpy().tolist()]


def bands_of(readings):
    """总, 尖, 峰, 平 and 谷 as rows of their own; parts sum to the total."""
    rows = [["表号", "电费年月", "示数类型", "有功电量"]]
    for meter, start, kwh in readings[["meter_id", "start", "energy_kwh"]].itertuples(index=False):
        parts = [round(kwh * share, 2) for share in (0.1, 0.3, 0.4)]
        parts.append(round(kwh - sum(parts), 2))
        names = ("有功（总）", "有功（尖峰）", "有功（峰）", "有功（平）", "有功（谷）")
        for name, value in zip(names, (kwh, *parts), strict=True):
            rows.append([meter, start[:7].replace("-", ""), name, value])
        rows.append([meter, start[:7].replace("-", ""), "反向有功（总）", 7.0])
    return rows


def band_columns(readings, *, total=True):
    """总, 尖, 峰, 平 and 谷 under one heading of two rows."""
    head = [["表号", "开始日期", "结束日期", "电量(kWh)", "", "", "", ""], ["", "", "", "总", "尖", "峰", "平", "谷"]]
    rows = []
    for meter, start, end, kwh in readings[["meter_id", "start", "end", "energy_kwh"]].itertuples(index=False):
        parts = [round(kwh * share, 2) for share in (0.1, 0.3, 0.4)]
        parts.append(round(kwh - sum(parts), 2))
        rows.append([meter, start, end, kwh if total else "", *parts])
    return [*head, *rows]


def two_registers(readings, multiplier=20.0):
    """上期示数 and 本期示数 under 示数, the multiplier in the row, and no energy."""
    head = [["表号", "抄表日期", "", "示数", "", "综合倍率"], ["", "上次抄表日期", "本次抄表日期", "上期", "本期", ""]]
    rows, last = [], {}
    for meter, start, end, kwh in readings[["meter_id", "start", "end", "energy_kwh"]].itertuples(index=False):
        before = last.get(meter, 100.0)
        last[meter] = before + kwh / multiplier
        rows.append([meter, start, end, repr(before), repr(last[meter]), multiplier])
    return [*head, *rows]


def bills(readings):
    """抄见, 换表, 退补 and 合计: an exchange in every seventh row, a settlement in every fifth."""
    rows = [["表号", "起始日期", "截止日期", "抄见电量", "换表电量", "退补电量", "合计电量"]]
    for i, (meter, start, end, kwh) in enumerate(
        readings[["meter_id", "start", "end", "energy_kwh"]].itertuples(index=False)
    ):
        exchanged = round(kwh * 0.3, 2) if i % 7 == 0 else 0.0
        settled = 500.0 if i % 5 == 0 else 0.0
        rows.append([meter, start, end, round(kwh - exchanged, 2), exchanged, settled, round(kwh + settled, 2)])
    return rows


def gz_of(text):
    """Pack text."""
    return gzip.compress(text.encode(), mtime=0)


def frame_of(path):
    """Read the readings that the demo wrote, as text and numbers."""
    names = {"表号": "meter_id", "开始日期": "start", "结束日期": "end", "电量": "energy_kwh", "数据质量": "quality"}
    frame = pd.read_csv(path, encoding="utf-8-sig", dtype={"表号": str})
    return frame.rename(columns=names)
