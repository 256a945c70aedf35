"""Refresh what the READMEs quote of the first command, and the figures of the demo county.

    python docs/make_readme.py

Runs the quarter of ``python start.py`` in a temporary folder, shortens what it prints between the marks ``run:begin``
and ``run:end`` of both READMEs, and draws ``docs/figures``.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import pandas as pd

import elec2water as e2w
from elec2water import plot
from elec2water.cli import app

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "figures"
QUARTER = "2026Q3"
TOWNSHIPS, WARNINGS, WIDTH = 4, 3, 64


def printed(folder: Path) -> str:
    """Give what ``elec2water run`` prints for a new demo county."""
    e2w.demo(folder, wells=500, seed=2026)
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(io.StringIO()):
        app(["run", str(folder), "--quarter", QUARTER], standalone_mode=False)
    return shown.getvalue().replace(f"{Path.cwd()}{os.sep}", "")


def shortened(text: str) -> str:
    """Keep the heading, the county, some townships, the aquifers, the first findings and the release."""
    lines = text.splitlines()
    found = next(k for k, line in enumerate(lines) if line.startswith("findings:"))
    of = {name: [x for x in lines[:found] if x.strip().startswith(name)] for name in ("township", "aquifer")}
    head = [*lines[:2], *of["township"][:TOWNSHIPS]]
    warnings = [line if len(line) <= WIDTH else f"{line[:WIDTH]}…" for line in lines[found + 1 : found + 1 + WARNINGS]]
    return "\n".join([*head, "…", *of["aquifer"], "", lines[found], *warnings, "…", lines[-1]])


def quote(name: str, text: str) -> None:
    """Put the text between the marks of a README."""
    path = ROOT / name
    block = f"<!-- run:begin -->\n```\n{text}\n```\n<!-- run:end -->"
    whole = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"<!-- run:begin -->.*<!-- run:end -->", lambda _: block, whole, flags=re.DOTALL), "utf-8")


def draw(folder: Path, lang: str) -> None:
    """Draw coefficients beside totals, and what held-out wells show."""
    release = e2w.run(folder, quarter=QUARTER).release.folder
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.3, 3.8), width_ratios=(1.15, 1.0))
    plot.coefficients(pd.read_csv(release / "coefficients.csv"), ax=left, lang=lang)
    plot.totals(pd.read_csv(release / "totals.csv"), domain="township", ax=right, lang=lang)
    figure.tight_layout()
    figure.savefig(FIGURES / f"quarter_{lang}.png", dpi=100)
    county = e2w.read_project(folder)
    energy, _ = county.energy()
    held_out = e2w.validate_coefficient(county.pairs, county.wells, county.water_levels, energy=energy, folds=10)
    figure, axes = plt.subplots(1, 3, figsize=(10.8, 3.6))
    for kind, ax in zip(("observed_predicted", "coverage", "pit"), axes, strict=True):
        held_out.plot(kind, ax=ax, lang=lang)
    figure.tight_layout()
    figure.savefig(FIGURES / f"held_out_{lang}.png", dpi=100)
    plt.close("all")


def main() -> None:
    """Refresh READMEs and figures."""
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)
        text = shortened(printed(Path("county")))
        for name in ("README.md", "README.zh.md"):
            quote(name, text)
        for lang in ("en", "zh"):
            draw(Path("county"), lang)


if __name__ == "__main__":
    main()
