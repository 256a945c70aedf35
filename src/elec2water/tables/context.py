"""Where a reader is: the table, the file and the language its findings are written for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elec2water import schema
from elec2water.errors import DataRefusedError
from elec2water.findings import Findings, findings_of

MAX_LISTED = 1000
"""Findings of one rule listed row by row in one table; the rest are counted in one further finding."""


@dataclass(frozen=True, slots=True)
class Context:
    """Table, file and language of the findings to come; what the project says of its months and place.

    `read_day` is the last day of a billing month (0 for calendar months), `county_code` the division of the county.
    """

    table: str
    file: str
    lang: str = "zh"
    read_day: int = 0
    county_code: str = ""

    def finding(self, rule: str, **values: object) -> Findings:
        """Make findings of one rule here; arrays longer than :data:`MAX_LISTED` end in a count of the rest."""
        values.setdefault("file", self.file)
        if "column" in values:
            values["column"] = self._title(str(values["column"]))
        size = max((len(value) for value in values.values() if isinstance(value, (np.ndarray, list))), default=0)
        shown = {name: _head(value) for name, value in values.items()}
        listed = findings_of(rule, table=self.table, lang=self.lang, **shown)
        if size <= MAX_LISTED:
            return listed
        named = rule.partition("@")[0]
        return listed + findings_of(
            "MORE_OF_RULE", table=self.table, file=self.file, lang=self.lang, observed=size - MAX_LISTED,
            limit=MAX_LISTED, of=named,
        )  # fmt: skip

    def _title(self, column: str) -> str:
        """Name a column as its reader knows it: by the heading of the form, the canonical name behind it."""
        if self.lang == "en" or column not in schema.names(self.table):
            return column
        return f"{schema.column(self.table, column).heading_zh}（{column}）"

    def refuse(self, rule: str, **values: object) -> DataRefusedError:
        """Make the exception that gives up this file."""
        return DataRefusedError(self.finding(rule, **values))


def _head(value: object) -> object:
    return value[:MAX_LISTED] if isinstance(value, (np.ndarray, list)) else value
