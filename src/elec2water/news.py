"""News of a release: what moved the coefficient of classes, townships and the county since the release before.

Every well's coefficient is worked out at each step, so that a domain's steps are sums over its wells: corrected pairs,
new pairs and a refit with the energy, levels and time of the earlier quarter; then water level, and wear and time
(the season among it), with the energy of the earlier quarter still; the rest is the change of energy and registry:
of weights, and of what it tells of a well that it rests now where it pumped then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.calendar_ import quarter_months
from elec2water.coefficient import Coefficient
from elec2water.coefficient.anomaly import limited_anomaly
from elec2water.coefficient.context import WellContext, on_grid
from elec2water.coefficient.news import LAST, STEPS, THIS, waterfall_frame
from elec2water.county import County
from elec2water.energy import MonthlyEnergy
from elec2water.keys import Keys
from elec2water.release.formats import unescape_text
from elec2water.volume import Volume, volume_in

Floats = NDArray[np.float64]

DOMAINS = ("county", "township", "stratum")
NEWS_COLUMNS = ("domain", "key", "last_quarter", "quarter", LAST, *STEPS, THIS)
_WORDS: Mapping[str, Mapping[str, str]] = {
    "zh": {
        "corrected_pairs": "更正旧数据", "new_pairs": "新增实测", "refit": "重新估计方差", "water_level": "水位变化",
        "wear_and_time": "磨损与时间(含季节)", "energy_and_registry": "用电构成与登记变化",
    },
    "en": {
        "corrected_pairs": "corrected pairs", "new_pairs": "new pairs", "refit": "new variances",
        "water_level": "water level", "wear_and_time": "wear and time (season included)",
        "energy_and_registry": "energy mix and registry",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Stages:
    """Coefficients on the way from the release before to this one.

    ``before`` with the published pairs, seen with the registry, levels and energy of today; ``corrected`` with its old
    pairs corrected, ``updated`` with the new ones, ``final``.
    """

    before: Coefficient
    corrected: Coefficient
    updated: Coefficient
    final: Coefficient


@dataclass(frozen=True)
class _Point:
    """Coefficient and energy of every well in a quarter, (N,)."""

    kappa: Floats
    kwh: Floats

    @classmethod
    def of(cls, volume: Volume) -> _Point:
        kwh, m3 = volume.monthly_kwh.sum(axis=1), volume.monthly_m3.sum(axis=1)
        kappa = np.where(kwh > 0, m3 / np.where(kwh > 0, kwh, 1.0), volume.idle_coefficient)
        return cls(np.nan_to_num(kappa), kwh)


def release_news(
    county: County,
    energy: MonthlyEnergy,
    stages: Stages,
    volume: Volume,
    *,
    last_quarter: str,
    published: pd.DataFrame,
    labels: Mapping[str, Keys],
) -> pd.DataFrame:
    """Split the change of the coefficient since the release before into what caused it.

    Parameters
    ----------
    county, energy
        As they are known now; the months of the earlier quarter must be inside ``energy``.
    stages : Stages
    volume : Volume
        Of this quarter.
    last_quarter : str
        Quarter of the release before.
    published : DataFrame
        Its ``totals.csv``: where a domain was published, the first column is its volume over its energy.
    labels : mapping
        Keys of every domain (``county``, ``township``, ``stratum``).

    Returns
    -------
    DataFrame
        ``domain, key, last_quarter, quarter, last_m3_per_kwh``, the steps, ``this_m3_per_kwh``; each row adds up.
    """
    points = _points(county, energy, stages, volume, last_quarter)
    frames = []
    for domain in DOMAINS:
        if domain in labels:
            keys = labels[domain]
            last = _published(published, domain, keys)
            frames.append(waterfall_frame(domain, keys.names, _levels_of(points, keys, last)))
    table = pd.concat(frames, ignore_index=True)
    return table.assign(last_quarter=last_quarter, quarter=volume.quarter)[list(NEWS_COLUMNS)]


def _points(
    county: County, energy: MonthlyEnergy, stages: Stages, volume: Volume, last_quarter: str
) -> tuple[_Point, ...]:
    """Wells before, with corrected and new pairs, with new variances; then at this quarter's levels, worn; now."""
    then = _context(stages.before, county, energy, last_quarter)
    grid = on_grid(county.wells)

    def at(coefficient: Coefficient, context: WellContext, quarter: str) -> _Point:
        placed = coefficient.placed(context.well_id)
        told = volume_in(
            placed, context, energy, quarter=quarter, on_grid=grid, confidence=county.config.estimate.confidence
        )
        return _Point.of(told)

    # A refit learns its features anew, and sees the wells its own way.
    then_final = _context(stages.final, county, energy, last_quarter)
    now = _context(stages.final, county, energy, volume.quarter)
    rebuilt = _of_works(now) - _of_works(then_final)
    fallen = while_pumping(now.level, now.kwh) - while_pumping(then_final.level, then_final.kwh) - rebuilt
    deeper = replace(then_final, level=np.nan_to_num(then_final.level) + fallen[:, None], lasting=now.lasting)
    before, corrected, updated = (at(c, then, last_quarter) for c in (stages.before, stages.corrected, stages.updated))
    final, water = (at(stages.final, context, last_quarter) for context in (then_final, deeper))
    # What a later year of electricity tells of a well, and that it rests or works, is news of its energy, not of wear;
    # other works are news of the registry.
    use = np.repeat(
        while_pumping(limited_anomaly(then_final.anomaly), then_final.kwh)[:, None], now.months.size, axis=1
    )
    same_use = replace(now, static=then_final.static, anomaly=use, level=np.nan_to_num(now.level) - rebuilt[:, None])
    worn = at(stages.final, same_use, volume.quarter)
    return before, corrected, updated, final, water, worn, _Point.of(volume)


def _of_works(context: WellContext) -> Floats:
    """Give the ln head of each well over a quarter less that of its present works, (N,)."""
    return while_pumping(context.works.movement(context.months), context.kwh)


def while_pumping(values: Floats, kwh: Floats) -> Floats:
    """Give the mean of a quarter's months by the energy of each well, (N, M), (N, M) → (N,); plain where it rested.

    A well that pumped in the last month alone met the water of that month, not that of the quarter.
    """
    weight = np.nan_to_num(kwh)
    weight = np.where(weight.sum(axis=1, keepdims=True) > 0.0, weight, 1.0)
    return np.asarray((np.nan_to_num(values) * weight).sum(axis=1) / weight.sum(axis=1))


def _context(coefficient: Coefficient, county: County, energy: MonthlyEnergy, quarter: str) -> WellContext:
    return coefficient.context(county.wells, county.water_levels, energy, quarter_months(quarter))


def _levels_of(points: tuple[_Point, ...], keys: Keys, last: Floats) -> Floats:
    """Coefficients of every key at each step, (7, G): first and last as published, between them sums over wells."""
    *_, now = points

    def mean(point: _Point, weight: Floats) -> Floats:
        inside = keys.codes >= 0
        code, n = keys.codes[inside], keys.names.size
        total = np.bincount(code, weights=(point.kappa * weight)[inside], minlength=n)
        energy = np.bincount(code, weights=weight[inside], minlength=n)
        count = np.maximum(np.bincount(code, minlength=n), 1)
        plain = np.bincount(code, weights=point.kappa[inside], minlength=n) / count
        return np.asarray(np.where(energy > 0, total / np.where(energy > 0, energy, 1.0), plain))

    steps = [mean(point, points[0].kwh) for point in points[:-1]]
    here = np.where(np.isfinite(last), last, steps[0])
    # What was published then and is not found again now belongs to changed readings and registry: the last step.
    moved = [here + (step - steps[0]) for step in steps]
    return np.array([*moved, mean(now, now.kwh)])


def _published(published: pd.DataFrame, domain: str, keys: Keys) -> Floats:
    rows = published.loc[published["domain"].eq(domain)].set_index("key")
    rows = rows.loc[~rows.index.duplicated()].reindex(keys.names.astype(str))
    energy, volume = (rows[name].to_numpy(dtype=np.float64) for name in ("energy_kwh", "volume_m3"))
    return np.asarray(np.divide(volume, energy, out=np.full(energy.size, np.nan), where=energy > 0))


def news_sentence(news: pd.DataFrame, lang: str = "zh") -> str:
    """Say in one sentence what moved the county's coefficient; blank where there is no news."""
    county = news.loc[news["domain"].eq("county")]
    if county.empty:
        return ""
    row = county.iloc[0]
    start, end = float(row[LAST]), float(row[THIS])
    if not start > 0:
        return ""
    words = _WORDS[lang]
    moved = sorted(((float(row[name]) / start, words[name]) for name in STEPS), key=lambda part: -abs(part[0]))
    said = [f"{name} {share:+.1%}" for share, name in moved if abs(share) >= 0.0005]
    change = f"{end / start - 1.0:+.1%}"
    if lang == "en":
        because = f": {', '.join(said)}" if said else ""
        return (
            f"The county's conversion coefficient went from {start:.3f} m³/kWh in {row['last_quarter']} "
            f"to {end:.3f} in {row['quarter']} ({change}){because}."
        )
    because = "，其中" + "，".join(said) if said else ""
    return (
        f"全县平均折算系数由 {row['last_quarter']} 的 {start:.3f} m³/kWh 变为 {row['quarter']} 的 {end:.3f} m³/kWh"
        f"（{change}）{because}。"
    )


def read_news(folder: Path) -> pd.DataFrame:
    """``news.csv`` of a release, keys as text; without a row where the release is the first."""
    path = folder / "news.csv"
    if not path.is_file():
        return pd.DataFrame(columns=list(NEWS_COLUMNS))
    frame = pd.read_csv(path, encoding="utf-8-sig", dtype={"domain": str, "key": str}, keep_default_na=False)
    frame["key"] = [unescape_text(key) for key in frame["key"]]
    return frame
