"""Which recordings are asked, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from edge_lvr1 import prompts
from edge_lvr1.domain import NodeId, Recording, Scope, TimeSpan
from edge_lvr1.models.embedded.retrieval.agent import EmbeddedAgent
from edge_lvr1.navigator.clipped import ClippedTree, cuts
from edge_lvr1.navigator.scope import gaps, rank, read
from tests.navigator.written_trees import START, ask, people, question, recording


@dataclass(frozen=True)
class Hit:
    recording: int
    caption: str = ""


ONE, TWO, THREE = (recording(number, 60.0, 4) for number in (1, 2, 3))
ALL = [ONE, TWO, THREE]


def ids(recordings: list[Recording]) -> list[int]:
    return [r.id for r in recordings]


def test_the_newest_comes_first_where_nothing_was_found() -> None:
    assert ids(rank(question("Where?"), ALL, [])) == [3, 2, 1]


def test_recordings_with_hits_come_first_the_best_hit_before_the_others() -> None:
    hits = [Hit(1), Hit(2), Hit(2)]

    assert ids(rank(question("Where?"), ALL, hits)) == [1, 2, 3]


def test_many_good_hits_outweigh_the_single_best() -> None:
    hits = [Hit(1), Hit(2), Hit(2), Hit(2)]

    assert ids(rank(question("Where?"), ALL, hits)) == [2, 1, 3]


def test_a_hit_outside_the_scope_brings_nothing_in() -> None:
    asked = question("Where?", scope=Scope(recording=2))

    assert ids(rank(asked, ALL, [Hit(1), Hit(9)])) == [2]


def test_cameras_and_times_narrow_the_scope() -> None:
    garden = replace(ONE, id=7, camera="garden")
    two_starts = START + timedelta(hours=2)

    assert ids(rank(question("?", scope=Scope(cameras=("garden",))), [*ALL, garden], [])) == [7]
    assert ids(rank(question("?", scope=Scope(since=two_starts)), ALL, [])) == [3, 2]
    assert ids(rank(question("?", scope=Scope(until=two_starts)), ALL, [])) == [1]


def test_a_recording_that_ends_as_the_scope_begins_is_outside() -> None:
    ends = ONE.wall_clock(ONE.duration_s)

    assert ids(rank(question("?", scope=Scope(since=ends)), [ONE], [])) == []
    assert ids(rank(question("?", scope=Scope(since=ends - timedelta(seconds=1))), [ONE], [])) == [
        1
    ]


@dataclass(frozen=True)
class Caption:
    recording: int
    caption: str


MANY = [recording(number, 60.0, 4) for number in range(1, 31)]
RED_CAR = question("Was there a red car?")


def test_recordings_are_read_by_what_their_captions_mention() -> None:
    hits = [Caption(4, "a red car"), Caption(9, "a red bag"), Caption(5, "red vehicles pass")]

    reading = read(RED_CAR, MANY, hits)

    assert ids(list(reading.first)) == [4, 5]
    assert ids(list(reading.then)) == [9]
    assert len(reading.by_captions) == 27


def test_a_few_recordings_are_all_walked() -> None:
    assert ids(list(read(RED_CAR, ALL[:2], []).first)) == [2, 1]


def test_where_no_caption_mentions_anything_the_newest_few_are_walked() -> None:
    reading = read(RED_CAR, MANY, [])

    assert (reading.first, ids(list(reading.then))) == ((), [30, 29])
    assert len(reading.by_captions) == 28


def test_a_recording_that_was_found_by_meaning_is_walked_before_the_silent_ones() -> None:
    reading = read(RED_CAR, MANY, [Caption(7, "a crimson sedan")])

    assert ids(list(reading.then)) == [7]


def test_the_question_without_its_times_and_cameras_is_what_captions_are_held_against() -> None:
    asked = question("Was there a red car on camera 3 last Tuesday?", about="Was there a red car?")

    assert ids(list(read(asked, MANY, [Caption(4, "a red car")]).first)) == [4]


def test_footage_that_is_missing_in_the_times_asked_about_is_named() -> None:
    begins = ONE.starts_at - timedelta(minutes=10)
    asked = [TimeSpan(begins, TWO.starts_at + timedelta(minutes=5))]

    found = gaps(ALL, ["camera1", "camera9"], asked)

    assert [(gap.camera, gap.since, gap.until) for gap in found] == [
        ("camera1", begins, ONE.starts_at),
        ("camera1", ONE.wall_clock(60.0), TWO.starts_at),
        ("camera1", TWO.wall_clock(60.0), asked[0].until),
        ("camera9", begins, asked[0].until),
    ]


def test_a_change_of_files_is_no_gap() -> None:
    after = replace(ONE, id=9, starts_at=ONE.wall_clock(65.0))
    asked = [TimeSpan(ONE.starts_at, after.wall_clock(60.0))]

    assert gaps([ONE, after], ["camera1"], asked) == []


def test_several_times_name_recordings_between_which_others_lie() -> None:
    times = tuple(
        TimeSpan(one.starts_at, one.starts_at + timedelta(minutes=1)) for one in (ONE, THREE)
    )
    scope = Scope(since=times[0].since, until=times[1].until, times=times)

    assert ids(rank(question("?", scope=scope), ALL, [])) == [3, 1]


def test_of_a_recording_that_is_asked_about_in_part_the_rest_is_not_told() -> None:
    tree = people()
    starts = tree.recording.starts_at
    scope = Scope(since=starts + timedelta(seconds=36), until=starts + timedelta(seconds=60))
    clipped = ClippedTree(tree, scope)

    assert cuts(scope, tree.recording)
    assert clipped.caption(NodeId((1,))).text == prompts.OUTSIDE
    assert clipped.caption(NodeId((2,))).text == tree.texts[NodeId((2,))]
    assert clipped.video_qa(NodeId((1, 1, 1)), "who?") == prompts.OUTSIDE
    assert tree.looks == []
    assert not cuts(Scope(since=starts), tree.recording)


def test_an_agent_counts_in_the_part_that_is_asked_about() -> None:
    tree = people()
    starts = tree.recording.starts_at
    scope = Scope(since=starts + timedelta(seconds=36), until=starts + timedelta(seconds=69))

    answer, _ = ask(EmbeddedAgent(), question("How many people come?"), ClippedTree(tree, scope))

    assert answer.text.startswith("2 person-like figures")
    assert all(36 - 10 <= one.span.start_s <= 69 for one in answer.evidence)
