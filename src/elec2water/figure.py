"""What every figure shares: inks, the axes to draw in, words in two languages, labels in fonts that have them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Literal

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Text

from elec2water.errors import UsageError
from elec2water.fonts import chinese_font, drawable

Lang = Literal["zh", "en"]
Words = Mapping[str, Mapping[str, str]]
"""Texts of a figure by language and name."""

INK, GREY, PALE = "#1a1a1a", "#6b6b6b", "#c4c4c4"


def words(texts: Words, lang: str) -> Mapping[str, str]:
    """Give the texts of a figure in a language.

    Raises
    ------
    UsageError
        The language is unknown.
    """
    if lang not in texts:
        raise UsageError(f"lang: expected one of {', '.join(texts)}, found {lang!r}")
    return texts[lang]


def require(frame: pd.DataFrame, *columns: str, name: str) -> None:
    """Raise a UsageError that names the columns which a frame lacks."""
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise UsageError(
            f"{name}: expected columns {', '.join(columns)}; missing are {', '.join(missing)}, "
            f"found {', '.join(map(str, frame.columns))}"
        )


def axes_or_new(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Give the axes to draw in: those of the caller, or those of a new figure of ``size`` [inches]."""
    return plt.figure(figsize=size, layout="constrained").add_subplot() if ax is None else ax


def label(ax: Axes, title: str, x: str, y: str, further: str = "") -> list[str]:
    """Title and axis labels in fonts that have their characters and those of ``further``, whenever it is drawn."""
    title = drawable(title)
    family = chinese_font(title + x + y + further).get_family()
    ax.set_title(title, fontsize=10, loc="left", family=family)
    ax.set_xlabel(x, fontsize=9, family=family)
    ax.set_ylabel(y, fontsize=9, family=family)
    ax.tick_params(labelsize=8, labelfontfamily=family, color=GREY)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    return family


def legend(ax: Axes, place: Literal["upper left", "upper right"], *, columns: int = 1) -> None:
    """Name what has a name, each in a font that has its characters."""
    if ax.get_legend_handles_labels()[0]:
        for name in ax.legend(loc=place, frameon=False, fontsize=8, ncols=columns).get_texts():
            name.set_fontfamily(chinese_font(name.get_text()).get_family())


def finished(ax: Axes) -> Axes:
    """Take the frame away, and give every text fonts that have its characters."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
    texts = [text for text in ax.findobj(Text) if isinstance(text, Text) and text.get_text()]
    family = chinese_font("".join(text.get_text() for text in texts)).get_family()
    for text in texts:
        text.set_fontfamily(family)
    return ax


def png_bytes(ax: Axes, *, dpi: int = 150) -> bytes:
    """Write the figure of an Axes as PNG, without date or program so that the bytes are the same, and close it."""
    figure = ax.get_figure(root=True)
    buffer = io.BytesIO()
    if figure is not None:
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        plt.close(figure)
    return buffer.getvalue()
