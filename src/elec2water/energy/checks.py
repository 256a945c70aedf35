"""What the energy of meters and wells gives cause to say."""

from __future__ import annotations

import numpy as np
import pandas as pd

from elec2water.calendar_ import days_in_month
from elec2water.energy.arrays import Bools, Floats, Ints, distinct_numbers, is_one_of, numbers
from elec2water.energy.axis import Axis
from elec2water.energy.cells import Cells
from elec2water.energy.links import ROUNDING, Epochs, Links
from elec2water.energy.monthly import MonthlyEnergy
from elec2water.energy.registers import HOURS_PER_DAY
from elec2water.energy.registry import Registry
from elec2water.energy.reporter import NOTHING, Reporter, together
from elec2water.findings import Findings, findings_of, largest_of

_OFF_GRID = ("diesel", "solar")
_OUT_OF_USE = ("sealed", "abandoned")
_CAPACITY_CAUSES = {
    "zh": "多录一位|倍率重复相乘|单位不对|功率登记有误|该表还供其他用电",
    "en": "a digit too many|multiplier applied twice|wrong unit|wrong rated power|other loads on the meter",
}


def link_findings(
    wells: pd.DataFrame, registry: Registry, epochs: Epochs, cells: Cells, axis: Axis, asked: slice, reporter: Reporter
) -> Findings:
    """Report meters and wells that do not find each other, and energy that belongs to no well.

    Parameters
    ----------
    wells : pandas.DataFrame, N rows
        The wells.
    registry : Registry
        Meters and links.
    epochs, cells, axis : Epochs, Cells, Axis
        What the meters read.
    asked : slice
        The months wanted, as columns of `cells`.
    reporter : Reporter
        Who speaks.

    Returns
    -------
    Findings
        ``METER_WITHOUT_WELL``, ``ENERGY_OUTSIDE_LINK``, ``SHARE_REST``, ``SHARES_OVER``, ``METER_NO_DATA``,
        ``SHARED_METER``, ``SEVERAL_METERS``; with kWh of the months wanted where energy is at stake.
    """
    n_meters = len(registry.meter_id)
    kwh, read = cells.kwh[:, asked].sum(axis=1), np.asarray((cells.days[:, asked] > 0).any(axis=1))
    shared = np.bincount(epochs.epoch, weights=epochs.share, minlength=len(epochs.meter))
    linked = np.bincount(epochs.epoch, minlength=len(epochs.meter)) > 0
    served = _any(epochs.meter, linked, n_meters)
    orphan = np.flatnonzero(~served & _any(epochs.meter, read, n_meters))
    outside = _sum(epochs.meter, np.where(linked, 0.0, kwh), n_meters) * served
    rest = _sum(epochs.meter, np.where(linked, (1.0 - shared) * kwh, 0.0), n_meters)
    held = linked & (epochs.start < axis.edges[asked.stop]) & (epochs.end > axis.edges[asked.start])
    silent = np.flatnonzero(_any(epochs.meter, held, n_meters) & ~_any(epochs.meter, read, n_meters))
    split = np.flatnonzero(_any(epochs.meter[epochs.epoch], epochs.share_variance > 0, n_meters))
    total = _sum(epochs.meter, kwh, n_meters)
    parts = [
        reporter.of_meters(
            "METER_WITHOUT_WELL",
            orphan,
            table="readings",
            observed=total[orphan],
            energy_kwh=np.round(total[orphan], 1),
        ),
        _with_energy("ENERGY_OUTSIDE_LINK", outside, reporter),
        _with_energy("SHARE_REST", np.where(rest > 1e-9 * total, rest, 0.0), reporter),
        reporter.of_meters("METER_NO_DATA", silent),
        reporter.of_meters("SHARED_METER", split, observed=total[split], energy_kwh=np.round(total[split], 1)),
        _over_shared(registry.links, reporter),
        _several_meters(wells, epochs, reporter),
    ]
    return together(*parts)


def coverage_findings(
    of_wells: Cells, cells: Cells, epochs: Epochs, axis: Axis, asked: slice, reporter: Reporter
) -> Findings:
    """Report, month by month, the energy of wells whose month is read too little to be known (``PARTIAL_MONTH``)."""
    months, wells, energy = [], [], []
    unknown = np.asarray(np.isnan(of_wells.kwh[:, asked]).any(axis=1))
    link = np.flatnonzero(unknown[epochs.well])
    well, epoch = epochs.well[link], epochs.epoch[link]
    for month in range(asked.start, asked.stop):
        lost = np.isnan(of_wells.kwh[well, month]) & (cells.days[epoch, month] > 0)
        if lost.any():
            months.append(str(axis.months[month]))
            wells.append(len(np.unique(well[lost])))
            energy.append(float(epochs.share[link[lost]] @ cells.kwh[epoch[lost], month]))
    if not months:
        return NOTHING
    return findings_of(
        "PARTIAL_MONTH",
        table="readings",
        file=reporter.file,
        period=np.array(months, dtype=object),
        observed=np.round(np.array(energy), 3),
        limit="80 %",
        n_wells=np.array(wells),
        lang=reporter.lang,
    )


def over_capacity(energy: MonthlyEnergy, wells: pd.DataFrame, margin: float, reporter: Reporter) -> Findings:
    """Report well-months with more energy than rated power × hours × margin; it is kept.

    Parameters
    ----------
    energy : MonthlyEnergy
        Of N wells.
    wells : pandas.DataFrame, N rows
        ``pump_power_kw`` where known.
    margin : float
        How far the rated power may be exceeded.
    reporter : Reporter
        Who speaks.

    Returns
    -------
    Findings
        ``OVER_CAPACITY``, one for each well-month.
    """
    power = numbers(wells, "pump_power_kw")
    most = np.where(power > 0, power, np.nan)[:, None]
    hours = days_in_month(energy.months) * HOURS_PER_DAY
    well, month = np.nonzero(energy.kwh > most * (hours * margin))
    if not len(well):
        return NOTHING
    beyond = np.round(energy.kwh[well, month] - power[well] * hours[month], 1)
    return largest_of(
        "OVER_CAPACITY",
        beyond,
        table="readings",
        file=reporter.file,
        well_id=energy.well_id[well],
        period=energy.months[month].astype(str).astype(object),
        observed=np.round(energy.kwh[well, month], 1),
        limit=np.round(power[well] * hours[month] * margin, 1),
        margin=margin,
        energy_kwh=beyond,
        candidates=_CAPACITY_CAUSES[reporter.lang],
        lang=reporter.lang,
    )


def without_energy(energy: MonthlyEnergy, wells: pd.DataFrame, lang: str) -> Findings:
    """Report wells in use and on the grid of which no month's energy is known (``WELL_WITHOUT_ENERGY``)."""
    unknown = wells.iloc[np.flatnonzero(~np.isfinite(energy.kwh).any(axis=1))]
    off_grid = is_one_of(unknown, "power_source", _OFF_GRID)
    bare = unknown.iloc[np.flatnonzero(~off_grid & ~is_one_of(unknown, "status", _OUT_OF_USE))]
    if not len(bare):
        return NOTHING
    return largest_of(
        "WELL_WITHOUT_ENERGY",
        np.zeros(len(bare)),
        table="wells",
        file=str(wells.attrs.get("file", "")),
        row=bare.index.to_numpy(),
        well_id=bare["well_id"].to_numpy(dtype=object),
        period=f"{energy.months[0]}/{energy.months[-1]}",
        lang=lang,
    )


def _over_shared(links: Links, reporter: Reporter) -> Findings:
    """Report meters whose stated shares, at the beginning of one of its links, sum to more than one."""
    n = int(links.meter.max(initial=-1)) + 1
    ever = _sum(links.meter, np.nan_to_num(links.share), n)
    stated = np.flatnonzero(np.isfinite(links.share) & (ever[links.meter] > 1.0 + ROUNDING))
    most = np.zeros(n)
    for day in np.unique(links.start[stated]).tolist():
        held = stated[(links.start[stated] <= day) & (links.end[stated] > day)]
        most = np.maximum(most, _sum(links.meter[held], links.share[held], n))
    over = np.flatnonzero(most > 1.0 + ROUNDING)
    return reporter.of_meters("SHARES_OVER", over, observed=np.round(most[over], 3))


def _several_meters(wells: pd.DataFrame, epochs: Epochs, reporter: Reporter) -> Findings:
    n_wells = len(wells)
    if not np.any(np.bincount(epochs.well, minlength=1) > 1):
        return NOTHING
    pair = distinct_numbers(epochs.meter[epochs.epoch] * np.int64(n_wells) + epochs.well)
    count = np.bincount(pair % n_wells, minlength=n_wells)
    many = np.flatnonzero(count > 1)
    if not len(many):
        return NOTHING
    ids = wells["well_id"].to_numpy(dtype=object)[many]
    return largest_of(
        "SEVERAL_METERS",
        np.zeros(len(many)),
        table="meters",
        file=reporter.meters_file,
        well_id=ids,
        observed=count[many],
        lang=reporter.lang,
    )


def _with_energy(rule: str, kwh: Floats, reporter: Reporter) -> Findings:
    meter = np.flatnonzero(kwh > 0)
    return reporter.of_meters(rule, meter, observed=np.round(kwh[meter], 3), energy_kwh=np.round(kwh[meter], 1))


def _any(group: Ints, holds: Bools, n: int) -> Bools:
    return np.asarray(np.bincount(group, weights=holds, minlength=n) > 0)


def _sum(group: Ints, value: Floats, n: int) -> Floats:
    return np.bincount(group, weights=value, minlength=n).astype(np.float64)
