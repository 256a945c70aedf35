"""Energy per well and month: what the room hands on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from elec2water.calendar_ import Months, month_of
from elec2water.energy.arrays import Floats, Texts
from elec2water.energy.movement import MONTHS_PER_YEAR, fit_movement
from elec2water.energy.split import Split
from elec2water.energy.spreading import Spreading
from elec2water.errors import UsageError

LEAST_TOLD = 0.05
"""Known months that carry a smaller part of a class's year than this do not tell a well's year."""

QUALITIES = {
    "A": "actual",
    "E": "estimated or spread",
    "J": "adjusted by a decision of the user",
    "S": "substituted (imputed)",
    "N": "null: nothing known",
}
"""The quality letters and their meaning."""


@dataclass(frozen=True, slots=True, eq=False)
class MonthlyEnergy:
    """Electric energy of N wells in M consecutive months.

    Attributes
    ----------
    well_id : numpy.ndarray, shape (N,)
        Text, in the order of the wells frame.
    months : numpy.ndarray, shape (M,)
        ``datetime64[M]``, consecutive.
    kwh : numpy.ndarray, shape (N, M)
        Energy [kWh]; NaN where nothing is known, never a silent zero.
    variance : numpy.ndarray, shape (N, M)
        Variance [kWh²] of splitting, scaling up, estimating or imputing; 0 where a reading is taken as it is, NaN with
        ``kwh``.
    quality : numpy.ndarray, shape (N, M)
        One letter: A actual, E estimated or spread, J adjusted by the user, S substituted (imputed), N null.
    common : numpy.ndarray, shape (M,), optional
        Relative variance of the error that all wells imputed in a month have in common: the more the fewer wells were
        read in it. 0 by default.
    reason : numpy.ndarray, shape (N, M), optional
        Why an energy is of quality E: the sum of the codes of :data:`elec2water.energy.cells.REASONS`.
    lags : numpy.ndarray, shape (0 or 2, N, M), optional
        Covariance of a month with the first and second one after it [kWh²]: negative where one reading was spread over
        both, positive where both hang on one uncertain share or level. Without months where all are 0.
    split : Split, optional
        Energies split between wells by shares nobody stated, whose errors cancel in the sum of a meter's wells.
    spreading : Spreading, optional
        How energies hang on the rates of months that nobody read by themselves, an error common to all wells.
    """

    well_id: Texts
    months: Months
    kwh: Floats
    variance: Floats
    quality: npt.NDArray[np.str_]
    common: Floats = field(default_factory=lambda: np.zeros(0))
    reason: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.uint8))
    lags: Floats = field(default_factory=lambda: np.zeros((0, 0, 0)))
    split: Split | None = None
    spreading: Spreading | None = None
    _annual: dict[np.datetime64, Floats] = field(default_factory=dict, init=False, repr=False)
    """What :meth:`annual_kwh` has worked out, by the last month: the fit and the volumes ask for the same year."""

    def __post_init__(self) -> None:
        shape = (len(self.well_id), len(self.months))
        for name in ("kwh", "variance", "quality"):
            found = getattr(self, name).shape
            if found != shape:
                raise UsageError(f"MonthlyEnergy: {name} has shape {found}, expected {shape} (wells, months)")
        if not len(self.common):
            object.__setattr__(self, "common", np.zeros(len(self.months)))
        if not self.reason.size:
            object.__setattr__(self, "reason", np.zeros(shape, dtype=np.uint8))
        if not self.lags.size:
            object.__setattr__(self, "lags", np.zeros((0, *shape)))
        if len(self.months) > 1 and np.any(np.diff(self.months) != np.timedelta64(1, "M")):
            raise UsageError("MonthlyEnergy: months must be consecutive; give every month and leave unknown ones NaN")

    def __repr__(self) -> str:
        wells, months = self.kwh.shape
        span = f"{self.months[0]} to {self.months[-1]}" if months else "no month"
        known = int(np.isfinite(self.kwh).sum())
        return (
            f"MonthlyEnergy({wells} wells, {span}, {known} of {wells * months} well-months, {self.total_kwh:.6g} kWh)"
        )

    def _repr_html_(self) -> str:
        known = np.isfinite(self.kwh)
        return pd.DataFrame(
            {
                "month": self.months.astype(str),
                "energy_kwh": np.nansum(self.kwh, axis=0).round(3),
                "n_wells_known": known.sum(axis=0),
                "n_wells_unknown": (~known).sum(axis=0),
            }
        ).to_html(index=False)

    @property
    def total_kwh(self) -> float:
        """Sum of everything known [kWh]; unknown well-months are left out, not counted as zero."""
        return float(np.nansum(self.kwh))

    def of_wells(self, well_id: Texts) -> MonthlyEnergy:
        """Give the energy of wells of these names, in their order.

        Parameters
        ----------
        well_id : numpy.ndarray, shape (n,)
            Text, each once.

        Returns
        -------
        MonthlyEnergy
            Of n wells; this one where they are its own in the same order.

        Raises
        ------
        UsageError
            A name is there twice, or the energy of a well is not known at all.
        """
        if len(well_id) == len(self.well_id) and bool(np.all(well_id == self.well_id)):
            return self
        place = pd.Index(self.well_id, dtype=object).get_indexer(pd.Index(well_id, dtype=object))
        strange = np.flatnonzero(place < 0)
        if strange.size:
            first = ", ".join(str(name) for name in well_id[strange[:3]])
            raise UsageError(
                f"energy: expected the electricity of every well of the registry, found none of {strange.size} of "
                f"{len(well_id)} ({first} …); make it of the same registry, with well_id as text"
            )
        now = np.full(len(self.well_id), -1)
        now[place] = np.arange(len(place))
        return MonthlyEnergy(
            np.asarray(well_id, dtype=object),
            self.months,
            self.kwh[place],
            self.variance[place],
            self.quality[place],
            self.common,
            self.reason[place],
            self.lags[:, place],
            None if self.split is None else self.split.moved(now),
            None if self.spreading is None else self.spreading.moved(now),
        )

    def carried(self, last: np.datetime64) -> MonthlyEnergy:
        """Expect of the months up to ``last`` what the same months used the year before, as imputed energy.

        Parameters
        ----------
        last : datetime64[M]
            Last month wanted; up to twelve months that are known are repeated.

        Returns
        -------
        MonthlyEnergy
            The same wells, up to ``last``; this one where it goes that far already.

        Raises
        ------
        UsageError
            Less than a year is known.
        """
        ahead = int((last.astype("datetime64[M]") - self.months[-1]).astype(np.int64)) if len(self.months) else 1
        if ahead <= 0:
            return self
        if len(self.months) < MONTHS_PER_YEAR:
            raise UsageError(f"energy: expected a year of months to carry on from, found {self!r}")
        place = len(self.months) - MONTHS_PER_YEAR + np.arange(ahead) % MONTHS_PER_YEAR
        quality = self.quality[:, place]
        longer = self.window(self.months[0], last)
        new = slice(len(self.months), None)
        kwh, variance, letters = longer.kwh.copy(), longer.variance.copy(), longer.quality.copy()
        kwh[:, new], variance[:, new] = self.kwh[:, place], self.variance[:, place]
        letters[:, new] = np.where(quality == "N", "N", "S")
        common = np.append(self.common, self.common[place])
        return replace(longer, kwh=kwh, variance=variance, quality=letters, common=common)

    def window(self, first: np.datetime64, last: np.datetime64) -> MonthlyEnergy:
        """Give the months from `first` to `last`, both included.

        Parameters
        ----------
        first, last : numpy.datetime64
            Months. Those beyond the ones held come out NaN with quality N.

        Returns
        -------
        MonthlyEnergy
            The same wells, ``last - first + 1`` months.

        Raises
        ------
        UsageError
            If `last` is before `first`.
        """
        months = month_range(first, last)
        offset = int((months[0] - self.months[0]).astype(np.int64)) if len(self.months) else 0
        if offset == 0 and len(months) == len(self.months):
            return self
        if offset >= 0 and offset + len(months) <= len(self.months):
            return self._columns(slice(offset, offset + len(months)))
        source = np.arange(len(months)) + offset
        held = (source >= 0) & (source < len(self.months))
        shape = (len(self.well_id), len(months))
        kwh, variance = np.full(shape, np.nan), np.full(shape, np.nan)
        quality = np.full(shape, "N", dtype="<U1")
        kwh[:, held] = self.kwh[:, source[held]]
        variance[:, held] = self.variance[:, source[held]]
        quality[:, held] = self.quality[:, source[held]]
        common = np.zeros(len(months))
        common[held] = self.common[source[held]]
        reason, lags = np.zeros(shape, dtype=np.uint8), np.zeros((len(self.lags), *shape))
        reason[:, held] = self.reason[:, source[held]]
        lags[:, :, held] = self.lags[:, :, source[held]]
        for k in range(len(lags)):
            lags[k, :, -k - 1 :] = 0.0
        split = None if self.split is None else self.split.window(source, held)
        return MonthlyEnergy(self.well_id, months, kwh, variance, quality, common, reason, lags, split, self.spreading)

    def _columns(self, part: slice) -> MonthlyEnergy:
        """Give some of the months held, with what ties them to each other and wells to wells."""
        source = np.arange(part.start, part.stop)
        lags = self.lags[:, :, part].copy()
        for k in range(len(lags)):
            lags[k, :, -k - 1 :] = 0.0
        return MonthlyEnergy(
            self.well_id,
            self.months[part],
            self.kwh[:, part],
            self.variance[:, part],
            self.quality[:, part],
            self.common[part],
            self.reason[:, part],
            lags,
            None if self.split is None else self.split.window(source, np.ones(len(source), dtype=bool)),
            self.spreading,
        )

    def annual_kwh(self, end: np.datetime64, groups: npt.ArrayLike | None = None) -> Floats:
        """Estimate each well's energy of the twelve months up to and including `end`.

        The mean monthly rate × 12, with the rate taken over the months known and each month weighted by its class's
        seasonal profile: a well read in summer only is not taken to irrigate all winter.

        Parameters
        ----------
        end : numpy.datetime64
            The last of the twelve months.
        groups : array_like of shape (N,), optional
            Class of each well, whose months rise and fall together; one class for all by default.

        Returns
        -------
        numpy.ndarray
            Energy [kWh], shape (N,); NaN for a well whose known months carry less than 5 % of its class's year.
        """
        if groups is not None:
            return self._worked_out(end, np.asarray(groups))
        if end not in self._annual:
            self._annual[end] = self._worked_out(end, np.zeros(len(self.well_id)))
            self._annual[end].flags.writeable = False
        return self._annual[end]

    def _worked_out(self, end: np.datetime64, groups: npt.NDArray[Any]) -> Floats:
        """Give :meth:`annual_kwh` of classes (N,)."""
        kwh = self.kwh_between(end - (MONTHS_PER_YEAR - 1), end)
        if not np.isnan(kwh).any():
            return np.asarray(kwh.sum(axis=1))
        movement = fit_movement(kwh, groups)
        whole = np.where(np.isfinite(movement.profile), movement.profile, 1.0).sum(axis=1)[movement.group]
        told = (movement.covered >= LEAST_TOLD * whole) & (movement.covered > 0)
        return np.where(told, movement.level * whole, np.nan)

    def kwh_between(self, first: np.datetime64, last: np.datetime64) -> Floats:
        """Give the energy of the months from `first` to `last`, both included.

        Parameters
        ----------
        first, last : numpy.datetime64
            Months.

        Returns
        -------
        numpy.ndarray, shape (N, M)
            Energy [kWh], NaN beyond the months held.

        Raises
        ------
        UsageError
            If `last` is before `first`.
        """
        months = month_range(first, last)
        here = np.flatnonzero(np.isin(self.months, months))
        if here.size == len(months):
            return self.kwh[:, here[0] : here[-1] + 1]
        kwh = np.full((len(self.well_id), len(months)), np.nan)
        kwh[:, np.isin(months, self.months)] = self.kwh[:, here]
        return kwh


def month_range(first: np.datetime64, last: np.datetime64) -> Months:
    """Give the months from `first` to `last`, both included, as ``datetime64[M]``.

    Raises
    ------
    UsageError
        If `last` is before `first`.
    """
    start, stop = month_of([first, last])
    if not stop >= start:
        raise UsageError(f"months: expected first <= last, found {start} to {stop}")
    return np.arange(start, stop + 1)
