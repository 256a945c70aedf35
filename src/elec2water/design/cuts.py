"""Strata of a design: where numeric columns are cut, and which thin cells are joined to which others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from elec2water.design.anticipated import Anticipated
from elec2water.errors import UsageError
from elec2water.joining import collapse, join_nearest
from elec2water.strata import Strata, classify

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
CutRule: TypeAlias = Literal["optimal", "cumulative_root"]
ThinStrata: TypeAlias = Literal["coefficient", "neighbour", "collapse", "fail"]

_CANDIDATES = 100
_FEW_VALUES = 40
_KNOWN_ENOUGH = 0.8
_DEFAULT_BY = ("aquifer", "pump_power_kw", "pump_depth_m")
METHOD = "irrigation_method"


@dataclass(frozen=True)
class Joined:
    """Thin cells joined to others.

    Attributes
    ----------
    codes : (H,) array of int
        The new stratum of each cell, from 0 in the cells' order.
    head : (G,) array of int
        The cell that names each new stratum: the one of most anticipated volume.
    gap : (H,) array
        Distance in anticipated ln κ of each cell from the one that names its stratum.
    """

    codes: Integers
    head: Integers
    gap: Floats


def optimal_breaks(
    values: ArrayLike, energy: Floats, anticipated: Anticipated, *, classes: int = 3, min_wells: int = 5
) -> tuple[float, ...]:
    """Limits of at most `classes` classes that make the anticipated variance of Σ κE smallest.

    With probabilities ∝ energy and the best allocation, the variance of the total is (Σ_h √(S_h Q_h))²/n, where S is
    the energy of a class and Q = Σ E ((κ − κ̄_h)² + κ² c²), its coefficients' anticipated spread between wells and of
    each well. All sets of limits on a grid of 100 figures that people use are compared, by dynamic programming.

    Parameters
    ----------
    values : (N,) array
        What is cut; those not finite are left out.
    energy : (N,) array
        Energy of each well, not negative.
    anticipated : Anticipated
        Of the same N wells.
    classes : int
    min_wells : int
        Fewest wells a class.

    Returns
    -------
    tuple of float
        Ascending limits, fewer than `classes`; as few as do equally well.
    """
    x = np.asarray(values, dtype=np.float64)
    usable = np.isfinite(x) & (energy > 0)
    if classes < 2 or not usable.any():
        return ()
    x, e, kappa, cv = x[usable], energy[usable], anticipated.coefficient[usable], anticipated.cv[usable]
    grid = _candidates(x)
    if grid.size == 0:
        return ()
    cell = np.searchsorted(grid, x, side="left")
    sums = np.stack(
        [_exact_sums(cell, w, grid.size + 1) for w in (np.ones_like(e), e, e * kappa, e * kappa**2 * (1 + cv**2))]
    )
    return tuple(grid[_best_cuts(sums, classes, min_wells)].tolist())


def design_strata(
    wells: pd.DataFrame,
    energy: Floats,
    anticipated: Anticipated,
    *,
    by: Sequence[str] | None = None,
    breaks: Mapping[str, Sequence[float]] | None = None,
    classes: int = 3,
    cuts: CutRule = "optimal",
    min_wells: int = 5,
) -> Strata:
    """Cross the columns that make the strata of a design, thin cells left as they are.

    Parameters
    ----------
    wells : DataFrame
    energy : (N,) array
        Energy of the last year; NaN where not known.
    anticipated : Anticipated
    by : sequence of str, optional
        Columns; by default aquifer, power and setting depth as far as the wells have them, and the irrigation method
        where it is known of four wells in five.
    breaks : mapping, optional
        Limits for some numeric columns; the others are found by `cuts`.
    classes : int
        At most so many classes a numeric column whose limits are not given.
    cuts : {"optimal", "cumulative_root"}
        Limits that make the anticipated variance of Σ κE smallest (:func:`optimal_breaks`), or the cumulative √f of
        Dalenius and Hodges, weighted by energy (:func:`~elec2water.strata.natural_breaks`).
    min_wells : int

    Returns
    -------
    Strata

    Raises
    ------
    UsageError
        If a column is missing or `cuts` is not known.
    """
    if cuts not in ("optimal", "cumulative_root"):
        raise UsageError(f"design: cuts must be 'optimal' or 'cumulative_root', not {cuts!r}")
    columns = tuple(by) if by is not None else default_columns(wells, _DEFAULT_BY)
    known = np.where(energy > 0, energy, 0.0)
    limits = {name: tuple(values) for name, values in (breaks or {}).items() if name in columns}
    if cuts == "optimal":
        for name in columns:
            if name in wells.columns and name not in limits and _is_numeric(wells[name]):
                x = wells[name].to_numpy(dtype=np.float64, na_value=np.nan)
                limits[name] = optimal_breaks(x, known, anticipated, classes=classes, min_wells=min_wells)
    return classify(wells, columns, breaks=limits, classes=classes, weight=known, merge="none")


def default_columns(wells: pd.DataFrame, by: Sequence[str]) -> tuple[str, ...]:
    """Columns of `by` that the wells have, and the irrigation method where it is known of four wells in five."""
    columns = tuple(name for name in by if name in wells.columns)
    if METHOD in columns or METHOD not in wells.columns or not len(wells):
        return columns
    method = wells[METHOD]
    return (
        (*columns, METHOD) if method.notna().mean() >= _KNOWN_ENOUGH and method.dropna().unique().size > 1 else columns
    )


def join_thin(
    coefficient: Floats,
    volume: Floats,
    n_wells: Integers,
    *,
    policy: ThinStrata,
    at_most: int,
    min_wells: int = 1,
    parent: ArrayLike | None = None,
) -> Joined:
    """Join thin cells until no more than `at_most` strata are left and none has fewer than `min_wells` wells.

    Parameters
    ----------
    coefficient : (H,) array
        Anticipated coefficient of each cell.
    volume : (H,) array
        Anticipated volume of each cell: the least goes first once all have enough wells.
    n_wells : (H,) array of int
    policy : {"coefficient", "neighbour", "collapse", "fail"}
        ``coefficient`` joins to the cell whose anticipated ln κ is nearest; ``neighbour`` (or ``collapse``) to the
        neighbour in class, in the same aquifer if there is one; ``fail`` joins nothing.
    at_most : int
    min_wells : int
    parent : (H,) array, optional
        Aquifer of each cell, for ``neighbour``.

    Returns
    -------
    Joined
    """
    h = np.arange(volume.size)
    log_kappa = np.log(coefficient)
    if policy == "fail":
        return Joined(h.astype(np.int64), h.astype(np.int64), np.zeros(volume.size))
    if policy == "coefficient":
        codes = join_nearest(n_wells, log_kappa, minimum=min_wells)
        held = np.bincount(codes, volume)
        centre = np.bincount(codes, volume * log_kappa) / held
        codes = join_nearest(held, centre, at_most=at_most)[codes]
    else:
        codes = collapse(n_wells, minimum=min_wells, parent=parent)
        first = np.unique(codes, return_index=True)[1]
        parents = None if parent is None else np.asarray(parent)[first]
        codes = collapse(np.bincount(codes, volume), at_most=at_most, parent=parents)[codes]
    head = np.lexsort((h, -volume, codes))[np.unique(np.sort(codes), return_index=True)[1]]
    return Joined(codes, head.astype(np.int64), np.abs(log_kappa - log_kappa[head][codes]))


def _is_numeric(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _candidates(x: Floats) -> Floats:
    """Figures at which to cut: the values themselves where they are few, else round ones over the middle 99 %."""
    distinct = np.unique(x)
    if distinct.size <= _FEW_VALUES:
        return distinct[:-1]
    low, high = np.quantile(x, [0.005, 0.995])
    if high <= low:
        return distinct[:-1][:_CANDIDATES]
    power = 10.0 ** math.floor(math.log10((high - low) / _CANDIDATES * 2))
    step = max(s for s in (1.0, 2.0, 5.0) if s * power <= (high - low) / _CANDIDATES * 2 * (1 + 1e-12)) * power
    grid = np.round(np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step, 10)
    return np.asarray(grid[(grid >= distinct[0]) & (grid < distinct[-1])], dtype=np.float64)


def _exact_sums(cell: Integers, weight: Floats, size: int) -> Floats:
    """Add up in whole multiples of a small unit: such sums are exact, whatever the order of the rows."""
    unit = float(weight.max()) * weight.size * 2.0**-52
    whole = np.round(weight / unit)
    return np.asarray(np.bincount(cell, whole, size), dtype=np.float64) * unit


def _best_cuts(sums: Floats, classes: int, min_wells: int) -> Integers:
    """Places of the limits among the candidates: the partition of the cells into intervals of least Σ √(S Q)."""
    ends = np.concatenate([np.zeros((4, 1)), np.cumsum(sums, axis=1)], axis=1)
    n, s, k, q = ends[:, None, :] - ends[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(s > 0, q - k**2 / s, 0.0)
    cost = np.where(n >= min_wells, np.sqrt(np.maximum(s * spread, 0.0)), np.inf)
    best, choices = cost[0], []
    options: list[tuple[float, list[int]]] = [(float(best[-1]), [])]
    for _ in range(classes - 1):
        through = best[:, None] + cost
        choices.append(through.argmin(axis=0))
        best = through.min(axis=0)
        options.append((float(best[-1]), _traced(choices)))
    least = min(value for value, _ in options)
    found = next(cuts for value, cuts in options if value <= least * (1 + 1e-9) or not np.isfinite(least))
    return np.array(found, dtype=np.int64) - 1


def _traced(choices: Sequence[Integers]) -> list[int]:
    place, cuts = -1, []
    for choice in reversed(choices):
        place = int(choice[place])
        cuts.append(place)
    return cuts[::-1]
