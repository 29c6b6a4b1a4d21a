"""How a conversation is written for a chat model, so that what was written stays written.

A turn's text depends on its role and content alone: what is rendered for n turns is a prefix
of what is rendered for n+1. Reasoning stays in the history, since the agent was trained with
it and a key-value cache holds it. Which marks stand around a turn is the bundle's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_lvr1.errors import BundleError
from edge_lvr1.models.base import Message

APPEND_ONLY = "append-only"
"""The manifest's name for this rendering."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands before and after a turn's content."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Chat:
    """The marks of the three roles, and what stands before everything."""

    system: Marks
    user: Marks
    assistant: Marks
    start: str = ""

    @classmethod
    def from_extra(cls, extra: Mapping[str, Any]) -> Chat:
        """The chat that a bundle's manifest describes. Raises BundleError."""
        try:
            entry = extra["chat"]
            return cls(
                system=Marks(**entry["system"]),
                user=Marks(**entry["user"]),
                assistant=Marks(**entry["assistant"]),
                start=entry["start"],
            )
        except (KeyError, TypeError) as error:
            raise BundleError(
                f"the bundle does not say how conversations are written ({error}): export it again"
            ) from None

    def to_extra(self) -> dict[str, Any]:
        """What `from_extra` reads back."""
        return asdict(self)

    def turn(self, message: Message) -> str:
        """One whole turn."""
        marks: Marks = getattr(self, message.role)
        return marks.before + message.content + marks.after

    def render(self, messages: Sequence[Message]) -> str:
        """Whole turns, from the start."""
        return self.start + "".join(map(self.turn, messages))

    def prompt(self, messages: Sequence[Message]) -> str:
        """Whole turns and the opening of the reply to them."""
        return self.render(messages) + self.assistant.before


CHATML = Chat(
    system=Marks("<|im_start|>system\n", "<|im_end|>\n"),
    user=Marks("<|im_start|>user\n", "<|im_end|>\n"),
    assistant=Marks("<|im_start|>assistant\n", "<|im_end|>\n"),
)
"""The marks of the Qwen families."""
