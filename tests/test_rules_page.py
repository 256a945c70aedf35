"""The page of rules is what the catalogue says, and every rule of the electricity says what it means."""

import importlib.util
from pathlib import Path

from elec2water.rules import LANGUAGES, rules

DOCS = Path(__file__).parent.parent / "docs"


def test_the_page_of_rules_is_made_from_the_catalogue():
    spec = importlib.util.spec_from_file_location("make_rules", DOCS / "make_rules.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "rules.md").read_text(encoding="utf-8") == module.page(), "run docs/make_rules.py"


def test_rules_with_a_threshold_name_its_unit_and_their_meaning():
    for name, rule in rules().items():
        if rule.threshold is not None:
            assert all(rule.meaning[lang] and rule.unit[lang] for lang in LANGUAGES), name
