"""One draw of a sample, by the method asked for; every method keeps the inclusion probabilities exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from elec2water.design.cube import balanced
from elec2water.design.pivotal import local_pivotal
from elec2water.design.random_draw import random_pps, systematic_strata
from elec2water.design.selection import checked_probability, generator_of
from elec2water.errors import UsageError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Method: TypeAlias = Literal["balanced", "spatial", "systematic", "random"]


def draw(
    probability: Floats,
    codes: Integers,
    *,
    seed: int,
    method: Method = "balanced",
    coordinates: Floats | None = None,
    auxiliaries: Floats | None = None,
    pools: Sequence[Integers] = (),
) -> Integers:
    """Draw a stratified sample with the given inclusion probabilities.

    Parameters
    ----------
    probability : (N,) array
        In [0, 1]; one is certainty. A stratum whose probabilities sum to a whole number gets exactly that many wells.
    codes : (N,) array of int
        Stratum of each well.
    seed : int
        The same seed draws the same wells, provided that they come in an order of their own (by identifier).
    method : {"balanced", "spatial", "systematic", "random"}
        ``balanced``: the totals of `auxiliaries` come out as in the frame, spread over `coordinates` if given (the cube
        method, doubly balanced); ``spatial``: spread over `coordinates` (the local pivotal method); ``systematic``:
        along the first column of `coordinates`; ``random``: neither.
    coordinates : (N, D) array, optional
        Of :func:`elec2water.design.places.places_of`, for example.
    auxiliaries : (N, P) array, optional
        Most important first.
    pools : sequence of (N,) arrays of int
        Coarser strata that left-overs of the strata are settled in (`balanced` and `spatial` only).

    Returns
    -------
    (n,) array of int
        Positions drawn, ascending.

    Raises
    ------
    UsageError
        If the method is not known or lacks its coordinates, a probability is outside [0, 1], or shapes differ.
    """
    if method not in get_args(Method):
        raise UsageError(f"design: method must be one of {list(get_args(Method))}, not {method!r}")
    p = checked_probability(probability, coordinates, codes)
    if method == "balanced":
        columns = np.zeros((p.size, 0)) if auxiliaries is None else auxiliaries
        return balanced(p, columns, seed=seed, codes=codes, coordinates=coordinates, pools=pools)
    if method == "random":
        return random_pps(p, codes, seed=seed)
    if coordinates is None:
        raise UsageError(f"design: method {method!r} needs coordinates; without them, use 'balanced' or 'random'")
    if method == "spatial":
        return local_pivotal(p, coordinates, seed=seed, codes=codes, pools=pools)
    order = np.lexsort((coordinates[:, 0], codes)).astype(np.int64)
    return systematic_strata(p, codes, order, generator_of(seed, "systematic"))
