from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_lvr1.access import Who
from edge_lvr1.errors import NotFoundError
from edge_lvr1.store.db import Archive
from edge_lvr1.store.holds import Holds
from edge_lvr1.store.trees import Trees
from tests.store.footage import Clock, add
from tests.store.test_shelf import Desk

ANNA = Who("socket", 1000, 1000, 7, "anna")


@pytest.fixture
def desk(archive: Archive, clock: Clock) -> Desk:
    return Desk(archive, clock)


@pytest.fixture
def holds(archive: Archive, clock: Clock) -> Holds:
    return Holds(archive, clock)


def entries(archive: Archive, kind: str) -> list[dict[str, object]]:
    rows = archive.rows("SELECT what FROM audit WHERE kind = ? ORDER BY number", [kind])
    return [json.loads(row["what"]) for row in rows]


def held_parts(desk: Desk, holds: Holds) -> list[set[str]]:
    """The files of each recording that is held."""
    found = desk.trees.recordings()
    held = holds.of(one.id for one in found)
    return [{part.path for part in one.parts} for one in found if one.id in held]


def test_a_hold_says_why_by_whom_and_since_when(
    archive: Archive, trees: Trees, holds: Holds
) -> None:
    recording = add(trees)

    hold = holds.hold(recording.id, "theft on Monday", ANNA)

    assert (hold.reason, hold.who, hold.since_s) == ("theft on Monday", "anna", 1000.0)
    assert holds.of([recording.id]) == {recording.id: hold}
    assert entries(archive, "recording.held") == [
        {"recording": recording.id, "reason": "theft on Monday", "parts": ["aa"]}
    ]


def test_a_second_hold_changes_the_reason_alone(trees: Trees, holds: Holds, clock: Clock) -> None:
    recording = add(trees)
    holds.hold(recording.id, "theft", ANNA)
    clock.now_s += 50

    hold = holds.hold(recording.id, "theft and fire", Who("command", name="bert"))

    assert (hold.reason, hold.who, hold.since_s) == ("theft and fire", "anna", 1000.0)


def test_a_released_recording_is_held_no_more(archive: Archive, trees: Trees, holds: Holds) -> None:
    recording = add(trees)
    holds.hold(recording.id, "theft", ANNA)

    holds.release(recording.id, ANNA)

    assert holds.of([recording.id]) == {}
    assert [one["recording"] for one in entries(archive, "recording.released")] == [recording.id]


def test_what_is_not_there_cannot_be_held_or_released(trees: Trees, holds: Holds) -> None:
    recording = add(trees)

    with pytest.raises(NotFoundError, match="no recording 77"):
        holds.hold(77, "theft", ANNA)
    with pytest.raises(NotFoundError, match="is not held"):
        holds.release(recording.id, ANNA)


def test_a_late_part_that_merges_two_recordings_merges_their_holds(
    archive: Archive, desk: Desk, holds: Holds
) -> None:
    desk.take("a", 0)
    desk.take("c", 20)
    desk.put_together()
    first, second = (one.id for one in desk.trees.recordings())
    holds.hold(first, "theft", ANNA)
    holds.hold(second, "fire", Who("command", name="bert"))

    desk.take("b", 10)
    desk.put_together()

    (merged,) = desk.trees.recordings()
    assert len(merged.parts) == 3
    (hold,) = holds.of([merged.id]).values()
    assert set(hold.reason.split("; ")) == {"theft", "fire"}
    assert len(entries(archive, "recording.hold_followed")) == 1


def test_a_hold_on_the_recording_that_loses_its_number_goes_over(desk: Desk, holds: Holds) -> None:
    desk.take("a", 0)
    desk.take("c", 20)
    desk.put_together()
    second = desk.trees.recordings()[1].id
    holds.hold(second, "fire", ANNA)

    desk.take("b", 10)
    desk.put_together()

    (merged,) = desk.trees.recordings()
    assert holds.of([merged.id])[merged.id].reason == "fire"


def test_a_hold_outlives_a_file_whose_start_is_corrected(desk: Desk, holds: Holds) -> None:
    desk.take("a", 0, sha256="same")
    desk.put_together()
    holds.hold(desk.trees.recordings()[0].id, "theft", ANNA)

    desk.take("a", 8000, sha256="same")  # the same bytes, now in another cell
    desk.put_together()

    assert held_parts(desk, holds) == [{"/drop/a.mp4"}]


def test_a_hold_waits_for_footage_that_comes_again(desk: Desk, holds: Holds) -> None:
    desk.take("a", 0, sha256="evidence")
    desk.put_together()
    holds.hold(desk.trees.recordings()[0].id, "theft", ANNA)
    desk.take("a", 8000, sha256="something else")  # a recorder wrote over it
    desk.put_together()
    desk.take("copy", 0, sha256="evidence")

    desk.put_together()

    assert {"/drop/copy.mp4"} in held_parts(desk, holds)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_held_footage_stays_held_in_whatever_order_parts_come(data: st.DataObject) -> None:
    starts = data.draw(st.lists(st.integers(0, 14), min_size=2, max_size=10))
    with tempfile.TemporaryDirectory() as folder, Archive(Path(folder) / "a.db").open() as archive:
        clock = Clock()
        desk, holds = Desk(archive, clock), Holds(archive, clock)
        evidence: set[str] = set()
        for turn, start in enumerate(starts):
            name = f"p{start}"
            # One that comes again has other bytes.
            desk.take(name, start * 10.0, sha256=name + "x" * turn)
            if data.draw(st.booleans()):
                desk.put_together()
            found = desk.trees.recordings()
            if found and data.draw(st.booleans()):
                chosen = data.draw(st.sampled_from(found))
                holds.hold(chosen.id, f"case {start}", ANNA)
                evidence |= {part.path for part in chosen.parts}
        desk.put_together()

        held = held_parts(desk, holds)
        assert evidence <= set().union(*held)
        assert all(files & evidence for files in held)
        assert not archive.rows("PRAGMA foreign_key_check")
        assert not archive.rows("SELECT * FROM holds_waiting")
