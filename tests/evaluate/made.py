"""Small made questions, caption files and agents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_lvr1.domain import Span
from edge_lvr1.evaluate.items import Item
from edge_lvr1.models.base import AgentSession, Cancel, Finder, Message, Moves, never

LEAF_S = 10.0
TEXTS = (
    "A man paints a fence white.",
    "A man washes his brush.",
    "A dog runs over a lawn.",
    "The dog catches a yellow ball.",
    "Two women sit at a table.",
    "The women drink tea.",
    "It rains on an empty street.",
    "A red bus stops.",
)
"""The leaves of a made tree of width 2; ten seconds each."""


def caption_file(
    texts: Sequence[str] = TEXTS, width: int = 2, name: str = "tape"
) -> dict[str, Any]:
    """A caption file of LongVideo-R1's form over these leaves."""
    levels = []
    for depth in (1, 2, 3):
        count = width**depth
        each = len(texts) // count
        levels.append(
            [
                {
                    "segment_id": number + 1,
                    "level": ("high", "medium", "low")[depth - 1],
                    "caption": " ".join(texts[number * each : (number + 1) * each]),
                    "frame_time": [number * each * LEAF_S, (number + 1) * each * LEAF_S],
                }
                for number in range(count)
            ]
        )
    return {"video_name": f"{name}.mp4", "width": width, "captions": levels}


def write_captions(folder: Path, *names: str) -> Path:
    """A folder with a caption file for each of these videos."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.json").write_text(json.dumps(caption_file(name=name)), "utf-8")
    return folder


def item(
    number: int = 1,
    video: str = "tape",
    answer: str | None = "A",
    clues: Sequence[tuple[float, float]] = ((20.0, 40.0),),
    question: str = "What does the dog catch?",
    kind: str = "",
) -> Item:
    return Item(
        id=f"q{number}",
        video=video,
        question=question,
        options=("a yellow ball", "a stick"),
        answer=answer,
        clues=tuple(Span(*clue) for clue in clues),
        type=kind,
    )


def call(node: str) -> str:
    return f"<think>look</think>\n<tool>get_caption({node})</tool>"


def answer(text: str) -> str:
    return f"<think>done</think>\n<answer>{text}</answer>"


class RepeatingAgent:
    """An agent that replies the same script in every conversation; it remembers the turns."""

    def __init__(self, *replies: str) -> None:
        self.name = "scripted"
        self.replies = replies
        self.conversations: list[tuple[Message, ...]] = []
        self.finders: list[Finder | None] = []

    def open(self, finder: Finder | None = None) -> AgentSession:
        self.finders.append(finder)
        self.conversations.append(())
        return _Session(self)


class _Session:
    def __init__(self, agent: RepeatingAgent) -> None:
        self.agent = agent
        self.left = list(agent.replies)

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        reply = self.left.pop(0)
        self.agent.conversations[-1] = (*messages, Message("assistant", reply))
        return reply

    def close(self) -> None: ...
