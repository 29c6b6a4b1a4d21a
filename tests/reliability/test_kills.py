"""SIGKILL at any moment: what was accepted is there once, and the captions come out the same."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.reliability.daemons import Nursery
from tests.reliability.kills import Killer, Outcome, points_of, random_times
from tests.reliability.points import Point, default_vfs
from tests.reliability.scene import Footage

SEED = "kill"
MANY = 200
EXPORTS = 30  # of them


@pytest.fixture
def killer(nurse: Nursery, footage: Footage, tmp_path: Path) -> Killer:
    return Killer(nurse, tmp_path, footage)


def wrong(outcomes: list[Outcome]) -> list[str]:
    return [f"{one.point}: {said}" for one in outcomes for said in one.wrong]


def test_daemon_that_is_killed_goes_on_as_if_it_had_not_been(killer: Killer) -> None:
    counts = killer.uninterrupted().counts

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


@pytest.mark.reliability
@pytest.mark.timeout(3 * 3600)
def test_200_kills_lose_nothing(killer: Killer) -> None:
    whole = killer.uninterrupted()
    print(f"a whole run: {whole.seconds:.1f} s, {whole.counts}")
    outcomes = [killer.export_killed_at(*one) for one in export_points(killer)]
    dice = random.Random(SEED)
    chosen = [
        *points_of(whole.counts, "commit", whole.counts["commit"]),
        *points_of(whole.counts, "name", 12),
        *points_of(whole.counts, "sync", 3),
    ]
    for number, point in enumerate(chosen):
        # Every tenth is killed once more while it comes back.
        again = [Point("commit", dice.randint(1, 12), "after")] if number % 10 == 0 else []
        outcomes.append(killer.killed_at([point, *again]))
    left = MANY - len(outcomes)
    outcomes += [killer.killed_at([one]) for one in points_of(whole.counts, "write", left // 2)]
    times = random_times(whole.seconds * 0.9, MANY - len(outcomes), SEED)
    outcomes += [killer.killed_after(seconds) for seconds in times]

    kinds = Counter(one.point.split(":")[0].split(" ")[0] for one in outcomes if one.reached)
    spent = sum(one.seconds for one in outcomes)
    print(f"{len(outcomes)} kills in {spent:.0f} s; reached: {dict(kinds)}")
    assert len(outcomes) >= MANY
    assert wrong(outcomes) == []
    assert sum(one.reached for one in outcomes) >= MANY * 9 // 10


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
