"""The credibility model behind imputation: level of a well, spread of a class-month, share of zeros."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from elec2water.energy.arrays import Bools, Floats, Ints
from elec2water.energy.movement import Movement
from elec2water.sums import membership

PRIOR_CELLS = 10.0
"""Weight of the whole county in the spread and the zero share of a class-month, as a number of well-months."""
_PRIOR_ZEROS = 2.0
_ROUNDS = 3
_SPREAD_BOUNDS = (1e-3, 1e3)
_LEVEL_BOUNDS = (1e-2, 20.0)


@dataclass(frozen=True, slots=True, eq=False)
class CredibilityModel:
    """Fitted to the energies of N wells in M months and G classes.

    Attributes
    ----------
    effect : numpy.ndarray, shape (N, M)
        Class-month effect of each well-month.
    spread : numpy.ndarray, shape (N, M)
        Relative variance c of a well-month around level × effect.
    mean, level_variance : numpy.ndarray, shape (N, M)
        Level × effect and the relative variance v of the level, both from the well's other months.
    zero_share : numpy.ndarray, shape (N, M)
        Probability of no energy at all, from the class-month and the well's other months.
    """

    effect: Floats
    spread: Floats
    mean: Floats
    level_variance: Floats
    zero_share: Floats

    @property
    def variance(self) -> Floats:
        """Predictive variance μ²(c(1 + v) + v), shape (N, M)."""
        v = self.level_variance
        return np.asarray(self.mean**2 * (self.spread * (1.0 + v) + v))

    def like(self, month: Ints, read: Ints) -> CredibilityModel:
        """Draw the spread and the zeros of months in which few wells were read, ``read`` (M,), to another's (M,)."""
        own = read / (read + PRIOR_CELLS)
        return replace(
            self,
            spread=own * self.spread + (1.0 - own) * self.spread[:, month],
            zero_share=own * self.zero_share + (1.0 - own) * self.zero_share[:, month],
        )


def fit_credibility(energy: Floats, movement: Movement, factor: Floats | None = None) -> CredibilityModel:
    """Fit levels and spreads by turns.

    Parameters
    ----------
    energy : numpy.ndarray, shape (N, M)
        Non-negative, NaN where unknown; in units in which wells of a class are alike (kWh, or kWh per kW).
    movement : Movement
        Its class-month effects.
    factor : numpy.ndarray, shape (N, M), optional
        What the neighbourhood adds to the effect; 1 by default.

    Returns
    -------
    CredibilityModel
    """
    seen = np.isfinite(energy)
    effect = movement.of_wells if factor is None else movement.of_wells * factor
    sums = membership(movement.group, len(movement.profile))
    usual = _class_mean(np.nan_to_num(movement.level), np.isfinite(movement.level), sums)[movement.group]
    known = np.where(seen, energy, 0.0)
    spread = np.ones_like(effect)
    for _ in range(_ROUNDS):
        dispersion = _dispersion(spread, seen, effect, sums)[movement.group]
        between = _between_wells(movement, usual, seen * effect / dispersion[:, None], sums)
        mean, level_variance = _from_other_months(known, seen, effect, dispersion, usual, between)
        spread = _spread(known, seen, mean, level_variance, sums)[movement.group]
    zero_share = _zero_share(seen & (energy == 0), seen, sums, movement)
    return CredibilityModel(effect, spread, mean, level_variance, zero_share)


def _from_other_months(
    known: Floats, seen: Bools, effect: Floats, dispersion: Floats, usual: Floats, between: Floats
) -> tuple[Floats, Floats]:
    """Credibility mean of the level from every month but the one predicted, times its effect."""
    weight = seen * effect / dispersion[:, None]
    evidence = known / dispersion[:, None]
    prior = 1.0 / between[:, None]
    others = weight.sum(axis=1, keepdims=True) - weight + prior
    level = (evidence.sum(axis=1, keepdims=True) - evidence + prior * usual[:, None]) / others
    return np.maximum(level, 0.0) * effect, 1.0 / others


def _dispersion(spread: Floats, seen: Bools, effect: Floats, sums: sparse.csc_array) -> Floats:
    """Give the φ of each class for which φ / effect is on average the relative variance of a well-month; shape (G,).

    Months weigh by their effect and not by 1 / c: months with an outlier have a large c, and to discount them would
    make every level too low.
    """
    weighed = np.where(seen, effect, 0.0)
    total, weight = sums @ (weighed * effect * spread).sum(axis=1), sums @ weighed.sum(axis=1)
    ratio = np.divide(total, weight, out=np.ones(len(total)), where=weight > 0)
    return np.asarray(np.clip(ratio, *_SPREAD_BOUNDS))


def _between_wells(movement: Movement, usual: Floats, weight: Floats, sums: sparse.csc_array) -> Floats:
    """Relative variance of the levels of a class, the noise of estimating them taken off; per well."""
    known = np.isfinite(movement.level) & (usual > 0)
    ratio = np.where(known, movement.level / np.where(usual > 0, usual, 1.0), 1.0)
    noise = np.where(known, 1.0 / np.maximum(weight.sum(axis=1), _SPREAD_BOUNDS[0]), 0.0)
    total = _class_mean((ratio - 1.0) ** 2, known, sums)
    sampling = _class_mean(noise, known, sums)
    return np.asarray(np.clip((total - sampling) / (1.0 + sampling), *_LEVEL_BOUNDS)[movement.group])


def _spread(known: Floats, seen: Bools, mean: Floats, level_variance: Floats, sums: sparse.csc_array) -> Floats:
    """Relative variance c of class-months from squared residuals, shape (G, M), drawn towards the county's."""
    square = np.where(seen, mean**2, 0.0)
    excess = np.where(seen, (known - mean) ** 2, 0.0) - square * level_variance
    weight = square * (1.0 + level_variance)
    county = np.divide(excess.sum(axis=0), weight.sum(axis=0), out=np.ones(mean.shape[1]), where=weight.sum(axis=0) > 0)
    counts = sums @ seen.astype(np.float64)
    class_excess, class_weight = sums @ excess, sums @ weight
    pseudo = PRIOR_CELLS * np.divide(class_weight, counts, out=np.zeros_like(counts), where=counts > 0)
    total = class_weight + pseudo
    centre = np.broadcast_to(county, total.shape)
    spread = np.divide(class_excess + pseudo * centre, total, out=np.array(centre), where=total > 0)
    return np.asarray(np.clip(spread, *_SPREAD_BOUNDS))


def _zero_share(zero: Bools, seen: Bools, sums: sparse.csc_array, movement: Movement) -> Floats:
    """Odds of the class-month times how much more often than expected the well's other months are zero."""
    counts = sums @ seen.astype(np.float64)
    county = zero.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    share = (sums @ zero.astype(np.float64) + PRIOR_CELLS * county) / (counts + PRIOR_CELLS)
    expected = np.where(seen, share[movement.group], 0.0)
    observed = zero.astype(np.float64)
    more_often = (observed.sum(axis=1, keepdims=True) - observed + _PRIOR_ZEROS) / (
        expected.sum(axis=1, keepdims=True) - expected + _PRIOR_ZEROS
    )
    odds = (share / np.maximum(1.0 - share, 1e-6))[movement.group] * more_often
    return np.asarray(odds / (1.0 + odds))


def _class_mean(value: Floats, counted: Bools, sums: sparse.csc_array) -> Floats:
    """Mean by class, drawn towards the county's mean; shape (G,)."""
    total = sums @ np.where(counted, value, 0.0)
    count = sums @ counted.astype(np.float64)
    county = total.sum() / max(float(count.sum()), 1.0)
    return np.asarray((total + PRIOR_CELLS * county) / (count + PRIOR_CELLS))
