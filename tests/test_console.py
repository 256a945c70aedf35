"""The screen: headings in the language of the project, numbers for a reader that are those of the files."""

import csv
import re
from importlib import resources

import pandas as pd
import pytest

from county_kit import command, county, read_table, write

UNITS = {"kWh", "m³", "m³/kWh", "CRPS", "%"}
WORDS = list(csv.DictReader((resources.files("elec2water") / "data" / "console.csv").read_text("utf-8").splitlines()))


@pytest.fixture(scope="module", params=["zh", "en"])
def screen(request, tmp_path_factory):
    """What four commands print, by the first word of the command."""
    lang = request.param
    toml = f'[project]\nname = "甲县"\nlanguage = "{lang}"\n'
    made = write(tmp_path_factory.mktemp(lang) / "county", county(), toml=toml)
    said = {}
    for words in (["run", "--quarter", "2026Q3"], ["design", "--n", "6"], ["next", "--n", "2"], ["validate"]):
        status, out, err = command(words[0], made, *words[1:])
        assert status == 0, err
        said[words[0]] = out
    return lang, made, said


def headings(text):
    """Lines of headings: those above the first line of a table, whose cells are numbers."""
    lines = [line for line in text.splitlines() if line.strip() and "：" not in line]
    return [lines[k] for k in range(len(lines) - 1) if is_row(lines[k + 1]) and not is_row(lines[k])]


def is_row(line):
    return len(re.findall(r"(?<!\S)[\d,.–-]+(?!\S)", line)) >= 3


def test_headings_are_in_the_language_of_the_project(screen):
    lang, _, said = screen
    for name, text in said.items():
        found = headings(text)
        assert found, name
        words = {word for line in found for word in line.split()} - UNITS
        chinese = {word for word in words if re.search("[\u4e00-\u9fff]", word)}
        assert chinese == (words if lang == "zh" else set()), name


def test_the_numbers_are_those_of_the_files_rounded(screen):
    lang, made, said = screen
    row = pd.read_csv(made / "releases" / "2026Q3" / "r1" / "totals.csv").iloc[0]
    line = said["run"].splitlines()[1].split()
    assert line[0] == {"zh": "全县", "en": "county"}[lang]
    assert line[3:6] == [f"{row['energy_kwh']:,.0f}", f"{row['volume_m3']:,.0f}",
                         f"{100 * row['se_m3'] / row['volume_m3']:.1f}"]  # fmt: skip
    accuracy = read_table(made / "validation" / "accuracy.csv").iloc[0]
    shown = next(line for line in said["validate"].splitlines() if is_row(line)).split()
    assert shown[-3] == f"{100 * float(accuracy['weighted_absolute_error']):.1f}"
    assert max(len(digits) for digits in re.findall(r"\.(\d+)", "".join(said.values()).split("findings")[0])) <= 3


def test_every_word_is_there_in_both_languages_and_once():
    assert all(row["zh"] and row["en"] for row in WORDS)
    keys = [(row["kind"], row["key"]) for row in WORDS]
    assert len(keys) == len(set(keys))
    for row in WORDS:
        assert set(re.findall(r"{(\w+)}", row["zh"])) == set(re.findall(r"{(\w+)}", row["en"])), row["key"]
