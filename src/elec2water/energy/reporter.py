"""Says what was found in the readings, in one place: which file, which meter, which language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from elec2water.energy.arrays import Floats, Ints, Texts
from elec2water.findings import Findings, largest_of

T = TypeVar("T")

NOTHING = Findings.empty()


def together(*parts: Findings) -> Findings:
    """Join findings; most are empty, and joining those would cost more than all the arithmetic."""
    found = [part for part in parts if part.count]
    return Findings.concat(found) if found else NOTHING


class Readings(Protocol):
    """What a finding about intervals needs to know of them."""

    @property
    def meter(self) -> Ints:
        """Code of the meter."""
        ...

    @property
    def start(self) -> Ints:
        """First day."""
        ...

    @property
    def end(self) -> Ints:
        """Day after the last."""
        ...

    @property
    def kwh(self) -> Floats:
        """Energy [kWh]."""
        ...

    @property
    def row(self) -> Ints:
        """Row of the file."""
        ...


@dataclass(frozen=True, slots=True)
class Reporter:
    """Makes findings about meters and their readings.

    Attributes
    ----------
    meter_id : numpy.ndarray
        Names of the meters, by code.
    file, meters_file : str
        Names of the readings' and the meters' file.
    lang : str
        ``zh`` or ``en``.
    """

    meter_id: Texts
    file: str
    meters_file: str
    lang: str

    def choose(self, chinese: T, english: T) -> T:
        """Give the wording of the reporter's language."""
        return english if self.lang == "en" else chinese

    def of(
        self, rule: str, intervals: Readings, *, observed: object = "", limit: object = "", **values: object
    ) -> Findings:
        """Give one finding for each interval, those of most energy one by one."""
        if not len(intervals.meter):
            return NOTHING
        return largest_of(
            rule,
            np.abs(intervals.kwh),
            table="readings",
            file=self.file,
            row=intervals.row,
            meter_id=self.meter_id[intervals.meter],
            period=periods(intervals.start, intervals.end),
            observed=observed,
            limit=limit,
            lang=self.lang,
            kwh=np.round(intervals.kwh, 3),
            **values,
        )

    def of_meters(self, rule: str, meter: Ints, *, table: str = "meters", **values: object) -> Findings:
        """Give one finding for each meter, those of most energy at stake one by one."""
        if not len(meter):
            return NOTHING
        file = self.meters_file if table == "meters" else self.file
        stake = np.asarray(values.get("energy_kwh", np.zeros(len(meter))), dtype=np.float64)
        return largest_of(rule, stake, table=table, file=file, lang=self.lang, meter_id=self.meter_id[meter], **values)


def periods(start: Ints, end: Ints) -> npt.NDArray[np.str_]:
    """Write intervals of days as text, ``2026-03-01/2026-04-01`` (end exclusive)."""
    first, stop = (np.datetime_as_string(days.astype("datetime64[D]")) for days in (start, end))
    return np.char.add(np.char.add(first, "/"), stop)
