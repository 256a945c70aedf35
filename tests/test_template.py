"""Templates: what is filled into them is read as it was meant, and nothing that was filled in is overwritten."""

from __future__ import annotations

import datetime as dt
import io

import openpyxl
import pytest
from typer.testing import CliRunner

import elec2water as e2w
from elec2water import beginning, schema
from elec2water.cli import app
from elec2water.errors import UsageError
from elec2water.template import template_bytes, template_tables

FILLED = {
    "wells": {
        "well_id": "0012", "name": "东井", "township": "城关镇", "village": "李庄", "aquifer": "浅层",
        "pump_power_kw": 7.5, "pump_depth_m": 36, "pump_head_m": 40, "irrigation_method": ("管灌", "pipe"),
        "irrigated_area_mu": 120, "water_depth_m": 21.5, "irrigation_method_since": dt.date(2024, 4, 10),
        "pump_installed_on": dt.date(2020, 5, 1),
        "power_source": ("电网", "grid"), "status": ("在用", "in_use"), "permit_no": "D410000G2021-0012",
        "longitude": 114.25, "latitude": 36.5,
    },
    "meters": {
        "meter_id": "0000123", "well_id": "0012", "multiplier": 20, "share": 1,
        "valid_from": dt.date(2020, 1, 1), "valid_to": dt.date(2090, 1, 1),
    },
    "readings": {
        "meter_id": "0000123", "start": dt.date(2026, 7, 1), "end": dt.date(2026, 8, 1), "energy_kwh": 1520,
        "quality": ("估抄", "estimated"),
    },
    "pairs": {
        "well_id": "0012", "start": dt.date(2026, 6, 1), "end": dt.date(2026, 7, 1), "energy_kwh": 900,
        "volume_m3": 5200, "kind": ("水表", "meter"), "static_depth_m": 21.4,
    },
    "water_levels": {"month": "2026-07", "township": "城关镇", "aquifer": "浅层", "depth_m": 21.7},
    "permits": {
        "permit_no": "D410000G2021-0012", "holder": "李庄村委会", "annual_volume_m3": 20000,
        "valid_from": dt.date(2021, 1, 1), "valid_to": dt.date(2026, 12, 31),
    },
}  # fmt: skip
"""A record of each table; a pair is the word that is filled in and what it means."""


def filled(table: str, lang: str) -> bytes:
    """Fill one record into a template, by the columns in their order."""
    book = openpyxl.load_workbook(io.BytesIO(template_bytes(table, lang)))
    sheet = book.worksheets[0]
    for place, value in enumerate(FILLED[table].values(), start=1):
        sheet.cell(2, place, value[lang == "en"] if isinstance(value, tuple) else value)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_what_is_filled_in_is_read_as_it_was_meant(tmp_path, lang):
    beginning.template(tmp_path / "某县", lang=lang)
    (tmp_path / "某县/inputs").mkdir()
    for table in template_tables():
        (tmp_path / f"某县/inputs/{table}.xlsx").write_bytes(filled(table, lang))
    county = e2w.read_project(tmp_path / "某县")
    assert county.findings.errors.count == 0
    assert not county.findings.frame["rule"].str.contains("COLUMN|HEADING|UNKNOWN_WORD").any()
    for table, record in FILLED.items():
        (row,) = getattr(county.tables, table).to_dict("records")
        for name, value in record.items():
            meant = value[1] if isinstance(value, tuple) else value
            if isinstance(meant, dt.date):
                assert row[name].isoformat()[:10] == meant.isoformat()[:10]
            elif name == "month":
                assert str(row[name])[:7] == meant
            else:
                assert row[name] == meant
    assert county.config.project.name == "某县"


def test_every_column_of_a_template_is_one_of_the_schema_and_all_that_is_required_is_in_it():
    for table in template_tables():
        names = list(FILLED[table])
        required = {column.column for column in schema.columns(table) if column.required}
        assert required <= set(names) <= set(schema.names(table))
        sheet = openpyxl.load_workbook(io.BytesIO(template_bytes(table, "en"))).worksheets[0]
        assert [cell.value for cell in sheet[1]] == names


def test_identifiers_are_text_so_that_zeros_before_them_stay():
    sheet = openpyxl.load_workbook(io.BytesIO(template_bytes("wells"))).worksheets[0]
    assert sheet.column_dimensions["A"].number_format == "@"
    (status,) = [r for r in sheet.data_validations.dataValidation if "报废" in r.formula1]
    assert status.formula1 == '"在用,应急备用,封存,报废"'


def test_a_template_that_may_have_been_filled_in_is_not_overwritten(tmp_path):
    written = beginning.template(tmp_path)
    written[2].write_bytes(filled("pairs", "zh"))
    before = written[2].read_bytes()
    with pytest.raises(UsageError, match="found one that may have been filled in"):
        beginning.template(tmp_path)
    assert written[2].read_bytes() == before


def test_the_command_says_what_to_do_with_them(tmp_path):
    made = CliRunner().invoke(app, ["template", str(tmp_path / "新县")])
    assert made.exit_code == 0, made.output
    assert "填好的表放入 inputs/" in made.output
    assert (tmp_path / "新县/elec2water.toml").read_text(encoding="utf-8") == '[project]\nname = "新县"\n'
    assert CliRunner().invoke(app, ["template", str(tmp_path / "b"), "--lang", "fr"]).exit_code != 0
    assert template_bytes("wells") == (tmp_path / "新县/templates/wells.xlsx").read_bytes()
