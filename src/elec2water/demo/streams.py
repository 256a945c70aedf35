"""Random streams: one for each thing drawn, so that adding a draw to one leaves the others as they were."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Give the random generator of one purpose.

    Parameters
    ----------
    seed
        Seed of the county, not negative.
    *names
        What is drawn, and for a block of wells its number.

    Returns
    -------
    numpy.random.Generator
        PCG64; the same for the same arguments on every machine.
    """
    words = [name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names]
    return np.random.default_rng([seed, *words])
