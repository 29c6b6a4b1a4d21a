"""What the tests of reliability share: one nursery and one set of footage for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reliability.daemons import Nursery, nursery
from tests.reliability.scene import Footage


@pytest.fixture(scope="session")
def nurse() -> Iterator[Nursery]:
    with nursery() as found:
        yield found


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return Footage.make(tmp_path_factory.mktemp("footage"))
