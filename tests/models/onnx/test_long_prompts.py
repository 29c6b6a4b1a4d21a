"""Long prompts, which are read in pieces, so that reading them can be given up."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import pytest

from edge_lvr1.bundle import Bundle
from edge_lvr1.errors import Cancelled
from edge_lvr1.models.base import Message
from edge_lvr1.models.onnx.agent import AgentSettings, OnnxAgent
from edge_lvr1.models.onnx.session import OnnxAgentSession, piece_tokens

pytest.importorskip("onnxruntime_genai", reason="needs onnxruntime-genai")
pytest.importorskip("torch", reason="the checkpoints are made with torch")
pytest.importorskip("transformers", reason="the checkpoints are made with transformers")
pytest.importorskip("peft", reason="needs the extra 'export'")

from tests import agent_bundles
from tests.models.onnx.conversations import (
    FREE,
    PLAIN,
    Ticking,
    opened_with,
    soon,
    talk,
    torch_choices,
)

LONG = "A man in a dark coat walks past the door and looks to the left. " * 12


def in_pieces(bundle: Bundle, tokens: int) -> OnnxAgentSession:
    session = OnnxAgent(bundle, PLAIN).open()
    session._limits = replace(session._limits, piece_tokens=tokens)
    return session


@pytest.mark.parametrize("tokens", [7, 64])
def test_a_prompt_that_is_read_in_pieces_is_the_same_prompt(
    rand: agent_bundles.Random, tokens: int
) -> None:
    session, whole = in_pieces(rand.bundle, tokens), OnnxAgent(rand.bundle, PLAIN).open()

    said = talk(session, 3, start=LONG)

    assert said == talk(whole, 3, start=LONG)
    assert session.tokens == whole.tokens
    assert session.usage == whole.usage
    expected = torch_choices(rand.checkpoint, session.tokens)
    written = session.usage.written // 3
    end = len(session.tokens)
    assert all(session.tokens[at] == expected[at - 1] for at in range(end - written, end))


def test_marks_in_the_middle_of_a_prompt_do_not_end_its_pieces(rand: agent_bundles.Random) -> None:
    session, whole = in_pieces(rand.bundle, 3), OnnxAgent(rand.bundle, PLAIN).open()
    roles: tuple[Literal["user", "assistant"], ...] = ("user", "assistant")
    messages = [Message(roles[index % 2], "x") for index in range(9)]

    assert session.reply(messages, FREE, soon()) == whole.reply(messages, FREE, soon())
    assert session.tokens == whole.tokens


def test_reading_that_nobody_wants_ends_between_pieces(rand: agent_bundles.Random) -> None:
    session, whole = in_pieces(rand.bundle, 16), OnnxAgent(rand.bundle, PLAIN).open()
    messages = [Message("user", LONG)]
    asked: list[None] = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        session.reply(messages, FREE, soon(), cancelled)

    assert (session.usage.read, session.usage.written) == (3 * 16, 0)
    assert session.reply(messages, FREE, soon()) == whole.reply(messages, FREE, soon())
    assert session.tokens == whole.tokens


@pytest.mark.parametrize("legal_moves", [True, False])
def test_reading_stops_at_the_deadline_and_goes_on_from_there(
    rand: agent_bundles.Random, legal_moves: bool
) -> None:
    settings = AgentSettings(legal_moves=legal_moves, do_sample=False, reply_tokens=24)
    session = opened_with(rand.bundle, settings, Ticking())
    session._limits = replace(session._limits, piece_tokens=16)
    messages = [Message("user", LONG)]

    assert session.reply(messages, FREE, deadline=3.0) == ""
    assert (session.usage.read, session.usage.written) == (2 * 16, 0)

    messages += [Message("assistant", ""), Message("user", "Go on.")]
    session.reply(messages, FREE, deadline=math.inf)
    whole = OnnxAgent(rand.bundle, settings).open()
    whole.reply(messages, FREE, soon())
    assert session.tokens == whole.tokens
    assert session.usage == whole.usage, "what was read before is not read again"


def test_small_models_and_gpus_read_more_at_a_time() -> None:
    assert piece_tokens(600_000_000, "cpu") == 80
    assert piece_tokens(8_000_000_000, "cpu") == 8
    assert piece_tokens(1_000_000, "cpu") == piece_tokens(0, "cpu") == 512
    assert piece_tokens(8_000_000_000, "cuda") == 512
