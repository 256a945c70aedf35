"""Depth to water: whose observations, how they are joined, and for how long they hold."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elec2water.errors import UsageError
from elec2water.levels import Series, depth_by_well

MONTHS = np.arange(np.datetime64("2024-01"), np.datetime64("2026-01"))


def text(*values):
    return pd.array(list(values), dtype="str")


def wells_of(*rows):
    ids, towns, aquifers = zip(*rows, strict=True)
    return pd.DataFrame({"well_id": text(*ids), "township": text(*towns), "aquifer": text(*aquifers)})


def levels_of(*rows):
    """Rows of (well_id, township, aquifer, date, depth)."""
    ids, towns, aquifers, dates, depths = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "well_id": text(*ids),
            "township": text(*towns),
            "aquifer": text(*aquifers),
            "date": np.array(dates, dtype="datetime64[s]"),
            "depth_m": np.array(depths, dtype=float),
        }
    )


def middle(month):
    start = np.datetime64(month, "M").astype("datetime64[D]")
    end = (np.datetime64(month, "M") + 1).astype("datetime64[D]")
    return start + (end - start) // 2


def column(month):
    return int((np.datetime64(month, "M") - MONTHS[0]).astype(int))


def test_a_well_of_its_own_is_interpolated_as_numpy_does():
    wells = wells_of(("w", "t", "shallow"))
    dates = np.array(["2024-02-03", "2024-05-20", "2024-09-11", "2025-06-30"], dtype="datetime64[D]")
    depths = [10.0, 14.0, 11.0, 15.0]
    frame = levels_of(*(("w", None, None, d, z) for d, z in zip(dates, depths, strict=True)))
    levels = depth_by_well(wells, frame, MONTHS)
    at = np.array([middle(m) for m in MONTHS])
    expected = np.interp(at.astype(int), dates.astype(int), depths)
    assert levels.source[0] == "well"
    np.testing.assert_allclose(levels.depth_m[0], expected, atol=1e-12)


def test_the_last_value_holds_for_twelve_months_and_not_longer():
    wells = wells_of(("w", "t", "shallow"))
    rows = [("w", None, None, d, z) for d, z in [("2024-01-16", 8.0), ("2024-02-15", 9.0), ("2024-03-16", 10.0)]]
    months = np.arange(np.datetime64("2024-03"), np.datetime64("2026-03"))
    depth = depth_by_well(wells, levels_of(*rows), months).depth_m[0]
    np.testing.assert_array_equal(depth[:13], 10.0)
    assert np.isnan(depth[13:]).all()


def test_precedence_is_well_then_township_then_aquifer():
    wells = wells_of(
        ("own", "a", "shallow"), ("town", "a", "shallow"), ("aquifer", "b", "shallow"), ("none", "b", "deep")
    )
    frame = levels_of(
        ("own", None, None, "2024-06-15", 5.0),
        (None, "a", "shallow", "2024-06-15", 20.0),
        (None, "c", "shallow", "2024-06-15", 40.0),
    )
    levels = depth_by_well(wells, frame, np.array(["2024-06"], dtype="datetime64[M]"))
    assert list(levels.source) == ["well", "township", "aquifer", "none"]
    np.testing.assert_allclose(levels.depth_m[:3, 0], [5.0, 20.0, 30.0], atol=1e-9)
    assert np.isnan(levels.depth_m[3, 0])


def test_a_short_series_moves_with_its_township_at_its_own_level():
    """Two readings 7 m below a township that swings by season: closed form, township + 7."""
    wells = wells_of(("w", "a", "shallow"))
    swing = 20.0 + 5.0 * np.sin(np.arange(len(MONTHS)) * np.pi / 6)
    township = [(None, "a", "shallow", str(middle(m)), z) for m, z in zip(MONTHS, swing, strict=True)]
    own = [("w", None, None, str(middle(MONTHS[i])), swing[i] + 7.0) for i in (2, 14)]
    levels = depth_by_well(wells, levels_of(*township, *own), MONTHS)
    np.testing.assert_allclose(levels.depth_m[0], swing + 7.0, atol=1e-9)
    assert levels.source[0] == "well"


def test_a_long_series_goes_on_with_its_township_and_asking_for_fewer_months_changes_nothing():
    wells = wells_of(("w", "a", "shallow"))
    fall = 20.0 + 0.5 * np.arange(len(MONTHS))
    township = [(None, "a", "shallow", str(middle(m)), z) for m, z in zip(MONTHS, fall, strict=True)]
    own = [("w", None, None, str(middle(MONTHS[i])), 3.0 + i) for i in (0, 1, 2, 3)]
    frame = levels_of(*township, *own)
    depth = depth_by_well(wells, frame, MONTHS).depth_m[0]
    np.testing.assert_allclose(depth[:4], [3.0, 4.0, 5.0, 6.0], atol=1e-9)
    np.testing.assert_allclose(depth[4:], fall[4:] + (6.0 - fall[3]), atol=1e-9)
    np.testing.assert_allclose(depth_by_well(wells, frame, MONTHS[-3:]).depth_m[0], depth[-3:], atol=1e-9)


def test_without_township_rows_the_observed_wells_of_the_township_speak_for_it():
    wells = wells_of(("p", "a", "shallow"), ("q", "a", "shallow"), ("r", "a", "shallow"))
    frame = levels_of(("p", None, None, "2024-06-15", 10.0), ("q", None, None, "2024-06-15", 14.0))
    levels = depth_by_well(wells, frame, np.array(["2024-06"], dtype="datetime64[M]"))
    np.testing.assert_allclose(levels.depth_m[:, 0], [10.0, 14.0, 12.0], atol=1e-9)
    assert list(levels.source) == ["well", "well", "township"]


def test_an_observation_well_outside_the_registry_stands_for_its_township():
    wells = wells_of(("0012", "a", "shallow"))
    frame = levels_of(("12", "a", "shallow", "2024-06-15", 9.0))
    levels = depth_by_well(wells, frame, np.array(["2024-06"], dtype="datetime64[M]"))
    assert levels.source[0] == "township"
    assert levels.depth_m[0, 0] == 9.0


def test_months_stand_for_their_middle_and_absurd_depths_are_passed_over():
    wells = wells_of(("w", "a", "shallow"))
    frame = pd.DataFrame(
        {
            "well_id": text("w", "w", "w"),
            "month": np.array(["2024-01-01", "2024-03-01", "2024-02-01"], dtype="datetime64[s]"),
            "depth_m": [10.0, 12.0, -4.0],
        }
    )
    depth = depth_by_well(wells, frame, MONTHS[:3]).depth_m[0]
    whole = (middle("2024-03") - middle("2024-01")).astype(int)
    part = (middle("2024-02") - middle("2024-01")).astype(int)
    np.testing.assert_allclose(depth, [10.0, 10.0 + 2.0 * part / whole, 12.0])


def test_no_observation_at_all_is_unknown_everywhere():
    levels = depth_by_well(wells_of(("w", "a", "x")), levels_of(("w", "a", "x", "2024-01-01", 1.0))[:0], MONTHS)
    assert np.isnan(levels.depth_m).all()
    assert list(levels.source) == ["none"]
    assert "1 none" in repr(levels)


def test_a_frame_without_depth_is_refused_by_name():
    frame = levels_of(("w", "a", "x", "2024-01-01", 1.0)).drop(columns="depth_m")
    with pytest.raises(UsageError, match="depth_m"):
        depth_by_well(wells_of(("w", "a", "x")), frame, MONTHS)


@settings(max_examples=60, deadline=None)
@given(
    observations=st.lists(
        st.tuples(st.integers(0, 3), st.integers(19_700, 20_400), st.floats(0.0, 200.0)), min_size=1, max_size=25
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_row_order_does_not_matter_and_interpolation_stays_between_its_ends(observations, seed):
    place, day, depth = (np.array(v) for v in zip(*observations, strict=True))
    days = np.arange(19_700, 20_400, 37)
    table = Series.of(place, day, depth, 4).table(days)
    order = np.random.default_rng(seed).permutation(len(place))
    np.testing.assert_array_equal(table, Series.of(place[order], day[order], depth[order], 4).table(days))
    for k in range(4):
        mine = depth[place == k]
        if not len(mine):
            assert np.isnan(table[k]).all()
            continue
        known = table[k][np.isfinite(table[k])]
        assert ((known >= mine.min() - 1e-9) & (known <= mine.max() + 1e-9)).all()
        far = np.abs(days[:, None] - day[place == k]).min(axis=1) > 366
        beyond = far & ((days < day[place == k].min()) | (days > day[place == k].max()))
        assert np.isnan(table[k][beyond]).all()


def _walked(place, start, months, depths):
    return [
        dict(zip(place, start, strict=True)) | {"month": m, "depth_m": d} for m, d in zip(months, depths, strict=True)
    ]


def test_a_township_that_is_no_longer_observed_goes_on_at_its_own_level():
    """One of two townships of an aquifer stops after two years: its water falls on with the other's, 20 m above it."""
    months = pd.date_range("2020-01-01", periods=60, freq="MS").astype("datetime64[s]")
    fall = 0.1 * np.arange(60) + np.sin(np.arange(60))
    rows = _walked(("township", "aquifer"), ("东", "浅"), months[:24], 20.0 + fall[:24])
    rows += _walked(("township", "aquifer"), ("西", "浅"), months, 40.0 + fall)
    wells = pd.DataFrame({"well_id": ["1", "2", "3"], "township": ["东", "西", "北"], "aquifer": "浅"})
    depth = depth_by_well(wells, pd.DataFrame(rows), months.to_numpy()).depth_m
    np.testing.assert_allclose(depth[0], 20.0 + fall, atol=1e-9)
    np.testing.assert_allclose(depth[1], 40.0 + fall, atol=1e-9)
    # A township of which nothing is known moves as its aquifer, and does not jump when a gauge is given up.
    np.testing.assert_allclose(np.diff(depth[2]), np.diff(fall), atol=1e-9)


def test_a_gauge_that_is_given_up_does_not_move_the_others():
    """Three observed wells 10, 20 and 60 m deep; the deepest is given up: the township's other wells go on falling."""
    months = pd.date_range("2020-01-01", periods=60, freq="MS").astype("datetime64[s]")
    fall = 0.1 * np.arange(60)
    rows = []
    for well, depth, last in (("1", 10.0, 60), ("2", 20.0, 60), ("3", 60.0, 30)):
        rows += _walked(("well_id",), (well,), months[:last], depth + fall[:last])
    wells = pd.DataFrame({"well_id": ["1", "2", "3", "4"], "township": "东", "aquifer": "浅"})
    depth = depth_by_well(wells, pd.DataFrame(rows), months.to_numpy()).depth_m
    np.testing.assert_allclose(np.diff(depth), 0.1, atol=1e-9)
