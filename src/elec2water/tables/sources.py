"""Which files make up a table: named in the configuration or found in ``inputs/``; folders and archives too."""

from __future__ import annotations

import gzip
import hashlib
import os
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING

from elec2water.findings import Findings
from elec2water.tables.preflight import BROKEN_ZIP, MAX_MEMBERS, MAX_RATIO, check_members
from elec2water.tables.workbook import is_book

if TYPE_CHECKING:
    from elec2water.tables.context import Context

SUFFIXES = (
    ".csv", ".xlsx", ".parquet", ".xls", ".xlsm", ".xlsb", ".ods", ".et", ".txt", ".tsv", ".htm", ".html", ".xml",
    ".csv.gz", ".txt.gz", ".tsv.gz", ".zip",
)  # fmt: skip
"""Names looked for; what a file is, its first bytes tell."""

MAX_UNPACKED = 8 << 30
_PASSING = ("~$", ".~", ".")
"""How names of files begin that an office program leaves beside the one it has open."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read.

    Attributes
    ----------
    path : pathlib.Path
        Where it is.
    sheet : str or None
        The sheet asked for; ``*`` all that hold the table.
    name : str
        How findings call it.
    """

    path: Path
    sheet: str | None
    name: str


def sources_of(
    table: str, root: Path, listed: tuple[str, ...], context: Context, *, required: bool
) -> tuple[list[Source], Findings]:
    """List the files of a table.

    Parameters
    ----------
    table : str
        Its name.
    root : pathlib.Path
        The project folder.
    listed : tuple of str
        Paths of the configuration: a file, ``file#sheet`` (``#*`` all sheets), a folder, or a pattern such as
        ``inputs/2026*.xlsx``. Nothing listed: ``inputs/<table>.*``, or every file in the folder ``inputs/<table>/``.
    context : Context
        For the findings.
    required : bool
        Whether the project cannot do without the table.

    Returns
    -------
    list of Source
        In the order listed; the files of a folder or pattern by name.
    Findings
        Files of a folder that are no tables.

    Raises
    ------
    DataRefusedError
        If the table is required and not there, or two files claim to be it.
    """
    found: list[Findings] = []
    if listed:
        sources = [source for text in listed for source in _listed(root, text, context, found)]
        return sources, Findings.concat(found)
    there = _named(root / "inputs", table)
    if len(there) > 1:
        raise context.refuse("TWO_FILES", observed=", ".join(path.name for path in there))
    foreign = [path.name for path in _files_called(root / "inputs", table)]
    if not there and foreign:
        raise context.refuse("FILE_FORMAT", observed=", ".join(foreign))
    if not there and required:
        raise context.refuse("MISSING_FILE", limit=f"inputs/{table}.csv, .xlsx, .parquet")
    sources = [source for path in there for source in _of_path(path, None, f"inputs/{path.name}", context, found)]
    return sources, Findings.concat(found)


def _named(folder: Path, table: str) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if _stem_of_table(path) == table]


def _files_called(folder: Path, table: str) -> list[Path]:
    """List files that bear the table's name, whatever their suffix: a .rar or .doc in its place is not "missing"."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.is_file() and path.name.lower().split(".")[0] == table]


def _stem_of_table(path: Path) -> str:
    """Give the name without a suffix that tables have, else nothing."""
    name = path.name.lower()
    longest_first = sorted(SUFFIXES, key=len, reverse=True)
    bare = next((name.removesuffix(suffix) for suffix in longest_first if name.endswith(suffix)), "")
    return bare or (name if path.is_dir() and not path.is_symlink() else "")


def _listed(root: Path, text: str, context: Context, found: list[Findings]) -> list[Source]:
    """Understand ``path``, ``path#sheet`` and patterns; a file whose name holds a # or a * is itself."""
    path = _as_spelt(root / text)
    if os.path.lexists(path):
        return _of_path(path, None, text, context, found)
    name, mark, sheet = text.rpartition("#")
    if mark and os.path.lexists(_as_spelt(root / name)):
        return [Source(_as_spelt(root / name), sheet, text)]
    pattern, wanted = (name, sheet) if mark and _is_pattern(name) else (text, None)
    if not _is_pattern(pattern):
        return [Source(path, None, text)]
    base = Path(pattern)
    start = Path(base.anchor) if base.is_absolute() else root
    matching = sorted(start.glob(str(base.relative_to(base.anchor) if base.is_absolute() else base)))
    files = [path for path in matching if path.is_file() and not path.name.startswith(_PASSING)]
    if not files:
        raise context.refuse("MISSING_FILE", limit=text)
    return [Source(path, wanted, _relative(path, root)) for path in files]


def _is_pattern(text: str) -> bool:
    return any(mark in text for mark in "*?[")


def _as_spelt(path: Path) -> Path:
    """Find a file whose name is the same text in another normal form (macOS writes accents and kana apart)."""
    if os.path.lexists(path) or not path.parent.is_dir():
        return path
    wanted = unicodedata.normalize("NFC", path.name)
    same = [other for other in path.parent.iterdir() if unicodedata.normalize("NFC", other.name) == wanted]
    return same[0] if len(same) == 1 else path


def _of_path(path: Path, sheet: str | None, name: str, context: Context, found: list[Findings]) -> list[Source]:
    if path.is_symlink() or not path.is_dir():
        return [Source(path, sheet, name)]
    inside = [p for p in sorted(path.rglob("*")) if not p.is_dir() and not p.name.startswith(_PASSING)]
    tables = [p for p in inside if p.name.lower().endswith(SUFFIXES)]
    if not tables:
        raise context.refuse("NOT_A_FILE", observed=name)
    others = [p.relative_to(path).as_posix() for p in inside if p not in tables]
    found.append(context.finding("FILE_IGNORED", observed=others))
    return [Source(p, None, f"{name.rstrip('/')}/{p.relative_to(path).as_posix()}") for p in tables]


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def same_content(sources: list[Source], context: Context) -> Findings:
    """Refuse one content given twice: its energy would count twice."""
    if len(sources) < 2:
        return Findings.empty()
    seen: dict[tuple[str, str | None], str] = {}
    twice: list[tuple[str, str]] = []
    for source in sources:
        if source.path.is_symlink() or not source.path.is_file():
            continue
        with source.path.open("rb") as stream:
            key = (hashlib.file_digest(stream, "sha256").hexdigest(), source.sheet)
        if key in seen:
            twice.append((source.name, seen[key]))
        seen.setdefault(key, source.name)
    return context.finding("DUPLICATE_FILE", observed=[a for a, _ in twice], limit=[b for _, b in twice])


@contextmanager
def unpacked(source: Source, context: Context) -> Iterator[list[Source]]:
    """Give the files inside a gzip or a zip that is no workbook, unpacked for as long as they are read.

    Raises
    ------
    DataRefusedError
        If the archive is broken, locked or hostile, or holds no table.
    """
    kind = _archive_kind(source.path)
    if not kind:
        yield [source]
        return
    with TemporaryDirectory() as folder:
        try:
            inside = (_unpack_gzip if kind == "gzip" else _unpack_zip)(source, Path(folder), context)
        except BROKEN_ZIP as error:
            raise context.refuse("FILE_BROKEN", observed=" ".join(str(error).split())[:200]) from error
        yield inside


def _archive_kind(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as stream:
        head = stream.read(4)
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if not head.startswith(b"PK\x03\x04") or not zipfile.is_zipfile(path):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except BROKEN_ZIP:
        return ""
    return "" if is_book(names) or not any(_member_name(n).lower().endswith(SUFFIXES) for n in names) else "zip"


def _unpack_gzip(source: Source, folder: Path, context: Context) -> list[Source]:
    inner = source.path.name.removesuffix(".gz").removesuffix(".GZ")
    target = folder / (inner or "table.csv")
    limit = min(MAX_UNPACKED, max(1 << 24, MAX_RATIO * source.path.stat().st_size))
    with gzip.open(source.path) as stream, target.open("wb") as out:
        _copy(stream, out, limit, context)
    return [Source(target, source.sheet, source.name)]


def _unpack_zip(source: Source, folder: Path, context: Context) -> list[Source]:
    sources = []
    with zipfile.ZipFile(source.path) as archive:
        check_members(archive, context)
        for number, info in enumerate(archive.infolist()[:MAX_MEMBERS]):
            name = _member_name(info.filename, utf8=bool(info.flag_bits & 0x800))
            last = name.rsplit("/", 1)[-1]
            if info.is_dir() or not last.lower().endswith(SUFFIXES) or last.startswith(_PASSING) or "__MACOSX" in name:
                continue
            target = folder / str(number) / _safe(last)
            target.parent.mkdir()
            with archive.open(info) as stream, target.open("wb") as out:
                _copy(stream, out, MAX_UNPACKED, context)
            sources.append(Source(target, source.sheet, f"{source.name}/{name}"))
    return sorted(sources, key=lambda inner: inner.name)


def _member_name(name: str, *, utf8: bool = True) -> str:
    """Give the name of a member as it was meant: Chinese Windows writes GBK where the format says cp437."""
    if utf8 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("gb18030")
    except UnicodeError:
        return name


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_.年月" else "_" for c in name)[-100:]


def _copy(stream: IO[bytes] | gzip.GzipFile, out: IO[bytes], limit: int, context: Context) -> None:
    size = 0
    while block := stream.read(1 << 22):
        size += len(block)
        if size > limit:
            raise context.refuse("WORKBOOK_HOSTILE", observed=f"> {limit:,} B")
        out.write(block)
