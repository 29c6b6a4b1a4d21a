"""Two weeks of four fixed cameras, made of the real clips in their own still scenes.

What is in view when is known by construction. A plan (pure) says which recording begins
when and what is laid into it; `make` encodes it under the file names of four recorders.
Recordings in which nothing happens are stretches of the empty scene under sensor noise, cut
at keyframes out of a longer take as a recorder does; those of the night have less light.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np

from edge_lvr1.domain import Span, TimeSpan
from tests import footage
from tests.long_footage import (
    FPS,
    MARGIN_S,
    Laid,
    Planar,
    Recipe,
    Sensor,
    empty_scene,
    picture_at,
    read_frames,
    write,
)

SHORTEST_S, LONGEST_S = 40, 150
STILL_S = (SHORTEST_S, 80)
LEAD_S, PAUSE_S, TAIL_S = (12.0, 30.0), 8.0, (8.0, 16.0)
APART = timedelta(minutes=10)  # at least so much between two recordings of a camera
TAKE_S = 240  # of the empty scene, out of which still recordings are cut
GOP_S = 2
NIGHT_LIGHT = 0.7
NIGHT = (20, 6)  # hours


@dataclass(frozen=True, slots=True)
class Scene:
    """What a camera looks at: the scene of a clip, as it is or as in a mirror."""

    clip: str
    mirrored: bool = False


CAMERAS = {
    "camera1": Scene("car-detection.mp4"),
    "camera2": Scene("one-by-one-person.mp4"),
    "camera3": Scene("car-detection.mp4", mirrored=True),
    "camera4": Scene("bottle.mp4"),
}


@dataclass(frozen=True, slots=True)
class Event:
    """A recording to be made: when, and what of the clip is laid into it.

    `runs` hold numbers of entries in the clip's truth; those of a run stay together as they
    are in the clip, and between runs the scene is empty. No runs: nothing happens.
    """

    camera: str
    days_ago: int
    clock: str
    runs: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """Somebody or something in view of a camera, in the words of the clip's truth."""

    camera: str
    what: str
    moves: str
    times: TimeSpan


@dataclass(frozen=True, slots=True)
class Planned:
    """A recording: its start, its length, and what is laid into the empty scene."""

    camera: str
    starts_at: datetime
    duration_s: int
    laid: tuple[Laid, ...] = ()

    @property
    def times(self) -> TimeSpan:
        """From its start to its end."""
        return TimeSpan(self.starts_at, self.starts_at + timedelta(seconds=self.duration_s))

    @property
    def is_night(self) -> bool:
        """Whether there is less light."""
        return self.starts_at.hour >= NIGHT[0] or self.starts_at.hour < NIGHT[1]


@dataclass(frozen=True, slots=True)
class Archive:
    """All recordings, and all that is ever in view in them."""

    recordings: tuple[Planned, ...]
    seen: tuple[Seen, ...]

    def within(self, camera: str | None, word: str, since: datetime, until: datetime) -> list[Seen]:
        """What has a word in its description and is in view of a camera (or any) in a span."""
        return [
            one
            for one in self.seen
            if camera in (None, one.camera)
            and word in one.what.split()
            and one.times.since < until
            and one.times.until > since
        ]


def plan(
    events: Sequence[Event], today: date, zone: tzinfo, recordings: int, days: int, seed: int = 5
) -> Archive:
    """The events, and still recordings at times of the `days` before today that a seed chooses."""
    dice = random.Random(seed)
    planned = [_event(one, today, zone, dice) for one in events]
    cameras = list(CAMERAS)
    while len(planned) < recordings:
        camera = cameras[len(planned) % len(cameras)]
        day = today - timedelta(days=dice.randint(1, days))
        clock = timedelta(seconds=dice.randrange(24 * 3600 - 2 * LONGEST_S))
        starts_at = datetime.combine(day, time(), zone) + clock
        one = Planned(camera, starts_at, dice.randrange(*STILL_S, GOP_S))
        if all(_apart(one, other) for other in planned):
            planned.append(one)
    planned.sort(key=lambda one: (one.starts_at, one.camera))
    return Archive(tuple(planned), tuple(s for one in planned for s in _seen(one)))


def make(archive: Archive, folder: Path, seed: int = 5) -> None:
    """Write the recordings below a folder, each named as a recorder names its files."""
    for camera, scene in CAMERAS.items():
        ours = [one for one in archive.recordings if one.camera == camera]
        if ours:
            _make_camera(scene, ours, folder, seed)


def file_name(one: Planned) -> str:
    """The path of a recording below the folder of all; another manner for each camera."""
    start = one.starts_at
    end = start + timedelta(seconds=one.duration_s)
    manner: dict[str, Callable[[], str]] = {
        "camera1": lambda: f"RecM01_{start:%Y%m%d_%H%M%S}_{end:%H%M%S}_6D28808_1A468F.mp4",
        "camera2": lambda: f"{start:%Y-%m-%d}/{start:%Y-%m-%d_%H-%M-%S}.mp4",
        "camera3": lambda: f"camera3.{start:%Y%m%d_%H%M%S}.mp4",
        "camera4": lambda: (
            f"{start:%Y-%m-%d}/001/dav/{start:%H}/{start:%H.%M.%S}-{end:%H.%M.%S}[M][0@0][0].mp4"
        ),
    }
    return f"{one.camera}/{manner[one.camera]()}"


def _event(event: Event, today: date, zone: tzinfo, dice: random.Random) -> Planned:
    truth = footage.truth(CAMERAS[event.camera].clip)
    at_s, laid = dice.uniform(*LEAD_S), list[Laid]()
    for run in event.runs:
        spans: list[Span] = [truth[number]["span"] for number in run]
        clip = Span(
            min(s.start_s for s in spans) - MARGIN_S, max(s.end_s for s in spans) + MARGIN_S
        )
        laid.append(Laid(clip, round(at_s * FPS) / FPS))
        at_s = laid[-1].span.end_s + PAUSE_S
    length_s = max(SHORTEST_S, round(at_s - PAUSE_S + dice.uniform(*TAIL_S)))
    assert length_s <= LONGEST_S, f"{event} makes {length_s} s"
    clock = time.fromisoformat(event.clock).replace(second=dice.randrange(60))
    starts_at = datetime.combine(today - timedelta(days=event.days_ago), clock, zone)
    return Planned(event.camera, starts_at, length_s, tuple(laid))


def _apart(one: Planned, other: Planned) -> bool:
    if one.camera != other.camera:
        return True
    return (
        one.times.since - APART > other.times.until or one.times.until + APART < other.times.since
    )


def _seen(one: Planned) -> Iterator[Seen]:
    for laid in one.laid:
        for entry in footage.truth(CAMERAS[one.camera].clip):
            span: Span = entry["span"]
            if laid.clip.start_s <= span.start_s and span.end_s <= laid.clip.end_s:
                shift_s = laid.at_s - laid.clip.start_s
                since, until = (
                    one.starts_at + timedelta(seconds=edge_s + shift_s)
                    for edge_s in (span.start_s, span.end_s)
                )
                yield Seen(one.camera, entry["who"], entry.get("moves", ""), TimeSpan(since, until))


def _make_camera(scene: Scene, ours: Sequence[Planned], folder: Path, seed: int) -> None:
    frames = read_frames(footage.clip(scene.clip))
    empty = empty_scene(frames, [entry["span"] for entry in footage.truth(scene.clip)])
    if scene.mirrored:
        frames, empty = [_mirrored(frame) for frame in frames], _mirrored(empty)
    recipe = Recipe(gop_s=GOP_S)
    sensor = Sensor(empty.shape, recipe.noise, seed)
    dice = random.Random(seed)
    for is_night in (False, True):
        light = NIGHT_LIGHT if is_night else 1.0
        now = [one for one in ours if one.is_night == is_night]
        stills = [one for one in now if not one.laid]
        for one in now:
            path = folder / file_name(one)
            path.parent.mkdir(parents=True, exist_ok=True)
            if one.laid:
                shown = (sensor.seen(picture, light) for picture in _pictures(one, frames, empty))
                write(path, shown, recipe, empty.shape)
        with TemporaryDirectory() as scratch:
            take = Path(scratch) / "take.mp4"
            take_s = min(TAKE_S, sum(one.duration_s for one in stills))
            if stills:
                shown = (sensor.seen(empty, light) for _ in range(take_s * FPS))
                write(take, shown, recipe, empty.shape)
            for one in stills:
                latest = (take_s - one.duration_s) // GOP_S
                _cut(take, folder / file_name(one), dice.randint(0, latest) * GOP_S, one.duration_s)


def _pictures(one: Planned, frames: Sequence[Planar], empty: Planar) -> Iterator[Planar]:
    for index in range(one.duration_s * FPS):
        time_s = index / FPS
        laid = next((laid for laid in one.laid if laid.span.contains(time_s)), None)
        yield picture_at(time_s, laid, frames, empty)


def _mirrored(picture: Planar) -> Planar:
    """A yuv420p picture as in a mirror; its height has to be a multiple of four."""
    height, width = picture.shape[0] * 2 // 3, picture.shape[1]
    luma = picture[:height, ::-1]
    chroma = picture[height:].reshape(-1, width // 2)[:, ::-1].reshape(-1, width)
    return np.ascontiguousarray(np.vstack([luma, chroma]))


def _cut(take: Path, out: Path, start_s: int, duration_s: int) -> None:
    """A stretch of a take that begins at a keyframe, as it stands in the file."""
    with av.open(str(take)) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        track = target.add_stream_from_template(stream)
        assert stream.time_base is not None
        begin, end = (round(edge / stream.time_base) for edge in (start_s, start_s + duration_s))
        for packet in source.demux(stream):
            if packet.pts is None or packet.dts is None or not begin <= packet.pts < end:
                continue
            packet.pts, packet.dts = packet.pts - begin, packet.dts - begin
            packet.stream = track
            target.mux(packet)
