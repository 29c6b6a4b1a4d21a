from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_lvr1.store.db import Archive
from edge_lvr1.store.trees import Trees
from tests.store.footage import Clock


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "archive.db").open() as opened:
        yield opened


@pytest.fixture
def trees(archive: Archive) -> Trees:
    return Trees(archive)


@pytest.fixture
def clock() -> Clock:
    return Clock()
