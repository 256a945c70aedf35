"""The ledger: which releases a project has, from which runs, and in which state each is."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from elec2water.errors import ReleaseError, UsageError
from elec2water.release import MANIFEST, ReleaseInfo, list_release_folders, read_release, sha256_of

LEDGER_NAME = "ledger.sqlite"
SCHEMA_VERSION = 1

_metadata = sa.MetaData()
_schema = sa.Table("ledger_schema", _metadata, sa.Column("version", sa.Integer, nullable=False))
_releases = sa.Table(
    "releases",
    _metadata,
    sa.Column("quarter", sa.Text, primary_key=True),
    sa.Column("release", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("manifest_sha256", sa.Text, nullable=False),
    sa.Column("coefficient_version", sa.Text, nullable=False),
    sa.Column("package_version", sa.Text, nullable=False),
    sa.Column("n_errors", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("approved_by", sa.Text),
    sa.Column("approved_at", sa.Text),
    sa.CheckConstraint("state IN ('draft', 'approved')", name="known_state"),
    sa.CheckConstraint("n_errors >= 0", name="n_errors_not_negative"),
    sa.CheckConstraint(
        "(state = 'approved') = (approved_by IS NOT NULL) AND (approved_by IS NULL) = (approved_at IS NULL)",
        name="approved_by_someone",
    ),
)


class LedgerError(ReleaseError):
    """The ledger is damaged, of a newer package, or does not allow what was asked."""


@dataclass(frozen=True)
class Ledger:
    """An open ledger; made by :func:`open_ledger`.

    Attributes
    ----------
    path : Path
    """

    path: Path

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        engine = _engine(self.path)
        try:
            with engine.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise LedgerError(
                f"{self.path}: {error.orig}. See that you may write to it and that the disk has space."
            ) from error
        finally:
            engine.dispose()


def entered_releases(ledger: Ledger, quarter: str) -> dict[str, str]:
    """Give the releases of a quarter that the ledger knows: SHA-256 of the manifest by name."""
    listed = list_releases(ledger)
    here = listed.loc[listed["quarter"].eq(quarter)]
    return dict(zip(here["release"].tolist(), here["manifest_sha256"].tolist(), strict=True))


def open_ledger(path: Path) -> Ledger:
    """Open the ledger of a project; make it when the project has no release yet.

    Parameters
    ----------
    path : Path
        ``ledger.sqlite`` in the project folder.

    Returns
    -------
    Ledger

    Raises
    ------
    LedgerError
        If the file is damaged, truncated, no ledger, or of a newer package; or it is missing although the folder beside
        it holds releases. It is never made anew in silence, because approvals stand in it alone.
    """
    path = path.resolve()
    if not path.exists():
        releases = list_release_folders(path.parent)
        if releases:
            raise LedgerError(
                f"{path}: is missing, but there are {len(releases)} release(s) beside it. {_advice(path)}"
            )
        _create(path, [])
    _check(path)
    return Ledger(path)


def record_release(ledger: Ledger, info: ReleaseInfo) -> None:
    """Enter a release as a draft; entering the same one again changes nothing.

    Parameters
    ----------
    ledger : Ledger
    info : ReleaseInfo
        Its ``findings.csv`` is read: with findings of severity ``error`` it cannot be approved.

    Raises
    ------
    LedgerError
        If the ledger knows another release by that name, or the release has no ``findings.csv``.
    """
    row = _row(info)
    with ledger._transaction() as connection:
        known = _find(connection, info.quarter, info.release)
        if known is None:
            connection.execute(_releases.insert().values(row))
        elif any(known[key] != row[key] for key in ("digest", "manifest_sha256")):
            raise LedgerError(
                f"{ledger.path}: the release entered as {info.quarter} {info.release} is not the one in {info.folder}. "
                "Restore the folder, or the ledger that belongs to it, from a copy."
            )


def approve_release(ledger: Ledger, quarter: str, release: str, *, by: str, at: dt.datetime) -> None:
    """Mark a draft as approved, after comparing its files with what was entered.

    Parameters
    ----------
    ledger : Ledger
    quarter, release : str
        Such as ``2026Q3`` and ``r1``.
    by : str
        Who approves.
    at : datetime.datetime
        When, with a time zone.

    Raises
    ------
    LedgerError
        If there is no such release, it is approved already, or it has open findings of severity ``error``.
    ReleaseError
        If a file of the release was changed or is missing.
    UsageError
        If `by` is blank.
    ValueError
        If `at` has no time zone.
    """
    if not by.strip():
        raise UsageError("by: expected the name of who approves, found blank text")
    if at.tzinfo is None:
        raise ValueError(f"at: expected a time with its zone, found {at.isoformat()}")
    with ledger._transaction() as connection:
        _check_approvable(connection, ledger.path, quarter, release)
        approval = {"state": "approved", "approved_by": by.strip(), "approved_at": at.isoformat(timespec="seconds")}
        done = connection.execute(_releases.update().where(_is(quarter, release), _DRAFT).values(approval))
        if done.rowcount != 1:
            raise LedgerError(f"{quarter} {release} was approved by someone else at this moment: list the releases.")


def list_releases(ledger: Ledger) -> pd.DataFrame:
    """List what the ledger holds, by quarter and release.

    Parameters
    ----------
    ledger : Ledger

    Returns
    -------
    pandas.DataFrame
        ``quarter, release, digest, manifest_sha256, coefficient_version, package_version, n_errors, state,
        approved_by, approved_at``.
    """
    with ledger._transaction() as connection:
        rows = [dict(row) for row in connection.execute(sa.select(_releases)).mappings()]
    rows.sort(key=lambda row: (row["quarter"], int(row["release"][1:])))
    columns = [column.name for column in _releases.columns]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(set(columns) - {"n_errors"}, "str"))


def rebuild_ledger(path: str | Path) -> Ledger:
    """Make the ledger anew from the release folders, when it is lost; approvals are lost with it.

    A file in its place is kept beside it, as ``ledger.sqlite.old-1``, ``…-2``, never deleted.

    Parameters
    ----------
    path : path_like
        ``ledger.sqlite`` in the project folder, or that folder.

    Returns
    -------
    Ledger

    Raises
    ------
    ReleaseError
        If a release folder no longer agrees with its manifest; the ledger is then left as it is.
    LedgerError
        If the ledger cannot be written.
    """
    path = Path(path).resolve()
    if path.is_dir():
        path = path / LEDGER_NAME
    infos = [read_release(folder, verify=True) for folder in list_release_folders(path.parent)]
    rows = [_row(info) for info in infos]
    if path.exists():
        number = 1
        while (kept := path.with_name(f"{path.name}.old-{number}")).exists():
            number += 1
        path.rename(kept)
    _create(path, rows)
    return open_ledger(path)


_DRAFT = _releases.c.state == "draft"


def _advice(path: Path) -> str:
    code = f"import elec2water; elec2water.rebuild_ledger({str(path)!r})"
    return f'Restore it from a copy, or make it anew, which keeps all but the approvals: python -c "{code}"'


def _engine(path: Path) -> sa.Engine:
    """Connect to a file that must exist: SQLite would make an empty one of any name."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)


def _create(path: Path, rows: list[dict[str, object]]) -> None:
    """Make a ledger beside its place and move it there whole."""
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL, 0o600))
        with Ledger(temporary)._transaction() as connection:
            _metadata.create_all(connection)
            connection.execute(_schema.insert().values(version=SCHEMA_VERSION))
            if rows:
                connection.execute(_releases.insert(), rows)
        temporary.rename(path)
    except OSError as error:
        raise LedgerError(f"{path}: cannot be made: {error}. See that you may write to the folder.") from error


def _check(path: Path) -> None:
    engine = _engine(path)
    try:
        with engine.connect() as connection:
            state = connection.exec_driver_sql("PRAGMA quick_check").scalar()
            version = connection.execute(sa.select(sa.func.max(_schema.c.version))).scalar()
            if version == SCHEMA_VERSION:
                connection.execute(sa.select(_releases).limit(1))
        _check_size(path)
    except (sa.exc.DBAPIError, OSError) as error:
        raise LedgerError(
            f"{path}: is not a readable ledger ({getattr(error, 'orig', error)}). {_advice(path)}"
        ) from error
    finally:
        engine.dispose()
    if state != "ok" or version is None or version < 1:
        said = " ".join(str(state).split())
        raise LedgerError(f"{path}: is damaged ({said}, schema {version}). {_advice(path)}")
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"{path}: has schema {version}, this package knows {SCHEMA_VERSION}: it was written by a newer elec2water. "
            "Upgrade the package; the ledger is left as it is."
        )


def _check_size(path: Path) -> None:
    """Find a cut that SQLite overlooks: the last page may be short.

    Page size and page count stand in bytes 16 and 28 of the header (sqlite.org/fileformat.html, section 1.3). To be
    called when SQLite has read the file, for it first rolls back what a dead process left unfinished.
    """
    with path.open("rb") as file:
        header = file.read(100)
    expected = int.from_bytes(header[16:18]) * int.from_bytes(header[28:32])
    found = path.stat().st_size
    if found != expected:
        raise LedgerError(f"{path}: is damaged: it has {found} bytes and says it has {expected}. {_advice(path)}")


def _check_approvable(connection: sa.Connection, path: Path, quarter: str, release: str) -> None:
    known = _find(connection, quarter, release)
    if known is None:
        entered = [f"{row.quarter} {row.release}" for row in connection.execute(sa.select(_releases))]
        raise LedgerError(f"{path}: there is no {quarter} {release}; entered are: {', '.join(entered) or 'none'}.")
    if known["state"] == "approved":
        raise LedgerError(f"{quarter} {release} was approved by {known['approved_by']} at {known['approved_at']}.")
    if known["n_errors"]:
        raise LedgerError(
            f"{quarter} {release} has {known['n_errors']} open finding(s) of severity error: see its findings.csv, "
            "correct the inputs and run again; the new release can be approved."
        )
    folder = path.parent / "releases" / quarter / release
    read_release(folder, verify=True)
    if sha256_of(folder / MANIFEST) != known["manifest_sha256"]:
        raise LedgerError(
            f"{folder / MANIFEST}: is not the manifest that was entered. Restore the release from a copy."
        )


def _is(quarter: str, release: str) -> sa.ColumnElement[bool]:
    return sa.and_(_releases.c.quarter == quarter, _releases.c.release == release)


def _find(connection: sa.Connection, quarter: str, release: str) -> sa.RowMapping | None:
    return connection.execute(sa.select(_releases).where(_is(quarter, release))).mappings().one_or_none()


def _row(info: ReleaseInfo) -> dict[str, object]:
    return {
        "quarter": info.quarter,
        "release": info.release,
        "digest": info.digest,
        "manifest_sha256": sha256_of(info.folder / MANIFEST),
        "coefficient_version": str(info.manifest["coefficient_version"]),
        "package_version": str(info.manifest["package_version"]),
        "n_errors": _count_errors(info.folder / "findings.csv"),
        "state": "draft",
        "approved_by": None,
        "approved_at": None,
    }


def _count_errors(findings: Path) -> int:
    try:
        severity = pd.read_csv(findings, usecols=["severity"], dtype="str", encoding="utf-8-sig")["severity"]
    except (OSError, ValueError) as error:
        raise LedgerError(f"{findings}: the findings of the release cannot be read ({error}).") from error
    return int((severity == "error").sum())
