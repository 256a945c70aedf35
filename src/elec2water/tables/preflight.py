"""The scan of a workbook before anything opens it: what it claims is not believed, what it holds is looked at."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.parsers import expat

if TYPE_CHECKING:
    from elec2water.tables.context import Context

MAX_UNZIPPED = 1 << 29
MAX_RATIO = 200
MAX_MEMBERS = 10_000
MAX_BOX_CELLS = 20_000_000
"""Cells of the rectangle a reader allocates; more than this must be mostly filled."""
MAX_CROP_CELLS = 1 << 31
"""A blank cell that makes the rectangle larger than this is refused, not cut off."""

BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
)
_BLOCK = 1 << 22
_PREFIX = rb"(?:[A-Za-z]\w*:)?"
_LETTERS = re.compile(rb"<" + _PREFIX + rb'c\b[^>]*?\br="([A-Z]{1,3})[0-9]{1,7}"')
_ROW = re.compile(rb"<" + _PREFIX + rb'row\b[^>]*?\br="([0-9]{1,7})"')
_CELL_ROWS = re.compile(rb"<" + _PREFIX + rb'c\b[^>]*?\br="[A-Z]{1,3}([0-9]{1,7})"')
_CELL = re.compile(
    rb"<(" + _PREFIX + rb')c\b(?P<tag>[^>]*?\br="(?P<column>[A-Z]{1,3})(?P<row>[0-9]{1,7})"[^>]*?)'
    rb"(?:/>|>(?P<inner>.*?)</\1c>)",
    re.DOTALL,
)
_ERROR = re.compile(
    rb"<"
    + _PREFIX
    + rb'c\b(?=[^>]*?\br="([A-Z]{1,3}[0-9]{1,7})")(?=[^>]*?\bt="e")[^>]*>.*?<'
    + _PREFIX
    + rb"v>([^<]*)<",
    re.DOTALL,
)
_UNCACHED = re.compile(
    rb"<" + _PREFIX + rb'c\b(?=[^>]*?\br="([A-Z]{1,3}[0-9]{1,7})")[^>]*>\s*<' + _PREFIX + rb"f\b"
    rb"(?:[^>]*/>|[^>]*>([^<]*)</" + _PREFIX + rb"f>)\s*"
    rb"(?:<" + _PREFIX + rb"v\s*/>|<" + _PREFIX + rb"v></" + _PREFIX + rb"v>)?\s*</" + _PREFIX + rb"c>"
)  # fmt: skip
_LINKED = re.compile(
    rb"<" + _PREFIX + rb'c\b[^>]*?\br="([A-Z]{1,3}[0-9]{1,7})"[^>]*>\s*<' + _PREFIX + rb"f\b[^>]*>([^<]*\[\d+\][^<]*)<"
)
_VALUE = re.compile(rb"<" + _PREFIX + rb"v\b[^>]*>([^<]*)<")
_TEXT = re.compile(rb"<" + _PREFIX + rb"t\b[^>]*>([^<]*)<")
_SHARED = re.compile(rb"<" + _PREFIX + rb"si\b[^>]*?(?:/>|>(.*?)</" + _PREFIX + rb"si>)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mark:
    """A cell whose value is not what it seems: the rule that says so, its address, its text."""

    rule: str
    address: str
    text: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What the scan of one sheet saw.

    Attributes
    ----------
    marks : list of Mark
        Errors, formulas without a result, links to other workbooks.
    crop : (int, int) or None
        Rows and columns that hold anything, where blank cells far outside are to be cut off.
    stray : str
        Address of such a cell.
    """

    marks: list[Mark]
    crop: tuple[int, int] | None = None
    stray: str = ""


def check_members(archive: zipfile.ZipFile, context: Context) -> None:
    """Refuse a zip that is a bomb, hides its members or declares entities."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    hostile = [name for name in names if ".." in Path(name).parts or name.startswith(("/", "\\")) or "\\.." in name]
    if hostile or len(names) > MAX_MEMBERS or len(set(names)) < len(names):
        raise context.refuse("WORKBOOK_HOSTILE", observed=(hostile or [f"{len(names)} members"])[0])
    total = sum(info.file_size for info in infos)
    packed = max(sum(info.compress_size for info in infos), 1)
    if total > MAX_UNZIPPED or (total / packed > MAX_RATIO and total > 1 << 24):
        raise context.refuse("WORKBOOK_HOSTILE", observed=f"{total} B unzipped, ratio {total / packed:.0f}")
    if any(info.flag_bits & 1 for info in infos):
        raise context.refuse("PASSWORD")
    for name in names:
        if name.endswith((".xml", ".rels")) and _declares(archive, name):
            raise context.refuse("WORKBOOK_HOSTILE", observed=f"{name}: <!DOCTYPE/ENTITY>")


def _declares(archive: zipfile.ZipFile, name: str) -> bool:
    """Whether anything is declared before the first element, however much comment stands before it."""
    seen = b""
    with archive.open(name) as stream:
        while block := stream.read(1 << 16):
            seen = re.sub(rb"<!--.*?-->", b"", seen + block, flags=re.DOTALL)
            if re.search(rb"<!(?!-)", seen):
                return True
            if re.search(rb"<[A-Za-z_]", seen):
                return False
            seen = seen[-(1 << 16) :] if b"<!--" not in seen else seen
    return False


def check_open_document(archive: zipfile.ZipFile, context: Context) -> None:
    """Refuse an OpenDocument sheet that is not well-formed: a reader waits for ever for an end that is misspelt."""
    parser = expat.ParserCreate()
    try:
        with archive.open("content.xml") as stream:
            parser.ParseFile(stream)
    except expat.ExpatError as error:
        raise context.refuse("FILE_BROKEN", observed=f"content.xml: {error}"[:200]) from error


def scan_sheets(archive: zipfile.ZipFile, context: Context) -> list[Scan]:
    """Scan every sheet of an xlsx workbook, in the order of the workbook.

    Raises
    ------
    DataRefusedError
        ``STRAY_CELL``: a cell far outside would make the reader allocate what nobody has.
    """
    return [_scan(archive, member, context) for member in _sheet_members(archive)]


def _sheet_members(archive: zipfile.ZipFile) -> list[str]:
    """List the sheet files in the order of the workbook, through its relationships."""
    book = archive.read("xl/workbook.xml").decode("utf-8", "replace")
    names = set(archive.namelist())
    rels = "xl/_rels/workbook.xml.rels"
    relations = archive.read(rels).decode("utf-8", "replace") if rels in names else ""
    targets = {}
    for tag in re.findall(r"<(?:\w+:)?Relationship\b[^>]*>", relations):
        key, target = re.search(r'\bId="([^"]*)"', tag), re.search(r'\bTarget="([^"]*)"', tag)
        if key and target:
            targets[key[1]] = target[1]
    order = re.findall(r'<(?:\w+:)?sheet\b[^>]*?\b\w+:id="([^"]*)"', book)
    members = [_member_of(targets.get(key, "")) for key in order]
    return [member if member in names else "" for member in members]


def _member_of(target: str) -> str:
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _scan(archive: zipfile.ZipFile, member: str, context: Context) -> Scan:
    if not member:
        return Scan([])
    letters: set[bytes] = set()
    last_row = count = 0
    marks: list[Mark] = []
    for block in blocks(archive, member):
        found = _LETTERS.findall(block)
        count += len(found)
        letters.update(found)
        last_row = max(last_row, _last_row(block))
        marks += _marks_of(block)
    columns = max(map(column_number, letters), default=0)
    if not _too_wide(last_row, columns, count):
        return Scan(marks)
    return _with_crop(archive, member, marks, context)


def _last_row(block: bytes) -> int:
    """Give the largest row number; cells say it where rows do not."""
    return max(map(int, _ROW.findall(block) or _CELL_ROWS.findall(block)), default=0)


def _too_wide(rows: int, columns: int, count: int) -> bool:
    box = rows * columns
    return box > max(MAX_BOX_CELLS, 20 * count) or (box > 2_000_000 and box > 200 * count)


def _with_crop(archive: zipfile.ZipFile, member: str, marks: list[Mark], context: Context) -> Scan:
    """Look at the cells one by one: blank ones far outside are cut off, others refuse the workbook."""
    blank = _blank_strings(archive)
    box, filled = _Corner(), _Corner()
    for block in blocks(archive, member):
        for match in _CELL.finditer(block):
            box.add(match)
            if not _is_blank(match["tag"], match["inner"] or b"", blank):
                filled.add(match)
    if not _too_wide(box.row, box.column, box.count):
        return Scan(marks)
    if _too_wide(filled.row, filled.column, filled.count) or box.row * box.column > MAX_CROP_CELLS:
        worst = filled if _too_wide(filled.row, filled.column, filled.count) else box
        raise context.refuse("STRAY_CELL", observed=worst.address(), row=worst.row, cells=worst.count)
    return Scan(marks, (filled.row, filled.column), box.address())


class _Corner:
    """The lower right corner of the cells seen so far, and the cells that make it."""

    def __init__(self) -> None:
        self.row = self.column = self.count = 0
        self._of_row = self._of_column = ""

    def add(self, match: re.Match[bytes]) -> None:
        row, column = int(match["row"]), column_number(match["column"])
        self.count += 1
        if row > self.row:
            self.row, self._of_row = row, (match["column"] + match["row"]).decode()
        if column > self.column:
            self.column, self._of_column = column, (match["column"] + match["row"]).decode()

    def address(self) -> str:
        return self._of_column if self.column > 1000 else self._of_row


def _blank_strings(archive: zipfile.ZipFile) -> set[bytes]:
    """Give the numbers of the shared texts that show nothing."""
    if "xl/sharedStrings.xml" not in archive.namelist():
        return set()
    items = _SHARED.findall(archive.read("xl/sharedStrings.xml"))
    return {str(i).encode() for i, item in enumerate(items) if _shows_nothing(b"".join(_TEXT.findall(item)))}


def _shows_nothing(text: bytes) -> bool:
    return not text.decode("utf-8", "replace").replace("&#160;", " ").replace("\u200b", "").strip()


def _is_blank(tag: bytes, inner: bytes, blank: set[bytes]) -> bool:
    value = _VALUE.search(inner)
    if b't="s"' in tag:
        return value is None or value[1].strip() in blank
    if b't="inlineStr"' in tag:
        return _shows_nothing(b"".join(_TEXT.findall(inner)))
    return value is None or _shows_nothing(value[1])


def cropped(source: Path, target: Path, crops: dict[int, tuple[int, int]]) -> None:
    """Write a copy of a workbook without the blank cells outside given corners (sheet number → rows, columns)."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        members = _sheet_members(archive)
        corners = {members[number]: crop for number, crop in crops.items()}
        for info in archive.infolist():
            data = archive.read(info.filename)
            if info.filename in corners:
                data = _CELL.sub(_within(corners[info.filename]), data)
            copy.writestr(info.filename, data)


def _within(crop: tuple[int, int]) -> Callable[[re.Match[bytes]], bytes]:
    def kept(match: re.Match[bytes]) -> bytes:
        outside = int(match["row"]) > crop[0] or column_number(match["column"]) > crop[1]
        return b"" if outside else match[0]

    return kept


def _marks_of(block: bytes) -> list[Mark]:
    marks = []
    if b't="e"' in block:
        marks += [Mark("CELL_ERROR", m[1].decode(), m[2].decode("utf-8", "replace")) for m in _ERROR.finditer(block)]
    if b"f" in block and re.search(rb"<" + _PREFIX + rb"f\b", block):
        found = _UNCACHED.finditer(block)
        marks += [Mark("UNCACHED_FORMULA", m[1].decode(), "=" + _decoded(m[2])) for m in found]
        marks += [Mark("EXTERNAL_LINK", m[1].decode(), "=" + _decoded(m[2])) for m in _LINKED.finditer(block)]
    return marks


def _decoded(text: bytes | None) -> str:
    return (text or b"").decode("utf-8", "replace")


def position(address: str) -> tuple[int, int]:
    """Give row and column of an address, counted from 0.

    Examples
    --------
    >>> position("B3")
    (2, 1)
    """
    letters = address.rstrip("0123456789")
    return int(address[len(letters) :]) - 1, column_number(letters.encode()) - 1


def column_number(letters: bytes) -> int:
    """Give the number of a column, A is 1."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def blocks(archive: zipfile.ZipFile, member: str) -> Iterator[bytes]:
    """Give a sheet in blocks that end between two rows."""
    rest = b""
    with archive.open(member) as stream:
        while block := stream.read(_BLOCK):
            rest += block
            cut = max(rest.rfind(b"</row>") + 6, rest.rfind(b":row>") + 5)
            if cut >= 6:
                yield rest[:cut]
                rest = rest[cut:]
    yield rest
