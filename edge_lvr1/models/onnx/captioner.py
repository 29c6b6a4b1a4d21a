"""The captioner on a bundle of Qwen2.5-VL or Qwen3-VL, with onnxruntime and no torch.

It looks at a node's frames and writes; a parent's caption is written by looking too, as the
agent was trained. What is asked of the model stands in the bundle.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.bundle import Bundle
from edge_lvr1.domain import Caption, Level, Node, Span
from edge_lvr1.errors import BundleError, Cancelled, ModelError
from edge_lvr1.media.frames import Footage, Frame, Wanted
from edge_lvr1.models.base import Cancel, Clip, Notes, Written, never
from edge_lvr1.models.looking import LOOKS, QUERY_WORDS, Look, frames_of, said, wanted
from edge_lvr1.models.onnx.preprocess import choose_size, fit
from edge_lvr1.models.onnx.sampling import Sampling, choose
from edge_lvr1.models.onnx.vl_facts import TOKENIZER, facts_of
from edge_lvr1.models.onnx.vl_model import VlModel
from edge_lvr1.models.onnx.vl_prompt import Prompt, Shown, Words, build_prompt
from edge_lvr1.untrusted import harmless

log = logging.getLogger(__name__)

SYSTEM, CAPTION, QUERY = "system", "caption", "query"
"""The bundle's prompts. The last two take {frames}, {start}, {end}, {words} and {query}."""

MAX_SECONDS = 300.0
_TOKENS_A_WORD = 2  # more than Qwen's tokenizer needs for plain words


class _Late(Exception):  # noqa: N818 (a signal between two functions, not an error)
    """The time for a reply is over."""


class OnnxCaptioner:
    """Captions from an exported vision-language model. Loads at its first use.

    `provider` overrides the one that the bundle was exported for, `sampling` the bundle's
    own. A reply takes at most `max_seconds`: what is written by then counts.
    """

    def __init__(
        self,
        bundle: Bundle,
        provider: str | None = None,
        looks: Mapping[Level, Look] = LOOKS,
        sampling: Sampling | None = None,
        max_seconds: float = MAX_SECONDS,
        threads: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        manifest = bundle.manifest
        self.facts = facts_of(bundle)
        self.prompts = _prompts(bundle)
        self.sizes = manifest.frame_sizes
        self.context_tokens = manifest.context_tokens
        self.memory_mb = manifest.memory_estimate_mb
        self.name = f"onnx: {Path(manifest.source).name}"
        self.version = _version(bundle)
        self.looks = looks
        self.sampling = Sampling.of(manifest.sampling) if sampling is None else sampling
        self.max_seconds = max_seconds
        self.clock = clock
        self.words = Words(bundle.path / TOKENIZER)
        self.model = VlModel(bundle.path, self.facts, provider or manifest.target, threads)

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self.model.loaded

    def load(self) -> None:
        """Bring the model into memory before it is needed. Raises ModelError."""
        self.model.load()

    def unload(self) -> None:
        """Free the model's memory; the next clip loads it again."""
        self.model.unload()

    def watch(
        self, footage: Footage, notes: Notes | None, active: Sequence[Span] | None = None
    ) -> Iterator[Notes]:
        """Nothing: each clip is looked at by itself."""
        return iter(())

    def wants(self, node: Node, active: Sequence[Span] | None = None) -> Wanted:
        """The frames that a caption of the node will be written from."""
        return wanted(node, self.looks[node.level], active)

    def caption(self, clip: Clip) -> Written:
        """Write a node's caption by looking. Raises ModelError, MediaError."""
        look = self.looks[clip.node.level]
        frames = frames_of(clip, look)
        request = self._request(CAPTION, clip, frames, look.words)
        ids = self.reply(
            frames,
            look.max_side_px,
            request,
            look.words * _TOKENS_A_WORD,
            clip.footage.cancelled,
        )
        text = " ".join(said(self.words.decode(ids), look.words).split())
        if not text:
            raise ModelError(
                f"{self.name} wrote no caption of {clip.node.id}: see with `export verify` "
                f"whether the bundle is sound, and whether its time and context suffice"
            )
        return Written(text=text, frames=len(frames), tokens=len(ids), prompt=request)

    def fold(self, node: Node, children: Sequence[Caption]) -> Written | None:
        """None: every level is written by looking, as the agent was trained."""
        return None

    def video_qa(self, clip: Clip, query: str) -> str:
        """Look at a leaf again with a question in mind. Raises ModelError, MediaError."""
        look = self.looks[clip.node.level]
        frames = frames_of(clip, look)
        request = self._request(QUERY, clip, frames, QUERY_WORDS, harmless(query))
        ids = self.reply(
            frames,
            look.max_side_px,
            request,
            QUERY_WORDS * _TOKENS_A_WORD,
            clip.footage.cancelled,
        )
        text = " ".join(said(self.words.decode(ids), QUERY_WORDS).split())
        if not text:
            raise ModelError(f"{self.name} said nothing about {clip.node.id}")
        return text

    def reply(
        self,
        frames: Sequence[Frame],
        max_side_px: int,
        request: str,
        max_tokens: int,
        cancelled: Cancel = never,
    ) -> list[int]:
        """Tokens of the model's reply to frames and a request, without the one that ends it.

        Ends at a stop token, after `max_tokens`, or when the time is over. Raises ModelError,
        and Cancelled once `cancelled` says so.
        """
        deadline_s = self.clock() + self.max_seconds
        height_px, width_px = frames[0].image.shape[:2]
        size = choose_size(self.sizes, height_px, width_px, max_side_px)
        shown = Shown(
            times_s=tuple(frame.time_s for frame in frames),
            rows=size[0] // self.facts.side_px,
            columns=size[1] // self.facts.side_px,
        )
        prompt = build_prompt(self.facts, self.words, self.prompts[SYSTEM], request, shown)
        room = self._room(prompt, max_tokens)

        def check() -> None:
            if cancelled():
                raise Cancelled("the reply is not wanted any more")
            if self.clock() >= deadline_s:
                raise _Late

        ids: list[int] = []
        try:
            seen = self.model.see([fit(frame.image, *size) for frame in frames], check)
            for token in self.model.write(prompt, seen, self._chooser(prompt, ids), check):
                if token in self.facts.stops:
                    break
                ids.append(token)
                if len(ids) >= room:
                    break
        except _Late:
            log.warning(
                "%s: stopped after %.0f s, %d tokens", self.name, self.max_seconds, len(ids)
            )
        return ids

    def _chooser(
        self, prompt: Prompt, written: Sequence[int]
    ) -> Callable[[NDArray[np.float32]], int]:
        random = np.random.default_rng(self.sampling.seed)
        asked = prompt.ids.tolist()

        def pick(logits: NDArray[np.float32]) -> int:
            return choose(logits, [*asked, *written], self.sampling, random)

        return pick

    def _room(self, prompt: Prompt, max_tokens: int) -> int:
        room = min(max_tokens, self.context_tokens - len(prompt.ids))
        if room < 1:
            raise ModelError(
                f"{len(prompt.ids)} tokens of frames and text do not fit into the "
                f"{self.context_tokens} of {self.name}: show fewer or smaller frames"
            )
        return room

    def _request(
        self, prompt: str, clip: Clip, frames: Sequence[Frame], words: int, query: str = ""
    ) -> str:
        span = clip.node.span
        return self.prompts[prompt].format(
            frames=len(frames), start=span.start_s, end=span.end_s, words=words, query=query
        )


def _prompts(bundle: Bundle) -> dict[str, str]:
    prompts = {SYSTEM: "", **bundle.manifest.prompts}
    for name in (CAPTION, QUERY):
        if name not in prompts:
            raise BundleError(f"{bundle.path} has no prompt {name!r}: export it again")
        try:
            prompts[name].format(frames=1, start=0.0, end=1.0, words=1, query="")
        except (KeyError, IndexError, ValueError) as error:
            raise BundleError(
                f"the prompt {name!r} of {bundle.path} cannot be filled in ({error}): it may hold "
                f"{{frames}}, {{start}}, {{end}}, {{words}} and {{query}}; double other braces"
            ) from None
    return prompts


def _version(bundle: Bundle) -> str:
    """Changes with whatever changes the captions: files, prompts, sampling."""
    manifest = bundle.manifest
    parts = [dict(manifest.files), dict(manifest.prompts), dict(manifest.sampling)]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8")).hexdigest()
    return f"{manifest.precision}-{digest[:12]}"
