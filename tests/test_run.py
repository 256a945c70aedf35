"""County folders that the demo did not write, from the command line to the release of the contract."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib import metadata

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import elec2water as e2w
from county_kit import changed, command, county, read_table, write
from elec2water.coefficient.state import from_dataset
from elec2water.county import until
from elec2water.review import refusal_bias
from elec2water.version import source_digest

TOTALS = ["domain", "key", "quarter", "n_wells", "energy_kwh", "volume_m3", "se_m3", "lower_m3", "upper_m3"]
TOTALS += ["confidence"]
WELLS = ["well_id", "quarter", "energy_kwh", "coefficient_m3_per_kwh", "volume_m3", "se_m3", "lower_m3", "upper_m3"]
WELLS += ["method", "quality", "flags"]
FINDINGS = ["rule", "severity", "table", "file", "row", "well_id", "meter_id", "period", "observed", "limit", "message"]


@pytest.fixture(scope="module")
def frames():
    return county()


def finished(folder, quarter="2026Q3", *extra):
    status, out, err = command("run", folder, "--quarter", quarter, "--json", *extra)
    assert status == 0, err
    summary = json.loads(out)
    release = folder / "releases" / quarter / summary["release"]
    totals = pd.read_csv(release / "totals.csv", encoding="utf-8-sig", dtype={"key": str}, keep_default_na=False)
    wells = pd.read_parquet(release / "wells.parquet")
    row = totals[totals["domain"] == "county"].iloc[0]
    np.testing.assert_allclose(row["energy_kwh"], wells["energy_kwh"].sum(), rtol=1e-6)
    for domain, part in totals[totals["domain"].isin(["county", "township", "aquifer"])].groupby("domain"):
        np.testing.assert_allclose(part["volume_m3"].sum(), wells["volume_m3"].sum(), rtol=1e-6, err_msg=domain)
    return summary, release, totals, wells


@pytest.fixture(scope="module")
def plain(frames, tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("plain") / "县 一#", frames)
    return folder, *finished(folder)


def test_the_files_are_those_of_the_contract(plain):
    _, _, release, totals, wells = plain
    names = {path.name for path in release.iterdir()}
    assert {
        "totals.csv",
        "wells.parquet",
        "coefficients.csv",
        "coefficients.nc",
        "findings.csv",
        "manifest.json",
    } <= names
    assert list(totals.columns[: len(TOTALS)]) == TOTALS
    assert list(wells.columns) == WELLS
    assert list(read_table(release / "findings.csv").columns[: len(FINDINGS)]) == FINDINGS
    with xr.open_dataset(release / "coefficients.nc") as dataset:
        assert all("long_name" in v.attrs for v in dataset.variables.values())
        assert dataset.attrs["source"] == f"elec2water {metadata.version('elec2water')}"
        assert "covariance" in " ".join(map(str, dataset.data_vars))
    assert set(totals["domain"]) == {"county", "township", "aquifer", "stratum", "permit_no"}
    assert wells["well_id"].iloc[0] == "0012"
    assert set(wells["method"]) == {"measured", "converted"}


def test_the_manifest_names_inputs_and_outputs_by_their_digests(plain):
    folder, _, release, _, _ = plain
    manifest = json.loads((release / "manifest.json").read_text("utf-8"))
    assert set(manifest["inputs"]) == {"inputs/wells.csv", "inputs/readings.csv", "inputs/pairs.csv"}
    assert set(manifest["outputs"]) == {path.name for path in release.iterdir()} - {"manifest.json"}
    assert str(folder) not in (release / "manifest.json").read_text("utf-8")
    assert manifest["package_source"] == source_digest()


def test_the_design_based_totals_stand_beside_those_of_the_model_with_an_error_or_a_reason(plain):
    _, _, release, totals, _ = plain
    table = pd.read_csv(release / "design_totals.csv", encoding="utf-8-sig", keep_default_na=False, na_values=[""])
    assert table.columns[:6].tolist() == ["domain", "key", "estimator", "volume_m3", "se_m3", "n_sample"]
    model = table.merge(totals, on=["domain", "key"], suffixes=("", "_of_model"))
    assert len(model) == len(table) == 2 * len(totals)
    np.testing.assert_allclose(model["model_m3"], model["volume_m3_of_model"], atol=1e-3)
    assert set(table["quarter"]) == {"2026Q3"}
    assert set(table["estimator_name"]) == {"分层比率估计", "模型辅助回归估计(GREG)"}
    told = table["reason"].isna()
    assert told.any()
    assert not told.all()
    for column in ("se_m3", "lower_m3", "upper_m3"):
        assert table[column].notna().equals(told)
    assert (table.loc[told, "lower_m3"] < table.loc[told, "volume_m3"]).all()
    assert (table.loc[told, "n_sample"] >= 5).all()


def test_intervals_hold_the_volume_and_the_coefficient_is_plausible(plain):
    _, _, _, totals, wells = plain
    assert ((totals["lower_m3"] <= totals["volume_m3"]) & (totals["volume_m3"] <= totals["upper_m3"])).all()
    assert wells["coefficient_m3_per_kwh"].between(0.5, 15).all()


@pytest.mark.parametrize(
    "how",
    [
        {"chinese": ("wells", "readings", "pairs"), "encoding": "gb18030"},
        {"chinese": ("wells",), "encoding": "utf-8-sig"},
        {"chinese": ("wells", "pairs"), "suffix": {"wells": "xlsx", "pairs": "xlsx", "readings": "parquet"}},
    ],
    ids=["gb18030", "mixed", "workbooks"],
)
def test_every_form_of_the_same_inputs_gives_the_same_numbers(frames, plain, tmp_path, how):
    _, release, _, _ = finished(write(tmp_path, frames, **how))
    for name in ("totals.csv", "coefficients.csv", "wells.parquet"):
        assert (release / name).read_bytes() == (plain[2] / name).read_bytes()


def test_registers_with_a_multiplier_say_the_same_as_bills(frames, plain, tmp_path):
    ids = frames["wells"]["well_id"]
    rows = []
    for well, part in frames["readings"].groupby("meter_id"):
        register = 100 + np.concatenate([[0.0], part["energy_kwh"].cumsum() / 40])
        rows.append(
            pd.DataFrame(
                {"meter_id": "M" + well, "read_on": [*part["start"], part["end"].iloc[-1]], "register_kwh": register}
            )
        )
    meters = pd.DataFrame({"meter_id": "M" + ids, "well_id": ids, "multiplier": 40})
    summary, *_ = finished(write(tmp_path, {**frames, "readings": pd.concat(rows), "meters": meters}))
    assert summary["county"]["volume_m3"] == pytest.approx(plain[1]["county"]["volume_m3"], rel=1e-3)


def test_the_kwh_of_a_meter_are_those_of_its_wells(frames, tmp_path):
    ids = frames["wells"]["well_id"]
    meter = dict(zip(ids, [f"M{i // 2:02d}" for i in range(len(ids))], strict=True))
    readings = frames["readings"].assign(meter_id=frames["readings"]["meter_id"].map(meter))
    readings = readings.groupby(["meter_id", "start", "end"], as_index=False)["energy_kwh"].sum()
    meters = pd.DataFrame({"meter_id": list(meter.values()), "well_id": list(meter)})
    _, release, _, wells = finished(write(tmp_path, {**frames, "readings": readings, "meters": meters}))
    inside = readings[readings["start"] >= "2026-07-01"].groupby("meter_id")["energy_kwh"].sum()
    converted = wells.assign(meter=wells["well_id"].map(meter))
    whole = converted.groupby("meter")["method"].transform(lambda kind: (kind == "converted").all())
    found = converted[whole].groupby("meter")["energy_kwh"].sum()
    np.testing.assert_allclose(found, inside[found.index], rtol=1e-9)
    shared = read_table(release / "findings.csv").query("rule == 'SHARED_METER'")
    assert set(shared["meter_id"]) == set(meter.values())


def short_tests(frames, **dates):
    sums = frames["pairs"].groupby("well_id")[["volume_m3", "energy_kwh"]].sum()
    flow = (sums["volume_m3"] / sums["energy_kwh"] * 7.0).round(3)
    return pd.DataFrame({"well_id": sums.index, "flow_m3_per_h": flow.to_numpy(), "power_kw": 7.0, **dates})


@pytest.mark.parametrize("dates", [{}, {"start": "2026-05-03"}], ids=["undated", "dated"])
def test_short_pumping_tests_alone_are_enough(frames, plain, tmp_path, dates):
    summary, _, _, wells = finished(write(tmp_path, {**frames, "pairs": short_tests(frames, **dates)}))
    assert summary["county"]["volume_m3"] == pytest.approx(plain[1]["county"]["volume_m3"], rel=0.15)
    assert set(wells["method"]) == {"converted"}
    assert summary["findings"]["error"] == 0


def test_further_columns_serve_as_strata_covariates_and_domains(frames, tmp_path):
    wells = frames["wells"].assign(
        soil=["砂土", "黏土"] * 12, zone=[f"0{i % 3}" for i in range(24)], salt=np.linspace(1, 3, 24)
    )
    toml = (
        '[project]\nname="x"\n[strata]\nby=["irrigation_method", "soil"]\n[model]\ncovariates=["salt"]\n'
        '[estimate]\nconfidence=0.95\ndomains=["county", "zone", "stratum"]\n'
    )
    _, release, totals, _ = finished(write(tmp_path, {**frames, "wells": wells}, toml=toml))
    assert totals.loc[totals["domain"] == "zone", "key"].tolist() == ["00", "01", "02"]
    assert set(totals["confidence"]) == {0.95}
    assert not read_table(release / "findings.csv")["rule"].eq("UNKNOWN_COLUMN").any()


@pytest.mark.parametrize(
    "blank", [["aquifer"], ["pump_depth_m"], ["township", "aquifer", "pump_power_kw", "pump_depth_m"]], ids="+".join
)
def test_attributes_blank_for_all_wells_widen_and_do_not_refuse(frames, plain, tmp_path, blank):
    wells = frames["wells"].assign(**dict.fromkeys(blank, ""))
    folder = write(tmp_path, {**frames, "wells": wells})
    status, out, _ = command("run", folder, "--quarter", "2026Q3", "--json")
    assert status == 0
    found = read_table(folder / "releases/2026Q3/r1/findings.csv")
    assert found["rule"].eq("BLANK_COLUMN").sum() == len(blank)
    volume = json.loads(out)["county"]["volume_m3"]
    assert volume == pytest.approx(plain[1]["county"]["volume_m3"], rel=0.25)


@pytest.mark.parametrize("n", [1, 2])
def test_the_smallest_counties_are_answered(tmp_path, n):
    summary, _, _, wells = finished(write(tmp_path, county(n=n, sample=1, towns=1)))
    assert summary["county"]["n_wells"] == n
    assert (wells["method"] == "measured").sum() == 1


def test_quarters_at_the_turn_of_the_year(tmp_path):
    summary, *_ = finished(write(tmp_path, county(first="2024-10", last="2026-03")), "2026Q1")
    assert summary["quarter"] == "2026Q1"


def test_months_nobody_has_read_are_named_and_widen_the_interval(frames, plain, tmp_path):
    readings = frames["readings"].query("end <= '2026-09-01'")
    pairs = frames["pairs"].query("end <= '2026-09-01'")
    summary, release, _, wells = finished(write(tmp_path, {**frames, "readings": readings, "pairs": pairs}))
    full = plain[1]["county"]
    assert summary["county"]["volume_m3"] == pytest.approx(full["volume_m3"], rel=0.25)
    assert summary["county"]["se_m3"] > 1.2 * full["se_m3"]
    assert set(wells["method"]) == {"imputed"}
    named = read_table(release / "findings.csv").query("rule == 'MONTH_WITHOUT_READINGS'")
    assert named["period"].tolist() == ["2026-09"]


def test_a_month_nobody_has_read_amid_others_follows_the_year_before(frames, plain, tmp_path):
    """Pairs begin within the year, as in most counties: the readings of the year before are asked for all the same."""
    readings = frames["readings"].query("start != '2026-08-01'")
    pairs = frames["pairs"].query("start >= '2025-11-01' and start != '2026-08-01'")
    summary, release, _, wells = finished(write(tmp_path, {**frames, "readings": readings, "pairs": pairs}))
    full = plain[1]["county"]
    assert summary["county"]["volume_m3"] == pytest.approx(full["volume_m3"], rel=0.25)
    assert set(wells["method"]) == {"imputed"}
    named = read_table(release / "findings.csv").query("rule == 'MONTH_WITHOUT_READINGS'")
    assert named[["period", "observed"]].to_numpy().tolist() == [["2026-08", str(len(frames["wells"]))]]


def test_a_month_that_few_wells_have_been_read_in_is_named_and_widens_the_interval(frames, plain, tmp_path):
    first = frames["readings"]["meter_id"].isin(frames["readings"]["meter_id"].unique()[:3])
    readings = frames["readings"].loc[first | (frames["readings"]["start"] < "2026-09-01")]
    pairs = frames["pairs"].query("start < '2026-08-01'")
    summary, release, *_ = finished(write(tmp_path, {**frames, "readings": readings, "pairs": pairs}))
    named = read_table(release / "findings.csv").query("rule == 'MONTH_PARTLY_READ'")
    assert named[["period", "observed", "limit"]].to_numpy().tolist() == [["2026-09", "12%", "50%"]]
    county, full = summary["county"], plain[1]["county"]
    assert county["se_m3"] / county["volume_m3"] > 1.05 * full["se_m3"] / full["volume_m3"]


def test_a_first_quarter_of_which_one_month_was_read_says_so(frames, plain, tmp_path):
    """Of the months before the first reading only the sample wells' own pairs tell; the months are named."""
    readings = frames["readings"].query("start >= '2026-09-01'")
    summary, release, _, wells = finished(write(tmp_path, {**frames, "readings": readings}))
    paired = frames["pairs"].query("'2026-07-01' <= start < '2026-09-01'")
    assert summary["county"]["energy_kwh"] == pytest.approx(readings["energy_kwh"].sum() + paired["energy_kwh"].sum())
    named = read_table(release / "findings.csv").query("rule == 'MONTH_WITHOUT_READINGS'")
    assert named["period"].tolist() == ["2026-07", "2026-08"]
    assert 0 < summary["county"]["volume_m3"] < plain[1]["county"]["volume_m3"]
    assert wells["flags"].str.contains("unread_month").sum() == len(wells) - frames["pairs"]["well_id"].nunique()


def test_sample_wells_that_the_grid_does_not_drive_are_no_sample(frames, tmp_path):
    measured = frames["wells"]["well_id"].isin(frames["pairs"]["well_id"])
    wells = frames["wells"].assign(power_source=np.where(measured, "柴油", "电网"))
    status, _, err = command("run", write(tmp_path, {**frames, "wells": wells}), "--quarter", "2026Q3")
    assert status == 1
    assert "NO_USABLE_PAIR" in err
    assert "动力类型" in err


def test_the_design_based_answer_compares_the_season_with_the_same_season(frames, tmp_path):
    """κ of the other months tripled: the ratio of a quarter without pairs is that of its months a year before."""
    pairs = frames["pairs"].query("end <= '2026-07-01'").copy()
    season = pairs["start"].str[5:7].isin(["07", "08", "09"])
    quarter = pairs[season]
    pairs.loc[~season, "volume_m3"] *= 3.0
    _, release, *_ = finished(write(tmp_path, {**frames, "pairs": pairs}))
    answer = read_table(release / "design_totals.csv").query("domain == 'county' and estimator == 'ratio'").iloc[0]
    wells = pd.read_parquet(release / "wells.parquet").set_index("well_id")
    by_well = quarter.groupby("well_id")[["volume_m3", "energy_kwh"]].sum()
    kappa = by_well["volume_m3"] / by_well["energy_kwh"]
    found = float(answer["volume_m3"]) / wells["energy_kwh"].sum()
    assert kappa.min() < found < kappa.max()
    assert found < 1.5 * by_well["volume_m3"].sum() / by_well["energy_kwh"].sum()


@pytest.mark.parametrize("day", ["2026-08-31", "2026-09-01"])
def test_as_of_looks_at_nothing_later_and_counts_its_own_day(frames, tmp_path, day):
    """The bill of August ends with its last day: its exclusive end is the first of September."""
    before = write(tmp_path / "a", frames)
    summary, release, *_ = finished(before, "2026Q3", "--as-of", day)
    early = {name: frames[name].query("end <= '2026-09-01'") for name in ("readings", "pairs")}
    other, *_ = finished(write(tmp_path / "b", {**frames, **early}))
    assert summary["county"] == other["county"]
    assert json.loads((release / "manifest.json").read_text("utf-8"))["as_of"] == day


def test_as_of_the_last_day_of_a_quarter_has_all_its_bills(frames, tmp_path):
    of_day, *_ = finished(write(tmp_path / "a", frames), "2026Q3", "--as-of", "2026-09-30")
    whole, *_ = finished(write(tmp_path / "b", frames), "2026Q3")
    assert of_day["county"] == whole["county"]


@pytest.mark.parametrize(
    ("as_of", "kept"),
    [
        ("2026-03-31", [True, True, False]),
        ("2026-03-31T08:00", [True, True, False]),
        ("2026-03-31T07:59", [True, False, False]),
        ("2026-03", [True, True, False]),
        ("2026-04-01", [True, True, True]),
    ],
)
def test_a_register_read_in_the_course_of_the_day_is_known_on_that_day(frames, tmp_path, as_of, kept):
    county = e2w.read_project(write(tmp_path, frames))
    times = pd.to_datetime(["2026-03-30 18:00", "2026-03-31 08:00", "2026-04-01 00:00"]).astype("datetime64[s]")
    readings = pd.DataFrame({"meter_id": "1", "read_on": times, "start": pd.NaT, "end": pd.NaT})
    asked = until(replace(county, tables=replace(county.tables, readings=readings)), as_of)
    assert asked.tables.readings.index.tolist() == np.flatnonzero(kept).tolist()


def test_the_same_run_again_is_the_same_release_and_changed_inputs_are_r2(frames, tmp_path):
    folder = write(tmp_path, frames)
    _, release, _, _ = finished(folder)
    before = {path.name: path.read_bytes() for path in release.iterdir()}
    again, *_ = finished(folder)
    assert (again["release"], again["created"]) == ("r1", False)
    write(folder, changed(frames, "readings", "energy_kwh", -1, 999.5))
    second, *_ = finished(folder)
    assert (second["release"], second["created"]) == ("r2", True)
    assert {path.name: path.read_bytes() for path in release.iterdir()} == before
    assert not list(folder.glob("releases/**/.tmp*"))


def test_another_process_zone_and_hash_seed_give_the_same_bytes(frames, plain, tmp_path):
    folder = write(tmp_path, frames)
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "America/New_York", "LANG": "C", "LC_ALL": "C"}
    code = "from elec2water.cli import main; main()"
    made = subprocess.run(
        [sys.executable, "-c", code, "run", str(folder), "--quarter", "2026Q3", "--json"],
        env=environment, capture_output=True, check=True,
    )  # fmt: skip
    assert len(made.stdout.decode("utf-8").strip().splitlines()) == 1
    json.loads(made.stdout)
    for path in plain[2].iterdir():
        assert (folder / "releases/2026Q3/r1" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_hand_written_sample_gives_its_weights(frames, tmp_path):
    ids = frames["pairs"]["well_id"].unique()
    other = next(well for well in frames["wells"]["well_id"] if well not in ids)
    sample = pd.DataFrame({
        "well_id": [*ids, other], "stratum": "全部", "role": ["primary"] * len(ids) + ["reserve"],
        "inclusion_probability": 1 / 3, "weight": 3.0, "order": range(1, len(ids) + 2),
    })  # fmt: skip
    folder = write(tmp_path, frames)
    (folder / "design").mkdir()
    sample.to_csv(folder / "design" / "sample.csv", index=False, encoding="gb18030")
    _, release, *_ = finished(folder)
    rules = read_table(release / "findings.csv")["rule"]
    assert not rules.isin(["SAMPLE_NOT_DESIGNED", "SAMPLE_WITHOUT_DESIGN"]).any()


def test_a_sample_that_no_design_drew_says_what_choosing_may_do(frames, tmp_path):
    """Wells better by half a standard deviation than those like them: e^(sd/2) - 1 on the total, and in no interval."""
    _, release, *_ = finished(write(tmp_path, frames))
    found = read_table(release / "findings.csv")
    message = found.loc[found["rule"] == "SAMPLE_WITHOUT_DESIGN", "message"].item()
    with xr.open_dataset(release / "coefficients.nc") as dataset:
        told = from_dataset(dataset).posterior.variance["level"]
    assert f"{frames['pairs']['well_id'].nunique()} 眼" in message
    assert message.count(f"{100 * np.expm1(0.5 * np.sqrt(told)):.0f}%") == 2


def test_wells_drawn_and_not_measured_are_counted_with_what_they_may_hide(frames, tmp_path):
    """A quarter of the wells drawn refused: a total of wells that are 20 % worse there reads 0.25 x 20 % high."""
    ids = frames["pairs"]["well_id"].unique()
    silent = frames["wells"].loc[~frames["wells"]["well_id"].isin(ids), "well_id"][: ids.size // 3]
    drawn = [*ids, *silent]
    sample = pd.DataFrame({"well_id": drawn, "stratum": "全部", "role": "primary", "weight": 3.0})
    sample = sample.assign(inclusion_probability=1 / 3, order=np.arange(len(drawn)) + 1)
    folder = write(tmp_path, frames)
    (folder / "design").mkdir()
    sample.to_csv(folder / "design" / "sample.csv", index=False)
    _, release, *_ = finished(folder)
    found = read_table(release / "findings.csv")
    told = found.loc[found["rule"] == "SAMPLE_REFUSED"]
    assert told["observed"].astype(float).tolist() == [float(silent.size)]
    assert f"抽中的 {len(drawn)} 眼样本井" in told["message"].item()


def test_a_design_drawn_after_the_pairs_refuses_nothing_yet(frames, tmp_path):
    """Most measured wells are of an earlier design: those of the new one were not asked yet."""
    ids = frames["pairs"]["well_id"].unique()
    others = frames["wells"].loc[~frames["wells"]["well_id"].isin(ids), "well_id"][: ids.size]
    drawn = [*ids[: ids.size // 3], *others]
    sample = pd.DataFrame({"well_id": drawn, "stratum": "全部", "role": "primary", "weight": 3.0})
    sample = sample.assign(inclusion_probability=1 / 3, order=np.arange(len(drawn)) + 1)
    folder = write(tmp_path, frames)
    (folder / "design").mkdir()
    sample.to_csv(folder / "design" / "sample.csv", index=False)
    _, release, *_ = finished(folder)
    rules = read_table(release / "findings.csv")["rule"]
    assert rules.eq("SAMPLE_NOT_DESIGNED").sum() == 1
    assert not rules.eq("SAMPLE_REFUSED").any()


def test_wells_tested_because_next_chose_them_are_no_convenience_sample(frames, tmp_path):
    """A choice alone changes no release; its tests are said to be what they are, those of others stay strangers."""
    ids = frames["pairs"]["well_id"].unique()
    others = frames["wells"].loc[~frames["wells"]["well_id"].isin(ids), "well_id"].tolist()
    sample = pd.DataFrame({"well_id": ids, "stratum": "全部", "role": "primary", "weight": 3.0})
    sample = sample.assign(inclusion_probability=1 / 3, order=np.arange(ids.size) + 1)
    folder = write(tmp_path, frames)
    (folder / "design").mkdir()
    sample.to_csv(folder / "design/sample.csv", index=False)
    finished(folder)
    chosen = pd.DataFrame({"well_id": others[:3], "quarter": "2026Q3"})
    chosen.to_csv(folder / "design/next_chosen.csv", index=False)
    assert finished(folder)[0]["release"] == "r1"
    new = frames["pairs"].drop_duplicates("well_id").head(3).assign(well_id=[*others[:2], others[5]])
    pd.concat([frames["pairs"], new]).to_csv(folder / "inputs/pairs.csv", index=False)
    _, release, *_ = finished(folder)
    found = read_table(release / "findings.csv").set_index("rule")["observed"].astype(str)
    assert float(found["SAMPLE_CHOSEN_NEXT"]) == 2
    assert float(found["SAMPLE_NOT_DESIGNED"]) == 1
    assert json.loads((release / "manifest.json").read_text(encoding="utf-8"))["chosen_next"] == sorted(others[:2])


def test_totals_that_leave_out_wells_without_electricity_say_about_how_much(tmp_path):
    frames = county(n=60, sample=12, seed=5)
    whole = finished(write(tmp_path / "whole", frames))[2]
    town = frames["wells"]["township"].eq("镇1")
    town &= ~frames["wells"]["well_id"].isin(frames["pairs"]["well_id"])
    lost = frames["wells"].loc[town, "well_id"]
    kept = frames["readings"][~frames["readings"]["meter_id"].isin(lost)]
    folder = write(tmp_path / "part", {**frames, "readings": kept})
    _, release, totals, _ = finished(folder)
    found = read_table(release / "findings.csv").query("rule == 'TOTAL_INCOMPLETE'")
    told = found.set_index(found["message"].str.extract("“(.+?)”")[0])
    assert set(told.index) >= {"镇1", "手写县"}
    assert not set(told.index) & {"镇0", "镇2"}
    assert told.loc["镇1", "observed"] == str(len(lost))
    assert f"{frames['wells']['township'].eq('镇1').sum()} 眼在用" in told.loc["镇1", "message"]
    # 万m³ of the finding against what the same wells give when their electricity is known.
    missing = float(told.loc["手写县", "message"].split("约少计 ")[1].split(" 万")[0]) * 1e4
    truth = (
        whole.query("domain == 'county'")["volume_m3"].item() - totals.query("domain == 'county'")["volume_m3"].item()
    )
    assert missing == pytest.approx(truth, rel=0.35)
    assert read_table(folder.parent / "whole/releases/2026Q3/r1/findings.csv")["rule"].ne("TOTAL_INCOMPLETE").all()
    sealed = frames["wells"].assign(status=np.where(frames["wells"]["well_id"].isin(lost), "封存", "在用"))
    _, release, _, _ = finished(write(tmp_path / "sealed", {**frames, "wells": sealed, "readings": kept}))
    assert read_table(release / "findings.csv")["rule"].ne("TOTAL_INCOMPLETE").all()


def test_totals_of_wells_that_nobody_read_in_the_quarter_say_so(tmp_path):
    frames = county(n=60, sample=12, seed=5)
    town = frames["wells"].loc[frames["wells"]["township"].eq("镇1"), "well_id"]
    late = frames["readings"]["meter_id"].isin(town) & (frames["readings"]["start"] >= "2026-07-01")
    folder = write(tmp_path, {**frames, "readings": frames["readings"][~late]})
    _, release, totals, _ = finished(folder)
    found = read_table(release / "findings.csv").query("rule == 'TOTAL_IMPUTED' and message.str.startswith('乡镇')")
    assert found["message"].str.extract("“(.+?)”")[0].tolist() == ["镇1"]
    row = totals.query("key == '镇1'").iloc[0]
    assert found["observed"].item() == f"{row['imputed_energy_kwh'] / row['energy_kwh']:.0%}"
    assert row["imputed_energy_kwh"] > 0.7 * row["energy_kwh"]


def test_an_aquifer_of_which_no_well_was_measured_is_named_with_its_water(tmp_path):
    frames = county(n=60, sample=20, seed=5)
    deep = frames["wells"].loc[frames["wells"]["aquifer"].eq("深层"), "well_id"]
    some = frames["pairs"][~frames["pairs"]["well_id"].isin(deep)]
    _, release, totals, _ = finished(write(tmp_path / "some", {**frames, "pairs": some}))
    found = read_table(release / "findings.csv").query("rule == 'AQUIFER_WITHOUT_SAMPLE'")
    volume = totals[totals["domain"].eq("aquifer")].set_index("key")["volume_m3"]
    assert found["observed"].tolist() == [str(len(deep))]
    assert (
        f"“深层”的 {len(deep)} 眼井（占 2026Q3 水量的 {volume['深层'] / volume.sum():.0%}）" in found["message"].item()
    )
    _, release, _, _ = finished(write(tmp_path / "all", frames))
    assert read_table(release / "findings.csv")["rule"].ne("AQUIFER_WITHOUT_SAMPLE").all()


def test_the_bias_of_refusals_is_that_of_a_county_of_two_kinds():
    """Of wells drawn at random a fifth is 30 % worse and refuses; the others speak for all."""
    kappa = np.array([3.0] * 4 + [3.0 * np.exp(-0.3)])
    read = kappa[:4].mean() * kappa.size
    assert refusal_bias(0.2, 0.3) == pytest.approx((read - kappa.sum()) / read)


def test_a_lost_multiplier_of_a_sample_well_is_named(frames, tmp_path):
    """The bill shows a twentieth of what the pairs' own meter shows: the converted volume would be a twentieth too."""
    lost = frames["pairs"]["well_id"].iloc[0]
    readings = frames["readings"].copy()
    readings.loc[readings["meter_id"] == lost, "energy_kwh"] /= 20
    _, release, _, _ = finished(write(tmp_path / "county", {**frames, "readings": readings}))
    found = read_table(release / "findings.csv")
    named = found.loc[found["rule"] == "PAIR_ENERGY_MISMATCH"]
    assert named["well_id"].tolist() == [lost]
    assert float(named["observed"].iloc[0]) == pytest.approx(20.0, rel=0.05)


def test_every_row_that_a_finding_names_is_in_a_file_that_it_names(frames, tmp_path):
    """Also of what only the fit sees, an impossible pair, and of a pump installed after the last reading."""
    pairs = frames["pairs"].copy()
    place = pairs.index[pairs["well_id"].eq(pairs["well_id"].iloc[0])][3]
    pairs.loc[place, "volume_m3"] *= 6
    wells = frames["wells"].assign(power_source="grid", pump_installed_on="")
    wells.loc[wells.index[-1], "power_source"] = "diesel"
    wells.loc[wells.index[-2], "pump_installed_on"] = "2027-03-01"
    _, release, _, _ = finished(write(tmp_path, {**frames, "pairs": pairs, "wells": wells}))
    found = read_table(release / "findings.csv")
    assert {"COEF_PAIR_OUTLIER", "PUMP_NOT_YET", "WELL_WITHOUT_ESTIMATE"} <= set(found["rule"])
    assert found.loc[found["row"].ne("") & found["file"].eq(""), "rule"].tolist() == []
    row = found.loc[found["rule"].eq("COEF_PAIR_OUTLIER"), ["file", "row"]].to_numpy().tolist()
    assert ["inputs/pairs.csv", str(pairs.index.get_loc(place) + 2)] in row
