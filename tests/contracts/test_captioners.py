"""One suite over every captioner: what tree building and the loop rely on."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_lvr1.domain import Caption, Node, NodeId, Span
from edge_lvr1.errors import Cancelled
from edge_lvr1.media.frames import Footage, Frame, Wanted
from edge_lvr1.models.base import Captioner, Clip, Notes, Written
from edge_lvr1.models.chat_server import ChatServer, Completion, Endpoint
from edge_lvr1.models.embedded.vision.captioner import EmbeddedCaptioner
from edge_lvr1.models.residency import Residency, ResidentCaptioner
from edge_lvr1.models.server import ServerCaptioner
from tests.models.embedded.vision.drawn import person, yard


class PlainCaptioner:
    """The least that a captioner can be: no notes, no folding, one look at a time."""

    name = "plain"
    version = "1"

    def watch(
        self, footage: Footage, notes: Notes | None, active: Sequence[Span] | None = None
    ) -> Iterator[Notes]:
        return iter(())

    def wants(self, node: Node, active: Sequence[Span] | None = None) -> Wanted:
        middle_s = (node.span.start_s + node.span.end_s) / 2
        return Wanted((node.span.start_s, middle_s), 64, 0.5)

    def caption(self, clip: Clip) -> Written:
        asked = self.wants(clip.node, clip.active)
        frames = list(clip.footage.at(asked.times_s, asked.max_side_px, asked.tolerance_s))
        return Written(f"{len(frames)} frames", frames=len(frames))

    def fold(self, node: Node, children: Sequence[Caption]) -> Written | None:
        return None

    def video_qa(self, clip: Clip, query: str) -> str:
        return self.caption(clip).text


class TalkativeServer(ChatServer):
    """A chat server that says the same of everything."""

    def complete(
        self,
        body: Mapping[str, Any],
        stops: Sequence[str] = (),
        deadline: float | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Completion:
        return Completion("A yard.", "stop", 3)


class Loaded:
    """Weights that weigh nothing."""

    memory_mb = 0

    def load(self) -> None:
        pass

    def unload(self) -> None:
        pass


def on_a_server() -> Captioner:
    return ServerCaptioner(TalkativeServer(Endpoint("http://127.0.0.1:1/v1", "tiny")))


def resident() -> Captioner:
    residency = Residency()
    residency.add("captioner", "tiny", Loaded())
    return ResidentCaptioner(on_a_server(), residency)


class Asked(Footage):
    """Footage that remembers what it was asked for."""

    def __init__(self, footage: Footage) -> None:
        super().__init__(footage.parts)
        self.asked: list[Wanted] = []

    def at(
        self, times_s: Sequence[float], max_side_px: int | None = None, tolerance_s: float = 0.0
    ) -> Generator[Frame, None, None]:
        self.asked.append(Wanted(tuple(times_s), max_side_px, tolerance_s))
        yield from super().at(times_s, max_side_px, tolerance_s)


MAKERS: Mapping[str, Callable[[], Captioner]] = {
    "embedded": EmbeddedCaptioner,
    "plain": PlainCaptioner,
    "server": on_a_server,
    "resident": resident,
}
LEAVES = [Node(NodeId((1, 1, n)), Span(4.0 * (n - 1), 4.0 * n)) for n in (1, 2, 3)]


@pytest.fixture(params=sorted(MAKERS))
def captioner(request: pytest.FixtureRequest) -> Captioner:
    return MAKERS[request.param]()


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    path: Path = tmp_path_factory.mktemp("contract") / "walk.mp4"
    return yard(path, 12.0, person(Span(2, 10), Span(5, 7)))


def last_notes(captioner: Captioner, footage: Footage) -> Notes | None:
    last: Notes | None = None
    for notes in captioner.watch(footage, None):
        last = notes
    return last


def test_it_says_who_it_is(captioner: Captioner) -> None:
    assert captioner.name
    assert captioner.version


def test_notes_are_json_and_a_finished_watch_stays_finished(
    captioner: Captioner, footage: Footage
) -> None:
    notes = last_notes(captioner, footage)

    if notes is None:
        assert list(captioner.watch(footage, None)) == []
    else:
        assert json.loads(json.dumps(notes)) == notes
        assert list(captioner.watch(footage, notes)) == []


def test_a_caption_is_text_with_json_details(captioner: Captioner, footage: Footage) -> None:
    notes = last_notes(captioner, footage)

    for leaf in LEAVES:
        written = captioner.caption(Clip(footage, leaf, notes))
        assert written.text.strip()
        assert json.loads(json.dumps(written.details)) == written.details


def test_a_caption_can_be_had_without_notes(captioner: Captioner, footage: Footage) -> None:
    written = captioner.caption(Clip(footage, LEAVES[0]))

    assert written.text
    assert written.frames > 0


@pytest.mark.parametrize("active", [None, (), (Span(1.0, 1.5), Span(6.0, 20.0))])
def test_a_caption_asks_the_footage_for_what_it_wants(
    captioner: Captioner, footage: Footage, active: tuple[Span, ...] | None
) -> None:
    """Where one pass fetches the frames of many nodes, none is decoded again."""
    notes = last_notes(captioner, footage)

    for leaf in LEAVES:
        asked = Asked(footage)
        captioner.caption(Clip(asked, leaf, notes, active))
        wanted = captioner.wants(leaf, active)
        assert asked.asked == ([wanted] if wanted else [])


def test_the_same_clip_gets_the_same_caption(captioner: Captioner, footage: Footage) -> None:
    clip = Clip(footage, LEAVES[1], last_notes(captioner, footage))

    assert captioner.caption(clip) == captioner.caption(clip)


def test_a_parent_is_folded_from_stored_children_or_looked_at(
    captioner: Captioner, footage: Footage
) -> None:
    notes = last_notes(captioner, footage)
    children = []
    for leaf in LEAVES:
        written = captioner.caption(Clip(footage, leaf, notes))
        stored = json.loads(json.dumps(written.details))
        children.append(
            Caption(leaf.id, leaf.span, written.text, captioner.name, "1", details=stored)
        )
    parent = Node(NodeId((1, 1)), Span(0.0, 12.0))

    folded = captioner.fold(parent, children)

    looked = captioner.caption(Clip(footage, parent, notes))
    assert (folded or looked).text == looked.text


@pytest.mark.parametrize("query", ["Is there a dog?", "", "'); DROP TABLE captions;--", "é" * 900])
def test_any_question_gets_an_answer(captioner: Captioner, footage: Footage, query: str) -> None:
    notes = last_notes(captioner, footage)

    assert captioner.video_qa(Clip(footage, LEAVES[1], notes), query).strip()


def test_a_look_that_nobody_wants_is_broken_off(captioner: Captioner, footage: Footage) -> None:
    unwanted = Clip(footage.until(lambda: True), LEAVES[0])

    with pytest.raises(Cancelled):
        captioner.video_qa(unwanted, "Is anyone there?")
    with pytest.raises(Cancelled):
        captioner.caption(unwanted)
