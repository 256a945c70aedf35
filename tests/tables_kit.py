"""A small clean project and the ways to spoil it, for the tests of the readers."""

import io
from pathlib import Path

import xlsxwriter

from elec2water.config import Config
from elec2water.findings import Findings
from elec2water.tables import Tables, read_tables

WELLS = "well_id,township,aquifer,pump_power_kw,pump_depth_m\n0012,东乡,浅层,7.5,45\n0013,东乡,深层,11,80\n"
READINGS = "meter_id,start,end,energy_kwh\n0012,2026-07-01,2026-08-01,1200\n0013,2026-07-01,2026-08-01,900\n"
PAIRS = "well_id,start,end,energy_kwh,volume_m3\n0012,2026-07-01,2026-08-01,100,400\n"
CLEAN = {"wells": WELLS, "readings": READINGS, "pairs": PAIRS}


def read(folder: Path, config: dict | None = None, **files: str | bytes) -> tuple[Tables, Findings]:
    """Read a clean project in which some files are replaced, as in ``wells__xlsx=b"..."``."""
    inputs = folder / "inputs"
    inputs.mkdir(exist_ok=True)
    given = {name.partition("__")[0] for name in files}
    content = {f"{name}.csv": text for name, text in CLEAN.items() if name not in given}
    content |= {name.replace("__", "."): data for name, data in files.items()}
    for name, data in content.items():
        (inputs / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return read_tables(folder, Config.model_validate({"project": {"name": "测试"}, **(config or {})}))


def rows_of(findings: Findings, rule: str, severity: str) -> list[int]:
    """Give the rows of one rule and make sure of its severity."""
    frame = findings.of(rule=rule).frame
    assert set(frame["severity"]) <= {severity}, frame
    return frame["row"].tolist()


def cells(text: str) -> list[list[str]]:
    """Split plain CSV text."""
    return [line.split(",") for line in text.strip().split("\n")]


def workbook(**sheets: list[list[object]]) -> bytes:
    """Write an xlsx with one sheet for each argument; text stays text."""
    stream = io.BytesIO()
    options = {"in_memory": True, "strings_to_numbers": False, "strings_to_formulas": False}
    with xlsxwriter.Workbook(stream, options) as book:
        for title, rows in sheets.items():
            sheet = book.add_worksheet(title)
            for r, row in enumerate(rows):
                sheet.write_row(r, 0, row)
    return stream.getvalue()
