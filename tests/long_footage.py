"""An hour of a fixed camera, made of a real clip in its own still surroundings, with known truth.

The still part is the clip's own empty scene under fresh sensor noise; the clip's passages are
laid into it at places that a seed chooses. Every frame is encoded as a camera would, with its
GOP and its rate control, so that what a codec does to a still scene is in the footage too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from edge_lvr1.domain import Span
from tests import footage

Planar: TypeAlias = NDArray[np.uint8]
"""A picture as yuv420p in one array of (height * 3 / 2, width)."""

FPS = 10
MARGIN_S = 1.0  # of empty scene before and after a passage, over which it is blended in
APART_S = 30.0  # at least so much stillness between passages
DIMMED = 0.6
NOISE_FIELDS = 4


@dataclass(frozen=True, slots=True)
class LongFootage:
    """A file and what is true in it: who is in view when, and when the light is switched."""

    path: Path
    duration_s: float
    present: tuple[Span, ...]
    switches_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the footage is to be like.

    `together` passages of the clip stay in one run, as they follow each other there. With
    `kbps` the bit rate is constant, else the quality (`crf`). `noise` is the sensor's, as
    standard deviation in grey levels; the light goes out and on again `switches` times.
    """

    clip: str = "one-by-one-person.mp4"
    duration_s: float = 3600.0
    active_s: float = 360.0
    together: int = 6
    gop_s: float = 2.0
    kbps: int | None = None
    crf: int = 26
    noise: float = 2.0
    switches: int = 2
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Laid:
    """A span of the clip, and where in the footage it begins."""

    clip: Span
    at_s: float

    @property
    def span(self) -> Span:
        """Where in the footage it is."""
        return Span(self.at_s, self.at_s + self.clip.duration_s)


class Sensor:
    """A camera's noise, anew for each picture, with `noise` as its standard deviation."""

    def __init__(self, shape: tuple[int, ...], noise: float, seed: int) -> None:
        self.height = shape[0] * 2 // 3
        self.random = np.random.default_rng(seed)
        # Fresh noise for every pixel and frame would cost more than the encoding.
        self.fields = [
            np.round(self.random.normal(0, noise, (self.height + 64, shape[1] + 64))).astype(
                np.int8
            )
            for _ in range(NOISE_FIELDS)
        ]

    def seen(self, picture: Planar, light: float = 1.0) -> Planar:
        """A picture with noise, in so much light."""
        y, x = self.random.integers(0, 64, 2)
        chosen = self.fields[self.random.integers(NOISE_FIELDS)]
        field = chosen[y : y + self.height, x : x + picture.shape[1]]
        luma = picture[: self.height]
        if light != 1.0:
            luma = np.asarray(cv2.convertScaleAbs(luma, alpha=light), np.uint8)
        noisy = picture.copy()
        cv2.add(luma, field, dst=noisy[: self.height], dtype=cv2.CV_8U)
        return noisy


def make(path: Path, recipe: Recipe) -> LongFootage:
    """Write the footage; says what is true in it."""
    present = [entry["span"] for entry in footage.truth(recipe.clip)]
    frames = read_frames(footage.clip(recipe.clip))
    dice = random.Random(recipe.seed)
    laid = _lay(_runs(present, len(frames) / FPS, recipe.together), recipe, dice)
    free = [s for s in _between([p.span for p in laid], recipe.duration_s) if s.duration_s > 20]
    switches = sorted(dice.uniform(s.start_s + 8, s.end_s - 8) for s in _some(free, recipe, dice))
    write(path, _pictures(frames, present, laid, switches, recipe), recipe, frames[0].shape)
    true = [
        Span(p.at_s + s.start_s - p.clip.start_s, p.at_s + s.end_s - p.clip.start_s)
        for p in laid
        for s in present
        if p.clip.start_s <= s.start_s and s.end_s <= p.clip.end_s
    ]
    return LongFootage(path, recipe.duration_s, tuple(true), tuple(switches))


def _some(free: Sequence[Span], recipe: Recipe, dice: random.Random) -> list[Span]:
    weights = [span.duration_s for span in free]
    return dice.choices(free, weights, k=recipe.switches) if recipe.switches else []


def read_frames(path: Path) -> list[Planar]:
    """The clip at `FPS` frames a second."""
    kept: list[Planar] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            while len(kept) <= float(frame.time or 0) * FPS + 1e-6:
                kept.append(np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8))
    return kept


def _runs(present: Sequence[Span], clip_s: float, together: int) -> list[Span]:
    """Spans of the clip that hold so many passages each, with their margins."""
    runs: list[list[Span]] = []
    for span in sorted(present):
        overlapping = runs and span.start_s - 2 * MARGIN_S < runs[-1][-1].end_s
        if runs and (len(runs[-1]) < together or overlapping):
            runs[-1].append(span)
        else:
            runs.append([span])
    return [
        Span(
            max(0.0, run[0].start_s - MARGIN_S),
            min(clip_s, max(span.end_s for span in run) + MARGIN_S),
        )
        for run in runs
    ]


def _lay(runs: Sequence[Span], recipe: Recipe, dice: random.Random) -> list[Laid]:
    """Runs in turn until they fill the active time, spread over the footage."""
    chosen: list[Span] = []
    while (left_s := recipe.active_s - sum(run.duration_s for run in chosen)) > 0:
        run = runs[len(chosen) % len(runs)]
        if chosen and run.duration_s > left_s + run.duration_s / 2:
            break
        chosen.append(run)
    spare_s = recipe.duration_s - sum(run.duration_s + APART_S for run in chosen) - APART_S
    assert spare_s > 0, "the footage is too short for so much activity"
    cuts = sorted(dice.uniform(0, spare_s) for _ in chosen)
    laid, taken_s = [], APART_S
    for run, cut_s in zip(chosen, cuts, strict=True):
        laid.append(Laid(run, round((cut_s + taken_s) * FPS) / FPS))
        taken_s += run.duration_s + APART_S
    return laid


def _between(spans: Sequence[Span], end_s: float) -> list[Span]:
    edges = [0.0, *(edge for s in sorted(spans) for edge in (s.start_s, s.end_s)), end_s]
    return [Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _pictures(
    frames: Sequence[Planar],
    present: Sequence[Span],
    laid: Sequence[Laid],
    switches_s: Sequence[float],
    recipe: Recipe,
) -> Iterator[Planar]:
    empty = empty_scene(frames, present)
    sensor = Sensor(frames[0].shape, recipe.noise, recipe.seed)
    starts = sorted(laid, key=lambda piece: piece.at_s)
    for index in range(round(recipe.duration_s * FPS)):
        time_s = index / FPS
        while starts and time_s >= starts[0].span.end_s:
            starts = starts[1:]
        picture = picture_at(time_s, starts[0] if starts else None, frames, empty)
        dimmed = sum(switch_s <= time_s for switch_s in switches_s) % 2
        yield sensor.seen(picture, DIMMED if dimmed else 1.0)


def picture_at(time_s: float, laid: Laid | None, frames: Sequence[Planar], empty: Planar) -> Planar:
    """The footage at a moment: the clip blended into its empty scene, or that scene alone."""
    if laid is None or not laid.span.contains(time_s):
        return empty
    into_s = time_s - laid.at_s
    frame = frames[min(len(frames) - 1, round((laid.clip.start_s + into_s) * FPS))]
    share = min(into_s, laid.span.end_s - time_s) / MARGIN_S
    if share >= 1:
        return frame
    return np.asarray(cv2.addWeighted(frame, share, empty, 1 - share, 0), np.uint8)


def empty_scene(frames: Sequence[Planar], present: Sequence[Span]) -> Planar:
    """The scene when nobody is in view: the median of frames from between the passages."""
    away = [
        frame
        for index, frame in enumerate(frames)
        if all(not s.start_s - 0.5 <= index / FPS < s.end_s + 0.5 for s in present)
    ]
    return np.median(np.stack(away[:: max(1, len(away) // 25)]), axis=0).astype(np.uint8)


def write(path: Path, pictures: Iterator[Planar], recipe: Recipe, shape: tuple[int, ...]) -> None:
    """Encode pictures of a shape as a camera would."""
    with av.open(str(path), "w") as out:
        track = out.add_stream("libx264", rate=FPS)
        track.height, track.width = shape[0] * 2 // 3, shape[1]
        track.pix_fmt = "yuv420p"
        track.codec_context.time_base = Fraction(1, FPS)
        gop = str(round(recipe.gop_s * FPS))
        track.options = {"preset": "ultrafast", "g": gop, "keyint_min": gop, "sc_threshold": "0"}
        if recipe.kbps is None:
            track.options |= {"crf": str(recipe.crf)}
        else:
            track.bit_rate = recipe.kbps * 1000
            rate = f"{recipe.kbps}k"
            track.options |= {"maxrate": rate, "minrate": rate, "bufsize": rate, "nal-hrd": "cbr"}
        for index, picture in enumerate(pictures):
            frame = VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
