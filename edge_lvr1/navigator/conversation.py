"""A conversation with an agent: append-only turns in the protocol's exact strings.

What stands for n turns is a prefix of what stands for n+1, so a backend's key-value cache
stays good. Captions and looks are descriptions of footage that anybody may have filmed:
whatever could be taken for a tag or a new line of the protocol is made harmless here
(`untrusted.harmless`), once, on the way in. Only what the agent itself replied is ever read
for calls, and of a reply that quotes a chat mark the mark is broken before it is sent again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edge_lvr1 import prompts
from edge_lvr1.domain import Caption, Question
from edge_lvr1.models.base import Message
from edge_lvr1.untrusted import harmless, without_marks


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
        """With the agent's reply as it wrote it, reasoning too, but for marks of a chat."""
        return Conversation((*self.messages, Message("assistant", without_marks(reply))))

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
