from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_lvr1.domain import Level, NodeId, Scope, StartSource
from edge_lvr1.errors import NotFoundError
from edge_lvr1.store.db import Archive
from edge_lvr1.store.trees import Progress, Totals, Trees
from edge_lvr1.tree.plan import plan_tree
from tests.store.footage import NOON, add, caption, part


def test_recording_comes_back_as_it_was_added(trees: Trees) -> None:
    parts = [part("aa"), replace(part("bb", "/drop/b.mp4"), offset_s=20.0)]

    added = trees.add_recording("gate", NOON, StartSource.CONTAINER, parts, plan_tree(40.0), "s")

    assert trees.recording(added.id) == added
    assert added.parts == tuple(parts)
    assert added.starts_at == NOON
    assert added.starts_at.utcoffset() == timedelta(hours=2)
    assert (added.camera, added.start_source) == ("gate", StartSource.CONTAINER)
    assert (added.duration_s, added.width) == (40.0, 2)


def test_file_name_that_is_not_utf8_comes_back_exactly(trees: Trees) -> None:
    name = b"/drop/caf\xe9 \xff.mp4".decode("utf-8", "surrogateescape")

    added = trees.add_recording(
        "caf\udce9", NOON, StartSource.MTIME, [part("aa", name)], plan_tree(20.0), "s"
    )

    assert added.parts[0].path == name
    assert added.camera == "caf?"


def test_plan_is_restored_from_what_was_stored(trees: Trees) -> None:
    plan = plan_tree(139.4)

    added = trees.add_recording("gate", NOON, StartSource.MTIME, [part()], plan, "s")

    assert trees.plan(added.id) == plan


def test_recording_that_is_there_is_not_added_again(trees: Trees) -> None:
    first = add(trees, "aa")

    again = trees.add_recording(
        "gate", NOON, StartSource.MTIME, [part("aa", "/other/copy.mp4")], plan_tree(20.0), "s"
    )

    assert again == first
    assert len(trees.recordings()) == 1


def test_pieces_of_one_long_file_are_recordings_of_their_own(trees: Trees) -> None:
    first = add(trees, "aa")
    later = replace(part("aa"), offset_s=-20.0, duration_s=40.0)

    second = trees.add_recording("gate", NOON, StartSource.MTIME, [later], plan_tree(20.0), "s")

    assert second.id != first.id
    assert second.parts == (later,)


def test_recording_is_added_once_by_many_at_the_same_moment(trees: Trees) -> None:
    with ThreadPoolExecutor(4) as pool:
        added = [future.result() for future in [pool.submit(add, trees) for _ in range(8)]]

    assert {recording.id for recording in added} == {added[0].id}


def test_recording_that_fails_to_add_leaves_nothing(trees: Trees, archive: Archive) -> None:
    twice = replace(plan_tree(20.0), nodes=plan_tree(20.0).nodes[:1] * 2)

    with pytest.raises(Exception, match="UNIQUE"):
        trees.add_recording("gate", NOON, StartSource.MTIME, [part()], twice, "s")

    assert trees.recordings() == []
    assert archive.rows("SELECT * FROM parts") == []
    assert archive.rows("SELECT * FROM nodes") == []


@pytest.mark.parametrize("number", [99, -1, 10**30])
def test_recording_that_is_not_there_is_said(trees: Trees, number: int) -> None:
    for read in (trees.recording, trees.plan, trees.progress):
        with pytest.raises(NotFoundError, match=f"no recording {number}"):
            read(number)


def test_scope_selects_by_camera_and_overlapping_time(trees: Trees) -> None:
    early = add(trees, "aa", "gate", NOON)
    late = add(trees, "bb", "gate", NOON + timedelta(hours=1))
    yard = add(trees, "cc", "yard", NOON + timedelta(minutes=1))

    def found(scope: Scope) -> list[int]:
        return [recording.id for recording in trees.recordings(scope)]

    assert found(Scope()) == [early.id, yard.id, late.id]
    assert found(Scope(recording=late.id)) == [late.id]
    assert found(Scope(cameras=("yard", "nowhere"))) == [yard.id]
    assert found(Scope(since=NOON + timedelta(seconds=20))) == [yard.id, late.id]
    assert found(Scope(since=NOON + timedelta(seconds=19.9))) == [early.id, yard.id, late.id]
    assert found(Scope(until=NOON + timedelta(minutes=1))) == [early.id]
    assert found(Scope(cameras=("gate",), since=NOON + timedelta(minutes=1))) == [late.id]


def test_notes_are_replaced_and_known_by_their_writer(trees: Trees) -> None:
    recording = add(trees)

    assert trees.notes(recording.id) is None
    trees.put_notes(recording.id, {"tracks": [1, 2.5, "x\udc00", None]}, "embedded 1")
    trees.put_notes(recording.id, {"tracks": [3]}, "embedded 2")

    assert trees.notes(recording.id) == {"tracks": [3]}
    assert trees.notes(recording.id, "embedded 2") == {"tracks": [3]}
    assert trees.notes(recording.id, "embedded 1") is None
    with pytest.raises(NotFoundError):
        trees.put_notes(99, {})


def test_who_watched_is_remembered(trees: Trees) -> None:
    recording = add(trees)

    assert trees.watched_by(recording.id) is None
    trees.put_watched(recording.id, "embedded 1")

    assert trees.watched_by(recording.id) == "embedded 1"


def test_caption_comes_back_as_it_was_written(trees: Trees) -> None:
    recording = add(trees)
    node = trees.plan(recording.id).nodes[3]

    assert trees.caption(recording.id, node.id) is None
    assert trees.put_caption(recording.id, caption(node)) is True

    assert trees.caption(recording.id, node.id) == caption(node)
    assert trees.caption(recording.id, NodeId((9, 9, 9))) is None


def test_first_caption_of_a_node_stays(trees: Trees) -> None:
    recording = add(trees)
    node = trees.plan(recording.id).nodes[0]
    trees.put_caption(recording.id, caption(node, "first"))

    assert trees.put_caption(recording.id, caption(node, "second")) is False

    assert [kept.text for kept in trees.captions(recording.id)] == ["first"]
    assert trees.progress(recording.id).captioned == 1


def test_caption_of_a_node_that_is_not_in_the_tree_is_refused(trees: Trees) -> None:
    recording = add(trees)
    outside = plan_tree(7200.0).nodes[-1]

    with pytest.raises(NotFoundError, match=r"no node \(8,8,8\)"):
        trees.put_caption(recording.id, caption(outside))


def test_captions_stand_in_order_of_their_ids_and_by_level(trees: Trees) -> None:
    recording = add(trees)
    plan = trees.plan(recording.id)
    for node in reversed(plan.nodes):
        trees.put_caption(recording.id, caption(node, f"caption {node.id}"))

    assert [kept.node for kept in trees.captions(recording.id)] == [node.id for node in plan.nodes]
    for level in Level:
        expected = [node.id for node in plan.at(level)]
        assert [kept.node for kept in trees.captions(recording.id, level)] == expected


def test_recording_is_queryable_from_its_high_captions_on(trees: Trees) -> None:
    recording = add(trees)
    plan = trees.plan(recording.id)

    assert trees.progress(recording.id) == Progress(0, 14, queryable=False, complete=False)
    for node in plan.at(Level.HIGH):
        trees.put_caption(recording.id, caption(node))
    assert trees.progress(recording.id) == Progress(2, 14, True, False, calls_made=2)
    for node in plan.nodes:
        trees.put_caption(recording.id, caption(node))
    assert trees.progress(recording.id) == Progress(14, 14, True, True, calls_made=14)


def test_totals_are_those_of_all_recordings(trees: Trees) -> None:
    assert trees.totals() == Totals(0, 0, 0, 0, 0, 0, 0, 0)
    numbers = [add(trees, name).id for name in ("aa", "bb", "cc")]
    for node in trees.plan(numbers[0]).nodes:
        trees.put_caption(numbers[0], caption(node))
    for node in trees.plan(numbers[1]).at(Level.HIGH):
        trees.put_caption(numbers[1], caption(node))

    each = [trees.progress(number) for number in numbers]
    totals = trees.totals()

    assert (totals.recordings, totals.queryable, totals.complete) == (3, 2, 1)
    assert totals.captioned == sum(one.captioned for one in each)
    assert totals.nodes == sum(one.total for one in each)
    assert totals.open == sum(one.state == "open" for one in each)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(text=st.text(st.characters()), details=st.dictionaries(st.text(), st.text()))
def test_any_text_is_stored(trees: Trees, text: str, details: dict[str, str]) -> None:
    recording = add(trees, sha256=f"{len(trees.recordings())}")
    node = trees.plan(recording.id).nodes[0]

    trees.put_caption(recording.id, replace(caption(node, text), details=details))

    kept = trees.caption(recording.id, node.id)
    assert kept is not None
    assert kept.text == text.encode("utf-8", "replace").decode()
    assert kept.details == details
