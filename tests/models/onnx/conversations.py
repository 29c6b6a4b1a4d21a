"""Conversations with small agents, as their tests have them, and what torch would say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from edge_lvr1.bundle import Bundle
from edge_lvr1.models.base import Message, Moves
from edge_lvr1.models.onnx.agent import AgentSettings, OnnxAgent
from edge_lvr1.models.onnx.session import OnnxAgentSession

FREE = Moves(width=3, opened=frozenset())
PLAIN = AgentSettings(legal_moves=False, do_sample=False, reply_tokens=24)


def soon() -> float:
    return time.monotonic() + 60.0


def talk(
    session: OnnxAgentSession, rounds: int, moves: Moves = FREE, start: str = "Where is the man?"
) -> list[Message]:
    """A conversation of so many rounds; what comes back to a reply is always another text."""
    messages = [Message("user", start)]
    for index in range(rounds):
        messages.append(Message("assistant", session.reply(messages, moves, soon())))
        messages.append(Message("user", f"Caption {index}: a man walks past door {index}."))
    return messages


def torch_choices(checkpoint: Path, tokens: Sequence[int]) -> list[int]:
    """What torch would choose after each token, given all before it."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    with torch.no_grad():
        chosen: list[int] = model(torch.tensor([list(tokens)])).logits[0].argmax(-1).tolist()
    return chosen


class Ticking:
    """A clock that goes on by a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def opened_with(bundle: Bundle, settings: AgentSettings, clock: Ticking) -> OnnxAgentSession:
    session = OnnxAgent(bundle, settings).open()
    session._clock = clock
    return session
