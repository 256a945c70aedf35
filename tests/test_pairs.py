"""Pairs as arrays: order, tests by rate, what is left out."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from elec2water.pairs import measurements, short_test_rel_u

REGISTRY = np.array(["w0", "0012", "w2"], dtype=object)


def frame(rows, index=None):
    columns = ["well_id", "start", "end", "energy_kwh", "volume_m3", "kind", "flow_m3_per_h", "power_kw"]
    table = pd.DataFrame(rows, columns=columns, index=index)
    return table.astype({"well_id": "str", "kind": "str", "start": "datetime64[s]", "end": "datetime64[s]"})


def test_pairs_are_sorted_and_the_unusable_left_out():
    table = frame(
        [
            ("w2", "2026-05-01", "2026-06-01", 100.0, 250.0, "meter", None, None),
            ("0012", "2026-06-01", "2026-07-01", 100.0, 300.0, "meter", None, None),
            ("0012", "2026-05-01", "2026-06-01", 50.0, 200.0, "meter", None, None),
            ("12", "2026-05-01", "2026-06-01", 50.0, 200.0, "meter", None, None),
            ("w0", "2026-05-01", "2026-06-01", 0.0, 200.0, "meter", None, None),
            ("w0", "2026-05-01", "2026-06-01", 10.0, -1.0, "meter", None, None),
            ("w0", "2026-05-01", "2026-06-01", None, 5.0, "meter", None, None),
        ],
        index=[2, 3, 4, 5, 6, 7, 8],
    )
    found = measurements(table, REGISTRY)
    assert found.well.tolist() == [1, 1, 2]
    assert found.row.tolist() == [4, 3, 2]
    np.testing.assert_allclose(found.coefficient, [4.0, 3.0, 2.5])
    np.testing.assert_allclose(found.days, [31, 30, 31])
    assert found.middle[0] == np.datetime64("2026-05-16T12:00:00")
    assert not found.test.any()
    assert np.isnan(found.meter_rel_u).all()
    np.testing.assert_array_equal(short_test_rel_u(found), 0.0)


def test_a_short_test_may_give_rates_and_no_date():
    table = frame(
        [
            ("w0", None, None, None, None, "test", 40.0, 10.0),
            ("w0", "2026-05-01", None, 12.0, 48.0, "test", None, None),
            ("w0", "2026-05-01", "2026-06-01", 12.0, 48.0, None, None, None),
        ]
    )
    found = measurements(table, REGISTRY)
    assert found.test.tolist() == [True, False, True]
    assert np.isnat(found.start).tolist() == [False, False, True]
    np.testing.assert_allclose(found.coefficient, 4.0)
    assert (found.days[found.test & ~np.isnat(found.start)] == 0).all()
    assert set(short_test_rel_u(found)[found.test]) == {0.05}


def test_an_hour_whose_kind_is_not_stated_is_a_short_test_and_a_day_is_not():
    hours = [("2026-05-03 09:00", "2026-05-03 10:00"), ("2026-05-03", "2026-05-04"), ("2026-05-03", "2026-05-03")]
    table = frame([("w0", *hour, 12.0, 48.0, None, None, None) for hour in hours])
    stated = frame([("w0", *hours[0], 12.0, 48.0, kind, None, None) for kind in ("meter", "test")])
    assert measurements(table, REGISTRY).test.tolist() == [False, False, True]
    assert sorted(measurements(stated, REGISTRY).test.tolist()) == [False, True]


def test_taking_pairs_keeps_all_columns_together():
    table = frame([("w0", "2026-05-01", "2026-06-01", e, 4 * e, "meter", None, None) for e in (1.0, 2.0, 3.0)])
    found = measurements(table, REGISTRY).take(np.array([True, False, True]))
    np.testing.assert_allclose(found.energy_kwh, [1.0, 3.0])
    assert found.row.tolist() == [0, 2]


def test_no_pairs_is_an_empty_table():
    assert measurements(frame([]), REGISTRY).well.size == 0


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(6)))
def test_pairs_of_one_well_and_day_stand_by_what_they_say_and_not_by_their_rows(order):
    """A month of a water meter and two short tests begin on one day; undated tests have no day at all."""
    table = pd.DataFrame(
        {
            "well_id": pd.Series(["a", "a", "a", "b", "b", "b"], dtype="str"),
            "start": np.array(["2026-05-01"] * 3 + ["NaT"] * 3, dtype="datetime64[s]"),
            "end": np.array(["2026-06-01", "2026-05-01", "2026-05-01"] + ["NaT"] * 3, dtype="datetime64[s]"),
            "energy_kwh": [900.0, 12.0, 11.0, 10.0, 10.0, 9.0],
            "volume_m3": [2700.0, 30.0, 33.0, 31.0, 30.0, 30.0],
            "kind": pd.Series(["meter", *["test"] * 5], dtype="str"),
        },
        index=np.arange(2, 8),
    )
    well_id = np.array(["b", "a"], dtype=object)
    ordered = measurements(table, well_id)
    shuffled = measurements(table.iloc[list(order)].set_axis(table.index), well_id)
    for name in ("well", "start", "end", "energy_kwh", "volume_m3", "test"):
        np.testing.assert_array_equal(getattr(ordered, name), getattr(shuffled, name))
