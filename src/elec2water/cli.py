"""The commands of the contract: progress on standard error, results on standard output, exit status 0, 1 or 2."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console

from elec2water import project
from elec2water.errors import DataRefusedError, Elec2WaterError
from elec2water.findings import Findings
from elec2water.project import Progress

app = typer.Typer(
    name="elec2water",
    help="以电折水: volumes of pumped groundwater from the electricity of farm wells, with an uncertainty that can be believed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Folder = Annotated[Path, typer.Argument(help="Project folder with elec2water.toml")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one machine-readable summary on standard output")]
Quarter = Annotated[str, typer.Option(help="Quarter, like 2026Q3")]
SampleSize = Annotated[int | None, typer.Option("--n", min=1, help="Number of wells to measure")]
Seed = Annotated[int, typer.Option(help="Seed of everything random")]

DATA_REFUSED = 1
WRONG_USAGE = 2
_KINDS_SHOWN = 15
_SHANGHAI = dt.timezone(dt.timedelta(hours=8))


def main() -> None:
    """Run the console script ``elec2water``."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="replace")
    try:
        app()
    except DataRefusedError as refused:
        _say(str(refused))
        sys.exit(DATA_REFUSED)
    except Elec2WaterError as error:
        _say(f"elec2water: {error}")
        sys.exit(WRONG_USAGE)


@app.command()
def demo(
    folder: Folder,
    wells: Annotated[int, typer.Option(min=20, help="Number of wells")] = 500,
    seed: Seed = 2026,
    *,
    as_json: AsJson = False,
) -> None:
    """Write a synthetic county with known truth, ready to run."""
    with _progress() as tell:
        made = project.demo(folder, wells=wells, seed=seed, progress=tell)
    _print(
        {"folder": str(made), "wells": wells, "seed": seed},
        f"{made}\nelec2water run {made} --quarter 2026Q3",
        as_json=as_json,
    )


@app.command()
def check(folder: Folder, *, as_json: AsJson = False) -> None:
    """Read and validate everything; findings, no estimates."""
    with _progress() as tell:
        tell("reading and checking the tables")
        county = project.check(folder)
        path = project.write_findings(folder, county.findings)
    refused = county.findings.errors.count > 0
    figures = {"folder": str(folder), "refused": refused, "findings": _counts(county.findings), "written": str(path)}
    _print(figures, f"{county.tables!r}\n{_findings_text(county.findings)}\n{path}", as_json=as_json)
    if refused:
        raise typer.Exit(DATA_REFUSED)


@app.command()
def design(
    folder: Folder,
    n: SampleSize = None,
    target_cv: Annotated[float | None, typer.Option(help="Expected CV of the county total, as a fraction")] = None,
    seed: Seed = 2026,
    *,
    as_json: AsJson = False,
) -> None:
    """Draw the sample of wells to measure."""
    with _refusals(folder), _progress() as tell:
        tell("drawing the sample")
        drawn, written = project.design(folder, n=n, target_cv=target_cv, seed=seed)
    figures = {
        "n_primary": len(drawn.primary),
        "n_reserve": len(drawn.reserves),
        "n_strata": len(drawn.allocation),
        "expected_cv": drawn.expected_cv,
        "written": [str(p) for p in written],
    }
    _print(figures, f"{drawn!r}\n{drawn.allocation.to_string(index=False)}\n{written[0].parent}", as_json=as_json)


@app.command()
def run(
    folder: Folder,
    quarter: Quarter,
    as_of: Annotated[str | None, typer.Option(help="ISO date; later readings and pairs are not used")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check, fit, estimate and publish a quarter: the main job."""
    with _refusals(folder), _progress() as tell:
        done = project.run(folder, quarter=quarter, as_of=as_of, progress=tell)
    _print(done.summary, _run_text(done), as_json=as_json)


@app.command()
def validate(
    folder: Folder,
    folds: Annotated[int, typer.Option(min=2, help="Parts in which the sample wells are held out")] = 10,
    *,
    as_json: AsJson = False,
) -> None:
    """Hold out wells and months; accuracy and calibration tables."""
    with _refusals(folder), _progress() as tell:
        result, written = project.validate(folder, folds=folds, progress=tell)
    text = f"{result.accuracy.to_string(index=False)}\n\n{result.calibration.to_string(index=False)}\n{written}"
    figures = {"accuracy": result.accuracy.to_dict("records"), "calibration": result.calibration.to_dict("records")}
    _print(figures, text, as_json=as_json)


@app.command()
def approve(
    folder: Folder,
    quarter: Quarter,
    release: Annotated[str, typer.Option(help="Release, like r1")],
    by: Annotated[str, typer.Option(help="Name of the person who approves")],
    *,
    as_json: AsJson = False,
) -> None:
    """Approve a release; it is then the one that counts."""
    project.approve(folder, quarter=quarter, release=release, by=by, at=dt.datetime.now(_SHANGHAI))
    _print(
        {"quarter": quarter, "release": release, "approved_by": by},
        f"{quarter} {release}: approved by {by}",
        as_json=as_json,
    )


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show what is being done on standard error: one live line on a terminal, a line a step elsewhere."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status("") as status:
            yield lambda text: status.update(f"{text} …")
    else:
        yield lambda text: _say(f"{text} …")


@contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    """Write the findings of refused data beside the inputs before the command ends."""
    try:
        yield
    except DataRefusedError as refused:
        found = refused.findings
        if isinstance(found, Findings):
            _say(f"{_findings_text(found)}\n{project.write_findings(folder, found)}")
        raise


def _run_text(done: project.Run) -> str:
    totals = done.totals
    shown = totals.loc[totals["domain"].isin(["county", "township", "aquifer"])]
    table = pd.DataFrame(
        {
            "domain": shown["domain"],
            "key": shown["key"],
            "wells": shown["n_wells"],
            "energy_kwh": shown["energy_kwh"].map("{:,.0f}".format),
            "volume_m3": shown["volume_m3"].map("{:,.0f}".format),
            "±%": (100 * shown["se_m3"] / shown["volume_m3"]).map("{:.1f}".format),
            "interval_m3": [f"{a:,.0f} – {b:,.0f}" for a, b in zip(shown["lower_m3"], shown["upper_m3"], strict=True)],
            "measured/converted/imputed/none": [
                "/".join(map(str, row))
                for row in shown[["n_measured", "n_converted", "n_imputed", "n_none"]].to_numpy()
            ],
        }
    )
    state = "written" if done.release.created else "unchanged: the same inputs gave this release before"
    return f"{table.to_string(index=False)}\n\n{_findings_text(done.findings)}\n{done.release.folder} ({state})"


def _findings_text(found: Findings) -> str:
    summary = found.summary()
    counts = ", ".join(f"{n} {severity}" for severity, n in _counts(found).items())
    lines = [f"findings: {counts}"]
    for row in summary.head(_KINDS_SHOWN).itertuples():
        lines.append(f"  {row.severity:<7} {row.rule} × {row.count}  [{row.table}] {row.message}")
    if len(summary) > _KINDS_SHOWN:
        lines.append(f"  … and {len(summary) - _KINDS_SHOWN} more kinds")
    return "\n".join(lines)


def _counts(found: Findings) -> dict[str, int]:
    counts = found.frame["severity"].value_counts()
    return {name: int(counts.get(name, 0)) for name in ("error", "warning", "info")}


def _print(figures: Mapping[str, object], text: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(figures, ensure_ascii=False, sort_keys=True, default=float) if as_json else text)


def _say(text: str) -> None:
    typer.echo(text, err=True)
