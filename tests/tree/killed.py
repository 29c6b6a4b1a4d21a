"""Builds the tree of an archive's one recording, a commit for each line of standard input.

Run by test_kill.py in a process of its own, which it kills.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge_lvr1.config import Tree
from edge_lvr1.media.frames import Footage
from edge_lvr1.store.db import Archive
from edge_lvr1.store.trees import Trees
from tests.tree.scripted import ScriptedCaptioner, add, builder


def main(database: str, parents: str) -> None:
    """Add the recording, or find it, and build its tree."""

    def tell(stage: str, done: int, total: int) -> None:
        print(stage, done, flush=True)
        sys.stdin.readline()  # empty at once where the input has ended

    with Archive(Path(database)).open() as archive:
        trees = Trees(archive)
        recording = add(trees, 60.0)
        settings = Tree.model_validate({"parents": parents})
        work = builder(trees, ScriptedCaptioner(), settings, lambda: 0.0)
        work.build(recording, Footage(recording.parts), on_progress=tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
