"""What the shares of one meter are made by, and how far wells differ in it: learned from wells that have their own."""

from __future__ import annotations

import numpy as np
from scipy import special

from elec2water.energy.arrays import Bools, Floats, Ints

STATED, POWER_AREA, POWER, EQUAL, WATER = range(5)
"""What a share is by: stated, rated power × area, power alone, equal parts, area ÷ coefficient."""
PRIOR: Floats = np.array([0.0, 0.7, 0.85, 0.9, 0.6])
"""Log standard deviation, between neighbours, of a quarter's energy per unit of each basis: what simulated counties of
five kinds show (0.5–0.9, 0.7–0.9, 0.7–1.0, 0.2–0.8)."""
WORTH = 20.0
"""Pairs of neighbours that :data:`PRIOR` counts for."""
MOST_WELLS = 20_000
POWER_TIMES_AREA: Floats = np.array([1.0, 1.0, 0.0])
"""Exponents of power, area and depth where no neighbours tell others."""
EXPONENT_SD = 0.35
"""Standard deviation of what is believed of each before any well is read."""
_MOST_EXPONENT = 1.5
_MONTHS = 3
_QUARTERS = 4
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(41)


def precision(basis: Ints, count: Ints, spread: Floats) -> Floats:
    """Give the concentration of the Dirichlet law that shares follow.

    Energies per unit of the basis are lognormal with one log standard deviation s. The share of one of n wells of one
    size is then a logistic function of a variable that is normal, with the sum of the other n − 1 taken as lognormal
    (Fenton 1960; exact for two wells); the law is the one with its variance.

    Parameters
    ----------
    basis : numpy.ndarray, shape (K,)
        What each share is by.
    count : numpy.ndarray, shape (K,)
        Wells that share by it.
    spread : numpy.ndarray, shape (5,)
        s of each basis.

    Returns
    -------
    numpy.ndarray, shape (K,)
        1 where the share is stated or the well alone, and nothing is spread.
    """
    key = basis * (int(count.max(initial=0)) + 1) + count
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    law = [_concentration(float(spread[basis[i]]), int(count[i])) for i in first.tolist()]
    return np.array(law, dtype=np.float64)[place]


def _concentration(spread: float, count: int) -> float:
    if spread <= 0.0 or count < 2:
        return 1.0
    others = float(np.log1p(np.expm1(spread**2) / (count - 1)))
    shift = 0.5 * (others - spread**2) - np.log(count - 1)
    share = special.expit(shift + np.sqrt(spread**2 + others) * _NODES)
    weight = _WEIGHTS / _WEIGHTS.sum()
    mean = float(weight @ share)
    return mean * (1.0 - mean) / float(weight @ (share - mean) ** 2) - 1.0


def measures_of(power_kw: Floats, area_mu: Floats, depth_m: Floats) -> Floats:
    """Give the logarithm of rated power, area and pump depth of N wells (N,) each, (3, N).

    NaN where power or area is unknown; an unknown depth is that of the median well.
    """
    known: Bools = (power_kw > 0) & (area_mu > 0)
    deep: Bools = depth_m > 0
    usual = float(np.median(depth_m[deep])) if deep.any() else 1.0
    rows = [np.where(known, value, 1.0) for value in (power_kw, area_mu)] + [np.where(deep, depth_m, usual)]
    return np.asarray(np.where(known, np.log(np.stack(rows)), np.nan))


def size_by(measures: Floats, exponents: Floats) -> Floats:
    """Give what a share is by, (N,): the product of the :func:`measures_of` wells, each to its exponent."""
    return np.asarray(np.exp(exponents @ measures))


def fitted_exponents(kwh: Floats, measures: Floats, neighbourhood: Ints) -> Floats:
    """Estimate how electricity grows with power, area and depth, from wells with meters of their own.

    Least squares of ln energy within each neighbourhood, over the quarters of the last year, each weighing by its
    energy; drawn towards power × area by what is believed of it, so that each direction gives way as far as the wells
    tell it (ridge; Hoerl & Kennard 1970). A large pump on a small field runs for fewer hours, and a deep one takes
    more for the same water. Names and order of wells do not matter.

    Parameters
    ----------
    kwh : numpy.ndarray, shape (N, M)
        Energy of the wells [kWh], NaN where unknown.
    measures : numpy.ndarray, shape (3, N)
        Of :func:`measures_of`.
    neighbourhood : numpy.ndarray, shape (N,)
        Code of the village.

    Returns
    -------
    numpy.ndarray, shape (3,)
    """
    known: Bools = np.asarray(np.isfinite(measures).all(axis=0))
    precision, told = np.zeros((3, 3)), np.zeros(3)
    quarters = _quarters(kwh)
    weight = np.array([np.nansum(quarter[known]) for quarter in quarters])
    if not weight.sum() > 0:
        return POWER_TIMES_AREA.copy()
    for quarter, part in zip(quarters, weight / weight.sum(), strict=True):
        some = np.flatnonzero(known & np.isfinite(quarter))
        log = np.log(quarter[some]) - POWER_TIMES_AREA @ measures[:, some]
        within = _within(np.vstack([measures[:, some], log]), neighbourhood[some])
        precision += part * within[:3] @ within[:3].T
        told += part * within[:3] @ within[3]
    believed = (PRIOR[POWER_AREA] / EXPONENT_SD) ** 2 * np.eye(3)
    return np.asarray(np.clip(POWER_TIMES_AREA + np.linalg.solve(precision + believed, told), 0.0, _MOST_EXPONENT))


def _within(values: Floats, group: Ints) -> Floats:
    """Take the mean of its group off each column of ``values`` (·, n)."""
    _, code = np.unique(group, return_inverse=True)
    count = np.bincount(code)
    return np.stack([row - (np.bincount(code, row) / count)[code] for row in values])


def fitted_spread(kwh: Floats, size: Floats, neighbourhood: Ints) -> Floats:
    """Estimate the spread of each basis from wells with meters of their own.

    Differences of ln(energy ÷ size) between one well and the next of its neighbourhood, over the quarters of the last
    year, each quarter weighing by its energy; drawn towards :data:`PRIOR` as if that were :data:`WORTH` pairs.

    Parameters
    ----------
    kwh : numpy.ndarray, shape (N, M)
        Energy of the wells [kWh], NaN where unknown.
    size : numpy.ndarray, shape (5, N)
        Their size by each basis, NaN where unknown.
    neighbourhood : numpy.ndarray, shape (N,)
        Code of the village.

    Returns
    -------
    numpy.ndarray, shape (5,)
    """
    first, second = _neighbours(neighbourhood)
    spread = PRIOR.copy()
    quarters = [quarter for quarter in _quarters(kwh) if np.nansum(quarter) > 0]
    for basis in (POWER_AREA, POWER, EQUAL, WATER):
        found = [_of_quarter(quarter, size[basis], first, second) for quarter in quarters]
        weight = np.array([w for w, n, _ in found if n])
        if not weight.size:
            continue
        square = float(weight @ np.array([s for _, n, s in found if n])) / weight.sum()
        pairs = max(n for _, n, _ in found)
        spread[basis] = np.sqrt((WORTH * PRIOR[basis] ** 2 + pairs * square) / (WORTH + pairs))
    return spread


def _neighbours(neighbourhood: Ints) -> tuple[Ints, Ints]:
    """Give pairs of wells, one after the other in each neighbourhood."""
    order = np.argsort(neighbourhood, kind="stable")[:MOST_WELLS]
    same = neighbourhood[order[1:]] == neighbourhood[order[:-1]]
    return order[:-1][same], order[1:][same]


def _quarters(kwh: Floats) -> list[Floats]:
    """Give the energy of the last quarters, a well's NaN where a month is unknown or nothing was used."""
    last = kwh.shape[1]
    starts = [last - _MONTHS * (k + 1) for k in range(_QUARTERS) if last >= _MONTHS * (k + 1)]
    sums = [kwh[:, start : start + _MONTHS].sum(axis=1) for start in starts]
    return [np.where(total > 0, total, np.nan) for total in sums]


def _of_quarter(kwh: Floats, size: Floats, first: Ints, second: Ints) -> tuple[float, int, float]:
    """Energy behind a quarter's pairs, their number, and half the mean square of their log ratios."""
    known: Bools = np.isfinite(kwh) & (size > 0)
    log = np.log(np.where(known, kwh, 1.0) / np.where(known, size, 1.0))
    both = known[first] & known[second]
    if not both.any():
        return 0.0, 0, 0.0
    ratio = log[second[both]] - log[first[both]]
    return float(kwh[known].sum()), int(both.sum()), float(0.5 * np.mean(ratio**2))
