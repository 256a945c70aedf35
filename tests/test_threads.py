"""Numbers are made with one thread of BLAS, whoever asks for them; afterwards there are as many as before."""

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from core_kit import small_case
from county_kit import county, write
from elec2water.coefficient import fit_coefficient
from elec2water.county import read_project
from elec2water.planning import plan_sample
from elec2water.threads import one_thread
from elec2water.validation import validate_coefficient


def threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(limits=2, user_api="blas"):
        if threads() != {2}:
            pytest.skip("this BLAS has no threads to limit")
        yield


@pytest.fixture
def case():
    return small_case(40, 8, 2)


def fit(case, tell):
    return fit_coefficient(case.pairs, case.wells, case.water_levels, energy=case.energy, progress=tell)


def update(case, tell):
    first = replace(case, pairs=case.pairs[case.pairs["start"] < case.pairs["start"].median()]).fit()
    first.update(case.pairs, case.wells, case.water_levels, energy=case.energy, progress=tell)


def validate(case, tell):
    validate_coefficient(case.pairs, case.wells, case.water_levels, energy=case.energy, folds=2, progress=tell)


@pytest.mark.parametrize("make", [fit, update, validate])
def test_what_a_notebook_calls_works_with_one_thread(case, make):
    seen = []
    make(case, lambda _: seen.append(threads()))
    assert seen
    assert all(found == {1} for found in seen)
    assert threads() == {2}


def test_a_design_works_with_one_thread(tmp_path):
    known = read_project(write(tmp_path / "county", county()))
    seen = []
    plan_sample(known, n=6, seed=1, progress=lambda _: seen.append(threads()))
    assert seen
    assert all(found == {1} for found in seen)


def test_volumes_of_a_notebook_have_the_bytes_of_the_batch_job(case):
    coefficient = case.fit()
    alone = one_thread(lambda: case.volume(coefficient).total("township"))()
    given = case.volume(coefficient).total("township")
    for name in ("volume_m3", "se_m3", "lower_m3", "upper_m3"):
        np.testing.assert_array_equal(getattr(given, name), getattr(alone, name))


def test_threads_come_back_after_a_failure():
    @one_thread
    def fails():
        assert threads() == {1}
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails()
    assert threads() == {2}
