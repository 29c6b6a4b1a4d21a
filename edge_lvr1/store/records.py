"""Questions, steps and answers as JSON, and back: one place for both directions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from edge_lvr1.domain import (
    Action,
    Answer,
    Evidence,
    FinalAnswer,
    GetCaption,
    Invalid,
    NodeId,
    Question,
    Scope,
    Span,
    Step,
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
        },
        "max_rounds": question.max_rounds,
        "max_seconds": question.max_seconds,
    }


def question_in(stored: Mapping[str, Any]) -> Question:
    """The question that `question_out` wrote."""
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
        ),
        max_rounds=stored["max_rounds"],
        max_seconds=stored["max_seconds"],
    )


def action_out(action: Action) -> dict[str, Any]:
    """An action as JSON types, told apart by `kind`."""
    if isinstance(action, GetCaption):
        return {"kind": "get_caption", "node": list(action.node.path)}
    if isinstance(action, VideoQa):
        return {"kind": "video_qa", "node": list(action.node.path), "query": action.query}
    if isinstance(action, FinalAnswer):
        return {"kind": "answer", "text": action.text}
    return {"kind": "invalid", "reason": action.reason}


def action_in(stored: Mapping[str, Any]) -> Action:
    """The action that `action_out` wrote."""
    kind = stored["kind"]
    if kind == "get_caption":
        return GetCaption(NodeId(tuple(stored["node"])))
    if kind == "video_qa":
        return VideoQa(NodeId(tuple(stored["node"])), stored["query"])
    if kind == "answer":
        return FinalAnswer(stored["text"])
    return Invalid(stored["reason"])


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
    }


def answer_in(stored: Mapping[str, Any]) -> Answer:
    """The answer that `answer_out` wrote."""
    return Answer(
        **{
            **stored,
            "verdict": Verdict(stored["verdict"]),
            "evidence": tuple(_evidence_in(evidence) for evidence in stored["evidence"]),
            "searched": tuple(stored["searched"]),
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
