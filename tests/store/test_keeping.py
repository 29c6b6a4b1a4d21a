from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.access import Who
from edge_lvr1.config import KeepRule
from edge_lvr1.domain import Scope
from edge_lvr1.store.audit_check import check
from edge_lvr1.store.db import Archive
from edge_lvr1.store.holds import Holds
from edge_lvr1.store.ingest import JobState
from edge_lvr1.store.keeping import ELSEWHERE, Fate, Keeping, Kept, Rules, overdue, removed_by
from edge_lvr1.store.questions import QuestionQueue
from edge_lvr1.store.search import search
from edge_lvr1.store.vectors import Vectors
from tests.store.footage import NOON, Clock, question
from tests.store.test_shelf import Desk

DAY_S = 86_400.0
NOON_S = NOON.timestamp()
NOTHING = KeepRule()
ANNA = Who("command", name="anna")


def rules(default: KeepRule = NOTHING, **by_root: KeepRule) -> Rules:
    return Rules(default, {f"/{name}": rule for name, rule in by_root.items()}, ["/drop"])


def kept(**changed: object) -> Kept:
    told: dict[str, object] = {
        "recordings": (1,),
        "roots": ("/drop",),
        "ends_s": NOON_S,
        "taken_s": NOON_S + 60,
        "gone_s": None,
        "size_bytes": 10,
    }
    return Kept(**{**told, **changed})  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.now_s = NOON_S + 100
    return made


@pytest.fixture
def desk(archive: Archive, clock: Clock) -> Desk:
    return Desk(archive, clock)


def built(desk: Desk, *names: str) -> list[int]:
    """Recordings of one file each, an hour apart, with all their captions."""
    for name in names:
        desk.take(name, 3600.0 * int(name[1:]))
    desk.put_together()
    desk.builds.close(0.0, idle=True)
    while build := desk.builds.lease("worker", 60.0):
        desk.caption_all(build)
    return [one.id for one in desk.trees.recordings()]


def gone(archive: Archive, clock: Clock, *names: str) -> None:
    for name in names:
        with archive.transaction() as db:
            path = f"/drop/{name}.mp4"
            db.execute("UPDATE files SET gone_s = ? WHERE path = ?", [clock.now_s, path])


def apply(keeping: Keeping) -> list[int]:
    """Every recording that its days remove, as a daemon goes about it."""
    found = list(dict.fromkeys(keeping.overdue()))
    return [one for one, rule in found if keeping.remove(one, rule)[0] is Fate.REMOVED]


def count(archive: Archive, table: str) -> int:
    return int(archive.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"])


def test_the_nearest_folder_with_its_own_rule_counts() -> None:
    mine, other = KeepRule(max_days=1), KeepRule(max_days=2)
    said = Rules(NOTHING, {"/drop/a": mine, "/drop/a/b": other}, ["/drop", "/drop/a/b/c"])

    assert said.root_of("/drop/a/x.mp4") == "/drop/a"
    assert said.root_of("/drop/a/b/c/x.mp4") == "/drop/a/b"
    assert said.root_of("/drop/ab/x.mp4") == "/drop"
    assert said.root_of("/elsewhere/x.mp4") == ELSEWHERE
    assert said.of("/drop") == NOTHING


@pytest.mark.parametrize(
    ("footage", "rule", "days", "says"),
    [
        (kept(), NOTHING, 10_000, ""),
        (kept(gone_s=NOON_S), KeepRule(gone_days=7), 6.9, ""),
        (kept(gone_s=NOON_S), KeepRule(gone_days=7), 7, "gone_days"),
        (kept(), KeepRule(gone_days=7), 100, ""),
        (kept(), KeepRule(max_days=30), 29.9, ""),
        (kept(), KeepRule(max_days=30), 30, "max_days"),
        # Footage of long ago can be looked at for a day, and its clock may be wrong.
        (kept(ends_s=0.0), KeepRule(max_days=30), 0.9, ""),
        (kept(ends_s=0.0), KeepRule(max_days=30), 1.1, "max_days"),
        (kept(ends_s=4e9), KeepRule(max_days=30), 29.9, ""),
        (kept(ends_s=4e9), KeepRule(max_days=30), 30.1, "max_days"),
    ],
)
def test_days_are_counted_as_said(footage: Kept, rule: KeepRule, days: float, says: str) -> None:
    assert overdue(footage, rules(rule), NOON_S + days * DAY_S) == says


def test_footage_of_two_folders_goes_when_both_rules_say_so() -> None:
    both = kept(roots=("/a", "/b"))
    said = rules(a=KeepRule(max_days=10), b=KeepRule(max_days=20))

    assert overdue(both, said, NOON_S + 15 * DAY_S) == ""
    assert overdue(both, said, NOON_S + 25 * DAY_S) == "max_days"


@given(
    gone_days=st.none() | st.floats(0, 50),
    max_days=st.none() | st.floats(0.1, 50),
    gone_s=st.none() | st.floats(NOON_S, NOON_S + 50 * DAY_S),
    ends_s=st.floats(0, 4e9),
    days=st.floats(0, 100),
)
def test_what_is_overdue_stays_overdue(
    gone_days: float | None,
    max_days: float | None,
    gone_s: float | None,
    ends_s: float,
    days: float,
) -> None:
    said = rules(KeepRule(gone_days=gone_days, max_days=max_days))
    footage = kept(gone_s=gone_s, ends_s=ends_s)

    if overdue(footage, said, NOON_S + days * DAY_S):
        assert overdue(footage, said, NOON_S + (days + 5) * DAY_S)


def test_all_that_was_made_of_gone_footage_goes(
    archive: Archive, desk: Desk, clock: Clock, tmp_path: Path
) -> None:
    first, second = built(desk, "p0", "p9")
    vectors = Vectors(archive, tmp_path / "vectors")
    vectors.serve("tiny", 64)
    waiting = vectors.wanted(1000)
    vectors.put(waiting, np.ones((len(waiting), 64), np.float32))
    gone(archive, clock, "p0")
    clock.now_s += 8 * DAY_S
    keeping = Keeping(archive, rules(KeepRule(gone_days=7)), clock)

    went = apply(keeping)

    assert went == [first]
    assert [one.id for one in desk.trees.recordings()] == [second]
    left = count(archive, "nodes")
    assert left == count(archive, "captions") == count(archive, "captions_fts_docsize")
    assert left == count(archive, "vectors_open")
    assert [one.recording for one in search(archive, "person", Scope(), 100)] == [second] * left
    assert [row["path"] for row in archive.rows("SELECT path FROM files")] == ["/drop/p9.mp4"]
    assert [job.path for job in desk.jobs.jobs()] == ["/drop/p9.mp4"]
    assert not archive.rows("PRAGMA foreign_key_check")
    assert check(archive).broken is None


def test_a_removal_is_in_the_audit_log_with_its_hashes(
    archive: Archive, desk: Desk, clock: Clock
) -> None:
    (number,) = built(desk, "p0")
    clock.now_s += 31 * DAY_S

    apply(Keeping(archive, rules(KeepRule(max_days=30)), clock))

    (row,) = archive.rows("SELECT who, what FROM audit WHERE kind = 'recording.removed'")
    what = json.loads(row["what"])
    assert what["recording"] == number
    assert (what["rule"], what["camera"], what["parts"]) == ("max_days", "gate", ["p0"])
    assert (what["starts_at"], what["duration_s"]) == (NOON.isoformat(), 10.0)
    assert removed_by(archive, [number, 99]) == {number: (clock.now_s, "max_days")}


def test_removed_footage_that_is_still_there_is_not_taken_in_again(
    archive: Archive, desk: Desk, clock: Clock
) -> None:
    built(desk, "p0")
    (job,) = desk.jobs.jobs()
    clock.now_s += 31 * DAY_S
    apply(Keeping(archive, rules(KeepRule(max_days=30)), clock))

    offered = desk.jobs.offer(job.path, job.size_bytes, job.mtime_ns)
    stands = desk.job(job)
    wanted = desk.jobs.offer(job.path, job.size_bytes, job.mtime_ns, again=True)

    assert offered is None
    assert (stands.state, stands.recordings) == (JobState.DONE, ())
    assert stands.reason == "removed by the rule max_days"
    assert wanted is not None  # who names it wants it
    assert wanted.state is JobState.QUEUED


def test_footage_that_comes_back_after_it_was_gone_is_taken_in_again(
    archive: Archive, desk: Desk, clock: Clock
) -> None:
    built(desk, "p0")
    (job,) = desk.jobs.jobs()
    gone(archive, clock, "p0")
    clock.now_s += 8 * DAY_S
    apply(Keeping(archive, rules(KeepRule(gone_days=7)), clock))

    assert desk.jobs.offer(job.path, job.size_bytes, job.mtime_ns) is not None


def test_a_recording_of_which_one_file_is_there_stays(
    archive: Archive, desk: Desk, clock: Clock
) -> None:
    desk.take("a", 0)
    desk.take("b", 10)
    desk.put_together()
    desk.builds.close(0.0, idle=True)
    desk.caption_all(desk.build())
    gone(archive, clock, "a")
    clock.now_s += 100 * DAY_S

    assert apply(Keeping(archive, rules(KeepRule(gone_days=7)), clock)) == []


def test_what_is_held_stays_until_it_is_released(
    archive: Archive, desk: Desk, clock: Clock
) -> None:
    first, second = built(desk, "p0", "p9")
    holds = Holds(archive, clock)
    holds.hold(first, "theft", ANNA)
    gone(archive, clock, "p0", "p9")
    clock.now_s += 100 * DAY_S
    said = KeepRule(gone_days=7, max_days=1, max_gb=1e-9)
    keeping = Keeping(archive, rules(said), clock)

    assert apply(keeping) == [second]
    assert keeping.remove(first, "max_gb")[0] is Fate.KEPT
    assert list(keeping.oldest("/drop")) == []
    holds.release(first, ANNA)
    assert apply(keeping) == [first]


def test_what_is_being_captioned_or_still_open_stays(
    archive: Archive, desk: Desk, clock: Clock
) -> None:
    desk.take("a", 0)
    desk.put_together()
    keeping = Keeping(archive, rules(KeepRule(max_days=30)), clock)
    clock.now_s += 31 * DAY_S
    while_open = apply(keeping)
    desk.builds.close(0.0, idle=True)
    build = desk.build()
    while_captioned = apply(keeping)
    desk.caption_all(build)

    assert (while_open, while_captioned) == ([], [])
    assert apply(keeping) == [build.recording]


def test_nothing_goes_while_a_question_is_asked(archive: Archive, desk: Desk, clock: Clock) -> None:
    (number,) = built(desk, "p0")
    questions = QuestionQueue(archive, clock)
    questions.put(question())
    assert questions.lease("worker", 60.0)
    clock.now_s += 31 * DAY_S
    keeping = Keeping(archive, rules(KeepRule(max_days=30)), clock)

    assert keeping.remove(number, "max_days") == (Fate.ASKED, 0)
    assert desk.trees.recording(number)


def test_the_recordings_of_a_long_file_go_together(
    archive: Archive, desk: Desk, clock: Clock
) -> None:
    desk.take("long", 0, duration_s=20_000)
    desk.put_together()
    desk.builds.close(0.0, idle=True)
    numbers = [one.id for one in desk.trees.recordings()]
    clock.now_s += 30.1 * DAY_S  # the first third is 30 days old, the last not yet
    keeping = Keeping(archive, rules(KeepRule(max_days=30)), clock)
    early = apply(keeping)
    clock.now_s += DAY_S

    assert len(numbers) == 3
    assert early == []
    assert apply(keeping) == [numbers[0]]
    assert desk.trees.recordings() == []


def test_the_oldest_go_first_where_there_is_too_much(
    archive: Archive, desk: Desk, clock: Clock
) -> None:
    numbers = built(desk, "p0", "p3", "p6", "p9")  # 10 bytes each
    keeping = Keeping(archive, rules(drop=KeepRule(max_gb=25e-9)), clock)

    assert list(keeping.oversized()) == [("/drop", 15)]
    assert list(keeping.oldest("/drop")) == [(number, 10) for number in numbers]


def test_a_folder_with_its_own_rule_does_not_count_for_the_one_around_it(
    archive: Archive, desk: Desk, clock: Clock
) -> None:
    built(desk, "p0", "p3")
    said = Rules(
        KeepRule(max_gb=1e-9), {"/drop": KeepRule(max_gb=1.0), "/": KeepRule(max_gb=1e-9)}, []
    )

    assert list(Keeping(archive, said, clock).oversized()) == []
    assert list(Keeping(archive, rules(KeepRule(max_gb=1e-9)), clock).oversized()) == [
        ("/drop", 19)
    ]


def test_files_that_were_removed_and_are_gone_are_forgotten(
    archive: Archive, desk: Desk, clock: Clock, tmp_path: Path
) -> None:
    for name in ("here", "there"):
        desk.jobs.offer(str(tmp_path / name), 1, 1)
    (tmp_path / "here").touch()
    with archive.transaction() as db:
        db.execute("UPDATE jobs SET state = 'done', removed_s = 5")
    keeping = Keeping(archive, Rules(NOTHING, {}, [str(tmp_path)]), clock)

    first = keeping.forget_files(1)
    rest = keeping.forget_files(1, first or 0)

    assert first is not None
    assert rest is not None
    assert keeping.forget_files(1, rest) is None
    assert [Path(job.path).name for job in desk.jobs.jobs()] == ["here"]


def test_files_of_a_share_that_is_away_are_not_forgotten(
    archive: Archive, desk: Desk, clock: Clock, tmp_path: Path
) -> None:
    share = tmp_path / "share"
    desk.jobs.offer(str(share / "a.mp4"), 1, 1)
    with archive.transaction() as db:
        db.execute("UPDATE jobs SET state = 'done', removed_s = 5")
    keeping = Keeping(archive, Rules(NOTHING, {}, [str(share)]), clock)

    keeping.forget_files(10)
    share.mkdir()  # the mount point, empty
    keeping.forget_files(10)

    assert len(desk.jobs.jobs()) == 1


def test_late_parts_do_not_bring_back_what_was_removed(
    archive: Archive, desk: Desk, clock: Clock
) -> None:
    built(desk, "p0")
    clock.now_s += 31 * DAY_S
    apply(Keeping(archive, rules(KeepRule(max_days=30)), clock))

    desk.take("late", 10.0)
    desk.put_together()

    assert desk.files() == [["late"]]
