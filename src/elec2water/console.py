"""What the commands say on the screen: tables with headings of the project's language, numbers rounded for a reader.

The words are data (``data/console.csv``). Files and ``--json`` keep the canonical names and every digit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from elec2water.design import Design
from elec2water.design.words import word, worded
from elec2water.findings import Findings
from elec2water.retest import RetestPlan
from elec2water.tables import Tables
from elec2water.validation import Validation

if TYPE_CHECKING:
    from elec2water.project import Run

_KINDS_SHOWN = 15
_ERRORS_SHOWN = 20
_FIRST = 5
_TOTALS_SHOWN = 30
_STAKES_SHOWN = 20
_DOMAINS_SHOWN = ("county", "aquifer", "township")
_METHODS = ["n_measured", "n_converted", "n_imputed", "n_none"]


@cache
def _words(kind: str, lang: str) -> Mapping[str, str]:
    return {row["key"]: row[lang] for row in worded("console.csv", lang) if row["kind"] == kind}


def _text(key: str, lang: str, **values: object) -> str:
    return _words("text", lang)[key].format(**values)


def _said(codes: pd.Series[Any], lang: str) -> pd.Series[Any]:
    """Say codes in words, as they are where there are none."""
    known = _words("word", lang)
    return codes.astype(str).map(lambda code: known.get(code, code))


def _thousands(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:,.0f}"


def _percent(value: float) -> str:
    return "–" if pd.isna(value) else f"{100 * value:.1f}"


def _decimals(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.2f}"


def _yes(values: pd.Series[Any], lang: str) -> list[str]:
    said = _words("word", lang)
    return [said["yes" if value else "no"] for value in values]


_FORMATS: Mapping[str, Callable[[float], str]] = {
    **dict.fromkeys(("n_wells", "energy_kwh", "volume_m3", "se_after_m3", "cost"), _thousands),
    **dict.fromkeys(("relative_error", "expected_cv", "energy_share", "variance_cut", "total_error"), _percent),
    **dict.fromkeys(("mean_absolute_error", "weighted_absolute_error", "level", "coverage", "mean_width"), _percent),
    **dict.fromkeys(("coefficient_m3_per_kwh", "crps_m3_per_kwh", "rmse_log"), _decimals),
    "years_since_test": lambda value: "–" if pd.isna(value) else f"{value:.1f}",
}


def table_text(frame: pd.DataFrame, lang: str) -> str:
    """Lay a table out in columns, Chinese characters two wide.

    Parameters
    ----------
    frame : DataFrame
        Columns of ``data/console.csv`` under their canonical names.
    lang : {"zh", "en"}

    Returns
    -------
    str
    """
    shown = pd.DataFrame({name: frame[name].map(_FORMATS.get(str(name), str)) for name in frame.columns})
    headings = _words("column", lang)
    with pd.option_context({"display.unicode.east_asian_width": True}):
        return shown.rename(columns=lambda name: headings.get(name, name)).to_string(index=False)


def help_text(key: str, lang: str) -> str:
    """Say what a command is for, or an option (``option_`` and its name)."""
    return _words("help", lang)[key]


def run_text(done: Run, lang: str) -> str:
    """Show the totals of a quarter, what moved, what it started from, its findings and its folder."""
    totals = done.totals
    shown = totals.loc[totals["domain"].isin(_DOMAINS_SHOWN)]
    hidden = len(shown) - _TOTALS_SHOWN
    shown = shown.sort_values("domain", key=lambda names: names == "township", kind="stable").head(_TOTALS_SHOWN)
    table = pd.DataFrame(
        {
            "domain": _said(shown["domain"], lang),
            "key": shown["key"],
            "wells": shown["n_wells"],
            "energy_kwh": shown["energy_kwh"],
            "volume_m3": shown["volume_m3"],
            "relative_error": shown["se_m3"] / shown["volume_m3"],
            "interval_m3": [f"{a:,.0f} – {b:,.0f}" for a, b in zip(shown["lower_m3"], shown["upper_m3"], strict=True)],
            "methods": ["/".join(map(str, row)) for row in shown[_METHODS].to_numpy()],
        }
    )
    lines = [table_text(table, lang)]
    lines += [_text("more_totals", lang, n=hidden)] if hidden > 0 else []
    lines += ["", str(done.summary["news"])] if done.summary["news"] else []
    lines += ["", _origin_text(done.summary, lang), "", findings_text(done.findings, lang)]
    state = _text("written" if done.release.created else "unchanged", lang)
    return "\n".join([*lines, f"{done.release.folder} ({state})"])


def start_text(version: str, lang: str) -> str:
    """Say in words what ``coefficient_version`` of a manifest says: from which release a quarter started.

    Examples
    --------
    >>> start_text("refit (doubled) of 2026Q2 r1 0123456789abcdef", "zh")
    '由 2026Q2 r1（0123456789abcdef）重新估计，原因：样本成倍增加'
    """
    how, of, rest = version.partition(" of ")
    said = _words("word", lang)
    if not of:
        return said.get(version, version)
    release, _, digest = rest.rpartition(" ")
    if how == "update":
        return _text("update_of", lang, release=release, digest=digest)
    reason = how.removeprefix("refit (").removesuffix(")")
    return _text("refit_of", lang, release=release, digest=digest, reason=said.get(reason, reason))


def _origin_text(summary: Mapping[str, Any], lang: str) -> str:
    """Say from which coefficient the quarter started, and what it changes of the release that it replaces."""
    text = _text("started", lang, start=start_text(str(summary["coefficient"]), lang))
    if (before := summary["replaces"]) is None:
        return text
    change = "" if before["change"] is None else f" ({before['change']:+.2%})"
    was, now = (f"{volume:,.0f}" for volume in (before["volume_m3"], summary["county"]["volume_m3"]))
    return f"{text}\n" + _text("replaces", lang, release=before["release"], was=was, now=now, change=change)


def design_text(drawn: Design, lang: str) -> str:
    """Say what a design holds: the frame, the strata, other numbers of wells, and its findings."""
    covered = drawn.coverage.loc[drawn.coverage["reason"] == "in_frame", "energy_share"].sum()
    head = _text(
        "design", lang, primary=len(drawn.primary), reserves=len(drawn.reserves), strata=len(drawn.allocation),
        covered=f"{covered:.1%}", cv=f"{drawn.expected_cv:.1%}", seed=drawn.seed,
    )  # fmt: skip
    coverage = drawn.coverage.assign(reason=[word("reason", code, lang) for code in drawn.coverage["reason"]])
    lines = [head, table_text(coverage, lang), table_text(drawn.allocation.head(_TOTALS_SHOWN), lang)]
    hidden = len(drawn.allocation) - _TOTALS_SHOWN
    lines += [_text("more_strata", lang, n=hidden)] if hidden > 0 else []
    return "\n".join([*lines, _curve_text(drawn, lang), findings_text(drawn.findings, lang)])


def _curve_text(drawn: Design, lang: str) -> str:
    marked, texts = drawn.curve.loc[drawn.curve["mark"] != ""], _words("text", lang)
    points = [
        _text("curve_point", lang, mark=texts.get(f"mark_{mark}", mark), n=n, cv=f"{cv:.1%}")
        for n, cv, mark in marked.to_numpy(dtype=object)
    ]
    return texts["curve"] + ("；" if lang == "zh" else "; ").join(points)


def plan_text(plan: RetestPlan, lang: str) -> str:
    """List the wells to test next, and what they do to the standard error of the county."""
    if plan.wells.empty:
        return _text("no_plan", lang, quarter=plan.quarter)
    before, after = plan.wells["se_before_m3"].iloc[0], plan.wells["se_after_m3"].iloc[-1]
    head = _text(
        "plan", lang, quarter=plan.quarter, n=len(plan.wells), before=f"{before:,.0f}", after=f"{after:,.0f}",
        cost=f"{plan.cost:,.0f}",
    )  # fmt: skip
    columns = ["order", "well_id", "township", "sampled", "years_since_test", "variance_cut", "se_after_m3", "cost"]
    shown = plan.wells[[name for name in columns if name in plan.wells.columns]]
    shown = shown.assign(sampled=_yes(shown["sampled"], lang))
    return f"{head}\n{table_text(shown, lang)}"


def validation_text(result: Validation, lang: str) -> str:
    """Show the errors of the model and its peers at what was held out, then the coverage of the model's intervals.

    Without the mean of relative errors, which is above zero for a right mean and would be read as too high.
    """
    parts = []
    for name in ("accuracy", "calibration"):
        table: pd.DataFrame = getattr(result, name)
        frame = table.drop(columns="mean_error", errors="ignore")
        said = {column: _said(frame[column], lang) for column in ("held_out", "method") if column in frame}
        parts.append(f"{_text(name, lang)}\n{table_text(frame.assign(**said), lang)}")
    return "\n\n".join(parts)


def releases_text(listed: pd.DataFrame, lang: str) -> str:
    """List the releases of a project, a line each."""
    if listed.empty:
        return _text("no_releases", lang)
    shown = listed[["quarter", "release", "state", "approved_by", "approved_at", "counts", "volume_m3"]].assign(
        state=_said(listed["state"], lang),
        counts=_yes(listed["counts"], lang),
        interval_m3=[
            "–" if pd.isna(low) else f"{low:,.0f} – {high:,.0f}"
            for low, high in listed[["lower_m3", "upper_m3"]].to_numpy()
        ],
        started_from=[start_text(str(version), lang) for version in listed["started_from"]],
        replaces=listed["replaces"],
    )
    return table_text(shown.replace("", "–"), lang)


def template_text(written: Sequence[Path], lang: str) -> str:
    """Say which templates were written, and what is to be done with them."""
    return "\n".join([*map(str, written), _text("templates", lang)])


def tables_text(tables: Tables, lang: str) -> str:
    """Say how many rows of each table were read."""
    counts = [f"{name} {len(getattr(tables, key)):,}" for key, name in _words("table", lang).items()]
    return _text("tables", lang, tables=("，" if lang == "zh" else ", ").join(counts))


def findings_text(found: Findings, lang: str) -> str:
    """Count the findings, give every reason for a refusal, then a line for each kind."""
    summary, severities = found.summary(), _words("word", lang)
    counts = found.frame["severity"].value_counts()
    lines = [_text("findings", lang, **{name: counts.get(name, 0) for name in ("error", "warning", "info")})]
    lines += _error_lines(found.errors.frame, lang)
    summary = summary.loc[summary["severity"] != "error"]
    columns = ("severity", "rule", "table", "count", "first", "message")
    places = _first_places(found.frame)
    for severity, rule, table, count, first, message in summary[list(columns)].head(_KINDS_SHOWN).to_numpy():
        others = f"  ({first}{', …' if count > _FIRST else ''})" if count > 1 and first else ""
        lines.append(f"  {severities[severity]:<7} {rule} × {count}  {places[severity, rule, table]} {message}{others}")
    if len(summary) > _KINDS_SHOWN:
        lines.append("  " + _text("more_kinds", lang, n=len(summary) - _KINDS_SHOWN))
    return "\n".join(lines)


def stakes_text(found: Findings, lang: str) -> str:
    """List the warnings with the most energy at stake, each with its likely causes; blank where there are none."""
    warned = found.warnings.frame
    staked = warned[warned["energy_kwh"].gt(0)].head(_STAKES_SHOWN)
    if staked.empty:
        return ""
    columns = ("energy_kwh", "rule", "meter_id", "well_id", "period", "candidates")
    lines = [_text("at_stake", lang)]
    for kwh, rule, meter, well, period, causes in zip(*(staked[name] for name in columns), strict=True):
        who = " ".join(filter(None, [meter, f"→ {well}" if well else ""]))
        lines.append(f"  {kwh:>12,.0f} kWh  {rule}  {who}  {period}  {causes.replace('|', ' / ')}".rstrip())
    more = int(warned["energy_kwh"].gt(0).sum()) - len(staked)
    return "\n".join(lines + (["  " + _text("more_findings", lang, n=more)] if more > 0 else []))


def _error_lines(errors: pd.DataFrame, lang: str) -> list[str]:
    """Say every reason for a refusal, each with its place: one alone would send the user through them one by one."""
    shown = errors[["rule", "table", "file", "row", "message"]].head(_ERRORS_SHOWN)
    severity, lines = _words("word", lang)["error"], []
    for rule, table, file, row, message in zip(*(shown[name] for name in shown), strict=True):
        lines.append(f"  {severity:<7} {rule}  {_place(table, file, row)} {message}")
    if len(errors) > _ERRORS_SHOWN:
        lines.append("  " + _text("more_errors", lang, n=len(errors) - _ERRORS_SHOWN))
    return lines


def _first_places(found: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """Say where the first finding of each kind lies, by severity, rule and table."""
    kinds = found.drop_duplicates(["severity", "rule", "table"])
    columns = ("severity", "rule", "table", "file", "row")
    return {
        (severity, rule, table): _place(table, file, row)
        for severity, rule, table, file, row in zip(*(kinds[name] for name in columns), strict=True)
    }


def _place(table: str, file: str, row: float | None) -> str:
    """Give file and row, as far as they are known, else the table."""
    named = file or f"[{table}]"
    return named if pd.isna(row) else f"{named}:{row}"


def rules_text(records: list[dict[str, object]], lang: str) -> str:
    """List the rules, in the codes that ``[rules]`` of a configuration takes, each with its meaning."""
    lines, words = [], _words("word", lang)
    for r in records:
        limit = "" if r["threshold"] is None else f"  [{r['threshold']:g} {r['unit']}]".replace(" ]", "]")
        changed = [
            f"{words[name]}: {r[f'default_{name}']}"
            for name in ("severity", "threshold")
            if r[name] != r[f"default_{name}"]
        ]
        state = "" if r["enabled"] else f"  ({words['disabled']})"
        was = f"  ({words['default']} {', '.join(changed)})" if changed else ""
        said = "" if lang == "en" else f"{words[str(r['severity'])]} "
        lines.append(f"{said}{r['severity']:<7} {r['rule']}{limit}{state}{was}\n        {r['meaning']}")
    return "\n".join(lines)


def approval_text(quarter: str, release: str, by: str, lang: str) -> str:
    """Say who approved which release."""
    return _text("approved", lang, quarter=quarter, release=release, by=by)


def refusal_text(found: Findings, path: object, lang: str) -> str:
    """Say that the data were refused, every reason, and where they are written."""
    return f"{_text('refused', lang)}\n{findings_text(found, lang)}\n{path}"
