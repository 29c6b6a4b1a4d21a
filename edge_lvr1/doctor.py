"""What this machine offers the daemon, each finding with what to do about it.

Looks only: opens nothing for writing and starts nothing.
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge_lvr1.config import Settings

_LOW_DISK_BYTES = 2 * 1024**3
_INOTIFY_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")
_FEW_WATCHES = 8192


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, whether it will do, what was seen, what to do."""

    name: str
    ok: bool
    seen: str
    advice: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """All findings, in the order in which a person would mend them."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        _decoding,
        _opencv,
        _sqlite,
        lambda: _data_folder(settings.data),
        lambda: _disk(settings.data),
        lambda: _socket_path(settings.socket_path),
        _inotify,
        _clock,
    )
    for check in checks:
        yield check()
    for root in settings.watch:
        yield _watched(root)


def _python() -> Finding:
    return Finding("Python", True, f"{platform.python_version()} on {platform.machine()}")


def _decoding() -> Finding:
    try:
        import av
    except ImportError as error:
        return Finding("decoding", False, str(error), "reinstall the package: PyAV is missing")
    missing = [name for name in ("h264", "hevc", "av1", "mpeg4") if not _has_decoder(name)]
    seen = f"PyAV {av.__version__}" + (f", no decoder for {', '.join(missing)}" if missing else "")
    return Finding("decoding", not missing, seen, "install a PyAV wheel with FFmpeg's decoders")


def _has_decoder(name: str) -> bool:
    import av

    try:
        av.Codec(name, "r")
    except ValueError:
        return False
    return True


def _opencv() -> Finding:
    import cv2

    ok = hasattr(cv2, "HOGDescriptor")
    advice = "install opencv-python-headless>=4.14,<5: version 5 has no person detector"
    return Finding("OpenCV", ok, str(cv2.__version__), advice)


def _sqlite() -> Finding:
    with sqlite3.connect(":memory:") as db:
        options = {row[0] for row in db.execute("PRAGMA compile_options")}
    db.close()
    ok = "ENABLE_FTS5" in options
    seen = f"SQLite {sqlite3.sqlite_version}, FTS5 {'there' if ok else 'missing'}"
    return Finding("database", ok, seen, "use a Python whose SQLite has FTS5")


def _data_folder(data: Path) -> Finding:
    place = next((folder for folder in (data, *data.parents) if folder.exists()), data)
    ok = os.access(place, os.W_OK)
    return Finding(
        "data folder", ok, str(data), f"make {data} writable, or choose another with --data"
    )


def _disk(data: Path) -> Finding:
    place = next((folder for folder in (data, *data.parents) if folder.exists()), Path("/"))
    free = shutil.disk_usage(place).free
    return Finding(
        "disk", free > _LOW_DISK_BYTES, f"{free / 1024**3:.1f} GiB free", "free some space"
    )


def _socket_path(path: Path) -> Finding:
    # sun_path in struct sockaddr_un holds 108 bytes, the last of them zero.
    ok = len(os.fsencode(path)) <= 107
    return Finding("socket", ok, str(path), "choose a path of at most 107 bytes with --socket")


def _inotify() -> Finding:
    try:
        watches = int(_INOTIFY_WATCHES.read_text("ascii"))
    except (OSError, ValueError):
        return Finding("file events", True, "not told by this system; rescans find every file")
    return Finding(
        "file events",
        watches >= _FEW_WATCHES,
        f"{watches} folders can be watched",
        "raise fs.inotify.max_user_watches; until then new files are found by rescans",
    )


def _clock() -> Finding:
    now = datetime.now().astimezone()
    return Finding(
        "clock", now.year >= 2024, now.isoformat(" ", "seconds"), "set the system's clock"
    )


def _watched(root: Path) -> Finding:
    ok = root.is_dir() and os.access(root, os.R_OK | os.X_OK)
    return Finding("watched folder", ok, str(root), f"create {root} or make it readable")
