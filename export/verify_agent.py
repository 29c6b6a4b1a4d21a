"""Holding an exported agent against its checkpoint in torch.

A fixed conversation of several turns is answered greedily by torch. The same tokens then go
through both models piece by piece, each with its cache, and the logits are compared; and the
bundle answers the conversation by itself, the way the daemon runs it.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_lvr1 import prompts
from edge_lvr1.bundle import Bundle
from edge_lvr1.domain import NodeId, Span
from edge_lvr1.errors import BundleError, ModelError
from edge_lvr1.export import checkpoint as checkpoints
from edge_lvr1.export.report import Bound, Report, judge
from edge_lvr1.models.base import Message, Moves
from edge_lvr1.models.onnx.agent import AgentSettings, OnnxAgent
from edge_lvr1.models.onnx.chat import Chat
from edge_lvr1.models.onnx.genai import LoadedModel, load_model
from edge_lvr1.models.onnx.grammar import ENDS

REPLY_TOKENS = 48
PIECE_TOKENS = 64
_WIDTH = 4
_PATIENCE_S = 3600.0

BOUNDS: Mapping[str, Mapping[str, Bound]] = {
    "fp32": {
        "logits_difference": Bound("the largest difference of logits, in their scale,", 1e-3),
        "agreement": Bound("the share of tokens chosen alike", at_least=0.999),
        "conversation_alike": Bound("the share of the conversation that is alike", at_least=0.999),
        "perplexity_change": Bound("the change of perplexity", 1e-3),
    },
    "fp16": {
        "logits_difference": Bound("the largest difference of logits, in their scale,", 0.02),
        "agreement": Bound("the share of tokens chosen alike", at_least=0.98),
        "perplexity_change": Bound("the change of perplexity", 0.01),
    },
    "bf16": {
        "logits_difference": Bound("the largest difference of logits, in their scale,", 0.1),
        "agreement": Bound("the share of tokens chosen alike", at_least=0.95),
        "perplexity_change": Bound("the change of perplexity", 0.05),
    },
    "int4": {
        "agreement": Bound("the share of tokens chosen alike", at_least=0.8),
        "perplexity_change": Bound("the change of perplexity", 0.25),
    },
}
"""By precision. int4 moves every logit, so it is held to what it chooses and expects."""

_QUESTION = "What does the man who comes through the gate carry?"
_OPTIONS = ("a red bag", "a ladder", "a bicycle", "nothing")
_HIGHS = (
    "An empty yard in the morning; a cat crosses it from left to right.",
    "A man in a dark coat comes through the gate, stops near the door and leaves again.",
    "A white van drives up, stands for a minute with its lights on and drives away.",
    "The yard lies in the dark. Nothing moves but the branches of a tree.",
)
_OBSERVATIONS = (
    prompts.caption_turn(
        NodeId((2, 1)), Span(30.0, 37.5), "A man opens the gate and walks in. He holds something."
    ),
    prompts.caption_turn(
        NodeId((2, 1, 3)), Span(33.8, 35.6), "The man walks to the right with a bag in one hand."
    ),
    prompts.information_turn("The bag is red, with a long strap."),
)


@dataclass(slots=True)
class _Tally:
    """What is summed up while two streams of logits go by."""

    positions: int = 0
    alike: int = 0
    replied: int = 0
    replied_alike: int = 0
    largest_difference: float = 0.0
    scale: float = 0.0
    surprise: list[float] = field(default_factory=lambda: [0.0, 0.0])  # reference, bundle

    def add(
        self, reference: np.ndarray, bundle: np.ndarray, targets: np.ndarray, replies: np.ndarray
    ) -> None:
        """Logits [n, vocabulary] of both, the n tokens that follow, and which are of a reply."""
        alike = reference.argmax(-1) == bundle.argmax(-1)
        self.positions += len(targets)
        self.alike += int(alike.sum())
        self.replied += int(replies.sum())
        self.replied_alike += int(alike[replies].sum())
        self.largest_difference = max(
            self.largest_difference, float(np.abs(reference - bundle).max())
        )
        self.scale = max(self.scale, float(np.abs(reference).max()))
        for index, logits in enumerate((reference, bundle)):
            self.surprise[index] += _surprise(logits, targets)

    def figures(self) -> dict[str, float]:
        reference, bundle = (math.exp(total / self.positions) for total in self.surprise)
        return {
            "tokens": float(self.positions),
            "logits_difference": self.largest_difference / self.scale,
            "agreement": self.replied_alike / max(1, self.replied),
            "agreement_everywhere": self.alike / self.positions,
            "perplexity": bundle,
            "perplexity_of_original": reference,
            "perplexity_change": bundle / reference - 1.0,
        }


def compare_agent(bundle: Bundle, original: Path, on_progress: Callable[[str], None]) -> Report:
    """Compare an agent bundle with its checkpoint. Raises ModelError, BundleError."""
    checkpoint = checkpoints.read(original)
    _check_vocabulary(bundle, checkpoint)
    exact = _fits_in_float32(checkpoint, bundle)
    model, tokenizer = _load_torch(checkpoint, "float32" if exact else "auto")
    chat = Chat.from_extra(bundle.manifest.extra)
    on_progress("the original answers")
    tokens, replies = _answer(model, tokenizer, chat)
    loaded = load_model(bundle.path, bundle.manifest.target)
    on_progress("comparing logits")
    figures = _compare_logits(model, loaded, tokens, replies).figures()
    first = chat.prompt(_begin())
    same_tokens = loaded.encode(first) == tokenizer.encode(first, add_special_tokens=False)
    figures["tokenized_alike"] = float(same_tokens)
    on_progress("the bundle answers")
    figures["conversation_alike"] = _conversation_alike(bundle, tokens)
    return judge(original.name, figures, bounds_for(bundle.manifest.precision, exact=exact))


def bounds_for(precision: str, *, exact: bool) -> dict[str, Bound]:
    """The bounds of a precision; looser where the original itself ran in less than float32."""
    tokenized = Bound("whether texts become the same tokens", at_least=1.0)
    if not exact and precision in ("fp32", "fp16"):
        precision = "bf16"
    return {"tokenized_alike": tokenized, **BOUNDS[precision]}


def _check_vocabulary(bundle: Bundle, checkpoint: checkpoints.Checkpoint) -> None:
    ours, theirs = bundle.manifest.extra.get("vocabulary"), checkpoint.config.get("vocab_size")
    if ours != theirs:
        raise BundleError(
            f"the bundle knows {ours} tokens and {checkpoint.source} {theirs}: it was not made "
            f"from it; name the checkpoint that it was made from"
        )


def _fits_in_float32(checkpoint: checkpoints.Checkpoint, bundle: Bundle) -> bool:
    """Whether the original in float32 and the bundle fit. Raises BundleError where neither does."""
    room = checkpoints.room_at(bundle.path)
    beside = bundle.manifest.memory_estimate_mb << 20
    if room.memory_bytes > 4 * checkpoint.parameters + beside:
        return True
    needed = checkpoint.weight_bytes + beside
    checkpoints.check_room(room, disk_bytes=0, memory_bytes=needed, out=bundle.path)
    return False


def _load_torch(checkpoint: checkpoints.Checkpoint, dtype: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(
        checkpoint.path, dtype=dtype, local_files_only=True
    )
    return model.eval(), AutoTokenizer.from_pretrained(checkpoint.path, local_files_only=True)


def _answer(
    model: Any,  # noqa: ANN401 (transformers' models share no type)
    tokenizer: Any,  # noqa: ANN401
    chat: Chat,
) -> tuple[list[int], list[bool]]:
    """Torch's greedy conversation as tokens, and which of them torch chose."""
    import torch

    tokens: list[int] = []
    chosen: list[bool] = []
    for text in _prompts(chat):
        new = tokenizer.encode(text, add_special_tokens=False)
        tokens, chosen = tokens + new, chosen + [False] * len(new)
        ids = torch.tensor([tokens])
        with torch.no_grad():
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=REPLY_TOKENS,
                pad_token_id=tokenizer.pad_token_id or 0,
            )[0, len(tokens) :].tolist()
        out = _until_end(out, model.generation_config.eos_token_id, tokenizer)
        tokens, chosen = tokens + out, chosen + [True] * len(out)
    return tokens, chosen


def _until_end(out: list[int], ends: int | list[int] | None, tokenizer: Any) -> list[int]:  # noqa: ANN401
    """What the daemon would keep of a reply: up to the move's end, without the end token."""
    stops = ends if isinstance(ends, list) else [ends]
    for count in range(1, len(out) + 1):
        if out[count - 1] in stops:
            return out[: count - 1]
        if any(end in tokenizer.decode(out[:count]) for end in ENDS):
            return out[:count]
    return out


def _prompts(chat: Chat) -> Iterator[str]:
    """What is read before each reply: the question, then each time what came back."""
    yield chat.prompt(_begin())
    for observation in _OBSERVATIONS:
        turn = chat.turn(Message("user", observation))
        yield chat.assistant.after + turn + chat.assistant.before


def _begin() -> list[Message]:
    spans = [Span(30.0 * index, 30.0 * index + 30.0) for index in range(len(_HIGHS))]
    first = prompts.question_turn(_QUESTION, _OPTIONS, 120.0, list(zip(spans, _HIGHS, strict=True)))
    return [Message("system", prompts.system_turn(_WIDTH)), Message("user", first)]


def _compare_logits(
    model: Any,  # noqa: ANN401
    loaded: LoadedModel,
    tokens: Sequence[int],
    replies: Sequence[bool],
) -> _Tally:
    """Both models read the tokens piece by piece; logits are held side by side."""
    tally = _Tally()
    ours = _bundle_logits(loaded, tokens)
    for start, reference in _torch_logits(model, tokens):
        bundle = next(ours)
        end = min(start + len(reference), len(tokens) - 1)
        count = end - start
        if count > 0:
            tally.add(
                reference[:count],
                bundle[:count],
                np.asarray(tokens[start + 1 : end + 1]),
                np.asarray(replies[start + 1 : end + 1]),
            )
    return tally


def _torch_logits(model: Any, tokens: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:  # noqa: ANN401
    """(position, float32 logits [n, vocabulary]) for each piece."""
    import torch

    past = None
    for start in range(0, len(tokens), PIECE_TOKENS):
        piece = torch.tensor([list(tokens[start : start + PIECE_TOKENS])])
        with torch.no_grad():
            out = model(input_ids=piece, past_key_values=past, use_cache=True)
        past = out.past_key_values
        yield start, out.logits[0].float().numpy()


def _bundle_logits(loaded: LoadedModel, tokens: Sequence[int]) -> Iterator[np.ndarray]:
    """Float32 logits [n, vocabulary] for each piece."""
    params = loaded.genai.GeneratorParams(loaded.model)
    params.set_search_options(max_length=len(tokens) + 1, do_sample=False)
    generator = loaded.genai.Generator(loaded.model, params)
    for start in range(0, len(tokens), PIECE_TOKENS):
        piece = np.asarray(tokens[start : start + PIECE_TOKENS], dtype=np.int32)
        try:
            generator.append_tokens(piece)
        except RuntimeError as error:
            raise ModelError(f"the bundle cannot read the conversation: {error}") from error
        yield np.asarray(generator.get_output("logits"), dtype=np.float32)[0, -len(piece) :]


def _conversation_alike(bundle: Bundle, tokens: Sequence[int]) -> float:
    """How far the bundle, run as the daemon runs it, goes along with torch: a share of tokens."""
    settings = AgentSettings(legal_moves=False, do_sample=False, reply_tokens=REPLY_TOKENS)
    session = OnnxAgent(bundle, settings, own_system=False).open()
    moves, messages = Moves(_WIDTH, frozenset()), _begin()
    for observation in ("", *_OBSERVATIONS):
        if observation:
            messages.append(Message("user", observation))
        reply = session.reply(messages, moves, time.monotonic() + _PATIENCE_S)
        messages.append(Message("assistant", reply))
    ours = session.tokens
    session.close()
    pairs = zip(ours, tokens, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)) / len(tokens)


def _surprise(logits: np.ndarray, targets: np.ndarray) -> float:
    """Sum of negative log likelihoods of the targets."""
    top = logits.max(-1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(-1)) + top[:, 0]
    return float((total - logits[np.arange(len(targets)), targets]).sum())
