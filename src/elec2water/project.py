"""The steps of a project folder, called by the commands and the notebooks: design, run, next, validate, approve …."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

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
from elec2water.config import load_config
from elec2water.county import (
    County,
    accepted,
    existing_folder,
    fit_options,
    read_project,
    until,
)
from elec2water.design import Design, read_chosen, write_design
from elec2water.design.files import READ_BACK
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
from elec2water.validation import Validation, validate_coefficient
from elec2water.version import VERSION, source_digest

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
        **_chosen_next(county),
    }


def _chosen_next(county: County) -> dict[str, object]:
    """Give the measured wells that ``elec2water next`` chose, where there are any: findings tell them from others."""
    chosen = read_chosen(county.folder / "design")["well_id"]
    tested = sorted(set(chosen) & set(county.pairs["well_id"].dropna()))
    return {"chosen_next": tested} if tested else {}


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
