"""Decisions of the user: what they change, that raw rows stay, and where they are written down."""

import json

import numpy as np
import pandas as pd
import pytest

from elec2water import beginning, checking, project
from elec2water.county import read_project
from elec2water.energy import read_energy

JAN, JUN = np.datetime64("2026-01"), np.datetime64("2026-06")
KWH = [100.0, 110.0, 5.0, 120.0, 130.0, 140.0]


def tables(kwh=KWH, ids=("m",)):
    edges = np.arange(JAN, JUN + 2).astype("datetime64[s]")
    rows = [(m, a, b, k) for m in ids for a, b, k in zip(edges[:-1], edges[1:], kwh, strict=True) if np.isfinite(k)]
    readings = pd.DataFrame(rows, columns=["meter_id", "start", "end", "energy_kwh"]).astype({"meter_id": "str"})
    readings.index += 2
    wells = pd.DataFrame({"well_id": pd.array(ids, dtype="str"), "pump_power_kw": 10.0})
    return wells, wells[:0].assign(meter_id=pd.array([], dtype="str")), readings


def decisions(*rows):
    names = ["meter_id", "start", "end", "action", "value", "reason"]
    frame = pd.DataFrame(rows, columns=names).astype(dict.fromkeys(("meter_id", "action", "reason"), "str"))
    for name in ("start", "end"):
        frame[name] = frame[name].astype("datetime64[s]")
    frame.index += 2
    return frame


def read(corrections, kwh=KWH):
    return read_energy(*tables(kwh), first=JAN, last=JUN, corrections=corrections, lang="en")


@pytest.mark.parametrize(
    ("action", "value", "expected", "letter"),
    [("multiply", 20.0, 100.0, "J"), ("set", 77.0, 77.0, "J"), ("leave_out", np.nan, np.nan, "N")],
)
def test_a_decision_changes_its_month_and_says_so(action, value, expected, letter):
    done = read(decisions(("m", "2026-03-01", "2026-04-01", action, value, "CT changed")))
    np.testing.assert_array_equal(done.energy.kwh[0], [100.0, 110.0, expected, 120.0, 130.0, 140.0])
    assert "".join(done.energy.quality[0]) == f"AA{letter}AAA"
    found = done.findings.of(rule="CORRECTION_APPLIED").frame
    assert found[["table", "meter_id", "limit"]].to_numpy().tolist() == [["corrections", "m", "5"]]
    assert "CT changed" in found["message"][0]


def test_open_ends_reach_to_the_first_and_last_reading():
    done = read(
        decisions(("m", None, "2026-03-01", "multiply", 10.0, "x"), ("m", "2026-06-01", None, "multiply", 2.0, "x"))
    )
    np.testing.assert_allclose(done.energy.kwh[0], [1000.0, 1100.0, 5.0, 120.0, 130.0, 280.0])


def test_set_joins_months_and_supplies_what_nobody_read():
    done = read(decisions(("m", "2026-02-01", "2026-04-01", "set", 59.0, "bill")))
    np.testing.assert_allclose(done.energy.kwh[0, 1:3], [28.0, 31.0])
    missing = [*KWH[:2], np.nan, *KWH[3:]]
    done = read(decisions(("m", "2026-03-01", "2026-04-01", "set", 31.0, "bill")), missing)
    assert (done.energy.kwh[0, 2], done.energy.quality[0, 2]) == (31.0, "J")


def test_negative_energy_and_contradictions_are_settled_by_the_user():
    done = read(decisions(("m", "2026-03-01", "2026-04-01", "set", 9.0, "exchange")), [*KWH[:2], -500.0, *KWH[3:]])
    assert done.energy.kwh[0, 2] == 9.0
    assert done.findings.of(rule="NEGATIVE_ENERGY").count == 0
    wells, meters, readings = tables()
    twice = pd.concat([readings, readings.iloc[[2]].assign(energy_kwh=8.0)])
    chosen = decisions(("m", "2026-03-01", "2026-04-01", "set", 8.0, "second bill"))
    done = read_energy(wells, meters, twice, first=JAN, last=JUN, corrections=chosen, lang="en")
    assert done.energy.kwh[0, 2] == 8.0
    assert done.findings.of(rule="READING_CONTRADICTION").count == 0


def test_registers_are_corrected_between_reads():
    days = np.arange(JAN, JUN + 2).astype("datetime64[s]")
    readings = pd.DataFrame({"meter_id": "m", "read_on": days, "register_kwh": [90.0, 95.0, 2.0, 4.0, 5.0, 6.0, 9.0]})
    wells, meters, _ = tables()
    chosen = decisions(("m", "2026-02-01", "2026-03-01", "set", 7.0, "meter exchanged at 100"))
    done = read_energy(
        wells, meters, readings.astype({"meter_id": "str"}), first=JAN, last=JUN, corrections=chosen, lang="en"
    )
    np.testing.assert_allclose(done.energy.kwh[0], [5.0, 7.0, 2.0, 1.0, 1.0, 3.0])
    assert done.findings.of(rule="NEGATIVE_ENERGY").count == 0


def test_a_decision_that_finds_nothing_is_named():
    done = read(
        decisions(("zz", None, None, "multiply", 2.0, "x"), ("m", "2020-01-01", "2020-02-01", "leave_out", np.nan, "x"))
    )
    assert done.findings.of(rule="CORRECTION_UNUSED").frame["meter_id"].tolist() == ["zz", "m"]
    np.testing.assert_array_equal(done.energy.kwh[0], KWH)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = beginning.demo(tmp_path_factory.mktemp("county") / "c", wells=200, seed=3)
    path = made / "inputs" / "readings.csv"
    frame = pd.read_csv(path, dtype=str, encoding="utf-8-sig")
    columns = {"meter": frame.columns[0]}
    county = read_project(made)
    readings = county.tables.readings
    big = readings.loc[readings["start"] == np.datetime64("2026-07-01")].nlargest(1, "energy_kwh")
    position = int(big.index[0]) - 2
    energy = next(name for name in frame.columns if "电量" in name or "energy" in name)
    frame.loc[position, energy] = str(float(frame.loc[position, energy]) * 10)
    frame.to_csv(path, index=False, encoding="utf-8-sig")
    return made, frame.loc[position, columns["meter"]], float(big["energy_kwh"].iloc[0])


def test_a_slip_is_found_decided_and_kept_in_the_manifest(folder):
    made, meter, true = folder
    found = checking.check(made).findings.frame
    spike = found[found["rule"].isin(["SPIKE", "OVER_CAPACITY"]) & found["period"].eq("2026-07")]
    assert meter in set(spike["meter_id"])
    text = (
        f"表号,开始日期,结束日期,处理,改正值,原因,决定人\n{meter},2026-07-01,2026-08-01,改为,{true},电费单核对,张三\n"
    )
    (made / "inputs" / "corrections.csv").write_text(text, encoding="utf-8")
    again = checking.check(made).findings.frame
    assert meter not in set(again.loc[again["rule"].eq("SPIKE") & again["period"].eq("2026-07"), "meter_id"])
    assert "电费单核对" in again.loc[again["rule"] == "CORRECTION_APPLIED", "message"].item()
    (made / "inputs" / "corrections.csv").write_text(text.replace("改为", "核实无误"), encoding="utf-8")
    accepted = checking.check(made).findings.frame
    assert meter not in set(accepted.loc[accepted["rule"].eq("SPIKE"), "meter_id"])
    (made / "inputs" / "corrections.csv").write_text(text.replace("电费单核对", ""), encoding="utf-8")
    assert checking.check(made).findings.errors.frame["rule"].tolist() == ["CORRECTION_INCOMPLETE"]
    (made / "inputs" / "corrections.csv").write_text(text, encoding="utf-8")
    done = project.run(made, quarter="2026Q3")
    manifest = json.loads((done.release.folder / "manifest.json").read_text(encoding="utf-8"))
    assert "电费单核对" in json.dumps(manifest, ensure_ascii=False)
