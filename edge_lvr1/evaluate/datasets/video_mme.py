"""Video-MME: JSON or parquet, a question a row.

`videoID, question_id, question, options (["A. …", …]), answer (a letter), duration (short,
medium or long), domain, sub_category, task_type` (https://github.com/MME-Benchmarks/Video-MME).
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_lvr1.evaluate.datasets.options import letter, options_of
from edge_lvr1.evaluate.datasets.rows import Row
from edge_lvr1.evaluate.items import Item


def items(row: Row) -> Iterator[Item]:
    """The one question of a row."""
    options = options_of(row, "options")
    yield Item(
        id=row.text("question_id"),
        video=row.text("videoID", "video_id"),
        question=row.text("question"),
        options=options,
        answer=letter(row, "answer", options),
        type=row.optional_text("task_type"),
    )
