"""Water levels after the last observation, and those of a table that was started anew."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core_kit import small_case
from elec2water.coefficient.gauges import Gauges
from elec2water.coefficient.state import from_dataset, to_dataset
from elec2water.coefficient.unseen import (
    PUMPED,
    RATE,
    YEAR_TO_YEAR,
    foretell,
    last_observed,
    pumping_anomaly,
    unknown_sd,
)
from elec2water.volume import estimate_volume, volume_in

MONTHS = np.arange(np.datetime64("2020-01", "M"), np.datetime64("2030-01", "M"))
ONE = np.zeros(1, dtype=np.intp)


def ahead(path, last, months):
    """The path (M,) of one well foretold from its months up to ``last``."""
    seen = np.where(last >= MONTHS, path, np.nan)

    def movement(some, wells):
        return np.tile(seen[np.searchsorted(MONTHS, some)], (wells.size, 1))

    span = np.array([last]), MONTHS[0]
    return foretell(np.full((1, months.size), np.nan), months, ONE, span, ONE, movement)


def test_a_season_goes_on_as_it_was_from_where_the_water_stood():
    """Four years of the same season and no trend: the next years are the same again, to the last digit."""
    season = 0.05 * np.sin(2 * np.pi * np.arange(MONTHS.size) / 12)
    last, later = MONTHS[47], MONTHS[48:90]
    told = ahead(season, last, later)
    np.testing.assert_allclose(told.level[0], season[48:90], atol=1e-12)
    assert (np.diff(told.sd[0]) > 0).all()


def test_the_rate_is_what_bayes_makes_of_the_years_seen():
    """Oracle: the posterior of a rate on a grid, prior N(0, τ²) and three yearly changes N(r, s²), s as estimated."""
    yearly = np.array([0.0, 0.05, 0.06, 0.12])
    path = np.repeat(yearly, 12)
    path = np.append(path, np.full(MONTHS.size - path.size, np.nan))
    change = np.diff(yearly)
    s2 = (4 * YEAR_TO_YEAR**2 + ((change - change.mean()) ** 2).sum()) / (4 + change.size - 1)
    r = np.linspace(-0.2, 0.3, 200_001)
    log = -0.5 * (r / RATE) ** 2 - 0.5 * ((change[:, None] - r) ** 2).sum(axis=0) / s2
    weight = np.exp(log - log.max())
    mean = (weight * r).sum() / weight.sum()
    variance = (weight * (r - mean) ** 2).sum() / weight.sum()
    told = ahead(path, MONTHS[47], MONTHS[[59, 71]])
    np.testing.assert_allclose(told.level[0], yearly[-1] + mean * np.array([1.0, 2.0]), rtol=1e-6)
    np.testing.assert_allclose(
        told.sd[0], np.sqrt(variance * np.array([1.0, 4.0]) + s2 * np.array([1.0, 2.0])), rtol=1e-6
    )


def test_what_is_foretold_holds_nine_times_in_ten():
    """Paths that walk with a rate of their own: coverage of 90 % intervals one, two and four years ahead."""
    random = np.random.default_rng(7)
    inside = []
    for _ in range(400):
        steps = random.normal(random.normal(0.0, RATE) / 12, YEAR_TO_YEAR / np.sqrt(12), MONTHS.size)
        path = np.cumsum(steps) + 0.04 * np.sin(2 * np.pi * np.arange(MONTHS.size) / 12)
        later = MONTHS[48:][[11, 23, 47]]
        told = ahead(path, MONTHS[47], later)
        inside.append(np.abs(told.level[0] - path[48:][[11, 23, 47]]) < 1.645 * told.sd[0])
    assert np.all(np.abs(np.mean(inside, axis=0) - 0.9) < 0.06)


def test_where_no_year_was_seen_the_prior_stands():
    path = np.full(MONTHS.size, 0.1)
    last = np.array([MONTHS[0]])
    told = ahead(path, MONTHS[0], MONTHS[1:40])
    np.testing.assert_allclose(told.level[0], 0.1)
    np.testing.assert_allclose(told.sd, unknown_sd(MONTHS[1:40], last))


@pytest.fixture(scope="module")
def case():
    return small_case(60, 12, 5, pair_months=24)


@pytest.fixture(scope="module")
def fitted(case):
    return replace(case, pairs=case.pairs[case.pairs["start"] < "2025-10-01"]).fit()


def test_a_table_that_begins_anew_is_as_good_as_the_whole(case, fitted):
    late = case.pairs[case.pairs["start"] >= "2025-10-01"]
    levels = case.water_levels
    anew = levels[levels["month"] >= "2025-11-01"]
    whole = fitted.update(late, case.wells, levels, energy=case.energy)
    short = fitted.update(late, case.wells, anew, energy=case.energy)
    np.testing.assert_allclose(short.posterior.mean, whole.posterior.mean, atol=1e-12)
    np.testing.assert_allclose(short.posterior.covariance, whole.posterior.covariance, atol=1e-12)
    volumes = [
        estimate_volume(c, case.energy, quarter="2026Q3", wells=case.wells, water_levels=table).wells.volume_m3
        for c, table in ((whole, levels), (short, anew), (from_dataset(to_dataset(short)), None))
    ]
    np.testing.assert_allclose(volumes[1], volumes[0], rtol=1e-12)
    np.testing.assert_allclose(volumes[2], volumes[0], rtol=1e-12)


def test_of_several_observations_of_a_month_the_mean_is_kept():
    dates = pd.to_datetime(["2024-01-05", "2024-01-25", "2024-02-10", "2024-02-11"]).astype("datetime64[s]")
    table = pd.DataFrame({"well_id": ["7", "7", "7", None], "date": dates, "depth_m": [10.0, 12.0, 15.0, 3.0]})
    kept = Gauges.of(table).joined(None)
    assert kept["well_id"].tolist() == ["7", "7"]
    assert kept["depth_m"].tolist() == [11.0, 15.0]
    assert kept["date"].astype(str).tolist() == ["2024-01-15", "2024-02-10"]


def test_totals_err_by_what_the_water_may_have_done_unseen(case, fitted):
    """Oracle: (Σ m³ of aquifer and month x its standard deviation)² of the wells' volumes, correlated by a half."""
    levels = case.water_levels
    stopped = levels[levels["month"] <= "2025-09-01"]
    blind = fitted.update(None, case.wells, stopped, energy=case.energy, until=np.datetime64("2026-09"))
    months = np.arange(np.datetime64("2026-07"), np.datetime64("2026-10"))
    context = blind.context(case.wells, stopped, case.energy, months)
    assert (last_observed(case.wells, stopped, context.static.aquifer, 2) == np.datetime64("2025-09")).all()
    assert context.unseen.min() > 0.015
    totals = {}
    for name, sd in (("with", context.unseen), ("without", np.zeros_like(context.unseen))):
        seen = replace(context, unseen=sd)
        totals[name] = _county(blind, seen, case)
    m3, codes = totals["without"].monthly_m3, context.static.aquifer
    loading = np.array([(m3[codes == k] * context.unseen[k]).sum() for k in range(2)])
    expected = loading @ np.array([[1.0, 0.5], [0.5, 1.0]]) @ loading
    variance = {name: float(volume.total().se_m3[0]) ** 2 for name, volume in totals.items()}
    assert variance["with"] - variance["without"] == pytest.approx(expected, rel=0.03)


def _county(coefficient, context, case):
    wells = np.ones(len(case.wells), dtype=bool)
    return volume_in(coefficient, context, case.energy, quarter="2026Q3", on_grid=wells, confidence=0.9)


def test_pumping_is_compared_with_the_year_of_the_fit_month_by_month_over_wells_known_in_both():
    months = np.arange(np.datetime64("2024-01", "M"), np.datetime64("2026-07", "M"))
    rng = np.random.default_rng(3)
    season = rng.uniform(0.1, 3.0, 12)
    kwh = rng.lognormal(5.0, 1.0, (40, 1)) * np.tile(season, 3)[:30]
    fitted = months[17]
    assert not pumping_anomaly(kwh, months, months[:18], fitted).any()
    dry = kwh * np.where(months > fitted, 1.8, 1.0)
    told = pumping_anomaly(dry, months, months[[18, 23, 29]], fitted)
    year = [kwh[:, k - 11 : k + 1].sum(axis=0) for k in (18, 23, 29)]
    by_hand = [
        np.log((y * np.where(months[k - 11 : k + 1] > fitted, 1.8, 1.0)).sum() / y.sum())
        for y, k in zip(year, (18, 23, 29), strict=True)
    ]
    np.testing.assert_allclose(told, by_hand, rtol=1e-12)
    assert told[2] == pytest.approx(np.log(1.8))
    unread, new = dry.copy(), dry.copy()
    unread[:8, 20:] = np.nan
    new[8:16, :18] = np.nan
    assert pumping_anomaly(unread, months, months[29:], fitted)[0] == pytest.approx(np.log(1.8))
    assert pumping_anomaly(new, months, months[29:], fitted)[0] == pytest.approx(np.log(1.8))
    assert not pumping_anomaly(dry[:, 18:], months[18:], months[[29]], fitted).any()


def test_a_year_of_twice_the_pumping_widens_what_nobody_observed(monkeypatch):
    """Without levels a total is less certain by as much as the head may have moved, in part common to all aquifers."""
    case = replace(small_case(120, 14, 5, last_pair=-7), water_levels=None)
    coefficient = case.fit()
    months, fitted = case.energy.months, coefficient.windows.level[-1]
    twice = replace(case.energy, kwh=case.energy.kwh * np.where(months > fitted, 2.0, 1.0))
    dry = replace(case, energy=twice)
    total = dry.volume(coefficient).county
    monkeypatch.setattr("elec2water.coefficient.context.PUMPED", 0.0)
    without = dry.volume(coefficient).county
    added = np.log1p((total.se_m3 / total.volume_m3) ** 2) - np.log1p((without.se_m3 / without.volume_m3) ** 2)
    grown = [PUMPED * pumping_anomaly(twice.kwh, months, months[-k:][:1], fitted)[0] for k in (3, 1)]
    assert min(grown) > 0.01
    assert (0.5 + 0.5 / len(coefficient.spec.aquifers)) * min(grown) ** 2 < added[0] < max(grown) ** 2
