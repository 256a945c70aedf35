"""Distributions and scores against scipy and numerical integration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from elec2water.stats import crps_lognormal, lognormal_interval, lognormal_sd, mixture_quantile

means, log_variances = st.floats(0.05, 50.0), st.floats(1e-4, 2.0)


def scipy_lognormal(mean, log_variance):
    s = np.sqrt(log_variance)
    return stats.lognorm(s, scale=mean * np.exp(-0.5 * log_variance))


@given(mean=means, log_variance=log_variances, level=st.floats(0.01, 0.99))
def test_intervals_and_spread_equal_scipys_lognormal(mean, log_variance, level):
    law = scipy_lognormal(mean, log_variance)
    assert law.mean() == pytest.approx(mean)
    assert lognormal_sd(mean, log_variance) == pytest.approx(law.std(), rel=1e-9)
    found = lognormal_interval(mean, log_variance, stats.norm.ppf(0.5 * (1 + level)))
    np.testing.assert_allclose(found, law.interval(level), rtol=1e-9)


@pytest.mark.parametrize("observed", [0.2, 1.0, 1.9, 7.0])
@pytest.mark.parametrize("log_variance", [0.01, 0.2, 1.0])
def test_crps_equals_the_integral_of_squared_distance(observed, log_variance):
    """Oracle: CRPS = ∫ (F(x) - 1{x ≥ y})² dx (Gneiting & Raftery 2007, eq. 20), by quadrature."""
    law = scipy_lognormal(1.6, log_variance)
    below = integrate.quad(lambda x: law.cdf(x) ** 2, 0, observed, limit=200)[0]
    above = integrate.quad(lambda x: law.sf(x) ** 2, observed, np.inf, limit=200)[0]
    assert crps_lognormal(observed, 1.6, log_variance) == pytest.approx(below + above, rel=1e-6, abs=1e-8)


def test_crps_is_proper():
    """The law that the observations follow scores best."""
    rng = np.random.default_rng(1)
    observed = scipy_lognormal(3.0, 0.1).rvs(20_000, random_state=rng)
    best = crps_lognormal(observed, 3.0, 0.1).mean()
    for mean, log_variance in ((2.8, 0.1), (3.2, 0.1), (3.0, 0.06), (3.0, 0.17)):
        assert crps_lognormal(observed, mean, log_variance).mean() > best


@given(
    probability=st.floats(0.005, 0.995),
    parts=st.lists(st.tuples(st.floats(-3, 3), st.floats(0.05, 2), st.floats(0.1, 1)), min_size=1, max_size=5),
)
def test_mixture_quantile_inverts_the_mixtures_distribution(probability, parts):
    mean, sd, weight = (np.array(values) for values in zip(*parts, strict=True))
    weight /= weight.sum()
    found = mixture_quantile(probability, mean[:, None], sd[:, None], weight)[0]
    assert weight @ stats.norm.cdf(found, mean, sd) == pytest.approx(probability, abs=1e-9)


def test_mixture_quantile_serves_many_mixtures_and_points():
    mean, sd = np.array([[0.0, 5.0, 2.0]]), np.array([[1.0, 2.0, 0.0]])
    np.testing.assert_allclose(mixture_quantile(0.9, mean, sd, np.ones(1)), [1.2815516, 7.5631031, 2.0])
