"""The commands: exit status 0, 1 or 2, results on standard output, progress on standard error, one JSON document."""

import errno
import hashlib
import json
import re
import subprocess
import sys
from importlib import metadata

import pandas as pd
import pytest

from county_kit import command, county, read_table, write
from elec2water.version import digest_of, source_digest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = write(tmp_path_factory.mktemp("cli") / "county", county())
    assert command("run", made, "--quarter", "2026Q3")[0] == 0
    return made


@pytest.mark.parametrize(
    "words",
    [
        ["run", "{none}", "--quarter", "2026Q3"],
        ["check", "{none}"],
        ["design", "{none}", "--n", "5"],
        ["validate", "{none}"],
        ["approve", "{none}", "--quarter", "2026Q3", "--release", "r1", "--by", "x"],
        ["check", "{folder}/elec2water.toml"],
        ["run", "{folder}", "--quarter", "2026-Q3"],
        ["run", "{folder}", "--quarter", "2026Q5"],
        ["run", "{folder}"],
        ["run", "{folder}", "--quarter", "2026Q3", "--as-of", "yesterday"],
        ["design", "{folder}", "--n", "4000"],
        ["design", "{folder}", "--n", "5", "--target-cv", "0.1"],
        ["approve", "{folder}", "--quarter", "2026Q3", "--release", "r7", "--by", "x"],
        ["demo", "{folder}"],
        ["demo", "{none}", "--wells", "3"],
        ["demo", "{folder}/elec2water.toml/new"],
        ["approve", "{folder}", "--quarter", "2026Q3", "--release", "r1", "--by", " "],
        ["frobnicate"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_two_and_leaves_nothing(folder, tmp_path, words):
    before = sorted(path.name for path in folder.rglob("*"))
    none = tmp_path / "none"
    status, out, err = command(*(word.format(folder=folder, none=none) for word in words))
    assert (status, out) == (2, "")
    assert err.strip()
    assert "Traceback" not in err
    assert not none.exists()
    assert sorted(path.name for path in folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["check", "{}"], {"refused", "findings", "written"}),
        (["run", "{}", "--quarter", "2026Q3"], {"quarter", "release", "county", "findings"}),
        (["design", "{}", "--n", "6"], {"n_primary", "expected_cv", "written"}),
        (["validate", "{}", "--folds", "3"], {"accuracy", "calibration"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_json_is_one_document_and_nothing_else(folder, words, keys):
    status, out, err = command(*(word.format(folder) for word in words), "--json")
    assert status == 0, err
    assert out.count("\n") == 1

    def no_constant(name):
        raise AssertionError(name)

    assert keys <= set(json.loads(out, parse_constant=no_constant))
    assert "…" in err


def test_approval_is_said_and_said_only_once(tmp_path):
    folder = write(tmp_path, county(n=6, sample=2))
    assert command("run", folder, "--quarter", "2026Q3")[0] == 0
    words = ["approve", folder, "--quarter", "2026Q3", "--release", "r1", "--by", "张三"]
    assert command(*words)[:2] == (0, "2026Q3 r1：由张三批准\n")
    status, _, err = command(*words)
    assert status == 2
    assert "张三" in err


def test_many_townships_are_cut_short_on_the_screen(tmp_path):
    frames = county(n=40, sample=4)
    frames["wells"]["township"] = [f"镇{i:02d}" for i in range(40)]
    status, out, _ = command("run", write(tmp_path, frames), "--quarter", "2026Q3")
    assert status == 0
    assert re.search(r"另有 \d+ 个见 totals\.csv", out)
    assert out.splitlines()[1].split()[0] == "全县"


def test_the_commands_run_without_a_console_script(tmp_path):
    made = subprocess.run(
        [sys.executable, "-m", "elec2water", "check", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stdout) == (2, "")
    assert "none" in made.stderr


def test_a_release_says_what_it_changes_of_the_one_it_replaces(tmp_path):
    made = write(tmp_path / "county", county())
    status, out, _ = command("run", made, "--quarter", "2026Q3")
    assert status == 0
    assert "起点：首次拟合" in out
    assert "替代" not in out
    path = made / "inputs" / "pairs.csv"
    pairs = pd.read_csv(path, dtype={"well_id": str})
    pairs["volume_m3"] *= 1.1
    pairs.to_csv(path, index=False)
    summary = json.loads(command("run", made, "--quarter", "2026Q3", "--json")[1])
    total = [read_table(made / "releases" / "2026Q3" / name / "totals.csv").loc[0] for name in ("r1", "r2")]
    was, now = (float(row["volume_m3"]) for row in total)
    assert [row["domain"] for row in total] == ["county", "county"]
    assert summary["replaces"] == pytest.approx({"release": "r1", "volume_m3": was, "change": now / was - 1})
    assert now == pytest.approx(1.1 * was, rel=0.03)
    assert (
        f"替代 r1：{was:,.0f} → {now:,.0f} m³ ({now / was - 1:+.2%})" in command("run", made, "--quarter", "2026Q3")[1]
    )


def test_the_version_is_told():
    expected = f"elec2water {metadata.version('elec2water')} (source {source_digest()[:16]})\n"
    assert command("--version") == (0, expected, "")


def test_the_digest_of_the_code_is_of_names_and_lines_alone(tmp_path):
    """Oracle: hashlib over what the docstring says; caches and line ends of another system change nothing."""
    for name, end in (("one", b"\n"), ("two", b"\r\n")):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "b.py").write_bytes(b"x = 1" + end)
        (tmp_path / name / "data" / "a.csv").write_bytes(b"k" + end)
    (tmp_path / "two" / "__pycache__").mkdir()
    (tmp_path / "two" / "__pycache__" / "b.pyc").write_bytes(b"?")
    expected = hashlib.sha256(b"b.py\x006\x00x = 1\ndata/a.csv\x002\x00k\n").hexdigest()
    assert digest_of(tmp_path / "one") == digest_of(tmp_path / "two") == expected
    (tmp_path / "two" / "b.py").rename(tmp_path / "two" / "c.py")
    assert digest_of(tmp_path / "two") != expected


def test_no_command_waits_for_libraries_that_only_pictures_need():
    """Loading scipy.stats, scipy.signal and pyplot took 3 of the 7 seconds before the first word."""
    code = "import sys, elec2water.cli; print(*({'scipy.stats', 'scipy.signal', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_what_the_machine_forbids_is_said_with_its_place(folder, monkeypatch):
    def forbidden(path, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path / "inputs/wells.csv"))

    monkeypatch.setattr("elec2water.checking.check", forbidden)
    status, out, err = command("check", folder)
    assert (status, out) == (2, "")
    assert f"elec2water: {folder / 'inputs/wells.csv'}：没有权限。处理：" in err


def test_a_reader_who_has_read_enough_is_no_fault():
    rules = [sys.executable, "-m", "elec2water", "rules", "--json"]
    with subprocess.Popen(rules, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as made:
        made.stdout.close()
        assert made.stderr.read() == b""
