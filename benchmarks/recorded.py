"""What the studies over counties of every generator share: their options, their tables, where results are kept."""

import argparse
import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def options(doc, *, counties):
    """Ask for the size and number of counties."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--wells", type=int, default=1500)
    parser.add_argument("--counties", type=int, default=counties)
    return parser.parse_args()


def markdown(head, rows):
    """Write a table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(cells) + " |" for cells in rows)]) + "\n"


def keep(name, results, text):
    """Write the results of a study and its table, and print the table."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
