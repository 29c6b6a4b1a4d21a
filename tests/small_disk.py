"""A file system of a few MB of its own, to be filled: tmpfs where mounting is allowed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, size_kib: int) -> Iterator[Path]:
    """A folder on a disk of that size, while open; skips the test where none can be mounted."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs mount(8)")
    if done.returncode:
        pytest.skip(f"mounting a small tmpfs is not allowed here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    """Change the options of a mounted disk, as "ro" or "size=8m"."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def fill(place: Path, leave_bytes: int = 0) -> Path:
    """Fill a disk but for so much, by one file; delete that to have space again."""
    ballast = place / "ballast"
    with ballast.open("ab") as file, suppress(OSError):
        while (free := free_bytes(place) - leave_bytes) > 0:
            file.write(b"\0" * min(free, 1 << 16))
            file.flush()
    return ballast


def free_bytes(place: Path) -> int:
    """What is free on the disk of a folder."""
    now = os.statvfs(place)
    return now.f_bavail * now.f_frsize
