"""The synthetic county: the tables a user would have, and beside them the truth nobody has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import quarter_months
from elec2water.errors import UsageError

if TYPE_CHECKING:
    from elec2water.demo.metering import Billing

Months: TypeAlias = NDArray[np.datetime64]
Reals: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class County:
    """A county whose true volumes are known.

    Attributes
    ----------
    name, county_code
        Name of the county and its six-digit division code.
    seed
        What it was drawn with.
    wells, meters, water_levels, permits
        Tables of the contract, canonical column names. No column of them holds truth.
    billing
        The electricity readings as matrices; `readings` is the same as a table.
    well_id
        (N,) text, the order of `wells` and of every matrix.
    months
        (M,) ``datetime64[M]``.
    energy_kwh
        (N, M) electricity each well really took, pumping and other loads; 0 for wells without electricity.
    volume_m3
        (N, M) water each well really gave, wells without electricity included.
    kappa
        (N, M) coefficient of the pumping plant alone [m³/kWh], also in months without pumping.
    depth_m
        (N, M) depth to water at rest, or None where the mechanism of the county has no water table.
    pump_replaced
        (N,) ``datetime64[M]`` when the pump was replaced, NaT where it stayed, or None where pumps do not age.
    """

    name: str
    county_code: str
    seed: int
    wells: pd.DataFrame
    meters: pd.DataFrame
    water_levels: pd.DataFrame
    permits: pd.DataFrame
    billing: Billing
    well_id: NDArray[np.object_]
    months: Months
    energy_kwh: Reals
    volume_m3: Reals
    kappa: Reals
    depth_m: Reals | None
    pump_replaced: Months | None = None

    def __repr__(self) -> str:
        first, last = self.months[0], self.months[-1]
        return f"County({self.name!r}, {len(self.well_id)} wells, {first} to {last}, seed={self.seed})"

    @cached_property
    def readings(self) -> pd.DataFrame:
        """Electricity in the billing form: ``meter_id, start, end, energy_kwh, quality``, one row a reading."""
        return self.billing.table()

    @cached_property
    def electric(self) -> NDArray[np.bool_]:
        """(N,) whether the well is driven by electricity from the grid; a blank power source is the grid."""
        if "power_source" not in self.wells:
            return np.ones(len(self.well_id), dtype=bool)
        return self.wells["power_source"].fillna("grid").eq("grid").to_numpy(dtype=bool)

    def rows(self, well_ids: Sequence[str] | NDArray[np.object_]) -> NDArray[np.intp]:
        """Positions of wells in the arrays.

        Parameters
        ----------
        well_ids
            Sequence of well ids.

        Returns
        -------
        numpy.ndarray
            Integer positions, in the order asked.

        Raises
        ------
        UsageError
            Ids that the county does not have; the first five are named.
        """
        asked = np.asarray(well_ids, dtype=object)
        found = pd.Index(self.well_id).get_indexer(pd.Index(asked))
        if (found < 0).any():
            raise UsageError(f"well_ids: expected ids of {self.name}, found unknown {list(asked[found < 0][:5])}")
        return found

    def months_of(self, quarter: str) -> NDArray[np.intp]:
        """Columns of a quarter's three months.

        Parameters
        ----------
        quarter
            Text like ``2026Q3``.

        Returns
        -------
        numpy.ndarray
            (3,) integer positions.

        Raises
        ------
        UsageError
            The quarter is malformed or not within the months simulated.
        """
        columns = np.flatnonzero(np.isin(self.months, quarter_months(quarter)))
        if len(columns) != 3:
            span = f"{self.months[0]} to {self.months[-1]}"
            raise UsageError(f"quarter: expected a whole quarter within {span}, found {quarter!r}")
        return columns


def true_wells(county: County, quarter: str) -> pd.DataFrame:
    """Tell what each well took and gave in a quarter.

    Parameters
    ----------
    county
        The county.
    quarter
        Text like ``2026Q3``.

    Returns
    -------
    pandas.DataFrame
        A row a well, in the county's order: ``well_id, quarter, electric, energy_kwh, volume_m3``.
    """
    columns = county.months_of(quarter)
    return pd.DataFrame(
        {
            "well_id": pd.Series(county.well_id, dtype="str"),
            "quarter": quarter,
            "electric": county.electric,
            "energy_kwh": county.energy_kwh[:, columns].sum(axis=1, dtype=np.float64),
            "volume_m3": county.volume_m3[:, columns].sum(axis=1, dtype=np.float64),
        }
    )


def truth_totals(
    county: County, quarter: str, domains: tuple[str, ...] = ("county", "township", "aquifer")
) -> pd.DataFrame:
    """Sum the truth of a quarter.

    Parameters
    ----------
    county
        The county.
    quarter
        Text like ``2026Q3``.
    domains
        ``county`` and any columns of the registry; a blank cell counts as the key ``""``.

    Returns
    -------
    pandas.DataFrame
        ``domain, key, quarter, n_wells, energy_kwh, volume_m3, other_volume_m3``: `volume_m3` is what wells with
        electricity gave, `other_volume_m3` what diesel and solar wells gave on top, which no meter saw.
    """
    wells = true_wells(county, quarter)
    volume = wells["volume_m3"].where(wells["electric"], 0.0)
    values = wells[["energy_kwh"]].assign(volume_m3=volume, other_volume_m3=wells["volume_m3"] - volume, n_wells=1)
    parts = []
    for domain in domains:
        key: Any = county.name if domain == "county" else county.wells[domain].fillna("").to_numpy()
        total = values.groupby(pd.Series(key, index=values.index).astype("str"), sort=True).sum()
        parts.append(total.rename_axis("key").reset_index().assign(domain=domain, quarter=quarter))
    columns = ["domain", "key", "quarter", "n_wells", "energy_kwh", "volume_m3", "other_volume_m3"]
    return pd.concat(parts, ignore_index=True)[columns]
