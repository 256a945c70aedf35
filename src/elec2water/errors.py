"""The exceptions of the package: one base, one class for each thing a caller can do about it."""

from __future__ import annotations

from typing import Protocol, Self

import pandas as pd


class FindingsTable(Protocol):
    """What :class:`DataRefusedError` needs to know of ``findings.Findings``, which lies a layer above."""

    @property
    def frame(self) -> pd.DataFrame:
        """The findings, a row each."""
        ...

    @property
    def errors(self) -> Self:
        """Only the findings of severity ``error``."""
        ...


class Elec2WaterError(Exception):
    """Base of every exception raised on purpose by this package."""


class ConfigError(Elec2WaterError):
    """``elec2water.toml`` is missing, malformed, or says something that is not understood."""


class UsageError(Elec2WaterError):
    """A command or function was called with an argument it cannot accept (exit status 2)."""


class ReleaseError(Elec2WaterError):
    """A release or the ledger cannot be written, read or changed as asked."""


class DataRefusedError(Elec2WaterError):
    """The input data were refused (exit status 1); every reason is given at once.

    Parameters
    ----------
    findings : elec2water.findings.Findings
        All findings of the check, kept as attribute ``findings``; those of severity ``error`` make up the text.
    """

    def __init__(self, findings: FindingsTable) -> None:
        super().__init__(findings)
        self.findings = findings

    def __str__(self) -> str:
        errors = self.findings.errors.frame
        lines = [f"the input data were refused for {len(errors)} reason(s):"]
        lines += [
            f"  [{rule}] {_place(file, row)}{message}"
            for rule, file, row, message in zip(
                errors["rule"], errors["file"], errors["row"], errors["message"], strict=True
            )
        ]
        return "\n".join(lines)


def _place(file: str, row: object) -> str:
    where = file + ("" if row is pd.NA else f":{row}")
    return f"{where}: " if where else ""
