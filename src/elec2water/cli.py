"""The commands of the contract: progress on standard error, results on standard output, exit status 0, 1 or 2."""

from __future__ import annotations

import datetime as dt
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from rich.console import Console

from elec2water import beginning, checking, console, project
from elec2water.config import CONFIG_NAME, load_config
from elec2water.errors import DataRefusedError, Elec2WaterError, UsageError
from elec2water.findings import Findings
from elec2water.quarter import Progress
from elec2water.retest import RetestPlan
from elec2water.rules import LANGUAGES
from elec2water.translation import translated
from elec2water.version import VERSION, source_digest

Command = TypeVar("Command", bound=Callable[..., Any])

app = typer.Typer(
    name="elec2water",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _help(key: str) -> str:
    """Say in both languages what a command or option is, since no project is read when help is asked for."""
    return " / ".join(console.help_text(key, lang) for lang in LANGUAGES)


def _command(name: str) -> Callable[[Command], Command]:
    return app.command(name, help=_help(name), short_help=_help(name))


Folder = Annotated[Path, typer.Argument(help=_help("option_folder"))]
AsJson = Annotated[bool, typer.Option("--json", help=_help("option_json"))]
Quarter = Annotated[str, typer.Option(help=_help("option_quarter"))]
SampleSize = Annotated[int | None, typer.Option("--n", min=1, help=_help("option_n"))]
Seed = Annotated[int, typer.Option(help=_help("option_seed"))]

DATA_REFUSED = 1
WRONG_USAGE = 2
INTERRUPTED = 130
_CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]
"""What every fault of a command line derives from, whichever way the version of typer brings its parser."""

_SHANGHAI = dt.timezone(dt.timedelta(hours=8))


def _show_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"elec2water {VERSION} (source {source_digest()[:16]})")
        raise typer.Exit


@app.callback(help=_help("elec2water"))
def elec2water(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help=_help("option_version"))
    ] = False,
) -> None:
    """以电折水: volumes of groundwater from the electricity of farm wells, with honest uncertainty."""


def main() -> None:
    """Run the console script ``elec2water``."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="replace")
    try:
        status = app(standalone_mode=False)
    except DataRefusedError:
        sys.exit(DATA_REFUSED)
    except Elec2WaterError as error:
        _say(f"elec2water: {_in_words(str(error))}")
        sys.exit(WRONG_USAGE)
    except BrokenPipeError:
        # Who reads our lines has read enough (`| head`); what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        advice = "See that it exists and that you may read and write there."
        _say(f"elec2water: {_in_words(f'{where}{error.strerror or error}. {advice}')}")
        sys.exit(WRONG_USAGE)
    except _CommandLineError as error:
        _say(_wrong_command_line(error))
        sys.exit(WRONG_USAGE)
    except typer.Abort:
        sys.exit(INTERRUPTED)
    else:
        sys.exit(status)


@_command("demo")
def demo(
    folder: Folder,
    wells: Annotated[int, typer.Option(help=_help("option_wells"))] = 500,
    seed: Seed = 2026,
    *,
    as_json: AsJson = False,
) -> None:
    """Write a synthetic county with known truth, ready to run."""
    with _progress(_language(folder)) as tell:
        made = beginning.demo(folder, wells=wells, seed=seed, progress=tell)
    _print(
        {"folder": str(made), "wells": wells, "seed": seed},
        f"{made}\nelec2water run {made} --quarter 2026Q3",
        as_json=as_json,
    )


@_command("template")
def template(
    folder: Folder,
    lang: Annotated[str | None, typer.Option(help=_help("option_lang"))] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Write an empty workbook of every table to fill in."""
    _known_language(lang)
    written = beginning.template(folder, lang=lang)
    text = console.template_text(written, lang or _language(folder))
    _print({"folder": str(folder), "written": [str(path) for path in written]}, text, as_json=as_json)


@_command("check")
def check(
    folder: Folder,
    *,
    plots: Annotated[bool, typer.Option("--plots", help=_help("option_plots"))] = False,
    as_json: AsJson = False,
) -> None:
    """Read and validate everything; findings, those with the most energy at stake first, no estimates."""
    with _progress(_language(folder)) as tell:
        tell("reading and checking the tables")
        county = checking.check(folder)
        path = checking.write_findings(folder, county.findings)
        refused = county.findings.errors.count > 0
        figures_made = checking.check_figures(county) if plots and not refused else []
    figures = {
        "folder": str(folder),
        "refused": refused,
        "findings": _counts(county.findings),
        "written": str(path),
        "plots": [str(made) for made in figures_made],
    }
    lang = county.config.project.language
    text = [
        console.tables_text(county.tables, lang),
        console.findings_text(county.findings, lang),
        console.stakes_text(county.findings, lang),
        *map(str, figures_made),
    ]
    _print(figures, "\n".join([*filter(None, text), str(path)]), as_json=as_json)
    if refused:
        raise typer.Exit(DATA_REFUSED)


@_command("rules")
def rules(
    folder: Annotated[Path | None, typer.Argument(help=_help("option_rules_folder"))] = None,
    lang: Annotated[str | None, typer.Option(help=_help("option_lang"))] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List every rule of the findings: meaning, severity, threshold, and what the project changed."""
    _known_language(lang)
    records = checking.rule_table(folder, lang=lang)
    spoken = lang or ("zh" if folder is None else _language(folder))
    _print({"rules": records}, console.rules_text(records, spoken), as_json=as_json)


@_command("design")
def design(
    folder: Folder,
    n: SampleSize = None,
    target_cv: Annotated[float | None, typer.Option(help=_help("option_target_cv"))] = None,
    budget: Annotated[float | None, typer.Option(min=0.0, help=_help("option_budget"))] = None,
    seed: Seed = 2026,
    *,
    extend: Annotated[bool, typer.Option("--extend", help=_help("option_extend"))] = False,
    rotate: Annotated[float, typer.Option(min=0.0, max=1.0, help=_help("option_rotate"))] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Draw the sample of wells to measure."""
    with _refusals(folder, as_json=as_json), _progress(_language(folder)) as tell:
        drawn, written = project.design(
            folder, n=n, target_cv=target_cv, budget=budget, extend=extend, rotate=rotate, seed=seed, progress=tell
        )
    figures = {
        "n_primary": len(drawn.primary),
        "n_reserve": len(drawn.reserves),
        "n_strata": len(drawn.allocation),
        "expected_cv": drawn.expected_cv,
        "coverage": drawn.coverage.to_dict("records"),
        "curve": drawn.curve.loc[drawn.curve["mark"] != ""].to_dict("records"),
        "policy": drawn.policy,
        "findings": _counts(drawn.findings),
        "written": [str(p) for p in written],
    }
    _print(figures, f"{console.design_text(drawn, _language(folder))}\n{written[0].parent}", as_json=as_json)


@_command("run")
def run(
    folder: Folder,
    quarter: Quarter,
    as_of: Annotated[str | None, typer.Option(help=_help("option_as_of"))] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check, fit, estimate and publish a quarter: the main job."""
    with _refusals(folder, as_json=as_json), _progress(_language(folder)) as tell:
        done = project.run(folder, quarter=quarter, as_of=as_of, progress=tell)
        checking.write_findings(folder, done.findings)
    _print(done.summary, console.run_text(done, _language(folder)), as_json=as_json)


@_command("next")
def next_wells(
    folder: Folder,
    n: SampleSize = None,
    quarter: Annotated[str | None, typer.Option(help=_help("option_next_quarter"))] = None,
    budget: Annotated[float | None, typer.Option(help=_help("option_next_budget"))] = None,
    kind: Annotated[str, typer.Option(help=_help("option_kind"))] = "test",
    *,
    as_json: AsJson = False,
) -> None:
    """Choose the wells to test next: the set that cuts the variance of the reported totals most for its cost."""
    with _refusals(folder, as_json=as_json), _progress(_language(folder)) as tell:
        plan, written = project.next_wells(folder, n=n, quarter=quarter, budget=budget, kind=kind, progress=tell)
    text = "\n".join([console.plan_text(plan, _language(folder)), *map(str, written)])
    _print(_plan_figures(plan, written), text, as_json=as_json)


@_command("validate")
def validate(
    folder: Folder,
    folds: Annotated[int, typer.Option(min=2, help=_help("option_folds"))] = 10,
    *,
    as_json: AsJson = False,
) -> None:
    """Hold out wells and months; accuracy and calibration tables."""
    with _refusals(folder, as_json=as_json), _progress(_language(folder)) as tell:
        result, written = project.validate(folder, folds=folds, progress=tell)
    text = f"{console.validation_text(result, _language(folder))}\n{written}"
    figures = {"accuracy": result.accuracy.to_dict("records"), "calibration": result.calibration.to_dict("records")}
    _print(figures, text, as_json=as_json)


@_command("approve")
def approve(
    folder: Folder,
    quarter: Quarter,
    release: Annotated[str, typer.Option(help=_help("option_release"))],
    by: Annotated[str, typer.Option(help=_help("option_by"))],
    *,
    as_json: AsJson = False,
) -> None:
    """Approve a release; it is then the one that counts."""
    project.approve(folder, quarter=quarter, release=release, by=by, at=dt.datetime.now(_SHANGHAI))
    _print(
        {"quarter": quarter, "release": release, "approved_by": by},
        console.approval_text(quarter, release, by, _language(folder)),
        as_json=as_json,
    )


@_command("releases")
def releases(folder: Folder, *, as_json: AsJson = False) -> None:
    """List the releases: state, county total, which counts, what each started from and replaces."""
    listed = project.releases(folder)
    _print(
        {"releases": listed.to_dict("records")},
        console.releases_text(listed, _language(folder)),
        as_json=as_json,
    )


def _known_language(lang: str | None) -> None:
    if lang not in {None, *LANGUAGES}:
        raise UsageError(f"--lang: expected one of {', '.join(LANGUAGES)}, found {lang!r}")


def _language(folder: Path, *, unknown: str = "zh") -> str:
    """Give the language in which a project is told what was done; Chinese where its configuration cannot be read."""
    try:
        return load_config(folder).project.language
    except Elec2WaterError:
        return unknown


def _in_words(message: str) -> str:
    """Say an error in the language of the project that was named; where none can be read, in Chinese and English."""
    languages = {_language(Path(word), unknown="") for word in sys.argv[1:] if (Path(word) / CONFIG_NAME).is_file()}
    if "en" in languages:
        return message
    chinese = translated(message, "zh")
    return chinese if "zh" in languages or chinese == message else f"{chinese}\n{message}"


def _wrong_command_line(error: Exception) -> str:
    """Say what is wrong with the command line, with its usage; the help that is shown without a command as it is."""
    shown = io.StringIO()
    error.show(file=shown)  # type: ignore[attr-defined]
    text = shown.getvalue().rstrip()
    return _in_words(text) if "Error: " in text else text


@contextmanager
def _progress(lang: str) -> Iterator[Progress]:
    """Show what is being done on standard error: one live line on a terminal, a line a step elsewhere."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status("") as status:
            yield lambda text: status.update(f"{translated(text, lang)} …")
    else:
        yield lambda text: _say(f"{translated(text, lang)} …")


@contextmanager
def _refusals(folder: Path, *, as_json: bool) -> Iterator[None]:
    """Write the findings of refused data beside the inputs, and say every reason, before the command ends."""
    try:
        yield
    except DataRefusedError as refused:
        found = Findings(refused.findings.frame)
        path = checking.write_findings(folder, found)
        _say(console.refusal_text(found, path, _language(folder)))
        if as_json:
            figures = {"folder": str(folder), "refused": True, "findings": _counts(found), "written": str(path)}
            _print(figures, "", as_json=True)
        raise


def _plan_figures(plan: RetestPlan, written: list[Path]) -> dict[str, object]:
    wells = plan.wells.assign(last_tested_on=plan.wells["last_tested_on"].astype("str").replace("NaT", ""))
    return {
        "quarter": plan.quarter,
        "kind": plan.kind,
        "cost": plan.cost,
        "wells": wells.to_dict("records"),
        "totals": plan.totals.to_dict("records"),
        "written": [str(path) for path in written],
    }


def _counts(found: Findings) -> dict[str, int]:
    counts = found.frame["severity"].value_counts()
    return {name: int(counts.get(name, 0)) for name in ("error", "warning", "info")}


def _print(figures: Mapping[str, object], text: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(_finite(figures), ensure_ascii=False, sort_keys=True, allow_nan=False) if as_json else text)


def _finite(value: object) -> object:
    """Turn what JSON has no word for into plain values: NaN and infinity into null, numpy scalars into Python's."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def _say(text: str) -> None:
    typer.echo(text, err=True)
