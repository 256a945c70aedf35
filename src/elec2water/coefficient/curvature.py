"""How far ln κ bends with a rising head, learned from the pairs: pumps differ, and so do counties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from elec2water.coefficient.features import HEAD_CURVATURE, FeatureSpec
from elec2water.coefficient.gaussian import Rows
from elec2water.coefficient.posterior import Posterior, evidence, thinned
from elec2water.coefficient.shared import Layout

Floats = NDArray[np.float64]

_GRID = np.linspace(0.0, 2.0, 9)
_PRIOR = (0.7, 0.7)
_DIGITS = 3


def prior_weights() -> Floats:
    """Weights (9,) of curvatures from 0 to 2 before the pairs.

    Zero for pumps of variable speed or behind a throttle, whose efficiency stays (METHOD.md: η is the stable
    quantity). A pump of one speed with a shutoff head of 1.2 to 1.5 times the rated head, 15 to 30 % of the head in
    drawdown and friction, that began at 0.75 to 1.05 of its best flow, has 0.5 to 7, in the middle 2.
    """
    weight = np.exp(-0.5 * ((_GRID - _PRIOR[0]) / _PRIOR[1]) ** 2)
    return np.asarray(weight / weight.sum())


def learned_curvature(posterior: Posterior, movement: Floats, spec: FeatureSpec) -> float:
    """Posterior mean of the curvature of :meth:`FeatureSpec.bent` by the evidence of the pairs, at their own variances.

    Parameters
    ----------
    posterior : Posterior
        At ``spec``'s curvature; its robust weights and the mode of its variances are held.
    movement : (R,)
        ln head of every pair less the well's own, not bent; zero where unknown.
    spec : FeatureSpec

    Returns
    -------
    float
        Between 0 and 2; ``HEAD_CURVATURE`` where no water level moved.
    """
    if not movement.any():
        return HEAD_CURVATURE
    wells = thinned(posterior.sample.size)
    moved = movement[np.isin(posterior.rows.well, wells)]
    rows, layout = posterior.rows.take_wells(wells), posterior.layout
    tried = [replace(spec, head_curvature=float(c)) for c in _GRID]
    told = np.array([evidence(bent_rows(rows, layout, moved, one), posterior) for one in tried])
    weight = prior_weights() * np.exp(told - told.max())
    return round(float(weight @ _GRID / weight.sum()), _DIGITS)


def bent_rows(rows: Rows, layout: Layout, movement: Floats, spec: FeatureSpec) -> Rows:
    """Give the pairs with the head as ``spec`` bends its ``movement`` (R,)."""
    moving = rows.moving.copy()
    moving[:, layout.moving_names.index("level")] = spec.bent(movement)
    return replace(rows, moving=moving)
