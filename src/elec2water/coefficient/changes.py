"""Wells whose readings broke with their past: found, named, and kept from moving their class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import month_of
from elec2water.coefficient.equipment import (
    FAULT_OVER,
    FAULT_VARIANCE,
    LOW_WATER,
    MULTIPLIER,
    NEW_PUMP,
    OTHER_LOAD,
    WATER_METER,
    WEAR,
    Equipment,
)
from elec2water.coefficient.gaussian import Rows
from elec2water.coefficient.innovations import OWN_SLOPE_SD, Alarms, Allowed, Limits, lone_outliers, scan
from elec2water.coefficient.posterior import Posterior
from elec2water.coefficient.rows import pair_moments
from elec2water.coefficient.steady import SteadyLoads, Taken, steady_loads
from elec2water.pairs import Measurements

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_MULTIPLIERS = np.array([2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0])
_CLOSE = 0.10
_LARGE_FALL, _LARGE_RISE, _MULTIPLIED = -0.35, 0.60, 0.6
_SHARE_BY_ENERGY = 0.5
_ANOMALY_SEEN = 2.0
_NO_WEIGHT = 1e6
_WAY_BACK = 0.5
_HIGHER = 0.01
_STEEPEST = 6.0
"""Fall of ln κ for a rise of ln head at the end of a pump's curve; a greater one has another cause."""
_ROUNDS = 4


@dataclass(frozen=True)
class Changes:
    """Changes of wells, one row each, sorted by well.

    ``well`` (K,) places among the sample wells; ``row`` and ``found`` (K,) the first pair after the change and the one
    that showed it; ``step`` (K,) in ln κ, NaN for a slow drift; ``z`` (K,) standard deviations or cumulative sum;
    ``candidate`` (K,).
    """

    well: Ints
    row: Ints
    found: Ints
    step: Floats
    z: Floats
    candidate: NDArray[np.object_]

    @property
    def sudden(self) -> NDArray[np.bool_]:
        """(K,) True for a step, False for a slow drift."""
        return np.isfinite(self.step)

    def take(self, kept: NDArray[np.generic]) -> Changes:
        """Keep some."""
        return Changes(*(getattr(self, name)[kept] for name in ("well", "row", "found", "step", "z", "candidate")))

    @classmethod
    def none(cls) -> Changes:
        """Give no change."""
        place, size = np.zeros(0, dtype=np.intp), np.zeros(0)
        return cls(place, place, place, size, size, np.zeros(0, dtype=object))

    def joined(self, other: Changes) -> Changes:
        """Join two, by pair."""
        names = ("well", "row", "found", "step", "z", "candidate")
        both = Changes(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))
        return both.take(np.argsort(both.row, kind="stable"))

    def table(self, sample_id: NDArray[np.object_], moments: NDArray[np.datetime64]) -> pd.DataFrame:
        """Give ``well_id, since, found, candidate, step, z``; ``moments`` (R,) are those of the pairs."""
        month = month_of(moments).astype(str).astype(object)
        return pd.DataFrame(
            {
                "well_id": sample_id[self.well],
                "since": month[self.row],
                "found": month[self.found],
                "candidate": self.candidate,
                "step": self.step,
                "z": self.z,
            }
        )


@dataclass(frozen=True)
class Found:
    """Changes of wells, and the steady loads beside the pump that explain what would else have been called changes."""

    changes: Changes
    loads: SteadyLoads


def find_changes(posterior: Posterior, measured: Measurements, limits: Limits) -> Found:
    """Look for breaks and drifts in the innovations of every sample well.

    The class's part is the posterior's, which robust weights have kept from following a single well. A well that looks
    changed is looked at again without what a steady load beside its pump explains.

    Parameters
    ----------
    posterior : Posterior
    measured : Measurements
        The pairs of its rows.
    limits : Limits
    """
    rows = replace(posterior.plain_rows, level_scale=posterior.rows.level_scale)
    # A wrong reading would make the next, right one look like a change.
    residual = rows.y - rows.product(posterior.mean)
    wrong = lone_outliers(rows, residual, posterior.impossible_pairs)
    faulty = rows.extra > 0.5 * FAULT_VARIANCE
    # What a fault does is common to its pairs, so that the next change of such a well can still be seen.
    extra = np.where(faulty, 0.0, rows.extra)
    rows = replace(rows, scale=np.where(wrong, _NO_WEIGHT * rows.scale, rows.scale), extra=extra)
    layout = posterior.layout
    common = np.diag(posterior.covariance)[layout.cells_start :][rows.cell]
    anomaly, level = (rows.moving[:, layout.moving_names.index(name)] for name in ("energy_anomaly", "level"))
    own = (OWN_SLOPE_SD * level, np.sqrt(FAULT_VARIANCE) * faulty)
    allowed = Allowed(rows, posterior.typical, common, own)
    alarms = scan(residual, allowed, limits)
    loads = SteadyLoads.none(rows.y.size)
    if alarms.any.any():
        loads = steady_loads(residual, allowed, Taken.of(measured, rows), np.flatnonzero(alarms.any))
        rows = replace(rows, extra=rows.extra + loads.noise)
        allowed = replace(allowed, rows=rows, own=(*own, loads.spread))
        alarms = scan(residual + loads.shift, allowed, limits)
        loads = loads.without(alarms.any)
    changes = _changes(alarms, rows, anomaly, level)
    return Found(_over(changes, rows, residual, faulty), loads)


def _changes(alarms: Alarms, rows: Rows, anomaly: Floats, level: Floats) -> Changes:
    stepped = np.flatnonzero(alarms.step_row >= 0)
    drifted = np.flatnonzero((alarms.drift_row >= 0) & (alarms.step_row < 0))
    steps = Changes(
        stepped,
        alarms.step_row[stepped],
        alarms.step_found[stepped],
        alarms.step[stepped],
        alarms.step_z[stepped],
        _named(alarms, stepped, rows, anomaly, level),
    )
    return steps.joined(_drifts(alarms, drifted))


def _over(changes: Changes, rows: Rows, residual: Floats, faulty: NDArray[np.bool_]) -> Changes:
    """Call a change that takes a well more than half of the way back from a fault what it is: the fault is over."""
    candidate = changes.candidate.copy()
    for k in np.flatnonzero(changes.sudden):
        mine = slice(*np.searchsorted(rows.well, [changes.well[k], changes.well[k] + 1]))
        before, after = np.arange(mine.start, changes.row[k]), np.arange(changes.row[k], mine.stop)
        if before.size and faulty[before[-1]] and not faulty[before].all():
            usual = residual[before[~faulty[before]]].mean()
            during = residual[before[faulty[before]]].mean()
            if abs(residual[after].mean() - usual) < _WAY_BACK * abs(during - usual):
                candidate[k] = FAULT_OVER
    return replace(changes, candidate=candidate)


def _drifts(alarms: Alarms, drifted: Ints) -> Changes:
    total = alarms.drift_sum[drifted]
    named = np.where(total > 0, WATER_METER, WEAR).astype(object)
    none = np.full(drifted.size, np.nan)
    return Changes(drifted, alarms.drift_row[drifted], alarms.drift_found[drifted], none, total, named)


def _named(alarms: Alarms, wells: Ints, rows: Rows, anomaly: Floats, level: Floats) -> NDArray[np.object_]:
    """Name the likeliest cause from the size of the step and what the electricity and the water did meanwhile."""
    step = alarms.step[wells]
    more = np.array([_energy_rise(rows, anomaly, alarms.step_row[w], w) for w in wells])
    near = np.abs(np.abs(step)[:, None] - np.log(_MULTIPLIERS)[None, :]).min(axis=1) < _CLOSE
    name = np.full(wells.size, NEW_PUMP, dtype=object)
    name[(step < _LARGE_FALL) | (step > _LARGE_RISE)] = WATER_METER
    name[(step < _LARGE_FALL) & (more > -_SHARE_BY_ENERGY * step)] = OTHER_LOAD
    # A multiplier is in the electricity of the readings too; where they stand as they were, the water was misread.
    told = np.array([bool(anomaly[slice(*np.searchsorted(rows.well, [w, w + 1]))].any()) for w in wells], dtype=bool)
    moved = ~told | (-more * np.sign(step) > _SHARE_BY_ENERGY * np.minimum(np.abs(step), _ANOMALY_SEEN))
    name[near & (np.abs(step) > _MULTIPLIED) & moved] = MULTIPLIER
    # Near the end of its curve a pump gives less than its head tells; no meter has to be wrong for that.
    higher = np.array([_higher_than_ever(rows, level, alarms.step_row[w], w) for w in wells])
    name[(higher > _HIGHER) & (step < 0.0) & (-step < _STEEPEST * higher) & (name != MULTIPLIER)] = LOW_WATER
    return name


def _higher_than_ever(rows: Rows, level: Floats, row: int, well: int) -> float:
    """Give by how much in ln head the pump had to lift higher in the pairs since ``row`` than in any before."""
    first, last = np.searchsorted(rows.well, [well, well + 1])
    before, after = level[first:row], level[row:last]
    return float(after.mean() - before.max()) if before.size and after.size else 0.0


def _energy_rise(rows: Rows, anomaly: Floats, row: int, well: int) -> float:
    """Rise of ln energy, against its usual and its aquifer's month, of the pairs since ``row`` over those before."""
    first, last = np.searchsorted(rows.well, [well, well + 1])
    before, after = anomaly[first:row], anomaly[row:last]
    return float(after.mean() - before.mean()) if before.size and after.size else 0.0


def detected_pumps(changes: Changes, sample_id: NDArray[np.object_], moments: NDArray[np.datetime64]) -> Equipment:
    """Give sudden changes as changes of equipment, dated at the first day of the month in which they showed."""
    sudden = changes.take(changes.sudden)
    since = month_of(moments[sudden.row]).astype("datetime64[s]")
    shown = np.ones(sudden.well.size, dtype=bool)
    return Equipment.none().adding(Equipment(sample_id[sudden.well], since, shown, sudden.candidate))


def watched(equipment: Equipment, anchor: np.datetime64) -> Equipment:
    """Give the changes that stand whatever the readings since ``anchor`` say."""
    kept = ~(equipment.detected & (equipment.date >= anchor))
    return equipment.take(kept)


@dataclass(frozen=True)
class Seen:
    """A posterior with the changes of wells that it takes for granted, and the steady loads that are none."""

    posterior: Posterior
    equipment: Equipment
    changes: Changes
    loads: SteadyLoads


def see_changes(
    posterior_with: Callable[[Equipment], Posterior],
    equipment: Equipment,
    sample_id: NDArray[np.object_],
    measured: Measurements,
    limits: Limits,
    since: np.datetime64,
) -> Seen:
    """Look for changes and reset the wells that have them, until there is none more: one change can hide another.

    What is found depends on the pairs alone, not on the order in which they came.

    Parameters
    ----------
    posterior_with : callable
        Gives the posterior of all pairs with some equipment.
    equipment : Equipment
        What is known before.
    sample_id : (W,)
        Of sample wells.
    measured : Measurements
        The pairs, R of them.
    limits : Limits
    since : datetime64
        From when on a change resets its well; earlier ones are told only.
    """
    known, posterior = Changes.none(), posterior_with(equipment)
    moments = pair_moments(measured, posterior.layout)
    found = find_changes(posterior, measured, limits)
    for _ in range(_ROUNDS):
        late = found.changes.sudden & (moments[found.changes.row] >= since)
        if not late.any():
            break
        known = known.joined(found.changes.take(late))
        more = equipment.adding(detected_pumps(found.changes.take(late), sample_id, moments))
        if more is equipment:
            break
        equipment = more
        posterior = posterior_with(equipment)
        found = find_changes(posterior, measured, limits)
    late = found.changes.sudden & (moments[found.changes.row] >= since)
    return Seen(posterior, equipment, known.joined(found.changes.take(~late)), found.loads)
