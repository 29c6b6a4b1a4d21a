"""Walking a watched folder: every path below it that may be footage.

Links to folders are not followed, and links to files only where they stay inside; each that
is not is said once. FIFOs, sockets and devices are passed over, and never opened.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_lvr1.daemon.watching.candidates import below, hidden, passed_over, unfinished, wanted

log = logging.getLogger(__name__)


class Walk:
    """Walks of one watched folder. `skip` are places inside that are not walked.

    Not to be shared by threads.
    """

    def __init__(self, root: Path, skip: Sequence[Path], stopping: Callable[[], bool]) -> None:
        self._root = root
        self._skip = tuple(skip)
        self._stopping = stopping
        self._complained: set[Path] = set()
        self.unreadable: list[str] = []
        """Of the last walk: the folders that could not be read, each with its reason."""

    def files(self, top: Path, sign: Callable[[], None] | None = None) -> Iterator[str]:
        """The paths of the candidates in a folder and below; `sign` is called for each folder.

        As text, not as Path, which would take most of the time of a walk over 100,000 files.
        """
        self.unreadable = []
        left = [top]
        while left and not self._stopping():
            folder = left.pop()
            if sign is not None:
                sign()
            try:
                with os.scandir(folder) as listed:
                    entries = sorted(listed, key=lambda entry: entry.name)
                folders = [one for one in entries if self._is_folder(one)]
            except OSError as error:
                self._complain(folder, error)
                continue
            self._complained.discard(folder)
            left.extend(folder / one.name for one in reversed(folders))
            for entry in entries:
                if self._is_candidate(entry):
                    yield entry.path

    def wants(self, path: Path) -> bool:
        """Whether a single path may be footage."""
        if self._skipped(path):
            return False
        if wanted(path, self._root):
            return True
        if not passed_over(path, self._root) and path.is_symlink():
            self._not_followed(path, "a link that leads out of the watched folder, or nowhere")
        return False

    def enters(self, folder: Path) -> bool:
        """Whether a single folder is walked into."""
        inside = folder.relative_to(self._root).parts
        return not any(map(hidden, inside)) and not self._skipped(folder)

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        if hidden(entry.name):
            return False
        if not entry.is_symlink():
            return entry.is_dir() and not self._skipped(Path(entry.path))
        path = Path(entry.path)
        if path.is_dir():
            self._not_followed(path, "a link to a folder")
        return False

    def _is_candidate(self, entry: os.DirEntry[str]) -> bool:
        if hidden(entry.name) or unfinished(entry.name):
            return False
        try:
            if entry.is_symlink():
                path = Path(entry.path)
                return not path.is_dir() and self.wants(path)
            # A file that is no link lies where it seems to: 20,000 are resolved for nothing.
            return entry.is_file()
        except OSError as error:
            self._complain(Path(entry.path), error)
            return False

    def _complain(self, place: Path, error: OSError) -> None:
        self.unreadable.append(f"{place}: {error.strerror}")
        if place not in self._complained:
            self._complained.add(place)
            log.warning("watch: cannot read %s: %s", place, error.strerror)

    def _not_followed(self, link: Path, what: str) -> None:
        if link not in self._complained:
            self._complained.add(link)
            log.warning("watch: %s is %s: it is not followed; watch where it leads", link, what)

    def _skipped(self, path: Path) -> bool:
        text = str(path)
        return any(path == place or text.startswith(below(place)) for place in self._skip)
