"""All recordings of a scope at once, for what is asked of an archive of months.

The database adds up and compares; what has to be looked at one by one comes in pages and
without parts, so that how much memory a question takes does not follow the number of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from edge_lvr1.domain import Recording, Scope, TimeSpan
from edge_lvr1.store.db import Archive
from edge_lvr1.store.rows import recording_of
from edge_lvr1.store.text import to_json
from edge_lvr1.store.trees import PROGRESS, Progress, progress_of, scope_sql

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the recordings of a scope reach together: how many, from when to when (UTC)."""

    recordings: int
    span: TimeSpan
    longest_s: float


@dataclass(frozen=True, slots=True)
class Outline:
    """A recording without its parts (`recording.parts` is ()), and how far its captions are."""

    recording: Recording
    progress: Progress


class Overview:
    """The recordings of an archive, however many there are."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def cameras(self) -> list[str]:
        """The cameras of all recordings."""
        rows = self._archive.rows("SELECT DISTINCT camera FROM recordings ORDER BY camera")
        return [row["camera"] for row in rows]

    def extent(self, scope: Scope) -> Extent | None:
        """How far the recordings that a scope touches reach; None where there are none."""
        where, values = scope_sql(scope)
        row = self._archive.row(
            "SELECT count(*) AS n, min(starts_epoch_s) AS since_s, max(ends_epoch_s) AS until_s, "
            f"max(duration_s) AS longest_s FROM recordings r WHERE {where}",
            values,
        )
        if row is None or not row["n"]:
            return None
        since, until = (
            datetime.fromtimestamp(row[name], timezone.utc) for name in ("since_s", "until_s")
        )
        return Extent(row["n"], TimeSpan(since, until), row["longest_s"])

    def any_in(self, scope: Scope) -> bool:
        """Whether any recording is of the times, and otherwise within the rest, of a scope."""
        where, values = scope_sql(scope)
        times = [(one.since.timestamp(), one.until.timestamp()) for one in scope.times]
        if times:
            where += f" AND EXISTS ({_IN_TIMES})"
            values.append(to_json(times))
        return bool(self._archive.row(f"SELECT 1 FROM recordings r WHERE {where} LIMIT 1", values))

    def outlines(self, scope: Scope) -> Iterator[Outline]:
        """The recordings that a scope overlaps, in order of their start."""
        where, values = scope_sql(scope)
        names: dict[str, str] = {}  # of a few cameras: each text is kept once
        after: tuple[float, int] = (float("-inf"), 0)
        while rows := self._archive.rows(_OUTLINES.format(where=where), [*values, *after, _PAGE]):
            after = rows[-1]["starts_epoch_s"], rows[-1]["id"]
            for row in rows:
                for name in ("camera", "captioner"):
                    row[name] = names.setdefault(row[name], row[name])
                found = recording_of(row, ())
                if scope.overlaps(found.starts_at, found.wall_clock(found.duration_s)):
                    yield Outline(found, progress_of(row))


_IN_TIMES = (
    "SELECT 1 FROM json_each(?) t WHERE r.ends_epoch_s > json_extract(t.value, '$[0]') "
    "AND r.starts_epoch_s < json_extract(t.value, '$[1]')"
)
_OUTLINES = (
    "SELECT id, camera, starts_at, starts_epoch_s, start_source, duration_s, captioner, "
    f"confidence, remark, {PROGRESS} FROM recordings r WHERE {{where}} "
    "AND (starts_epoch_s, id) > (?, ?) ORDER BY starts_epoch_s, id LIMIT ?"
)
