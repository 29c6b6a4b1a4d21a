"""Agent checkpoints and their bundles, each made once in a test run.

Every maker takes the run's base folder (`tmp_path_factory.getbasetemp()`), so that modules
which ask for the same thing share it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_lvr1.bundle import Bundle, load
from edge_lvr1.export.agent import AgentOptions, export_agent
from tests.tiny_models import SYSTEM, Round, make_navigator, make_qwen3


def build_here(
    model: Path,
    out: Path,
    precision: str,
    target: str,
    temporary: Path,
    on_progress: Callable[[str], None],
) -> None:
    """The model builder within this process: the imports of torch are paid once."""
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    from edge_lvr1.export.agent import TARGETS

    place = (None, str(model), str(out), precision, TARGETS[target], str(temporary))
    create_model(*place, **parse_extra_options(*place, ["hf_token=false"]))


@dataclass(frozen=True)
class Random:
    """Random weights: what they say means nothing, and is the same in torch."""

    checkpoint: Path
    bundle: Bundle
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Navigator:
    """A model that learnt to navigate, with the rounds that it was taught."""

    checkpoint: Path
    rounds: list[Round]
    fp32: Bundle
    int4: Bundle


@functools.cache
def random_agent(base: Path) -> Random:
    """Sharded, untied, exported by the model builder's own process: the way a user does."""
    checkpoint, out = base / "random-qwen3", base / "random-agent"
    make_qwen3(
        checkpoint,
        shards=True,
        generation={"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 20},
    )
    notes: list[str] = []
    export_agent(AgentOptions(str(checkpoint), out, precision="fp32"), notes.append)
    return Random(checkpoint, load(out), tuple(notes))


@functools.cache
def navigator(base: Path) -> Navigator:
    """Trained for some seconds; in fp32 and in int4, with a system prompt of its own."""
    checkpoint = base / "navigator-qwen3"
    rounds = make_navigator(checkpoint)
    prompt = base / "system.txt"
    prompt.write_text(SYSTEM, "utf-8")
    bundles = {}
    for precision in ("fp32", "int4"):
        options = AgentOptions(
            str(checkpoint),
            base / f"navigator-{precision}",
            precision=precision,
            system_prompt=prompt,
        )
        bundles[precision] = load(export_agent(options, build=build_here))
    return Navigator(checkpoint, rounds, bundles["fp32"], bundles["int4"])
