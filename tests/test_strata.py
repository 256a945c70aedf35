"""Strata: limits against a brute-force search, labels, merging, and what must not depend on the order of rows."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elec2water.errors import UsageError
from elec2water.strata import UNKNOWN, classify, natural_breaks

POWERS = [5.5, 7.5, 11.0, 15.0, 22.0, 37.0]


def county(n=400, seed=1):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "aquifer": rng.choice(np.array(["浅层", "深层", None], dtype=object), n, p=[0.7, 0.25, 0.05]),
            "pump_power_kw": rng.choice(POWERS, n),
            "pump_depth_m": np.exp(rng.normal(4.0, 0.4, n)).round(1),
        }
    ).astype({"aquifer": "str"})


BY = ["aquifer", "pump_power_kw", "pump_depth_m"]


def test_labels_read_as_a_county_office_would_write_them():
    wells = pd.DataFrame(
        {
            "aquifer": ["浅层", "浅层", "深层", np.nan],
            "pump_power_kw": [7.5, 11.0, np.nan, 5.5],
            "pump_depth_m": [30.0, 45.0, 90.0, 60.0],
        }
    )
    strata = classify(wells, BY, breaks={"pump_power_kw": [7.5], "pump_depth_m": [30, 60]}, merge="none")
    assert strata.labels.tolist() == [
        "浅层 | 功率≤7.5 | 泵深≤30",
        "浅层 | 功率>7.5 | 泵深30–60",
        "深层 | 功率未知 | 泵深>60",
        "层位未知 | 功率≤7.5 | 泵深30–60",
    ]
    assert set(strata.cells["aquifer"]) == {"浅层", "深层", UNKNOWN}
    assert strata.cells.loc[strata.codes, "stratum"].tolist() == strata.labels.tolist()


def within_variance(x, cuts):
    code = np.searchsorted(cuts, x, side="left")
    return sum((code == k).mean() * x[code == k].std() for k in range(len(cuts) + 1) if (code == k).any())


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_cumulative_root_limits_are_near_the_best_possible_under_neyman_allocation(classes):
    """Oracle: the limits that minimise Σ W_h S_h, found by trying all on a grid (Dalenius and Hodges 1959)."""
    x = np.exp(np.random.default_rng(3).normal(4.0, 0.5, 4_000))
    grid = np.quantile(x, np.linspace(0.02, 0.98, 25))
    best = min(within_variance(x, np.array(cuts)) for cuts in itertools.combinations(grid, classes - 1))
    assert within_variance(x, np.array(natural_breaks(x, classes=classes))) < 1.08 * best


def test_limits_are_figures_people_use():
    x = np.exp(np.random.default_rng(5).normal(4.0, 0.4, 5_000))
    for limit in natural_breaks(x, classes=3):
        assert limit % 5 == 0
    assert set(natural_breaks(np.random.default_rng(5).choice(POWERS, 900), classes=3)) <= set(POWERS)


def test_one_absurd_value_does_not_take_a_class_for_itself():
    x = np.append(np.exp(np.random.default_rng(5).normal(4.0, 0.4, 2_000)), 1e7)
    assert max(natural_breaks(x, classes=3)) < 200


def test_weight_draws_limits_to_where_the_energy_is():
    x = np.linspace(1.0, 100.0, 1_000)
    plain = natural_breaks(x, classes=2)
    heavy = natural_breaks(x, classes=2, weight=np.where(x > 60, 100.0, 1.0))
    assert heavy[0] > plain[0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.1, 1e6) | st.just(float("nan")), max_size=80),
    st.integers(1, 6),
)
def test_no_class_is_empty(values, classes):
    x = np.array(values, dtype=np.float64)
    cuts = natural_breaks(x, classes=classes)
    assert len(cuts) < max(classes, 1)
    if cuts:
        assert (np.bincount(np.searchsorted(cuts, x[np.isfinite(x)], side="left"), minlength=len(cuts) + 1) > 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["nearest", "none"]))
def test_row_order_does_not_matter(seed, merge):
    wells = county(120, seed=9)
    order = np.random.default_rng(seed).permutation(len(wells))
    weight = np.random.default_rng(4).gamma(0.7, 1e4, len(wells))
    straight = classify(wells, BY, weight=weight, merge=merge)
    shuffled = classify(wells.iloc[order], BY, weight=weight[order], merge=merge)
    assert straight.labels[order].tolist() == shuffled.labels.tolist()
    pd.testing.assert_frame_equal(straight.cells, shuffled.cells)
    assert straight.breaks == shuffled.breaks


@pytest.mark.parametrize("min_wells", [1, 5, 20, 60])
def test_merging_leaves_no_thin_stratum_and_loses_no_well(min_wells):
    wells = county(200)
    strata = classify(wells, BY, min_wells=min_wells)
    assert strata.cells["n_wells"].min() >= min_wells
    assert strata.cells["n_wells"].sum() == len(wells)
    assert np.array_equal(np.bincount(strata.codes), strata.cells["n_wells"])
    assert strata.cells["stratum"].is_unique


def test_a_thin_cell_joins_its_own_aquifer_though_another_is_nearer_in_depth():
    wells = pd.DataFrame(
        {"aquifer": ["浅层"] * 12 + ["深层"] * 10, "pump_depth_m": [20.0] * 10 + [150.0] * 2 + [150.0] * 10}
    )
    strata = classify(wells, ["aquifer", "pump_depth_m"], breaks={"pump_depth_m": [30, 60, 90]})
    assert set(strata.labels[:12]) == {"浅层 | 泵深≤30"}
    assert strata.cells.set_index("stratum").loc["浅层 | 泵深≤30", "merged"] == "浅层 | 泵深>90 (2)"


def test_a_stratum_carries_the_name_of_its_largest_cell():
    wells = pd.DataFrame({"pump_depth_m": [10.0] * 2 + [50.0] * 3})
    strata = classify(wells, ["pump_depth_m"], breaks={"pump_depth_m": [30]})
    assert strata.cells["stratum"].tolist() == ["泵深>30"]


def test_blank_attributes_for_all_wells_give_one_class():
    wells = pd.DataFrame({"aquifer": pd.Series([np.nan] * 3, dtype="str"), "pump_power_kw": [np.nan] * 3})
    strata = classify(wells, ["aquifer", "pump_power_kw"])
    assert strata.labels.tolist() == ["层位未知 | 功率未知"] * 3
    assert classify(wells, []).labels.tolist() == ["全部"] * 3
    assert classify(wells.iloc[:0], ["aquifer"]).labels.size == 0


def test_categories_differ_only_by_what_is_not_blank():
    wells = pd.DataFrame({"irrigation_method": [" 滴灌", "滴灌 ", "", None, "管灌"]})
    assert classify(wells, ["irrigation_method"], merge="none").labels.tolist() == [
        "滴灌",
        "滴灌",
        "灌溉方式未知",
        "灌溉方式未知",
        "管灌",
    ]


def test_dates_are_cut_by_year():
    wells = pd.DataFrame(
        {"pump_installed_on": pd.to_datetime(["2011-05-01", "2021-01-01", None]).astype("datetime64[s]")}
    )
    strata = classify(wells, ["pump_installed_on"], breaks={"pump_installed_on": [2015]}, merge="none")
    assert strata.labels.tolist() == ["装泵年≤2015", "装泵年>2015", "装泵年未知"]


def test_limits_found_once_can_be_given_again():
    wells = county()
    first = classify(wells, BY)
    assert classify(wells, BY, breaks=first.breaks).labels.tolist() == first.labels.tolist()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"by": ["aquifer", "colour"]}, "colour"),
        ({"by": ["aquifer", "aquifer"]}, "twice"),
        ({"by": ["aquifer"], "breaks": {"aquifer": [3]}}, "not numeric"),
        ({"by": ["aquifer"], "breaks": {"pump_depth_m": [3]}}, "not among"),
        ({"by": ["pump_depth_m"], "breaks": {"pump_depth_m": [60, 30]}}, "ascending"),
        ({"by": ["pump_depth_m"], "weight": [1.0]}, "shape"),
        ({"by": ["pump_depth_m"], "weight": -np.ones(50)}, "negative"),
        ({"by": ["pump_depth_m"], "classes": 0}, "classes"),
        ({"by": ["pump_depth_m"], "merge": "best"}, "nearest"),
    ],
)
def test_wrong_arguments_are_named(arguments, text):
    with pytest.raises(UsageError, match=text):
        classify(county(50), **arguments)
