"""Whether a watched folder is there, and which of its files are gone.

The two are kept apart: a folder whose file system is not mounted, or that cannot be listed, is
away, and nothing of it is gone. What tells them apart across restarts is which file systems
the known files were seen on. Where the folder lies on another one now and is empty, the one
from before is not mounted. Where it is not empty (somebody wrote below a missing mount, or the
footage was moved to another disk), new files are taken in, but none counts as gone until one
of the known files is seen there again.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_lvr1.daemon.watching.candidates import below
from edge_lvr1.daemon.watching.filesystems import Mount, concerning, mount_of, mounts
from edge_lvr1.daemon.watching.settling import look
from edge_lvr1.store.presence import KnownFile, Presence

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sight:
    """A look at a watched folder: what keeps it away ("" where it is there), and its mounts."""

    problem: str
    mounts: tuple[Mount, ...]

    @property
    def mount(self) -> Mount | None:
        """What the folder itself lies on."""
        return self.mounts[0] if self.mounts else None


@dataclass(slots=True)
class _Tally:
    """Of a review: known files by the mounts that they lie on now and lay on before."""

    known: Counter[Mount | None] = field(default_factory=Counter)
    found: Counter[Mount | None] = field(default_factory=Counter)
    pairs: set[tuple[Mount | None, Mount | None]] = field(default_factory=set)


class Reach:
    """One watched folder, as far as it can be reached. `inner` are watched folders in it."""

    def __init__(
        self,
        root: Path,
        known: Presence,
        inner: Sequence[Path] = (),
        mounted: Callable[[], tuple[Mount, ...]] = mounts,
    ) -> None:
        self.root = root
        self._known = known
        self._inner = tuple(map(below, inner))
        self._mounted = mounted

    def look(self) -> Sight:
        """The folder as it is now. May wait as long as its file system does."""
        try:
            with os.scandir(self.root) as entries:
                empty = next(entries, None) is None
        except FileNotFoundError:
            return Sight("it is not there", self._mounts())
        except NotADirectoryError:
            return Sight("it is not a folder", self._mounts())
        except OSError as error:
            return Sight(f"it cannot be read: {error.strerror}", self._mounts())
        here = self._mounts()  # after the listing, which has an automounter mount it
        before = self._before(here)
        was, now = mount_of(str(self.root), before), mount_of(str(self.root), here)
        if empty and was != now and self._known.any_below(str(self.root)):
            return Sight(f"{was} is not mounted", here)
        return Sight("", here)

    def is_gone(self, path: str) -> bool:
        """Whether a file is not there any more, though what it lay on is."""
        return bool(self._missing([path]))

    def check(self, paths: Sequence[str]) -> tuple[int, int]:
        """Mark those of some known files that are gone; as `Presence.mark`."""
        known = [path for path in paths if (one := self._known.find(path)) and not one.gone]
        return self._known.mark(self._missing(known), [])

    def review(self, seen: Container[str], sight: Sight) -> tuple[int, int]:
        """Mark what went and what returned, by a walk that saw these paths at that sight.

        How many went, and how many returned. Stops where the folder went away meanwhile.
        """
        before, tally = self._before(sight.mounts), _Tally()
        gone = returned = 0
        for batch in self._known.files_below(str(self.root)):
            went, came = self._judged(batch, seen, before, sight, tally)
            if went and self.look() != sight:
                return (gone, returned)
            marked = self._known.mark(went, came)
            gone, returned = gone + marked[0], returned + marked[1]
        self._note(before, sight, tally)
        return (gone, returned)

    def _judged(
        self,
        batch: Sequence[KnownFile],
        seen: Container[str],
        before: Sequence[Mount],
        sight: Sight,
        tally: _Tally,
    ) -> tuple[list[str], list[str]]:
        went, came = [], []
        for file in batch:
            if file.path.startswith(self._inner):
                continue
            was, now = mount_of(file.path, before), mount_of(file.path, sight.mounts)
            tally.known[now] += 1
            tally.pairs.add((was, now))
            if file.path in seen:
                tally.found[now] += 1
                if file.gone and _as_before(file):
                    came.append(file.path)
            elif not file.gone and was == now and _is_missing(file.path):
                went.append(file.path)
        return went, came

    def _missing(self, paths: Sequence[str]) -> list[str]:
        """Those that are missing while the folder, on the file system they lay on, is there."""
        missing = [path for path in paths if _is_missing(path)]
        if not missing:
            return []
        sight = self.look()
        if sight.problem:
            return []
        before = self._before(sight.mounts)
        return [p for p in missing if mount_of(p, before) == mount_of(p, sight.mounts)]

    def _note(self, before: Sequence[Mount], sight: Sight, tally: _Tally) -> None:
        sure = [one for one in sight.mounts if not tally.known[one] or tally.found[one]]
        kept = [one for one in before if any(w == one and n not in sure for w, n in tally.pairs)]
        noted = list(dict.fromkeys([*sure, *kept]))
        if noted != list(before) or self._known.mounts_of(str(self.root)) is None:
            self._known.note_mounts(
                str(self.root), [[one.point, one.kind, one.source] for one in noted]
            )

    def _before(self, here: Sequence[Mount]) -> Sequence[Mount]:
        """What the known files were seen on; what is mounted now, where nothing was noted."""
        noted = self._known.mounts_of(str(self.root))
        return here if noted is None else tuple(Mount(*one) for one in noted)

    def _mounts(self) -> tuple[Mount, ...]:
        return concerning(self.root, self._mounted())


def _is_missing(path: str) -> bool:
    """Whether there is surely nothing at a path; an error that is not "gone" tells nothing."""
    try:
        os.stat(path)  # noqa: PTH116 (a path as it is stored)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        log.debug("watch: %s does not say whether it is there: %s", path, error.strerror)
    return False


def _as_before(file: KnownFile) -> bool:
    try:
        now = look(file.path)
    except OSError:
        return False
    return now is not None and (now.size_bytes, now.mtime_ns) == (file.size_bytes, file.mtime_ns)
