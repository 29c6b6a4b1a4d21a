"""Where the real clips stand, for tests that use them. They are no part of the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_lvr1.domain import Span

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "footage"


def clip(name: str) -> Path:
    """A real clip; the test skips, saying so, where it is absent."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"the real clip {name} is not beside the project")
    return path


def truth(name: str) -> list[dict[str, Any]]:
    """What is in view in a clip: `span` (Span) and the words of truth.json."""
    clip(name)
    entries = json.loads((FOLDER / "truth.json").read_text("utf-8"))[name]["present"]
    return [{**entry, "span": Span(*entry["span_s"])} for entry in entries]
