"""Chinese labels: fonts that have every character of a text, or the names of the characters that none has."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import matplotlib as mpl
from matplotlib import font_manager

from elec2water.errors import Elec2WaterError

BUNDLED = "Elec2Water Sans SC"
#: Families tried in this order: the one that comes with the package first, so that figures are alike on every machine.
FAMILIES = (
    BUNDLED,
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "Microsoft YaHei",
    "PingFang SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "SimHei",
    "SimSun",
    "SimSun-ExtB",
    "Hiragino Sans GB",
    "Arial Unicode MS",
    "Noto Sans CJK JP",
    "Noto Serif CJK SC",
    "DejaVu Sans",
)
#: The printers' sign for a character that is not in the case.
GETA = "〓"


class FontError(Elec2WaterError):
    """No font of this machine can draw some characters of a text."""


def chinese_font(text: str) -> font_manager.FontProperties:
    """Find fonts that together draw every character of a text.

    Parameters
    ----------
    text : str
        All that is to be drawn with the font.

    Returns
    -------
    matplotlib.font_manager.FontProperties
        With one family, or several of which matplotlib takes for each character the first that has it.

    Raises
    ------
    FontError
        If some characters are in none of them. Draw :func:`drawable` text, or English labels, instead of boxes.

    Examples
    --------
    >>> chinese_font("2026年第3季度 取水量(万m³)").get_family()
    ['Elec2Water Sans SC']
    """
    missing = missing_characters(text)
    if missing:
        named = ", ".join(f"{c} (U+{ord(c):04X})" for c in missing[:10])
        raise FontError(
            f"no font of this machine has {named}{' …' if len(missing) > 10 else ''}. "
            "Install one that has, for example Noto Sans CJK SC, or SimSun-ExtB for rare characters."
        )
    return font_manager.FontProperties(family=_families(text))


def missing_characters(text: str) -> str:
    r"""List the characters of a text that no font here can draw, each once, in order of appearance.

    Empty means that the text can be drawn; if fixed Chinese labels cannot, use the English ones.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> missing_characters("浅层机井"), missing_characters("\U0010fffd号井")
    ('', '\U0010fffd')
    """
    return "".join(c for c in _visible(text) if not any(ord(c) in _characters(family) for family in FAMILIES))


def drawable(text: str) -> str:
    r"""Put the sign 〓 in the place of characters that no font here can draw, as printers do.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> drawable("\U0010fffd家庄")
    '〓家庄'
    """
    return text.translate(dict.fromkeys(map(ord, missing_characters(text)), GETA))


@contextmanager
def use_chinese(text: str = "") -> Iterator[None]:
    """Draw figures with Chinese labels inside a ``with`` block.

    Sets ``font.family``, and ``axes.unicode_minus`` to False since some Chinese fonts have no U+2212. A family is
    looked up when text is drawn: save the figure inside the block.

    Parameters
    ----------
    text : str, optional
        Names from the data that are to be drawn, which may hold rare characters.

    Raises
    ------
    FontError
        As :func:`chinese_font`.

    Examples
    --------
    >>> with use_chinese():
    ...     mpl.rcParams["font.family"]
    ['Elec2Water Sans SC']
    """
    families = chinese_font("取水量" + text).get_family()
    with mpl.rc_context({"font.family": families, "axes.unicode_minus": False}):
        yield


def _families(text: str) -> list[str]:
    """Choose the fewest of the families, in their order, that cover what can be covered of a text."""
    left = {ord(c) for c in _visible(text)}
    chosen = []
    for family in FAMILIES:
        found = left & _characters(family)
        if found:
            chosen.append(family)
            left -= found
    return chosen or [BUNDLED]


def _visible(text: str) -> dict[str, None]:
    """List the characters that leave a mark, each once; a line break or a joiner needs no glyph."""
    return dict.fromkeys(c for c in text if unicodedata.category(c) not in {"Cc", "Cf"})


@functools.cache
def _characters(family: str) -> frozenset[int]:
    """Read which characters the font of a family has, from the face that matplotlib would draw with."""
    if family == BUNDLED:
        _register_bundled()
    try:
        path = font_manager.findfont(font_manager.FontProperties(family=family), fallback_to_default=False)
        return frozenset(font_manager.get_font(path).get_charmap())
    except (ValueError, OSError, RuntimeError):
        return frozenset()


def _register_bundled() -> None:
    path = resources.files("elec2water") / "data" / "fonts" / "Elec2WaterSansSC-Regular.otf"
    if isinstance(path, Path) and path.is_file():
        font_manager.fontManager.addfont(path)
