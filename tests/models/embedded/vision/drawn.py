"""Footage drawn for tests of the captioner: a room, and what happens in it, known exactly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from edge_lvr1.demo.scene import _DRAW, Actor, Scene, _draw_yard, render
from edge_lvr1.domain import Caption, Level, Node, NodeId, Part, Span, TreePlan
from edge_lvr1.media.frames import Footage, Frame
from edge_lvr1.models.base import Clip, Notes
from edge_lvr1.models.embedded.vision.captioner import EmbeddedCaptioner
from edge_lvr1.tree.plan import plan_tree

Image = NDArray[np.uint8]
FPS = 10
NEVER_S = 1e6
WIDTH_PX, HEIGHT_PX = 384, 216


def film(path: Path, images: Iterable[Image]) -> Footage:
    """Write pictures as 10 fps H.264 and open them as the footage of one recording."""
    count = 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "20", "g": "20"}
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = count, Fraction(1, FPS)
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode(None))
    return open_footage(path, count / FPS)


def open_footage(path: Path, duration_s: float) -> Footage:
    """A file as the only part of a recording."""
    return Footage([Part(str(path), 0.0, duration_s, path.stat().st_size, 0, path.name)])


def yard(path: Path, duration_s: float, *actors: Actor) -> Footage:
    """The demo's yard with other actors, and no change of light."""
    render(path, Scene(duration_s, tuple(actors), NEVER_S, NEVER_S))
    return open_footage(path, duration_s)


def person(present: Span, still: Span, colour: tuple[int, int, int] = (178, 38, 40)) -> Actor:
    """A red figure that comes from the left and goes to the right."""
    return Actor("person", "red", colour, present, still, "left", "right", 0.45)


def vehicle(present: Span, still: Span) -> Actor:
    """A white car that comes from the right and goes to the left."""
    return Actor("vehicle", "white", (232, 234, 236), present, still, "right", "left", 0.5)


def room(seed: int = 1) -> Image:
    """An empty room with texture, (216, 384, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.normal(0, 22, (HEIGHT_PX // 8, WIDTH_PX // 8, 3)).astype(np.float32)
    base = np.full((HEIGHT_PX, WIDTH_PX, 3), (150, 146, 140), np.float32)
    base[HEIGHT_PX * 6 // 10 :] = (112, 104, 98)
    base += cv2.resize(coarse, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC)
    image = np.clip(base, 0, 255).astype(np.uint8)
    for _ in range(7):
        x, y = int(random.integers(0, WIDTH_PX - 60)), int(random.integers(0, HEIGHT_PX - 50))
        colour = tuple(int(v) for v in random.integers(40, 210, 3))
        cv2.rectangle(image, (x, y), (x + 50, y + 36), colour, -1)
    return image


def shots(
    seconds: float, draw: Callable[[float], Image], noise: float = 3.0, seed: int = 5
) -> Iterator[Image]:
    """Pictures of a scene, with the sensor's noise."""
    random = np.random.default_rng(seed)
    fields = [random.normal(0, noise, (HEIGHT_PX, WIDTH_PX, 3)) for _ in range(5)]
    for index in range(round(seconds * FPS)):
        field = np.roll(fields[index % 5], int(random.integers(0, 90)), axis=1)
        yield np.clip(draw(index / FPS) + field, 0, 255).astype(np.uint8)


class Painted(Footage):
    """Footage that is painted when it is asked for: pictures of 320 x 180, noise, JPEG's traces.

    `draw(time_s, random)` gives float or uint8 RGB of (180, 320, 3).
    """

    def __init__(
        self,
        duration_s: float,
        draw: Callable[[float, np.random.Generator], NDArray[Any]],
        noise: float = 4.0,
        seed: int = 0,
    ) -> None:
        super().__init__(())
        self._duration_s = duration_s
        self._draw = draw
        self._seed = seed
        random = np.random.default_rng(seed)
        self._fields = [random.normal(0, noise, (180, 320, 3)) for _ in range(5)]

    @property
    def duration_s(self) -> float:
        return self._duration_s

    def every(
        self, step_s: float, span: Span, max_side_px: int | None = None
    ) -> Generator[Frame, None, None]:
        first, end_s = math.ceil(span.start_s / step_s - 1e-9), min(span.end_s, self.duration_s)
        random = np.random.default_rng(self._seed + first)
        for index in range(first, math.ceil(end_s / step_s - 1e-9)):
            shift = tuple(int(v) for v in random.integers(0, 60, 2))
            field = np.roll(self._fields[index % 5], shift, axis=(0, 1))
            noisy = self._draw(index * step_s, random).astype(np.float32) + field
            sharp = np.ascontiguousarray(np.clip(noisy, 0, 255).astype(np.uint8)[..., ::-1])
            _, coded = cv2.imencode(".jpg", sharp, [cv2.IMWRITE_JPEG_QUALITY, 80])
            image = cv2.imdecode(coded, cv2.IMREAD_COLOR)
            assert image is not None
            yield Frame(index * step_s, np.ascontiguousarray(image[..., ::-1], np.uint8))


def staged(time_s: float, yard_empty: Image, actors: Iterable[Actor]) -> NDArray[np.float32]:
    """The demo's yard (640 x 360) with actors, scaled down to (180, 320, 3)."""
    image = yard_empty.copy()
    for actor in actors:
        x = actor.x_at(time_s)
        if x is not None:
            _DRAW[actor.kind](image, actor, x, None if actor.still.contains(time_s) else time_s)
    return cv2.resize(image, (320, 180), interpolation=cv2.INTER_AREA).astype(np.float32)


def empty_yard(seed: int = 7) -> Image:
    """The demo's yard with nobody in it, (360, 640, 3)."""
    return _draw_yard(np.random.default_rng(seed))


def small_room(seed: int = 1) -> NDArray[np.float32]:
    """`room` at (180, 320, 3)."""
    return cv2.resize(room(seed), (320, 180), interpolation=cv2.INTER_AREA).astype(np.float32)


def road() -> NDArray[np.float32]:
    """A grey road with white lane markings and grass beyond, (180, 320, 3)."""
    random = np.random.default_rng(0)
    image = np.full((180, 320, 3), 95, np.float32)
    image += cv2.resize(random.normal(0, 8, (30, 54)).astype(np.float32), (320, 180))[..., None]
    image[:40] = random.normal(0, 15, (40, 320, 1)) + np.array((90, 120, 80))
    for lane, y in enumerate((70, 110, 150)):
        for x in range(-20, 320, 44):
            cv2.rectangle(image, (x, y), (x + 22, y + 5 + lane), (225, 225, 220), -1)
    cv2.line(image, (0, 45), (320, 45), (230, 230, 225), 2)
    return np.clip(image, 0, 255)


def watched(footage: Footage, active: Sequence[Span] | None = None) -> Notes:
    """The last notes of a watch, as they come back from storage."""
    last: Notes | None = None
    for notes in EmbeddedCaptioner().watch(footage, None, active):
        last = json.loads(json.dumps(notes))
    assert last is not None
    return last


def caption_tree(footage: Footage, notes: Notes) -> tuple[TreePlan, dict[NodeId, Caption]]:
    """Every caption of a recording: leaves from the notes, the others folded."""
    captioner = EmbeddedCaptioner()
    plan = plan_tree(footage.duration_s)
    captions: dict[NodeId, Caption] = {}

    def keep(node: Node, text: str, details: Mapping[str, Any] | None) -> None:
        captions[node.id] = Caption(
            node.id, node.span, text, captioner.name, captioner.version, details=details
        )

    for leaf in plan.at(Level.LOW):
        written = captioner.caption(Clip(footage, leaf, notes))
        keep(leaf, written.text, written.details)
    for level in (Level.MEDIUM, Level.HIGH):
        for node in plan.at(level):
            folded = captioner.fold(node, [captions[c.id] for c in plan.children(node.id)])
            assert folded is not None
            keep(node, folded.text, folded.details)
    return plan, captions


def told(footage: Footage, notes: Notes) -> str:
    """The caption of a whole recording."""
    node = Node(NodeId((1,)), Span(0.0, footage.duration_s))
    return EmbeddedCaptioner().caption(Clip(footage, node, notes)).text
