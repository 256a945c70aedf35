"""What a test of today still tells of the totals of later years.

The error of the same quarter's total h years on is, to first order, ``s_h'δθ + Σ V_i δr_i(t + h)`` and what no test of
today can tell: the movement of the months between. Class effects, slopes and levels of wells stay as they are; wear has
h years more to err; the common movement of an aquifer is forgotten by its memory; the well's own drift by its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import decimal_year, quarter_months
from elec2water.coefficient import Coefficient
from elec2water.coefficient.equipment import Equipment
from elec2water.volume import Volume

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Months = NDArray[np.datetime64]

_YEAR = 12


class Later:
    """The totals of a volume in the same quarter of a later year, the electricity and the pumps staying as they are."""

    def __init__(self, coefficient: Coefficient, volume: Volume, wells: pd.DataFrame, years: int) -> None:
        self.volume = volume
        self.months = quarter_months(volume.quarter)
        self.later_months = self.months + _YEAR * years
        middle = _middle(self.months)
        self.when = np.full(coefficient.sample_id.size, _year(middle))
        self.years = _year(_middle(self.later_months)) - _year(middle)
        self.pumps = _pumps(coefficient, middle, wells)

    def sums(self, converted: Floats, place: Ints, n: int) -> Floats:
        """Give the loadings of totals on the shared effects of today [m³], (n, p).

        Parameters
        ----------
        converted : (N, M)
            Volume by month [m³].
        place : (N,)
            Total to which a well belongs, -1 for none.
        n : int
        """
        posterior, loadings = self.volume.posterior, self.volume.loadings
        layout = posterior.layout
        none = replace(loadings, sample=np.zeros(0, dtype=np.intp), gain=np.zeros((0, layout.size)))
        sums = none.domain_sums(converted, place, n)
        inside = place >= 0
        total = np.bincount(place[inside], converted.sum(axis=1)[inside], n)
        years = layout.moving_start + layout.moving_names.index("years")
        sums[:, years] += self.years * total
        sums = self._carried_back(sums)
        here = loadings.sample[place[loadings.sample] >= 0]
        gain = posterior.paths(self.when + self.years, self.pumps).gain[place[loadings.sample] >= 0]
        np.subtract.at(sums, place[here], converted.sum(axis=1)[here, None] * gain)
        return sums

    def reach(self) -> Floats:
        """Covariance of what each well has beside the shared effects in the quarter and in that year, (N,)."""
        posterior, v = self.volume.posterior, self.volume.posterior.typical
        lag, level = np.array([self.years]), np.array([v.level])
        forgotten = v.level + v.drift - v.path(lag, level, lag)
        reach = self.volume.wells.path_variance - forgotten
        reach[posterior.sample] = posterior.path_covariances(self.when, self.when + self.years, self.pumps)
        return np.asarray(reach)

    def _carried_back(self, sums: Floats) -> Floats:
        """Take the loadings on aquifer-months of the quarter for those of the later year, seen from today."""
        layout = self.volume.posterior.layout
        transform = self.volume.posterior.month_transform(self.later_months)
        place = np.searchsorted(layout.months, self.months)
        cells = layout.cells_start + np.arange(len(layout.aquifers))[:, None] * layout.months.size + place
        later = sums[:, cells.ravel()]
        sums = sums.copy()
        sums[:, cells.ravel()] = 0.0
        sums[:, layout.cells_start :] += later @ transform
        return sums


def _middle(months: Months) -> np.datetime64:
    first, last = months[0].astype("datetime64[s]"), (months[-1] + 1).astype("datetime64[s]")
    return np.datetime64(first + (last - first) // 2)


def _year(when: np.datetime64) -> float:
    return float(decimal_year(np.array([when]))[0])


def _pumps(coefficient: Coefficient, when: np.datetime64, wells: pd.DataFrame) -> Ints:
    """Give the number of each sample well's pump at a moment, (W,)."""
    equipment = coefficient.equipment
    if "pump_installed_on" in wells.columns:
        installed = wells["pump_installed_on"].to_numpy(dtype="datetime64[s]")[coefficient.posterior.sample]
        equipment = equipment.adding(Equipment.of(coefficient.sample_id, installed))
    every = np.arange(coefficient.sample_id.size)
    return equipment.history(coefficient.sample_id).number(every, np.full(every.size, when))
