"""From registry columns to the numbers of the regression, the same for fitting and for predicting.

A :class:`FeatureSpec` is learned once from the whole registry (centres, levels, what stands for a blank) and then
turns any wells into :class:`Static` features and any wells and months into :class:`Moving` ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import decimal_year
from elec2water.coefficient.anomaly import limited_anomaly
from elec2water.coefficient.columns import Columns, floats_of, keys_of
from elec2water.coefficient.delivery import (
    HEAD_BEYOND_M,
    USUAL_LIFT_M,
    DeliveryHeads,
    delivery_head,
    head_beyond,
    lift_of_pump,
)
from elec2water.coefficient.priors import slope_priors
from elec2water.coefficient.shared import Factor, Layout, Regressor
from elec2water.hydraulics import conversion_coefficient
from elec2water.keys import Keys

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

REST = "其他"
_MOVEMENTS = 6
_TYPICAL_EFFICIENCY = 0.45
_INTERCEPT_SD = 1.0
_FEW_BLANKS = 0.02
_SHOULD_VARY = 1e-6
_FIXED_FACTOR_SD = {"aquifer": 0.25, "irrigation_method": 0.15}
_COVARIATE_FACTOR_SD = 0.15
_MOVING = (
    ("sin_year", 0.0, 0.04),
    ("cos_year", 0.0, 0.04),
    ("level", -1.0, 0.2),
    ("energy_anomaly", -0.03, 0.05),
    ("short_test", 0.0, 0.03),
)
HEAD_CURVATURE = 0.8
"""How much steeper κ falls the further the head has risen, where no pairs have told, see :meth:`FeatureSpec.bent`."""
_BENDS_WITHIN = 0.5
LASTING = Regressor("level_lasting", 0.0, 0.15, beside="level")
"""How κ answers to water that stays lower, beyond its answer to that which comes back with the season.

The drawdown of a season, its interference of wells and its small months are of the season; ``level`` is learned from
these, and totals of later years ask for the other.
"""
HALF_YEAR = (Regressor("sin_half_year", 0.0, 0.02), Regressor("cos_half_year", 0.0, 0.02))
"""The second harmonic of the year: the peak of irrigation is shorter than the rest of the year."""
OF_SEASON = ("sin_", "cos_")
"""How the names of regressors on the season begin."""
OF_WATER = ("level", LASTING.name)
"""Regressors on observed water."""
UNSEEN = "unseen"
"""What the water has done unseen, in its standard deviations: common to all aquifers, and the own of each."""
_UNSEEN_SHARE = 0.5
OWN_MOVING = ("level", "energy_anomaly")
"""Moving regressors that differ from well to well; the others follow from aquifer and month."""
_SEASON_BY_AQUIFER_SD = 0.03


@dataclass(frozen=True)
class Numeric:
    """One numeric feature: where it is centred and what stands for a blank, by aquifer."""

    name: str
    column: str
    log: bool
    centre: float
    scale: float
    fill: tuple[tuple[str, float], ...]
    fill_default: float
    spread: float
    indicator: bool


@dataclass(frozen=True)
class Static:
    """What a set of wells always has.

    ``dense`` (N, q) starts with ones; ``codes`` (N, number of factors) is the level of each pooled factor, -1 where
    the level is new; ``blank`` (N, q) is the variance of a feature that was filled in (zero where it was known).
    """

    dense: Floats
    codes: Ints
    blank: Floats
    aquifer: Ints


@dataclass(frozen=True)
class FeatureSpec:
    """How wells and their pairs become features; small, and the same for every later quarter.

    ``unread_gaps`` says whether years without readings between two pairs of a well count as those after its last pair
    do, ``half_year`` whether the year has a second harmonic.
    """

    numeric: tuple[Numeric, ...]
    factors: tuple[Factor, ...]
    aquifers: tuple[str, ...]
    intercept: float
    reference_year: float
    wear: tuple[float, float]
    strata_breaks: tuple[tuple[str, tuple[float, ...]], ...] = ()
    head_beyond_m: float = HEAD_BEYOND_M
    head_curvature: float = HEAD_CURVATURE
    delivery: DeliveryHeads = ()
    half_year: bool = True
    unread_gaps: bool = True

    def layout(self, months: NDArray[np.datetime64]) -> Layout:
        """Places and priors of the shared effects for fitting over ``months``."""
        static = [Regressor("intercept", self.intercept, _INTERCEPT_SD)]
        priors = slope_priors()
        level_known = any(f.name == "log_water_depth" for f in self.numeric)
        area_known = any(f.name == "log_energy_per_mu" for f in self.numeric)
        for feature in self.numeric:
            row = priors.get(feature.name, priors["covariate"])
            if feature.name == "log_pump_depth" and level_known:
                row = priors["log_pump_depth_beside_level"]
            if feature.name == "log_energy" and area_known:
                row = priors["log_energy_beside_area"]
            static.append(Regressor(feature.name, float(row["mean"]), float(row["sd"])))
        blank = priors["missing"]
        static += [
            Regressor(f"{f.name}_missing", float(blank["mean"]), float(blank["sd"]))
            for f in self.numeric
            if f.indicator
        ]
        moving = [Regressor(name, mean, sd) for name, mean, sd in _MOVING]
        moving.append(Regressor("years", *self.wear))
        moving += [
            Regressor(f"{wave}[{aquifer}]", 0.0, _SEASON_BY_AQUIFER_SD)
            for aquifer in self.aquifers
            for wave in ("sin_year", "cos_year")
        ]
        return Layout(tuple(static), self.factors, (*moving, *self.late_regressors()), self.aquifers, months)

    def late_regressors(self) -> tuple[Regressor, ...]:
        """Give the last of the moving effects, which coefficients saved by early versions do not have.

        Water that fell or rose unseen, correlated by a half between aquifers; water that stays lower; the second
        harmonic of the year.
        """
        common = Regressor(UNSEEN, 0.0, float(np.sqrt(_UNSEEN_SHARE)), random=True)
        rest = float(np.sqrt(1.0 - _UNSEEN_SHARE))
        own = [Regressor(f"{UNSEEN}[{name}]", 0.0, rest, random=True) for name in self.aquifers]
        return common, *own, LASTING, *(HALF_YEAR if self.half_year else ())

    def beyond(self, wells: pd.DataFrame) -> Floats:
        """Give what each pump lifts beyond its depth to water, its method's delivery head too, (N,) [m]."""
        return head_beyond(self.head_beyond_m, delivery_head(wells, self.delivery))

    def bent(self, movement: Floats) -> Floats:
        """Give the movement of ln head as a pump answers to it: ``a + c a²``, any shape.

        Water that falls moves a centrifugal pump of one speed up its curve H₀ - aQ², to less flow and, η = η* x (2 - x)
        with x = Q/Q*, further from its best point; the slope of ln κ on ln H is the steeper the further it has fallen.
        Where the bend would turn back, by ±0.5 or ±1/(2c), it stays as it is there, so that a higher head is never a
        better coefficient.
        """
        within = _BENDS_WITHIN / max(self.head_curvature, 1.0)
        return np.asarray(movement * (1.0 + self.head_curvature * np.clip(movement, -within, within)))

    def unbent(self, answer: Floats) -> Floats:
        """Give the movement of ln head to which a pump answers so: the inverse of ``bent`` where that still bends."""
        return np.asarray(2.0 * answer / (1.0 + np.sqrt(np.maximum(1.0 + 4.0 * self.head_curvature * answer, 0.0))))

    @property
    def by_energy(self) -> bool:
        """Whether a well's own electricity is among the features."""
        return any(feature.name in ("log_energy", "log_energy_per_mu") for feature in self.numeric)

    def energy_level(self, annual_kwh: Floats) -> float:
        """Give the electricity of the county's wells in a year (N,) against that of the year of the fit, 1 if unknown.

        Both are the energy-weighted mean of the logarithm, which idle and new small wells hardly move.
        """
        feature = next((f for f in self.numeric if f.name == "log_energy"), None)
        if feature is None or not (annual_kwh > 0).any():
            return 1.0
        return float(np.exp(_centre(_transform(annual_kwh, log=True), annual_kwh) - feature.centre))

    def worn_since(self, changed: NDArray[np.datetime64]) -> Floats:
        """Give the decimal year from which wear counts, of pumps by when they were put in (NaT: not known)."""
        return np.fmax(decimal_year(changed), self.reference_year)

    def static(self, columns: Columns) -> Static:
        """Turn wells into their static features.

        Parameters
        ----------
        columns : mapping
            Columns of the wells by name (N,): what :func:`well_columns` gives.
        """
        aquifer = keys_of(columns, "aquifer")
        n = aquifer.size
        dense, indicators = [np.ones(n)], []
        blank = np.zeros((n, 1 + len(self.numeric) + sum(feature.indicator for feature in self.numeric)))
        for k, feature in enumerate(self.numeric, start=1):
            value, missing = _centred(feature, floats_of(columns, feature.column, n), aquifer)
            dense.append(value)
            blank[missing, k] = feature.spread**2
            if feature.indicator:
                indicators.append(missing.astype(np.float64))
        dense += indicators
        codes = [_level_codes(f.levels, keys_of(columns, f.name)) for f in self.factors]
        return Static(
            np.column_stack(dense),
            np.column_stack(codes) if codes else np.empty((n, 0), dtype=np.intp),
            blank,
            self._movement_group(aquifer),
        )

    def _movement_group(self, aquifer: Keys) -> Ints:
        """Give the place among ``aquifers`` of the movement each well follows: the rest, if it is not listed."""
        codes = _level_codes(self.aquifers, aquifer)
        other = self.aquifers.index(REST) if REST in self.aquifers else 0
        return np.where(codes < 0, other, codes)

    def moving(
        self,
        aquifer: Ints,
        year: Floats,
        *,
        season: Floats | None = None,
        level: Floats | None = None,
        anomaly: Floats | None = None,
        short_test: NDArray[np.bool_] | None = None,
        worn_since: Floats | None = None,
        unseen: Floats | None = None,
        lasting: Floats | None = None,
    ) -> Floats:
        """Features that move in time, (R, q_t), for wells and moments given side by side.

        Parameters
        ----------
        aquifer : (R,)
            Aquifer code of the well.
        year : (R,)
            Decimal year.
        season : (R, 4), optional
            What :func:`harmonics` gives, on average over an interval; those of ``year`` by default.
        level : (R,), optional
            ln head minus the well's own reference (κ = 367.1 η/H: a slope of -1), zero or NaN where unknown; it is
            bent here.
        anomaly : (R,), optional
            ln energy of the month against the well's usual and its aquifer's month.
        short_test : (R,), optional
            True for a short pumping test.
        worn_since : (R,), optional
            Decimal year from which wear counts: a pump put in after the reference year starts anew.
        unseen : (R,), optional
            Standard deviation of ``level`` where it is foretold; it lowers κ as a falling level does.
        lasting : (R,), optional
            Mean of ``level`` over a year in the well's aquifer.
        """
        n = aquifer.size
        season = harmonics(year) if season is None else season
        sin, cos = season[:, 0], season[:, 1]
        columns = [sin, cos]
        columns.append(np.zeros(n) if level is None else self.bent(np.nan_to_num(level)))
        columns.append(np.zeros(n) if anomaly is None else limited_anomaly(anomaly))
        columns.append(np.zeros(n) if short_test is None else short_test.astype(np.float64))
        columns.append(year - (self.reference_year if worn_since is None else worn_since))
        for code in range(len(self.aquifers)):
            here = aquifer == code
            columns += [sin * here, cos * here]
        deeper = np.zeros(n) if unseen is None else -unseen
        columns += [deeper, *(deeper * (aquifer == code) for code in range(len(self.aquifers)))]
        columns.append(np.zeros(n) if lasting is None else lasting)
        if self.half_year:
            columns += [season[:, 2], season[:, 3]]
        return np.column_stack(columns)


def harmonics(year: Floats) -> Floats:
    """Sine and cosine of the year, and of half a year, at decimal years (R,): (R, 4)."""
    angle = 2 * np.pi * year
    return np.column_stack([np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)])


def learn_features(
    columns: Columns,
    *,
    weight: Floats,
    reference_year: float,
    wear: tuple[float, float],
    covariates: Sequence[str] = (),
    delivery: DeliveryHeads = (),
) -> FeatureSpec:
    """Learn centres, fills and levels from the whole registry.

    Parameters
    ----------
    columns : mapping
        What :func:`well_columns` gives for every well of the registry.
    weight : (N,)
        Annual energy, so that the centre is where the water is.
    reference_year : float
        Decimal year at which the wear regressor is zero.
    wear : (mean, sd)
        Prior of the change of ln κ a year.
    covariates : sequence of str
        Further columns asked for in the configuration.
    delivery : pairs of (method, head in m)
        What ``columns`` were made with, kept with the features.
    """
    covariates = list(dict.fromkeys(covariates))
    aquifer = keys_of(columns, "aquifer")
    rows = [(name, r["column"], r["transform"] == "log") for name, r in slope_priors().items() if r["transform"]]
    used = {column for _, column, _ in rows}
    rows += [(name, name, False) for name in covariates if not isinstance(columns[name], Keys) and name not in used]
    numeric = [
        feature
        for name, column, log in rows
        if (feature := _learn_numeric(name, column, columns, aquifer, weight, log=log)) is not None
    ]
    factors = [
        Factor("stratum", _levels(keys_of(columns, "stratum")), variance="stratum"),
        Factor("township", _levels(keys_of(columns, "township")), variance="township"),
    ]
    factors += [
        Factor(name, levels, sd=sd)
        for name, sd in _FIXED_FACTOR_SD.items()
        if len(levels := _levels(keys_of(columns, name))) > 1
    ]
    factors += [
        Factor(name, _levels(keys_of(columns, name)), sd=_COVARIATE_FACTOR_SD)
        for name in covariates
        if isinstance(columns[name], Keys) and name not in {f.name for f in factors}
    ]
    return FeatureSpec(
        tuple(numeric),
        tuple(factors),
        _movement_aquifers(aquifer, weight),
        _physics_intercept(numeric),
        reference_year,
        wear,
        delivery=delivery,
    )


def _levels(values: Keys) -> tuple[str, ...]:
    return tuple(sorted(values.names.tolist()))


def _movement_aquifers(aquifer: Keys, weight: Floats) -> tuple[str, ...]:
    """Give the aquifers that move by themselves: all of a few, else those with most energy, and the rest together."""
    levels = _levels(aquifer)
    if len(levels) <= _MOVEMENTS:
        return levels
    energy = np.bincount(_level_codes(levels, aquifer), np.nan_to_num(weight), len(levels))
    most = np.sort(np.argsort(-energy, kind="stable")[: _MOVEMENTS - 1])
    return (*(levels[k] for k in most), REST)


def _level_codes(levels: tuple[str, ...], values: Keys) -> Ints:
    place = pd.Index(levels, dtype=object).get_indexer(pd.Index(values.names, dtype=object))
    return np.asarray(place[values.codes], dtype=np.intp)


def _transform(values: Floats, *, log: bool) -> Floats:
    if not log:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log(values), np.nan)


def _learn_numeric(
    name: str, column: str, columns: Columns, aquifer: Keys, weight: Floats, *, log: bool
) -> Numeric | None:
    x = _transform(floats_of(columns, column, aquifer.size), log=log)
    known = np.isfinite(x)
    if not known.any() or np.ptp(x[known]) < _SHOULD_VARY:
        return None
    is_covariate = name == column
    scale = float(np.std(x[known])) if is_covariate and name != "vfd" else 1.0
    codes = aquifer.codes[known]
    count = np.bincount(codes, minlength=aquifer.names.size)
    means = np.bincount(codes, x[known], aquifer.names.size) / np.maximum(count, 1)
    fills = [(str(aquifer.names[k]), float(means[k])) for k in np.flatnonzero(count)]
    default = float(x[known].mean())
    residual = x[known] - means[codes]
    share = 1.0 - known.mean()
    indicator = bool(_FEW_BLANKS < share < 1.0 - _FEW_BLANKS)
    return Numeric(
        name, column, log, _centre(x, weight), scale, tuple(fills), default, float(residual.std()) / scale, indicator
    )


def _centre(x: Floats, weight: Floats) -> float:
    """Mean of what is known, weighted where any of that has a weight."""
    known = np.isfinite(x)
    w = np.where(np.isfinite(weight) & (weight > 0), weight, 0.0)[known]
    return float(np.average(x[known], weights=w if w.sum() > 0 else None))


def _centred(feature: Numeric, values: Floats, aquifer: Keys) -> tuple[Floats, NDArray[np.bool_]]:
    x = _transform(values, log=feature.log)
    missing = ~np.isfinite(x)
    if missing.any():
        fill = dict(feature.fill)
        by_aquifer = np.array([fill.get(name, feature.fill_default) for name in aquifer.names])
        x = np.where(missing, by_aquifer[aquifer.codes], x)
    return (x - feature.centre) / feature.scale, missing


def _physics_intercept(numeric: Sequence[Numeric]) -> float:
    """Ln κ at the centre of the registry from κ = 367.1 η/H, with the head guessed from whatever depth is known.

    Depth to water and what is lifted beyond it; a pump hangs some 15 m below the water and is rated about a quarter
    above the head it works at; sprinklers and drip want pressure.
    """
    centre = {f.name: f.centre for f in numeric}
    guesses = []
    if "log_water_depth" in centre:
        guesses.append(np.exp(centre["log_water_depth"]) + HEAD_BEYOND_M)
    if "log_pump_depth" in centre:
        guesses.append(float(lift_of_pump(np.exp(centre["log_pump_depth"]))) + HEAD_BEYOND_M)
    if "log_pump_head" in centre:
        guesses.append(0.8 * np.exp(centre["log_pump_head"]))
    head = float(np.exp(np.mean(np.log(guesses)))) if guesses else USUAL_LIFT_M + HEAD_BEYOND_M
    head *= float(np.exp(centre.get("log_delivery", 0.0)))
    return float(np.log(conversion_coefficient(_TYPICAL_EFFICIENCY, head)))
