"""How a coefficient answers to falling water: the bend of ln κ over ln head, against pump and system curves."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from elec2water import hydraulics
from elec2water.coefficient.water import Head


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


def test_the_bend_is_the_careful_end_of_what_pump_curves_give():
    found = np.array([square_of(*k) for k in itertools.product((1.2, 1.33, 1.5), (0.75, 0.9, 1.05), (0.15, 0.3))])
    assert found.max() < -0.5
    assert (found < -Head().curvature).mean() > 0.75
    assert -2.5 < np.median(found) < -1.5


def test_a_straight_line_without_curvature_and_at_the_usual_level():
    a = np.linspace(-1.0, 1.0, 41)
    np.testing.assert_array_equal(Head(curvature=0.0).bent(a), a)
    np.testing.assert_allclose(Head(curvature=1.0).bent(1e-6 * a), 1e-6 * a, atol=1e-11)
    np.testing.assert_allclose(Head(curvature=1.0).bent(np.array([0.1, -0.1, np.nan])), [0.11, -0.09, np.nan])


@given(st.floats(-3.0, 3.0), st.floats(1e-6, 1.0))
def test_a_higher_head_is_never_a_better_coefficient(movement, more):
    head = Head()
    assert head.bent(np.array(movement + more)) >= head.bent(np.array(movement))
