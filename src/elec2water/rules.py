"""The rules of findings as data (``data/rules*.csv``), and what a project changes of them."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import resources

SEVERITIES = ("error", "warning", "info")
"""From the gravest: an error refuses the run, a warning leaves a value out or widens, an info tells what was done."""

LANGUAGES = ("zh", "en")

_PLACE = re.compile(r"\{[^}]*\}")
_FIELD = re.compile(r"\{(\w+)")
_CLAUSE = re.compile(r"\[\[(.*?)\]\]")
_WRITTEN = re.compile(r"\{(\w+):[^}]*\}")
_JOIN = {"zh": "。处理：", "en": ". To do: "}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the catalogue.

    Attributes
    ----------
    rule : str
        Its name, in capitals.
    severity : str
        ``error``, ``warning`` or ``info``.
    message, action, meaning, unit : dict of str to str
        By language (``zh``, ``en``): templates of what was found and of what to do about it; what the rule looks for;
        the unit of the threshold.
    threshold : float or None
        Where the rule begins to speak; None for rules without one.
    """

    rule: str
    severity: str
    message: dict[str, str]
    action: dict[str, str]
    meaning: dict[str, str]
    unit: dict[str, str]
    threshold: float | None

    def template(self, lang: str) -> str:
        """Give the message followed by the action, in one language."""
        return f"{self.message[lang]}{_JOIN[lang]}{self.action[lang]}" if self.action[lang] else self.message[lang]

    def worded(self, lang: str, **fields: object) -> str:
        """Fill in the template; a clause in ``[[ ]]`` of which a field is blank is left out.

        Parameters
        ----------
        lang : str
            ``zh`` or ``en``.
        **fields : object
            Values of the names in braces; text, or a number where the template says how to write it.

        Returns
        -------
        str

        Raises
        ------
        KeyError
            If the template asks for a field that was not given.
        """
        return _CLAUSE.sub(partial(_clause, fields), self.template(lang)).format_map(fields)

    def numeric(self, lang: str) -> frozenset[str]:
        """Name the fields whose number the template itself says how to write, as in ``{limit:.1%}``."""
        return frozenset(_WRITTEN.findall(self.template(lang)))


@cache
def rules() -> dict[str, Rule]:
    """Read the catalogue: all ``data/rules*.csv`` of the package, merged.

    Returns
    -------
    dict of str to Rule
        By name of the rule.

    Raises
    ------
    ValueError
        If two files name the same rule, or a severity is unknown.
    """
    catalogue: dict[str, Rule] = {}
    folder = resources.files("elec2water") / "data"
    files = sorted((f for f in folder.iterdir() if _is_rules_file(f.name)), key=lambda f: f.name)
    for file in files:
        for record in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
            rule = _rule_of(record)
            if rule.rule in catalogue:
                raise ValueError(f"data/{file.name}: rule {rule.rule} is already defined; every rule has one entry")
            if rule.severity not in SEVERITIES:
                raise ValueError(f"data/{file.name}: rule {rule.rule} has severity {rule.severity!r}, not {SEVERITIES}")
            catalogue[rule.rule] = rule
    return catalogue


@cache
def causes() -> dict[str, dict[str, str]]:
    """Give what may be behind a finding, ``|`` between causes, for rules that do not work it out themselves.

    Returns
    -------
    dict
        Rule → language → causes, from ``data/causes.csv``.

    Raises
    ------
    ValueError
        If a rule is not in the catalogue.
    """
    text = (resources.files("elec2water") / "data" / "causes.csv").read_text(encoding="utf-8")
    found = {
        record["rule"]: {lang: record[f"causes_{lang}"] for lang in LANGUAGES}
        for record in csv.DictReader(text.splitlines())
    }
    if unknown := sorted(set(found) - set(rules())):
        raise ValueError(f"data/causes.csv: rules {unknown} are not in data/rules*.csv; add them there")
    return found


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """What a project changes of the catalogue: the section ``[rules]`` of its configuration.

    Attributes
    ----------
    disable : frozenset of str
        Rules that say nothing.
    threshold, severity : mapping
        Values that stand for the catalogue's.
    """

    disable: frozenset[str] = frozenset()
    threshold: Mapping[str, float] = field(default_factory=dict)
    severity: Mapping[str, str] = field(default_factory=dict)

    def limit(self, rule: str) -> float:
        """Give the threshold of a rule that has one; ``ValueError`` for another."""
        value = self.threshold.get(rule, rules()[rule].threshold)
        if value is None:
            raise ValueError(f"rule {rule} has no threshold")
        return value

    def speaks(self, rule: str) -> bool:
        """Tell whether a rule is to be asked at all."""
        return rule not in self.disable

    def table(self, lang: str = "zh") -> list[dict[str, object]]:
        """List the whole catalogue, a record a rule, with what this project changed.

        Parameters
        ----------
        lang : str
            ``zh`` or ``en``.

        Returns
        -------
        list of dict
            ``rule, severity, default_severity, threshold, default_threshold, unit, enabled, meaning, action``.
        """
        return [
            {
                "rule": name,
                "severity": self.severity.get(name, rule.severity),
                "default_severity": rule.severity,
                "threshold": self.threshold.get(name, rule.threshold),
                "default_threshold": rule.threshold,
                "unit": rule.unit[lang],
                "enabled": self.speaks(name),
                "meaning": rule.meaning[lang] or _PLACE.sub("…", _CLAUSE.sub(r"\1", rule.message[lang])),
                "action": rule.action[lang],
            }
            for name, rule in sorted(rules().items())
        ]


def _clause(fields: Mapping[str, object], clause: re.Match[str]) -> str:
    named = _FIELD.findall(clause[1])
    return "" if any(fields[name] == "" for name in named) else clause[1]


def _is_rules_file(name: str) -> bool:
    return name.startswith("rules") and name.endswith(".csv")


def _rule_of(record: dict[str, str]) -> Rule:
    threshold = record.get("threshold") or ""
    texts = {
        kind: {lang: record.get(f"{kind}_{lang}") or "" for lang in LANGUAGES}
        for kind in ("message", "action", "meaning", "unit")
    }
    return Rule(
        rule=record["rule"],
        severity=record["severity"],
        threshold=float(threshold) if threshold else None,
        **texts,
    )
