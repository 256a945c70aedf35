"""What totals err by because nobody knows how a season's electricity moves between months that were read as one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg, sparse

from elec2water.calendar_ import Months
from elec2water.energy.arrays import Bools, Floats, Ints, runs
from elec2water.energy.links import Epochs
from elec2water.energy.movement import MONTHS_PER_YEAR
from elec2water.sums import renumbered

_LEAST = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Spreading:
    """How energies hang on the rates of months that only readings across their ends tell of.

    The error of a rate is common to all meters whose readings hold the month: it does not average out. To first order
    ``Σ_k slope · (r_k - r̂_k)`` is added to the energy of row i in month m. What the season of its township differs by
    from the county's a well has in common with the others of this township.

    Attributes
    ----------
    months : numpy.ndarray, shape (M,)
        ``datetime64[M]``, consecutive, of the rates.
    covariance : numpy.ndarray, shape (M, M)
        Of the rates.
    row, month, source : numpy.ndarray, shape (P,)
        Spell of a meter or well, its month, and the month k whose rate it hangs on, both as places in ``months``.
    slope : numpy.ndarray, shape (P,)
        Energy for a unit of the rate [kWh].
    group : numpy.ndarray, shape (P,)
        Township of the well, whose rates differ from the county's; -1 where it is not one township's.
    apart : numpy.ndarray, shape (M,)
        Standard deviation of a township's rate around the county's.
    """

    months: Months
    covariance: Floats
    row: Ints
    month: Ints
    source: Ints
    slope: Floats
    group: Ints
    apart: Floats

    def of_wells(self, epochs: Epochs, township: Ints) -> Spreading:
        """Share what spells of meters err by among their wells, whose township is given (N,)."""
        order = np.argsort(epochs.epoch, kind="stable")
        count = np.bincount(epochs.epoch, minlength=len(epochs.meter))
        first = np.cumsum(count) - count
        entry, place = runs(count[self.row])
        link = order[first[self.row[entry]] + place]
        slope, well = self.slope[entry] * np.nan_to_num(epochs.share[link]), epochs.well[link]
        return replace(
            self, row=well, month=self.month[entry], source=self.source[entry], slope=slope, group=township[well]
        )

    def moved(self, place: Ints) -> Spreading:
        """Give the same with the wells at other places, ``place`` (N,) of each; those at -1 are left out."""
        kept = np.flatnonzero(place[self.row] >= 0)
        names = ("month", "source", "slope", "group")
        return replace(self, row=place[self.row[kept]], **{name: getattr(self, name)[kept] for name in names})

    def with_filled(self, kwh: Floats, filled: Bools, months: Months) -> Spreading:
        """Let months that were filled err as those of the wells that were read do, in proportion.

        A month that nobody has read errs as the same month of the year before, which it follows.

        Parameters
        ----------
        kwh : numpy.ndarray, shape (N, M')
            Energy [kWh] of the wells, filled.
        filled : numpy.ndarray, shape (N, M')
        months : numpy.ndarray, shape (M',)
            ``datetime64[M]``.
        """
        parts = [(self.row, self.month, self.source, self.slope, self.group)]
        for place, month in enumerate(self.months):
            here = np.flatnonzero(months == month)
            wells = np.flatnonzero(filled[:, here].any(axis=1))
            told = self._of_read(place, np.where(filled, 0.0, kwh), months) if wells.size else np.zeros(0)
            k = np.flatnonzero(told)
            well, source = np.repeat(wells, k.size), np.tile(k, wells.size)
            slope = np.outer(kwh[wells, here], told[k]).ravel()
            parts.append((well, np.full(well.size, place), source, slope, np.full(well.size, -1)))
        row, month, source, slope, group = (np.concatenate(part) for part in zip(*parts, strict=True))
        return replace(self, row=row, month=month, source=source, slope=slope, group=group)

    def _of_read(self, place: int, kwh: Floats, months: Months) -> Floats:
        """Give slopes by source (M,) for a kWh of a month that was read, or of the same month of the years before."""
        for earlier in range(place, -1, -MONTHS_PER_YEAR):
            read = float(np.nansum(kwh[:, months == self.months[earlier]]))
            if read > 0.0:
                mine = self.month == earlier
                return np.bincount(self.source[mine], self.slope[mine], len(self.months)) / read
        return np.zeros(len(self.months))

    def loadings(self, months: Months, coefficient: Floats) -> sparse.csr_array:
        """Give the volumes [m³] of wells for a standard deviation of each of F independent errors, (N, F).

        Parameters
        ----------
        months : numpy.ndarray, shape (Q,)
            Months that are added up.
        coefficient : numpy.ndarray, shape (N, Q)
            m³ for a kWh.
        """
        column = np.full(len(self.months), -1)
        held, place = np.isin(self.months, months), np.searchsorted(months, self.months)
        column[held] = place[held]
        some = np.flatnonzero(column[self.month] >= 0)
        row, source = self.row[some], self.source[some]
        volume = self.slope[some] * coefficient[row, column[self.month[some]]]
        size = len(coefficient)
        county = sparse.csr_array((volume, (row, source)), shape=(size, len(self.months))) @ self._rate_errors(source)
        own = np.flatnonzero(self.group[some] >= 0)
        error, there = renumbered(
            self.group[some][own] * len(self.months) + source[own],
            (int(self.group.max(initial=-1)) + 1) * len(self.months),
        )
        of_townships = sparse.csr_array(
            (volume[own] * self.apart[source[own]], (row[own], error)), shape=(size, there.size)
        )
        return sparse.csr_array(sparse.hstack([county, of_townships]))

    def _rate_errors(self, source: Ints) -> sparse.csr_array:
        """Give the rates (M, F) for a standard deviation of each independent error of those that are touched."""
        out = np.zeros((len(self.months), 0))
        touched = np.unique(source)
        if touched.size:
            value, vector = linalg.eigh(self.covariance[np.ix_(touched, touched)])
            kept = value > _LEAST * value.max(initial=0.0)
            out = np.zeros((len(self.months), int(kept.sum())))
            out[touched] = vector[:, kept] * np.sqrt(value[kept])
        return sparse.csr_array(out)
