"""Electricity that pumps nothing: a lamp, a hut or a fan behind the meter of a well, told by the months of rest.

A pump at rest takes nothing, so a well that takes a little in every month of rest has something else behind its meter.
A month within ``REST_HOURS`` of the pump's rated power irrigates nothing, or next to nothing. Of the wells that used so
little in month m the share z_m used none at all. Of a well that never used none the months of rest S are the lowest of
these that are alike: from the least upwards, up to ``AT_REST`` times the median of those below, since where it
irrigates little its larger months are no rest. It would have used so little in each of S by pumping with the chance
``q = prod(1 - z_m over S)``. With π the share of wells with another load, the probability of one is
``p = π / (π + (1 - π) q)`` (Bayes), and ``(p - π) / (1 - π)`` what the other wells' rest tells beyond what was
believed: one where all of them rested, zero where no well of the county ever does, since small months are then small
irrigations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

REST_HOURS = 8.0
"""Hours at rated power in a month that are no irrigation."""
LEAST_MONTHS = 10
"""Months of electricity without which nothing is said of a well."""
LONGEST = 24
"""Months that are looked back."""
AT_REST = 2.0
"""Times a well's other load up to which a month is one of rest."""
DOUBTED = 0.05
"""Belief in another load from which on months that repeat it are doubted to be pumping."""
ALIKE = 0.2
"""Median deviation of ln up to which the months of rest of a well are all but equal, as a lamp makes them."""
NEAR = 0.25
"""Deviation of ln up to which a month repeats the months of rest."""
_LEAST_AT_REST = 2
_SELDOM = 10
"""One month in so many may be less than the load: read late, or the lamp was broken."""
_BELIEVED = 0.1
_STEADY = 0.5
_SURELY = 0.999


@dataclass(frozen=True, slots=True)
class Rest:
    """What the months of rest of N wells tell of another load.

    Attributes
    ----------
    middle : (N,)
        Their median [kWh]; zero for wells with a month of none at all, or with fewer than ``LEAST_MONTHS``.
    belief : (N,)
        What is believed of it beyond what was believed of any well, 0 to 1.
    apart : (N,)
        Median deviation of their ln from that of the median.
    """

    middle: Floats
    belief: Floats
    apart: Floats

    @property
    def load(self) -> Floats:
        """Electricity of a month that pumps nothing, (N,) [kWh]: the middle times what is believed of it.

        Zero where they are not alike (a median deviation of ln above 0.5).
        """
        return np.where(self.apart <= _STEADY, self.belief * self.middle, 0.0)

    def months(self, kwh: Floats) -> Bools:
        """Tell which months (N, M) another load explains: of rest by what is believed, or that repeat one another.

        A lamp takes the same again after other months: where the months of rest are all but equal a weak belief is
        enough for those within ``NEAR`` of them, unless they are one block, as a fault would be.

        Parameters
        ----------
        kwh : (N, M)
            Electricity as it was read; NaN where it was not.

        Returns
        -------
        (N, M) array of bool
        """
        believed = (self.load[:, None] > 0.0) & (kwh <= AT_REST * self.load[:, None])
        some = np.flatnonzero((self.belief > DOUBTED) & (self.apart <= ALIKE) & (self.middle > 0.0))
        ratio = np.divide(kwh[some], self.middle[some, None])
        again = (ratio >= np.exp(-NEAR)) & (ratio <= np.exp(NEAR))
        first, last = np.argmax(again, axis=1), again.shape[1] - 1 - np.argmax(again[:, ::-1], axis=1)
        believed[some] |= again & (last - first + 1 > again.sum(axis=1))[:, None]
        return believed


def resting_load(kwh: Floats, power_kw: Floats) -> Floats:
    """Give the electricity of a month that pumps nothing, (N,) [kWh]; zero where no other load shows.

    Parameters
    ----------
    kwh : (N, M)
        Electricity of the latest months as it was read; NaN where it was not.
    power_kw : (N,)
        As for :func:`rest_of`.

    Returns
    -------
    (N,)
        Median of a well's months of rest, times what is believed of it. Zero for wells with a month of none at all,
        with fewer than ``LEAST_MONTHS``, or whose months of rest are not alike (a median deviation of ln above 0.5).
    """
    return rest_of(kwh, power_kw).load


def rest_of(kwh: Floats, power_kw: Floats) -> Rest:
    """See what the months of rest of wells tell of another load.

    Parameters
    ----------
    kwh : (N, M)
        Electricity of the latest months as it was read; NaN where it was not.
    power_kw : (N,)
        Rated power. Where unknown, as much as the well's greatest month tells at the hours of the others' (their median
        of energy over power in the greatest month).

    Returns
    -------
    Rest
    """
    nothing = np.zeros(kwh.shape[0])
    known_power = np.isfinite(power_kw) & (power_kw > 0)
    if kwh.shape[1] < LEAST_MONTHS or not known_power.any():
        return Rest(nothing, nothing, nothing)
    limit = REST_HOURS * np.where(known_power, power_kw, _power_by_use(kwh, power_kw, known_power))
    none, small = kwh == 0.0, (kwh > 0.0) & (kwh <= limit[:, None])
    rested = none.sum(axis=0) / np.maximum(none.sum(axis=0) + small.sum(axis=0), 1)
    enough = (np.isfinite(kwh).sum(axis=1) >= LEAST_MONTHS) & (small.sum(axis=1) >= _LEAST_AT_REST)
    some = np.flatnonzero(enough & ~none.any(axis=1))
    resting = _lowest_alike(kwh[some], small[some])
    least = resting.sum(axis=1) >= _LEAST_AT_REST
    some, resting = some[least], resting[least]
    if not some.size:
        return Rest(nothing, nothing, nothing)
    at_rest = np.where(resting, kwh[some], np.nan)
    middle = np.nanmedian(at_rest, axis=1)
    apart = np.nanmedian(np.abs(np.log(at_rest / middle[:, None])), axis=1)
    by_pumping = np.exp((resting * np.log1p(-np.minimum(rested, _SURELY))).sum(axis=1))
    probability = _BELIEVED / (_BELIEVED + (1.0 - _BELIEVED) * by_pumping)
    told = (probability - _BELIEVED) / (1.0 - _BELIEVED)
    rest = Rest(nothing.copy(), nothing.copy(), nothing.copy())
    rest.middle[some], rest.belief[some], rest.apart[some] = middle, told, apart
    return rest


def _lowest_alike(kwh: Floats, small: Bools) -> Bools:
    """Tell which of the small months (N, M) are the lowest that are alike.

    From the least upwards a month belongs to them up to ``AT_REST`` times the median of those before it. One in ten may
    be less than all that follow.
    """
    rising = np.sort(np.where(small, kwh, np.inf), axis=1)
    count = small.sum(axis=1)
    first = count // _SELDOM
    well, last = np.arange(count.size), first.copy()
    goes_on = last + 1 < count
    while goes_on.any():
        middle = 0.5 * (rising[well, (first + last) // 2] + rising[well, (first + last + 1) // 2])
        goes_on &= rising[well, np.minimum(last + 1, kwh.shape[1] - 1)] <= AT_REST * middle
        last += goes_on
        goes_on &= last + 1 < count
    most = rising[well, last] if count.size else np.zeros(0)
    return np.asarray(small & (kwh <= most[:, None]))


def _power_by_use(kwh: Floats, power_kw: Floats, known_power: NDArray[np.bool_]) -> Floats:
    """Guess rated powers (N,) from the greatest months: a small pump irrigates on what a large one takes at rest."""
    greatest = np.nan_to_num(kwh).max(axis=1)
    tell = known_power & (greatest > 0.0)
    if not tell.any():
        return np.zeros(greatest.size)
    return np.asarray(greatest / np.median(greatest[tell] / power_kw[tell]))


def pumping_share(kwh: Floats, load: Floats) -> Floats:
    """Give the part of the electricity of each month that pumps, (N, M).

    Parameters
    ----------
    kwh : (N, M)
    load : (N,)
        Of :func:`resting_load`: a month up to twice of it is a month of rest.

    Examples
    --------
    >>> pumping_share(np.array([[100.0, 15.0], [100.0, 15.0]]), np.array([10.0, 0.0]))
    array([[0.9, 0. ],
           [1. , 1. ]])
    """
    share = np.ones(kwh.shape)
    some = np.flatnonzero(load > 0.0)
    used, own = kwh[some], load[some, None]
    pumps = used > AT_REST * own
    share[some] = np.where(pumps, 1.0 - own / np.where(pumps, used, 1.0), np.where(used > 0.0, 0.0, 1.0))
    return share
