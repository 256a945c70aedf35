"""The draw of a design: primary wells with the stated probabilities, and reserves like them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.design.result import PRIMARY, RESERVE
from elec2water.design.selection import nearest_reserves, spread_order, systematic_pps, uniform_of

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_RESERVE_SCALES = {"pump_power_kw": 0.5, "pump_depth_m": 0.5}


def draw_sample(
    wells: pd.DataFrame,
    volume: Floats,
    codes: Integers,
    names: tuple[str, ...],
    probability: Floats,
    *,
    seed: int,
    reserve_ratio: float,
) -> tuple[pd.DataFrame, Integers]:
    """Draw the primary wells and choose their reserves.

    Parameters
    ----------
    wells : DataFrame
        The frame, by ``well_id``.
    volume : (N,) array
        Anticipated volume of each well: what reserves resemble first.
    codes : (N,) array of int
    names : tuple of str
        Of the strata.
    probability : (N,) array
        Inclusion probabilities; their sum is whole in every stratum.
    seed : int
    reserve_ratio : float

    Returns
    -------
    sample : DataFrame
        ``SAMPLE_COLUMNS``, stratum by stratum.
    drawn : (n,) array of int
        Rows of the primary wells.
    """
    features = _features(wells, volume)
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    ids = wells["well_id"].to_numpy(dtype=object)
    parts, drawn = [], []
    for name, rows in zip(names, members, strict=True):
        primary = _primary(wells.iloc[rows], volume[rows], probability[rows], seed, name)
        n_reserves = int(np.ceil(reserve_ratio * primary.size))
        reserves = nearest_reserves(features[rows], primary, n_reserves)
        parts.append(_rows(ids[rows], probability[rows], name, primary, reserves))
        drawn.append(rows[primary])
    return pd.concat(parts, ignore_index=True), np.concatenate(drawn)


def _primary(wells: pd.DataFrame, volume: Floats, probability: Floats, seed: int, name: str) -> Integers:
    along = spread_order(wells["township"].to_numpy(dtype=object).astype(str).tolist(), volume, seed)
    drawn = along[systematic_pps(probability[along], uniform_of(seed, "start", name))]
    ids = wells["well_id"].to_numpy(dtype=object)
    return drawn[np.argsort([uniform_of(seed, "order", ids[i]) for i in drawn], kind="stable")]


def _rows(
    ids: NDArray[np.object_], probability: Floats, name: str, primary: Integers, reserves: Integers
) -> pd.DataFrame:
    chosen = np.concatenate([primary, reserves])
    return pd.DataFrame(
        {
            "well_id": pd.Series(ids[chosen], dtype="str"),
            "stratum": pd.Series([name] * chosen.size, dtype="str"),
            "role": pd.Series([PRIMARY] * primary.size + [RESERVE] * reserves.size, dtype="str"),
            "inclusion_probability": probability[chosen],
            "weight": 1.0 / probability[chosen],
            "order": np.concatenate([np.arange(1, primary.size + 1), np.arange(1, reserves.size + 1)]),
        }
    )


def _features(wells: pd.DataFrame, volume: Floats) -> Floats:
    """Log volume first, then power and depth at half its weight; an unknown value sits at the middle."""
    columns = [np.log(volume)]
    for name, scale in _RESERVE_SCALES.items():
        if name in wells.columns:
            value = wells[name].to_numpy(dtype=np.float64, na_value=np.nan)
            known = np.isfinite(value) & (value > 0)
            logs = np.log(np.where(known, value, 1.0))
            columns.append(scale * np.where(known, logs, np.median(logs[known]) if known.any() else 0.0))
    return np.column_stack(columns)
