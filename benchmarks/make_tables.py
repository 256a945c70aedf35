"""Write what the benchmarks measured into docs/*.md and the two READMEs.

    python benchmarks/make_tables.py

Reads benchmarks/results; every figure in the documents comes from there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from accuracy import SIZES, summarise

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
STUDIES = (
    "accuracy_demo",
    "accuracy_demo_same",
    "accuracy_others",
    "accuracy_others_same",
    "accuracy_small_demo",
    "accuracy_small_others",
)
COVERAGES = ("county", "township", "aquifer", "well")
TARGETS = {60: "≤ 3 %", 150: "≤ 1.8 %"}


def studies() -> pd.DataFrame:
    """All cases of the accuracy studies."""
    cases = []
    for name in STUDIES:
        path = RESULTS / f"{name}.json"
        if path.exists():
            cases += json.loads(path.read_text(encoding="utf-8"))["cases"]
    # A study run again for some sizes stands for the earlier one.
    found = pd.DataFrame(cases).drop_duplicates(["generator", "when", "n", "seed"], keep="last")
    order = {name: k for k, name in enumerate(found["generator"].unique())}
    return found.sort_values(["generator", "when", "n"], key=lambda c: c.map(order) if c.name == "generator" else c)


def table(header: list[str], rows: list[list[str]]) -> str:
    """Write a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def accuracy_table(summary: pd.DataFrame) -> str:
    """RMSE and bias of the county quarter, and coverage, a row a generator, quarter and sample size."""
    header = ["county", "quarter", "sample wells", "n", "class mean", "ratio", "best possible", "as metered"]
    header += ["elec2water", "× best", "× as metered", "bias ± s.e.", *(f"90 % of {name}" for name in COVERAGES)]
    header += ["measured wells"]
    rows = [_accuracy_row(row) for row in summary.to_dict("records")]
    return table(header, rows)


def _accuracy_row(row: Mapping) -> list[str]:
    return [
        str(row["generator"]),
        str(row["quarter"]),
        str(row["sample wells"]),
        str(row["counties"]),
        *(f"{row[f'RMSE {k}']:.1f}" for k in ("class mean", "ratio", "best", "best metered", "model")),
        f"{row['model / best']:.2f}",
        f"{row['RMSE model'] / row['RMSE best metered']:.2f}",
        f"{row['bias']:+.2f} ± {row['± se']:.2f}",
        *(f"{row[f'cover {name}']:.0f}" for name in COVERAGES),
        f"{row['cover sampled']:.0f}",
    ]


def quarters_table() -> str:
    """Give the accuracy of every quarter of a year."""
    rows = json.loads((RESULTS / "quarters.json").read_text(encoding="utf-8"))["rows"]
    words = "counties|sample wells|quarter|number|of the year's water, %|RMSE: best possible|elec2water|bias|stated"
    head = [*words.split("|"), "90 % intervals: county / townships / wells"]
    cells = [
        [
            *(str(r[name]) for name in ("counties", "sample wells", "quarter", "number")),
            f"{r['share of the year']:.0f}",
            f"{r['RMSE best']:.1f}",
            f"{r['RMSE']:.1f}",
            f"{r['bias']:+.1f} ± {r['± se']:.1f}",
            f"{r['stated']:.1f}",
            " / ".join(f"{r[f'cover {name}']:.0f}" for name in ("county", "township", "well")),
        ]
        for r in rows
    ]
    return table(head, cells)


def readme_table(summary: pd.DataFrame, *, chinese: bool) -> str:
    """Give the demo counties in short."""
    words = ("样本井数", "分类均值", "比率法", "elec2water", "90 % 区间覆盖（县／乡镇／单井）") if chinese else (
        "sample wells", "class mean", "ratio", "elec2water", "90 % intervals: county / townships / wells")  # fmt: skip
    chosen = summary[(summary["generator"] == "demo") & (summary["quarter"] == "next")]
    rows = [
        [
            str(r["sample wells"]),
            *(f"{r[f'RMSE {k}']:.1f} %" for k in ("class mean", "ratio", "model")),
            " / ".join(f"{r[f'cover {k}']:.0f} %" for k in ("county", "township", "well")),
        ]
        for r in chosen.to_dict("records")
        if r["sample wells"] in SIZES
    ]
    return table(list(words), rows)


MIXED = ("bench_mixed", "cases", "A 20000", "tools")
PEERS_ELSEWHERE = (
    (
        "lme-python, 20,000 wells × 12",
        0.106,
        ("bench_mixed", "cases", "A 20000", "tools", "lme-python 0.2.7", "seconds"),
    ),
    ("mixedlm, 20,000 wells × 12", 0.236, (*MIXED, "mixedlm 1.3.0", "seconds")),
    ("R lme4, 20,000 wells × 12", 2.73, (*MIXED, "R lme4 1.1.31", "seconds")),
    ("svy, totals of 300 domains", 0.123, ("bench_survey", "peers", "svy", "totals, 300 domains", 0)),
    ("marginaleffects, 1,000,000 wells", 3.46, ("bench_totals", "marginaleffects_s")),
    ("rts-smoother, 1,000,000 series", 0.82, ("bench_recursion", "peers", "rts-smoother (one q and r)", "seconds")),
    ("simdkalman, 1,000,000 series", 4.92, ("bench_recursion", "peers", "simdkalman", "seconds")),
)
"""Seconds of peers on the machine for which the times to reach were stated, and where their seconds here stand."""


def machine_part() -> str:
    """Say how the machine of these tables compares with that of the times to reach, by the same peers on both."""
    rows, ratios = [], []
    for name, there, (file, *keys) in PEERS_ELSEWHERE:
        here = json.loads((RESULTS / f"{file}.json").read_text(encoding="utf-8"))
        for key in keys:
            here = here[key]
        ratios.append(here / there)
        rows.append([name, f"{there:.3g}", f"{here:.3g}", f"× {ratios[-1]:.1f}"])
    text = (
        "The times that the project set itself were stated for another machine (2 cores, Zen 5). The same peers take "
        f"{min(ratios):.1f}–{max(ratios):.1f} times as long here, {np.median(ratios):.1f} times in the middle, each "
        "timed in its own hour with other work beside: read seconds here as roughly so many times shorter there.\n\n"
    )
    return "## The machine\n\n" + text + table(["peer", "there, s", "here, s", "here against there"], rows)


def speed_tables() -> str:
    """Ratios against the peers, from the JSON of each benchmark."""
    parts = [machine_part()]
    writers = {
        "bench_readers": readers_part,
        "bench_mixed": mixed_part,
        "bench_survey": survey_part,
        "bench_totals": totals_part,
        "bench_recursion": recursion_part,
        "bench_update": update_part,
        "bench_design": allocation_part,
        "bench_selection": selection_part,
        "selection_study": selection_quality_part,
    }
    for name, writer in writers.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            parts.append(writer(json.loads(path.read_text(encoding="utf-8"))))
    parts.append(
        "## A whole quarter\n\nParquet in, everything a run writes out; one process, seconds of the processor. The "
        "quarter alone is the folder with the bills of its three months and the pairs of the same; a well is then "
        "known by the electricity of the quarter, the other nine months of its year counting as a mean one of the "
        "three. Fifteen months are what a county keeps.\n"
    )
    parts += [path.read_text(encoding="utf-8") for path in sorted(RESULTS.glob("bench_scale*.md"))]
    return "\n".join(parts)


def readers_part(data: Mapping) -> str:
    """Write reading beside polars and calamine, and from Parquet to energy and findings."""
    rows, energy = [], []
    for case, r in data.items():
        if "cells" in r:
            energy.append([case, f"{r['clock_s']:.1f}", f"{r['processor_s']:.1f}", f"{r['peak_gb']:.2f}"])
            continue
        peer = "polars" if "polars_s" in r else "calamine"
        more = next((name for name in ("polars_dates", "polars_long") if f"{name}_s" in r), "")
        dates = f"{r[f'{more}_s']:.2f} (× {r[f'ratio_{more}']:.2f})" if more else "–"
        times = f"{r[f'{peer}_s']:.2f} (× {r[f'ratio_{peer}']:.2f}; × {r[f'ratio_{peer}_processor']:.2f})"
        rows.append([case, f"{r['elec2water_s']:.2f}", f"{peer} {times}", dates, f"{r['peak_gb']:.2f}"])
    head = ["file", "read, typed and checked, s", "only read, s (clock; processor)", "dates too (wide: made long)",
            "peak, GB"]  # fmt: skip
    how = "Two cores, other work beside; ours and theirs by turns, best of five. CSV, xlsx: peak at most."
    text = f"## Readers\n\n{how}\n\n" + table(head, rows)
    return text + "\n" + table(["from the folder", "s by the clock", "s of the processor", "peak, GB"], energy)


def mixed_part(data: Mapping) -> str:
    """Nested random intercepts by REML, all tools in one run."""
    rows = [
        [case, tool, f"{r['seconds']:.4f}", f"× {r['times_ours']:.1f}", f"{r['log_likelihood']:.4f}"]
        for case, block in data["cases"].items()
        for tool, r in block["tools"].items()
    ]
    return "## Mixed model (REML)\n\n" + table(["case", "tool", "s", "against ours", "log-likelihood"], rows)


def survey_part(data: Mapping) -> str:
    """Design-based totals against svy, samplics and R survey."""
    peers = list(data["peers"])
    rows = [
        [job, f"{1000 * ours[0]:.2f} ms", *(_seconds(data["peers"][peer].get(job), ours[0]) for peer in peers)]
        for job, ours in data["elec2water"].items()
    ]
    size = f"{data['sample']:,} sample wells, {data['strata']:,} strata, {data['domains']} domains."
    return f"## Design-based totals\n\n{size}\n\n" + table(["job", "elec2water", *peers], rows)


def _seconds(peer: list | None, ours: float) -> str:
    return "–" if peer is None else f"{peer[0]:.3f} s (× {peer[0] / ours:.0f})"


def totals_part(data: Mapping) -> str:
    """Township totals with their joint covariance."""
    rows = [[k.replace("_", " "), "–" if v is None else f"{v:,.4g}"] for k, v in data.items()]
    return "## Township totals with their joint covariance\n\n" + table(["", ""], rows)


def allocation_part(data: Mapping) -> str:
    """Allocation and selection on the province frame, all tools in one run; what is frozen says so."""
    head = ["allocation", "wells", "real-valued", "s"]
    rows = [
        [
            f"{tool} (frozen)" if tool.startswith(("R2BEAT", "SamplingStrata")) else tool,
            f"{r['wells']:,.0f}",
            f"{r['real_valued']:,.0f}" if "real_valued" in r else "",
            f"{r['seconds']:.2f}" if "seconds" in r else "",
        ]
        for tool, r in data["allocation"].items()
    ]
    drawn = [
        [
            tool,
            f"{r['wells']:,}" if "wells" in r else "",
            r["seconds"] if isinstance(r["seconds"], str) else f"{r['seconds']:.2f}",
        ]
        for tool, r in data["selection"].items()
    ]
    cvs = ", ".join(f"{rule} {cv:.3%}" for rule, cv in data["expected_cv"].items())
    return (
        f"## Allocation on a province frame: 1,000,000 wells, {data['strata']:,} strata\n\n"
        "CV of volume and energy: 5 % in each of 300 townships and 2 % in each of 30 counties; "
        "at least 2 wells a stratum.\n\n"
        f"{table(head, rows)}\n{table(['selection', 'wells', 's'], drawn)}\n"
        f"Expected CV of the province's total with so many wells: {cvs}.\n"
    )


def selection_part(rows: list[Mapping]) -> str:
    """Stratified selection against svy, samplics and R sampling; peers against ours of the same job and frame."""
    ours = {(r["job"], r["wells"]): r["s"] for r in rows if r["tool"] == "elec2water"}
    lines = []
    for r in rows:
        own = ours[r["job"], r["wells"]]
        seconds = r["s"] if isinstance(r["s"], str) else f"{r['s']:.3f}"
        ratio = "" if isinstance(r["s"], str) else f"× {r['s'] / own:.1f}"
        lines.append([r["job"], f"{r['wells']:,}", f"{r['strata']:,}", r["tool"], seconds, ratio])
    head = ["job", "wells", "strata", "tool", "s", "against ours"]
    return "## Selection of stratified samples\n\n" + table(head, lines)


def selection_quality_part(data: Mapping) -> str:
    """Whether stated probabilities are true, and what the methods of selection give."""
    checked = [
        [name, f"{r['draws']:,}", f"{r['units']}", f"{r['largest_z']:.2f}", f"{r['mean_z2']:.2f}",
         f"{r['outside_99_percent_bounds']}"]
        for name, r in data["probabilities"].items()
    ]  # fmt: skip
    head = [
        "method",
        "draws",
        "uncertain wells",
        "largest deviation (s.e.)",
        "mean square",
        "outside 99 % bounds (all together)",
    ]
    given = [
        [r["method"], f"{r['voronoi']:.3f}", f"{r['energy_cv']:.2%}", f"{r['volume_cv']:.2%}"] for r in data["quality"]
    ]
    quality = ["method", "Voronoi measure", "CV of Σ energy/π", "CV of Σ volume/π"]
    return (
        "## Selection: are the stated probabilities true?\n\n" + table(head, checked)
        + "\nSpread and balance over simulated counties whose strata lie across one another on the map:\n\n"
        + table(quality, given)
    )  # fmt: skip


def recursion_part(data: Mapping) -> str:
    """Give the filters of very many series, and the shared path."""
    ours = data["independent"]
    fastest = next(iter(ours.values()))
    rows = [[name, f"{seconds:.3f} s", ""] for name, seconds in ours.items()]
    for name, peer in data["peers"].items():
        scaled = "" if peer["timed"] == data["series"] else f" (scaled from {peer['timed']:,})"
        rows.append([name, f"{peer['seconds']:.3g} s{scaled}", f"× {peer['seconds'] / fastest:.0f}"])
    size = f"{data['series']:,} series × {data['steps']} months, a fifth missing, variances of each series' own."
    differ = data["peers"]["statsmodels KalmanFilter"]["largest_difference"]
    joint = ", ".join(f"{n} wells {s:.2f} s" for n, s in data["joint_statsmodels"].items())
    shared = [[name, f"{seconds:.2f} s"] for name, seconds in data["shared"].items()]
    answers = [[name, f"{data['answers'][name]:.12g}", f"{value:.12g}"] for name, value in data["kfas"].items()]
    return (
        f"## Local levels of very many wells\n\n{size}\n\n"
        + table(["", "time", "against the first"], rows)
        + f"\nLargest difference from statsmodels, states and likelihood: {differ:.1e}.\n\n"
        + "### With the path that a class shares, exactly\n\n"
        + f"The same readings. The joint filter of statsmodels, a state a well, grows as n³: {joint}.\n\n"
        + table(["", "time"], shared)
        + "\n"
        + table(["50 wells × 40 months", "elec2water", "R KFAS (frozen)"], answers)
    )


def update_part(data: Mapping) -> str:
    """Give the fit of a province's posterior, and its update at the same variances."""
    rows = [
        [f"{r['wells']:,}", str(r["months"]), f"{r['pairs']:,}", str(r["effects"]), *_fit_and_update(r)]
        for r in data["fit"]
    ]
    header = ["sample wells", "months", "pairs", "shared effects", "fit, s", "update, s", "processor s, both"]
    return "## A province's posterior\n\n" + table(header, rows)


def _fit_and_update(row: Mapping) -> list[str]:
    return [f"{row['seconds']:.0f}", f"{row['update_seconds']:.0f}", f"{row['cpu_seconds']:.0f}"]


def between(text: str, mark: str, new: str) -> str:
    """Replace what stands between two comment marks."""
    pattern = rf"(<!-- {mark}:begin -->\n).*?(<!-- {mark}:end -->)"
    return re.sub(pattern, lambda m: f"{m.group(1)}\n{new}\n{m.group(2)}", text, flags=re.DOTALL)


_EXPECTATIONS = (("ours_greg", "expected"), ("second_greg", "second_expected"))


def design_worth(data: Mapping) -> str:
    """Give what the design is worth, by generator: errors of a year's county total, in per cent."""
    found = pd.DataFrame(data["counties"])
    squares = ["srs_class_means", "systematic_pps", "ours_greg", "ours_model"]
    heads = ["counties of", "n", "SRS, class means", "systematic ∝ energy, ratio", "our design, GREG"]
    heads += ["our design, model", "stated s.e.", "expected CV", "realised / expected"]
    heads += ["second design, GREG", "stated s.e.", "expected CV", "realised / expected"]
    rows = []
    for name, part in [*found.groupby("generator"), ("all", found)]:
        rmse = [100 * float((part[column] ** 2).mean()) ** 0.5 for column in squares]
        first = [100 * part["se"].mean(), 100 * part["expected"].mean()]
        second = [100 * float((part["second_greg"] ** 2).mean()) ** 0.5]
        second += [100 * part["second_se"].mean(), 100 * part["second_expected"].mean()]
        ratios = [f"{(part[a] / part[b]).mean():.2f}" for a, b in _EXPECTATIONS]
        cells, again = ([f"{value:.1f}" for value in values] for values in ([*rmse, *first], second))
        rows.append([str(name), str(len(part)), *cells, ratios[0], *again, ratios[1]])
    return table(heads, rows)


def retests() -> str:
    """Give the page on tests with what the study measured."""
    words = {
        "meter_drawn": "One month of metering each, the wear of each county drawn from what is believed of it:",
        "meter_drawn_12": "The same, the sixty wells of the first year read every month of it:",
        "meter_drawn_12_of_30": "Thirty wells in the first year, read every month of it:",
        "test": "One short pumping test each:",
    }
    found = [
        f"{words[kind]}\n\n{path.read_text(encoding='utf-8')}"
        for kind in words
        if (path := RESULTS / f"next_study_{kind}.md").exists()
    ]
    text = (ROOT / "docs" / "retests.in.md").read_text(encoding="utf-8")
    bound = RESULTS / "next_bound.md"
    text = text.replace("{{next_bound}}", bound.read_text(encoding="utf-8") if bound.exists() else "not run")
    return text.replace("{{next_study}}", "\n".join(found) or "not run")


UPDATING = (
    ("levels", "water levels known"),
    ("drawn", "the same, wear and answer to the head drawn"),
    ("blind", "no water levels"),
)


def updating_table() -> str:
    """Give how a coefficient measured once serves later years, with levels and without, in counties of every kind."""
    heads = [
        "", "counties", "year", "number", "bias", "added since year 1", "RMSE", "stated", "90 % intervals", "mean z",
        "fixed coefficient: bias",
    ]  # fmt: skip
    rows = [
        [words if k == 0 else "", year["generator"] if year["year"] == 1 else "", str(year["year"]), *_updated(year)]
        for study, words in UPDATING
        if (path := RESULTS / f"updating_{study}.json").exists()
        for k, year in enumerate(json.loads(path.read_text(encoding="utf-8"))["by_year"])
    ]
    return table(heads, rows)


def _updated(year: Mapping) -> list[str]:
    added = "" if year["year"] == 1 else f"{100 * year['added']:+.1f} ± {100 * year['added_se']:.1f} %"
    return [
        str(year["counties"]),
        f"{100 * year['bias']:+.1f} ± {100 * year['bias_se']:.1f} %",
        added,
        *(f"{100 * year[name]:.1f} %" for name in ("rmse", "se")),
        f"{100 * year['covered_90']:.0f} %",
        f"{year['z_mean']:+.2f}",
        f"{100 * year['fixed_bias']:+.1f} %",
    ]


NAMED = ("×10", "multiplier lost", "rollover", "exchanged", "shifted", "stated twice")
"""Faults of which at least 90 % are to be found."""


def faults_again(results: Mapping) -> str:
    """Sum up the fault study of counties of other seeds: least recall of the faults that count most, false alarms."""
    stated = {"METER_SILENT", "NON_PUMP_LOAD", "OFF_CYCLE", "ESTIMATE_MERGED", "PARTIAL_MONTH", "SEVERAL_METERS",
              "SHARED_METER", "METER_NO_DATA", "WELL_WITHOUT_ENERGY", "OVER_CAPACITY"}  # fmt: skip
    recall = [
        min(found / of for fault, (found, of) in one["recall"].items() if any(word in fault for word in NAMED) and of)
        for one in results.values()
    ]
    alarms = [
        1000 * sum(count for rule, count in one["alarms"].items() if rule not in stated) / one["well_quarters"]
        for one in results.values()
    ]
    return table(
        ["counties of other seeds", *results],
        [
            ["least recall: ×10, multiplier lost, rollover, exchange, shift, twice", *(f"{r:.0%}" for r in recall)],
            ["sum of false alarms", *(f"{a:.2f}" for a in alarms)],
        ],
    )


def main() -> None:
    """Write the documents."""
    summary = summarise(studies())
    intro = (ROOT / "docs" / "accuracy.in.md").read_text(encoding="utf-8")
    fields = RESULTS / "field_tests.md"
    text = intro.replace("{{study}}", accuracy_table(summary))
    text = text.replace("{{quarters}}", quarters_table())
    text = text.replace("{{field_tests}}", fields.read_text(encoding="utf-8") if fields.exists() else "not run")
    (ROOT / "docs" / "accuracy.md").write_text(text, encoding="utf-8")
    head = "# Speed against the peers\n\nEvery comparison was timed in one run on one machine; read the ratios.\n\n"
    (ROOT / "docs" / "speed.md").write_text(head + speed_tables(), encoding="utf-8")
    (ROOT / "docs" / "retests.md").write_text(retests(), encoding="utf-8")
    energy = ROOT / "docs" / "energy.md"
    text = energy.read_text(encoding="utf-8")
    for mark, name in (
        ("faults", "fault_study"),
        ("tables", "fault_tables"),
        ("limit", "level_limit"),
        ("hidden", "hidden_months"),
        ("few", "few_read"),
        ("shared", "shared_meters"),
    ):
        made = RESULTS / f"{name}.md"
        text = between(text, mark, made.read_text(encoding="utf-8")) if made.exists() else text
    again = json.loads((RESULTS / "fault_study_11.json").read_text(encoding="utf-8"))
    energy.write_text(between(text, "again", faults_again(again)), encoding="utf-8")
    page = ROOT / "docs" / "updating.md"
    text = between(page.read_text(encoding="utf-8"), "updating", updating_table())
    for name in ("pumps", "works"):
        made = RESULTS / f"{name}.md"
        text = between(text, name, made.read_text(encoding="utf-8")) if made.exists() else text
    page.write_text(text, encoding="utf-8")
    page, worth = ROOT / "docs" / "design.md", RESULTS / "design_study.json"
    if worth.exists():
        made = design_worth(json.loads(worth.read_text(encoding="utf-8")))
        page.write_text(between(page.read_text(encoding="utf-8"), "worth", made), encoding="utf-8")
    for name, chinese in (("README.md", False), ("README.zh.md", True)):
        path = ROOT / name
        path.write_text(
            between(path.read_text(encoding="utf-8"), "study", readme_table(summary, chinese=chinese)), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
