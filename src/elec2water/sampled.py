"""The wells that were measured, as the design sees them: weights, strata, and how errors are to be formed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.county import County
from elec2water.design import read_anticipated, read_policy, read_sample
from elec2water.energy.arrays import positions
from elec2water.survey import LonelyPolicy, adjust_for_refusal, lonely_policy

Floats = NDArray[np.float64]

OUTSIDE = "设计外"


@dataclass(frozen=True)
class Sampled:
    """Measured wells under the design they were drawn by.

    Attributes
    ----------
    weights : (n,) array
        Design weights, adjusted for refusals.
    strata : (n,) array of str
        Strata they were drawn in.
    lonely : str
        What a stratum with one measured well contributes to standard errors.
    anticipated : (N,) array, optional
        κ that the design anticipated of every well of the registry before these were measured, NaN where it did not.
    """

    weights: Floats
    strata: NDArray[np.object_]
    lonely: LonelyPolicy
    anticipated: Floats | None = None


def sampled_wells(county: County, place: NDArray[np.intp]) -> Sampled:
    """Find the design weights of the measured wells.

    They come from ``design/sample.csv``. A reserve that was measured stands in, with its own weight, for the primary
    well it was listed for where that was not. What then is missing of a stratum is made up for by its other wells.
    Measured wells that the design did not draw were chosen, and speak for themselves alone. Without a design every well
    weighs N_h/n_h of its class.

    Parameters
    ----------
    county : County
    place : (n,) array of int
        Rows of the measured wells in the registry.
    """
    labels = county.strata.labels[place]
    sample = read_sample(county.folder / "design")
    ids = county.wells["well_id"].iloc[place]
    units = None if sample is None else _units(sample, ids)
    if units is None or not units["measured"].any():
        return Sampled(_class_weights(county, place), labels, "adjust")
    adjusted = adjust_for_refusal(
        units["weight"].to_numpy(dtype=np.float64), units["measured"].to_numpy(dtype=bool), units["stratum"].to_numpy()
    )
    drawn = pd.DataFrame(
        {"weight": np.maximum(adjusted, 1.0), "stratum": units["stratum"].to_numpy()}, index=units.index
    )
    found = drawn.loc[units["measured"].to_numpy(dtype=bool)].reindex(ids.to_numpy(dtype=object))
    return Sampled(
        found["weight"].fillna(1.0).to_numpy(dtype=np.float64),
        found["stratum"].fillna(OUTSIDE).to_numpy(dtype=object),
        lonely_policy(read_policy(county.folder / "design").get("lonely", "adjust")),
        _anticipated(county),
    )


def _anticipated(county: County) -> Floats | None:
    known = read_anticipated(county.folder / "design")
    if known is None:
        return None
    at = positions(county.wells["well_id"], known.index)
    kappa = np.append(known.to_numpy(dtype=np.float64), np.nan)[at]
    return kappa if np.isfinite(kappa).any() else None


def _units(sample: pd.DataFrame, ids: pd.Series) -> pd.DataFrame:
    """One row a place in the sample: the primary well, or the measured reserve that took its place."""
    measured = sample["well_id"].isin(ids)
    primary = sample.loc[sample["role"] == "primary"]
    missing = primary.loc[~measured.loc[primary.index], "well_id"]
    if "stands_for" in sample.columns:
        ready = sample.loc[(sample["role"] != "primary") & measured & sample["stands_for"].isin(missing)]
        ready = ready.drop_duplicates("stands_for")
        primary = pd.concat([primary.loc[~primary["well_id"].isin(ready["stands_for"])], ready])
    return primary.assign(measured=primary["well_id"].isin(ids)).set_index("well_id")


def _class_weights(county: County, place: NDArray[np.intp]) -> Floats:
    codes = county.strata.codes
    size = np.bincount(codes, minlength=len(county.strata.cells))
    measured = np.bincount(codes[place], minlength=size.size)
    return np.asarray((size / np.maximum(measured, 1))[codes[place]], dtype=np.float64)
