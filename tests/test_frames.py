"""Frames as people make them in a notebook: another order, another index, a subset, text, a time zone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import elec2water as e2w
from core_kit import small_case
from elec2water.energy import MonthlyEnergy
from elec2water.energy.split import Split
from elec2water.energy.spreading import Spreading
from elec2water.errors import UsageError

QUARTER = "2026Q3"


@pytest.fixture(scope="module")
def case():
    return small_case(60, 12, 4)


@pytest.fixture(scope="module")
def coefficient(case):
    return case.fit()


@pytest.fixture(scope="module")
def volume(case, coefficient):
    return case.volume(coefficient)


def shuffled(frame):
    return frame.sample(frac=1.0, random_state=1)


def by_well(volume):
    return pd.Series(volume.wells.volume_m3, index=volume.wells.well_id).sort_index()


def test_a_registry_in_another_order_gives_every_well_its_own_electricity(case, coefficient, volume):
    """Electricity was taken by place: a shuffled registry gave totals 10 % off without a word."""
    other = replace(case, wells=shuffled(case.wells))
    fitted = other.fit()
    for told in (other.volume(coefficient), other.volume(fitted)):
        assert told.wells.well_id.tolist() == other.wells["well_id"].tolist()
        pd.testing.assert_series_equal(by_well(told), by_well(volume), rtol=1e-8)
        assert told.county.volume_m3[0] == pytest.approx(volume.county.volume_m3[0], rel=1e-9)
    updated = coefficient.update(None, other.wells, case.water_levels, energy=case.energy)
    pd.testing.assert_series_equal(by_well(other.volume(updated)), by_well(volume), rtol=1e-6)


def test_the_last_season_is_forecast_alike_from_a_registry_in_another_order(case):
    told = []
    for wells in (case.wells, case.wells.iloc[::-1]):
        found = e2w.validate_coefficient(case.pairs, wells, case.water_levels, energy=case.energy, folds=3).forecasts
        told.append(found[found["held_out"] == "season"].sort_values(["well_id"]).select_dtypes("number"))
    np.testing.assert_allclose(told[1], told[0], rtol=1e-6)


def test_wells_of_which_nothing_is_asked_are_left_out(case, coefficient, volume):
    some = case.wells.iloc[::2]
    told = e2w.estimate_volume(coefficient, case.energy, quarter=QUARTER, wells=some, water_levels=case.water_levels)
    assert told.wells.well_id.tolist() == some["well_id"].tolist()
    np.testing.assert_allclose(told.wells.kwh, volume.wells.kwh[::2])


@pytest.mark.parametrize("make", [
    lambda labels, ids: pd.Series(labels.to_numpy(), index=ids),
    lambda labels, _: labels,
], ids=["well_id", "the registry's"])  # fmt: skip
def test_labels_of_a_series_go_by_their_index(case, volume, make):
    labels = case.wells["township"]
    expected = volume.total(labels.to_numpy())
    found = volume.total(shuffled(make(labels, case.wells["well_id"])))
    np.testing.assert_array_equal(found.keys, expected.keys)
    np.testing.assert_allclose(found.volume_m3, expected.volume_m3)


def test_labels_counted_from_zero_go_by_place_and_those_of_other_wells_are_refused(case, volume):
    labels = case.wells["township"].reset_index(drop=True)
    np.testing.assert_allclose(volume.total(labels).volume_m3, volume.total(labels.to_numpy()).volume_m3)
    strange = pd.Series(labels.to_numpy(), index=[f"x{k}" for k in range(60)])
    with pytest.raises(UsageError, match=r"labels: expected a Series whose index .* found 60 others \(\['x0'"):
        volume.total(strange)


def test_a_design_takes_the_energy_of_a_series_by_its_index(case):
    """As ``groupby("well_id")`` gives it: by ascending name, without the wells that nobody read."""
    took = pd.Series(np.nansum(case.energy.kwh[:, -12:], axis=1), index=case.wells["well_id"])
    unread = took.index[[4, 9]]
    expected = e2w.design_sample(case.wells, took.where(~took.index.isin(unread)).to_numpy(), n=12, seed=1)
    found = e2w.design_sample(case.wells, took.drop(unread).sort_index(ascending=False), n=12, seed=1)
    pd.testing.assert_frame_equal(found.sample, expected.sample)
    with pytest.raises(UsageError, match=r"energy_kwh: expected a Series .* found 1 others \(\['nobody'\]\)"):
        e2w.design_sample(case.wells, took.rename({took.index[0]: "nobody"}), n=12, seed=1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda wells: pd.concat([wells, wells.iloc[:2]]), "found 2 blank or repeated well_id"),
        (lambda wells: wells.assign(well_id=wells["well_id"].mask(wells.index == wells.index[3])), "found 1 blank or"),
        (lambda wells: wells.drop(columns="well_id"), "expected the column well_id"),
        (lambda wells: wells.assign(well_id=np.arange(60.0)), "energy: expected the electricity of every well"),
    ],
    ids=["twice", "blank", "no column", "numbers"],
)
def test_registries_that_cannot_be_are_refused_by_name(case, coefficient, spoil, message):
    wells = spoil(case.wells)
    with pytest.raises(UsageError, match=message):
        e2w.fit_coefficient(case.pairs, wells, case.water_levels, energy=case.energy)
    with pytest.raises(UsageError, match=message):
        e2w.estimate_volume(coefficient, case.energy, quarter=QUARTER, wells=wells)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 90])
def test_a_confidence_that_is_none_is_refused(case, coefficient, confidence):
    with pytest.raises(UsageError, match=r"confidence: expected a number between 0 and 1, such as 0.90"):
        case.volume(coefficient, confidence=confidence)


def test_numbers_as_text_are_numbers_and_words_are_refused(case):
    text = case.wells.assign(pump_power_kw=case.wells["pump_power_kw"].astype(str))
    strata = e2w.classify(text, ["pump_power_kw"])
    assert strata.keys.names.tolist() == e2w.classify(case.wells, ["pump_power_kw"]).keys.names.tolist()
    words = text.assign(pump_power_kw=text["pump_power_kw"].where(text.index != text.index[2], "七点五"))
    with pytest.raises(UsageError, match="expected numbers in pump_power_kw, found '七点五'"):
        e2w.classify(words, ["pump_power_kw"])


@pytest.mark.parametrize(
    ("renamed", "named"),
    [
        ({"volume_m3": "水量"}, "found none named volume_m3 among"),
        ({"well_id": "井号", "end": "止"}, "found none named well_id, end among"),
        ({"energy_kwh": "kwh", "volume_m3": "m3"}, "found none named energy_kwh, volume_m3 among"),
    ],
)
def test_pairs_without_a_column_that_is_needed_are_refused_by_its_name(case, renamed, named):
    with pytest.raises(e2w.UsageError, match=named):
        e2w.fit_coefficient(case.pairs.rename(columns=renamed), case.wells, case.water_levels, energy=case.energy)


def test_pairs_of_a_time_zone_are_of_the_days_on_its_wall(case, coefficient):
    zoned = case.pairs.assign(**{name: case.pairs[name].dt.tz_localize("Asia/Shanghai") for name in ("start", "end")})
    told = replace(case, pairs=zoned).fit()
    np.testing.assert_array_equal(told.measured.start, coefficient.measured.start)
    np.testing.assert_allclose(told.posterior.mean, coefficient.posterior.mean)


def test_what_ties_wells_together_moves_with_them():
    """Shares of a meter and errors of spread readings point at wells by their places."""
    ids = np.array(["a", "b", "c", "d"], dtype=object)
    months = np.array(["2026-07", "2026-08"], dtype="datetime64[M]")
    kwh = np.arange(8.0).reshape(4, 2)
    split = Split(np.array([1, 3, 2]), np.array([0, 0, 1]), kwh[[1, 3, 2]], np.array([0.2, 0.2, 0.0]))
    spreading = Spreading(
        months, np.eye(2), np.array([0, 3, 3]), np.array([0, 1, 0]), np.array([0, 0, 1]), np.array([1.0, 2.0, 3.0]),
        np.array([0, 1, 1]), np.array([0.1, 0.2]),
    )  # fmt: skip
    energy = MonthlyEnergy(ids, months, kwh, kwh, np.full((4, 2), "A"), split=split, spreading=spreading)
    assert energy.of_wells(ids.copy()) is energy
    moved = energy.of_wells(np.array(["d", "a", "b"], dtype=object))
    np.testing.assert_array_equal(moved.kwh, kwh[[3, 0, 1]])
    np.testing.assert_array_equal(moved.split.well, [2, 0])
    np.testing.assert_array_equal(moved.split.kwh, kwh[[1, 3]])
    load = spreading.loadings(months, np.ones((4, 2))).toarray()
    np.testing.assert_allclose(moved.spreading.loadings(months, np.ones((3, 2))).toarray(), load[[3, 0, 1]])
    with pytest.raises(UsageError, match=r"found none of 1 of 2 \(e …\)"):
        energy.of_wells(np.array(["a", "e"], dtype=object))
