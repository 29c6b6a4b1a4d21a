"""What goes first, what waits for its folder, and what is tried again."""

from __future__ import annotations

import pytest

from edge_lvr1.store.builds import BuildQueue, BuildState
from edge_lvr1.store.db import Archive
from edge_lvr1.store.ingest import BACKLOG, FIRST, NAMED, IngestQueue, Job, JobState
from edge_lvr1.store.trees import Trees
from tests.store.footage import Clock, add

MANY = 20_000


@pytest.fixture
def queue(archive: Archive, clock: Clock) -> IngestQueue:
    return IngestQueue(archive, clock, max_attempts=1)


@pytest.fixture
def builds(archive: Archive, clock: Clock) -> BuildQueue:
    return BuildQueue(archive, clock, max_attempts=1)


def taken(queue: IngestQueue) -> Job:
    job = queue.lease("worker", 60.0)
    assert job is not None
    return job


def test_files_that_are_named_go_before_the_backlog_and_first_ones_before_those(
    queue: IngestQueue,
) -> None:
    for number, priority in enumerate((BACKLOG, NAMED, BACKLOG, FIRST, NAMED)):
        queue.offer(f"/{number}.mp4", 1, 2, priority=priority)

    order = [taken(queue).path for _ in range(5)]

    assert order == ["/3.mp4", "/1.mp4", "/4.mp4", "/0.mp4", "/2.mp4"]


def test_file_of_the_backlog_that_is_named_comes_forward(queue: IngestQueue) -> None:
    for name in "abc":
        queue.offer(f"/{name}.mp4", 1, 2)

    queue.offer("/c.mp4", 1, 2, again=True, priority=FIRST)
    queue.offer("/c.mp4", 1, 2, again=True, priority=NAMED)

    assert [taken(queue).path for _ in range(3)] == ["/c.mp4", "/a.mp4", "/b.mp4"]


def test_backlog_of_twenty_thousand_is_kept_whole_and_a_named_file_goes_first(
    queue: IngestQueue, archive: Archive
) -> None:
    with archive.transaction() as db:
        db.conn.executemany(
            "INSERT INTO jobs(path, size_bytes, mtime_ns, offered_s) VALUES (?, 1, 2, 3)",
            [(f"/drop/{number:05}.mp4",) for number in range(MANY)],
        )

    queue.offer("/urgent.mp4", 1, 2, priority=NAMED)
    first, second = taken(queue), taken(queue)

    assert (first.path, second.path) == ("/urgent.mp4", "/drop/00000.mp4")
    assert queue.offer("/drop/19999.mp4", 1, 2) is None
    assert queue.counts()[JobState.QUEUED] == MANY - 1


def test_files_of_a_folder_that_is_away_wait_and_lose_no_attempt(
    queue: IngestQueue, clock: Clock
) -> None:
    for path in ("/nas/a.mp4", "/nas2/b.mp4", "/nas/caf\udce9.mp4"):
        queue.offer(path, 1, 2)
    before = taken(queue)

    held = queue.hold("/nas")
    queue.wait(before)
    others = [taken(queue).path, queue.lease("worker", 60.0)]
    clock.now_s += 100_000
    still = queue.busy()
    back = queue.unhold("/nas")
    order = [taken(queue) for _ in range(2)]

    assert (held, others, back) == (1, ["/nas2/b.mp4", None], 2)
    assert still is True  # only the lease of the other file ran out
    assert {(job.path, job.attempts) for job in order} == {
        ("/nas/a.mp4", 0),
        ("/nas2/b.mp4", 0),
    }


def test_held_files_do_not_slow_the_others_down(queue: IngestQueue, archive: Archive) -> None:
    with archive.transaction() as db:
        db.conn.executemany(
            "INSERT INTO jobs(path, size_bytes, mtime_ns, offered_s) VALUES (?, 1, 2, 3)",
            [(f"/nas/{number:05}.mp4",) for number in range(MANY)],
        )
    queue.hold("/nas")
    queue.offer("/here.mp4", 1, 2)
    ticks: list[None] = []

    archive.connect().conn.set_progress_handler(lambda: ticks.append(None), 10)
    found = taken(queue)
    archive.connect().conn.set_progress_handler(None, 0)

    assert found.path == "/here.mp4"
    assert len(ticks) < 100


def test_held_file_that_changed_is_queued_with_its_new_content(queue: IngestQueue) -> None:
    queue.offer("/nas/a.mp4", 1, 2)
    queue.hold("/nas")

    queue.offer("/nas/a.mp4", 2, 3)

    assert taken(queue).size_bytes == 2


def test_failed_file_is_tried_again_with_new_attempts(queue: IngestQueue) -> None:
    queue.offer("/a.mp4", 1, 2)
    job = taken(queue)
    queue.fail(job, "broken", retry=True)

    done = queue.retry(job.id), queue.retry(job.id), queue.retry(99)

    assert done == (True, False, None)
    again = taken(queue)
    assert (again.attempts, again.reason) == (0, "")


def test_all_failed_files_are_tried_again_and_no_others(queue: IngestQueue) -> None:
    for name in "abc":
        queue.offer(f"/{name}.mp4", 1, 2)
    queue.fail(taken(queue), "broken", retry=False)
    queue.done(taken(queue), [])
    queue.fail(taken(queue), "broken", retry=False)

    assert queue.retry_all() == 2
    counts = queue.counts()
    assert (counts[JobState.QUEUED], counts[JobState.DONE], counts[JobState.FAILED]) == (2, 1, 0)


def failed(archive: Archive, builds: BuildQueue) -> int:
    recording = add(Trees(archive))
    build = builds.lease("worker", 60.0)
    assert build is not None
    builds.fail(build, "no model", retry=False)
    return recording.id


def test_failed_recording_is_tried_again(archive: Archive, builds: BuildQueue) -> None:
    number = failed(archive, builds)

    done = builds.retry(number), builds.retry(number), builds.retry(99)

    assert done == (True, False, None)
    assert builds.lease("worker", 60.0) is not None


def test_all_failed_recordings_are_tried_again(archive: Archive, builds: BuildQueue) -> None:
    failed(archive, builds)

    assert (builds.retry_all(), builds.retry_all()) == (1, 0)
    assert builds.counts()[BuildState.QUEUED] == 1


def test_recording_waits_while_a_file_of_it_is_away(archive: Archive, builds: BuildQueue) -> None:
    add(Trees(archive))

    held, while_away = builds.hold("/drop"), builds.lease("worker", 60.0)
    back = builds.unhold("/drop")

    assert (held, while_away, back) == (1, None, 1)
    assert builds.lease("worker", 60.0) is not None


def test_recording_that_was_given_back_waits_until_its_folder_is_back(
    archive: Archive, builds: BuildQueue
) -> None:
    add(Trees(archive))
    build = builds.lease("worker", 60.0)
    assert build is not None

    builds.wait(build)

    assert builds.lease("worker", 60.0) is None
    builds.unhold_all()
    assert builds.lease("worker", 60.0) is not None
