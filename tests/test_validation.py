"""Validation: every well held out once, nothing of it leaks into its forecast, the tables follow from the forecasts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core_kit import small_case
from elec2water.errors import UsageError
from elec2water.stats import crps_lognormal
from elec2water.validation import LEVELS, METHODS, validate_coefficient


@pytest.fixture(scope="module")
def case():
    return small_case(60, 9, 6)


def validate(case, **arguments):
    settings = {"energy": case.energy, "folds": 3, "seed": 4} | arguments
    return validate_coefficient(case.pairs, case.wells, case.water_levels, **settings)


@pytest.fixture(scope="module")
def validation(case):
    return validate(case)


def kappa_by_well(pairs):
    sums = pairs.groupby("well_id")[["volume_m3", "energy_kwh"]].sum()
    return sums["volume_m3"] / sums["energy_kwh"], sums["energy_kwh"]


def test_every_well_is_held_out_once_and_the_last_season_for_all(case, validation):
    table = validation.forecasts
    wells = table[table["held_out"] == "wells"].set_index("well_id").sort_index()
    observed, _ = kappa_by_well(case.pairs)
    pd.testing.assert_series_equal(wells["observed"], observed, check_names=False)
    season = table[table["held_out"] == "season"].set_index("well_id").sort_index()
    middle = case.pairs["start"] + (case.pairs["end"] - case.pairs["start"]) / 2
    last = middle.to_numpy().astype("datetime64[M]")
    late, _ = kappa_by_well(case.pairs[last > last.max() - 6])
    pd.testing.assert_series_equal(season["observed"], late, check_names=False)


def test_nothing_of_a_held_out_well_leaks_into_its_forecast(case, validation):
    """With a well's water tripled, what is forecast for it when it is held out stays to the last digit."""
    well = case.pairs["well_id"].iloc[0]
    tripled = case.pairs["volume_m3"].where(case.pairs["well_id"].ne(well), 3 * case.pairs["volume_m3"])
    again = validate(replace(case, pairs=case.pairs.assign(volume_m3=tripled))).forecasts
    both = [t[(t["held_out"] == "wells") & (t["well_id"] == well)].iloc[0] for t in (validation.forecasts, again)]
    assert both[1]["observed"] == pytest.approx(3 * both[0]["observed"])
    for name in (*METHODS, "log_variance", "lower_0.9", "upper_0.9"):
        assert both[1][name] == both[0][name], name


def test_the_rivals_are_what_they_are_called(case, validation):
    """Oracle: class mean and ratio by hand from the wells that were not held out with a well."""
    table = validation.forecasts
    wells = table[table["held_out"] == "wells"].reset_index(drop=True)
    parts = np.random.default_rng(4).permutation(np.arange(9) % 3)
    kappa, energy = kappa_by_well(case.pairs)
    places = pd.Index(case.wells["well_id"]).get_indexer(kappa.index)
    part = pd.Series(parts[np.argsort(np.argsort(places))], index=kappa.index)
    stratum = wells.set_index("well_id")["stratum"].reindex(kappa.index)
    for row in wells.itertuples():
        seen = kappa.index[(part != part[row.well_id]) & (stratum == row.stratum)]
        seen = seen if len(seen) else kappa.index[part != part[row.well_id]]
        assert row.class_mean == pytest.approx(kappa[seen].mean())
        assert row.ratio == pytest.approx(np.average(kappa[seen], weights=energy[seen]))


def test_tables_follow_from_the_forecasts(validation):
    accuracy = validation.accuracy.set_index(["held_out", "method"])
    calibration = validation.calibration.set_index(["held_out", "level"])
    for held_out, part in validation.forecasts.groupby("held_out"):
        for method in METHODS:
            row, error = accuracy.loc[(held_out, method)], part[method] / part["observed"] - 1
            assert row["n_wells"] == len(part)
            assert row["mean_error"] == pytest.approx(error.mean())
            assert row["total_error"] == pytest.approx(part[method].sum() / part["observed"].sum() - 1)
            assert row["mean_absolute_error"] == pytest.approx(error.abs().mean())
            weighted = (part[method] - part["observed"]).abs().sum() / part["observed"].sum()
            assert row["weighted_absolute_error"] == pytest.approx(weighted)
            assert row["rmse_log"] == pytest.approx(np.sqrt((np.log(part[method] / part["observed"]) ** 2).mean()))
        crps = crps_lognormal(part["observed"], part["model"], part["log_variance"]).mean()
        assert accuracy.loc[(held_out, "model"), "crps_m3_per_kwh"] == pytest.approx(crps)
        for level in LEVELS:
            inside = part["observed"].between(part[f"lower_{level:g}"], part[f"upper_{level:g}"]).mean()
            assert calibration.loc[(held_out, level), "coverage"] == pytest.approx(inside)
    widths = validation.calibration.groupby("held_out")["mean_width"]
    assert widths.apply(lambda w: w.is_monotonic_increasing).all()


def test_the_model_beats_the_class_mean_where_wells_are_known(validation):
    """The last season of wells that have pairs before it: the well's own past is worth more than its class."""
    accuracy = validation.accuracy.set_index(["held_out", "method"])["mean_absolute_error"]
    assert accuracy["season", "model"] < 0.6 * accuracy["season", "class_mean"]


def test_the_same_seed_gives_the_same_and_a_page_is_shown(case, validation):
    pd.testing.assert_frame_equal(validate(case).forecasts, validation.forecasts)
    assert "coverage" in validation._repr_html_()


def test_tests_without_dates_have_no_season(case):
    pairs = case.pairs.groupby("well_id").head(1)[["well_id", "energy_kwh", "volume_m3"]]
    nat = np.full(len(pairs), np.datetime64("NaT", "s"))
    pairs = pairs.assign(start=nat, end=nat, kind=pd.Series("test", index=pairs.index, dtype="str"))
    found = validate(replace(case, pairs=pairs), folds=2)
    assert set(found.forecasts["held_out"]) == {"wells"}
    alone = found.accuracy[found.accuracy["method"].isin(["model", "class_mean", "ratio", "regression"])]
    assert np.isfinite(alone.drop(columns=["held_out", "method"]).to_numpy()).all()


def test_two_wells_are_too_few(case):
    few = case.pairs[case.pairs["well_id"].isin(case.pairs["well_id"].unique()[:2])]
    with pytest.raises(UsageError, match="at least 3 sample wells"):
        validate(replace(case, pairs=few))
