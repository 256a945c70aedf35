"""A steady load beside the pump: found where pairs show it, against a new pump and against chance."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from core_kit import small_case
from elec2water.coefficient import gaussian
from elec2water.coefficient.innovations import Allowed, Limits, scan
from elec2water.coefficient.steady import (
    BELIEVED,
    CHANGE_SD,
    MONTHLY_REL_U,
    REPLACED_A_YEAR,
    SMALLEST,
    Taken,
    steady_loads,
)
from elec2water.watch import change_findings
from test_changes import VARIANCES, draw, rows_of

LIMITS = Limits.of(1.0)
YEAR = np.array([0.02, 0.03, 0.4, 2.0, 2.4, 1.6, 1.2, 1.5, 1.0, 0.6, 0.2, 0.05])
"""Electricity of the months of a year, of which the mean is about one."""


def used(rows, seed):
    """What each pair took over what its well usually takes, (R,): the season, and farmers who differ by 40 %."""
    month = np.round(12 * rows.time).astype(int) % 12
    use = YEAR[month] * np.exp(0.4 * np.random.default_rng(seed).standard_normal(month.size))
    return use / (np.bincount(rows.well, use) / np.bincount(rows.well))[rows.well]


def with_load(part, pumped):
    """Ln(κ) as it is read where a load of ``part`` of the usual stands beside a pump that took ``pumped``."""
    return np.log(pumped / (pumped + part))


def taken(use):
    return Taken(1.0 / use, np.ones(use.size), 500.0 * np.ones(use.size))


def looked_at(rows, residual, use):
    allowed = Allowed(rows, VARIANCES, np.zeros(rows.y.size))
    plain = scan(residual, allowed, LIMITS)
    loads = steady_loads(residual, allowed, taken(use), np.arange(rows.n_wells))
    noisy = replace(rows, extra=loads.noise)
    again = scan(residual + loads.shift, replace(allowed, rows=noisy, own=(loads.spread,)), LIMITS)
    return plain, loads, again


class TestWells:
    def test_a_load_is_found_and_sounds_no_alarm(self):
        rows, some = rows_of(400, 24), np.arange(0, 400, 8)
        pumped = used(rows, 1)
        part = np.where(np.isin(rows.well, some), 0.15, 0.0)
        use = pumped + part
        plain, loads, again = looked_at(rows, draw(rows, 3) + with_load(part, pumped), use)
        assert plain.any[some].mean() > 0.5
        assert again.any[some].mean() < 0.1
        assert (loads.probability[some] > 0.9).mean() > 0.9
        assert np.median(np.abs(np.log(loads.kwh[some] / (500.0 * 0.15)))) < 0.06

    def test_a_new_pump_is_no_load(self):
        rows, changed = rows_of(400, 24), np.arange(0, 400, 8)
        pumped = used(rows, 4)
        residual = draw(rows, 5)
        late = np.isin(rows.well, changed) & (np.arange(rows.y.size) % 24 >= 15)
        residual[late] += 0.3
        plain, loads, again = looked_at(rows, residual, pumped)
        # What is lost of the changes seen is what a load in one well of ten could have been as well.
        assert again.any[changed].mean() > plain.any[changed].mean() - 0.06
        assert loads.probability.mean() < 0.5 * BELIEVED

    def test_wells_without_a_load_are_left_as_they_are(self):
        rows = rows_of(300, 18)
        _, loads, _ = looked_at(rows, draw(rows, 6), used(rows, 7))
        assert (loads.probability > 0.5).mean() < 0.02
        assert np.abs(loads.shift).mean() < 0.005

    def test_bayes_rule_by_brute_force(self):
        """One well: the posterior probability from scipy's normal densities, every month and load written out."""
        rows = rows_of(1, 10)
        pumped = used(rows, 8)
        use = pumped + 0.1
        residual = draw(rows, 9) + with_load(0.1, pumped)
        allowed = Allowed(rows, VARIANCES, np.zeros(10))
        found = steady_loads(residual, allowed, taken(use), np.array([0]))
        S = 1.3**2 * gaussian.well_covariance(gaussian.group_wells(rows)[0], rows, VARIANCES)[0]
        hazard = REPLACED_A_YEAR / 12.0

        def density(p):
            r, V = residual - np.log1p(-p / use), S + np.diag((MONTHLY_REL_U * p / use / (1.0 - p / use)) ** 2)
            total = (1.0 - 9 * hazard) * stats.multivariate_normal.pdf(r, cov=V)
            for j in range(1, 10):
                step = (np.arange(10) >= j).astype(float)
                total += hazard * stats.multivariate_normal.pdf(r, cov=V + CHANGE_SD**2 * np.outer(step, step))
            return total

        parts = [p for p in np.geomspace(SMALLEST, 1.0, 80) if (p / use).max() <= 0.98]
        none = (1.0 - BELIEVED) * density(0.0)
        some = [BELIEVED / 80 * density(p) for p in parts]
        assert found.probability[0] == pytest.approx(sum(some) / (none + sum(some)), rel=1e-9)
        mean = sum(w * -np.log1p(-p / use) for w, p in zip(some, parts, strict=True)) / (none + sum(some))
        np.testing.assert_allclose(found.shift, mean, rtol=1e-9)

    def test_what_was_wrongly_taken_off_for_rest_is_no_load(self):
        """A tenth of the usual taken off wells that have no other load: they are as nobody had taken anything off."""
        rows = rows_of(200, 24)
        use = used(rows, 12)
        use = np.maximum(use, 0.15)
        told = replace(taken(use), pumping=1.0 - 0.1 / use)
        residual = draw(rows, 13) - np.log(told.pumping)
        allowed = Allowed(rows, VARIANCES, np.zeros(rows.y.size))
        loads = steady_loads(residual, allowed, told, np.arange(200))
        assert (loads.probability > 0.5).mean() < 0.03
        np.testing.assert_allclose(np.median(loads.shift - np.log(told.pumping)), 0.0, atol=0.01)

    def test_short_tests_run_nothing_but_the_pump(self):
        rows = rows_of(2, 12)
        told = replace(taken(used(rows, 10)), usual=np.zeros(24), pumping=np.full(24, 0.5))
        loads = steady_loads(draw(rows, 11), Allowed(rows, VARIANCES, np.zeros(24)), told, np.array([0, 1]))
        np.testing.assert_allclose(loads.shift, 0.0, atol=1e-15)


class TestCounty:
    def test_a_hut_behind_the_meter_is_named_for_what_it_is(self):
        """The meters of eight sample wells run a hut from before the first pair on: no new pump, no faulty meter."""
        case = small_case(60, 30, 5, pair_months=24, last_pair=-1, missing=0.0)
        wells = case.pairs["well_id"].unique()[:8]
        pairs = case.pairs.copy()
        mine = pairs["well_id"].isin(wells)
        usual = pairs[mine].groupby("well_id")["energy_kwh"].transform("mean")
        pairs.loc[mine, "energy_kwh"] += 0.3 * usual
        fitted = replace(case, pairs=pairs).fit()
        assert fitted.changes.empty
        loads = fitted.record.loads
        assert set(loads["well_id"]) <= set(wells)
        assert len(loads) >= 2
        expected = loads["well_id"].map(0.3 * case.pairs.groupby("well_id")["energy_kwh"].mean())
        assert np.median(np.abs(np.log(loads["kwh"] / expected))) < 0.35
        findings = change_findings(fitted, lang="en").frame
        assert set(findings.loc[findings["rule"] == "PAIRS_SHOW_LOAD", "well_id"]) == set(loads["well_id"])
