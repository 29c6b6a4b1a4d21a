"""Cameras by name: what is said of one that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from edge_lvr1.errors import NotFoundError

_NEAR = 3


def no_camera(name: str, known: Sequence[str]) -> NotFoundError:
    """The error for a camera that there is no footage of, with the nearest names."""
    near = difflib.get_close_matches(name, known, n=_NEAR, cutoff=0.0)
    hint = f"the nearest are {', '.join(near)}" if near else "there are no recordings yet"
    return NotFoundError(f"there is no camera {name[:80]!r}; {hint}")
