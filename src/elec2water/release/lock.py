"""One run at a time: the lock of a project folder, held by the operating system and gone with the process."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elec2water.errors import ReleaseError

LOCK_NAME = ".elec2water.lock"


@dataclass(frozen=True)
class ProjectLock:
    """Evidence that the caller holds the lock of a project.

    Attributes
    ----------
    project_folder : Path
        The locked folder, absolute.
    """

    project_folder: Path


@contextlib.contextmanager
def project_lock(project_folder: Path) -> Iterator[ProjectLock]:
    """Hold a project for one run; a second run is refused and told who holds it.

    The lock is the operating system's, on the file ``.elec2water.lock``, so that it ends with the process however that
    ends: a lock file left by a crash holds nobody up. The file itself stays, for taking it away would let two runs each
    lock a file of that name.

    Parameters
    ----------
    project_folder : Path

    Yields
    ------
    ProjectLock

    Raises
    ------
    ReleaseError
        If another process holds the project, or the folder cannot be written.
    """
    folder = project_folder.resolve()
    path = folder / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ReleaseError(
            f"cannot lock the project: {path}: {error.strerror}. See that the folder exists and that you may write."
        ) from error
    try:
        if not _try_lock(descriptor):
            raise ReleaseError(
                f"the project {folder} is in use by {_holder(path)}. Wait until that run has ended, then start again."
            )
        _write_holder(descriptor)
        yield ProjectLock(folder)
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _write_holder(descriptor: int) -> None:
    holder = json.dumps({"pid": os.getpid(), "host": platform.node()}).encode()
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, holder)


def _holder(path: Path) -> str:
    """Name who holds the lock, from a file that its holder may be writing at this moment."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


if sys.platform == "win32":
    import msvcrt

    # Windows keeps others from reading a locked byte: lock one that lies behind the holder's name.
    _LOCKED_BYTE = 1 << 30

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
