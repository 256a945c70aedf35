"""The block algebra against plain dense Gaussian conditioning, and what the layout of the wells must not change."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dense
from elec2water.coefficient import gaussian
from elec2water.coefficient.gaussian import Blocks, Rows, WellVariances
from elec2water.coefficient.inverse import invert_covariances

VARIANCES = WellVariances(level=0.06, drift=0.01, error=0.002, memory=2.0, pump_share=0.4, renewal=0.1)
PRECISELY = {"rtol": 1e-8, "atol": 1e-10}


def problem(seed, n_wells=9, aquifers=2, months=4, most_pairs=6):
    """An unbalanced network: 1 to 6 pairs a well, pumps that change, aquifers, weights; (rows, prior)."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, most_pairs + 1, n_wells)
    well = np.repeat(np.arange(n_wells), counts)
    R, n_cells = well.size, aquifers * months
    aquifer, month = rng.integers(0, aquifers, n_wells)[well], rng.integers(0, months, R)
    installed = rng.uniform(0.0, 6.0, n_wells)  # some before, some among, some after the pairs
    time = month / 12.0 + rng.integers(0, 3, R)
    pump = (installed[well] <= time).astype(np.intp)
    rows = Rows(
        well=well,
        y=rng.normal(1.0, 0.4, R),
        time=time,
        pump=pump,
        unread=gaps(well, pump, time),
        cell=aquifer * months + month,
        static=np.column_stack([np.ones(n_wells), rng.normal(size=(n_wells, 3))]),
        moving=rng.normal(size=(R, 2)),
        scale=rng.choice([1.0, 1.0, 4.0, 30.0], R),
        extra=rng.choice([0.0, 0.0025], R),
        level_scale=rng.choice([1.0, 1.0, 3.0], n_wells),
        n_cells=n_cells,
    )
    root = rng.normal(size=(rows.n_shared, rows.n_shared + 3))
    return rows, dense.prior_of(rng.normal(size=rows.n_shared), 0.2 * root @ root.T / rows.n_shared)


def gaps(well, pump, time, longest=0.6):
    """Years in gaps longer than some between the first pair of each pump of a well and each of its pairs, by loops."""
    unread = np.zeros(time.size)
    for i in range(time.size):
        mine = np.sort(time[(well == well[i]) & (pump == pump[i]) & (time <= time[i])])
        unread[i] = sum(gap for gap in np.diff(mine) if gap > longest)
    return unread


def solve(rows, prior, variances=VARIANCES):
    groups = gaussian.group_wells(rows)
    blocks = gaussian.eliminate_wells(rows, groups, variances)
    return groups, blocks, gaussian.solve_shared(blocks, prior)


def some_wells(rows, chosen):
    """The rows of some wells, by loops of our own."""
    kept = np.flatnonzero(np.isin(rows.well, chosen))
    number = {w: k for k, w in enumerate(chosen)}
    fields = ("y", "time", "pump", "unread", "cell", "moving", "scale", "extra")
    return dense.sorted_rows(
        np.array([number[w] for w in rows.well[kept]]),
        **{name: getattr(rows, name)[kept] for name in fields},
        static=rows.static[chosen],
        level_scale=rows.level_scale[chosen],
        n_cells=rows.n_cells,
    )


@pytest.mark.parametrize("seed", range(6))
def test_shared_effects_equal_dense_conditioning(seed):
    """Oracle: the whole covariance of y and θ written out, and scipy's multivariate normal for the likelihood."""
    rows, prior = problem(seed)
    solution = solve(rows, prior)[2]
    expected = dense.shared_effects(rows, prior, VARIANCES)
    np.testing.assert_allclose(solution.mean, expected.mean, **PRECISELY)
    np.testing.assert_allclose(solution.covariance(), expected.covariance, **PRECISELY)
    assert solution.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-8)
    np.testing.assert_allclose(rows.matrix(), dense.design(rows))
    np.testing.assert_allclose(rows.product(solution.mean), dense.design(rows) @ solution.mean)


def test_large_batches_equal_dense_conditioning(monkeypatch):
    """Many wells are eliminated by recursions and multiplied as sparse matrices; the oracle is the same."""
    monkeypatch.setattr(gaussian, "_SPARSE_FROM", 0)
    rows, prior = problem(3, n_wells=300, months=3, most_pairs=3)
    groups, blocks, solution = solve(rows, prior)
    assert max(group.wells.size for group in groups) >= gaussian._MANY_WELLS
    expected = dense.shared_effects(rows, prior, VARIANCES)
    np.testing.assert_allclose(solution.mean, expected.mean, **PRECISELY)
    np.testing.assert_allclose(solution.covariance(), expected.covariance, **PRECISELY)
    assert solution.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-8)
    last = [np.lexsort((rows.time, rows.pump, rows.well == w))[-1] for w in range(rows.n_wells)]
    paths = gaussian.predict_paths(rows, groups, VARIANCES, times=rows.time[last], pumps=rows.pump[last])
    found = gaussian.path_means(rows, groups, VARIANCES, blocks, solution.mean)
    np.testing.assert_allclose(found, paths.offset - paths.gain @ solution.mean, **PRECISELY)


@pytest.mark.parametrize("drift", [0.0, 1e-5, 0.01, 0.5])
@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_inverse_by_recursion_equals_factorisation(n, drift):
    """Oracle: LAPACK's inverse and determinant; pumps that change, gaps, pairs at one moment, readings of a fault."""
    rng = np.random.default_rng(n)
    w, variances = 60, replace(VARIANCES, drift=drift)
    pump = np.sort(rng.integers(0, 3, (w, n)), axis=1) * (rng.random((w, 1)) < 0.5)
    time = np.sort(pump * 10.0 + rng.integers(0, 20, (w, n)) / 12.0, axis=1)
    noise = rng.choice([0.002, 0.02, 25.0], (w, n))
    level = rng.choice([0.06, 0.5], w)
    unread = np.cumsum(rng.choice([0.0, 1.5, 4.0], (w, n), p=[0.8, 0.1, 0.1]), axis=1) * (rng.random((w, 1)) < 0.7)
    fixed = {"memory": variances.memory, "pump_share": variances.pump_share, "renewal": variances.renewal}
    found = invert_covariances(time, pump, unread, noise, level, drift=drift, **fixed)
    lag = np.where(pump[:, :, None] == pump[:, None, :], np.abs(time[:, :, None] - time[:, None, :]), np.inf)
    away = np.abs(unread[:, :, None] - unread[:, None, :])
    S = variances.path(lag, level[:, None, None], away) + noise[:, :, None] * np.eye(n)
    np.testing.assert_allclose(found.matrix, np.linalg.inv(S), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.row_sums, np.linalg.inv(S).sum(axis=2), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.log_det, np.linalg.slogdet(S)[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_well_paths_equal_dense_conditioning(seed):
    """With θ's error through ``-gain`` added back, mean and joint covariance of all paths and θ are the dense ones."""
    rows, prior = problem(seed)
    rng = np.random.default_rng(seed)
    times, pumps = rng.uniform(0.0, 5.0, rows.n_wells), rng.integers(0, 2, rows.n_wells)
    groups, _, solution = solve(rows, prior)
    paths = gaussian.predict_paths(rows, groups, VARIANCES, times=times, pumps=pumps)
    expected = dense.effects_and_paths(rows, prior, VARIANCES, times, pumps)
    p, C = rows.n_shared, solution.covariance()
    np.testing.assert_allclose(paths.offset - paths.gain @ solution.mean, expected.mean[p:], **PRECISELY)
    among = paths.gain @ C @ paths.gain.T + np.diag(paths.variance)
    np.testing.assert_allclose(among, expected.covariance[p:, p:], **PRECISELY)
    np.testing.assert_allclose(-paths.gain @ C, expected.covariance[p:, :p], **PRECISELY)


@pytest.mark.parametrize("seed", range(4))
def test_covariances_of_paths_at_two_times_equal_dense_conditioning(seed):
    """Within gaps, outside the pairs, and with pumps that nobody has read, θ given."""
    rows, _ = problem(seed)
    rng = np.random.default_rng(seed)
    every = np.arange(rows.n_wells)
    times, pumps = rng.uniform(0.0, 5.0, rows.n_wells), rng.integers(0, 2, rows.n_wells)
    later = times + rng.uniform(0.0, 3.0, rows.n_wells)
    now, then = ((every, when, pumps, rows.level_scale) for when in (times, later))
    pairs, S = dense.places(rows), dense.own_covariance(rows, VARIANCES)
    told = dense.path_covariance(rows, VARIANCES, now, pairs) @ np.linalg.inv(S)
    expected = dense.path_covariance(rows, VARIANCES, now, then)
    expected -= told @ dense.path_covariance(rows, VARIANCES, then, pairs).T
    groups = gaussian.group_wells(rows)
    found = gaussian.path_covariances(rows, groups, VARIANCES, times=times, later=later, pumps=pumps)
    assert not np.isin(every, rows.well[rows.pump == pumps[rows.well]]).all()
    np.testing.assert_allclose(found, np.diag(expected), **PRECISELY)


def test_pair_residuals_equal_dense_conditioning():
    rows, prior = problem(11)
    groups, blocks, solution = solve(rows, prior)
    mean, variance = gaussian.pair_residuals(rows, groups, VARIANCES, blocks, solution)
    D = np.diag(dense.noise(rows, VARIANCES))
    S = dense.own_covariance(rows, VARIANCES)
    expected = dense.condition(np.zeros(rows.y.size), D, D, dense.design(rows) @ solution.mean, S, rows.y)
    np.testing.assert_allclose(mean, expected.mean, **PRECISELY)
    np.testing.assert_allclose(variance, np.diag(expected.covariance), **PRECISELY)


@pytest.mark.parametrize("seed", [1, 2])
def test_variance_slopes_equal_differences_of_the_dense_likelihood(seed):
    rows, prior = problem(seed)
    groups, blocks, solution = solve(rows, prior)
    found = gaussian.variance_slopes(rows, groups, VARIANCES, blocks, solution, solution.covariance())
    step = 1e-3

    def log_likelihood(name, log_sd):
        changed = replace(VARIANCES, **{name: getattr(VARIANCES, name) * np.exp(2 * log_sd)})
        return dense.shared_effects(rows, prior, changed).log_likelihood

    for slope, name in zip(found, ("level", "drift", "error"), strict=True):
        near, far = ((log_likelihood(name, h) - log_likelihood(name, -h)) / (2 * h) for h in (step, 2 * step))
        assert slope == pytest.approx((4 * near - far) / 3, rel=1e-6, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False))
def test_the_order_of_wells_does_not_matter(seed, order):
    rows, prior = problem(seed)
    shuffled = list(range(rows.n_wells))
    order.shuffle(shuffled)
    _, blocks, solution = solve(rows, prior)
    _, other, again = solve(some_wells(rows, np.array(shuffled)), prior)
    np.testing.assert_allclose(other.J, blocks.J, **PRECISELY)
    np.testing.assert_allclose(again.mean, solution.mean, **PRECISELY)
    assert again.log_likelihood == pytest.approx(solution.log_likelihood, rel=1e-10)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 8))
def test_blocks_of_two_parts_of_a_county_add_up(seed, cut):
    rows, prior = problem(seed)
    _, whole, solution = solve(rows, prior)
    parts = [solve(some_wells(rows, part), prior)[1] for part in (np.arange(cut), np.arange(cut, rows.n_wells))]
    added = Blocks(
        *(sum(getattr(b, name) for b in parts) for name in ("J", "h", "quadratic", "log_det", "n")), inverses=()
    )
    again = gaussian.solve_shared(added, prior)
    np.testing.assert_allclose(added.J, whole.J, **PRECISELY)
    np.testing.assert_allclose(again.mean, solution.mean, **PRECISELY)
    np.testing.assert_allclose(again.covariance(), solution.covariance(), **PRECISELY)
    assert again.log_likelihood == pytest.approx(solution.log_likelihood, rel=1e-10)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 8))
def test_sequential_equals_batch(seed, cut):
    """The posterior of the first wells is the prior of the others; the two likelihoods multiply."""
    rows, prior = problem(seed)
    batch = solve(rows, prior)[2]
    first = solve(some_wells(rows, np.arange(cut)), prior)[2]
    then = solve(some_wells(rows, np.arange(cut, rows.n_wells)), dense.prior_of(first.mean, first.covariance()))[2]
    np.testing.assert_allclose(then.mean, batch.mean, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(then.covariance(), batch.covariance(), rtol=1e-8, atol=1e-9)
    assert first.log_likelihood + then.log_likelihood == pytest.approx(batch.log_likelihood, rel=1e-8)


def test_a_well_without_information_changes_nothing():
    rows, prior = problem(5)
    _, _, with_it = solve(replace(rows, scale=np.where(rows.well == 3, 1e16, rows.scale)), prior)
    _, _, without = solve(some_wells(rows, np.delete(np.arange(rows.n_wells), 3)), prior)
    np.testing.assert_allclose(with_it.mean, without.mean, **PRECISELY)
    np.testing.assert_allclose(with_it.covariance(), without.covariance(), **PRECISELY)


def test_taking_wells_keeps_their_pairs():
    rows, _ = problem(6)
    wells = np.array([1, 4, 5, 8])
    taken, expected = rows.take_wells(wells), some_wells(rows, wells)
    for name in ("well", "y", "time", "pump", "unread", "cell", "static", "moving", "scale", "extra", "level_scale"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(expected, name))


def test_a_new_pump_forgets_the_drift_and_its_share_of_the_level():
    path = VARIANCES.path(np.array([0.0, 1.0, np.inf]), np.array(VARIANCES.level))
    np.testing.assert_allclose(path, [0.07, 0.06 + 0.01 * np.exp(-0.5), 0.6 * 0.06])


def test_a_gap_in_which_every_pump_is_replaced_is_a_new_pump():
    """Oracle: the same pairs with another pump after each gap; a drift would go on where a new pump draws it anew."""
    rows, prior = problem(7, n_wells=60)
    certain = replace(VARIANCES, drift=0.0, renewal=1e6)
    number = np.unique(np.column_stack([rows.pump, rows.unread]), axis=0, return_inverse=True)[1]
    renewed = replace(rows, pump=number, unread=np.zeros(rows.y.size))
    assert (rows.unread > 0).sum() > 30
    _, _, found = solve(rows, prior, certain)
    _, _, expected = solve(renewed, prior, certain)
    np.testing.assert_allclose(found.mean, expected.mean, **PRECISELY)
    np.testing.assert_allclose(found.covariance(), expected.covariance(), **PRECISELY)


@pytest.mark.parametrize("years", [0.0, 1.0, 5.0, 40.0])
def test_one_pair_after_years_unread_does_not_make_the_old_ones_believed_again(years):
    """Old pairs without error tell the level now but for L(1 - ρ²), ρ = 1 - s(1 - exp(-renewal h)); it the rest."""
    rows = replace(
        some_wells(problem(1)[0], np.array([0])),
        well=np.zeros(4, dtype=np.intp),
        y=np.zeros(4),
        time=np.array([0.0, 0.1, 0.2, 0.2 + years]),
        pump=np.zeros(4, dtype=np.intp),
        unread=np.array([0.0, 0.0, 0.0, years]),
        cell=np.zeros(4, dtype=np.intp),
        moving=np.zeros((4, 2)),
        scale=np.array([1e-9, 1e-9, 1e-9, 1.0]),
        extra=np.zeros(4),
        level_scale=np.ones(1),
    )
    v = replace(VARIANCES, drift=0.0)
    groups = gaussian.group_wells(rows)
    after = gaussian.predict_paths(rows, groups, v, times=np.array([0.2 + years]), pumps=np.zeros(1, dtype=np.intp))
    same = 1.0 - v.pump_share * (1.0 - np.exp(-v.renewal * years))
    left = v.level * (1.0 - same**2)
    assert after.variance[0] == pytest.approx(left * v.error / (left + v.error), rel=1e-6, abs=1e-10)
