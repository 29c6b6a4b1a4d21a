"""What transformers makes of frames and a request, to hold the exported captioner against.

Its own image processor, tokenizer and generate; the video processors need torchvision, so a
slice is put together from the patches of its two frames.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForImageTextToText, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil


@dataclass(frozen=True)
class Reference:
    """A checkpoint in torch. `patch_px`, `mean` and `std` are of its processor."""

    family: str
    folder: Path
    patch_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def model(self) -> PreTrainedModel:
        """The model in fp32."""
        return AutoModelForImageTextToText.from_pretrained(self.folder, dtype=torch.float32).eval()

    def patches(self, picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
        """[N, values] of one frame, shown twice, resized to (height, width) by the processor.

        The processor picks the size itself, within bounds of the area.
        """
        area = size[0] * size[1]
        processor = Qwen2VLImageProcessorPil(
            patch_size=self.patch_px,
            image_mean=list(self.mean),
            image_std=list(self.std),
            size={"shortest_edge": int(area * 0.8), "longest_edge": int(area * 1.2)},
        )
        made = processor.preprocess(picture, return_tensors="np")
        grid = made["image_grid_thw"][0]
        assert (grid[1] * self.patch_px, grid[2] * self.patch_px) == size, "not this size's frame"
        values: NDArray[np.float32] = made["pixel_values"]
        return values

    def video(self, pictures: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> torch.Tensor:
        """Patches of a clip, [T * N, values]."""
        frames = [self.patches(picture, size) for picture in pictures]
        frames += frames[-1:] * (len(frames) % 2)
        split = (-1, 3, 2, self.patch_px, self.patch_px)
        slices = []
        for first, second in zip(frames[::2], frames[1::2], strict=True):
            both = first.reshape(split).copy()
            both[:, :, 1] = second.reshape(split)[:, :, 1]
            slices.append(both.reshape(len(first), -1))
        return torch.from_numpy(np.concatenate(slices))

    def text(self, request: str, times_s: Sequence[float], tokens: int, system: str) -> str:
        """The chat template's text for a video of slices of so many tokens."""
        pad = "<|video_pad|>"
        if self.family == "qwen3_vl":
            clip = "".join(
                f"<{time_s:.1f} seconds><|vision_start|>{pad * tokens}<|vision_end|>"
                for time_s in times_s
            )
        else:
            clip = f"<|vision_start|>{pad * (tokens * len(times_s))}<|vision_end|>"
        head = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
        return f"{head}<|im_start|>user\n{clip}{request}<|im_end|>\n<|im_start|>assistant\n"

    def greedy(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        size: tuple[int, int],
        times_s: Sequence[float],
        request: str,
        system: str,
        tokens: int,
    ) -> list[int]:
        """What `generate` writes, without sampling."""
        rows, columns = size[0] // self.patch_px, size[1] // self.patch_px
        padded = [*times_s, *times_s[-1:] * (len(times_s) % 2)]
        middles = [(a + b) / 2 for a, b in zip(padded[::2], padded[1::2], strict=True)]
        text = self.text(request, middles, rows * columns // 4, system)
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(self.folder / "tokenizer.json"))
        ids = tokenizer(text, return_tensors="pt").input_ids
        model = self.model
        inputs: dict[str, Any] = {}
        if self.family == "qwen2_5_vl":
            spacing_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1)
            inputs["second_per_grid_ts"] = torch.tensor([2 * spacing_s])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            written = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                mm_token_type_ids=(ids == model.config.video_token_id).int() * 2,
                pixel_values_videos=self.video(pictures, size),
                video_grid_thw=torch.tensor([[len(middles), rows, columns]]),
                max_new_tokens=tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=0,
                **inputs,
            )
        return [int(token) for token in written[0, ids.shape[1] :]]
