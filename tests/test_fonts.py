"""Chinese labels: drawn with real glyphs, or the characters named that cannot be."""

from __future__ import annotations

import io
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from elec2water import fonts
from elec2water.fonts import BUNDLED, FontError, chinese_font, drawable, missing_characters, use_chinese

PRIVATE = "\U0010fffd"  # a private-use character: no font has a glyph for it
GB2312 = "".join(
    bytes([row, cell]).decode("gb2312", errors="ignore") for row in range(0xA1, 0xF8) for cell in range(0xA1, 0xFF)
)


@pytest.fixture
def only_bundled(monkeypatch):
    """A county office or a CI machine: no Chinese font but our own."""
    monkeypatch.setattr(fonts, "FAMILIES", (BUNDLED, "DejaVu Sans"))


@pytest.fixture
def no_chinese_font(monkeypatch):
    monkeypatch.setattr(fonts, "FAMILIES", ("DejaVu Sans",))


def png(text: str, **options) -> np.ndarray:
    figure = Figure(figsize=(2, 0.5), dpi=100)
    figure.text(0.1, 0.3, text, fontsize=14, **options)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    return mpl.image.imread(buffer)


def test_the_font_of_the_package_has_every_character_of_the_standard(only_bundled):
    """GB 2312-80 has 6,763 Chinese characters: 3,755 of level 1 and 3,008 of level 2."""
    assert sum("\u4e00" <= c <= "\u9fff" for c in GB2312) == 6763
    assert missing_characters(GB2312) == ""
    assert missing_characters("κ = 3.9 ± 0.2 m³/kWh，95 %，−1.5 ℃，㎡ × 10⁻³ ²⁄η·ρ°≤≥≈") == ""


def test_labels_are_drawn_without_a_missing_glyph(only_bundled):
    with warnings.catch_warnings(), use_chinese():
        warnings.simplefilter("error")
        image = png("取水量(万m³) −3")
    assert image.min() < 0.5


def test_a_box_is_never_drawn_in_the_place_of_a_character(only_bundled):
    """Different characters give different pictures; matplotlib would draw the same box for both without the font."""
    with use_chinese():
        assert not np.array_equal(png("井"), png("田"))
    with mpl.rc_context({"font.family": ["DejaVu Sans"]}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(png("井"), png("田"))


def test_characters_that_no_font_has_are_named():
    with pytest.raises(FontError, match=r"no font of this machine has \U0010fffd \(U\+10FFFD\)"):
        chinese_font(f"{PRIVATE}家庄{PRIVATE}")
    with pytest.raises(FontError), use_chinese(PRIVATE):
        pass


def test_without_any_chinese_font_the_caller_learns_it_before_drawing(no_chinese_font):
    assert missing_characters("浅层 well 浅") == "浅层"
    assert missing_characters("shallow, κ") == ""
    with pytest.raises(FontError, match=r"浅 \(U\+6D45\)"):
        chinese_font("浅层")


def test_many_missing_characters_are_not_all_spelt_out(no_chinese_font):
    with pytest.raises(FontError) as caught:
        chinese_font(GB2312)
    assert len(str(caught.value)) < 500


def test_a_further_font_is_taken_only_for_what_the_first_has_not(monkeypatch):
    characters = {"first": frozenset(map(ord, "井田")), "second": frozenset(map(ord, "井㙍")), "third": frozenset()}
    monkeypatch.setattr(fonts, "FAMILIES", tuple(characters))
    monkeypatch.setattr(fonts, "_characters", characters.__getitem__)
    assert chinese_font("井田").get_family() == ["first"]
    assert chinese_font("井㙍\n\u200b").get_family() == ["first", "second"]


def test_settings_last_as_long_as_the_block():
    with use_chinese():
        assert mpl.rcParams["axes.unicode_minus"] is False
        assert mpl.rcParams["font.family"] == [BUNDLED]
    with mpl.rc_context({"font.family": ["monospace"], "axes.unicode_minus": True}):
        with use_chinese():
            pass
        assert mpl.rcParams["font.family"] == ["monospace"]
        assert mpl.rcParams["axes.unicode_minus"] is True


@given(st.text(max_size=20))
def test_drawable_text_can_be_drawn_and_keeps_its_length(text):
    assert missing_characters(drawable(text)) == ""
    assert len(drawable(text)) == len(text)
    kept = [(a, b) for a, b in zip(text, drawable(text), strict=True) if a != b]
    assert all(b == "〓" and a in missing_characters(text) for a, b in kept)
