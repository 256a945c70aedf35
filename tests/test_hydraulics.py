"""Kernels of hydraulics against printed tables, hand computation, other units and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from elec2water import hydraulics as hy

FOOT, ACRE_FOOT, GALLON = 0.3048, 1233.48184, 3.785411784e-3
positive = st.floats(0.1, 200)


def test_one_kwh_lifts_367_cubic_metres_by_one_metre():
    assert pytest.approx(367.1, abs=0.05) == hy.M3_M_PER_KWH


@pytest.mark.parametrize(("feet", "efficiency"), [(100, 0.55), (250, 0.62), (40, 0.35)])
def test_agrees_with_the_acre_foot_rule_of_pump_tests(feet, efficiency):
    """Energy per acre-foot = 1.0241 kWh × head in feet / overall plant efficiency (rule of pump-test reports, ITRC)."""
    kwh = ACRE_FOOT / hy.conversion_coefficient(efficiency, feet * FOOT)
    assert kwh == pytest.approx(1.0241 * feet / efficiency, rel=1e-3)


def test_agrees_with_the_rule_of_washington_state():
    """WAC 173-173-160: gallons = 318600 × kWh × pump efficiency × motor efficiency / head in feet (rounded there)."""
    gallons = hy.conversion_coefficient(0.7 * 0.9, 120 * FOOT) / GALLON
    assert gallons == pytest.approx(318600 * 0.7 * 0.9 / 120, rel=2e-3)


@given(st.floats(0.05, 0.95), positive)
def test_efficiency_is_the_inverse_of_the_coefficient(efficiency, head):
    kappa = hy.conversion_coefficient(efficiency, head)
    assert hy.wire_to_water_efficiency(kappa, head) == pytest.approx(efficiency)


def test_a_head_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="smallest is -3 m"):
        hy.conversion_coefficient(0.5, [20.0, -3.0])


def test_total_head_broadcasts_and_adds():
    head = hy.total_dynamic_head(np.array([[10.0], [20.0]]), 3.0, [1.0, 2.0], 0.5)
    assert np.array_equal(head, [[14.5, 15.5], [24.5, 25.5]])


def test_friction_by_hand():
    """36 m³/h in 100 m of 100 mm pipe: v = 1.2732 m/s, v²/2g = 0.08266 m, times f L/d = 20."""
    assert hy.darcy_weisbach_coefficient(100, 0.1) * 36**2 == pytest.approx(1.6531, rel=1e-3)


def test_pump_curve_passes_its_rating_and_ends_at_twice_the_flow_as_in_epanet():
    shutoff, curvature = hy.pump_curve_from_rating(40.0, 30.0, shutoff_ratio=4 / 3)
    assert hy.pump_head(40.0, shutoff, curvature) == pytest.approx(30.0)
    assert hy.pump_head(80.0, shutoff, curvature) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="above 1"):
        hy.pump_curve_from_rating(40.0, 30.0, shutoff_ratio=1.0)


@given(positive, st.floats(1e-5, 0.1), st.floats(0, 100), st.floats(0, 2), st.floats(0, 0.1))
def test_operating_point_is_where_the_curves_cross(shutoff, curvature, lift, linear, quadratic):
    flow = float(hy.operating_flow(shutoff, curvature, lift, linear, quadratic))

    def gap(q):
        return float(hy.pump_head(q, shutoff, curvature)) - (lift + linear * q + quadratic * q**2)

    if shutoff <= lift:
        assert flow == 0
    else:
        root = brentq(gap, 0.0, np.sqrt(shutoff / curvature) + 1, xtol=1e-12, rtol=1e-12)
        assert flow == pytest.approx(root, rel=1e-6, abs=1e-9)


def test_efficiency_is_best_at_the_best_flow():
    flow = np.linspace(0, 90, 901)
    efficiency = hy.efficiency_at_flow(flow, 40.0, 0.6)
    assert flow[np.argmax(efficiency)] == pytest.approx(40.0)
    assert efficiency.max() == pytest.approx(0.6)
    assert efficiency[0] == 0
    assert efficiency[-1] == 0


@pytest.mark.parametrize(("u", "well_function"), [(1.0, 0.2194), (0.1, 1.8229), (0.01, 4.0379), (0.001, 6.3315)])
def test_theis_against_the_printed_well_function(u, well_function):
    """W(u) of Wenzel's table (USGS Water-Supply Paper 887, 1942)."""
    transmissivity, storativity, days = 300.0, 1e-3, 2.0
    radius = np.sqrt(4 * transmissivity * days * u / storativity)
    drawdown = hy.theis_drawdown(50.0, transmissivity, storativity, radius, days)
    assert drawdown * 4 * np.pi * transmissivity / (24 * 50.0) == pytest.approx(well_function, abs=6e-5)


@given(st.floats(1e-8, 0.029), st.floats(5, 100), st.floats(20, 2000))
def test_cooper_jacob_is_within_one_percent_of_theis_at_late_time(u, flow, transmissivity):
    radius = np.sqrt(4 * transmissivity * u / 1e-3)
    arguments = (flow, transmissivity, 1e-3, radius, 1.0)
    assert hy.cooper_jacob_drawdown(*arguments) == pytest.approx(hy.theis_drawdown(*arguments), rel=0.01)
