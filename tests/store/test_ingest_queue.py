from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_lvr1.store.db import Archive
from edge_lvr1.store.queues import IngestQueue, Job, JobState
from tests.store.footage import Clock


@pytest.fixture
def queue(archive: Archive, clock: Clock) -> IngestQueue:
    return IngestQueue(archive, clock, max_attempts=3, retry_after_s=5.0)


def taken(queue: IngestQueue, owner: str = "worker") -> Job:
    job = queue.lease(owner, 60.0)
    assert job is not None
    return job


def only(queue: IngestQueue) -> Job:
    (job,) = queue.jobs()
    return job


def test_files_are_leased_in_the_order_offered(queue: IngestQueue) -> None:
    for name in ("b", "a", "c"):
        queue.offer(f"/drop/{name}.mp4", 10, 20)

    assert [taken(queue).path for _ in range(3)] == ["/drop/b.mp4", "/drop/a.mp4", "/drop/c.mp4"]
    assert queue.lease("worker", 60.0) is None


def test_same_file_is_offered_once_whatever_its_state(queue: IngestQueue) -> None:
    assert queue.offer("/a.mp4", 10, 20) is not None
    assert queue.offer("/a.mp4", 10, 20) is None
    job = taken(queue)
    assert queue.offer("/a.mp4", 10, 20) is None
    queue.done(job, [1])
    assert queue.offer("/a.mp4", 10, 20) is None
    assert only(queue).state is JobState.DONE


def test_files_are_known_as_they_were_last_offered(queue: IngestQueue) -> None:
    raw = os.fsdecode(b"/caf\xe9.mp4")
    queue.offer("/a.mp4", 10, 20)
    queue.offer("/a.mp4", 11, 21)
    queue.offer(raw, 30, 40)

    known = queue.known(["/a.mp4", raw, "/never.mp4", os.fsdecode(b"/other\xff.mp4")])

    assert known == {"/a.mp4": (11, 21), raw: (30, 40)}
    assert queue.known([]) == {}


def test_done_job_knows_its_recordings(queue: IngestQueue, clock: Clock) -> None:
    queue.offer("/a.mp4", 10, 20)
    clock.now_s = 1009.0

    assert queue.done(taken(queue), [4, 5], "same footage as /b.mp4")

    job = only(queue)
    assert (job.recordings, job.reason) == ((4, 5), "same footage as /b.mp4")
    assert (job.offered_s, job.finished_s, job.owner) == (1000.0, 1009.0, None)


@pytest.mark.parametrize("changed", [(11, 20), (10, 21)])
def test_changed_file_is_queued_again(queue: IngestQueue, changed: tuple[int, int]) -> None:
    queue.offer("/a.mp4", 10, 20)
    queue.fail(taken(queue), "broken", retry=False)

    again = queue.offer("/a.mp4", *changed)

    assert again is not None
    assert (again.state, again.attempts, again.reason) == (JobState.QUEUED, 0, "")
    assert (again.size_bytes, again.mtime_ns) == changed
    assert len(queue.jobs()) == 1


@pytest.mark.parametrize("end", ["done", "fail", "release"])
def test_file_that_changes_while_it_is_taken_in_is_taken_again(
    queue: IngestQueue, end: str
) -> None:
    queue.offer("/a.mp4", 10, 20)
    job = taken(queue)
    changed = queue.offer("/a.mp4", 99, 20)
    assert changed is not None
    assert changed.state is JobState.LEASED

    if end == "done":
        queue.done(job, [1])
    elif end == "fail":
        queue.fail(job, "cut short", retry=False)
    else:
        queue.release(job)

    assert only(queue).state is JobState.QUEUED
    assert taken(queue).size_bytes == 99


def test_failed_file_is_tried_again_when_asked_for(queue: IngestQueue) -> None:
    queue.offer("/a.mp4", 10, 20)
    queue.fail(taken(queue), "broken", retry=False)

    again = queue.offer("/a.mp4", 10, 20, again=True)

    assert again is not None
    assert taken(queue).id == again.id
    assert queue.offer("/a.mp4", 10, 20, again=True) is None


def test_failure_is_kept_with_its_reason(queue: IngestQueue) -> None:
    queue.offer("/a.mp4", 10, 20)

    queue.fail(taken(queue), "it holds no picture", retry=False)

    job = only(queue)
    assert (job.state, job.reason, job.attempts) == (JobState.FAILED, "it holds no picture", 1)
    assert queue.jobs(JobState.FAILED) == [job]
    assert queue.jobs(JobState.QUEUED) == []
    assert queue.counts()[JobState.FAILED] == 1


def test_passing_failure_waits_longer_each_time_and_then_is_final(
    queue: IngestQueue, clock: Clock
) -> None:
    queue.offer("/a.mp4", 10, 20)

    for wait_s in (5.0, 10.0):
        queue.fail(taken(queue), "input/output error", retry=True)
        assert only(queue).state is JobState.QUEUED
        clock.now_s += wait_s - 0.1
        assert queue.lease("worker", 60.0) is None
        clock.now_s += 0.1
    queue.fail(taken(queue), "input/output error", retry=True)

    assert (only(queue).state, only(queue).attempts) == (JobState.FAILED, 3)


def test_file_that_waits_for_its_retry_holds_up_no_other(queue: IngestQueue) -> None:
    queue.offer("/a.mp4", 10, 20)
    queue.fail(taken(queue), "input/output error", retry=True)
    queue.offer("/b.mp4", 10, 20)

    assert taken(queue).path == "/b.mp4"


def test_lease_that_ran_out_is_for_the_next(queue: IngestQueue, clock: Clock) -> None:
    queue.offer("/a.mp4", 10, 20)
    lost = taken(queue, "first")
    clock.now_s += 59.9
    assert queue.lease("second", 60.0) is None
    clock.now_s += 0.1

    job = taken(queue, "second")

    assert job.id == lost.id
    assert queue.done(lost, [1]) is False
    assert queue.fail(lost, "late", retry=False) is False
    assert queue.release(lost) is False
    assert queue.renew(lost, 60.0) is False
    assert queue.done(job, [2]) is True
    assert only(queue).recordings == (2,)


def test_same_owner_does_not_hold_a_lease_it_lost(queue: IngestQueue) -> None:
    queue.offer("/a.mp4", 10, 20)
    before = taken(queue)
    queue.release_all()
    after = taken(queue)

    assert queue.done(before, [1]) is False
    assert queue.done(after, [1]) is True


def test_renewed_lease_holds(queue: IngestQueue, clock: Clock) -> None:
    queue.offer("/a.mp4", 10, 20)
    job = taken(queue)
    clock.now_s += 50
    assert queue.renew(job, 60.0)
    clock.now_s += 50

    assert queue.lease("other", 60.0) is None
    assert queue.done(job, [])


def test_released_job_is_leased_again(queue: IngestQueue) -> None:
    queue.offer("/a.mp4", 10, 20)
    job = taken(queue)

    assert queue.release(job)

    assert (only(queue).state, only(queue).attempts) == (JobState.QUEUED, 0)
    assert taken(queue).id == job.id


def test_start_of_a_daemon_frees_what_the_last_one_held(queue: IngestQueue) -> None:
    queue.offer("/a.mp4", 10, 20)
    queue.offer("/b.mp4", 10, 20)
    queue.done(taken(queue), [1])
    taken(queue)

    assert queue.release_all() == 1

    assert [job.state for job in queue.jobs()] == [JobState.DONE, JobState.QUEUED]


def test_file_that_takes_the_program_down_is_set_aside(queue: IngestQueue) -> None:
    queue.offer("/poison.mp4", 10, 20)
    queue.offer("/good.mp4", 10, 20)
    for _ in range(5):
        assert taken(queue).path == "/poison.mp4"
        queue.release_all()

    assert taken(queue).path == "/good.mp4"

    poison = queue.jobs(JobState.FAILED)[0]
    assert (poison.path, poison.reason) == (
        "/poison.mp4",
        "the program ended 5 times while taking it in",
    )


def test_job_is_found_by_its_number(queue: IngestQueue) -> None:
    offered = queue.offer("/a.mp4", 10, 20)

    assert offered is not None
    assert queue.job(offered.id) == offered
    assert queue.job(99) is None


def test_path_that_is_not_utf8_comes_back_exactly(queue: IngestQueue) -> None:
    name = b"/drop/\xff\xe9.mp4".decode("utf-8", "surrogateescape")

    assert queue.offer(name, 10, 20) is not None

    assert queue.offer(name, 10, 20) is None
    assert taken(queue).path == name


def test_workers_never_get_the_same_job(queue: IngestQueue) -> None:
    for number in range(60):
        queue.offer(f"/drop/{number}.mp4", 10, 20)

    def work(owner: str) -> list[int]:
        mine = []
        while job := queue.lease(owner, 60.0):
            mine.append(job.id)
            assert queue.done(job, [])
        return mine

    with ThreadPoolExecutor(4) as pool:
        worked = [future.result() for future in [pool.submit(work, f"w{n}") for n in range(4)]]

    assert sorted(number for mine in worked for number in mine) == list(range(1, 61))
