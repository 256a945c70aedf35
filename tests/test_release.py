"""Releases: whole or not at all, the same bytes for the same run, nothing a spreadsheet would run."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import stat
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from elec2water.errors import ReleaseError, UsageError
from elec2water.release import (
    csv_bytes,
    escape_text,
    find_release,
    list_release_folders,
    netcdf_bytes,
    parquet_bytes,
    project_lock,
    publish_release,
    read_release,
    sha256_of,
    unescape_text,
)
from elec2water.release.formats import FORMULA_STARTS
from elec2water.release.lock import LOCK_NAME

POSIX = os.name == "posix"
if POSIX:
    import resource


def run_of(content: str = "a") -> dict:
    return {
        "inputs": {"wells.csv": content * 64},
        "configuration": {"project": {"name": "示范县"}, "estimate": {"confidence": 0.9}},
        "package_version": "0.1.0",
        "seed": 2026,
        "coefficient_version": "2026Q3-1",
    }


def write_by_path(path: Path) -> None:
    path.write_bytes(b"by path" * 40_000)


FILES = {
    "totals.csv": b"domain,key\ncounty,370212\n",
    "wells.parquet": bytes(range(256)) * 2_000,
    "report.html": write_by_path,
    "upload/vouchers/0012.pdf": b"%PDF",
}


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def released(project: Path) -> dict[str, bytes]:
    """Everything under a final name."""
    return {k: v for k, v in tree(project).items() if k.startswith("releases/") and "/.tmp-" not in k}


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, bytes]:
    project = tmp_path_factory.mktemp("expected")
    publish_release(project, "2026Q3", FILES, manifest=run_of())
    return released(project)


# The folder


def test_a_release_holds_its_files_and_a_manifest_that_proves_them(tmp_path):
    info = publish_release(tmp_path, "2026Q3", FILES, manifest=run_of())
    assert (info.release, info.created, info.folder) == ("r1", True, tmp_path / "releases/2026Q3/r1")
    manifest = json.loads((info.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["configuration"]["project"]["name"] == "示范县"
    assert set(manifest["outputs"]) == set(FILES)
    for name, facts in manifest["outputs"].items():
        assert facts == {"bytes": (info.folder / name).stat().st_size, "sha256": sha256_of(info.folder / name)}
    assert (info.folder / "totals.csv").read_bytes() == FILES["totals.csv"]


def test_sha256_is_that_of_the_standard(tmp_path):
    """FIPS 180-2, appendix B.1: the message "abc"."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_same_run_is_the_same_release_and_another_run_the_next(tmp_path):
    first = publish_release(tmp_path, "2026Q3", FILES, manifest=run_of())
    before = {p: p.stat().st_mtime_ns for p in first.folder.rglob("*")}
    again = publish_release(tmp_path, "2026Q3", {"totals.csv": b"not even looked at"}, manifest=run_of())
    assert (again.release, again.created, again.manifest) == ("r1", False, first.manifest)
    assert before == {p: p.stat().st_mtime_ns for p in first.folder.rglob("*")}

    second = publish_release(tmp_path, "2026Q3", FILES, manifest=run_of("b"))
    assert (second.release, second.created) == ("r2", True)
    assert find_release(tmp_path, "2026Q3", run_of("b")).release == "r2"
    assert find_release(tmp_path, "2026Q3", run_of("c")) is None
    assert publish_release(tmp_path, "2026Q4", FILES, manifest=run_of()).release == "r1"
    assert [f.name for f in list_release_folders(tmp_path, "2026Q3")] == ["r1", "r2"]


def test_the_same_run_gives_the_same_bytes_in_another_project(tmp_path, expected):
    publish_release(tmp_path, "2026Q3", dict(reversed(FILES.items())), manifest=dict(reversed(run_of().items())))
    assert released(tmp_path) == expected


def test_a_name_already_taken_is_never_written_over(tmp_path):
    place = tmp_path / "releases/2026Q3"
    place.mkdir(parents=True)
    (place / "r9").write_text("a file someone put here")
    assert publish_release(tmp_path, "2026Q3", FILES, manifest=run_of()).release == "r10"
    assert (place / "r9").read_text() == "a file someone put here"


@pytest.mark.skipif(not POSIX, reason="permission bits are POSIX")
def test_only_the_owner_may_read(tmp_path):
    old = os.umask(0o000)
    try:
        publish_release(tmp_path, "2026Q3", FILES, manifest=run_of())
    finally:
        os.umask(old)
    for path in (tmp_path / "releases", *(tmp_path / "releases").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_leftovers_of_dead_runs_are_removed_but_nothing_they_point_to(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    place = tmp_path / "releases/2026Q2"
    (place / ".tmp-r1/upload").mkdir(parents=True)
    (place / ".tmp-r1/upload/half").write_text("half")
    if POSIX:
        (place / ".tmp-r1/link").symlink_to(elsewhere)
        (place / ".tmp-r2").symlink_to(elsewhere)
    publish_release(tmp_path, "2026Q3", FILES, manifest=run_of())
    assert not (place / ".tmp-r1").exists()
    assert (elsewhere / "precious").read_text() == "x"


# What is refused


ESCAPING = ["../x", "/etc/x", "a/../b", "", "a//b", "a\\b", "C:x"]
UNUSABLE = ["CON", "con.txt", "x ", "x.", ".hidden", "a\0b", "a\nb", "\u202ex.pdf", "n" * 300]


@pytest.mark.parametrize("name", [*ESCAPING, *UNUSABLE, "manifest.json", "Manifest.JSON"])
def test_a_file_name_that_could_leave_the_folder_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be the name of a file"):
        publish_release(tmp_path, "2026Q3", {name: b""}, manifest=run_of())
    assert tree(tmp_path) == {}


def test_two_names_that_are_one_on_windows_are_refused(tmp_path):
    with pytest.raises(UsageError, match="one file name on Windows"):
        publish_release(tmp_path, "2026Q3", {"a.csv": b"", "A.csv": b""}, manifest=run_of())


@pytest.mark.parametrize("quarter", ["2026q3", "2026Q5", "2026", "../2026Q3", "2026Q3\n", ""])
def test_a_quarter_of_another_form_is_refused(tmp_path, quarter):
    with pytest.raises(UsageError, match="quarter: expected a form like 2026Q3"):
        publish_release(tmp_path, quarter, FILES, manifest=run_of())


def test_a_manifest_that_cannot_prove_anything_is_refused(tmp_path):
    short = {k: v for k, v in run_of().items() if k != "seed"}
    with pytest.raises(UsageError, match=r"missing \['seed'\]"):
        publish_release(tmp_path, "2026Q3", FILES, manifest=short)
    with pytest.raises(UsageError, match=r"not allowed \['outputs'\]"):
        publish_release(tmp_path, "2026Q3", FILES, manifest=run_of() | {"outputs": {}})
    for value in (float("nan"), Path("x"), {1, 2}):
        with pytest.raises(UsageError, match="what JSON cannot"):
            publish_release(tmp_path, "2026Q3", FILES, manifest=run_of() | {"extra": value})


def test_a_writer_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(ReleaseError, match=r"report\.html: the function given for this file did not write it"):
        publish_release(tmp_path, "2026Q3", {"report.html": lambda path: None}, manifest=run_of())
    assert released(tmp_path) == {}


@pytest.mark.parametrize("damage", ["change", "remove", "manifest", "no manifest", "empty manifest"])
def test_a_release_changed_by_hand_is_noticed_not_given_out(tmp_path, damage):
    folder = publish_release(tmp_path, "2026Q3", FILES, manifest=run_of()).folder
    path = folder / ("totals.csv" if damage in {"change", "remove"} else "manifest.json")
    if damage == "change":
        path.write_bytes(FILES["totals.csv"].replace(b"370212", b"370213"))
    elif damage in {"remove", "no manifest"}:
        path.unlink()
    elif damage == "manifest":
        path.write_text(path.read_text("utf-8").replace("2026Q3-1", "2026Q3-2"), "utf-8")
    else:
        path.write_bytes(b"")
    with pytest.raises(ReleaseError, match=path.name) as caught:
        publish_release(tmp_path, "2026Q3", FILES, manifest=run_of())
    assert "move its folder out of releases/" in str(caught.value)
    with pytest.raises(ReleaseError):
        read_release(folder, verify=True)


# The lock


def test_a_second_run_is_refused_and_told_who_holds_the_project(tmp_path):
    with project_lock(tmp_path) as lock:
        with pytest.raises(ReleaseError, match=rf"in use by process {os.getpid()} on "):
            publish_release(tmp_path, "2026Q3", FILES, manifest=run_of())
        assert publish_release(tmp_path, "2026Q3", FILES, manifest=run_of(), lock=lock).created
        (tmp_path / "other").mkdir()
        with pytest.raises(UsageError, match="lock that project"):
            publish_release(tmp_path / "other", "2026Q3", FILES, manifest=run_of(), lock=lock)
    with project_lock(tmp_path):
        pass


HOLDER = """
import sys, time
from pathlib import Path
from elec2water.release.lock import project_lock
with project_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_another_process_ends_when_it_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        try:
            with pytest.raises(ReleaseError, match=f"process {holder.pid} on"), project_lock(tmp_path):
                pass
        finally:
            holder.kill()
    assert str(holder.pid) in (tmp_path / LOCK_NAME).read_text()  # a stale name, and a pid that may be reused
    assert publish_release(tmp_path, "2026Q3", FILES, manifest=run_of()).release == "r1"


def test_a_lock_file_of_any_content_holds_nobody_up(tmp_path):
    (tmp_path / LOCK_NAME).write_bytes(b"\xff\x00[not json")
    with project_lock(tmp_path), pytest.raises(ReleaseError, match="in use by"), project_lock(tmp_path):
        pass


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path):
    with pytest.raises(ReleaseError, match=r"cannot lock the project: .*absent"), project_lock(tmp_path / "absent"):
        pass


# Failing disks and power cuts


def fail_at(monkeypatch, function: str, n: int) -> None:
    real, calls = getattr(os, function), iter(range(1, 1_000_000))

    def failing(*args, **kwargs):
        if next(calls) == n:
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, function, failing)


def check_recovery(project: Path, expected: dict[str, bytes]) -> None:
    """Nothing partial under a final name; the same call again gives the same bytes and leaves nothing over."""
    assert released(project) in ({}, expected)
    assert publish_release(project, "2026Q3", FILES, manifest=run_of()).release == "r1"
    assert released(project) == expected
    assert not list(project.glob("releases/*/.tmp-*"))


def publishes(project: Path) -> bool:
    try:
        publish_release(project, "2026Q3", FILES, manifest=run_of())
    except ReleaseError as error:
        if "No space left on device" not in str(error):
            raise
        return False
    return True


@pytest.mark.parametrize("function", ["fsync", "rename", "mkdir", "open"])
def test_a_failure_of_any_call_leaves_nothing_partial(tmp_path, expected, function):
    for n in range(1, 100):
        project = tmp_path / str(n)
        project.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            fail_at(patch, function, n)
            if publishes(project):
                break
        assert not list(project.glob("releases/*/.tmp-*"))
        check_recovery(project, expected)
    assert n > {"fsync": 10, "rename": 1, "mkdir": 3, "open": 10}[function]


@pytest.mark.skipif(not POSIX, reason="needs RLIMIT_FSIZE")
def test_a_disk_that_fills_at_byte_n_leaves_nothing_partial(tmp_path, expected):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 1, 24, 300, 4_096, 100_000, 279_999, 280_000, 500_000):
        project = tmp_path / str(limit)
        project.mkdir()
        (project / LOCK_NAME).write_bytes(b"{" + b" " * 200)  # the lock fits: it is the files that do not
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(limit, 200), hard))
        try:
            with pytest.raises(ReleaseError, match="could not be written"):
                publish_release(project, "2026Q3", FILES, manifest=run_of())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert released(project) == {}
        check_recovery(project, expected)


KILLED = f"""
import os, random, sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_release import FILES, publish_release, run_of

def publish(project):
    publish_release(project, "2026Q3", FILES, manifest=run_of())

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
begin = time.perf_counter()
for i in range(5):
    (folder / f"timed{{i}}").mkdir()
    publish(folder / f"timed{{i}}")
duration = (time.perf_counter() - begin) / 5
instants = random.Random(2026)
for i in range(kills):
    project = folder / f"killed{{i:03d}}"
    project.mkdir()
    child = os.fork()
    if child == 0:
        publish(project)
        os._exit(0)
    if i < 5:
        os.kill(child, 9)
    elif i < kills - 5:
        time.sleep(instants.uniform(0, 1.5 * duration))
        os.kill(child, 9)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not POSIX, reason="needs fork")
def test_a_run_killed_at_any_instant_leaves_nothing_partial(tmp_path, expected):
    """The child process is forked from one that has imported everything, so that the kills fall into the writing.

    The first are killed at once and the last are let go on, so that both ends are seen however busy the machine is.
    """
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "100"], check=True)
    killed = sorted(tmp_path.glob("killed*"))
    finished = [bool(released(project)) for project in killed]
    assert len(killed) == 100
    assert all(finished[-5:])
    for project in killed:
        check_recovery(project, expected)


# Text that a spreadsheet would run


def test_every_character_that_becomes_a_formula_start_is_known():
    """Brute force over Unicode: what NFKC turns into something that begins a formula."""
    characters = map(chr, range(sys.maxunicode + 1))
    found = {c for c in characters if unicodedata.normalize("NFKC", c)[:1] in tuple("=+-@\t\r\n")}
    assert found == set(FORMULA_STARTS)


hostile = st.text(st.sampled_from("=+-@'＝－ \t\r\n\u200b\u3000,\"ab1井"), max_size=8) | st.text(max_size=12)


@given(hostile)
def test_no_text_stays_a_formula_and_reading_gives_it_back(text):
    escaped = escape_text(text)
    assert unescape_text(escaped) == text
    plain = unicodedata.normalize("NFKC", escaped).lstrip().lstrip("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")
    assert not plain.startswith(tuple("=+-@"))


encodable = hostile.filter(lambda t: t.isprintable() or not any(unicodedata.category(c) == "Cs" for c in t))


@given(st.lists(st.tuples(encodable, encodable, st.floats(allow_nan=False)), min_size=1, max_size=5))
@settings(max_examples=60)
def test_csv_read_by_the_standard_library_gives_the_table_back(rows):
    frame = pd.DataFrame(
        {
            "名称": pd.Series([r[0] for r in rows], dtype="str"),
            "=1+1": pd.Series([r[1] for r in rows], dtype="str"),
            "volume_m3": [r[2] for r in rows],
        }
    )
    text = csv_bytes(frame).decode("utf-8-sig")
    header, *records = csv.reader(io.StringIO(text, newline=""))
    assert [unescape_text(h) for h in header] == list(frame.columns)
    assert [(unescape_text(a), unescape_text(b), float(c)) for a, b, c in records] == rows


def test_csv_writes_each_type_as_documented():
    frame = pd.DataFrame(
        {
            "well_id": pd.Series(["0012", "-3", None], dtype="str"),
            "n": [1, 2, 3],
            "open": [True, False, True],
            "day": pd.Series(["2026-07-01", "2026-08-01", None], dtype="datetime64[s]"),
            "at": pd.Series(["2026-07-01 06:30", "2026-08-01", None], dtype="datetime64[ns]"),
            "m3": [1234.55, -0.04, np.nan],
            "kwh": [0.1 + 0.2, -0.0, 1e300],
            "count": pd.array([1, None, 3], dtype="Int64"),
            "kind": pd.Categorical(["浅层", "深层", "浅层"]),
        }
    )
    assert csv_bytes(frame, float_format={"m3": ".1f"}).decode("utf-8-sig").split("\n") == [
        "well_id,n,open,day,at,m3,kwh,count,kind",
        "0012,1,True,2026-07-01,2026-07-01T06:30:00,1234.5,0.30000000000000004,1,浅层",
        "'-3,2,False,2026-08-01,2026-08-01T00:00:00,0.0,0.0,,深层",
        ",3,True,,,,1e+300,3,浅层",
        "",
    ]
    assert csv_bytes(frame.iloc[:0]).decode("utf-8-sig") == ",".join(frame.columns) + "\n"
    with pytest.raises(ValueError, match=r"float_format names \['m4'\]"):
        csv_bytes(frame, float_format={"m4": ".1f"})


def test_csv_of_one_column_keeps_its_blank_lines():
    frame = pd.DataFrame({"name": pd.Series(["a", None, "b"], dtype="str")})
    back = pd.read_csv(io.BytesIO(csv_bytes(frame)), skip_blank_lines=True)
    assert len(back) == 3


@settings(max_examples=200)
@given(
    st.lists(st.floats(width=64) | st.integers(-(10**9), 10**9).map(lambda k: k / 2000), min_size=1),
    st.integers(0, 6),
)
def test_numbers_are_written_as_python_rounds_them(values, digits):
    written = csv_bytes(pd.DataFrame({"a": values, "m3": values}), float_format={"m3": f".{digits}f"}).decode()
    fields = [line.split(",")[1] for line in written.splitlines()[1:]]
    assert fields == ["" if math.isnan(v) else f"{v:z.{digits}f}" for v in values]


@given(st.lists(st.text() | st.sampled_from(["=1", "'=1", "，", '"', "a,b", "\u200b=1", "取水井"]), min_size=1))
def test_texts_are_written_one_by_one_or_together_alike(texts):
    frame = pd.DataFrame({"key": pd.Series(texts, dtype="str"), "n": 1})
    alone = [csv_bytes(frame.iloc[[i]]).decode("utf-8-sig").removeprefix("key,n\n") for i in range(len(frame))]
    assert csv_bytes(frame).decode("utf-8-sig") == "key,n\n" + "".join(alone)
    assert all(line in (f"{escape_text(t)},1\n", '"' + escape_text(t).replace('"', '""') + '",1\n')
               for line, t in zip(alone, texts, strict=True))  # fmt: skip


# Bytes


def wells(n: int = 1_000) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "well_id": pd.Series([f"{i:05d}" for i in range(n)], dtype="str"),
            "volume_m3": rng.lognormal(8, 1, n),
            "method": pd.Series(rng.choice(["measured", "converted"], n), dtype="str"),
            "month": np.full(n, np.datetime64("2026-07-01", "ms")),
        },
        index=np.arange(n)[::-1],
    )


def coefficients() -> xr.Dataset:
    months = np.array(["2026-07", "2026-08"], dtype="datetime64[s]")
    strata = ["浅层·边灌", "深层·喷灌"]
    return xr.Dataset(
        {"mean": (("stratum", "month"), [[4.0, 3.9], [2.2, 2.1]]), "covariance": (("i", "j"), np.eye(4) * 0.01)},
        coords={"stratum": strata, "month": months},
        attrs={"Conventions": "CF-1.11", "title": "以电折水系数"},
    )


def test_parquet_reads_back_equal():
    back = pd.read_parquet(io.BytesIO(parquet_bytes(wells())))
    pd.testing.assert_frame_equal(back, wells().reset_index(drop=True))
    assert b"pandas" not in parquet_bytes(wells())


def test_netcdf_reads_back_equal():
    back = xr.load_dataset(io.BytesIO(netcdf_bytes(coefficients())), engine="h5netcdf")
    xr.testing.assert_equal(back, coefficients())
    assert back.attrs == coefficients().attrs


def test_netcdf_does_not_depend_on_the_file_the_data_came_from():
    dataset = coefficients()
    dataset["mean"].encoding = {"zlib": True, "chunksizes": (1, 1), "dtype": "float32"}
    assert netcdf_bytes(dataset) == netcdf_bytes(coefficients())


def digests() -> list[str]:
    contents = (csv_bytes(wells()), parquet_bytes(wells()), netcdf_bytes(coefficients()))
    return [hashlib.sha256(content).hexdigest() for content in contents]


BYTES = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_release import digests
print(*digests())
"""


def test_bytes_depend_on_nothing_but_the_data():
    """Another process and second, time zone, hash seed and locale."""
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Pacific/Kiritimati", "LANG": "C", "LC_ALL": "C"}
    there = subprocess.run([sys.executable, "-c", BYTES], env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.split() == digests()
