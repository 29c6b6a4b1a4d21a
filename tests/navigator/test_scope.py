"""Which recordings are asked, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from edge_lvr1.domain import Recording, Scope
from edge_lvr1.navigator.scope import rank
from tests.navigator.written_trees import START, question, recording


@dataclass(frozen=True)
class Hit:
    recording: int


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
