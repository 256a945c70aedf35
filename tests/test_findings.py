"""The table of findings: wording from data, broadcasting, order, and what a refusal says."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elec2water.errors import DataRefusedError, Elec2WaterError
from elec2water.findings import COLUMNS, Findings, findings_of
from elec2water.rules import LANGUAGES, SEVERITIES, RuleSettings, causes, rules


def test_scalars_are_broadcast_against_arrays():
    found = findings_of(
        "OUT_OF_RANGE", table="wells", file="w.csv", row=np.array([7, 3]), well_id=["b", "a"], observed=[1e9, np.nan],
        limit="0–5", column="井深",
    )  # fmt: skip
    frame = found.frame
    assert tuple(frame.columns) == COLUMNS
    assert frame["row"].tolist() == [3, 7]
    assert frame["well_id"].tolist() == ["a", "b"]
    assert frame["observed"].tolist() == ["", "1000000000"]
    assert frame["severity"].tolist() == ["warning", "warning"]
    assert frame["message"][1] == "井深的值 1000000000 超出可能范围 0–5，不参与计算。处理：核对数值与单位"


def test_a_message_has_the_digits_a_reader_needs_and_the_columns_keep_theirs():
    found = findings_of(
        "OUT_OF_RANGE", table="wells", observed=[12345678.9123, 0.123456789012, 99.5], limit="0–5", column="井深"
    )
    frame = found.frame
    shown = [re.search(r"的值 (\S+)", message)[1] for message in frame["message"]]
    assert dict(zip(frame["observed"], shown, strict=True)) == {
        "12345678.91": "12345679", "0.123456789": "0.123457", "99.5": "99.5"
    }  # fmt: skip


def test_one_language_each():
    english = findings_of("PASSWORD", table="wells", lang="en").frame["message"][0]
    assert english == "the workbook is protected by a password. To do: save it without the password"


def test_no_element_no_finding_and_unequal_arrays_raise():
    assert findings_of("OUT_OF_RANGE", table="wells", row=[], column="x").count == 0
    with pytest.raises(ValueError, match="one length"):
        findings_of("OUT_OF_RANGE", table="wells", row=[1, 2], well_id=["a"], column="x")
    with pytest.raises(KeyError):
        findings_of("NO_SUCH_RULE", table="wells")
    with pytest.raises(ValueError, match="columns"):
        Findings(pd.DataFrame({"rule": []}))


@settings(max_examples=15)
@given(st.permutations(range(6)))
def test_order_does_not_depend_on_the_order_of_checks(order):
    parts = [
        findings_of("PASSWORD", table="wells", file="b"), findings_of("PASSWORD", table="wells", file="a"),
        findings_of("PAIR_ENERGY", table="pairs", row=[5, 2], observed=0), findings_of("NO_ROWS", table="pairs"),
        findings_of("ROWS_ABOVE_HEADER", table="wells", observed=1), Findings.empty(),
    ]  # fmt: skip
    whole = Findings.concat([parts[i] for i in order])
    assert whole.equals(Findings.concat(parts))
    assert whole.frame["severity"].map(SEVERITIES.index).is_monotonic_increasing
    assert (whole.errors.count, whole.warnings.count, whole.count) == (3, 2, 6)


def test_adding_and_the_frame_given_out_change_nothing():
    one = findings_of("PASSWORD", table="wells")
    both = one + one
    given_out = one.frame
    given_out.loc[0, "rule"] = "X"
    assert one.frame["rule"][0] == "PASSWORD"
    assert (one.count, both.count, len(both)) == (1, 2, 2)


def test_summary_counts_by_rule_and_table_and_shows_five():
    found = findings_of("PAIR_ENERGY", table="pairs", row=list(range(2, 9)), well_id=list("abcdefg"), observed=0)
    summary = (found + findings_of("NO_ROWS", table="wells", observed=0)).summary()
    assert summary["count"].tolist() == [1, 7]
    assert summary["first"].tolist() == ["", "a, b, c, d, e"]
    assert "7" in found._repr_html_()
    assert "PAIR_ENERGY" in repr(found)


def test_a_refusal_lists_every_error_and_no_warning():
    found = findings_of("BLANK_ID", table="wells", file="w.csv", row=[4, 9], column="well_id", limit="取水口编号")
    error = DataRefusedError(found + findings_of("PAIR_ENERGY", table="pairs", observed=0))
    text = str(error)
    assert isinstance(error, Elec2WaterError)
    assert "2 reason(s)" in text
    assert "w.csv:4" in text
    assert "w.csv:9" in text
    assert "PAIR_ENERGY" not in text


def test_every_rule_speaks_both_languages_and_errors_say_what_to_do():
    for name, rule in rules().items():
        assert name == name.upper()
        for lang in LANGUAGES:
            assert rule.message[lang], name
            assert rule.action[lang] or rule.severity == "info", name


def test_findings_come_in_the_order_of_the_energy_at_stake():
    found = findings_of("PAIR_ENERGY", table="pairs", row=[1, 2, 3], observed=0, energy_kwh=[5.0, np.nan, 70.0])
    whole = found + findings_of("NO_ROWS", table="wells", observed=0)
    assert whole.frame["rule"].tolist() == ["NO_ROWS", "PAIR_ENERGY", "PAIR_ENERGY", "PAIR_ENERGY"]
    assert whole.frame["row"].tolist()[1:] == [3, 1, 2]
    assert whole.summary()["energy_kwh"].tolist()[1] == 75.0


def test_a_project_disables_rules_and_changes_their_severity():
    found = findings_of("PAIR_ENERGY", table="pairs", observed=0) + findings_of(
        "PAIR_VOLUME", table="pairs", observed=0
    )
    settings = RuleSettings(frozenset({"PAIR_VOLUME"}), {}, {"PAIR_ENERGY": "info"})
    kept = found.under(settings).frame
    assert kept[["rule", "severity"]].to_numpy().tolist() == [["PAIR_ENERGY", "info"]]
    listed = {record["rule"]: record for record in settings.table("en")}
    assert listed["PAIR_ENERGY"]["severity"] == "info"
    assert listed["PAIR_ENERGY"]["default_severity"] == "warning"
    assert not listed["PAIR_VOLUME"]["enabled"]
    with pytest.raises(ValueError, match="no threshold"):
        settings.limit("PAIR_ENERGY")


NAMED = [
    "READING_REPEATED",
    "READING_CONTRADICTION",
    "SUM_CHECK",
    "NEGATIVE_ENERGY",
    "REGISTER_ROLLOVER",
    "REGISTER_EXCHANGED",
    "EXCHANGE_CHECK",
    "MULTIPLIER_SUSPECT",
    "MULTIPLIER_RATIO",
    "MULTIPLIER_CHECK",
    "MULTIPLIER_AMBIGUOUS",
    "OVER_CAPACITY",
    "SPIKE",
    "FLAT_LINE",
    "LONG_ZERO",
    "METER_NO_DATA",
    "METER_SILENT",
    "NON_PUMP_LOAD",
    "SERIES_COPIED",
    "OFF_CYCLE",
    "ORPHAN_READING",
    "ORPHAN_METER",
    "ORPHAN_WELL",
    "METER_WITHOUT_WELL",
    "INACTIVE_WITH_ENERGY",
    "UNIT_SUSPECT",
    "UNIT_SUSPECT_MONTH",
]


@pytest.mark.parametrize("rule", NAMED)
def test_every_rule_on_electricity_names_what_may_be_behind_it(rule):
    works_it_out = re.findall(r"{(\w+)}", rules()[rule].message["zh"])
    assert "candidates" in works_it_out or rule in causes()
    for lang in ("zh", "en"):
        said = causes().get(rule, {}).get(lang, "a|b")
        assert all(cause == cause.strip() != "" for cause in said.split("|"))


def test_the_usual_causes_stand_where_a_rule_gives_none_of_its_own():
    found = findings_of("SUM_CHECK", table="readings", observed=1, limit=2, lang="en").frame
    assert "a band missing" in found["candidates"].item()
    own = findings_of(
        "OVER_CAPACITY",
        table="readings",
        candidates="x|y",
        observed=1,
        limit=2,
        margin=1.1,
        lang="en",
        well_id="w",
        period="p",
    )
    assert own.frame["candidates"].item() == "x|y"
    assert "x" in own.frame["message"].item()
