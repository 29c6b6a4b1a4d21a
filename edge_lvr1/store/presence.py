"""Which known files are still there: marked when they go and when they return.

It also keeps which file systems the files of a watched folder were seen on, so that a mount
that is missing after a restart is not taken for thousands of deletions. It looks at no file;
what is there is told to it. Marks go in batches, each one transaction with its audit entry.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from edge_lvr1.access import DAEMON
from edge_lvr1.store.audit import add_entry
from edge_lvr1.store.db import Archive
from edge_lvr1.store.text import below, path_in, path_out, to_json

BATCH = 200


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file of the archive as it was taken in; `gone` says that it was not there lately."""

    path: str
    size_bytes: int
    mtime_ns: int
    gone: bool


class Presence:
    """What is known of files being there; `clock` gives epoch seconds."""

    def __init__(self, archive: Archive, clock: Callable[[], float]) -> None:
        self._archive = archive
        self._clock = clock

    def files_below(self, folder: str) -> Iterator[list[KnownFile]]:
        """The known files in a folder and below, in batches in the order of their paths."""
        for first, last in below(folder):
            after: str | bytes = first
            while True:
                rows = self._archive.rows(
                    "SELECT path, size_bytes, mtime_ns, gone_s FROM files "
                    "WHERE path > ? AND path < ? ORDER BY path LIMIT ?",
                    [after, last, BATCH],
                )
                if not rows:
                    break
                after = rows[-1]["path"]
                yield [
                    KnownFile(
                        path_out(row["path"]),
                        row["size_bytes"],
                        row["mtime_ns"],
                        row["gone_s"] is not None,
                    )
                    for row in rows
                ]

    def find(self, path: str) -> KnownFile | None:
        """The known file at a path; None where none is known."""
        row = self._archive.row(
            "SELECT size_bytes, mtime_ns, gone_s FROM files WHERE path = ?", [path_in(path)]
        )
        if row is None:
            return None
        return KnownFile(path, row["size_bytes"], row["mtime_ns"], row["gone_s"] is not None)

    def any_below(self, folder: str) -> bool:
        """Whether a file in a folder or below is known, or waits to be taken in."""
        return any(
            self._archive.row(f"SELECT 1 FROM {table} WHERE path > ? AND path < ? LIMIT 1", [*ends])
            for ends in below(folder)
            for table in ("files", "jobs")
        )

    def mark(self, gone: Sequence[str], returned: Sequence[str]) -> tuple[int, int]:
        """Note which files went and which came back; how many of each that was news of."""
        if not gone and not returned:
            return (0, 0)
        now_s = self._clock()
        with self._archive.transaction() as db:
            went = _marked(db, gone, "gone_s IS NULL", now_s)
            came = _marked(db, returned, "gone_s IS NOT NULL", None)
            for kind, paths in (("file.gone", went), ("file.returned", came)):
                for start in range(0, len(paths), BATCH):
                    batch = paths[start : start + BATCH]
                    add_entry(db, now_s, kind, DAEMON, {"count": len(batch), "paths": batch})
        return (len(went), len(came))

    def gone_since(self, paths: Sequence[str]) -> dict[str, float]:
        """Those of the paths whose files are gone, each with since when (epoch seconds)."""
        found = {}
        for path in paths:
            row = self._archive.row("SELECT gone_s FROM files WHERE path = ?", [path_in(path)])
            if row is not None and row["gone_s"] is not None:
                found[path] = row["gone_s"]
        return found

    def count_gone(self) -> int:
        """How many known files are gone."""
        row = self._archive.row("SELECT count(*) AS n FROM files WHERE gone_s IS NOT NULL")
        return int(row["n"]) if row else 0

    def mounts_of(self, root: str) -> list[list[str]] | None:
        """What was last noted of a root's file systems; None where nothing was."""
        row = self._archive.row("SELECT mounts FROM roots WHERE path = ?", [path_in(root)])
        return None if row is None else list(json.loads(row["mounts"]))

    def note_mounts(self, root: str, mounts: Sequence[Sequence[str]]) -> None:
        """Note the file systems on which a root's files are."""
        with self._archive.transaction() as db:
            db.execute(
                "INSERT INTO roots(path, mounts) VALUES (?, ?) "
                "ON CONFLICT(path) DO UPDATE SET mounts = excluded.mounts",
                [path_in(root), to_json([list(mount) for mount in mounts])],
            )


def _marked(db: Database, paths: Sequence[str], where: str, gone_s: float | None) -> list[str]:
    news = []
    for path in paths:
        done = db.execute(
            f"UPDATE files SET gone_s = ? WHERE path = ? AND {where}", [gone_s, path_in(path)]
        )
        if done.rowcount:
            news.append(path)
    return news
