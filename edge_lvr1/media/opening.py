"""Opening a media file, so that what is read lies where it seems to.

Whoever may write to a watched folder can put a link in the place of a file, or of a folder
above it, at any moment, also between a look at the path and its use. So a path is resolved
first, the result must lie in one of the folders, and it is then walked down from that folder
through descriptors, following no link at all: one that was put there meanwhile is an error.
Links that stay inside are followed by the resolving. What lies outside of all those folders
is opened as it is named. Knows nothing of what is in a file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path
from typing import TypeAlias

from edge_lvr1.errors import MediaError

Opens: TypeAlias = Callable[[Path], FileIO]
"""Opens a file for reading. Raises MediaError, OSError, ValueError."""

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # no pipe keeps us waiting
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def opened(path: Path) -> FileIO:
    """A file as it is named, wherever links lead. Raises OSError, ValueError."""
    return FileIO(os.open(path, _FLAGS), "rb")


class Within:
    """Opens what lies in one of `roots` only where links keep it in them.

    `roots` are absolute. Of one within another the outer counts, since whoever may write
    there could move the inner away.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        known = tuple(roots)
        self._tops = tuple(one for one in known if not _inside(one, known))

    def __call__(self, path: Path) -> FileIO:
        """Open a file. Raises MediaError where a link leads out, OSError, ValueError."""
        if not _inside(path, self._tops):
            return opened(path)
        real = Path(os.path.realpath(path))
        for top in self._tops:
            home = Path(os.path.realpath(top))
            if home in real.parents:
                return FileIO(_beneath(home, real, path), "rb")
        raise _leads_out(path)


def _inside(path: Path, folders: Iterable[Path]) -> bool:
    return any(folder in path.parents for folder in folders)


def _beneath(home: Path, real: Path, path: Path) -> int:
    """A descriptor of `real`, reached from `home` through no link."""
    *folders, name = real.relative_to(home).parts
    folder = os.open(home, _FOLDER)
    try:
        for one in folders:
            inner = os.open(one, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):  # what a link is to these two ways
            raise _leads_out(path) from error
        raise
    finally:
        os.close(folder)


def _leads_out(path: Path) -> MediaError:
    return MediaError(f"{path} has become a link out of its folder; it is not read")
