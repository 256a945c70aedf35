"""Draw the figures of README and docs, and fill the excerpt of a run in both READMEs.

    python docs/figures/make_figures.py

The county is that of ``python start.py``.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from typer.testing import CliRunner

import elec2water as e2w
from elec2water import cli, plot

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
QUARTER = "2026Q3"
TOWNSHIPS_SHOWN = 4
FINDINGS_SHOWN = 3


def main() -> None:
    """Make the county, run its quarter, draw."""
    mpl.use("agg")
    with tempfile.TemporaryDirectory() as folder:
        county = e2w.demo(Path(folder) / "county", wells=500, seed=2026)
        text = printed(county)
        release = county / "releases" / QUARTER / "r1"
        coefficients = pd.read_csv(release / "coefficients.csv", encoding="utf-8-sig")
        totals = pd.read_csv(release / "totals.csv", encoding="utf-8-sig")
        validation, _ = e2w.validate(county)
    for lang in ("zh", "en"):
        draw_quarter(coefficients, totals, lang)
        draw_held_out(validation, lang)
    for name in ("README.md", "README.zh.md"):
        fill(ROOT / name, "run", f"```\n{excerpt(text, county)}\n```")


def printed(county: Path) -> str:
    """Run the quarter as the command does and return what it prints on standard output."""
    return CliRunner().invoke(cli.app, ["run", str(county), "--quarter", QUARTER], catch_exceptions=False).stdout


def excerpt(text: str, county: Path) -> str:
    """Keep the head, the county, some townships, the aquifers and the first findings, in lines of modest width."""
    lines = text.replace(str(county), "county").splitlines()
    of = {name: [line for line in lines if line.split()[:1] == [name]] for name in ("全县", "取水层位", "乡镇")}
    first = next(k for k, line in enumerate(lines) if line.startswith("发现的问题"))
    findings = [re.sub(r"(.{80}).+", r"\1…", line) for line in lines[first : first + 1 + FINDINGS_SHOWN]]
    table = [lines[0], *of["全县"], *of["取水层位"], *of["乡镇"][:TOWNSHIPS_SHOWN], "…"]
    return "\n".join([*table, "", *findings, "…", lines[-1]])


def fill(page: Path, anchor: str, content: str) -> None:
    """Put a text between the comments ``<!-- anchor:begin -->`` and ``<!-- anchor:end -->`` of a page."""
    begin, end = f"<!-- {anchor}:begin -->", f"<!-- {anchor}:end -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{page}: expected {begin} … {end}, found none; put the two comments where the text belongs")
    page.write_text(f"{before}{begin}\n{content}\n{end}{after}", encoding="utf-8")


def draw_quarter(coefficients: pd.DataFrame, totals: pd.DataFrame, lang: str) -> None:
    """Coefficients by stratum beside totals by township."""
    figure, axes = plt.subplots(1, 2, figsize=(11.5, 4.2), layout="constrained", width_ratios=(1.15, 1))
    plot.coefficients(coefficients, ax=axes[0], lang=lang)
    plot.totals(totals, ax=axes[1], lang=lang)
    save(figure, f"quarter_{lang}.png")


def draw_held_out(validation: e2w.Validation, lang: str) -> None:
    """Held-out wells, and how well their intervals hold."""
    figure, axes = plt.subplots(1, 3, figsize=(12.0, 3.9), layout="constrained")
    for ax, kind in zip(axes, ("observed_predicted", "coverage", "pit"), strict=True):
        validation.plot(kind, ax=ax, lang=lang)
    save(figure, f"held_out_{lang}.png")


def save(figure: plt.Figure, name: str) -> None:
    """Write a small picture, the same bytes each time."""
    figure.savefig(HERE / name, dpi=90, metadata={"Software": None}, pil_kwargs={"optimize": True})
    plt.close(figure)


if __name__ == "__main__":
    main()
