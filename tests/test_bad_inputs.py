"""Bad input as it really comes, through the commands: the exit status, the rule, the row, and nothing half-written."""

import json

import numpy as np
import pandas as pd
import pytest

from county_kit import TOML, changed, command, county, read_table, write


@pytest.fixture(scope="module")
def frames():
    return county()


def without(frame, *columns):
    return frame.drop(columns=list(columns))


def refused(folder, *args):
    status, out, err = command("run", folder, "--quarter", "2026Q3", *args)
    assert status == 1, err
    assert not list(folder.glob("releases/*/*"))
    assert "Traceback" not in err
    return read_table(folder / "findings.csv"), out, err


def checked(folder):
    status, out, err = command("check", folder, "--json")
    assert status == 0, err
    assert json.loads(out)["refused"] is False
    return read_table(folder / "findings.csv")


def rows(found, rule):
    return found.loc[found["rule"] == rule, "row"].tolist()


def test_every_reason_is_said_at_once(frames, tmp_path):
    bad = {
        "wells": without(
            pd.concat([frames["wells"], frames["wells"].iloc[[3]].assign(name="x")]), "aquifer", "township"
        ),
        "readings": without(frames["readings"], "end"),
        "pairs": without(frames["pairs"], "volume_m3"),
    }
    found, out, err = refused(write(tmp_path, bad), "--json")
    assert found["rule"].tolist() == ["MISSING_COLUMN"] * 4
    for heading in ("township", "aquifer", "end", "volume_m3"):
        assert heading in err
    assert json.loads(out)["refused"] is True
    assert json.loads(out)["findings"]["error"] == 4


def test_a_reading_of_no_length_with_negative_energy_says_both(frames, tmp_path):
    both = changed(changed(frames, "readings", "energy_kwh", 3, -500), "readings", "end", 3, "2020-01-01")
    found = checked(write(tmp_path, both))
    assert rows(found, "READING_PERIOD") == rows(found, "NEGATIVE_ENERGY") == ["5"]


def test_duplicate_wells_refuse_and_copies_do_not(frames, tmp_path):
    wells = frames["wells"]
    twice = pd.concat([wells, wells.iloc[[3]].assign(pump_power_kw=99), wells.iloc[[4]]])
    found, _, err = refused(write(tmp_path, {**frames, "wells": twice}))
    assert rows(found, "DUPLICATE_INTAKE") == ["5", "26"]
    assert rows(found, "DUPLICATE_ROW") == ["27"]
    assert "inputs/wells.csv:26" in err


@pytest.mark.parametrize(
    ("table", "column", "row", "value", "rule"),
    [
        ("wells", "pump_power_kw", 0, -7.5, "POWER_RANGE"),
        ("wells", "pump_power_kw", 2, 5500, "POWER_RANGE"),
        ("wells", "pump_depth_m", 1, -30, "OUT_OF_RANGE"),
        ("wells", "pump_depth_m", 5, "", "BLANK_VALUE"),
        ("wells", "irrigated_area_mu", 5, "很大", "NOT_A_NUMBER"),
        ("readings", "energy_kwh", 0, -500, "NEGATIVE_ENERGY"),
        ("readings", "energy_kwh", 1, 1e9, "OUT_OF_RANGE"),
        ("readings", "energy_kwh", 2, "", "READING_INCOMPLETE"),
        ("readings", "end", 3, "2020-01-01", "READING_PERIOD"),
        ("readings", "start", 4, "32/13/2026", "AMBIGUOUS_DATE"),
        ("readings", "meter_id", 5, "", "BLANK_LINK"),
        ("pairs", "energy_kwh", 0, 0, "PAIR_ENERGY"),
        ("pairs", "volume_m3", 1, -5, "PAIR_VOLUME"),
        ("pairs", "volume_m3", 2, 1e7, "COEF_RANGE"),
        ("pairs", "energy_kwh", 3, "", "PAIR_INCOMPLETE"),
        ("pairs", "end", 4, "2020-01-01", "PERIOD_ORDER"),
    ],
)
def test_absurd_values_are_found_with_their_row(frames, tmp_path, table, column, row, value, rule):
    found = checked(write(tmp_path, changed(frames, table, column, row, value)))
    assert rows(found, rule) == [str(row + 2)], found[["rule", "row"]]
    assert set(found["severity"]) == {"warning"}


def test_unknown_words_are_kept_or_found(frames, tmp_path):
    wells = frames["wells"].assign(power_source=["核电"] + ["电网"] * 23, status=["在用"] * 23 + ["?"])
    wells["aquifer"] = ["第三含水组"] * 3 + list(wells["aquifer"][3:])
    found = checked(write(tmp_path, {**frames, "wells": wells}))
    assert rows(found, "UNKNOWN_WORD") == ["25", "2"] or sorted(rows(found, "UNKNOWN_WORD")) == ["2", "25"]


def test_wells_and_meters_that_do_not_find_each_other_are_said_once(frames, tmp_path):
    ids = frames["wells"]["well_id"]
    meters = pd.DataFrame({"meter_id": [*("m" + ids[2:]), "mX", "mY"], "well_id": [*ids[2:], "0999", ids[0]]})
    readings = frames["readings"].assign(meter_id="m" + frames["readings"]["meter_id"])
    readings = pd.concat([readings, readings.query("meter_id == 'm0012'").assign(meter_id="mX")])
    found = checked(write(tmp_path, {**frames, "meters": meters, "readings": readings}))
    told = found.groupby("rule")[["meter_id", "well_id"]].agg(list).to_dict("index")
    assert sorted(told["ORPHAN_READING"]["meter_id"]) == ["m0012", "m0013"]
    assert found.loc[found["rule"] == "ORPHAN_READING", "energy_kwh"].is_monotonic_decreasing
    assert told["ORPHAN_METER"]["well_id"] == ["0999"]
    assert told["LINK_WITHOUT_READINGS"]["meter_id"] == ["mY"]
    assert told["ORPHAN_WELL"]["well_id"] == ["0013"]
    assert not set(told) & {"METER_WITHOUT_WELL", "LINK_UNKNOWN_WELL", "METER_NO_DATA"}


def test_a_lost_leading_zero_is_shown_and_not_repaired(frames, tmp_path):
    readings = frames["readings"].replace({"meter_id": {"0012": "12"}})
    found = checked(write(tmp_path, {**frames, "readings": readings}))
    orphan = found[found["rule"] == "ORPHAN_READING"].iloc[0]
    assert orphan["meter_id"] == "12"
    assert "0012" in orphan["message"]


def test_a_quarter_without_readings_is_refused(frames, tmp_path):
    folder = write(tmp_path, frames)
    for quarter in ("2027Q1", "2019Q1"):
        status, _, err = command("run", folder, "--quarter", quarter)
        assert status == 1
        assert "QUARTER_WITHOUT_READINGS" in err
        assert quarter in err
        assert "现有读数：2025-07-01 – 2026-10-01" in " ".join(err.split())


def test_pairs_without_any_energy_are_refused(frames, tmp_path):
    found, *_ = refused(write(tmp_path, {**frames, "pairs": frames["pairs"].assign(energy_kwh=0)}))
    assert rows(found, "NO_USABLE_PAIR") == [""]
    assert len(rows(found, "PAIR_ENERGY")) == len(frames["pairs"])


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("readings.csv", b"<html><frameset></frameset></html>", "FILE_FORMAT"),
        ("pairs.csv", b"", "NO_ROWS"),
        ("readings.csv", b"meter_id,start,end,energy_kwh\n", "NO_ROWS"),
        ("wells.xlsx", b"PK\x03\x04broken", "TWO_FILES"),
        ("wells.csv", b"a,b\n1,2\n", "HEADER_NOT_FOUND"),
        ("wells.csv", None, "MISSING_FILE"),
    ],
)
def test_files_that_cannot_be_read_are_refused(frames, tmp_path, name, content, rule):
    folder = write(tmp_path, frames)
    path = folder / "inputs" / name
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    found, _, err = refused(folder)
    assert found.loc[found["severity"] == "error", "rule"].tolist() == [rule]
    assert path.name.split(".")[0] in err


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (TOML + "[estimate]\nconfidense = 0.9\n", ["line 4", "'estimate.confidense'", "'confidence'"]),
        (TOML + '[strat]\nby = ["aquifer"]\n', ["'strat'", "'strata'"]),
        (TOML + '[estimate]\ndomains = ["county", "townshp"]\n', ["estimate.domains", "'townshp'", "'township'"]),
        (TOML + '[strata]\nby = ["aquifr"]\n', ["strata.by", "'aquifr'", "'aquifer'"]),
        (TOML + '[model]\ncovariates = ["salinty"]\n', ["model.covariates", "'salinty'"]),
        (TOML + '[estimate]\nconfidence = "90%"\n', ["estimate.confidence", "'90%'"]),
        ('[strata]\nby = ["aquifer"]\n', ["'project'", "required"]),
    ],
)
@pytest.mark.parametrize("name", ["run", "check"])
def test_a_wrong_configuration_is_wrong_usage(frames, tmp_path, toml, words, name):
    folder = write(tmp_path, frames, toml=toml)
    status, out, err = command(name, folder, *(["--quarter", "2026Q3"] if name == "run" else []))
    assert (status, out) == (2, "")
    assert all(word in err for word in ["elec2water.toml", *words]), err
    assert not (folder / "releases").exists()


@pytest.mark.parametrize(
    "sample", ["well_id\n0012\n", "", "well_id,stratum,role,inclusion_probability,weight,order\n0012,s,primary,x,y,1\n"]
)
def test_a_spoilt_sample_file_is_named(frames, tmp_path, sample):
    folder = write(tmp_path, frames)
    (folder / "design").mkdir()
    (folder / "design" / "sample.csv").write_text(sample, encoding="utf-8")
    status, _, err = command("run", folder, "--quarter", "2026Q3")
    assert status == 2
    assert "sample.csv" in err
    assert not list(folder.glob("releases/*/*"))


def test_names_that_spreadsheets_would_run_come_back_unchanged(frames, tmp_path):
    wells = frames["wells"].assign(township=["=cmd|' /C calc'!A1"] * 12 + ["@东乡"] * 12)
    folder = write(tmp_path, {**frames, "wells": wells})
    status, *_ = command("run", folder, "--quarter", "2026Q3")
    assert status == 0
    keys = read_table(folder / "releases/2026Q3/r1/totals.csv").query("domain == 'township'")["key"]
    assert np.all([key.startswith("'") for key in keys])
