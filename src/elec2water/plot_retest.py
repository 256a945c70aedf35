"""Figures of a plan of tests and of telemetered classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from elec2water.errors import UsageError
from elec2water.figure import GREY, INK, PALE, Lang, Words, axes_or_new, finished, words
from elec2water.fonts import drawable

_SIZE_INCHES = (6.4, 4.0)
_M3_PER_10K = 1e4
_NAMED = 15

_TEXT: Words = {
    "zh": {
        "se": "全县水量的标准误(万m³)",
        "cost": "累计费用",
        "title": "复测 {n} 眼井：标准误由 {before:,.1f} 降至 {after:,.1f} 万m³",
        "month": "月份",
        "kappa": "折算系数(m³/kWh)，{level:.0%} 区间",
        "classes": "各类井的折算系数逐月变化",
    },
    "en": {
        "se": "standard error of the county volume (10⁴ m³)",
        "cost": "cost so far",
        "title": "{n} tests: standard error from {before:,.1f} to {after:,.1f} · 10⁴ m³",
        "month": "month",
        "kappa": "conversion coefficient (m³/kWh), {level:.0%} interval",
        "classes": "Conversion coefficient of every class, month by month",
    },
}


def value_of_tests(wells: pd.DataFrame, *, ax: Axes | None = None, lang: Lang = "zh") -> Axes:
    """Draw what tests are worth: the standard error of the county total against what was spent, a step a test.

    Parameters
    ----------
    wells : DataFrame
        ``RetestPlan.wells``.
    ax : Axes, optional
    lang : {'zh', 'en'}

    Raises
    ------
    UsageError
        No test is planned, or the language is unknown.
    """
    text = words(_TEXT, lang)
    if wells.empty:
        raise UsageError("wells: expected at least one planned test, found none")
    ax = axes_or_new(ax, _SIZE_INCHES)
    spent = np.concatenate([[0.0], np.cumsum(wells["cost"].to_numpy(dtype=np.float64))])
    se = np.append(wells["se_before_m3"].iloc[:1], wells["se_after_m3"]) / _M3_PER_10K
    ax.step(spent, se, where="post", color=INK, linewidth=1.4)
    ax.plot(spent[1:], se[1:], "o", color=INK, markersize=3.5)
    if len(wells) <= _NAMED:
        for x, y, name in zip(spent[1:], se[1:], wells["well_id"], strict=True):
            ax.annotate(
                drawable(str(name)), (x, y), (4, 4), textcoords="offset points", fontsize=7, color=GREY, rotation=45
            )
    ax.set_xlabel(text["cost"])
    ax.set_ylabel(text["se"])
    ax.set_title(text["title"].format(n=len(wells), before=se[0], after=se[-1]), fontsize=10)
    ax.set_ylim(0.0, 1.08 * se[0])
    return finished(ax)


def class_paths(frame: pd.DataFrame, *, ax: Axes | None = None, lang: Lang = "zh") -> Axes:
    """Draw the coefficient of every class month by month, with its interval and its name at the end.

    Parameters
    ----------
    frame : DataFrame
        ``FollowedLevels.class_table()``.
    ax : Axes, optional
    lang : {'zh', 'en'}

    Raises
    ------
    UsageError
        The language is unknown.
    """
    text = words(_TEXT, lang)
    ax = axes_or_new(ax, _SIZE_INCHES)
    for name, part in frame.groupby("class", sort=True):
        month = part["month"].to_numpy(dtype="datetime64[D]")
        ax.fill_between(month, part["lower"], part["upper"], color=PALE, alpha=0.6, linewidth=0.0)
        ax.plot(month, part["coefficient_m3_per_kwh"], color=INK, linewidth=1.2)
        end = part["coefficient_m3_per_kwh"].iloc[-1]
        ax.annotate(drawable(str(name)), (month[-1], end), (4, -3), textcoords="offset points", fontsize=8)
    ax.set_xlabel(text["month"])
    ax.set_ylabel(text["kappa"].format(level=frame["confidence"].iloc[0]))
    ax.set_title(text["classes"], fontsize=10)
    ax.set_ylim(bottom=0.0)
    return finished(ax)
