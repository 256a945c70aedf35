"""The chain of a project folder: read, check, design, fit, estimate.

Publish. The commands and the notebooks call these.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from elec2water import outputs
from elec2water.calendar_ import quarter_months
from elec2water.coefficient import Coefficient, FitOptions, fit_coefficient
from elec2water.config import CONFIG_NAME, Config, load_config
from elec2water.demo import County as SyntheticCounty
from elec2water.demo import simulate_county, write_county
from elec2water.design import Design, design_sample, read_sample, write_design
from elec2water.energy import MonthlyEnergy, impute, monthly_energy
from elec2water.errors import DataRefusedError, UsageError
from elec2water.findings import Findings, findings_of
from elec2water.ledger import approve_release, open_ledger, record_release
from elec2water.pairs import measurements
from elec2water.release import (
    ReleaseInfo,
    csv_bytes,
    find_release,
    project_lock,
    publish_release,
    sha256_of,
    write_whole,
)
from elec2water.review import model_findings, sample_findings
from elec2water.strata import Strata, classify
from elec2water.survey import DesignEstimate, adjust_for_refusal, design_totals, gap_findings
from elec2water.tables import Tables, read_tables
from elec2water.validation import Validation, validate_coefficient
from elec2water.volume import Volume, estimate_volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Progress = Callable[[str], None]
Floats = NDArray[np.float64]

_YEAR = 12
_DEMO_SAMPLE = 60
_DEMO_WELLS_A_SAMPLE = 500
_DEMO_MONTHS_MEASURED = 21


@dataclass(frozen=True)
class County:
    """A project folder that was read: its configuration, tables, and what was found wrong with them."""

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
    def strata(self) -> Strata:
        """Classes of wells by the configuration."""
        section = self.config.strata
        return classify(self.wells, section.by, breaks=dict(section.breaks), classes=section.classes)

    @property
    def last_month(self) -> np.datetime64:
        """Last month with a reading."""
        return _reading_span(self.tables.readings)[1]

    def energy(self, last: np.datetime64 | None = None) -> tuple[MonthlyEnergy, Findings]:
        """Electricity per well and month up to ``last``, missing months imputed, and what was found on the way.

        Parameters
        ----------
        last : datetime64[M], optional
            Last month; the last month with a reading by default.
        """
        first, read_until = _reading_span(self.tables.readings)
        end = read_until if last is None else last
        # A month that nobody has read follows the year before.
        needed = _first_needed(self.tables.pairs, end) - (_YEAR if end > read_until else 0)
        begin = min(max(first, needed), end)
        read, found = monthly_energy(
            self.wells,
            self.tables.meters,
            self.tables.readings,
            first=begin,
            last=end,
            lang=self.config.project.language,
        )
        power = self.wells["pump_power_kw"].to_numpy(dtype=np.float64, na_value=np.nan)
        return impute(read, self.strata.codes, power_kw=power), _not_said_before(found, self.findings)


@dataclass(frozen=True)
class Run:
    """A finished quarter."""

    release: ReleaseInfo
    totals: pd.DataFrame
    findings: Findings
    summary: Mapping[str, object]

    def __repr__(self) -> str:
        return f"Run({self.summary['quarter']} {self.release.release}, {self.release.folder})"

    def _repr_html_(self) -> str:
        return self.totals.to_html(index=False)

    def plot(self, domain: str = "township", **options: object) -> Axes:
        """Draw the totals of a domain; options as for :func:`elec2water.plot.totals`."""
        axes: Axes = import_module("elec2water.plot").totals(self.totals, domain=domain, **options)
        return axes


def read_project(folder: str | Path) -> County:
    """Read a project folder; nothing is refused here, look at ``county.findings``.

    Raises
    ------
    ConfigError
        ``elec2water.toml`` is missing or wrong.
    """
    root = _project_folder(folder)
    config = load_config(root)
    tables, findings = read_tables(root, config)
    return County(root, config, tables, findings)


def check(folder: str | Path) -> County:
    """Read and validate everything, energy included; findings, no estimates."""
    county = read_project(folder)
    if county.findings.errors.count:
        return county
    _check_column_names(county)
    _, found = county.energy()
    return County(county.folder, county.config, county.tables, county.findings + found)


def design(
    folder: str | Path, *, n: int | None = None, target_cv: float | None = None, seed: int = 2026
) -> tuple[Design, list[Path]]:
    """Draw the sample of wells to measure and write it to ``design/``.

    Raises
    ------
    DataRefusedError
        The wells or readings are refused.
    UsageError
        ``n`` or ``target_cv`` cannot be met.
    """
    county = _accepted(read_project(folder), needs_pairs=False)
    energy, _ = county.energy()
    if n is None and target_cv is None:
        n = county.config.design.n
    drawn = design_sample(
        county.wells,
        energy.annual_kwh(energy.months[-1]),
        county.strata,
        n=n,
        target_cv=target_cv,
        seed=seed,
        min_per_stratum=county.config.design.min_per_stratum,
        reserve_ratio=county.config.design.reserve_ratio,
        thin_strata="collapse",
        lang=county.config.project.language,
    )
    return drawn, write_design(drawn, Path(folder) / "design")


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
    )


def run(folder: str | Path, *, quarter: str, as_of: str | None = None, progress: Progress | None = None) -> Run:
    """Give the main job: check, fit, estimate, publish one quarter.

    Parameters
    ----------
    folder : path_like
        Project folder of the contract.
    quarter : str
        Text like ``2026Q3``.
    as_of : str, optional
        ISO date; readings and pairs that end later are not used.
    progress : callable, optional
        Told in words what is being done.

    Raises
    ------
    DataRefusedError
        The data are refused; every reason is in its findings.
    UsageError, ConfigError, ReleaseError
    """
    tell = progress or (lambda _: None)
    months = quarter_months(quarter)
    root = _project_folder(folder)
    load_config(root)
    with project_lock(root) as lock:
        tell("reading the tables")
        county = _until(read_project(root), as_of)
        county = _accepted(county)
        ledger = open_ledger(root / "ledger.sqlite")
        manifest = _manifest(county, as_of)
        done = find_release(root, quarter, manifest)
        if done is not None:
            record_release(ledger, done)
            return _finished(done)
        # One thread of BLAS: sums in another order would be other bytes, and small matrices are no faster with two.
        with threadpool_limits(limits=1, user_api="blas"):
            quarter_run = estimate_quarter(county, quarter, months, tell)
        tell("writing the release")
        info = publish_release(root, quarter, outputs.release_files(quarter_run), manifest=manifest, lock=lock)
        record_release(ledger, info)
    return _finished(info)


def estimate_quarter(
    county: County, quarter: str, months: NDArray[np.datetime64], tell: Progress
) -> outputs.QuarterRun:
    """Fit the coefficient and estimate a quarter of a county that was accepted; nothing is written."""
    tell("electricity per well and month")
    energy, energy_findings = county.energy(months[-1])
    silent = _unread_months(energy, months, quarter, county.config.project.language)
    if silent.errors.count:
        raise DataRefusedError(county.findings + energy_findings + silent)
    coefficient = fit_coefficient(
        county.pairs,
        county.wells,
        county.water_levels,
        energy=energy,
        until=months[-1],
        options=fit_options(county.config),
        progress=tell,
    )
    tell("volumes of every well and domain")
    volume = estimate_volume(
        coefficient,
        energy,
        quarter=quarter,
        wells=county.wells,
        water_levels=county.water_levels,
        confidence=county.config.estimate.confidence,
    )
    domains = domain_labels(county)
    totals = outputs.totals_frame(volume, domains)
    tell("the design-based answer beside it")
    survey = survey_totals(county, coefficient, volume, domains)
    lang = county.config.project.language
    findings = (
        county.findings
        + energy_findings
        + silent
        + sample_findings(coefficient, county.strata, county.folder, lang=lang)
        + model_findings(coefficient, volume, county.wells, lang=lang)
        + survey.findings
        + gap_findings(totals, survey, lang=lang)
    )
    return outputs.QuarterRun(
        county.config, county.wells, county.strata, energy, coefficient, volume, totals, survey, findings
    )


def domain_labels(county: County) -> dict[str, NDArray[np.object_]]:
    """Key of every well in every domain of the configuration; NaN for none.

    Raises
    ------
    UsageError
        A domain is neither ``county``, ``stratum`` nor a column of wells.
    """
    _check_column_names(county)
    labels: dict[str, NDArray[np.object_]] = {}
    for domain in county.config.estimate.domains:
        if domain == "county":
            labels[domain] = np.full(len(county.wells), county.config.project.name, dtype=object)
        elif domain == "stratum":
            labels[domain] = county.strata.labels
        else:
            column = county.wells[domain]
            labels[domain] = column.astype("str").where(column.notna(), None).to_numpy(dtype=object)
    return labels


def survey_totals(
    county: County, coefficient: Coefficient, volume: Volume, domains: Mapping[str, NDArray[np.object_]]
) -> DesignEstimate:
    """Design-based totals of the quarter: the sample wells' volumes, expanded by their design weights.

    Only what water meters saw enters, so that the answer does not lean on the model. Weights come from
    ``design/sample.csv``; wells with pairs that are not in it, or all where there is no design, weigh N_h/n_h of
    their stratum. Refusals are made up for within strata.
    """
    place = coefficient.posterior.sample
    measured_m3, measured_kwh = _measured(coefficient, volume)
    return design_totals(
        sample=place,
        volume_m3=measured_m3,
        energy_kwh=volume.wells.kwh,
        sample_energy_kwh=measured_kwh,
        weights=_sample_weights(county, place),
        strata=county.strata,
        domains=dict(domains),
        lang=county.config.project.language,
    )


def _measured(coefficient: Coefficient, volume: Volume) -> tuple[Floats, Floats]:
    """Volume and energy that each sample well's water meter saw: of the quarter where it was read.

    Else of its last year of pairs.
    """
    pairs, rows = coefficient.measured, coefficient.posterior.rows
    usable = ~coefficient.posterior.impossible_pairs
    end = np.datetime64(quarter_months(volume.quarter)[-1] + 1, "s")
    middle = np.where(np.isnat(pairs.middle), end, pairs.middle)
    within = usable & (middle >= quarter_months(volume.quarter)[0].astype("datetime64[s]")) & (middle < end)
    last_year = usable & (middle >= end - np.timedelta64(366 + 92, "D")) & (middle < end)
    n = coefficient.sample_id.size
    m3, kwh = np.zeros(n), np.zeros(n)
    for chosen in (within, last_year, usable):
        empty = kwh[rows.well] <= 0
        for target, values in ((m3, pairs.volume_m3), (kwh, pairs.energy_kwh)):
            target += np.bincount(rows.well, weights=np.where(chosen & empty, values, 0.0), minlength=n)
    return m3, kwh


def _sample_weights(county: County, place: NDArray[np.intp]) -> Floats:
    codes = county.strata.codes
    size = np.bincount(codes, minlength=len(county.strata.cells))
    measured = np.bincount(codes[place], minlength=size.size)
    weights = (size / np.maximum(measured, 1))[codes[place]].astype(np.float64)
    sample = read_sample(county.folder / "design")
    if sample is None:
        return weights
    primary = sample.loc[sample["role"] == "primary"]
    responded = primary["well_id"].isin(county.wells["well_id"].iloc[place]).to_numpy()
    if not responded.any():
        return weights
    adjusted = adjust_for_refusal(
        primary["weight"].to_numpy(dtype=np.float64), responded, primary["stratum"].to_numpy()
    )
    by_id = dict(zip(primary["well_id"], adjusted, strict=True))
    found = [by_id.get(well) for well in county.wells["well_id"].iloc[place]]
    return np.array([w if f is None or f <= 0 else max(f, 1.0) for w, f in zip(weights, found, strict=True)])


def _accepted(county: County, *, needs_pairs: bool = True) -> County:
    """Refuse a county with errors, every reason at once."""
    lang = county.config.project.language
    found = county.findings
    if not needs_pairs:
        found = Findings(found.frame.loc[~((found.frame["table"] == "pairs") & (found.frame["severity"] == "error"))])
    elif not found.errors.count and measurements(county.pairs, _ids(county)).well.size == 0:
        found += findings_of("NO_USABLE_PAIR", table="pairs", observed=len(county.pairs), lang=lang)
    if not found.of(table="wells").errors.count:
        _check_column_names(county)
    if found.errors.count:
        raise DataRefusedError(found)
    return county


def _check_column_names(county: County) -> None:
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


def _project_folder(folder: str | Path) -> Path:
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"{root}: expected a project folder with {CONFIG_NAME}, found none; see 'elec2water demo'")
    return root


def _not_said_before(found: Findings, said: Findings) -> Findings:
    """Leave out what the tables said already of a meter or well: the energy repeats it without the row and the hint."""
    frame = found.frame
    again = frame["rule"].isin(["METER_WITHOUT_WELL", "LINK_UNKNOWN_WELL"])
    for rule, earlier, name in (
        ("METER_NO_DATA", "LINK_WITHOUT_READINGS", "meter_id"),
        ("WELL_WITHOUT_ENERGY", "ORPHAN_WELL", "well_id"),
    ):
        again |= frame["rule"].eq(rule) & frame[name].isin(said.of(rule=earlier).frame[name])
    return Findings(frame.loc[~again]) if again.any() else found


def _ids(county: County) -> NDArray[np.object_]:
    return county.wells["well_id"].to_numpy(dtype=object)


def _until(county: County, as_of: str | None) -> County:
    if as_of is None:
        return county
    try:
        limit = np.datetime64(as_of, "s")
    except ValueError as error:
        raise UsageError(f"--as-of: expected an ISO date like 2026-10-08, found {as_of!r}") from error
    tables = county.tables
    readings = _before(tables.readings, limit, ("end", "read_on"))
    pairs = _before(tables.pairs, limit, ("end", "start"))
    kept = Tables(tables.wells, tables.meters, readings, pairs, tables.water_levels, tables.permits)
    return County(county.folder, county.config, kept, county.findings)


def _before(frame: pd.DataFrame, limit: np.datetime64, columns: tuple[str, ...]) -> pd.DataFrame:
    late = np.zeros(len(frame), dtype=bool)
    for name in columns:
        if name in frame.columns:
            dates = frame[name].to_numpy(dtype="datetime64[s]")
            late |= dates > limit
    return frame.loc[~late] if late.any() else frame


def _reading_span(readings: pd.DataFrame) -> tuple[np.datetime64, np.datetime64]:
    first: list[np.datetime64] = []
    last: list[np.datetime64] = []
    for start, end in (("start", "end"), ("read_on", "read_on")):
        if start not in readings.columns or end not in readings.columns:
            continue
        begins, ends = (readings[c].to_numpy(dtype="datetime64[s]") for c in (start, end))
        if (~np.isnat(begins)).any():
            first.append(np.nanmin(begins))
        if (~np.isnat(ends)).any():
            last.append(np.nanmax(ends) - np.timedelta64(1, "s"))
    if not first or not last:
        raise UsageError("readings: expected at least one dated reading, found none; check the dates of the table")
    return min(first).astype("datetime64[M]"), max(last).astype("datetime64[M]")


def _first_needed(pairs: pd.DataFrame, end: np.datetime64) -> np.datetime64:
    """Give the first month of pairs, and at least a year before the end."""
    starts = (
        pairs["start"].to_numpy(dtype="datetime64[s]") if "start" in pairs.columns else np.array([], "datetime64[s]")
    )
    known = starts[~np.isnat(starts)]
    year = end - (_YEAR - 1)
    return year if not known.size else min(year, known.min().astype("datetime64[M]"))


def _unread_months(energy: MonthlyEnergy, months: NDArray[np.datetime64], quarter: str, lang: str) -> Findings:
    asked = np.flatnonzero(np.isin(energy.months, months))
    quality = energy.quality[:, asked]
    read = np.asarray(((quality == "A") | (quality == "E")).any(axis=0), dtype=bool)
    if not read.any():
        return findings_of("QUARTER_WITHOUT_READINGS", table="readings", period=quarter, observed=0, lang=lang)
    told = np.isfinite(energy.kwh).any(axis=1)
    imputed = (quality[:, ~read] == "S").sum(axis=0)
    return findings_of(
        "MONTH_WITHOUT_READINGS",
        table="readings",
        period=energy.months[asked[~read]].astype(str),
        observed=imputed,
        n_none=told.sum() - imputed,
        lang=lang,
    )


def _manifest(county: County, as_of: str | None) -> dict[str, object]:
    root = county.folder
    inputs = {
        path.relative_to(root).as_posix(): sha256_of(path)
        for folder in ("inputs", "design")
        for path in sorted((root / folder).glob("**/*"))
        if path.is_file()
    }
    for paths in county.config.inputs.model_dump().values():
        for name in paths:
            path = root / name
            if path.is_file():
                inputs[Path(name).as_posix()] = sha256_of(path)
    return {
        "inputs": inputs,
        "configuration": json.loads(county.config.model_dump_json()),
        "as_of": as_of or "",
        "package_version": metadata.version("elec2water"),
        "seed": 0,
        "coefficient_version": "fit",
    }


def _finished(info: ReleaseInfo) -> Run:
    totals = outputs.read_totals(info.folder)
    findings = outputs.read_findings(info.folder)
    return Run(info, totals, findings, outputs.summary(info, totals, findings))


def demo(folder: str | Path, *, wells: int = 500, seed: int = 2026, progress: Progress | None = None) -> Path:
    """Write a synthetic county with known truth, its sample wells drawn by the design, ready to run.

    Raises
    ------
    UsageError
        The folder exists and is not empty.
    """
    tell = progress or (lambda _: None)
    tell(f"simulating {wells:,} wells")
    county = simulate_county(wells, seed)
    drawn = _demo_design(county, seed)
    tell("writing tables and truth")
    made = write_county(folder, county, sample=drawn.primary["well_id"].tolist())
    write_design(drawn, made / "design")
    return made


def _demo_design(county: SyntheticCounty, seed: int) -> Design:
    before = county.months <= county.months[-1] - _DEMO_MONTHS_MEASURED
    energy = np.asarray(county.energy_kwh[:, before][:, -_YEAR:], dtype=np.float64).sum(axis=1)
    strata = classify(county.wells, FitOptions().strata_by)
    n = min(max(_DEMO_SAMPLE, len(county.wells) // _DEMO_WELLS_A_SAMPLE), len(county.wells) // 2)
    return design_sample(county.wells, energy, strata, n=n, seed=seed, thin_strata="collapse")


def validate(folder: str | Path, *, folds: int = 10, progress: Progress | None = None) -> tuple[Validation, Path]:
    """Hold out wells and the last season; write ``validation/`` and give the tables."""
    county = _accepted(read_project(folder))
    energy, _ = county.energy()
    with threadpool_limits(limits=1, user_api="blas"):
        result = validate_coefficient(
            county.pairs,
            county.wells,
            county.water_levels,
            energy=energy,
            options=fit_options(county.config),
            folds=folds,
            progress=progress,
        )
    target = county.folder / "validation"
    for name in ("accuracy", "calibration", "forecasts"):
        write_whole(target / f"{name}.csv", csv_bytes(getattr(result, name)))
    return result, target


def approve(folder: str | Path, *, quarter: str, release: str, by: str, at: dt.datetime) -> None:
    """Approve a release of a quarter in the ledger.

    Parameters
    ----------
    at : datetime
        When, with a time zone.

    Raises
    ------
    LedgerError, ReleaseError
        Unknown, damaged or already approved, or it has findings of severity error.
    """
    root = _project_folder(folder)
    with project_lock(root):
        approve_release(open_ledger(root / "ledger.sqlite"), quarter, release, by=by, at=at)


def write_findings(folder: str | Path, findings: Findings) -> Path:
    """Write ``findings.csv`` into the project folder, whole or not at all."""
    path = Path(folder) / "findings.csv"
    write_whole(path, csv_bytes(findings.frame))
    return path


__all__ = [
    "County",
    "Run",
    "approve",
    "check",
    "demo",
    "design",
    "domain_labels",
    "estimate_quarter",
    "fit_options",
    "read_project",
    "run",
    "validate",
    "write_findings",
]
