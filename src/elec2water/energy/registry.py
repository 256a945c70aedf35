"""Meters and wells brought together: codes, links, and what does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from elec2water.energy.arrays import FOREVER, NO_DAY, Bools, Floats, Ints, Texts, days, numbers, positions
from elec2water.energy.links import Links
from elec2water.energy.reporter import NOTHING, together
from elec2water.findings import Findings, largest_of


@dataclass(frozen=True, slots=True, eq=False)
class Registry:
    """The meters of readings and of the meters table under one numbering.

    Attributes
    ----------
    meter_id : numpy.ndarray, shape (n_meters,)
        Names; those of the readings first.
    links : Links
        Which meter serves which well.
    stated : bool
        False where there is no meters table and each meter is a well.
    """

    meter_id: Texts
    links: Links
    stated: bool


def registry_of(
    wells: pd.DataFrame, meters: pd.DataFrame, read_ids: pd.Index[Any], lang: str
) -> tuple[Registry, Findings]:
    """Bring meters and wells together.

    Parameters
    ----------
    wells, meters : pandas.DataFrame
        Canonical columns; without rows in `meters` each meter is the well of the same name.
    read_ids : pandas.Index
        The distinct meters of the readings, in order of their codes.
    lang : str
        Language of the findings.

    Returns
    -------
    tuple of Registry and Findings
        ``LINK_UNKNOWN_WELL`` and ``LINK_REPEATED`` for links left out.
    """
    power = numbers(wells, "pump_power_kw")
    if not len(meters):
        well = positions(read_ids, wells["well_id"])
        meter = np.flatnonzero(well >= 0)
        links = _plain_links(meter, well[meter], len(read_ids), power)
        return Registry(read_ids.to_numpy(dtype=object), links, stated=False), NOTHING
    code, names = _codes(meters["meter_id"], read_ids)
    well = positions(meters["well_id"], wells["well_id"])
    known = (code >= 0) & (well >= 0)
    start, end = days(meters, "valid_from"), days(meters, "valid_to")
    start, end = np.where(start == NO_DAY, -FOREVER, start), np.where(end == NO_DAY, FOREVER, end)
    fresh = known & _first_of_its_kind(code, well, start, end)
    unknown = _link_findings("LINK_UNKNOWN_WELL", meters[(well < 0) & (code >= 0)], lang)
    found = together(unknown, _link_findings("LINK_REPEATED", meters[known & ~fresh], lang))
    kept = np.flatnonzero(fresh)
    kept = kept[np.lexsort((end[kept], start[kept], well[kept], code[kept]))]
    share, multiplier = numbers(meters, "share"), numbers(meters, "multiplier")
    links = Links(
        meter=code[kept],
        well=well[kept],
        start=start[kept],
        end=end[kept],
        share=np.where((share >= 0) & (share <= 1), share, np.nan)[kept],
        multiplier=np.where(multiplier > 0, multiplier, np.nan)[kept],
        digits=_digits(code, numbers(meters, "digits"), len(names)),
        capacity_kw=_capacity(code[kept], well[kept], power, len(names)),
    )
    return Registry(names, links, stated=True), found


def _plain_links(meter: Ints, well: Ints, n_meters: int, power: Floats) -> Links:
    n = len(meter)
    blank = np.full(n, np.nan)
    capacity = np.full(n_meters, np.nan)
    capacity[meter] = power[well]
    ever = np.full(n, FOREVER)
    return Links(meter, well, -ever, ever, blank, blank, np.full(n_meters, np.nan), capacity)


def _codes(ids: pd.Series[Any], read_ids: pd.Index[Any]) -> tuple[Ints, Texts]:
    """Give the meters of a table codes that continue those of the readings."""
    code = positions(ids, read_ids)
    new = (code < 0) & ids.notna().to_numpy(dtype=bool)
    further, further_ids = pd.factorize(ids[new], sort=True)
    code[new] = len(read_ids) + further
    return code, np.concatenate([read_ids.to_numpy(dtype=object), np.asarray(further_ids, dtype=object)])


def _first_of_its_kind(*keys: Ints) -> Bools:
    order = np.lexsort(keys)
    changed = np.zeros(len(order), dtype=bool)
    changed[:1] = True
    for key in keys:
        changed[1:] |= np.diff(key[order]) != 0
    first = np.zeros(len(order), dtype=bool)
    first[order[changed]] = True
    return first


def _digits(code: Ints, digits: Floats, n_meters: int) -> Floats:
    most = np.full(n_meters, -np.inf)
    known = (code >= 0) & np.isfinite(digits)
    np.maximum.at(most, code[known], digits[known])
    return np.where(np.isfinite(most), most, np.nan)


def _capacity(meter: Ints, well: Ints, power: Floats, n_meters: int) -> Floats:
    pair = _first_of_its_kind(meter, well)
    total = np.full(n_meters, np.nan)
    total[meter] = 0.0
    np.add.at(total, meter[pair], np.where(power > 0, power, np.nan)[well[pair]])
    return total


def _link_findings(rule: str, rows: pd.DataFrame, lang: str) -> Findings:
    if not len(rows):
        return NOTHING
    return largest_of(
        rule,
        np.zeros(len(rows)),
        table="meters",
        file=str(rows.attrs.get("file", "")),
        row=rows.index.to_numpy(),
        well_id=rows["well_id"].to_numpy(dtype=object),
        meter_id=rows["meter_id"].to_numpy(dtype=object),
        lang=lang,
    )
