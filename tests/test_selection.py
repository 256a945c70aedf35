"""Selection: inclusion probabilities are exact, sizes of strata kept, samples balanced and spread."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from elec2water.design.allocation import inclusion_probabilities
from elec2water.design.cube import balanced, curve_order, null_vectors
from elec2water.design.draw import draw
from elec2water.design.joint import joint_probabilities
from elec2water.design.pivotal import local_pivotal
from elec2water.design.random_draw import random_pps, simple_random
from elec2water.design.reserves import choose_reserves
from elec2water.design.spatial import local_mean_variance, voronoi_balance
from elec2water.errors import UsageError

METHODS = ("balanced", "spatial", "systematic", "random")


def frame(n=40, strata=3, sample=12, seed=0):
    """Wells with sizes, places, energy and whole sample sizes of strata."""
    rng = np.random.default_rng(seed)
    codes = np.sort(np.concatenate([np.repeat(np.arange(strata), 2), rng.integers(0, strata, n - 2 * strata)]))
    size = rng.lognormal(0, 0.9, n)
    share = np.bincount(codes, size)
    each = np.clip(np.round(sample * share / share.sum()), 1, np.bincount(codes)).astype(int)
    p = np.empty(n)
    for h in range(strata):
        p[codes == h] = inclusion_probabilities(size[codes == h], each[h])
    places = rng.random((n, 2)) * 20
    return p, codes, places, size * rng.lognormal(0, 0.4, n), each


def frequencies(p, codes, places, energy, method, draws):
    count = np.zeros(p.size)
    for seed in range(draws):
        auxiliaries = np.column_stack([energy, np.ones(p.size)])
        count[draw(p, codes, seed=seed, method=method, coordinates=places, auxiliaries=auxiliaries)] += 1
    return count


def agrees(count, p, draws):
    """Binomial bounds for every unit at a level of 1e-4 for all together, and their squared deviations as χ²."""
    tail = 1e-4 / (2 * p.size)
    low, high = stats.binom.ppf(tail, draws, p), stats.binom.isf(tail, draws, p)
    assert ((low <= count) & (count <= high)).all(), (count / draws - p).tolist()
    assert (count[p == 1] == draws).all()
    assert (count[p == 0] == 0).all()
    uncertain = (p > 0) & (p < 1)
    z = (count - draws * p)[uncertain] / np.sqrt(draws * p * (1 - p))[uncertain]
    assert (z**2).mean() < 1 + 8 / np.sqrt(z.size)


@pytest.mark.parametrize("method", METHODS)
def test_empirical_inclusion_probabilities_are_the_stated_ones(method):
    draws = 200 if method == "balanced" else 800
    p, codes, places, energy, _ = frame()
    agrees(frequencies(p, codes, places, energy, method, draws), p, draws)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("whole", [True, False])
def test_empirical_inclusion_probabilities_over_twenty_thousand_draws(method, whole):
    draws = 20_000
    p, codes, places, energy, _ = frame(seed=5)
    p = p if whole else p * 0.83
    agrees(frequencies(p, codes, places, energy, method, draws), p, draws)


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_that_do_not_sum_to_whole_numbers_are_kept(method):
    draws = 200 if method == "balanced" else 800
    p, codes, places, energy, _ = frame(n=24, sample=6, seed=3)
    p = p * 0.77
    agrees(frequencies(p, codes, places, energy, method, draws), p, draws)
    sizes = {draw(p, codes, seed=s, method=method, coordinates=places).size for s in range(60)}
    assert sizes <= {int(p.sum()), int(p.sum()) + 1}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(8, 90), st.integers(1, 4), st.sampled_from(METHODS))
def test_every_stratum_gets_its_size_and_every_certain_unit(seed, n, strata, method):
    p, codes, places, energy, each = frame(n, strata, n // 3, seed)
    drawn = draw(p, codes, seed=seed, method=method, coordinates=places, auxiliaries=energy[:, None])
    assert (np.diff(drawn) > 0).all()
    assert np.bincount(codes[drawn], minlength=strata).tolist() == each.tolist()
    assert set(np.flatnonzero(p == 1)) <= set(drawn.tolist())


@pytest.mark.parametrize("method", METHODS)
def test_bad_cases_are_drawn_too(method):
    places = np.zeros((6, 2))
    codes = np.zeros(6, dtype=np.int64)
    options = {"seed": 1, "method": method, "coordinates": places, "auxiliaries": np.zeros((6, 2))}
    assert draw(np.ones(6), codes, **options).tolist() == list(range(6))
    assert draw(np.zeros(6), codes, **options).size == 0
    assert draw(np.full(6, 0.5), codes, **options).size == 3
    assert draw(np.array([0.5, 0.5, 1.0, 0.0, 0.25, 0.75]), codes, **options).size == 3
    single = {"seed": 1, "method": method, "coordinates": places[:1]}
    assert draw(np.ones(1), codes[:1], **single).tolist() == [0]


def test_equal_places_are_drawn_with_equal_chance():
    p, places = np.full(9, 1 / 3), np.repeat(np.array([[0.0, 0.0], [5.0, 1.0], [9.0, 9.0]]), 3, axis=0)
    count = np.zeros(9)
    for seed in range(1_200):
        drawn = local_pivotal(p, places, seed=seed)
        assert sorted(drawn // 3) == [0, 1, 2]
        count[drawn] += 1
    agrees(count, p, 1_200)


def test_the_pivotal_method_of_two_units_is_that_of_deville_and_tille():
    """Probabilities 0.3 and 0.4 give (0.7, 0) with 3/7: both are never drawn, the first with 0.3."""
    hits = [local_pivotal(np.array([0.3, 0.4]), np.array([[0.0], [1.0]]), seed=s).tolist() for s in range(3_000)]
    assert [0, 1] not in hits
    for unit, share in (([0], 0.3), ([1], 0.4), ([], 0.3)):
        assert sum(hit == unit for hit in hits) / 3_000 == pytest.approx(share, abs=0.04)


def test_near_units_are_not_drawn_together():
    """On a line of 40 equal units, a sample of ten has one unit in nearly every run of four."""
    p, line = np.full(40, 0.25), np.arange(40.0)[:, None]
    gaps = np.concatenate([np.diff(local_pivotal(p, line, seed=s)) for s in range(200)])
    assert (gaps == 1).mean() < 0.06
    assert gaps.max() <= 12


def test_null_vectors_are_orthogonal_to_every_column_whatever_the_rank():
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(50, 5, 4))
    matrices[::3, :, 2] = matrices[::3, :, 1]
    matrices[1::3, :, 0] = 0.0
    u = null_vectors(matrices)
    assert np.abs(np.einsum("bkp,bk->bp", matrices, u)).max() < 1e-12
    assert np.linalg.norm(u, axis=1) == pytest.approx(1.0)


def test_null_vectors_of_two_columns_are_those_of_a_qr_decomposition():
    rng = np.random.default_rng(1)
    matrices = rng.normal(size=(200, 3, 2)) * rng.lognormal(0, 3, (200, 1, 2))
    last = np.linalg.qr(matrices, mode="complete")[0][:, :, -1]
    assert np.abs((null_vectors(matrices) * last).sum(axis=1)) == pytest.approx(1.0, abs=1e-9)
    matrices[::4, :, 1] = 2 * matrices[::4, :, 0]
    matrices[1::4] = 0.0
    u = null_vectors(matrices)
    assert np.abs(np.einsum("bkp,bk->bp", matrices, u) / np.abs(matrices).sum(axis=1).clip(1e-300)).max() < 1e-12
    assert np.linalg.norm(u, axis=1) == pytest.approx(1.0)


def test_the_balancing_equations_hold_to_rounding():
    """Deville and Tillé (2004), section 4: what landing costs is of the order P/n, and exact without landing."""
    rng = np.random.default_rng(1)
    energy, depth = rng.lognormal(8, 0.8, 400), rng.lognormal(4, 0.3, 400)
    p = inclusion_probabilities(np.sqrt(energy), 80)
    auxiliaries = np.column_stack([energy, depth, np.ones(400)])
    errors = {True: [], False: []}
    for seed in range(60):
        for method in (True, False):
            hit = balanced(p, auxiliaries, seed=seed) if method else random_pps(p, seed=seed)
            errors[method].append((auxiliaries[hit] / p[hit, None]).sum(axis=0) / auxiliaries.sum(axis=0) - 1)
    ours, random = (np.sqrt(np.mean(np.square(errors[m]), axis=0)) for m in (True, False))
    assert (ours < 0.02).all()
    assert (ours < random / 2.5).all()


def test_exact_balance_where_whole_units_allow_it():
    """Pairs of opposite signs: a sample of fixed size that balances the sign has as many of each, always."""
    p, sign = np.full(40, 0.2), np.tile([1.0, -1.0], 20)
    for seed in range(30):
        assert sign[balanced(p, sign[:, None], seed=seed)].sum() == 0


def county(seed=3):
    """Strata across one another on the map, probabilities by size, energy beside it: as counties are."""
    rng = np.random.default_rng(seed)
    n, strata = 900, 9
    codes = np.unique(np.sort(rng.choice(strata, n, p=rng.dirichlet(np.full(strata, 3)))), return_inverse=True)[1]
    town = rng.integers(0, 12, n)
    places = rng.random((12, 2))[town] * 40 + rng.normal(0, 3, (n, 2))
    size = rng.lognormal(0, 0.8, n)
    each = np.maximum(2, np.round(60 * np.bincount(codes, size) / size.sum())).astype(int)
    p = np.empty(n)
    for h in range(each.size):
        p[codes == h] = inclusion_probabilities(size[codes == h], each[h])
    along = np.lexsort((np.where(town % 2 == 0, size, -size), town))
    rank = np.empty(n)
    rank[along] = np.arange(n)
    return p, codes, places, size * rng.lognormal(0, 0.5, n), rank[:, None]


def test_spatial_balance_and_balance_on_energy_are_better_than_systematic():
    p, codes, places, energy, rank = county()
    spread = {method: [] for method in METHODS}
    error = {method: [] for method in METHODS}
    for method in METHODS:
        for seed in range(14):
            along = rank if method == "systematic" else places
            hit = draw(p, codes, seed=seed, method=method, coordinates=along, auxiliaries=energy[:, None])
            spread[method].append(voronoi_balance(p, places, hit))
            error[method].append(((energy[hit] / p[hit]).sum() / energy.sum() - 1) ** 2)
    v = {method: np.mean(values) for method, values in spread.items()}
    e = {method: np.sqrt(np.mean(values)) for method, values in error.items()}
    assert v["balanced"] < 0.9 * v["systematic"]
    assert v["spatial"] < 0.97 * v["systematic"]
    assert e["balanced"] < 0.4 * e["systematic"]


def test_voronoi_balance_by_hand():
    """Four units of probability 1/2 on a line; sample units 0 and 3 hold two each, 0 and 1 hold one and three."""
    p, line = np.full(4, 0.5), np.arange(4.0)[:, None]
    assert voronoi_balance(p, line, np.array([0, 3])) == 0.0
    assert voronoi_balance(p, line, np.array([0, 1])) == pytest.approx(((0.5 - 1) ** 2 + (1.5 - 1) ** 2) / 2)
    assert voronoi_balance(p, line, np.array([0, 2])) == pytest.approx(((0.75 - 1) ** 2 + (1.25 - 1) ** 2) / 2)


def test_the_hilbert_curve_visits_neighbours():
    grid = np.stack(np.meshgrid(np.arange(16), np.arange(16)), axis=-1).reshape(-1, 2).astype(float)
    order = curve_order(grid)
    assert np.sort(order).tolist() == list(range(256))
    assert np.abs(np.diff(grid[order], axis=0)).sum(axis=1).max() == 1


def test_the_local_mean_variance_is_that_of_spread_samples():
    """y follows the map: Deville's variance is that of random draws, the local mean one near the truth."""
    rng = np.random.default_rng(4)
    places = rng.random((500, 2)) * 10
    y = 50 + 3 * places[:, 0] + 2 * places[:, 1] + rng.normal(0, 1, 500)
    p = np.full(500, 0.1)
    totals, local, naive = [], [], []
    for seed in range(150):
        hit = local_pivotal(p, places, seed=seed)
        totals.append((y[hit] / p[hit]).sum())
        local.append(local_mean_variance(y[hit], p[hit], places[hit]))
        naive.append(50**2 / 0.1**2 * 0.9 * y[hit].var(ddof=1) / 50)
    assert np.mean(totals) == pytest.approx(y.sum(), rel=2e-3)
    assert np.mean(local) / np.var(totals) == pytest.approx(1.1, abs=0.5)
    assert np.mean(naive) > 2 * np.mean(local)


def test_the_local_mean_variance_looks_inside_strata():
    values, p = np.array([1.0, 3.0, 10.0, 20.0]), np.full(4, 0.5)
    line, codes = np.array([[0.0], [2.0], [1.0], [3.0]]), np.array([0, 0, 1, 1])
    inside = 0.5 * 0.5 * ((2 / 0.5) ** 2 * 2 + (10 / 0.5) ** 2 * 2)
    assert local_mean_variance(values, p, line, codes) == pytest.approx(inside)
    assert local_mean_variance(values[:1], p[:1], line[:1]) == 0.0


def test_joint_probabilities_of_random_draws():
    """Simple random sampling has n(n−1)/N(N−1); Hájek's approximation is within 1/N of it, and never above π_k π_l."""
    codes = np.repeat([0, 1], 40)
    p = np.full(80, 0.25)
    joint = joint_probabilities(p, codes, np.arange(80))
    assert joint[0, 1] == pytest.approx(10 * 9 / (40 * 39), rel=0.01)
    assert joint[0, 50] == 0.0625
    assert np.diag(joint).tolist() == p.tolist()
    unequal = inclusion_probabilities(np.random.default_rng(0).lognormal(0, 0.7, 30), 10)
    exact = np.zeros((30, 30))
    for seed in range(2_000):
        hit = random_pps(unequal, seed=seed)
        exact[np.ix_(hit, hit)] += 1 / 2_000
    approximate = joint_probabilities(unequal, np.zeros(30, dtype=np.int64), np.arange(30))
    assert np.abs(approximate - exact).mean() < 0.01
    assert np.abs((approximate - exact).sum()) / exact.sum() < 0.01


def test_simple_random_samples_of_all_strata():
    codes = np.random.default_rng(2).integers(0, 4, 60)
    n = np.array([3, 0, 5, np.bincount(codes)[3]])
    count = np.zeros(60)
    for seed in range(1_500):
        hit = simple_random(codes, n, seed=seed)
        assert (np.bincount(codes[hit], minlength=4) == n).all()
        count[hit] += 1
    agrees(count, (n / np.bincount(codes))[codes], 1_500)
    with pytest.raises(UsageError, match="fewer wells"):
        simple_random(codes, n + 30, seed=1)


def test_reserves_are_the_most_similar_wells_left_one_for_each_in_turn():
    features = np.array([[0.0], [10.0], [0.2], [0.3], [10.1], [5.0], [0.25], [7.0]])
    codes = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    got = choose_reserves(features, codes, np.array([1, 0, 7]), np.array([3, 5]))
    assert got.rows.tolist() == [4, 2, 5, 6]
    assert got.stands_for.tolist() == [1, 0, 1, 7]
    assert got.order.tolist() == [1, 2, 3, 1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1_000), st.integers(4, 120), st.integers(0, 40))
def test_reserves_agree_with_a_plain_search(seed, n, asked):
    rng = np.random.default_rng(seed)
    features, codes = rng.normal(size=(n, 2)), rng.integers(0, 3, n)
    drawn = rng.permutation(n)[: n // 3]
    got = choose_reserves(features, codes, drawn, np.full(3, asked))
    assert np.unique(got.rows).size == got.rows.size
    assert not set(got.rows) & set(drawn)
    free = set(range(n)) - set(drawn.tolist())
    for row, served in zip(got.rows, got.stands_for, strict=True):
        others = sorted(k for k in free if codes[k] == codes[served])
        distance = np.linalg.norm(features[others] - features[served], axis=1)
        assert np.linalg.norm(features[row] - features[served]) == pytest.approx(distance.min())
        free.remove(row)
    for h in np.unique(codes[drawn]):
        room = (codes == h).sum() - (codes[drawn] == h).sum()
        assert (codes[got.rows] == h).sum() == min(asked, room)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"method": "lottery"}, "method"),
        ({"method": "spatial", "coordinates": None}, "coordinates"),
        ({"coordinates": np.full((4, 2), np.nan)}, "not finite"),
        ({"method": "spatial", "coordinates": np.zeros((4, 0))}, "at least one column"),
        ({"coordinates": np.zeros((3, 2))}, "shape"),
    ],
)
def test_wrong_arguments_are_named(change, text):
    options = {"seed": 1, "coordinates": np.zeros((4, 2))} | change
    with pytest.raises(UsageError, match=text):
        draw(np.full(4, 0.5), np.zeros(4, dtype=np.int64), **options)
    with pytest.raises(UsageError, match="must lie in"):
        draw(np.array([0.5, 1.5]), np.zeros(2, dtype=np.int64), seed=1)
    with pytest.raises(UsageError, match="strata"):
        draw(np.full(4, 0.5), np.zeros(3, dtype=np.int64), seed=1)


def test_the_last_digits_of_the_data_do_not_draw_other_wells():
    """Auxiliaries that hang together inside strata (energy, κ·energy) leave directions that only rounding decides."""
    p, codes, places, energy, _ = county()
    volume = energy * np.array([0.8, 0.7, 0.6, 0.5, 0.9, 1.1, 1.0, 0.4, 0.3])[codes]
    auxiliaries = np.column_stack([volume, energy, 2.0 * energy, np.ones(p.size)])
    noise = 1.0 + 1e-15 * np.random.default_rng(0).standard_normal((p.size, 4))
    for seed in range(2):
        for where in (None, places):
            options = {"seed": seed, "codes": codes, "coordinates": where}
            assert balanced(p, auxiliaries, **options).tolist() == balanced(p, auxiliaries * noise, **options).tolist()
