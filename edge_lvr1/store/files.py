"""Files and folders that are on the disk for good: synced, linked, copied, owned."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

_BLOCK = 1 << 20


def sync(path: Path) -> None:
    """Have a file, or a folder's names, on the disk when this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def copy(source: Path, target: Path) -> str:
    """Copy a file's bytes, synced; their SHA-256."""
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("xb") as written:
        while block := read.read(_BLOCK):
            digest.update(block)
            written.write(block)
        written.flush()
        os.fsync(written.fileno())
    return digest.hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that never changes a second name, or a copy where its disk has no links.

    Raises FileNotFoundError where the source is not there.
    """
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:  # another disk, or one without links
        copy(source, target)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def give_to(path: Path, like: os.stat_result) -> None:
    """Have a file owned like another was, where this user may do that."""
    with suppress(PermissionError):
        os.chown(path, like.st_uid, like.st_gid)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all in it, as far as that goes."""
    shutil.rmtree(folder, ignore_errors=True)
