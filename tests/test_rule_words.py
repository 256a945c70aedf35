"""The words of findings as an official reads them: percentages with their sign, no placeholder, one word for a well."""

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from elec2water.energy import read_energy
from elec2water.findings import findings_of
from elec2water.rules import LANGUAGES, RuleSettings, rules

SRC = Path(__file__).parent.parent / "src" / "elec2water"
MODULES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SRC.rglob("*.py"))}
SPEAKING = {"findings_of", "largest_of", "finding", "of", "of_meters", "refuse", "findings"}

_FIELD = r"\{(?P<name>\w+)(?P<spec>:[^}]*)?\}(?P<sign> ?%)?"
PART = {
    "zh": re.compile(r"(?:占(?:[^{，。；）]|\{period\})*|变异系数 )" + _FIELD),
    "en": re.compile(
        _FIELD
        + r" of (?:all\b|its electricity|the (?:water of|electricity) |what the total)|CV of "
        + _FIELD.replace("?P<", "?P<cv_")
    ),
}
"""Where a sentence speaks of a part of something, or of a coefficient of variation."""


def parts_in(rule, lang):
    found = [part.groupdict() for part in PART[lang].finditer(rules()[rule].template(lang))]
    return [{name.removeprefix("cv_"): text for name, text in part.items() if text} for part in found]


def written_by_callers(rule, field):
    """Give what the package passes for a field of a rule, as source."""
    name = rule.partition("@")[0]
    given = []
    for path, tree in MODULES.items():
        text = path.read_text(encoding="utf-8")
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args):
            called = getattr(call.func, "id", getattr(call.func, "attr", ""))
            rule_given = call.args[0]
            if called in SPEAKING and isinstance(rule_given, ast.Constant) and rule_given.value == name:
                given += [ast.get_source_segment(text, word.value) for word in call.keywords if word.arg == field]
    return given


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_part_of_something_is_written_in_per_cent(lang):
    told = [(rule, part) for rule in rules() for part in parts_in(rule, lang)]
    assert len(told) >= 5
    for rule, part in told:
        signed = "sign" in part or part.get("spec", "").endswith("%")
        given = written_by_callers(rule, part["name"])
        assert signed or (given and all("%" in source for source in given)), (rule, part)


def test_a_load_beside_the_pump_is_told_in_per_cent_and_kept_as_a_number():
    found = findings_of("NON_PUMP_LOAD", table="readings", meter_id="m1", observed=60.0, limit=0.175).frame
    assert "每月约 60 kWh（占其全部电量的 17.5%）" in found["message"].item()
    assert found["limit"].item() == "0.175"
    english = findings_of("NON_PUMP_LOAD", table="readings", meter_id="m1", observed=60.0, limit=[0.175], lang="en")
    assert "(17.5% of its electricity)" in english.frame["message"].item()


def test_a_clause_of_which_nothing_is_known_is_left_out():
    def said(kwh, candidate):
        found = findings_of("ORPHAN_READING", table="readings", meter_id="m1", kwh=kwh, candidate=candidate)
        return found.frame["message"].item().partition("。")[0]

    assert said("70", "M1") == "电表 m1 没有对应的取水口，其读数未计入（电量 70 kWh）（相近编号：M1）"
    assert said("70", "") == "电表 m1 没有对应的取水口，其读数未计入（电量 70 kWh）"
    assert said("", "") == "电表 m1 没有对应的取水口，其读数未计入"


def test_no_module_that_makes_findings_fills_a_gap_with_a_sign():
    for path, tree in MODULES.items():
        names = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(tree)}
        if SPEAKING - {"of", "findings", "refuse"} & names:
            parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
            texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in parts}
            signs = {text for text in texts if text in ("?", "？", "—", "n/a", "nan", "NaN", "None")}
            assert not signs, (path, signs)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_templates_have_no_placeholder_and_clauses_close(lang):
    for name, rule in rules().items():
        text = rule.template(lang)
        outside = re.sub(r"\[\[[^\[\]]*\{[^\[\]]*\]\]", "", text)
        assert "[[" not in outside, name
        assert "]]" not in outside, name
        assert not re.search(r"[：:（(] ?[?？—–] ?[）),，。]|\bNone\b|\bnan\b", text), name
    assert not [record for record in RuleSettings().table(lang) if "[[" in record["meaning"]]


def test_energies_volumes_and_depths_have_their_unit():
    """Numbers that follow the name of a quantity, in Chinese as officials read it."""
    quantity = re.compile(
        r"(?:电量|水量|年许可水量|安装深度|井深)(?:为|之和)? ?\{(?:observed|limit|kwh|energy_kwh)\}(.{0,5})"
    )
    for name, rule in rules().items():
        for after in quantity.findall(rule.message["zh"]):
            assert re.match(r" ?(kWh|m³|m\b|m )", after), (name, after)


@pytest.mark.parametrize(("form", "said"), [("energy_kwh", "本行 700 kWh"), ("register_kwh", "本行示数 700")])
def test_a_register_is_not_called_an_energy(form, said):
    """Two rows of one meter and day, or period, that contradict each other."""
    days = pd.to_datetime(["2026-01-01"] * 2 + ["2026-02-01"])
    readings = pd.DataFrame({"meter_id": ["a"] * 3, form: [700.0, 500.0, 900.0]})
    dates = {"read_on": days} if form == "register_kwh" else {"start": days, "end": days + pd.Timedelta(days=28)}
    wells = pd.DataFrame({"well_id": ["a"], "pump_power_kw": [7.5]})
    first, last = np.datetime64("2026-01"), np.datetime64("2026-02")
    read = read_energy(wells, pd.DataFrame(), readings.assign(**dates), first=first, last=last)
    messages = read.findings.of(rule="READING_CONTRADICTION").frame["message"]
    assert [said in message for message in messages] == [True, False]


def test_a_well_is_counted_by_one_word():
    pages = [*SRC.rglob("*.csv"), *SRC.rglob("*.py"), *SRC.rglob("*.html"), SRC.parent.parent / "README.zh.md"]
    counted = re.compile(r"[一几每多同\d}] ?口(?:样本|备用|备选|备)?井|[几\d}] ?口(?=[没在，。])")
    told = {path.name: counted.findall(path.read_text(encoding="utf-8")) for path in pages}
    assert not {name: words for name, words in told.items() if words}
