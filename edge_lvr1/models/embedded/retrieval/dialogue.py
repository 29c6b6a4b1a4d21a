"""What stands in a conversation, read back from its messages alone.

The embedded agent keeps no state between replies: whatever it knows, it reads here, so any
conversation can be continued, also one that another agent began.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_lvr1.domain import OPTION_LETTERS, Level, NodeId, Span
from edge_lvr1.models.base import Message
from edge_lvr1.prompts import (
    CAPTION_TURN,
    DURATION_LINE,
    HIGH_LINE,
    INFORMATION_TURN,
    OPTION_LINE,
)

_CAPTION_CALL = re.compile(r"<tool>\s*get_caption\(\s*(?P<node>\([\d, ]+\))\s*\)\s*</tool>\s*\Z")
_LOOK_CALL = re.compile(
    r"<tool>\s*video_qa\(\s*(?P<node>\([\d, ]+\))\s*,\s*(?P<query>.*)\)\s*</tool>\s*\Z", re.S
)
_INLINE_OPTION = re.compile(r"(?<![\w(])\(?([A-J])[.):]\s+")


@dataclass(frozen=True, slots=True)
class Shown:
    """A caption that stands in the conversation."""

    node: NodeId
    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a leaf's clip said."""

    node: NodeId
    query: str
    said: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation as the agent understands it.

    `tried` holds every node it asked for, also those whose caption never came; `replies` is
    how often it has replied.
    """

    question: str
    options: tuple[str, ...]
    duration_s: float
    shown: tuple[Shown, ...]
    looks: tuple[Look, ...]
    tried: frozenset[NodeId]
    replies: int

    def at(self, level: Level) -> list[Shown]:
        """The captions shown of one level, in order of their nodes."""
        return sorted((s for s in self.shown if s.node.level is level), key=lambda s: s.node)

    def caption(self, node: NodeId) -> Shown | None:
        """A node's caption; None where it has not been shown."""
        return next((shown for shown in self.shown if shown.node == node), None)


def read_dialogue(messages: Sequence[Message]) -> Dialogue:
    """A conversation's messages, understood; whatever is not of the protocol is passed over."""
    turns = [message for message in messages if message.role != "system"]
    first = turns[0].content if turns else ""
    question, options = _read_question(first)
    duration = DURATION_LINE.search(first)
    shown = [shown for match in HIGH_LINE.finditer(first) if (shown := _high(match))]
    looks: list[Look] = []
    tried: set[NodeId] = set()
    for call, answer in zip(turns[1::2], turns[2::2], strict=False):
        _read_round(call.content, answer.content, shown, looks, tried)
    return Dialogue(
        question=question,
        options=options,
        duration_s=float(duration["duration"]) if duration else _end_of(shown),
        shown=tuple({caption.node: caption for caption in shown}.values()),
        looks=tuple(looks),
        tried=frozenset(tried),
        replies=sum(message.role == "assistant" for message in turns),
    )


def inline_options(question: str) -> tuple[str, tuple[str, ...]]:
    """A question and the lettered options written into it: "Which way? A. left B. up"."""
    marks: list[re.Match[str]] = []
    for match in _INLINE_OPTION.finditer(question):
        if match[1] == OPTION_LETTERS[len(marks)]:
            marks.append(match)
        if len(marks) == len(OPTION_LETTERS):
            break
    if len(marks) < 2 or not question[: marks[0].start()].strip():
        return question.strip(), ()
    ends = [*(mark.start() for mark in marks[1:]), len(question)]
    texts = (question[mark.end() : end] for mark, end in zip(marks, ends, strict=True))
    return question[: marks[0].start()].strip(), tuple(text.strip(" ,;\n") for text in texts)


def _read_question(turn: str) -> tuple[str, tuple[str, ...]]:
    duration = DURATION_LINE.search(turn)
    lines = turn[: duration.start() if duration else len(turn)].splitlines()
    options: list[str] = []
    while len(lines) > 1 and (match := OPTION_LINE.match(lines[-1])):
        options.insert(0, match["text"].strip())
        lines.pop()
    question = " ".join(lines)
    return (question, tuple(options)) if options else inline_options(question)


def _read_round(
    call: str, answer: str, shown: list[Shown], looks: list[Look], tried: set[NodeId]
) -> None:
    asked = _CAPTION_CALL.search(call)
    if asked and (node := _node(asked["node"])):
        tried.add(node)
    came = CAPTION_TURN.match(answer)
    if came and (node := _node(came["node"])) and (span := _span(came)):
        shown.append(Shown(node, span, came["text"]))
        return
    look, said = _LOOK_CALL.search(call), INFORMATION_TURN.match(answer)
    if look and said and (node := _node(look["node"])):
        looks.append(Look(node, look["query"].strip().strip('"'), said["text"]))


def _high(match: re.Match[str]) -> Shown | None:
    node, span = _node(match["number"]), _span(match)
    return Shown(node, span, match["text"]) if node and span else None


def _node(text: str) -> NodeId | None:
    try:
        return NodeId.parse(text)
    except ValueError:
        return None


def _span(match: re.Match[str]) -> Span | None:
    start_s, end_s = float(match["start"]), float(match["end"])
    return Span(start_s, end_s) if start_s <= end_s else None


def _end_of(shown: Sequence[Shown]) -> float:
    return max((caption.span.end_s for caption in shown), default=0.0)
