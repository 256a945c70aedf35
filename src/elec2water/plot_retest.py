"""Figures of a plan of tests and of telemetered classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Text

from elec2water.errors import UsageError
from elec2water.fonts import chinese_font, drawable

Lang = Literal["zh", "en"]

_INK, _GREY, _PALE = "#1a1a1a", "#6b6b6b", "#c4c4c4"
_SIZE_INCHES = (6.4, 4.0)
_M3_PER_10K = 1e4
_NAMED = 15

_TEXT: Mapping[str, Mapping[str, str]] = {
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
    text = _words(lang)
    if wells.empty:
        raise UsageError("wells: expected at least one planned test, found none")
    ax = _axes(ax)
    spent = np.concatenate([[0.0], np.cumsum(wells["cost"].to_numpy(dtype=np.float64))])
    se = np.append(wells["se_before_m3"].iloc[:1], wells["se_after_m3"]) / _M3_PER_10K
    ax.step(spent, se, where="post", color=_INK, linewidth=1.4)
    ax.plot(spent[1:], se[1:], "o", color=_INK, markersize=3.5)
    if len(wells) <= _NAMED:
        for x, y, name in zip(spent[1:], se[1:], wells["well_id"], strict=True):
            ax.annotate(
                drawable(str(name)), (x, y), (4, 4), textcoords="offset points", fontsize=7, color=_GREY, rotation=45
            )
    ax.set_xlabel(text["cost"])
    ax.set_ylabel(text["se"])
    ax.set_title(text["title"].format(n=len(wells), before=se[0], after=se[-1]), fontsize=10)
    ax.set_ylim(0.0, 1.08 * se[0])
    return _finished(ax)


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
    text = _words(lang)
    ax = _axes(ax)
    for name, part in frame.groupby("class", sort=True):
        month = part["month"].to_numpy(dtype="datetime64[D]")
        ax.fill_between(month, part["lower"], part["upper"], color=_PALE, alpha=0.6, linewidth=0.0)
        ax.plot(month, part["coefficient_m3_per_kwh"], color=_INK, linewidth=1.2)
        end = part["coefficient_m3_per_kwh"].iloc[-1]
        ax.annotate(drawable(str(name)), (month[-1], end), (4, -3), textcoords="offset points", fontsize=8)
    ax.set_xlabel(text["month"])
    ax.set_ylabel(text["kappa"].format(level=frame["confidence"].iloc[0]))
    ax.set_title(text["classes"], fontsize=10)
    ax.set_ylim(bottom=0.0)
    return _finished(ax)


def _words(lang: str) -> Mapping[str, str]:
    if lang not in _TEXT:
        raise UsageError(f"lang: expected one of {', '.join(_TEXT)}, found {lang!r}")
    return _TEXT[lang]


def _axes(ax: Axes | None) -> Axes:
    return plt.figure(figsize=_SIZE_INCHES, layout="constrained").add_subplot() if ax is None else ax


def _finished(ax: Axes) -> Axes:
    """Take the frame away, and give every text a font that has its characters."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
    texts = [text for text in ax.findobj(Text) if isinstance(text, Text) and text.get_text()]
    family = chinese_font("".join(text.get_text() for text in texts)).get_family()
    for text in texts:
        text.set_fontfamily(family)
    return ax
