"""What an exported agent costs, in ratios that one run gives: cache, precision, first token.

The model has the shape of a Qwen3 and random weights, made on the spot: speed does not
depend on what the weights say. Ratios are what to read; seconds are this machine's.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_lvr1.bundle import load
from edge_lvr1.errors import ModelError
from edge_lvr1.export.agent import AgentOptions, export_agent
from edge_lvr1.models.base import Message, Moves
from edge_lvr1.models.onnx.agent import AgentSettings, OnnxAgent
from edge_lvr1.models.onnx.chat import CHATML
from edge_lvr1.models.onnx.genai import genai
from edge_lvr1.models.onnx.providers import usual_threads

log = logging.getLogger(__name__)

_SAYING = "A man in a dark coat walks past the door of the yard and looks to the left. "
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@dataclass(frozen=True, slots=True)
class Shape:
    """A Qwen3's dimensions; the defaults are Qwen3-0.6B's."""

    vocabulary: int = 151936
    hidden: int = 1024
    intermediate: int = 3072
    layers: int = 28
    heads: int = 16
    cache_heads: int = 8
    head_dim: int = 128
    tied: bool = True


TARGETS = ("cpu", "cuda")
SHAPES = {
    "qwen3-0.6b": Shape(),
    "qwen3-8b": Shape(hidden=4096, intermediate=12288, layers=36, heads=32, tied=False),
}


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What to measure, and how much.

    int4 is always among the `precisions`. Words are of the prompts; `threads` of None takes as
    many as there are CPUs, in torch as well.

    Rates are the best of `repeats`, since another program can only make them worse.
    """

    shape: Shape = Shape()
    target: str = "cpu"
    precisions: tuple[str, ...] = ("int4",)
    rounds: int = 10
    first_words: int = 160
    round_words: int = 40
    long_words: int = 1500
    thought_tokens: int = 16
    decode_tokens: int = 24
    repeats: int = 3
    folder: Path | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class AgentBench:
    """Figures of one run. Rates are tokens a second, of decoding but for `reading_rate`, which
    is of a long prompt in int4. `card_mb` is what the agent in int4 took on the GPU, a
    conversation included.

    `seconds` are of whole conversations, `reading_s` of waiting for first tokens alone: what
    is written costs the same with the cache and without.
    """

    device: str
    rounds: int
    read_with_cache: int
    read_anew: int
    seconds_with_cache: float
    seconds_anew: float
    reading_s_with_cache: float
    reading_s_anew: float
    first_token_s: float
    later_first_token_s: float
    int4_rate: float
    fp16_rate: float | None
    torch_bf16_rate: float
    reading_rate: float
    card_mb: int | None

    @property
    def fewer_tokens_read(self) -> float:
        """How many times fewer tokens the cache lets be read."""
        return self.read_anew / self.read_with_cache

    @property
    def less_reading_time(self) -> float:
        """How many times shorter the waits for first tokens are with the cache."""
        return self.reading_s_anew / self.reading_s_with_cache

    @property
    def less_time(self) -> float:
        """How many times faster the conversation is with the cache."""
        return self.seconds_anew / self.seconds_with_cache

    @property
    def int4_speedup(self) -> float:
        """How many times faster int4 decodes than torch in bf16."""
        return self.int4_rate / self.torch_bf16_rate


def bench_agent(
    options: BenchOptions | None = None, on_progress: Callable[[str], None] = log.info
) -> AgentBench:
    """Make the model, export it for the target and measure. Raises ModelError.

    Qwen3-0.6B's shape takes about 5 GB of disk in `folder` (a temporary one by default) and
    4 GB of memory.
    """
    options = options or BenchOptions()
    device = _device(options.target)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        checkpoint = Path(temporary) / "checkpoint"
        on_progress("making random weights")
        make_random(checkpoint, options.shape, options.target)
        on_progress("torch bf16 decodes")
        torch_rate = _torch_rate(checkpoint, options)
        on_progress(f"torch bf16: {torch_rate:.1f} tokens a second")
        rates: dict[str, float] = {}
        for precision in options.precisions:
            bundle = Path(temporary) / precision
            wanted = AgentOptions(str(checkpoint), bundle, precision, options.target)
            export_agent(wanted, on_progress)
            on_progress(f"{precision} decodes")
            rates[precision] = _onnx_rate(bundle, options)
            on_progress(f"{precision}: {rates[precision]:.1f} tokens a second")
        talked = _talk(Path(temporary) / "int4", options, on_progress)
    kept, anew = talked.kept, talked.anew
    return AgentBench(
        device=device,
        rounds=options.rounds,
        read_with_cache=kept.read,
        read_anew=anew.read,
        seconds_with_cache=kept.seconds,
        seconds_anew=anew.seconds,
        reading_s_with_cache=sum(kept.first_token_s),
        reading_s_anew=sum(anew.first_token_s),
        first_token_s=kept.first_token_s[0],
        later_first_token_s=sum(kept.first_token_s[1:]) / max(1, options.rounds - 1),
        int4_rate=rates["int4"],
        fp16_rate=rates.get("fp16"),
        torch_bf16_rate=torch_rate,
        reading_rate=talked.reading_rate,
        card_mb=talked.card_mb,
    )


def _device(target: str) -> str:
    """What the target is here, in words. Raises ModelError where there is none."""
    if target not in TARGETS:
        raise ModelError(f"there is no target {target!r} to measure; known: cpu, cuda")
    if target == "cpu":
        return f"{usual_threads()} CPUs"
    import torch

    if not torch.cuda.is_available():
        raise ModelError("torch finds no GPU: install its CUDA build, and the driver")
    if not genai().is_cuda_available():
        raise ModelError("this onnxruntime-genai has no cuda: install edge-lvr1 with extra 'gpu'")
    return str(torch.cuda.get_device_name())


@dataclass(frozen=True, slots=True)
class _Talked:
    """The conversation, with the cache and without, and what else the same agent showed."""

    kept: _Talk
    anew: _Talk
    reading_rate: float
    card_mb: int | None


def _talk(bundle: Path, options: BenchOptions, on_progress: Callable[[str], None]) -> _Talked:
    before_mb = _free_mb(options.target)
    settings = AgentSettings(
        thought_tokens=options.thought_tokens, do_sample=False, threads=options.threads
    )
    agent = OnnxAgent(load(bundle), settings)
    agent.load()
    _with_cache(agent, replace(options, rounds=1))  # what is made once at first use
    on_progress(f"{options.rounds} rounds with the cache")
    kept = _with_cache(agent, options)
    on_progress(f"{options.rounds} rounds read anew")
    anew = _anew(agent, kept.messages)
    after_mb = _free_mb(options.target)
    on_progress("a long prompt")
    session = agent.open()
    prompt = [Message("user", _words(options.long_words))]
    waited = _timed_reply(session.stream(prompt, _moves(), math.inf))[1]
    return _Talked(
        kept,
        anew,
        reading_rate=session.usage.read / waited,
        card_mb=None if before_mb is None or after_mb is None else before_mb - after_mb,
    )


def _free_mb(target: str) -> int | None:
    """What is free on the GPU; None where the target is none."""
    if target == "cpu":
        return None
    import torch

    gc.collect()
    torch.cuda.empty_cache()
    return int(torch.cuda.mem_get_info()[0]) >> 20


@dataclass(frozen=True, slots=True)
class _Talk:
    """A conversation that was had, and what it took."""

    messages: tuple[Message, ...]
    read: int
    seconds: float
    first_token_s: tuple[float, ...]


def _with_cache(agent: OnnxAgent, options: BenchOptions) -> _Talk:
    session = agent.open()
    messages = [Message("user", _words(options.first_words))]
    first: list[float] = []
    begin = time.perf_counter()
    for number in range(options.rounds):
        reply, waited = _timed_reply(session.stream(messages, _moves(), math.inf))
        first.append(waited)
        messages.append(Message("assistant", reply))
        messages.append(Message("user", f"{number}. {_words(options.round_words)}"))
    seconds = time.perf_counter() - begin
    read = session.usage.read
    session.close()
    return _Talk(tuple(messages), read, seconds, tuple(first))


def _anew(agent: OnnxAgent, messages: Sequence[Message]) -> _Talk:
    """The same conversation, read from its beginning in each round."""
    read, first = 0, []
    begin = time.perf_counter()
    for end in range(1, len(messages), 2):
        session = agent.open()
        first.append(_timed_reply(session.stream(messages[:end], _moves(), math.inf))[1])
        read += session.usage.read
        session.close()
    return _Talk(tuple(messages), read, time.perf_counter() - begin, tuple(first))


def _onnx_rate(bundle: Path, options: BenchOptions) -> float:
    """Tokens a second of decoding after the first, without constraints, as torch has none."""
    settings = AgentSettings(
        legal_moves=False,
        do_sample=False,
        reply_tokens=options.decode_tokens,
        threads=options.threads,
    )
    agent = OnnxAgent(load(bundle, check_hashes=False), settings)
    prompt = [Message("user", _words(options.first_words))]
    rates = []
    for _ in range(options.repeats):
        session = agent.open()
        pieces = session.stream(prompt, _moves(), math.inf)
        next(piece for piece in pieces if session.usage.written)
        begin = time.perf_counter()
        for _ in pieces:
            continue
        rates.append((session.usage.written - 1) / (time.perf_counter() - begin))
        session.close()
    return max(rates)


def _torch_rate(checkpoint: Path, options: BenchOptions) -> float:
    """Tokens a second of decoding after the first, with torch's cache."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    rates = []
    target = options.target
    finish = torch.cuda.synchronize if target == "cuda" else (lambda: None)
    with _torch_threads(options.threads or usual_threads()), torch.no_grad():
        model: Any = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.bfloat16)
        model = model.to(target).eval()
        tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)
        prompt = CHATML.prompt([Message("user", _words(options.first_words))])
        ids = torch.tensor([tokenizer.encode(prompt)], device=target)
        for _ in range(options.repeats):
            out = model(input_ids=ids, use_cache=True, logits_to_keep=1)
            finish()
            begin = time.perf_counter()
            for _ in range(options.decode_tokens - 1):
                token = out.logits[:, -1:].argmax(-1)
                out = model(input_ids=token, past_key_values=out.past_key_values, use_cache=True)
            finish()
            rates.append((options.decode_tokens - 1) / (time.perf_counter() - begin))
    return max(rates)


def make_random(out: Path, shape: Shape, device: str = "cpu") -> None:
    """A Qwen3 of that shape with random bfloat16 weights and a small tokenizer, in `out`.

    `device` is where the weights are drawn.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.cache_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=8192,
        tie_word_embeddings=shape.tied,
        eos_token_id=_SPECIAL.index("<|im_end|>"),
        pad_token_id=0,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            Qwen3ForCausalLM(config).save_pretrained(out)
    finally:
        torch.set_default_dtype(default)
    _make_tokenizer(out)


def _make_tokenizer(out: Path) -> None:
    """Byte-level, with the words of the prompts as tokens: a word is about a token, as usual."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_SAYING] * 4, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    ).save_pretrained(out)


def _moves() -> Moves:
    return Moves(width=8, opened=frozenset())


def _timed_reply(pieces: Iterator[str]) -> tuple[str, float]:
    """The reply, and the seconds until its first piece."""
    begin = time.perf_counter()
    text, waited = "", 0.0
    for piece in pieces:
        if piece:  # empty ones come while the prompt is read
            waited = waited or time.perf_counter() - begin
        text += piece
    return text, waited


def _words(count: int) -> str:
    words = _SAYING.split()
    return " ".join(words[index % len(words)] for index in range(count))


@contextlib.contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
