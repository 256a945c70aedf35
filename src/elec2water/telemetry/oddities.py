"""Readings that do not fit, and wells that stand elsewhere from some month on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elec2water.recursion import auxiliary_residuals
from elec2water.telemetry.variances import LevelVariances

Floats = NDArray[np.float64]

READING_LIMIT = 4.0
"""Standard deviations beyond which a reading hardly counts, or a well is taken to have moved."""
_ROUNDS = 6


@dataclass(frozen=True)
class Oddities:
    """What was found, (N, T) each, and the variances of movement and reading that allow for it."""

    moved: NDArray[np.bool_]
    doubtful: NDArray[np.bool_]
    movement: Floats
    noise: Floats


def find_oddities(own: Floats, v: LevelVariances, noise: Floats) -> Oddities:
    """Find single readings and lasting moves beyond four standard deviations, the gravest of a well first.

    Of each well the largest auxiliary residual is dealt with: a reading is made to count little, a move gets the
    variance of a new level. Wells in which something was found are looked at again, up to six times.

    Parameters
    ----------
    own : (N, T)
        ln κ less the path of the class.
    v : LevelVariances
    noise : (N, T)
        Variance of the readings.
    """
    moved, doubtful = np.zeros(own.shape, dtype=bool), np.zeros(own.shape, dtype=bool)
    movement, wide = np.full((own.shape[0], 1), v.movement), noise
    wells = np.arange(own.shape[0])
    for _ in range(_ROUNDS):
        found = auxiliary_residuals(own[wells], movement[wells], wide[wells], variance=v.level)
        reading, move = np.abs(np.nan_to_num(found.reading)), np.abs(np.nan_to_num(found.move))
        worst = np.maximum(reading.max(axis=1), move.max(axis=1))
        odd = np.flatnonzero(worst > READING_LIMIT)
        if not odd.size:
            break
        if movement.shape[1] == 1:
            movement, wide = np.tile(movement, own.shape[1]), noise.copy()
        lasting = move[odd].max(axis=1) > reading[odd].max(axis=1)
        at_move, at_reading = odd[lasting], odd[~lasting]
        month = move[at_move].argmax(axis=1)
        moved[wells[at_move], month] = True
        movement[wells[at_move], month] += v.level
        month = reading[at_reading].argmax(axis=1)
        doubtful[wells[at_reading], month] = True
        wide[wells[at_reading], month] *= (reading[at_reading, month] / READING_LIMIT) ** 4
        wells = wells[odd]
    return Oddities(moved, doubtful, movement, wide)
