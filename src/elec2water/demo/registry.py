"""The registry of wells: where they are, what they pump with, and what the clerk wrote down about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water import hydraulics
from elec2water.demo.streams import stream

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

POWER_LADDER_KW: Final = np.array([3, 4, 5.5, 7.5, 9.2, 11, 13, 15, 18.5, 22, 30, 37, 45, 55, 75])
PIPE_LADDER_MM: Final = np.array([75, 90, 110, 125, 160, 200, 250])
AQUIFERS: Final = np.array(["浅层", "深层", "岩溶"], dtype=object)
METHODS: Final = np.array(["border", "pipe", "sprinkler", "drip"], dtype=object)
STATUSES: Final = np.array(["in_use", "standby", "sealed", "abandoned"], dtype=object)
SOURCES: Final = np.array(["grid", "diesel", "solar"], dtype=object)

_FIRST: Final = "柳东西南北清石白马青龙金安永太新大长平高" + "黄桃杨槐泉双三七"
_SECOND: Final = "林河桥店山营庄集坡湾堡寨沟台屯口庙岭塘洼"
_SURNAMES: Final = "王李张刘陈杨赵黄周吴徐孙马朱胡郭何高林罗"
_PLACES: Final = ("庄", "家庄", "村", "家寨", "家屯", "营")
_CENTRE: Final = (115.30, 36.55)
_KM_PER_DEGREE: Final = 111.2
_OUTLET_M: Final = np.array([1.0, 3.0, 24.0, 13.0])
_LATERAL_M: Final = np.array([80.0, 300.0, 260.0, 200.0])
_DESIGN_FLOW: Final = np.array([36.0, 48.0, 60.0])
_SPECIFIC_CAPACITY: Final = np.array([10.0, 6.0, 22.0])


@dataclass(frozen=True, eq=False)
class Plants:
    """Wells as they are (not as they are registered), arrays of shape (N,) in the order of the registry.

    Groups are township × aquifer: ``group = township * 3 + aquifer``.
    """

    township: Ints
    aquifer: Ints
    method: Ints
    village: Ints
    source: Ints
    status: Ints
    offset_m: Floats
    outlet_m: Floats
    drawdown_per_flow: Floats
    friction: Floats
    design_flow: Floats
    rated_head_m: Floats
    power_kw: Floats
    pump_depth_m: Floats
    well_depth_m: Floats
    pipe_mm: Floats
    area_mu: Floats
    pump_age_years: Floats
    vfd: Flags

    def __len__(self) -> int:
        return len(self.township)

    @property
    def group(self) -> Ints:
        """Township × aquifer."""
        return self.township * len(AQUIFERS) + self.aquifer

    @property
    def electric(self) -> Flags:
        """Driven from the grid."""
        return np.asarray(self.source == 0)


def township_names(count: int, seed: int) -> NDArray[np.object_]:
    """Invent names of towns: `count` different ones, the first always the county town."""
    pairs = [a + b for a in _FIRST for b in _SECOND]
    order = stream(seed, "names").permutation(len(pairs))
    kinds = ("镇", "乡", "街道")
    names = [pairs[k] + kinds[(i // len(pairs)) % 3] for i, k in enumerate(np.resize(order, count))]
    extra = [f"{name}{i}" if i >= 3 * len(pairs) else name for i, name in enumerate(names)]
    return np.array(["城关镇", *extra[1:]], dtype=object)


def village_names(count: int) -> NDArray[np.object_]:
    """Name the villages of one township."""
    names = [f"{s}{p}" for p in _PLACES for s in _SURNAMES]
    return np.array(
        [names[i % len(names)] + (str(i // len(names)) if i >= len(names) else "") for i in range(count)], dtype=object
    )


def draw_places(n: int, townships: int, seed: int) -> tuple[Ints, Ints, Ints]:
    """Township, aquifer (0 shallow, 1 deep, 2 karst) and method of each well."""
    rng = stream(seed, "places")
    township = rng.choice(townships, size=n, p=rng.dirichlet(np.full(townships, 6.0)))
    deep = rng.beta(2.2, 3.3, size=townships)
    karst = np.zeros(townships)
    if townships > 4 and rng.random() < 0.4:
        karst[rng.choice(townships, 2, replace=False)] = (0.55, 0.3)
    draw = rng.random(n)
    aquifer = np.where(draw < karst[township], 2, (rng.random(n) < deep[township]).astype(np.int64))
    share = np.cumsum(rng.dirichlet(6 * np.array([0.48, 0.34, 0.08, 0.10]), size=townships), axis=1)
    method = (rng.random(n)[:, None] > share[township][:, :3]).sum(axis=1)
    return township.astype(np.int64), aquifer.astype(np.int64), method.astype(np.int64)


def draw_plants(n: int, townships: int, base_depth_m: Floats, seed: int) -> Plants:
    """Draw the wells and fit a pump to each.

    Parameters
    ----------
    n, townships
        How many.
    base_depth_m
        (townships × 3,) depth to water of each group when the wells were drilled [m].
    seed
        Seed of the county.

    Returns
    -------
    Plants
        The wells.
    """
    township, aquifer, method = draw_places(n, townships, seed)
    rng = stream(seed, "plants")
    rest = base_depth_m[township * len(AQUIFERS) + aquifer]
    offset = rest * np.clip(0.10 * rng.standard_normal(n), -0.3, 0.3)
    flow = _DESIGN_FLOW[aquifer] * np.exp(0.28 * rng.standard_normal(n))
    capacity = _SPECIFIC_CAPACITY[aquifer] * np.exp(0.40 * rng.standard_normal(n))
    drawdown = np.minimum(flow / capacity, 0.6 * rest + 4)
    depth = np.round(rest + offset + drawdown + rng.uniform(6, 18, n))
    pipe = PIPE_LADDER_MM[np.searchsorted(PIPE_LADDER_MM[:-1], 1000 * np.sqrt(flow / 3600 / (np.pi / 4 * 1.4)))]
    length = depth + _LATERAL_M[method] * np.exp(0.4 * rng.standard_normal(n))
    friction = hydraulics.darcy_weisbach_coefficient(length, pipe / 1000.0)
    outlet = _OUTLET_M[method] * np.exp(0.25 * rng.standard_normal(n))
    need = rest + offset + drawdown + friction * flow**2 + outlet
    head = np.round(need * np.exp(0.06 + 0.11 * rng.standard_normal(n)))
    shaft = flow * head / (hydraulics.M3_M_PER_KWH * 0.55)
    power = POWER_LADDER_KW[np.clip(np.searchsorted(POWER_LADDER_KW, shaft * rng.uniform(0.95, 1.25, n)), 0, 14)]
    return Plants(
        township=township,
        aquifer=aquifer,
        method=method,
        village=rng.integers(0, _villages_per_township(n, townships), n),
        source=rng.choice(3, size=n, p=[0.965, 0.025, 0.010]),
        status=rng.choice(4, size=n, p=[0.93, 0.04, 0.02, 0.01]),
        offset_m=offset,
        outlet_m=outlet,
        drawdown_per_flow=drawdown / flow,
        friction=friction,
        design_flow=flow,
        rated_head_m=head,
        power_kw=power,
        pump_depth_m=depth,
        well_depth_m=np.round(depth + rng.gamma(3.0, 8.0, n) + 5 + 40 * (aquifer == 1)),
        pipe_mm=pipe.astype(np.float64),
        area_mu=flow * 2.6 * np.exp(0.45 * rng.standard_normal(n)),
        pump_age_years=rng.gamma(2.0, 2.0, n),
        vfd=rng.random(n) < 0.05,
    )


def well_ids(n: int, seed: int) -> NDArray[np.object_]:
    """Text ids with leading zeros, in an order that says nothing about the wells."""
    width = max(6, len(str(3 * n)))
    numbers = stream(seed, "ids").choice(3 * n, size=n, replace=False) + 1
    return np.array([f"{k:0{width}d}" for k in numbers], dtype=object)


def registry_table(
    plants: Plants, ids: NDArray[np.object_], installed_on: NDArray[np.datetime64], seed: int, county: str
) -> pd.DataFrame:
    """Tell what the registry says: true attributes with slips of the pen and blank cells.

    Parameters
    ----------
    plants
        The wells.
    ids
        (N,) ids.
    installed_on
        (N,) ``datetime64[D]``: when the pump was put in, as far as the registry was told.
    seed
        Seed of the county.
    county
        Name of the county.

    Returns
    -------
    pandas.DataFrame
        The contract's table without ``permit_no``.
    """
    rng = stream(seed, "registry")
    n = len(plants)
    towns = township_names(int(plants.township.max()) + 1, seed)
    villages = village_names(int(plants.village.max()) + 1)
    longitude, latitude = _coordinates(plants, seed)
    columns: dict[str, Any] = {
        "well_id": ids,
        "name": villages[plants.village] + np.array([f"{k}号井" for k in rng.integers(1, 60, n)], dtype=object),
        "county": county,
        "township": towns[plants.township],
        "village": villages[plants.village],
        "longitude": longitude,
        "latitude": latitude,
        "aquifer": _blank(AQUIFERS[plants.aquifer], 0.004, rng),
        "pump_power_kw": _blank(_slip(plants.power_kw, rng), 0.015, rng),
        "pump_depth_m": _blank(np.round(plants.pump_depth_m * np.exp(0.03 * rng.standard_normal(n))), 0.02, rng),
        "well_depth_m": _blank(plants.well_depth_m, 0.03, rng),
        "pump_head_m": _blank(plants.rated_head_m, 0.15, rng),
        "irrigation_method": _blank(METHODS[plants.method], 0.03, rng),
        "irrigated_area_mu": _blank(np.round(plants.area_mu * np.exp(0.10 * rng.standard_normal(n))), 0.05, rng),
        "pipe_diameter_mm": _blank(plants.pipe_mm, 0.25, rng),
        "pump_installed_on": _blank(installed_on.astype("datetime64[s]"), 0.25, rng),
        "vfd": plants.vfd,
        "power_source": SOURCES[plants.source],
        "status": STATUSES[plants.status],
    }
    frame = pd.DataFrame(columns)
    text = [name for name in frame if frame[name].dtype == object]
    return frame.astype(dict.fromkeys(text, "str"))


def _villages_per_township(n: int, townships: int) -> int:
    return int(np.clip(round(n / townships / 6), 2, 40))


def _coordinates(plants: Plants, seed: int) -> tuple[Floats, Floats]:
    """Scatter wells about their village and villages about their township, about 30 km across."""
    rng = stream(seed, "coordinates")
    townships, villages = int(plants.township.max()) + 1, int(plants.village.max()) + 1
    town = rng.uniform(-16, 16, size=(townships, 2))
    village = town[:, None, :] + rng.normal(0, 2.2, size=(townships, villages, 2))
    km = village[plants.township, plants.village] + rng.normal(0, 0.6, size=(len(plants), 2))
    latitude = _CENTRE[1] + km[:, 1] / _KM_PER_DEGREE
    longitude = _CENTRE[0] + km[:, 0] / (_KM_PER_DEGREE * np.cos(np.radians(_CENTRE[1])))
    return np.round(longitude, 6), np.round(latitude, 6)


def _slip(power: Floats, rng: np.random.Generator) -> Floats:
    """Write one step of the ladder too much or too little for 2 % of the wells."""
    step = np.where(rng.random(len(power)) < 0.02, rng.choice([-1, 1], len(power)), 0)
    return POWER_LADDER_KW[np.clip(np.searchsorted(POWER_LADDER_KW, power) + step, 0, len(POWER_LADDER_KW) - 1)]


def _blank(values: NDArray[Any], share: float, rng: np.random.Generator) -> pd.Series[Any]:
    series = pd.Series(values)
    return series.mask(rng.random(len(series)) < share)
