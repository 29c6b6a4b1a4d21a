"""Where the captioner looks closely, and where it only glances now and then.

Without an activity curve every moment is looked at closely. With one, what stands still gets
a glance every ten seconds, at a keyframe where there is one. Nothing here decides what is
seen; a glance that shows something unforeseen makes `watch` look closely at what led to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_lvr1.domain import Span
from edge_lvr1.media.frames import Footage, Frame

STEP_S = 0.2
"""A walker moves about a fifth of his height in that time: near enough to be followed."""

GLANCE_S = 10.0
"""Between two glances; as much older may the keyframe be that stands in for one."""

PREROLL_S = 2.0
"""Looked at closely before activity: ten frames bring the empty scene to the light of now."""

SIDE_PX = 320

_BRIDGED_S = 4.0  # tracks are not let go over shorter pauses: no glance would fall into them
_BATCH = 10  # pictures of glances that are held at once


@dataclass(frozen=True, slots=True)
class Stretch:
    """A span of the recording that is looked at in one way."""

    span: Span
    close: bool


def stretches(duration_s: float, active: Sequence[Span] | None) -> tuple[Stretch, ...]:
    """The whole recording, cut where close looks begin and end."""
    if active is None:
        return (Stretch(Span(0.0, duration_s), True),)
    cut: list[Stretch] = []
    at_s = 0.0
    for busy in _joined(duration_s, active):
        if busy.start_s > at_s:
            cut.append(Stretch(Span(at_s, busy.start_s), False))
        cut.append(Stretch(busy, True))
        at_s = busy.end_s
    if at_s < duration_s:
        cut.append(Stretch(Span(at_s, duration_s), False))
    return tuple(cut)


def window_end(start_s: float, window_s: float, way: Sequence[Stretch]) -> float:
    """Where the window ends that begins there: after a window in which something happens.

    Windows in which nothing does go with the next one. The first does not: it is held in
    memory, to be looked at twice.
    """
    duration_s = way[-1].span.end_s if way else 0.0
    end_s = start_s + window_s
    while start_s > 0.0 and end_s < duration_s and not _any_close(start_s, end_s, way):
        end_s += window_s
    return max(start_s, min(end_s, duration_s))


def looks(footage: Footage, way: Sequence[Stretch], window: Span) -> Iterator[tuple[Frame, bool]]:
    """The frames to look at in a window, in order of time, and whether each is a close look.

    No frame is fetched while the taker has a glance in hand. Raises MediaError.
    """
    for stretch in way:
        start_s = max(stretch.span.start_s, window.start_s)
        end_s = min(stretch.span.end_s, window.end_s)
        if start_s >= end_s:
            continue
        if stretch.close:
            for frame in footage.every(STEP_S, Span(start_s, end_s), SIDE_PX):
                yield frame, True
            continue
        times_s = glances(stretch.span, Span(start_s, end_s))
        for first in range(0, len(times_s), _BATCH):
            batch = times_s[first : first + _BATCH]
            for frame in list(footage.at(batch, SIDE_PX, GLANCE_S)):
                yield frame, False


def glances(still: Span, window: Span) -> list[float]:
    """The times of glances at a still stretch that fall into a window.

    The first is far enough within for its keyframe not to show what was before; only a
    recording that begins still is looked at from its first frame on.
    """
    first = 0 if still.start_s == 0.0 else 1
    count = math.ceil((still.end_s - still.start_s) / GLANCE_S)
    times_s = (still.start_s + index * GLANCE_S for index in range(first, count))
    return [time_s for time_s in times_s if window.contains(time_s)]


def _joined(duration_s: float, active: Sequence[Span]) -> list[Span]:
    """Active spans with what leads to them, where they overlap or nearly meet as one."""
    joined: list[Span] = []
    for span in sorted(active):
        start_s, end_s = max(0.0, span.start_s - PREROLL_S), min(duration_s, span.end_s)
        if start_s >= end_s:
            continue
        if joined and start_s - joined[-1].end_s <= _BRIDGED_S:
            joined[-1] = Span(joined[-1].start_s, max(joined[-1].end_s, end_s))
        else:
            joined.append(Span(start_s, end_s))
    return joined


def _any_close(start_s: float, end_s: float, way: Sequence[Stretch]) -> bool:
    return any(
        stretch.close and stretch.span.start_s < end_s and stretch.span.end_s > start_s
        for stretch in way
    )
