"""Sums along short rows and of groups of rows, against numpy's own."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elec2water.energy.arrays import distinct_numbers, is_one_of, positions
from elec2water.sums import membership, renumbered, row_all, row_any, row_sum


@pytest.mark.parametrize("columns", [1, 3, 7, 8, 12])
def test_short_rows_are_summed_and_tested_as_numpy_does_to_the_last_digit(columns):
    values = np.random.default_rng(columns).lognormal(0, 3, (500, columns))
    np.testing.assert_array_equal(row_sum(values), values.sum(axis=1))
    for mask in (values > 1.0, values > 1e9, values > 0.0):
        np.testing.assert_array_equal(row_any(mask), mask.any(axis=1))
        np.testing.assert_array_equal(row_all(mask), mask.all(axis=1))


def test_rows_without_columns_sum_to_nothing():
    assert not row_sum(np.empty((3, 0))).any()
    assert not row_any(np.empty((3, 0), dtype=bool)).any()
    assert row_all(np.empty((3, 0), dtype=bool)).all()


def test_what_is_given_stays_as_it_is():
    values = np.ones((4, 3))
    row_sum(values)[:] = 7.0
    assert (values == 1.0).all()


@settings(max_examples=30, deadline=None)
@given(group=st.lists(st.integers(0, 4), max_size=40), columns=st.integers(1, 3))
def test_membership_adds_up_rows_by_group(group, columns):
    group = np.array(group, dtype=np.intp)
    values = np.random.default_rng(len(group)).normal(size=(group.size, columns))
    expected = [[values[group == g, k].sum() for k in range(columns)] for g in range(5)]
    np.testing.assert_allclose(membership(group, 5) @ values, expected, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.one_of(st.none(), st.text("ab0", max_size=2)), max_size=12),
    among=st.lists(st.one_of(st.none(), st.text("ab0", max_size=2)), max_size=60),
)
def test_ids_are_found_where_they_first_stand_however_few_are_looked_for(ids, among):
    expected = [-1 if text is None or text not in among else among.index(text) for text in ids]
    assert positions(pd.Series(ids, dtype="str"), pd.Series(among, dtype="str")).tolist() == expected


@given(st.lists(st.integers(-5, 5)))
def test_distinct_numbers_are_those_of_a_set(numbers):
    assert distinct_numbers(np.array(numbers, dtype=np.int64)).tolist() == sorted(set(numbers))


def test_words_are_looked_for_in_a_column_that_may_be_absent_or_blank():
    frame = pd.DataFrame({"status": pd.Series(["sealed", None, "in_use"], dtype="str")})
    assert is_one_of(frame, "status", ("sealed", "abandoned")).tolist() == [True, False, False]
    assert is_one_of(frame, "power_source", ("diesel",)).tolist() == [False, False, False]


@given(st.lists(st.integers(0, 30), min_size=1))
def test_keys_are_renumbered_as_unique_does(key):
    expected, place = np.unique(key, return_inverse=True)
    for size in (31, 10**12):
        number, there = renumbered(np.array(key, dtype=np.intp), size)
        assert there.tolist() == expected.tolist()
        assert number.tolist() == place.tolist()
