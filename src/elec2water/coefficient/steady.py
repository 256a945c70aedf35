"""A steady load beside the pump, as the pairs of a sample well tell it.

Behind one meter stand the pump and whatever else is there: E = L + V/κ. Then V/E = κ (1 - L/E) is low in months of
little irrigation and high in months of much, year after year, and each spring looks like a new pump, each autumn like a
fault of the water meter. Both explanations are weighed by Bayes' rule: a load of any size, log-uniform, believed of one
well in ten, and a new pump at any month, at the rate at which pumps are replaced; whatever is believed of the load is
taken off what the well's readings are tested for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from elec2water.coefficient.gaussian import Group, Rows, group_wells
from elec2water.coefficient.innovations import Allowed
from elec2water.pairs import Measurements

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

BELIEVED = 0.1
"""Share of wells that are believed to have another steady load behind their meter before anything is read."""
SMALLEST = 0.003
"""Smallest load that is looked for, as a part of the well's usual electricity."""
REPLACED_A_YEAR, CHANGE_SD = 0.03, 0.35
"""Share of pumps replaced in a year, and the standard deviation of what that does to ln κ."""
_DAYS_A_MONTH = 365.25 / 12.0
_PARTS = np.geomspace(SMALLEST, 1.0, 80)
_MOST = 0.98
"""Part of a pair's electricity that a load can be at most, where water came."""
MONTHLY_REL_U = 0.1
"""Relative standard deviation of what a steady load takes from month to month."""
_LEAST_HAZARD = 1e-9
_LOADLESS = 2  # hypotheses without a load: as reckoned, and nothing taken off
_PORTION = 20_000  # elements of covariances at once, each of which comes once for every load of the grid
_WIDTH = 1.3
"""How much wider readings err than the variances say; what is believed must not hang on a single month."""


@dataclass(frozen=True)
class Taken:
    """What the meter of each pair took, (R,): ``usual`` of its well over its own, a day, and ``pumping``.

    ``usual`` is zero for a short test, which runs nothing but the pump; ``pumping`` is the share of the electricity
    from which its coefficient was reckoned. ``kwh`` is the usual electricity of a month at each pair's well [kWh].
    """

    usual: Floats
    pumping: Floats
    kwh: Floats

    @classmethod
    def of(cls, measured: Measurements, rows: Rows) -> Taken:
        """Take it from pairs and the rows of the regression made of them, in the same order."""
        meter = ~measured.test & (measured.days > 0)
        days = np.where(meter, measured.days, 0.0)
        kwh = np.where(meter, measured.energy_kwh, 0.0)
        total, length = (np.bincount(rows.well, by, rows.n_wells) for by in (kwh, days))
        daily = np.divide(total, length, out=np.zeros_like(total), where=length > 0)[rows.well]
        usual = np.divide(daily * days, kwh, out=np.zeros_like(kwh), where=kwh > 0)
        return cls(usual, measured.coefficient / np.exp(rows.y), _DAYS_A_MONTH * daily)


@dataclass(frozen=True)
class SteadyLoads:
    """Steady loads of sample wells that were looked at.

    Attributes
    ----------
    well : (K,)
        Place among the sample wells.
    probability : (K,)
        That there is such a load.
    kwh : (K,)
        What it takes in a month [kWh], if it is there.
    shift, spread, noise : (R,)
        What is to be added to ln κ of each pair of the rows: the mean of what is believed, the direction in which it
        is most uncertain, common to the pairs of a well and of the length of one standard deviation, and the variance
        of all else; zero for pairs of other wells.
    """

    well: Ints
    probability: Floats
    kwh: Floats
    shift: Floats
    spread: Floats
    noise: Floats

    @classmethod
    def none(cls, n_rows: int) -> SteadyLoads:
        """Give none at all."""
        return cls(np.zeros(0, dtype=np.intp), np.zeros(0), np.zeros(0), *(np.zeros(n_rows) for _ in range(3)))

    def without(self, wells: NDArray[np.bool_]) -> SteadyLoads:
        """Leave out some of the sample wells (W,); what is said of pairs stays."""
        kept = ~wells[self.well]
        return replace(self, well=self.well[kept], probability=self.probability[kept], kwh=self.kwh[kept])

    def table(self, sample_id: NDArray[np.object_]) -> pd.DataFrame:
        """Give ``well_id, kwh, probability`` of the wells that have one more likely than not."""
        kept = self.probability > 0.5
        return pd.DataFrame(
            {"well_id": sample_id[self.well[kept]], "kwh": self.kwh[kept], "probability": self.probability[kept]}
        )


def steady_loads(residual: Floats, allowed: Allowed, taken: Taken, wells: Ints) -> SteadyLoads:
    """Weigh a steady load against a new pump and against chance, for some sample wells.

    Parameters
    ----------
    residual : (R,)
        ``y - Xθ̂``.
    allowed : Allowed
        What residuals may do where nothing changed.
    taken : Taken
    wells : (K,)
        Sample wells in increasing order.
    """
    found = SteadyLoads.none(residual.size)
    probability, kwh = np.zeros(wells.size), np.zeros(wells.size)
    for group in group_wells(allowed.rows):
        places = np.flatnonzero(np.isin(group.wells, wells))
        size = places.size * group.time.shape[1] ** 2
        for place in np.array_split(places, -(-size // _PORTION)) if size else ():
            some = Group(
                group.wells[place], group.rows[place], group.time[place], group.pump[place], group.unread[place]
            )
            here = np.searchsorted(wells, some.wells)
            probability[here], part = _weigh(found, some, residual[some.rows], allowed, taken)
            kwh[here] = part * taken.kwh[some.rows[:, 0]]
    return replace(found, well=wells, probability=probability, kwh=kwh)


def _weigh(found: SteadyLoads, group: Group, residual: Floats, allowed: Allowed, taken: Taken) -> tuple[Floats, Floats]:
    """Note the shift and spread of the pairs of a group; its probabilities and parts of the usual electricity, (w,)."""
    shift, noise, possible = _shifts(group, taken)
    evidence = _evidence(_WIDTH**2 * allowed.covariance(group), residual[:, None, :] + shift, noise, group.time)
    prior = np.full(shift.shape[1], BELIEVED / _PARTS.size)
    prior[:_LOADLESS] = (1.0 - BELIEVED) / _LOADLESS
    ln_weight = np.where(possible, evidence + np.log(prior), -np.inf)
    weight = np.exp(ln_weight - special.logsumexp(ln_weight, axis=1, keepdims=True))
    mean = np.einsum("wk,wkn->wn", weight, shift)
    apart = np.sqrt(weight)[:, :, None] * (shift - mean[:, None, :])
    size, direction = np.linalg.eigh(np.einsum("wkn,wkm->wnm", apart, apart))
    spread = np.sqrt(np.maximum(size[:, -1:], 0.0)) * direction[:, :, -1]
    rest = np.maximum((apart**2).sum(axis=1) - spread**2, 0.0)
    found.shift[group.rows], found.spread[group.rows] = mean, spread
    found.noise[group.rows] = rest + np.einsum("wk,wkn->wn", weight, noise)
    of_load = weight[:, _LOADLESS:]
    probability = of_load.sum(axis=1)
    ln_part = of_load @ np.log(_PARTS[: of_load.shape[1]])
    return probability, np.exp(ln_part / np.maximum(probability, np.finfo(float).tiny))


def _shifts(group: Group, taken: Taken) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Give what each hypothesis adds to ln κ of the pairs and its variance, (w, 2 + K, n), and which are possible.

    All is as reckoned; nothing is to be taken off, not even what was reckoned for rest; each of K loads.
    """
    part = _PARTS[None, :, None] * taken.usual[group.rows][:, None, :]
    possible = np.asarray((part <= _MOST).all(axis=2))
    some = possible.any(axis=0)
    part, possible = np.minimum(part, _MOST)[:, some], possible[:, some]
    reckoned = np.where(taken.usual[group.rows] > 0, np.log(taken.pumping[group.rows]), 0.0)
    shift = reckoned[:, None, :] - np.log1p(-part)
    none = np.zeros((part.shape[0], 1, part.shape[2]))
    return (
        np.concatenate([none, reckoned[:, None, :], shift], axis=1),
        np.concatenate([none, none, (MONTHLY_REL_U * part / (1.0 - part)) ** 2], axis=1),
        np.concatenate([np.ones((part.shape[0], _LOADLESS), dtype=bool), possible], axis=1),
    )


def _evidence(covariance: Floats, residual: Floats, noise: Floats, time: Floats) -> Floats:
    """Ln likelihood (w, K) of residuals (w, K, n) but for a constant, a new pump at any of the pairs integrated out.

    ``covariance`` (w, n, n) has the variances ``noise`` (w, K, n) added. A change of unknown size d ~ N(0, τ²) from
    pair j on is a rank-one addition to it, whose likelihood follows from that without (Sherman & Morrison).
    """
    n = residual.shape[2]
    S = covariance[:, None] + noise[..., None] * np.eye(n)
    L = np.linalg.cholesky(S)
    whitened = np.linalg.solve(L, np.concatenate([residual[..., None], _after(n, residual.shape[:2])], axis=3))
    z, u = whitened[..., :1], whitened[..., 1:]
    length = 1.0 + CHANGE_SD**2 * (u**2).sum(axis=2)
    gain = 0.5 * (CHANGE_SD * (z * u).sum(axis=2)) ** 2 / length
    hazard = np.clip(REPLACED_A_YEAR * np.diff(time, axis=1), _LEAST_HAZARD, 0.5 / n)[:, None, :]
    changed = np.log(hazard) - 0.5 * np.log(length) + gain
    unchanged = np.broadcast_to(np.log1p(-hazard.sum(axis=2, keepdims=True)), (*changed.shape[:2], 1))
    either = special.logsumexp(np.concatenate([unchanged, changed], axis=2), axis=2)
    scale = np.log(np.diagonal(L, axis1=2, axis2=3)).sum(axis=2)
    return np.asarray(either - scale - 0.5 * (z[..., 0] ** 2).sum(axis=2))


def _after(n: int, shape: tuple[int, ...]) -> Floats:
    """Give a change from each pair but the first on, (*shape, n, n - 1)."""
    return np.broadcast_to(np.tril(np.ones((n, n)))[:, 1:], (*shape, n, n - 1))
