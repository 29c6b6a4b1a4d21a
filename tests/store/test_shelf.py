from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from edge_lvr1.domain import Confidence, Recording, StartSource, TakenFile
from edge_lvr1.media.joining import Joined, cell, join
from edge_lvr1.store.builds import Build, BuildQueue, BuildState
from edge_lvr1.store.db import Archive
from edge_lvr1.store.ingest import IngestQueue, Job, JobState
from edge_lvr1.store.shelf import Cell, Shelf
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.plan import plan_tree
from tests.store.footage import NOON, Clock, caption

LONGEST_S = 7200.0


class Desk:
    """A shelf with its queues, as a daemon uses them."""

    def __init__(self, archive: Archive, clock: Clock) -> None:
        self.trees = Trees(archive)
        self.jobs = IngestQueue(archive, clock)
        self.shelf = Shelf(archive, clock)
        self.builds = BuildQueue(archive, clock)

    def take(
        self,
        name: str,
        start_s: float,
        *,
        duration_s: float = 10.0,
        sha256: str = "",
        confidence: Confidence = Confidence.SURE,
    ) -> Job:
        """Offer, lease and put a file of the camera "gate"."""
        path = f"/drop/{name}.mp4"
        self.jobs.offer(path, 10, round(start_s) + len(sha256), again=True)
        job = self.jobs.lease("worker", 60.0)
        assert job is not None
        source = StartSource.FILE_NAME
        if confidence is Confidence.GUESSED:
            source = StartSource.MTIME
        file = replace(
            taken(name, start_s, sha256),
            start_source=source,
            confidence=confidence,
            duration_s=duration_s,
        )
        assert self.shelf.put(job, file, cell(file.starts_at, LONGEST_S))
        return job

    def put_together(self) -> list[int]:
        changed = []
        for one in self.shelf.stirred():
            changed += self.shelf.put_together(one, rule, "scripted")
        return changed

    def build(self) -> Build:
        build = self.builds.lease("worker", 60.0)
        assert build is not None
        return build

    def caption_all(self, build: Build) -> None:
        recording = self.trees.recording(build.recording)
        self.trees.put_plan(recording.id, plan_tree(recording.duration_s), build.revision)
        for node in self.trees.plan(recording.id).nodes:
            self.trees.put_caption(recording.id, caption(node))
        assert self.builds.done(build)

    def files(self) -> list[list[str]]:
        return [names(recording) for recording in self.trees.recordings()]

    def job(self, job: Job) -> Job:
        found = self.jobs.job(job.id)
        assert found is not None
        return found


def taken(name: str, start_s: float, sha256: str = "") -> TakenFile:
    """Ten seconds of the camera "gate", whose name states its start."""
    return TakenFile(
        id=0,
        path=f"/drop/{name}.mp4",
        camera="gate",
        starts_at=NOON + timedelta(seconds=start_s),
        start_source=StartSource.FILE_NAME,
        confidence=Confidence.SURE,
        duration_s=10.0,
        size_bytes=10,
        mtime_ns=20,
        sha256=sha256 or name,
    )


def rule(files: Sequence[TakenFile]) -> list[Joined]:
    return join(files, 2.0, LONGEST_S)


def names(recording: Recording) -> list[str]:
    return [part.path.removeprefix("/drop/").removesuffix(".mp4") for part in recording.parts]


@pytest.fixture
def desk(archive: Archive, clock: Clock) -> Desk:
    return Desk(archive, clock)


def test_parts_without_a_gap_are_one_recording_in_any_order(desk: Desk) -> None:
    for name, start_s in (("c", 20.0), ("a", 0.0), ("b", 10.5), ("later", 60.0)):
        desk.take(name, start_s)
        desk.put_together()

    assert desk.files() == [["a", "b", "c"], ["later"]]
    first = desk.trees.recordings()[0]
    assert (first.starts_at, first.duration_s) == (NOON, 30.0)
    assert [part.offset_s for part in first.parts] == [0.0, 10.5, 20.0]
    assert first.confidence is Confidence.SURE


def test_what_did_not_change_keeps_its_captions(desk: Desk) -> None:
    desk.take("a", 0.0)
    desk.take("far", 100.0)
    desk.take("end", 200.0)
    desk.put_together()
    desk.builds.close(30.0, idle=False)
    while desk.builds.waiting():
        desk.caption_all(desk.build())

    desk.take("b", 10.0)
    changed = desk.put_together()

    first, far, _ = desk.trees.recordings()
    assert changed == [first.id]
    assert names(first) == ["a", "b"]
    assert desk.trees.progress(first.id).total == 0
    assert desk.trees.captions(first.id) == []
    assert desk.trees.progress(far.id).complete


def test_part_that_comes_late_keeps_the_recordings_number(desk: Desk) -> None:
    desk.take("b", 10.0)
    desk.put_together()
    (before,) = desk.trees.recordings()

    desk.take("a", 0.0)
    desk.put_together()

    (after,) = desk.trees.recordings()
    assert after.id == before.id
    assert names(after) == ["a", "b"]
    assert desk.trees.revision(after.id) == 1


def test_part_between_two_recordings_makes_them_one(desk: Desk) -> None:
    desk.take("a", 0.0)
    desk.take("c", 20.0)
    desk.put_together()
    assert desk.files() == [["a"], ["c"]]

    desk.take("b", 10.0)
    desk.put_together()

    assert desk.files() == [["a", "b", "c"]]


def test_replaced_file_makes_its_recording_anew(desk: Desk) -> None:
    desk.take("a", 0.0)
    desk.put_together()
    desk.builds.close(30.0, idle=False)

    desk.take("a", 0.0, sha256="other bytes")
    desk.put_together()

    (recording,) = desk.trees.recordings()
    assert recording.parts[0].sha256 == "other bytes"
    assert desk.trees.revision(recording.id) == 1


def test_file_of_long_ago_is_closed_once_nothing_waits(desk: Desk, clock: Clock) -> None:
    clock.now_s = NOON.timestamp() + 86400.0
    desk.take("a", 0.0)
    desk.put_together()

    assert desk.builds.close(30.0, idle=False) == 0
    assert desk.builds.close(30.0, idle=True) == 1


def test_footage_of_now_is_closed_after_a_quiet_time(desk: Desk, clock: Clock) -> None:
    clock.now_s = NOON.timestamp() + 12.0
    desk.take("a", 0.0)
    desk.put_together()

    assert desk.builds.close(30.0, idle=True) == 0
    clock.now_s += 31.0
    assert desk.builds.close(30.0, idle=True) == 1


def test_recording_is_closed_by_what_comes_behind_it(desk: Desk, clock: Clock) -> None:
    clock.now_s = NOON.timestamp() + 30.0
    desk.take("a", 0.0)
    desk.take("b", 20.0)
    desk.put_together()

    assert desk.builds.close(30.0, idle=False) == 1
    assert desk.builds.counts()[BuildState.OPEN] == 1


def test_guessed_start_is_closed_at_once(desk: Desk, clock: Clock) -> None:
    clock.now_s = NOON.timestamp()
    desk.take("a", 0.0, confidence=Confidence.GUESSED)
    desk.put_together()

    assert desk.builds.close(30.0, idle=False) == 1


def test_jobs_end_with_their_recordings(desk: Desk) -> None:
    jobs = [desk.take("a", 0.0), desk.take("b", 10.0)]
    desk.put_together()
    (recording,) = desk.trees.recordings()
    assert [(desk.job(job).state, desk.job(job).recordings) for job in jobs] == [
        (JobState.PLACED, (recording.id,))
    ] * 2

    desk.builds.close(0.0, idle=True)
    desk.caption_all(desk.build())

    assert [desk.job(job).state for job in jobs] == [JobState.DONE] * 2


def test_failed_recording_fails_its_jobs_and_is_tried_when_offered_again(desk: Desk) -> None:
    job = desk.take("a", 0.0)
    desk.put_together()
    desk.builds.close(0.0, idle=True)
    desk.builds.fail(desk.build(), "no picture decodes", retry=False)
    assert (desk.job(job).state, desk.job(job).reason) == (JobState.FAILED, "no picture decodes")

    desk.take("a", 0.0)
    desk.put_together()

    assert desk.builds.counts()[BuildState.QUEUED] == 1
    desk.caption_all(desk.build())
    assert desk.job(job).state is JobState.DONE


def test_recording_whose_parts_changed_cannot_be_ended_by_who_held_it(desk: Desk) -> None:
    desk.take("a", 0.0)
    desk.put_together()
    desk.builds.close(0.0, idle=True)
    held = desk.build()

    desk.take("b", 10.0)
    desk.put_together()

    assert not desk.builds.done(held)
    assert not desk.builds.renew(held, 60.0)
    assert not desk.trees.put_plan(held.recording, plan_tree(10.0), held.revision)
    assert desk.builds.counts()[BuildState.OPEN] == 1


def test_recording_that_ends_the_program_time_and_again_is_set_aside(desk: Desk) -> None:
    job = desk.take("a", 0.0)
    desk.put_together()
    desk.builds.close(0.0, idle=True)
    for _ in range(5):
        desk.build()
        desk.builds.release_all()

    assert desk.builds.lease("worker", 60.0) is None
    assert desk.job(job).reason == "the program ended 5 times while captioning it"


def test_moved_file_keeps_its_recording(desk: Desk) -> None:
    desk.take("a", 0.0)
    desk.put_together()
    (before,) = desk.trees.recordings()
    desk.jobs.offer("/drop/new.mp4", 10, 99)
    job = desk.jobs.lease("worker", 60.0)
    assert job is not None

    assert desk.shelf.moved(job, "/drop/a.mp4", "/drop/new.mp4", 99)
    desk.put_together()

    (after,) = desk.trees.recordings()
    assert (after.id, names(after)) == (before.id, ["new"])
    assert desk.job(job).recordings == (before.id,)
    assert [part.path for part in after.parts] == ["/drop/new.mp4"]


def test_job_of_a_file_that_moved_names_no_recording_that_may_become_another(desk: Desk) -> None:
    first = desk.take("a", 20.0)
    desk.put_together()
    desk.builds.close(0.0, idle=True)
    desk.caption_all(desk.build())
    desk.jobs.offer("/drop/new.mp4", 10, 99)
    second = desk.jobs.lease("worker", 60.0)
    assert second is not None

    desk.shelf.moved(second, "/drop/a.mp4", "/drop/new.mp4", 99)
    desk.put_together()

    old = desk.job(first)
    assert (old.state, old.recordings) == (JobState.DONE, ())
    assert old.reason == "it lies at /drop/new.mp4 now"


def test_job_of_a_file_that_moved_before_it_was_captioned_ends(desk: Desk) -> None:
    first = desk.take("a", 0.0, confidence=Confidence.GUESSED)
    desk.put_together()
    desk.jobs.offer("/drop/new.mp4", 10, 99)
    second = desk.jobs.lease("worker", 60.0)
    assert second is not None

    desk.shelf.moved(second, "/drop/a.mp4", "/drop/new.mp4", 99)
    desk.put_together()
    desk.builds.close(0.0, idle=True)
    desk.caption_all(desk.build())

    assert (desk.job(first).state, desk.job(second).state) == (JobState.DONE, JobState.DONE)
    assert desk.job(first).reason == "it lies at /drop/new.mp4 now"


def test_file_that_moved_over_another_takes_its_place(desk: Desk) -> None:
    desk.take("a", 0.0)
    desk.take("b", 500.0)
    desk.put_together()
    desk.jobs.offer("/drop/b.mp4", 10, 99)
    job = desk.jobs.lease("worker", 60.0)
    assert job is not None

    desk.shelf.moved(job, "/drop/a.mp4", "/drop/b.mp4", 99)
    desk.put_together()

    assert desk.files() == [["b"]]


def test_file_of_a_lost_lease_is_not_put(desk: Desk) -> None:
    job = desk.take("a", 0.0)

    assert not desk.shelf.put(job, taken("a", 0.0), 0)

    assert desk.shelf.stirred() == [Cell("gate", cell(NOON, LONGEST_S))]


def test_same_bytes_are_the_same_footage_unless_both_names_state_other_times(desk: Desk) -> None:
    desk.take("a", 0.0, sha256="same")
    copy = replace(taken("copy", 50.0, "same"), start_source=StartSource.MTIME)

    def known(file: TakenFile) -> str | None:
        found = desk.shelf.same_footage(file)
        return found.path if found else None

    assert known(taken("again", 0.0, "same")) == "/drop/a.mp4"
    assert known(taken("later", 50.0, "same")) is None
    assert known(copy) == "/drop/a.mp4"
    assert known(taken("a", 0.0, "same")) is None
    assert known(taken("other", 0.0, "other")) is None


def test_clock_that_was_set_back_does_not_keep_recordings_open(desk: Desk, clock: Clock) -> None:
    clock.now_s = (NOON + timedelta(seconds=10)).timestamp()
    desk.take("a", 0.0)
    desk.put_together()

    clock.now_s -= 20.0
    soon = desk.builds.close(30.0, idle=True)
    clock.now_s -= 3600.0
    later = desk.builds.close(30.0, idle=True)

    assert (soon, later) == (0, 1)
