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


def below(folder: str) -> tuple[tuple[str | bytes, str | bytes], ...]:
    """Between what the stored paths in a folder lie, in SQLite's order: as text, as bytes."""
    # "0" follows "/" in ASCII. Names that are not UTF-8 are stored as bytes, which come behind
    # all text; in a folder with such a name there are no others.
    stem = folder.rstrip("/")
    raw = os.fsencode(stem)
    text = path_in(stem)
    as_bytes = (raw + b"/", raw + b"0")
    return ((f"{text}/", f"{text}0"), as_bytes) if isinstance(text, str) else (as_bytes,)


def to_json(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Compact JSON in ASCII, so that any string survives."""
    return json.dumps(value, separators=(",", ":"))
