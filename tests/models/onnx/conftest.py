"""Small agents that are made once, where there is what they are made with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests import agent_bundles


@pytest.fixture(scope="session")
def rand(tmp_path_factory: pytest.TempPathFactory) -> agent_bundles.Random:
    from tests import agent_bundles

    return agent_bundles.random_agent(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> agent_bundles.Navigator:
    from tests import agent_bundles

    return agent_bundles.navigator(tmp_path_factory.getbasetemp())
