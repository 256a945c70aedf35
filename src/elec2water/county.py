"""A county as it was read: its configuration, its tables, what was found wrong with them, and its electricity."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elec2water.coefficient import FitOptions
from elec2water.coefficient.context import on_grid
from elec2water.config import CONFIG_NAME, Config, load_config
from elec2water.energy import EnergyReading, MonthlyEnergy, impute, read_energy
from elec2water.energy.corrections import without_accepted
from elec2water.energy.screen import Desk, screen
from elec2water.errors import DataRefusedError, UsageError
from elec2water.findings import Findings, findings_of
from elec2water.keys import Keys
from elec2water.pairs import measurements
from elec2water.renamed import renamed_wells
from elec2water.strata import UNKNOWN, Strata, classify
from elec2water.tables import Tables, read_tables
from elec2water.tables.naming import with_column_names

_YEAR = 12
_QUARTER = 3
_CALENDAR = ("D", "W", "M", "Y")
_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class County:
    """A project folder that was read.

    Attributes
    ----------
    folder : pathlib.Path
    config : Config
        ``elec2water.toml``, typed.
    tables : Tables
        What could be read of the inputs; N wells.
    findings : Findings
        What was found wrong with them, under the project's own choice of rules.
    """

    folder: Path
    config: Config
    tables: Tables
    findings: Findings

    def __repr__(self) -> str:
        kinds = len(self.findings.summary())
        return f"County({self.config.project.name!r}, {self.tables!r}, {kinds} kinds of findings)"

    def _repr_html_(self) -> str:
        return self.findings._repr_html_()

    @property
    def wells(self) -> pd.DataFrame:
        """Registry of wells."""
        return self.tables.wells

    @property
    def pairs(self) -> pd.DataFrame:
        """What sample wells measured."""
        return self.tables.pairs

    @property
    def water_levels(self) -> pd.DataFrame:
        """Depths to water."""
        return self.tables.water_levels

    @cached_property
    def well_id(self) -> NDArray[np.object_]:
        """Identifiers of the wells, in the order of the registry."""
        return self.wells["well_id"].to_numpy(dtype=object)

    @cached_property
    def strata(self) -> Strata:
        """Classes of wells by the configuration."""
        section = self.config.strata
        return classify(self.wells, section.by, breaks=dict(section.breaks), classes=section.classes)

    @property
    def last_month(self) -> np.datetime64:
        """Last month with a reading."""
        return _reading_span(self.tables.readings)[1]

    def energy(
        self, last: np.datetime64 | None = None, *, kappa: NDArray[np.float64] | None = None
    ) -> tuple[MonthlyEnergy, Findings]:
        """Electricity per well and month up to ``last``, missing months imputed, and what was found on the way.

        Parameters
        ----------
        last : datetime64[M], optional
            Last month; the last month with a reading by default.
        kappa : numpy.ndarray, shape (N,), optional
            Coefficients [m³/kWh] of an earlier release, by which meters without stated shares are split.

        Returns
        -------
        MonthlyEnergy
            Energy [kWh] of the N wells and M months.
        Findings
            What the readings gave cause to say, beyond the findings of the tables.

        Raises
        ------
        UsageError
            No reading has a date.
        """
        settings = self.config.rules.settings
        reading = self.reading(last, kappa=kappa)
        desk = Desk(reading.reporter, self.well_id, settings)
        found = reading.findings + screen(reading.meters, self.strata.codes, desk)
        found = without_accepted(found, reading.corrections)
        filled = self._filled(reading)
        if self.findings.of(rule="ORPHAN_PAIR").count:
            found += renamed_wells(self.pairs, filled, lang=self.config.project.language)
        return filled, not_said_before(found, self.findings).under(settings)

    @cached_property
    def electricity(self) -> MonthlyEnergy:
        """Electricity up to the last month with a reading as :meth:`energy` gives it; nothing is looked for."""
        return self._filled(self.reading())

    def _filled(self, reading: EnergyReading) -> MonthlyEnergy:
        power = self.wells["pump_power_kw"].to_numpy(dtype=np.float64, na_value=np.nan)
        return impute(reading.energy, self.strata.codes, power_kw=power, neighbours=_neighbours(self.wells))

    def reading(self, last: np.datetime64 | None = None, *, kappa: NDArray[np.float64] | None = None) -> EnergyReading:
        """Electricity of wells and of meters as it was read, up to ``last``; nothing is imputed.

        Parameters
        ----------
        last : datetime64[M], optional
            Last month of a quarter, all of which is given; the last month with a reading by default.
        kappa : numpy.ndarray, shape (N,), optional
            As for :meth:`energy` [m³/kWh].

        Returns
        -------
        EnergyReading
            Energy [kWh] of wells and of meters by month, and what was found on the way.

        Raises
        ------
        UsageError
            No reading has a date.
        """
        first, read_until = _reading_span(self.tables.readings)
        end = read_until if last is None else last
        asked = np.array([end]) if last is None else np.arange(end - (_QUARTER - 1), end + 1)
        # A month that nobody has read follows the year before.
        unread = end > read_until or _any_unbilled(self.tables.readings, asked)
        needed = _first_needed(self.tables.pairs, end) - (_YEAR if unread else 0)
        begin = min(max(first, needed), asked[0])
        return read_energy(
            self.wells,
            self.tables.meters,
            self.tables.readings,
            first=begin,
            last=end,
            corrections=self.tables.corrections,
            settings=self.config.rules.settings,
            kappa=kappa,
            pairs=self.pairs,
            lang=self.config.project.language,
        )


def read_project(folder: str | Path) -> County:
    """Read a project folder; nothing is refused here, look at ``county.findings``.

    Parameters
    ----------
    folder : path_like
        Project folder of the contract: ``elec2water.toml`` and ``inputs/``.

    Returns
    -------
    County
        Its configuration, its tables and what was found in them. Where ``county.findings.errors`` is not empty nothing
        should be computed from it.

    Raises
    ------
    ConfigError
        ``elec2water.toml`` is missing or wrong.
    UsageError
        There is no such folder.
    """
    root = existing_folder(folder)
    config = with_column_names(load_config(root))
    tables, findings = read_tables(root, config)
    return County(root, config, tables, findings.under(config.rules.settings))


def fit_options(config: Config) -> FitOptions:
    """Options of the fit from the configuration."""
    model, strata = config.model, config.strata
    return FitOptions(
        strata_by=strata.by,
        strata_breaks=dict(strata.breaks),
        strata_classes=strata.classes,
        covariates=model.covariates,
        wear_mean_per_year=model.wear_mean_per_year,
        wear_sd_per_year=model.wear_sd_per_year,
        student_df=model.student_df,
        shared_meter_rel_u=model.shared_meter_rel_u,
        meter_rel_u=model.meter_rel_u,
        alarms_per_100_well_years=model.alarms_per_100_well_years,
        resting_load=model.resting_load,
    )


def domain_labels(county: County) -> dict[str, Keys]:
    """Key of every well in every domain of the configuration; blank cells together, so that domains add up.

    Raises
    ------
    UsageError
        A domain is neither ``county``, ``stratum`` nor a column of wells.
    """
    check_column_names(county)
    labels: dict[str, Keys] = {}
    for domain in county.config.estimate.domains:
        if domain == "county":
            whole = np.array([county.config.project.name], dtype=object)
            labels[domain] = Keys(np.zeros(len(county.wells), dtype=np.intp), whole)
        elif domain == "stratum":
            labels[domain] = county.strata.keys
        else:
            labels[domain] = Keys.of(county.wells[domain]).as_text(UNKNOWN)
    return labels


def accepted(
    county: County, *, needs_pairs: bool = True, known_pairs: bool = False, needs_readings: bool = True
) -> County:
    """Refuse a county with errors, every reason at once.

    With ``known_pairs`` an earlier release has pairs: that there is no new one refuses nothing. Without
    ``needs_readings`` wells and what was measured at some of them are enough.
    """
    lang = county.config.project.language
    found = county.findings
    if not needs_readings:
        missing = found.frame["rule"].eq("MISSING_FILE") & found.frame["table"].eq("readings")
        found = Findings(found.frame.loc[~missing])
    if known_pairs:
        missing = found.frame["rule"].eq("MISSING_FILE") & found.frame["table"].eq("pairs")
        found = Findings(found.frame.loc[~missing])
        county = County(county.folder, county.config, county.tables, found)
    elif not needs_pairs:
        found = Findings(found.frame.loc[~((found.frame["table"] == "pairs") & (found.frame["severity"] == "error"))])
    elif not found.errors.count and not on_grid(county.wells)[measurements(county.pairs, county.well_id).well].any():
        found += findings_of("NO_USABLE_PAIR", table="pairs", observed=len(county.pairs), lang=lang)
    if not found.of(table="wells").errors.count:
        check_column_names(county)
    if found.errors.count:
        raise DataRefusedError(found)
    return county


def check_column_names(county: County) -> None:
    """Refuse a configuration that names columns of wells that are not there."""
    config, there = county.config, [str(name) for name in county.wells.columns]
    named = {
        "strata.by": (config.strata.by, there),
        "model.covariates": (config.model.covariates, there),
        "estimate.domains": (config.estimate.domains, ["county", "stratum", *there]),
    }
    lines = []
    for key, (names, known) in named.items():
        for name in (name for name in names if name not in known):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"columns are: {', '.join(known)}"
            lines.append(f"{county.folder / CONFIG_NAME}: {key}: wells has no column {name!r}; {hint}")
    if lines:
        raise UsageError("\n".join(lines))


def existing_folder(folder: str | Path) -> Path:
    """Give the project folder as a path, or say that there is none."""
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"{root}: expected a project folder with {CONFIG_NAME}, found none; see 'elec2water demo'")
    return root


def not_said_before(found: Findings, said: Findings) -> Findings:
    """Leave out what the tables said already of a meter or well: the energy repeats it without the row and the hint."""
    frame = found.frame
    again = frame["rule"].isin(["METER_WITHOUT_WELL", "LINK_UNKNOWN_WELL"])
    for rule, earlier, name in (
        ("METER_NO_DATA", "LINK_WITHOUT_READINGS", "meter_id"),
        ("WELL_WITHOUT_ENERGY", "ORPHAN_WELL", "well_id"),
        ("METER_SILENT", "LINK_WITHOUT_READINGS", "meter_id"),
    ):
        again |= frame["rule"].eq(rule) & frame[name].isin(said.of(rule=earlier).frame[name])
    return Findings(frame.loc[~again]) if again.any() else found


def _neighbours(wells: pd.DataFrame) -> NDArray[np.float64]:
    """Give a number to the village of each well, its township where none is named; NaN where neither is."""
    names = [wells[name] for name in ("township", "village") if name in wells.columns]
    codes = [np.asarray(pd.factorize(name)[0], dtype=np.float64) + 1.0 for name in names]
    number = codes[0] if len(codes) == 1 else codes[0] * (codes[1].max(initial=0.0) + 1.0) + codes[1]
    return np.where(number > 0, number, np.nan)


def with_limits(county: County, breaks: Mapping[str, tuple[float, ...]]) -> County:
    """Cut the classes of wells where an earlier fit cut them, so that a class stays what it was."""
    config = county.config
    strata = config.strata.model_copy(update={"breaks": dict(breaks) or dict(config.strata.breaks)})
    return County(county.folder, config.model_copy(update={"strata": strata}), county.tables, county.findings)


def until(county: County, as_of: str | None) -> County:
    """Leave out the readings, pairs and water levels that are later than an ISO date, whose whole day still counts.

    A bill that ends with that day has the next day as its exclusive end, so that the bills of a quarter are there as of
    its last day.
    """
    if as_of is None:
        return county
    try:
        closed = _end_of(as_of)
    except ValueError as error:
        raise UsageError(f"--as-of: expected an ISO date like 2026-10-08, found {as_of!r}") from error
    tables = county.tables
    readings = _before(tables.readings, closed, ends=("end",), moments=("read_on",))
    pairs = _before(tables.pairs, closed, ends=("end",), moments=("start",))
    levels = _before(tables.water_levels, closed, moments=("date", "month"))
    kept = replace(tables, readings=readings, pairs=pairs, water_levels=levels)
    return County(county.folder, county.config, kept, county.findings)


def _end_of(as_of: str) -> NDArray[np.datetime64]:
    """Give the first second after a day, a month or a year, or after a moment, ()."""
    when = np.array(as_of, dtype="datetime64")
    if np.isnat(when):
        raise ValueError(as_of)
    whole = np.datetime_data(when.dtype)[0] in _CALENDAR
    return np.asarray((when if whole else when.astype("datetime64[s]")) + 1).astype("datetime64[s]")


def _before(
    frame: pd.DataFrame, closed: NDArray[np.datetime64], *, moments: tuple[str, ...], ends: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Keep rows whose moments are before ``closed`` and whose exclusive ends are no later."""
    late = np.zeros(len(frame), dtype=bool)
    for name in (name for name in (*ends, *moments) if name in frame.columns):
        dates = frame[name].to_numpy(dtype="datetime64[s]")
        late |= dates > closed if name in ends else dates >= closed
    return frame.loc[~late] if late.any() else frame


def _reading_span(readings: pd.DataFrame) -> tuple[np.datetime64, np.datetime64]:
    first: list[np.datetime64] = []
    last: list[np.datetime64] = []
    for start, end in (("start", "end"), ("read_on", "read_on")):
        if start not in readings.columns or end not in readings.columns:
            continue
        begins, ends = (readings[c].to_numpy(dtype="datetime64[s]") for c in (start, end))
        if begins.size:
            first.append(np.fmin.reduce(begins))
            last.append(np.fmax.reduce(ends) - np.timedelta64(1, "s"))
    first, last = ([day for day in days if not np.isnat(day)] for days in (first, last))
    if not first or not last:
        raise UsageError("readings: expected at least one dated reading, found none; check the dates of the table")
    return min(first).astype("datetime64[M]"), max(last).astype("datetime64[M]")


def _any_unbilled(readings: pd.DataFrame, months: NDArray[np.datetime64]) -> bool:
    """Tell whether no bill of any meter lies over one of some months; registers lie over all months between them."""
    if "read_on" in readings.columns and readings["read_on"].notna().any():
        return False
    starts, ends = (readings[name].to_numpy(dtype="datetime64[s]") for name in ("start", "end"))
    # The latest bills are looked at first: most files end with them.
    parts = [slice(max(end - _AT_ONCE, 0), end) for end in range(starts.size, 0, -_AT_ONCE)]
    return not all(any(((starts[p] < month + 1) & (ends[p] > month)).any() for p in parts) for month in months)


def _first_needed(pairs: pd.DataFrame, end: np.datetime64) -> np.datetime64:
    """Give the first month of pairs, and at least a year before the end."""
    starts = (
        pairs["start"].to_numpy(dtype="datetime64[s]") if "start" in pairs.columns else np.array([], "datetime64[s]")
    )
    known = starts[~np.isnat(starts)]
    year = end - (_YEAR - 1)
    return year if not known.size else min(year, known.min().astype("datetime64[M]"))
