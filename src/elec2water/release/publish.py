"""The release folder: written beside its place, renamed into it whole, never changed afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from elec2water.errors import ReleaseError, UsageError
from elec2water.release.lock import ProjectLock, project_lock

MANIFEST = "manifest.json"
RUN_KEYS = ("configuration", "coefficient_version", "inputs", "package_version", "seed")

_TEMPORARY = ".tmp-"
_QUARTER = re.compile(r"\d{4}Q[1-4]")
_RELEASE = re.compile(r"r([1-9]\d*)")
_UNSAFE = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)

FileContent = bytes | Callable[[Path], None]


@dataclass(frozen=True)
class ReleaseInfo:
    """A release on disk.

    Attributes
    ----------
    quarter : str
        Such as ``2026Q3``.
    release : str
        Its name within the quarter: ``r1``, ``r2``, …
    folder : Path
        Where it is, absolute.
    manifest : Mapping
        What ``manifest.json`` says.
    created : bool
        False when an earlier release already came from the same run.
    """

    quarter: str
    release: str
    folder: Path
    manifest: Mapping[str, object]
    created: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of the run that made it, see :func:`run_digest`."""
        return str(self.manifest["digest"])


def publish_release(
    project_folder: Path,
    quarter: str,
    files: Mapping[str, FileContent],
    *,
    manifest: Mapping[str, object],
    lock: ProjectLock | None = None,
    entered: Mapping[str, str] | None = None,
) -> ReleaseInfo:
    """Write the next release of a quarter, whole or not at all.

    Everything is written to a hidden folder beside the final one, each file synced to disk, the manifest last; one
    rename makes it the release. Folders are open to their owner only (0700, files 0600), since registries hold names
    and telephone numbers. A run that an earlier release of the quarter came from gives back that release and writes
    nothing.

    Parameters
    ----------
    project_folder : Path
    quarter : str
        Such as ``2026Q3``.
    files : mapping of str to bytes or callable
        The content of each file by its name in the folder (``upload/workbook.xlsx``); a callable is given the path to
        write.
    manifest : mapping
        What the run was made from, in JSON types and without clock times or absolute paths: at least ``inputs`` (name
        to SHA-256), ``configuration``, ``package_version``, ``seed`` and ``coefficient_version``. The quarter, the name
        of the release, the digest of the run and the size and SHA-256 of every output are added.
    lock : ProjectLock, optional
        The lock that the caller holds; by default it is taken for the time of writing.
    entered : mapping of str to str, optional
        SHA-256 of the manifest of each release of the quarter in the ledger. One whose folder is gone keeps its name:
        only the very same files take it again, others become the next release.

    Returns
    -------
    ReleaseInfo

    Raises
    ------
    UsageError
        If the quarter, a file name or the manifest cannot be used, or the lock is of another project.
    ReleaseError
        If another run holds the project, the disk refuses, or an earlier release is damaged. Nothing is then left under
        a final name, and the same call made again does the work.
    """
    _check_quarter(quarter)
    _check_names(files)
    run_digest(quarter, manifest)
    folder = project_folder.resolve()
    if lock is not None and lock.project_folder != folder:
        raise UsageError(f"the lock given is of {lock.project_folder}, the release is for {folder}: lock that project.")
    with project_lock(folder) if lock is None else contextlib.nullcontext():
        try:
            return _publish(folder, quarter, files, manifest, entered or {})
        except OSError as error:
            raise ReleaseError(
                f"the release of {quarter} could not be written: {error}. Nothing was left under a final name. "
                f"See that there is space on the disk and that you may write to {folder}, then run again."
            ) from error


def run_digest(quarter: str, manifest: Mapping[str, object]) -> str:
    """SHA-256 of what a run was made from: the same digest, the same release.

    Parameters
    ----------
    quarter : str
    manifest : mapping
        As for :func:`publish_release`.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    UsageError
        If a key is missing, is one that publishing adds, or holds what JSON cannot.

    Examples
    --------
    >>> run = {"inputs": {}, "configuration": {}, "package_version": "1", "seed": 1, "coefficient_version": "a"}
    >>> run_digest("2026Q3", run)[:12]
    '22cfc7965444'
    """
    missing = [key for key in RUN_KEYS if key not in manifest]
    added = sorted({"quarter", "release", "digest", "outputs"} & manifest.keys())
    if missing or added:
        raise UsageError(f"the manifest of a run must have {list(RUN_KEYS)}: missing {missing}, not allowed {added}.")
    return hashlib.sha256(_json_bytes({**manifest, "quarter": quarter})).hexdigest()


def find_release(project_folder: Path, quarter: str, manifest: Mapping[str, object]) -> ReleaseInfo | None:
    """Find the release that a run has already made, so that the run need not be repeated.

    Parameters
    ----------
    project_folder : Path
    quarter : str
    manifest : mapping
        As for :func:`publish_release`.

    Returns
    -------
    ReleaseInfo or None

    Raises
    ------
    ReleaseError
        If a release of the quarter has no readable manifest, or the one found no longer agrees with its own.
    """
    digest = run_digest(quarter, manifest)
    for folder in list_release_folders(project_folder, quarter):
        found = read_release(folder)
        if found.digest == digest:
            _verify(found)
            return found
    return None


def list_release_folders(project_folder: Path, quarter: str | None = None) -> list[Path]:
    """List the finished releases of a project, oldest first within each quarter.

    Parameters
    ----------
    project_folder : Path
    quarter : str, optional
        Only this quarter; all of them by default.

    Returns
    -------
    list of Path
    """
    releases = project_folder.resolve() / "releases"
    quarters = [releases / quarter] if quarter else sorted(_folders(releases, _QUARTER))
    return [folder for q in quarters for folder in sorted(_folders(q, _RELEASE), key=lambda f: int(f.name[1:]))]


def read_release(folder: Path, *, verify: bool = False) -> ReleaseInfo:
    """Read a release from its folder.

    Parameters
    ----------
    folder : Path
    verify : bool, default False
        Compare every file with the SHA-256 in the manifest as well.

    Returns
    -------
    ReleaseInfo

    Raises
    ------
    ReleaseError
        If the manifest is missing, unreadable or has been changed, or (`verify`) a file is missing or differs.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        run = {key: value for key, value in manifest.items() if key not in {"quarter", "release", "digest", "outputs"}}
        intact = manifest["digest"] == run_digest(manifest["quarter"], run) and isinstance(manifest["outputs"], dict)
        release = ReleaseInfo(manifest["quarter"], manifest["release"], folder.resolve(), manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        raise ReleaseError(f"{path}: not a readable manifest ({error}). {_DAMAGED}") from error
    if not intact:
        raise ReleaseError(f"{path}: was changed after the release was written. {_DAMAGED}")
    if verify:
        _verify(release)
    return release


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_DAMAGED = "Restore the release from a copy, or move its folder out of releases/ and run again."


def _verify(release: ReleaseInfo) -> None:
    outputs = release.manifest["outputs"]
    for name, facts in outputs.items() if isinstance(outputs, dict) else ():
        path = release.folder / name
        if not path.is_file():
            raise ReleaseError(f"{path}: is missing from the release. {_DAMAGED}")
        if sha256_of(path) != facts["sha256"]:
            raise ReleaseError(f"{path}: differs from the SHA-256 in {MANIFEST}. {_DAMAGED}")


def _publish(
    folder: Path,
    quarter: str,
    files: Mapping[str, FileContent],
    manifest: Mapping[str, object],
    entered: Mapping[str, str],
) -> ReleaseInfo:
    place = folder / "releases" / quarter
    _make_folder(place.parent)
    _make_folder(place)
    _remove_leftovers(place.parent)
    found = find_release(folder, quarter, manifest)
    if found is not None:
        _sync_folder(place)
        return found
    temporary = place / (_TEMPORARY + "next")
    try:
        temporary.mkdir(mode=0o700)
        facts = _write_files(temporary, files)
        added = {"quarter": quarter, "digest": run_digest(quarter, manifest), "outputs": facts}
        release, content = _named({**manifest, **added}, place, entered)
        _write_file(temporary / MANIFEST, content)
        _sync_folder(temporary)
        temporary.rename(place / release)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _sync_folder(place)
    return ReleaseInfo(quarter, release, place / release, json.loads(content), created=True)


def _named(manifest: Mapping[str, object], place: Path, entered: Mapping[str, str]) -> tuple[str, bytes]:
    """Give the name of a new release and its manifest: that of a lost one which it is again, else the next number."""
    here = {path.name for path in place.iterdir() if _RELEASE.fullmatch(path.name)}
    for name in sorted(entered.keys() - here):
        content = _json_bytes({**manifest, "release": name})
        if hashlib.sha256(content).hexdigest() == entered[name]:
            return name, content
    number = 1 + max((int(name[1:]) for name in here | entered.keys()), default=0)
    return f"r{number}", _json_bytes({**manifest, "release": f"r{number}"})


def _write_files(folder: Path, files: Mapping[str, FileContent]) -> dict[str, dict[str, object]]:
    """Write every file and sync it and the folders it lies in; return size and SHA-256 of each."""
    facts: dict[str, dict[str, object]] = {}
    inner: set[Path] = set()
    for name, content in sorted(files.items()):
        path = folder / name
        parents = [folder.joinpath(*part.parts) for part in reversed(PurePosixPath(name).parents[:-1])]
        for parent in parents:
            parent.mkdir(mode=0o700, exist_ok=True)
        inner.update(parents)
        _write_file(path, content)
        facts[name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    for parent in sorted(inner, reverse=True):
        _sync_folder(parent)
    return facts


def _write_file(path: Path, content: FileContent) -> None:
    if isinstance(content, bytes):
        with open(path, "xb", opener=_open_private) as file:
            file.write(content)
    else:
        content(path)
        if path.is_symlink() or not path.is_file():
            raise ReleaseError(f"{path.name}: the function given for this file did not write it.")
        path.chmod(0o600)
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def write_whole(path: Path, content: bytes) -> None:
    """Write one file whole or not at all: a temporary name in the same folder, synced, then renamed.

    Raises
    ------
    ReleaseError
        If the disk refuses; nothing is then left under the final name that was not there before.
    """
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        _write_file(temporary, content)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ReleaseError(f"{path} could not be written: {error}. See that there is space on the disk.") from error


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o700)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make names in a folder last through a power cut; Windows has no such call and does it by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(releases: Path) -> None:
    """Remove what dead runs left; whoever holds the lock knows that no living run owns any of it."""
    for leftover in releases.glob(f"*/{_TEMPORARY}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)


def _folders(parent: Path, pattern: re.Pattern[str]) -> Iterable[Path]:
    if not parent.is_dir():
        return []
    return [path for path in parent.iterdir() if pattern.fullmatch(path.name) and path.is_dir()]


def _json_bytes(value: Mapping[str, object]) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the manifest holds what JSON cannot: {error}. Use text, numbers, lists and mappings."
        ) from error
    return (text + "\n").encode("utf-8")


def _check_quarter(quarter: str) -> None:
    if not _QUARTER.fullmatch(quarter):
        raise UsageError(f"quarter: expected a form like 2026Q3, found {quarter!r}.")


def _check_names(names: Iterable[str]) -> None:
    """Let no file leave the folder, hide, take the manifest's place, or be impossible on Windows."""
    seen: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        bad = any(_bad_part(part) for part in parts) or (len(parts) == 1 and name.lower() == MANIFEST)
        if bad:
            raise UsageError(f"{name!r} cannot be the name of a file in a release: use letters, digits, '-' and '_'.")
        same = unicodedata.normalize("NFC", name).casefold()
        if same in seen:
            raise UsageError(f"{name!r} and {seen[same]!r} are one file name on Windows: rename one of them.")
        seen[same] = name


def _bad_part(part: str) -> bool:
    too_long = len(part.encode("utf-8", "replace")) > 200
    edges = not part or part[0] in ". " or part[-1] in ". "
    return bool(edges or too_long or _UNSAFE.search(part) or _RESERVED.fullmatch(part))
