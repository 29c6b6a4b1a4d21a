"""Footage with known truth, drawn on the spot: a yard by day, seen by a fixed camera.

Two figures and a vehicle come, stop and go; the light dims in between; the picture is noisy
and carries a clock. Nothing here knows how the footage will be understood.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import Span

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]  # RGB

WIDTH_PX, HEIGHT_PX = 640, 360
FPS = 10
GOP_FRAMES = 20
STARTS_AT = datetime(2026, 3, 14, 9, 30, tzinfo=timezone.utc)

_ACTOR_SHARE = 0.42  # a figure's height as a share of the picture's
_FLOOR_Y = 0.88
_RED, _WHITE, _BLUE = (178, 38, 40), (232, 234, 236), (40, 78, 190)


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something that comes, stops and goes.

    It enters at `present.start_s` from one side, stands still over `still`, and has left at
    `present.end_s`. Positions are shares of the picture's width.
    """

    kind: str  # "person" or "vehicle"
    colour_name: str
    colour: Colour
    present: Span
    still: Span
    enters: str
    leaves: str
    stands_at: float

    def x_at(self, time_s: float) -> float | None:
        """Centre in shares of the width; None while it is away."""
        if not self.present.contains(time_s):
            return None
        half = 0.24 if self.kind == "vehicle" else 0.09
        outside = {"left": -half, "right": 1.0 + half}
        if time_s < self.still.start_s:
            share = (time_s - self.present.start_s) / (self.still.start_s - self.present.start_s)
            return outside[self.enters] + share * (self.stands_at - outside[self.enters])
        if time_s < self.still.end_s:
            return self.stands_at
        share = (time_s - self.still.end_s) / (self.present.end_s - self.still.end_s)
        return self.stands_at + share * (outside[self.leaves] - self.stands_at)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is true in the footage."""

    duration_s: float
    actors: tuple[Actor, ...]
    dims_at_s: float
    brightens_at_s: float

    def of_kind(self, kind: str) -> list[Actor]:
        """The actors of a kind, in order of arrival."""
        return sorted((a for a in self.actors if a.kind == kind), key=lambda a: a.present)


YARD = Scene(
    duration_s=120.0,
    actors=(
        Actor("person", "red", _RED, Span(9, 36), Span(15, 29), "left", "right", 0.36),
        Actor(
            "vehicle", "white", (232, 234, 236), Span(46, 70), Span(52, 62), "right", "left", 0.5
        ),
        Actor("person", "blue", _BLUE, Span(84, 110), Span(90, 104), "right", "right", 0.6),
    ),
    dims_at_s=76.0,
    brightens_at_s=115.0,
)


def render(
    out: Path,
    scene: Scene = YARD,
    *,
    seed: int = 7,
    on_progress: Callable[[float], None] | None = None,
) -> None:
    """Write the scene as H.264 in MP4; `on_progress` is told the share that is done."""
    with av.open(str(out), "w", options={"movflags": "faststart"}) as container:
        container.metadata["creation_time"] = STARTS_AT.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.options = {"preset": "veryfast", "crf": "23", "g": str(GOP_FRAMES)}
        total = round(scene.duration_s * FPS)
        for index, image in enumerate(_images(scene, total, seed)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
            if on_progress and index % FPS == 0:
                on_progress(index / total)
        container.mux(stream.encode(None))


def _images(scene: Scene, total: int, seed: int) -> Iterator[Image]:
    random = np.random.default_rng(seed)
    yard = _draw_yard(random)
    # Fresh noise for every pixel and frame would cost more than the drawing: a few fields
    # of sensor noise, shifted at random, look the same to any reader.
    fields = [random.normal(0.0, 3.0, yard.shape).astype(np.float32) for _ in range(4)]
    for index in range(total):
        time_s = index / FPS
        image = yard.copy()
        for actor in scene.actors:
            x = actor.x_at(time_s)
            if x is not None:
                moving = not actor.still.contains(time_s)
                _DRAW[actor.kind](image, actor, x, time_s if moving else None)
        light = _light(scene, time_s)
        field = np.roll(fields[index % 4], tuple(random.integers(0, 60, 2)), axis=(0, 1))
        noisy = np.clip(image.astype(np.float32) * light + field, 0, 255).astype(np.uint8)
        _burn_clock(noisy, STARTS_AT + timedelta(seconds=time_s))
        yield noisy


def _light(scene: Scene, time_s: float) -> float:
    """Brightness factor: falls over two seconds, and comes back the same way."""
    down = np.clip((time_s - scene.dims_at_s) / 2.0, 0.0, 1.0)
    up = np.clip((time_s - scene.brightens_at_s) / 2.0, 0.0, 1.0)
    return float(1.0 - 0.35 * (down - up))


def _draw_yard(random: np.random.Generator) -> Image:
    horizon = int(HEIGHT_PX * 0.55)
    yard = np.empty((HEIGHT_PX, WIDTH_PX, 3), np.float32)
    yard[:horizon] = (188, 182, 170)
    yard[horizon:] = (118, 120, 118)
    yard += np.linspace(12, -12, HEIGHT_PX, dtype=np.float32)[:, None, None]
    coarse = random.normal(0, 9, (HEIGHT_PX // 6, WIDTH_PX // 6)).astype(np.float32)
    yard += cv2.resize(coarse, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC)[..., None]
    image = np.clip(yard, 0, 255).astype(np.uint8)
    for row, y in enumerate(range(0, horizon, 22)):  # a brick wall
        cv2.line(image, (0, y), (WIDTH_PX, y), (160, 152, 140), 1, cv2.LINE_AA)
        for x in range(24 * (row % 2), WIDTH_PX, 48):
            cv2.line(image, (x, y), (x, min(y + 22, horizon)), (160, 152, 140), 1, cv2.LINE_AA)
    cv2.rectangle(image, (500, 60), (590, horizon), (96, 74, 58), -1, cv2.LINE_AA)  # a door
    cv2.circle(image, (578, 135), 4, (190, 180, 120), -1, cv2.LINE_AA)
    for x in range(-60, WIDTH_PX, 150):  # parking lines
        cv2.line(image, (x + 60, horizon + 30), (x, HEIGHT_PX), (170, 170, 165), 3, cv2.LINE_AA)
    return image


def _draw_person(image: Image, actor: Actor, x: float, moving_s: float | None) -> None:
    """A figure of head, neck, jacket, arms and legs; the limbs swing while it walks."""
    tall = HEIGHT_PX * _ACTOR_SHARE
    cx, feet = x * WIDTH_PX, HEIGHT_PX * _FLOOR_Y
    swing = math.sin(moving_s * 2 * math.pi * 0.9) if moving_s is not None else 0.12
    skin, trousers, shoes = (196, 152, 124), (44, 46, 56), (24, 22, 22)
    dark = _shade(actor.colour, 0.8)
    hip, shoulder = feet - 0.47 * tall, feet - 0.82 * tall

    def point(px: float, py: float) -> tuple[int, int]:
        return round(cx + px * tall), round(py)

    for side in (-1, 1):
        foot = point(side * 0.045 + side * swing * 0.11, feet - 0.01 * tall)
        cv2.line(image, point(side * 0.05, hip), foot, trousers, round(0.085 * tall), cv2.LINE_AA)
        cv2.ellipse(image, foot, (round(0.05 * tall), round(0.025 * tall)), 0, 0, 360, shoes, -1)
    for side in (-1, 1):
        hand = point(side * 0.15 - side * swing * 0.07, hip + 0.02 * tall)
        cv2.line(image, point(side * 0.11, shoulder + 0.03 * tall), hand, dark, round(0.06 * tall))
        cv2.circle(image, hand, round(0.028 * tall), skin, -1, cv2.LINE_AA)
    torso = [(-0.13, shoulder), (0.13, shoulder), (0.105, hip + 0.02 * tall)]
    torso += [(-0.105, hip + 0.02 * tall)]
    cv2.fillPoly(image, [np.array([point(*p) for p in torso])], actor.colour, cv2.LINE_AA)
    cv2.circle(image, point(0, shoulder - 0.1 * tall), round(0.075 * tall), skin, -1, cv2.LINE_AA)
    hair = (round(0.077 * tall), round(0.06 * tall))
    cv2.ellipse(image, point(0, shoulder - 0.125 * tall), hair, 0, 180, 360, (46, 36, 30), -1)


def _draw_vehicle(image: Image, actor: Actor, x: float, moving_s: float | None) -> None:
    """A car from the side: body, cabin, windows, wheels whose spokes turn while it drives."""
    cx, ground = x * WIDTH_PX, HEIGHT_PX * 0.93

    def point(px: float, py: float) -> tuple[int, int]:
        return round(cx + px), round(ground + py)

    body = [(-138, -26), (-134, -58), (-84, -66), (-48, -102), (52, -102), (92, -64), (136, -56)]
    body += [(140, -24)]
    cv2.fillPoly(image, [np.array([point(*p) for p in body])], actor.colour, cv2.LINE_AA)
    for window in (
        [(-72, -66), (-43, -95), (-4, -95), (-4, -66)],
        [(4, -66), (4, -95), (48, -95), (78, -66)],
    ):
        glass = np.array([point(*p) for p in window])
        cv2.fillPoly(image, [glass], (58, 68, 76), cv2.LINE_AA)
    cv2.line(image, point(0, -64), point(0, -28), _shade(actor.colour, 0.75), 1, cv2.LINE_AA)
    turn = (moving_s or 0.0) * 9.0
    for wheel in (-86, 88):
        cv2.circle(image, point(wheel, -24), 25, (26, 26, 28), -1, cv2.LINE_AA)
        cv2.circle(image, point(wheel, -24), 14, (150, 152, 154), -1, cv2.LINE_AA)
        spoke = point(wheel + 12 * math.cos(turn), -24 + 12 * math.sin(turn))
        cv2.line(image, point(wheel, -24), spoke, (70, 70, 72), 3, cv2.LINE_AA)


_DRAW: dict[str, Callable[[Image, Actor, float, float | None], None]] = {
    "person": _draw_person,
    "vehicle": _draw_vehicle,
}


def _shade(colour: Colour, factor: float) -> Colour:
    return (int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor))


def _burn_clock(image: Image, moment: datetime) -> None:
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        place = (10, 20)
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(image, text, place, font, 0.5, colour, thickness, cv2.LINE_AA)
