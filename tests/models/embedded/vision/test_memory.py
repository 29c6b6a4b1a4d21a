"""Long spans do not fill the memory."""

from __future__ import annotations

from collections.abc import Generator
from weakref import ReferenceType, ref

from edge_lvr1.domain import Node, NodeId, Span
from edge_lvr1.media.frames import Footage, Frame
from edge_lvr1.models.base import Clip
from edge_lvr1.models.embedded.vision.captioner import EmbeddedCaptioner
from tests.models.embedded.vision.drawn import Painted, small_room


class Held(Painted):
    """Footage that knows how many of its pictures are held at most."""

    def __init__(self, duration_s: float) -> None:
        empty = small_room()
        super().__init__(duration_s, lambda time_s, random: empty)
        self.most = 0
        self._given: list[ReferenceType[object]] = []

    def every(
        self, step_s: float, span: Span, max_side_px: int | None = None
    ) -> Generator[Frame, None, None]:
        for frame in super().every(step_s, span, max_side_px):
            self._given = [*(one for one in self._given if one() is not None), ref(frame.image)]
            self.most = max(self.most, len(self._given))
            yield frame


def caption(footage: Footage, duration_s: float) -> int:
    node = Node(NodeId((1,)), Span(0.0, duration_s))
    return EmbeddedCaptioner(window_s=5.0).caption(Clip(footage, node)).frames


def test_a_long_span_without_notes_is_not_held_whole() -> None:
    footage = Held(30.0)

    assert caption(footage, 30.0) == 150
    assert footage.most < 35


def test_a_watch_holds_no_more_than_its_first_window() -> None:
    footage = Held(30.0)

    for _ in EmbeddedCaptioner(window_s=5.0).watch(footage, None):
        pass

    assert footage.most < 35
