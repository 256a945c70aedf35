"""The synthetic county: published facts, conservation, honest measuring, a folder that is always the same."""

import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

from elec2water import beginning, hydraulics
from elec2water.calendar_ import quarter_months
from elec2water.config import load_config
from elec2water.demo import aquifers, metering, pumping, registry
from elec2water.errors import UsageError
from elec2water.tables import read_tables

demo = importlib.import_module("elec2water.demo")  # the package's function `demo` stands before its room

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def county():
    return demo.simulate_county(2000, 7)


@pytest.fixture(scope="module")
def counties():
    spec = importlib.util.spec_from_file_location("counties", ROOT / "benchmarks" / "counties.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.GENERATORS


@pytest.fixture(scope="module")
def facts():
    return pd.DataFrame([demo.county_facts(demo.simulate_county(2000, seed)) for seed in range(1, 9)]).mean()


@pytest.mark.parametrize(
    ("fact", "low", "high"),
    [
        ("cv", 0.44, 0.60),  # Baicheng 0.60, Kansas 0.44, PG&E 0.59 unstratified
        ("class_log_sd", 0.20, 0.40),  # within aquifer × depth × method
        ("kappa_median", 2.9, 5.8),  # PG&E 2.87, northern China villages 4.3 to 5.2, Baicheng 2.7 and 5.8
        ("within_well_log_sd", 0.04, 0.09),  # repeat tests of one well within a season: 4 to 9 %
        ("peak_shift", -0.075, -0.045),  # peak quarter some 6 % below the year's mean of monthly κ
        ("change_per_year", -0.032, -0.010),  # PCC over-read 3.9 to 6.4 % after 2 years, 8.4 to 11.3 % after 4
        ("class_mean_excess", 0.05, 0.12),  # class means read 5 to 10 % high; here a season's staleness on top
        ("energy_kappa_correlation", -0.7, -0.2),
        ("volume_m3_per_well_year", 4000.0, 16000.0),  # Fengrun, Hebei: 7,887
    ],
)
def test_county_is_like_those_published(facts, fact, low, high):
    """METHOD.md, "What is known", and data/published; means over eight counties."""
    assert low <= facts[fact] <= high


def test_aquifers_differ_as_in_the_north_china_survey(county):
    used = county.electric
    mean = pd.Series(county.kappa[used].mean(axis=1)).groupby(county.wells.loc[used, "aquifer"].to_numpy()).mean()
    assert mean["浅层"] > 1.5 * mean["深层"] > 3.0


def test_operating_point_of_one_well_by_brute_force():
    climate = aquifers.draw_climate(quarter_months("2026Q3"), 3)
    base = aquifers.draw_base_depth(3, 3)
    plants = registry.draw_plants(40, 3, base, 3)
    rest = aquifers.draw_water_tables(base, climate, 3)[plants.group]
    flow, kappa = pumping.plant_state(plants, np.full(rest.shape, np.log(0.5)), rest, slice(None))
    checked = 0
    for i in np.flatnonzero(~plants.vfd):
        design, rated = plants.design_flow[i], plants.rated_head_m[i]

        def system(q, i=i):
            return rest[i, 1] + plants.outlet_m[i] + plants.drawdown_per_flow[i] * q + plants.friction[i] * q**2

        def gap(q, design=design, rated=rated, system=system):
            return 1.33 * rated - 0.33 * rated * (q / design) ** 2 - system(q)

        if gap(0.31 * design) > 0:
            q = brentq(gap, 0.0, 3 * design)
            eta = 0.5 * (q / design) * (2 - q / design)
            assert flow[i, 1] == pytest.approx(q)
            assert kappa[i, 1] == pytest.approx(hydraulics.conversion_coefficient(eta, system(q)))
            checked += 1
    assert checked > 20


def test_wear_and_replacement_follow_their_law():
    climate = aquifers.draw_climate(quarter_months("2026Q3")[-1] + np.arange(-59, 1), 5)
    plants = registry.draw_plants(3000, 5, aquifers.draw_base_depth(5, 5), 5)
    pumps = pumping.draw_pumps(plants, 5)
    log_best = pumping.log_best_efficiency(pumps, plants, climate, slice(None))
    step = np.diff(log_best, axis=1)
    stays = pumps.replaced_after_years > 5
    np.testing.assert_allclose(step[stays], np.repeat(pumps.wear_per_year[stays, None] / 12, 59, axis=1), atol=1e-12)
    assert pumps.wear_per_year.mean() == pytest.approx(-0.02, abs=3 * 0.0135 / np.sqrt(3000))
    replaced = (~stays).sum()
    assert abs(replaced - 3000 * (1 - np.exp(-0.25))) < 3 * np.sqrt(3000 * 0.22 * 0.78)
    assert (log_best[~stays, -1] - log_best[~stays, 0]).mean() > 0.02


def test_energy_is_volume_over_kappa_plus_the_lamp(county):
    other = (county.energy_kwh - county.volume_m3 / county.kappa)[county.electric]
    assert other.min() > -1e-9
    lamp = other.max(axis=1) > 1e-6
    assert 0.04 < lamp.mean() < 0.12
    assert (county.energy_kwh[~county.electric] == 0).all()
    assert county.volume_m3[~county.electric].sum() > 0


def test_sealed_wells_rest(county):
    sealed = county.wells["status"].isin(["sealed", "abandoned"]).to_numpy()
    assert sealed.sum() > 20
    assert (county.volume_m3[sealed] == 0).all()


def test_water_tables_fall_by_the_year_and_are_lowest_in_summer():
    """A trend of 0.3 to 1 m a year, uniform: mean 0.65; weather of a county averages out over forty."""
    months = quarter_months("2026Q3")[-1] + np.arange(-35, 1)
    tables = []
    for seed in range(40):
        base = aquifers.draw_base_depth(8, seed)
        tables.append(aquifers.draw_water_tables(base, aquifers.draw_climate(months, seed), seed).mean(axis=0))
    mean = np.mean(tables, axis=0)
    assert (mean[-12:].mean() - mean[:12].mean()) / 2 == pytest.approx(0.65, abs=0.25)
    detrended = mean - 0.65 * (np.arange(36) + 0.5) / 12
    by_month = [detrended[k::12].mean() for k in range(12)]
    assert (np.argmax(by_month) + 9) % 12 + 1 in {7, 8}


def test_every_well_on_the_grid_hangs_on_one_meter(county):
    meters = county.meters
    assert sorted(meters["well_id"]) == sorted(county.well_id[county.electric])
    np.testing.assert_allclose(meters.groupby("meter_id")["share"].sum(), 1.0, atol=1e-9)
    shared = meters["meter_id"].duplicated(keep=False).mean()
    assert 0.01 < shared < 0.08


def test_bills_conserve_energy(county):
    """Estimates are made good, reads on the 26th are spread: over all months a meter bills what its wells took."""
    whole = ~np.isnan(county.billing.kwh).any(axis=1)
    billed = county.readings.groupby("meter_id")["energy_kwh"].sum()[county.billing.meter_id[whole]]
    taken = pd.Series(county.energy_kwh.sum(axis=1), index=county.well_id)[county.meters["well_id"]]
    taken = taken.groupby(county.meters["meter_id"].to_numpy()).sum()[county.billing.meter_id[whole]]
    assert whole.mean() > 0.6
    np.testing.assert_allclose(billed, taken, atol=0.4)
    assert (county.readings["energy_kwh"] >= 0).all()
    assert 0.003 < county.readings["quality"].eq("estimated").mean() < 0.02


def test_bills_of_a_meter_follow_each_other_without_gap_or_overlap(county):
    readings = county.readings
    whole = county.billing.meter_id[~np.isnan(county.billing.kwh).any(axis=1)]
    rows = readings[readings["meter_id"].isin(whole)].sort_values(["meter_id", "start"])
    same = rows["meter_id"].eq(rows["meter_id"].shift())
    assert (rows["start"] == rows["end"].shift())[same].all()
    assert readings["start"].dt.day.isin([1, 26]).all()
    assert readings["end"].max() == pd.Timestamp("2026-10-01")


def test_a_bill_to_the_26th_by_hand():
    months = quarter_months("2026Q3")
    late = np.array([True])
    billing = metering.Billing(
        np.array(["m"], dtype=object), months, np.array([[310.0, 0.0, 30.0]]), np.zeros((1, 3), dtype=bool), late
    )
    table = billing.table()
    assert table["energy_kwh"].tolist() == [250.0, 60.0, 25.0, 5.0]
    assert table["start"].dt.strftime("%m-%d").tolist() == ["07-01", "07-26", "08-26", "09-26"]


def test_truth_totals_by_a_plain_loop(county):
    totals = demo.truth_totals(county, "2026Q2").set_index(["domain", "key"])
    columns = [k for k, month in enumerate(county.months) if str(month) in {"2026-04", "2026-05", "2026-06"}]
    for town in county.wells["township"].unique():
        volume = other = 0.0
        for i in np.flatnonzero(county.wells["township"] == town):
            amount = sum(county.volume_m3[i, k] for k in columns)
            volume, other = (volume + amount, other) if county.electric[i] else (volume, other + amount)
        row = totals.loc[("township", town)]
        assert row["volume_m3"] == pytest.approx(volume)
        assert row["other_volume_m3"] == pytest.approx(other)
    for domain in ("township", "aquifer"):
        whole = totals.loc[domain][["n_wells", "energy_kwh", "volume_m3", "other_volume_m3"]].sum()
        np.testing.assert_allclose(whole, totals.loc[("county", "示范县")][whole.index].astype(float))


def test_same_seed_same_county_and_ids_tell_nothing(county):
    again = demo.simulate_county(2000, 7)
    for table in ("wells", "meters", "readings", "water_levels", "permits"):
        pd.testing.assert_frame_equal(getattr(again, table), getattr(county, table))
    np.testing.assert_array_equal(again.volume_m3, county.volume_m3)
    assert demo.simulate_county(2000, 8).volume_m3.sum() != county.volume_m3.sum()
    number = pd.Series(county.well_id).astype(int)
    assert county.wells["well_id"].is_unique
    assert number.astype(str).str.len().lt(6).any()
    for order in (number, np.arange(2000)):
        for value in (county.kappa.mean(axis=1), county.volume_m3.sum(axis=1), pd.factorize(county.wells.township)[0]):
            assert abs(stats.spearmanr(order, value).statistic) < 3.5 / np.sqrt(2000)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 60), months=st.integers(3, 14), seed=st.integers(0, 10**9))
def test_small_counties_are_whole(n, months, seed):
    county = demo.simulate_county(n, seed, months=months)
    assert county.energy_kwh.shape == county.volume_m3.shape == county.kappa.shape == (n, months)
    assert np.isfinite(county.kappa).all()
    assert (county.kappa > 0.2).all()
    assert (county.kappa < 40).all()
    assert (county.volume_m3 >= 0).all()
    assert set(county.wells["permit_no"].dropna()) <= set(county.permits["permit_no"])
    pairs = demo.measure_pairs(county, county.well_id, first=county.months[0], last=county.months[-1], seed=seed)
    assert set(pairs["well_id"]) <= set(county.well_id[county.electric])


@pytest.mark.parametrize("arguments", [{"n_wells": 0}, {"months": 2}, {"seed": -1}, {"end_quarter": "2026-3"}])
def test_absurd_counties_are_refused(arguments):
    with pytest.raises(UsageError, match=next(iter(arguments)).split("_")[-1]):
        demo.simulate_county(**arguments)


def _log_error(county, pairs):
    row = county.rows(pairs["well_id"])
    column = np.searchsorted(county.months, pairs["start"].to_numpy().astype("datetime64[M]"))
    return np.log(pairs["volume_m3"] / county.volume_m3[row, column]).to_numpy()


def test_errors_of_water_meters_are_as_asked(county):
    pairs = demo.measure_pairs(county, county.well_id, first="2025-01", last="2026-06", seed=4, outliers=0.0)
    error = pd.Series(_log_error(county, pairs))
    well = error.groupby(pairs["well_id"]).transform("mean")
    assert (error - well).std() == pytest.approx(0.04, rel=0.08)
    refused = 1 - pairs["well_id"].nunique() / (county.electric & (county.volume_m3[:, 15:33].max(axis=1) > 1)).sum()
    assert abs(refused - 0.12) < 4 * np.sqrt(0.12 * 0.88 / 1900)
    gross = demo.measure_pairs(county, county.well_id, first="2025-01", last="2026-06", seed=4, outliers=0.01)
    assert 0.005 < (np.abs(_log_error(county, gross)) > 0.3).mean() < 0.015


def test_meters_of_a_campaign_err_together(county):
    """The mean error of many meters keeps the shared 1 %: variance over campaigns, χ² bounds at 99.8 %."""
    means = [
        _log_error(
            county,
            demo.measure_pairs(county, county.well_id[:120], first="2026-05", last="2026-07", seed=seed, outliers=0.0),
        ).mean()
        for seed in range(80)
    ]
    expected = 0.01**2 + 0.015**2 / 100 + 0.04**2 / 250
    ratio = np.var(means, ddof=1) * 79 / expected
    assert stats.chi2.ppf(0.001, 79) < ratio < stats.chi2.ppf(0.999, 79)


def test_a_later_range_continues_the_same_meters(county):
    ids = county.well_id[:80]
    early = demo.measure_pairs(county, ids, first="2025-01", last="2026-03", seed=9)
    whole = demo.measure_pairs(county, ids[::-1], first="2025-01", last="2026-09", seed=9)
    overlap = whole[whole["start"] < pd.Timestamp("2026-04-01")].reset_index(drop=True)
    pd.testing.assert_frame_equal(overlap, early)


def test_short_tests_read_high(county):
    tests = demo.measure_tests(county, county.well_id, month="2026-06", seed=2, noise=0.02, instrument_sd=0.0)
    minutes = (tests["end"] - tests["start"]).dt.total_seconds() / 60
    truth = county.kappa[county.rows(tests["well_id"]), 32]
    error = np.log(tests["volume_m3"] / tests["energy_kwh"] / truth).groupby(minutes).mean()
    np.testing.assert_allclose(error[[30, 40, 60, 90, 120]], [0.05, 0.05 * 2 / 3, 0, 0, 0], atol=0.006)
    assert (tests["dynamic_depth_m"] >= tests["static_depth_m"]).all()
    assert tests["kind"].eq("test").all()


def test_unknown_wells_and_months_are_named(county):
    with pytest.raises(UsageError, match="nobody"):
        demo.measure_pairs(county, ["nobody"], first="2025-01", last="2025-02", seed=1)
    with pytest.raises(UsageError, match="2023-10 to 2026-09, found 2026-09 to 2026-10"):
        demo.measure_pairs(county, county.well_id[:1], first="2026-09", last="2026-10", seed=1)
    with pytest.raises(UsageError, match="2030Q1"):
        demo.truth_totals(county, "2030Q1")


def _contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_folder_is_the_same_bytes_and_reads_back(tmp_path):
    county = demo.simulate_county(150, 3)
    first = _contents(demo.write_county(tmp_path / "a", county))
    second = _contents(demo.write_county(tmp_path / "b", demo.simulate_county(150, 3)))
    assert first == second
    assert first["inputs/wells.csv"].startswith(b"\xef\xbb\xbf")
    read, findings = read_tables(tmp_path / "a", load_config(tmp_path / "a"))
    assert set(findings.frame["rule"]) <= {"BLANK_VALUE"}
    for table in ("wells", "meters", "readings", "water_levels", "permits"):
        written, back = getattr(county, table), getattr(read, table).reset_index(drop=True)
        for name in written:
            numbers = written[name].dtype.kind in "bfi"
            kind = float if numbers else written[name].dtype
            pd.testing.assert_series_equal(written[name].astype(kind), back[name].astype(kind))
    truth = pd.read_parquet(tmp_path / "a" / "truth" / "totals.parquet")
    pd.testing.assert_frame_equal(
        truth, demo.truth_totals(county, "2026Q3", ("county", "township", "aquifer", "permit_no"))
    )


def test_pairs_of_the_folder_wait_for_half_of_the_last_quarter(county):
    ids = demo.random_sample(county, 100, 1)
    pairs = demo.sample_pairs(county, ids, 0.0, 5)
    last = pairs.loc[pairs["start"] >= pd.Timestamp("2026-07-01"), "well_id"].nunique()
    assert pairs["well_id"].nunique() >= 97
    assert 40 <= last <= 50
    assert pairs["start"].min() == pd.Timestamp("2025-01-01")


def test_sample_is_proportional_to_aquifer(county):
    share = county.wells.loc[county.electric & county.wells["status"].eq("in_use"), "aquifer"].eq("深层").mean()
    sample = county.wells.set_index("well_id").loc[demo.random_sample(county, 200, 3), "aquifer"].eq("深层")
    assert not sample.index.duplicated().any()
    assert sample.mean() == pytest.approx(share, abs=0.015)


def test_nothing_is_left_of_a_folder_that_failed(tmp_path):
    county = demo.simulate_county(20, 3)
    with pytest.raises(UsageError, match="unknown"):
        demo.write_county(tmp_path / "a", county, sample=["nobody"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="new or empty"):
        demo.write_county(tmp_path / "full", county)
    assert _contents(tmp_path) == {"full/mine.txt": b"mine"}


@pytest.mark.parametrize("wells", [20, 10**7])
def test_a_folder_in_use_is_refused_before_any_work(tmp_path, wells):
    """Ten million wells could not be simulated while this test waits."""
    (tmp_path / "mine.txt").write_text("mine")
    told = []
    with pytest.raises(UsageError, match="new or empty"):
        beginning.demo(tmp_path, wells=wells, progress=told.append)
    assert told == []


@pytest.mark.parametrize("name", ["lognormal", "two_age", "shallow"])
def test_other_counties_have_the_same_interface_and_other_facts(counties, name):
    county = counties[name](1200, 2)
    facts = demo.county_facts(county)
    np.testing.assert_allclose(county.energy_kwh * county.kappa, county.volume_m3)
    assert 0.35 < facts["cv"] < 0.65
    assert 0.18 < facts["class_log_sd"] < 0.40
    assert facts["class_mean_excess"] > 0.05
    assert len(demo.measure_pairs(county, county.well_id[:30], first="2025-07", last="2026-06", seed=1)) > 150
    assert demo.truth_totals(county, "2026Q3")["volume_m3"].iloc[0] == pytest.approx(county.volume_m3[:, -3:].sum())
    assert county.readings["energy_kwh"].notna().all()
    assert county.wells["well_id"].is_unique


def test_other_counties_lack_what_they_should(counties):
    lognormal, two_age, shallow = (counties[name](600, 4) for name in ("lognormal", "two_age", "shallow"))
    assert lognormal.water_levels.empty
    assert "irrigated_area_mu" not in lognormal.wells
    assert two_age.wells["township"].nunique() == 2
    assert two_age.wells["aquifer"].isna().all()
    assert two_age.water_levels["well_id"].nunique() == pytest.approx(200, abs=45)
    efficiency = np.log(two_age.kappa.mean(axis=1))
    assert stats.skew(efficiency) < 0.1
    by_method = pd.Series(shallow.kappa.mean(axis=1)).groupby(shallow.wells["irrigation_method"].to_numpy()).mean()
    assert by_method["border"] == pytest.approx(5.78, abs=1.0)
    assert by_method["sprinkler"] == pytest.approx(2.70, abs=0.6)
