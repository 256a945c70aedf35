"""What sample wells measured: water and electricity over the same interval, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import month_of
from elec2water.errors import UsageError
from elec2water.stamps import wall_time

Floats = NDArray[np.float64]

_DAY = np.timedelta64(1, "D")
_HALF_A_MONTH = np.timedelta64(16, "D")
_LONG_AGO = np.datetime64("1000-01", "M")
_NEVER = np.iinfo(np.int64).max
_WHEN = ("well_id", "start", "end")
_AS_METERED, _BY_RATE = ("energy_kwh", "volume_m3"), ("power_kw", "flow_m3_per_h")
TEST_REL_U = 0.05
"""Relative standard uncertainty of a short test beside a month of metering."""


@dataclass(frozen=True)
class Measurements:
    """Pairs of the sample wells, sorted by well and time.

    Attributes
    ----------
    well : (R,)
        Place of the well in the registry.
    start, end : (R,) datetime64[s]
        Interval, end exclusive; NaT where a test has no date.
    energy_kwh, volume_m3 : (R,)
    meter_rel_u : (R,)
        Relative standard uncertainty of the water meter, NaN where not stated.
    test : (R,)
        True for a short pumping test.
    row : (R,)
        Row of the pair in its file.
    """

    well: NDArray[np.intp]
    start: NDArray[np.datetime64]
    end: NDArray[np.datetime64]
    energy_kwh: Floats
    volume_m3: Floats
    meter_rel_u: Floats
    test: NDArray[np.bool_]
    row: NDArray[np.int64]

    @property
    def coefficient(self) -> Floats:
        """κ = V/E [m³/kWh], (R,)."""
        return self.volume_m3 / self.energy_kwh

    @property
    def middle(self) -> NDArray[np.datetime64]:
        """Middle of each interval, (R,) datetime64[s]."""
        return self.start + (self.end - self.start) / 2

    @property
    def months_within(self) -> NDArray[np.datetime64]:
        """First and last month of which each interval has about half or more, (2, R); NaT where there is no date."""
        reach = np.minimum((self.end - self.start) / 2, _HALF_A_MONTH)
        return np.stack([month_of(self.start + reach), month_of(self.end - reach)])

    @property
    def days(self) -> Floats:
        """Length of each interval in days, (R,)."""
        return (self.end - self.start).astype("timedelta64[s]").astype(np.float64) / 86400.0

    def first_months(self, n_wells: int) -> NDArray[np.datetime64]:
        """Give the month of the first pair of each well of a registry (N,); NaT where it has none.

        A test without a date counts as of long ago.
        """
        month = month_of(self.middle)
        month[np.isnat(month)] = _LONG_AGO
        first = np.full(n_wells, _NEVER)
        np.minimum.at(first, self.well, month.astype(np.int64))
        return np.where(first == _NEVER, np.datetime64("NaT", "M"), first.astype("datetime64[M]"))

    def order(self) -> NDArray[np.intp]:
        """Give the places of the pairs by well and time, and by what they say where these are equal, (R,).

        Where a pair stands in the file decides only between pairs that are equal in all: the fit adds up the same
        numbers in the same order whatever the order of the rows.
        """
        figures = (self.volume_m3, self.energy_kwh, self.meter_rel_u, self.test)
        return np.asarray(np.lexsort((self.row, *figures, self.end, self.start, self.well)), dtype=np.intp)

    def take(self, index: NDArray[np.generic]) -> Measurements:
        """Keep the pairs of an index or mask."""
        fields = (
            self.well,
            self.start,
            self.end,
            self.energy_kwh,
            self.volume_m3,
            self.meter_rel_u,
            self.test,
            self.row,
        )
        return Measurements(*(field[index] for field in fields))


def measurements(pairs: pd.DataFrame, well_id: NDArray[np.object_]) -> Measurements:
    """Turn the pairs of wells that are in the registry into arrays; pairs without a usable κ are left out.

    Parameters
    ----------
    pairs : DataFrame
        The table ``pairs``; a short test may give ``flow_m3_per_h`` and ``power_kw`` instead of volume and energy. A
        pair of less than a day whose ``kind`` is not stated is a short test.
    well_id : (N,)
        Identifiers of the registry, whose places are returned.

    Raises
    ------
    UsageError
        A column is not there without which no pair can be read.
    """
    _check_columns(pairs)
    n = len(pairs)
    energy = _column(pairs, "energy_kwh").copy()
    volume = _column(pairs, "volume_m3").copy()
    kind = pairs["kind"].astype("str").to_numpy(dtype=object) if "kind" in pairs else np.full(n, "meter", dtype=object)
    by_rate = ~(np.isfinite(energy) & np.isfinite(volume))
    energy[by_rate] = _column(pairs, "power_kw")[by_rate]
    volume[by_rate] = _column(pairs, "flow_m3_per_h")[by_rate]
    well = pd.Index(well_id, dtype=object).get_indexer(pd.Index(pairs["well_id"].astype(object)))
    start, end = wall_time(pairs["start"]), wall_time(pairs["end"])
    brief = (kind != "meter") & (end > start) & (end - start < _DAY)
    table = Measurements(
        np.asarray(well, dtype=np.intp),
        start,
        np.where(np.isnat(end), start, end),
        energy,
        volume,
        _column(pairs, "volume_rel_u"),
        (kind == "test") | by_rate | brief,
        np.asarray(pairs.index, dtype=np.int64),
    )
    usable = (well >= 0) & (energy > 0) & (volume > 0) & np.isfinite(energy) & np.isfinite(volume)
    table = table.take(np.flatnonzero(usable))
    return table.take(table.order())


def _check_columns(pairs: pd.DataFrame) -> None:
    """Raise a usage error unless wells, dates, and water with electricity or flow with power have their columns."""
    missing = [name for name in _WHEN if name not in pairs]
    read = [[name for name in names if name not in pairs] for names in (_AS_METERED, _BY_RATE)]
    if all(read):
        missing += read[0]
    if missing:
        raise UsageError(
            f"pairs: expected the columns {', '.join(_WHEN)} and {' and '.join(_AS_METERED)} (or "
            f"{' and '.join(_BY_RATE)}), found none named {', '.join(missing)} among {list(pairs.columns)[:10]}; "
            "read it with read_tables, or rename the columns"
        )


@dataclass(frozen=True)
class MergedPairs:
    """Pairs known before, joined with what came in.

    Attributes
    ----------
    pairs : Measurements
        All that stand now, R of them, sorted by well and time.
    origin : (R,)
        Place of each among those known before, -1 where it is new or corrected.
    corrected : (R,)
        True where it stands in the place of one known before.
    withdrawn : (K,)
        Places of those known before that are no longer there, nor corrected.
    """

    pairs: Measurements
    origin: NDArray[np.intp]
    corrected: NDArray[np.bool_]
    withdrawn: NDArray[np.intp]

    @property
    def new(self) -> NDArray[np.bool_]:
        """(R,) True where no pair of that well and time was known before."""
        return np.asarray((self.origin < 0) & ~self.corrected)

    def known_before(self) -> MergedPairs:
        """Give the pairs of before as they are corrected, without those that are new."""
        kept = ~self.new
        return MergedPairs(self.pairs.take(kept), self.origin[kept], self.corrected[kept], self.withdrawn)


def merge_pairs(known: Measurements, given: Measurements, *, whole: bool = False) -> MergedPairs:
    """Join pairs that are given to those known before.

    A given pair is the same as one known before when well, kind, dates and figures agree; it corrects one of the same
    well and kind when their intervals share more than half of the shorter.

    Parameters
    ----------
    known, given : Measurements
        Of the same registry.
    whole : bool
        ``given`` is the whole table: pairs known before that are no longer in it are withdrawn, unless they end before
        the first of it begins, for then the table was started anew.
    """
    match, corrects = _matches(known, given)
    place = np.arange(known.well.size)
    kept = ~np.isin(place, corrects[corrects >= 0])
    if whole:
        starts = given.start[~np.isnat(given.start)]
        before = known.end <= starts.min() if starts.size else np.ones(place.size, dtype=bool)
        kept &= before | np.isin(place, match)
    fresh = match < 0
    kept &= ~np.isin(place, match[~fresh])
    joined = Measurements(
        *(np.concatenate([getattr(known, f.name)[kept], getattr(given, f.name)]) for f in fields(Measurements))
    )
    n_kept = int(kept.sum())
    joined = replace(joined, row=np.where(np.arange(joined.well.size) < n_kept, 0, joined.row))
    order = joined.order()
    origin = np.concatenate([place[kept], match]).astype(np.intp)[order]
    corrected = np.concatenate([np.zeros(n_kept, dtype=bool), corrects >= 0])[order]
    gone = np.setdiff1d(place, np.concatenate([origin, corrects])).astype(np.intp)
    return MergedPairs(joined.take(order), origin, corrected, gone)


def _matches(known: Measurements, given: Measurements) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give for each given pair the place of the known one that it equals, and of the one it corrects; -1 for none."""
    keys = ["well", "test", "start", "end", "energy", "volume", "turn"]
    both = _keyed(given, "new").merge(_keyed(known, "old"), on=keys)
    i, j = both["new"].to_numpy(dtype=np.intp), both["old"].to_numpy(dtype=np.intp)
    alike = np.nan_to_num(given.meter_rel_u[i]) == np.nan_to_num(known.meter_rel_u[j])
    alike &= (given.energy_kwh[i] == known.energy_kwh[j]) & (given.volume_m3[i] == known.volume_m3[j])
    match = np.full(given.well.size, -1, dtype=np.intp)
    match[i[alike]] = j[alike]
    corrects = np.full(given.well.size, -1, dtype=np.intp)
    corrects[i[~alike]] = j[~alike]
    free = np.flatnonzero((match < 0) & (corrects < 0)), np.setdiff1d(np.arange(known.well.size), j)
    i, j = _overlapping(given.take(free[0]), known.take(free[1]))
    corrects[free[0][i]] = free[1][j]
    return match, corrects


def _keyed(measured: Measurements, name: str) -> pd.DataFrame:
    """Give what makes two pairs the same: well, kind and dates, and of tests without a date the figures."""
    undated = np.isnat(measured.start)
    frame = pd.DataFrame(
        {
            "well": measured.well,
            "test": measured.test,
            "start": measured.start,
            "end": measured.end,
            "energy": np.where(undated, measured.energy_kwh, 0.0),
            "volume": np.where(undated, measured.volume_m3, 0.0),
        }
    )
    frame["turn"] = frame.groupby(list(frame.columns), dropna=False).cumcount()
    return frame.assign(**{name: np.arange(len(frame))})


def _overlapping(given: Measurements, known: Measurements) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of given and known pairs of one well and kind that share more than half of the shorter, each once."""
    left, right = (
        pd.DataFrame({"well": m.well, "test": m.test, "place": np.arange(m.well.size)}) for m in (known, given)
    )
    both = right.merge(left, on=["well", "test"], suffixes=("_given", "_known"))
    i, j = both["place_given"].to_numpy(dtype=np.intp), both["place_known"].to_numpy(dtype=np.intp)
    start, end = np.maximum(given.start[i], known.start[j]), np.minimum(given.end[i], known.end[j])
    shorter = np.minimum(given.end[i] - given.start[i], known.end[j] - known.start[j])
    shared = ~np.isnat(start) & (2 * (end - start) > shorter)
    some = pd.DataFrame({"i": i[shared], "j": j[shared]}).drop_duplicates("i").drop_duplicates("j")
    return some["i"].to_numpy(dtype=np.intp), some["j"].to_numpy(dtype=np.intp)


def pairs_frame(measured: Measurements, well_id: NDArray[np.object_]) -> pd.DataFrame:
    """Write measurements as a table ``pairs`` of the contract; ``well_id`` (N,) are the ids of their places."""
    return pd.DataFrame(
        {
            "well_id": pd.Series(well_id[measured.well], dtype="str"),
            "start": measured.start,
            "end": measured.end,
            "energy_kwh": measured.energy_kwh,
            "volume_m3": measured.volume_m3,
            "volume_rel_u": measured.meter_rel_u,
            "kind": pd.Series(np.where(measured.test, "test", "meter"), dtype="str"),
        },
        index=measured.row,
    )


def short_test_rel_u(measured: Measurements) -> Floats:
    """Relative standard uncertainty that a short test adds to a pair, (R,): repeat tests agree to 4-9 % (METHOD.md)."""
    return np.where(measured.test, TEST_REL_U, 0.0)


def _column(frame: pd.DataFrame, name: str) -> Floats:
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    return np.asarray(frame[name].to_numpy(dtype=np.float64, na_value=np.nan))
