"""Figures of electricity: a meter's months with what was found in them, and which months of a county were read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from elec2water.errors import UsageError
from elec2water.figure import GREY, INK, Lang, Words, axes_or_new, label, legend, require, words
from elec2water.fonts import chinese_font, drawable
from elec2water.rules import rules

_WARN = "#b3372f"
_READ = LinearSegmentedColormap.from_list("read", ["#b3372f", "#f2d7a0", "#e8efe4", "#2f6b4f"])
_MOST_GROUPS = 45
_MOST_TICKS = 12
_BEFORE_DETAIL = re.compile("[：:（(]")
_WIDEST: Mapping[Lang, int] = {"zh": 18, "en": 34}
"""Characters of a line above the bars."""
_CHARACTER: Mapping[Lang, float] = {"zh": 0.015, "en": 0.0085}
_LINE = 0.07
"""Width of a character in widths of the figure, and height of a line in the highest bar."""
_TEXT: Words = {
    "zh": {
        "series": "电表 {meter} 的月电量",
        "energy": "电量(kWh)",
        "A": "实抄",
        "E": "估抄或按日分摊",
        "N": "无数据",
        "coverage": "各{group}逐月抄表覆盖率",
        "share": "有读数的井所占比例",
        "largest": "（井数最多的 {shown} 个，共 {all} 个）",
    },
    "en": {
        "series": "Months of meter {meter}",
        "energy": "energy (kWh)",
        "A": "read",
        "E": "estimated or spread",
        "N": "no data",
        "coverage": "Months read, by {group}",
        "share": "share of wells with a reading",
        "largest": " (largest {shown} of {all})",
    },
}


def meter_series(months: pd.DataFrame, *, meter: str, ax: Axes | None = None, lang: Lang = "zh") -> Axes:
    """Draw the months of a meter as bars, estimates open, unread months marked, and the rules that speak of a month.

    Parameters
    ----------
    months : DataFrame
        ``month`` (text), ``energy_kwh`` (NaN where unknown), ``quality`` (A, E or N) and ``flags`` (rules, ``|``
        between them), as ``County.meter_months`` gives.
    meter : str
        Its name, for the title.
    ax : Axes, optional
    lang : {'zh', 'en'}

    Returns
    -------
    Axes

    Raises
    ------
    UsageError
        A column is missing.
    """
    require(months, "month", "energy_kwh", "quality", "flags", name="months")
    text = words(_TEXT, lang)
    ax = axes_or_new(ax, (7.2, 3.2))
    place, energy = np.arange(len(months)), months["energy_kwh"].to_numpy(dtype=np.float64)
    quality = months["quality"].to_numpy(dtype=object)
    top = float(np.nanmax(energy, initial=0.0)) or 1.0
    for letter, face in (("A", "#7a9a8a"), ("E", "white")):
        chosen = (quality == letter) & np.isfinite(energy)
        if chosen.any():
            ax.bar(place[chosen], energy[chosen], 0.8, color=face, edgecolor=INK, linewidth=0.6, label=text[letter])
    unread = ~np.isfinite(energy)
    if unread.any():
        ax.plot(place[unread], np.full(unread.sum(), 0.02 * top), "x", color=_WARN, markersize=5, label=text["N"])
    _flag(ax, months, np.nan_to_num(energy), top, lang)
    ax.set_xlim(-0.6, len(months) - 0.4)
    _months_below(ax, months["month"].tolist())
    label(ax, text["series"].format(meter=meter), "", text["energy"])
    legend(ax, "upper left", columns=3)
    return ax


def coverage_calendar(coverage: pd.DataFrame, *, group: str = "", ax: Axes | None = None, lang: Lang = "zh") -> Axes:
    """Draw which part of the wells was read, a row a group and a column a month.

    Parameters
    ----------
    coverage : DataFrame
        ``key, month, n_wells, n_read``, a row a group and month, as ``County.coverage`` gives.
    group : str
        What the groups are, for the title.
    ax : Axes, optional
    lang : {'zh', 'en'}

    Returns
    -------
    Axes

    Raises
    ------
    UsageError
        A column is missing, or there is no row.
    """
    require(coverage, "key", "month", "n_wells", "n_read", name="coverage")
    if coverage.empty:
        raise UsageError("coverage: expected a row for each group and month, found none")
    text = words(_TEXT, lang)
    wells = coverage.groupby("key", sort=True)["n_wells"].max().sort_values(ascending=False, kind="stable")
    shown = wells.index[:_MOST_GROUPS]
    share = coverage.assign(share=coverage["n_read"] / coverage["n_wells"].clip(lower=1))
    table = share.pivot_table(index="key", columns="month", values="share", aggfunc="mean").reindex(shown)
    ax = axes_or_new(ax, (max(5.0, 2.4 + 0.24 * table.shape[1]), 1.5 + 0.26 * len(table)))
    image = ax.pcolormesh(table.to_numpy(), cmap=_READ, vmin=0.0, vmax=1.0, edgecolors="white", linewidth=0.8)
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        if np.isfinite(value) and value < 0.995:
            dark = value < 0.3 or value > 0.9
            ax.text(
                column + 0.5, row + 0.5, f"{100 * value:.0f}", ha="center", va="center", fontsize=6,
                color="white" if dark else INK,
            )  # fmt: skip
    ax.set_ylim(len(table), 0)
    names = [drawable(str(name)) for name in table.index]
    ax.set_yticks(np.arange(len(table)) + 0.5, names)
    _months_below(ax, [str(name) for name in table.columns], offset=0.5)
    left_out = text["largest"].format(shown=len(shown), all=len(wells)) if len(wells) > len(shown) else ""
    family = label(ax, text["coverage"].format(group=group) + left_out, "", "", "".join(names))
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(length=0)
    figure = ax.get_figure()
    if figure is not None:
        bar = figure.colorbar(image, ax=ax, fraction=0.03, pad=0.02, format=lambda value, _: f"{100 * value:.0f} %")
        bar.ax.tick_params(labelsize=7, color=GREY)
        bar.set_label(text["share"], fontsize=8, family=family)
    return ax


def _spoken(flags: str, lang: Lang) -> str:
    """Give what rules look for in words: of their meaning what stands before the first colon or bracket."""
    known = rules()
    names = [known[code].meaning[lang] if code in known else "" for code in flags.split("|")]
    brief = [_BEFORE_DETAIL.split(name)[0].strip() for name in names]
    return "\n".join(
        "\n".join(wrap(drawable(name or code), _WIDEST[lang]))
        for name, code in zip(brief, flags.split("|"), strict=True)
    )


def _flag(ax: Axes, months: pd.DataFrame, energy: NDArray[np.float64], top: float, lang: Lang) -> None:
    """Write the rules above the months they speak of; of months with the same rules in a row the first is labelled.

    Each stands above all bars it reaches over, and above the label before it where that reaches so far.
    """
    flags = months["flags"].fillna("").astype(str).tolist()
    roof = np.minimum(energy, 1.05 * top)
    for place, (codes, before) in enumerate(zip(flags, ["", *flags[:-1]], strict=True)):
        if not codes:
            continue
        ax.axvspan(place - 0.5, place + 0.5, color=_WARN, alpha=0.10, linewidth=0)
        if codes != before:
            said = _spoken(codes, lang)
            lines = said.split("\n")
            reach = int(np.ceil(max(map(len, lines)) * _CHARACTER[lang] * len(flags)))
            right = place > 0.6 * len(flags)
            under = slice(max(place - reach, 0), place + 1) if right else slice(place, place + reach + 1)
            height = float(roof[under].max()) + 0.04 * top
            roof[under] = height + _LINE * len(lines) * top
            ax.text(
                place, height, said, fontsize=6.5, color=_WARN, va="bottom", ha="right" if right else "left",
                family=chinese_font(said).get_family(),
            )  # fmt: skip
    ax.set_ylim(0.0, max(1.35 * top, float(roof.max(initial=0.0)) + 0.2 * top))


def _months_below(ax: Axes, months: list[str], offset: float = 0.0) -> None:
    step = max(1, -(-len(months) // _MOST_TICKS))
    places = np.arange(0, len(months), step)
    ax.set_xticks(places + offset, [months[k] for k in places], rotation=45, ha="right")
