from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_lvr1.store.db import Archive
from edge_lvr1.store.trees import Trees


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Archive(tmp_path / "archive.db").open() as archive:
        yield Trees(archive)
