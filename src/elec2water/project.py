"""The steps of a project folder, called by the commands and the notebooks: demo, check, design, run, validate …."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from elec2water import history, outputs, schema
from elec2water.calendar_ import quarter_months
from elec2water.chain import (
    Start,
    draft_findings,
    earlier_releases,
    later_findings,
    missing_findings,
    start_of,
    with_older_levels,
)
from elec2water.coefficient import FitOptions
from elec2water.config import CONFIG_NAME, load_config
from elec2water.county import (
    County,
    accepted,
    check_column_names,
    existing_folder,
    fit_options,
    read_project,
    until,
)
from elec2water.demo import County as SyntheticCounty
from elec2water.demo import free_folder, simulate_county, write_county
from elec2water.design import Design, design_sample, write_design
from elec2water.design.files import READ_BACK
from elec2water.energy.history import coverage, meter_months
from elec2water.errors import UsageError
from elec2water.findings import Findings
from elec2water.ledger import LEDGER_NAME, approve_release, entered_releases, open_ledger, record_release
from elec2water.news import news_sentence, read_news
from elec2water.planning import plan_sample
from elec2water.quarter import Progress, estimate_quarter
from elec2water.release import (
    ReleaseInfo,
    csv_bytes,
    find_release,
    list_release_folders,
    project_lock,
    publish_release,
    sha256_of,
    write_whole,
)
from elec2water.retest import RetestPlan
from elec2water.retesting import Wish, plan_tests
from elec2water.rules import RuleSettings
from elec2water.strata import classify
from elec2water.template import template_bytes, template_tables
from elec2water.validation import Validation, validate_coefficient
from elec2water.version import VERSION, source_digest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_YEAR = 12
_FEWEST_WELLS = 20
_DEMO_SAMPLE = 60
_DEMO_WELLS_A_SAMPLE = 500
_DEMO_MONTHS_MEASURED = 21


@dataclass(frozen=True)
class Run:
    """A finished quarter.

    Attributes
    ----------
    release : ReleaseInfo
        Where it was written, and its manifest.
    totals : DataFrame
        ``totals.csv``: energy [kWh] and volume with its interval [m³], a row a domain.
    findings : Findings
        ``findings.csv``.
    summary : mapping
        What ``--json`` prints.
    news : DataFrame
        What moved since the release before; empty after a first fit.
    """

    release: ReleaseInfo
    totals: pd.DataFrame
    findings: Findings
    summary: Mapping[str, object]
    news: pd.DataFrame

    def __repr__(self) -> str:
        return f"Run({self.summary['quarter']} {self.release.release}, {self.release.folder})"

    def _repr_html_(self) -> str:
        return self.totals.to_html(index=False)

    def plot(self, domain: str = "township", **options: object) -> Axes:
        """Draw the totals of a domain.

        Parameters
        ----------
        domain : str
            One of those of ``totals``.
        **options
            As for :func:`elec2water.plot.totals`.

        Returns
        -------
        matplotlib.axes.Axes
        """
        axes: Axes = import_module("elec2water.plot").totals(self.totals, domain=domain, **options)
        return axes


def check(folder: str | Path) -> County:
    """Read and validate everything, energy included; findings, no estimates.

    Parameters
    ----------
    folder : path_like
        Project folder of the contract.

    Returns
    -------
    County
        Its ``findings`` hold every reason for a refusal; where there is one, energy was not looked at.

    Raises
    ------
    ConfigError, UsageError
        The configuration cannot be understood, names a column that there is not, or the folder is none.
    """
    county = read_project(folder)
    if county.findings.errors.count:
        return county
    check_column_names(county)
    _, found = county.energy()
    return County(county.folder, county.config, county.tables, county.findings + found)


def rule_table(folder: str | Path | None = None, *, lang: str | None = None) -> list[dict[str, object]]:
    """List the catalogue of rules, a record a rule, with what a project's ``[rules]`` change.

    Parameters
    ----------
    folder : path_like, optional
        Project folder; the defaults alone without one.
    lang : str, optional
        ``zh`` or ``en``; the project's language by default, else ``zh``.

    Returns
    -------
    list of dict
        As :meth:`elec2water.rules.RuleSettings.table`.
    """
    if folder is None:
        return RuleSettings().table(lang or "zh")
    config = load_config(existing_folder(folder))
    return config.rules.settings.table(lang or config.project.language)


def check_figures(county: County, *, largest: int = 12) -> list[Path]:
    """Draw what :func:`check` saw into ``check/``: the calendar of what was read, and the meters with most at stake.

    Parameters
    ----------
    county : County
        What :func:`check` gave.
    largest : int
        At most so many meters, those whose warnings have the most energy at stake.

    Returns
    -------
    list of Path
    """
    plots = import_module("elec2water.plot_energy")
    lang, reading = county.config.project.language, county.reading()
    township = county.wells["township"].astype("str").fillna("").to_numpy(dtype=object)
    target = county.folder / "check"
    heading = schema.column("wells", "township").heading_zh if lang == "zh" else "township"
    drawn = [
        (target / "coverage.png", plots.coverage_calendar(coverage(reading.energy, township), group=heading, lang=lang))
    ]
    warned = county.findings.warnings.frame
    meters = warned[warned["meter_id"].ne("") & warned["energy_kwh"].gt(0)]["meter_id"].drop_duplicates()
    names = reading.reporter.meter_id
    for rank, meter in enumerate(meters[meters.isin(names)].head(largest), start=1):
        months = meter_months(reading.meters, names, meter, county.findings)
        drawn.append((target / f"meter_{rank:02d}.png", plots.meter_series(months, meter=meter, lang=lang)))
    for path, axes in drawn:
        write_whole(path, import_module("elec2water.figure").png_bytes(axes))
    return [path for path, _ in drawn]


def design(
    folder: str | Path,
    *,
    n: int | None = None,
    target_cv: float | None = None,
    budget: float | None = None,
    extend: bool = False,
    rotate: float = 0.0,
    seed: int = 2026,
    progress: Progress | None = None,
) -> tuple[Design, list[Path]]:
    """Draw the sample of wells to measure and write it to ``design/``.

    Parameters
    ----------
    folder : path_like
        Project folder of the contract; ``[design]`` of its configuration says the rest.
    n, target_cv, budget : int or float, optional
        At most one: the number of wells, the CV of the county's total to reach, or the money there is.
    extend, rotate : bool, float
        Keep the wells that are measured already, or all but a share of them.
    seed : int
    progress : callable, optional
        Told in words what is being done.

    Returns
    -------
    Design
        The sample with its allocation.
    list of Path
        The files written.

    Raises
    ------
    DataRefusedError
        The wells or readings are refused.
    UsageError
        ``n``, ``target_cv`` or ``budget`` cannot be met.
    """
    tell = progress or (lambda _: None)
    tell("reading the tables")
    county = accepted(read_project(folder), needs_pairs=False)
    drawn = plan_sample(
        county, n=n, target_cv=target_cv, budget=budget, extend=extend, rotate=rotate, seed=seed, progress=tell
    )
    tell("writing the field sheet, the map and the report")
    energy = county.electricity
    sheets = import_module("elec2water.fieldwork.outputs").design_files(
        drawn,
        county.wells,
        county=county.config.project.name,
        meters=county.tables.meters,
        annual_kwh=energy.annual_kwh(energy.months[-1]),
        lang=county.config.project.language,
    )
    return drawn, write_design(drawn, Path(folder) / "design", sheets)


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

    Returns
    -------
    Run
        The release that was written, or that the same inputs gave before.

    Raises
    ------
    DataRefusedError
        The data are refused; every reason is in its findings.
    UsageError
        The quarter or the date is malformed, or there is no such folder.
    ConfigError
        The configuration cannot be understood.
    ReleaseError
        A release or the ledger is damaged or cannot be written, or another process is at work.
    """
    tell = progress or (lambda _: None)
    months = quarter_months(quarter)
    root = existing_folder(folder)
    load_config(root)
    with project_lock(root) as lock:
        tell("reading the tables")
        county = until(read_project(root), as_of)
        ledger = open_ledger(root / "ledger.sqlite")
        earlier = earlier_releases(root, ledger, quarter)
        county = accepted(county, known_pairs=bool(earlier))
        told = later_findings(root, quarter, lang=county.config.project.language)
        told += draft_findings(earlier, ledger, quarter, lang=county.config.project.language)
        told += missing_findings(root, ledger, quarter, lang=county.config.project.language)
        county = replace(county, findings=county.findings + told)
        start = start_of(earlier[-1] if earlier else None, county)
        county = with_older_levels(county, start)
        manifest = _manifest(county, as_of, start)
        done = find_release(root, quarter, manifest)
        if done is not None:
            record_release(ledger, done)
            return _finished(done)
        quarter_run = estimate_quarter(county, quarter, months, tell, start, earlier)
        tell("writing the release")
        files, entered = outputs.release_files(quarter_run), entered_releases(ledger, quarter)
        info = publish_release(root, quarter, files, manifest=manifest, lock=lock, entered=entered)
        record_release(ledger, info)
    return _finished(info)


def _manifest(county: County, as_of: str | None, start: Start) -> dict[str, object]:
    root = county.folder
    inputs = {
        path.relative_to(root).as_posix(): sha256_of(path)
        for path in [*sorted((root / "inputs").glob("**/*")), *(root / "design" / name for name in READ_BACK)]
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
        "corrections": _decisions(county),
        "package_version": VERSION,
        "package_source": source_digest(),
        "seed": 0,
        "coefficient_version": start.version,
    }


def _decisions(county: County) -> list[dict[str, str]]:
    """Every decision of the user about readings, as it was written."""
    frame = county.tables.corrections
    names = [name for name in schema.names("corrections") if name in frame.columns]
    text = frame[names].astype("str").where(frame[names].notna(), "")
    return [{str(name): str(cell) for name, cell in record.items()} for record in text.to_dict("records")]


def _finished(info: ReleaseInfo) -> Run:
    totals = outputs.read_totals(info.folder)
    findings = outputs.read_findings(info.folder)
    news = read_news(info.folder)
    configuration = info.manifest["configuration"]
    project = configuration.get("project", {}) if isinstance(configuration, Mapping) else {}
    said = news_sentence(news, project.get("language", "zh"))
    return Run(info, totals, findings, {**outputs.summary(info, totals, findings), "news": said}, news)


def demo(folder: str | Path, *, wells: int = 500, seed: int = 2026, progress: Progress | None = None) -> Path:
    """Write a synthetic county with known truth, its sample wells drawn by the design, ready to run.

    Parameters
    ----------
    folder : path_like
        New or empty; the truth is in its ``truth/``, which no other step reads.
    wells : int
        Wells of the registry, at least 20.
    seed : int
        The same seed gives the same bytes.
    progress : callable, optional
        Told in words what is being done.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UsageError
        Fewer than 20 wells, or the folder exists and is not empty; told before anything is simulated.
    """
    tell = progress or (lambda _: None)
    if wells < _FEWEST_WELLS:
        raise UsageError(f"wells: expected at least {_FEWEST_WELLS} for a sample to be drawn from, found {wells}")
    target = free_folder(folder)
    tell(f"simulating {wells:,} wells")
    county = simulate_county(wells, seed)
    drawn = _demo_design(county, seed)
    tell("writing tables and truth")
    made = write_county(target, county, sample=drawn.primary["well_id"].tolist())
    write_design(drawn, made / "design")
    return made


def template(folder: str | Path, *, lang: str | None = None) -> list[Path]:
    """Write an empty workbook of every table to fill in and put into ``inputs/``, and a configuration if there is none.

    Parameters
    ----------
    folder : path_like
        Of the project; made where there is none, named after its folder.
    lang : {"zh", "en"}, optional
        Of the headings; by default that of the project.

    Returns
    -------
    list of Path
        ``templates/wells.xlsx`` and so on.

    Raises
    ------
    UsageError
        A template is there already: it may have been filled in.
    ConfigError
        The configuration cannot be read.
    """
    root = Path(folder)
    paths = {table: root / "templates" / f"{table}.xlsx" for table in template_tables()}
    there = [path for path in paths.values() if path.exists()]
    if there:
        raise UsageError(
            f"{there[0]}: expected no template there, found one that may have been filled in; move it away"
        )
    configuration = root / CONFIG_NAME
    if not configuration.exists():
        name = json.dumps(root.resolve().name, ensure_ascii=False)
        write_whole(configuration, f"[project]\nname = {name}\n".encode())
    spoken = lang or load_config(root).project.language
    for table, path in paths.items():
        write_whole(path, template_bytes(table, spoken))
    return list(paths.values())


def _demo_design(county: SyntheticCounty, seed: int) -> Design:
    before = county.months <= county.months[-1] - _DEMO_MONTHS_MEASURED
    energy = np.asarray(county.energy_kwh[:, before][:, -_YEAR:], dtype=np.float64).sum(axis=1)
    strata = classify(county.wells, FitOptions().strata_by)
    n = min(max(_DEMO_SAMPLE, len(county.wells) // _DEMO_WELLS_A_SAMPLE), len(county.wells) // 2)
    return design_sample(county.wells, energy, strata, n=n, seed=seed, thin_strata="collapse")


def validate(folder: str | Path, *, folds: int = 10, progress: Progress | None = None) -> tuple[Validation, Path]:
    """Hold out wells and the last season; write ``validation/`` and give the tables.

    Field tests and the wells they were made at are enough: without readings the coefficient is fitted without energy.

    Parameters
    ----------
    folder : path_like
        Project folder of the contract.
    folds : int
        Parts in which the sample wells are held out, each in turn.
    progress : callable, optional
        Told in words what is being done.

    Returns
    -------
    Validation, Path
        The tables, and the folder they were written to.

    Raises
    ------
    DataRefusedError
        The data are refused; every reason is in its findings.
    UsageError
        Fewer than three sample wells have usable pairs.
    """
    county = accepted(read_project(folder), needs_readings=False)
    energy = county.electricity if len(county.tables.readings) else None
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
        frame = getattr(result, name)
        floats = frame.select_dtypes("float").columns
        write_whole(target / f"{name}.csv", csv_bytes(frame, float_format=dict.fromkeys(floats, ".6f")))
    return result, target


def next_wells(
    folder: str | Path,
    *,
    n: int | None = None,
    quarter: str | None = None,
    budget: float | None = None,
    kind: str = "test",
    progress: Progress | None = None,
) -> tuple[RetestPlan, list[Path]]:
    """Choose the wells to test next, and write ``next.csv``, ``next_totals.csv`` and the field sheet to ``design/``.

    Parameters
    ----------
    folder : path_like
        Project folder of the contract.
    n : int, optional
        Tests; ``[next] n`` by default.
    quarter : str, optional
        Quarter whose totals the tests are to sharpen, also one that is still to come; by default that of the last four
        read with most electricity.
    budget : float, optional
        Most that may be spent, in the currency of ``[next] cost_per_test`` and ``cost_per_visit``.
    kind : {"test", "meter"}
        A short pumping test, or a water meter read over a month.
    progress : callable, optional
        Told in words what is being done.

    Returns
    -------
    RetestPlan
        The wells to test, and what the tests are worth.
    list of Path
        The files written.

    Raises
    ------
    DataRefusedError
        The data are refused; every reason is in its findings.
    UsageError
        An argument that cannot be met.
    """
    tell = progress or (lambda _: None)
    tell("reading the tables")
    root = existing_folder(folder)
    with project_lock(root):
        county = accepted(read_project(root))
        plan, files = plan_tests(county, Wish(n, quarter, budget, kind), tell)
        for name, data in files.items():
            write_whole(root / "design" / name, data)
    return plan, [root / "design" / name for name in files]


def approve(folder: str | Path, *, quarter: str, release: str, by: str, at: dt.datetime) -> None:
    """Approve a release of a quarter in the ledger.

    Parameters
    ----------
    folder : path_like
        Project folder of the contract.
    quarter, release : str
        Text like ``2026Q3`` and ``r1``.
    by : str
        Name of who approves.
    at : datetime
        When, with a time zone.

    Raises
    ------
    LedgerError, ReleaseError
        Unknown, damaged or already approved, or it has findings of severity error.
    UsageError
        Nobody is named, or there is no such folder.
    """
    root = existing_folder(folder)
    with project_lock(root):
        approve_release(open_ledger(root / "ledger.sqlite"), quarter, release, by=by, at=at)


def releases(folder: str | Path) -> pd.DataFrame:
    """List the releases of a project: state, county total, what each started from and replaces; nothing is written.

    Parameters
    ----------
    folder : path_like
        Project folder.

    Returns
    -------
    DataFrame
        As :func:`elec2water.history.release_table`; no row before the first release.

    Raises
    ------
    LedgerError
        The ledger is damaged, or missing beside releases.
    ReleaseError
        A release has no readable manifest.
    UsageError
        There is no such folder.
    """
    root = existing_folder(folder)
    path = root / LEDGER_NAME
    if not path.exists() and not list_release_folders(root):
        return pd.DataFrame({name: [] for name in history.COLUMNS})
    return history.release_table(root, open_ledger(path))


def write_findings(folder: str | Path, findings: Findings) -> Path:
    """Write ``findings.csv`` into the project folder, whole or not at all."""
    path = Path(folder) / "findings.csv"
    write_whole(path, csv_bytes(findings.frame))
    return path
