"""The ledger: what was released, who approved it, and never a silent new beginning."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from elec2water import ledger as ledger_module
from elec2water.errors import ReleaseError, UsageError
from elec2water.ledger import (
    LEDGER_NAME,
    LedgerError,
    approve_release,
    list_releases,
    open_ledger,
    rebuild_ledger,
    record_release,
)
from elec2water.release import ReleaseInfo, publish_release

NOON = dt.datetime(2026, 10, 8, 12, 0, 5, tzinfo=dt.timezone(dt.timedelta(hours=8)))


def release(project: Path, seed: int = 1, *, quarter: str = "2026Q3", errors: int = 0) -> ReleaseInfo:
    run = {"inputs": {}, "configuration": {}, "package_version": "0.1.0", "seed": seed, "coefficient_version": "c1"}
    findings = "rule,severity,message\nE1,warning,x\n" + 'E2,error,"two\nlines"\n' * errors
    return publish_release(project, quarter, {"findings.csv": findings.encode("utf-8-sig")}, manifest=run)


def sql(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_a_release_is_entered_once_and_approved_once(tmp_path):
    ledger = open_ledger(tmp_path / LEDGER_NAME)
    first = release(tmp_path)
    record_release(ledger, first)
    record_release(ledger, first)
    record_release(ledger, release(tmp_path, 2))
    approve_release(ledger, "2026Q3", "r1", by=" 王工 ", at=NOON)
    record_release(ledger, first)

    table = list_releases(open_ledger(tmp_path / LEDGER_NAME))
    assert table[["quarter", "release", "state"]].to_numpy().tolist() == [
        ["2026Q3", "r1", "approved"],
        ["2026Q3", "r2", "draft"],
    ]
    assert table.loc[0, ["approved_by", "approved_at"]].tolist() == ["王工", "2026-10-08T12:00:05+08:00"]
    assert table.loc[0, "digest"] == first.digest
    assert table.loc[1, ["approved_by", "approved_at"]].isna().all()
    with pytest.raises(LedgerError, match="was approved by 王工 at 2026-10-08T12:00:05"):
        approve_release(ledger, "2026Q3", "r1", by="李工", at=NOON)


def test_releases_are_listed_in_the_order_of_their_numbers(tmp_path):
    ledger = open_ledger(tmp_path / LEDGER_NAME)
    assert list_releases(ledger).empty
    for seed in range(11):
        record_release(ledger, release(tmp_path, seed))
    record_release(ledger, release(tmp_path, quarter="2025Q4"))
    assert list_releases(ledger)["release"].tolist() == ["r1", *(f"r{i}" for i in range(1, 12))]


def test_what_must_not_be_approved_is_refused(tmp_path):
    ledger = open_ledger(tmp_path / LEDGER_NAME)
    with pytest.raises(LedgerError, match=r"there is no 2026Q3 r1; entered are: none"):
        approve_release(ledger, "2026Q3", "r1", by="王工", at=NOON)
    record_release(ledger, release(tmp_path, errors=2))
    with pytest.raises(LedgerError, match=r"2 open finding\(s\) of severity error"):
        approve_release(ledger, "2026Q3", "r1", by="王工", at=NOON)
    with pytest.raises(LedgerError, match=r"no 2026Q3 r7; entered are: 2026Q3 r1"):
        approve_release(ledger, "2026Q3", "r7", by="王工", at=NOON)
    with pytest.raises(UsageError, match="by: expected the name"):
        approve_release(ledger, "2026Q3", "r1", by="  ", at=NOON)
    with pytest.raises(ValueError, match="time with its zone"):
        approve_release(ledger, "2026Q3", "r1", by="王工", at=NOON.replace(tzinfo=None))
    assert list_releases(ledger)["state"].tolist() == ["draft"]


def test_of_two_approvals_at_once_one_is_told_it_came_late(tmp_path, monkeypatch):
    path = open_ledger(tmp_path / LEDGER_NAME).path
    record_release(open_ledger(path), release(tmp_path))
    check = ledger_module._check_approvable

    def check_while_another_approves(*arguments):
        check(*arguments)
        sql(path, "UPDATE releases SET state = 'approved', approved_by = '李工', approved_at = '2026-10-08'")

    monkeypatch.setattr(ledger_module, "_check_approvable", check_while_another_approves)
    with pytest.raises(LedgerError, match="by someone else at this moment"):
        approve_release(open_ledger(path), "2026Q3", "r1", by="王工", at=NOON)
    assert list_releases(open_ledger(path))["approved_by"].tolist() == ["李工"]


def test_files_changed_since_they_were_entered_are_not_approved(tmp_path):
    ledger = open_ledger(tmp_path / LEDGER_NAME)
    info = release(tmp_path)
    record_release(ledger, info)
    (info.folder / "findings.csv").write_bytes(b"severity\n")
    with pytest.raises(ReleaseError, match=r"findings\.csv: differs"):
        approve_release(ledger, "2026Q3", "r1", by="王工", at=NOON)
    sql(ledger.path, "UPDATE releases SET manifest_sha256 = 'x'")
    (info.folder / "findings.csv").write_bytes("rule,severity,message\nE1,warning,x\n".encode("utf-8-sig"))
    with pytest.raises(LedgerError, match="is not the manifest that was entered"):
        approve_release(ledger, "2026Q3", "r1", by="王工", at=NOON)


def test_a_release_of_another_run_under_a_known_name_is_refused(tmp_path):
    ledger = open_ledger(tmp_path / LEDGER_NAME)
    info = release(tmp_path)
    record_release(ledger, info)
    info.folder.rename(tmp_path / "taken away")
    with pytest.raises(LedgerError, match="is not the one in"):
        record_release(ledger, release(tmp_path, 2))


def test_a_release_without_findings_cannot_be_entered(tmp_path):
    ledger = open_ledger(tmp_path / LEDGER_NAME)
    run = {"inputs": {}, "configuration": {}, "package_version": "0.1.0", "seed": 1, "coefficient_version": "c1"}
    with pytest.raises(LedgerError, match=r"findings\.csv: the findings of the release cannot be read"):
        record_release(ledger, publish_release(tmp_path, "2026Q3", {"x.csv": b""}, manifest=run))


# Damage


def filled(project: Path) -> Path:
    ledger = open_ledger(project / LEDGER_NAME)
    for seed in range(5):
        record_release(ledger, release(project, seed))
    return ledger.path


def test_a_ledger_cut_anywhere_is_refused_and_left_as_it_is(tmp_path):
    path = filled(tmp_path)
    whole = path.read_bytes()
    for length in (*range(0, 130, 13), *range(512, len(whole), 512), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(LedgerError, match="rebuild_ledger"):
            open_ledger(path)
        assert path.read_bytes() == whole[:length]
    path.write_bytes(whole)
    assert len(list_releases(open_ledger(path))) == 5


@pytest.mark.parametrize("content", [b"x", b"not a database, whatever its name says" * 200, bytes(8192)])
def test_a_file_that_is_no_ledger_is_refused(tmp_path, content):
    (tmp_path / LEDGER_NAME).write_bytes(content)
    with pytest.raises(LedgerError, match="Restore it from a copy"):
        open_ledger(tmp_path / LEDGER_NAME)


def test_another_database_is_no_ledger(tmp_path):
    sql(tmp_path / LEDGER_NAME, "CREATE TABLE t (x)")
    with pytest.raises(LedgerError, match="no such table: ledger_schema"):
        open_ledger(tmp_path / LEDGER_NAME)


def test_a_ledger_of_a_newer_package_is_refused(tmp_path):
    path = filled(tmp_path)
    sql(path, "UPDATE ledger_schema SET version = 2")
    with pytest.raises(LedgerError, match=r"has schema 2, this package knows 1.*Upgrade the package"):
        open_ledger(path)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE releases SET state = 'final'",
        "UPDATE releases SET state = 'approved'",
        "UPDATE releases SET approved_by = 'me'",
        "UPDATE releases SET n_errors = -1",
        "INSERT INTO releases SELECT * FROM releases",
    ],
)
def test_a_state_that_cannot_be_is_not_taken_even_by_hand(tmp_path, edit):
    path = filled(tmp_path)
    with pytest.raises(sqlite3.IntegrityError):
        sql(path, edit)


def test_a_missing_ledger_is_made_only_when_there_is_nothing_to_lose(tmp_path):
    path = filled(tmp_path)
    path.unlink()
    with pytest.raises(LedgerError, match=r"is missing, but there are 5 release\(s\) beside it"):
        open_ledger(path)
    assert not path.exists()


def test_only_the_owner_may_read(tmp_path):
    mode = stat.S_IMODE(open_ledger(tmp_path / LEDGER_NAME).path.stat().st_mode)
    assert os.name == "nt" or mode == 0o600


def test_rebuilding_keeps_all_but_the_approvals_and_the_old_file(tmp_path):
    path = filled(tmp_path)
    before = list_releases(open_ledger(path))
    approve_release(open_ledger(path), "2026Q3", "r1", by="王工", at=NOON)
    damaged = path.read_bytes()[:5000]
    for n in (1, 2):
        path.write_bytes(damaged)
        assert list_releases(rebuild_ledger(path)).equals(before)
        assert path.with_name(f"{LEDGER_NAME}.old-{n}").read_bytes() == damaged


def test_the_folder_may_be_given_and_is_not_moved_away(tmp_path):
    path = filled(tmp_path)
    before = list_releases(open_ledger(path))
    path.unlink()
    assert list_releases(rebuild_ledger(tmp_path)).equals(before)
    assert sorted(p.name for p in tmp_path.iterdir() if "ledger" in p.name) == [LEDGER_NAME]


def test_rebuilding_on_changed_releases_is_refused_and_changes_nothing(tmp_path):
    path = filled(tmp_path)
    whole = path.read_bytes()
    (tmp_path / "releases/2026Q3/r2/findings.csv").write_bytes(b"")
    with pytest.raises(ReleaseError, match="differs"):
        rebuild_ledger(path)
    assert path.read_bytes() == whole


def test_a_folder_that_is_not_there_gets_no_ledger(tmp_path):
    with pytest.raises(LedgerError, match="cannot be made"):
        open_ledger(tmp_path / "absent" / LEDGER_NAME)
