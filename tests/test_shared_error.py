"""Loadings of wells on the shared effects against the same written out, well by well and month by month."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dense
from elec2water.blocks import blocks
from elec2water.volume.shared_error import Loadings

P, Q, R, M, CELLS = 14, 3, 2, 3, 4


def loadings_of(seed, n=12, with_carry=True):
    """Random loadings: 3 dense effects, 5 of two factors, 2 moving, 4 aquifer-months; a few wells without a level."""
    rng = np.random.default_rng(seed)
    carry = np.eye(P)
    if with_carry:
        carry[8:10, 10:] = rng.normal(size=(2, CELLS))
    codes = np.column_stack([rng.integers(3, 6, n), rng.integers(6, 8, n)])
    codes[rng.random(codes.shape) < 0.2] = -1
    sample = np.sort(rng.permutation(n)[:4])
    return Loadings(
        dense=rng.normal(size=(n, Q)),
        dense_at=np.arange(Q),
        codes=codes,
        cells=rng.integers(10, 14, (n, M)),
        carry=carry,
        moving=rng.normal(size=(n, M, R)),
        moving_at=np.array([9, 8]),
        sample=sample,
        gain=rng.normal(size=(4, P)),
        size=P,
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_everything_equals_the_matrix_written_out(seed):
    loadings, rng = loadings_of(seed), np.random.default_rng(seed + 1)
    A, n = dense.loading_rows(loadings), loadings.dense.shape[0]
    theta, volume = rng.normal(size=P), rng.gamma(1.0, 100.0, (n, M))
    np.testing.assert_allclose(loadings.product(theta), A @ theta, atol=1e-10)
    domain = rng.integers(-1, 3, n)
    expected = [np.einsum("nm,nmp->p", volume[domain == g], A[domain == g]) for g in range(3)]
    np.testing.assert_allclose(loadings.domain_sums(volume, domain, 3), expected, atol=1e-8)
    matrix = rng.normal(size=(P, P))
    matrix = matrix @ matrix.T
    weight = volume / volume.sum(axis=1, keepdims=True)
    mean = np.einsum("nm,nmp->np", weight, A)
    np.testing.assert_allclose(loadings.quadratic(matrix, weight), np.einsum("ni,ij,nj->n", mean, matrix, mean))
    np.testing.assert_allclose(loadings.mean_rows(loadings.sample, weight[loadings.sample]), mean[loadings.sample])


def test_an_indefinite_matrix_is_a_quadratic_form_too():
    """The unbiasing matrix is no covariance."""
    loadings, rng = loadings_of(3), np.random.default_rng(3)
    matrix = rng.normal(size=(P, P))
    matrix += matrix.T
    weight = np.full((12, M), 1 / M)
    mean = dense.loading_rows(loadings).mean(axis=1)
    np.testing.assert_allclose(loadings.quadratic(matrix, weight), np.einsum("ni,ij,nj->n", mean, matrix, mean))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1_000), chosen=st.permutations(range(12)), count=st.integers(1, 12))
def test_taking_wells_takes_their_rows(seed, chosen, count):
    loadings = loadings_of(seed)
    wells = np.array(chosen[:count])
    A = dense.loading_rows(loadings)
    np.testing.assert_allclose(dense.loading_rows(loadings.take(wells)), A[wells])
    np.testing.assert_allclose(dense.loading_rows(loadings.take(slice(2, 9))), A[2:9])
    assert loadings.take(slice(None)) is loadings


def test_many_wells_go_through_in_portions(monkeypatch):
    loadings = loadings_of(5, n=40)
    weight, matrix = np.full((40, M), 1 / M), np.diag(np.arange(1.0, P + 1))
    whole = loadings.quadratic(matrix, weight)
    monkeypatch.setattr("elec2water.volume.shared_error.blocks", partial(blocks, rows=7))
    np.testing.assert_allclose(loadings.quadratic(matrix, weight), whole)


def test_a_well_outside_all_domains_adds_to_none():
    loadings = loadings_of(7)
    assert not loadings.domain_sums(np.ones((12, M)), np.full(12, -1), 2).any()


@pytest.mark.parametrize("field", ["codes", "cells"])
def test_arrays_of_the_caller_stay_as_they_were(field):
    loadings = loadings_of(8)
    before = replace(loadings, **{field: getattr(loadings, field).copy()})
    loadings.product(np.ones(P))
    loadings.domain_sums(np.ones((12, M)), np.zeros(12, dtype=np.intp), 1)
    loadings.quadratic(np.eye(P), np.full((12, M), 1 / M))
    np.testing.assert_array_equal(getattr(loadings, field), getattr(before, field))


def test_many_wells_of_few_kinds_are_summed_as_well_by_well(monkeypatch):
    """Two classes, one aquifer-month: six kinds of wells, summed kind by kind within each domain."""
    rng, n = np.random.default_rng(8), 40_000
    few = loadings_of(8, n=n)
    few = replace(few, codes=few.codes[rng.integers(0, 3, n)], cells=np.tile(few.cells[0], (n, 1)))
    volume, domain = rng.gamma(1.0, 100.0, (n, M)), rng.integers(-1, 5, n)
    by_kind = few.domain_sums(volume, domain, 5)
    monkeypatch.setattr("elec2water.volume.shared_error._WELLS_A_KIND", n)
    np.testing.assert_allclose(by_kind, few.domain_sums(volume, domain, 5), rtol=1e-11)
    A = dense.loading_rows(few)
    np.testing.assert_allclose(by_kind[2], np.einsum("nm,nmp->p", volume[domain == 2], A[domain == 2]), rtol=1e-9)
