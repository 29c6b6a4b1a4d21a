"""CG-Bench: `qid, video_uid, question, choices[], right_answer (a letter), answer (its text),
clue_intervals [[start_s, end_s]], duration, sub_category` (https://cg-bench.github.io)."""

from __future__ import annotations

from collections.abc import Iterator

from edge_lvr1.domain import Span
from edge_lvr1.evaluate.datasets.options import letter, letter_of_text, options_of
from edge_lvr1.evaluate.datasets.rows import Row
from edge_lvr1.evaluate.items import Item

_BOUNDS = 2


def items(row: Row) -> Iterator[Item]:
    """The one question of a row."""
    options = options_of(row, "choices")
    by_letter = row.has("right_answer")
    yield Item(
        id=row.text("qid"),
        video=row.text("video_uid"),
        question=row.text("question"),
        options=options,
        answer=letter(row, "right_answer", options)
        if by_letter
        else letter_of_text(row, "answer", options),
        clues=tuple(_clues(row)),
        duration_s=row.seconds("duration"),
        type=row.optional_text("sub_category"),
    )


def _clues(row: Row) -> Iterator[Span]:
    if not row.has("clue_intervals"):
        return
    for interval in row.values("clue_intervals"):
        bounds = interval.tolist() if hasattr(interval, "tolist") else interval
        if not isinstance(bounds, list | tuple) or len(bounds) != _BOUNDS:
            raise row.wrong("clue_intervals", "a list of [start, end]", interval)
        start_s, end_s = (row.number("clue_intervals", bound) for bound in bounds)
        if end_s < start_s:
            raise row.wrong("clue_intervals", "intervals that end after they begin", interval)
        yield Span(start_s, end_s)
