"""Which recordings a question is put to, in which order, and where footage is missing. Pure.

Captions were written and indexed once, so that a search over them is a look at every
recording. One whose captions mention all that is asked about has to be walked before it is
said not to be there; one whose captions mention none of it need not be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from edge_lvr1.domain import Question, Recording, Scope, TimeSpan
from edge_lvr1.navigator.loop import MIN_SHARE
from edge_lvr1.navigator.words import mentioned, telling

GAP = timedelta(minutes=1)
"""Footage that is missing for less is not worth a word: cameras change files."""


class Hit(Protocol):
    """A caption that a search found."""

    @property
    def recording(self) -> int:
        """The recording's id."""
        ...

    @property
    def caption(self) -> str:
        """The caption."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """How the recordings in scope are read, the best first.

    `first` have to be walked before anything is said not to be there; `then` are walked
    while the budget lasts; of `by_captions` the captions alone are searched.
    """

    first: tuple[Recording, ...] = ()
    then: tuple[Recording, ...] = ()
    by_captions: tuple[Recording, ...] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """A span asked about in which a camera has no footage."""

    camera: str
    since: datetime
    until: datetime


def read(question: Question, recordings: Sequence[Recording], hits: Iterable[Hit]) -> Reading:
    """How the recordings of a question's scope are read; `hits` stand best first."""
    found = list(hits)
    ranked = rank(question, recordings, found)
    words = telling(question.about or question.text)
    if len(ranked) <= max(1, question.max_rounds // MIN_SHARE) or not words:
        return Reading(first=tuple(ranked))
    share = _shares(words, found)
    full = [one for one in ranked if share.get(one.id, 0.0) == 1.0]
    some = [one for one in ranked if 0.0 < share.get(one.id, 0.0) < 1.0]
    some.sort(key=lambda one: -share[one.id])
    none = [one for one in ranked if not share.get(one.id)]
    hit = {one.recording for one in found}
    some += [one for one in none if one.id in hit]  # by meaning, where no word says so
    none = [one for one in none if one.id not in hit]
    if not full and not some:  # captions leave things out: a few are walked all the same
        few = max(1, question.max_rounds // MIN_SHARE)
        return Reading(then=tuple(none[:few]), by_captions=tuple(none[few:]))
    return Reading(tuple(full), tuple(some), tuple(none))


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
    return scope.overlaps(recording.starts_at, recording.wall_clock(recording.duration_s))


def gaps(
    recordings: Iterable[Recording], cameras: Iterable[str], times: Iterable[TimeSpan]
) -> list[Gap]:
    """Where the cameras have no footage within the times, for longer than a moment, in order."""
    have: dict[str, list[TimeSpan]] = {}
    for one in recordings:
        span = TimeSpan(one.starts_at, one.wall_clock(one.duration_s))
        have.setdefault(one.camera, []).append(span)
    asked = list(times)
    found = (
        Gap(camera, missing.since, missing.until)
        for camera in cameras
        for span in asked
        for missing in _missing(span, sorted(have.get(camera, ())))
    )
    return [gap for gap in found if gap.until - gap.since >= GAP]


def _missing(span: TimeSpan, footage: Sequence[TimeSpan]) -> Iterable[TimeSpan]:
    at = span.since
    for one in footage:
        if one.until <= at:
            continue
        if one.since >= span.until:
            break
        if one.since > at:
            yield TimeSpan(at, one.since)
        at = max(at, one.until)
    if at < span.until:
        yield TimeSpan(at, span.until)


def _shares(words: Sequence[str], hits: Sequence[Hit]) -> Mapping[int, float]:
    """For each recording the largest share of the words that one of its captions mentions."""
    share: dict[int, float] = {}
    for hit in hits:
        held = len(mentioned(words, hit.caption)) / len(words)
        share[hit.recording] = max(share.get(hit.recording, 0.0), held)
    return share
