"""The draw of a design: primary wells with the stated probabilities, spread and balanced, and reserves like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.design.draw import Method, draw
from elec2water.design.places import places_of
from elec2water.design.reserves import choose_reserves
from elec2water.design.result import PRIMARY, RESERVE
from elec2water.design.selection import uniform_of
from elec2water.findings import Findings

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_RESERVE_SCALES = {"pump_power_kw": 0.5, "pump_depth_m": 0.5}
_UNCERTAIN_SLOPES = ("pump_depth_m", "irrigated_area_mu")
_MANY_WELLS = 200_000
"""A province's sample is so large that volume and energy alone leave nothing worth the time to balance."""


@dataclass(frozen=True)
class Draw:
    """What is drawn, and from what.

    Attributes
    ----------
    wells : DataFrame
        The frame, by ``well_id``.
    energy, volume : (N,) array
        Energy of the last year and anticipated volume.
    codes : (N,) array of int
        Stratum of each well.
    names : tuple of str
        Of the strata.
    probability : (N,) array
        Inclusion probabilities that are stated; without a network their sums by stratum are whole.
    conditional : (N,) array
        Those to be drawn with now: the same, unless an existing network is kept.
    pools : sequence of (N,) arrays of int
        Where left-overs of strata are settled.
    network : (N,) array of bool
        Wells of the existing network.
    """

    wells: pd.DataFrame
    energy: Floats
    volume: Floats
    codes: Integers
    names: tuple[str, ...]
    probability: Floats
    conditional: Floats
    draw_codes: Integers
    pools: Sequence[Integers]
    network: NDArray[np.bool_]


def draw_sample(
    what: Draw, *, seed: int, reserve_ratio: float, method: Method = "balanced", lang: str = "zh"
) -> tuple[pd.DataFrame, Integers, Findings]:
    """Draw the primary wells and choose their reserves.

    The sample is balanced on energy, on the anticipated volume and on what the anticipation is least sure of (its
    slopes on depth, energy and area), and spread over the county.

    Parameters
    ----------
    what : Draw
    seed : int
    reserve_ratio : float
        Reserves for each primary well, rounded up in every stratum.
    method : {"balanced", "spatial", "systematic", "random"}
    lang : str

    Returns
    -------
    sample : DataFrame
        ``SAMPLE_COLUMNS``, stratum by stratum.
    drawn : (n,) array of int
        Rows of the primary wells.
    findings : Findings
        What is not known of places.
    """
    places = places_of(what.wells, what.volume, seed=seed, lang=lang)
    drawn = draw(
        what.conditional,
        what.draw_codes,
        seed=seed,
        method=method,
        coordinates=places.coordinates,
        auxiliaries=_auxiliaries(what),
        pools=what.pools,
    )
    ids = what.wells["well_id"].to_numpy(dtype=object)
    chance = np.array([uniform_of(seed, "order", ids[i]) for i in drawn])
    drawn = drawn[np.lexsort((chance, what.codes[drawn]))]
    n_sample = np.bincount(what.codes[drawn], minlength=len(what.names))
    order = np.arange(drawn.size) - np.repeat(np.cumsum(n_sample) - n_sample, n_sample) + 1
    reserves = choose_reserves(
        _features(what.wells, what.volume), what.codes, drawn, np.ceil(reserve_ratio * n_sample).astype(np.int64)
    )
    sample = pd.concat(
        [
            _rows(what, drawn, PRIMARY, order, np.full(drawn.size, "", dtype=object)),
            _rows(what, reserves.rows, RESERVE, reserves.order, ids[reserves.stands_for]),
        ],
        ignore_index=True,
    )
    codes = np.concatenate([what.codes[drawn], what.codes[reserves.rows]])
    return sample.iloc[np.argsort(codes, kind="stable")].reset_index(drop=True), drawn, places.findings


def _auxiliaries(what: Draw) -> Floats:
    columns = [what.volume, what.energy]
    if what.volume.size > _MANY_WELLS:
        return np.column_stack(columns)
    for name in (*_UNCERTAIN_SLOPES, None):
        logs = np.log(what.energy) if name is None else _logs(what.wells, name)
        if logs is not None:
            columns.append(what.volume * (logs - np.average(logs, weights=what.volume)))
    return np.column_stack([*columns, np.ones(what.volume.size)])


def _rows(what: Draw, rows: Integers, role: str, order: Integers, stands_for: NDArray[np.object_]) -> pd.DataFrame:
    names = np.asarray(what.names, dtype=object)
    kept = np.where(what.network[rows], "kept", "new") if role == PRIMARY else np.full(rows.size, "")
    return pd.DataFrame(
        {
            "well_id": what.wells["well_id"].iloc[rows].astype("str").to_numpy(),
            "stratum": pd.Series(names[what.codes[rows]], dtype="str"),
            "role": pd.Series([role] * rows.size, dtype="str"),
            "inclusion_probability": what.probability[rows],
            "weight": 1.0 / what.probability[rows],
            "order": order,
            "stands_for": pd.Series(stands_for, dtype="str"),
            "network": pd.Series(kept, dtype="str"),
        }
    ).astype({"well_id": "str"})


def _features(wells: pd.DataFrame, volume: Floats) -> Floats:
    """Log volume first, then power and depth at half its weight; an unknown value sits at the middle."""
    columns = [np.log(volume)]
    for name, scale in _RESERVE_SCALES.items():
        logs = _logs(wells, name)
        if logs is not None:
            columns.append(scale * logs)
    return np.column_stack(columns)


def _logs(wells: pd.DataFrame, name: str) -> Floats | None:
    """Logarithms of a column, its median where it is blank; None where it is blank everywhere."""
    if name not in wells.columns:
        return None
    value = wells[name].to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.isfinite(value) & (value > 0)
    if not known.any():
        return None
    logs = np.log(np.where(known, value, 1.0))
    return np.where(known, logs, np.median(logs[known]))
