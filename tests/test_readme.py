"""What the READMEs tell a newcomer to do works, and the two say the same."""

from __future__ import annotations

import importlib.util
import json
import pkgutil
import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

import elec2water as e2w

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README.zh.md")


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name, language=""):
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(name), flags=re.MULTILINE | re.DOTALL)


def script(path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", READMES)
def test_the_two_commands_are_those_that_start_py_understands(name, monkeypatch, capsys):
    commands = [block.strip() for block in blocks(name) if block.startswith("python start.py")]
    assert commands == ["python start.py", "python start.py test"]
    start = script(ROOT / "start.py")
    called = []
    monkeypatch.setattr(start, "install", lambda extra: called.append(extra) or 0)
    monkeypatch.setattr(start, "call", lambda *command: called.append(command[1:3]) or 0)
    monkeypatch.setattr(start, "run_demo", lambda: called.append("demo") or 0)
    assert [start.main(command.split()[2:]) for command in commands] == [0, 0]
    assert called == ["", "demo", "[test]", ("-m", "pytest")]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", READMES)
def test_the_county_of_the_readme_is_accepted(name, tmp_path):
    (tmp_path / "inputs").mkdir()
    (tmp_path / "elec2water.toml").write_text(blocks(name, "toml")[0], encoding="utf-8")
    for table, rows in zip(("wells", "readings", "pairs"), blocks(name, "csv"), strict=True):
        (tmp_path / "inputs" / f"{table}.csv").write_text(rows, encoding="utf-8")
    county = e2w.check(tmp_path)
    assert county.findings.errors.count == 0, county.findings
    assert county.wells["well_id"].tolist() == ["0001", "0002", "0003"]
    run = e2w.run(tmp_path, quarter="2026Q3")
    whole = run.totals.loc[run.totals["domain"] == "county"].iloc[0]
    assert whole["energy_kwh"] == pytest.approx(1520 + 980 + 4210 + 1310 + 1120 + 3890 + 740 + 610 + 2240)
    assert 3.0 < whole["volume_m3"] / whole["energy_kwh"] < 5.0  # between the two pairs' 2.6 and 5.8 m³/kWh


@pytest.mark.parametrize("name", READMES)
def test_the_ten_lines_of_python_run(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    e2w.demo(tmp_path / "county", wells=60, seed=1)
    code = blocks(name, "python")[0]
    assert len(code.splitlines()) <= 11
    (tmp_path / "lines.py").write_text(code, encoding="utf-8")
    with mpl.rc_context({"backend": "agg"}):
        script(tmp_path / "lines.py")
        plt.close("all")
    assert "volume_m3" in capsys.readouterr().out
    assert (tmp_path / "coefficients.png").stat().st_size > 1000


def test_both_readmes_show_the_same_commands_and_the_same_data():
    english, chinese = (
        [line.split("  ")[0] for b in blocks(name) for line in b.splitlines() if line.startswith("elec2water")]
        for name in READMES
    )
    assert english == chinese != []
    for language in ("toml", "csv"):
        rows = [[b.splitlines()[1:] for b in blocks(name, language)] for name in READMES]
        assert rows[0] == rows[1]
    assert text_of("README.md").count("\n## ") == text_of("README.zh.md").count("\n## ")


@pytest.mark.parametrize("page", [*READMES, "docs/method.md"])
def test_links_and_pictures_lead_somewhere(page):
    folder = (ROOT / page).parent
    targets = re.findall(r"\]\(([^)#]+)\)", text_of(page))
    local = [target for target in targets if "://" not in target]
    assert local
    assert [target for target in local if not (folder / target).exists()] == []


@pytest.mark.parametrize("name", READMES)
def test_places_that_scripts_fill_are_marked_once(name):
    for anchor in ("run", "study"):
        begin, end = f"<!-- {anchor}:begin -->", f"<!-- {anchor}:end -->"
        assert text_of(name).count(begin) == text_of(name).count(end) == 1
        assert text_of(name).index(begin) < text_of(name).index(end)


def test_the_priors_of_the_method_page_are_those_of_the_package():
    make = script(ROOT / "docs" / "make_method.py")
    page = text_of("docs/method.md")
    assert make.filled(page) == page, "run: python docs/make_method.py"


def test_a_field_test_figure_quoted_in_the_readmes_is_that_of_the_benchmark():
    written = text_of("benchmarks/results/field_tests.json")
    scores = {m["method"]: m for m in json.loads(written)["10-fold, wells left out"]}
    error = f"{100 * scores['elec2water']['weighted_absolute_error']:.0f} %"
    for name in READMES:
        assert error in text_of(name)


def test_the_page_of_functions_has_every_public_name():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", page))
    assert set(e2w.__all__) <= words
    for path in re.findall(r":: (elec2water[\w.]+)", page):
        assert pkgutil.resolve_name(path) is not None


def test_the_run_that_the_readmes_show_is_what_the_command_prints_today(tmp_path):
    """Words to the letter, figures to a part in a thousand: other processors end in other digits."""
    figures, number = script(ROOT / "docs" / "figures" / "make_figures.py"), r"[\d,]*\d(?:\.\d+)?"
    county = e2w.demo(tmp_path / "county", wells=500, seed=2026)
    today = figures.excerpt(figures.printed(county), county)
    for name in READMES:
        shown = re.search(r"<!-- run:begin -->\n```\n(.*?)\n```\n<!-- run:end -->", text_of(name), re.DOTALL)[1]
        again = f"{name}: run docs/figures/make_figures.py"
        assert re.sub(rf" *{number}", "#", shown) == re.sub(rf" *{number}", "#", today), again
        old, new = ([float(x.replace(",", "")) for x in re.findall(number, text)] for text in (shown, today))
        assert old == pytest.approx(new, rel=1e-3), again
