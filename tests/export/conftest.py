"""Long exports run only when they are asked for: they install tools from a package index."""

from __future__ import annotations

import pytest

SLOW = "slow_export"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if SLOW in (config.getoption("markexpr") or ""):
        return
    skip = pytest.mark.skip(reason=f"installs large packages: run with -m {SLOW}")
    for item in items:
        if SLOW in item.keywords:
            item.add_marker(skip)
