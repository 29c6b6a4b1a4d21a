"""Which recordings a question is put to, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from edge_lvr1.domain import Question, Recording, Scope


class Hit(Protocol):
    """A caption that a search found, of which only the recording matters here."""

    @property
    def recording(self) -> int:
        """The recording's id."""
        ...


def rank(
    question: Question, recordings: Sequence[Recording], hits: Iterable[Hit]
) -> list[Recording]:
    """The recordings in the question's scope, those with the best hits first, then the newest.

    `hits` stand best first. A recording's hits count by their place (reciprocal rank), so
    neither the score's scale nor its sign matters.
    """
    weight: dict[int, float] = {}
    for place, hit in enumerate(hits, start=1):
        weight[hit.recording] = weight.get(hit.recording, 0.0) + 1.0 / place
    kept = [recording for recording in recordings if in_scope(recording, question.scope)]
    return sorted(
        kept,
        key=lambda r: (-weight.get(r.id, 0.0), -r.starts_at.timestamp(), r.id),
    )


def in_scope(recording: Recording, scope: Scope) -> bool:
    """Whether any moment of a recording is footage that the scope names."""
    if scope.recording is not None and recording.id != scope.recording:
        return False
    if scope.cameras and recording.camera not in scope.cameras:
        return False
    if scope.until is not None and recording.starts_at >= scope.until:
        return False
    ends_at = recording.wall_clock(recording.duration_s)
    return scope.since is None or ends_at > scope.since
