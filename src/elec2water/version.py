"""Which code this is: the version of the package, and a digest of its own files that tells states of one version."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

VERSION = metadata.version("elec2water")


@cache
def source_digest() -> str:
    """SHA-256 of the package as it is installed: the same code gives the same 64 hexadecimal digits on any machine."""
    return digest_of(Path(__file__).parent)


def digest_of(folder: Path) -> str:
    r"""SHA-256 of the files of a folder: names in order, contents with line ends as ``\n``; caches are left out.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    found = hashlib.sha256()
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in sorted(names):
        if "__pycache__" in name or name.startswith(".") or "/." in name:
            continue
        content = names[name].read_bytes().replace(b"\r\n", b"\n")
        found.update(f"{name}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()
