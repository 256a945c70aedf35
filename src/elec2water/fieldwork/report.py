"""The report of a design: one printed page that says who is measured, how precisely that tells the volumes, and why."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from importlib import resources
from string import Template

import numpy as np
import pandas as pd
from scipy import special

from elec2water.design.result import Design
from elec2water.design.words import Words, design_words
from elec2water.fieldwork.sheet_words import sheet_words, stratum_label
from elec2water.figure import Lang
from elec2water.plot_design import curve_png, has_places, map_png

_LEVEL = 0.90
_Z = float(special.ndtri(0.5 * (1 + _LEVEL)))
_MOST_STRATA = 10
_MOST_DOMAINS = 9
_DOMAINS_SHOWN = ("county", "aquifer", "township")
_KWH_A_UNIT = 1e4
_DPI = 130


def design_report(design: Design, visits: pd.DataFrame, wells: pd.DataFrame, *, county: str, lang: Lang = "zh") -> str:
    """Write the one-page report of a design as HTML.

    Coverage, strata and allocation, expected precision by domain, what n − 10, n + 10 and n + 50 wells would change,
    the map and the curve. It prints on one sheet of A4 and needs nothing from outside.

    Parameters
    ----------
    design : Design
    visits : DataFrame
        Of :func:`~.visits.visits_of`.
    wells : DataFrame
        The registry, for the map.
    county : str
        Its name.
    lang : {"zh", "en"}

    Returns
    -------
    str
        Self-contained HTML; text of the registry is escaped.
    """
    words = design_words(lang)
    template = (resources.files("elec2water") / "data" / "design_report.html").read_text(encoding="utf-8")
    parts = {
        "lang": {"zh": "zh-CN", "en": "en"}[lang],
        "title": html.escape(words["title"].format(county=county)),
        "summary": html.escape(_summary(design, words)),
        "coverage": _section(words["coverage"], _coverage(design, words)),
        "what_if": _section(words["what_if"], _what_if(design, words)),
        "domains": _section(words["domains"], _domains(design, words)),
        "strata": _section(words["strata"], _strata(design, words, lang)),
        "map": _section(
            words["map"], _picture(map_png(visits, wells, dpi=_DPI, lang=lang) if has_places(wells) else b"")
        ),
        "curve": _section(
            words["curve"], _picture(curve_png(design.curve, words, dpi=_DPI) if len(design.curve) else b"")
        ),
        "how": html.escape(_how(design, words)),
    }
    return Template(template).substitute(parts)


def _summary(design: Design, words: Words) -> str:
    inside = design.coverage.loc[design.coverage["reason"] == "in_frame"]
    return words["summary"].format(
        primary=f"{len(design.primary):,}",
        reserve=f"{len(design.reserves):,}",
        strata=len(design.allocation),
        frame=f"{int(inside['n_wells'].sum()):,}",
        covered=_percent(float(inside["energy_share"].sum())),
        cv=_percent(design.expected_cv),
        level=_percent(_LEVEL, 0),
        half=_percent(_Z * design.expected_cv),
    )


def _coverage(design: Design, words: Words) -> str:
    rows = [
        (_word(words, "reason", reason), f"{n:,}", f"{energy / _KWH_A_UNIT:,.1f}", _percent(share))
        for reason, n, energy, share in design.coverage[["reason", "n_wells", "energy_kwh", "energy_share"]].itertuples(
            index=False, name=None
        )
    ]
    return _table([words[name] for name in ("reason", "n_wells", "energy", "share")], rows, left=1)


def _what_if(design: Design, words: Words) -> str:
    marked = design.curve.loc[design.curve["mark"] != ""].sort_values("n")
    rows = [
        (_word(words, "mark", mark), f"{n:,}", _percent(cv), f"±{_percent(_Z * cv)}")
        for n, cv, mark in marked[["n", "expected_cv", "mark"]].itertuples(index=False, name=None)
    ]
    own = [i for i, mark in enumerate(marked["mark"]) if mark == "n"]
    head = [words["mark"], words["n"], words["cv"], words["half"].format(level=_percent(_LEVEL, 0))]
    return _table(head, rows, left=1, own=own)


def _domains(design: Design, words: Words) -> str:
    """Every aquifer and the townships, the least precise first; how many are left out, and how precise they are."""
    rows: list[Sequence[str]] = []
    for domain in _DOMAINS_SHOWN:
        part = design.precision.loc[design.precision["domain"] == domain].sort_values("expected_cv", ascending=False)
        for key, n_wells, n_sample, cv, target in part.head(_MOST_DOMAINS)[
            ["key", "n_wells", "n_sample", "expected_cv", "target_cv"]
        ].itertuples(index=False, name=None):
            name = _word(words, "domain", domain) + ("" if domain == "county" else f"：{key}")
            rows.append((name, f"{n_wells:,}", f"{n_sample:,}", _percent(cv), _percent(target)))
        rest = part.iloc[_MOST_DOMAINS:]
        if len(rest):
            low, high = (_percent(value) for value in rest["expected_cv"].agg(["min", "max"]))
            text = words["worst"].format(n=len(rest), low=low, high=high)
            rows.append((text, f"{rest['n_wells'].sum():,}", f"{rest['n_sample'].sum():,}", "", ""))
    head = [words[name] for name in ("key", "n_wells", "n_sample", "cv", "target")]
    return _table(head, rows, left=1)


def _strata(design: Design, words: Words, lang: Lang) -> str:
    table = design.allocation.sort_values(["n_sample", "n_wells"], ascending=False, kind="stable")
    columns = [name for name in ("n_neyman", "n_proportional") if name in table.columns]
    shown, rest = table.head(_MOST_STRATA), table.iloc[_MOST_STRATA:]
    energy = "energy_kwh" in table.columns
    sheet = sheet_words(lang).words
    rows: list[Sequence[str]] = []
    for record in shown.to_dict("records"):
        kwh = f"{record['energy_kwh'] / _KWH_A_UNIT:,.1f}" if energy else ""
        numbers = (f"{record['n_wells']:,}", kwh, f"{record['n_sample']:,}")
        rows.append(
            (
                stratum_label(str(record["stratum"]), sheet),
                *numbers,
                *(f"{record[c]:,}" for c in columns),
                _percent(record["expected_cv"]),
            )
        )
    if len(rest):
        kwh = f"{rest['energy_kwh'].sum() / _KWH_A_UNIT:,.1f}" if energy else ""
        numbers = (f"{rest['n_wells'].sum():,}", kwh, f"{rest['n_sample'].sum():,}")
        rows.append((words["others"].format(n=len(rest)), *numbers, *(f"{rest[c].sum():,}" for c in columns), ""))
    head = ("stratum", "n_wells", "energy", "n_sample", *columns, "cv")
    return _table([words[name] for name in head], rows, left=1)


def _how(design: Design, words: Words) -> str:
    policy = design.policy
    return words["how"].format(
        selection=_word(words, "selection", policy.get("selection", "")),
        seed=design.seed,
        lonely=_word(words, "lonely", policy.get("lonely", "adjust")),
        anticipated=_source(words, str(policy.get("anticipated", ""))),
        merges=len(design.merges),
        refusal=_percent(_number(policy.get("refusal_rate"))),
        dead=_percent(_number(policy.get("dead_meter_rate"))),
    )


def _source(words: Words, source: str) -> str:
    """Say where the anticipated coefficients come from: a release keeps its name."""
    kind, _, name = source.partition(" ")
    return words.get(f"anticipated_{kind}", source).format(name=name)


def _picture(png: bytes) -> str:
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">' if png else ""


def _section(heading: str, body: str) -> str:
    return f"<h2>{html.escape(heading)}</h2>{body}" if body else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int, own: Sequence[int] = ()) -> str:
    def cells(record: Sequence[str], tag: str) -> str:
        kinds = ["t" if i < left else "" for i in range(len(record))]
        return "".join(
            f'<{tag} class="{kind}">{html.escape(cell)}</{tag}>' for cell, kind in zip(record, kinds, strict=True)
        )

    body = "".join(f'<tr class="{"own" if i in own else ""}">{cells(row, "td")}</tr>' for i, row in enumerate(rows))
    return f"<table><thead><tr>{cells(head, 'th')}</tr></thead><tbody>{body}</tbody></table>" if rows else ""


def _word(words: Words, kind: str, code: object) -> str:
    return words.get(f"{kind}_{code}", str(code))


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %" if np.isfinite(share) else ""
