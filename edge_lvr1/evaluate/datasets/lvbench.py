"""LVBench: a video a line with its questions in `qa`, or a list with `key` a question.

`{"key", "type", "video_info", "qa": [{"uid", "question" with options in it, "answer" (a
letter), "question_type": [...], "time_reference": "00:15-00:19"}]}`
(https://github.com/THUDM/LVBench).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_lvr1.domain import Span
from edge_lvr1.evaluate.datasets.options import inline_question, letter
from edge_lvr1.evaluate.datasets.rows import Row
from edge_lvr1.evaluate.items import Item

_CLOCK = r"(?:\d+:)?\d+:\d+(?:\.\d+)?"
_REFERENCE = re.compile(
    rf"(?P<start>{_CLOCK})\s*(?:-|\u2013|~|to)\s*(?P<end>{_CLOCK})|(?P<at>{_CLOCK})"
)


def items(row: Row) -> Iterator[Item]:
    """The questions of a row: several of a video, or one of a flattened list."""
    video = row.text("key")
    if "qa" not in row.fields:
        yield _item(video, row)
        return
    for inner in row.inner("qa", "question"):
        yield _item(video, inner)


def _item(video: str, row: Row) -> Item:
    question, options = inline_question(row, "question")
    return Item(
        id=row.text("uid"),
        video=video,
        question=question,
        options=options,
        answer=letter(row, "answer", options),
        clues=tuple(clues(row.optional_text("time_reference"))),
        type=_kinds(row, "question_type"),
    )


def _kinds(row: Row, name: str) -> str:
    """Types of a question: a list of them, or one as text."""
    if isinstance(row.fields.get(name), str):
        return row.optional_text(name)
    return ", ".join(row.texts(name)) if row.has(name) else ""


def clues(reference: str) -> Iterator[Span]:
    """The spans of a time reference; a lone moment is one second, an odd text is none."""
    for match in _REFERENCE.finditer(reference):
        if match["at"]:
            yield Span(_seconds(match["at"]), _seconds(match["at"]) + 1)
            continue
        start_s, end_s = sorted((_seconds(match["start"]), _seconds(match["end"])))
        yield Span(start_s, max(end_s, start_s + 1))


def _seconds(clock: str) -> float:
    seconds = 0.0
    for field in clock.split(":"):
        seconds = seconds * 60 + float(field)
    return seconds
