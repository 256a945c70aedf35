"""Findings: what a check saw, as one table; the rules and their wording are those of ``rules``."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from elec2water.rules import SEVERITIES, RuleSettings, causes, rules

COLUMNS = (
    "rule", "severity", "table", "file", "row", "well_id", "meter_id", "period", "observed", "limit", "message",
    "energy_kwh", "candidates",
)  # fmt: skip
"""The columns of ``findings.csv``, in order: those of the contract, then the energy at stake [kWh] and the causes that
would explain what was seen, likeliest first (``|`` between them)."""

MOST_LISTED = 1000
"""Findings of one rule listed one by one, those with the most at stake; the others are counted in one more."""

_DIGITS_KEPT = 10
_DIGITS_READ = 6
"""Significant digits of a number in the columns of a finding, and in its message."""

_OR = {"zh": "；", "en": "; "}
_NUMBERS = ("row", "energy_kwh")
_ARRAYS = (list, tuple, np.ndarray, pd.Series, pd.Index, pd.api.extensions.ExtensionArray)


class Findings:
    """An immutable table of findings.

    Parameters
    ----------
    frame : pandas.DataFrame
        The columns of :data:`COLUMNS`; sorted on entry (severity, energy at stake, table, file, row, rule, ids), so
        that what matters most comes first and the order in which checks ran does not matter.

    Raises
    ------
    ValueError
        If the columns are not those of :data:`COLUMNS`.
    """

    __slots__ = ("_frame",)

    def __init__(self, frame: pd.DataFrame) -> None:
        if tuple(frame.columns) != COLUMNS:
            raise ValueError(f"findings: expected the columns {COLUMNS}, found {tuple(frame.columns)}")
        self._frame = _sorted(_typed(frame))

    @classmethod
    def empty(cls) -> Findings:
        """Give a table with no finding.

        Returns
        -------
        Findings
        """
        return _none()

    @classmethod
    def concat(cls, parts: Iterable[Findings]) -> Findings:
        """Join many tables at once (``+`` joins two).

        Parameters
        ----------
        parts : iterable of Findings

        Returns
        -------
        Findings
        """
        some = [part for part in parts if part.count]
        if len(some) < 2:
            return some[0] if some else cls.empty()
        return cls._of_typed(_sorted(pd.concat([part._frame for part in some], ignore_index=True)))

    @classmethod
    def _of_typed(cls, frame: pd.DataFrame) -> Findings:
        made = object.__new__(cls)
        made._frame = frame
        return made

    def __add__(self, other: Findings) -> Findings:
        return Findings.concat([self, other])

    def __len__(self) -> int:
        return len(self._frame)

    def equals(self, other: Findings) -> bool:
        """Whether two tables hold the same findings.

        Parameters
        ----------
        other : Findings

        Returns
        -------
        bool
        """
        return self._frame.equals(other._frame)

    @property
    def frame(self) -> pd.DataFrame:
        """A copy of the table: text columns, ``row`` as ``Int64`` and ``energy_kwh`` as float64, blank as missing."""
        return self._frame.copy()

    @property
    def count(self) -> int:
        """Number of findings."""
        return len(self._frame)

    @property
    def errors(self) -> Findings:
        """Only those that refuse the run."""
        return self.of(severity="error")

    @property
    def warnings(self) -> Findings:
        """Only those that leave a value out or ask for attention."""
        return self.of(severity="warning")

    def of(self, **values: str) -> Findings:
        """Keep the findings whose columns equal the values given, as in ``findings.of(rule="ORPHAN_METER")``.

        Parameters
        ----------
        **values : str
            Value by column.

        Returns
        -------
        Findings

        Raises
        ------
        KeyError
            If a column is none of :data:`COLUMNS`.
        """
        keep = np.ones(len(self._frame), dtype=bool)
        for column, value in values.items():
            keep &= self._frame[column].eq(value).to_numpy(dtype=bool)
        return self if keep.all() else Findings._of_typed(self._frame[keep].reset_index(drop=True))

    def under(self, settings: RuleSettings) -> Findings:
        """Apply a project's own choice of rules: those it disabled leave, others take the severity it gave them.

        Parameters
        ----------
        settings : RuleSettings
            Section ``[rules]`` of the configuration.

        Returns
        -------
        Findings
        """
        if not settings.disable and not settings.severity:
            return self
        kept = self._frame[~self._frame["rule"].isin(settings.disable).to_numpy(dtype=bool)]
        changed = kept["rule"].map(dict(settings.severity))
        return Findings(kept.assign(severity=changed.where(changed.notna(), kept["severity"])))

    def summary(self) -> pd.DataFrame:
        """Count by rule and table.

        Returns
        -------
        pandas.DataFrame
            ``severity, rule, table, count, first`` (up to five ids, or rows where there is no id), ``message`` (of
            the first finding) and ``energy_kwh`` (at stake, summed; NaN where no finding tells), gravest first.
        """
        keys = ["severity", "rule", "table"]
        groups = self._frame.groupby(keys, sort=False)
        rows = [
            (
                *map(str, key),
                len(group),
                _first_five(group),
                str(group["message"].iloc[0]),
                group["energy_kwh"].sum(min_count=1),
            )
            for key, group in groups
        ]
        return pd.DataFrame(rows, columns=[*keys, "count", "first", "message", "energy_kwh"])

    def __repr__(self) -> str:
        counts = self._frame["severity"].value_counts()
        head = ", ".join(f"{counts.get(name, 0)} {name}" for name in SEVERITIES)
        table = self.summary()
        return f"Findings({head})" + (f"\n{table.to_string(index=False)}" if len(table) else "")

    def _repr_html_(self) -> str:
        counts = self._frame["severity"].value_counts()
        head = ", ".join(f"{counts.get(name, 0)} {name}" for name in SEVERITIES)
        return f"<p><b>Findings</b>: {head}</p>" + self.summary().to_html(index=False, border=0)


@cache
def _none() -> Findings:
    return Findings(pd.DataFrame({name: [] for name in COLUMNS}))


def findings_of(
    rule: str,
    *,
    table: str,
    file: object = "",
    row: object = None,
    well_id: object = None,
    meter_id: object = None,
    period: object = "",
    observed: object = "",
    limit: object = "",
    energy_kwh: object = None,
    candidates: object = "",
    lang: str = "zh",
    **values: object,
) -> Findings:
    """Make the findings of one rule; arrays are broadcast against scalars.

    Parameters
    ----------
    rule : str
        A name of the catalogue (``data/rules*.csv``), which gives severity and wording.
    table : str
        Name of the table the findings are about.
    file, row, well_id, meter_id, period, observed, limit : scalar or array_like of length n
        Where and what. Missing values become blank.
    energy_kwh : scalar or array_like of length n, optional
        Energy at stake [kWh], not negative; findings are listed by it.
    candidates : scalar or array_like of length n
        Causes that would explain what was seen, ``|`` between them; the usual ones of the rule where none is given.
    lang : str
        ``zh`` or ``en``: the language of ``message``.
    **values : scalar or array_like of length n
        Further fields of the message template.

    Returns
    -------
    Findings
        A row for each element; one row if all are scalars, none if an array is empty.

    Raises
    ------
    KeyError
        If the rule is not in the catalogue, or its template asks for a field that was not given.
    ValueError
        If arrays differ in length.
    """
    entry = rules()[rule]
    fields: dict[str, object] = {
        "table": table, "file": file, "row": row, "well_id": well_id, "meter_id": meter_id, "period": period,
        "observed": observed, "limit": limit, "energy_kwh": energy_kwh, "candidates": candidates, **values,
    }  # fmt: skip
    size = _common_length(fields)
    if size == 0:
        return Findings.empty()
    columns = {name: _broadcast(value, size) for name, value in fields.items()}
    names = list(columns)
    usual = causes().get(rule.partition("@")[0], {}).get(lang, "")
    columns["candidates"] = [cell or usual for cell in columns["candidates"]]
    numeric = entry.numeric(lang)
    written = {
        name: _numbers(value, size) if name in numeric else _broadcast(value, size, _DIGITS_READ)
        for name, value in fields.items()
    }
    written["candidates"] = [str(cell).replace("|", _OR[lang]) for cell in columns["candidates"]]
    messages = [
        entry.worded(lang, **dict(zip(names, record, strict=True)))
        for record in zip(*(written[name] for name in names), strict=True)
    ]
    data: dict[str, Iterable[object]] = {name: columns[name] for name in COLUMNS if name in columns}
    data |= {"rule": [rule.partition("@")[0]] * size, "severity": [entry.severity] * size, "message": messages}
    frame = pd.DataFrame({name: _written(name, data[name]) for name in COLUMNS})
    return Findings._of_typed(_sorted(frame) if size > 1 else frame)


def _written(name: str, cells: Iterable[object]) -> pd.Series[Any]:
    """Give a column as the table holds it; finding out types would be slow for the few rows that most findings have."""
    if name == "row":
        return pd.Series(pd.array([None if cell == "" else int(str(cell)) for cell in cells], dtype="Int64"))
    if name == "energy_kwh":
        return pd.Series([np.nan if cell == "" else float(str(cell)) for cell in cells], dtype=np.float64)
    return pd.Series([str(cell) for cell in cells], dtype="str")


def largest_of(
    rule: str,
    stake: np.ndarray[tuple[int], np.dtype[np.float64]],
    *,
    table: str,
    file: str,
    lang: str,
    **values: object,
) -> Findings:
    """Make the findings of one rule, at most :data:`MOST_LISTED` one by one and the rest as their number.

    Parameters
    ----------
    rule, table, file, lang
        As for :func:`findings_of`.
    stake : numpy.ndarray, shape (n,)
        Energy at stake [kWh], by which they are chosen; of equal ones the first.
    **values : scalar or array_like of length n
        Further fields.

    Returns
    -------
    Findings
        ``MORE_OF_RULE`` holds the number of those not listed and the energy at stake in them.
    """
    if not len(stake):
        return Findings.empty()
    order = np.argsort(-np.nan_to_num(stake), kind="stable")
    top, rest = np.sort(order[:MOST_LISTED]), order[MOST_LISTED:]
    shown: dict[str, object] = {name: _taken(value, top) if len(rest) else value for name, value in values.items()}
    found = findings_of(rule, table=table, file=file, lang=lang, **shown)
    if not len(rest):
        return found
    energy = round(float(np.nan_to_num(stake[rest]).sum()), 1)
    return found + findings_of(
        "MORE_OF_RULE", table=table, file=file, lang=lang, of=rule.partition("@")[0], observed=len(rest),
        limit=MOST_LISTED, energy_kwh=energy if energy > 0 else None,
    )  # fmt: skip


def _taken(value: object, which: np.ndarray[tuple[int], np.dtype[np.intp]]) -> object:
    return np.asarray(value, dtype=object)[which] if isinstance(value, _ARRAYS) else value


def _common_length(fields: dict[str, object]) -> int:
    lengths = {name: len(value) for name, value in fields.items() if isinstance(value, _ARRAYS)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"findings_of: arrays must have one length, found {lengths}")
    return next(iter(lengths.values()), 1)


def _broadcast(value: object, size: int, digits: int = _DIGITS_KEPT) -> list[object]:
    if isinstance(value, _ARRAYS):
        return [_plain(item, digits) for item in value]
    return [_plain(value, digits)] * size


def _numbers(value: object, size: int) -> list[object]:
    return list(value) if isinstance(value, _ARRAYS) else [value] * size


def _plain(value: object, digits: int) -> object:
    """Write a cell as a reader would: blank where missing, 12.0 as 12, a date without its midnight."""
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, (float, np.floating)):
        number = float(value)
        large = np.isfinite(number) and abs(number) >= 10.0**digits
        return "" if np.isnan(number) else f"{number:.0f}" if large else f"{number:.{digits}g}"
    if isinstance(value, (pd.Timestamp, np.datetime64)):
        stamp = pd.Timestamp(value)
        return "" if pd.isna(stamp) else str(stamp).removesuffix(" 00:00:00")
    return value


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    out = {name: _text(frame[name]) for name in COLUMNS if name not in _NUMBERS}
    row = pd.to_numeric(frame["row"].replace("", np.nan), errors="raise")
    out["row"] = row.astype("Float64").astype("Int64")
    out["energy_kwh"] = pd.to_numeric(frame["energy_kwh"].replace("", np.nan), errors="raise").astype(np.float64)
    return pd.DataFrame({name: out[name] for name in COLUMNS})


def _text(column: pd.Series[Any]) -> pd.Series[Any]:
    return column.astype(object).where(column.notna(), "").astype(str).astype("str")


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    rank = frame["severity"].map({name: i for i, name in enumerate(SEVERITIES)})
    least = -frame["energy_kwh"].fillna(0.0)
    order = ["_rank", "_stake", "table", "file", "row", "rule", "well_id", "meter_id", "period", "observed", "message"]
    ordered = frame.assign(_rank=rank, _stake=least)
    ordered = ordered.sort_values(order, kind="stable", na_position="first", ignore_index=True)
    return ordered[list(COLUMNS)]


def _first_five(group: pd.DataFrame) -> str:
    for column in ("well_id", "meter_id"):
        ids = group.loc[group[column] != "", column].unique()[:5]
        if len(ids):
            return ", ".join(map(str, ids))
    rows = group["row"].dropna().unique()[:5]
    return "row " + ", ".join(map(str, rows)) if len(rows) else ""
