"""Registers as people write them down: ledgers without energy, hours apart, dates as headings, meters exchanged.

Every case is the same three meters over seven months; the oracle is the energy that was put in, month by month.
"""

import itertools

import numpy as np
import pytest

import elec2water as e2w
from forms_kit import csv_of, xlsx_of

MONTHS = np.arange("2026-03", "2026-10", dtype="datetime64[M]")
WELLS = ("0012", "0013", "0014")
MULTIPLIER = dict(zip(WELLS, (1, 20, 30), strict=True))
MOVED = {
    "0012": [310, 420, 515, 260, 90, 300, 205],
    "0013": [31, 12, 44, 25, 8, 19, 27],
    "0014": [22, 40, 17, 33, 15, 6, 29],
}
OPENED = {"0012": 4100, "0013": 350, "0014": 99}
TRUTH = {(well, str(m)): MOVED[well][k] * MULTIPLIER[well] for well in WELLS for k, m in enumerate(MONTHS)}
METERS = "表号,取水口编号,综合倍率\n" + "".join(f"T{well},{well},{MULTIPLIER[well]}\n" for well in WELLS)
EDGES = [str(m) + "-01" for m in (*MONTHS, MONTHS[-1] + 1)]


def register(well, k):
    return OPENED[well] + sum(MOVED[well][:k])


def county(folder, readings, meters=METERS):
    """Write a county around some readings and give what is known of it: {(well, month): kWh}, findings."""
    inputs = folder / "inputs"
    inputs.mkdir(exist_ok=True)
    (folder / "elec2water.toml").write_text('[project]\nname = "某县"\n', encoding="utf-8")
    registry = "".join(f"{well},东乡,浅层,45,60\n" for well in WELLS)
    (inputs / "wells.csv").write_text("取水口编号,乡镇,取水层位,水泵功率,水泵安装深度\n" + registry, encoding="utf-8")
    (inputs / "pairs.csv").write_text(
        "取水口编号,开始日期,结束日期,电量,水量\n0012,2026-07-01,2026-08-01,100,400\n", encoding="utf-8"
    )
    if meters is not None:
        (inputs / "meters.csv").write_text(meters, encoding="utf-8")
    for name, data in readings.items():
        path = inputs / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    read = e2w.read_project(folder)
    if read.findings.errors.count:
        return {}, read.findings
    reading = read.reading()
    energy = reading.energy
    known = {
        (well, str(month)): float(energy.kwh[i, j])
        for i, well in enumerate(energy.well_id)
        for j, month in enumerate(energy.months)
        if np.isfinite(energy.kwh[i, j])
    }
    return known, read.findings + reading.findings


def same(known, truth=TRUTH):
    return known == pytest.approx(truth, abs=1e-6)


def uses(make):
    """Three uses a month and meter; `make` writes one from (well, day, register before, register after)."""
    rows = []
    for well in WELLS:
        at = OPENED[well]
        for k, month in enumerate(MONTHS):
            cuts = [MOVED[well][k] * share // 10 for share in (0, 3, 7, 10)]
            for day, (low, high) in zip((2, 14, 27), itertools.pairwise(cuts), strict=True):
                rows.append(make(well, f"{month}-{day:02d}", at + low, at + high))
            at += MOVED[well][k]
    return rows


LEDGERS = {
    "a day": (["用水日期", "电表号", "起码", "止码", "签字"], lambda w, d, a, b: [d, f"T{w}", a, b, "张"]),
    "moments": (
        ["电表号", "开泵时间", "关泵时间", "开泵示数", "关泵示数"],
        lambda w, d, a, b: [f"T{w}", f"{d} 07:30", f"{d} 19:05", a, b],
    ),
    "hours apart": (
        ["电表号", "灌溉日期", "开机时间", "停机时间", "起度", "止度"],
        lambda w, d, a, b: [f"T{w}", d.replace("-", "."), "21:30", "4点半", a, b],
    ),
    "its multiplier": (
        ["灌溉日期", "电表号", "起码", "止码", "倍率"],
        lambda w, d, a, b: [d, f"T{w}", a, b, MULTIPLIER[w]],
    ),
}


@pytest.mark.parametrize("form", LEDGERS)
@pytest.mark.parametrize("order", [1, -1])
def test_a_ledger_of_registers_gives_the_energy_between_them(tmp_path, form, order):
    headings, make = LEDGERS[form]
    known, findings = county(tmp_path, {"readings.csv": csv_of([headings, *uses(make)[::order]])})
    assert same(known)
    assert findings.of(rule="USES_BY_REGISTER").count == 1
    assert findings.of(rule="NOT_A_DATE").count == 0


def test_energy_that_nobody_wrote_down_is_between_the_registers(tmp_path):
    headings, make = LEDGERS["a day"]
    rows = [row for row in uses(make) if row[:2] != ["2026-05-14", "T0013"]]
    known, findings = county(tmp_path, {"readings.csv": csv_of([headings, *rows])})
    assert same(known)
    missing = findings.of(rule="USES_MISSING").frame
    assert missing["meter_id"].tolist() == ["T0013"]


@pytest.mark.parametrize(
    "headings",
    [
        ["表号", "抄表日期", "抄表时间", "示数"],
        ["表号", "日期", "时刻", "电表读数"],
        ["表号", "日期", "时间", "表码读数"],
    ],
)
@pytest.mark.parametrize("hour", ["00:00", "8:05:30", "下午3时20分"])
def test_hours_apart_from_the_day_of_reading(tmp_path, headings, hour):
    rows = [[f"T{w}", day, hour, register(w, k)] for w in WELLS for k, day in enumerate(EDGES)]
    known, findings = county(tmp_path, {"readings.csv": csv_of([headings, *rows])})
    assert same(known)
    assert findings.of(severity="warning").count == 0


def test_registers_under_dates_were_read_on_those_days(tmp_path):
    rows = [["机井电表示数登记表"], ["表号", *EDGES], *([f"T{w}", *(register(w, k) for k in range(8))] for w in WELLS)]
    known, _ = county(tmp_path, {"readings.csv": csv_of(rows)})
    assert same(known)


@pytest.mark.parametrize("heading", ["2026-03-01", "202603", "2026年3月"])
def test_registers_under_the_name_of_energy_are_refused(tmp_path, heading):
    form = {"2026-03-01": "{:%Y-%m-01}", "202603": "{:%Y%m}", "2026年3月": "{0.year}年{0.month}月"}[heading]
    head = ["表号", *(form.format(m.astype(object)) for m in MONTHS)]
    rows = [head, *([f"T{w}", *(register(w, k + 1) for k in range(7))] for w in WELLS)]
    known, findings = county(tmp_path, {"readings.csv": csv_of([*rows, *([f"U{r[0]}", *r[1:]] for r in rows[1:])])})
    assert known == {}
    assert findings.errors.frame["rule"].tolist() == ["CUMULATIVE_ENERGY"]


def test_energies_of_a_spring_that_grow_in_every_meter_are_energies(tmp_path):
    head = ["表号", *(f"2026年{k}月" for k in range(1, 7))]
    rows = [[f"T{w}", 0, 0, 10, 50, 300 + i, 800] for i, w in enumerate(WELLS)]
    rows += [[f"X{i}", 0, 0, 10, 50, 300 + i, 800] for i in range(9)]
    known, _ = county(tmp_path, {"readings.csv": csv_of([head, *rows])})
    assert known["0013", "2026-06"] == 800


@pytest.mark.parametrize("words", [("上月止码", "本月止码", "电量"), ("前值", "后值", "本月电量")])
def test_registers_beside_energies_under_a_month_are_not_its_energy(tmp_path, words):
    head = ["表号", *(cell for m in MONTHS for cell in (f"2026年{m.astype(object).month}月", "", ""))]
    rows = [head, ["", *words * 7]]
    for w in WELLS:
        triples = ((register(w, k), register(w, k + 1), TRUTH[w, str(m)]) for k, m in enumerate(MONTHS))
        rows.append([f"T{w}", *(cell for triple in triples for cell in triple)])
    known, _ = county(tmp_path, {"readings.csv": csv_of(rows)})
    assert same(known)


def test_a_second_row_of_headings_that_nobody_knows_is_no_record(tmp_path):
    head = ["表号", *(cell for m in MONTHS for cell in (f"2026年{m.astype(object).month}月", ""))]
    rows = [head, ["", *("前值", "后值") * 7]]
    rows += [[f"T{w}", *(c for k in range(7) for c in (register(w, k), register(w, k + 1)))] for w in WELLS]
    known, findings = county(tmp_path, {"readings.csv": csv_of(rows)})
    assert known == {}
    assert findings.errors.frame["rule"].tolist() == ["HEADER_NOT_FOUND"]


def reads(changed):
    """Reads at month ends, those of 0013 changed: {edge: (registers, …)}."""
    rows = []
    for w in WELLS:
        for k, day in enumerate(EDGES):
            here = changed.get(k, (register(w, k),)) if w == "0013" else (register(w, k),)
            rows += [[f"T{w}", day, value] for value in here]
    return csv_of([["表号", "抄表日期", "示数"], *rows])


def test_an_exchange_on_the_day_of_a_read_loses_nothing(tmp_path):
    done = register("0013", 3)
    changed = {3: (done, 5)} | {k: (register("0013", k) - done + 5,) for k in range(4, 8)}
    known, findings = county(tmp_path, {"readings.csv": reads(changed)})
    assert same(known)
    assert findings.of(rule="REGISTER_EXCHANGED").frame["meter_id"].tolist() == ["T0013"]
    assert findings.of(rule="READING_CONTRADICTION").count == 0


def test_two_registers_of_which_either_may_open_leave_the_month_unknown(tmp_path):
    done = register("0013", 3)
    changed = {3: (done, 5)} | {k: (register("0013", k) + 5,) for k in range(4, 8)}
    known, findings = county(tmp_path, {"readings.csv": reads(changed)})
    assert ("0013", "2026-06") not in known
    assert known["0013", "2026-05"] == TRUTH["0013", "2026-05"]
    assert findings.of(rule="READING_CONTRADICTION").count == 2


def test_a_slip_between_the_reads_around_it_is_bridged(tmp_path):
    done = register("0013", 3)
    known, _ = county(tmp_path, {"readings.csv": reads({3: (done, done - 9)})})
    both = [known["0013", month] for month in ("2026-05", "2026-06")]
    assert sum(both) == pytest.approx(TRUTH["0013", "2026-05"] + TRUTH["0013", "2026-06"])


def test_readings_that_name_their_wells_need_no_table_of_meters(tmp_path):
    rows = [[f"T{w}", w, MULTIPLIER[w], day, register(w, k)] for w in WELLS for k, day in enumerate(EDGES)]
    text = csv_of([["表号", "井号", "倍率", "抄表日期", "示数"], *rows])
    known, findings = county(tmp_path, {"readings.csv": text}, meters=None)
    assert same(known)
    assert findings.of(rule="LINKS_FROM_READINGS").count == 1


def test_the_year_is_that_of_the_folder(tmp_path):
    files = {
        f"readings/2026年/{m.astype(object).month}月.xlsx": xlsx_of(
            [["表号", "用电量"], *([f"T{w}", TRUTH[w, str(m)]] for w in WELLS)]
        )
        for m in MONTHS
    }
    known, _ = county(tmp_path, files)
    assert same(known)


def test_months_of_headings_that_lost_their_format(tmp_path):
    days = (MONTHS.astype("datetime64[D]") - np.datetime64("1899-12-30")).astype(int).tolist()
    rows = [["表号", *days], *([f"T{w}", *(TRUTH[w, str(m)] for m in MONTHS)] for w in WELLS)]
    known, _ = county(tmp_path, {"readings.csv": csv_of(rows)})
    assert same(known)


def test_links_that_write_their_last_day(tmp_path):
    meters = (
        "表号,取水口编号,综合倍率,生效日期,失效日期\n"
        "T0012,0012,1,2020-01-01,2026-05-31\nT0012,0013,1,2026-06-01,\nT0014,0014,30,,\n"
    )
    rows = [[f"T{w}", str(m), TRUTH[w, str(m)]] for w in ("0012", "0014") for m in MONTHS]
    known, findings = county(tmp_path, {"readings.csv": csv_of([["表号", "月份", "电量"], *rows])}, meters)
    moved = {("0012" if str(m) < "2026-06" else "0013", str(m)): TRUTH["0012", str(m)] for m in MONTHS}
    assert same(known, moved | {key: kwh for key, kwh in TRUTH.items() if key[0] == "0014"})
    assert findings.of(rule="LINK_END_INCLUSIVE").count == 1
    assert findings.of(rule="ENERGY_OUTSIDE_LINK").count == 0


def test_shares_of_more_than_one_are_scaled_and_said(tmp_path):
    meters = "表号,取水口编号,分摊比例\nT0012,0012,0.6\nT0012,0013,0.6\nT0014,0014,\n"
    rows = [[f"T{w}", str(m), TRUTH[w, str(m)]] for w in ("0012", "0014") for m in MONTHS]
    known, findings = county(tmp_path, {"readings.csv": csv_of([["表号", "月份", "电量"], *rows])}, meters)
    assert sum(kwh for (well, _), kwh in known.items() if well != "0014") == pytest.approx(sum(MOVED["0012"]))
    assert findings.of(rule="SHARES_OVER").frame["observed"].astype(float).tolist() == [1.2]


SHEETS = {
    "registers": (["抄表日期", "表号", "上次示数", "本次示数"], lambda w, k: [register(w, k), register(w, k + 1)]),
    "energy": (["抄表日期", "表号", "本期电量"], lambda w, k: [MOVED[w][k] * MULTIPLIER[w]]),
    "both": (
        ["抄表日期", "表号", "上次示数", "本次示数", "倍率", "电量"],
        lambda w, k: [register(w, k), register(w, k + 1), MULTIPLIER[w], MOVED[w][k] * MULTIPLIER[w]],
    ),
}


@pytest.mark.parametrize("sheet", SHEETS)
def test_energies_dated_by_their_reading_run_from_the_reading_before(tmp_path, sheet):
    headings, cells = SHEETS[sheet]
    rows = [[EDGES[k + 1], f"T{w}", *cells(w, k)] for k in range(7) for w in WELLS]
    known, findings = county(tmp_path, {"readings.csv": csv_of([headings, *rows])})
    assert same(known)
    assumed = findings.of(rule="READ_CYCLE_ASSUMED").frame
    assert assumed["observed"].astype(int).tolist() == [3]


def test_an_energy_after_a_gap_is_that_of_its_own_cycle(tmp_path):
    headings, cells = SHEETS["energy"]
    rows = [[EDGES[k + 1], f"T{w}", *cells(w, k)] for k in range(7) for w in WELLS if k != 3]
    known, _ = county(tmp_path, {"readings.csv": csv_of([headings, *rows])})
    assert same(known, {key: kwh for key, kwh in TRUTH.items() if key[1] != "2026-06"})


def test_registers_that_join_bridge_a_gap(tmp_path):
    headings, _ = SHEETS["registers"]
    rows = [[EDGES[k + 1], f"T{w}", register(w, 3 if k == 4 else k), register(w, k + 1)]
            for k in range(7) for w in WELLS if k != 3]  # fmt: skip
    known, _ = county(tmp_path, {"readings.csv": csv_of([headings, *rows])})
    assert sum(known.values()) == pytest.approx(sum(TRUTH.values()))


def test_energies_a_day_apart_are_those_of_their_days(tmp_path):
    days = np.arange("2026-07-01", "2026-09-01", dtype="datetime64[D]").astype(str)
    use = [i * 7 % 11 for i in range(len(days))]
    rows = [[f"T{w}", day, kwh] for w in WELLS for day, kwh in zip(days, use, strict=True)]
    known, findings = county(tmp_path, {"readings.csv": csv_of([["表号", "日期", "用电量"], *rows[::-1]])})
    assert known["0013", "2026-07"] == pytest.approx(sum(use[:31]))
    assert known["0013", "2026-08"] == pytest.approx(sum(use[31:]))
    assert findings.of(rule="OFF_CYCLE").count == 0


@pytest.mark.parametrize("new", [False, True])
def test_of_several_reads_a_day_the_first_counts_unless_the_register_falls(tmp_path, new):
    rows = []
    for w in WELLS:
        for k, day in enumerate(EDGES):
            at = register(w, k) - (register(w, 3) if new and k > 3 else 0)
            rows += [[f"T{w}", f"{day} 0{h}:15", at + 0.1 * h] for h in range(3)]
            rows += [[f"T{w}", f"{day} 09:00", 0]] if new and k == 3 else []
    known, findings = county(tmp_path, {"readings.csv": csv_of([["表号", "冻结时间", "示数"], *rows])})
    assert findings.of(rule="READS_WITHIN_DAY").count == 1
    if not new:
        assert same(known)
    else:
        assert {month for _, month in known} >= {"2026-03", "2026-04", "2026-08", "2026-09"}
        assert all(known[key] == pytest.approx(TRUTH[key]) for key in known if key[1] not in ("2026-05", "2026-06"))


@pytest.mark.parametrize(
    ("headings", "write"),
    [
        ("CT变比", lambda k: f"{5 * k}/5"),
        ("CT变比,PT变比", lambda k: f"{k},1"),
        ("综合倍率,CT,PT", lambda k: f"1,{5 * k}:5,1"),
    ],
)
def test_transformer_ratios_are_the_multiplier_where_none_is_stated(tmp_path, headings, write):
    meters = f"表号,取水口编号,{headings}\n" + "".join(f"T{w},{w},{write(MULTIPLIER[w])}\n" for w in WELLS)
    known, findings = county(tmp_path, {"readings.csv": reads({})}, meters)
    assert same(known)
    assert findings.of(rule="MULTIPLIER_OF_RATIOS").count == 1


def test_a_stated_multiplier_goes_before_transformer_ratios(tmp_path):
    meters = "表号,取水口编号,综合倍率,CT变比\n" + "".join(f"T{w},{w},{MULTIPLIER[w]},300/5\n" for w in WELLS)
    known, findings = county(tmp_path, {"readings.csv": reads({})}, meters)
    assert same(known)
    assert findings.of(rule="MULTIPLIER_OF_RATIOS").count == 0
