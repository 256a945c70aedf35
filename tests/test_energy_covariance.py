"""What one month or well gets too much, another lacks: against draws of the laws behind it, and in the totals."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from elec2water.energy import MonthlyEnergy, impute, monthly_energy
from elec2water.energy.split import Split

JAN, MAR = np.datetime64("2026-01"), np.datetime64("2026-03")


def frame(*rows):
    table = pd.DataFrame(rows, columns=["meter_id", "start", "end", "energy_kwh"]).astype({"meter_id": "str"})
    return table.astype({"start": "datetime64[s]", "end": "datetime64[s]"})


def wells_of(*ids):
    power = [10.0, 20.0, 5.0][: len(ids)]
    return pd.DataFrame({"well_id": pd.array(ids, dtype="str"), "pump_power_kw": power, "irrigated_area_mu": 50.0})


NO_METERS = pd.DataFrame({"meter_id": pd.array([], dtype="str"), "well_id": pd.array([], dtype="str")})


def covariance(energy, well):
    """The (M, M) covariance of a well's months."""
    out = np.diag(energy.variance[well])
    for lag, values in enumerate(energy.lags[:, well], start=1):
        out += np.diag(values[: len(out) - lag], lag) + np.diag(values[: len(out) - lag], -lag)
    return out


@pytest.mark.parametrize("edges", [("2026-01-01", "2026-03-01"), ("2026-01-01", "2026-04-01")])
def test_months_of_one_reading_add_up_without_error(edges):
    energy, _ = monthly_energy(wells_of("a"), NO_METERS, frame(("a", *edges, 900.0)), first=JAN, last=MAR)
    known = np.isfinite(energy.kwh[0])
    assert np.isfinite(energy.variance[0, known]).all()
    assert (energy.variance[0, known] > 0).all()
    table = covariance(energy, 0)[np.ix_(known, known)]
    assert table.sum() == pytest.approx(0.0, abs=1e-9 * table.diagonal().sum())


def test_a_reading_of_three_months_has_the_covariance_of_a_dirichlet_law():
    energy, _ = monthly_energy(
        wells_of("a"), NO_METERS, frame(("a", "2026-01-01", "2026-04-01", 900.0)), first=JAN, last=MAR
    )
    days = np.array([31.0, 28.0, 31.0])
    draws = np.random.default_rng(2).dirichlet(0.1 * days, 400_000) * 900.0
    np.testing.assert_allclose(covariance(energy, 0), np.cov(draws.T), rtol=0.02, atol=200.0)


def shared(n_wells):
    ids = [f"w{k}" for k in range(n_wells)]
    meters = pd.DataFrame({"meter_id": pd.array(["m"] * n_wells, dtype="str"), "well_id": pd.array(ids, dtype="str")})
    bills = frame(("m", "2026-01-01", "2026-02-01", 100.0), ("m", "2026-02-01", "2026-03-01", 50.0))
    energy, _ = monthly_energy(wells_of(*ids), meters, bills, first=JAN, last=np.datetime64("2026-02"))
    return energy


@pytest.mark.parametrize("n_wells", [2, 3])
def test_wells_of_a_meter_add_up_without_error_and_any_part_as_drawn(n_wells):
    energy = shared(n_wells)
    part = np.array([10.0, 20.0, 5.0])[:n_wells]
    law = 1.0 / energy.split.damping[0] - 1.0
    draws = np.random.default_rng(3).dirichlet(law * part / part.sum(), 400_000)
    kappa = np.array([4.0, 2.5, 3.0])[:n_wells]
    volume = energy.split.kwh.sum(axis=1) * kappa[energy.split.well]
    drawn = 150.0 * draws * kappa
    own = np.array([kappa[w] ** 2 * covariance(energy, w).sum() for w in range(n_wells)])
    np.testing.assert_allclose(own, drawn.var(axis=0), rtol=0.02)
    for members in ([0, 1], list(range(n_wells))):
        domain = np.where(np.isin(np.arange(n_wells), members), 0, -1)
        cross = energy.split.cross_variance(volume, domain[energy.split.well], 1)[0]
        assert own[members].sum() + cross == pytest.approx(drawn[:, members].sum(axis=1).var(), rel=0.03)
    alike = energy.split.kwh.sum(axis=1)
    exact = sum(covariance(energy, w).sum() for w in range(n_wells))
    exact += energy.split.cross_variance(alike, np.zeros(n_wells, dtype=int), 1)[0]
    assert exact == pytest.approx(0.0, abs=1e-9 * own.sum())
    np.testing.assert_allclose(energy.kwh.sum(axis=0), [100.0, 50.0], rtol=1e-12)


def test_months_within_those_read_keep_what_ties_them_to_each_other():
    """Readings of a year, a quarter asked for: covariances, shared meters and reasons are those of the whole year."""
    edges = [str(np.datetime64("2025-07-26") + 61 * k) for k in range(7)]
    bills = frame(*(("m", a, b, 100.0 + k) for k, (a, b) in enumerate(pairwise(edges))))
    meters = pd.DataFrame({"meter_id": pd.array(["m", "m"], dtype="str"), "well_id": pd.array(["a", "b"], dtype="str")})
    asked = {"first": np.datetime64("2025-08"), "last": np.datetime64("2026-07")}
    year, _ = monthly_energy(wells_of("a", "b"), meters, bills, **asked)
    quarter, _ = monthly_energy(wells_of("a", "b"), meters, bills, first=JAN, last=MAR)
    part = slice(5, 8)
    np.testing.assert_allclose(quarter.kwh, year.kwh[:, part])
    np.testing.assert_array_equal(quarter.reason, year.reason[:, part])
    assert (quarter.reason > 0).all()
    np.testing.assert_allclose(quarter.lags[0, :, :2], year.lags[0, :, 5:7])
    assert not quarter.lags[0, :, 2].any()
    assert not quarter.lags[1, :, 1:].any()
    np.testing.assert_allclose(quarter.split.kwh, year.split.kwh[:, part])
    both = sum(covariance(quarter, w).sum() for w in (0, 1))
    both += quarter.split.cross_variance(quarter.split.kwh.sum(axis=1), np.zeros(2, int), 1)[0]
    meter, _ = monthly_energy(wells_of("a"), NO_METERS, bills.assign(meter_id="a"), first=JAN, last=MAR)
    assert both == pytest.approx(covariance(meter, 0).sum(), rel=1e-9)


def test_domains_without_a_shared_meter_are_left_alone():
    split = Split(np.array([0, 1]), np.array([7, 7]), np.ones((2, 1)), np.array([0.1, 0.1]))
    np.testing.assert_array_equal(split.cross_variance(np.array([2.0, 3.0]), np.array([0, 1]), 3), [0.0, 0.0, 0.0])
    np.testing.assert_allclose(split.cross_variance(np.array([2.0, 3.0]), np.array([2, 2]), 3), [0.0, 0.0, -1.2])


def test_months_that_were_filled_hang_on_one_level():
    rng = np.random.default_rng(6)
    months = np.arange(np.datetime64("2025-01"), np.datetime64("2026-01"))
    level = rng.gamma(4.0, 50.0, 300)
    kwh = level[:, None] * rng.gamma(25.0, 1 / 25.0, (300, 12))
    kwh[:40, 3:] = np.nan
    read = MonthlyEnergy(
        np.arange(300).astype(str).astype(object), months, kwh, np.where(np.isnan(kwh), np.nan, 0.0),
        np.where(np.isnan(kwh), "N", "A"),
    )  # fmt: skip
    filled = impute(read, np.zeros(300))
    assert (filled.lags[0, :40, 3:-1] > 0).all()
    assert (filled.lags[1, :40, 3:-2] > 0).all()
    assert not filled.lags[:, 40:].any()
    assert (filled.lags[0, :40, 3:-1] <= np.sqrt(filled.variance[:40, 3:-1] * filled.variance[:40, 4:])).all()


def test_a_county_read_on_the_25th_is_told_apart_into_months():
    """Energy is even within months; nobody's reading ends with one. Splitting by days alone is wrong by 10 %."""
    rng = np.random.default_rng(8)
    months = np.arange(np.datetime64("2025-06"), np.datetime64("2026-08"))
    rate = np.array([9.0, 12, 11, 6, 3, 2, 0.5, 0.3, 0.4, 3, 5, 8, 10, 13])
    days = np.arange(months[0].astype("datetime64[D]"), (months[-1] + 1).astype("datetime64[D]"))
    daily = rate[(days.astype("datetime64[M]") - months[0]).astype(int)]
    edges = np.concatenate([days[:1], (months.astype("datetime64[D]") + 25)[: len(months)]])
    place = (edges - days[0]).astype(int)
    bill = np.add.reduceat(daily, place)[:-1]
    n = 60
    size = rng.lognormal(0.0, 0.4, n)
    meter = np.repeat([f"w{k}" for k in range(n)], len(bill))
    table = pd.DataFrame(
        {
            "meter_id": pd.array(meter, dtype="str"),
            "start": np.tile(edges[:-1].astype("datetime64[s]"), n),
            "end": np.tile(edges[1:].astype("datetime64[s]"), n),
            "energy_kwh": np.outer(size, bill).ravel(),
        }
    )
    wells = pd.DataFrame({"well_id": pd.array([f"w{k}" for k in range(n)], dtype="str"), "pump_power_kw": 10.0})
    energy, _ = monthly_energy(wells, NO_METERS, table, first=months[1], last=months[-2])
    truth = np.add.reduceat(daily, (months.astype("datetime64[D]") - days[0]).astype(int))
    np.testing.assert_allclose(energy.kwh.sum(axis=0), size.sum() * truth[1:-1], rtol=2e-3)
    assert set(energy.quality.ravel()) == {"E"}
    inner = table["energy_kwh"].to_numpy().reshape(n, -1)
    whole, _ = monthly_energy(wells, NO_METERS, table, first=months[0], last=months[-1])
    assert np.nansum(whole.kwh[:, :-1]) < inner.sum()


def test_daily_readings_of_some_tell_days_for_all():
    """Thirty-five meters read daily irrigate in the first ten days of a month; one is read on the 11th."""
    days = np.arange(np.datetime64("2026-01-01"), np.datetime64("2026-04-01"))
    number = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(int)
    daily = np.where(number < 10, 9.0, 0.5)
    rows = [(f"w{k}", a, a + 1, v) for k in range(35) for a, v in zip(days, daily, strict=True)]
    edges = [np.datetime64(day) for day in ("2026-01-01", "2026-01-11", "2026-02-11", "2026-04-01")]
    rows += [("x", a, b, 1000.0) for a, b in pairwise(edges)]
    ids = [*(f"w{k}" for k in range(35)), "x"]
    wells = pd.DataFrame({"well_id": pd.array(ids, dtype="str"), "pump_power_kw": 10.0})
    energy, _ = monthly_energy(wells, NO_METERS, frame(*rows), first=JAN, last=MAR)
    inside = (days >= edges[1]) & (days < edges[2])
    part = daily[inside & (days < np.datetime64("2026-02-01"))].sum() / daily[inside].sum()
    assert energy.kwh[-1, 0] == pytest.approx(1000.0 + 1000.0 * part, rel=0.03), "by days alone it would be 1,677"
