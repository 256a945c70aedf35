"""The usual depth to water of wells, where those who tested them wrote it beside their tests."""

from __future__ import annotations

import numpy as np
import pandas as pd

KNOWN_ENOUGH = 0.9
"""A depth that is known of the measured wells alone says nothing of how they differ from the others."""


def with_rest_depths(wells: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Write the depth to water at rest of each well's first pair where the registry has none.

    This is done where all but a tenth of the wells then have a depth: of the others the model would have to guess both
    the depth and what it means that it is blank.

    Parameters
    ----------
    wells, pairs : pandas.DataFrame
        Tables of the contract.

    Returns
    -------
    pandas.DataFrame
        ``wells`` with ``water_depth_m`` [m], or as it was.
    """
    if "static_depth_m" not in pairs.columns or wells.empty or "well_id" not in wells.columns:
        return wells
    told = pairs.loc[pairs["static_depth_m"] > 0.0].sort_values("start", kind="stable")
    first = told.groupby("well_id", sort=False)["static_depth_m"].first()
    known = wells["water_depth_m"] if "water_depth_m" in wells.columns else pd.Series(np.nan, index=wells.index)
    if (known.notna().sum() + first.size) / len(wells) < KNOWN_ENOUGH:
        return wells
    depth = known.fillna(wells["well_id"].map(first).astype("float64"))
    if depth.notna().mean() < KNOWN_ENOUGH:
        return wells
    filled = wells.assign(water_depth_m=depth)
    filled.attrs.update(wells.attrs)
    return filled
