"""The fitted coefficient: what a kWh is worth at every well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.coefficient.classes import class_table
from elec2water.coefficient.context import (
    Known,
    Months,
    WellContext,
    Windows,
    describe_wells,
    in_order_of,
    pumped_sd,
)
from elec2water.coefficient.equipment import WATER_METER, Equipment
from elec2water.coefficient.features import FeatureSpec
from elec2water.coefficient.gauges import Gauges
from elec2water.coefficient.news import UpdateRecord
from elec2water.coefficient.options import FitOptions
from elec2water.coefficient.posterior import Posterior
from elec2water.coefficient.rows import pair_moments
from elec2water.coefficient.unseen import unknown_sd
from elec2water.coefficient.water import carried_movement, first_level
from elec2water.energy import MonthlyEnergy
from elec2water.errors import UsageError
from elec2water.pairs import Measurements

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Outlook:
    """When a coefficient stands and where the water stood then.

    ``year`` is the decimal year, NaN for the end of the months of the fit; ``level`` (W,) the ln head of
    the sample wells over the year before, less their own reference; empty where it is the reference.
    """

    year: float = float("nan")
    level: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Coefficient:
    """What a kWh is worth: the posterior of ln κ for every well, sampled or not. Holds arrays only.

    Attributes
    ----------
    posterior : Posterior
        Joint law of the effects that wells share, and what each of the W sample wells owns.
    spec : FeatureSpec
        How wells become features.
    options : FitOptions
        Those of the fit.
    windows : Windows
        Months of electricity and of water levels that the fit saw.
    sample_id : numpy.ndarray, shape (W,)
        The sample wells.
    measured : Measurements
        The R pairs behind it: energy [kWh] and volume [m³].
    equipment : Equipment
        Changes of pumps and water meters that it knows of.
    outlook : Outlook
        When it stands, and where the water stood then.
    record : UpdateRecord
        What the last update moved.
    gauges : Gauges
        The water levels it was told, which stand for the months before a later table begins.
    """

    posterior: Posterior
    spec: FeatureSpec
    options: FitOptions
    windows: Windows
    sample_id: NDArray[np.object_]
    measured: Measurements
    equipment: Equipment = field(default_factory=Equipment.none)
    outlook: Outlook = field(default_factory=Outlook)
    record: UpdateRecord = field(default_factory=UpdateRecord)
    gauges: Gauges = field(default_factory=Gauges.none)

    @property
    def news(self) -> pd.DataFrame:
        """What the last update moved in every class, adding up exactly; empty after a fit."""
        return self.record.news

    @property
    def changes(self) -> pd.DataFrame:
        """Wells whose readings broke with their past."""
        return self.record.changes

    def placed(self, well_id: NDArray[np.object_]) -> Coefficient:
        """Find the sample wells in a registry (N,) that lists them in another order, or no longer lists some of them.

        Parameters
        ----------
        well_id : numpy.ndarray, shape (N,)
            Wells of the registry.

        Returns
        -------
        Coefficient
            Of the sample wells that the registry lists; this one where they stand in their places already.

        Raises
        ------
        UsageError
            No sample well is in the registry.
        """
        if self._at_home(well_id):
            return self
        place = self._places_in(well_id)
        kept = np.flatnonzero(place >= 0)
        if not kept.size:
            first = ", ".join(self.sample_id[:5])
            raise UsageError(f"wells: expected the sample wells of the coefficient ({first} …), found none of them")
        sample_id = self.sample_id[kept]
        return replace(
            self,
            posterior=self.posterior.take_wells(kept, place[kept]),
            sample_id=sample_id,
            measured=self._measured_in(well_id),
            equipment=self.equipment.of_wells(sample_id),
            outlook=replace(self.outlook, level=self.outlook.level[kept] if self.outlook.level.size else np.zeros(0)),
        )

    def context(
        self,
        wells: pd.DataFrame,
        water_levels: pd.DataFrame | None,
        energy: MonthlyEnergy | None,
        months: Months,
        pairs: Measurements | None = None,
    ) -> WellContext:
        """See the wells of a registry over ``months`` (M,) as the fit saw its own.

        Levels of months before ``water_levels`` begins stand as the coefficient was told them; one that was told none
        and is given none of the months of its fit has the water where it was last known to be.

        Parameters
        ----------
        wells, water_levels : DataFrame
            Tables of the contract; N wells.
        energy : MonthlyEnergy, optional
            Electricity of the wells [kWh], in whatever order.
        months : numpy.ndarray, shape (M,)
            ``datetime64[M]``, consecutive.
        pairs : Measurements, optional
            Those of the registry's wells, where there are others than this coefficient's.

        Returns
        -------
        WellContext
        """
        water_levels = self.gauges.joined(water_levels)
        energy = None if energy is None else in_order_of(wells, energy)
        known = Known(wells, water_levels, energy)
        pairs = self._measured_in(known.well_id) if pairs is None else pairs
        known = replace(known, measured=pairs)
        first = pairs.first_months(len(wells))
        context = describe_wells(known, months, self.windows, self.spec, self.options, first)
        if self.outlook.level.any() and first_level(water_levels) > self.windows.level[-1]:
            last = np.full(len(self.spec.aquifers), self.windows.level[-1])
            unseen = np.hypot(unknown_sd(context.months, last), pumped_sd(energy, context.months, last))
            return replace(self._water_last_known(context), unseen=unseen)
        return context

    def _water_last_known(self, context: WellContext) -> WellContext:
        """See the water of all wells as it was last known, in the months after the fit."""
        place = self._places_in(context.well_id)
        level, aquifer = self.spec.unbent(self.outlook.level[place >= 0]), context.static.aquifer
        of_sample, later = aquifer[place[place >= 0]], context.months > self.windows.level[-1]

        def carried(of_wells: Ints, known: Floats) -> Floats:
            return np.where(later, carried_movement(level, of_sample, of_wells)[:, None], known)

        lasting = carried(np.arange(len(self.spec.aquifers)), context.lasting)
        water = carried(aquifer, context.water(np.arange(aquifer.size)))
        return replace(context, level=context.works.added_to(water, context.months), lasting=lasting)

    def _at_home(self, well_id: NDArray[np.object_]) -> bool:
        """Tell whether the sample wells stand in a registry where they stood in that of the fit."""
        known = self.posterior.sample
        return bool(known.max(initial=-1) < well_id.size and np.array_equal(well_id[known], self.sample_id))

    def _places_in(self, well_id: NDArray[np.object_]) -> Ints:
        """Give the places of the sample wells in a registry, (W,); -1 where it does not list them."""
        if self._at_home(well_id):
            return self.posterior.sample
        return np.asarray(pd.Index(well_id, dtype=object).get_indexer(pd.Index(self.sample_id)), dtype=np.intp)

    def _measured_in(self, well_id: NDArray[np.object_]) -> Measurements:
        """Give the pairs of the wells that are in a registry, by their places there."""
        place = self._places_in(well_id)
        well = place[np.searchsorted(np.unique(self.measured.well), self.measured.well)]
        return replace(self.measured, well=well).take(well >= 0)

    def equipped(self, context: WellContext) -> Coefficient:
        """See the pumps that the registry has put in since: what a well's pairs told of the pump before, they keep.

        Parameters
        ----------
        context : WellContext
            The wells of the registry, as :meth:`context` gives them.

        Returns
        -------
        Coefficient
            This one where the registry tells nothing new.
        """
        place = self.posterior.sample
        equipment = self.equipment.adding(context.registered(place))
        if equipment is self.equipment:
            return self
        rows = self.posterior.rows
        when = pair_moments(self.measured, self.posterior.layout)
        rows = replace(rows, pump=equipment.history(self.sample_id).number(rows.well, when))
        return replace(self, posterior=replace(self.posterior, rows=rows), equipment=equipment)

    @property
    def believed_meters(self) -> NDArray[np.bool_]:
        """Pairs whose water meter is believed, (R,): neither an impossible reading nor one since a fault was found."""
        when = pair_moments(self.measured, self.posterior.layout)
        faulty = self.equipment.history(self.sample_id).under((WATER_METER,), self.posterior.rows.well, when)
        return np.asarray(~self.posterior.impossible_pairs & ~faulty)

    def known_pumps(self, context: WellContext) -> Equipment:
        """Give the changes of pumps of all wells of a registry, with those that only this coefficient knows.

        Parameters
        ----------
        context : WellContext
            The N wells of the registry.

        Returns
        -------
        Equipment
        """
        return self.equipment.adding(context.registered(np.arange(context.well_id.size)))

    def pumps_in(self, context: WellContext, when: np.datetime64) -> tuple[NDArray[np.datetime64], Ints]:
        """Give since when each well has its pump, and the number of each sample well's.

        Parameters
        ----------
        context : WellContext
            The N wells of the registry.
        when : datetime64
            The moment asked about.

        Returns
        -------
        numpy.ndarray of datetime64[s], shape (N,)
            NaT where it is not known.
        numpy.ndarray of int, shape (W,)
            How many changes it has had by then.
        """
        since = np.where(context.pump_installed <= when, context.pump_installed, np.datetime64("NaT", "s"))
        pumps, every = self.equipment.history(self.sample_id), np.arange(self.sample_id.size)
        moments = np.full(every.size, when)
        since[self.posterior.sample] = pumps.since(every, moments)
        return since, pumps.number(every, moments)

    def __repr__(self) -> str:
        sd = {name: round(value**0.5, 3) for name, value in self.posterior.variance.items()}
        return (
            f"Coefficient({self.sample_id.size} sample wells, {self.posterior.rows.y.size} pairs, "
            f"{self.posterior.layout.size} shared effects, sd of ln κ {sd})"
        )

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Mean coefficient of every class with sample wells.

        As :func:`elec2water.coefficient.classes.class_table` says.
        """
        year = self.outlook.year
        return class_table(
            self.posterior,
            shared_meter_rel_u=self.options.shared_meter_rel_u,
            years=0.0 if np.isnan(year) else year - self.spec.reference_year,
            level=self.outlook.level if self.outlook.level.size else None,
        )

    def update(
        self,
        pairs: pd.DataFrame | None = None,
        wells: pd.DataFrame | None = None,
        water_levels: pd.DataFrame | None = None,
        *,
        energy: MonthlyEnergy | None = None,
        until: np.datetime64 | None = None,
        whole: bool = False,
        with_news: bool = True,
        progress: Callable[[str], None] | None = None,
    ) -> Coefficient:
        """Give the coefficient after new and corrected pairs, levels and pumps, as a new object; variances stay.

        As :func:`elec2water.coefficient.update.update_coefficient` says.

        Parameters
        ----------
        pairs : DataFrame, optional
            New and corrected pairs; none by default.
        wells, water_levels : DataFrame, optional
            The registry and the levels of today; without the registry the sample wells stay as they were.
        energy : MonthlyEnergy, optional
            Electricity of all wells [kWh].
        until : datetime64[M], optional
            Last month for which coefficients are wanted.
        whole : bool
            ``pairs`` is the whole table, see :func:`elec2water.pairs.merge_pairs`.
        with_news : bool
            Work out what moved (:attr:`news`).
        progress : callable, optional
            Told in words what is being done.

        Returns
        -------
        Coefficient

        Raises
        ------
        UsageError
            Pairs of wells that the coefficient does not know, without a registry.
        """
        function = import_module("elec2water.coefficient.update").update_coefficient
        options = {"energy": energy, "until": until, "whole": whole, "with_news": with_news, "progress": progress}
        updated: Coefficient = function(self, pairs, wells, water_levels, **options)
        return updated

    def _repr_html_(self) -> str:
        return self.summary.to_html(index=False)

    def plot(self, **options: object) -> Axes:
        """Draw ``summary``.

        Parameters
        ----------
        **options
            As for :func:`elec2water.plot.coefficients`.

        Returns
        -------
        matplotlib.axes.Axes
        """
        axes: Axes = import_module("elec2water.plot").coefficients(self.summary, **options)
        return axes
