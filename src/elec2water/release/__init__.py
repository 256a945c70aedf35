"""Releases: the lock of a project, the bytes of the common forms, and the folder that appears whole or not at all."""

from elec2water.release.formats import csv_bytes, escape_text, netcdf_bytes, parquet_bytes, unescape_text
from elec2water.release.lock import ProjectLock, project_lock
from elec2water.release.publish import (
    MANIFEST,
    ReleaseInfo,
    find_release,
    list_release_folders,
    publish_release,
    read_release,
    run_digest,
    sha256_of,
    write_whole,
)

__all__ = [
    "MANIFEST",
    "ProjectLock",
    "ReleaseInfo",
    "csv_bytes",
    "escape_text",
    "find_release",
    "list_release_folders",
    "netcdf_bytes",
    "parquet_bytes",
    "project_lock",
    "publish_release",
    "read_release",
    "run_digest",
    "sha256_of",
    "unescape_text",
    "write_whole",
]
