"""The captioner without weights: motion, shapes, colours and light, in plain sentences.

It watches a recording once, front to back, and remembers every subject it followed; a
node's caption is then what of those memories falls into the node's span. It says what it
can know: "person-like figure", "no motion seen", never who somebody is or that nobody was
there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from edge_lvr1.domain import Caption, Level, Node, Span
from edge_lvr1.errors import ModelError
from edge_lvr1.media.frames import Footage, Frame, Wanted
from edge_lvr1.models.base import Clip, Notes, Written
from edge_lvr1.models.embedded.vision import attention, look
from edge_lvr1.models.embedded.vision import notes as memory
from edge_lvr1.models.embedded.vision.attention import SIDE_PX, STEP_S, Stretch
from edge_lvr1.models.embedded.vision.watch import Watcher
from edge_lvr1.models.embedded.wording import FULL, Kind, SceneEvent, Sighting, write

log = logging.getLogger(__name__)

WINDOW_S = 100.0
"""Seconds between notes, and of the stretch that is looked at twice to find the empty scene;
its 500 frames of 320 x 180 are held at once (86 MB)."""

_SHORT_STILL_S = 2.0


class EmbeddedCaptioner:
    """Captions from OpenCV alone.

    `words_…` bound the captions of each level; `window_s` is the time between notes.
    """

    name = "embedded"
    version = "2"

    def __init__(
        self,
        words_low: int = 200,
        words_medium: int = 300,
        words_high: int = 300,
        window_s: float = WINDOW_S,
    ) -> None:
        self.window_s = window_s
        self.words = {Level.LOW: words_low, Level.MEDIUM: words_medium, Level.HIGH: words_high}

    def watch(
        self, footage: Footage, notes: Notes | None, active: Sequence[Span] | None = None
    ) -> Iterator[Notes]:
        """Look over a recording, a window at a time; yields notes after each window.

        With `active`, only there closely; windows in which nothing happens share their notes
        with the next. Every window starts from notes that have been through JSON's types, so
        that going on from stored notes and never having stopped are the same thing. Raises
        MediaError.
        """
        known = notes
        way = attention.stretches(footage.duration_s, active)
        while known is None or not known["done"]:
            known = self._window(footage, known, way)
            yield known

    def wants(self, node: Node, active: Sequence[Span] | None = None) -> Wanted | None:
        """None: captions are written from the notes."""
        return None

    def caption(self, clip: Clip) -> Written:
        """Write a node's caption from the notes, or by looking where they do not reach."""
        span = clip.node.span
        known, frames = self._known(clip)
        return self._written(
            clip.node, memory.pieces(known, span), memory.events(known, span), frames
        )

    def fold(self, node: Node, children: Sequence[Caption]) -> Written | None:
        """Join the children's subjects into their parent's caption; None where they kept none."""
        told = [child.details for child in sorted(children, key=lambda child: child.span)]
        if not told or any(details is None or "pieces" not in details for details in told):
            return None
        kept = [details for details in told if details is not None]
        events = [SceneEvent(float(t), str(what)) for d in kept for t, what in d["events"]]
        return self._written(node, memory.join(d["pieces"] for d in kept), events, 0)

    def video_qa(self, clip: Clip, query: str) -> str:
        """Look at the clip again, closer and at a higher rate, with the query in mind."""
        span = clip.node.span
        known, _ = self._known(clip)
        pieces = memory.pieces(known, span)
        told = write(
            [sighting(piece) for piece in pieces],
            memory.events(known, span),
            max_words=self.words[clip.node.level],
            tally=False,
        )
        return " ".join([told, *look.again(clip.footage, span, known, pieces, query)])

    def _known(self, clip: Clip) -> tuple[Notes, int]:
        """Notes that cover the clip, and how many frames had to be looked at for them."""
        span = clip.node.span
        if clip.notes is not None:
            memory.check(clip.notes)
            if memory.covers(clip.notes, span):
                return clip.notes, 0
        frames = clip.footage.every(STEP_S, span, SIDE_PX)
        held = list(islice(frames, round(self.window_s / STEP_S)))
        watcher, count = _acquainted(held), 0
        for frame in chain(held, frames):
            watcher.step(frame)
            count += 1
        watcher.end(span.end_s)
        return memory.dump(watcher, span.end_s, done=True), count

    def _window(
        self, footage: Footage, known: Notes | None, way: Sequence[Stretch]
    ) -> dict[str, Any]:
        start_s = 0.0 if known is None else float(known["until_s"])
        end_s = attention.window_end(start_s, self.window_s, way)
        looks = attention.looks(footage, way, Span(start_s, end_s))
        if known is None:
            held = list(looks)
            watcher = _acquainted([frame for frame, _ in held])
            _take_in(watcher, footage, held)
        else:
            watcher = memory.load(known)
            _take_in(watcher, footage, looks)
        done = end_s >= footage.duration_s
        if done:
            watcher.end(footage.duration_s)
        log.info(
            "watched to %.0f of %.0f s: %d subjects",
            end_s,
            footage.duration_s,
            len(watcher.records),
        )
        return memory.dump(watcher, end_s, done=done)

    def _written(
        self,
        node: Node,
        pieces: Sequence[Mapping[str, Any]],
        events: Sequence[SceneEvent],
        frames: int,
    ) -> Written:
        events = _once(events)
        text = write(
            [sighting(piece) for piece in pieces],
            events,
            max_words=self.words[node.level],
            tally=node.level is not Level.LOW,
        )
        details = {
            "pieces": list(pieces),
            "events": [[event.time_s, event.what] for event in events],
        }
        return Written(text, details=details, frames=frames)


def sighting(piece: Mapping[str, Any]) -> Sighting:
    """A piece of the notes as the wording takes it."""
    seen = Span(piece["from_s"], piece["to_s"])
    (x0, y0), (x1, y1) = piece["begin"], piece["end"]
    longest = max(piece["still"], key=lambda s: s[1] - s[0], default=None)
    still = None
    if longest and longest[1] - longest[0] >= min(_SHORT_STILL_S, 0.7 * seen.duration_s):
        still = Span(*longest)
    return Sighting(
        label=piece["label"],
        kind=next(kind for kind in Kind if kind.letter == piece["label"][0]),
        seen=seen,
        colours=tuple(piece["colours"]),
        size=piece["size"],
        before=piece["before"],
        after=piece["after"],
        enters=piece["enters"],
        leaves=piece["leaves"],
        rests=piece["rests"],
        dx=x1 - x0,
        dy=y1 - y0,
        still=still,
    )


def _once(events: Sequence[SceneEvent]) -> list[SceneEvent]:
    """Events without the repetition, by each span after it, that the list is full."""
    full = next((event for event in events if event.what == FULL), None)
    return [event for event in events if event.what != FULL or event is full]


def _take_in(watcher: Watcher, footage: Footage, looks: Iterable[tuple[Frame, bool]]) -> None:
    """Take a watcher through frames; a glance that surprises it has it look at what led there."""
    for frame, close in looks:
        if close or not watcher.surprised(frame):
            watcher.step(frame)
            continue
        before = watcher.known()
        led = Span(watcher.seen_s + STEP_S / 2, frame.time_s + STEP_S / 2)
        for each in footage.every(STEP_S, led, SIDE_PX):
            watcher.step(each)
        watcher.mind(before)


def _acquainted(frames: Sequence[Frame]) -> Watcher:
    """A watcher that knows the empty scene, for it has been through the frames once before.

    The first window is watched twice: the first time only to learn what is there always. Who
    stands there in the first frame is in the first background; by the end of the window the
    hole that he left has been healed. What comes after a cut is another scene, and after a
    switched lamp another picture of it: neither counts for this one.
    """
    if not frames:
        raise ModelError("no frame of this span could be decoded; look at the file with a player")
    learner = Watcher.of(frames[0], looks=False)
    empty = learner.background
    for frame in frames[::2]:
        learner.step(frame)
        if learner.relit or any(what in ("cut", "camera") for _, what in learner.events):
            break
        empty = learner.background.copy()
    watcher = Watcher.of(frames[0])
    watcher.background = empty
    return watcher
