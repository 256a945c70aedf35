"""Logs of pumping: cards swiped at a well, ledgers of an association; each sum against one made by hand."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elec2water.tables.context import Context
from elec2water.tables.sessions import sum_of_uses, uses_by_day
from elec2water.tables.typed import TypedTable
from tables_kit import read, rows_of

CARDS = """机井编号,用户姓名,卡号,开泵时间,关泵时间,用电量(kWh),用水量(m³)
0012,张三,10001,2026-07-03 08:12:05,2026-07-03 15:40:11,45.20,180.5
0012,李四,10002,2026-07-03 16:01:00,2026-07-04 02:11:00,60.00,241
0013,王五,10003,2026/7/5 6:00,2026/7/5 18:30,130.5,390
0013,王五,10003,2026-09-05 6:00,2026-09-05 18:30,120.5,380
"""
SWIPED = """序号,井号,刷卡时间,用户,本次用电量(度),余额
1,0012,2026-07-03 08:12:05,张三,45.20,35.1
2,0012,2026-07-04 02:11:00,李四,60.00,12
3,0013,2026/7/5 18:30,王五,130.5,0
4,0013,2026/9/5 18:30,王五,120.5,0
合计,,,,356.2,
"""
LEDGER = """灌溉日期,机井编号,用水户,起数,止数,用电(度),水费,签字
2026.7.3,0012,张三,100,145.2,45.2,20,张
2026.7.4,0012,李四,145.2,205.2,60,20,李
2026.7.5,0013,王五,1150,1280.5,130.5,20,王
2026.9.5,0013,王五,1280.5,1401,120.5,20,王
小计,,,,,356.2,,
"""


def by_month(readings):
    """Give {(meter, month): kWh} and see that every row is a calendar month."""
    start, end = (readings[name].to_numpy().astype("datetime64[D]") for name in ("start", "end"))
    assert (end.astype("datetime64[M]") == start.astype("datetime64[M]") + 1).all()
    months = np.datetime_as_string(start.astype("datetime64[M]"))
    return dict(zip(zip(readings["meter_id"], months, strict=True), readings["energy_kwh"].round(6), strict=True))


@pytest.mark.parametrize("text", [CARDS, SWIPED, LEDGER])
@pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
def test_uses_are_summed_by_meter_and_month(tmp_path, text, codec):
    tables, findings = read(tmp_path, readings__csv=text.encode(codec))
    assert findings.errors.count == 0, findings.errors.frame["message"].tolist()
    assert by_month(tables.readings) == {
        ("0012", "2026-07"): 105.2, ("0013", "2026-07"): 130.5, ("0013", "2026-09"): 120.5,
    }  # fmt: skip
    assert rows_of(findings, "USES_SUMMED", "warning") == [2]
    said = findings.of(rule="USES_SUMMED").frame["message"].iloc[0]
    assert "0 个表月按零计" in said
    assert "3 个表月不能判定" in said
    assert findings.of(rule="USES_UNLOGGED").frame["period"].tolist() == ["2026-08"]


def log_of(uses):
    """A log from {meter: months of 2026 with a use of 10 kWh}."""
    rows = [f"{meter},2026-{month:02d}-05,10\n" for meter, months in uses.items() for month in months]
    return "井号,用水日期,用电量\n" + "".join(rows)


@pytest.mark.parametrize(
    ("others", "zero", "unknown"),
    [
        # another meter of the log was used in every month: it covers them; nobody is seen to rest and come back
        ({"0013": range(3, 10)}, [], [7, 8, 9]),
        # two others rest for three months and come back, so that three months after the last use are a rest
        ({"0013": range(3, 10), "a": [3, 7, 8, 9], "b": [3, 4, 8, 9]}, [7, 8, 9], []),
        # they rest for two months only
        ({"0013": range(3, 10), "a": [3, 6, 8, 9], "b": [3, 4, 7, 9]}, [], [7, 8, 9]),
    ],
)
def test_months_without_a_use_are_zero_where_the_log_speaks(tmp_path, others, zero, unknown):
    text = log_of({"0012": [4, 6], **others})
    tables, findings = read(tmp_path, readings__csv=text)
    known = {month: kwh for (meter, month), kwh in by_month(tables.readings).items() if meter == "0012"}
    assert {m for m in range(3, 10) if known.get(f"2026-{m:02d}") == 0.0} == {5, *zero}
    assert {m for m in range(3, 10) if f"2026-{m:02d}" not in known} == {3, *unknown}
    assert findings.of(rule="USES_UNLOGGED").count == 0


def test_files_of_other_meters_do_not_speak_for_a_log(tmp_path):
    files = {"a__csv": log_of({"0012": [4, 6], "a": [4, 6]}), "b__csv": log_of({"0013": [4, 5, 6]})}
    tables, findings = read(tmp_path, {"inputs": {"readings": ("inputs/a.csv", "inputs/b.csv")}}, **files)
    assert ("0012", "2026-05") not in by_month(tables.readings)
    assert findings.of(rule="USES_UNLOGGED").frame["period"].tolist() == ["2026-05"]


def test_a_month_with_a_use_of_unknown_energy_is_unknown(tmp_path):
    tables, findings = read(tmp_path, readings__csv=SWIPED.replace("60.00", "六十"))
    assert rows_of(findings, "NOT_A_NUMBER", "warning") == [3]
    assert rows_of(findings, "READING_INCOMPLETE", "warning") == [2]
    assert np.isnan(by_month(tables.readings)["0012", "2026-07"])


def test_a_use_without_a_day_is_kept_and_reported(tmp_path):
    tables, findings = read(tmp_path, readings__csv=SWIPED.replace("2026-07-04 02:11:00", "不详"))
    assert rows_of(findings, "READING_INCOMPLETE", "warning") == [3]
    assert tables.readings["energy_kwh"].sum() == pytest.approx(356.2)


def test_months_and_days_with_times_are_no_uses(tmp_path):
    text = (
        "表号,开始日期,结束日期,电量\n0012,2026-07-01 00:00,2026-08-01 00:00,1200\n0013,2026-07-01,2026-07-02 00:00,9\n"
    )
    tables, findings = read(tmp_path, readings__csv=text)
    assert findings.of(rule="USES_SUMMED").count == 0
    assert tables.readings["energy_kwh"].tolist() == [1200, 9]


def table_of(frame):
    columns = {name: frame[name].to_numpy() for name in frame if name != "meter_id"}
    columns["meter_id"] = pa.array(list(frame["meter_id"]), pa.string()).dictionary_encode()
    return TypedTable("readings", columns, np.arange(2, len(frame) + 2), np.zeros(len(frame), np.int16), ("f",))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400), st.integers(0, 20_000)), min_size=1, max_size=40)
)
def test_no_energy_is_lost_or_made_and_the_order_of_uses_does_not_matter(uses):
    frame = pd.DataFrame(uses, columns=["meter_id", "day", "energy_kwh"])
    start = np.datetime64("2025-01-01T09:00:00") + frame.pop("day").to_numpy().astype("timedelta64[D]")
    frame = frame.assign(start=start, end=start + np.timedelta64(3, "h"), energy_kwh=frame["energy_kwh"] / 8)
    results = []
    for rows in (frame, frame.iloc[::-1].reset_index(drop=True)):
        table, _ = sum_of_uses(uses_by_day(table_of(rows), Context("readings", "f"))[0], Context("readings", "f"))
        results.append(by_month(table.to_frame()))
    assert results[0] == results[1]
    oracle = frame.assign(month=start.astype("datetime64[M]")).groupby(["meter_id", "month"])["energy_kwh"].sum()
    used = {(meter, str(month)[:7]): round(float(kwh), 6) for (meter, month), kwh in oracle.items()}
    assert {key: kwh for key, kwh in results[0].items() if key in used} == used
    months_of = {meter: {m for other, m in used if other == meter} for meter, _ in used}
    logged = {month for _, month in used}
    for meter, month in set(results[0]) - set(used):
        assert results[0][meter, month] == 0.0
        assert month in logged
        assert min(months_of[meter]) < month
    for meter, months in months_of.items():
        between = {month for month in logged if min(months) < month < max(months)}
        assert between <= {month for other, month in results[0] if other == meter}
