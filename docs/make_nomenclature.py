"""Write docs/nomenclature.md from the schema: every column, its headings, unit, bounds and meaning."""

from __future__ import annotations

from pathlib import Path

from elec2water import schema

TARGET = Path(__file__).with_name("nomenclature.md")

HEAD = """# Nomenclature

Made by `python docs/make_nomenclature.py` from `src/elec2water/data/schema.csv`, `units.csv`, `words.csv` and
`variables.csv`; a test holds this page against them. Headings are compared without case, width, blanks, line breaks
and punctuation. A unit may
stand in brackets or straight behind the heading; it is converted once, on reading. Numbers are float64, dates
`datetime64[s]`, identifiers and words text, yes/no 1.0 and 0.0; what is missing is NaN or NaT. Values out of bounds are
left out with a finding. A column marked *form* is required as part of one complete form of its table.
"""

TABLE_HEAD = """
## {table}

| column | 中文 | type | unit | required | bounds | blank means | meaning | 含义 | also read |
|---|---|---|---|---|---|---|---|---|---|
"""


def page() -> str:
    """Compose the whole page."""
    tables = "".join(
        TABLE_HEAD.format(table=table) + "".join(map(_row, schema.columns(table))) for table in schema.tables()
    )
    return HEAD + tables + _units() + _words() + _variables()


def _row(column: schema.Column) -> str:
    required = "yes" if column.required else ", ".join(f"{group}: {form}" for group, form in column.forms)
    bounds = f"{column.lower} … {column.upper}" if column.lower or column.upper else ""
    cells = [
        f"`{column.column}`", column.heading_zh, column.type, column.unit, required, bounds, column.default,
        column.meaning_en, column.meaning_zh, "、".join(column.aliases),
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |\n"


def _units() -> str:
    rows = [
        f"| {unit} | {', '.join(f'{word} (×{factor:g})' if factor != 1 else word for word, factor in words.items())} |"
        for unit, words in schema.units().items()
    ]
    return "\n## Units of headings and cells\n\n| unit | written |\n|---|---|\n" + "\n".join(rows) + "\n"


def _words() -> str:
    kinds = sorted({c.column for t in schema.tables() for c in schema.columns(t) if schema.words(c.column)} | {"bool"})
    rows = []
    for kind in kinds:
        values = dict.fromkeys(schema.words(kind).values())
        for value in values:
            written = [word for word, meaning in schema.words(kind).items() if meaning == value and word != value]
            rows.append(f"| {kind} | {value} | {'、'.join(written)} |")
    return "\n## Words\n\n| column | value | written |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _variables() -> str:
    rows = [
        f"| `{name}` | {about.get('units', '')} | {about['long_name']} | {about['description']} |"
        for name, about in schema.variables().items()
    ]
    head = "\n## Variables of coefficients.nc\n\nFrom `data/variables.csv`; times are decoded by any CF reader.\n\n"
    return head + "| variable | unit | long name | description |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
