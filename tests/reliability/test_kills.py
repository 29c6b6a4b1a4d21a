"""SIGKILL at any moment: what was accepted is there once, and the captions come out the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from tests.reliability.kills import Killer, Outcome, Whole, points_of, random_times
from tests.reliability.points import Point, default_vfs

SEED = "kill"
MANY = 200
EXPORTS, WRITES, TIMES = 30, 30, 20  # of them
CUTS = 30
SOONEST_S = 0.2


@pytest.fixture
def whole(killer: Killer) -> Whole:
    assert killer.whole is not None
    return killer.whole


def wrong(outcomes: list[Outcome]) -> list[str]:
    return [f"{one.point}: {said}" for one in outcomes for said in one.wrong]


def test_daemon_that_is_killed_goes_on_as_if_it_had_not_been(killer: Killer, whole: Whole) -> None:
    counts = whole.counts

    outcomes = [
        killer.killed_at([Point("commit", counts["commit"] // 3, "after")]),
        killer.killed_at([_a_write(counts)]),
    ]

    assert wrong(outcomes) == []
    assert all(one.reached for one in outcomes)


def test_export_that_is_killed_leaves_a_whole_bundle_or_none(killer: Killer) -> None:
    outcomes = [
        killer.export_killed_at(Point("name", number, side), fresh=fresh)
        for number, side, fresh in (
            (1, "after", True),
            (3, "before", True),
            (3, "before", False),
            (3, "after", False),
            (4, "after", False),
        )
    ]

    assert wrong(outcomes) == []
    assert all(one.reached for one in outcomes)


def test_backup_that_is_killed_leaves_those_that_are_whole(killer: Killer) -> None:
    counts = killer.backup_counts()

    outcomes = [
        killer.backup_killed_at(point)
        for kind in ("write", "name", "sync")
        for point in points_of(counts, kind, 3)
    ]

    assert wrong(outcomes) == []
    assert len([one for one in outcomes if one.reached]) >= 6


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_backups_that_are_killed_anywhere_leave_those_that_are_whole(killer: Killer) -> None:
    counts = killer.backup_counts()
    print(f"a backup: {counts}")

    outcomes = [
        killer.backup_killed_at(point)
        for kind, most in (("write", 60), ("name", 1000), ("sync", 1000))
        for point in points_of(counts, kind, most)
    ]

    print(f"{sum(one.reached for one in outcomes)} backups were killed")
    assert wrong(outcomes) == []
    assert sum(one.reached for one in outcomes) >= len(outcomes) * 9 // 10


def test_power_cut_undoes_nothing_that_was_accepted(killer: Killer, whole: Whole) -> None:
    outcome = in_time(lambda after: killer.power_cut_after(after, 0.9), whole.seconds / 2)

    assert wrong([outcome]) == []
    assert outcome.reached


@pytest.mark.reliability
@pytest.mark.timeout(3 * 3600)
def test_200_kills_lose_nothing(killer: Killer, whole: Whole) -> None:
    print(f"a whole run: {whole.seconds:.1f} s, {whole.counts}")
    outcomes = [killer.export_killed_at(*one) for one in export_points(killer)]
    dice = random.Random(SEED)
    chosen = [
        *(Point("commit", 1 + number, "after") for number in range(whole.counts["commit"])),
        *points_of(whole.counts, "name", 12),
        *points_of(whole.counts, "sync", 3),
    ]
    for number, point in enumerate(chosen):
        # Every tenth is killed once more while it comes back.
        again = [Point("commit", dice.randint(1, 12), "after")] if number % 10 == 0 else []
        outcomes.append(killer.killed_at([point, *again]))
    writes = max(WRITES, (MANY - len(outcomes)) // 2)
    outcomes += [killer.killed_at([one]) for one in points_of(whole.counts, "write", writes)]
    times = random_times(whole.seconds * 0.9, max(TIMES, MANY - len(outcomes)), SEED)
    outcomes += [in_time(killer.killed_after, seconds) for seconds in times]

    kinds = Counter(one.point.split(":")[0].split(" ")[0] for one in outcomes if one.reached)
    spent = sum(one.seconds for one in outcomes)
    print(f"{len(outcomes)} kills in {spent:.0f} s; reached: {dict(kinds)}")
    assert len(outcomes) >= MANY
    assert wrong(outcomes) == []
    assert sum(one.reached for one in outcomes) >= MANY * 9 // 10


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_30_power_cuts_undo_nothing_that_was_accepted(killer: Killer, whole: Whole) -> None:
    dice = random.Random("power")
    times = random_times(whole.seconds * 0.9, CUTS, "power")
    outcomes = [
        in_time(lambda after: killer.power_cut_after(after, dice.random()), seconds)
        for seconds in times
    ]

    spent = sum(one.seconds for one in outcomes)
    print(f"{sum(one.reached for one in outcomes)} power cuts in {spent:.0f} s")
    assert wrong(outcomes) == []
    assert sum(one.reached for one in outcomes) >= CUTS * 9 // 10


def in_time(kill: Callable[[float], Outcome], seconds: float) -> Outcome:
    """A kill at a moment of a story, sooner where this one was over before."""
    outcome = kill(seconds)
    while not outcome.reached and not outcome.wrong and seconds > SOONEST_S:
        seconds /= 2
        outcome = kill(seconds)
    return outcome


def export_points(killer: Killer) -> list[tuple[Point, bool]]:
    """Each renaming, removal and sync of an export, before and after, fresh and over another."""
    found = []
    for fresh in (True, False):
        counts = killer.export_counts(fresh)
        for kind in ("name", "sync"):
            found += [(point, fresh) for point in points_of(counts, kind, 1000)]
    dice = random.Random(SEED)
    return dice.sample(found, min(EXPORTS, len(found)))


def _a_write(counts: dict[str, int]) -> Point:
    """Half of a write of SQLite's; where its library hides its writes, a commit."""
    if default_vfs() is None:
        return Point("commit", counts["commit"] // 2, "before")
    return Point("write", counts["write"] // 2, "half")
