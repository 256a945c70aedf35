"""Depth to groundwater per well and month, from wells observed themselves, else from their township and aquifer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from elec2water.calendar_ import Months, days_in_month
from elec2water.errors import UsageError
from elec2water.stamps import wall_time

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HOLD_DAYS = 366
"""An observation stands for at most this long before the first and after the last of its series."""
SHORT_SERIES = 3
"""A well observed fewer times than this does not show how its level moves; its township does."""
PLAUSIBLE_DEPTH_M = (0.0, 1000.0)
SOURCES = ("well", "township", "aquifer", "none")


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Depth to groundwater of N wells in M months.

    Attributes
    ----------
    well_id : numpy.ndarray, shape (N,)
        Text, in the order of the wells frame.
    months : numpy.ndarray, shape (M,)
        ``datetime64[M]``.
    depth_m : numpy.ndarray, shape (N, M)
        Depth to water in the middle of the month [m], NaN where unknown.
    source : numpy.ndarray, shape (N,)
        Whose observations: ``well``, ``township`` (and aquifer), ``aquifer``, or ``none``.
    """

    well_id: npt.NDArray[np.object_]
    months: Months
    depth_m: Floats
    source: npt.NDArray[np.str_]

    def __repr__(self) -> str:
        counts = ", ".join(f"{int(np.sum(self.source == name))} {name}" for name in SOURCES)
        return f"Levels({len(self.well_id)} wells, {len(self.months)} months; source: {counts})"


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Observations of K places, sorted by place and day, one a place and day.

    Attributes
    ----------
    place, day : numpy.ndarray, shape (n,)
        Code of the place, days since 1970-01-01.
    depth : numpy.ndarray, shape (n,)
        Depth to water [m].
    n_places : int
        K.
    """

    place: Ints
    day: Ints
    depth: Floats
    n_places: int

    @classmethod
    def of(cls, place: Ints, day: Ints, depth: Floats, n_places: int) -> Series:
        """Sort observations and average those of one place and day."""
        frame = pd.DataFrame({"place": place, "day": day, "depth": depth}).sort_values(["place", "day", "depth"])
        mean = frame.groupby(["place", "day"], sort=True)["depth"].mean()
        index = mean.index
        return cls(
            index.get_level_values(0).to_numpy(dtype=np.int64),
            index.get_level_values(1).to_numpy(dtype=np.int64),
            mean.to_numpy(dtype=np.float64),
            n_places,
        )

    @property
    def counts(self) -> Ints:
        """Observations of each place, shape (K,)."""
        return np.asarray(np.bincount(self.place, minlength=self.n_places), dtype=np.int64)

    def table(self, days: Ints) -> Floats:
        """Interpolate every place at every one of `days` (T,); shape (K, T)."""
        return self.at(*np.broadcast_arrays(np.arange(self.n_places)[:, None], days))

    def at(self, place: Ints, day: Ints) -> Floats:
        """Interpolate linearly in time.

        Parameters
        ----------
        place, day : numpy.ndarray of one shape
            Which place, and when (days since 1970-01-01).

        Returns
        -------
        numpy.ndarray
            Depth [m], the shape of `day`; the first and last observation hold for :data:`HOLD_DAYS` beyond their day,
            then NaN.
        """
        if not len(self.place):
            return np.full(day.shape, np.nan)
        base = min(int(self.day.min()), int(day.min(initial=0)))
        span = max(int(self.day.max()), int(day.max(initial=0))) - base + 1
        key = self.place * span + (self.day - base)
        right = np.searchsorted(key, place * span + (day - base), side="left")
        after, before = np.minimum(right, len(key) - 1), np.maximum(right - 1, 0)
        has_after = (right < len(key)) & (self.place[after] == place)
        has_before = (right > 0) & (self.place[before] == place)
        before = np.where(has_before, before, after)
        after = np.where(has_after, after, before)
        gap = self.day[after] - self.day[before]
        part = np.clip((day - self.day[before]) / np.maximum(gap, 1), 0.0, 1.0)
        depth = self.depth[before] + part * (self.depth[after] - self.depth[before])
        inside = (has_after & has_before) | (np.abs(day - self.day[before]) <= HOLD_DAYS)
        return np.where((has_after | has_before) & inside, depth, np.nan)


def depth_by_well(wells: pd.DataFrame, water_levels: pd.DataFrame, months: npt.ArrayLike) -> Levels:
    """Give every well a depth to water for every month.

    A well's own observations come first: interpolated linearly in time, and beyond them (or throughout, for a well
    observed fewer than three times) moved as its township and aquifer moves, at its own level. A well without
    observations takes its township × aquifer, else its aquifer. A series stands for twelve months beyond its ends.

    Parameters
    ----------
    wells : pandas.DataFrame, N rows
        ``well_id``, ``township`` and ``aquifer`` (may be blank).
    water_levels : pandas.DataFrame
        ``depth_m``, ``date`` or ``month`` (dates; a month stands for its middle), and ``well_id`` or ``township`` and
        ``aquifer``. Rows without depth, time or place are passed over, negative and absurd depths too: ``tables`` has
        reported them.
    months : array_like, shape (M,)
        ``datetime64[M]``.

    Returns
    -------
    Levels

    Raises
    ------
    UsageError
        If `wells` lacks ``well_id`` or `water_levels` has rows but no ``depth_m``.
    """
    wanted: Months = np.asarray(months, dtype="datetime64[M]")
    _require(wells, "wells", "well_id")
    if len(water_levels):
        _require(water_levels, "water_levels", "depth_m")
    stamp, depth = observation_days(water_levels), plausible_depths(water_levels)
    well = observed_wells(water_levels, wells)
    usable = np.isfinite(stamp) & np.isfinite(depth)
    day = np.where(usable, stamp, 0.0).astype(np.int64)
    grid = _grid(wanted, day[usable])
    observed, place = np.unique(well[usable & (well >= 0)], return_inverse=True)
    mine = usable & (well >= 0)
    own = Series.of(place, day[mine], depth[mine], len(observed))
    cell_of_well, cell_of_row, aquifer = _cells(wells, water_levels)
    areal = usable & (well < 0) & (cell_of_row >= 0)
    stated = Series.of(cell_of_row[areal], day[areal], depth[areal], len(aquifer))
    own_depth = own.table(grid)
    long = own.counts >= SHORT_SERIES
    seen = _township_depths(stated, _inside(own, own_depth, grid), long, cell_of_well[observed], grid)
    township, regional = _regional(seen, aquifer, grid)
    anchored = _anchored(own, own_depth, _rows(regional, cell_of_well[observed]), grid)
    asked = np.searchsorted(grid, _mid_months(wanted))
    result = _rows(regional[:, asked], cell_of_well)
    result[observed] = anchored[:, asked]
    known = np.isfinite(result).any(axis=1)
    by_township = np.isfinite(_rows(township[:, asked], cell_of_well)).any(axis=1)
    by_itself = np.isin(np.arange(len(wells)), observed)
    source = np.select([by_itself & known, by_township & known, known], SOURCES[:3], SOURCES[3])
    return Levels(wells["well_id"].to_numpy(dtype=object), wanted, result, source)


_MONTH_DAYS = 31
_MONTHS_BEFORE, _MONTHS_AFTER = 120, 12


def _grid(wanted: Months, day: Ints) -> Ints:
    """Give the middles of the months wanted and of those with observations, as days, shape (G,), increasing.

    What a region did when a well was last observed matters for the well now, so that months not asked for are needed.
    """
    months = wanted
    if len(day) and len(wanted):
        seen = day.astype("datetime64[D]").astype("datetime64[M]")
        first = max(seen.min(), wanted.min() - _MONTHS_BEFORE)
        last = min(seen.max(), wanted.max() + _MONTHS_AFTER)
        months = np.union1d(wanted, np.arange(first, last + 1))
    return _mid_months(months)


def _rows(table: Floats, row: Ints) -> Floats:
    """Give rows of a table, NaN for row -1."""
    out = np.full((len(row), table.shape[1]), np.nan)
    out[row >= 0] = table[row[row >= 0]]
    return out


def _anchored(own: Series, own_depth: Floats, region: Floats, middle: Ints) -> Floats:
    """Move observed wells with their region, at their own level, where their own series does not tell.

    The difference between the well and its region is interpolated between the well's observations and held beyond
    them, so that the curve passes through every observation.
    """
    if not len(own.place):
        return own_depth
    usable = np.isfinite(region)
    at = Series(*_flat(region, middle, usable), n_places=len(region)).at(own.place, own.day)
    known = np.isfinite(at)
    offset = Series(own.place[known], own.day[known], own.depth[known] - at[known], own.n_places)
    anchored = region + _held(offset, middle)
    first, last = _span(own)
    inside = (middle >= first[:, None]) & (middle <= last[:, None]) & (own.counts >= SHORT_SERIES)[:, None]
    return np.where(~inside & np.isfinite(anchored), anchored, own_depth)


def _held(offset: Series, middle: Ints) -> Floats:
    """Interpolate differences in time and hold them beyond the ends without limit, shape (K, M)."""
    first, last = _span(offset)
    place, day = np.broadcast_arrays(np.arange(offset.n_places)[:, None], middle)
    return offset.at(place, np.clip(day, first[:, None], last[:, None]))


def _span(series: Series) -> tuple[Ints, Ints]:
    first, last = np.zeros(series.n_places, dtype=np.int64), np.zeros(series.n_places, dtype=np.int64)
    opens = np.flatnonzero(np.append(True, np.diff(series.place) != 0)) if len(series.place) else np.zeros(0, np.int64)
    closes = np.append(opens[1:], len(series.place)) - 1 if len(opens) else opens
    first[series.place[opens]] = series.day[opens]
    last[series.place[closes]] = series.day[closes]
    return first, last


def _flat(table: Floats, middle: Ints, usable: Bools) -> tuple[Ints, Ints, Floats]:
    place, column = np.nonzero(usable)
    return place, middle[column], table[usable]


def _inside(series: Series, depth: Floats, middle: Ints) -> Floats:
    """Keep of a table (K, M) what lies between the first and the last observation of each place, its month included."""
    first, last = _span(series)
    half = _MONTH_DAYS / 2.0
    known = (middle >= first[:, None] - half) & (middle <= last[:, None] + half)
    return np.where(known, depth, np.nan)


def _township_depths(stated: Series, own_depth: Floats, long: Bools, cell: Ints, middle: Ints) -> Floats:
    """Give the depth of each township × aquifer while it is observed, (K, M).

    It is what was stated for the cell, else the mean of its observed wells (those with long series, if any).
    """
    located = cell >= 0
    has_long = np.zeros(stated.n_places + 1, dtype=bool)
    has_long[cell[located & long]] = True
    speaks = located & (long | ~has_long[cell])
    mean = _linked_means(own_depth[speaks], cell[speaks], stated.n_places)
    by_rows = stated.counts > 0
    return np.where(by_rows[:, None], _inside(stated, stated.table(middle), middle), mean)


def _regional(seen: Floats, aquifer: Ints, middle: Ints) -> tuple[Floats, Floats]:
    """Carry townships on at their own level as their aquifer moves, where they are not observed any more or not yet.

    Parameters
    ----------
    seen : (K, M)
        Depths of township × aquifer while they were observed.
    aquifer : (K,)

    Returns
    -------
    tuple of numpy.ndarray, (K, M) each
        Of the townships that were observed, and with those that were not, which take that of their aquifer. What
        nothing tells stands for a year beyond the last observation.
    """
    series = _as_series(seen, middle)
    path = _linked_means(seen, aquifer)
    township = _anchored(series, series.table(middle), path[aquifer], middle)
    held = _as_series(path, middle).table(middle)
    return township, np.where(np.isfinite(township), township, held[aquifer])


def _as_series(table: Floats, middle: Ints) -> Series:
    return Series(*_flat(table, middle, np.isfinite(table)), n_places=len(table))


def _linked_means(values: Floats, group: Ints, n_groups: int | None = None) -> Floats:
    """Mean of each group by column as its members move, (G, M), NaN where none is known.

    From column to column it changes by the mean change of the members known in both, so that one that is no longer
    observed, or not yet, does not move it; its level is the mean of all that is known. Where all are always known it is
    their plain mean.
    """
    plain = _group_means(values, group, n_groups)
    change = np.nan_to_num(_group_means(np.diff(values, axis=1), group, len(plain)))
    path = np.concatenate([np.zeros((len(plain), 1)), np.cumsum(change, axis=1)], axis=1)
    apart = values - path[group]
    known = np.isfinite(apart)
    total = np.bincount(group, weights=np.where(known, apart, 0.0).sum(axis=1), minlength=len(plain))
    count = np.bincount(group, weights=known.sum(axis=1), minlength=len(plain))
    level = np.divide(total, count, out=np.zeros(len(plain)), where=count > 0)
    return np.where(np.isfinite(plain), path + level[:, None], np.nan)


def _group_means(values: Floats, group: Ints, n_groups: int | None = None) -> Floats:
    """Mean over the rows of each group that are known, by column; NaN where none is; shape (G, M)."""
    n = int(group.max(initial=-1)) + 1 if n_groups is None else n_groups
    total, count = np.zeros((n, values.shape[1])), np.zeros((n, values.shape[1]))
    np.add.at(total, group, np.nan_to_num(values))
    np.add.at(count, group, np.isfinite(values))
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _cells(wells: pd.DataFrame, water_levels: pd.DataFrame) -> tuple[Ints, Ints, Ints]:
    """Give the township × aquifer cell of each well and observation (-1 where both are blank), and each cell's aquifer.

    A blank township is a cell of its own: its observations and wells still belong to their aquifer.
    """
    frames = [frame.reindex(columns=["township", "aquifer"]).astype("str") for frame in (wells, water_levels)]
    pairs = pd.concat(frames, ignore_index=True)
    placed = pairs.notna().any(axis=1).to_numpy(dtype=bool)
    pairs = pairs.fillna("")
    numbered = pairs[placed].groupby(["township", "aquifer"], sort=True).ngroup().to_numpy(dtype=np.int64)
    cell = np.full(len(pairs), -1, dtype=np.int64)
    cell[placed] = numbered
    code, _ = pd.factorize(pairs["aquifer"])
    aquifer = np.zeros(int(cell.max(initial=-1)) + 1, dtype=np.int64)
    aquifer[numbered] = np.asarray(code, dtype=np.int64)[placed]
    return cell[: len(wells)], cell[len(wells) :], aquifer


def observed_wells(water_levels: pd.DataFrame, wells: pd.DataFrame) -> Ints:
    """Give the place in the registry of the well of each observation, -1 where it is of none."""
    if "well_id" not in water_levels.columns or not water_levels["well_id"].notna().any():
        return np.full(len(water_levels), -1, dtype=np.int64)
    listed = pd.Index(wells["well_id"].astype("str")).drop_duplicates()
    place = np.asarray(listed.get_indexer(pd.Index(water_levels["well_id"].astype("str"))), dtype=np.int64)
    first = np.flatnonzero(~wells["well_id"].duplicated().to_numpy(dtype=bool))
    found = place >= 0
    place[found] = first[place[found]]
    place[water_levels["well_id"].isna().to_numpy(dtype=bool)] = -1
    return place


def observation_days(frame: pd.DataFrame) -> Floats:
    """Give the day of each observation since 1970-01-01: its date, else the middle of its month; NaN where neither."""
    day = np.full(len(frame), np.nan)
    if "month" in frame.columns:
        stamps = wall_time(frame["month"])
        known = ~np.isnat(stamps)
        day[known] = _mid_months(stamps[known].astype("datetime64[M]"))
    if "date" in frame.columns:
        stamps = wall_time(frame["date"])
        known = ~np.isnat(stamps)
        day[known] = stamps[known].astype("datetime64[D]").astype(np.int64)
    return day


def plausible_depths(frame: pd.DataFrame) -> Floats:
    """Give the depth of each observation [m], NaN where there is none that can be."""
    if "depth_m" not in frame.columns:
        return np.zeros(0)
    depth = frame["depth_m"].to_numpy(dtype=np.float64, na_value=np.nan)
    least, most = PLAUSIBLE_DEPTH_M
    return np.where((depth >= least) & (depth <= most), depth, np.nan)


def _mid_months(months: Months) -> Ints:
    return np.asarray(months.astype("datetime64[D]").astype(np.int64) + days_in_month(months) // 2)


def _require(frame: pd.DataFrame, table: str, column: str) -> None:
    if column not in frame.columns:
        raise UsageError(f"{table}: expected a column {column!r}, found {list(frame.columns)}; read it with tables")
