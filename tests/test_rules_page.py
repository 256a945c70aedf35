"""Every rule with a threshold says what it means and in which unit; the page of rules can be made."""

import importlib.util
from pathlib import Path

from elec2water.rules import LANGUAGES, rules

DOCS = Path(__file__).parent.parent / "docs"


def test_the_page_of_rules_lists_each_of_them_once():
    spec = importlib.util.spec_from_file_location("make_rules", DOCS / "make_rules.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.page()
    assert all(page.count(f"| `{name}` |") == 1 for name in rules())
    written = (DOCS / "rules.md").read_text(encoding="utf-8")
    assert written.startswith(module.HEAD)


def test_rules_with_a_threshold_name_its_unit_and_their_meaning():
    for name, rule in rules().items():
        if rule.threshold is not None:
            assert all(rule.meaning[lang] and rule.unit[lang] for lang in LANGUAGES), name
