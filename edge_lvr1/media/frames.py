"""Footage: the parts of a recording as one run of frames, whoever decodes them.

Times are seconds of the recording. The frame of a moment is the one showing then: the last
whose time is not later, or the part's first where none is.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import Cancelled
from edge_lvr1.media.decoder import HERE, Decoder
from edge_lvr1.media.reading import Frame, Wanted, in_order, looks

__all__ = ["Footage", "Frame", "Wanted"]


def _never() -> bool:
    return False


class Footage:
    """The parts of a recording as one run of frames.

    `cancelled` says whether nobody wants them any more: then everything here raises Cancelled,
    and so does whoever takes long over what it was given.
    """

    cancelled: Callable[[], bool] = staticmethod(_never)

    def __init__(self, parts: Sequence[Part], decoder: Decoder = HERE) -> None:
        self.parts = tuple(in_order(parts))
        self.decoder = decoder
        self._held: tuple[Wanted, Sequence[Frame]] | None = None

    @property
    def duration_s(self) -> float:
        """Seconds from the recording's start to the end of its last part."""
        return max((part.offset_s + part.duration_s for part in self.parts), default=0.0)

    def at(
        self, times_s: Sequence[float], max_side_px: int | None = None, tolerance_s: float = 0.0
    ) -> Generator[Frame, None, None]:
        """One frame for each time, ascending: the one showing then.

        With a tolerance, a keyframe that is at most so much older will do. Raises MediaError.
        """
        wanted = Wanted(tuple(sorted(times_s)), max_side_px, tolerance_s)
        if self._held is not None and self._held[0] == wanted:
            yield from self._held[1]
            return
        with closing(self.looked([wanted])) as found:
            for _, frame in found:
                yield frame

    def every(
        self, step_s: float, span: Span, max_side_px: int | None = None
    ) -> Generator[Frame, None, None]:
        """The frames showing at each multiple of `step_s` within the span.

        Which frames these are does not depend on where the span begins. Raises MediaError.
        """
        if not step_s > 0:
            raise ValueError(f"a step must be longer than nothing, not {step_s}")
        start = math.ceil(max(0.0, span.start_s) / step_s - 1e-9)
        end = math.ceil(min(span.end_s, self.duration_s) / step_s - 1e-9)
        times_s = tuple(index * step_s for index in range(start, end))
        with closing(self.looked([Wanted(times_s, max_side_px)])) as found:
            for _, frame in found:
                yield frame

    def shown(self, span: Span, max_side_px: int | None = None) -> Generator[Frame, None, None]:
        """Every frame that begins within the span, at its own time. Raises MediaError."""
        return self.decoder.shown(self.parts, span, max_side_px)

    def gather(self, wanted: Sequence[Wanted]) -> Generator[tuple[int, list[Frame]], None, None]:
        """The frames of many requests from one plan over all their times.

        Each request comes as (its index, its frames) as soon as it is complete; only those
        that have begun and are not complete are in memory. Raises MediaError.
        """
        for index, one in enumerate(wanted):
            if not one.times_s or not self.parts:
                yield index, []
        begun: dict[int, list[Frame]] = {}
        with closing(self.looked(wanted)) as found:
            for index, frame in found:
                frames = begun.setdefault(index, [])
                frames.append(frame)
                if len(frames) == len(wanted[index].times_s):
                    yield index, begun.pop(index)

    def holding(self, wanted: Wanted, frames: Sequence[Frame]) -> Footage:
        """This footage, with the frames of one request in hand.

        `at` of exactly these terms gives them; all else comes from the files.
        """
        held = copy.copy(self)
        held._held = (wanted, tuple(frames))
        return held

    def looked(self, wanted: Sequence[Wanted]) -> Generator[tuple[int, Frame], None, None]:
        """The frames of many requests, each with the index of its request, in order of time.

        All of `at`, `every` and `gather` come through here. Raises MediaError.
        """
        if not any(one.times_s for one in wanted):
            return
        with closing(self.decoder.gather(self.parts, wanted)) as images:
            for look, image in zip(looks(wanted), images, strict=bool(self.parts)):
                if self.cancelled():
                    raise Cancelled(f"no more frames of {self.parts[0].path} are wanted")
                yield look.request, Frame(look.time_s, image)

    def until(self, cancelled: Callable[[], bool]) -> Footage:
        """This footage, for work that is not wanted any more once `cancelled` says so."""
        bound = copy.copy(self)
        bound.cancelled = cancelled
        bound.decoder = self.decoder.until(cancelled)
        return bound

    def cut(self, span: Span, out: Path, exact: bool = False) -> None:
        """Write the span as a clip to `out`, as `media.clips.cut`. Raises MediaError."""
        self.decoder.cut(self.parts, span, out, exact)
