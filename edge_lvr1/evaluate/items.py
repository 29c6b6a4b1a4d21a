"""A question of a dataset, whatever format it was read from."""

from __future__ import annotations

from dataclasses import dataclass

from edge_lvr1.domain import Span


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a dataset.

    `answer` is the letter of the right option; None where the dataset keeps it to itself.
    `clues` are spans of the video, in seconds, that the answer rests on; empty where the
    dataset names none. `video` is the video's name as the dataset writes it, without its
    folder.
    """

    id: str
    video: str
    question: str
    options: tuple[str, ...]
    answer: str | None = None
    clues: tuple[Span, ...] = ()
    duration_s: float | None = None
    type: str = ""
