"""Networks that go on: kept, extended and rotated with the probabilities that are stated."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from elec2water.design.allocation import inclusion_probabilities
from elec2water.design.coordination import coordinate, floors, sizes_above
from elec2water.design.draw import draw
from elec2water.design.network import Drawn, Network
from elec2water.design.random_draw import random_pps
from elec2water.errors import UsageError


def frame(seed=0, n=30, strata=2):
    rng = np.random.default_rng(seed)
    codes = np.sort(np.arange(n) % strata)
    size = rng.lognormal(0, 0.9, n)
    old, places = np.empty(n), rng.random((n, 2))
    for h in range(strata):
        old[codes == h] = inclusion_probabilities(size[codes == h], 4)
    grown = size * rng.lognormal(0, 0.3, n)
    return codes, old, grown, places


def renewed(codes, previous, grown, n_each, rotate, seed, method="random", places=None):
    network = np.zeros(codes.size, dtype=bool)
    network[random_pps(previous, codes, seed=seed)] = True
    target = sizes_above(grown, codes, n_each, floors(network & False, previous, rotate=rotate))
    plan = coordinate(target, codes, network, previous, rotate=rotate)
    hit = draw(plan.conditional, plan.codes, seed=seed, method=method, pools=plan.pools, coordinates=places)
    drawn = np.zeros(codes.size, dtype=bool)
    drawn[hit] = True
    return network, drawn, plan


@pytest.mark.parametrize(("rotate", "draws"), [(0.0, 700), (0.3, 900), (1.0, 700)])
def test_over_old_and_new_draws_the_probabilities_are_those_stated(rotate, draws):
    """The oracle is the definition: draw the old network, then the new one; count. New energies, a larger sample."""
    codes, old, grown, _ = frame()
    old = np.where(np.arange(codes.size) % 10 == 3, 0.0, old)
    count, kept, network_size, stated = np.zeros(codes.size), 0, 0, None
    for seed in range(draws):
        network, drawn, plan = renewed(codes, old, grown, np.array([6, 5]), rotate, seed)
        stated = plan.probability if stated is None else stated
        assert np.array_equal(stated, plan.probability)
        count += drawn
        kept += (network & drawn).sum()
        network_size += network.sum()
        if rotate == 0.0:
            assert (drawn | ~network).all()
    stay = coordinate(stated, codes, old > 0, old, rotate=rotate).conditional
    tail = 1e-4 / (2 * codes.size)
    low, high = stats.binom.ppf(tail, draws, stated), stats.binom.isf(tail, draws, stated)
    assert ((low <= count) & (count <= high)).all()
    assert kept / network_size == pytest.approx((old * stay).sum() / old.sum(), abs=0.015)
    assert np.median(stay[old > 0]) == pytest.approx(1 - rotate)


def test_the_size_is_nearly_the_one_asked_for():
    codes, old, grown, places = frame(n=200, strata=4)
    sizes = []
    for seed in range(60):
        _, drawn, _ = renewed(codes, old, grown, np.full(4, 8), 0.25, seed, "spatial", places)
        sizes.append(drawn.sum())
    assert np.mean(sizes) == pytest.approx(32, abs=0.5)
    assert np.ptp(sizes) <= 6


def test_chosen_wells_speak_for_themselves():
    codes = np.zeros(10, dtype=np.int64)
    network = np.arange(10) < 3
    previous = np.where(network, np.nan, np.nan)
    target = sizes_above(np.ones(10), codes, np.array([6]), floors(network, previous))
    plan = coordinate(target, codes, network, previous)
    assert plan.probability[:3].tolist() == [1.0, 1.0, 1.0]
    assert plan.probability[3:] == pytest.approx(3 / 7)
    assert np.array_equal(plan.conditional, plan.probability)
    rotated = coordinate(np.full(10, 0.5), codes, network, previous, rotate=0.4)
    assert rotated.probability[:3] == pytest.approx(0.6)


def test_a_stratum_full_of_chosen_wells_still_speaks_for_the_others():
    """Three wells chosen by hand, two asked for: the other seven keep half of what they would have without them."""
    network = np.arange(10) < 3
    p = sizes_above(np.ones(10), np.zeros(10, dtype=np.int64), np.array([2]), floors(network, np.full(10, np.nan)))
    assert p[:3].tolist() == [1.0, 1.0, 1.0]
    assert p[3:] == pytest.approx(0.1)


def test_a_certain_well_does_not_rotate_and_large_ones_rotate_less():
    codes, network = np.zeros(4, dtype=np.int64), np.array([True, True, True, False])
    previous = np.array([1.0, 0.9, 0.2, 0.2])
    plan = coordinate(np.array([1.0, 0.9, 0.2, 0.2]), codes, network, previous, rotate=0.5)
    assert plan.conditional[0] == 1.0
    assert plan.conditional[1] == pytest.approx(0.8 / 0.9)
    assert plan.conditional[2] == pytest.approx(0.5)
    assert plan.conditional[3] == pytest.approx((0.2 - 0.1) / 0.8)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_expectations_are_exact_and_probabilities_proper(seed, rotate):
    rng = np.random.default_rng(seed)
    n = 40
    previous = np.where(rng.random(n) < 0.2, 0.0, np.minimum(rng.beta(1, 2, n) * 1.4, 1.0))
    network = (previous > 0) & (rng.random(n) < 0.5)
    plan = coordinate(rng.random(n), np.zeros(n, dtype=np.int64), network, previous, rotate=rotate)
    stay = coordinate(plan.probability, plan.codes, previous > 0, previous, rotate=rotate).conditional
    enter = coordinate(plan.probability, plan.codes, network & False, previous, rotate=rotate).conditional
    assert previous * stay * (previous > 0) + (1 - previous) * enter == pytest.approx(plan.probability, abs=1e-12)
    assert ((plan.conditional >= 0) & (plan.conditional <= 1)).all()
    assert (plan.probability >= floors(network, previous, rotate=rotate) - 1e-12).all()


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000))
def test_sizes_above_floors_sum_to_the_sample(seed):
    rng = np.random.default_rng(seed)
    codes = np.sort(np.concatenate([np.arange(3), rng.integers(0, 3, 27)]))
    size, floor = rng.lognormal(0, 1, 30), np.where(rng.random(30) < 0.3, rng.random(30), 0.0)
    n = np.array([rng.integers(1, (codes == h).sum() + 1) for h in range(3)])
    p, without = sizes_above(size, codes, n, floor), sizes_above(size, codes, n, np.zeros(30))
    for h in range(3):
        inside = codes == h
        least = np.maximum(floor, 0.5 * without)[inside]
        assert p[inside].sum() == pytest.approx(max(n[h], least.sum()))
        assert (p[inside] >= least - 1e-12).all()
        free = inside & (p > np.maximum(floor, 0.5 * without) + 1e-12) & (p < 1)
        if free.sum() > 1:
            assert np.ptp(p[free] / size[free]) < 1e-9 * (p[free] / size[free]).max()
    for h in range(3):
        assert without[codes == h] == pytest.approx(inclusion_probabilities(size[codes == h], n[h]), abs=1e-9)


def test_wrong_arguments_are_named():
    codes, network = np.zeros(3, dtype=np.int64), np.array([True, False, False])
    with pytest.raises(UsageError, match="rotate"):
        coordinate(np.full(3, 0.5), codes, network, np.full(3, 0.5), rotate=1.5)
    with pytest.raises(UsageError, match="existing network"):
        coordinate(np.full(3, 0.5), codes, network, np.zeros(3))
    with pytest.raises(UsageError, match="shape"):
        floors(network, np.zeros(2))


def test_a_network_raises_minima_and_says_what_it_takes():
    ids = pd.Series([f"{i:02d}" for i in range(10)], dtype="str")
    codes = np.repeat([0, 1], 5)
    chosen = Network.chosen(["00", "01", "02", "gone"])
    assert chosen.minimum(ids, codes, np.array([2, 2])).tolist() == [4, 2]
    drawn = Network(("00", "05"), pd.Series(0.7, index=ids))
    assert drawn.minimum(ids, codes, np.array([2, 2])).tolist() == [4, 4]
    assert Network(("00",), pd.Series(0.7, index=ids), 0.5).minimum(ids, codes, np.array([1, 1])).tolist() == [2, 2]
    probability = np.where(codes == 0, 0.8, 0.4)
    found = chosen.findings(ids, codes, ("浅层", "深层"), Drawn(probability, 7), np.array([3, 2]), "zh")
    assert found.of(rule="DESIGN_NETWORK_UNKNOWN_PROBABILITY").frame["well_id"].tolist() == ["00", "01", "02"]
    assert found.of(rule="DESIGN_NETWORK_LARGER").frame["observed"].tolist() == ["浅层"]
    assert "样本为 7 眼，多于要求的 5 眼" in found.of(rule="DESIGN_NETWORK_ABOVE_N").frame["message"].iloc[0]
