"""Recursions over many wells: against R KFAS, statsmodels and dense Gaussian algebra."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.tsa.statespace.kalman_filter import KalmanFilter
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

from elec2water.errors import UsageError
from elec2water.recursion import (
    PathPrior,
    auxiliary_residuals,
    compiled,
    filter_levels,
    integrate_wells,
    smooth_levels,
    smooth_wells,
    solve_paths,
)

DATA = Path(__file__).parent / "data"
ENGINES = ("numpy", "numba")


def panel(n: int, steps: int, seed: int, gaps: float = 0.2):
    """Readings with gaps, and variances that differ from series to series."""
    rng = np.random.default_rng(seed)
    q, r = rng.uniform(0.0, 0.06, n) ** 2, rng.uniform(0.02, 0.2, n) ** 2
    y = rng.normal(size=(n, steps)).cumsum(axis=1)
    y[rng.random(y.shape) < gaps] = np.nan
    return y, q, r


def bare(kind, y, q, r, variance, mean=0.0):
    """Answer of statsmodels for one series; r (T,)."""
    model = kind(k_endog=1, k_states=1)
    model.bind(y[None, :].copy())
    model["design"], model["transition"], model["selection"] = [[1.0]], [[1.0]], [[1.0]]
    model["state_cov"] = [[q]]
    model["obs_cov"] = np.broadcast_to(r, y.shape)[None, None, :].copy()
    model.initialize_known(np.array([mean]), np.array([[variance]]))
    model.tolerance = 0.0
    return model


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("own_noise", [False, True])
def test_the_filter_is_that_of_statsmodels(engine, own_noise):
    y, q, r = panel(40, 30, seed=1)
    noise = r[:, None] * np.random.default_rng(2).uniform(0.5, 4.0, y.shape) if own_noise else r
    found = filter_levels(y, q, noise, mean=0.3, variance=2.5, every_step=True, engine=engine)
    for i in range(40):
        oracle = bare(KalmanFilter, y[i], q[i], np.broadcast_to(noise[i], y[i].shape), 2.5, 0.3).filter()
        np.testing.assert_allclose(found.means[i], oracle.filtered_state[0], rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(found.variances[i], oracle.filtered_state_cov[0, 0], rtol=1e-10)
        np.testing.assert_allclose(found.state.log_likelihood[i], oracle.llf_obs.sum(), rtol=1e-10)
    np.testing.assert_array_equal(found.state.n_read, np.isfinite(y).sum(axis=1))
    np.testing.assert_array_equal(found.state.mean, found.means[:, -1])


def test_the_smoother_is_that_of_statsmodels():
    y, q, r = panel(20, 25, seed=3, gaps=0.4)
    found = smooth_levels(y, q, r, variance=0.7)
    for i in range(20):
        oracle = bare(KalmanSmoother, y[i], q[i], np.full(25, r[i]), 0.7).smooth()
        np.testing.assert_allclose(found.means[i], oracle.smoothed_state[0], atol=1e-10)
        np.testing.assert_allclose(found.variances[i], oracle.smoothed_state_cov[0, 0], rtol=1e-9)


def test_auxiliary_residuals_are_those_of_dense_algebra():
    """u = S⁻¹y over its standard deviation; a move by the slope of the likelihood in a step of the level."""
    y, q, r = panel(6, 9, seed=4, gaps=0.3)
    found = auxiliary_residuals(y, q, r, variance=0.7)
    for i in range(6):
        read = np.isfinite(y[i])
        first = np.minimum(np.arange(9)[:, None], np.arange(9))
        S = (0.7 + q[i] * first + r[i] * np.eye(9))[np.ix_(read, read)]
        inverse = np.linalg.inv(S)
        u = inverse @ y[i, read]
        np.testing.assert_allclose(found.reading[i, read], u / np.sqrt(np.diag(inverse)), atol=1e-9)
        for t in range(1, 9):
            step = (np.arange(9) >= t)[read].astype(float)
            if step.any():
                expected = step @ u / np.sqrt(step @ inverse @ step)
                assert found.move[i, t] == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 14))
def test_month_by_month_is_all_at_once(seed, n, steps):
    y, q, r = panel(n, steps + 1, seed)
    whole = filter_levels(y, q, r, variance=1.5).state
    state = filter_levels(y[:, :1], q, r, variance=1.5).state
    for t in range(1, steps + 1):
        state = state.append(y[:, t], q, r)
    np.testing.assert_allclose(state.mean, whole.mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(state.variance, whole.variance, rtol=1e-12)
    np.testing.assert_allclose(state.log_likelihood, whole.log_likelihood, rtol=1e-10, atol=1e-12)


def test_a_numba_that_does_not_load_is_done_without(monkeypatch):
    """A broken installation (a numpy too new for it) stops no large panel, and is told where it was asked for."""
    monkeypatch.setattr(compiled, "_numba", lambda: None)
    monkeypatch.setattr(compiled, "_LARGE", 1)
    y, q, r = panel(5, 6, seed=9)
    found = filter_levels(y, q, r, variance=1.0).state
    np.testing.assert_array_equal(found.mean, filter_levels(y, q, r, variance=1.0, engine="numpy").state.mean)
    with pytest.raises(UsageError, match=r"elec2water\[fast\]"):
        filter_levels(y, q, r, variance=1.0, engine="numba")


@pytest.mark.parametrize("engine", ENGINES)
def test_extreme_variances_keep_their_digits(engine):
    y = np.array([[1.0, 2.0, np.nan, 3.0]] * 3)
    found = filter_levels(y, [0.0, 1e8, 1e-12], [1e-9, 1e-9, 1e6], variance=[1e10, 1e10, 1e-6], engine=engine)
    np.testing.assert_allclose(found.state.variance[0], 1e-9 / 3, rtol=1e-9)
    np.testing.assert_allclose(found.state.mean[1], 3.0, atol=1e-12)
    assert found.state.variance[1] == pytest.approx(1e-9, rel=1e-6)
    assert found.state.mean[2] == pytest.approx(0.0, abs=1e-9)


def test_layouts_and_gaps_do_not_matter():
    y, q, r = panel(1030, 17, seed=5)
    by_month = np.asfortranarray(y)
    filter_levels(by_month, q, r, variance=1.0, engine="numpy")
    np.testing.assert_array_equal(by_month, y)  # nothing a caller holds is changed
    plain = filter_levels(y, q, r, variance=1.0, engine="numba").state
    turned = filter_levels(np.asfortranarray(y), q, np.tile(r[:, None], 17), variance=1.0, engine="numba").state
    np.testing.assert_allclose(turned.mean, plain.mean, rtol=1e-13)
    never = filter_levels(np.full((2, 5), np.nan), 0.1, 1.0, mean=4.0, variance=1.0).state
    np.testing.assert_allclose(never.mean, 4.0)
    np.testing.assert_allclose(never.variance, 1.4)
    np.testing.assert_array_equal(never.log_likelihood, 0.0)


def test_what_cannot_be_filtered_is_refused():
    y, q, r = panel(4, 6, seed=1)
    with pytest.raises(ValueError, match=r"wells by months \(N, T\)"):
        filter_levels(y[0], q, r, variance=1.0)
    with pytest.raises(ValueError, match="r: expected finite variances that are positive"):
        filter_levels(y, q, 0.0 * r, variance=1.0)
    with pytest.raises(ValueError, match="q: expected a number"):
        filter_levels(y, q[:2], r, variance=1.0)
    y[2, 3] = np.inf
    with pytest.raises(ValueError, match=r"first at \[2\]"):
        filter_levels(y, q, r, variance=1.0)
    with pytest.raises(UsageError, match="engine"):
        filter_levels(y, q, r, variance=1.0, engine="fortran")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_shared_path_is_that_of_kfas(engine):
    """Frozen answers of R KFAS: SSModel with the shared level first, then 50 own levels; see data/SOURCES.md."""
    y = pd.read_csv(DATA / "kfas_shared_level_Y.csv").to_numpy().T
    own = pd.read_csv(DATA / "kfas_shared_level_qR.csv")
    wells = integrate_wells(y, own["q"].to_numpy(), own["R"].to_numpy(), variance=0.04, engine=engine)
    paths = solve_paths(wells, PathPrior(initial=0.5**2, step=0.04**2))
    assert f"{paths.log_likelihood.sum():.8f}" == "1010.38530007"
    assert f"{paths.mean[0, -1]:.10f}" == "0.0088127529"
    assert f"{paths.covariance[0, -1, -1]:.10e}" == "1.6792527429e-03"
    assert f"{wells.own_levels(paths)[0][0]:.10f}" == "-0.1803590049"


def dense(y, q, r, variance, prior):
    """Joint moments of (path, levels at all months) given the readings of one class, by dense algebra."""
    n, steps = y.shape
    first = np.minimum(np.arange(steps)[:, None], np.arange(steps))
    own = [variance + np.cumsum(np.r_[0.0, q[i, 1:]])[first] for i in range(n)]
    C = prior.covariance(steps)
    levels = np.kron(np.ones((n, n)), C)
    for i in range(n):
        here = slice(i * steps, (i + 1) * steps)
        levels[here, here] += own[i]
    flat, read = y.ravel(), np.isfinite(y.ravel())
    S = (levels + np.diag(r.ravel()))[np.ix_(read, read)]
    cross = np.vstack([np.tile(C, n), levels])[:, read]
    weight = np.linalg.solve(S, cross.T).T
    mean = prior.mean + weight @ (flat[read] - prior.mean)
    covariance = np.block([[C, np.tile(C, n)], [np.tile(C, n).T, levels]]) - weight @ cross.T
    residual = flat[read] - prior.mean
    like = -0.5 * (read.sum() * np.log(2 * np.pi) + np.linalg.slogdet(S)[1] + residual @ np.linalg.solve(S, residual))
    return mean, np.diag(covariance), like


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(3))
def test_paths_and_wells_are_jointly_exact(engine, seed):
    """Two classes, wells that come in late, movement and noise of their own in every month, a well never read."""
    rng = np.random.default_rng(seed)
    n, steps = 7, 11
    y, _, _ = panel(n, steps, seed, gaps=0.3)
    q, r = rng.uniform(0, 0.2, (n, steps)), rng.uniform(0.01, 0.5, (n, steps))
    y[3, :6], q[3, :6] = np.nan, 0.0
    y[5] = np.nan
    classes = np.array([1, 0, 1, 0, 1, 1, 0])
    priors = (PathPrior(0.4, 0.05, mean=0.7, memory=0.8), PathPrior(1.0, 0.02))
    wells = integrate_wells(y, q, r, variance=0.3, classes=classes, engine=engine)
    paths = solve_paths(wells, priors)
    level, variance = wells.levels(paths)
    smoothed = smooth_wells(y, q, r, variance=0.3, classes=classes, paths=paths)
    for g, prior in enumerate(priors):
        inside = np.flatnonzero(classes == g)
        mean, spread, like = dense(y[inside], q[inside], r[inside], 0.3, prior)
        np.testing.assert_allclose(paths.mean[g], mean[:steps], atol=1e-10)
        np.testing.assert_allclose(np.diag(paths.covariance[g]), spread[:steps], atol=1e-10)
        assert paths.log_likelihood[g] == pytest.approx(like, abs=1e-9)
        each, wide = mean[steps:].reshape(-1, steps), spread[steps:].reshape(-1, steps)
        np.testing.assert_allclose(smoothed.means[inside], each, atol=1e-10)
        np.testing.assert_allclose(smoothed.variances[inside], wide, atol=1e-10)
        np.testing.assert_allclose(level[inside], each[:, -1], atol=1e-10)
        np.testing.assert_allclose(variance[inside], wide[:, -1], atol=1e-10)


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 12), st.integers(0, 5))
def test_a_month_added_is_a_month_more(seed, n, steps, more):
    y, q, r = panel(n, steps + more, seed)
    classes = np.random.default_rng(seed).integers(0, 3, n)
    whole = integrate_wells(y, q, r, variance=0.4, classes=classes, n_classes=3)
    grown = integrate_wells(y[:, :steps], q, r, variance=0.4, classes=classes, n_classes=3)
    for t in range(steps, steps + more):
        grown = grown.append(y[:, t], q, r)
    scale = np.abs(whole.precision).max() + 1.0
    np.testing.assert_allclose(grown.precision, whole.precision, atol=1e-12 * scale)
    np.testing.assert_allclose(grown.weights, whole.weights, atol=1e-12)
    prior = PathPrior(0.2, 0.01)
    a, b = solve_paths(grown, prior), solve_paths(whole, prior)
    np.testing.assert_allclose(a.mean, b.mean, atol=1e-9)
    np.testing.assert_allclose(a.log_likelihood, b.log_likelihood, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(grown.levels(a)[1], whole.levels(b)[1], atol=1e-10)


def test_portions_and_classes_add_up():
    """More wells than a portion holds; the classes' sums are those of each class alone, to the last bit."""
    y, q, r = panel(5003, 9, seed=8)
    classes = np.random.default_rng(1).integers(0, 2, 5003)
    both = integrate_wells(y, q, r, variance=0.4, classes=classes)
    one = integrate_wells(y[classes == 1], q[classes == 1], r[classes == 1], variance=0.4)
    np.testing.assert_array_equal(both.precision[1], one.precision[0])
    np.testing.assert_array_equal(both.class_codes(), classes)
    again = integrate_wells(y, q, r, variance=0.4, classes=classes, engine="numba")
    np.testing.assert_allclose(again.precision, both.precision, rtol=1e-10)


def test_paths_refuse_what_does_not_match():
    y, q, r = panel(4, 5, seed=1)
    with pytest.raises(ValueError, match="expected codes 0 to 1"):
        integrate_wells(y, q, r, variance=1.0, classes=[0, 1, 2, 0], n_classes=2)
    wells = integrate_wells(y, q, r, variance=1.0)
    with pytest.raises(ValueError, match="one reading for each of 4 wells"):
        wells.append(np.zeros(3), q[:3], r[:3])
    with pytest.raises(ValueError, match="one for each of 1 classes"):
        solve_paths(wells, (PathPrior(1.0, 1.0),) * 2)
    y[0, 0] = np.inf
    with pytest.raises(ValueError, match="found infinite"):
        integrate_wells(y, q, r, variance=1.0)
