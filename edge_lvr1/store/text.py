"""Strings as SQLite takes them: it holds UTF-8, and Python strings may hold more.

A file name that is not UTF-8 reaches Python with lone surrogates (PEP 383), and JSON of a
client may carry some too.
"""

from __future__ import annotations

import json
import os
from typing import Any


def clean(text: str) -> str:
    """The text with lone surrogates replaced by question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def path_in(path: str) -> str | bytes:
    """A path as it is stored: text, or the bytes of a name that is not UTF-8."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def path_out(stored: str | bytes) -> str:
    """A stored path as Python's file functions take it."""
    return os.fsdecode(stored)


def to_json(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Compact JSON in ASCII, so that any string survives."""
    return json.dumps(value, separators=(",", ":"))
