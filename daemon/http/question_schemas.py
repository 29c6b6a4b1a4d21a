"""The JSON of questions: what may be asked, and how answers and rounds are told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from edge_lvr1.daemon.http.schemas import In, Out, Shown
from edge_lvr1.domain import (
    Action,
    Answer,
    CountObjects,
    Evidence,
    FinalAnswer,
    GetCaption,
    Invalid,
    ListRecordings,
    SearchCaptions,
    Step,
    VideoQa,
)


class QuestionIn(In):
    """A question, its options, which footage it is about, and its budget."""

    question: str
    options: list[str] = []
    recording: int | None = None
    cameras: list[str] = []
    since: str | None = Field(
        default=None, description="ISO 8601, or words like 'yesterday 22:00' in the daemon's zone"
    )
    until: str | None = None
    max_rounds: int | None = None
    max_seconds: float | None = None
    confirm: bool = Field(
        default=False, description="have the evidence of the answer looked at again"
    )
    deadline: str | None = Field(
        default=None, description="ISO 8601; after it nobody wants the answer any more"
    )
    deadline_s: float | None = Field(default=None, description="the same, in seconds from now")


class EvidenceOut(Out):
    """A node that an answer rests on."""

    recording: int
    camera: Shown
    node: str
    start_s: float
    end_s: float
    starts_at: datetime
    ends_at: datetime
    caption: Shown
    removed: Shown = Field(default="", description="when and by which rule its recording went")


class StepOut(Out):
    """A round: what the agent thought and did, and what came back."""

    round: int
    recording: int
    thought: Shown
    action: Shown
    observation: Shown
    reply: Shown
    seconds: float
    repeated: bool
    hint: Shown = Field(default="", description="what the loop added to the observation")


class AnswerOut(Out):
    """A question and what it came to; `verdict` is null until it is answered."""

    id: str
    question: Shown
    state: str = Field(description="queued, running, done or cancelled")
    asked_at: datetime
    options: list[Shown]
    deadline: datetime | None = None
    verdict: str | None = None
    text: Shown = ""
    option: str | None = None
    evidence: list[EvidenceOut] = []
    rounds: int = 0
    captions_opened: int = 0
    invalid_steps: int = 0
    seconds: float = 0.0
    agent: str = ""
    captioner: str = ""
    searched: list[Shown] = []
    read_as: Shown = Field(default="", description="the scope that the question's words name")
    confirmation: str | None = Field(
        default=None, description="confirmed, not_confirmed or unclear, where it was asked for"
    )

    @model_serializer(mode="wrap")
    def _without_idle_option(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Only a question with options has an `option`."""
        told: dict[str, Any] = serialize(self)
        if not self.options:
            del told["option"]
        return told


class QuestionOut(AnswerOut):
    """A question with its steps."""

    steps: list[StepOut] = []


class QuestionsOut(Out):
    """Questions, newest first."""

    questions: list[AnswerOut]


class AcceptedOut(Out):
    """A question was queued."""

    id: str
    state: str
    events: str = Field(description="where its progress can be followed")


def evidence_out(evidence: Evidence, removed: str = "") -> EvidenceOut:
    """A piece of evidence as JSON; `removed` says what became of its recording."""
    return EvidenceOut(
        recording=evidence.recording,
        camera=evidence.camera,
        node=str(evidence.node),
        start_s=evidence.span.start_s,
        end_s=evidence.span.end_s,
        starts_at=evidence.starts_at,
        ends_at=evidence.ends_at,
        caption=evidence.caption,
        removed=removed,
    )


def step_out(step: Step) -> StepOut:
    """A step as JSON."""
    return StepOut(
        round=step.round,
        recording=step.recording,
        thought=step.thought,
        action=action_text(step.action),
        observation=step.observation,
        reply=step.reply,
        seconds=step.seconds,
        repeated=step.repeated,
        hint=step.hint,
    )


def answer_fields(answer: Answer | None, removed: Mapping[int, str]) -> dict[str, Any]:
    """The part of a question's JSON that its answer gives; `removed`: recordings that went."""
    if answer is None:
        return {}
    return {
        "verdict": answer.verdict.value,
        "text": answer.text,
        "option": answer.option,
        "evidence": [
            evidence_out(entry, removed.get(entry.recording, "")) for entry in answer.evidence
        ],
        "rounds": answer.rounds,
        "captions_opened": answer.captions_opened,
        "invalid_steps": answer.invalid_steps,
        "seconds": answer.seconds,
        "agent": answer.agent,
        "captioner": answer.captioner,
        "searched": list(answer.searched),
        "confirmation": answer.confirmation.value if answer.confirmation else None,
    }


def action_text(action: Action) -> str:
    """An action in one line."""
    if isinstance(action, FinalAnswer):
        return f"answer: {action.text}"
    if isinstance(action, Invalid):
        return f"not a legal move: {action.reason}"
    name, *arguments = _call(action)
    return f"{name}({', '.join(arguments)})"


def _call(
    action: GetCaption | VideoQa | SearchCaptions | ListRecordings | CountObjects,
) -> tuple[str, ...]:
    if isinstance(action, GetCaption):
        return "get_caption", str(action.node)
    if isinstance(action, VideoQa):
        return "video_qa", str(action.node), f'"{action.query}"'
    if isinstance(action, SearchCaptions):
        return "search_captions", f'"{action.words}"'
    if isinstance(action, ListRecordings):
        return ("list_recordings", f'"{action.camera}"') if action.camera else ("list_recordings",)
    return "count_objects", str(action.node), f'"{action.what}"'
