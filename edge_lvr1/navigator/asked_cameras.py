"""Cameras in the words of a question: "on camera 3", "the gate camera". Pure.

A camera is named as people say it: by its number or its name beside the word camera, or by
a name that holds a number ("cam-03") alone. A plain word ("garden") is a place as often as
a camera, and names none by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_lvr1.navigator.words import tidied

_WORDS = re.compile(r"[^\W\d_]+|\d+")
_SAID = {"camera", "cameras", "cam", "cams", "channel"}
_LEAD = r"(?:(?:on|at|from|of|in|by)\s+)?(?:the\s+)?"
_NUMBERED = re.compile(
    rf"\b{_LEAD}(?:camera|cam)s?[\s_-]*(?:no\.?|nr\.?|number|#)?\s*"
    r"(?P<numbers>\d{1,4}(?:\s*(?:,|and|or|&)\s*(?:(?:camera|cam)s?\s*)?\d{1,4})*)\b"
    r"(?!\s*[:.]\d)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class AskedCameras:
    """What a text says of cameras: those that there are, and what names none of them."""

    cameras: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    rest: str = ""
    unknown: tuple[str, ...] = ()


def read_cameras(text: str, known: Sequence[str]) -> AskedCameras:
    """The cameras that a text names, of those that are known."""
    found: dict[str, None] = {}
    words: list[str] = []
    unknown: list[str] = []
    rest = text
    for camera in sorted(known, key=lambda name: (-len(name), name)):
        pattern = _pattern(camera)
        if pattern is not None and (match := pattern.search(rest)):
            found[camera] = None
            words.append(" ".join(match[0].split()))
            rest = f"{rest[: match.start()]} {rest[match.end() :]}"
    for match in list(_NUMBERED.finditer(rest)):
        named = [int(number) for number in re.findall(r"\d+", match["numbers"])]
        by_number = [_numbered(number, known) for number in named]
        if not all(by_number):
            missing = next(n for n, cameras in zip(named, by_number, strict=True) if not cameras)
            unknown.append(f"camera {missing}")
            continue
        found.update((camera, None) for cameras in by_number for camera in cameras)
        words.append(" ".join(match[0].split()))
        rest = rest.replace(match[0], " ", 1)
    if not found:
        return AskedCameras(rest=text, unknown=tuple(unknown))
    order = tuple(camera for camera in known if camera in found)
    return AskedCameras(order, tuple(words), tidied(rest), tuple(unknown))


def _pattern(camera: str) -> re.Pattern[str] | None:
    """How a camera is named by its own name; None where it is only a number."""
    pieces = _WORDS.findall(camera.lower())
    names = [piece for piece in pieces if piece not in _SAID]
    if not names or all(piece.isdigit() for piece in names):
        return None
    joined = r"[\W_]*".join(re.escape(piece) for piece in pieces)
    alone = any(piece.isdigit() for piece in pieces) or len(names) < len(pieces)
    said = r"[\W_]*".join(re.escape(piece) for piece in names)
    forms = [
        rf"(?:camera|cam)s?\s+(?:at\s+the\s+|of\s+the\s+)?[\"']?{said}",
        rf"{said}\s+cam(?:era)?s?",
    ]
    forms = [*forms, joined] if alone else forms
    return re.compile(rf"\b{_LEAD}[\"']?(?:{'|'.join(forms)})\b[\"']?", re.I)


def _numbered(number: int, known: Sequence[str]) -> list[str]:
    """The cameras that have this number for a name, or else those that have it in theirs."""
    pieces = {camera: _WORDS.findall(camera.lower()) for camera in known}
    holding = [
        camera
        for camera in known
        if any(piece.isdecimal() and int(piece[-9:]) == number for piece in pieces[camera])
    ]
    plain = [camera for camera in holding if len(set(pieces[camera]) - _SAID) == 1]
    return plain or holding
