"""EgoSchema: `q_uid, question, "option 0" … "option 4"`, and `truth` (a place from 0) where
the answer is public; a question is about the video of its own name
(https://egoschema.github.io)."""

from __future__ import annotations

from collections.abc import Iterator

from edge_lvr1.evaluate.datasets.options import letter_of_index
from edge_lvr1.evaluate.datasets.rows import Row
from edge_lvr1.evaluate.items import Item

_OPTIONS = 5


def items(row: Row) -> Iterator[Item]:
    """The one question of a row."""
    options = tuple(row.text(f"option {place}") for place in range(_OPTIONS))
    uid = row.text("q_uid")
    yield Item(
        id=uid,
        video=uid,
        question=row.text("question"),
        options=options,
        answer=letter_of_index(row, "truth", options),
    )
