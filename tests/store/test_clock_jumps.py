"""Queues under a wall clock that is set, forward and back: nothing lost, parked or done twice."""

from __future__ import annotations

import pytest

from edge_lvr1.domain import Answer, Verdict
from edge_lvr1.store.db import Archive
from edge_lvr1.store.queues import BuildQueue, IngestQueue, JobState, QuestionQueue, QuestionState
from edge_lvr1.store.trees import Trees
from tests.store.footage import Clock, add, question

JUMPS_S = [86_400.0, -3600.0, -1_500_000_000.0]  # a day ahead, an hour back, back to 1978


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_work_in_hand_stays_in_hand_when_the_clock_is_set(archive: Archive, jump_s: float) -> None:
    clock = Clock()
    clock.now_s = 1_773_000_000.0
    jobs, builds = IngestQueue(archive, clock), BuildQueue(archive, clock)
    questions = QuestionQueue(archive, clock)
    jobs.offer("/drop/a.mp4", 1, 2)
    add(Trees(archive))
    questions.put(question())
    job = jobs.lease("worker", 600.0)
    build = builds.lease("worker", 600.0)
    asked = questions.lease("worker", 600.0)
    assert job
    assert build
    assert asked

    clock.now_s += jump_s

    assert jobs.renew(job, 600.0)
    assert builds.renew(build, 600.0)
    assert questions.renew(asked, 600.0)
    assert (jobs.lease("other", 600.0), builds.lease("other", 600.0)) == (None, None)
    assert questions.lease("other", 600.0) is None
    assert jobs.done(job, [])
    assert builds.done(build)
    assert questions.finish("q1", Answer(Verdict.ANSWERED, "Yes."))


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_what_waits_for_another_try_is_not_parked_by_a_clock_that_is_set(
    archive: Archive, jump_s: float
) -> None:
    clock = Clock()
    clock.now_s = 1_773_000_000.0
    jobs, builds = IngestQueue(archive, clock), BuildQueue(archive, clock)
    jobs.offer("/drop/a.mp4", 1, 2)
    add(Trees(archive))
    job, build = jobs.lease("worker", 600.0), builds.lease("worker", 600.0)
    assert job
    assert build
    jobs.fail(job, "it stuttered", retry=True)
    builds.fail(build, "it stuttered", retry=True)
    assert not jobs.busy()
    assert (jobs.lease("worker", 600.0), builds.lease("worker", 600.0)) == (None, None)

    clock.now_s += jump_s

    assert jobs.busy()
    assert jobs.lease("worker", 600.0)
    assert builds.lease("worker", 600.0)


def test_question_whose_lease_ran_out_by_a_clock_that_was_set_is_answered_once(
    archive: Archive,
) -> None:
    clock = Clock()
    questions = QuestionQueue(archive, clock)
    questions.put(question())
    first = questions.lease("worker", 600.0)
    clock.now_s += 86_400.0
    again = questions.lease("worker", 600.0)
    assert first
    assert again

    ends = [
        questions.finish("q1", Answer(Verdict.ANSWERED, "Yes.")),
        questions.finish("q1", Answer(Verdict.NOT_FOUND, "No.")),
    ]

    assert ends == [True, False]
    found = questions.get("q1")
    assert (found.state, found.answer and found.answer.text) == (QuestionState.DONE, "Yes.")


def test_job_that_failed_for_good_stays_failed_when_the_clock_is_set(archive: Archive) -> None:
    clock = Clock()
    jobs = IngestQueue(archive, clock)
    jobs.offer("/drop/a.mp4", 1, 2)
    job = jobs.lease("worker", 600.0)
    assert job
    jobs.fail(job, "no picture", retry=False)

    clock.now_s -= 1e6

    assert jobs.lease("worker", 600.0) is None
    assert jobs.counts()[JobState.FAILED] == 1
