"""Integration over the variances against exact moments and quadrature."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import integrate as quadrature

from elec2water.coefficient import nodes


@dataclass(frozen=True)
class Normal:
    """A Gaussian density of known mean and precision."""

    centre: np.ndarray
    precision: np.ndarray

    def value(self, psi):
        return float(-0.5 * (psi - self.centre) @ self.precision @ (psi - self.centre))

    def with_slope(self, psi):
        return self.value(psi), -self.precision @ (psi - self.centre)


@dataclass(frozen=True)
class TwoSpreads:
    """Log standard deviations of 8 and 12 normal numbers with lognormal priors: skewed, and correlated by a term."""

    sums: tuple = (8 * 0.3**2, 12 * 0.1**2)
    counts: tuple = (8, 12)
    prior: tuple = (np.log(0.25), np.log(0.08))

    def value(self, psi):
        return self.with_slope(psi)[0]

    def with_slope(self, psi):
        n, s, m = np.array(self.counts), np.array(self.sums), np.array(self.prior)
        both = psi[0] + psi[1] + 3.5
        value = (-n * psi - 0.5 * s * np.exp(-2 * psi) - 0.5 * ((psi - m) / 0.6) ** 2).sum() - 2.0 * both**2
        return float(value), -n + s * np.exp(-2 * psi) - (psi - m) / 0.36 - 4.0 * both


def moments(found, of=lambda psi: psi):
    return np.array([w * np.atleast_1d(of(p)) for p, w in zip(found.psi, found.weight, strict=True)]).sum(axis=0)


@pytest.mark.parametrize("d", range(1, 8))
def test_the_design_integrates_two_moments_of_a_gaussian_exactly(d):
    points, base = nodes.composite_design(d)
    weight = base * np.exp(-0.5 * (points**2).sum(axis=1))
    assert weight.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(weight @ points, np.zeros(d), atol=1e-12)
    np.testing.assert_allclose((weight[:, None] * points).T @ points, np.eye(d), atol=1e-12)


@pytest.mark.parametrize("d", [1, 3, 6])
def test_a_gaussian_posterior_comes_back(d):
    rng = np.random.default_rng(d)
    root = rng.normal(size=(d, d)) * 0.3
    covariance = root @ root.T + 0.02 * np.eye(d)
    covariance /= max(1.0, np.linalg.eigvalsh(covariance).max() / 0.5)
    density = Normal(rng.normal(size=d), np.linalg.inv(covariance))
    found = nodes.integrate(density, density.centre + 0.5)
    mean = moments(found)
    np.testing.assert_allclose(found.psi[0], density.centre, atol=2e-3)
    np.testing.assert_allclose(mean, density.centre, atol=2e-3)
    between = found.psi - mean
    np.testing.assert_allclose((found.weight[:, None] * between).T @ between, covariance, atol=0.02 * covariance.max())
    assert found.weight.sum() == pytest.approx(1.0)


def test_the_mode_of_a_skewed_density_is_found_from_afar():
    density = TwoSpreads()
    for start in ([-4.0, 0.0], [0.5, -5.0], [-1.0, -2.0]):
        mode = nodes.find_mode(density, np.array(start))
        assert np.abs(density.with_slope(mode)[1]).max() < 0.05


def test_a_skewed_posterior_against_quadrature():
    """Mean of σ² (what intervals need) within 4 % of quadrature, at least three times nearer than the mode (trap 6)."""
    density = TwoSpreads()
    found = nodes.integrate(density, np.array([-1.0, -2.0]))
    top = density.value(found.psi[0])

    def integral(of):
        return quadrature.dblquad(
            lambda b, a: of(np.array([a, b])) * np.exp(density.value(np.array([a, b])) - top), -2.6, 0.6, -3.8, -0.8
        )[0]

    mass = integral(lambda _: 1.0)
    for k in (0, 1):
        exact = integral(lambda psi, k=k: np.exp(2 * psi[k])) / mass
        error = moments(found, lambda psi, k=k: np.exp(2 * psi[k]))[0] / exact - 1.0
        plug_in_error = np.exp(2 * found.psi[0][k]) / exact - 1.0
        assert abs(error) < 0.04
        assert abs(plug_in_error) > 3 * abs(error)
        centre = integral(lambda psi, k=k: psi[k]) / mass
        assert moments(found)[k] == pytest.approx(centre, abs=0.02)


def test_curvature_is_the_negative_hessian():
    precision = np.array([[4.0, 1.0], [1.0, 9.0]])
    np.testing.assert_allclose(nodes.curvature(Normal(np.zeros(2), precision), np.array([0.3, -0.2])), precision)
