"""The shared effects and their prior, against matrices written out."""

import numpy as np
import pytest
from scipy import stats

from core_kit import SD, small_layout
from elec2water.coefficient.shared import Layout, Regressor, aquifer_correlation, month_correlation


def test_prior_precision_and_determinant_belong_to_the_covariance():
    layout = small_layout()
    prior = layout.prior(SD)
    np.testing.assert_allclose(prior.precision @ prior.covariance, np.eye(layout.size), atol=1e-10)
    assert prior.log_det == pytest.approx(np.linalg.slogdet(prior.covariance)[1], rel=1e-10)


def test_prior_covariance_is_what_the_names_say():
    layout = small_layout(np.array(["2025-04", "2025-05", "2025-09"], dtype="datetime64[M]"))
    covariance = layout.prior(SD).covariance
    at = {name: k for k, name in enumerate(layout.names)}
    assert len(at) == layout.size == covariance.shape[0]
    assert covariance[at["intercept"], at["intercept"]] == pytest.approx(0.25)
    assert covariance[at["stratum[b]"], at["stratum[b]"]] == pytest.approx(SD["stratum"] ** 2)
    assert covariance[at["method[pipe]"], at["method[pipe]"]] == pytest.approx(0.04)
    variance = SD["month"] ** 2
    assert covariance[at["month[deep,2025-04]"], at["month[deep,2025-09]"]] == pytest.approx(variance * 0.85**5)
    assert covariance[at["month[deep,2025-04]"], at["month[shallow,2025-05]"]] == pytest.approx(variance * 0.5 * 0.85)
    off = covariance - np.diag(np.diag(covariance))
    assert not off[: layout.cells_start].any()


def test_an_effect_beside_another_leaves_the_prior_to_their_sum():
    """level + lasting ~ N(-1, 0.2²), independent of lasting ~ N(0, 0.15²): moments of these two, transformed."""
    moving = (
        Regressor("years", -0.02, 0.006),
        Regressor("level", -1.0, 0.2),
        Regressor("lasting", 0.0, 0.15, beside="level"),
    )
    layout = Layout((Regressor("intercept", 1.0, 0.5),), (), moving, ("deep",), np.array(["2025-04"], "datetime64[M]"))
    prior = layout.prior(SD)
    turned = np.eye(layout.size)
    turned[2, 3] = -1.0
    independent = np.diag([0.5**2, 0.006**2, 0.2**2, 0.15**2, SD["month"] ** 2])
    np.testing.assert_allclose(prior.covariance, turned @ independent @ turned.T, atol=1e-15)
    np.testing.assert_allclose(prior.precision @ prior.covariance, np.eye(layout.size), atol=1e-10)
    assert prior.log_det == pytest.approx(np.linalg.slogdet(prior.covariance)[1], rel=1e-10)


def test_prior_mean_and_places():
    layout = small_layout()
    mean, names = layout.prior_mean(), layout.names
    assert mean[names.index("depth")] == -0.6
    assert mean[names.index("years")] == -0.02
    assert names[layout.factor_start("township")] == "township[u]"
    assert names[layout.cells_start] == "month[deep,2025-04]"
    pooled = {n for n, p in zip(names, layout.is_pooled, strict=True) if p}
    assert pooled == {n for n in names if "[" in n}
    with pytest.raises(KeyError):
        layout.factor_start("village")


def test_slopes_of_the_prior_equal_differences_of_its_density():
    """Fisher's identity: the slope is the posterior expectation of the derivative of the prior's log density."""
    layout, rng = small_layout(), np.random.default_rng(1)
    mean = rng.normal(0, 0.1, layout.size)
    root = 0.02 * rng.normal(size=(layout.size, layout.size))
    covariance = root @ root.T
    found = layout.prior_slopes({n: SD[n] for n in ("stratum", "township", "month")}, mean, covariance)

    def expected_log_prior(sd):
        prior = layout.prior(sd)
        at = stats.multivariate_normal(np.zeros(layout.size), prior.covariance).logpdf(mean)
        return at - 0.5 * np.trace(prior.precision @ covariance)

    for name, slope in found.items():
        up, down = (expected_log_prior(SD | {name: SD[name] * np.exp(h)}) for h in (1e-4, -1e-4))
        assert slope == pytest.approx((up - down) / 2e-4, rel=1e-5)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_correlations_are_proper(n):
    months = np.arange("2025-01", "2027-01", dtype="datetime64[M]")[::2]
    for R in (aquifer_correlation(n), month_correlation(months)):
        np.testing.assert_allclose(np.diag(R), 1.0)
        assert np.linalg.eigvalsh(R).min() > 0
