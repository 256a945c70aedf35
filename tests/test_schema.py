"""The schema as data: complete, free of clashes, and shown on the nomenclature page as it is."""

import runpy
from pathlib import Path

import pytest

from elec2water import schema
from elec2water.tables.headings import normal

DOCS = Path(__file__).parents[1] / "docs"

CONTRACT = {
    "wells": "well_id name county township village longitude latitude aquifer pump_power_kw pump_depth_m well_depth_m "
    "pump_head_m irrigation_method irrigated_area_mu pipe_diameter_mm pump_installed_on vfd power_source status "
    "permit_no",
    "meters": "meter_id well_id account_no multiplier digits share valid_from valid_to",
    "readings": "meter_id read_on register_kwh start end energy_kwh quality",
    "pairs": "well_id start end energy_kwh volume_m3 volume_rel_u kind static_depth_m dynamic_depth_m flow_m3_per_h "
    "power_kw",
    "water_levels": "date month depth_m well_id township aquifer",
    "permits": "permit_no holder annual_volume_m3 plan_volume_m3 valid_from valid_to purpose",
}


@pytest.mark.parametrize("table", CONTRACT)
def test_every_column_of_the_contract_is_there(table):
    assert set(CONTRACT[table].split()) <= set(schema.names(table))


def test_tables_are_those_of_the_contract():
    assert schema.tables() == (*CONTRACT, "corrections")


@pytest.mark.parametrize("table", CONTRACT)
def test_a_heading_means_one_column(table):
    owners: dict[str, set[str]] = {}
    for column in schema.columns(table):
        for heading in column.headings:
            owners.setdefault(normal(heading), set()).add(column.column)
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}


def test_numbers_with_a_dimension_name_a_known_unit_and_ordered_bounds():
    for table in schema.tables():
        for column in schema.columns(table):
            if column.type in ("number", "integer"):
                assert column.unit in schema.units(), column
                assert float(column.lower) < float(column.upper), column
                assert schema.units()[column.unit][column.unit] == 1.0
            assert all((column.heading_zh, column.meaning_zh, column.meaning_en)), column


def test_units_of_one_dimension_convert_both_ways():
    units = schema.units()
    assert units["mm"]["m"] * units["m"]["mm"] == pytest.approx(1.0)
    assert units["m3"]["l"] * 1000 == pytest.approx(1.0)
    assert units["m3/h"]["l/s"] == pytest.approx(units["m3/h"]["m3/s"] / 1000)
    assert units["mu"]["m2"] == pytest.approx(units["mu"]["ha"] / 1e4)


def test_unknown_names_raise():
    with pytest.raises(KeyError):
        schema.columns("well")
    with pytest.raises(KeyError):
        schema.column("wells", "depth")


def test_the_nomenclature_page_is_up_to_date():
    made = runpy.run_path(str(DOCS / "make_nomenclature.py"))["page"]()
    page = (DOCS / "nomenclature.md").read_text(encoding="utf-8")
    assert page == made, "run: python docs/make_nomenclature.py"
