"""A folder with nothing but wells and short tests, as a field campaign hands it over."""

import numpy as np
import pandas as pd
import pytest

import elec2water as e2w
from elec2water.errors import DataRefusedError
from elec2water.project import validate
from elec2water.tables.rest import with_rest_depths

N = 40


def campaign(seed: int = 3) -> pd.DataFrame:
    """κ = 367.1 η/H of wells with 3 to 30 m to water and 6 m beyond it; η within 12 %."""
    rng = np.random.default_rng(seed)
    depth = np.round(np.exp(rng.uniform(np.log(3), np.log(30), N)), 2)
    kappa = 367.1 * 0.45 * np.exp(rng.normal(0, 0.12, N)) / (depth + 6.0)
    return pd.DataFrame({"id": [f"0{i:03d}" for i in range(N)], "depth": depth, "kappa": np.round(kappa, 3)})


def folder(tmp_path, tests, *, registry_depth=True, pairs=None):
    inputs = tmp_path / "inputs"
    inputs.mkdir(parents=True)
    (tmp_path / "elec2water.toml").write_text('[project]\nname = "试验县"\n', encoding="utf-8")
    wells = pd.DataFrame(
        {"机井编号": tests["id"], "乡镇": "甲乡", "含水层": "潜水", "额定功率": 11.0, "下泵深度(m)": np.nan}
    )
    if registry_depth:
        wells["地下水埋深(m)"] = tests["depth"]
    wells.to_csv(inputs / "wells.csv", index=False, encoding="gb18030")
    pairs.to_csv(inputs / "pairs.csv", index=False, encoding="utf-8-sig")
    return tmp_path


def stated(tests, heading="以电折水系数（m³/(kW·h)）", values=None):
    return pd.DataFrame(
        {"井号": tests["id"], "测试日期": "2025-06-01", heading: tests["kappa"] if values is None else values}
    )


@pytest.mark.parametrize(
    ("heading", "inverse"),
    [
        ("以电折水系数（m³/(kW·h)）", False),
        ("折水系数(方/度)", False),
        ("coef_m3_per_kwh", False),
        ("单位水量耗电量(kWh/m³)", True),
        ("以电折水系数(kWh/m³)", True),
    ],
)
def test_coefficient_is_read_in_its_unit(tmp_path, heading, inverse):
    tests = campaign()
    values = 1.0 / tests["kappa"] if inverse else tests["kappa"]
    county = e2w.read_project(folder(tmp_path, tests, pairs=stated(tests, heading, values)))
    pairs = county.pairs
    np.testing.assert_allclose(pairs["volume_m3"] / pairs["energy_kwh"], tests["kappa"], rtol=1e-9)
    assert (pairs["kind"] == "test").all()
    assert county.findings.of(table="pairs").errors.count == 0


def test_stated_coefficient_fills_one_of_energy_and_volume_and_is_held_against_both(tmp_path):
    tests = campaign()
    pairs = pd.DataFrame(
        {
            "井号": tests["id"][:4], "开始日期": "2025-05-01", "结束日期": "2025-06-01",
            "电量": [100.0, 100.0, np.nan, 100.0], "水量": [400.0, np.nan, 300.0, 400.0],
            "以电折水系数": [4.0, 3.0, 2.0, 5.0],
        }
    )  # fmt: skip
    county = e2w.read_project(folder(tmp_path, tests, pairs=pairs))
    assert county.pairs["volume_m3"].tolist() == [400.0, 300.0, 300.0, 400.0]
    assert county.pairs["energy_kwh"].tolist() == [100.0, 100.0, 150.0, 100.0]
    assert not county.pairs["kind"].eq("test").any()
    found = county.findings.of(rule="COEF_STATED").frame
    assert found["row"].tolist() == [5]


@pytest.mark.parametrize("where", ["registry", "tests"])
def test_validate_needs_no_readings_and_uses_the_depth_to_water(tmp_path, where):
    tests = campaign()
    pairs = stated(tests)
    if where == "tests":
        pairs["静水位埋深(m)"] = tests["depth"]
    result, target = validate(folder(tmp_path, tests, registry_depth=where == "registry", pairs=pairs), folds=4)
    table = result.accuracy.set_index(["held_out", "method"])["mean_absolute_error"]["wells"]
    # the efficiencies alone err by 0.12 * sqrt(2/pi) = 9.6 %, the depths by far more
    assert table["model"] < 0.16
    assert table["class_mean"] > 0.3
    assert (target / "accuracy.csv").exists()


def test_run_still_asks_for_readings(tmp_path):
    tests = campaign()
    with pytest.raises(DataRefusedError) as refused:
        e2w.run(folder(tmp_path, tests, pairs=stated(tests)), quarter="2025Q2")
    assert refused.value.findings.of(rule="MISSING_FILE").frame["table"].tolist() == ["readings"]


def test_depths_of_measured_wells_alone_are_not_taken_for_a_column_of_the_registry():
    wells = pd.DataFrame({"well_id": ["a", "b", "c"]})
    days = pd.to_datetime(["2025-02-01", "2025-01-01", "2025-01-01"])
    pairs = pd.DataFrame({"well_id": ["a", "a", "b"], "start": days, "static_depth_m": [9.0, 7.0, 5.0]})
    assert "water_depth_m" not in with_rest_depths(wells, pairs)
    assert with_rest_depths(wells[:2], pairs)["water_depth_m"].tolist() == [7.0, 5.0]
    known = wells.assign(water_depth_m=[np.nan, 6.0, 4.0])
    assert with_rest_depths(known, pairs)["water_depth_m"].tolist() == [7.0, 6.0, 4.0]


@pytest.mark.parametrize(("tested", "filled"), [("i", True), ("elsewhere", False)])
def test_nine_wells_of_ten_must_have_a_depth_and_tests_of_other_wells_count_for_none(tested, filled):
    depths = np.append(np.full(8, 6.0), [np.nan, np.nan])
    wells = pd.DataFrame({"well_id": list("abcdefghij"), "water_depth_m": depths})
    pairs = pd.DataFrame({"well_id": [tested], "start": [np.datetime64("2025-06-01")], "static_depth_m": [7.0]})
    expected = np.where(wells["well_id"].eq(tested), 7.0, depths) if filled else depths
    np.testing.assert_array_equal(with_rest_depths(wells, pairs)["water_depth_m"], expected)


def test_classes_domains_and_covariates_may_be_named_by_any_heading_of_a_column(tmp_path):
    tests = campaign()
    where = folder(tmp_path, tests, pairs=stated(tests))
    months = pd.DataFrame({"表号": tests["id"], "开始日期": "2025-06-01", "结束日期": "2025-07-01", "电量": 100.0})
    months.to_csv(where / "inputs" / "readings.csv", index=False, encoding="utf-8-sig")
    names = '[strata]\nby = ["{}"]\nclasses = 2\n[model]\ncovariates = ["{}"]\n[estimate]\ndomains = ["county", "{}"]\n'
    totals = []
    for words in (("water_depth_m", "pump_power_kw", "aquifer"), ("groundwater_depth_m", "额定功率", "含水层")):
        text = '[project]\nname = "试验县"\n' + names.format(*words)
        (where / "elec2water.toml").write_text(text, encoding="utf-8")
        county = e2w.read_project(where)
        assert county.config.strata.by == ("water_depth_m",)
        assert all(label.startswith("埋深") for label in county.strata.labels)
        totals.append(e2w.run(where, quarter="2025Q2").totals)
    pd.testing.assert_frame_equal(*totals)
    assert set(totals[0]["domain"]) == {"county", "aquifer"}


def test_headings_of_its_own_name_columns_in_the_configuration_too(tmp_path):
    where = folder(tmp_path, campaign(), pairs=stated(campaign()))
    text = '[project]\nname = "试验县"\n[aliases.wells]\n"片区" = "township"\n[design]\ntargets = {"片区" = 0.1}\n'
    (where / "elec2water.toml").write_text(text, encoding="utf-8")
    assert e2w.read_project(where).config.design.targets == {"township": 0.1}
