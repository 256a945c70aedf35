"""Strata: classes of wells that should share a conversion coefficient.

Numeric columns are cut where the cumulative square root of their frequency says (Dalenius and Hodges 1959; Cochran
1977, section 5A.7), categories are taken as they are, and thin cells are joined to their nearest neighbour.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from elec2water import schema
from elec2water.errors import UsageError
from elec2water.keys import Keys
from elec2water.sums import renumbered

UNKNOWN = "未知"
WHOLE = "全部"
SEPARATOR = " | "
SHORT_NAMES: Mapping[str, str] = {
    "aquifer": "层位",
    "pump_power_kw": "功率",
    "pump_depth_m": "泵深",
    "well_depth_m": "井深",
    "water_depth_m": "埋深",
    "pump_head_m": "扬程",
    "irrigation_method": "灌溉方式",
    "irrigated_area_mu": "面积",
    "pipe_diameter_mm": "管径",
    "pump_installed_on": "装泵年",
    "vfd": "变频",
    "power_source": "动力",
    "status": "状态",
    "longitude": "经度",
    "latitude": "纬度",
}

WORDS: Mapping[str, Mapping[str, str]] = {
    "irrigation_method": {"border": "畦灌", "pipe": "管灌", "sprinkler": "喷灌", "drip": "滴灌"},
    "power_source": {"grid": "电网", "diesel": "柴油", "solar": "太阳能"},
    "status": {"in_use": "在用", "standby": "应急备用", "sealed": "封存", "abandoned": "报废"},
}
"""What officials read for the values that the schema names."""

MergePolicy: TypeAlias = Literal["nearest", "none"]
Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_FEW_VALUES = 40
_BINS = 100
_UNKNOWN_GAP = 1_000.0
_CATEGORY_GAP = 10_000.0
_AQUIFER_GAP = 1_000_000.0


@dataclass(frozen=True)
class Strata:
    """Classes of wells.

    Attributes
    ----------
    labels : (N,) array of str
        The stratum of each well.
    cells : DataFrame
        One row a stratum, in order: ``stratum``, ``n_wells``, one column for the class of each stratifying column (of
        the largest cell in it), and ``merged``: the thin cells that were joined to it, with their number of wells.
    breaks : mapping of str to tuple of float
        The limits used for every numeric column; a class holds the values above one limit up to and including the next.
    codes : (N,) array of int
        The row of ``cells`` each well belongs to.
    """

    labels: NDArray[np.object_]
    cells: pd.DataFrame
    breaks: Mapping[str, tuple[float, ...]]
    codes: Integers

    @cached_property
    def keys(self) -> Keys:
        """The same classes by their names in order."""
        return Keys.in_order(self.codes, self.cells["stratum"].to_numpy(dtype=object))

    def __repr__(self) -> str:
        return f"Strata({len(self.cells)} strata, {self.labels.size} wells, breaks={dict(self.breaks)})"


@dataclass(frozen=True)
class _Column:
    """One stratifying column: the class of each well as an integer, in the order in which classes are listed."""

    name: str
    codes: Integers
    classes: tuple[str, ...]
    breaks: tuple[float, ...] | None

    @property
    def unknown(self) -> int:
        return self.classes.index(UNKNOWN) if UNKNOWN in self.classes else -1

    def fragment(self, code: int) -> str:
        """Return the part of a stratum's label that tells this class."""
        text = WORDS.get(self.name, {}).get(self.classes[code], self.classes[code])
        named = self.breaks is not None or text == UNKNOWN or self.name not in ("aquifer", "irrigation_method")
        return SHORT_NAMES.get(self.name, self.name) + text if named else text


def classify(
    wells: pd.DataFrame,
    by: Sequence[str],
    *,
    breaks: Mapping[str, Sequence[float]] | None = None,
    classes: int = 3,
    weight: ArrayLike | None = None,
    min_wells: int = 5,
    merge: MergePolicy = "nearest",
) -> Strata:
    """Classify wells into strata.

    Parameters
    ----------
    wells : DataFrame
        One row a well.
    by : sequence of str
        Columns that make the strata. Numeric and date columns are cut into classes; others are categories. With no
        column every well is in the one stratum ``全部``.
    breaks : mapping, optional
        Limits of the classes for some numeric columns; the others are found from the wells.
    classes : int
        At most so many classes a numeric column whose limits are not given, the class of missing values not counted.
    weight : (N,) array, optional
        Weight of each well in finding limits (last year's energy, for example); not negative. All equal by default.
    min_wells : int
        A stratum with fewer wells is thin.
    merge : {"nearest", "none"}
        What becomes of thin strata: joined to the nearest one (the same aquifer first, then the same categories, then
        the fewest classes away), or left alone.

    Returns
    -------
    Strata
        The same classes whatever the order of the rows.

    Raises
    ------
    UsageError
        If a column is missing, a limit is not finite or not ascending, or the weights do not fit the wells.

    References
    ----------
    Dalenius, T. and Hodges, J.L. (1959), Minimum variance stratification, JASA 54, 88-101.

    Examples
    --------
    >>> wells = pd.DataFrame({"aquifer": ["浅层", "深层", "浅层"], "pump_power_kw": [5.5, 22.0, None]})
    >>> classify(wells, ["aquifer", "pump_power_kw"], breaks={"pump_power_kw": [7.5]}, merge="none").labels.tolist()
    ['浅层 | 功率≤7.5', '深层 | 功率>7.5', '浅层 | 功率未知']
    """
    given = _checked_breaks(by, breaks or {})
    _check_arguments(wells, by, classes, merge)
    weights = _checked_weights(weight, len(wells))
    columns = [_column(wells[name], name, given.get(name), classes, weights) for name in by]
    cell_of_well, cell_codes = _cross(columns, len(wells))
    sizes = np.bincount(cell_of_well, minlength=len(cell_codes)).astype(np.int64)
    target = _merge_thin(cell_codes, sizes, columns, min_wells) if merge == "nearest" else np.arange(len(sizes))
    kept, stratum_of_cell = np.unique(target, return_inverse=True)
    names = [_label(columns, row) for row in cell_codes]
    cells = _cells(columns, cell_codes, sizes, names, kept, stratum_of_cell)
    codes = stratum_of_cell[cell_of_well].astype(np.int64)
    return Strata(
        labels=cells["stratum"].to_numpy(dtype=object)[codes],
        cells=cells,
        breaks={column.name: column.breaks for column in columns if column.breaks is not None},
        codes=codes,
    )


def natural_breaks(values: ArrayLike, *, classes: int = 3, weight: ArrayLike | None = None) -> tuple[float, ...]:
    """Limits of at most `classes` classes, by the cumulative square root of frequency, rounded to figures people use.

    A column of few distinct values (rated powers) is cut at one of its values, any other at a round number. No class is
    without a value.

    Parameters
    ----------
    values : (N,) array
        Values; those not finite are left out.
    classes : int
        The largest number of classes.
    weight : (N,) array, optional
        Weight of each value, not negative.

    Returns
    -------
    tuple of float
        Ascending limits, fewer than `classes`.
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weight is None else np.asarray(weight, dtype=np.float64)
    usable = np.isfinite(x)
    if classes < 2 or not usable.any():
        return ()
    distinct, frequency = _frequencies(x[usable], w[usable])
    if distinct.size == 1:
        return ()
    if distinct.size <= _FEW_VALUES:
        cuts = _cumulative_root_cuts(distinct, frequency, classes)
    else:
        edges, binned = _histogram(distinct, frequency)
        step = _round_step((edges[-1] - edges[0]) / 20.0)
        cuts = np.round(np.round(_cumulative_root_cuts(edges[1:], binned, classes) / step) * step, 10)
    return _without_empty_classes(cuts, distinct)


def _check_arguments(wells: pd.DataFrame, by: Sequence[str], classes: int, merge: str) -> None:
    missing = [name for name in by if name not in wells.columns]
    if missing:
        raise UsageError(f"strata: no column {missing} in the wells table; it has {list(map(str, wells.columns))}")
    if len(set(by)) < len(by):
        raise UsageError(f"strata: a column is named twice in {list(by)}; name each once")
    if classes < 1:
        raise UsageError(f"strata: classes must be at least 1, not {classes}")
    if merge not in ("nearest", "none"):
        raise UsageError(f"strata: merge must be 'nearest' or 'none', not {merge!r}")


def _checked_breaks(by: Sequence[str], breaks: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    checked = {}
    for name, limits in breaks.items():
        values = tuple(float(limit) for limit in limits)
        if name not in by:
            raise UsageError(f"strata: breaks are given for {name!r}, which is not among the strata columns {list(by)}")
        if not all(map(math.isfinite, values)) or list(values) != sorted(set(values)):
            raise UsageError(f"strata: breaks of {name!r} must be finite and ascending, found {list(values)}")
        checked[name] = values
    return checked


def _checked_weights(weight: ArrayLike | None, n: int) -> Floats:
    if weight is None:
        return np.ones(n)
    weights = np.asarray(weight, dtype=np.float64)
    if weights.shape != (n,):
        raise UsageError(f"strata: weight has shape {weights.shape}, expected ({n},), one a well")
    if (weights < 0).any():
        raise UsageError(f"strata: weights must not be negative; the least is {np.nanmin(weights)}")
    return np.where(np.isfinite(weights), weights, 0.0)


def _column(values: pd.Series, name: str, limits: tuple[float, ...] | None, classes: int, weights: Floats) -> _Column:
    if pd.api.types.is_datetime64_any_dtype(values):
        values = values.dt.year
    elif name in schema.names("wells") and schema.column("wells", name).type == "number":
        values = _numbers(values, name)
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return _numeric_column(values.to_numpy(dtype=np.float64, na_value=np.nan), name, limits, classes, weights)
    if limits is not None:
        raise UsageError(f"strata: breaks are given for {name!r}, which is not numeric but {values.dtype}")
    return _category_column(values, name)


def _numbers(values: pd.Series, name: str) -> pd.Series:
    """Give a column of numbers as such, also where they are text: ``7.5`` kW is a class of power, no word."""
    if pd.api.types.is_numeric_dtype(values):
        return values
    found = pd.to_numeric(values, errors="coerce")
    strange = values[found.isna() & values.notna()]
    if len(strange):
        raise UsageError(f"strata: expected numbers in {name}, found {strange.iloc[0]!r}; read it with read_tables")
    return found


def _numeric_column(x: Floats, name: str, limits: tuple[float, ...] | None, classes: int, weights: Floats) -> _Column:
    breaks = natural_breaks(x, classes=classes, weight=weights) if limits is None else limits
    codes = np.searchsorted(np.asarray(breaks), x, side="left").astype(np.int64)
    missing = np.isnan(x)
    texts = _interval_texts(breaks)
    if missing.any():
        codes[missing] = len(texts)
        texts = (*texts, UNKNOWN)
    return _Column(name, codes, texts, breaks)


def _category_column(values: pd.Series, name: str) -> _Column:
    codes, distinct = pd.factorize(values)
    texts = [*(str(value).strip() or UNKNOWN for value in distinct), UNKNOWN]
    there = [*range(len(distinct)), *([-1] if (codes < 0).any() else [])]
    found = sorted({texts[code] for code in there}, key=lambda label: (label == UNKNOWN, label))
    place = {label: k for k, label in enumerate(found)}
    renumbered = np.array([place.get(text, -1) for text in texts], dtype=np.int64)
    return _Column(name, renumbered[codes], tuple(found), None)


def _interval_texts(breaks: tuple[float, ...]) -> tuple[str, ...]:
    if not breaks:
        return ("不限",)
    inner = tuple(f"{low:.10g}–{high:.10g}" for low, high in itertools.pairwise(breaks))
    return (f"≤{breaks[0]:.10g}", *inner, f">{breaks[-1]:.10g}")


def _frequencies(x: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Distinct values and the sum of their weights, summed in an order that does not depend on the rows'."""
    if w[0] > 0 and (w == w[0]).all():
        distinct, count = np.unique(x, return_counts=True)
        return distinct, count.astype(np.float64)
    order = np.lexsort((w, x))
    distinct, start = np.unique(x[order], return_index=True)
    frequency = np.add.reduceat(w[order], start)
    return distinct, frequency if frequency.any() else np.ones_like(frequency)


def _histogram(distinct: Floats, frequency: Floats) -> tuple[Floats, Floats]:
    """Equal bins over the middle 99 %: one absurd value must not squeeze all others into a single bin."""
    share = np.cumsum(frequency) / frequency.sum()
    low, high = distinct[np.minimum(np.searchsorted(share, [0.005, 0.995]), distinct.size - 1)]
    if high <= low:
        low, high = distinct[0], distinct[-1]
    edges = np.linspace(low, high, _BINS + 1)
    binned: Floats = np.bincount(np.searchsorted(edges[1:-1], distinct), frequency, _BINS).astype(np.float64)
    return edges, binned


def _cumulative_root_cuts(upper: Floats, frequency: Floats, classes: int) -> Floats:
    """Upper ends where the cumulative √f comes nearest to equal shares (Cochran 1977, eq. 5A.14)."""
    cumulative = np.cumsum(np.sqrt(frequency))
    shares = cumulative[-1] * np.arange(1, classes) / classes
    nearest: Integers = np.abs(cumulative[:, None] - shares).argmin(axis=0)
    cuts: Floats = upper[nearest]
    return cuts


def _without_empty_classes(cuts: Floats, distinct: Floats) -> tuple[float, ...]:
    kept: list[float] = []
    for cut in np.unique(cuts):
        above = distinct > (kept[-1] if kept else -np.inf)
        if (above & (distinct <= cut)).any() and (distinct > cut).any():
            kept.append(float(cut))
    return tuple(kept)


def _round_step(width: float) -> float:
    """Return the largest of 1, 2, 5 × 10^k not above `width`."""
    power = 10.0 ** math.floor(math.log10(width))
    return max(step for step in (1.0, 2.0, 5.0) if step * power <= width * (1 + 1e-12)) * power


def _cross(columns: Sequence[_Column], n: int) -> tuple[Integers, Integers]:
    """Return the cell of each well and the class codes (C, len(columns)) of each cell, in the classes' order."""
    if not columns:
        return np.zeros(n, dtype=np.int64), np.zeros((min(n, 1), 0), dtype=np.int64)
    shape = tuple(len(column.classes) for column in columns)
    flat = np.ravel_multi_index(tuple(column.codes for column in columns), shape)
    cell_of_well, found = renumbered(flat, math.prod(shape))
    return cell_of_well.astype(np.int64), np.stack(np.unravel_index(found, shape), axis=1).astype(np.int64)


def _label(columns: Sequence[_Column], codes: Integers) -> str:
    if not columns:
        return WHOLE
    return SEPARATOR.join(column.fragment(int(code)) for column, code in zip(columns, codes, strict=True))


def _merge_thin(codes: Integers, sizes: Integers, columns: Sequence[_Column], min_wells: int) -> Integers:
    """Return, for each cell, the cell whose stratum it joins: thinnest first, to the nearest, until none is thin."""
    group = np.arange(sizes.size)
    size = sizes.copy()
    alive = size > 0
    while alive.sum() > 1:
        candidates = np.flatnonzero(alive)
        thin = candidates[np.argmin(size[candidates])]
        if size[thin] >= min_wells:
            break
        others = candidates[candidates != thin]
        nearest = others[np.lexsort((others, -size[others], _gaps(codes, thin, others, columns)))[0]]
        name, gone = (thin, nearest) if sizes[thin] > sizes[nearest] else (nearest, thin)
        group[group == gone] = name
        size[name] = size[thin] + size[nearest]
        alive[gone] = False
    return group


def _gaps(codes: Integers, cell: int, others: Integers, columns: Sequence[_Column]) -> Floats:
    """Distance of one cell to others: classes away, with a different category, and most of all another aquifer, far."""
    gap = np.zeros(others.size)
    for j, column in enumerate(columns):
        mine, theirs = codes[cell, j], codes[others, j]
        if column.breaks is None:
            gap += (mine != theirs) * (_AQUIFER_GAP if column.name == "aquifer" else _CATEGORY_GAP)
        else:
            unknown = (mine == column.unknown) != (theirs == column.unknown)
            gap += np.where(unknown, _UNKNOWN_GAP, np.abs(mine - theirs))
    return gap


def _cells(
    columns: Sequence[_Column],
    cell_codes: Integers,
    sizes: Integers,
    names: Sequence[str],
    kept: Integers,
    stratum_of_cell: Integers,
) -> pd.DataFrame:
    merged = ["" for _ in kept]
    for cell, stratum in enumerate(stratum_of_cell):
        if kept[stratum] != cell:
            merged[stratum] += ("；" if merged[stratum] else "") + f"{names[cell]} ({sizes[cell]})"
    n_wells = np.bincount(stratum_of_cell, weights=sizes, minlength=len(kept)).astype(np.int64)
    frame = pd.DataFrame({"stratum": [names[cell] for cell in kept], "n_wells": n_wells})
    for j, column in enumerate(columns):
        frame[column.name] = [column.classes[code] for code in cell_codes[kept, j]]
    return frame.assign(merged=merged)
