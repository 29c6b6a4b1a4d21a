"""The long forms of tests run only where they are asked for by their marker."""

from __future__ import annotations

import pytest

LONG = ("reliability", "slow_export")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = str(config.getoption("markexpr"))
    for item in items:
        for name in LONG:
            if item.get_closest_marker(name) and name not in asked:
                item.add_marker(pytest.mark.skip(reason=f"takes long; run with -m {name}"))
