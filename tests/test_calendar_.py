"""Months and quarters against the standard library's calendar."""

import calendar
import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elec2water import calendar_
from elec2water.errors import UsageError


@given(st.dates(dt.date(1600, 1, 1), dt.date(2400, 12, 31)))
def test_every_day_lies_in_its_quarter(day):
    quarter = str(calendar_.quarter_of([day])[0])
    assert quarter == f"{day.year:04d}Q{(day.month + 2) // 3}"
    months = calendar_.quarter_months(quarter)
    start, end = months[0].astype("datetime64[D]"), (months[-1] + 1).astype("datetime64[D]")
    assert start <= np.datetime64(day) < end
    assert calendar_.month_of([day])[0] in months
    assert calendar_.days_in_month(months).sum() == int((end - start).astype(int))
    assert calendar_.days_in_month([day])[0] == calendar.monthrange(day.year, day.month)[1]


@pytest.mark.parametrize(
    "text", ["2026", "2026q3", "2026Q5", "2026Q0", "26Q3", " 2026Q3", "2026-Q3", "２０２６Q3", "0000Q1", 20263, None]
)
def test_malformed_quarters_are_usage_errors(text):
    with pytest.raises(UsageError, match="2026Q3"):
        calendar_.quarter_months(text)


def test_missing_dates():
    assert calendar_.quarter_of(["NaT", "2026-02-01"]).tolist() == ["", "2026Q1"]
    assert np.isnat(calendar_.month_of(["NaT"])).all()
    with pytest.raises(UsageError, match="blank"):
        calendar_.days_in_month(["NaT"])
