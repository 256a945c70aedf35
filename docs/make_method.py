"""Fill the tables of docs/method.md: the priors from the package, the field tests from benchmarks/results."""

from __future__ import annotations

import csv
from pathlib import Path

from elec2water.coefficient.posterior import SD_PRIORS

TARGET = Path(__file__).with_name("method.md")
ROOT = Path(__file__).resolve().parents[1]
PRIORS = ROOT / "src" / "elec2water" / "data" / "priors.csv"
FIELD_TESTS = ROOT / "benchmarks" / "results" / "field_tests.md"


def filled(page: str) -> str:
    """Return the page with its tables made anew."""
    for anchor, table in (("priors", slope_table()), ("sds", sd_table()), ("field", FIELD_TESTS.read_text("utf-8"))):
        begin, end = f"<!-- {anchor}:begin -->", f"<!-- {anchor}:end -->"
        before, rest = page.split(begin)
        page = f"{before}{begin}\n{table}{end}{rest.split(end)[1]}"
    return page


def slope_table() -> str:
    """Priors of the slopes, a row each."""
    with PRIORS.open(encoding="utf-8", newline="") as file:
        rows = [
            f"| `{r['name']}` | {r['column'] and '`' + r['column'] + '`'} | {float(r['mean']):g} | {float(r['sd']):g} "
            f"| {r['unit']} | {r['source']} |\n"
            for r in csv.DictReader(file)
        ]
    return "| effect | column | mean | sd | unit | source |\n|---|---|---|---|---|---|\n" + "".join(rows)


def sd_table() -> str:
    """Priors of the standard deviations of ln κ, a row each."""
    rows = [f"| `{p.name}` | {p.median:g} | {p.log_sd:g} |\n" for p in SD_PRIORS]
    return "| standard deviation | median | sd of its logarithm |\n|---|---|---|\n" + "".join(rows)


if __name__ == "__main__":
    TARGET.write_text(filled(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
