"""Checks within and between tables: which rows, how grave, and what is left of the values."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elec2water.tables import validate
from elec2water.tables.context import Context
from elec2water.tables.names import alike
from elec2water.tables.places import may_be_near
from elec2water.tables.typed import TypedTable
from tables_kit import PAIRS, READINGS, WELLS, read, rows_of

PAIR_HEAD = PAIRS.split("\n")[0] + "\n"


def test_exact_copies_are_dropped_once(tmp_path):
    line = WELLS.split("\n")[1] + "\n"
    tables, findings = read(tmp_path, wells__csv=WELLS + line + line)
    assert rows_of(findings, "DUPLICATE_ROW", "warning") == [4, 5]
    assert tables.wells.index.tolist() == [2, 3]
    assert findings.errors.count == 0


def test_one_identifier_with_two_attributes_refuses_every_row_of_it(tmp_path):
    _, findings = read(tmp_path, wells__csv=WELLS + "0012,西乡,浅层,7.5,45\n" + "００１２,南乡,浅层,7.5,45\n")
    assert rows_of(findings, "DUPLICATE_INTAKE", "error") == [2, 4, 5]
    assert findings.of(rule="DUPLICATE_INTAKE").frame["well_id"].tolist() == ["0012"] * 3


def test_blank_identifiers(tmp_path):
    _, findings = read(
        tmp_path, wells__csv=WELLS + ",东乡,浅层,7.5,45\n", pairs__csv=PAIRS + ",2026-07-01,2026-08-01,1,4\n"
    )
    assert rows_of(findings, "BLANK_ID", "error") == [4]
    assert rows_of(findings, "BLANK_LINK", "warning") == [3]


def test_blank_attributes_are_warnings_and_stay_missing(tmp_path):
    text = WELLS.replace("浅层", "无").replace("7.5", "")
    tables, findings = read(tmp_path, wells__csv=text.replace("45", "").replace("80", " "))
    assert findings.errors.count == 0
    assert rows_of(findings, "BLANK_VALUE", "warning") == [2, 2]
    assert rows_of(findings, "BLANK_COLUMN", "warning") == [pd.NA]
    assert tables.wells["aquifer"].isna().tolist() == [True, False]
    assert tables.wells["pump_depth_m"].isna().all()


def test_water_below_the_pumps_is_named_once_a_series_and_kept(tmp_path):
    # Pumps at 45 and 80 m. The median decides: 53.1 m is more than a pump at 45 m can suck (8 m), 53.0 m is not.
    rows = [
        ("", "东乡", "浅层", 953.2),
        ("", "东乡", "浅层", 953.0),
        ("", "东乡", "浅层", 20.0),
        ("", "东乡", "深层", 60.0),
    ]
    rows += [
        ("0012", "", "", 53.1),
        ("0013", "", "", 88.0),
        ("0099", "东乡", "浅层", 700.0),
        ("", "西乡", "浅层", 700.0),
    ]
    text = "month,well_id,township,aquifer,depth_m\n" + "".join(
        f"2026-{k + 1:02d},{well},{town},{layer},{depth}\n" for k, (well, town, layer, depth) in enumerate(rows)
    )
    tables, findings = read(tmp_path, water_levels__csv=text)
    assert rows_of(findings, "LEVEL_BELOW_PUMP", "warning") == [2, 6]
    found = findings.of(rule="LEVEL_BELOW_PUMP").frame
    assert found["observed"].astype(float).tolist() == [953.0, 53.1]
    assert found["limit"].astype(float).tolist() == [45.0, 45.0]
    assert "东乡 浅层" in found["message"].iloc[0]
    assert tables.water_levels["depth_m"].tolist() == [depth for *_, depth in rows]


def test_water_levels_without_pump_depths_or_aquifers_are_not_held_against_anything(tmp_path):
    levels = "month,township,aquifer,depth_m\n2026-01,东乡,浅层,700\n"
    for spoilt in (WELLS.replace("45", "").replace("80", ""), WELLS.replace("浅层", "").replace("深层", "")):
        _, findings = read(tmp_path, wells__csv=spoilt, water_levels__csv=levels)
        assert rows_of(findings, "LEVEL_BELOW_PUMP", "warning") == []


def test_values_that_cannot_be_are_left_out_with_their_text(tmp_path):
    text = WELLS.replace("7.5", "5500").replace("80", "-3").replace("45", "四十")
    tables, findings = read(tmp_path, wells__csv=text)
    assert rows_of(findings, "POWER_RANGE", "warning") == [2]
    assert rows_of(findings, "OUT_OF_RANGE", "warning") == [3]
    assert rows_of(findings, "NOT_A_NUMBER", "warning") == [2]
    assert sorted(findings.frame["observed"]) == ["-3", "5500", "四十"]
    assert findings.count == 3
    assert tables.wells["pump_depth_m"].isna().all()


def test_a_pump_below_its_well(tmp_path):
    text = WELLS.replace("depth_m\n", "depth_m,well_depth_m\n").replace("45", "45,40").replace("80", "80,120")
    tables, findings = read(tmp_path, wells__csv=text)
    assert rows_of(findings, "DEPTH_ORDER", "warning") == [2]
    assert tables.wells["pump_depth_m"].fillna(-1).tolist() == [-1.0, 80.0]


def test_swapped_longitude_and_latitude_are_left_out(tmp_path):
    text = (
        WELLS.replace("depth_m\n", "depth_m,经度,纬度\n").replace("45", "45,36.1,114.2").replace("80", "80,114.2,36.1")
    )
    tables, findings = read(tmp_path, wells__csv=text)
    assert rows_of(findings, "POSITION_SWAPPED", "warning") == [2]
    assert tables.wells["longitude"].fillna(-1).tolist() == [-1, 114.2]


def test_billing_months_are_read_as_calendar_months_and_say_so(tmp_path):
    tables, findings = read(tmp_path, readings__csv="表号,电费年月,电量\n0012,202612,5\n0013,2026年7月,6\n")
    assert rows_of(findings, "PERIOD_ASSUMED", "warning") == [2]
    assert tables.readings["start"].astype(str).tolist() == ["2026-12-01", "2026-07-01"]
    assert tables.readings["end"].astype(str).tolist() == ["2027-01-01", "2026-08-01"]


def test_incomplete_readings_are_named(tmp_path):
    text = "meter_id,read_on,register_kwh,start,end,energy_kwh\n0012,2026-07-01,5,,,\n"
    text += "0013,,,2026-07-01,2026-08-01,4\n0012,,7,,,3\n"
    _, findings = read(tmp_path, readings__csv=text)
    assert rows_of(findings, "READING_INCOMPLETE", "warning") == [4]


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ("0013,2026-07-01,2026-08-01,0,400", "PAIR_ENERGY"),
        ("0013,2026-07-01,2026-08-01,-5,400", "PAIR_ENERGY"),
        ("0013,2026-07-01,2026-08-01,100,0", "PAIR_VOLUME"),
        ("0013,2026-08-01,2026-07-01,100,400", "PERIOD_ORDER"),
        ("0013,2026-07-01,2026-07-01,100,400", "PERIOD_ORDER"),
        ("0013,2026-07-01,2026-08-01,100,4", "COEF_RANGE"),
        ("0013,2026-07-01,2026-08-01,1,400", "COEF_RANGE"),
        ("0013,2026-07-01,2026-08-01,,400", "PAIR_INCOMPLETE"),
        ("0012,2026-07-15,2026-08-15,100,400", "PAIR_OVERLAP"),
    ],
)
def test_pairs_that_cannot_be_used(tmp_path, record, rule):
    tables, findings = read(tmp_path, pairs__csv=PAIRS + record + "\n")
    assert rows_of(findings, rule, "warning") == [3]
    assert findings.count == 1, findings
    assert tables.pairs.loc[3, ["energy_kwh", "volume_m3"]].isna().all()
    assert tables.pairs.loc[2, "volume_m3"] == 400.0


def test_pairs_of_one_period_that_differ_are_all_left_out_whatever_their_order(tmp_path):
    """Which of them is right nobody knows; the same figures twice, or rounded once more, count once."""
    rows = ["0013,2026-07-01,2026-08-01,100,640", "0013,2026-07-01,2026-08-01,100,400"]
    for k, records in enumerate((rows, rows[::-1])):
        (tmp_path / str(k)).mkdir()
        tables, findings = read(tmp_path / str(k), pairs__csv=PAIRS + "\n".join(records) + "\n")
        assert rows_of(findings, "PAIR_CONTRADICTION", "warning") == [3, 4]
        assert findings.count == 2, findings
        assert tables.pairs.loc[[3, 4], ["energy_kwh", "volume_m3"]].isna().all().all()
        assert tables.pairs.loc[2, "volume_m3"] == 400.0
    again = "0013,2026-07-01,2026-08-01,100,400\n0013,2026-07-01,2026-08-01,100,400.4\n"
    (tmp_path / "again").mkdir()
    tables, findings = read(tmp_path / "again", pairs__csv=PAIRS + again)
    assert rows_of(findings, "PAIR_OVERLAP", "warning") == [4]
    assert tables.pairs.loc[3, "volume_m3"] == 400.0


@pytest.mark.parametrize(
    ("record", "rules"),
    [
        ("0013,2026-08-01,2026-07-01,0,-4", ["PAIR_ENERGY", "PAIR_VOLUME", "PERIOD_ORDER"]),
        ("0013,2026-08-01,2026-07-01,,-4", ["PAIR_INCOMPLETE", "PAIR_VOLUME", "PERIOD_ORDER"]),
        ("0013,2026-08-01,2026-07-01,1,400", ["COEF_RANGE", "PERIOD_ORDER"]),
        ("0013,,2026-07-01,0,400", ["PAIR_ENERGY", "PAIR_INCOMPLETE"]),
        ("0099,2026-08-01,2026-07-01,abc,-4", ["NOT_A_NUMBER", "ORPHAN_PAIR", "PAIR_INCOMPLETE", "PAIR_VOLUME",
            "PERIOD_ORDER"]),
    ],
)  # fmt: skip
def test_every_fault_of_a_pair_is_told_at_once(tmp_path, record, rules):
    tables, findings = read(tmp_path, pairs__csv=PAIRS + record + "\n")
    assert sorted(findings.frame["rule"]) == rules
    assert set(findings.frame["row"]) == {3}
    assert tables.pairs.loc[3, ["energy_kwh", "volume_m3"]].isna().all()


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(("order", "energy", "volume")), min_size=1))
def test_mending_a_fault_of_a_pair_brings_up_no_other(faults):
    """Faults are independent: those of a row with several are the faults of rows with one each."""
    base = {"well_id": "0013", "start": "2026-07-01", "end": "2026-08-01", "energy_kwh": "100", "volume_m3": "400"}
    wrong = {"order": ("end", "2026-06-01"), "energy": ("energy_kwh", "-1"), "volume": ("volume_m3", "0")}
    rules = {"order": "PERIOD_ORDER", "energy": "PAIR_ENERGY", "volume": "PAIR_VOLUME"}
    row = base | dict(wrong[fault] for fault in faults)
    with tempfile.TemporaryDirectory() as folder:
        _, findings = read(Path(folder), pairs__csv=PAIRS + ",".join(row.values()) + "\n")
    assert sorted(findings.frame["rule"]) == sorted(rules[fault] for fault in faults)


def test_a_volume_worked_out_from_a_stated_coefficient_has_no_fault_of_its_own(tmp_path):
    text = "well_id,start,end,energy_kwh,volume_m3,以电折水系数\n0012,2026-07-01,2026-08-01,0,,4\n"
    _, findings = read(tmp_path, pairs__csv=text)
    assert findings.warnings.frame["rule"].tolist() == ["PAIR_ENERGY"]


def test_a_reading_that_is_not_used_tells_its_negative_energy_too(tmp_path):
    text = READINGS + "0013,,2026-08-01,-7\n"
    _, findings = read(tmp_path, readings__csv=text)
    last = READINGS.count("\n") + 1
    assert rows_of(findings, "READING_INCOMPLETE", "warning") == [last]
    assert rows_of(findings, "NEGATIVE_ENERGY", "warning") == [last]
    said = findings.of(rule="NEGATIVE_ENERGY").frame["message"].item()
    assert said.startswith("电表 0013 的电量为负（-7 kWh），未采用。可能：")


def test_rows_are_looked_at_although_the_file_is_refused(tmp_path):
    """The quarter of a title contradicts a row: others are told of their other faults in the same run."""
    text = "2026年第三季度电量\n表号,开始日期,结束日期,电量\n0012,2026-07-01,2026-08-01,10\n"
    text += "0013,2025-01-01,2025-02-01,10\n,2026-07-01,2026-08-01,5\n"
    _, findings = read(tmp_path, readings__csv=text)
    assert rows_of(findings, "PERIOD_MISMATCH", "error") == [4]
    assert rows_of(findings, "BLANK_LINK", "warning") == [5]


def test_a_pumping_test_that_begins_and_ends_on_one_day_is_used(tmp_path):
    text = "井号,开始时间,结束时间,电量,水量,类型\n0012,2026-07-01,2026-07-01,100,400,抽水试验\n"
    text += "0013,2026-07-02,2026-07-02,90,360,水表计量\n"
    tables, findings = read(tmp_path, pairs__csv=text)
    assert rows_of(findings, "PERIOD_ORDER", "warning") == [3]
    assert findings.count == 1, findings
    assert tables.pairs.loc[2, ["energy_kwh", "volume_m3"]].tolist() == [100.0, 400.0]
    assert tables.pairs.loc[2, "end"] == tables.pairs.loc[2, "start"] + np.timedelta64(1, "h")


def test_the_inverse_of_an_absurd_coefficient_is_named(tmp_path):
    _, findings = read(tmp_path, pairs__csv=PAIR_HEAD + "0012,2026-07-01,2026-08-01,400,4\n")
    assert "100 kWh/m³" in findings.of(rule="COEF_RANGE").frame["message"][0]


def test_short_tests_give_flow_and_power(tmp_path):
    text = "井号,开始时间,结束时间,流量(m³/h),功率\n0012,2026-07-01 08:00,2026-07-01 10:30,40,10\n"
    text += "0013,2026-07-02,2026-07-02,36,9\n0013,2026-07-03,,36,9\n"
    tables, findings = read(tmp_path, pairs__csv=text)
    assert findings.count == 0, findings
    assert tables.pairs["energy_kwh"].tolist() == [25.0, 9.0, 9.0]
    assert tables.pairs["volume_m3"].tolist() == [100.0, 36.0, 36.0]
    assert tables.pairs["end"].astype(str).tolist()[1:] == ["2026-07-02 01:00:00", "2026-07-03 01:00:00"]
    assert tables.pairs["flow_m3_per_h"].tolist() == [40.0, 36.0, 36.0]


INTERVALS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 12)), min_size=1, max_size=12)


@settings(max_examples=60)
@given(INTERVALS)
def test_overlaps_agree_with_looking_at_every_pair(intervals):
    frame = pd.DataFrame(intervals, columns=["well", "start", "days"])
    day = np.datetime64("2026-01-01", "s") + frame["start"].to_numpy() * np.timedelta64(86400, "s")
    table = _pairs(frame["well"].to_numpy(), day, day + frame["days"].to_numpy() * np.timedelta64(86400, "s"))
    checked, _ = validate._pair_overlaps(table, Context("pairs", "x"))
    left_out = np.isnan(checked.numbers("energy_kwh"))
    start, end = frame["start"].to_numpy(), (frame["start"] + frame["days"]).to_numpy()
    order = np.lexsort((end, start))
    expected = np.zeros(len(frame), dtype=bool)
    for k, i in enumerate(order):
        before = order[:k]
        expected[i] = np.any((frame["well"].to_numpy()[before] == frame["well"][i]) & (end[before] > start[i]))
    np.testing.assert_array_equal(left_out, expected)


def _pairs(well, start, end):
    columns = {
        "well_id": pa.array([str(w) for w in well]).dictionary_encode(),
        "start": start, "end": end, "energy_kwh": np.ones(len(well)), "volume_m3": np.ones(len(well)),
    }  # fmt: skip
    return TypedTable("pairs", columns, np.arange(len(well)) + 2, np.zeros(len(well), np.int16), ("x",))


def test_strangers_are_named_both_ways_with_the_energy_at_stake(tmp_path):
    tables, findings = read(
        tmp_path,
        wells__csv=WELLS + "0014,东乡,浅层,7.5,45\n0015,东乡,浅层,7.5,45\n",
        meters__csv="表号,井号\nM1,0012\nM2,0013\nM3,15\nM4,0014\n",
        readings__csv="表号,开始日期,结束日期,电量\nM1,2026-07-01,2026-08-01,10\nM3,2026-07-01,2026-08-01,20\n"
        "m2,2026-07-01,2026-08-01,30\nm2,2026-08-01,2026-09-01,40\nM4,2026-07-01,2026-08-01,1\n",
        pairs__csv=PAIRS + "9,2026-07-01,2026-08-01,100,400\n",
    )
    assert len(tables.meters) == 4
    found = findings.frame[["rule", "row", "well_id", "meter_id", "observed"]].to_numpy().tolist()
    assert sorted(found, key=str) == [
        ["ID_LENGTH", 4, "15", "M3", "15"],
        ["LINK_WITHOUT_READINGS", 3, "0013", "M2", ""],
        ["ORPHAN_METER", 4, "15", "M3", "20"],
        ["ORPHAN_PAIR", 3, "9", "", ""],
        ["ORPHAN_READING", 4, "", "m2", "70"],
        ["ORPHAN_WELL", 5, "0015", "", ""],
    ]
    messages = findings.frame.set_index("rule")["message"]
    assert "M2" in messages["ORPHAN_READING"]
    assert "0015" in messages["ORPHAN_METER"]


def test_energy_of_a_closed_well_and_wells_without_electricity(tmp_path):
    text = WELLS.replace("depth_m\n", "depth_m,运行状态,动力类型\n").replace("45", "45,报废,").replace("80", "80,在用,")
    _, findings = read(tmp_path, wells__csv=text + "0016,东乡,浅层,7.5,45,在用,柴油\n")
    assert findings.frame[["rule", "row", "observed"]].to_numpy().tolist() == [["INACTIVE_WITH_ENERGY", 2, "1200"]]


def test_permits(tmp_path):
    text = WELLS.replace("depth_m\n", "depth_m,许可证号\n").replace("45", "45,P1").replace("80", "80,P9")
    permits = "permit_no,annual_volume_m3,年计划水量\nP1,10,20\nP2,0,\nP3,5,\nP3,6,\n"
    _, findings = read(tmp_path, wells__csv=text, permits__csv=permits)
    assert rows_of(findings, "PERMIT_NOT_FOUND", "warning") == [3]
    assert rows_of(findings, "PLAN_GT_PERMIT", "warning") == [2]
    assert rows_of(findings, "PERMIT_VOLUME", "warning") == [3]
    assert rows_of(findings, "DUPLICATE_PERMIT", "error") == [4, 5]


def test_many_findings_of_one_rule_are_counted_not_listed(tmp_path):
    rows = "".join(f"X{i},2026-07-01,2026-08-01,1\n" for i in range(1500))
    _, findings = read(tmp_path, readings__csv=READINGS + rows)
    assert findings.of(rule="ORPHAN_READING").count == 1000
    assert findings.of(rule="MORE_OF_RULE").frame["observed"].tolist() == ["500"]


def test_findings_in_english(tmp_path):
    config = {"project": {"name": "x", "language": "en"}}
    _, findings = read(tmp_path, config, pairs__csv=PAIR_HEAD + "0012,2026-07-01,2026-08-01,0,4\n")
    assert findings.frame["message"][0].startswith("the energy 0 kWh is not above zero")


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3), st.integers(0, 1 << 40)), min_size=1))
def test_combined_codes_are_equal_exactly_where_rows_are(rows):
    codes = np.array(rows, dtype=np.int64)
    key = validate.combine(*codes.T, codes[:, 2], codes[:, 2])
    assert (key[:, None] == key[None, :]).tolist() == [[a == b for b in rows] for a in rows]
    assert validate.repeated(key).tolist() == [rows.count(row) > 1 for row in rows]


def test_short_tests_need_no_dates(tmp_path):
    pairs = "well_id,flow_m3_per_h,power_kw\n0012,30,7.5\n0013,,5\n"
    tables, findings = read(tmp_path, pairs__csv=pairs)
    first = tables.pairs.loc[2]
    assert first["volume_m3"] / first["energy_kwh"] == 4.0
    assert first["kind"] == "test"
    assert rows_of(findings, "PAIR_INCOMPLETE", "warning") == [3]
    assert findings.of(rule="PAIR_UNDATED").count == 1
    assert not findings.errors.count


def test_a_test_of_stated_kind_may_give_energy_and_volume_without_dates(tmp_path):
    tables, findings = read(
        tmp_path, pairs__csv="取水口编号,电量,水量,观测类型\n0012,10,40,抽水试验\n0013,10,40,水表\n"
    )
    assert rows_of(findings, "PAIR_INCOMPLETE", "warning") == [3]
    assert tables.pairs.loc[2, "volume_m3"] == 40.0


def test_findings_name_columns_as_the_form_does(tmp_path):
    wells = "取水口编号,乡镇,取水层位,水泵功率,水泵安装深度\n0012,东乡,浅层,5500,45\n0013,东乡,深层,11,\n"
    _, findings = read(tmp_path, wells__csv=wells)
    messages = findings.of(table="wells").frame.set_index("rule")["message"]
    assert messages["POWER_RANGE"].startswith("水泵功率（pump_power_kw）的值 5500 超出可能范围 0.2 – 500 kW")
    assert messages["BLANK_VALUE"].startswith("第 3 行的水泵安装深度（pump_depth_m）为空")


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 60), st.sampled_from([1.0, 5.0]))
def test_every_place_with_a_near_neighbour_is_looked_at(seed, n, distance):
    rng = np.random.default_rng(seed)
    places = np.round(rng.normal(0, 60, (n, 2)), rng.integers(-1, 3))
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + np.diag(np.full(n, np.inf))
    near = may_be_near(places, distance)
    assert near[(apart <= distance).any(axis=1)].all()
    assert not near[(apart > 2.9 * distance).all(axis=1)].any()


@pytest.mark.parametrize("text", ["七点五", "约7.5", '"7,5"', "见铭牌", "7.5左右", "nan", "7。5"])
@pytest.mark.parametrize("column", ["pump_power_kw", "pump_depth_m"])
def test_a_text_that_is_no_number_is_said_to_be_none_in_any_column(tmp_path, text, column):
    old = {"pump_power_kw": ",7.5,", "pump_depth_m": ",45\n"}[column]
    tables, findings = read(tmp_path, wells__csv=WELLS.replace(old, f"{old[0]}{text}{old[-1]}"))
    assert rows_of(findings, "NOT_A_NUMBER", "warning") == [2]
    assert findings.of(rule="NOT_A_NUMBER").frame["observed"].tolist() == [text.strip('"')]
    assert findings.of(rule="POWER_RANGE").count == 0
    assert tables.wells[column].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "value"), [("7.5kW", 7.5), ("７．５", 7.5), ("--", None), ("无", None), ("7500W", 7.5)]
)
def test_powers_with_units_are_read_and_words_for_nothing_are_blank(tmp_path, text, value):
    tables, findings = read(tmp_path, wells__csv=WELLS.replace(",7.5,", f",{text},"))
    assert findings.of(rule="NOT_A_NUMBER").count == findings.of(rule="POWER_RANGE").count == 0
    assert findings.of(rule="BLANK_VALUE").count == (value is None)
    assert tables.wells["pump_power_kw"].iloc[0] == (
        pytest.approx(value) if value else pytest.approx(np.nan, nan_ok=True)
    )


def with_last(column, *cells):
    """Give the readings one more column."""
    lines = READINGS.strip().split("\n")
    return "\n".join(f"{line},{cell}" for line, cell in zip(lines, (column, *cells), strict=True)) + "\n"


@pytest.mark.parametrize("word", ["X", "Q", "待核", "V", "?"])
def test_an_unknown_quality_is_found_and_never_taken_as_actual(tmp_path, word):
    tables, findings = read(tmp_path, readings__csv=with_last("数据质量", "A", word))
    found = findings.of(rule="UNKNOWN_WORD").frame
    assert (found["row"].tolist(), found["observed"].tolist()) == ([3], [word])
    assert "估抄" in found["message"].iloc[0]
    assert tables.readings["quality"].tolist() == ["actual", "estimated"]


@pytest.mark.parametrize(
    ("word", "quality"),
    [("S", "estimated"), ("F", "estimated"), ("E", "estimated"), ("远程", "actual"), ("冲正", "adjustment")],
)
def test_letters_and_words_of_quality_that_are_known(tmp_path, word, quality):
    tables, findings = read(tmp_path, readings__csv=with_last("数据质量", "实抄", word))
    assert findings.count == 0
    assert tables.readings["quality"].tolist() == ["actual", quality]


@pytest.mark.parametrize("word", ["N", "缺抄", "无效", "采集失败"])
def test_a_reading_that_says_it_is_none_is_left_out(tmp_path, word):
    tables, findings = read(tmp_path, readings__csv=with_last("数据质量", "实抄", word))
    assert rows_of(findings, "QUALITY_NULL", "warning") == [3]
    assert findings.frame["observed"].tolist() == ["900"]
    assert tables.readings["meter_id"].tolist() == ["0012"]


@pytest.mark.parametrize(("column", "word"), [("方向", "第七象限"), ("时段", "丙")])
def test_directions_and_bands_that_are_not_understood_are_found(tmp_path, column, word):
    known = {"方向": "正向有功", "时段": "总"}[column]
    tables, findings = read(tmp_path, readings__csv=with_last(column, known, word))
    found = findings.of(rule="UNKNOWN_WORD").frame
    assert (found["row"].tolist(), found["observed"].tolist()) == ([3], [word])
    assert tables.readings["energy_kwh"].sum() == 2100


@pytest.mark.parametrize("word", ["反", "反向", "反有功", "R", "上网", "倒送"])
def test_what_flows_back_is_no_pumping_however_it_is_said(tmp_path, word):
    tables, findings = read(tmp_path, readings__csv=with_last("方向", "正", word))
    assert rows_of(findings, "DIRECTION_LEFT_OUT", "info") == [3]
    assert tables.readings["energy_kwh"].tolist() == [1200]


@pytest.mark.parametrize(
    "text",
    [
        "户号,电费年月,抄表日期,电量\n0012,202607,2026-07-28,1200\n0013,202607,2026-07-28,900\n",
        "户号,电费年月,电量,日期\n0012,202607,1200,2026-08-03\n0013,202607,900,2026-08-03\n",
        "户号,电费年月,抄表日期,上期示数,本期示数,倍率,电量\n0012,202607,2026-07-28,100,1300,1,1200\n"
        "0013,202607,2026-07-28,0,45,20,900\n",
        "户号,电费年月,抄表日期,抄见电量,退补电量\n0012,202607,2026-07-28,1200,0\n0013,202607,2026-07-28,900,0\n",
    ],
)
def test_a_billing_month_counts_though_a_day_of_reading_stands_beside_it(tmp_path, text):
    tables, findings = read(tmp_path, readings__csv=text)
    assert findings.errors.count == 0
    assert rows_of(findings, "PERIOD_ASSUMED", "warning") == [2]
    assert tables.readings["energy_kwh"].tolist() == [1200, 900]
    assert tables.readings["start"].tolist() == [pd.Timestamp("2026-07-01")] * 2


def test_the_energy_of_days_is_that_of_the_days_named(tmp_path):
    text = "表号,日期,日用电量\n0012,2026-07-01,12\n0012,2026-07-02,13\n0013,2026-07-01,9\n"
    tables, findings = read(tmp_path, readings__csv=text)
    assert findings.count == 0
    assert tables.readings["end"].dt.day.tolist() == [2, 3, 2]
    assert tables.readings["energy_kwh"].tolist() == [12, 13, 9]


def test_cells_under_no_heading_are_not_lost_in_silence(tmp_path):
    lines = READINGS.strip().split("\n")
    text = "\n".join([f"{lines[0]},,", f"{lines[1]},,", f"{lines[2]},,错位"]) + "\n"
    tables, findings = read(tmp_path, readings__csv=text)
    found = findings.of(rule="UNNAMED_COLUMN").frame
    assert (found["row"].tolist(), found["observed"].tolist(), found["limit"].tolist()) == ([3], ["1"], ["6"])
    assert "错位" in found["message"].iloc[0]
    assert tables.readings["energy_kwh"].tolist() == [1200, 900]


def test_the_register_of_wells_of_a_water_bureau_is_read(tmp_path):
    text = (
        "某县农业灌溉机井台账\n序号,取水工程编码,所在乡镇,所在村,东经,北纬,井深(m),下泵深度(m),配套动力(kW),控制灌溉面积(亩),地下水类型,运行状况\n"
        "1,0012,东乡,东村,114.51,36.51,80,45,7.5,80,浅层,正常\n2,0013,东乡,东村,114.52,36.52,180,80,11,90,深层,停用\n"
    )
    tables, findings = read(tmp_path, wells__csv=text)
    assert findings.errors.count == 0
    assert tables.wells["pump_power_kw"].tolist() == [7.5, 11]
    assert tables.wells["status"].tolist() == ["in_use", "sealed"]
    assert tables.wells["irrigated_area_mu"].tolist() == [80, 90]


def test_a_metering_point_beside_the_meter_is_no_second_meter(tmp_path):
    text = "计量点编号,资产编号,电费年月,电量\n1,0012,202607,1200\n1,0013,202607,900\n"
    tables, findings = read(tmp_path, readings__csv=text)
    assert findings.errors.count == 0
    assert tables.readings["meter_id"].tolist() == ["0012", "0013"]
    tables, _ = read(tmp_path, readings__csv=text.replace("资产编号", "型号"))
    assert tables.readings["meter_id"].tolist() == ["1", "1"]


@pytest.mark.parametrize(("pairs", "rule", "count"), [(5, "POSSIBLE_SAME_WELL", 5), (6, "POSITION_COARSE", 1)])
def test_pairs_of_wells_are_listed_up_to_a_twentieth_of_the_wells(tmp_path, pairs, rule, count):
    """Of 100 wells, counted by pairs: the well and the one it was registered as before are one."""
    lines = [f"{i:03d},东乡,浅层,7.5,{30 + i},{115 + i / 100:.5f},36.1" for i in range(100 - pairs)]
    lines += [f"x{i},东乡,浅层,7.5,{30 + i},{115 + i / 100 + 1e-5:.5f},36.1" for i in range(pairs)]
    head = "取水口编号,乡镇,取水层位,水泵功率,水泵安装深度,经度,纬度"
    _, findings = read(tmp_path, wells__csv="\n".join([head, *lines]))
    found = findings.frame
    assert found["rule"].isin(["POSSIBLE_SAME_WELL", "POSITION_COARSE"]).sum() == count
    assert found["rule"].eq(rule).sum() == count


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("01团场", "01团场场部", True), ("城关", "城关镇", True), ("ＡＢ镇", "ab镇", True),
        ("王庄镇", "王家庄镇", True), ("浅层", "深层", False),
        ("浅层", "中浅层", False), ("东村", "西村", False), ("三组", "十三组", False), ("张庄镇", "李庄镇", False),
        ("柳林镇", "柳林乡", True), ("1号机井站", "11号机井站", False), ("王庄", "大王庄", False),
    ],
)  # fmt: skip
def test_names_that_may_be_one(one, other, same):
    assert alike(one, other) is alike(other, one) is same


def test_a_name_of_few_wells_that_is_nearly_another_is_told_with_both_counts(tmp_path):
    head = WELLS.split("\n")[0] + "\n"
    rows = [f"{k:04d},{'城关镇' if k < 8 else '城关'},{'浅层' if k < 5 else '浅层水'},7.5,45" for k in range(10)]
    _, found = read(
        tmp_path, wells__csv=head + "\n".join(rows) + "\n", pairs__csv=PAIR_HEAD + "0001,2026-07-01,2026-08-01,1,4\n"
    )
    told = found.of(rule="NAMES_ALIKE").frame
    assert told["row"].tolist() == [10]
    assert told["message"].iloc[0].startswith("“城关”（2 眼井）与“城关镇”（8 眼井）写法相近，疑为同一名称；")


def test_water_levels_of_a_name_that_no_well_has_are_told_and_not_used_without_a_word(tmp_path):
    levels = "month,township,aquifer,depth_m\n2026-07,东乡,浅层,20\n2026-07,东乡,浅层水,21\n2026-08,北乡,浅层水,21\n"
    _, found = read(tmp_path, water_levels__csv=levels)
    told = found.of(rule="LEVEL_NAME_UNKNOWN").frame
    assert told["row"].tolist() == [3, 4]
    assert told["severity"].unique().tolist() == ["warning"]
    aquifer, township = told["message"]
    assert aquifer.startswith("“浅层水”的 2 行水位没有取水口与之对应，未采用（登记表中相近的名称：浅层）")
    assert township.startswith("“北乡”的 1 行水位没有取水口与之对应，未采用。")
    of_a_well = "month,well_id,aquifer,depth_m\n2026-07,0012,别名,20\n"
    assert not len(read(tmp_path, water_levels__csv=of_a_well)[1].of(rule="LEVEL_NAME_UNKNOWN").frame)
