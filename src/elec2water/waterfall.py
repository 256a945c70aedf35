"""Figure of the news of a coefficient: from the last one to this one, step by step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from elec2water.coefficient.news import LAST, STEPS, THIS
from elec2water.errors import UsageError
from elec2water.figure import GREY, INK, PALE, Lang, Words, axes_or_new, finished, png_bytes, words
from elec2water.fonts import drawable

Floats = NDArray[np.float64]

_TEXT: Words = {
    "zh": {
        LAST: "上次", "corrected_pairs": "更正\n旧数据", "new_pairs": "新增\n实测", "refit": "重估\n方差",
        "water_level": "水位\n变化", "wear_and_time": "磨损\n与时间", "energy_and_registry": "用电构成\n与登记",
        THIS: "本次", "axis": "折算系数(m³/kWh)", "title": "{key}：折算系数的变化",
    },
    "en": {
        LAST: "last", "corrected_pairs": "corrected\npairs", "new_pairs": "new\npairs", "refit": "new\nvariances",
        "water_level": "water\nlevel", "wear_and_time": "wear and\ntime", "energy_and_registry": "energy,\nregistry",
        THIS: "this", "axis": "conversion coefficient (m³/kWh)", "title": "{key}: what moved the coefficient",
    },
}  # fmt: skip


def news(
    frame: pd.DataFrame, *, domain: str = "county", key: str | None = None, ax: Axes | None = None, lang: Lang = "zh"
) -> Axes:
    """Draw what moved a coefficient since the last release as a waterfall; falls are filled, rises are open.

    Parameters
    ----------
    frame : DataFrame
        ``news.csv`` of a release, or ``Coefficient.news``.
    domain, key : str
        The row to draw; the first key of the domain by default.
    ax : Axes, optional
    lang : {'zh', 'en'}

    Returns
    -------
    Axes

    Raises
    ------
    UsageError
        There is no such row, or the language is unknown.
    """
    text = words(_TEXT, lang)
    rows = frame.loc[frame["domain"].eq(domain)]
    rows = rows if key is None else rows.loc[rows["key"].eq(key)]
    if rows.empty:
        there = ", ".join(sorted(set(frame["domain"]))) or "nothing: a first release has no news"
        raise UsageError(f"news: expected a row of {domain} {key or ''}, found {there}")
    return _draw(rows.iloc[0], text, ax)


def news_png(frame: pd.DataFrame, *, lang: Lang = "zh", dpi: int = 150) -> bytes:
    """Draw the county's news as a PNG: the same frame gives the same bytes."""
    return png_bytes(news(frame, lang=lang), dpi=dpi)


def _draw(row: pd.Series, text: Mapping[str, str], ax: Axes | None) -> Axes:
    steps = [name for name in STEPS if name != "refit" or row[name]]
    moves = np.array([float(row[name]) for name in steps])
    after = float(row[LAST]) + np.cumsum(moves)
    bottom = np.minimum(after, after - moves)
    names = [LAST, *steps, THIS]
    ax = axes_or_new(ax, (6.8, 3.4))
    ends = [float(row[LAST]), float(row[THIS])]
    margin = 0.35 * max(np.ptp([*ends, *after]), 0.01 * max(ends))
    floor = max(min([*ends, *after]) - margin, 0.0)
    ax.bar([0, len(names) - 1], [end - floor for end in ends], bottom=floor, color=PALE, edgecolor=INK, width=0.6)
    fill = [GREY if move < 0 else "white" for move in moves]
    ax.bar(range(1, len(steps) + 1), np.abs(moves), bottom=bottom, color=fill, edgecolor=INK, width=0.6)
    _connect(ax, [ends[0], *after])
    _say_values(ax, ends, moves, np.maximum(after, after - moves))
    ax.set_ylim(floor, max([*ends, *after]) + margin)
    ax.set_xticks(range(len(names)), [_label(row, name, text) for name in names], fontsize=8)
    ax.set_ylabel(text["axis"])
    ax.set_title(drawable(text["title"].format(key=row["key"])), fontsize=10)
    return finished(ax)


def _label(row: pd.Series, name: str, text: Mapping[str, str]) -> str:
    """Name a bar; those of the two releases with their quarters, where the row says them."""
    quarter = row.get({LAST: "last_quarter", THIS: "quarter"}.get(name, ""))
    return text[name] if quarter is None else f"{text[name]}\n{quarter}"


def _connect(ax: Axes, levels: list[float]) -> None:
    for place, level in enumerate(levels):
        ax.plot([place + 0.3, place + 0.7], [level, level], color=GREY, linewidth=0.8)


def _say_values(ax: Axes, ends: list[float], moves: Floats, tops: Floats) -> None:
    said = [(0, ends[0], f"{ends[0]:.3f}"), (moves.size + 1, ends[1], f"{ends[1]:.3f}")]
    for place, (move, top) in enumerate(zip(moves.tolist(), tops.tolist(), strict=True), start=1):
        said.append((place, top, f"{move:+.3f}\n({move / ends[0]:+.1%})"))
    for place, height, text in said:
        ax.annotate(
            text, (place, height), xytext=(0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=8
        )
