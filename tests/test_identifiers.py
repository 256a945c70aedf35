"""Identifiers found among others: the oracle is a Python dictionary."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elec2water import identifiers

SIZE = 101_000


def by_hand(ids, among):
    first = {}
    for k, name in enumerate(among):
        first.setdefault(name, k)
    return [-1 if name is None else first.get(name, -1) for name in ids]


def names(numbers, form):
    return [form.format(k) for k in numbers.tolist()]


@pytest.mark.parametrize("form", ["{:09d}", "W{:07d}", "{}", "{:x}", "井{:09d}", "37021200{:010d}", "{:025d}"])
def test_long_lists_are_found_as_one_by_one(form):
    rng = np.random.default_rng(3)
    spread = 1_000 if form == "井{:09d}" else 1
    listed = rng.permutation(SIZE)[: SIZE - 5_000] * spread
    asked = rng.integers(0, SIZE, SIZE) * spread
    ids, among = names(asked, form), [*names(listed, form), *names(listed[:100], form)]
    assert identifiers.places(pa.array(ids), pa.array(among)).tolist() == by_hand(ids, among)


@pytest.mark.parametrize("strange", ["", "W00x0001", "W000001", "w0000001", None])
def test_one_that_is_written_otherwise_changes_nothing_for_the_others(strange):
    ids = [*names(np.arange(SIZE), "W{:07d}"), strange]
    among = names(np.arange(SIZE)[::-1], "W{:07d}")
    found = identifiers.places(pa.array(ids), pa.array(among))
    assert found.tolist() == by_hand(ids, among)
    np.testing.assert_array_equal(identifiers.places(pa.array(among), pa.array(ids)), by_hand(among, ids))


@given(st.lists(st.none() | st.text("019W", max_size=3)), st.lists(st.text("019W", max_size=3)))
def test_short_lists_are_found_as_one_by_one(ids, among):
    found = identifiers.places(pa.array(ids, pa.string()), pa.array(among, pa.string()))
    assert found.tolist() == by_hand(ids, among)


@pytest.mark.parametrize("form", ["{:09d}", "W{:x}"])
def test_names_put_in_order_are_the_same_cells(form):
    numbers = np.random.default_rng(5).integers(0, 1_000, 5_000)
    column = pa.array([*names(numbers, form), None]).dictionary_encode()
    put = identifiers.ascending(column)
    assert put.to_pylist() == column.to_pylist()
    inside = put.dictionary.to_pylist()
    assert inside == sorted(inside)
