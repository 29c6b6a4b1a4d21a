"""The agent on CUDA: what it writes is torch's, its moves are legal, its memory comes back."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime_genai", reason="needs onnxruntime-genai")
pytest.importorskip("torch", reason="the checkpoints are made with torch")
pytest.importorskip("transformers", reason="the checkpoints are made with transformers")
pytest.importorskip("onnx_ir", reason="the bundles are built with the extra 'export'")

from edge_lvr1.bundle import Bundle, load
from edge_lvr1.domain import FinalAnswer, Invalid, NodeId
from edge_lvr1.export.agent import AgentOptions, export_agent
from edge_lvr1.models.base import Message, Moves
from edge_lvr1.models.onnx.agent import AgentSettings, OnnxAgent
from edge_lvr1.models.onnx.session import OnnxAgentSession
from edge_lvr1.navigator.actions import parse_reply
from tests.agent_bundles import build_here
from tests.gpu import card
from tests.tiny_models import SYSTEM, Round, make_navigator, make_qwen3

pytestmark = pytest.mark.gpu

FREE = Moves(width=3, opened=frozenset())
PLAIN = AgentSettings(legal_moves=False, do_sample=False, reply_tokens=24)
LONG = "A man in a dark coat walks past the door and looks to the left. " * 60

# How far below its best torch may hold what was written to be, as a share of the range of its
# logits: where two words are all but equally likely, rounding decides.
SHORT_OF_BEST = {"fp16": 0.01, "bf16": 0.05}


class Made:
    """A checkpoint and its bundles for CUDA, each exported at first need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint = folder / "checkpoint"
        self.rounds: list[Round] = []
        self.system: Path | None = None

    def bundle(self, precision: str, target: str = "cuda") -> Bundle:
        out = self.folder / f"{precision}-{target}"
        if not out.exists():
            options = AgentOptions(
                str(self.checkpoint), out, precision, target, system_prompt=self.system
            )
            export_agent(options, build=build_here)
        return load(out, "agent")


@pytest.fixture(scope="module")
def rand(tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = Made(tmp_path_factory.mktemp("random"))
    make_qwen3(made.checkpoint)
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = Made(tmp_path_factory.mktemp("navigator"))
    made.rounds = make_navigator(made.checkpoint)
    made.system = made.folder / "system.txt"
    made.system.write_text(SYSTEM, "utf-8")
    return made


def soon() -> float:
    return time.monotonic() + 60.0


def talk(session: OnnxAgentSession, rounds: int, start: str = "Where?") -> list[range]:
    """A conversation of so many rounds; where in its tokens the replies stand."""
    messages, written = [Message("user", start)], []
    for index in range(rounds):
        before = session.usage.written
        reply = session.reply(messages, FREE, soon())
        count = session.usage.written - before
        written.append(range(len(session.tokens) - count, len(session.tokens)))
        messages += [Message("assistant", reply), Message("user", f"Door {index} is open.")]
    return written


def torch_logits(checkpoint: Path, tokens: Sequence[int]) -> Any:
    """What torch holds of each next token, in fp32 on the CPU: float32 [tokens, words]."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    with torch.no_grad():
        return model(torch.tensor([list(tokens)])).logits[0].numpy()


def short_of_best(logits: Any, tokens: Sequence[int], written: Sequence[range]) -> list[float]:
    """For each token written, how far its logit is below the best, as a share of the range."""
    found = []
    for place in itertools.chain(*written):
        row = logits[place - 1]
        found.append(float((row.max() - row[tokens[place]]) / (row.max() - row.min())))
    return found


@pytest.mark.parametrize("precision", sorted(SHORT_OF_BEST))
def test_a_greedy_conversation_is_torchs(rand: Made, precision: str) -> None:
    session = OnnxAgent(rand.bundle(precision), PLAIN).open()

    written = talk(session, 5)

    short = short_of_best(torch_logits(rand.checkpoint, session.tokens), session.tokens, written)
    same = sum(one == 0.0 for one in short)
    print(f"{precision}: {same} of {len(short)} tokens are torch's, worst {max(short):.1e} short")
    assert len(short) > 60
    assert max(short) <= SHORT_OF_BEST[precision]
    session.close()


@pytest.mark.parametrize("legal_moves", [True, False])
@pytest.mark.parametrize("precision", ["fp16", "bf16", "int4"])
def test_a_trained_agent_takes_the_actions_that_it_learnt(
    trained: Made, precision: str, legal_moves: bool
) -> None:
    agent = OnnxAgent(trained.bundle(precision), AgentSettings(legal_moves=legal_moves))
    session = agent.open()

    replies = [session.reply(one.messages, one.moves, soon()) for one in trained.rounds]

    assert replies == [one.reply for one in trained.rounds]
    session.close()


@pytest.mark.parametrize("precision", ["fp16", "int4"])
@pytest.mark.parametrize("do_sample", [False, True])
def test_every_reply_of_random_weights_is_a_legal_move(
    rand: Made, precision: str, do_sample: bool
) -> None:
    settings = AgentSettings(thought_tokens=24, do_sample=do_sample, temperature=1.5, seed=3)
    session = OnnxAgent(rand.bundle(precision), settings).open()
    messages = [Message("user", "What does the man carry?")]
    for index in range(8):
        moves = Moves(3, frozenset({NodeId((1, 1, 1))}), "AB", must_answer=index == 7)
        reply = session.reply(messages, moves, soon())
        _, action = parse_reply(reply, moves)
        assert not isinstance(action, Invalid), (reply, action)
        assert isinstance(action, FinalAnswer) or not moves.must_answer
        messages += [Message("assistant", reply), Message("user", f"Information {index}.")]
    session.close()


@pytest.mark.parametrize("tokens", [100, 10_000])
@pytest.mark.parametrize("precision", sorted(SHORT_OF_BEST))
def test_a_long_prompt_is_torchs_in_pieces_and_as_a_whole(
    rand: Made, precision: str, tokens: int
) -> None:
    agent = OnnxAgent(rand.bundle(precision), PLAIN)
    session = agent.open()
    session._limits = replace(session._limits, piece_tokens=tokens)

    written = talk(session, 2, start=LONG)

    assert session.usage.read > 800
    short = short_of_best(torch_logits(rand.checkpoint, session.tokens), session.tokens, written)
    assert max(short) <= SHORT_OF_BEST[precision]
    session.close()


def test_two_conversations_do_not_disturb_each_other(rand: Made) -> None:
    agent = OnnxAgent(rand.bundle("fp16"), PLAIN)
    alone = agent.open()
    talk(alone, 2)
    one, other = agent.open(), agent.open()
    first = [Message("user", "Where?")]

    reply = one.reply(first, FREE, soon())
    other.reply([Message("user", "Something else altogether.")], FREE, soon())
    second = [*first, Message("assistant", reply), Message("user", "Door 0 is open.")]
    one.reply(second, FREE, soon())

    assert one.tokens == alone.tokens
    for session in (alone, one, other):
        session.close()


def test_the_cpu_and_the_gpu_are_both_to_be_had_of_one_bundle(rand: Made) -> None:
    bundle = rand.bundle("fp32", "cpu")
    replies = []
    for provider in ("cpu", "cuda"):
        agent = OnnxAgent(bundle, replace(PLAIN, provider=provider))
        session = agent.open()
        replies.append(session.reply([Message("user", "Where?")], FREE, math.inf))
        session.close()

    assert replies[0] == replies[1]


def test_the_seed_decides_on_the_gpu_too(rand: Made) -> None:
    def said(seed: int) -> str:
        settings = replace(PLAIN, do_sample=True, temperature=2.0, seed=seed)
        session = OnnxAgent(rand.bundle("fp16"), settings).open()
        reply = session.reply([Message("user", "Where?")], FREE, soon())
        session.close()
        return reply

    assert said(1) == said(1)
    assert said(1) != said(2)


def test_the_card_holds_the_weights_while_they_are_loaded_and_no_longer(
    tmp_path: Path,
) -> None:
    """A model of some size, so that its weights stand out of what CUDA itself takes."""
    from edge_lvr1.bench_agent import Shape, make_random

    shape = Shape(600, 1024, 8192, 10, heads=16, cache_heads=8, head_dim=64)
    make_random(tmp_path / "checkpoint", shape)
    options = AgentOptions(str(tmp_path / "checkpoint"), tmp_path / "fp16", "fp16", "cuda")
    agent = OnnxAgent(load(export_agent(options, build=build_here)), PLAIN)
    weights_mb = int(np.ceil((tmp_path / "fp16" / "model.onnx.data").stat().st_size / 2**20))
    agent.load()
    agent.unload()  # what CUDA keeps for itself stays
    before_mb = card.used_mb()

    agent.load()
    loaded_mb = card.used_mb()
    agent.unload()
    after_mb = card.used_mb()

    print(f"weights {weights_mb}, before {before_mb}, loaded {loaded_mb}, after {after_mb} MiB")
    assert loaded_mb - before_mb >= 0.9 * weights_mb
    assert after_mb - before_mb < 0.2 * weights_mb
