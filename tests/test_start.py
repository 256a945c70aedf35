"""The one command that sets everything up, with its sub-processes written down instead of run."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path

import pytest

START = Path(__file__).resolve().parents[1] / "start.py"


@pytest.fixture
def start(tmp_path, monkeypatch):
    specification = importlib.util.spec_from_file_location("start", START)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / ".venv").mkdir()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "ENVIRONMENT", tmp_path / ".venv")
    monkeypatch.setattr(module, "WHEELS", tmp_path / "wheels")
    monkeypatch.setattr(module, "COUNTY", tmp_path / "county")
    module.calls, module.fails = [], ""

    def call(*command):
        module.calls.append(
            " ".join(Path(str(part)).name if Path(str(part)).is_absolute() else part for part in command)
        )
        if "run" in command:
            for name in ("r2", "r10", ".tmp-r11"):
                (tmp_path / "county/releases/2026Q3" / name).mkdir(parents=True, exist_ok=True)
        return 3 if module.fails and module.fails in module.calls[-1] else 0

    monkeypatch.setattr(module, "call", call)
    return module


def test_it_installs_makes_the_county_runs_it_and_says_where_the_results_are(start, capsys):
    assert start.main([]) == 0
    interpreter = Path(sys.executable).name
    assert [c.replace(interpreter, "python").replace(".exe", "") for c in start.calls] == [
        "python -m venv .venv",
        f"python -m pip install --quiet --disable-pip-version-check --editable {start.ROOT.name}",
        "elec2water demo county --wells 500 --seed 2026",
        "elec2water run county --quarter 2026Q3",
    ]
    assert f"The results are in {start.ROOT / 'county/releases/2026Q3/r10'};" in capsys.readouterr().out


def test_the_second_time_it_installs_nothing_and_keeps_the_county(start):
    start.main([])
    start.calls.clear()
    assert start.main([]) == 0
    assert [c.replace(".exe", "") for c in start.calls] == ["elec2water run county --quarter 2026Q3"]


def test_a_changed_pyproject_is_installed_anew(start):
    start.main([])
    (start.ROOT / "pyproject.toml").write_text("[project] # one more dependency")
    start.calls.clear()
    start.main([])
    assert len(start.calls) == 3


def test_test_installs_its_extra_and_hands_arguments_and_status_on(start):
    start.fails = "pytest"
    assert start.main(["test", "-k", "fonts"]) == 3
    assert start.calls[-2].endswith(f"--editable {start.ROOT.name}[test]")
    assert start.calls[-1].endswith("-m pytest -n auto --dist loadfile -k fonts")


def test_wheels_are_asked_for_all_that_an_installation_needs(start, capsys):
    pyproject = START.with_name("pyproject.toml").read_bytes()
    (start.ROOT / "pyproject.toml").write_bytes(pyproject)
    assert start.main(["wheels", "--platform", "win_amd64", "--python-version", "3.12"]) == 0
    (call,) = start.calls
    asked = call.partition(" --dest wheels --platform win_amd64 --python-version 3.12 ")[2].split()
    project = tomllib.loads(pyproject.decode())
    assert set(asked) == {*project["build-system"]["requires"], *project["project"]["dependencies"], *start.BESIDES}
    assert "--only-binary=:all:" in call
    assert "Carry this folder" in capsys.readouterr().out


def test_a_download_that_failed_is_told(start, capsys):
    (start.ROOT / "pyproject.toml").write_bytes(START.with_name("pyproject.toml").read_bytes())
    start.fails = "download"
    assert start.main(["wheels"]) == 2
    assert "The download failed" in capsys.readouterr().err


def test_with_wheels_it_installs_without_a_network_but_not_the_tests(start):
    start.WHEELS.mkdir()
    start.main([])
    assert " --no-index --find-links wheels --editable " in start.calls[1]
    start.main(["test"])
    assert not any("--no-index" in call for call in start.calls if "[test]" in call)


@pytest.mark.parametrize(("step", "status"), [("venv", 2), ("pip", 2), ("demo", 3), ("elec2water run", 3)])
def test_it_stops_at_the_first_step_that_fails(start, step, status):
    start.fails = step
    if step == "elec2water run" and sys.platform == "win32":
        start.fails = "elec2water.exe run"
    assert start.main([]) == status
    assert step.split()[-1] in start.calls[-1]


def test_wrong_usage_is_told(start, capsys):
    assert start.main(["tset"]) == 2
    assert "usage: python start.py" in capsys.readouterr().err
    assert start.calls == []


def test_an_old_python_is_told(start, capsys, monkeypatch):
    monkeypatch.setattr(sys, "hexversion", 0x030A0CF0)
    assert start.main([]) == 2
    assert "needs Python 3.11 or later" in capsys.readouterr().err
