"""What features are made of: columns of the registry and its companions, well by well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import decimal_year
from elec2water.coefficient.delivery import HEAD_BEYOND_M, log_delivery, usual_lift
from elec2water.coefficient.priors import slope_priors
from elec2water.keys import Keys

Floats = NDArray[np.float64]
Columns = Mapping[str, "NDArray[np.generic] | Keys"]
"""Columns of N wells by name: numbers and dates as they are, texts by their distinct names."""

UNKNOWN = "未知"


def well_columns(
    wells: pd.DataFrame,
    stratum: Keys,
    *,
    annual_kwh: Floats | None = None,
    depth_to_water: Floats | None = None,
    reference_year: float,
    covariates: Sequence[str] = (),
    delivery: Floats | None = None,
) -> dict[str, NDArray[np.generic] | Keys]:
    """Gather what the features are made of, columns of N wells by name, from a registry frame and its companions.

    ``delivery`` is what :func:`~elec2water.coefficient.delivery.delivery_head` gives.
    """
    n = len(wells)
    columns: dict[str, NDArray[np.generic] | Keys] = {}
    for row in slope_priors().values():
        name = row["column"]
        if name and name in wells.columns:
            columns[name] = _as_number(wells[name])
    columns["annual_kwh"] = np.full(n, np.nan) if annual_kwh is None else annual_kwh
    columns["energy_per_mu"] = _energy_per_mu(
        floats_of(columns, "annual_kwh", n), floats_of(columns, "irrigated_area_mu", n)
    )
    columns["depth_to_water"] = np.full(n, np.nan) if depth_to_water is None else depth_to_water
    lift = usual_lift(floats_of(columns, "depth_to_water", n), floats_of(columns, "pump_depth_m", n))
    columns["delivery"] = log_delivery(np.full(n, np.nan) if delivery is None else delivery, lift + HEAD_BEYOND_M)
    columns["pump_age_decades"] = _age_decades(wells, reference_year)
    columns["stratum"] = stratum
    for name in ("aquifer", "township", "irrigation_method"):
        columns[name] = _named(wells[name]) if name in wells.columns else _all_one(n)
    for name in covariates:
        number = _as_number(wells[name])
        columns[name] = number if np.isfinite(number).any() else _named(wells[name])
    return columns


def _energy_per_mu(kwh: Floats, mu: Floats) -> Floats:
    """Energy of a year for every mu irrigated [kWh/mu], NaN where either is blank or zero."""
    return np.where((kwh > 0) & (mu > 0), kwh, np.nan) / np.where(mu > 0, mu, np.nan)


def _as_number(series: pd.Series) -> Floats:
    if series.dtype == object or isinstance(series.dtype, pd.StringDtype):
        return np.asarray(pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
    return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))


def _named(series: pd.Series) -> Keys:
    return Keys.of(series).as_text(UNKNOWN)


def _all_one(n: int) -> Keys:
    return Keys(np.zeros(n, dtype=np.intp), np.array([UNKNOWN], dtype=object))


def _age_decades(wells: pd.DataFrame, reference_year: float) -> Floats:
    if "pump_installed_on" not in wells.columns:
        return np.full(len(wells), np.nan)
    age = reference_year - decimal_year(wells["pump_installed_on"].to_numpy(dtype="datetime64[s]"))
    return np.clip(age, 0.0, 30.0) / 10.0


def floats_of(columns: Columns, name: str, n: int) -> Floats:
    """Give a column of N wells as numbers, NaN where there is none of that name."""
    return np.asarray(columns[name], dtype=np.float64) if name in columns else np.full(n, np.nan)


def keys_of(columns: Columns, name: str) -> Keys:
    """Give a column as groups of wells."""
    found = columns[name]
    return found if isinstance(found, Keys) else Keys.of(found)
