"""Networks that go on: existing sample wells are kept, or a stated share of them rotates, with exact probabilities.

Let π¹ be the probability with which each well of the frame came into the existing network, and π that of the new one.
A well of the network stays with probability r, another comes in with probability q,

    q = (π − π¹ r) / (1 − π¹),    so that    Pr(in the new network) = π¹ r + (1 − π¹) q = π

whatever design drew the old network: only its first-order probabilities are needed. With r = 1 the network is
extended, with r = 1 − ρ a share ρ rotates out. Large π¹ and π leave less to rotate: r ≥ (π¹ + π − 1)/π¹ keeps q ≤ 1 (a
well that is certain stays). Nothing is dropped beyond the rotation: π ≥ (1 − ρ) π¹.

A well of the network whose probability nobody knows (a typical well that was chosen, not drawn) speaks for itself
alone: π¹ = 1. It is then a fact of the frame, and the wells that are drawn beside it estimate the others without bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elec2water.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Booleans: TypeAlias = NDArray[np.bool_]

_HALVINGS = 100
_LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Coordination:
    """How a new network is drawn from an old one.

    Attributes
    ----------
    probability : (N,) array
        Inclusion probability of every well under the new design, old network and all: what is stated, and whose inverse
        is the weight.
    conditional : (N,) array
        Probability to be drawn with now that the old network is what it is; its expectation is `probability`.
    codes : (N,) array of int
        Strata to draw in: those given, the network's wells apart from the others.
    pools : tuple of (N,) arrays of int
        Where left-overs are settled next: the network's wells of all strata, and the others.
    """

    probability: Floats
    conditional: Floats
    codes: Integers
    pools: tuple[Integers, ...]


def floors(in_network: Booleans, previous: ArrayLike, *, rotate: float = 0.0) -> Floats:
    """Least inclusion probability of each well under the new design: what the kept part of the network implies.

    Parameters
    ----------
    in_network : (N,) array of bool
    previous : (N,) array
        π¹ of each well: zero for wells that were not in the old frame, NaN where nobody knows.
    rotate : float
        Share of the network that rotates out, in [0, 1].

    Returns
    -------
    (N,) array
        (1 − rotate) π¹.
    """
    return (1.0 - rotate) * _known_previous(in_network, previous)


def coordinate(
    target: Floats, codes: Integers, in_network: Booleans, previous: ArrayLike, *, rotate: float = 0.0
) -> Coordination:
    """Extend a network, or rotate a share of it, to new inclusion probabilities.

    Parameters
    ----------
    target : (N,) array
        Inclusion probabilities wanted, at least :func:`floors`; see :func:`sizes_above`. Lower ones are raised.
    codes : (N,) array of int
        Stratum of each well.
    in_network : (N,) array of bool
        Whether the well is in the existing network.
    previous : (N,) array
        π¹ of each well of the frame, in the network or not: zero where it was not in the old frame, NaN where nobody
        knows.
    rotate : float
        Share of the network that rotates out, in [0, 1]. Wells that left may come back at the next rotation, not at
        this one.

    Returns
    -------
    Coordination
        Its sample has the size Σ `conditional`, rounded down or up: the sum of the targets on average, and nearly so in
        every case.

    Raises
    ------
    UsageError
        If `rotate` or a probability is outside [0, 1], or a well of the network has probability zero.
    """
    if not 0.0 <= rotate <= 1.0:
        raise UsageError(f"design: the share to rotate must lie between 0 and 1, found {rotate}")
    old = _known_previous(in_network, previous)
    probability = np.clip(np.maximum(target, (1.0 - rotate) * old), 0.0, 1.0)
    known = np.where(old > 0, old, 1.0)
    stay = np.clip(
        1.0 - rotate, np.maximum((old + probability - 1.0) / known, 0.0), np.minimum(probability / known, 1.0)
    )
    others = 1.0 - old
    enter = np.divide(probability - old * stay, others, out=np.zeros_like(others), where=others > 0)
    network = in_network.astype(np.int64)
    return Coordination(
        probability=probability,
        conditional=np.where(in_network, stay, np.clip(enter, 0.0, 1.0)),
        codes=2 * codes + network,
        pools=(network,),
    )


def sizes_above(size: Floats, codes: Integers, n: Integers, floor: Floats) -> Floats:
    """Inclusion probabilities proportional to size, none below its floor, that sum to the sample size of each stratum.

    π = max(floor, min(1, c size)) with the c of each stratum that gives its size. Wells of the old network speak for
    themselves only as their floors say, so every well keeps at least half the probability that it would have without
    the network: a stratum whose floors leave less room gets a larger sample than asked for.

    Parameters
    ----------
    size : (N,) array
        Positive.
    codes : (N,) array of int
        Stratum of each well, 0 … H−1.
    n : (H,) array of int
        Sample sizes, at least 1, at most the wells of the stratum.
    floor : (N,) array
        In [0, 1].

    Returns
    -------
    (N,) array
        Positive.
    """
    without = _proportional(size, codes, n, np.zeros(size.size))
    return _proportional(size, codes, n, np.maximum(floor, _LEAST_SHARE * without))


def _proportional(size: Floats, codes: Integers, n: Integers, floor: Floats) -> Floats:
    """Find the scale of each stratum by halving; strata whose floors sum to more than their size stay at them."""
    wanted = n.astype(np.float64)
    least = np.full(n.size, np.inf)
    np.minimum.at(least, codes, size)
    low, high = np.zeros(n.size), np.where(np.isfinite(least), 1.0 / least, 1.0)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        reached = np.bincount(codes, _above(size, codes, middle, floor), n.size) >= wanted
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    met = np.bincount(codes, floor, n.size) < wanted
    return np.where(met[codes], _above(size, codes, high, floor), floor)


def _above(size: Floats, codes: Integers, scale: Floats, floor: Floats) -> Floats:
    return np.maximum(floor, np.minimum(1.0, scale[codes] * size))


def _known_previous(in_network: Booleans, previous: ArrayLike) -> Floats:
    """Return π¹, one for wells of the network whose probability nobody knows and zero for such wells outside it."""
    given = np.asarray(previous, dtype=np.float64)
    if given.shape != in_network.shape:
        raise UsageError(f"design: previous probabilities have shape {given.shape}, the frame {in_network.shape}")
    old = np.where(np.isnan(given), np.where(in_network, 1.0, 0.0), given)
    wrong = ~((old >= 0) & (old <= 1)) | (in_network & (old == 0))
    if wrong.any():
        raise UsageError(
            f"design: {int(wrong.sum())} probabilities of the existing network are not in (0, 1], first {old[wrong][0]}"
        )
    return old
