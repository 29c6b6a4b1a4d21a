"""Holding an exported captioner against its checkpoint in torch.

Made clips of several shapes and lengths are described greedily by torch. The same tokens
then go through both models and the logits are compared; and the bundle describes the clips
by itself, the way the daemon runs it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.bundle import Bundle
from edge_lvr1.errors import BundleError
from edge_lvr1.export import checkpoint as checkpoints
from edge_lvr1.export.report import Bound, Report, judge
from edge_lvr1.export.verify_agent import bounds_for
from edge_lvr1.export.vl_checkpoint import load_model, text_rule
from edge_lvr1.media.frames import Frame
from edge_lvr1.models.onnx.captioner import CAPTION, SYSTEM, OnnxCaptioner
from edge_lvr1.models.onnx.preprocess import Picture, patches
from edge_lvr1.models.onnx.providers import Foreign
from edge_lvr1.models.onnx.sampling import Sampling
from edge_lvr1.models.onnx.vl_prompt import Prompt, Shown, build_prompt

REPLY_TOKENS = 32
CLIP_FRAMES = (4, 2, 6)
_PATIENCE_S = 3600.0
_WORDS = 60

Logits = NDArray[np.float32]
"""[tokens, words]"""

MORE_BOUNDS: Mapping[str, Mapping[str, Bound]] = {
    "fp32": {
        "features_difference": Bound("the largest difference of features, in their scale,", 1e-3),
        "replies_alike": Bound("the share of the replies that is alike", at_least=0.999),
    },
    "fp16": {
        "features_difference": Bound("the largest difference of features, in their scale,", 0.05),
    },
    "int4": {
        "features_difference": Bound("the largest difference of features, in their scale,", 0.05),
    },
}
"""Beside those of the agent, which hold what both are made of."""


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """A clip and what is asked about it."""

    pictures: tuple[Picture, ...]
    times_s: tuple[float, ...]
    request: str
    prompt: Prompt

    @property
    def frames(self) -> list[Frame]:
        return [Frame(t, p) for t, p in zip(self.times_s, self.pictures, strict=True)]


def compare_captioner(bundle: Bundle, original: Path, on_progress: Callable[[str], None]) -> Report:
    """Compare a captioner bundle with its checkpoint. Raises ModelError, BundleError."""
    checkpoint = checkpoints.read(original)
    exact = _fits_in_float32(checkpoint, bundle)
    model = load_model(checkpoint.path, "float32" if exact else "auto")
    captioner = OnnxCaptioner(bundle, sampling=Sampling(), max_seconds=_PATIENCE_S)
    torch_side = _Torch(model, captioner)
    pairs: list[tuple[Logits, Logits]] = []
    spread, alike, written = 0.0, 0, 0
    for number, case in enumerate(_cases(captioner), 1):
        on_progress(f"clip {number}: the original describes it")
        features, tokens, reference = torch_side.describe(case)
        on_progress(f"clip {number}: comparing")
        seen = captioner.model.see(case.pictures)
        spread = max(spread, _difference(features, seen.tokens))
        ours = _forced(captioner, case, tokens)
        if ours.shape != reference.shape:
            raise BundleError(
                f"the bundle knows {ours.shape[1]} tokens and the checkpoint "
                f"{reference.shape[1]}: it was not made from it"
            )
        pairs.append((reference, ours))
        alike += _alike(captioner, case, tokens)
        written += len(tokens)
    figures = _figures(pairs) | {
        "features_difference": spread,
        "replies_alike": alike / written,
        "tokenized_alike": float(_tokenized_alike(captioner, original)),
    }
    precision = bundle.manifest.precision
    bounds = {**bounds_for(precision, exact=exact), **MORE_BOUNDS[precision if exact else "fp16"]}
    bounds.pop("conversation_alike", None)  # the agent's; ours is replies_alike
    return judge(original.name, figures, bounds)


def _fits_in_float32(checkpoint: checkpoints.Checkpoint, bundle: Bundle) -> bool:
    """Whether the original in float32 and the bundle fit. Raises BundleError where neither does."""
    room = checkpoints.room_at(bundle.path)
    beside = bundle.manifest.memory_estimate_mb << 20
    if room.memory_bytes > 4 * checkpoint.parameters + beside:
        return True
    needed = checkpoint.weight_bytes + beside
    checkpoints.check_room(room, disk_bytes=0, memory_bytes=needed, out=bundle.path)
    return False


def _cases(captioner: OnnxCaptioner) -> Iterator[_Case]:
    """A clip of the smallest frame size of each shape, each of another length."""
    smallest: dict[float, tuple[int, int]] = {}
    for size in sorted(captioner.sizes):
        smallest.setdefault(round(math.log(size[1] / size[0]) * 4), size)
    for index, (height, width) in enumerate(smallest.values()):
        count = CLIP_FRAMES[index % len(CLIP_FRAMES)]
        times_s = tuple(60.0 * index + 1.5 * step for step in range(count))
        request = captioner.prompts[CAPTION].format(
            frames=count, start=times_s[0], end=times_s[-1], words=_WORDS, query=""
        )
        side = captioner.facts.side_px
        shown = Shown(times_s, height // side, width // side)
        prompt = build_prompt(
            captioner.facts, captioner.words, captioner.prompts[SYSTEM], request, shown
        )
        yield _Case(_pictures(count, height, width), times_s, request, prompt)


def _pictures(count: int, height: int, width: int) -> tuple[Picture, ...]:
    """A bright figure that crosses a yard of shaded stripes, and grows as it comes."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    ground = np.stack([rows / height, columns / width, (rows // 9 + columns // 17) % 2], -1)
    pictures = []
    for index in range(count):
        picture = (ground * 150 + 40).astype(np.uint8)
        left, tall = width * (index + 1) // (count + 2), height * (index + 3) // (count + 6)
        picture[height - tall : height - 2, left : left + max(2, width // 9)] = (250, 210, 40)
        pictures.append(picture)
    return tuple(pictures)


class _Torch:
    """The original: its vision encoder, positions and cache, greedy."""

    def __init__(self, model: Foreign, captioner: OnnxCaptioner) -> None:
        self.model, self.captioner = model, captioner
        self.own_rule = text_rule(model) == captioner.facts.text_after

    def describe(self, case: _Case) -> tuple[NDArray[np.float32], list[int], Logits]:
        """Features [tokens, width]; the reply; and the logits that each of its tokens is of."""
        import torch

        with torch.no_grad():
            ids = torch.from_numpy(case.prompt.ids)[None]
            given = self._clip(case)
            features = torch.cat(list(self.model.get_video_features(**given).pooler_output))
            positions = self._positions(case, ids, given)
            out = self.model(
                input_ids=ids,
                position_ids=positions,
                pixel_values_videos=given["pixel_values_videos"],
                video_grid_thw=given["video_grid_thw"],
                mm_token_type_ids=self._types(ids),
                use_cache=True,
            )
            tokens, logits = [], []
            place = positions[..., -1:]
            while True:
                last = out.logits[0, -1].float()
                logits.append(last.numpy())
                tokens.append(int(last.argmax()))
                if len(tokens) == REPLY_TOKENS or tokens[-1] in self.captioner.facts.stops:
                    return features.float().numpy(), tokens, np.stack(logits)
                place = place + 1
                out = self.model(
                    input_ids=torch.tensor([[tokens[-1]]]),
                    position_ids=place,
                    past_key_values=out.past_key_values,
                    use_cache=True,
                )

    def _clip(self, case: _Case) -> dict[str, Foreign]:
        import torch

        facts = self.captioner.facts
        values = patches(case.pictures, facts)
        height, width = case.pictures[0].shape[:2]
        grid = [len(values), height // facts.patch_px, width // facts.patch_px]
        return {
            "pixel_values_videos": torch.from_numpy(values).flatten(0, 1),
            "video_grid_thw": torch.tensor([grid]),
        }

    def _types(self, ids: Foreign) -> Foreign:
        return (ids == self.captioner.facts.marks["video_pad"]).int() * 2

    def _positions(self, case: _Case, ids: Foreign, given: Mapping[str, Foreign]) -> Foreign:
        """The original's own, [3, 1, S]; ours where the bundle was made for another rule."""
        import torch

        if not self.own_rule:
            return torch.from_numpy(case.prompt.positions)[:, None]
        spacing: dict[str, Foreign] = {}
        if self.captioner.facts.tokens_per_second:
            step_s = case.times_s[1] - case.times_s[0]
            spacing["second_per_grid_ts"] = [step_s * self.captioner.facts.frames_per_slice]
        positions, _ = self.model.model.get_rope_index(
            ids,
            mm_token_type_ids=self._types(ids),
            video_grid_thw=given["video_grid_thw"],
            **spacing,
        )
        return positions


def _forced(captioner: OnnxCaptioner, case: _Case, tokens: Sequence[int]) -> Logits:
    """The bundle's logits where the original wrote those tokens."""
    found: list[NDArray[np.float32]] = []

    def force(logits: NDArray[np.float32]) -> int:
        found.append(np.array(logits))
        return tokens[len(found) - 1]

    seen = captioner.model.see(case.pictures)
    written = captioner.model.write(case.prompt, seen, force)
    for _ in itertools.islice(written, len(tokens)):
        pass
    return np.stack(found)


def _alike(captioner: OnnxCaptioner, case: _Case, tokens: Sequence[int]) -> int:
    """How many tokens the bundle's own reply goes along with the original's."""
    stops = captioner.facts.stops
    side = max(case.pictures[0].shape)
    ours = captioner.reply(case.frames, side, case.request, len(tokens))
    pairs = zip(ours, tokens, strict=False)
    together = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    ended = tokens[-1] in stops and len(ours) == len(tokens) - 1
    return together + (1 if ended and together == len(ours) else 0)


def _tokenized_alike(captioner: OnnxCaptioner, original: Path) -> bool:
    from transformers import AutoTokenizer

    tokenizer: Foreign = AutoTokenizer.from_pretrained(original, local_files_only=True)
    text = captioner.prompts[CAPTION]
    theirs: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return list(captioner.words.encode(text)) == theirs


def _figures(pairs: Sequence[tuple[Logits, Logits]]) -> dict[str, float]:
    reference = np.concatenate([pair[0] for pair in pairs])
    bundle = np.concatenate([pair[1] for pair in pairs])
    targets = reference.argmax(-1)
    expected = math.exp(_surprise(reference, targets))
    found = math.exp(_surprise(bundle, targets))
    return {
        "tokens": float(len(targets)),
        "logits_difference": _difference(reference, bundle),
        "agreement": float((bundle.argmax(-1) == targets).mean()),
        "perplexity": found,
        "perplexity_of_original": expected,
        "perplexity_change": found / expected - 1.0,
    }


def _difference(reference: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The largest difference, as a share of the largest value."""
    return float(np.abs(reference - other).max() / np.abs(reference).max())


def _surprise(logits: Logits, targets: NDArray[np.int64]) -> float:
    """Mean negative log likelihood of the targets."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    chosen = shifted[np.arange(len(targets)), targets]
    return float((np.log(np.exp(shifted).sum(-1)) - chosen).mean())
