"""Write docs/rules.md from the catalogue: every rule, its severity, threshold and meaning."""

from __future__ import annotations

from pathlib import Path

from elec2water.rules import RuleSettings

TARGET = Path(__file__).with_name("rules.md")

HEAD = """# Rules of the findings

Made by `python docs/make_rules.py` from `src/elec2water/data/rules*.csv`; `elec2water rules` prints the same, with
what a project changed. A project changes them in its configuration:

```toml
[rules]
disable = ["FLAT_LINE"]                 # says nothing (rules that refuse data are not up for choice)
threshold = { SPIKE = 1.5 }             # in the unit of the table
severity = { OVER_CAPACITY = "info" }   # error, warning or info
```

| rule | severity | threshold | meaning | 含义 |
|---|---|---|---|---|
"""


def page() -> str:
    """Compose the page."""
    english, chinese = (RuleSettings().table(lang) for lang in ("en", "zh"))
    rows = [
        f"| `{e['rule']}` | {e['severity']} | {_threshold(e)} | {_cell(e['meaning'])} | {_cell(c['meaning'])} |\n"
        for e, c in zip(english, chinese, strict=True)
    ]
    return HEAD + "".join(rows)


def _threshold(record: dict[str, object]) -> str:
    return "" if record["threshold"] is None else f"{record['threshold']:g} {record['unit']}"


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
