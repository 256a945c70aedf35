"""What the user decided about doubtful readings: applied to intervals, never to the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from elec2water.energy.arrays import FOREVER, NO_DAY, Bools, Floats, Ints, Texts, days, numbers, positions, texts
from elec2water.energy.intervals import Intervals
from elec2water.energy.reporter import NOTHING, Reporter, periods, together
from elec2water.findings import Findings, findings_of

_HALF = 0.5
_CHANGES = ("multiply", "set", "leave_out")


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """Decisions, n of them, in the order of the file.

    Attributes
    ----------
    meter : numpy.ndarray, shape (n,)
        Code of the meter, -1 where no reading knows it.
    start, end : numpy.ndarray, shape (n,)
        Days of the period (end exclusive), ``±FOREVER`` where open.
    action, reason, meter_id : numpy.ndarray, shape (n,)
        Text; ``multiply``, ``set``, ``leave_out`` or ``accept``.
    value : numpy.ndarray, shape (n,)
        Factor or energy [kWh].
    row : numpy.ndarray, shape (n,)
        Row of the file.
    file : str
        Its name.
    """

    meter: Ints
    start: Ints
    end: Ints
    action: Texts
    reason: Texts
    meter_id: Texts
    value: Floats
    row: Ints
    file: str

    @classmethod
    def of(cls, frame: pd.DataFrame | None, meter_id: Texts) -> Corrections:
        """Read a typed frame of table ``corrections``, None for no decision; codes are places in `meter_id`."""
        frame = pd.DataFrame({"meter_id": pd.Series([], dtype="str")}) if frame is None else frame
        start, end = days(frame, "start"), days(frame, "end")
        return cls(
            meter=positions(frame["meter_id"], pd.Index(meter_id if len(frame) else [], dtype="str")),
            start=np.where(start == NO_DAY, -FOREVER, start),
            end=np.where(end == NO_DAY, FOREVER, end),
            action=texts(frame, "action"),
            reason=texts(frame, "reason"),
            meter_id=texts(frame, "meter_id"),
            value=numbers(frame, "value"),
            row=frame.index.to_numpy(dtype=np.int64),
            file=str(frame.attrs.get("file", "")),
        )

    def __len__(self) -> int:
        return len(self.meter)

    @property
    def concerned(self) -> Ints:
        """Meters whose readings are changed by a decision."""
        return np.unique(self.meter[(self.meter >= 0) & np.isin(self.action, _CHANGES)])


@dataclass(frozen=True, slots=True, eq=False)
class Edits:
    """What corrections did to intervals: one entry for each correction that changed any, arrays of shape (n,).

    ``before`` and ``after`` are the energies [kWh] of the intervals concerned, the latter NaN where left out.
    """

    correction: Ints
    meter: Ints
    start: Ints
    end: Ints
    before: Floats
    after: Floats

    @classmethod
    def none(cls) -> Edits:
        """Give no edit."""
        whole, real = np.zeros(0, dtype=np.int64), np.zeros(0)
        return cls(whole, whole, whole, whole, real, real)

    @staticmethod
    def joined(parts: list[Edits]) -> Edits:
        """Lay several sets end to end."""
        names = ("correction", "meter", "start", "end", "before", "after")
        return Edits(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def corrected(intervals: Intervals, corrections: Corrections, *, supply: bool = False) -> tuple[Intervals, Edits]:
    """Apply decisions in the order of the file.

    A decision concerns the intervals of its meter of which at least half lies in its period. ``multiply`` multiplies
    their energies, ``leave_out`` drops them, ``set`` replaces them by one interval with the energy given.

    Parameters
    ----------
    intervals : Intervals
        Energies after the multiplier.
    corrections : Corrections
        The decisions.
    supply : bool
        Whether a ``set`` whose period nobody has read makes an interval of its own.

    Returns
    -------
    tuple of Intervals and Edits
    """
    edits = []
    for k in np.flatnonzero((corrections.meter >= 0) & np.isin(corrections.action, _CHANGES)):
        concerned = _concerned(intervals, corrections, int(k))
        if not concerned.any() and not (supply and corrections.action[k] == "set"):
            continue
        before = float(intervals.kwh[concerned].sum())
        intervals, edit = _apply(intervals, concerned, corrections, int(k), before)
        edits.append(edit)
    return intervals, Edits.joined(edits) if edits else Edits.none()


def _concerned(intervals: Intervals, corrections: Corrections, k: int) -> Bools:
    shared = np.minimum(intervals.end, corrections.end[k]) - np.maximum(intervals.start, corrections.start[k])
    length = intervals.end - intervals.start
    return np.asarray((intervals.meter == corrections.meter[k]) & (length > 0) & (shared >= _HALF * length))


def _apply(
    intervals: Intervals, concerned: Bools, corrections: Corrections, k: int, before: float
) -> tuple[Intervals, Edits]:
    action, value, meter = corrections.action[k], float(corrections.value[k]), corrections.meter[k]
    start = intervals.start[concerned].min() if concerned.any() else corrections.start[k]
    end = intervals.end[concerned].max() if concerned.any() else corrections.end[k]
    after = {"multiply": before * value, "set": value, "leave_out": np.nan}[action]
    edit = Edits(
        np.array([k]), np.array([meter]), np.array([start]), np.array([end]), np.array([before]), np.array([after])
    )
    if action == "multiply":
        kwh = np.where(concerned, intervals.kwh * value, intervals.kwh)
        actual = intervals.estimated & ~concerned
        return Intervals(intervals.meter, intervals.start, intervals.end, kwh, actual, intervals.row), edit
    kept = intervals.take(~concerned)
    if action == "leave_out":
        return kept, edit
    one = Intervals(
        np.array([meter]), np.array([start]), np.array([end]), np.array([value]), np.array([False]),
        intervals.row[concerned][-1:] if concerned.any() else np.array([corrections.row[k]]),
    )  # fmt: skip
    return Intervals.concat([kept, one]), edit


def correction_findings(corrections: Corrections, edits: Edits, reporter: Reporter) -> Findings:
    """Report what every decision changed (``CORRECTION_APPLIED``), or that it found nothing (``CORRECTION_UNUSED``)."""
    if not len(corrections):
        return NOTHING
    accepted = np.flatnonzero((corrections.action == "accept") & (corrections.meter >= 0))
    unused = np.setdiff1d(np.arange(len(corrections)), np.r_[edits.correction, accepted])
    k = edits.correction
    change = np.abs(np.where(np.isnan(edits.after), edits.before, edits.after - edits.before))
    applied = findings_of(
        "CORRECTION_APPLIED",
        table="corrections",
        file=corrections.file,
        row=corrections.row[k],
        meter_id=corrections.meter_id[k],
        period=periods(edits.start, edits.end),
        observed=np.round(edits.after, 3),
        limit=np.round(edits.before, 3),
        energy_kwh=np.round(change, 1),
        action=corrections.action[k],
        reason=corrections.reason[k],
        lang=reporter.lang,
    )
    idle = findings_of(
        "CORRECTION_UNUSED",
        table="corrections",
        file=corrections.file,
        row=corrections.row[unused],
        meter_id=corrections.meter_id[unused],
        period=_open_periods(corrections, unused),
        lang=reporter.lang,
    )
    return together(applied, idle)


def without_accepted(found: Findings, corrections: Corrections) -> Findings:
    """Drop the warnings about meters and periods that the user has looked at and found right."""
    some = np.flatnonzero(corrections.action == "accept")
    frame = found.frame
    if not len(some) or not len(frame):
        return found
    first, last = _days_of(frame["period"])
    settled = np.zeros(len(frame), dtype=bool)
    for k in some:
        inside = (first < corrections.end[k]) & (last > corrections.start[k])
        settled |= frame["meter_id"].eq(corrections.meter_id[k]).to_numpy(dtype=bool) & inside
    return Findings(frame[~(settled & frame["severity"].eq("warning").to_numpy(dtype=bool))])


def _days_of(period: pd.Series) -> tuple[Ints, Ints]:
    """Give first day and day after the last of periods as findings write them; blank ones are without end."""
    parts = period.str.split("/", expand=True).reindex(columns=[0, 1])
    begin = pd.to_datetime(parts[0], errors="coerce", format="ISO8601")
    until = parts[1].where(parts[1].notna(), parts[0])
    end = pd.to_datetime(until, errors="coerce", format="ISO8601")
    # A month written alone lasts to its end, a day after the last is written as it is.
    end = end.where(until.str.len() > len("2026-01"), end + pd.offsets.MonthBegin())
    first = begin.to_numpy(dtype="datetime64[D]").astype(np.int64)
    last = end.to_numpy(dtype="datetime64[D]").astype(np.int64)
    blank = begin.isna().to_numpy() | end.isna().to_numpy()
    return np.where(blank, -FOREVER, first), np.where(blank, FOREVER, last)


def _open_periods(corrections: Corrections, which: Ints) -> list[str]:
    texts_ = []
    for k in which:
        edges = (corrections.start[k], corrections.end[k])
        texts_.append("/".join("…" if abs(e) == FOREVER else str(np.datetime64(int(e), "D")) for e in edges))
    return texts_
