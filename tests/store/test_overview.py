"""All recordings of an archive at once: what the database adds up, and what comes in pages."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_lvr1.domain import Scope, TimeSpan
from edge_lvr1.store import overview
from edge_lvr1.store.db import Archive
from edge_lvr1.store.overview import Overview
from edge_lvr1.store.trees import Trees
from tests.store.footage import NOON, add, caption

MINUTE = timedelta(minutes=1)


@pytest.fixture
def view(archive: Archive) -> Overview:
    return Overview(archive)


def minutes(first: int, last: int) -> TimeSpan:
    return TimeSpan(NOON + first * MINUTE, NOON + last * MINUTE)


def test_empty_archive_reaches_nowhere(view: Overview) -> None:
    assert (view.cameras(), view.extent(Scope()), list(view.outlines(Scope()))) == ([], None, [])


def test_extent_is_from_the_first_start_to_the_last_end(trees: Trees, view: Overview) -> None:
    add(trees, "aa", "gate", NOON, 20.0)
    add(trees, "bb", "gate", NOON + MINUTE, 30.0)
    add(trees, "cc", "yard", NOON + 9 * MINUTE, 60.0)

    gate, every = view.extent(Scope(cameras=("gate",))), view.extent(Scope())

    assert view.cameras() == ["gate", "yard"]
    assert gate is not None
    assert every is not None
    assert (gate.recordings, gate.longest_s, every.recordings, every.longest_s) == (2, 30, 3, 60)
    assert gate.span == TimeSpan(NOON, NOON + MINUTE + timedelta(seconds=30))
    assert every.span == minutes(0, 10)
    assert every.span.since.utcoffset() == timedelta(0)


def test_outlines_are_the_recordings_without_their_parts(trees: Trees, view: Overview) -> None:
    first, other = add(trees, "aa"), add(trees, "bb", "yard", NOON + MINUTE)
    for node in trees.plan(other.id).nodes:
        trees.put_caption(other.id, caption(node))

    found = list(view.outlines(Scope()))

    assert [one.recording.id for one in found] == [first.id, other.id]
    assert [one.progress for one in found] == [trees.progress(one) for one in (first.id, other.id)]
    assert [one.progress.queryable for one in found] == [False, True]
    assert all(one.recording.parts == () for one in found)
    assert found[0].recording.starts_at == first.starts_at
    assert found[0].recording.starts_at.utcoffset() == first.starts_at.utcoffset()


def test_outlines_of_many_pages_miss_none(
    trees: Trees, view: Overview, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "_PAGE", 3)
    starts = [NOON, NOON, NOON, NOON, NOON + MINUTE, NOON - MINUTE, NOON]
    for number, starts_at in enumerate(starts):
        add(trees, f"{number}", f"cam{number}", starts_at)

    found = [one.recording.id for one in view.outlines(Scope())]

    assert found == [one.id for one in trees.recordings()]
    assert len(found) == len(starts)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    times=st.lists(st.tuples(st.integers(-3, 12), st.integers(1, 3)), max_size=3),
    since=st.none() | st.integers(-3, 12),
    until=st.none() | st.integers(-3, 12),
    cameras=st.sampled_from([(), ("gate",), ("yard",)]),
)
def test_scope_holds_what_it_overlaps(
    trees: Trees,
    view: Overview,
    times: list[tuple[int, int]],
    since: int | None,
    until: int | None,
    cameras: tuple[str, ...],
) -> None:
    for number in range(4):
        add(trees, f"{number}", ("gate", "yard")[number % 2], NOON + 3 * number * MINUTE, 90.0)
    scope = Scope(
        cameras=cameras,
        since=None if since is None else NOON + since * MINUTE,
        until=None if until is None else NOON + until * MINUTE,
        times=tuple(minutes(first, first + long) for first, long in times),
    )

    found = [one.recording.id for one in view.outlines(scope)]

    assert found == [
        one.id
        for one in trees.recordings()
        if one.camera in (cameras or ("gate", "yard"))
        and scope.overlaps(one.starts_at, one.wall_clock(one.duration_s))
    ]
    assert view.any_in(scope) is bool(found)


def test_moments_are_told_in_utc(trees: Trees, view: Overview) -> None:
    add(trees, starts_at=datetime(2026, 3, 1, 23, 30, tzinfo=timezone(-timedelta(hours=3))))

    found = view.extent(Scope())

    assert found is not None
    assert found.span.since == datetime(2026, 3, 2, 2, 30, tzinfo=timezone.utc)
