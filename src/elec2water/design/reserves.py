"""Reserve wells: the unchosen wells most like those drawn, in the order in which they step in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_CANDIDATES = 8
_APART = 1e3


@dataclass(frozen=True)
class Reserves:
    """Reserves of a sample, stratum by stratum.

    Attributes
    ----------
    rows : (R,) array of int
        Positions in the frame.
    stands_for : (R,) array of int
        Position of the drawn well that each is most like, and stands in for.
    order : (R,) array of int
        From 1 in each stratum.
    """

    rows: Integers
    stands_for: Integers
    order: Integers


def choose_reserves(features: Floats, codes: Integers, drawn: Integers, count: Integers) -> Reserves:
    """Choose reserves inside strata: for each drawn well in turn the most similar well left, then a second round.

    Parameters
    ----------
    features : (N, P) array
        Scaled so that distances along the columns weigh as they should.
    codes : (N,) array of int
        Stratum of each well, 0 … H−1.
    drawn : (n,) array of int
        Positions of the sample, in the order in which wells are served.
    count : (H,) array of int
        Reserves asked for in each stratum; fewer are given where fewer wells are left, none where none is drawn.

    Returns
    -------
    Reserves
    """
    served, order = _requests(codes, drawn, count)
    free = np.ones(codes.size, dtype=np.bool_)
    free[drawn] = False
    rows = np.full(served.size, -1, dtype=np.int64)
    extent = float(np.ptp(features, axis=0).max(initial=0.0)) or 1.0
    points = np.column_stack([features / extent, _APART * codes])
    waiting = np.arange(served.size)
    while waiting.size:
        candidates = _nearest_free(points, codes, np.flatnonzero(free), served[waiting])
        waiting = _grant(waiting, candidates, codes[served], rows, free)
    return Reserves(rows, served, order)


def _requests(codes: Integers, drawn: Integers, count: Integers) -> tuple[Integers, Integers]:
    """Return whom each reserve stands for and its order: strata in turn, wells as drawn, round by round."""
    sample = np.bincount(codes[drawn], minlength=count.size)
    left = np.bincount(codes, minlength=count.size) - sample
    asked = np.where(sample > 0, np.minimum(count, left), 0)
    by_stratum = drawn[np.argsort(codes[drawn], kind="stable")]
    first = np.cumsum(sample) - sample
    stratum = np.repeat(np.arange(count.size), asked)
    turn = np.arange(stratum.size) - np.repeat(np.cumsum(asked) - asked, asked)
    served = by_stratum[first[stratum] + turn % np.maximum(sample, 1)[stratum]]
    return served.astype(np.int64), (turn + 1).astype(np.int64)


def _nearest_free(points: Floats, codes: Integers, free: Integers, served: Integers) -> Integers:
    """Return the nearest free wells of the same stratum (m, k), -1 where there are not so many."""
    k = min(_CANDIDATES, free.size)
    found = np.asarray(cKDTree(points[free]).query(points[served], k=np.arange(1, k + 1))[1], dtype=np.int64)
    wells = free[found]
    return np.where(codes[wells] == codes[served][:, None], wells, -1)


def _grant(
    waiting: Integers, candidates: Integers, stratum: Integers, rows: Integers, free: NDArray[np.bool_]
) -> Integers:
    """Give every request in turn its nearest well that is still free.

    Return those that wait for other candidates: all of theirs have gone, or a request of their stratum before them
    waits.
    """
    unserved, blocked = [], set()
    for request, h, wells in zip(waiting.tolist(), stratum[waiting].tolist(), candidates.tolist(), strict=True):
        pick = -1 if h in blocked else next((well for well in wells if well >= 0 and free[well]), -1)
        if pick < 0:
            unserved.append(request)
            blocked.add(h)
        else:
            rows[request] = pick
            free[pick] = False
    return np.array(unserved, dtype=np.int64)
