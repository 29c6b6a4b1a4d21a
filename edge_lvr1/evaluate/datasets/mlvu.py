"""MLVU: the list with `candidates`, and the variant with the options in the question.

`video, duration, question, candidates[], answer (text), question_type`, or `video_name,
question with (A) …, answer (a letter)` (https://github.com/JUNJIE99/MLVU). A question that
has no `question_id` is known by its video and its place in the file.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_lvr1.evaluate.datasets.options import (
    inline_question,
    letter,
    letter_of_text,
    options_of,
)
from edge_lvr1.evaluate.datasets.rows import Row
from edge_lvr1.evaluate.items import Item


def items(row: Row) -> Iterator[Item]:
    """The one question of a row."""
    video = row.text("video", "video_name")
    if row.has("candidates"):
        options = options_of(row, "candidates")
        question, answer = row.text("question"), letter_of_text(row, "answer", options)
    else:
        question, options = inline_question(row, "question")
        answer = letter(row, "answer", options)
    yield Item(
        id=row.optional_text("question_id") or f"{video} {row.name}",
        video=video,
        question=question,
        options=options,
        answer=answer,
        duration_s=row.seconds("duration"),
        type=row.optional_text("question_type"),
    )
