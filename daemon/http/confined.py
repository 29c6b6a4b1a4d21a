"""Which paths somebody may name who is not an admin: those in watched and offered folders.

A path is judged by where its links lead, and what is used afterwards is the resolved path, so
that a link that is changed meanwhile leads nowhere else. What is outside is told like what is
not there, so that nobody learns from the answer which files exist.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from edge_lvr1.config import Settings
from edge_lvr1.errors import NotFoundError, QuestionError

_MOST_TOLD = 300


def roots_of(settings: Settings) -> tuple[Path, ...]:
    """The folders that files may be offered from."""
    return (*settings.watch, *settings.ingest.roots)


def confined(path: str, roots: Iterable[Path]) -> str:
    """The path without links, where it lies in one of the roots.

    Raises NotFoundError where it does not, or cannot be told, whether it exists or not;
    QuestionError for what is no absolute path.
    """
    if "\0" in path or not path.startswith("/"):
        raise QuestionError(f"{path[:_MOST_TOLD]!r} is not an absolute path; give one from / on")
    real = _real(path)
    if real is not None and _within(real, roots):
        return real
    raise NotFoundError(
        f"there is no file or folder at {path[:_MOST_TOLD]} in a watched folder or in "
        "ingest.roots; others may only be taken in by an admin"
    )


def _within(real: str, roots: Iterable[Path]) -> bool:
    return any(Path(real).is_relative_to(top) for root in roots if (top := _real(str(root))))


def _real(path: str) -> str | None:
    """A path without links; None where it cannot be one. Unlike Path's, takes loops of links."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # a name that is too long, or lone surrogates
        return None
