"""What was seen of a recording at a glance: its activity, its pictures, its words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_lvr1.domain import Activity, Span, Switch
from edge_lvr1.errors import NotFoundError
from edge_lvr1.store.db import Archive
from edge_lvr1.store.text import clean, to_json


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A small picture of a moment: `hash` is perceptual (64 bits), `webp` the file's bytes."""

    time_s: float
    score: float
    hash: int
    webp: bytes


@dataclass(frozen=True, slots=True)
class StoredCue:
    """Words that came with the footage, and when they are shown."""

    span: Span
    text: str
    source: str


class Glances:
    """Activity, pictures and words of recordings.

    What is put for a recording whose parts changed meanwhile (`revision`) raises NotFoundError.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def put(
        self,
        recording: int,
        activity: Activity,
        pictures: Iterable[StoredPicture],
        cues: Iterable[StoredCue],
        revision: int,
    ) -> None:
        """Store all that was seen of a recording, in one transaction."""
        curve = np.array([activity.times_s, activity.scores], "<f4").tobytes()
        told = {
            "active": [[span.start_s, span.end_s] for span in activity.active],
            "switches": [[switch.time_s, switch.kind] for switch in activity.switches],
        }
        with self._archive.transaction() as db:
            stored = db.execute(
                "INSERT INTO activities(recording, curve, told) "
                "SELECT id, ?, ? FROM recordings WHERE id = ? AND revision = ? "
                "ON CONFLICT(recording) DO UPDATE SET curve = excluded.curve, told = excluded.told",
                [curve, to_json(told), recording, revision],
            )
            if not stored.rowcount:
                raise NotFoundError(f"recording {recording} was put together anew")
            for table in ("pictures", "cues"):
                db.execute(f"DELETE FROM {table} WHERE recording = ?", [recording])
            db.conn.executemany(
                "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)",
                ((recording, p.time_s, p.score, _signed(p.hash), p.webp) for p in pictures),
            )
            db.conn.executemany(
                "INSERT INTO cues VALUES (?, ?, ?, ?, ?)",
                (
                    (recording, cue.span.start_s, cue.span.end_s, clean(cue.text), cue.source)
                    for cue in cues
                ),
            )

    def activity(self, recording: int) -> Activity | None:
        """How much happens in a recording; None before it was looked over."""
        row = self._archive.row(
            "SELECT curve, told FROM activities WHERE recording = ?", [recording]
        )
        if row is None:
            return None
        times_s, scores = np.frombuffer(row["curve"], "<f4").reshape(2, -1)
        told = json.loads(row["told"])
        return Activity(
            times_s=tuple(map(float, times_s)),
            scores=tuple(map(float, scores)),
            active=tuple(Span(*span) for span in told["active"]),
            switches=tuple(Switch(*switch) for switch in told["switches"]),
        )

    def hashes(self, recording: int) -> list[tuple[float, int]]:
        """The moments of a recording's pictures, ascending, with their hashes."""
        rows = self._archive.rows(
            "SELECT time_s, hash FROM pictures WHERE recording = ? ORDER BY time_s", [recording]
        )
        return [(row["time_s"], row["hash"] % 2**64) for row in rows]

    def picture(self, recording: int, span: Span) -> StoredPicture | None:
        """The liveliest picture of a span, or the last before it; None where there is none."""
        row = self._archive.row(
            "SELECT * FROM pictures WHERE recording = ? AND time_s >= ? AND time_s < ? "
            "ORDER BY score DESC LIMIT 1",
            [recording, span.start_s, span.end_s],
        ) or self._archive.row(
            "SELECT * FROM pictures WHERE recording = ? ORDER BY abs(time_s - ?) LIMIT 1",
            [recording, span.start_s],
        )
        if row is None:
            return None
        return StoredPicture(row["time_s"], row["score"], row["hash"] % 2**64, row["webp"])

    def cues(self, recording: int, span: Span | None = None) -> Sequence[StoredCue]:
        """The words that are shown within a span, or all, in order."""
        start_s, end_s = (span.start_s, span.end_s) if span else (0.0, float("inf"))
        rows = self._archive.rows(
            "SELECT * FROM cues WHERE recording = ? AND end_s > ? AND start_s < ? ORDER BY start_s",
            [recording, start_s, end_s],
        )
        return [StoredCue(Span(r["start_s"], r["end_s"]), r["text"], r["source"]) for r in rows]


def _signed(value: int) -> int:
    """64 bits as SQLite's signed integer."""
    return value - 2**64 if value >= 2**63 else value
