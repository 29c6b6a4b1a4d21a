"""What the captions come to for a question: the fact in words, its value, where to see it.

One function an intent, each from a question and a selection to a `Finding`. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from edge_lvr1.domain import Span
from edge_lvr1.models.embedded import wording
from edge_lvr1.models.embedded.retrieval.asked import Asked, Intent, Moment
from edge_lvr1.models.embedded.retrieval.evidence import Scene, Subject
from edge_lvr1.models.embedded.retrieval.found import Aim, Finding, Value
from edge_lvr1.models.embedded.retrieval.phrases import (
    called,
    counted,
    listing,
    noun,
    sought,
    times,
)
from edge_lvr1.models.embedded.retrieval.select import Selection, coloured, heading_for, select
from edge_lvr1.models.embedded.wording import SceneEvent


def find(asked: Asked, scene: Scene, duration_s: float) -> Finding:
    """What the captions shown so far say to a question about what they can tell."""
    if asked.intent is Intent.LENGTH:
        return Finding(True, f"{duration_s:.1f} s", Value(seconds=duration_s))
    selection = select(asked, scene, duration_s)
    if selection.lost is not None:
        return Finding(False, f"no caption tells of {sought(selection.lost)}")
    if asked.events:
        return _events(asked, scene, selection)
    if asked.intent is Intent.COUNT:
        return _count(asked, scene, selection)
    if not selection.subjects:
        return _nothing(asked, selection)
    by_intent = {
        Intent.EXISTS: _exists,
        Intent.WHEN: _when,
        Intent.HOW_LONG: _how_long,
        Intent.COLOUR: _colour,
        Intent.DIRECTION: _direction,
        Intent.ENTERS: _enters,
        Intent.LEAVES: _leaves,
        Intent.DESCRIBE: _describe,
    }
    return by_intent[asked.intent](asked, selection)


def _nothing(asked: Asked, selection: Selection) -> Finding:
    text = f"no caption tells of {sought(asked)}"
    if selection.of_kind:
        text += f"; {counted(asked.kinds, len(selection.of_kind))} counted: "
        text += listing(selection.of_kind)
    value = Value(yes=False, number=0) if asked.intent is Intent.EXISTS else Value(number=0)
    return Finding(False, text, value)


def _count(asked: Asked, scene: Scene, selection: Selection) -> Finding:
    chosen = selection.subjects
    number = len(chosen)
    if not _selective(asked, selection):
        number = max(number, len(scene.labels(asked.kinds)))
    if number == 0:
        return _nothing(asked, selection)
    text = f"{counted(asked.kinds, number, asked)}: {listing(chosen)}"
    if asked.at_once:
        number, together = _at_once(asked, scene, chosen)
        text = f"at least {counted(asked.kinds, number, asked)} at once {times([together])}"
        chosen = tuple(s for s in chosen if s.seen.overlap_s(together) > 0)
    if number > len(chosen) and not asked.at_once:
        text += f"; {number - len(chosen)} more are counted and not described"
    aims = tuple(_best(subject) for subject in chosen)
    value = Value(number=number, yes=number > 0)
    if asked.compare:
        holds = _holds(number, *asked.compare)
        return Finding(True, f"{'Yes' if holds else 'No'}: {text}", replace(value, yes=holds), aims)
    return Finding(True, text, value, aims)


def _selective(asked: Asked, selection: Selection) -> bool:
    looks = (asked.colour, asked.heading, asked.enters, asked.leaves, asked.side, asked.ordinal)
    return selection.window is not None or any(look is not None for look in looks)


def _holds(number: int, operator: str, other: int) -> bool:
    return {
        ">": number > other,
        ">=": number >= other,
        "<": number < other,
        "<=": number <= other,
        "=": number == other,
    }[operator]


def _at_once(asked: Asked, scene: Scene, chosen: Sequence[Subject]) -> tuple[int, Span]:
    """The most at one moment, by the times told and by what a caption counted itself."""
    edges = sorted({subject.seen.start_s for subject in chosen})
    most, during = 0, Span(0.0, 0.0)
    for start_s in edges:
        there = [s for s in chosen if s.seen.start_s <= start_s < s.seen.end_s]
        if len(there) > most:
            most, during = len(there), Span(start_s, min(s.seen.end_s for s in there))
    if not asked.colour and not asked.window:
        for _, tallies in scene.tallied:
            for tally in tallies:
                if tally.kind in asked.kinds and tally.at_once > most:
                    most, during = tally.at_once, tally.seen
    return most, during


def _exists(asked: Asked, selection: Selection) -> Finding:
    chosen = selection.subjects
    if asked.is_colour is not None or asked.is_heading is not None:
        return _confirm(asked, chosen)
    window = selection.window
    best = max(chosen, key=lambda s: _clipped(s.seen, window).duration_s)
    many = f"; {len(chosen)} in all: {listing(chosen)}" if len(chosen) > 1 else ""
    yes = "No, there is somebody" if asked.negated else "Nearly" if selection.near else "Yes"
    text = f"{yes}: {called(best)}, {times([best.seen])}{_course(best)}{many}"
    value = Value(yes=not asked.negated, number=len(chosen), spans=_spans(chosen))
    aim = _best(best, window)
    if asked.enters or asked.leaves or asked.side:
        comes = asked.enters or (asked.side is not None and best.enters == asked.side)
        aim = replace(aim, where="first" if comes else "last")
    return Finding(True, text, value, (aim,))


def _confirm(asked: Asked, chosen: Sequence[Subject]) -> Finding:
    """Whether what is asked for has the looks or the direction that the question says."""
    that: Sequence[Subject] = chosen
    if asked.is_colour is not None:
        matching, near = coloured(that, asked.is_colour)
        that = [] if near else matching
    if asked.is_heading is not None:
        that = heading_for(that, asked.is_heading)
    shown = (that or chosen)[0]
    text = f"{'Yes' if that else 'No'}: {called(shown)}, {times([shown.seen])}{_course(shown)}"
    if not that and len(chosen) > 1:
        text = f"No: {listing(chosen)}"
    value = Value(yes=bool(that), direction=shown.heading, colours=shown.colours)
    return Finding(True, text, value, (_best(shown),))


def _when(asked: Asked, selection: Selection) -> Finding:
    chosen = selection.subjects
    ordered = sorted(chosen, key=lambda s: s.seen)
    if asked.moment is Moment.STILL and any(s.still for s in ordered):
        return _still(ordered)
    if asked.moment is Moment.END:
        last = max(ordered, key=lambda s: s.seen.end_s)
        ends = [last] if "last" in asked.text.split() else ordered
        parts = [f"at {s.seen.end_s:.1f} s: {called(s)}{_leaving(s)}" for s in ends]
        aims = [Aim(s.seen, "last", f"the end of {s.label}", s.label) for s in ends]
        return Finding(True, _sentence(parts), _at([s.seen for s in ends]), tuple(aims))
    if asked.moment is Moment.START and "first" in asked.text.split():
        ordered = ordered[:1]
    if asked.moment is Moment.START:
        parts = [f"at {s.seen.start_s:.1f} s: {called(s)}{_entering(s)}" for s in ordered]
    else:
        parts = [f"{times([s.seen])}: {called(s)}{_course(s)}" for s in ordered]
    aims = [Aim(s.seen, "first", f"the start of {s.label}", s.label) for s in ordered]
    if asked.moment is Moment.START and len(ordered) == 1:
        parts = [f"{parts[0]}; in view {times([ordered[0].seen])}"]
    return Finding(True, _sentence(parts), _at([s.seen for s in ordered]), tuple(aims))


def _how_long(asked: Asked, selection: Selection) -> Finding:
    chosen = selection.subjects
    if asked.moment is Moment.STILL:
        if any(s.still for s in chosen):
            return _still(chosen)
        return Finding(False, f"no caption tells that {sought(asked)} stood still")
    spans = [_clipped(s.seen, selection.window) for s in chosen]
    total_s = sum(span.duration_s for span in _union(spans))
    if len(chosen) == 1:
        text = f"{total_s:.1f} s: {called(chosen[0])}, {times(spans)}"
    else:
        each = [f"{s.label} {span.duration_s:.1f} s" for s, span in zip(chosen, spans, strict=True)]
        text = f"{total_s:.1f} s with at least one in view: {', '.join(each)}"
    edges = [
        Aim(s.seen, where, f"the {'start' if where == 'first' else 'end'} of {s.label}", s.label)
        for s in chosen
        for where in _EDGES
    ]
    return Finding(True, text, Value(seconds=total_s, spans=tuple(spans)), tuple(edges))


_EDGES: tuple[Literal["first"], Literal["last"]] = ("first", "last")


def _still(chosen: Sequence[Subject]) -> Finding:
    stops = sorted(((s, s.still) for s in chosen if s.still), key=lambda pair: -pair[1].duration_s)
    parts = [f"{span.duration_s:.1f} s: {called(s)}, still {times([span])}" for s, span in stops]
    aims = tuple(Aim(span, "best", f"the stop of {s.label}", s.label) for s, span in stops)
    value = Value(seconds=stops[0][1].duration_s, spans=tuple(span for _, span in stops))
    return Finding(True, _sentence(parts), value, aims)


def _colour(asked: Asked, selection: Selection) -> Finding:
    chosen = [s for s in selection.subjects if s.colours]
    if not chosen:
        return Finding(False, f"no caption tells the colour of {sought(asked)}")
    first = chosen[0]
    if len(chosen) == 1:
        text = f"{' and '.join(first.colours)}: {called(first)}, {times([first.seen])}"
    else:
        text = "; ".join(
            f"{' and '.join(s.colours)} ({s.label}, {times([s.seen])})" for s in chosen
        )
    return Finding(True, text, Value(colours=first.colours), tuple(_best(s) for s in chosen))


def _direction(asked: Asked, selection: Selection) -> Finding:
    moving = [s for s in selection.subjects if s.heading]
    if not moving:
        if any(s.leaves for s in selection.subjects):
            return _leaves(asked, selection)
        return Finding(False, f"{sought(asked)} moved too little for a direction to be told")
    if len(moving) == 1:
        text = f"{moving[0].heading}: {called(moving[0])}, {times([moving[0].seen])}"
        text += _leaving(moving[0]) if moving[0].leaves else ""
    else:
        text = "; ".join(f"{s.heading} ({s.label}, {times([s.seen])})" for s in moving)
    aims = tuple(Aim(_moving(s), "best", f"{s.label} on its way", s.label) for s in moving)
    return Finding(True, text, Value(direction=moving[0].heading), aims)


def _enters(asked: Asked, selection: Selection) -> Finding:
    chosen = [s for s in selection.subjects if s.enters]
    if not chosen:
        return Finding(False, f"no caption tells from which side {sought(asked)} comes")
    parts = [f"from the {s.enters}: {called(s)}, at {s.seen.start_s:.1f} s" for s in chosen]
    aims = tuple(Aim(s.seen, "first", f"{s.label} entering", s.label) for s in chosen)
    return Finding(True, "; ".join(parts), Value(direction=chosen[0].enters), aims)


def _leaves(asked: Asked, selection: Selection) -> Finding:
    chosen = [s for s in selection.subjects if s.leaves]
    if not chosen:
        return Finding(False, f"no caption tells on which side {sought(asked)} leaves")
    parts = [f"at the {s.leaves}: {called(s)}, at {s.seen.end_s:.1f} s" for s in chosen]
    aims = tuple(Aim(s.seen, "last", f"{s.label} leaving", s.label) for s in chosen)
    return Finding(True, "; ".join(parts), Value(direction=chosen[0].leaves), aims)


def _describe(_asked: Asked, selection: Selection) -> Finding:
    chosen = selection.subjects
    parts = [f"{called(s)}, {times([s.seen])}{_course(s)}" for s in chosen[:8]]
    if len(chosen) > 8:
        parts.append(f"and {len(chosen) - 8} more")
    value = Value(number=len(chosen), spans=_spans(chosen), colours=chosen[0].colours)
    return Finding(True, "; ".join(parts), value, tuple(_best(s, selection.window) for s in chosen))


def _events(asked: Asked, scene: Scene, selection: Selection) -> Finding:
    window = selection.window
    events = [
        e
        for e in scene.events
        if e.what in asked.events and (window is None or window.contains(e.time_s))
    ]
    if asked.ordinal is not None:
        index = asked.ordinal - 1 if asked.ordinal > 0 else asked.ordinal
        events = events[index:][:1] if -len(events) <= index < len(events) else []
    if not events:
        said = " or ".join(wording.EVENTS[what].lower() for what in asked.events)
        return Finding(False, f"no caption tells that {said}", Value(yes=False, number=0))
    text = "; ".join(f"{_said(event)} at {event.time_s:.1f} s" for event in events)
    if asked.intent is Intent.EXISTS:
        text = f"Yes: {text}"
    if asked.intent is Intent.COUNT:
        text = f"{len(events)} time{'' if len(events) == 1 else 's'}: {text}"
    spans = tuple(Span(event.time_s, event.time_s) for event in events)
    aims = tuple(Aim(span, "best", _said(event)) for span, event in zip(spans, events, strict=True))
    return Finding(True, text, Value(yes=True, number=len(events), spans=spans), aims)


def _said(event: SceneEvent) -> str:
    return wording.EVENTS[event.what].lower()


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def _at(spans: Sequence[Span]) -> Value:
    return Value(spans=tuple(spans))


def _spans(subjects: Sequence[Subject]) -> tuple[Span, ...]:
    return tuple(s.seen for s in subjects)


def _best(subject: Subject, window: Span | None = None) -> Aim:
    what = f"{subject.label}, {noun((subject.kind,), 1)}"
    return Aim(_clipped(subject.seen, window), "best", what, subject.label)


def _clipped(span: Span, window: Span | None) -> Span:
    if window is None or not span.overlap_s(window):
        return span
    return Span(max(span.start_s, window.start_s), min(span.end_s, window.end_s))


def _union(spans: Sequence[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start_s <= joined[-1].end_s:
            joined[-1] = Span(joined[-1].start_s, max(joined[-1].end_s, span.end_s))
        else:
            joined.append(span)
    return joined


def _moving(subject: Subject) -> Span:
    """The longest run of its time in view that is not one of its stops."""
    borders = [subject.seen.start_s]
    for still in subject.stills:
        borders += [max(borders[-1], still.start_s), max(borders[-1], still.end_s)]
    borders.append(max(borders[-1], subject.seen.end_s))
    runs = [Span(a, b) for a, b in zip(borders[::2], borders[1::2], strict=True)]
    return max(runs, key=lambda span: span.duration_s)


def _course(subject: Subject) -> str:
    parts = []
    if subject.enters:
        parts.append(f"enters from the {subject.enters}")
    if subject.heading:
        parts.append(f"moves {subject.heading}")
    if subject.leaves or subject.rests:
        parts.append(_leaving(subject).strip())
    return f" ({', '.join(parts)})" if parts else ""


def _entering(subject: Subject) -> str:
    return f" enters from the {subject.enters}" if subject.enters else " appears"


def _leaving(subject: Subject) -> str:
    if subject.rests:
        return " comes to rest and stays"
    return f" leaves at the {subject.leaves}" if subject.leaves else " goes out of sight"
