"""Nested intercepts against the reference answers of six packages, a dense likelihood, statsmodels and invariances."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, optimize
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from elec2water.coefficient.nested import fit_nested
from elec2water.coefficient.reml import Rotation, criterion, decompose

ROOT = Path(__file__).parents[1]


def reference_data(n_wells, **options):
    """(y, X, well, stratum) of the generator behind the reference answers."""
    spec = importlib.util.spec_from_file_location("mixed_data", ROOT / "benchmarks" / "mixed_data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate(n_wells, **options)


def small(seed=0, n_strata=5, n_wells=24, sd=(0.3, 0.2, 0.1), counts=(1, 6)):
    """A small unbalanced problem with rows in no order: (y, X, well, stratum)."""
    rng = np.random.default_rng(seed)
    stratum = rng.permutation(np.arange(n_wells) % n_strata)
    well = rng.permutation(np.repeat(np.arange(n_wells), rng.integers(*counts, n_wells)))
    X = np.column_stack([np.ones(well.size), rng.normal(size=well.size), rng.normal(size=n_wells)[well]])
    z, u = rng.normal(0, sd[0], n_strata), rng.normal(0, sd[1], n_wells)
    y = X @ [0.5, 1.0, -0.4] + z[stratum[well]] + u[well] + rng.normal(0, sd[2], well.size)
    return y, X, well, stratum


def dense_log_likelihood(variances, y, X, well, stratum):
    """REML by the book (Harville 1974, with the constant of lme4), V written out; variances of strata, wells, error."""
    of_stratum = stratum[well]
    V = variances[0] * (of_stratum[:, None] == of_stratum) + variances[1] * (well[:, None] == well)
    V += variances[2] * np.eye(y.size)
    information = X.T @ linalg.solve(V, X, assume_a="pos")
    beta = linalg.solve(information, X.T @ linalg.solve(V, y, assume_a="pos"), assume_a="pos")
    residual = y - X @ beta
    log_dets = np.linalg.slogdet(V)[1] + np.linalg.slogdet(information)[1]
    quadratic = residual @ linalg.solve(V, residual, assume_a="pos")
    return -0.5 * (log_dets + quadratic + (y.size - X.shape[1]) * np.log(2 * np.pi)), beta, linalg.inv(information)


def variances_of(fit):
    return np.array([np.nan_to_num(fit.sd_stratum), fit.sd_well, fit.sd_error]) ** 2


REFERENCE = {  # lme4, nlme, glmmTMB, mixedlm and lme-python agree to every digit shown
    500: ("3787.3657", "0.1266884", "0.2023988", "0.09905953", "0.04198118 -0.03390452 0.09750364", "0.019558"),
    2000: ("15145.5844", "0.1614355", "0.2001756", "0.10046443", "0.03955771 -0.03111258 0.07215851", "0.009658"),
    20000: ("153625.8999", "0.1257425", "0.1976980", "0.09971412", "0.04011412 -0.02975867 0.07854309", "0.003006"),
}


@pytest.mark.parametrize("n_wells", REFERENCE)
def test_every_printed_digit_of_the_reference_answers(n_wells):
    """R: lmer(y ~ sn + cs + dlh + (1 | stratum) + (1 | well)); logLik, VarCorr, fixef, sqrt(diag(vcov))."""
    fit = fit_nested(*reference_data(n_wells))
    log_likelihood, *sd, beta, se = REFERENCE[n_wells]
    assert f"{fit.log_likelihood:.4f}" == log_likelihood
    assert [f"{fit.sd_stratum:.7f}", f"{fit.sd_well:.7f}", f"{fit.sd_error:.8f}"] == sd
    assert " ".join(f"{b:.8f}" for b in fit.beta[1:]) == beta
    assert f"{np.sqrt(fit.beta_covariance[3, 3]):.6f}" == se


@pytest.mark.parametrize("written_out", [False, True])
def test_every_printed_digit_with_fixed_strata(written_out):
    """R: lmer(y ~ sn + cs + dlh + factor(stratum) + (1 | well)), with 60 dummies or with none written out."""
    y, X, well, stratum = reference_data(20_000)
    if written_out:
        dummies = (stratum[well][:, None] == np.arange(60)).astype(float)
        fit = fit_nested(y, np.hstack([X[:, 1:], dummies]), well)
    else:
        fit = fit_nested(y, X[:, 1:], well, stratum, strata="fixed")
    assert f"{fit.log_likelihood:.4f}" == "153589.5498"
    assert [f"{fit.sd_well:.7f}", f"{fit.sd_error:.8f}"] == ["0.1976980", "0.09971412"]
    assert [f"{b:.8f}" for b in fit.beta[:3]] == ["0.04011412", "-0.02975865", "0.07853942"]
    assert f"{np.sqrt(fit.beta_covariance[2, 2]):.6f}" == "0.003006"


@pytest.mark.parametrize("seed", range(6))
def test_the_maximum_is_that_of_the_dense_likelihood(seed):
    data = small(seed)
    fit = fit_nested(*data)
    at_fit, beta, covariance = dense_log_likelihood(variances_of(fit), *data)
    assert fit.log_likelihood == pytest.approx(at_fit, abs=1e-9)
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-9)
    np.testing.assert_allclose(fit.beta_covariance, covariance, rtol=1e-8)
    search = optimize.minimize(
        lambda log_v: -dense_log_likelihood(np.exp(log_v), *data)[0],
        np.log([0.05, 0.05, 0.02]),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-11, "maxiter": 4000},
    )
    assert fit.log_likelihood >= -search.fun - 1e-8


@given(st.floats(0.0, 50.0), st.floats(0.0, 50.0), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_the_criterion_is_the_dense_likelihood_at_any_ratios(a, b, seed):
    y, X, well, stratum = small(seed)
    rotation = Rotation.of(y, X)
    data = decompose(rotation.apply(y, X), well, stratum)
    here = criterion(data, np.array([a, b]), fixed=False)
    dense = dense_log_likelihood(here.sigma**2 * np.array([a, b, 1.0]), y, X, well, stratum)[0]
    assert -0.5 * (here.deviance + rotation.log_det) == pytest.approx(dense, abs=1e-8)


@pytest.mark.parametrize("fixed", [False, True])
@given(st.floats(0.1, 10.0), st.floats(0.1, 10.0), st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_derivatives_are_those_of_central_differences(fixed, a, b, seed):
    y, X, well, stratum = small(seed)
    X = X[:, fixed:]
    data = decompose(Rotation.of(y, X).apply(y, X), well, stratum)
    here, at = criterion(data, np.array([a, b]), fixed=fixed), np.array([a, b])
    for i, h in enumerate(1e-5 * at):
        nudge = h * np.eye(2)[i]
        up, down = criterion(data, at + nudge, fixed=fixed), criterion(data, at - nudge, fixed=fixed)
        slope = (up.deviance - down.deviance) / (2 * h)
        curvature = (up.gradient - down.gradient) / (2 * h)
        assert here.gradient[i] == pytest.approx(slope, rel=1e-5, abs=1e-5)
        np.testing.assert_allclose(here.hessian[i], curvature, rtol=1e-5, atol=1e-5)


def test_agrees_with_statsmodels():
    y, X, well, stratum = reference_data(60, n_strata=8)
    frame = pd.DataFrame({"y": y, "sn": X[:, 1], "cs": X[:, 2], "dlh": X[:, 3], "well": well, "stratum": stratum[well]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer = smf.mixedlm(
            "y ~ sn + cs + dlh", frame, groups="stratum", re_formula="1", vc_formula={"well": "0 + C(well)"}
        ).fit(reml=True, method="lbfgs")
    fit = fit_nested(y, X, well, stratum)
    assert fit.log_likelihood == pytest.approx(peer.llf, abs=1e-4)
    assert fit.log_likelihood >= peer.llf - 1e-8
    np.testing.assert_allclose(fit.beta, peer.fe_params, rtol=1e-4)
    peer_sd = np.sqrt([peer.cov_re.iloc[0, 0], peer.vcomp[0], peer.scale])
    np.testing.assert_allclose([fit.sd_stratum, fit.sd_well, fit.sd_error], peer_sd, rtol=1e-3)


def test_a_balanced_design_has_the_answers_of_the_analysis_of_variance():
    """Searle, Casella & McCulloch (1992), section 4.4: with equal numbers REML equates mean squares to expectations."""
    rng = np.random.default_rng(3)
    S, W, n = 6, 5, 4
    y = rng.normal(0, 0.5, (S, 1, 1)) + rng.normal(0, 0.4, (S, W, 1)) + rng.normal(0, 0.2, (S, W, n))
    error = y.var(axis=2, ddof=1).mean()
    wells = n * y.mean(axis=2).var(axis=1, ddof=1).mean()
    strata = W * n * y.mean(axis=(1, 2)).var(ddof=1)
    fit = fit_nested(y.ravel(), np.ones((y.size, 1)), np.repeat(np.arange(S * W), n), np.repeat(np.arange(S), W))
    expected = [(strata - wells) / (W * n), (wells - error) / n, error]
    np.testing.assert_allclose(variances_of(fit), expected, rtol=1e-7)
    assert fit.beta[0] == pytest.approx(y.mean())
    shrinkage = expected[0] * W * n / strata
    np.testing.assert_allclose(fit.stratum_effect, shrinkage * (y.mean(axis=(1, 2)) - y.mean()), rtol=1e-6)


def test_fixed_strata_have_the_coefficients_of_their_dummies():
    y, X, well, stratum = small(2)
    dummies = (stratum[well][:, None] == np.arange(5)).astype(float)
    written = fit_nested(y, np.hstack([X[:, 1:], dummies]), well)
    absorbed = fit_nested(y, X[:, 1:], well, stratum, strata="fixed")
    np.testing.assert_allclose(np.append(absorbed.beta, absorbed.stratum_effect), written.beta, rtol=1e-8)
    assert absorbed.log_likelihood == pytest.approx(written.log_likelihood, abs=1e-9)
    assert np.isnan(absorbed.sd_stratum)


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_neither_the_order_of_rows_nor_the_codes_matter(seed, random):
    y, X, well, stratum = small(seed)
    rng = np.random.default_rng(random.randrange(2**32))
    rows, new_well, new_stratum = rng.permutation(y.size), rng.permutation(stratum.size), rng.permutation(5)
    relabelled = np.empty_like(stratum)
    relabelled[new_well] = new_stratum[stratum]
    fit = fit_nested(y, X, well, stratum)
    other = fit_nested(y[rows], X[rows], new_well[well][rows], relabelled)
    assert other.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(other.stratum_effect[new_stratum], fit.stratum_effect, atol=1e-5)
    np.testing.assert_allclose(other.beta, fit.beta, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(np.sqrt(variances_of(other)), np.sqrt(variances_of(fit)), rtol=1e-5, atol=1e-6)


@given(st.integers(0, 10_000), st.floats(-1e5, 1e5), st.floats(1e-3, 1e3))
@settings(max_examples=25, deadline=None)
def test_shift_and_unit_of_y_move_only_what_they_should(seed, shift, scale):
    y, X, well, stratum = small(seed)
    fit = fit_nested(y, X, well, stratum)
    other = fit_nested(scale * y + shift, X, well, stratum)
    df = y.size - X.shape[1]
    tolerance = 1e-7 + 1e-12 * abs(shift / scale) * df
    assert other.log_likelihood == pytest.approx(fit.log_likelihood - df * np.log(scale), abs=tolerance)
    np.testing.assert_allclose(other.sd_error, scale * fit.sd_error, rtol=1e-4)


def test_columns_far_from_zero_cost_no_digits():
    y, X, well, stratum = small(7)
    years = X.copy()
    years[:, 1] += 2026.0
    fit, other = fit_nested(y, X, well, stratum), fit_nested(y + 1e6, years, well, stratum)
    np.testing.assert_allclose(other.beta[1:], fit.beta[1:], rtol=1e-7)
    assert other.sd_error == pytest.approx(fit.sd_error, rel=1e-6)
    assert other.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-5)


def test_wells_and_strata_without_rows_change_nothing():
    y, X, well, stratum = small(4)
    fit = fit_nested(y, X, well, stratum)
    more = fit_nested(y, X, well, np.append(stratum, [1, 7, 7]))
    assert more.log_likelihood == fit.log_likelihood
    np.testing.assert_array_equal(more.stratum_effect[:5], fit.stratum_effect)
    assert np.isnan(more.stratum_effect[5:]).all()


@pytest.mark.parametrize(("sd", "zero"), [((0.0, 0.2, 0.1), "sd_stratum"), ((0.3, 0.0, 0.1), "sd_well")])
def test_a_variance_at_the_boundary_is_zero_and_the_best_there(sd, zero):
    """Seeds whose maximum lies on the boundary: exactly zero, and the dense likelihood falls on leaving it."""
    found = 0
    for seed in range(12):
        data = small(seed, sd=sd)
        fit = fit_nested(*data)
        if getattr(fit, zero) > 0.0:
            continue
        found += 1
        leaving = variances_of(fit)
        leaving[0 if zero == "sd_stratum" else 1] = 1e-4 * fit.sd_error**2
        assert dense_log_likelihood(leaving, *data)[0] < fit.log_likelihood
    assert found >= 3


@pytest.mark.parametrize("ratio", [1e-3, 1e-2, 30.0, 1e3])
def test_ratios_far_from_one_are_found(ratio):
    y, X, well, stratum = small(1, n_strata=12, n_wells=200, sd=(0.1, 0.1, 0.1 / ratio), counts=(3, 6))
    fit = fit_nested(y, X, well, stratum)
    assert fit.sd_error == pytest.approx(0.1 / ratio, rel=0.1)
    assert fit.log_likelihood == pytest.approx(
        dense_log_likelihood(variances_of(fit), y, X, well, stratum)[0], rel=1e-8
    )
    assert fit.n_iterations < 40


@given(st.integers(0, 10_000), st.tuples(*[st.floats(-3.0, 2.0)] * 3))
@settings(max_examples=25, deadline=None)
def test_no_point_of_a_grid_lies_above_the_maximum(seed, log_sd):
    y, X, well, stratum = small(seed, sd=10.0 ** np.array(log_sd))
    fit = fit_nested(y, X, well, stratum)
    rotation = Rotation.of(y, X)
    data = decompose(rotation.apply(y, X), well, stratum)
    ratios = [0.0, *10.0 ** np.arange(-5, 6)]
    lowest = min(criterion(data, np.array([a, b]), fixed=False).deviance for a in ratios for b in ratios)
    assert fit.log_likelihood >= -0.5 * (lowest + rotation.log_det) - 1e-7


def test_one_stratum_is_not_identified():
    y, X, well, stratum = small(3, n_strata=1)
    fit, without = fit_nested(y, X, well, stratum), fit_nested(y, X, well)
    assert (fit.sd_stratum, fit.stratum_identified) == (0.0, False)
    assert fit.log_likelihood == without.log_likelihood
    assert without.stratum_effect.shape == (0,)


def test_one_row_a_well_puts_both_variances_in_the_error():
    y, X, well, stratum = small(5, n_wells=40, counts=(1, 2))
    fit = fit_nested(y, X, well, stratum)
    assert (fit.sd_well, fit.well_identified, fit.stratum_identified) == (0.0, False, True)
    pooled = fit_nested(y, X, stratum[well])
    assert (fit.sd_error, fit.sd_stratum) == pytest.approx((pooled.sd_error, pooled.sd_well))


def test_one_well_a_stratum_puts_both_variances_in_the_well():
    y, X, well, _ = small(6, counts=(2, 6))
    fit = fit_nested(y, X, well, np.arange(24))
    assert (fit.sd_stratum, fit.stratum_identified, fit.well_identified) == (0.0, False, True)
    assert fit.sd_well == pytest.approx(fit_nested(y, X, well).sd_well)


def with_value(array, position, value):
    changed = array.astype(float)
    changed[position] = value
    return changed


Y, DESIGN, WELL, STRATUM = small(8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((with_value(Y, 3, np.nan), DESIGN, WELL, STRATUM), r"y must be finite; found nan in row 3 \(1 rows"),
        ((Y, with_value(DESIGN, (2, 1), np.inf), WELL, STRATUM), "X must be finite; found inf in row 2, column 1"),
        ((Y * 1e200, DESIGN, WELL, STRATUM), "too large"),
        ((Y[:-1], DESIGN, WELL, STRATUM), "of the same R"),
        ((Y, DESIGN[:, 0], WELL, STRATUM), "of the same R"),
        ((Y[:0], DESIGN[:0], WELL[:0], STRATUM), "no rows"),
        ((Y, DESIGN, WELL.astype(float), STRATUM), "well must hold integer codes"),
        ((Y, DESIGN, WELL - 1, STRATUM), "well must hold codes from 0 up; found -1"),
        ((Y, DESIGN, WELL, STRATUM - 1), "stratum must hold codes from 0 up; found -1"),
        ((Y, DESIGN, WELL, STRATUM[:-1]), r"one code for each of the wells 0\.\.23"),
        ((Y, np.hstack([DESIGN, 2 * DESIGN[:, 1:2]]), WELL, STRATUM), "column 3 of X is a linear combination"),
        ((Y, 0 * DESIGN, WELL, STRATUM), "column 0 of X"),
        ((Y[:3], DESIGN[:3], WELL[:3], STRATUM), "3 rows cannot tell 3 coefficients"),
        ((DESIGN @ [1.0, 2.0, 3.0], DESIGN, WELL, STRATUM), "fitted exactly"),
        ((WELL**1.5, DESIGN[:, ::2], WELL, STRATUM), "fitted exactly"),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_nested(*arguments)


def test_fixed_strata_need_strata_and_no_intercept():
    with pytest.raises(ValueError, match="needs stratum"):
        fit_nested(Y, DESIGN[:, 1:], WELL, strata="fixed")
    with pytest.raises(ValueError, match="column 0 of X is a linear combination of those before it and the strata"):
        fit_nested(Y, DESIGN, WELL, STRATUM, strata="fixed")
