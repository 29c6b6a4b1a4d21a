"""Retention: what rules remove of recordings, and how.

The first half are values and pure rules. A rule is of a folder; it removes what this program
made of footage (trees, notes, pictures, words, vectors) and what it knows of the files, and
never a file of footage. Recordings that share a file (a long one makes several) go together or
stay together. What is held, open, or being captioned stays; nothing goes while a question is
asked. `removed` keeps the numbers, since old answers name them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from edge_lvr1.access import DAEMON
from edge_lvr1.config import KeepRule
from edge_lvr1.store.audit import add_entry
from edge_lvr1.store.db import Archive
from edge_lvr1.store.holds import contents
from edge_lvr1.store.text import below, path_out, to_json

REMOVED = "recording.removed"
GONE, AGE, SIZE = "gone_days", "max_days", "max_gb"
ELSEWHERE = ""
"""The root of footage that lies in none of the known folders."""

_DAY_S = 86_400.0
_GRACE_S = _DAY_S  # old footage that is taken in can be looked at, and held, for so long
_GB = 1e9
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Rules:
    """Which rule is whose: `by_root` of single folders, `default` of everything else."""

    default: KeepRule
    by_root: Mapping[str, KeepRule]
    watched: Sequence[str] = ()

    def root_of(self, path: str) -> str:
        """The folder that a file's rule is of: the nearest with its own, or the watched one."""
        for roots in (self.by_root, self.watched):
            inside = [root for root in roots if path.startswith(f"{root.rstrip('/')}/")]
            if inside:
                return max(inside, key=len)
        return ELSEWHERE

    def of(self, root: str) -> KeepRule:
        """The rule of a folder that `root_of` named."""
        return self.by_root.get(root, self.default)

    def roots(self) -> list[str]:
        """All folders that `root_of` may name."""
        return [*dict.fromkeys([*self.by_root, *self.watched]), ELSEWHERE]

    def shortest_days(self, name: str) -> float | None:
        """The least that any rule says of GONE or AGE; None where none says anything."""
        said = [getattr(rule, name) for rule in (self.default, *self.by_root.values())]
        days = [float(value) for value in said if value is not None]
        return min(days) if days else None


@dataclass(frozen=True, slots=True)
class Kept:
    """Recordings that share files, as the rules see them. Times are epoch seconds.

    `taken_s` is when the last file was taken in, `gone_s` when the last one went (None while
    one is there); `busy` says why they cannot go now, "" where they can.
    """

    recordings: tuple[int, ...]
    roots: tuple[str, ...]
    ends_s: float
    taken_s: float
    gone_s: float | None
    size_bytes: int
    busy: str = ""


def overdue(kept: Kept, rules: Rules, now_s: float) -> str:
    """The rule by whose days they have to go, GONE or AGE; "" for none.

    Where their files lie in several folders, each folder's rule has to say so.
    """
    for name, says in ((GONE, _gone_long), (AGE, _old)):
        if all(says(kept, rules.of(root), now_s) for root in kept.roots):
            return name
    return ""


def _gone_long(kept: Kept, rule: KeepRule, now_s: float) -> bool:
    if rule.gone_days is None or kept.gone_s is None:
        return False
    return now_s - kept.gone_s >= rule.gone_days * _DAY_S


def _old(kept: Kept, rule: KeepRule, now_s: float) -> bool:
    """By the footage's own time; a camera whose clock is ahead does not keep it for ever."""
    if rule.max_days is None or now_s - kept.taken_s < _GRACE_S:
        return False
    ends_s = kept.ends_s if kept.ends_s <= kept.taken_s + _DAY_S else kept.taken_s
    return now_s - ends_s >= rule.max_days * _DAY_S


class Fate(str, Enum):
    """What became of recordings that a rule named."""

    REMOVED = "removed"
    KEPT = "kept"
    ASKED = "asked"  # a question is being asked: try again when it has ended


class Keeping:
    """Applies rules to an archive; `clock` gives epoch seconds."""

    def __init__(self, archive: Archive, rules: Rules, clock: Callable[[], float]) -> None:
        self._archive = archive
        self._rules = rules
        self._clock = clock

    def overdue(self) -> Iterator[tuple[int, str]]:
        """Recordings that may have to go by their days, with the rule; those of long ago first."""
        now_s = self._clock()
        if (days := self._rules.shortest_days(GONE)) is not None:
            rows = self._archive.rows(_GONE_SINCE, [now_s - days * _DAY_S])
            yield from ((row["recording"], GONE) for row in rows)
        if (days := self._rules.shortest_days(AGE)) is not None:
            rows = self._archive.rows(_STARTED_BEFORE, [now_s - days * _DAY_S, now_s + _DAY_S])
            for row in rows:
                root = self._rules.root_of(path_out(row["path"]))
                if self._rules.of(root).max_days is not None:
                    yield row["recording"], AGE

    def oversized(self) -> Iterator[tuple[str, int]]:
        """The folders that hold more footage than their rule allows, and by how many bytes."""
        for root in self._rules.roots():
            most_gb = self._rules.of(root).max_gb
            if most_gb is not None:
                excess = self._size_of(root) - round(most_gb * _GB)
                if excess > 0:
                    yield root, excess

    def oldest(self, root: str) -> Iterator[tuple[int, int]]:
        """The recordings of a folder, the oldest first, each with the size of what goes with it.

        Those that cannot go now are passed over.
        """
        after: list[float | int] = [-1e18, 0]
        seen: set[int] = set()
        while rows := self._archive.rows(_BY_START, [*after, _PAGE]):
            after = [rows[-1]["starts_epoch_s"], rows[-1]["recording"]]
            for row in rows:
                if row["recording"] in seen or self._rules.root_of(path_out(row["path"])) != root:
                    continue
                with self._archive.reading() as db:
                    kept = _kept(db, row["recording"], self._rules)
                if kept is not None and not kept.busy:
                    seen.update(kept.recordings)
                    yield row["recording"], kept.size_bytes

    def remove(self, recording: int, rule: str) -> tuple[Fate, int]:
        """Remove a recording, and those that share its files, by a rule; how many went.

        One transaction, in which everything is looked at again: nothing goes that is held,
        busy, or not due any more.
        """
        now_s = self._clock()
        with self._archive.transaction() as db:
            if db.execute("SELECT 1 FROM questions WHERE state = 'running' LIMIT 1").fetchone():
                return Fate.ASKED, 0
            kept = _kept(db, recording, self._rules)
            if kept is None or kept.busy:
                return Fate.KEPT, 0
            if rule != SIZE and overdue(kept, self._rules, now_s) != rule:
                return Fate.KEPT, 0
            _remove(db, kept, rule, now_s)
            return Fate.REMOVED, len(kept.recordings)

    def forget_files(self, most: int, after: int = 0) -> int | None:
        """Forget the jobs of files whose recordings were removed and that are not there any more.

        Looks at `most` of them after a job; where it came to, None at the end. A file that
        comes back is taken in as new.
        """
        rows = self._archive.rows(
            "SELECT id, path FROM jobs WHERE removed_s IS NOT NULL AND id > ? ORDER BY id LIMIT ?",
            [after, most],
        )
        gone = [row["id"] for row in rows if self._is_gone(path_out(row["path"]))]
        if gone:
            with self._archive.transaction() as db:
                db.execute(
                    "DELETE FROM jobs WHERE removed_s IS NOT NULL AND state = 'done' "
                    "AND id IN (SELECT value FROM json_each(?))",
                    [to_json(gone)],
                )
        return int(rows[-1]["id"]) if len(rows) == most else None

    def _is_gone(self, path: str) -> bool:
        """Whether a file is not there while its folder is: a share may just be away."""
        root = self._rules.root_of(path)
        try:
            if root and _is_empty(root):
                return False  # how a share that is not mounted looks
            Path(path).lstat()
        except FileNotFoundError:
            return Path(root or "/").is_dir()
        except OSError:
            return False
        return False

    def _size_of(self, root: str) -> int:
        """Bytes of the known files of a folder, without folders in it that have their own rule."""
        others = [one for one in self._rules.roots() if one not in (root, ELSEWHERE)]
        inner = [one for one in others if not root or one.startswith(f"{root.rstrip('/')}/")]
        apart = [one for one in inner if self._rules.root_of(f"{one}/file") == one]
        outermost = [one for one in apart if not any(one.startswith(f"{o}/") for o in apart)]
        total = self._bytes_below(root) if root else self._bytes_of_all()
        return total - sum(self._bytes_below(one) for one in outermost)

    def _bytes_below(self, folder: str) -> int:
        return sum(
            self._number(
                "SELECT coalesce(sum(size_bytes), 0) AS n FROM files WHERE path > ? AND path < ?",
                ends,
            )
            for ends in below(folder)
        )

    def _bytes_of_all(self) -> int:
        return self._number("SELECT coalesce(sum(size_bytes), 0) AS n FROM files", ())

    def _number(self, sql: str, values: Sequence[Any]) -> int:
        row = self._archive.row(sql, values)
        return int(row["n"]) if row else 0


def removed_by(archive: Archive, recordings: Sequence[int]) -> dict[int, tuple[float, str]]:
    """When (epoch seconds) and by which rule those of the recordings went that were removed."""
    rows = archive.rows(
        "SELECT recording, removed_s, rule FROM removed "
        "WHERE recording IN (SELECT value FROM json_each(?))",
        [to_json(list(recordings))],
    )
    return {row["recording"]: (row["removed_s"], row["rule"]) for row in rows}


def _is_empty(folder: str) -> bool:
    with os.scandir(folder) as found:
        return not any(found)


def _kept(db: Database, recording: int, rules: Rules) -> Kept | None:
    """A recording with those that share its files; None where it is not there (any more)."""
    numbers = [row[0] for row in db.execute(_SHARING, [recording]).fetchall()]
    together = to_json(numbers)
    told = db.execute(_OF_RECORDINGS, [together]).fetchone()
    files = db.execute(_OF_FILES, [together]).fetchall()
    if told[0] is None or not files:
        return None
    ends_s, working, held = told
    gone = [gone_s for _, _, _, gone_s in files]
    stirred = db.execute(_STIRRED, [together]).fetchone()
    return Kept(
        recordings=tuple(numbers),
        roots=tuple(dict.fromkeys(rules.root_of(path_out(path)) for path, _, _, _ in files)),
        ends_s=ends_s,
        taken_s=max((taken_s for _, _, taken_s, _ in files if taken_s is not None), default=ends_s),
        gone_s=None if None in gone else max(gone),
        size_bytes=sum(size for _, size, _, _ in files),
        busy="held" if held else "being worked on" if working or stirred else "",
    )


def _remove(db: Database, kept: Kept, rule: str, now_s: float) -> None:
    together = to_json(list(kept.recordings))
    for number in kept.recordings:
        add_entry(db, now_s, REMOVED, DAEMON, _what(db, number, rule))
    if rule == GONE:  # a file that comes back is new
        db.execute(_FORGET_JOBS, [together])
    else:
        db.execute(_END_JOBS, [f"removed by the rule {rule}", now_s, now_s, together])
    db.execute(f"DELETE FROM files WHERE path IN {_PATHS}", [together])
    db.execute(
        "INSERT OR REPLACE INTO removed SELECT value, ?, ? FROM json_each(?)",
        [now_s, rule, together],
    )
    db.execute("DELETE FROM recordings WHERE id IN (SELECT value FROM json_each(?))", [together])


def _what(db: Database, number: int, rule: str) -> dict[str, object]:
    camera, starts_at, duration_s = db.execute(
        "SELECT camera, starts_at, duration_s FROM recordings WHERE id = ?", [number]
    ).fetchone()
    paths = db.execute(
        "SELECT path FROM parts WHERE recording = ? ORDER BY ordinal", [number]
    ).fetchall()
    return {
        "recording": number,
        "rule": rule,
        "camera": camera,
        "starts_at": starts_at,
        "duration_s": duration_s,
        "first_file": path_out(paths[0][0]) if paths else None,
        "last_file": path_out(paths[-1][0]) if paths else None,
        "parts": contents(db, [number]),
    }


_PATHS = "(SELECT path FROM parts WHERE recording IN (SELECT value FROM json_each(?)))"
_GONE_SINCE = (
    "SELECT DISTINCT p.recording FROM files f CROSS JOIN parts p ON p.path = f.path "
    "WHERE f.gone_s <= ? ORDER BY p.recording"
)
# Recordings last two hours at most: those that started too late did not end in time either.
_STARTED_BEFORE = (
    "SELECT r.id AS recording, p.path FROM recordings r CROSS JOIN parts p "
    "ON p.recording = r.id AND p.ordinal = 0 "
    "WHERE r.starts_epoch_s < ? OR r.starts_epoch_s > ? ORDER BY r.starts_epoch_s, r.id"
)
_BY_START = (
    "SELECT r.id AS recording, r.starts_epoch_s, p.path FROM recordings r CROSS JOIN parts p "
    "ON p.recording = r.id AND p.ordinal = 0 "
    "WHERE (r.starts_epoch_s, r.id) > (?, ?) ORDER BY r.starts_epoch_s, r.id LIMIT ?"
)
_SHARING = """
WITH RECURSIVE sharing(id) AS (
    VALUES (?)
    UNION
    SELECT theirs.recording FROM sharing CROSS JOIN parts ours ON ours.recording = sharing.id
    CROSS JOIN parts theirs ON theirs.path = ours.path
) SELECT id FROM sharing ORDER BY id"""
_OF_RECORDINGS = """
SELECT max(ends_epoch_s), max(state IN ('open', 'leased')),
    max(EXISTS (SELECT 1 FROM holds WHERE recording = recordings.id))
FROM recordings WHERE id IN (SELECT value FROM json_each(?))"""
# Archives of the first versions know parts without files.
_OF_FILES = """
SELECT p.path, max(p.size_bytes), max(f.taken_s), max(f.gone_s)
FROM parts p LEFT JOIN files f ON f.path = p.path
WHERE p.recording IN (SELECT value FROM json_each(?)) GROUP BY p.path"""
_STIRRED = """
SELECT 1 FROM recordings r JOIN stirred s ON s.camera = r.camera AND s.cell = r.cell
WHERE r.id IN (SELECT value FROM json_each(?)) LIMIT 1"""
# A file that changed meanwhile waits to be taken in again: its job is left alone.
_ENDED = "state IN ('placed', 'done', 'failed')"
_FORGET_JOBS = f"DELETE FROM jobs WHERE {_ENDED} AND path IN {_PATHS}"
_END_JOBS = (
    "UPDATE jobs SET state = 'done', recordings = '[]', reason = ?, finished_s = ?, "
    f"removed_s = ? WHERE {_ENDED} AND path IN {_PATHS}"
)
