"""Cells to values: written out by hand, and round trips by hypothesis."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elec2water import identifiers
from elec2water.tables import dates, keys, parse

NAN = float("nan")


def numbers(cells, unit=""):
    return parse.parse_numbers(pa.array(cells), unit)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.5", 12.5), ("１２．５", 12.5), (" 12.5\u00a0", 12.5), ("12.5\u200b", 12.5), ("'12.5", 12.5), ("－3", -3.0),
        ("1,234.5", 1234.5), ("１，２３４", 1234.0), ("-1,234,567", -1234567.0), ("1e3", 1000.0), (".5", 0.5),
        ("5.", 5.0), ("1e-17", 1e-17), ("-0.0", 0.0),
    ],
)  # fmt: skip
def test_numbers_that_are_understood(text, value):
    parsed = numbers([text])
    assert parsed.values.tolist() == [value]
    assert not np.signbit(parsed.values[0]) or value < 0
    assert not parsed.wrong["NOT_A_NUMBER"].any()


@pytest.mark.parametrize(
    "text",
    [
        "nan2",
        "inf",
        "Infinity",
        "1e400",
        "1_000",
        "0x10",
        "TRUE",
        "1/2",
        "7.5*2",
        "1 234,5",
        "12,5",
        "7.5HP",
        "1.2.3",
        "一百",
        "1,2345",
    ],
)
def test_numbers_that_are_not_guessed(text):
    parsed = numbers([text, "1"], "kw")
    assert np.isnan(parsed.values[0])
    assert parsed.wrong["NOT_A_NUMBER"].tolist() == [True, False]


@pytest.mark.parametrize("text", ["", " ", "无", "/", "—", "－", "暂无", "N/A", "\u3000"])
def test_null_words_are_blank_not_wrong(text):
    parsed = numbers([text])
    assert np.isnan(parsed.values[0])
    assert not parsed.wrong["NOT_A_NUMBER"].any()


def test_a_unit_in_the_cell_is_converted():
    parsed = numbers(["7.5kW", "5500 W", "5%", "2万方", "3"], "kw")
    np.testing.assert_array_equal(parsed.values, [7.5, 5.5, NAN, NAN, 3.0])
    assert parsed.normalised == 2
    np.testing.assert_array_equal(numbers(["5%", "0.5"], "fraction").values, [0.05, 0.5])
    np.testing.assert_array_equal(numbers(["2万方"], "m3").values, [20000.0])


def test_degrees_minutes_seconds():
    parsed = numbers(["114°30′18″", "114°30'18\"", "36度15分0秒", "114.30.12", "114°75′00″"], "deg")
    np.testing.assert_allclose(parsed.values, [114.505, 114.505, 36.25, NAN, NAN], rtol=1e-15)


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_every_float_written_by_python_is_read_back(values):
    cells = [None if value is None else repr(value) for value in values]
    expected = [NAN if value is None else value for value in values]
    np.testing.assert_array_equal(numbers(pa.array(cells, pa.string())).values, expected)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-03-31", "2026-03-31"), ("2026/3/31", "2026-03-31"), ("2026.3.31", "2026-03-31"),
        ("2026年3月31日", "2026-03-31"), ("２０２６年３月３１日", "2026-03-31"), ("20260331", "2026-03-31"),
        ("46112", "2026-03-31"), ("46112.5", "2026-03-31T12:00:00"), ("2024-02-29", "2024-02-29"),
        ("2026-03-31 08:30", "2026-03-31T08:30:00"), ("2026-03-31T08:30:15", "2026-03-31T08:30:15"),
        ("2026/3/31 8:05:09", "2026-03-31T08:05:09"), ("2026年3月31日8时30分", "2026-03-31T08:30:00"),
    ],
)  # fmt: skip
def test_dates_that_are_understood(text, value):
    parsed = dates.parse_dates(pa.array([text]))
    assert parsed.values[0] == np.datetime64(value, "s")
    assert not any(mask.any() for mask in parsed.wrong.values())


@pytest.mark.parametrize("text", ["26-3-31", "3/4/2026", "31.12.26", "26年3月31日", "5/6/7"])
def test_dates_that_could_mean_two_days(text):
    parsed = dates.parse_dates(pa.array([text]))
    assert np.isnat(parsed.values[0])
    assert parsed.wrong["AMBIGUOUS_DATE"].tolist() == [True]
    assert parsed.wrong["NOT_A_DATE"].tolist() == [False]


@pytest.mark.parametrize(
    "text", ["2026-02-30", "2026-13-01", "20261301", "昨天", "12", "99999", "2026-03-31 25:00", "2026-03"]
)
def test_dates_that_are_none(text):
    parsed = dates.parse_dates(pa.array([text]))
    assert np.isnat(parsed.values[0])
    assert parsed.wrong["NOT_A_DATE"].tolist() == [True]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2018-05", "2018-05-01"), ("2018年5月", "2018-05-01"), ("201805", "2018-05-01"), ("2018.10", "2018-10-01"),
        ("2018", "2018-07-01"), ("2018年", "2018-07-01"), ("2018年春", "2018-07-01"), ("2018.1", "2018-07-01"),
        ("18", None), ("2018年13月", None), ("2018-00", None), ("3018", None), ("2018-05-32", None), ("约2018", None),
    ],
)  # fmt: skip
def test_dates_known_to_the_month_or_the_year(text, day):
    found = dates.coarse_dates(pa.array([text, None]))
    assert found[0] == np.datetime64(day, "s") if day else np.isnat(found[0])
    assert np.isnat(found[1])


@pytest.mark.parametrize("text", ["2026-03", "202603", "2026年3月", "2026/3", "2026-03-17", "46112"])
def test_months(text):
    parsed = dates.parse_dates(pa.array([text]), months=True)
    assert parsed.values[0] == np.datetime64("2026-03-01", "s")


@given(
    st.dates(dt.date(1954, 10, 4), dt.date(2099, 12, 31)), st.sampled_from(["iso", "zh", "compact", "serial", "slash"])
)
def test_every_date_is_read_back_from_every_form(day, form):
    text = {
        "iso": day.isoformat(),
        "zh": f"{day.year}年{day.month}月{day.day}日",
        "compact": f"{day:%Y%m%d}",
        "serial": str((day - dt.date(1899, 12, 30)).days),
        "slash": f"{day.year}/{day.month}/{day.day}",
    }[form]
    assert dates.parse_dates(pa.array([text])).values[0] == np.datetime64(day, "s")


def text_of(cells, kind, **options):
    return parse.parse_text(pa.array(cells, pa.string()), kind, **options)


def test_identifiers_lose_what_is_not_seen_and_nothing_else():
    parsed = text_of(
        ["0012", "０００１２４", "Ｄ１３０", "a1\u00a0", "\u200b0012\u3000", "\u202eab", "'007", "N A", ""], "id"
    )
    assert parsed.values.to_pylist() == ["0012", "000124", "D130", "a1", "0012", "ab", "007", "N A", None]
    assert parsed.values.dictionary.to_pylist().count("0012") == 1


@pytest.mark.parametrize("text", ["1.23457E+18", "1.23457e+18", "1E+18", "1234567890123456768.0"])
def test_identifiers_that_lost_their_digits(text):
    assert text_of([text, "1E5", "12.0"], "id").wrong["ID_PRECISION_LOST"].tolist() == [True, False, False]


def test_free_text_keeps_its_words():
    assert text_of(["NA", "null", " 无 ", "（某）村"], "text").values.to_pylist() == ["NA", "null", "无", "（某）村"]


def test_words_become_canonical_and_only_a_choice_refuses_others():
    choice = text_of(["在用", "报废", " In_Use ", "坏", ""], "choice", words="status", null_kind="null")
    assert choice.values.to_pylist() == ["in_use", "abandoned", "in_use", None, None]
    assert choice.wrong["UNKNOWN_WORD"].tolist() == [False, False, False, True, False]
    category = text_of(["管灌", "自流"], "category", words="irrigation_method", null_kind="null")
    assert category.values.to_pylist() == ["pipe", "自流"]


def test_bools():
    parsed = parse.parse_bools(pa.array(["是", "否", "无", "有", "TRUE", "0", "", "也许"]))
    np.testing.assert_array_equal(parsed.values, [1, 0, 0, 1, 1, 0, NAN, NAN])
    assert parsed.wrong["UNKNOWN_WORD"].tolist() == [False] * 7 + [True]
    np.testing.assert_array_equal(parse.parse_bools(pa.array([True, None, False])).values, [1, NAN, 0])
    assert parse.parse_bools(pa.array([1, 2])).wrong["UNKNOWN_WORD"].tolist() == [False, True]


@pytest.mark.parametrize(
    "order", ["by meter", "by month", "rising", "months that differ", "months of gaps", "no order", "no serials"]
)
def test_large_columns_are_coded_as_small_ones_are(order):
    """The oracle is Arrow's own coding, which hashes every cell."""
    rng = np.random.default_rng(1)
    ids = np.arange(50_000) if order == "rising" else rng.permutation(50_000)
    meters = np.char.add("A", np.char.zfill(ids.astype(str), 5))
    cells = np.repeat(meters, 5) if order == "by meter" else np.tile(meters, 5)
    if order == "months that differ":
        cells[rng.integers(60_000, len(cells), 900)] = "new"
        cells = cells[: len(cells) - 777]
    if order == "months of gaps":
        cells = cells[rng.random(len(cells)) > 0.01]
    if order in ("no order", "no serials"):
        cells = rng.permutation(cells)
    if order == "no serials":
        cells[rng.integers(0, len(cells), 9)] = "A1"
    text = pa.array(cells.tolist())
    coded, plain = identifiers.by_order(text), text.dictionary_encode()
    assert coded.indices.equals(plain.indices)
    assert coded.dictionary.equals(plain.dictionary)


@pytest.mark.parametrize("at", [1, 9_999, 10_000, 10_001, 20_000, 24_999])
def test_one_repeated_row_anywhere_breaks_the_order(at):
    meter, month = np.repeat(np.arange(2_500), 10), np.tile(np.arange(10), 2_500)
    assert keys.in_order(meter, month)
    meter[at], month[at] = meter[at - 1], month[at - 1]
    assert not keys.in_order(meter, month)
