"""What belongs to each sample well alone: its level and its wear at one moment, as the pairs tell them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from elec2water.coefficient.gaussian import Group, Rows, WellVariances, well_covariance
from elec2water.coefficient.posterior import Posterior

Floats = NDArray[np.float64]

OWN_EFFECTS = ("level", "wear")


@dataclass(frozen=True)
class OwnEffects:
    """Level and wear of every sample well at one moment, in ln κ, at the posterior mean of the variances.

    With the shared effects θ and the pairs' ``y = Xθ + own + ε`` they are the rest of one joint Gaussian: given θ an
    effect is the sum over the well's pairs of ``weight`` x (y - Xθ), with covariance ``given``.

    Attributes
    ----------
    mean : (W, 2)
        Posterior mean of ``OWN_EFFECTS``.
    covariance, given : (W, 2, 2)
        Posterior covariance, and that with θ known.
    weight : (R, 2)
    """

    mean: Floats
    covariance: Floats
    given: Floats
    weight: Floats


def own_effects(posterior: Posterior, times: Floats, pumps: NDArray[np.intp]) -> OwnEffects:
    """Give level and wear of the sample wells at ``times`` (W,) in years, with the pump they have then (W,)."""
    rows, variances = posterior.rows, posterior.typical
    residual, C = rows.y - rows.product(posterior.mean), posterior.covariance
    shape = rows.n_wells, len(OWN_EFFECTS)
    mean, given = np.zeros(shape), np.zeros((*shape, shape[1]))
    covariance, weight = np.zeros_like(given), np.zeros((rows.y.size, shape[1]))
    for group in posterior.groups:
        wells = group.wells
        cross = _with_pairs(group, rows, variances, times[wells], pumps[wells])
        told = np.asarray(np.linalg.solve(well_covariance(group, rows, variances), cross), dtype=np.float64)
        weight[group.rows] = told
        mean[wells] = np.einsum("wnk,wn->wk", told, residual[group.rows])
        given[wells] = -np.einsum("wnk,wnl->wkl", told, cross)
        given[wells, 0, 0] += variances.level * rows.level_scale[wells]
        given[wells, 1, 1] += variances.drift
        gain = _gain(group, rows, told)
        covariance[wells] = given[wells] + gain @ C @ gain.transpose(0, 2, 1)
    return OwnEffects(mean, covariance, given, weight)


def _with_pairs(group: Group, rows: Rows, variances: WellVariances, times: Floats, pumps: NDArray[np.intp]) -> Floats:
    """Covariance of each effect with the pairs of its well, (w, n, 2)."""
    lag, unseen = group.lag_to(times, pumps)
    level = (variances.level * rows.level_scale[group.wells])[:, None]
    alone = replace(variances, drift=0.0).path(lag, level, unseen)
    return np.stack([alone, variances.path(lag, np.zeros_like(level))], axis=2)


def _gain(group: Group, rows: Rows, weight: Floats) -> Floats:
    """Sum over the pairs of each well of its weights (w, n, 2) times what the pairs are of θ, (w, 2, p)."""
    a, b = rows.static.shape[1], rows.static.shape[1] + rows.moving.shape[1]
    gain = np.zeros((group.wells.size, weight.shape[2], rows.n_shared))
    gain[:, :, :a] = weight.sum(axis=1)[:, :, None] * rows.static[group.wells][:, None, :]
    gain[:, :, a:b] = np.einsum("wnk,wnm->wkm", weight, rows.moving[group.rows])
    place = np.arange(group.wells.size)[:, None]
    for k in range(weight.shape[2]):
        np.add.at(gain[:, k], (place, b + rows.cell[group.rows]), weight[:, :, k])
    return gain
