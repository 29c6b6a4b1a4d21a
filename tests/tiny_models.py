"""Checkpoints of a few hundred kilobytes, made on the spot: real architectures, no download.

Needs torch, transformers and tokenizers, which are imported when a maker is called.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_lvr1 import prompts
from edge_lvr1.domain import NodeId, Span
from edge_lvr1.models.base import Message, Moves

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("<think>", "</think>")  # added tokens, not special: as Qwen3 has them
END = "<|im_end|>"

# What Qwen3's template does that matters here: reasoning of replies before the last question
# is dropped.
QWEN3_LIKE_TEMPLATE = """\
{%- set ns = namespace(last=-1) -%}
{%- for m in messages -%}{%- if m.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- for m in messages -%}
{%- set text = m.content -%}
{%- if m.role == 'assistant' and loop.index0 < ns.last and '</think>' in text -%}
{%- set text = text.split('</think>')[-1].lstrip('\\n') -%}
{%- endif -%}
{{- '<|im_start|>' + m.role + '\\n' + text + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"""

SYSTEM = "Find the answer in a tree of captions of width {W}."


@dataclass(frozen=True)
class Round:
    """The conversation before a reply, what may be done, and what the model was taught to say."""

    messages: tuple[Message, ...]
    moves: Moves
    reply: str


def train_tokenizer(out: Path, texts: Sequence[str] = (), vocab_size: int = 640) -> Any:
    """A byte-level tokenizer with ChatML marks, trained on protocol text and put into `out`."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts, *_protocol_texts()], trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in TAGS])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token="<|endoftext|>"
    )
    fast.chat_template = QWEN3_LIKE_TEMPLATE
    fast.save_pretrained(out)
    return fast


def make_qwen3(
    out: Path,
    *,
    tied: bool = False,
    shards: bool = False,
    seed: int = 0,
    hidden: int = 64,
    layers: int = 2,
    context: int = 4096,
    generation: dict[str, Any] | None = None,
    texts: Sequence[str] = (),
) -> Any:
    """A random Qwen3 of a few hundred kilobytes; gives the model that was saved to `out`."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = train_tokenizer(out, texts)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,  # not hidden / heads, as in Qwen3 itself
        max_position_embeddings=context,
        tie_word_embeddings=tied,
        initializer_range=0.1,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=0,
        bos_token_id=None,
    )
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config).eval()
    for name, value in (generation or {}).items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(out, max_shard_size="150KB" if shards else "5GB")
    return model


def make_navigator(out: Path, *, steps: int = 90, seed: int = 0) -> list[Round]:
    """A Qwen3 trained for some seconds to navigate; gives the rounds that it was taught.

    Learning is checked: the last loss must be small, so that a quantized copy still does the
    same.
    """
    import torch

    rounds = navigation_rounds()
    texts = [m.content for r in rounds for m in (*r.messages, Message("assistant", r.reply))]
    model = make_qwen3(out, seed=seed, hidden=128, context=2048, texts=texts)
    tokens, targets = _training_batch(out, rounds)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=6e-3, total_steps=steps)
    model.train()
    loss = torch.tensor(0.0)
    with _one_thread():
        for _ in range(steps):
            optimizer.zero_grad()
            loss = model(input_ids=tokens, labels=targets, use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    assert loss.item() < 0.02, f"the tiny navigator did not learn: loss {loss.item():.3f}"
    model.eval().save_pretrained(out)
    return rounds


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Steps this small are slower on many threads, and far slower on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def navigation_rounds() -> list[Round]:
    """Three questions about one recording; what is opened depends on what was read."""
    return [
        *_walk(
            "What does the man carry?",
            ("a red bag", "a ladder"),
            [
                ("The man is in (1).", "get_caption((1,2))"),
                ("A man comes in (1,2).", "get_caption((1,2,1))"),
                ("It may be a bag. I look.", 'video_qa((1,2,1), "what does he carry")'),
                ("A red bag.", "A"),
            ],
        ),
        *_walk(
            "Where does the car stop?",
            ("at the gate", "at the door"),
            [
                ("The car is in (2).", "get_caption((2,1))"),
                ("It stops in (2,1).", "get_caption((2,1,2))"),
                ("At the door.", "B"),
            ],
        ),
        *_walk(
            "Is there a dog?",
            (),
            [
                ("No dog so far.", "get_caption((2,2))"),
                ("None there.", "not found: I looked at (2,2)"),
            ],
        ),
    ]


_SEEN = {
    (1, 2): "A man comes from the left.",
    (1, 2, 1): "A man holds something red.",
    (2, 1): "A car comes and stops.",
    (2, 1, 2): "The car stands at the door.",
    (2, 2): "An empty yard.",
}


def _walk(
    question: str, options: tuple[str, ...], replies: Sequence[tuple[str, str]]
) -> list[Round]:
    """The rounds of one question. A call is told by its bracket; anything else is the answer."""
    highs = [(Span(0.0, 8.0), "A man in a yard."), (Span(8.0, 16.0), "A car in a yard.")]
    messages = [
        Message("system", SYSTEM.replace("{W}", "2")),
        Message("user", prompts.question_turn(question, options, 16.0, highs)),
    ]
    rounds, opened = [], set[NodeId]()
    for thought, act in replies:
        call = act.startswith(("get_caption(", "video_qa("))
        tag = "tool" if call else "answer"
        reply = f"<think>{thought}</think>\n<{tag}>{act}</{tag}>"
        moves = Moves(width=2, opened=frozenset(opened), letters="AB"[: len(options)])
        rounds.append(Round(tuple(messages), moves, reply))
        messages.append(Message("assistant", reply))
        if act.startswith("get_caption("):
            node = NodeId.parse(act[len("get_caption") :].strip("()"))
            opened.add(node)
            text = prompts.caption_turn(node, Span(0.0, 4.0), _SEEN[node.path])
            messages.append(Message("user", text))
        elif call:
            messages.append(Message("user", prompts.information_turn("It is a red bag.")))
    return rounds


def _training_batch(out: Path, rounds: Sequence[Round]) -> tuple[Any, Any]:
    """Token ids and labels of whole conversations: only replies and their ends are learnt."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(out)
    rows: list[tuple[list[int], list[int]]] = []
    for index, last in enumerate(rounds):
        if index + 1 < len(rounds) and len(rounds[index + 1].messages) > len(last.messages):
            continue  # not the last round of its question
        ids: list[int] = []
        labels: list[int] = []
        for message in (*last.messages, Message("assistant", last.reply)):
            before = tokenizer.encode(f"<|im_start|>{message.role}\n")
            content = tokenizer.encode(message.content + END)
            after = tokenizer.encode("\n")
            learnt = content if message.role == "assistant" else [-100] * len(content)
            ids += before + content + after
            labels += [-100] * len(before) + learnt + [-100] * len(after)
        rows.append((ids, labels))
    longest = max(len(ids) for ids, _ in rows)
    tokens = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows])
    targets = torch.tensor([labels + [-100] * (longest - len(ids)) for ids, labels in rows])
    return tokens, targets


def _protocol_texts() -> list[str]:
    """Text that has the protocol's words, so that they become few tokens."""
    return [
        '<tool>get_caption((1,2,3))</tool> <answer>A</answer> video_qa((1,2,3), "what")',
        "Low-level Caption from tool get_caption((1,2,3)). From 1.0 to 2.0: A man walks.",
        "The total duration of the video is 16.0 seconds.\nHigh-level Caption 1 from 0.0 to 8.0: ",
        prompts.SYSTEM,
    ] * 4
