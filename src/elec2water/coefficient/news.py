"""What moved the coefficient of each class since it was last known: a table whose steps add up exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.coefficient.classes import class_loadings, class_mean, sample_classes
from elec2water.coefficient.posterior import Posterior
from elec2water.pairs import Measurements

if TYPE_CHECKING:
    from elec2water.coefficient.result import Coefficient

Floats = NDArray[np.float64]

LAST, THIS = "last_m3_per_kwh", "this_m3_per_kwh"
STEPS = ("corrected_pairs", "new_pairs", "refit", "water_level", "wear_and_time", "energy_and_registry")
"""Steps from the last coefficient to this one, in order [m³/kWh]."""
_DIGITS = 6


def empty_news() -> pd.DataFrame:
    """Give the table of news without a row."""
    return pd.DataFrame({"domain": pd.Series(dtype=object), "key": pd.Series(dtype=object)} | dict.fromkeys(
        (LAST, *STEPS, THIS), pd.Series(dtype=np.float64)
    ))  # fmt: skip


def empty_changes() -> pd.DataFrame:
    """Give the table of changes of wells without a row."""
    return pd.DataFrame(
        {name: pd.Series(dtype=object) for name in ("well_id", "since", "found", "candidate")}
        | {name: pd.Series(dtype=np.float64) for name in ("step", "z")}
    )


def empty_loads() -> pd.DataFrame:
    """Give the table of steady loads without a row."""
    figures = dict.fromkeys(("kwh", "probability"), pd.Series(dtype=np.float64))
    return pd.DataFrame({"well_id": pd.Series(dtype=object)} | figures)


def empty_methods() -> pd.DataFrame:
    """Give the table of changed irrigation methods without a row."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in ("well_id", "before", "now")})


@dataclass(frozen=True)
class UpdateRecord:
    """What an update was made of and what it did.

    Attributes
    ----------
    news : DataFrame
        ``domain, key, last_m3_per_kwh``, a column for each of ``STEPS``, ``this_m3_per_kwh``.
    changes : DataFrame
        Wells whose readings broke with their past, see :func:`elec2water.coefficient.changes.find_changes`.
    loads : DataFrame
        ``well_id, kwh, probability``: wells whose readings swing as a steady load beside the pump makes them, which no
        change explains as well.
    methods : DataFrame
        ``well_id, before, now``: sample wells whose irrigation method is another, of which no day says since when.
    new, corrected, withdrawn : Measurements
        Pairs that came in, that took the place of others, and those that no longer stand.
    """

    news: pd.DataFrame = field(default_factory=empty_news)
    changes: pd.DataFrame = field(default_factory=empty_changes)
    loads: pd.DataFrame = field(default_factory=empty_loads)
    methods: pd.DataFrame = field(default_factory=empty_methods)
    new: Measurements | None = None
    corrected: Measurements | None = None
    withdrawn: Measurements | None = None


def class_news(before: Coefficient, same: Posterior, corrected: Posterior, after: Coefficient) -> pd.DataFrame:
    """Split the change of every class's mean coefficient into what caused it.

    Parameters
    ----------
    before, after : Coefficient
    same, corrected : Posterior
        That of ``before`` with registry, levels and energy as they are known now, and with its old pairs corrected too.
    """
    classes = sample_classes(after.posterior)
    level = after.outlook.level if after.outlook.level.size else np.zeros(after.sample_id.size)
    was = _level_before(before, after)
    then, now = _years(before), _years(after)
    new = after.posterior
    start = class_loadings(new, classes, years=then, level=was)
    deeper = class_loadings(new, classes, years=then, level=level)
    end = class_loadings(new, classes, years=now, level=level)
    last, base = _mean_of(before.posterior, start), _mean_of(same, start)
    ways = ((corrected, start), (new, start), (new, start), (new, deeper), (new, end))
    moved = [last + (_mean_of(posterior, a) - base) for posterior, a in ways]
    points = [last, *moved, _mean_of(new, end)]
    return waterfall_frame("stratum", classes.names, np.array(points))


def waterfall_frame(domain: str, keys: NDArray[np.object_], points: Floats) -> pd.DataFrame:
    """Make the table of news of coefficients (7, G), rounded so that its rows add up to the last digit.

    Parameters
    ----------
    points : (7, G)
        The coefficient before, and after each of ``STEPS``.
    """
    rounded = np.round(points, _DIGITS)
    columns = {name: np.round(rounded[k + 1] - rounded[k], _DIGITS) for k, name in enumerate(STEPS)}
    return pd.DataFrame({"domain": domain, "key": keys, LAST: rounded[0], **columns, THIS: rounded[-1]})


def _mean_of(posterior: Posterior, a: Floats) -> Floats:
    """Mean coefficients at loadings of another span of months: those of the months themselves are zero."""
    head = posterior.layout.cells_start
    own = np.zeros((a.shape[0], posterior.layout.size))
    own[:, :head] = a[:, :head]
    return class_mean(posterior, own)


def _years(coefficient: Coefficient) -> float:
    year = coefficient.outlook.year
    return 0.0 if np.isnan(year) else year - coefficient.spec.reference_year


def _level_before(before: Coefficient, after: Coefficient) -> Floats:
    level = np.zeros(after.sample_id.size)
    if before.outlook.level.size:
        place = pd.Index(before.sample_id, dtype=object).get_indexer(pd.Index(after.sample_id, dtype=object))
        level[place >= 0] = before.outlook.level[place[place >= 0]]
    return level
