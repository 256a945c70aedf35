"""The spread between wells of one meter: learned from wells alone, and what it makes of their shares."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from elec2water.energy.assemble import read_energy
from elec2water.energy.shares import (
    EQUAL,
    EXPONENT_SD,
    POWER,
    POWER_AREA,
    PRIOR,
    STATED,
    fitted_exponents,
    fitted_spread,
    measures_of,
    precision,
)

MONTHS = np.arange(np.datetime64("2025-10"), np.datetime64("2026-10"))


@pytest.mark.parametrize(("spread", "count"), [(0.5, 2), (0.8, 2), (0.6, 3), (0.8, 4)])
def test_the_law_of_shares_has_the_variance_of_lognormal_wells(spread, count):
    """Oracle: shares of wells drawn one by one."""
    rng = np.random.default_rng(1)
    drawn = np.exp(spread * rng.standard_normal((400_000, count)))
    share = drawn[:, 0] / drawn.sum(axis=1)
    prior = np.full(5, spread)
    law = precision(np.array([POWER_AREA]), np.array([count]), prior)[0]
    exact = (1 / count) * (1 - 1 / count) / share.var() - 1
    assert law == pytest.approx(exact, rel=0.01 if count == 2 else 0.06)


def test_a_stated_share_and_a_well_alone_have_nothing_to_spread():
    law = precision(np.array([STATED, POWER, EQUAL]), np.array([2, 1, 2]), PRIOR)
    assert law[:2].tolist() == [1.0, 1.0]
    assert law[2] > 1.0


@pytest.mark.parametrize("true", [0.4, 0.9])
def test_the_spread_is_learned_from_neighbours_and_not_from_villages(true):
    rng = np.random.default_rng(2)
    village = np.repeat(np.arange(300), 4)
    level = rng.normal(0, 1.0, 300)[village] + true * rng.standard_normal(1200)
    size = np.stack([np.full(1200, np.nan)] * 2 + [rng.uniform(5, 30, 1200)] + [np.full(1200, np.nan)] * 2)
    kwh = (np.exp(level) * size[POWER])[:, None] * np.ones(12)
    found = fitted_spread(kwh, size, village)
    assert found[POWER] == pytest.approx(true, rel=0.08)
    assert found[POWER_AREA] == PRIOR[POWER_AREA]
    assert np.array_equal(fitted_spread(kwh * np.nan, size, village), PRIOR)


EXPONENTS = np.array([0.6, 0.45, 0.3])


def _grown(n, rng, exponents=EXPONENTS, spread=0.4):
    """Wells of villages of four whose energy grows with power, area and depth by given exponents."""
    power, area, depth = rng.lognormal(2.3, 0.5, n), rng.lognormal(4.0, 0.5, n), rng.lognormal(3.5, 0.5, n)
    village = np.arange(n) // 4
    level = rng.normal(0, 1.0, n)[village] + spread * rng.standard_normal(n)
    kwh = np.exp(exponents @ np.log([power, area, depth]) + level)
    return kwh, (power, area, depth), village


def test_exponents_are_learned_from_neighbours():
    kwh, known, village = _grown(4000, np.random.default_rng(5))
    found = fitted_exponents(kwh[:, None] * np.ones(12), measures_of(*known), village)
    assert found == pytest.approx(EXPONENTS, abs=0.04)


def test_exponents_of_few_wells_are_between_theirs_and_those_of_power_times_area():
    """Oracle: a regression with a dummy for each village, the exponents' prior as rows of their own."""
    kwh, known, village = _grown(40, np.random.default_rng(6))
    x = np.log(known).T
    dummies = (village[:, None] == np.unique(village)).astype(float)
    prior = PRIOR[POWER_AREA] / EXPONENT_SD * np.eye(3)
    rows = np.vstack([np.hstack([x, dummies]), np.hstack([prior, np.zeros((3, dummies.shape[1]))])])
    answer = np.concatenate([np.log(kwh), prior @ np.array([1.0, 1.0, 0.0])])
    expected = np.linalg.lstsq(rows, answer, rcond=None)[0][:3]
    found = fitted_exponents(kwh[:, None] * np.ones(12), measures_of(*known), village)
    assert found == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_exponents_know_no_names_and_no_order(seed):
    kwh, known, village = _grown(60, np.random.default_rng(7))
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(60), rng.permutation(15)
    found = fitted_exponents(kwh[order, None] * np.ones(12), measures_of(*known)[:, order], names[village[order]])
    assert found == pytest.approx(fitted_exponents(kwh[:, None] * np.ones(12), measures_of(*known), village), rel=1e-9)


def test_no_exponent_is_beyond_what_pumps_do():
    kwh, known, village = _grown(4000, np.random.default_rng(8), np.array([3.0, -1.0, 0.3]))
    found = fitted_exponents(kwh[:, None] * np.ones(12), measures_of(*known), village)
    assert found == pytest.approx([1.5, 0.0, 0.3], abs=0.05)


def test_where_nothing_tells_the_exponents_power_times_area_stays():
    kwh, known, village = _grown(40, np.random.default_rng(7))
    year, (power, area, _), unknown = kwh[:, None] * np.ones(12), known, np.full(40, np.nan)
    product = [1.0, 1.0, 0.0]
    assert fitted_exponents(year, measures_of(*known), np.arange(40)).tolist() == product
    assert fitted_exponents(year * np.nan, measures_of(*known), village).tolist() == product
    assert fitted_exponents(year, measures_of(power, unknown, unknown), village).tolist() == product
    assert fitted_exponents(year, measures_of(power, area, unknown), village)[2] == 0.0
    together = fitted_exponents(year, measures_of(power, power**2, unknown), village) - product
    assert together[1] == pytest.approx(2.0 * together[0], rel=1e-6), "only their sum is told"


def test_large_pumps_of_shared_meters_get_what_such_pumps_use():
    """Deep wells with large pumps share meters with shallow ones: their part of all such meters, against the truth."""
    rng = np.random.default_rng(8)
    n, joined = 1200, 400
    kwh, (power, area, _), village = _grown(n, rng, np.array([0.5, 0.5, 0.0]), spread=0.1)
    deep = np.arange(n) % 2 == 0
    power[deep] *= 3.0
    kwh[deep] *= 3.0**0.5
    meter = np.arange(n)
    meter[:joined:2] = meter[1:joined:2]
    ids = np.array([f"w{k:04d}" for k in range(n)])
    wells = pd.DataFrame({
        "well_id": ids, "township": "a", "village": village.astype(str), "pump_power_kw": power,
        "irrigated_area_mu": area,
    })  # fmt: skip
    energy = read_energy(wells, *_bills(ids, meter, kwh), first=MONTHS[0], last=MONTHS[-1]).energy
    some = np.flatnonzero(deep[:joined])
    size = power * area
    naive = (size[some] / (size[some] + size[some + 1]) * (kwh[some] + kwh[some + 1])).sum()
    assert naive / kwh[some].sum() > 1.08
    assert energy.kwh[some, -1].sum() / kwh[some].sum() == pytest.approx(1.0, abs=0.02)


def _county(spread, seed=3, alone=400, pairs=60):
    """Wells alone, and pairs on one meter with no share stated; all of one power and area."""
    rng = np.random.default_rng(seed)
    n = alone + 2 * pairs
    ids = np.array([f"w{i:04d}" for i in range(n)])
    kwh = 100.0 * np.exp(spread * rng.standard_normal(n))[:, None] * np.ones(len(MONTHS))
    meter = np.r_[np.arange(alone), alone + np.repeat(np.arange(pairs), 2)]
    total = pd.DataFrame(kwh).groupby(meter).sum().to_numpy()
    wells = pd.DataFrame({"well_id": ids, "township": "a", "pump_power_kw": 7.5, "irrigated_area_mu": 50.0})
    links = pd.DataFrame({"meter_id": [f"m{m}" for m in meter], "well_id": ids})
    readings = pd.DataFrame({
        "meter_id": np.repeat([f"m{m}" for m in range(len(total))], len(MONTHS)),
        "start": np.tile(MONTHS.astype("datetime64[s]"), len(total)),
        "end": np.tile((MONTHS + 1).astype("datetime64[s]"), len(total)), "energy_kwh": total.ravel(),
    })  # fmt: skip
    energy = read_energy(wells, links, readings, first=MONTHS[0], last=MONTHS[-1]).energy
    return energy, kwh, alone, total


@pytest.mark.parametrize("spread", [0.4, 0.8])
def test_intervals_of_wells_on_a_shared_meter_hold_their_energy_nine_times_in_ten(spread):
    inside = []
    for seed in range(6):
        energy, kwh, alone, _ = _county(spread, seed)
        mean, variance = energy.kwh[alone:, -1], energy.variance[alone:, -1]
        width = np.sqrt((1.0 + energy.split.tail(len(kwh))[alone:]) * np.log1p(variance / mean**2))
        inside.append(np.abs(np.log(kwh[alone:, -1] / mean) + 0.5 * width**2) <= special.ndtri(0.95) * width)
    assert np.mean(inside) == pytest.approx(0.9, abs=0.03)


def test_the_sum_of_a_meter_stays_exact():
    energy, _, alone, total = _county(0.8)
    split = energy.kwh[alone:].reshape(-1, 2, len(MONTHS)).sum(axis=1)
    np.testing.assert_allclose(split, total[alone:], rtol=1e-12)
    own = (energy.variance[alone:, -1]).reshape(-1, 2).sum(axis=1)
    cross = energy.split.cross_variance(energy.split.kwh[:, -1], np.zeros(len(energy.split.well), int), 1)
    np.testing.assert_allclose(own.sum() + cross[0], 0.0, atol=1e-6)


def test_where_no_area_is_known_depth_still_tells():
    """Deep wells share meters with shallow ones and nobody knows an area: their part of all such meters."""
    rng = np.random.default_rng(9)
    n, joined = 1200, 400
    kwh, (power, _, depth), village = _grown(n, rng, np.array([0.5, 0.0, 0.6]), spread=0.1)
    deep = np.arange(n) % 2 == 0
    depth[deep] *= 4.0
    kwh[deep] *= 4.0**0.6
    meter = np.arange(n)
    meter[:joined:2] = meter[1:joined:2]
    ids = np.array([f"w{k:04d}" for k in range(n)])
    wells = pd.DataFrame({
        "well_id": ids, "township": "a", "village": village.astype(str), "pump_power_kw": power, "pump_depth_m": depth,
    })  # fmt: skip
    energy = read_energy(wells, *_bills(ids, meter, kwh), first=MONTHS[0], last=MONTHS[-1]).energy
    of_deep = energy.kwh[:joined:2].sum() / energy.kwh[:joined].sum()
    assert of_deep == pytest.approx(kwh[:joined:2].sum() / kwh[:joined].sum(), abs=0.03)


def _bills(ids, meter, kwh):
    """Links and the same readings every month."""
    total = pd.Series(kwh).groupby(ids[meter]).sum()
    readings = pd.DataFrame({
        "meter_id": np.repeat(total.index.to_numpy(), len(MONTHS)),
        "start": np.tile(MONTHS.astype("datetime64[s]"), len(total)),
        "end": np.tile((MONTHS + 1).astype("datetime64[s]"), len(total)),
        "energy_kwh": np.repeat(total.to_numpy(), len(MONTHS)),
    })  # fmt: skip
    return pd.DataFrame({"meter_id": ids[meter], "well_id": ids}), readings
