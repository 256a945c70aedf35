"""What is wrong with the tables of a project folder: every finding at once, drawn, and the rules behind them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from elec2water import schema
from elec2water.config import load_config
from elec2water.county import County, check_column_names, existing_folder, read_project
from elec2water.energy.history import coverage, meter_months
from elec2water.findings import Findings
from elec2water.release import csv_bytes, write_whole
from elec2water.rules import RuleSettings


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


def write_findings(folder: str | Path, findings: Findings) -> Path:
    """Write ``findings.csv`` into the project folder, whole or not at all."""
    path = Path(folder) / "findings.csv"
    write_whole(path, csv_bytes(findings.frame))
    return path
