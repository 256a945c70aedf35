"""Figures: data in, matplotlib Axes out; Chinese labels or English, readable in grey print.

Every function takes a frame first and draws into ``ax``, or into a new figure as high as its rows need. Characters that
no font of the machine has are drawn as 〓, never as boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy import special, stats

from elec2water.calendar_ import quarter_months
from elec2water.errors import UsageError
from elec2water.figure import GREY, INK, PALE, Lang, Words, axes_or_new, label, legend, require, words
from elec2water.fonts import drawable

Floats = NDArray[np.float64]

_ROW_INCHES = 0.27
_WIDTH_INCHES = 6.4
_PIT_BINS = 10
_BAND = 0.90
_TAILS = (0.5 * (1 - _BAND), 0.5 * (1 + _BAND))
_M3_PER_10K = 1e4

_TEXT: Words = {
    "zh": {
        "coefficient": "折算系数(m³/kWh)，{level} 区间",
        "coefficients": "各分层的折算系数，{month}",
        "sample_wells": "样本井",
        "volume": "取水量(万m³)，{level} 区间",
        "totals": "{quarter}（{months}）取水量(折算与实测)",
        "wells": "井数",
        "largest": "(前 {shown} 个，共 {all} 个)",
        "predicted": "预测折算系数(m³/kWh)，{level} 区间",
        "observed": "实测折算系数(m³/kWh)",
        "held_out": "留出{what}检验：{n} 眼井，{inside} 在区间内",
        "nominal": "名义置信水平",
        "actual": "实际落入比例",
        "coverage": "区间校准：留出{what}，{n} 眼井",
        "pit_title": "预测分布校准(PIT)：留出{what}，{n} 眼井",
        "pit": "实测值在预测分布中的位置(PIT)",
        "what_wells": "样本井",
        "what_season": "最近一季",
        "months": "{first}–{last} 月",
        "count": "井数",
        "chance": "随机波动范围({level})",
    },
    "en": {
        "coefficient": "conversion coefficient (m³/kWh) with {level} interval",
        "coefficients": "Conversion coefficient by stratum, {month}",
        "sample_wells": "sample wells",
        "volume": "volume (10⁴ m³) with {level} interval",
        "totals": "Volume, {quarter} ({months}), converted and metered",
        "wells": "wells",
        "largest": " (largest {shown} of {all})",
        "predicted": "predicted coefficient (m³/kWh) with {level} interval",
        "observed": "observed coefficient (m³/kWh)",
        "held_out": "{what} held out: {n} wells, {inside} inside",
        "nominal": "nominal level",
        "actual": "share inside",
        "coverage": "Coverage, {what} held out: {n} wells",
        "pit_title": "PIT, {what} held out: {n} wells",
        "what_wells": "wells",
        "what_season": "last season",
        "months": "months {first}–{last}",
        "pit": "place of the observed value in the forecast (PIT)",
        "count": "wells",
        "chance": "range of chance ({level})",
    },
}


def coefficients(
    frame: pd.DataFrame, *, month: str | None = None, largest: int = 60, ax: Axes | None = None, lang: Lang = "zh"
) -> Axes:
    """Draw the coefficient of every stratum with its interval; beside it, the number of sample wells behind it.

    A stratum without a sample well of its own has an open mark: its coefficient comes from the others.

    Parameters
    ----------
    frame : DataFrame
        ``stratum, coefficient_m3_per_kwh, lower, upper, confidence, n_sample_wells``, and ``month`` where there are
        several: ``coefficients.csv`` of a release, or ``Coefficient.summary``.
    month : str, optional
        Text like ``2026-09``; the last month of the frame by default.
    largest : int
        At most so many strata are drawn, those with the highest coefficients.
    ax : Axes, optional
    lang : {'zh', 'en'}

    Returns
    -------
    Axes

    Raises
    ------
    UsageError
        A column is missing, or the month.
    """
    require(
        frame,
        "stratum",
        "coefficient_m3_per_kwh",
        "lower",
        "upper",
        "confidence",
        "n_sample_wells",
        name="coefficients",
    )
    text, chosen = words(_TEXT, lang), frame
    if "month" in frame.columns:
        month = str(frame["month"].max()) if month is None else month
        chosen = frame.loc[frame["month"] == month]
        if chosen.empty:
            raise UsageError(f"month: expected one of {', '.join(frame['month'].unique())}, found {month!r}")
    rows = _Intervals.of(chosen, "stratum", ("coefficient_m3_per_kwh", "lower", "upper"), "n_sample_wells", largest)
    title = text["coefficients"].format(month=month or "").rstrip("，, ") + rows.left_out(text)
    axis = text["coefficient"].format(level=_percent(chosen["confidence"].iloc[0]))
    return _draw_intervals(rows, _Labels(title, axis, text["sample_wells"]), ax, hollow=rows.count == 0)


def totals(
    frame: pd.DataFrame, *, domain: str = "township", largest: int = 60, ax: Axes | None = None, lang: Lang = "zh"
) -> Axes:
    """Draw the total of every key of a domain with its interval, in 万m³; beside it, the number of wells.

    Parameters
    ----------
    frame : DataFrame
        Columns of ``totals.csv``: ``domain, key, quarter, n_wells, volume_m3, lower_m3, upper_m3, confidence``.
    domain : str
        Which domain to draw.
    largest : int
        At most so many keys are drawn, those with the greatest volumes.
    ax : Axes, optional
    lang : {'zh', 'en'}

    Returns
    -------
    Axes

    Raises
    ------
    UsageError
        A column is missing, or the domain.
    """
    require(
        frame, "domain", "key", "quarter", "n_wells", "volume_m3", "lower_m3", "upper_m3", "confidence", name="totals"
    )
    text, chosen = words(_TEXT, lang), frame.loc[frame["domain"] == domain]
    if chosen.empty:
        raise UsageError(f"domain: expected one of {', '.join(frame['domain'].unique())}, found {domain!r}")
    rows = _Intervals.of(chosen, "key", ("volume_m3", "lower_m3", "upper_m3"), "n_wells", largest, unit=_M3_PER_10K)
    quarter = str(chosen["quarter"].iloc[0])
    title = text["totals"].format(quarter=quarter, months=_months(quarter, text)) + rows.left_out(text)
    axis = text["volume"].format(level=_percent(chosen["confidence"].iloc[0]))
    ax = _draw_intervals(rows, _Labels(title, axis, text["wells"]), ax, hollow=rows.count == 0)
    ax.set_xlim(left=0.0)
    return ax


def observed_predicted(
    forecasts: pd.DataFrame,
    *,
    held_out: str = "wells",
    level: float = 0.9,
    ax: Axes | None = None,
    lang: Lang = "zh",
) -> Axes:
    """Draw what held-out wells measured against what was forecast, with intervals and the 1:1 line, on log axes.

    Wells outside their interval have an open mark.

    Parameters
    ----------
    forecasts : DataFrame
        ``Validation.forecasts``: ``held_out, observed, model`` and ``lower_0.9, upper_0.9`` for each level.
    held_out : {'wells', 'season'}
    level : float
        Level of the intervals.
    ax : Axes, optional
    lang : {'zh', 'en'}

    Returns
    -------
    Axes

    Raises
    ------
    UsageError
        A column is missing, or nothing was held out in this way.
    """
    bounds = f"lower_{level:g}", f"upper_{level:g}"
    chosen, text = _held_out(forecasts, held_out, "observed", "model", *bounds), words(_TEXT, lang)
    observed, predicted, lower, upper = (chosen[c].to_numpy() for c in ("observed", "model", *bounds))
    inside = (lower <= observed) & (observed <= upper)
    ax = axes_or_new(ax, (4.8, 4.8))
    ax.set(xscale="log", yscale="log", aspect="equal")
    ends = np.array([min(lower.min(), observed.min()) / 1.1, max(upper.max(), observed.max()) * 1.1])
    ax.plot(ends, ends, color=GREY, linewidth=0.8, linestyle="--", zorder=1)
    ax.hlines(observed, lower, upper, color=PALE, linewidth=1.0, zorder=2)
    for marks, fill in ((inside, INK), (~inside, "white")):
        ax.plot(
            predicted[marks],
            observed[marks],
            "o",
            markersize=4,
            markerfacecolor=fill,
            markeredgecolor=INK,
            markeredgewidth=0.8,
            zorder=3,
        )
    ax.set(xlim=ends, ylim=ends)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axis.set_minor_locator(ticker.NullLocator())
    title = text["held_out"].format(what=_what(held_out, text), n=len(chosen), inside=_percent(inside.mean()))
    title = title[0].upper() + title[1:]
    label(ax, title, text["predicted"].format(level=_percent(level)), text["observed"])
    return ax


def coverage(calibration: pd.DataFrame, *, held_out: str = "wells", ax: Axes | None = None, lang: Lang = "zh") -> Axes:
    """Draw the share of wells inside their intervals against the nominal level, with the range that chance allows.

    Parameters
    ----------
    calibration : DataFrame
        ``Validation.calibration``: ``held_out, level, coverage, n_wells``.
    held_out : {'wells', 'season'}
    ax : Axes, optional
    lang : {'zh', 'en'}

    Returns
    -------
    Axes
        The bars are the central 90 % of a binomial share of so many wells.

    Raises
    ------
    UsageError
        A column is missing, or nothing was held out in this way.
    """
    chosen, text = _held_out(calibration, held_out, "level", "coverage", "n_wells"), words(_TEXT, lang)
    level, n = chosen["level"].to_numpy(), chosen["n_wells"].to_numpy()
    low, high = (stats.binom.ppf(p, n, level) / n for p in _TAILS)
    ax = axes_or_new(ax, (4.2, 4.2))
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--", zorder=1)
    ax.vlines(level, low, high, color=PALE, linewidth=7, zorder=2, label=_chance(text))
    ax.plot(level, chosen["coverage"], "o", color=INK, markersize=5, zorder=3)
    ax.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(ticker.PercentFormatter(1.0))
    label(ax, text["coverage"].format(what=_what(held_out, text), n=int(n.max())), text["nominal"], text["actual"])
    legend(ax, "upper left")
    return ax


def pit(forecasts: pd.DataFrame, *, held_out: str = "wells", ax: Axes | None = None, lang: Lang = "zh") -> Axes:
    """Draw the histogram of the probability integral transform: flat where the forecast distributions are right.

    A hump says that intervals are too wide, a trough that they are too narrow, a slope that forecasts are biased
    (Gneiting, Balabdaoui & Raftery 2007, J. R. Statist. Soc. B 69, section 3.1).

    Parameters
    ----------
    forecasts : DataFrame
        ``Validation.forecasts``: ``held_out, observed, model, log_variance``.
    held_out : {'wells', 'season'}
    ax : Axes, optional
    lang : {'zh', 'en'}

    Returns
    -------
    Axes
        The band is the central 90 % of a binomial count in one of ten bins.

    Raises
    ------
    UsageError
        A column is missing, or nothing was held out in this way.
    """
    chosen, text = _held_out(forecasts, held_out, "observed", "model", "log_variance"), words(_TEXT, lang)
    place = _pit(*(chosen[c].to_numpy(dtype=np.float64) for c in ("observed", "model", "log_variance")))
    n = place.size
    low, high = (float(stats.binom.ppf(p, n, 1 / _PIT_BINS)) for p in _TAILS)
    ax = axes_or_new(ax, (4.8, 3.2))
    ax.axhspan(low, high, facecolor=PALE, alpha=0.6, linewidth=0, label=_chance(text))
    ax.axhline(n / _PIT_BINS, color=GREY, linewidth=0.8, linestyle="--")
    ax.hist(place, bins=_PIT_BINS, range=(0.0, 1.0), facecolor="none", edgecolor=INK, linewidth=1.2)
    ax.set(xlim=(0, 1))
    ax.margins(y=0.25)
    ax.yaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    label(ax, text["pit_title"].format(what=_what(held_out, text), n=n), text["pit"], text["count"])
    legend(ax, "upper right")
    return ax


@dataclass(frozen=True)
class _Intervals:
    """Rows of a dot-and-interval figure, top to bottom, and how many there were."""

    name: list[str]
    centre: Floats
    lower: Floats
    upper: Floats
    count: NDArray[np.int64]
    of_all: int

    @classmethod
    def of(
        cls, frame: pd.DataFrame, name: str, values: Sequence[str], count: str, largest: int, *, unit: float = 1.0
    ) -> _Intervals:
        rows = frame.sort_values([values[0], name], ascending=[False, True], kind="stable").head(largest)
        centre, lower, upper = (rows[c].to_numpy(dtype=np.float64) / unit for c in values)
        names = [drawable(str(n)) for n in rows[name]]
        return cls(names, centre, lower, upper, rows[count].to_numpy(dtype=np.int64), len(frame))

    def left_out(self, text: Mapping[str, str]) -> str:
        shown = len(self.name)
        return text["largest"].format(shown=shown, all=self.of_all) if shown < self.of_all else ""


@dataclass(frozen=True)
class _Labels:
    title: str
    axis: str
    count: str


def _draw_intervals(rows: _Intervals, labels: _Labels, ax: Axes | None, *, hollow: NDArray[np.bool_]) -> Axes:
    y = np.arange(len(rows.name), dtype=np.float64)
    ax = axes_or_new(ax, (_WIDTH_INCHES, 1.2 + _ROW_INCHES * y.size))
    ax.hlines(y, rows.lower, rows.upper, color=GREY, linewidth=1.6, zorder=2)
    for marks, fill in ((~hollow, INK), (hollow, "white")):
        ax.plot(
            rows.centre[marks],
            y[marks],
            "o",
            markersize=5.5,
            markerfacecolor=fill,
            markeredgecolor=INK,
            zorder=3,
        )
    ax.set_ylim(y.size - 0.4, -0.6)
    ax.set_yticks(y, rows.name)
    ax.grid(axis="x", color=PALE, linewidth=0.5)
    family = label(ax, labels.title, labels.axis, "", "".join(rows.name) + labels.count)
    beside = ax.get_yaxis_transform()
    for place, count in zip(y, rows.count, strict=True):
        ax.text(1.02, place, str(count), transform=beside, va="center", fontsize=8, color=GREY, family=family)
    ax.annotate(
        labels.count, (1.0, 1.0), (4, 4), "axes fraction", "offset points", fontsize=8, color=GREY, family=family
    )
    return ax


def _what(held_out: str, text: Mapping[str, str]) -> str:
    return text.get(f"what_{held_out}", held_out)


def _months(quarter: str, text: Mapping[str, str]) -> str:
    """First and last month of a quarter, in words."""
    first, last = quarter_months(quarter)[[0, -1]].astype(np.int64) % 12 + 1
    return text["months"].format(first=first, last=last)


def _chance(text: Mapping[str, str]) -> str:
    return text["chance"].format(level=_percent(_BAND))


def _pit(observed: Floats, mean: Floats, log_variance: Floats) -> Floats:
    """Probability that a lognormal forecast gives to values below the observed one, (n,)."""
    centred = np.log(observed / mean) + 0.5 * log_variance
    return np.asarray(special.ndtr(centred / np.sqrt(log_variance)))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _held_out(frame: pd.DataFrame, held_out: str, *columns: str) -> pd.DataFrame:
    require(frame, "held_out", *columns, name="validation")
    chosen = frame.loc[frame["held_out"] == held_out]
    if chosen.empty:
        known = ", ".join(frame["held_out"].unique())
        raise UsageError(f"held_out: expected one of {known}, found {held_out!r}")
    return chosen
