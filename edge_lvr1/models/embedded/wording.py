"""The embedded captioner's sentences: written here, and read back here.

The captioner writes what its tracker saw; the embedded agent, which like any agent gets
nothing but the conversation's text, reads the same sentences again. Both directions stand
side by side so that they cannot drift apart (a property test holds them together).

A sentence never names a kind of subject that was not seen: a caption without "person" in
it claims no person.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from edge_lvr1.domain import Span
from edge_lvr1.media.words import without_words

NOTHING_SEEN = "No motion seen."
"""Said of a span in which nothing stood out; it does not say that nobody was there."""

MOVED = 0.06
"""Net movement, as a share of the frame's side, from which a direction is claimed."""

GLIMPSE_S = 0.5
"""A subject that a leaf shows for less than this, at its very edge, is described next door."""


class Kind(str, Enum):
    """What a tracked shape looked like."""

    PERSON = "person-like figure"
    VEHICLE = "vehicle-like shape"
    OTHER = "moving shape"

    @property
    def letter(self) -> str:
        """First letter of the labels of this kind: P1, V2, M3."""
        return {"PERSON": "P", "VEHICLE": "V", "OTHER": "M"}[self.name]


_KIND_OF_LETTER = {kind.letter: kind for kind in Kind}
SIDES = ("left", "right", "top", "bottom")
HEADINGS = {
    "right": (1.0, 0.0),
    "left": (-1.0, 0.0),
    "down": (0.0, 1.0),
    "up": (0.0, -1.0),
    "up and to the right": (0.7, -0.7),
    "up and to the left": (-0.7, -0.7),
    "down and to the right": (0.7, 0.7),
    "down and to the left": (-0.7, 0.7),
}


@dataclass(frozen=True, slots=True)
class Sighting:
    """One tracked subject within a node's span.

    Times are seconds of the recording. `label` is the tracker's name for the subject, the
    same all over a recording. `before` and `after`: it was in view already when the span
    began, or still when it ended. `enters` and `leaves` name a side of the picture, None
    where it was seen to appear or vanish inside it. `rests`: it came to lie there and was from
    then on taken as part of the scene. (dx, dy) is its net movement in shares
    of the picture's width and height, y down. `still` is the longest time it stood still.
    """

    label: str
    kind: Kind
    seen: Span
    colours: tuple[str, ...] = ()
    size: str = "medium"
    before: bool = False
    after: bool = False
    enters: str | None = None
    leaves: str | None = None
    rests: bool = False
    dx: float = 0.0
    dy: float = 0.0
    still: Span | None = None

    @property
    def heading(self) -> str | None:
        """Direction of the net movement; None where it moved too little to say."""
        return heading_of(self.dx, self.dy)

    @property
    def glimpsed(self) -> bool:
        """Whether only the end or the beginning of its stay falls into the span, and barely."""
        return self.before != self.after and self.seen.duration_s < GLIMPSE_S


def heading_of(dx: float, dy: float) -> str | None:
    """The direction word of a net movement in shares of the picture; None if too small."""
    if max(abs(dx), abs(dy)) < MOVED:
        return None
    # A direction is diagonal only where neither axis is twice the other.
    if abs(dx) >= 2 * abs(dy):
        return "right" if dx > 0 else "left"
    if abs(dy) >= 2 * abs(dx):
        return "down" if dy > 0 else "up"
    return f"{'down' if dy > 0 else 'up'} and to the {'right' if dx > 0 else 'left'}"


@dataclass(frozen=True, slots=True)
class SceneEvent:
    """Something that happened to the whole picture: light, a cut, a moved camera."""

    time_s: float
    what: str  # one of EVENTS


FULL = "full"
"""Told of every span of which subjects may be missing in the notes."""

EVENTS = {
    "dims": "The light dims",
    "brightens": "The light brightens",
    "cut": "The picture changes to another scene",
    "camera": "The camera moves",
    FULL: "The list of subjects is full and ends",
}


@dataclass(frozen=True, slots=True)
class Tally:
    """How many subjects of a kind a span held, and when the first and last were seen."""

    kind: Kind
    labels: tuple[str, ...]
    seen: Span
    at_once: int
    colours: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """All that a caption says, read back from its text."""

    tallies: tuple[Tally, ...]
    sightings: tuple[Sighting, ...]
    events: tuple[SceneEvent, ...]


def write(
    sightings: Sequence[Sighting], events: Sequence[SceneEvent], *, max_words: int, tally: bool
) -> str:
    """A caption of what was seen in a span.

    With `tally` (levels above the leaves, or more than one subject of a kind), a sentence
    counts each kind first; then one sentence a subject and one an event. Counts and times
    are always told; subjects past `max_words` are left out by number, never silently. A leaf
    (no `tally`) names what it only glimpses without describing it.
    """
    sentences = [_write_event(event) for event in events]
    if not tally:
        sentences = [*(_write_glimpse(s) for s in sightings if s.glimpsed), *sentences]
        sightings = [s for s in sightings if not s.glimpsed]
    counted = [t for t in tallies(sightings) if tally or len(t.labels) > 1]
    head = [_write_tally(t) for t in counted]
    used = sum(len(sentence.split()) for sentence in [*head, *sentences])
    told: list[str] = []
    for sighting in sightings:
        sentence = _write_sighting(sighting)
        used += len(sentence.split())
        if used > max_words and (told or counted):
            told.append(f"{len(sightings) - len(told)} more are not described here.")
            break
        told.append(sentence)
    return " ".join([*head, *told, *sentences]) or NOTHING_SEEN


def read(text: str) -> Account:
    """What a caption says. Sentences that are not this module's are passed over.

    So is text that was found with the footage: it may say anything, and saw nothing.
    """
    text = without_words(text)
    return Account(
        tallies=tuple(_read_tally(match) for match in _TALLY.finditer(text)),
        sightings=tuple(_read_sighting(match) for match in _SIGHTING.finditer(text)),
        events=tuple(_read_event(match) for match in _EVENT.finditer(text)),
    )


def tallies(sightings: Iterable[Sighting]) -> list[Tally]:
    """Count the subjects of each kind, the kinds in their fixed order."""
    by_kind: dict[Kind, list[Sighting]] = {}
    for sighting in sightings:
        by_kind.setdefault(sighting.kind, []).append(sighting)
    return [_tally(kind, by_kind[kind]) for kind in Kind if kind in by_kind]


def _tally(kind: Kind, sightings: Sequence[Sighting]) -> Tally:
    labels = sorted({s.label for s in sightings}, key=label_number)
    colour_of = {s.label: s.colours[0] for s in sightings if s.colours}
    edges = sorted(
        [(s.seen.start_s, 1) for s in sightings] + [(s.seen.end_s, -1) for s in sightings]
    )
    at_once = now = 0
    for _, change in edges:  # at equal times -1 sorts first: half-open spans do not meet
        now += change
        at_once = max(at_once, now)
    return Tally(
        kind=kind,
        labels=tuple(labels),
        seen=Span(min(s.seen.start_s for s in sightings), max(s.seen.end_s for s in sightings)),
        at_once=max(1, at_once),
        colours=tuple(Counter(colour_of.values()).most_common()),
    )


def label_number(label: str) -> int:
    """The number in a label: 12 for "P12"."""
    return int(label[1:])


_LABEL = r"[PVM][1-9]\d{0,6}"
_TIME = r"\d+\.\d"
_KINDS = "|".join(kind.value for kind in Kind)


def _write_tally(tally: Tally) -> str:
    count = len(tally.labels)
    once = f", at least {tally.at_once} at once" if tally.at_once > 1 else ""
    colours = ", ".join(f"{name} {number}" for name, number in tally.colours)
    by_colour = f"; main colours: {colours}" if colours else ""
    return (
        f"{count} {tally.kind.value}{'s' if count > 1 else ''} counted "
        f"({_write_labels(tally.labels)}), first seen at {tally.seen.start_s:.1f} s, "
        f"last seen at {tally.seen.end_s:.1f} s{once}{by_colour}."
    )


_TALLY = re.compile(
    rf"\d+ (?P<kind>{_KINDS})s? counted \((?P<labels>[PVM\d, -]+)\), "
    rf"first seen at (?P<first>{_TIME}) s, last seen at (?P<last>{_TIME}) s"
    rf"(?:, at least (?P<once>\d+) at once)?(?:; main colours: (?P<colours>[a-z0-9, ]+))?\."
)


def _read_tally(match: re.Match[str]) -> Tally:
    colours = [entry.rsplit(" ", 1) for entry in (match["colours"] or "").split(", ") if entry]
    first, last = sorted((float(match["first"]), float(match["last"])))
    return Tally(
        kind=Kind(match["kind"]),
        labels=_read_labels(match["labels"]),
        seen=Span(first, last),
        at_once=int(match["once"] or 1),
        colours=tuple((e[0], int(e[1])) for e in colours if len(e) == 2 and e[1].isdigit()),
    )


def _write_labels(labels: Sequence[str]) -> str:
    """("P1", "P2", "P3", "P7") -> "P1-P3, P7"."""
    runs: list[list[str]] = []
    for label in labels:
        if runs and label_number(label) == label_number(runs[-1][-1]) + 1:
            runs[-1].append(label)
        else:
            runs.append([label])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


_MOST_LABELS = 100_000  # a hostile caption must not make the agent write out a huge range


def _read_labels(text: str) -> tuple[str, ...]:
    labels: list[str] = []
    for run in text.split(", "):
        match = re.fullmatch(rf"({_LABEL})(?:-({_LABEL}))?", run)
        if match is None:
            continue
        first, last = label_number(match[1]), label_number(match[2] or match[1])
        last = min(last, first + _MOST_LABELS)
        labels += [f"{match[1][0]}{number}" for number in range(first, last + 1)]
    return tuple(labels)


def _write_sighting(s: Sighting) -> str:
    looks = ", ".join([*([" and ".join(s.colours)] if s.colours else []), s.size])
    clauses = []
    if s.before:
        clauses.append("already there at the start")
    elif s.enters:
        clauses.append(f"enters from the {s.enters} at {s.seen.start_s:.1f} s")
    else:
        clauses.append(f"appears at {s.seen.start_s:.1f} s")
    if s.heading:
        clauses.append(f"moves {s.heading}")
    if s.still:
        clauses.append(f"stands still from {s.still.start_s:.1f} to {s.still.end_s:.1f} s")
    if s.after:
        clauses.append("still there at the end")
    elif s.rests:
        clauses.append(f"is left there, and is part of the scene from {s.seen.end_s:.1f} s on")
    elif s.leaves:
        clauses.append(f"leaves at the {s.leaves} at {s.seen.end_s:.1f} s")
    else:
        clauses.append(f"goes out of sight at {s.seen.end_s:.1f} s")
    return (
        f"{s.label}, a {s.kind.value} ({looks}), is in view from {s.seen.start_s:.1f} to "
        f"{s.seen.end_s:.1f} s: {', '.join(clauses)}."
    )


_SIDE = "|".join(SIDES)
_SIGHTING = re.compile(
    rf"(?P<label>{_LABEL}), a (?P<kind>{_KINDS}) "
    r"\((?:(?P<colours>[a-z ]+), )?(?P<size>small|medium|large)\), "
    rf"is in view from (?P<from>{_TIME}) to (?P<to>{_TIME}) s: "
    rf"(?:(?P<before>already there at the start)|enters from the (?P<enters>{_SIDE}) at {_TIME} s"
    rf"|appears at {_TIME} s)"
    rf"(?:, moves (?P<heading>{'|'.join(sorted(HEADINGS, key=len, reverse=True))}))?"
    rf"(?:, stands still from (?P<still_from>{_TIME}) to (?P<still_to>{_TIME}) s)?"
    rf", (?:(?P<after>still there at the end)|leaves at the (?P<leaves>{_SIDE}) at {_TIME} s"
    rf"|(?P<rests>is left there), and is part of the scene from {_TIME} s on"
    rf"|goes out of sight at {_TIME} s)\."
)


def _read_sighting(match: re.Match[str]) -> Sighting:
    dx, dy = HEADINGS.get(match["heading"] or "", (0.0, 0.0))
    start, end = sorted((float(match["from"]), float(match["to"])))
    still = None
    if match["still_from"]:
        still = Span(*sorted((float(match["still_from"]), float(match["still_to"]))))
    return Sighting(
        label=match["label"],
        kind=_KIND_OF_LETTER[match["label"][0]],
        seen=Span(start, end),
        colours=tuple((match["colours"] or "").split(" and ")) if match["colours"] else (),
        size=match["size"],
        before=match["before"] is not None,
        after=match["after"] is not None,
        enters=match["enters"],
        leaves=match["leaves"],
        rests=match["rests"] is not None,
        dx=dx,
        dy=dy,
        still=still,
    )


def _write_glimpse(s: Sighting) -> str:
    return f"{s.label} is glimpsed from {s.seen.start_s:.1f} to {s.seen.end_s:.1f} s."


def only_glimpses(text: str) -> bool:
    """Whether a caption says only that subjects are glimpsed."""
    return _GLIMPSES.fullmatch(text.strip()) is not None


def _write_event(event: SceneEvent) -> str:
    return f"{EVENTS[event.what]} at {event.time_s:.1f} s."


_GLIMPSES = re.compile(rf"(?:[PVM]\d{{1,6}} is glimpsed from {_TIME} to {_TIME} s\.\s*)+")
_EVENT = re.compile(rf"(?P<said>{'|'.join(EVENTS.values())}) at (?P<time>{_TIME}) s\.")
_EVENT_SAID = {said: what for what, said in EVENTS.items()}


def _read_event(match: re.Match[str]) -> SceneEvent:
    return SceneEvent(float(match["time"]), _EVENT_SAID[match["said"]])
