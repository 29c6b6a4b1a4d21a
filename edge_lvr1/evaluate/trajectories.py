"""Conversations as training data, in the sharegpt form that LLaMA-Factory reads.

Each conversation is `{"system", "conversations": [{"from": "human" | "gpt", "value"}]}` and
ends with the agent's own turn; what it was worth stands beside it in fields of its own, which
LLaMA-Factory leaves alone (https://github.com/hiyouga/LLaMA-Factory, data/README.md).
Conversations come from an archive's questions, or from the results of `edge-lvr1 eval`, which
know what was right. A question put to several recordings has a conversation for each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from edge_lvr1.domain import (
    Answer,
    Caption,
    CountObjects,
    FinalAnswer,
    Level,
    ListRecordings,
    Question,
    SearchCaptions,
    Step,
    Verdict,
)
from edge_lvr1.errors import DatasetError, NotFoundError
from edge_lvr1.evaluate.results import Result
from edge_lvr1.evaluate.score import score
from edge_lvr1.models.base import Message
from edge_lvr1.navigator.actions import is_not_found
from edge_lvr1.navigator.conversation import Conversation
from edge_lvr1.navigator.merge import Kind, kind_of
from edge_lvr1.store.questions import QuestionQueue, QuestionState
from edge_lvr1.store.trees import Trees

_MOST_QUESTIONS = 100_000
_FROM = {"user": "human", "assistant": "gpt"}
_MORE_TOOLS = {
    SearchCaptions: "search_captions",
    ListRecordings: "list_recordings",
    CountObjects: "count_objects",
}

DATASET_INFO: Mapping[str, Any] = {
    "formatting": "sharegpt",
    "columns": {"messages": "conversations", "system": "system"},
}
"""What LLaMA-Factory's dataset_info.json says of such a file, beside its file_name."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One conversation, and what it was worth.

    `verdict` is how this conversation ended; `answer` is the whole question's. `facts` are
    what is known of it where the right answer is: correct, location_f1 and reward, each None
    where it is not known.
    """

    question: Question
    recording: int
    messages: tuple[Message, ...]
    steps: tuple[Step, ...]
    verdict: Verdict
    answer: Answer
    facts: Mapping[str, float | bool | None]

    @property
    def reward(self) -> float | None:
        """LongVideo-R1's reward; None where the right answer or its place is not known."""
        value = self.facts.get("reward")
        return None if value is None else float(value)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which conversations are wanted; one without a reward passes no `min_reward`."""

    verdicts: frozenset[Verdict] = frozenset({Verdict.ANSWERED, Verdict.NOT_FOUND})
    min_reward: float | None = None

    def wants(self, one: Trajectory) -> bool:
        """Whether a conversation is wanted."""
        if one.verdict not in self.verdicts:
            return False
        if self.min_reward is None:
            return True
        return one.reward is not None and one.reward >= self.min_reward


def continued(begun: Conversation, steps: Iterable[Step]) -> Conversation:
    """The conversation that some rounds made of one that had begun, turn by turn."""
    for step in steps:
        begun = begun.replied(step.reply)
        # Nothing came back from an answer that stood.
        if step.observation:
            begun = begun.told(step.observation)
    return begun


def rebuild(
    question: Question, steps: Sequence[Step], duration_s: float, highs: Sequence[Caption]
) -> Conversation:
    """The conversation about one recording, from its rounds and its high captions.

    What the loop showed is rebuilt to the letter for a question that one recording answers.
    Of one that was put to several, what was carried over from the others is not kept.
    """
    before = steps[0].round - 1
    begun = Conversation.begin(
        question,
        duration_s,
        highs,
        last=question.max_rounds - before == 1,
        tools=[_MORE_TOOLS[type(one.action)] for one in steps if type(one.action) in _MORE_TOOLS],
    )
    return continued(begun, steps)


def from_archive(questions: QuestionQueue, trees: Trees) -> Iterator[Trajectory]:
    """Every question that an archive has an answer to, the oldest first.

    A conversation about a recording that is gone, or whose captions are, is left out.
    """
    done = questions.list(QuestionState.DONE, _MOST_QUESTIONS)
    for record in reversed(done):
        steps = questions.steps(record.question.id)
        if record.answer is None or not steps:
            continue
        asked = _asked(record.question, record.answer, steps)
        for recording, own in _by_recording(steps):
            with suppress(NotFoundError):
                plan = trees.plan(recording)
                highs = trees.captions(recording, Level.HIGH)
                if len(highs) == plan.width:
                    built = rebuild(asked, own, plan.duration_s, highs)
                    yield _trajectory(record.question, record.answer, built, own, {})


def from_results(results: Iterable[Result]) -> Iterator[Trajectory]:
    """Every conversation of a measurement, with its rewards."""
    for result in results:
        scored = score(result.item, result)
        facts = {
            "correct": scored.correct,
            "location_f1": scored.location_f1,
            "reward": scored.reward,
        }
        openings = {one.recording: one.messages for one in result.openings}
        for recording, own in _by_recording(result.steps):
            built = continued(Conversation(openings[recording]), own)
            yield _trajectory(result.question, result.answer, built, own, facts)


def sharegpt(one: Trajectory) -> dict[str, Any]:
    """A conversation as LLaMA-Factory takes it, with its worth beside it."""
    system = "\n".join(m.content for m in one.messages if m.role == "system")
    turns = [m for m in one.messages if m.role != "system"]
    while turns and turns[-1].role != "assistant":
        turns.pop()
    calls = [step for step in one.steps if not isinstance(step.action, FinalAnswer)]
    repeats = sum(step.repeated for step in calls)
    return {
        "conversations": [{"from": _FROM[m.role], "value": m.content} for m in turns],
        "system": system,
        "question_id": one.question.id,
        "recording": one.recording,
        "agent": one.answer.agent,
        "verdict": one.verdict.value,
        "question_verdict": one.answer.verdict.value,
        "confirmation": one.answer.confirmation.value if one.answer.confirmation else None,
        "rounds": len(one.steps),
        "hints": sum(bool(step.hint) for step in one.steps),
        "repeat_ratio": repeats / len(calls) if calls else 0.0,
        "correct": one.facts.get("correct"),
        "location_f1": one.facts.get("location_f1"),
        "reward": one.reward,
    }


def write(path: Path, trajectories: Iterable[Trajectory], wanted: Filter) -> int:
    """Write the conversations that are wanted as one JSON array; how many there were.

    The file is there whole or not at all. Raises DatasetError.
    """
    kept = [sharegpt(one) for one in trajectories if wanted.wants(one)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            whole.write_text(json.dumps(kept, ensure_ascii=False, indent=1), "utf-8")
            whole.replace(path)
        finally:
            whole.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f"the conversations cannot be written to {path}: {error}") from error
    return len(kept)


def _asked(question: Question, answer: Answer, steps: Sequence[Step]) -> Question:
    """The question as the loop put it to each recording."""
    asked = replace(question, text=question.about or question.text)
    several = len({step.recording for step in steps}) > 1 or len(answer.searched) > 1
    if several and kind_of(asked) is not Kind.OTHER:
        return replace(asked, options=())
    return asked


def _by_recording(steps: Sequence[Step]) -> Iterator[tuple[int, tuple[Step, ...]]]:
    for recording, own in groupby(steps, key=lambda step: step.recording):
        yield recording, tuple(own)


def _trajectory(
    question: Question,
    answer: Answer,
    built: Conversation,
    steps: tuple[Step, ...],
    facts: Mapping[str, float | bool | None],
) -> Trajectory:
    return Trajectory(
        question=question,
        recording=steps[0].recording,
        messages=built.messages,
        steps=steps,
        verdict=_ended(steps[-1], answer),
        answer=answer,
        facts=facts,
    )


def _ended(last: Step, answer: Answer) -> Verdict:
    if isinstance(last.action, FinalAnswer) and not last.observation:
        return Verdict.NOT_FOUND if is_not_found(last.action.text) else Verdict.ANSWERED
    return Verdict.FAILED if answer.verdict is Verdict.FAILED else Verdict.GAVE_UP
