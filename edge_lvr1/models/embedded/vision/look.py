"""A second, closer look at a leaf with a question in mind.

The leaf is decoded again at full size and a higher rate and compared with the empty scene
of the notes; what is reported of each subject is where it is, how large, and which colours
its upper and lower part have. A question about things that this captioner has no eyes for
is told so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import Span
from edge_lvr1.media.frames import Footage
from edge_lvr1.models.base import Notes
from edge_lvr1.models.embedded.vision import blobs, colours, notes
from edge_lvr1.models.embedded.vision.background import Background, Image
from edge_lvr1.models.embedded.vision.blobs import Blob, Scene
from edge_lvr1.models.embedded.wording import Kind

LOOK_STEP_S = 0.1
MOST_FRAMES = 150
_NEAR = 0.25  # share of the picture between a blob and where the notes have the subject
_FIGURE_EDGE = 0.1

_PERSONS = (
    "person persons people man men woman women boy girl child children kid figure figures human "
    "someone somebody anyone anybody everyone visitor visitors pedestrian pedestrians walker guy "
    "lady who whom whose nobody"
)
_VEHICLES = "vehicle vehicles car cars van vans truck trucks lorry bus taxi"
_SEEN = (
    "shape shapes object objects thing things subject subjects motion movement move moves moving "
    "moved motionless light lights dim dims bright brighter dark darker scene camera picture frame "
    "clip video image footage recording clock colour colours color colors black grey gray white "
    "red orange yellow green blue purple pink brown left right top bottom up down middle "
    "side edge corner centre center upper lower half part area large small medium big tall size "
    "enter enters entering entered leave leaves leaving left come comes coming came go goes going "
    "went gone stand stands standing stood still stay stays stop stops stopped walk walks walking "
    "walked drive drives driving drove pass passes cross crosses appear appears arrive arrives "
    "vanish direction way first last second third many much number count long time times moment "
    "second seconds minute minutes"
)
_PLAIN = (
    "a an the is are was were be been being am do does did done has have had having can could "
    "will would shall should may might must there here this that these those it its he she they "
    "them his her their him we you i me my your our us of in on at to from by with without for "
    "into onto over under between near during before after while until since and or but not no "
    "yes any some all each every both either neither none other another same more most less "
    "least very too also only just even ever never now then than as so if what which when where "
    "why how please tell describe show see seen look looks looking visible view happen happens "
    "happening happened doing whether about out off again around across through one two three "
    "four five six seven eight nine ten zero present exactly really anything something nothing "
    "detail details get gets got give wearing wears wear dressed clothes clothing shirt jacket "
    "trousers coat colour-of behind front next towards toward away back forward onward"
)
_PERSON_WORDS = frozenset(_PERSONS.split())
_VEHICLE_WORDS = frozenset(_VEHICLES.split())
_SEEN_WORDS = _PERSON_WORDS | _VEHICLE_WORDS | frozenset(_SEEN.split())
_PLAIN_WORDS = frozenset(_PLAIN.split())
_CANNOT = "I look for shapes, colours and motion; I cannot recognise"


def again(
    footage: Footage,
    span: Span,
    known: Notes,
    pieces: Sequence[Mapping[str, Any]],
    query: str,
) -> list[str]:
    """Sentences from a closer look at a span, beside what the notes tell of it."""
    step_s = max(LOOK_STEP_S, span.duration_s / MOST_FRAMES)
    views = {str(piece["label"]): _View() for piece in pieces}
    background = notes.load_background(known)
    frames, size, most, most_s = 0, (0, 0), 0, span.start_s
    for frame in footage.every(step_s, span):
        frames += 1
        size = (frame.image.shape[1], frame.image.shape[0])
        found = _subjects(frame.image, background)
        if len(found) > most:
            most, most_s = len(found), frame.time_s
        for piece in pieces:
            _take(views[str(piece["label"])], piece, found, frame.time_s, size)
    told = [f"Looked again at {frames} frames of {size[0]} x {size[1]} pixels."]
    if most:
        told.append(f"At most {most} separate shape{_s(most)} at once (at {most_s:.1f} s).")
    told += [_tell(label, view) for label, view in views.items() if view.seen]
    return told + about(query, [str(piece["label"]) for piece in pieces])


def about(query: str, labels: Sequence[str]) -> list[str]:
    """What has to be said to the question itself: what was not seen, what cannot be known."""
    words = re.findall(r"[a-z]+(?:-[a-z]+)*", query.lower()[:500])
    kinds = {label[0] for label in labels}
    told = []
    if _PERSON_WORDS & set(words) and "P" not in kinds:
        told.append(f"No {Kind.PERSON.value} seen here.")
    if _VEHICLE_WORDS & set(words) and "V" not in kinds:
        told.append(f"No {Kind.VEHICLE.value} seen here.")
    strange = [w for w in dict.fromkeys(words) if len(w) > 2 and w not in _SEEN_WORDS]
    strange = [w for w in strange if w not in _PLAIN_WORDS and len(w) <= 30][:3]
    if strange:
        named = " or ".join(f"{'an' if w[0] in 'aeiou' else 'a'} {w}" for w in strange)
        told.append(f"{_CANNOT} {named}.")
    return told


@dataclass(slots=True)
class _View:
    """What the closer look gathered of one subject."""

    seen: int = 0
    heights: list[float] = field(default_factory=list)
    places: list[tuple[float, float]] = field(default_factory=list)
    upper: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(colours.NAMES)))
    lower: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(colours.NAMES)))


@dataclass(frozen=True, slots=True, eq=False)
class _Subject:
    """A blob of the closer look with its full-size pixels, upper and lower half."""

    blob: Blob
    shape: tuple[int, int]
    upper: NDArray[np.float64]
    lower: NDArray[np.float64]


def _subjects(image: Image, background: Background) -> list[_Subject]:
    height, width = background.flicker.shape
    small = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    light = background.fit(small, np.zeros((height, width), bool))
    lit = background.under(light)
    off = blobs.difference(small, lit)
    scene = Scene(small, lit, off, off, blobs.edges(small), blobs.edges(lit), light.gain)
    found = blobs.find(background.differs(off), scene)
    return [
        _Subject(blob, (height, width), *_halves(image, blob, (height, width), light.gain))
        for blob in found
        if blob.edge > _FIGURE_EDGE
    ]


def _halves(
    image: Image, blob: Blob, shape: tuple[int, int], gain: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of colours in the upper and the lower half of a blob, at full size."""
    scale_y, scale_x = image.shape[0] / shape[0], image.shape[1] / shape[1]
    y, x = int(blob.box.y0 * scale_y), int(blob.box.x0 * scale_x)
    size = (int(blob.box.width * scale_x), int(blob.box.height * scale_y))
    mask = cv2.resize(blob.core.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    patch = image[y : y + size[1], x : x + size[0]]
    mask = mask[: patch.shape[0], : patch.shape[1]]
    middle = mask.shape[0] // 2
    return (
        colours.count(patch[:middle][mask[:middle]], gain),
        colours.count(patch[middle:][mask[middle:]], gain),
    )


def _take(
    view: _View,
    piece: Mapping[str, Any],
    found: Sequence[_Subject],
    time_s: float,
    size: tuple[int, int],
) -> None:
    """Add the blob that lies where the notes have the subject at that time."""
    if not piece["from_s"] <= time_s <= piece["to_s"]:
        return
    span_s = max(1e-6, piece["to_s"] - piece["from_s"])
    part = (time_s - piece["from_s"]) / span_s
    (x0, y0), (x1, y1) = piece["begin"], piece["end"]
    x, y = x0 + part * (x1 - x0), y0 + part * (y1 - y0)
    near = [(abs(cx - x) + abs(cy - y), s) for s in found for cx, cy in [_centre(s)]]
    distance, best = min(near, key=lambda pair: pair[0], default=(1.0, None))
    if best is None or distance > _NEAR:
        return
    view.seen += 1
    view.heights.append(best.blob.box.height / best.shape[0])
    view.places.append(_centre(best))
    view.upper += best.upper
    view.lower += best.lower


def _centre(subject: _Subject) -> tuple[float, float]:
    x, y = subject.blob.box.centre
    return x / subject.shape[1], y / subject.shape[0]


def _tell(label: str, view: _View) -> str:
    x, y = np.median(np.array(view.places), axis=0)
    tall = float(np.median(view.heights))
    naming = colours.of_person if label[0] == "P" else colours.of_vehicle
    told = [f"{label} is in the {where(float(x), float(y))}, {tall:.0%} of the picture high"]
    for half, counts in (("upper", view.upper), ("lower", view.lower)):
        shares = dict(zip(colours.NAMES, counts.tolist(), strict=True))
        if named := naming(shares):
            told.append(f"its {half} half mostly {' and '.join(named)}")
    return ", ".join(told) + "."


def where(x: float, y: float) -> str:
    """The part of the picture at a place given in shares of it: "upper left", "middle"."""
    across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    down = "upper" if y < 1 / 3 else "lower" if y > 2 / 3 else ""
    return {("", ""): "middle", ("upper", ""): "upper middle", ("lower", ""): "lower middle"}.get(
        (down, across), f"{down} {across}".strip()
    )


def _s(count: int) -> str:
    return "" if count == 1 else "s"
