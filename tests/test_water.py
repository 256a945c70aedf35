"""How a coefficient answers to falling water: the bend of ln κ over ln head, against pump and system curves."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_kit import small_case
from elec2water import hydraulics
from elec2water.coefficient.curvature import learned_curvature, prior_weights
from elec2water.coefficient.features import HEAD_CURVATURE
from elec2water.coefficient.fit import fit_coefficient
from elec2water.coefficient.water import lasting_movement, level_movement

GRID = np.linspace(0.0, 2.0, 9)


@pytest.fixture(scope="module")
def case():
    return small_case(120, 30, 5, missing=0.0)


@pytest.fixture(scope="module")
def spec(case):
    return case.fit().spec


def square_of(shutoff_ratio, began_at, losses):
    """Coefficient of a² in ln κ, a the movement of ln head, of a pump and a well worked out point by point.

    The pump began at a share of its best flow; ``losses`` is the share of the head in drawdown and friction then.
    """
    shutoff, curve = hydraulics.pump_curve_from_rating(1.0, 40.0, shutoff_ratio)
    head = float(hydraulics.pump_head(began_at, shutoff, curve))
    linear, quadratic = 0.5 * losses * head / began_at, 0.5 * losses * head / began_at**2
    movement = np.linspace(-0.05, 0.10, 31)
    lift = head * (1.0 - losses) + head * np.expm1(movement)
    flow = hydraulics.operating_flow(shutoff, curve, lift, linear, quadratic)
    eta = hydraulics.efficiency_at_flow(flow, 1.0, 0.5)
    kappa = hydraulics.conversion_coefficient(eta, hydraulics.pump_head(flow, shutoff, curve))
    return np.polyfit(movement, np.log(kappa), 2)[0]


def test_the_prior_lies_between_no_bend_and_what_pump_curves_give():
    found = np.array([square_of(*k) for k in itertools.product((1.2, 1.33, 1.5), (0.75, 0.9, 1.05), (0.15, 0.3))])
    assert found.max() < -0.5
    assert -2.5 < np.median(found) < -1.5
    assert prior_weights().sum() == pytest.approx(1.0)
    assert prior_weights() @ GRID == pytest.approx(HEAD_CURVATURE, abs=0.05)
    assert 0.0 < HEAD_CURVATURE < -np.median(found)


def test_a_straight_line_without_curvature_and_at_the_usual_level(spec):
    a = np.linspace(-1.0, 1.0, 41)
    np.testing.assert_array_equal(replace(spec, head_curvature=0.0).bent(a), a)
    one = replace(spec, head_curvature=1.0)
    np.testing.assert_allclose(one.bent(1e-6 * a), 1e-6 * a, atol=1e-11)
    np.testing.assert_allclose(one.bent(np.array([0.1, -0.1, np.nan])), [0.11, -0.09, np.nan])


@given(st.floats(0.0, 2.0), st.floats(-3.0, 3.0), st.floats(1e-6, 1.0))
def test_a_higher_head_is_never_a_better_coefficient(spec, curvature, movement, more):
    bent = replace(spec, head_curvature=curvature).bent
    assert bent(np.array(movement + more)) >= bent(np.array(movement)) - 1e-12


def swinging(case, spec, curvature, seed=8):
    """The case with pairs whose ln κ answers to a water table of great swings, and is bent so much."""
    rng = np.random.default_rng(seed)
    levels = case.water_levels.copy()
    month = levels["month"].to_numpy(dtype="datetime64[M]")
    phase = rng.uniform(-1.5, 1.5, levels["township"].nunique())[levels["township"].factorize()[0]]
    swing = np.exp(0.35 * np.sin(2 * np.pi * month.astype(int) / 12 + phase))
    levels["depth_m"] = 30.0 * swing
    month = case.pairs["start"].to_numpy(dtype="datetime64[M]")
    months = np.arange(month.min(), month.max() + 1)
    movement, _ = level_movement(case.wells, levels, months, months, spec.beyond(case.wells))
    place = pd.Index(case.wells["well_id"]).get_indexer(case.pairs["well_id"])
    bent = replace(spec, head_curvature=curvature).bent(movement[place, (month - months[0]).astype(int)])
    usual = np.exp(1.0 + 0.2 * rng.standard_normal(len(case.wells)))[place]
    kappa = usual * np.exp(0.03 * rng.standard_normal(len(case.pairs)) - bent)
    return case.pairs.assign(volume_m3=case.pairs["energy_kwh"] * kappa), levels


@pytest.mark.parametrize("curvature", [0.0, 1.0, 2.0])
def test_the_bend_is_learned_from_pairs_that_show_it(case, spec, curvature):
    pairs, levels = swinging(case, spec, curvature)
    fitted = fit_coefficient(pairs, case.wells, levels, energy=case.energy)
    assert fitted.spec.head_curvature == pytest.approx(curvature, abs=0.35)
    slope = fitted.posterior.mean[fitted.posterior.layout.names.index("level")]
    assert slope == pytest.approx(-1.0, abs=0.1)


def test_where_no_level_is_known_the_prior_stands(case):
    fitted = fit_coefficient(case.pairs, case.wells, None, energy=case.energy)
    assert fitted.spec.head_curvature == HEAD_CURVATURE
    none = np.zeros(fitted.posterior.rows.y.size)
    assert learned_curvature(fitted.posterior, none, fitted.spec) == HEAD_CURVATURE


def test_lasting_movement_is_the_mean_of_a_year_of_what_is_known():
    rng = np.random.default_rng(2)
    level, group = rng.normal(size=(9, 20)), np.array([0, 1, 0, 1, 0, 1, 0, 1, 0])
    level[:, 3] = np.nan
    level[rng.random(level.shape) < 0.2] = np.nan
    found = lasting_movement(level, group, 3)
    assert found.shape == (3, 9)
    np.testing.assert_array_equal(found[2], 0.0)
    for code, m in itertools.product((0, 1), range(9)):
        monthly = pd.DataFrame(level[group == code]).mean()[m : m + 12]
        assert found[code, m] == pytest.approx(monthly.mean(), rel=1e-12)


def test_a_season_has_nothing_lasting():
    months = np.arange(36)
    season = np.sin(2 * np.pi * months / 12)
    np.testing.assert_allclose(lasting_movement(np.tile(season, (4, 1)), np.zeros(4, np.intp), 1), 0.0, atol=1e-12)
    fallen = lasting_movement((season + 0.03 * months / 12)[None], np.zeros(1, np.intp), 1)[0]
    np.testing.assert_allclose(np.diff(fallen), 0.03 / 12, rtol=1e-9)


def test_years_deeper_are_less_certain_than_the_season_that_was_seen():
    """With many wells the season tells its own slope; what lasting water does is hardly known better than before."""
    case = small_case(150, 120, 4, pair_months=24)
    coefficient = case.fit()
    posterior, layout = coefficient.posterior, coefficient.posterior.layout
    level, lasting = (layout.moving_start + layout.moving_names.index(name) for name in ("level", "level_lasting"))
    season = np.sqrt(posterior.covariance[level, level])
    both = posterior.covariance[np.ix_([level, lasting], [level, lasting])].sum() ** 0.5
    assert season < 0.09
    assert 0.09 < both < 0.15
