"""Missing months: hidden-month tests on counties of three kinds, closed forms, and what must not change."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from elec2water.energy import Imputation, MonthlyEnergy, impute, predict_missing
from elec2water.energy.movement import BETWEEN_YEARS, fit_movement
from elec2water.errors import UsageError

SEASON = np.array([0.15, 0.2, 1.0, 2.0, 2.2, 1.5, 0.8, 0.7, 1.2, 0.9, 0.3, 0.15] * 2)[:18]
FIRST = np.datetime64("2025-01")


def county(kind, seed, n=400):
    """Energies of wells that irrigate in spikes and often not at all; classes have movements of their own."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 4, n)
    effect = (np.exp(rng.normal(0.0, 0.3, (4, len(SEASON)))) * SEASON)[group]
    power = np.exp(rng.normal(2.5, 0.4, n))
    mean = (power * np.exp(rng.normal(3.0, 0.6, n)))[:, None] * effect
    idle = rng.random(mean.shape) < np.clip(0.35 - 0.15 * effect, 0.0, 0.5)
    if kind == "gamma":
        shape = rng.uniform(1.0, 6.0, n)[:, None] * np.minimum(effect, 1.0)
        return np.where(idle, 0.0, rng.gamma(shape, 1.0 / shape) * mean), group, power
    if kind == "lognormal":
        spread = rng.uniform(0.25, 0.7, n)[:, None]
        return np.where(idle, 0.0, mean * np.exp(spread * rng.normal(size=mean.shape))), group, power
    events = rng.poisson(1.5 * effect) / (1.5 * effect)
    return mean * events * np.exp(0.3 * rng.normal(size=mean.shape)), group, power


def energy_of(kwh):
    unknown = np.isnan(kwh)
    months = FIRST + np.arange(kwh.shape[1])
    ids = np.array([f"{i:04d}" for i in range(len(kwh))], dtype=object)
    return MonthlyEnergy(ids, months, kwh, np.where(unknown, np.nan, 0.0), np.where(unknown, "N", "A"))


@pytest.mark.parametrize("kind", ["gamma", "lognormal", "events"])
@pytest.mark.parametrize("part", [0.05, 0.3])
def test_ninety_percent_intervals_of_hidden_months_cover_what_they_say(kind, part):
    inside, errors = [], []
    for seed in range(5):
        kwh, group, power = county(kind, seed)
        hidden = np.random.default_rng(1000 + seed).random(kwh.shape) < part
        law = predict_missing(energy_of(np.where(hidden, np.nan, kwh)), group, power_kw=power)
        lower, upper = law.interval(0.9)
        inside.append(((kwh >= lower) & (kwh <= upper))[hidden].mean())
        gap = (kwh - law.mean)[hidden].sum()
        errors.append(gap / np.sqrt(law.variance[hidden].sum()))
        assert abs(gap) < 0.15 * kwh[hidden].sum()
    assert 0.86 <= np.mean(inside) <= 0.94
    if part < 0.1:
        assert stats.chi2.cdf(np.sum(np.square(errors)), df=5) < 0.999


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("holes", "years"), [(0.02, 1), (0.3, 1), (0.3, 3)])
def test_fitted_totals_are_the_observed_ones(holes, years, order):
    """The score equations of a quasi-Poisson model (McCullagh and Nelder 1989, section 9.2), wells one by one."""
    rng = np.random.default_rng(7)
    kwh = rng.gamma(2.0, 50.0, (300, 12 * years)) * rng.lognormal(0.0, 0.4, 12 * years)
    kwh[rng.random(kwh.shape) < holes] = np.nan
    kwh[:20, 3:6] = np.nan
    kwh[5] = np.nan
    movement = fit_movement(np.asarray(kwh, order=order), np.zeros(300))
    fitted = np.where(np.isnan(kwh), 0.0, movement.level[:, None] * movement.profile)
    np.testing.assert_allclose(np.nansum(fitted, axis=1), np.nansum(kwh, axis=1), rtol=1e-6)
    np.testing.assert_allclose(np.nansum(fitted, axis=0), np.nansum(kwh, axis=0), rtol=1e-6)
    np.testing.assert_allclose(movement.covered, (~np.isnan(kwh)) @ movement.profile[0])
    assert np.isnan(movement.level[5])


def test_without_noise_the_missing_month_is_level_times_movement():
    level, season = np.array([1.0, 3.0, 10.0, 30.0, 100.0]), np.array([1.0, 4.0, 2.0, 0.0])
    kwh = np.outer(level, season)
    kwh[2, 1] = np.nan
    movement = fit_movement(kwh, np.zeros(5))
    np.testing.assert_allclose(movement.profile[0], season / season.mean(), rtol=1e-6)
    np.testing.assert_allclose(movement.level, level * season.mean(), rtol=1e-6)
    filled = impute(energy_of(kwh), np.zeros(5))
    assert filled.kwh[2, 1] == pytest.approx(40.0, rel=0.05)


def test_only_missing_months_of_known_wells_change():
    kwh, group, power = county("gamma", 7, n=80)
    kwh[0] = np.nan
    kwh[1, 3] = np.nan
    kwh[:, 9] = np.nan
    before = energy_of(kwh)
    after = impute(before, group.astype(str), power_kw=power)
    known = np.isfinite(kwh)
    np.testing.assert_array_equal(after.kwh[known], kwh[known])
    assert (after.quality[known] == "A").all()
    assert after.quality[1, 3] == "S"
    assert after.variance[1, 3] > 0
    assert np.isnan(after.kwh[0]).all()
    assert (after.quality[0] == "N").all()
    assert np.isnan(after.kwh[:, 9]).all()
    assert np.isnan(before.kwh[1, 3])


def test_order_of_wells_and_unit_do_not_matter():
    kwh, group, power = county("lognormal", 11, n=90)
    kwh[np.random.default_rng(2).random(kwh.shape) < 0.2] = np.nan
    filled = impute(energy_of(kwh), group, power_kw=power)
    order = np.random.default_rng(3).permutation(90)
    shuffled = impute(energy_of(kwh[order]), group[order], power_kw=power[order])
    np.testing.assert_allclose(shuffled.kwh, filled.kwh[order], rtol=1e-6)
    in_mwh = impute(energy_of(kwh / 1000.0), group, power_kw=power)
    np.testing.assert_allclose(in_mwh.kwh * 1000.0, filled.kwh, rtol=1e-6)
    np.testing.assert_allclose(in_mwh.variance * 1e6, filled.variance, rtol=1e-5)


def test_a_series_named_by_wells_goes_by_its_names_and_any_other_by_place():
    kwh, group, power = county("lognormal", 12, n=90)
    kwh[np.random.default_rng(4).random(kwh.shape) < 0.2] = np.nan
    energy = energy_of(kwh)
    filled = impute(energy, group, power_kw=power, neighbours=group % 2)
    order = np.random.default_rng(5).permutation(90)
    named = (pd.Series(values, index=energy.well_id).iloc[order] for values in (group, power, group % 2))
    groups, sizes, villages = named
    by_name = impute(energy, groups, power_kw=sizes, neighbours=villages)
    np.testing.assert_array_equal(by_name.kwh, filled.kwh)
    rows = pd.RangeIndex(2, 92)
    by_place = impute(energy, pd.Series(group, rows), power_kw=pd.Series(power, rows), neighbours=group % 2)
    np.testing.assert_array_equal(by_place.kwh, filled.kwh)
    with pytest.raises(UsageError, match="once"):
        impute(energy, pd.concat([groups, groups.iloc[:3]]), power_kw=power)


def test_the_interval_is_that_of_a_lognormal_with_a_point_at_zero():
    """Quantiles of the mixture by simulation with 10⁶ draws of known mean, variance and zero share."""
    rng = np.random.default_rng(5)
    zero_share, spread = 0.2, 0.5
    draws = np.where(rng.random(1_000_000) < zero_share, 0.0, np.exp(3.0 + spread * rng.normal(size=1_000_000)))
    mean = (1 - zero_share) * np.exp(3.0 + spread**2 / 2)
    second = (1 - zero_share) * np.exp(6.0 + 2 * spread**2)
    cell = [*(np.array([[v]]) for v in (mean, second - mean**2, zero_share)), np.zeros(1)]
    for confidence in (0.5, 0.7, 0.9):
        lower, upper = Imputation(*cell).interval(confidence)
        tail = (1 - confidence) / 2
        # Where standing still is likelier than the lower tail, the interval begins at zero and leaves all above it.
        levels = (0.0, confidence) if zero_share > tail else (tail, 1.0 - tail)
        expected = np.quantile(draws, levels)
        np.testing.assert_allclose([lower.item(), upper.item()], expected, rtol=0.01)


def test_wrong_shapes_are_named():
    energy = energy_of(np.ones((3, 2)))
    with pytest.raises(UsageError, match="groups"):
        impute(energy, np.zeros(2))
    with pytest.raises(UsageError, match="power_kw"):
        impute(energy, np.zeros(3), power_kw=np.ones(4))


def test_a_month_nobody_has_read_follows_the_year_before_with_a_common_error():
    rng = np.random.default_rng(5)
    months = np.arange(np.datetime64("2024-01"), np.datetime64("2026-01"))
    season = 1.0 + 0.8 * np.sin(np.arange(24) / 12 * 2 * np.pi)
    kwh = rng.gamma(5.0, 40.0, 80)[:, None] * season * rng.lognormal(0.0, 0.1, (80, 24))
    hidden = kwh[:, 23].copy()
    kwh[:, 23] = np.nan
    read = MonthlyEnergy(
        np.arange(80).astype(str).astype(object), months, kwh, np.where(np.isnan(kwh), np.nan, 0.0),
        np.where(np.isnan(kwh), "N", "A"),
    )  # fmt: skip
    filled = impute(read, np.zeros(80))
    assert set(filled.quality[:, 23]) == {"S"}
    assert filled.kwh[:, 23].sum() == pytest.approx(hidden.sum(), rel=0.05)
    assert filled.common[23] == pytest.approx(BETWEEN_YEARS, rel=0.01)
    assert filled.common[:23].max() < 0.001
    assert (filled.variance[:, 23] >= filled.common[23] * filled.kwh[:, 23] ** 2).all()
    first_year = impute(read.window(months[12], months[23]), np.zeros(80))
    assert np.isnan(first_year.kwh[:, 11]).all(), "no year before, nothing to follow"


def well_ids(n):
    return np.arange(n).astype(str).astype(object)


def county_of_two_years(rng, factor, n=400):
    """Two years of wells in eight classes, the last month by a factor other than the year before."""
    months = np.arange(np.datetime64("2024-01"), np.datetime64("2026-01"))
    season = 1.0 + 0.8 * np.sin(np.arange(24) / 12 * 2 * np.pi)
    season[23] *= factor
    kwh = rng.gamma(2.0, 100.0, n)[:, None] * season * rng.gamma(1.5, 1 / 1.5, (n, 24))
    return months, kwh, np.arange(n) % 8


@pytest.mark.parametrize("read", [0, 4, 12, 100])
def test_a_month_that_few_wells_were_read_in_errs_by_as_much_as_is_said(read):
    """Oracle: the county's month is known; its factor beside the year before is drawn with the believed variance."""
    rng, z, alone = np.random.default_rng(31), [], []
    for _ in range(60):
        months, kwh, groups = county_of_two_years(rng, np.exp(np.sqrt(BETWEEN_YEARS) * rng.standard_normal() - 0.045))
        hidden = np.delete(np.arange(len(kwh)), rng.permutation(len(kwh))[:read])
        shown = kwh.copy()
        shown[hidden, 23] = np.nan
        blank = np.where(np.isnan(shown), np.nan, 0.0)
        quality = np.where(np.isnan(shown), "N", "A")
        filled = impute(MonthlyEnergy(well_ids(len(kwh)), months, shown, blank, quality), groups)
        said = filled.variance[hidden, 23].sum() + filled.common[23] * filled.kwh[hidden, 23].sum() ** 2
        error = filled.kwh[hidden, 23].sum() - kwh[hidden, 23].sum()
        z.append(error / np.sqrt(said))
        alone.append(abs(error) / kwh[hidden, 23].sum())
    assert 0.75 < np.sqrt(np.mean(np.square(z))) < 1.3
    assert np.mean(alone) < {0: 0.30, 4: 0.27, 12: 0.20, 100: 0.10}[read]


def test_a_month_read_everywhere_stays_as_it_was_read_and_so_does_one_of_rest():
    """All wells but one are read: its missing month moves as theirs did, be it to nothing, not as the year before."""
    months, kwh, groups = county_of_two_years(np.random.default_rng(8), 0.4, n=3000)
    kwh[:, 22] = 0.0
    kwh[0, 22:] = np.nan
    blank, quality = np.where(np.isnan(kwh), np.nan, 0.0), np.where(np.isnan(kwh), "N", "A")
    law = predict_missing(MonthlyEnergy(well_ids(3000), months, kwh, blank, quality), groups)
    assert law.mean[0, 22] < 0.01 * law.mean[0, 10]
    now, before = np.nansum(kwh[:, 23]), kwh[1:, 11].sum()
    assert law.mean[0, 23] / law.mean[0, 11] == pytest.approx(now / before, rel=0.1)


def test_a_large_county_is_imputed_from_some_of_its_wells_in_any_order():
    rng = np.random.default_rng(11)
    n, months = 9000, np.arange(np.datetime64("2025-01"), np.datetime64("2026-01"))
    season = 1.0 + 0.8 * np.sin(np.arange(12) / 12 * 2 * np.pi)
    kwh = rng.gamma(5.0, 40.0, n)[:, None] * season * rng.lognormal(0.0, 0.2, (n, 12))
    kwh[rng.random((n, 12)) < 0.003] = np.nan
    ids = np.arange(n).astype(str).astype(object)
    blank = np.where(np.isnan(kwh), np.nan, 0.0)
    read = MonthlyEnergy(ids, months, kwh, blank, np.where(np.isnan(kwh), "N", "A"))
    filled = impute(read, np.zeros(n))
    law = predict_missing(read, np.zeros(n))
    hole = np.isnan(kwh)
    np.testing.assert_allclose(filled.kwh[hole], law.mean[hole], rtol=0.03)
    np.testing.assert_allclose(np.sqrt(filled.variance[hole]), np.sqrt(law.variance[hole]), rtol=0.1)
    np.testing.assert_array_equal(filled.kwh[~hole], kwh[~hole])
    order = rng.permutation(n)
    other = impute(MonthlyEnergy(ids[order], months, kwh[order], blank[order], read.quality[order]), np.zeros(n))
    np.testing.assert_allclose(other.kwh, filled.kwh[order], rtol=1e-9)
