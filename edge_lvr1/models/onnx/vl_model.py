"""A Qwen-VL model on plain onnxruntime: frames to features, a prompt to tokens.

The key-value cache stays where the provider is. Long prompts and long clips are read in
pieces, which bounds the memory that attention takes and lets a deadline be kept. It knows
nothing of captions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.errors import ModelError
from edge_lvr1.models.onnx import vl_facts as names
from edge_lvr1.models.onnx.preprocess import Picture, patches
from edge_lvr1.models.onnx.providers import (
    Foreign,
    onnxruntime,
    open_session,
    runtime_errors,
)
from edge_lvr1.models.onnx.vl_facts import VlFacts
from edge_lvr1.models.onnx.vl_prompt import Prompt

SLICES_AT_ONCE = 4
TOKENS_AT_ONCE = 512
_DEVICES = {"cpu": "cpu"}  # every other provider keeps its tensors on an NVIDIA GPU

Check = Callable[[], None]
"""Called between pieces of work; raises to end it."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the vision encoder made of a clip: float32 [tokens, width], and for the decoder's
    first layers [levels, tokens, width]."""

    tokens: NDArray[np.float32]
    deepstack: NDArray[np.float32] | None


class VlModel:
    """The graphs of a captioner bundle. Opened by `load`, and by the first use of it."""

    def __init__(
        self, folder: Path, facts: VlFacts, provider: str, threads: int | None = None
    ) -> None:
        self.folder, self.facts = folder, facts
        self.provider, self.threads = provider, threads
        self._vision: Any = None
        self._decoder: Any = None
        self._embeddings: NDArray[Any] | None = None

    @property
    def loaded(self) -> bool:
        """Whether the graphs are in memory."""
        return self._decoder is not None

    def load(self) -> None:
        """Bring the graphs into memory. Raises ModelError."""
        if self.loaded:
            return
        self._vision = open_session(self.folder / names.VISION, self.provider, self.threads)
        self._embeddings = _mapped(self.folder / names.EMBEDDINGS, self.facts.width)
        self._decoder = open_session(self.folder / names.DECODER, self.provider, self.threads)

    def unload(self) -> None:
        """Let go of the memory; the next use loads again."""
        self._vision = self._decoder = self._embeddings = None

    def see(self, pictures: Sequence[Picture], check: Check = lambda: None) -> Features:
        """Encode frames of one of the bundle's sizes. Raises ModelError, and what `check` does."""
        self.load()
        height, width = pictures[0].shape[:2]
        constants = _constants(self.folder / names.constants_file(height, width))
        tokens, levels = [], []
        step = SLICES_AT_ONCE * self.facts.frames_per_slice
        for start in range(0, len(pictures), step):
            check()
            values = patches(pictures[start : start + step], self.facts)
            try:
                found = self._vision.run(None, {names.PATCHES: values, **constants})
            except runtime_errors() as error:
                raise ModelError(f"the vision encoder failed: {error}") from error
            tokens.append(found[0])
            levels += found[1:]
        deepstack = np.concatenate(levels, axis=1) if levels else None
        return Features(np.concatenate(tokens), deepstack)

    def write(
        self,
        prompt: Prompt,
        seen: Features,
        choose: Callable[[NDArray[np.float32]], int],
        check: Check = lambda: None,
    ) -> Iterator[int]:
        """Tokens that follow a prompt, without end: `choose` picks each from logits [words].

        Raises ModelError, and what `check` does.
        """
        self.load()
        run = _Run(self._decoder, self.facts, _DEVICES.get(self.provider, "cuda"))
        embeds, deepstack = self._embedded(prompt, seen)
        logits = None
        for start in range(0, len(prompt.ids), TOKENS_AT_ONCE):
            check()
            part = slice(start, start + TOKENS_AT_ONCE)
            levels = None if deepstack is None else deepstack[:, part]
            logits = run.step(embeds[part], prompt.positions[:, part], levels)
        assert logits is not None
        position = prompt.next_position
        while True:
            check()
            token = choose(logits)
            yield token
            place = np.full((3, 1), position, np.int64)
            logits = run.step(self._rows(np.array([token])), place, None)
            position += 1

    def _embedded(
        self, prompt: Prompt, seen: Features
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Embeddings [S, width] with the clip's features in place; deepstack [levels, S, width]."""
        pad = prompt.ids == self.facts.marks["video_pad"]
        if int(pad.sum()) != len(seen.tokens):
            raise ModelError(
                f"the prompt has room for {int(pad.sum())} tokens of pictures and there are "
                f"{len(seen.tokens)}: the bundle does not fit itself, export it again"
            )
        embeds = self._rows(prompt.ids)
        embeds[pad] = seen.tokens
        if seen.deepstack is None:
            return embeds, None
        deepstack = np.zeros((len(seen.deepstack), *embeds.shape), np.float32)
        deepstack[:, pad] = seen.deepstack
        return embeds, deepstack

    def _rows(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        assert self._embeddings is not None
        return np.asarray(self._embeddings[ids], np.float32)


class _Run:
    """One reply being written: the cache, grown by each step.

    On a GPU the cache stays there as onnxruntime's own values.
    """

    def __init__(self, session: Foreign, facts: VlFacts, device: str) -> None:
        self.session, self.facts, self.device = session, facts, device
        package = onnxruntime()
        empty = np.zeros((1, facts.kv_heads, 0, facts.head_dim), facts.cache_dtype)
        self.past = [
            package.OrtValue.ortvalue_from_numpy(empty, device) for _ in range(2 * facts.layers)
        ]

    def step(
        self,
        embeds: NDArray[np.float32],
        positions: NDArray[np.int64],
        deepstack: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        """Logits [words] of the last of S tokens. Raises ModelError."""
        facts, binding = self.facts, self.session.io_binding()
        binding.bind_cpu_input(names.EMBEDS, embeds[None])
        binding.bind_cpu_input(names.POSITIONS, np.ascontiguousarray(positions))
        if facts.deepstack_levels:
            if deepstack is None:
                deepstack = np.zeros((facts.deepstack_levels, *embeds.shape), np.float32)
            binding.bind_cpu_input(names.DEEPSTACK, np.ascontiguousarray(deepstack))
        for name, value in zip(names.cache_names(facts.layers, "past"), self.past, strict=True):
            binding.bind_ortvalue_input(name, value)
        binding.bind_output(names.LOGITS, "cpu")
        for name in names.cache_names(facts.layers, "present"):
            binding.bind_output(name, self.device)
        try:
            self.session.run_with_iobinding(binding)
        except runtime_errors() as error:
            raise ModelError(f"the language part failed: {error}") from error
        logits, *self.past = binding.get_outputs()
        found: NDArray[np.float32] = logits.numpy()[0, -1]
        return found


def _mapped(file: Path, width: int) -> NDArray[Any]:
    """The embedding table [words, width], on disk until a row is asked for."""
    try:
        table: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read ({error}): export the bundle again") from error
    if table.ndim != 2 or table.shape[1] != width:
        raise ModelError(f"{file} has the wrong shape: export the bundle again")
    return table


def _constants(file: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read ({error}): export the bundle again") from error
