"""A coefficient as a labelled data set that travels, and back: NetCDF readable by plain xarray.

Without this package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pydantic import TypeAdapter

from elec2water import schema
from elec2water.calendar_ import decimal_year
from elec2water.coefficient.context import Windows
from elec2water.coefficient.equipment import NEW_PUMP, Equipment
from elec2water.coefficient.features import FeatureSpec, Numeric
from elec2water.coefficient.gauges import PLACE, Gauges
from elec2water.coefficient.gaussian import Rows, WellVariances
from elec2water.coefficient.options import FitOptions
from elec2water.coefficient.own import OWN_EFFECTS, own_effects
from elec2water.coefficient.posterior import DRIFT_MEMORY_YEARS, SD_NAMES, Posterior
from elec2water.coefficient.result import Coefficient, Outlook
from elec2water.coefficient.shared import Factor, Layout, Regressor
from elec2water.errors import UsageError
from elec2water.pairs import Measurements

FORMAT = 7

Variable: TypeAlias = tuple[str | tuple[str, ...], NDArray[Any]]
"""Dimensions and values."""

_ROW_FIELDS = ("well", "y", "time", "pump", "cell", "scale", "extra")
_UNREAD = "row_unread"
_PAIR_FIELDS = ("well", "start", "end", "energy_kwh", "volume_m3", "meter_rel_u", "test", "row")
_NO_TIME = np.int64(np.iinfo(np.int64).min)


def to_dataset(coefficient: Coefficient) -> xr.Dataset:
    """Give the posterior as a data set.

    The dimensions are ``effect`` (shared effects θ of ln κ), ``node`` (of the variances), ``component`` (standard
    deviations), ``sample_well`` and ``pair``. ``mean`` and ``covariance`` are the joint posterior; ``node_*`` its
    parts; ``own_*`` each sample well's level and wear at ``own_year``; the rest is what an update starts from.

    Parameters
    ----------
    coefficient : Coefficient

    Returns
    -------
    xarray.Dataset
        Arrays and text attributes alone: it goes into NetCDF as it is, and :func:`from_dataset` reads it back.
    """
    names = np.array(coefficient.posterior.layout.names, dtype=object)
    coordinates = {
        "effect": names,
        "effect_": names,
        "component": np.array(SD_NAMES, dtype=object),
        "sample_well": coefficient.sample_id.astype(object),
        "own_effect": np.array(OWN_EFFECTS, dtype=object),
        "own_effect_": np.array(OWN_EFFECTS, dtype=object),
        "month": _plain(coefficient.posterior.layout.months.astype("datetime64[s]")),
    }
    attributes = {
        "Conventions": "CF-1.11",
        "title": "Conversion coefficient kappa [m3/kWh] of irrigation wells: joint posterior of ln kappa",
        "source": "elec2water",
        "elec2water_format": FORMAT,
        "log_likelihood": coefficient.posterior.log_likelihood,
        "outlook_year": coefficient.outlook.year,
        "own_year": _end(coefficient)[0],
        "wear_memory_years": DRIFT_MEMORY_YEARS,
        "pump_share_of_level": WellVariances.pump_share,
        "pump_renewal_per_year": coefficient.posterior.renewal,
        "specification": json.dumps(_specification(coefficient), ensure_ascii=False, sort_keys=True),
    }
    data = _of_effects(coefficient) | _of_own(coefficient) | _of_rows(coefficient)
    data |= _of_wells(coefficient) | _of_pairs(coefficient) | _of_gauges(coefficient.gauges)
    named = {name: (name, values) for name, values in coordinates.items()}
    return described(xr.Dataset(data, named, attributes))


def described(dataset: xr.Dataset) -> xr.Dataset:
    """Give every variable its long name, unit and description of ``data/variables.csv``, and times their CF encoding.

    Raises
    ------
    KeyError
        A variable has no entry there.
    """
    known, found = schema.variables(), dataset.copy()
    for name, variable in found.variables.items():
        about: dict[str, Any] = dict(known[str(name)])
        if " since " in about.get("units", ""):
            about |= {"standard_name": "time", "calendar": "standard"}
            about |= {} if variable.dims == (name,) else {"_FillValue": _NO_TIME}
        found[name].attrs = about
    return found


def _of_effects(coefficient: Coefficient) -> dict[str, Variable]:
    """Give the joint posterior of the shared effects, whole and by node."""
    p = coefficient.posterior
    pair = ("effect", "effect_")
    return {
        "mean": ("effect", p.mean),
        "covariance": (pair, p.covariance),
        "node_mean": (("node", "effect"), p.means),
        "node_covariance": (("node", *pair), p.covariances),
        "node_weight": ("node", p.weight),
        "node_sd": (("node", "component"), p.sd),
    }


def _end(coefficient: Coefficient) -> tuple[float, np.datetime64]:
    """Give the moment at which a coefficient stands, the end of its months: the decimal year and the date."""
    end = (coefficient.posterior.layout.months[-1:] + 1).astype("datetime64[s]")
    return float(decimal_year(end)[0]), end[0]


def _of_own(coefficient: Coefficient) -> dict[str, Variable]:
    """Give the level and wear of each sample well, which with the shared effects are one Gaussian."""
    year, end = _end(coefficient)
    every = np.arange(coefficient.sample_id.size)
    pumps = coefficient.equipment.history(coefficient.sample_id).number(every, np.full(every.size, end))
    own = own_effects(coefficient.posterior, np.full(every.size, year), pumps)
    of_well = ("sample_well", "own_effect")
    both = (*of_well, "own_effect_")
    return {
        "own_mean": (of_well, own.mean),
        "own_covariance": (both, own.covariance),
        "own_covariance_given": (both, own.given),
        "own_weight": (("pair", "own_effect"), own.weight),
    }


def _of_rows(coefficient: Coefficient) -> dict[str, Variable]:
    """Give the rows of the regression, from which an update starts."""
    rows = coefficient.posterior.rows
    found: dict[str, Variable] = {f"row_{name}": ("pair", _plain(getattr(rows, name))) for name in _ROW_FIELDS}
    plain = coefficient.posterior.plain_rows.scale
    return found | {
        _UNREAD: ("pair", rows.unread),
        "row_plain_scale": ("pair", plain),
        "static": (("sample_well", "static_effect"), rows.static),
        "moving": (("pair", "moving_effect"), rows.moving),
        "level_scale": ("sample_well", rows.level_scale),
    }


def _of_wells(coefficient: Coefficient) -> dict[str, Variable]:
    """Tell where the sample wells stand, where their water stood, and which pumps they had."""
    level, pumps = coefficient.outlook.level, coefficient.equipment
    level = level if level.size else np.full(coefficient.sample_id.size, np.nan)
    owner = pd.Index(coefficient.sample_id).get_indexer(pd.Index(pumps.well_id, dtype=object))
    return {
        "registry_place": ("sample_well", _plain(coefficient.posterior.sample)),
        "outlook_level": ("sample_well", level),
        "pump_well": ("pump", _plain(owner)),
        "pump_date": ("pump", _plain(pumps.date)),
        "pump_detected": ("pump", _plain(pumps.detected)),
        "pump_cause": ("pump", pumps.cause.astype(object)),
    }


def _of_pairs(coefficient: Coefficient) -> dict[str, Variable]:
    """Give the pairs as they were measured."""
    measured = coefficient.measured
    return {f"pair_{name}": ("pair", _plain(getattr(measured, name))) for name in _PAIR_FIELDS}


def _of_gauges(gauges: Gauges) -> dict[str, Variable]:
    """Give the depths to water, which stand for the months before a later table of them begins."""
    found: dict[str, Variable] = {f"gauge_{name}": ("gauge", gauges.places[:, k]) for k, name in enumerate(PLACE)}
    return found | {
        "depth_gauge": ("depth", _plain(gauges.place)),
        "depth_day": ("depth", _plain(gauges.date.astype("datetime64[s]"))),
        "depth_to_water": ("depth", gauges.depth_m),
    }


def _gauges_of(dataset: xr.Dataset) -> Gauges:
    if "depth_to_water" not in dataset:
        return Gauges.none()
    return Gauges(
        np.column_stack([dataset[f"gauge_{name}"].to_numpy().astype(object) for name in PLACE]),
        dataset["depth_gauge"].to_numpy().astype(np.intp),
        dataset["depth_day"].to_numpy().astype("datetime64[s]").astype("datetime64[D]"),
        dataset["depth_to_water"].to_numpy(),
    )


def from_dataset(dataset: xr.Dataset) -> Coefficient:
    """Read a coefficient back from what :func:`to_dataset` gave.

    Parameters
    ----------
    dataset : xarray.Dataset
        Of this or an earlier release of the package, such as ``coefficients.nc`` of a release.

    Returns
    -------
    Coefficient
        Forecasts and updates as the one that was written.

    Raises
    ------
    UsageError
        The data set is of a newer format, or not of this package.
    """
    version = dataset.attrs.get("elec2water_format")
    if version is None or int(version) > FORMAT:
        raise UsageError(
            f"coefficients: expected elec2water_format up to {FORMAT}, found {version}; update elec2water to read it"
        )
    specification = json.loads(dataset.attrs["specification"])
    spec = _spec_of(specification["features"])
    months = dataset["month"].to_numpy().astype("datetime64[s]").astype("datetime64[M]")
    layout = _layout_of(specification["layout"], spec, months)
    posterior = _with_late(_posterior_of(dataset, layout, int(version)), spec)
    options = TypeAdapter(FitOptions).validate_python(specification["options"])
    windows = Windows(
        np.datetime64(specification["energy_end"], "M"), np.array(specification["level_window"], dtype="datetime64[M]")
    )
    sample_id = dataset["sample_well"].to_numpy().astype(object)
    coefficient = Coefficient(
        posterior, spec, options, windows, sample_id, _pairs_of(dataset), gauges=_gauges_of(dataset)
    )
    if int(version) == 1:
        return coefficient
    outlook = Outlook(float(dataset.attrs["outlook_year"]), dataset["outlook_level"].to_numpy())
    return replace(
        coefficient,
        equipment=_equipment_of(dataset, sample_id),
        outlook=outlook if np.isfinite(outlook.level).all() else Outlook(outlook.year),
    )


def _posterior_of(dataset: xr.Dataset, layout: Layout, version: int) -> Posterior:
    return Posterior(
        layout,
        dataset["node_sd"].to_numpy(),
        dataset["node_weight"].to_numpy(),
        dataset["node_mean"].to_numpy(),
        dataset["node_covariance"].to_numpy(),
        _rows_of(dataset, layout),
        dataset["registry_place"].to_numpy().astype(np.intp),
        float(dataset.attrs["log_likelihood"]),
        dataset["row_plain_scale"].to_numpy() if version > 1 else None,
        renewal=float(dataset.attrs.get("pump_renewal_per_year", 0.0)),
    )


def _with_late(posterior: Posterior, spec: FeatureSpec) -> Posterior:
    """Give posteriors of files before format 5 the effects they do not have, of which their pairs tell nothing.

    What such a file believes of the effects it has stays as it is.
    """
    old = posterior.layout
    added = tuple(replace(r, beside="") for r in spec.late_regressors() if r.name not in old.moving_names)
    if not added:
        return posterior
    layout, at, n = replace(old, moving=(*old.moving, *added)), old.cells_start, len(added)
    place = np.concatenate([np.arange(at), np.arange(at, old.size) + n])
    means, covariances = (np.zeros((posterior.weight.size, *[layout.size] * k)) for k in (1, 2))
    means[:, place] = posterior.means
    covariances[:, place[:, None], place] = posterior.covariances
    covariances[:, np.arange(at, at + n), np.arange(at, at + n)] = [r.sd**2 for r in added]
    rows = posterior.rows
    rows = replace(rows, moving=np.hstack([rows.moving, np.zeros((rows.y.size, n))]))
    return replace(posterior, layout=layout, means=means, covariances=covariances, rows=rows)


def _rows_of(dataset: xr.Dataset, layout: Layout) -> Rows:
    rows = {name: dataset[f"row_{name}"].to_numpy() for name in _ROW_FIELDS}
    for name in ("well", "pump", "cell"):
        rows[name] = rows[name].astype(np.intp)
    return Rows(
        **rows,
        unread=dataset[_UNREAD].to_numpy() if _UNREAD in dataset else np.zeros(rows["y"].size),
        static=dataset["static"].to_numpy(),
        moving=dataset["moving"].to_numpy(),
        level_scale=dataset["level_scale"].to_numpy(),
        n_cells=layout.n_cells,
    )


def _equipment_of(dataset: xr.Dataset, sample_id: NDArray[np.object_]) -> Equipment:
    # Files of format 2 do not say the cause.
    new = np.full(dataset.sizes["pump"], NEW_PUMP, dtype=object)
    cause = dataset["pump_cause"].to_numpy().astype(object) if "pump_cause" in dataset else new
    return Equipment(
        sample_id[dataset["pump_well"].to_numpy().astype(np.intp)],
        dataset["pump_date"].to_numpy().astype("datetime64[s]"),
        dataset["pump_detected"].to_numpy().astype(bool),
        cause,
    )


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Dates as whole seconds since 1970 (blank: the smallest integer), flags and places as integers."""
    if values.dtype.kind == "M":
        return values.astype("datetime64[s]").astype(np.int64)
    return values.astype(np.int64) if values.dtype.kind in "biu" else values


def _specification(coefficient: Coefficient) -> dict[str, Any]:
    layout = coefficient.posterior.layout
    return {
        "features": asdict(coefficient.spec),
        "layout": {"static": [asdict(r) for r in layout.static], "moving": [asdict(r) for r in layout.moving]},
        "options": asdict(coefficient.options),
        "energy_end": str(coefficient.windows.energy_end),
        "level_window": [str(m) for m in coefficient.windows.level],
    }


def _spec_of(features: Mapping[str, Any]) -> FeatureSpec:
    numeric = [Numeric(**{**n, "fill": tuple((a, v) for a, v in n["fill"])}) for n in features["numeric"]]
    factors = [Factor(**{**f, "levels": tuple(f["levels"])}) for f in features["factors"]]
    return FeatureSpec(
        tuple(numeric),
        tuple(factors),
        tuple(features["aquifers"]),
        features["intercept"],
        features["reference_year"],
        tuple(features["wear"]),
        tuple((name, tuple(limits)) for name, limits in features.get("strata_breaks", ())),
        # Files that do not say it have the slope on the depth to water alone, a straight one, open outlets, one
        # harmonic of the year, and no gaps between pairs.
        features.get("head_beyond_m", 0.0),
        features.get("head_curvature", 0.0),
        tuple((method, head) for method, head in features.get("delivery", ())),
        features.get("half_year", False),
        features.get("unread_gaps", False),
    )


def _layout_of(layout: Mapping[str, Any], spec: FeatureSpec, months: NDArray[np.datetime64]) -> Layout:
    """Give the effects as they stood when the file was written, whatever priors a newer version has."""
    static = tuple(Regressor(**r) for r in layout["static"])
    moving = tuple(Regressor(**r) for r in layout["moving"])
    return Layout(static, spec.factors, moving, spec.aquifers, months)


def _pairs_of(dataset: xr.Dataset) -> Measurements:
    found = {name: dataset[f"pair_{name}"].to_numpy() for name in _PAIR_FIELDS}
    return Measurements(
        well=found["well"].astype(np.intp),
        start=found["start"].astype("datetime64[s]"),
        end=found["end"].astype("datetime64[s]"),
        energy_kwh=found["energy_kwh"],
        volume_m3=found["volume_m3"],
        meter_rel_u=found["meter_rel_u"],
        test=found["test"].astype(bool),
        row=found["row"].astype(np.int64),
    )
