"""The next token from logits: the likeliest, or drawn with a seed.

The same steps, in the same order, as transformers' logits processors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen. A temperature of 0 takes the likeliest; a top_k of 0, all."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0

    @classmethod
    def of(cls, defaults: Mapping[str, Any]) -> Sampling:
        """From a manifest's `sampling`, in the names of a generation_config.json."""
        drawn = bool(defaults.get("do_sample", False))
        return cls(
            temperature=float(defaults.get("temperature", 1.0)) if drawn else 0.0,
            top_k=int(defaults.get("top_k", 0) or 0),
            top_p=float(defaults.get("top_p", 1.0) or 1.0),
            repetition_penalty=float(defaults.get("repetition_penalty", 1.0) or 1.0),
            seed=int(defaults.get("seed", 0) or 0),
        )


def choose(
    logits: NDArray[np.float32],
    seen: Sequence[int],
    sampling: Sampling,
    random: np.random.Generator,
) -> int:
    """The next token, of logits [words], after the tokens seen so far (the prompt's too)."""
    scores = logits.astype(np.float64)
    if sampling.repetition_penalty != 1.0 and len(seen):
        used = np.unique(np.asarray(seen, np.int64))
        penalty = sampling.repetition_penalty
        scores[used] = np.where(scores[used] < 0, scores[used] * penalty, scores[used] / penalty)
    if sampling.temperature <= 0:
        return int(scores.argmax())
    scores /= sampling.temperature
    if 0 < sampling.top_k < len(scores):
        scores[scores < np.partition(scores, -sampling.top_k)[-sampling.top_k]] = -np.inf
    chances = np.exp(scores - scores.max())
    chances /= chances.sum()
    if sampling.top_p < 1.0:
        chances = _nucleus(chances, sampling.top_p)
    return int(random.choice(len(chances), p=chances))


def _nucleus(chances: NDArray[np.float64], top_p: float) -> NDArray[np.float64]:
    """The fewest likeliest tokens that reach `top_p` together; at least one."""
    order = np.argsort(-chances, kind="stable")
    before = np.cumsum(chances[order]) - chances[order]
    kept = np.zeros_like(chances)
    inside = order[before < top_p]
    kept[inside] = chances[inside]
    nucleus: NDArray[np.float64] = kept / kept.sum()
    return nucleus
