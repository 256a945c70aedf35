"""Electricity meters: which well hangs on which, and what the bills say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import days_in_month
from elec2water.demo.streams import stream

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]

_READ_DAY: Final = 26
_BLOCK: Final = 50_000


@dataclass(frozen=True, eq=False)
class Billing:
    """Bills of K meters in matrix form.

    Attributes
    ----------
    meter_id
        (K,) text.
    months
        (M,) ``datetime64[M]``.
    kwh
        (K, M) billed energy of each month, NaN where the bill is missing.
    estimated
        (K, M) whether the figure is an estimate.
    mid_month
        (K,) whether the meter is read on the 26th rather than at the month's end.
    """

    meter_id: NDArray[np.object_]
    months: NDArray[np.datetime64]
    kwh: NDArray[np.floating[Any]]
    estimated: NDArray[np.bool_]
    mid_month: NDArray[np.bool_]

    def table(self) -> pd.DataFrame:
        """All bills as one table, the meters in their own order."""
        return pd.concat(list(self.blocks()), ignore_index=True)

    def blocks(self) -> Iterator[pd.DataFrame]:
        """Give the bills in blocks of meters, for counties whose table should not stand in memory at once."""
        for first in range(0, max(len(self.meter_id), 1), _BLOCK):
            rows = np.arange(first, min(first + _BLOCK, len(self.meter_id)))
            late = self.mid_month[rows]
            yield pd.concat([self._bills(rows[~late], 1), self._bills(rows[late], _READ_DAY)], ignore_index=True)

    def _bills(self, rows: Ints, day: int) -> pd.DataFrame:
        edges = (self.months.astype("datetime64[D]") + (day - 1)).astype("datetime64[D]")
        first, last = self.months[:1].astype("datetime64[D]"), (self.months[-1:] + 1).astype("datetime64[D]")
        start = edges if day == 1 else np.concatenate([first, edges])
        end = np.concatenate([start[1:], last])
        kwh = np.asarray(self.kwh[rows], dtype=np.float64)
        estimated = self.estimated[rows]
        if day > 1:
            before = (day - 1) / days_in_month(self.months)
            kwh = np.column_stack([kwh * before, np.zeros(len(rows))]) + np.column_stack(
                [np.zeros(len(rows)), kwh * (1 - before)]
            )
            estimated = np.column_stack([estimated, np.zeros(len(rows), dtype=bool)])
        frame = pd.DataFrame(
            {
                "meter_id": pd.Series(np.repeat(self.meter_id[rows], len(start)), dtype="str"),
                "start": np.tile(start.astype("datetime64[s]"), len(rows)),
                "end": np.tile(end.astype("datetime64[s]"), len(rows)),
                "energy_kwh": np.round(kwh, 2).ravel(),
                "quality": pd.Series(np.where(estimated.ravel(), "estimated", "actual"), dtype="str"),
            }
        )
        return frame[frame["energy_kwh"].notna()]


@dataclass(frozen=True, eq=False)
class Wiring:
    """Which well hangs on which meter, one entry a metered well."""

    well: Ints
    meter: Ints
    share: Floats


def wire_wells(
    electric: NDArray[np.bool_], cluster: NDArray[Any], power_kw: Floats, shared: float, seed: int
) -> Wiring:
    """Hang wells on meters.

    Parameters
    ----------
    electric
        (N,) which wells have electricity.
    cluster
        (N,) village number: only neighbours share a meter.
    power_kw
        (N,) rated power; the share written down is its part of the meter's.
    shared
        Share of wells that hang on a meter with another.
    seed
        Seed of the county.

    Returns
    -------
    Wiring
        Meters are numbered in an order that says nothing about the wells.
    """
    rng = stream(seed, "wiring")
    well = np.flatnonzero(electric)
    well = well[np.argsort(cluster[well], kind="stable")]
    meter = np.arange(len(well))
    joins = (rng.random(max(len(well) - 1, 0)) < shared / 2) & (cluster[well[1:]] == cluster[well[:-1]])
    joins[1:] &= ~joins[:-1]
    meter[1:][joins] = meter[:-1][joins]
    _, meter = np.unique(meter, return_inverse=True)
    meter = rng.permutation(int(meter.max()) + 1)[meter] if len(meter) else meter
    total = np.bincount(meter, weights=power_kw[well])
    return Wiring(well, meter, power_kw[well] / total[meter])


def meter_table(wiring: Wiring, ids: NDArray[np.object_], meter_ids: NDArray[np.object_], seed: int) -> pd.DataFrame:
    """Contract's table of meters: multiplier, digits and share; shares of a shared meter are by rated power."""
    rng = stream(seed, "meter table")
    count = len(meter_ids)
    multiplier = rng.choice([1.0, 10.0, 15.0, 20.0], size=count, p=[0.82, 0.06, 0.06, 0.06])
    account = np.array([f"{k:010d}" for k in rng.integers(10**6, 10**10, count)], dtype=object)
    share = np.round(wiring.share, 4)
    second = np.zeros(len(share), dtype=bool)
    order = np.argsort(wiring.meter, kind="stable")
    second[order[1:]] = wiring.meter[order[1:]] == wiring.meter[order[:-1]]
    firsts = dict(zip(wiring.meter[~second], share[~second], strict=True))
    share[second] = [round(1 - firsts[m], 4) for m in wiring.meter[second]]
    return (
        pd.DataFrame(
            {
                "meter_id": pd.Series(meter_ids[wiring.meter], dtype="str"),
                "well_id": pd.Series(ids[wiring.well], dtype="str"),
                "account_no": pd.Series(account[wiring.meter], dtype="str"),
                "multiplier": multiplier[wiring.meter],
                "digits": np.where(rng.random(count) < 0.8, 6.0, 5.0)[wiring.meter],
                "share": share,
            }
        )
        .iloc[rng.permutation(len(wiring.well))]
        .reset_index(drop=True)
    )


def bill(
    energy_kwh: NDArray[np.floating[Any]],
    wiring: Wiring,
    meter_ids: NDArray[np.object_],
    months: NDArray[np.datetime64],
    seed: int,
) -> Billing:
    """Read the meters.

    About 4 % are read on the 26th; 1 % of bills are estimates, made good by the next; 0.8 % are missing, and 0.4 % of
    the meters have none for the last three months.

    Parameters
    ----------
    energy_kwh
        (N, M) truth.
    wiring
        Wells and meters.
    meter_ids
        (K,) text.
    months
        (M,) ``datetime64[M]``.
    seed
        Seed of the county.

    Returns
    -------
    Billing
        The bills.
    """
    kwh = np.zeros((len(meter_ids), len(months)), dtype=energy_kwh.dtype)
    np.add.at(kwh, wiring.meter, energy_kwh[wiring.well])
    estimated = np.zeros(kwh.shape, dtype=bool)
    for block, first in enumerate(range(0, len(kwh), _BLOCK)):
        rng, part = stream(seed, "bills", block), slice(first, first + _BLOCK)
        guess = rng.random(kwh[part].shape) < 0.01
        guess[:, -1] = False
        error = np.where(guess, kwh[part] * (np.exp(0.2 * rng.standard_normal(guess.shape)) - 1), 0.0)
        error[:, :-1] = np.minimum(error[:, :-1], kwh[part][:, 1:])  # the bill after it must not turn negative
        kwh[part] += error
        kwh[part][:, 1:] -= error[:, :-1]
        kwh[part][rng.random(guess.shape) < 0.008] = np.nan
        silent = rng.random(len(guess)) < 0.004
        kwh[part][silent, -3:] = np.nan
        estimated[part] = guess
    mid_month = stream(seed, "read days").random(len(kwh)) < 0.04
    return Billing(meter_ids, months, kwh, estimated, mid_month)


def draw_meter_ids(count: int, seed: int) -> NDArray[np.object_]:
    """Text ids of meters, ten digits, some with leading zeros."""
    first = stream(seed, "meter ids").integers(0, 97)
    numbers = np.sort(stream(seed, "meter numbers").choice(max(10 * count, 1000), size=count, replace=False))
    numbers = stream(seed, "meter order").permutation(numbers)
    return np.array([f"{first:02d}{k:08d}" for k in numbers], dtype=object)
