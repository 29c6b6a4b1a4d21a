"""A clip and a request as tokens, in the chat form that Qwen-VL models were trained with.

Text that others wrote cannot put a mark into the conversation: what looks like one is
spelled out in ordinary tokens.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.errors import ModelError
from edge_lvr1.models.onnx.mrope import Pictures, Piece, Text, positions
from edge_lvr1.models.onnx.providers import Foreign
from edge_lvr1.models.onnx.vl_facts import VlFacts


@dataclass(frozen=True, slots=True)
class Shown:
    """What a prompt shows: the frames' times, and their size in tokens."""

    times_s: tuple[float, ...]
    rows: int
    columns: int


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """Tokens int64 [S] with a pad token for each of a picture's, positions int64 [3, S]."""

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    next_position: int


class Words:
    """A tokenizer of the bundle's. `folder` holds its tokenizer.json."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._tokenizer: Any = None

    def encode(self, text: str) -> tuple[int, ...]:
        """Tokens of plain text; marks in it are spelled out. Raises ModelError."""
        ids: list[int] = self._loaded().encode(text, add_special_tokens=False).ids
        return tuple(ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of tokens, without marks."""
        text: str = self._loaded().decode(list(ids), skip_special_tokens=True)
        return text

    def _loaded(self) -> Foreign:
        if self._tokenizer is None:
            try:
                package: Any = importlib.import_module("tokenizers")
            except ImportError as error:
                raise ModelError(
                    f"the onnx captioner needs the package tokenizers, which cannot be loaded "
                    f"({error}): install edge-lvr1 with its extra 'cpu' or 'gpu'"
                ) from error
            self._tokenizer = package.Tokenizer.from_file(str(self.file))
            self._tokenizer.encode_special_tokens = True
        return self._tokenizer


def build_prompt(facts: VlFacts, words: Words, system: str, request: str, shown: Shown) -> Prompt:
    """The conversation up to where the model begins to write. An empty `system` is left out."""
    mark = {name: (token,) for name, token in facts.marks.items()}
    pieces: list[Piece | str] = []
    if system:
        pieces += [Text(mark["im_start"]), f"system\n{system}", Text(mark["im_end"]), "\n"]
    pieces += [Text(mark["im_start"]), "user\n"]
    pieces += _clip(facts, shown)
    pieces += [request, Text(mark["im_end"]), "\n"]
    pieces += [Text(mark["im_start"]), "assistant\n"]
    tokens = list(_tokenised(pieces, words))
    ids = [
        piece.ids if isinstance(piece, Text) else mark["video_pad"] * piece.tokens
        for piece in tokens
    ]
    placed, following = positions(tokens, facts.text_after)
    return Prompt(np.concatenate([np.array(part, np.int64) for part in ids]), placed, following)


def _clip(facts: VlFacts, shown: Shown) -> list[Piece | str]:
    """The slices of a clip: in one run and evenly spaced, or each after its time as text."""
    start, end = Text((facts.marks["vision_start"],)), Text((facts.marks["vision_end"],))
    times_s = _slice_times(shown.times_s, facts.frames_per_slice)
    if facts.tokens_per_second:
        step = facts.tokens_per_second * _spacing_s(shown.times_s) * facts.frames_per_slice
        return [start, Pictures(len(times_s), shown.rows, shown.columns, step), end]
    pieces: list[Piece | str] = []
    for time_s in times_s:
        pieces.append(f"<{time_s:.1f} seconds>")
        pieces += [start, Pictures(1, shown.rows, shown.columns), end]
    return pieces


def _slice_times(times_s: Sequence[float], frames: int) -> list[float]:
    """The middle of each slice; the last frame stands in for what is missing of its slice."""
    padded = [*times_s, *[times_s[-1]] * (-len(times_s) % frames)]
    return [(padded[i] + padded[i + frames - 1]) / 2 for i in range(0, len(padded), frames)]


def _spacing_s(times_s: Sequence[float]) -> float:
    """Seconds between frames; 1 where there is but one."""
    return (times_s[-1] - times_s[0]) / (len(times_s) - 1) if len(times_s) > 1 else 1.0


def _tokenised(pieces: Iterable[Piece | str], words: Words) -> Iterable[Piece]:
    """Neighbouring texts are tokenised as one, as they would be in a whole prompt."""
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
            continue
        if text:
            yield Text(words.encode(text))
            text = ""
        yield piece
    if text:
        yield Text(words.encode(text))
