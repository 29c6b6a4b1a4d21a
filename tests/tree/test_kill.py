from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_lvr1.domain import Caption
from edge_lvr1.store.db import Archive
from edge_lvr1.store.search import search
from edge_lvr1.store.trees import Trees

ROOT = Path(__file__).resolve().parents[2]
KILLS = 4


def command(database: Path, parents: str) -> list[str]:
    return [sys.executable, "-m", "tests.tree.killed", str(database), parents]


def build_and_kill(database: Path, parents: str, commits: int) -> None:
    """Build in a process that is killed while it works at the commit after so many."""
    with subprocess.Popen(
        command(database, parents), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(commits):
            assert process.stdout.readline()
            process.stdin.write(b"\n")
            process.stdin.flush()
        process.kill()
    assert process.returncode == -signal.SIGKILL


def build(database: Path, parents: str) -> None:
    subprocess.run(
        command(database, parents),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=120,
    )


def stored(database: Path) -> tuple[list[Caption], object]:
    with Archive(database).open() as archive:
        trees = Trees(archive)
        (recording,) = trees.recordings()
        with archive.transaction() as db:
            db.execute("INSERT INTO captions_fts(captions_fts) VALUES ('integrity-check')")
        assert archive.row("PRAGMA integrity_check") == {"integrity_check": "ok"}
        assert len(search(archive, "looked", limit=1000)) > 0
        assert trees.progress(recording.id).complete
        return trees.captions(recording.id), trees.notes(recording.id)


@pytest.mark.parametrize("parents", ["fold", "frames"])
def test_build_that_is_killed_ends_with_the_same_tree(tmp_path: Path, parents: str) -> None:
    build(tmp_path / "whole.db", parents)
    chance = random.Random(f"kill {parents}")

    for _ in range(KILLS):  # at most 36 of its 43 commits
        build_and_kill(tmp_path / "killed.db", parents, chance.randint(1, 9))
    build(tmp_path / "killed.db", parents)

    assert stored(tmp_path / "killed.db") == stored(tmp_path / "whole.db")
