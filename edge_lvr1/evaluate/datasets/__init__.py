"""Readers of the public formats: `read_items("cg-bench", path)`, one module a format."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_lvr1.errors import DatasetError
from edge_lvr1.evaluate.datasets import (
    cg_bench,
    egoschema,
    longvideobench,
    lvbench,
    mlvu,
    video_mme,
)
from edge_lvr1.evaluate.datasets.rows import Row, rows
from edge_lvr1.evaluate.items import Item

Reader = Callable[[Row], Iterator[Item]]

READERS: dict[str, Reader] = {
    "lvbench": lvbench.items,
    "video-mme": video_mme.items,
    "mlvu": mlvu.items,
    "cg-bench": cg_bench.items,
    "longvideobench": longvideobench.items,
    "egoschema": egoschema.items,
}


def read_items(dataset: str, path: Path) -> list[Item]:
    """The questions in a file of that format, in its order.

    Raises DatasetError that names the row and the field that is not as it should be, and
    NotFoundError where there is no such file.
    """
    reader = READERS.get(dataset)
    if reader is None:
        near = difflib.get_close_matches(dataset, READERS, n=1, cutoff=0.0)[0]
        raise DatasetError(
            f"there is no dataset format {dataset!r}, did you mean {near}? "
            f"The formats are: {', '.join(READERS)}"
        )
    found: list[Item] = []
    seen: dict[str, str] = {}
    for row in rows(path):
        for item in reader(row):
            if item.id in seen:
                raise DatasetError(
                    f"{row.place}: the question id {item.id!r} was used before, in "
                    f"{seen[item.id]}; each question needs an id of its own"
                )
            seen[item.id] = row.name
            found.append(item)
    if not found:
        raise DatasetError(f"{path} holds no question")
    return found
