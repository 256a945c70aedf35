"""The posterior: slopes, months added later, unbiased means, robust weights, variances integrated."""

from dataclasses import replace

import numpy as np
import pytest

import dense
from core_kit import PSI, SD, density_of, draw_rows, posterior_at, small_layout
from elec2water.coefficient import gaussian
from elec2water.coefficient.posterior import SD_NAMES, SD_PRIORS, fit_posterior, well_variances


def draw_y(rows, layout, rng, sd=SD, n=1):
    """Draw θ and κ from the model: (n, R) and (n, p)."""
    prior = layout.prior(sd)
    theta = rng.multivariate_normal(prior.mean, prior.covariance, n)
    S = dense.own_covariance(rows, well_variances(np.log([sd[k] for k in SD_NAMES])))
    return theta @ dense.design(rows).T + rng.multivariate_normal(np.zeros(rows.y.size), S, n), theta


@pytest.fixture(scope="module")
def network():
    layout, rng = small_layout(), np.random.default_rng(4)
    rows = draw_rows(layout, rng)
    return layout, replace(rows, y=draw_y(rows, layout, rng)[0][0])


def test_slope_of_the_log_posterior_equals_its_differences(network):
    layout, rows = network
    density = density_of(rows, layout)
    value, slope = density.with_slope(PSI)
    assert value == pytest.approx(density.value(PSI), rel=1e-12)
    for k, name in enumerate(SD_NAMES):
        near, far = (
            (density.value(PSI + h * np.eye(6)[k]) - density.value(PSI - h * np.eye(6)[k])) / (2 * h)
            for h in (1e-3, 2e-3)
        )
        assert slope[k] == pytest.approx((4 * near - far) / 3, rel=1e-6, abs=1e-6), name


def test_value_of_the_log_posterior_is_likelihood_times_lognormal_priors(network):
    layout, rows = network
    psi = PSI + 0.3
    expected = dense.shared_effects(
        rows, layout.prior(dict(zip(SD_NAMES, np.exp(psi), strict=True))), well_variances(psi)
    )
    z = [(x - np.log(p.median)) / p.log_sd for x, p in zip(psi, SD_PRIORS, strict=True)]
    assert density_of(rows, layout).value(psi) == pytest.approx(
        expected.log_likelihood - 0.5 * np.square(z).sum(), rel=1e-10
    )


@pytest.mark.parametrize(
    "more",
    [["2025-10", "2025-11"], ["2025-01"], ["2024-12", "2025-12", "2027-06"], ["2025-05"]],
    ids=["after", "before", "around", "known"],
)
def test_months_added_later_equal_a_fit_that_had_them_from_the_start(network, more):
    layout, rows = network
    more = np.array(more, dtype="datetime64[M]")
    wide = replace(layout, months=np.union1d(layout.months, more))
    aquifer, month = np.divmod(rows.cell, layout.months.size)
    cell = aquifer * wide.months.size + np.searchsorted(wide.months, layout.months)[month]
    expected = posterior_at(replace(rows, cell=cell, n_cells=wide.n_cells), wide)
    found = posterior_at(rows, layout).covering(more)
    assert found.layout.names == wide.names
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.unbiasing, expected.unbiasing, rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(found.rows.cell, cell)
    times, pumps = np.full(rows.n_wells, 2026.0), np.zeros(rows.n_wells, dtype=np.intp)
    for a, b in zip(vars(found.paths(times, pumps)).values(), vars(expected.paths(times, pumps)).values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_months_added_in_two_steps_equal_one(network):
    layout, rows = network
    later = np.array(["2025-10", "2026-03"], dtype="datetime64[M]")
    posterior = posterior_at(rows, layout)
    twice, once = posterior.covering(later[1:]).covering(later[:1]), posterior.covering(later)
    np.testing.assert_allclose(twice.covariance, once.covariance, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(twice.mean, once.mean, rtol=1e-8, atol=1e-12)


def test_the_mean_of_kappa_is_unbiased_over_samples():
    """Trap 2 by simulation: regression held fixed, classes, months and wells drawn anew in each of 40,000 samples.

    ``exp(a'θ̂ + ½a'Qa)`` must have the expectation of ``exp(a'θ)`` within Monte-Carlo error; the posterior mean
    overshoots by more than that.
    """
    layout, rng = small_layout(regressor_sd=30.0), np.random.default_rng(8)
    sd = SD | {"stratum": 0.25, "level": 0.35}
    psi = np.log([sd[k] for k in SD_NAMES])
    rows = draw_rows(layout, rng, n_wells=9)
    posterior = posterior_at(rows, layout, psi)
    prior, C, Q = layout.prior(sd), posterior.covariance, posterior.unbiasing
    y, theta = draw_y(rows, replace_regression_sd(layout), rng, sd, n=40_000)
    S, X = dense.own_covariance(rows, well_variances(psi)), dense.design(rows)
    estimate = (y @ np.linalg.solve(S, X) + prior.precision @ prior.mean) @ C
    a = new_well(layout)
    truth, guess = np.exp(theta @ a), estimate @ a

    def bias(shift):
        ratio = np.exp(guess + shift) / truth.mean()
        return ratio.mean() - 1.0, np.hypot(ratio.std(), (truth / truth.mean()).std()) / 200.0

    ours, error = bias(0.5 * a @ Q @ a)
    assert abs(ours) < 4.0 * error
    posterior_mean, error = bias(0.5 * a @ C @ a)
    assert posterior_mean > 10.0 * error
    assert posterior_mean > 0.02


def replace_regression_sd(layout):
    """The same layout with the regression known, as a simulation draws it."""
    fixed = tuple(replace(r, sd=1e-12) for r in layout.static), tuple(replace(r, sd=1e-12) for r in layout.moving)
    return replace(layout, static=fixed[0], moving=fixed[1])


def new_well(layout):
    """Loadings of a well without pairs in class a, township u, method border, in the second month."""
    a = np.zeros(layout.size)
    for name, value in (("intercept", 1.0), ("depth", 0.7), ("stratum[a]", 1.0), ("township[u]", 1.0),
                        ("method[border]", 1.0), ("month[deep,2025-05]", 1.0)):  # fmt: skip
        a[layout.names.index(name)] = value
    return a


def test_without_data_the_mean_is_the_priors(network):
    layout, rows = network
    posterior = posterior_at(replace(rows, scale=np.full(rows.y.size, 1e14)), layout)
    a = new_well(layout) * layout.is_pooled
    assert a @ posterior.unbiasing @ a == pytest.approx(a @ layout.prior(SD).covariance @ a, rel=1e-6)


def test_mixture_moments_are_those_of_its_components(network):
    layout, rows = network
    rng = np.random.default_rng(2)
    parts = [posterior_at(rows, layout, PSI + shift) for shift in (-0.5, 0.0, 0.6)]
    weight = np.array([0.2, 0.5, 0.3])
    mixture = replace(
        parts[0],
        sd=np.vstack([p.sd for p in parts]),
        weight=weight,
        means=np.vstack([p.means for p in parts]),
        covariances=np.vstack([p.covariances for p in parts]),
    )
    a = rng.normal(size=layout.size)
    mean = sum(w * a @ p.mean for w, p in zip(weight, parts, strict=True))
    square = sum(w * (a @ p.covariance @ a + (a @ p.mean) ** 2) for w, p in zip(weight, parts, strict=True))
    assert a @ mixture.mean == pytest.approx(mean)
    assert a @ mixture.covariance @ a == pytest.approx(square - mean**2)
    assert mixture.variance["level"] == pytest.approx(weight @ np.exp(2 * (PSI[0] + np.array([-0.5, 0.0, 0.6]))))


def test_a_gross_pair_and_a_strange_well_lose_their_weight():
    """One pair off by e^1.5 and one well off by e^2.5 among 60: both are named, and the shared effects hardly move."""
    layout, rng = small_layout(regressor_sd=0.2), np.random.default_rng(5)
    rows = draw_rows(layout, rng, n_wells=60)
    rows = replace(rows, y=draw_y(rows, layout, rng)[0][0])
    many = int(np.argmax(np.bincount(rows.well)))
    first = np.flatnonzero(rows.well == many)[0]
    y = rows.y.copy()
    y[first] += 1.5
    y[rows.well == 5] += 2.5
    assert many != 5
    sample, head = np.arange(rows.n_wells), slice(0, layout.moving_start)
    clean = fit_posterior(rows, layout, sample)
    fitted = fit_posterior(replace(rows, y=y), layout, sample)
    assert fitted.impossible_pairs.tolist() == [k == first for k in range(y.size)]
    assert np.argmax(fitted.rows.level_scale) == 5
    assert fitted.rows.level_scale[5] > 1.5
    moved = np.abs(fitted.mean - clean.mean)[head] / np.sqrt(np.diag(clean.covariance)[head])
    naive = posterior_at(replace(rows, y=y), layout, np.log(clean.weight @ clean.sd))
    naive_moved = np.abs(naive.mean - clean.mean)[head] / np.sqrt(np.diag(clean.covariance)[head])
    assert moved.max() < 0.6 * naive_moved.max()


def test_variances_are_learned_and_their_uncertainty_is_kept():
    """400 wells tell the spread of wells to a few percent; 8 wells leave the nodes as wide apart as they should."""
    layout, rng = small_layout(), np.random.default_rng(6)
    widths = {}
    for n in (8, 400):
        rows = draw_rows(layout, rng, n_wells=n)
        fitted = fit_posterior(replace(rows, y=draw_y(rows, layout, rng)[0][0]), layout, np.arange(n), student_df=1e6)
        log_level = np.log(fitted.sd[:, 0])
        centre = fitted.weight @ log_level
        widths[n] = np.sqrt(fitted.weight @ (log_level - centre) ** 2)
        if n == 400:
            assert np.exp(centre) == pytest.approx(SD["level"], rel=0.12)
    assert widths[400] < 0.06
    assert 0.15 < widths[8] < 0.4


def test_progress_is_told_and_a_later_month_widens(network):
    layout, rows = network
    told = []
    posterior = fit_posterior(rows, layout, np.arange(rows.n_wells), progress=told.append)
    assert told
    far = posterior.covering(np.array(["2025-09", "2029-09"], dtype="datetime64[M]"))
    spread = np.sqrt(np.diag(far.covariance))
    at = far.layout.names.index
    assert spread[at("month[deep,2025-08]")] <= spread[at("month[deep,2025-09]")] < spread[at("month[deep,2029-09]")]
    assert spread[at("month[deep,2029-09]")] == pytest.approx(np.sqrt(posterior.variance["month"]), rel=1e-3)
    paths = [posterior.paths(np.full(rows.n_wells, t), np.zeros(rows.n_wells, dtype=np.intp)) for t in (2025.7, 2030.0)]
    assert (paths[1].variance > paths[0].variance).all()
    assert isinstance(paths[0], gaussian.WellPaths)
