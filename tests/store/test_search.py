from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge_lvr1.domain import NodeId, Recording, Scope, Span
from edge_lvr1.media.words import Cue, with_words
from edge_lvr1.store.db import Archive
from edge_lvr1.store.search import Hit, search, words
from edge_lvr1.store.trees import Trees
from tests.store.footage import NOON, add, caption


def fill(trees: Trees, recording: Recording, texts: dict[tuple[int, ...], str]) -> None:
    plan = trees.plan(recording.id)
    for path, text in texts.items():
        node = plan.node(NodeId(path))
        assert node is not None
        trees.put_caption(recording.id, caption(node, text))


@pytest.fixture
def gate(trees: Trees) -> Recording:
    recording = add(trees, "aa", "gate")
    fill(
        trees,
        recording,
        {
            (1, 1, 1): "A red car enters from the left.",
            (1, 1, 2): "A white car parks. A person walks to it.",
            (1, 2, 1): "No motion seen.",
            (2, 2, 2): "Two persons are walking; one carries a café sign.",
        },
    )
    return recording


def nodes(hits: list[Hit]) -> list[tuple[int, ...]]:
    return [hit.node.path for hit in hits]


def test_hit_says_where_and_when(archive: Archive, gate: Recording) -> None:
    (hit,) = search(archive, "red")

    assert hit.recording == gate.id
    assert hit.node == NodeId((1, 1, 1))
    assert (hit.span.start_s, hit.span.end_s) == (0.0, 2.5)
    assert (hit.camera, hit.starts_at) == ("gate", NOON)
    assert hit.caption == "A red car enters from the left."
    assert hit.score > 0


@pytest.mark.usefixtures("gate")
def test_better_fit_stands_first(archive: Archive) -> None:
    found = search(archive, "red car")

    assert nodes(found) == [(1, 1, 1), (1, 1, 2)]
    assert found[0].score > found[1].score


@pytest.mark.usefixtures("gate")
def test_words_are_found_in_their_other_forms(archive: Archive) -> None:
    assert set(nodes(search(archive, "walked"))) == {(1, 1, 2), (2, 2, 2)}
    assert set(nodes(search(archive, "PERSONS"))) == {(1, 1, 2), (2, 2, 2)}
    assert nodes(search(archive, "cafe")) == [(2, 2, 2)]
    assert nodes(search(archive, "cafe\u0301")) == [(2, 2, 2)]


@pytest.mark.usefixtures("gate")
def test_words_that_stand_everywhere_bring_no_hits_beside_others(archive: Archive) -> None:
    assert search(archive, "Is there a dog to the left of it?") == search(archive, "dog left")
    assert search(archive, "Is there a dog?") == []
    assert nodes(search(archive, "the")) == [(1, 1, 1)]


@pytest.mark.parametrize("text", ["", "  \n", "?!", '"', '""""', "***", "\0", "_", "-- ;", "🐕"])
@pytest.mark.usefixtures("gate")
def test_text_without_words_brings_no_hits(archive: Archive, text: str) -> None:
    assert search(archive, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "red AND nothing",
        "NOT red",
        'red"',
        "red*",
        "text:red",
        "^red",
        "NEAR(red)",
        "{red}",
        "-red",
    ],
)
@pytest.mark.usefixtures("gate")
def test_search_syntax_is_only_words(archive: Archive, text: str) -> None:
    assert nodes(search(archive, text)) == [(1, 1, 1)]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
@given(
    text=st.text(st.characters(), max_size=60) | st.text('"*^:(){}+-ANDORNEAR 0a\0', max_size=30)
)
@example(text='" OR captions_fts MATCH "x')
@example(text="caf\udce9")
def test_any_text_can_be_searched_for(archive: Archive, text: str) -> None:
    assert search(archive, f"{text} zzzz") == []


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
@given(text=st.text(st.characters(), max_size=60))
def test_caption_is_found_by_its_own_words(trees: Trees, archive: Archive, text: str) -> None:
    recording = add(trees, sha256=f"{len(trees.recordings())}")
    fill(trees, recording, {(1,): f"{text} quay"})

    assert nodes(search(archive, f"{text} quay", Scope(recording=recording.id))) == [(1,)]


def test_question_of_100_kb_is_cut_to_its_first_words() -> None:
    assert words(" ".join(f"w{n}" for n in range(20_000))) == [f"w{n}" for n in range(64)]


@pytest.mark.usefixtures("gate")
def test_limit_bounds_the_hits(archive: Archive) -> None:
    assert len(search(archive, "car person", limit=2)) == 2
    assert search(archive, "car", limit=0) == []
    assert search(archive, "car", limit=-5) == []


def test_scope_filters_by_recording_camera_and_wall_clock(
    archive: Archive, trees: Trees, gate: Recording
) -> None:
    yard = add(trees, "bb", "yard", NOON + timedelta(hours=1))
    fill(trees, yard, {(1,): "A red bus.", (2, 2, 2): "A red van."})

    def found(scope: Scope) -> set[tuple[int, tuple[int, ...]]]:
        return {(hit.recording, hit.node.path) for hit in search(archive, "red", scope)}

    in_gate, bus, van = (gate.id, (1, 1, 1)), (yard.id, (1,)), (yard.id, (2, 2, 2))
    assert found(Scope()) == {in_gate, bus, van}
    assert found(Scope(recording=gate.id)) == {in_gate}
    assert found(Scope(recording=99)) == set()
    assert found(Scope(recording=10**30)) == set()
    assert found(Scope(cameras=("yard",))) == {bus, van}
    assert found(Scope(until=NOON + timedelta(minutes=1))) == {in_gate}
    # By the node's own span: (1) of the yard is over 10 s after its start, (2,2,2) begins at 17.5.
    assert found(Scope(since=yard.starts_at + timedelta(seconds=10))) == {van}
    assert found(Scope(until=yard.starts_at + timedelta(seconds=17.5))) == {in_gate, bus}


def test_index_follows_captions_that_go_with_their_recording(
    archive: Archive, gate: Recording
) -> None:
    with archive.transaction() as db:
        db.execute("DELETE FROM recordings WHERE id = ?", [gate.id])

    assert search(archive, "red car person") == []
    with archive.transaction() as db:
        db.execute("INSERT INTO captions_fts(captions_fts) VALUES ('integrity-check')")


def test_text_that_was_found_with_the_footage_is_found_again(trees: Trees) -> None:
    recording = add(trees, "cc", "hall")
    plan = trees.plan(recording.id)
    for path, said in (((1, 1, 1), "Where is the parcel?"), ((1, 1, 2), "Good night.")):
        node = plan.node(NodeId(path))
        assert node is not None
        cue = Cue(Span(node.span.start_s, node.span.end_s), said)
        text = with_words("No motion seen.", [cue], node.span, 50)
        trees.put_caption(recording.id, caption(node, text))

    assert nodes(search(trees.archive, "parcel")) == [(1, 1, 1)]
