"""A conversation with an agent: append-only turns in the protocol's exact strings.

What stands for n turns is a prefix of what stands for n+1, so a backend's key-value cache
stays good. Captions and looks are descriptions of footage that anybody may have filmed:
whatever could be taken for a tag or a new line of the protocol is made harmless here,
once, on the way in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edge_lvr1 import prompts
from edge_lvr1.domain import Caption, Question
from edge_lvr1.models.base import Message

_TAG_START = re.compile(r"<(?=\s*/?\s*(?:think|tool|answer|information)\b|\|)", re.I)
_OPEN, _CLOSE = "\u2039", "|\u203a"  # single guillemets: they look alike and are no tags
_TAG_END = re.compile(r"\|>")


def harmless(text: str) -> str:
    """One line of text that holds no protocol tag, chat marker or line break."""
    return _TAG_END.sub(_CLOSE, _TAG_START.sub(_OPEN, " ".join(text.split())))


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns so far; every method gives a new conversation with turns added at the end."""

    messages: tuple[Message, ...]

    @classmethod
    def begin(
        cls,
        question: Question,
        duration_s: float,
        highs: Sequence[Caption],
        *,
        last: bool = False,
        system: str = prompts.SYSTEM,
        tools: Collection[str] = (),
        learnt: Sequence[str] = (),
    ) -> Conversation:
        """System turn and user turn 1; `last` where only one round is left from the start.

        `learnt` stands in a line of its own at the end; without it the turn is as trained.
        """
        first = prompts.question_turn(
            harmless(question.text),
            [harmless(option) for option in question.options],
            duration_s,
            [(caption.span, harmless(caption.text)) for caption in highs],
        )
        if learnt:
            first = f"{first}\n{prompts.learnt([harmless(text) for text in learnt])}"
        return cls(
            (
                Message("system", prompts.system_turn(len(highs), system, tools)),
                Message("user", _with_notice(first, last)),
            )
        )

    def replied(self, reply: str) -> Conversation:
        """With the agent's reply, exactly as it wrote it: reasoning stays in the history."""
        return Conversation((*self.messages, Message("assistant", reply)))

    def told(self, observation: str) -> Conversation:
        """With what came back."""
        return Conversation((*self.messages, Message("user", observation)))


def caption_observation(caption: Caption, *, last: bool) -> str:
    """The turn that shows an opened caption."""
    turn = prompts.caption_turn(caption.node, caption.span, harmless(caption.text))
    return _with_notice(turn, last)


def information_observation(text: str, *, last: bool) -> str:
    """The turn that tells what a look found, or that there is nothing to see."""
    return _with_notice(prompts.information_turn(harmless(text)), last)


def refusal_observation(reason: str, *, last: bool) -> str:
    """The turn that tells what was wrong with a reply; the reason is ours and names tags."""
    return _with_notice(prompts.information_turn(prompts.refused(reason)), last)


def _with_notice(turn: str, last: bool) -> str:
    return f"{turn}\n{prompts.LAST_ROUND}" if last else turn
