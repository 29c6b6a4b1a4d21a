"""What the captions in a conversation say, put together. Pure.

The captioner's labels are the same all over a recording, so what several captions say of
one label is one subject, counted once however many captions it appears in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_lvr1.domain import LEVELS, Level, NodeId, Span
from edge_lvr1.media.words import found_words, without_words
from edge_lvr1.models.embedded import wording
from edge_lvr1.models.embedded.retrieval.dialogue import Dialogue, Shown
from edge_lvr1.models.embedded.retrieval.terms import matched, terms
from edge_lvr1.models.embedded.wording import Kind, SceneEvent, Sighting, Tally
from edge_lvr1.prompts import OUTSIDE


@dataclass(frozen=True, slots=True)
class Subject:
    """One tracked subject over the whole recording, from every caption that describes it.

    `nodes` are the captions shown that describe it; `stills` its stops, in order of time.
    """

    label: str
    kind: Kind
    seen: Span
    colours: tuple[str, ...] = ()
    heading: str | None = None
    enters: str | None = None
    leaves: str | None = None
    rests: bool = False
    stills: tuple[Span, ...] = ()
    nodes: tuple[NodeId, ...] = ()

    @property
    def still(self) -> Span | None:
        """Its longest stop."""
        return max(self.stills, key=lambda span: span.duration_s, default=None)


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is known of a recording so far.

    `tallied` holds the tallies of every caption shown that counts, the high ones first.
    """

    subjects: tuple[Subject, ...]
    events: tuple[SceneEvent, ...]
    tallied: tuple[tuple[NodeId, tuple[Tally, ...]], ...]

    def labels(self, kinds: Sequence[Kind]) -> tuple[str, ...]:
        """Every label counted or described of these kinds; of all kinds where none is given."""
        letters = {kind.letter for kind in kinds or tuple(Kind)}
        named = {s.label for s in self.subjects}
        named |= {label for _, tallies in self.tallied for t in tallies for label in t.labels}
        kept = (label for label in named if label[0] in letters)
        return tuple(sorted(kept, key=lambda label: (label[0], wording.label_number(label))))

    def highs(self) -> list[tuple[NodeId, tuple[Tally, ...]]]:
        """The tallies of the high captions."""
        return [entry for entry in self.tallied if entry[0].level is Level.HIGH]

    def undescribed(self, kinds: Sequence[Kind]) -> tuple[str, ...]:
        """The labels of these kinds that are counted but that no caption shown describes."""
        described = {s.label for s in self.subjects}
        return tuple(label for label in self.labels(kinds) if label not in described)


def is_account(text: str) -> bool:
    """Whether a caption is in the embedded captioner's sentences."""
    account = wording.read(text)
    said = account.tallies or account.sightings or account.events
    told = without_words(text).strip()
    # A still node's caption goes on to say where the scene was looked at.
    silent = told == OUTSIDE or told.startswith(wording.NOTHING_SEEN)
    return bool(said) or silent or wording.only_glimpses(told)


def tracked(dialogue: Dialogue) -> bool:
    """Whether all high captions are of the embedded captioner's kind."""
    highs = dialogue.at(Level.HIGH)
    return bool(highs) and all(is_account(shown.text) for shown in highs)


def found_text_speaks(dialogue: Dialogue, words: Sequence[str]) -> bool:
    """Whether text that was found with the footage has one of the words, in a caption shown."""
    query = terms(" ".join(words))
    return any(matched(query, found_words(shown.text)) for shown in dialogue.shown)


def scene_of(dialogue: Dialogue) -> Scene:
    """Put the captions of a conversation together."""
    accounts = [(shown, wording.read(shown.text)) for shown in dialogue.shown]
    pieces: dict[str, list[tuple[Shown, Sighting]]] = {}
    for shown, account in accounts:
        for sighting in account.sightings:
            pieces.setdefault(sighting.label, []).append((shown, sighting))
    subjects = [_subject(label, found) for label, found in pieces.items()]
    events = {(e.what, e.time_s): e for _, account in accounts for e in account.events}
    tallied = ((shown.node, account.tallies) for shown, account in accounts)
    return Scene(
        subjects=tuple(sorted(subjects, key=lambda s: (s.seen, s.label))),
        events=tuple(sorted(events.values(), key=lambda event: event.time_s)),
        tallied=tuple((node, tallies) for node, tallies in tallied if node.level is not Level.LOW),
    )


def _subject(label: str, found: Sequence[tuple[Shown, Sighting]]) -> Subject:
    """One subject from what captions say of it; the widest captions tell its whole course."""
    widest = next(
        pieces
        for level in LEVELS
        if (pieces := [s for shown, s in found if shown.node.level is level])
    )
    widest.sort(key=lambda sighting: sighting.seen)
    longest = max(widest, key=lambda sighting: sighting.seen.duration_s)
    seen = Span(min(s.seen.start_s for _, s in found), max(s.seen.end_s for _, s in found))
    coloured = [s for s in (longest, *widest) if s.colours]
    return Subject(
        label=label,
        kind=longest.kind,
        seen=seen,
        colours=coloured[0].colours if coloured else (),
        heading=_heading(widest),
        enters=next((s.enters for s in widest if s.enters), None),
        leaves=next((s.leaves for s in reversed(widest) if s.leaves), None),
        rests=widest[-1].rests,
        stills=_joined([s.still for s in widest if s.still]),
        nodes=tuple(dict.fromkeys(shown.node for shown, _ in found)),
    )


def _heading(pieces: Sequence[Sighting]) -> str | None:
    """The direction of the way as a whole: each piece counts by how long it was seen.

    Captions tell a direction and no distance, so a lone piece is told as it stands.
    """
    moving = [piece for piece in pieces if piece.heading]
    if len(moving) < 2:
        return moving[0].heading if moving else None
    weights = [max(0.1, piece.seen.duration_s) for piece in moving]
    dx = sum(piece.dx * weight for piece, weight in zip(moving, weights, strict=True))
    dy = sum(piece.dy * weight for piece, weight in zip(moving, weights, strict=True))
    return wording.heading_of(dx / sum(weights), dy / sum(weights))


_SAME_STOP_S = 0.5


def _joined(stills: Sequence[Span]) -> tuple[Span, ...]:
    """Stops that go on over the border of two captions are one stop."""
    joined: list[Span] = []
    for span in sorted(stills):
        if joined and span.start_s - joined[-1].end_s <= _SAME_STOP_S:
            joined[-1] = Span(joined[-1].start_s, max(joined[-1].end_s, span.end_s))
        else:
            joined.append(span)
    return tuple(joined)
