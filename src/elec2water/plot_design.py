"""Figures of a design: the wells on the map, and what more or fewer of them would give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from elec2water.errors import UsageError
from elec2water.figure import GREY, INK, PALE, Lang, Words, axes_or_new, png_bytes, words
from elec2water.fonts import chinese_font, drawable, use_chinese

Floats = NDArray[np.float64]

_MOST_DOTS = 20_000
_MOST_NUMBERS = 150
_MOST_FORMS = 2_000
_MOST_NAMES = 60
_NAME_POINTS = 10.0
_REACH_POINTS = 48.0
_KM_A_DEGREE = 111.2
_PLACES = ("township", "county")
_NAMES = (*_PLACES, "aquifer")
_DRAWN = ("longitude", "latitude", "role", "number", *_NAMES)
_MARKS = "osD^vP*X"

_TEXT: Words = {
    "zh": {
        "map": "样本井分布",
        "primary": "必测",
        "reserve": "备选",
        "frame": "抽样框内的井",
        "unknown": "层位未知",
        "nowhere": "（{n} 眼样本井没有经纬度，未画出）",
        "km": "{km:g} km",
        "north": "北",
        "east": "经度",
        "northing": "纬度",
    },
    "en": {
        "map": "Sample wells",
        "primary": "primary",
        "reserve": "reserve",
        "frame": "wells of the frame",
        "unknown": "aquifer unknown",
        "nowhere": " ({n} sample wells without coordinates are not drawn)",
        "km": "{km:g} km",
        "north": "N",
        "east": "longitude",
        "northing": "latitude",
    },
}


def sample_map(
    visits: pd.DataFrame, wells: pd.DataFrame, *, title: str = "", ax: Axes | None = None, lang: Lang = "zh"
) -> Axes:
    """Draw the wells to visit among all wells, with the numbers of the field sheet.

    The form of a mark tells the aquifer, a filled one a primary well, an open one a reserve; townships are named in
    their middles, the counties of a province instead. Of thousands of wells the primary ones are dots. Readable in grey
    print, and without any map service.

    Parameters
    ----------
    visits : DataFrame
        Of :func:`elec2water.fieldwork.visits.visits_of`.
    wells : DataFrame
        The wells among which they were drawn: ``longitude, latitude, township``.
    title : str
    ax : Axes, optional
    lang : {"zh", "en"}

    Returns
    -------
    Axes

    Raises
    ------
    UsageError
        If no well has coordinates, or the language is not known.
    """
    text = words(_TEXT, lang)
    background, shown = _placed(wells), _placed(visits)
    if background.empty and shown.empty:
        raise UsageError("sample map: no well has longitude and latitude; there is nothing to draw")
    axes = axes_or_new(ax, (7.2, 7.2))
    family = chinese_font(_all_text(background, shown, title, text)).get_family()
    _draw_frame(axes, background, text)
    _draw_visits(axes, shown, text)
    lost = int((visits["role"] == "primary").sum() - (shown["role"] == "primary").sum())
    heading = drawable(title or text["map"]) + (text["nowhere"].format(n=lost) if lost else "")
    axes.set_title(heading, fontsize=11, loc="left", family=family)
    _set_frame_of_map(axes, pd.concat([background, shown]), text, family)
    legend = axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.06), ncols=4, frameon=False, fontsize=8)
    for label in legend.get_texts():
        label.set_fontfamily(family)
    _name_places(axes, background if len(background) else shown, shown, family)
    return axes


def has_places(wells: pd.DataFrame) -> bool:
    """Say whether any well can be put on a map."""
    return len(_placed(wells)) > 0


def map_png(visits: pd.DataFrame, wells: pd.DataFrame, *, title: str = "", dpi: int = 200, lang: Lang = "zh") -> bytes:
    """Draw :func:`sample_map` into a PNG.

    Parameters
    ----------
    visits, wells, title, lang
        As there.
    dpi : int

    Returns
    -------
    bytes
        Without date or program, so that the same wells give the same bytes.
    """
    with use_chinese():
        return png_bytes(sample_map(visits, wells, title=title, lang=lang), dpi=dpi)


def precision_curve(curve: pd.DataFrame, labels: Mapping[str, str], *, ax: Axes | None = None) -> Axes:
    """Draw the expected CV of the county's total against the number of sample wells, with the marked numbers.

    Parameters
    ----------
    curve : DataFrame
        ``Design.curve``: ``n, expected_cv, mark``.
    labels : mapping
        ``axis_n, axis_cv`` and ``mark_<mark>``.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    axes = axes_or_new(ax, (5.6, 2.9))
    line = curve.sort_values("n").drop_duplicates("n")
    family = chinese_font("".join(labels.values())).get_family()
    axes.plot(line["n"], line["expected_cv"], color=INK, linewidth=1.2)
    for n, cv, mark in curve.loc[curve["mark"] != "", ["n", "expected_cv", "mark"]].itertuples(index=False, name=None):
        own = mark == "n"
        axes.plot([n], [cv], "o", markersize=6, markerfacecolor=INK if own else "white", markeredgecolor=INK)
        label = labels.get(f"mark_{mark}", str(mark)) if mark in ("n", "rule") else str(mark)
        beside, how = ((0, 14), "center") if own else ((0, -11), "center")
        axes.annotate(
            f"{label}（{n:,}）" if mark in ("n", "rule") else label, (n, cv), beside, textcoords="offset points",
            fontsize=7, family=family, ha=how, va="center",
        )  # fmt: skip
    axes.set(xscale="log", ylim=(0, None))
    axes.margins(y=0.2)
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0))
    axes.set_xlabel(labels["axis_n"], fontsize=8, family=family)
    axes.set_ylabel(labels["axis_cv"], fontsize=8, family=family)
    axes.tick_params(labelsize=7)
    axes.grid(color=PALE, linewidth=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def curve_png(curve: pd.DataFrame, labels: Mapping[str, str], *, dpi: int = 150) -> bytes:
    """Draw :func:`precision_curve` into a PNG."""
    with use_chinese():
        return png_bytes(precision_curve(curve, labels), dpi=dpi)


def _placed(table: pd.DataFrame) -> pd.DataFrame:
    """Give the wells with a place, and what is drawn of them; names as text, blank where unknown."""
    if not {"longitude", "latitude"} <= set(table.columns):
        return pd.DataFrame({name: pd.Series(dtype="float64") for name in _DRAWN}).astype(dict.fromkeys(_NAMES, "str"))
    places = table[["longitude", "latitude"]].to_numpy(dtype=np.float64, na_value=np.nan)
    there = np.isfinite(places).all(axis=1) & (places != 0).any(axis=1)
    placed: pd.DataFrame = table.loc[there].reindex(columns=list(_DRAWN))
    return placed.assign(**{name: placed[name].astype("str").where(placed[name].notna(), "") for name in _NAMES})


def _draw_frame(axes: Axes, wells: pd.DataFrame, text: Mapping[str, str]) -> None:
    """Dots for all wells; of very many, every k-th."""
    thinned = wells.iloc[:: max(1, -(-len(wells) // _MOST_DOTS))]
    axes.plot(thinned["longitude"], thinned["latitude"], ".", color=PALE, markersize=2.5, zorder=1, label=text["frame"])


def _draw_visits(axes: Axes, visits: pd.DataFrame, text: Mapping[str, str]) -> None:
    primary = visits.loc[visits["role"] == "primary"]
    if len(primary) > _MOST_FORMS:
        size = max(3.0 * (_MOST_FORMS / len(primary)) ** 0.5, 0.5)
        _draw_marks(axes, primary, "o", size, INK, text["primary"])
        return
    numbered = len(primary) <= _MOST_NUMBERS
    size = 6.5 if numbered else 3.0
    aquifers = sorted(set(visits["aquifer"]))
    for mark, aquifer in zip(_MARKS * (1 + len(aquifers) // len(_MARKS)), aquifers, strict=False):
        of_aquifer = visits.loc[visits["aquifer"] == aquifer]
        for role, fill, scale in (("reserve", "white", 0.7), ("primary", INK, 1.0)):
            layer = drawable(aquifer) or (text["unknown"] if len(aquifers) > 1 else "")
            name = " ".join(filter(None, [layer, text[role]]))
            _draw_marks(axes, of_aquifer.loc[of_aquifer["role"] == role], mark, scale * size, fill, name)
    if numbered:
        for number, x, y in primary[["number", "longitude", "latitude"]].to_numpy():
            axes.annotate(
                f"{number:.0f}", (x, y), (3.5, 3.5), textcoords="offset points", fontsize=6.5, color=INK, zorder=4,
                path_effects=[withStroke(linewidth=1.5, foreground="white")],
            )  # fmt: skip


def _draw_marks(axes: Axes, wells: pd.DataFrame, mark: str, size: float, fill: str, name: str) -> None:
    """Draw marks of one form: filled ones above and with a dark edge, open ones below and grey."""
    if wells.empty:
        return
    axes.plot(
        wells["longitude"],
        wells["latitude"],
        mark,
        markersize=size,
        markerfacecolor=fill,
        markeredgecolor=INK if fill == INK else GREY,
        markeredgewidth=min(0.7, 0.25 * size),
        linestyle="none",
        zorder=3 if fill == INK else 2,
        label=name,
    )


def _name_places(axes: Axes, wells: pd.DataFrame, visits: pd.DataFrame, family: list[str]) -> None:
    """Name the townships, or the counties where there are too many; neither where those are too many as well.

    A name stands in the middle of its wells, or as near above or below as no mark of a visit covers it.
    """
    few = [name for name in _PLACES if wells[name].nunique() <= _MOST_NAMES]
    if not few:
        return
    middles = wells.loc[wells[few[0]] != ""].groupby(few[0])[["longitude", "latitude"]].median()
    marks = _in_points(axes, visits) if len(visits) <= _MOST_FORMS else np.empty((0, 2))
    places = _in_points(axes, middles)
    for name, (x, y), place in zip(middles.index.tolist(), middles.to_numpy(), places, strict=True):
        shift = _free_shift(marks - place, half_width=0.5 * _NAME_POINTS * len(name))
        axes.annotate(
            drawable(name), (x, y), (0, shift), textcoords="offset points", ha="center", va="center",
            fontsize=_NAME_POINTS, color="#8a5a10", alpha=0.85, family=family,
            zorder=3.5 if few[0] == "county" else 1.5, in_layout=False,
            path_effects=[withStroke(linewidth=2.0, foreground="white")],
        )  # fmt: skip


def _in_points(axes: Axes, wells: pd.DataFrame) -> Floats:
    """Give where wells are drawn, (N, 2) points, once everything else of the figure has its place."""
    figure = axes.get_figure(root=True)
    if figure is None:
        return np.empty((0, 2))
    figure.draw_without_rendering()
    shown = axes.transData.transform(wells[["longitude", "latitude"]].to_numpy(dtype=np.float64))
    return np.asarray(shown * (72.0 / figure.dpi), dtype=np.float64)


def _free_shift(marks: Floats, half_width: float) -> float:
    """Find how far up a name moves [points] so that no mark lies in it; 0 where there is no room within reach.

    Parameters
    ----------
    marks : (K, 2) points
        Marks as seen from the middle where the name would stand, each with its number to the right.
    half_width : float
        Half the width of the name, points.

    Examples
    --------
    >>> _free_shift(np.array([[0.0, 2.0]]), half_width=15.0)
    -8.0
    """
    beside = marks[(marks[:, 0] > -half_width - 14.0) & (marks[:, 0] < half_width + 5.0), 1]
    for shift in sorted(np.arange(-_REACH_POINTS, _REACH_POINTS + 1.0, 4.0), key=abs):
        if not (np.abs(beside - shift) < 0.5 * _NAME_POINTS + 4.0).any():
            return float(shift)
    return 0.0


def _set_frame_of_map(axes: Axes, wells: pd.DataFrame, text: Mapping[str, str], family: list[str]) -> None:
    """Equal scales at the middle latitude, a scale bar, and where north is."""
    low, high = (wells[["longitude", "latitude"]].agg(how).to_numpy(dtype=np.float64) for how in ("min", "max"))
    middle = np.cos(np.radians(0.5 * (low[1] + high[1])))
    margin = 0.04 * np.maximum(high - low, 0.01)
    axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
    axes.set_aspect(1.0 / float(middle))
    axes.set_xlabel(text["east"], fontsize=9, family=family)
    axes.set_ylabel(text["northing"], fontsize=9, family=family)
    axes.tick_params(labelsize=8)
    axes.ticklabel_format(useOffset=False)
    width = (high[0] - low[0] + 2 * margin[0]) * _KM_A_DEGREE * float(middle)
    km = _round_down(0.25 * width)
    start, share = 0.97 - km / width, km / width
    ends, below = [start, start + share], [-0.045, -0.045]
    axes.plot(ends, below, linewidth=2.5, solid_capstyle="butt", transform=axes.transAxes, color=INK, clip_on=False)
    axes.text(
        start + share / 2, -0.055, text["km"].format(km=km), transform=axes.transAxes, ha="center", va="top", fontsize=8
    )
    axes.annotate(
        text["north"], (0.97, 0.985), (0.97, 0.90), "axes fraction", ha="center", va="top", fontsize=9, family=family,
        arrowprops={"arrowstyle": "-|>", "color": INK},
    )  # fmt: skip


def _round_down(km: float) -> float:
    """Return the largest of 1, 2, 5 × 10^k not above a length."""
    power = 10.0 ** np.floor(np.log10(max(km, 1e-6)))
    return float(max(step * power for step in (1.0, 2.0, 5.0) if step * power <= max(km, 1e-6) * (1 + 1e-9)))


def _all_text(wells: pd.DataFrame, visits: pd.DataFrame, title: str, text: Mapping[str, str]) -> str:
    names = [set(table[name].unique()) for table in (wells, visits) for name in _NAMES]
    return drawable(title + "".join(text.values()) + "".join(sorted(set().union(*names)))) + "〓"
