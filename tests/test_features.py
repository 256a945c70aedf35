"""From registry columns to regressors: the same numbers for fitting and predicting, blanks with their spread."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elec2water.calendar_ import decimal_year
from elec2water.coefficient import features
from elec2water.coefficient.anomaly import energy_anomaly
from elec2water.coefficient.columns import UNKNOWN, well_columns
from elec2water.coefficient.priors import slope_priors
from elec2water.keys import Keys

YEAR = 2026.5


def registry(n=60, seed=1, **columns):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "well_id": [f"{k:04d}" for k in range(n)],
            "aquifer": rng.choice(["浅层", "深层"], n),
            "township": rng.choice(["甲", "乙", "丙"], n),
            "irrigation_method": rng.choice(["border", "pipe"], n),
            "pump_power_kw": rng.choice([5.5, 11.0, 22.0], n),
            "pump_depth_m": np.exp(rng.normal(4.0, 0.4, n)),
            "pump_installed_on": np.datetime64("2016-07-01", "s")
            + rng.integers(0, 3000, n) * np.timedelta64(86400, "s"),
        }
    )
    return frame.astype(dict.fromkeys(("aquifer", "township", "irrigation_method"), "str")).assign(**columns)


def learn(wells, covariates=(), annual=None, depth=None, weight=None):
    stratum = Keys.of(wells["aquifer"]).as_text("未知")
    columns = well_columns(
        wells, stratum, annual_kwh=annual, depth_to_water=depth, reference_year=YEAR, covariates=covariates
    )
    weight = np.ones(len(wells)) if weight is None else weight
    spec = features.learn_features(
        columns, weight=weight, reference_year=YEAR, wear=(-0.02, 0.015), covariates=covariates
    )
    return spec, columns


def of_one(values, k):
    return Keys(values.codes[k : k + 1], values.names) if isinstance(values, Keys) else values[k : k + 1]


def named(spec, static):
    """Dense features by name."""
    layout = spec.layout(np.array(["2026-07"], dtype="datetime64[M]"))
    return dict(zip([r.name for r in layout.static], static.dense.T, strict=True))


def test_features_are_logs_about_the_energy_weighted_centre():
    wells = registry()
    weight = np.random.default_rng(2).gamma(1.0, 100.0, 60)
    weight[3] = np.nan
    spec, columns = learn(wells, weight=weight)
    found = named(spec, spec.static(columns))
    x = np.log(wells["pump_depth_m"].to_numpy())
    centre = np.average(x, weights=np.nan_to_num(weight))
    np.testing.assert_allclose(found["log_pump_depth"], x - centre)
    np.testing.assert_array_equal(found["intercept"], 1.0)
    age = YEAR - decimal_year(wells["pump_installed_on"].to_numpy())
    np.testing.assert_allclose(found["pump_age"] - found["pump_age"][0], (age - age[0]) / 10, atol=1e-12)


def test_one_well_seen_alone_has_the_features_it_had_among_all():
    wells = registry(pump_depth_m=np.r_[[np.nan] * 20, np.full(20, 60.0), np.full(20, 45.0)])
    spec, columns = learn(wells)
    whole = spec.static(columns)
    for k in (0, 25, 59):
        one = spec.static({name: of_one(values, k) for name, values in columns.items()})
        for name in ("dense", "codes", "blank", "aquifer"):
            np.testing.assert_array_equal(getattr(one, name), getattr(whole, name)[k : k + 1])


def test_a_blank_takes_its_aquifers_mean_and_brings_its_spread():
    wells = registry()
    blank = np.arange(60) % 4 == 0
    wells["pump_depth_m"] = wells["pump_depth_m"].mask(blank)
    spec, columns = learn(wells)
    static = spec.static(columns)
    found = named(spec, static)
    log, aquifer = np.log(wells["pump_depth_m"]), wells["aquifer"]
    mean = log.groupby(aquifer).mean()
    np.testing.assert_allclose(found["log_pump_depth"][blank], aquifer[blank].map(mean) - log.mean(), atol=1e-12)
    np.testing.assert_array_equal(found["log_pump_depth_missing"], blank.astype(float))
    k = list(found).index("log_pump_depth")
    np.testing.assert_allclose(static.blank[blank, k], (log - aquifer.map(mean)).var(ddof=0))
    assert not static.blank[~blank].any()


def test_what_nobody_knows_is_no_feature():
    wells = registry(pump_power_kw=np.nan, pump_head_m=30.0)
    spec, columns = learn(wells)
    names = set(named(spec, spec.static(columns)))
    assert "log_power" not in names
    assert "log_pump_head" not in names, "a column without variation tells nothing"
    assert "log_pump_depth" in names


def test_new_levels_and_blank_categories():
    wells = registry()
    spec, columns = learn(wells)
    other = dict(columns) | {"township": np.full(60, "丁", dtype=object), "aquifer": np.full(60, "岩溶", dtype=object)}
    static = spec.static(other)
    names = [f.name for f in spec.factors]
    assert (static.codes[:, names.index("township")] == -1).all()
    assert (static.aquifer == 0).all()
    blanks = registry(
        aquifer=pd.Series([np.nan] * 60, dtype="str"), irrigation_method=pd.Series([np.nan] * 60, dtype="str")
    )
    spec, columns = learn(blanks)
    assert spec.aquifers == (UNKNOWN,)
    assert {f.name for f in spec.factors} == {"stratum", "township"}


def test_covariates_numeric_and_named():
    wells = registry(soil=np.where(np.arange(60) % 2, "sand", "loam"), slope_pct=np.linspace(0, 9, 60), empty=np.nan)
    spec, columns = learn(wells, covariates=("soil", "slope_pct", "pump_depth_m", "township", "empty"))
    static = spec.static(columns)
    found = named(spec, static)
    np.testing.assert_allclose(found["slope_pct"], (np.linspace(0, 9, 60) - 4.5) / np.linspace(0, 9, 60).std())
    assert sum("pump_depth" in name for name in found) == 1
    assert [f.name for f in spec.factors].count("township") == 1
    soil = next(f for f in spec.factors if f.name == "soil")
    assert soil.levels == ("loam", "sand")


def test_intercept_is_the_physics():
    """κ = 367.1 η/H: wells 45 m below ground with η 0.45 give about 2.9 to 4.2 m³/kWh."""
    spec, _ = learn(registry())
    assert 2.0 < np.exp(spec.intercept) < 5.0
    shallow, _ = learn(registry(), depth=np.random.default_rng(3).uniform(5, 9, 60))
    assert shallow.intercept > spec.intercept


def test_moving_features():
    spec, _ = learn(registry())
    a = spec.aquifers.index("浅层")
    aquifer, year = np.array([0, 1, a]), np.array([2026.25, 2026.75, 2027.5])
    X = spec.moving(aquifer, year, level=np.array([0.1, np.nan, 0.0]), anomaly=np.array([5.0, np.nan, -0.3]),
                    short_test=np.array([True, False, False]))  # fmt: skip
    layout = spec.layout(np.array(["2026-07"], dtype="datetime64[M]"))
    found = dict(zip(layout.moving_names, X.T, strict=True))
    np.testing.assert_allclose(found["level"], [0.1 + spec.head_curvature * 0.01, 0.0, 0.0])
    np.testing.assert_allclose(found["energy_anomaly"], [2.0, 0.0, -0.3])
    np.testing.assert_allclose(found["years"], year - YEAR)
    np.testing.assert_allclose(found["short_test"], [1, 0, 0])
    np.testing.assert_allclose(found["sin_year"], np.sin(2 * np.pi * year))
    np.testing.assert_allclose(sum(found[f"cos_year[{name}]"] for name in spec.aquifers), found["cos_year"], atol=1e-12)


def test_energy_anomaly_is_relative_to_the_aquifers_month():
    kwh = np.array([[100.0, 200.0], [100.0, 100.0], [0.0, np.nan], [50.0, 60.0]])
    annual = np.array([1200.0, 1200.0, 1200.0, 300.0])
    found = energy_anomaly(kwh, annual, np.array([0, 0, 0, 1]))
    np.testing.assert_allclose(found[:2], [[0.0, np.log(2) / 3], [0.0, -np.log(2) * 2 / 3]], atol=1e-12)
    assert np.isnan(found[2]).all()
    np.testing.assert_allclose(found[3], 0.0, atol=1e-12)


def test_idle_wells_do_not_make_the_others_stand_out():
    """What the effect of the anomaly is unsure of cancels in the energy of a month, whatever rests meanwhile."""
    rng = np.random.default_rng(6)
    kwh, annual, code = rng.gamma(1.0, 50.0, (200, 3)), rng.gamma(2.0, 300.0, 200), np.repeat([0, 1], 100)
    kwh[30:90] *= 1e-4
    found = energy_anomaly(kwh, annual, code)
    for k in (0, 1):
        np.testing.assert_allclose((kwh * found)[code == k].sum(axis=0), 0.0, atol=1e-9)
    working = np.setdiff1d(np.arange(200), np.arange(30, 90))
    np.testing.assert_allclose(found[working], energy_anomaly(kwh[working], annual[working], code[working]), atol=0.01)


@given(scale=st.floats(0.01, 100.0))
def test_energy_anomaly_has_no_unit(scale):
    rng = np.random.default_rng(4)
    kwh, annual = rng.gamma(1.0, 50.0, (6, 3)), rng.gamma(2.0, 300.0, 6)
    code = np.array([0, 0, 0, 1, 1, 1])
    once, again = (energy_anomaly(kwh * s, annual * s, code) for s in (1.0, scale))
    np.testing.assert_allclose(again, once, atol=1e-9)


def test_every_prior_has_a_source():
    for name, row in slope_priors().items():
        assert row["source"], name
        assert float(row["sd"]) > 0


@pytest.mark.parametrize(("date", "year"), [("1970-01-01", 1970.0), ("2026-07-02T15:00", 2026.5), ("NaT", np.nan)])
def test_decimal_years(date, year):
    found = decimal_year(np.array([date], dtype="datetime64[s]"))[0]
    assert found == pytest.approx(year, abs=0.002, nan_ok=True)
