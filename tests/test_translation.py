"""An official reads Chinese: steps of long work and errors of the commands, in the language of the project."""

import ast
import re
import shutil
from pathlib import Path

import pytest

import elec2water
from county_kit import command, county, write
from elec2water.design.words import worded
from elec2water.translation import translated

CHINESE = re.compile("[\u4e00-\u9fff]")
ENGLISH_TOML = '[project]\nname = "A"\nlanguage = "en"\n'
NAMED = '[project]\nname = "甲"\n'
PHRASES = worded("messages.csv", "zh")


def steps():
    """What the package says of long work: the first argument of each ``tell``, with 7 where it varies."""
    for path in sorted(Path(elec2water.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tell" and node.args:
                said = node.args[0]
                parts = said.values if isinstance(said, ast.JoinedStr) else [said]
                yield "".join(part.value if isinstance(part, ast.Constant) else "7" for part in parts)


def test_every_step_has_chinese_words():
    said = list(steps())
    assert len(said) >= 15
    assert [text for text in said if not CHINESE.search(translated(text, "zh"))] == []
    assert [text for text in said if translated(text, "en") != text] == []


def test_every_phrase_says_all_of_what_varies_and_is_found_as_itself():
    """A phrase that an earlier one hides would never be said."""
    for row in PHRASES:
        names = set(re.findall(r"{(\w+)}", row["en"]))
        assert set(re.findall(r"{(\w+)}", row["zh"])) <= names, row["en"]
        values = {name: f"<{name}>" for name in names}
        assert translated(row["en"].format(**values), "zh") == row["zh"].format(**values), row["en"]


def test_what_varies_is_translated_too_and_lines_stand_alone():
    text = (
        "a.toml, line 3: estimate.confidence: Input should be less than 1; found 90 "
        "(a fraction such as 0.90, without quotes and without %)\nout of cheese"
    )
    expected = (
        "a.toml 第 3 行：estimate.confidence：应小于 1，现为 90（写成小数，如 0.90，不加引号和 %）\nout of cheese"
    )
    assert translated(text, "zh") == expected


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("spoken")
    return {
        "zh": write(root / "zh", county(n=8, sample=4)),
        "en": write(root / "en", county(n=8, sample=4), toml=ENGLISH_TOML),
    }


@pytest.fixture(scope="module")
def released(folders, tmp_path_factory):
    """Projects with one release, and the bytes of their ledgers."""
    root = tmp_path_factory.mktemp("released")
    made = {}
    for lang, folder in folders.items():
        copy = Path(shutil.copytree(folder, root / lang))
        assert command("run", copy, "--quarter", "2026Q3")[0] == 0
        made[lang] = (copy, (copy / "ledger.sqlite").read_bytes())
    return made


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["run", "{}", "--quarter", "2026-Q3"], "应为 2026Q3 这样的写法"),
        (["run", "{}", "--quarter", "2026Q3", "--as-of", "昨天"], "现为 '昨天'"),
        (["design", "{}", "--n", "4000"], "多于可抽取的"),
        (["design", "{}", "--n", "3", "--target-cv", "0.1"], "只能给一个"),
        (["design", "{}", "--budget", "10"], "cost_per_well（每井费用）"),
        (["next", "{}", "--kind", "x"], "短时抽水试验"),
        (["approve", "{}", "--quarter", "2026Q3", "--release", "r7", "--by", "x"], "台账中尚无发布"),
        (["rules", "{}", "--lang", "fr"], "应为 zh 或 en，现为 'fr'"),
        (["demo", "{}"], "换一个新文件夹"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_usage_is_said_in_the_language_of_the_project(folders, words, part):
    said = {}
    for lang, folder in folders.items():
        status, out, said[lang] = command(*(word.format(folder) for word in words))
        assert (status, out) == (2, "")
    assert part in said["zh"]
    assert not CHINESE.search(said["en"].replace("昨天", ""))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["run", "{}"], "错误：缺少必须的选项 --quarter。"),
        (["run", "{}", "--quarter"], "错误：选项 '--quarter' 后面要写值"),
        (["run", "{}", "--quarter", "2026Q3", "--asof", "x"], "错误：没有选项 --asof"),
        (["design", "{}", "--n", "a"], "错误：--n 的值不对：应为整数"),
        (["design", "{}", "--n", "0"], "错误：--n 的值不对：应不小于 1"),
        (["design", "{}", "--target-cv", "x"], "错误：--target-cv 的值不对：应为数字"),
        (["design", "{}", "--rotate", "2"], "错误：--rotate 的值不对：应不大于 1"),
        (["check", "{}", "b"], "错误：多出的参数：b。"),
        (["check", "{}", "--plots=1"], "错误：选项 '--plots' 后面不写值"),
        (["chek", "{}"], "错误：没有命令 'chek'，是否应为 'check'"),
        (["qqq", "{}"], "错误：没有命令 'qqq'。"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_said_in_the_language_of_the_project(folders, words, part):
    said = {}
    for lang, folder in folders.items():
        status, out, said[lang] = command(*(word.format(folder) for word in words))
        assert (status, out) == (2, "")
    assert part in said["zh"]
    assert not re.search(r"Error|Usage|Invalid|Missing|No such|Try|OPTIONS", said["zh"])
    assert "Error: " in said["en"]
    assert not CHINESE.search(said["en"])


def test_a_command_line_without_a_project_is_answered_in_both_languages():
    status, out, err = command("check")
    assert (status, out) == (2, "")
    assert "错误：缺少项目文件夹（folder）。" in err
    assert "Error: Missing argument 'folder'." in err


def test_the_help_that_answers_no_command_is_no_error():
    _, out, err = command()
    assert "Usage: " in out + err
    assert "Error" not in out + err


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda path: path.write_text("no ledger"), "台账"),
        (lambda path: path.write_bytes(path.read_bytes()[:-700]), "台账"),
        (lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(4096) + path.read_bytes()[8192:]), "台账"),
        (lambda path: path.unlink(), "台账不见了，而旁边有 1 次发布。"),
    ],
    ids=["no ledger", "cut", "a page of zeros", "gone"],
)
def test_a_damaged_ledger_is_said_in_the_language_of_the_project(released, spoil, part):
    for lang, (folder, whole) in released.items():
        path = folder / "ledger.sqlite"
        path.write_bytes(whole)
        spoil(path)
        status, _, err = command("releases", folder)
        assert status == 2
        if lang == "zh":
            assert part in err
            assert "处理：从备份恢复；或重建台账（批准记录会丢失）：python -c" in err
            assert not re.search(r"damaged|readable|missing|Restore|malformed|not a database", err)
        else:
            assert not CHINESE.search(err.replace(str(folder), ""))


def test_every_error_of_the_ledger_has_chinese_words():
    """What a release or its ledger can raise, with 7 where it varies."""
    tree = ast.parse(Path(elec2water.ledger.__file__).read_text(encoding="utf-8"))
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    said = [call.args[0] for call in raised if call.func.id in ("LedgerError", "UsageError")]
    texts = [
        "".join(part.value if isinstance(part, ast.Constant) else "7" for part in getattr(text, "values", [text]))
        for text in said
    ]
    assert len(texts) >= 12
    assert [text for text in texts if not CHINESE.search(translated(text, "zh"))] == []


@pytest.mark.parametrize(
    ("toml", "part"),
    [
        (NAMED + "[estimate]\nconfidance = 0.9\n", "第 4 行：没有配置项 'estimate.confidance'，是否应为 'confidence'"),
        (NAMED + '[estimate]\nconfidence = "90%"\n', "第 4 行：estimate.confidence：应为数字，现为 '90%'"),
        ('[project]\ncounty_code = 370212\n', "缺少必填项 'project.name'"),
        ('[project]\nname = 甲县\n', "不符合 TOML 格式：第 2 行第 8 列：值的写法不对（文字要加英文引号）"),
        (NAMED + '[rules]\ndisable = ["SPIK"]\n', "没有规则 'SPIK'，是否应为 'SPIKE'"),
        (NAMED + 'language = "cn"\n', "应为 'zh' or 'en'"),
        (NAMED + '[strata]\nby = "aquifer"\n', "应为方括号中的列表"),
    ],
)  # fmt: skip
def test_an_unreadable_configuration_is_said_in_both_languages(tmp_path, toml, part):
    """Its language cannot be known."""
    made = write(tmp_path, county(n=8, sample=4), toml=toml)
    status, out, err = command("check", made)
    assert (status, out) == (2, "")
    assert part in err
    assert any(line and not CHINESE.search(line.replace("甲", "")) for line in err.splitlines())


def test_progress_is_in_the_language_of_the_project(folders):
    for lang, folder in folders.items():
        status, _, err = command("check", folder)
        assert status == 0
        assert err == {"zh": "读取并检查各表 …\n", "en": "reading and checking the tables …\n"}[lang]


def test_help_is_in_both_languages_and_loses_nothing_in_brackets():
    """Sections of the configuration stand in brackets, which markup would take for its own."""
    listed = command("--help")[1]
    names = re.findall(r"^  ([a-z]+)  ", listed, flags=re.MULTILINE)
    assert set(names) >= {"demo", "check", "rules", "design", "run", "next", "validate", "approve", "releases"}
    said = {name: command(name, "--help") for name in names}
    for name, (status, out, _) in said.items():
        assert status == 0
        own = [line for line in out.splitlines() if line.strip()][1]
        assert CHINESE.search(own), name
        assert " / " in out, name
    assert "[next]" in said["next"][1]
    assert "[design]" in said["design"][1]
    assert "[rules]" in said["rules"][1]


def test_a_finding_on_the_screen_says_where_it_lies(tmp_path):
    frames = county(n=8, sample=4)
    frames["wells"]["power_source"] = ["核能", "diesel"] + ["grid"] * 6
    frames["readings"]["energy_kwh"] = frames["readings"]["energy_kwh"].astype(object)
    frames["readings"].loc[4, "energy_kwh"] = "abc"
    made = write(tmp_path, frames)
    status, out, _ = command("run", made, "--quarter", "2026Q3")
    assert status == 0
    assert re.search(r"NOT_A_NUMBER × 1  inputs/readings\.csv:6 ", out)
    assert re.search(r"UNKNOWN_WORD × 1  inputs/wells\.csv:2 .*可用：电网（grid）、柴油（diesel）、光伏（solar）", out)
    assert "没有可换算的电量（柴油）" in out


def test_what_a_project_changes_of_the_rules_is_said_in_its_language(tmp_path):
    toml = '[rules]\ndisable = ["SPIKE"]\nthreshold = { NON_PUMP_LOAD = 0.25 }\n'
    lines = {}
    for lang, head in (("zh", NAMED), ("en", ENGLISH_TOML)):
        status, out, _ = command("rules", write(tmp_path / lang, county(n=4, sample=2), toml=head + toml))
        assert status == 0
        lines[lang] = [line for line in out.splitlines() if re.search(r"\b(SPIKE|NON_PUMP_LOAD) ", line)]
    assert lines["zh"] == [
        "提示 info    NON_PUMP_LOAD  [0.25 份额]  (默认 阈值: 0.1)",
        "警告 warning SPIKE  [0.9 log10 几率]  (已停用)",
    ]
    assert lines["en"] == [
        "info    NON_PUMP_LOAD  [0.25 share]  (default threshold: 0.1)",
        "warning SPIKE  [0.9 log10 odds]  (disabled)",
    ]
