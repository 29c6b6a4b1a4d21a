from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_lvr1.config import Ingest, Tree
from edge_lvr1.domain import Activity, Caption, Level, NodeId, Recording, Span
from edge_lvr1.errors import ModelError, NotFoundError
from edge_lvr1.media.frames import Footage
from edge_lvr1.store.glances import Glances, StoredCue
from edge_lvr1.store.search import search
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.build import CAPTION, WATCH
from tests.tree.scripted import NOTES, BrokenError, ScriptedCaptioner, add, builder

FOLD = Tree.model_validate({"parents": "fold"})
FRAMES = Tree.model_validate({"parents": "frames"})
ORDERS = pytest.mark.parametrize("settings", [FOLD, FRAMES], ids=["fold", "frames"])
NODES = 14


def build(
    recording: Recording,
    trees: Trees,
    captioner: ScriptedCaptioner,
    settings: Tree = FOLD,
    between: Callable[[], None] = lambda: None,
    on_progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> list[Caption]:
    footage = Footage(recording.parts)
    builder(trees, captioner, settings).build(recording, footage, between, on_progress)
    return trees.captions(recording.id)


def ask(
    recording: Recording,
    node: tuple[int, ...],
    trees: Trees,
    captioner: ScriptedCaptioner,
    settings: Tree = FOLD,
) -> Caption:
    footage = Footage(recording.parts)
    return builder(trees, captioner, settings).caption(recording, NodeId(node), footage)


def levels(nodes: list[NodeId]) -> list[Level]:
    return [node.level for node in nodes]


def test_leaves_come_first_and_parents_are_folded_from_them(trees: Trees) -> None:
    captioner = ScriptedCaptioner()

    captions = build(add(trees), trees, captioner, FOLD)

    assert levels(captioner.asked) == [Level.LOW] * 8 + [Level.MEDIUM] * 4 + [Level.HIGH] * 2
    assert levels(captioner.folded) == [Level.MEDIUM] * 4 + [Level.HIGH] * 2
    assert captions[0].text == "2 children, 4 leaves."


def test_from_frames_the_widest_come_first_each_by_looking(trees: Trees) -> None:
    captioner = ScriptedCaptioner()
    recording = add(trees)
    queryable: list[bool] = []

    captions = build(
        recording,
        trees,
        captioner,
        FRAMES,
        between=lambda: queryable.append(trees.progress(recording.id).queryable),
    )

    assert levels(captioner.asked) == [Level.HIGH] * 2 + [Level.LOW] * 8 + [Level.MEDIUM] * 4
    assert captioner.folded == []
    assert captions[0].text.startswith("Looked from 0.0 to 10.0 knowing")
    notes_and_high = 1 + NOTES + 2
    assert queryable == [False] * notes_and_high + [True] * (NODES - 2)


def test_captioner_that_cannot_fold_looks(trees: Trees) -> None:
    captioner = ScriptedCaptioner(folds=False)

    captions = build(add(trees), trees, captioner, FOLD)

    assert len(captioner.asked) == NODES
    assert all(caption.text.startswith("Looked") for caption in captions)


def test_caption_says_who_wrote_it_and_what_it_cost(trees: Trees) -> None:
    recording = add(trees)
    clock = iter(range(0, 1000, 3))

    work = builder(trees, ScriptedCaptioner("7"), FOLD, lambda: float(next(clock)))
    work.build(recording, Footage(recording.parts))

    leaf = trees.captions(recording.id, Level.LOW)[0]
    assert (leaf.written_by, leaf.version, leaf.prompt) == ("scripted", "7", "look")
    assert (leaf.cost.seconds, leaf.cost.frames, leaf.cost.tokens) == (3.0, 16, 5)
    assert leaf.details == {"leaves": 1}
    assert leaf.span == trees.plan(recording.id).nodes[2].span


@ORDERS
def test_build_that_broke_anywhere_ends_with_the_same_tree(trees: Trees, settings: Tree) -> None:
    whole = build(add(trees), trees, ScriptedCaptioner(), settings)
    assert len(whole) == NODES

    for calls in range(NOTES + NODES):
        recording = add(trees, sha256=f"broke {calls}")
        first, second = ScriptedCaptioner(breaks_after=calls), ScriptedCaptioner()
        with pytest.raises(BrokenError):
            build(recording, trees, first, settings)

        assert build(recording, trees, second, settings) == whole

        assert len(first.asked + second.asked) == NODES
        assert first.watched + second.watched == list(range(1, NOTES + 1))


@ORDERS
def test_build_that_is_stopped_between_nodes_goes_on_from_there(
    trees: Trees, settings: Tree
) -> None:
    class StopError(Exception):
        pass

    calls = 0

    def stop_every_other_time() -> None:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise StopError

    whole = build(add(trees), trees, ScriptedCaptioner(), settings)
    recording, captioner = add(trees, sha256="stopped"), ScriptedCaptioner()
    stops = 0
    while not trees.progress(recording.id).complete:
        try:
            build(recording, trees, captioner, settings, between=stop_every_other_time)
        except StopError:
            stops += 1

    assert trees.captions(recording.id) == whole
    assert len(captioner.asked) == NODES
    assert stops > NODES / 2


def test_between_comes_before_each_note_and_each_node(trees: Trees) -> None:
    recording, captioner = add(trees), ScriptedCaptioner()
    seen: list[tuple[int, int]] = []

    build(
        recording,
        trees,
        captioner,
        between=lambda: seen.append((len(captioner.watched), len(captioner.asked))),
    )

    notes = [(number, 0) for number in range(NOTES + 1)]
    assert seen == [*notes, *((NOTES, number) for number in range(NODES))]


def test_progress_is_told_after_each_commit(trees: Trees) -> None:
    recording = add(trees)
    told: list[tuple[str, int, int]] = []
    committed: list[int] = []

    def on_progress(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))
        committed.append(trees.progress(recording.id).captioned)

    build(recording, trees, ScriptedCaptioner(), on_progress=on_progress)

    watching = [(WATCH, number, 0) for number in range(1, NOTES + 1)]
    captioning = [(CAPTION, number, NODES) for number in range(NODES + 1)]
    assert told == [*watching, *captioning]
    assert committed == [0] * NOTES + list(range(NODES + 1))


def test_complete_tree_asks_for_nothing(trees: Trees) -> None:
    recording = add(trees)
    build(recording, trees, ScriptedCaptioner())
    captioner = ScriptedCaptioner(breaks_after=0)

    build(recording, trees, captioner)

    assert (captioner.asked, captioner.watched) == ([], [])


def test_notes_of_another_version_are_not_gone_on_from(trees: Trees) -> None:
    recording = add(trees)
    with pytest.raises(BrokenError):
        build(recording, trees, ScriptedCaptioner("1", breaks_after=2))
    later = ScriptedCaptioner("2")

    build(recording, trees, later)

    assert later.watched == [1, 2, 3]
    assert trees.notes(recording.id) == {"seen": 3, "by": "2"}


def test_captions_of_another_version_are_kept_but_not_folded(trees: Trees) -> None:
    recording = add(trees)
    with pytest.raises(BrokenError):
        build(recording, trees, ScriptedCaptioner("1", breaks_after=NOTES + 1))
    later = ScriptedCaptioner("2")

    captions = build(recording, trees, later)

    old = [caption.node for caption in captions if caption.version == "1"]
    assert old == [NodeId((1, 1, 1))]
    assert NodeId((1, 1)) not in later.folded
    assert NodeId((1,)) in later.folded


def test_node_is_captioned_on_demand_once(trees: Trees) -> None:
    recording = add(trees)
    with pytest.raises(BrokenError):
        build(recording, trees, ScriptedCaptioner(breaks_after=NOTES + 2), FRAMES)
    captioner = ScriptedCaptioner()

    first = ask(recording, (2, 2, 1), trees, captioner, FRAMES)
    again = ask(recording, (2, 2, 1), trees, captioner, FRAMES)

    assert first == again
    assert captioner.asked == [NodeId((2, 2, 1))]
    whole = build(recording, trees, captioner, FRAMES)
    assert captioner.asked.count(NodeId((2, 2, 1))) == 1
    assert first in whole


def test_caption_on_demand_is_the_one_the_build_would_write(trees: Trees) -> None:
    whole = build(add(trees), trees, ScriptedCaptioner(), FRAMES)
    recording = add(trees, sha256="asked")
    with pytest.raises(BrokenError):
        build(recording, trees, ScriptedCaptioner(breaks_after=NOTES), FRAMES)

    asked = [
        ask(recording, caption.node.path, trees, ScriptedCaptioner(), FRAMES) for caption in whole
    ]

    assert asked == whole


def test_node_is_folded_on_demand_where_its_children_are_there(trees: Trees) -> None:
    recording, captioner = add(trees), ScriptedCaptioner(breaks_after=NOTES + 8)
    with pytest.raises(BrokenError):
        build(recording, trees, captioner)
    captioner.breaks_after = None

    assert ask(recording, (1, 1), trees, captioner).text == "2 children, 2 leaves."
    assert ask(recording, (2,), trees, captioner).text.startswith("Looked")


def test_node_is_not_captioned_before_the_recording_was_watched(trees: Trees) -> None:
    recording, captioner = add(trees), ScriptedCaptioner()
    with pytest.raises(BrokenError):
        build(recording, trees, ScriptedCaptioner(breaks_after=NOTES - 1))

    with pytest.raises(ModelError, match="still being watched"):
        ask(recording, (1,), trees, captioner)

    assert captioner.asked == []


def test_node_that_is_not_in_the_tree_is_refused(trees: Trees) -> None:
    recording = add(trees)

    with pytest.raises(NotFoundError, match=r"no node \(3,1\)"):
        ask(recording, (3, 1), trees, ScriptedCaptioner())


def test_first_of_two_captioners_of_a_node_wins(trees: Trees) -> None:
    recording = add(trees)
    with pytest.raises(BrokenError):
        build(recording, trees, ScriptedCaptioner(breaks_after=NOTES))
    both_ask = threading.Barrier(2, timeout=30)

    def one(number: int) -> Caption:
        captioner = ScriptedCaptioner()
        captioner.on_caption = lambda: both_ask.wait() and None
        footage = Footage(recording.parts)
        work = builder(trees, captioner, FOLD, iter([0.0, float(number)]).__next__)
        return work.caption(recording, NodeId((1, 1, 1)), footage)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(one, [1, 2])

    assert first == second == trees.caption(recording.id, NodeId((1, 1, 1)))
    assert trees.progress(recording.id).captioned == 1


def still_but(trees: Trees, active: Span, sha256: str = "still") -> Recording:
    """A recording in which something happens in one span."""
    recording = add(trees, sha256=sha256)
    curve = Activity((0.0,), (0.0,), (active,))
    Glances(trees.archive).put(recording.id, curve, (), (), 0)
    return recording


@ORDERS
def test_what_stands_still_is_captioned_without_the_captioner(trees: Trees, settings: Tree) -> None:
    captioner = ScriptedCaptioner()
    recording = still_but(trees, Span(6.0, 6.5))

    captions = {caption.node: caption for caption in build(recording, trees, captioner, settings)}

    assert len(captions) == NODES
    first, lively = NodeId((1, 1, 1)), NodeId((1, 2, 1))
    assert set(captioner.asked) == {first, lively}
    assert {node for node, caption in captions.items() if caption.inherits is None} == {
        first,
        lively,
    }
    assert captions[NodeId((2, 2, 2))].text.startswith("No motion seen.")
    assert captions[NodeId((2, 2, 2))].inherits == first
    assert captions[NodeId((1,))].text == captions[lively].text
    told = trees.progress(recording.id)
    assert (told.calls_made, told.calls_saved) == (2, NODES - 2)


@ORDERS
def test_with_the_gate_off_the_captioner_is_asked_of_every_node(
    trees: Trees, settings: Tree
) -> None:
    captioner = ScriptedCaptioner()
    recording = still_but(trees, Span(6.0, 6.5))
    work = builder(trees, captioner, settings, ingest=Ingest(gate="off"))

    work.build(recording, Footage(recording.parts))

    assert len(captioner.asked) == NODES
    assert trees.progress(recording.id).calls_saved == 0


def test_still_node_on_demand_is_the_one_the_build_would_write(trees: Trees) -> None:
    whole = build(still_but(trees, Span(6.0, 6.5)), trees, ScriptedCaptioner(), FRAMES)
    recording = still_but(trees, Span(6.0, 6.5), "asked")
    with pytest.raises(BrokenError):
        build(recording, trees, ScriptedCaptioner(breaks_after=NOTES), FRAMES)

    asked = [
        ask(recording, caption.node.path, trees, ScriptedCaptioner(), FRAMES) for caption in whole
    ]

    assert asked == whole


def test_words_found_with_the_footage_stand_in_the_captions_of_their_spans(trees: Trees) -> None:
    recording = add(trees)
    active = Activity((0.0,), (0.0,), (Span(0.0, 2.0),))
    cue = StoredCue(Span(11.0, 12.0), "Gate two is open", "gate.srt")
    Glances(trees.archive).put(recording.id, active, (), [cue], 0)

    captions = {
        caption.node: caption.text for caption in build(recording, trees, ScriptedCaptioner())
    }

    holding = {node for node, text in captions.items() if "Gate two is open" in text}
    assert holding == {NodeId((2,)), NodeId((2, 1)), NodeId((2, 1, 1))}
    assert next(hit.node for hit in search(trees.archive, "gate two open")) in holding


def test_recording_that_was_put_together_anew_is_not_built(trees: Trees) -> None:
    recording, captioner = add(trees), ScriptedCaptioner()

    def change() -> None:
        with trees.archive.transaction() as db:
            db.execute("UPDATE recordings SET revision = revision + 1")

    with pytest.raises(NotFoundError):
        build(recording, trees, captioner, between=change)

    assert trees.notes(recording.id) is None
