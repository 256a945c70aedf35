"""What every way of drawing needs: probabilities that are fit, random numbers from a text, the systematic draw."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from elec2water.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_ROUNDING = 1e-10


def checked_probability(probability: Floats, values: Floats | None, codes: Integers | None) -> Floats:
    """Return the probabilities, once they, the columns beside them and the strata are fit to be drawn with.

    Raises
    ------
    UsageError
        If a probability is outside [0, 1], a value is not finite, or shapes differ.
    """
    p = np.asarray(probability, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        wrong = p[~((p >= 0) & (p <= 1))]
        raise UsageError(f"design: inclusion probabilities must lie in [0, 1]; {wrong.size} do not, first {wrong[0]}")
    if values is not None and (values.ndim != 2 or values.shape[0] != p.size or not np.isfinite(values).all()):
        raise UsageError(
            f"design: {p.size} units, but the columns beside them have shape {values.shape}, "
            f"{int((~np.isfinite(values)).sum())} of them not finite; fill what is missing first"
        )
    if codes is not None and codes.shape != p.shape:
        raise UsageError(f"design: {p.size} units, but the strata have shape {codes.shape}")
    return p


def partitions(size: int, codes: Integers | None, pools: Sequence[Integers]) -> list[Integers]:
    """List the partitions in which a sample is settled: the strata, coarser ones, and last all units together."""
    whole = np.zeros(size, dtype=np.int64)
    return [*([] if codes is None else [codes]), *pools, whole]


def settle(p: Floats) -> Floats:
    """Take what is zero or one but for rounding as zero or one."""
    return np.where(p < _ROUNDING, 0.0, np.where(p > 1.0 - _ROUNDING, 1.0, p))


def decided(p: Floats, rng: np.random.Generator) -> Integers:
    """Draw what is still open, each unit by itself, and give the positions drawn, ascending."""
    return np.flatnonzero(settle(p) > rng.random(p.size)).astype(np.int64)


def generator_of(*parts: object) -> np.random.Generator:
    """Return a stream of random numbers that depends on nothing but the text of `parts`."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def systematic_pps(probability: Floats, start: float) -> Integers:
    """Draw systematically with the given inclusion probabilities, in the order given.

    Points ``start, start + 1, …`` are laid on the cumulated probabilities (Madow 1949); every unit is drawn with
    exactly its own probability when `start` is uniform on [0, 1).

    Parameters
    ----------
    probability : (N,) array
        Inclusion probabilities, in (0, 1], with a whole number as their sum.
    start : float
        Random start, in [0, 1).

    Returns
    -------
    (n,) array of int
        Positions drawn, ascending.
    """
    certain = probability >= 1.0
    drawn = [np.flatnonzero(certain)]
    rest = np.flatnonzero(~certain)
    if rest.size:
        ends = np.cumsum(probability[rest])
        n = round(float(ends[-1]))
        hits = np.searchsorted(ends * (n / ends[-1]), start + np.arange(n), side="right")
        drawn.append(rest[np.minimum(hits, rest.size - 1)])
    return np.sort(np.concatenate(drawn))


def uniform_of(*parts: object) -> float:
    """Return a number in [0, 1) that depends on nothing but the text of `parts`: the same on every machine."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


def spread_order(township: Sequence[str], size: Floats, seed: int) -> Integers:
    """Order the wells of a stratum for a systematic draw: by township, in each by size, up and down in turn.

    Neighbours in the order are alike, so that a systematic draw spreads over townships and sizes (implicit
    stratification). The townships come in an order drawn from the seed; equal sizes stay in the order given.

    Parameters
    ----------
    township : sequence of str, length N
    size : (N,) array
    seed : int

    Returns
    -------
    (N,) array of int
        Positions in the order of the draw.
    """
    names, codes = np.unique(np.asarray(township, dtype=str), return_inverse=True)
    rank = np.argsort(np.argsort([uniform_of(seed, "township", name) for name in names]))[codes]
    serpentine = np.where(rank % 2 == 0, size, -size)
    return np.lexsort((serpentine, rank)).astype(np.int64)
