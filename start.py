"""Set up elec2water and run it: ``python start.py`` for the demo county, ``python start.py test`` for the tests.

Needs nothing but Python 3.11 or later with its standard library, on Windows, macOS or Linux. The package is installed
into ``.venv`` beside this file, once for each state of pyproject.toml: after that no network is needed.

For a computer that never has one: ``python start.py wheels`` on another computer puts all that is needed into
``wheels``; the folder with it is then carried over, and ``python start.py`` there installs from it alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
WHEELS = ROOT / "wheels"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
COUNTY = ROOT / "county"
QUARTER = "2026Q3"
BESIDES = ("editables~=0.3", "colorama", "tzdata")
"""What hatchling asks for only while it installs, and what is needed on Windows alone: pip judges by where it runs."""


def main(arguments: list[str]) -> int:
    """Run the demo county, or the tests; further arguments go to pytest."""
    if sys.hexversion < 0x030B0000:
        version = sys.version.split()[0]
        return complain(
            f"需要 Python 3.11 或更高版本，现为 {version}。/ elec2water needs Python 3.11 or later; this is {version}."
        )
    if arguments[:1] == ["wheels"]:
        return collect(arguments[1:])
    if arguments[:1] not in ([], ["test"]):
        return complain("用法 / usage: python start.py [test [PYTEST ARGUMENTS] | wheels [PIP ARGUMENTS]]")
    if install("[test]" if arguments else ""):
        return complain(
            "安装未成功，原因见上；解决后重新运行同一命令。/ "
            "The installation failed, for the reason above. When it is mended, run the same command again."
        )
    # A worker a core; a file stays with one, since what it prepares is dear.
    spread = ("-n", "auto", "--dist", "loadfile")
    return call(PYTHON, "-m", "pytest", *spread, *arguments[1:]) if arguments else run_demo()


def run_demo() -> int:
    """Make the demo county unless it is there, run its quarter, and say where the results lie."""
    elec2water = PYTHON.with_name("elec2water" + PYTHON.suffix)
    status = 0 if COUNTY.exists() else call(elec2water, "demo", COUNTY, "--wells", "500", "--seed", "2026")
    status = status or call(elec2water, "run", COUNTY, "--quarter", QUARTER)
    if status == 0:
        folder = newest_release()
        print(
            f"结果在 {folder}，先看 totals.csv。/ The results are in {folder}; totals.csv is the table to begin with."
        )
    return status


def newest_release() -> Path:
    """Find the last release of the quarter."""
    releases = (COUNTY / "releases" / QUARTER).glob("r[0-9]*")
    return max(releases, key=lambda folder: int(folder.name[1:]))


def collect(arguments: list[str]) -> int:
    """Put what an installation needs into ``wheels``; further arguments go to pip, such as ``--platform win_amd64``."""
    import tomllib  # noqa: PLC0415 - unknown to the Pythons that main turns away

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = (*project["build-system"]["requires"], *project["project"]["dependencies"], *BESIDES)
    pip = (sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--only-binary=:all:")
    if call(*pip, "--dest", WHEELS, *arguments, *needed):
        return complain(
            "下载未成功，原因见上。/ The download failed, for the reason above; what is needed has wheels for 64-bit "
            "Windows, macOS and Linux."
        )
    print(
        f"已下载到 {WHEELS}。把本文件夹（.venv 除外）拷到不联网的电脑上，在那里运行 python start.py。/ "
        f"All is in {WHEELS}. Carry this folder, but for .venv, to the computer without a network and run "
        "python start.py there."
    )
    return 0


def install(extra: str) -> int:
    """Make ``.venv`` and install this folder into it, editable; return 0 when it is done, or was done before.

    From ``wheels`` alone, where there is that folder; the tests need more than is in it.
    """
    wanted = (ROOT / "pyproject.toml").read_bytes()
    done = ENVIRONMENT / f"installed{extra}.toml"
    if done.exists() and done.read_bytes() == wanted:
        return 0
    print(
        f"正在安装到 {ENVIRONMENT}（第一次需几分钟）… / Installing elec2water (some minutes the first time) …",
        file=sys.stderr,
        flush=True,
    )
    pip = (PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    pip += ("--no-index", "--find-links", WHEELS) if WHEELS.is_dir() and not extra else ()
    status = call(sys.executable, "-m", "venv", ENVIRONMENT) or call(*pip, "--editable", f"{ROOT}{extra}")
    if status == 0:
        done.write_bytes(wanted)
    return status


def call(*command: object) -> int:
    """Run a command in this folder, with nothing of another environment in its way."""
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}}
    environment["PYTHONUTF8"] = "1"
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, check=False).returncode


def complain(message: str) -> int:
    """Say what is wrong on standard error, and give the exit status for it."""
    print(message, file=sys.stderr)
    return 2


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")
    sys.exit(main(sys.argv[1:]))
