"""Questions, steps and answers as JSON, and back: one place for both directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from edge_lvr1.domain import (
    Action,
    Answer,
    Confirmation,
    CountObjects,
    Evidence,
    FinalAnswer,
    GetCaption,
    Invalid,
    ListRecordings,
    NodeId,
    Question,
    Scope,
    SearchCaptions,
    Span,
    Step,
    TimeSpan,
    Verdict,
    VideoQa,
)


def question_out(question: Question) -> dict[str, Any]:
    """A question as JSON types."""
    scope = question.scope
    return {
        "id": question.id,
        "text": question.text,
        "asked_at": question.asked_at.isoformat(),
        "options": list(question.options),
        "scope": {
            "recording": scope.recording,
            "cameras": list(scope.cameras),
            "since": scope.since.isoformat() if scope.since else None,
            "until": scope.until.isoformat() if scope.until else None,
            "times": [[one.since.isoformat(), one.until.isoformat()] for one in scope.times],
        },
        "max_rounds": question.max_rounds,
        "max_seconds": question.max_seconds,
        "confirm": question.confirm,
        "about": question.about,
        "read_as": question.read_as,
        "deadline": question.deadline.isoformat() if question.deadline else None,
    }


def question_in(stored: Mapping[str, Any]) -> Question:
    """The question that `question_out` wrote, also before it wrote all of today's fields."""
    scope = stored["scope"]
    return Question(
        id=stored["id"],
        text=stored["text"],
        asked_at=datetime.fromisoformat(stored["asked_at"]),
        options=tuple(stored["options"]),
        scope=Scope(
            recording=scope["recording"],
            cameras=tuple(scope["cameras"]),
            since=datetime.fromisoformat(scope["since"]) if scope["since"] else None,
            until=datetime.fromisoformat(scope["until"]) if scope["until"] else None,
            times=tuple(
                TimeSpan(datetime.fromisoformat(since), datetime.fromisoformat(until))
                for since, until in scope.get("times", ())
            ),
        ),
        max_rounds=stored["max_rounds"],
        max_seconds=stored["max_seconds"],
        confirm=stored.get("confirm", False),
        about=stored.get("about", ""),
        read_as=stored.get("read_as", ""),
        deadline=datetime.fromisoformat(told) if (told := stored.get("deadline")) else None,
    )


_KINDS: Mapping[str, type[Action]] = {
    "get_caption": GetCaption,
    "video_qa": VideoQa,
    "search_captions": SearchCaptions,
    "list_recordings": ListRecordings,
    "count_objects": CountObjects,
    "answer": FinalAnswer,
    "invalid": Invalid,
}


def action_out(action: Action) -> dict[str, Any]:
    """An action as JSON types, told apart by `kind`."""
    kind = next(name for name, known in _KINDS.items() if isinstance(action, known))
    told = {entry.name: getattr(action, entry.name) for entry in fields(action)}
    if "node" in told:
        told["node"] = list(told["node"].path)
    return {"kind": kind, **told}


def action_in(stored: Mapping[str, Any]) -> Action:
    """The action that `action_out` wrote."""
    told = {name: value for name, value in stored.items() if name != "kind"}
    if "node" in told:
        told["node"] = NodeId(tuple(told["node"]))
    return _KINDS[stored["kind"]](**told)


def step_out(step: Step) -> dict[str, Any]:
    """A step as JSON types."""
    return {
        "round": step.round,
        "recording": step.recording,
        "reply": step.reply,
        "thought": step.thought,
        "action": action_out(step.action),
        "observation": step.observation,
        "seconds": step.seconds,
        "repeated": step.repeated,
        "hint": step.hint,
    }


def step_in(stored: Mapping[str, Any]) -> Step:
    """The step that `step_out` wrote."""
    return Step(**{**stored, "action": action_in(stored["action"])})


def answer_out(answer: Answer) -> dict[str, Any]:
    """An answer as JSON types, its evidence included."""
    return {
        "verdict": answer.verdict.value,
        "text": answer.text,
        "evidence": [_evidence_out(evidence) for evidence in answer.evidence],
        "option": answer.option,
        "rounds": answer.rounds,
        "captions_opened": answer.captions_opened,
        "invalid_steps": answer.invalid_steps,
        "seconds": answer.seconds,
        "agent": answer.agent,
        "captioner": answer.captioner,
        "searched": list(answer.searched),
        "confirmation": answer.confirmation.value if answer.confirmation else None,
    }


def answer_in(stored: Mapping[str, Any]) -> Answer:
    """The answer that `answer_out` wrote."""
    return Answer(
        **{
            **stored,
            "verdict": Verdict(stored["verdict"]),
            "evidence": tuple(_evidence_in(evidence) for evidence in stored["evidence"]),
            "searched": tuple(stored["searched"]),
            "confirmation": Confirmation(told) if (told := stored.get("confirmation")) else None,
        }
    )


def _evidence_out(evidence: Evidence) -> dict[str, Any]:
    return {
        "recording": evidence.recording,
        "camera": evidence.camera,
        "node": list(evidence.node.path),
        "start_s": evidence.span.start_s,
        "end_s": evidence.span.end_s,
        "starts_at": evidence.starts_at.isoformat(),
        "ends_at": evidence.ends_at.isoformat(),
        "caption": evidence.caption,
    }


def _evidence_in(stored: Mapping[str, Any]) -> Evidence:
    return Evidence(
        recording=stored["recording"],
        camera=stored["camera"],
        node=NodeId(tuple(stored["node"])),
        span=Span(stored["start_s"], stored["end_s"]),
        starts_at=datetime.fromisoformat(stored["starts_at"]),
        ends_at=datetime.fromisoformat(stored["ends_at"]),
        caption=stored["caption"],
    )
