"""What becomes of the piece of work in hand when memory, disk or database give way."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from edge_lvr1.config import Ingest, Settings
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.ingest.building import Building
from edge_lvr1.daemon.ingest.ingest_work import BuildWork, IntakeWork
from edge_lvr1.daemon.ingest.intake import Intake
from edge_lvr1.daemon.questions.answering import Answering
from edge_lvr1.daemon.questions.model_servers import Away
from edge_lvr1.daemon.questions.question_work import QuestionWork
from edge_lvr1.domain import Node, Question, Verdict
from edge_lvr1.errors import StoreError, StoreFull
from edge_lvr1.media.decoder import HERE, Decoder
from edge_lvr1.media.patterns import PATTERNS
from edge_lvr1.media.probe import Probe
from edge_lvr1.models.load import tree_of
from edge_lvr1.store.builds import BuildQueue
from edge_lvr1.store.ingest import IngestQueue
from edge_lvr1.store.queues import JobState, QuestionQueue, QuestionState
from edge_lvr1.store.shelf import Shelf
from edge_lvr1.tree.build import Builder
from tests.daemon.conftest import STARTS_AT, store
from tests.daemon.fakes import FakeCaptioner, ScriptedAgent, answer


@dataclass
class Trouble:
    """Raises `error` for the first `times` calls, after so many that go well."""

    error: Exception
    times: int = 1
    after: int = 0

    def __call__(self, node: Node | None = None) -> None:
        if self.after:
            self.after -= 1
        elif self.times:
            self.times -= 1
            raise self.error


def build_work(context: Context, before: Callable[[Node], None]) -> BuildWork:
    builder = Builder(
        context.trees,
        context.glances,
        FakeCaptioner(before),
        tree_of(context.settings),
        context.settings.ingest,
    )
    return BuildWork(context, Building(builder, HERE), Away("captioner", context.faults))


def intake_work(context: Context, root: Path) -> IntakeWork:
    settings = Settings(data=context.settings.data, watch=(root,), ingest=Ingest())
    shelf = Shelf(context.archive, context.clock)
    intake = Intake(context.trees, shelf, context.jobs, HERE, settings, PATTERNS, "fake")
    return IntakeWork(context, intake)


def question_work(context: Context, before: Callable[[], None]) -> QuestionWork:
    answering = Answering(
        context.archive,
        context.trees,
        context.jobs,
        Builder(
            context.trees,
            context.glances,
            FakeCaptioner(),
            tree_of(context.settings),
            context.settings.ingest,
        ),
        ScriptedAgent(*[answer("Yes, in (1).")] * 9, before=before),
        HERE,
        lambda: 0.0,
    )
    context.questions.put(Question("q1", "Is there a lorry?", STARTS_AT))
    return QuestionWork(context, answering, Away("agent", context.faults))


def row_of(context: Context, recording: int) -> dict[str, object]:
    row = context.archive.row(
        "SELECT state, attempts, lost, reason FROM recordings WHERE id = ?", [recording]
    )
    assert row is not None
    return row


@pytest.mark.parametrize("other_time", [False, True], ids=["of the same age", "younger"])
def test_file_that_another_replaced_while_it_was_read_is_taken_all_the_same(
    context: Context, footage: Path, tmp_path: Path, other_time: bool
) -> None:
    root = tmp_path / "watched"
    root.mkdir()
    file = Path(shutil.copy2(footage, root / "yard.mp4"))
    now = file.stat()
    context.jobs.offer(str(file), now.st_size, now.st_mtime_ns)
    work = intake_work(context, root)
    probe = work.intake.decoder.probe

    class Replacing:
        """Has the file replaced by another of its size, before it is probed."""

        def probe(self, path: Path) -> Probe:
            beside = Path(shutil.copy2(path, root / ".yard.part"))
            if other_time:
                os.utime(beside, ns=(1, 1))
            beside.replace(path)
            return probe(path)

    work.intake = replace(work.intake, decoder=cast("Decoder", Replacing()))
    assert work()

    (job,) = context.jobs.jobs()
    expected = (JobState.FAILED, 1) if other_time else (JobState.QUEUED, 1)
    assert (job.state, job.attempts) == expected
    assert context.offers.pending() == int(other_time)


def test_recording_for_which_memory_runs_out_fails_alone_with_its_reason(
    context: Context, footage: Path
) -> None:
    first = store(context, footage, "yard", captioned=False)
    second = store(context, footage, "gate", captioned=False)
    work = build_work(context, Trouble(MemoryError()))

    assert work()
    assert work()

    row = row_of(context, first.id)
    assert (row["state"], row["attempts"]) == ("queued", 1)
    assert "ran out of memory" in str(row["reason"])
    assert context.trees.progress(second.id).complete


def test_file_for_which_memory_runs_out_fails_alone_with_its_reason(
    context: Context, tmp_path: Path, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(footage)
    now = path.stat()
    context.jobs.offer(str(path), now.st_size, now.st_mtime_ns)
    work = intake_work(context, path.parent)
    with monkeypatch.context() as patch:
        patch.setattr(Intake, "take_in", lambda *_: (_ for _ in ()).throw(MemoryError))

        assert work()

    (job,) = context.jobs.jobs()
    assert (job.state, job.attempts) == (JobState.QUEUED, 1)
    assert "ran out of memory" in job.reason


def test_question_for_which_memory_runs_out_fails_and_the_next_is_answered(
    context: Context, footage: Path
) -> None:
    store(context, footage)
    work = question_work(context, Trouble(MemoryError()))
    context.questions.put(Question("q2", "Is there a lorry?", STARTS_AT))

    assert work()
    assert work()

    first, second = context.questions.get("q1").answer, context.questions.get("q2").answer
    assert first is not None
    assert second is not None
    assert first.verdict is Verdict.FAILED
    assert "ran out of memory" in first.text
    assert second.verdict is Verdict.ANSWERED


def test_recording_in_hand_is_put_down_when_ingest_pauses_and_goes_on_where_it_was(
    context: Context, footage: Path
) -> None:
    recording = store(context, footage, captioned=False)
    paused, captioned = [False], list[Node]()

    def before(node: Node) -> None:
        captioned.append(node)
        paused[0] = len(captioned) == 3

    work = build_work(replace(context, paused=lambda: paused[0]), before)

    assert work()
    put_down, done = row_of(context, recording.id), context.trees.progress(recording.id).captioned
    paused[0] = False
    assert work()

    assert put_down == {"state": "queued", "attempts": 0, "lost": 0, "reason": ""}
    assert done == 3
    assert context.trees.progress(recording.id).complete
    assert len(captioned) == len({node.id for node in captioned})


def test_file_in_hand_is_put_down_when_ingest_pauses(context: Context, footage: Path) -> None:
    now = footage.stat()
    context.jobs.offer(str(footage), now.st_size, now.st_mtime_ns)
    paused = [True]
    work = intake_work(replace(context, paused=lambda: paused[0]), footage.parent)

    assert work()
    (put_down,) = context.jobs.jobs()
    paused[0] = False
    assert work()

    assert (put_down.state, put_down.attempts, put_down.reason) == (JobState.QUEUED, 0, "")
    assert context.jobs.jobs()[0].state is JobState.PLACED


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), StoreFull("full")])
def test_disk_that_is_full_costs_a_recording_no_try(
    context: Context, footage: Path, error: Exception
) -> None:
    recording = store(context, footage, captioned=False)
    work = build_work(context, Trouble(error))

    with pytest.raises(StoreFull):
        work()
    assert work()

    assert row_of(context, recording.id) == {
        "state": "done",
        "attempts": 0,
        "lost": 0,
        "reason": "",
    }


def failing(
    monkeypatch: pytest.MonkeyPatch, kind: type, name: str, times: int = 2
) -> pytest.MonkeyPatch:
    """The queue's write fails so often, then works."""
    real, left = getattr(kind, name), [times]

    def method(self: object, *given: object, **named: object) -> object:
        if left[0]:
            left[0] -= 1
            raise StoreError("the database is held by another program")
        return real(self, *given, **named)

    monkeypatch.setattr(kind, name, method)
    return monkeypatch


def test_recording_whose_end_could_not_be_stored_is_not_captioned_again(
    context: Context, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = store(context, footage, captioned=False)
    captioned: list[Node] = []
    work = build_work(context, captioned.append)
    failing(monkeypatch, BuildQueue, "done")
    tries = 0
    while context.builds.waiting():
        tries += 1
        assert tries < 9
        try:
            work()
        except StoreError:
            continue

    assert row_of(context, recording.id)["state"] == "done"
    assert row_of(context, recording.id)["lost"] == 0
    assert len(captioned) == len({node.id for node in captioned})


def test_failure_that_could_not_be_stored_is_stored_later(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no footage")
    context.jobs.offer(str(path), 10, path.stat().st_mtime_ns)
    work = intake_work(context, tmp_path)
    failing(monkeypatch, IngestQueue, "fail")

    for _ in range(2):
        with pytest.raises(StoreError):
            work()
    work()

    (job,) = context.jobs.jobs()
    assert job.state is JobState.FAILED
    assert job.reason


def test_answer_that_could_not_be_stored_is_stored_later_and_not_asked_for_again(
    context: Context, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(context, footage)
    asked: list[None] = []
    work = question_work(context, lambda: asked.append(None))
    failing(monkeypatch, QuestionQueue, "finish")

    for _ in range(2):
        with pytest.raises(StoreError):
            work()
    work()

    found = context.questions.get("q1")
    assert found.state is QuestionState.DONE
    assert found.answer is not None
    assert found.answer.verdict is Verdict.ANSWERED
    assert len(asked) == found.answer.rounds


def test_question_whose_steps_cannot_be_stored_is_asked_again_from_its_start(
    context: Context, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(context, footage)
    work = question_work(context, lambda: None)
    failing(monkeypatch, QuestionQueue, "add_step", times=1)

    with pytest.raises(StoreError):
        work()
    work()

    found = context.questions.get("q1")
    assert found.state is QuestionState.DONE
    assert found.answer is not None
    assert [step.round for step in found.steps] == list(range(1, found.answer.rounds + 1))
