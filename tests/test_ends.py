"""Ends of periods that are written as their last day: only where the file says so, and never where reads meet."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elec2water.tables.context import Context
from elec2water.tables.ends import exclusive_ends
from elec2water.tables.typed import TypedTable

DAY = np.timedelta64(1, "D")


def table(meter, start, end, files=None):
    columns = {
        "meter_id": pa.array([str(m) for m in meter]).dictionary_encode(),
        "start": np.array(start, dtype="datetime64[s]"),
        "end": np.array(end, dtype="datetime64[s]"),
    }
    codes = np.zeros(len(meter), np.int16) if files is None else np.array(files, dtype=np.int16)
    return TypedTable("readings", columns, np.arange(len(meter)) + 2, codes, ("a.csv", "b.csv"))


def months(n_meters, n_months, late=0):
    month = np.arange(np.datetime64("2026-01"), np.datetime64("2026-01") + n_months)
    first, after = (m.astype("datetime64[D]") + late for m in (month, month + 1))
    return np.repeat(np.arange(n_meters), n_months), np.tile(first, n_meters), np.tile(after, n_meters)


@given(st.integers(1, 6), st.integers(3, 14), st.integers(0, 27), st.booleans())
def test_a_file_of_last_days_is_read_as_the_file_of_days_after(n_meters, n_months, late, inclusive):
    meter, start, after = months(n_meters, n_months, late)
    written = after - DAY if inclusive else after
    moved, found = exclusive_ends(table(meter, start, written), Context("readings", "x"))
    np.testing.assert_array_equal(moved.dates("end"), after.astype("datetime64[s]"))
    assert found.count == int(inclusive)


def test_reads_every_thirty_days_that_meet_are_left_alone():
    start = np.datetime64("2026-07-01") + 30 * np.arange(4)
    same, found = exclusive_ends(table([1, 1, 1, 1], start, start + 30), Context("readings", "x"))
    np.testing.assert_array_equal(same.dates("end"), (start + 30).astype("datetime64[s]"))
    assert found.count == 0


def test_irregular_reading_days_are_told_by_the_next_period():
    rng = np.random.default_rng(1)
    edges = np.datetime64("2026-01-05") + np.cumsum(rng.integers(27, 35, (20, 9)), axis=1)
    meter = np.repeat(np.arange(20), 8)
    start, end = edges[:, :-1].ravel(), edges[:, 1:].ravel()
    moved, found = exclusive_ends(table(meter, start, end - DAY), Context("readings", "x"))
    np.testing.assert_array_equal(moved.dates("end"), end.astype("datetime64[s]"))
    assert found.frame["observed"].tolist() == ["160"]


def test_each_file_speaks_for_itself():
    meter, start, after = months(4, 6)
    files = (meter >= 2).astype(int)
    moved, found = exclusive_ends(table(meter, start, after - DAY * files, files), Context("readings", "x"))
    np.testing.assert_array_equal(moved.dates("end"), after.astype("datetime64[s]"))
    assert found.frame["file"].tolist() == ["b.csv"]


@pytest.mark.parametrize("end", ["2026-07-31T23:59:00", "2026-07-31T23:59:59"])
def test_the_last_minute_of_a_day_is_its_midnight(end):
    moved, _ = exclusive_ends(table([1], ["2026-07-01"], [end]), Context("readings", "x"))
    assert moved.dates("end")[0] == np.datetime64("2026-08-01")
