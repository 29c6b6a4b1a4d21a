"""What the tests of reliability share: one nursery, one set of footage, one whole story."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reliability.daemons import Nursery, nursery
from tests.reliability.kills import Killer
from tests.reliability.scene import Footage


@pytest.fixture(scope="session")
def nurse() -> Iterator[Nursery]:
    with nursery() as found:
        yield found


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return Footage.make(tmp_path_factory.mktemp("footage"))


@pytest.fixture(scope="session")
def killer(nurse: Nursery, footage: Footage, tmp_path_factory: pytest.TempPathFactory) -> Killer:
    """Tells stories and interrupts them; one that nobody interrupted is told already."""
    killer = Killer(nurse, tmp_path_factory.mktemp("stories"), footage)
    killer.uninterrupted()
    return killer
