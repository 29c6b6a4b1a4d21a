"""Whatever is wrong with a file, reading it ends in a value or a reason, and costs no more."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import MediaError
from edge_lvr1.media.children import Children
from edge_lvr1.media.frames import Footage
from tests.mutated_files import mutated

SEED = 20261122
LONGEST_S = 60.0  # for one file, on a loaded machine


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with Children(memory_mb=512, timeout_s=20.0) as made:
        yield made


def read(path: Path, children: Children) -> str:
    """Probe, survey and read a file through; how that ended."""
    try:
        found = children.probe(path)
    except MediaError as error:
        return f"refused: {reason(path, error)}"
    assert found.duration_s >= 0
    assert math.isfinite(found.duration_s)
    parts = [Part(str(path), 0.0, found.duration_s, 0, 0, "")]
    footage = Footage(parts, children)
    frames = 0
    try:
        with closing(children.survey(parts, max(1.0, found.duration_s / 8))) as looks:
            seen = sum(1 for _ in looks)
        with closing(footage.shown(Span(0.0, found.duration_s + 1.0), 320)) as shown:
            frames = sum(1 for _ in shown)
        with closing(footage.at([0.0, found.duration_s / 2, found.duration_s], 64)) as at:
            assert sum(1 for _ in at) == 3
        children.texts(path)
    except MediaError as error:
        return f"broke off: {reason(path, error)}"
    assert seen
    assert frames
    return "read through"


def reason(path: Path, error: MediaError) -> str:
    said = str(error)
    assert said
    assert path.name in said
    assert "no sense" not in said
    said = re.sub(r"\d+(\.\d+)?", "N", said.replace(str(path), "FILE"))
    return said[:100]


def read_all(folder: Path, count: int, children: Children) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for path, done in mutated(folder, count, SEED):
        started_s = time.monotonic()
        outcome = read(path, children)
        assert time.monotonic() - started_s < LONGEST_S, (path.name, done, outcome)
        outcomes[outcome] += 1
        path.unlink()
    return outcomes


def test_mutated_files_end_in_a_value_or_a_reason(tmp_path: Path, children: Children) -> None:
    outcomes = read_all(tmp_path / "mutated", 60, children)

    assert outcomes.total() == 60
    assert outcomes["read through"] > 5
    assert sum(count for outcome, count in outcomes.items() if outcome != "read through") > 5


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_five_hundred_mutated_files_end_in_a_value_or_a_reason(
    tmp_path: Path, children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = read_all(tmp_path / "mutated", 500, children)

    with capsys.disabled():
        print(f"\n500 mutated files, seed {SEED}:")
        for outcome, count in outcomes.most_common():
            print(f"{count:5}  {outcome}")
    assert outcomes.total() == 500
