"""LongVideoBench: `id, video_id, video_path, question, candidates[], correct_choice` (its
place from 0; absent or -1 in the test set) (https://longvideobench.github.io)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from edge_lvr1.evaluate.datasets.options import letter_of_index, options_of
from edge_lvr1.evaluate.datasets.rows import Row
from edge_lvr1.evaluate.items import Item


def items(row: Row) -> Iterator[Item]:
    """The one question of a row. The file's name tells the video where both are given."""
    options = options_of(row, "candidates")
    yield Item(
        id=row.text("id"),
        video=PurePosixPath(row.text("video_path", "video_id")).name,
        question=row.text("question"),
        options=options,
        answer=letter_of_index(row, "correct_choice", options),
        duration_s=row.seconds("duration"),
        type=row.optional_text("question_category"),
    )
