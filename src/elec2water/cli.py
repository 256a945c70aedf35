"""The commands of the contract: progress on standard error, results on standard output, exit status 0, 1 or 2."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console

from elec2water import project
from elec2water.design import Design
from elec2water.errors import DataRefusedError, Elec2WaterError, UsageError
from elec2water.findings import Findings
from elec2water.quarter import Progress
from elec2water.retest import RetestPlan
from elec2water.rules import LANGUAGES
from elec2water.version import VERSION, source_digest

app = typer.Typer(
    name="elec2water",
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
_ERRORS_SHOWN = 20
_FIRST = 5
_TOTALS_SHOWN = 30
_STAKES_SHOWN = 20
_SHANGHAI = dt.timezone(dt.timedelta(hours=8))


def _show_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"elec2water {VERSION} (source {source_digest()[:16]})")
        raise typer.Exit


@app.callback()
def elec2water(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit")
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
        app()
    except DataRefusedError:
        sys.exit(DATA_REFUSED)
    except Elec2WaterError as error:
        _say(f"elec2water: {error}")
        sys.exit(WRONG_USAGE)
    except BrokenPipeError:
        # Who reads our lines has read enough (`| head`); what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"elec2water: {where}{error.strerror or error}. See that it exists and that you may read and write there.")
        sys.exit(WRONG_USAGE)


@app.command()
def demo(
    folder: Folder,
    wells: Annotated[int, typer.Option(help="Number of wells, at least 20")] = 500,
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
def check(
    folder: Folder,
    *,
    plots: Annotated[bool, typer.Option("--plots", help="Draw the calendar and the meters most at stake")] = False,
    as_json: AsJson = False,
) -> None:
    """Read and validate everything; findings, those with the most energy at stake first, no estimates."""
    with _progress() as tell:
        tell("reading and checking the tables")
        county = project.check(folder)
        path = project.write_findings(folder, county.findings)
        refused = county.findings.errors.count > 0
        figures_made = project.check_figures(county) if plots and not refused else []
    figures = {
        "folder": str(folder),
        "refused": refused,
        "findings": _counts(county.findings),
        "written": str(path),
        "plots": [str(made) for made in figures_made],
    }
    text = [
        repr(county.tables),
        _findings_text(county.findings),
        _stakes_text(county.findings),
        *map(str, figures_made),
    ]
    _print(figures, "\n".join([*filter(None, text), str(path)]), as_json=as_json)
    if refused:
        raise typer.Exit(DATA_REFUSED)


@app.command()
def rules(
    folder: Annotated[Path | None, typer.Argument(help="Project folder, to show what its [rules] change")] = None,
    lang: Annotated[str | None, typer.Option(help="zh or en; by default the project's, else zh")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List every rule of the findings: meaning, severity, threshold, and what the project changed."""
    if lang not in {None, *LANGUAGES}:
        raise UsageError(f"--lang: expected one of {', '.join(LANGUAGES)}, found {lang!r}")
    records = project.rule_table(folder, lang=lang)
    _print({"rules": records}, _rules_text(records), as_json=as_json)


@app.command()
def design(
    folder: Folder,
    n: SampleSize = None,
    target_cv: Annotated[float | None, typer.Option(help="Expected CV of the county total, as a fraction")] = None,
    budget: Annotated[
        float | None, typer.Option(min=0.0, help="Money; costs are in [design] of elec2water.toml")
    ] = None,
    seed: Seed = 2026,
    *,
    extend: Annotated[bool, typer.Option("--extend", help="Keep the wells that are measured already")] = False,
    rotate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of them that rotates out")] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Draw the sample of wells to measure."""
    with _refusals(folder, as_json=as_json), _progress() as tell:
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
    _print(figures, _design_text(drawn, written[0].parent), as_json=as_json)


@app.command()
def run(
    folder: Folder,
    quarter: Quarter,
    as_of: Annotated[str | None, typer.Option(help="ISO date; later readings and pairs are not used")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check, fit, estimate and publish a quarter: the main job."""
    with _refusals(folder, as_json=as_json), _progress() as tell:
        done = project.run(folder, quarter=quarter, as_of=as_of, progress=tell)
        project.write_findings(folder, done.findings)
    _print(done.summary, _run_text(done), as_json=as_json)


@app.command("next")
def next_wells(
    folder: Folder,
    n: SampleSize = None,
    quarter: Annotated[str | None, typer.Option(help="Quarter whose totals are to be sharper, like 2026Q3")] = None,
    budget: Annotated[float | None, typer.Option(help="Most that may be spent; prices are in [next]")] = None,
    kind: Annotated[str, typer.Option(help="test (a short pumping test) or meter (a month of metering)")] = "test",
    *,
    as_json: AsJson = False,
) -> None:
    """Choose the wells to test next: the set that cuts the variance of the reported totals most for its cost."""
    with _refusals(folder, as_json=as_json), _progress() as tell:
        plan, written = project.next_wells(folder, n=n, quarter=quarter, budget=budget, kind=kind, progress=tell)
    _print(_plan_figures(plan, written), _plan_text(plan, written), as_json=as_json)


@app.command()
def validate(
    folder: Folder,
    folds: Annotated[int, typer.Option(min=2, help="Parts in which the sample wells are held out")] = 10,
    *,
    as_json: AsJson = False,
) -> None:
    """Hold out wells and months; accuracy and calibration tables."""
    with _refusals(folder, as_json=as_json), _progress() as tell:
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
def _refusals(folder: Path, *, as_json: bool) -> Iterator[None]:
    """Write the findings of refused data beside the inputs, and say every reason, before the command ends."""
    try:
        yield
    except DataRefusedError as refused:
        found = Findings(refused.findings.frame)
        path = project.write_findings(folder, found)
        _say(f"数据未被接受 (the data were refused)\n{_findings_text(found)}\n{path}")
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


def _plan_text(plan: RetestPlan, written: list[Path]) -> str:
    columns = ["order", "well_id", "township", "sampled", "years_since_test", "variance_cut", "se_after_m3", "cost"]
    shown = plan.wells[[name for name in columns if name in plan.wells.columns]]
    table = shown.round({"years_since_test": 1, "variance_cut": 4, "se_after_m3": 0}).to_string(index=False, na_rep="–")
    return "\n".join([repr(plan), table, *map(str, written)])


def _design_text(drawn: Design, folder: Path) -> str:
    marked = drawn.curve.loc[drawn.curve["mark"] != ""]
    curve = "；".join(f"{mark}: n = {n}, CV {cv:.2%}" for n, cv, mark in marked.to_numpy(dtype=object))
    hidden = len(drawn.allocation) - _TOTALS_SHOWN
    rest = f"\n… and {hidden} more strata in allocation.csv" if hidden > 0 else ""
    allocation = drawn.allocation.head(_TOTALS_SHOWN).to_string(index=False)
    coverage = drawn.coverage.to_string(index=False)
    return f"{drawn!r}\n{coverage}\n{allocation}{rest}\n{curve}\n{_findings_text(drawn.findings)}\n{folder}"


def _run_text(done: project.Run) -> str:
    totals = done.totals
    shown = totals.loc[totals["domain"].isin(["county", "aquifer", "township"])]
    hidden = len(shown) - _TOTALS_SHOWN
    shown = shown.sort_values("domain", key=lambda names: names == "township", kind="stable").head(_TOTALS_SHOWN)
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
    rest = f"\n… and {hidden} more in totals.csv" if hidden > 0 else ""
    news = f"\n\n{done.summary['news']}" if done.summary["news"] else ""
    lines = f"{table.to_string(index=False)}{rest}{news}{_origin_text(done.summary)}"
    return f"{lines}\n\n{_findings_text(done.findings)}\n{done.release.folder} ({state})"


def _origin_text(summary: Mapping[str, Any]) -> str:
    """Say from which coefficient the quarter started, and what it changes of the release that it replaces."""
    text = f"\n\n起点 (started from): {summary['coefficient']}"
    if (before := summary["replaces"]) is None:
        return text
    change = "" if before["change"] is None else f" ({before['change']:+.2%})"
    now = summary["county"]["volume_m3"]
    return f"{text}\n替代 (replaces) {before['release']}: {before['volume_m3']:,.0f} → {now:,.0f} m³{change}"


def _rules_text(records: list[dict[str, object]]) -> str:
    lines = []
    for r in records:
        limit = "" if r["threshold"] is None else f"  [{r['threshold']:g} {r['unit']}]".replace(" ]", "]")
        changed = [
            f"{name}: {r[f'default_{name}']}" for name in ("severity", "threshold") if r[name] != r[f"default_{name}"]
        ]
        state = "" if r["enabled"] else "  (disabled)"
        was = f"  (default {', '.join(changed)})" if changed else ""
        lines.append(f"{r['severity']:<7} {r['rule']}{limit}{state}{was}\n        {r['meaning']}")
    return "\n".join(lines)


def _findings_text(found: Findings) -> str:
    summary = found.summary()
    counts = ", ".join(f"{n} {severity}" for severity, n in _counts(found).items())
    lines = [f"findings: {counts}"]
    lines += _error_lines(found.errors.frame)
    summary = summary.loc[summary["severity"] != "error"]
    columns = ("severity", "rule", "table", "count", "first", "message")
    for severity, rule, table, count, first, message in summary[list(columns)].head(_KINDS_SHOWN).to_numpy():
        others = f"  ({first}{', …' if count > _FIRST else ''})" if count > 1 and first else ""
        lines.append(f"  {severity:<7} {rule} × {count}  [{table}] {message}{others}")
    if len(summary) > _KINDS_SHOWN:
        lines.append(f"  … and {len(summary) - _KINDS_SHOWN} more kinds in findings.csv")
    return "\n".join(lines)


def _stakes_text(found: Findings) -> str:
    """List the warnings with the most energy at stake, each with its likely causes."""
    warned = found.warnings.frame
    staked = warned[warned["energy_kwh"].gt(0)].head(_STAKES_SHOWN)
    if staked.empty:
        return ""
    columns = ("energy_kwh", "rule", "meter_id", "well_id", "period", "candidates")
    lines = ["energy at stake:"]
    for kwh, rule, meter, well, period, causes in zip(*(staked[name] for name in columns), strict=True):
        who = " ".join(filter(None, [meter, f"→ {well}" if well else ""]))
        lines.append(f"  {kwh:>12,.0f} kWh  {rule}  {who}  {period}  {causes.replace('|', ' / ')}".rstrip())
    more = int(warned["energy_kwh"].gt(0).sum()) - len(staked)
    return "\n".join(lines + ([f"  … and {more} more in findings.csv"] if more > 0 else []))


def _error_lines(errors: pd.DataFrame) -> list[str]:
    """Say every reason for a refusal, each with its place: one alone would send the user through them one by one."""
    shown = errors[["rule", "table", "file", "row", "message"]].head(_ERRORS_SHOWN)
    lines = []
    for rule, table, file, row, message in zip(*(shown[name] for name in shown), strict=True):
        place = (file if pd.isna(row) else f"{file}:{row}") or f"[{table}]"
        lines.append(f"  error   {rule}  {place} {message}")
    if len(errors) > _ERRORS_SHOWN:
        lines.append(f"  … and {len(errors) - _ERRORS_SHOWN} more errors in findings.csv")
    return lines


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
