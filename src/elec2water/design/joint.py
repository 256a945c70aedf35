"""Joint inclusion probabilities, where a variance estimator asks for them.

The cube and pivotal methods have no closed form. Hájek's approximation, made for samples of high entropy, serves: the
Horvitz–Thompson variance with it is that of Deville's estimator (:mod:`elec2water.survey.linearised`) but for terms of
the order 1/n. Balanced and spread samples have smaller variances than it says; on residuals of the balancing variables
(GREG) it holds (Deville and Tillé 2005).

References
----------
Hájek, J. (1964), Asymptotic theory of rejective sampling with varying probabilities, Ann. Math. Statist. 35, 1491-1523.
Deville, J.-C. and Tillé, Y. (2005), Variance approximation under balanced sampling, J. Stat. Plann. Inference 128,
569-591.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]


def joint_probabilities(probability: Floats, codes: Integers, rows: Integers) -> Floats:
    """Approximate joint inclusion probabilities of some units.

    π_kl = π_k π_l (1 − (1 − π_k)(1 − π_l)/d_h) inside a stratum, d_h = Σ π (1 − π) over it;
    π_k π_l across strata; π_k on the diagonal (Hájek 1964, eq. 7.3).

    Parameters
    ----------
    probability : (N,) array
        Inclusion probabilities of the frame.
    codes : (N,) array of int
        Stratum of each unit, from 0.
    rows : (n,) array of int
        The units asked for: the sample.

    Returns
    -------
    (n, n) array
    """
    spread = np.bincount(codes, probability * (1.0 - probability))
    p, stratum = probability[rows], codes[rows]
    mass = np.where(spread > 0, spread, 1.0)[stratum]
    together = stratum[:, None] == stratum
    joint = np.outer(p, p) * (1.0 - together * np.outer(1.0 - p, 1.0 - p) / mass)
    np.fill_diagonal(joint, p)
    return np.asarray(np.maximum(joint, 0.0))
