"""A coefficient as a labelled data set that travels, and back: NetCDF readable by plain xarray.

Without this package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pydantic import TypeAdapter

from elec2water.coefficient.context import Windows
from elec2water.coefficient.equipment import Equipment
from elec2water.coefficient.features import FeatureSpec, Numeric
from elec2water.coefficient.gaussian import Rows
from elec2water.coefficient.options import FitOptions
from elec2water.coefficient.posterior import SD_NAMES, Posterior
from elec2water.coefficient.result import Coefficient, Outlook
from elec2water.coefficient.shared import Factor, Layout, Regressor
from elec2water.errors import UsageError
from elec2water.pairs import Measurements

FORMAT = 2

_ROW_FIELDS = ("well", "y", "time", "pump", "cell", "scale", "extra")
_PAIR_FIELDS = ("well", "start", "end", "energy_kwh", "volume_m3", "meter_rel_u", "test", "row")


def to_dataset(coefficient: Coefficient) -> xr.Dataset:
    """Give the posterior as a data set.

    The dimensions are ``effect`` (shared effects θ of ln κ), ``node`` (of the variances), ``component`` (standard
    deviations), ``sample_well`` and ``pair``. ``mean`` and ``covariance`` are the joint posterior; ``node_*`` its
    parts; the rest is what an update starts from.
    """
    p, layout = coefficient.posterior, coefficient.posterior.layout
    data: dict[str, tuple[Any, ...]] = {
        "mean": ("effect", p.mean, _about("posterior mean of the shared effects of ln kappa", "1")),
        "covariance": (
            ("effect", "effect_"),
            p.covariance,
            _about("joint posterior covariance of the shared effects", "1"),
        ),
        "node_mean": (("node", "effect"), p.means, _about("posterior mean at each node", "1")),
        "node_covariance": (
            ("node", "effect", "effect_"),
            p.covariances,
            _about("posterior covariance at each node", "1"),
        ),
        "node_weight": ("node", p.weight, _about("posterior weight of the node", "1")),
        "node_sd": (("node", "component"), p.sd, _about("standard deviations of ln kappa", "1")),
        "static": (("sample_well", "static_effect"), p.rows.static, _about("static features of sample wells", "1")),
        "moving": (("pair", "moving_effect"), p.rows.moving, _about("features of pairs that move in time", "1")),
        "level_scale": ("sample_well", p.rows.level_scale, _about("factor on the variance of the well's level", "1")),
        "registry_place": ("sample_well", p.sample.astype(np.int64), _about("place of the well in the registry", "1")),
    }
    for name in _ROW_FIELDS:
        values = getattr(p.rows, name)
        kind = values.astype(np.int64) if values.dtype.kind in "iu" else values
        data[f"row_{name}"] = ("pair", kind, _about(f"regression rows: {name}", "1"))
    level = coefficient.outlook.level
    data["outlook_level"] = (
        "sample_well",
        level if level.size else np.full(coefficient.sample_id.size, np.nan),
        _about("ln depth to water over the year before outlook_year, less the well's reference", "1"),
    )
    plain = p.plain_rows.scale
    data["row_plain_scale"] = ("pair", plain, _about("row_scale before the robust weights of pairs", "1"))
    pumps = coefficient.equipment
    data["pump_well"] = (
        "pump",
        np.asarray(pd.Index(coefficient.sample_id).get_indexer(pd.Index(pumps.well_id, dtype=object)), np.int64),
        _about("place of the sample well whose pump was changed", "1"),
    )
    data["pump_date"] = ("pump", _plain(pumps.date), _about("when the pump began to work (since 1970-01-01)", "s"))
    data["pump_detected"] = ("pump", _plain(pumps.detected), _about("1 where readings showed the change", "1"))
    for name in _PAIR_FIELDS:
        values = getattr(coefficient.measured, name)
        data[f"pair_{name}"] = (
            "pair",
            _plain(values),
            _about(f"measured pairs: {name} (times since 1970-01-01 00:00)", _unit(name)),
        )
    coordinates = {
        "effect": np.array(layout.names, dtype=object),
        "effect_": np.array(layout.names, dtype=object),
        "component": np.array(SD_NAMES, dtype=object),
        "sample_well": coefficient.sample_id.astype(object),
        "month": _plain(layout.months.astype("datetime64[s]")),
    }
    attributes = {
        "Conventions": "CF-1.11",
        "title": "Conversion coefficient kappa [m3/kWh] of irrigation wells: joint posterior of ln kappa",
        "source": "elec2water",
        "elec2water_format": FORMAT,
        "log_likelihood": p.log_likelihood,
        "outlook_year": coefficient.outlook.year,
        "specification": json.dumps(_specification(coefficient), ensure_ascii=False, sort_keys=True),
    }
    return xr.Dataset(data, coordinates, attributes)


def from_dataset(dataset: xr.Dataset) -> Coefficient:
    """Read a coefficient back from what :func:`to_dataset` gave.

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
    rows = {name: dataset[f"row_{name}"].to_numpy() for name in _ROW_FIELDS}
    for name in ("well", "pump", "cell"):
        rows[name] = rows[name].astype(np.intp)
    posterior = Posterior(
        layout,
        dataset["node_sd"].to_numpy(),
        dataset["node_weight"].to_numpy(),
        dataset["node_mean"].to_numpy(),
        dataset["node_covariance"].to_numpy(),
        Rows(
            **rows,
            static=dataset["static"].to_numpy(),
            moving=dataset["moving"].to_numpy(),
            level_scale=dataset["level_scale"].to_numpy(),
            n_cells=layout.n_cells,
        ),
        dataset["registry_place"].to_numpy().astype(np.intp),
        float(dataset.attrs["log_likelihood"]),
        dataset["row_plain_scale"].to_numpy() if int(version) > 1 else None,
    )
    options = TypeAdapter(FitOptions).validate_python(specification["options"])
    windows = Windows(
        np.datetime64(specification["energy_end"], "M"), np.array(specification["level_window"], dtype="datetime64[M]")
    )
    sample_id = dataset["sample_well"].to_numpy().astype(object)
    coefficient = Coefficient(posterior, spec, options, windows, sample_id, _pairs_of(dataset))
    if int(version) == 1:
        return coefficient
    outlook = Outlook(float(dataset.attrs["outlook_year"]), dataset["outlook_level"].to_numpy())
    return replace(
        coefficient,
        equipment=_equipment_of(dataset, sample_id),
        outlook=outlook if np.isfinite(outlook.level).all() else Outlook(outlook.year),
    )


def _equipment_of(dataset: xr.Dataset, sample_id: NDArray[np.object_]) -> Equipment:
    return Equipment(
        sample_id[dataset["pump_well"].to_numpy().astype(np.intp)],
        dataset["pump_date"].to_numpy().astype("datetime64[s]"),
        dataset["pump_detected"].to_numpy().astype(bool),
    )


def _about(long_name: str, units: str) -> dict[str, str]:
    return {"long_name": long_name, "units": units}


def _unit(name: str) -> str:
    return {"energy_kwh": "kW h", "volume_m3": "m3", "start": "s", "end": "s"}.get(name, "1")


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
