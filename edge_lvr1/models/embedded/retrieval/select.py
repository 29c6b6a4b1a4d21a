"""Which subjects a question is about, of all that the captions tell. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_lvr1.domain import Span
from edge_lvr1.models.embedded.retrieval.asked import Asked, Moment
from edge_lvr1.models.embedded.retrieval.evidence import Scene, Subject
from edge_lvr1.models.embedded.retrieval.words import START_VERBS, Colour, colours_in, nearness
from edge_lvr1.models.embedded.wording import Kind


@dataclass(frozen=True, slots=True)
class Selection:
    """The subjects meant, those of the same kind whatever their looks, and the time meant.

    `near` tells that the colour told is only near the one asked for. `lost` names what
    the question hangs on and no caption tells ("after the red car": no red car).
    """

    subjects: tuple[Subject, ...]
    of_kind: tuple[Subject, ...]
    window: Span | None
    near: bool = False
    lost: Asked | None = None


def select(asked: Asked, scene: Scene, duration_s: float) -> Selection:
    """Kind, then time, then colour and direction, then the ordinal among what is left."""
    of_kind = tuple(s for s in scene.subjects if not asked.kinds or s.kind in asked.kinds)
    window, lost = _window(asked, scene, duration_s)
    if lost:
        return Selection((), of_kind, None, lost=lost)
    kept: Sequence[Subject] = of_kind
    if window is not None:
        kept = [s for s in kept if s.seen.overlap_s(window) > 0]
    near = False
    if asked.colour is not None:
        kept, near = coloured(kept, asked.colour)
    if asked.heading is not None:
        kept = heading_for(kept, asked.heading)
    if asked.side is not None:
        kept = [s for s in kept if asked.side in (s.enters, s.leaves)]
    if asked.enters is not None:
        kept = [s for s in kept if s.enters == asked.enters]
    if asked.leaves is not None:
        kept = [s for s in kept if s.leaves == asked.leaves]
    return Selection(tuple(_ordinal(kept, asked)), of_kind, window, near=near)


def coloured(subjects: Sequence[Subject], colour: Colour) -> tuple[list[Subject], bool]:
    """The subjects of a colour, and whether it is only near the one asked for.

    A vehicle is first of all what its main colour is; of a person, any piece of clothing
    counts.
    """
    ranked = [(subject, _colour_rank(subject, colour)) for subject in subjects]
    best = max((rank for _, rank in ranked), default=0)
    if best == 0:
        return [], False
    return [subject for subject, rank in ranked if rank == best], best == 1


def _colour_rank(subject: Subject, colour: Colour) -> int:
    """3 its colour, 2 a second colour of a vehicle, 1 a near colour, 0 none."""
    told = [max((nearness(colour, c) for c in colours_in(n)), default=0) for n in subject.colours]
    if 2 in told:
        return 3 if subject.kind is Kind.PERSON or told[0] == 2 else 2
    return 1 if told[:1] == [1] else 0


def heading_for(subjects: Sequence[Subject], heading: str) -> list[Subject]:
    """The subjects that move that way; where none does, those that move partly that way."""
    exactly = [s for s in subjects if s.heading == heading]
    return exactly or [s for s in subjects if s.heading and heading in s.heading.split()]


def _ordinal(subjects: Sequence[Subject], asked: Asked) -> Sequence[Subject]:
    if asked.ordinal is None:
        return subjects
    by_end = asked.ordinal < 0 and asked.moment is Moment.END
    key: Callable[[Subject], float] = _ends if by_end else _starts
    ordered = sorted(subjects, key=key)
    index = asked.ordinal - 1 if asked.ordinal > 0 else asked.ordinal
    return ordered[index:][:1] if -len(ordered) <= index < len(ordered) else []


def _starts(subject: Subject) -> float:
    return subject.seen.start_s


def _ends(subject: Subject) -> float:
    return subject.seen.end_s


def _window(asked: Asked, scene: Scene, duration_s: float) -> tuple[Span | None, Asked | None]:
    """The time a question is about, and the clause it hangs on where nothing tells of that."""
    if asked.relation is None:
        return asked.window, None
    other = asked.relation.other
    times = [e.time_s for e in scene.events if e.what in other.events]
    spans = [Span(time_s, time_s) for time_s in times]
    spans = spans or [s.seen for s in select(other, scene, duration_s).subjects]
    if not spans:
        return None, other
    span = spans[0]
    starting = bool(START_VERBS & set(other.text.rstrip("?.! ").split()))
    if asked.relation.word == "after":
        start_s = span.start_s if starting else span.end_s
        return Span(start_s, max(duration_s, start_s)), None
    if asked.relation.word == "before":
        return Span(0.0, span.start_s if starting or span.start_s > 0 else span.end_s), None
    return span, None
