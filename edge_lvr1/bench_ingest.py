"""`bench ingest`: what taking footage in costs, part by part, against decoding it once.

Everything is measured in one run on one machine, so that ratios mean something where absolute
times do not: the survey and the gate, the frames that captions need, the captioner, the store;
beside them one plain decode of all frames, and the way of LongVideo-R1's own code, which opens
the file once for each node.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlite_utils import Database

from edge_lvr1.config import Ingest, Settings
from edge_lvr1.domain import Part, Recording, Span, StartSource
from edge_lvr1.errors import NotFoundError
from edge_lvr1.media.children import decoder_of
from edge_lvr1.media.container import open_video
from edge_lvr1.media.decode import pictures
from edge_lvr1.media.decoder import HERE, Decoder
from edge_lvr1.media.frames import Footage, Frame, Wanted
from edge_lvr1.media.measure import Sample
from edge_lvr1.media.probe import Probe
from edge_lvr1.media.survey import Picture
from edge_lvr1.media.words import Cue
from edge_lvr1.models.load import load_captioner, tree_of
from edge_lvr1.models.looking import LOOKS
from edge_lvr1.models.looking import wanted as wanted_of
from edge_lvr1.models.residency import Residency
from edge_lvr1.store.db import Archive
from edge_lvr1.store.glances import Glances
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.build import Builder
from edge_lvr1.tree.gate import decide

T = TypeVar("T")
_SUFFIXES = frozenset({".mp4", ".mkv", ".mov", ".avi", ".ts", ".webm", ".m4v", ".dav", ".h264"})


@dataclass(frozen=True, slots=True)
class IngestFigures:
    """What was measured. Seconds are of the wall clock; `…_x` are times real time.

    `build` is the whole way from files to complete trees, decoding in child processes; in it
    the builder waited `waited_s` for frames and `store_s` for the database, and the rest is the
    captioner's. `frames_s` is what the captioner's frames take by themselves, `model_frames_s`
    what those of a vision-language model would. `…_of_decode` say how often the footage could
    have been decoded instead.
    `peak_mb` is the most memory of this process, without its decoding children.
    """

    files: int
    footage_s: float
    nodes: int
    calls_made: int
    calls_saved: int
    calls_made_gate_off: int
    active_s: float
    decode_s: float
    survey_s: float
    frames_s: float
    build_s: float
    build_gate_off_s: float | None
    waited_s: float
    store_s: float
    peak_mb: float
    model_frames_s: float
    model_frames_gate_off_s: float
    once_per_node_s: float | None

    @property
    def figures(self) -> dict[str, float | int | None]:
        """All figures by name, the ratios included."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        ratios = {
            "decode_x": self._times(self.decode_s),
            "survey_x": self._times(self.survey_s),
            "build_x": self._times(self.build_s),
            "build_gate_off_x": self._times(self.build_gate_off_s),
            "captioner_s": max(0.0, self.build_s - self.waited_s - self.store_s),
            "calls_share": self.calls_made / self.nodes,
            "calls_share_gate_off": self.calls_made_gate_off / self.nodes,
            "survey_of_decode": self.survey_s / self.decode_s,
            "frames_of_decode": self.frames_s / self.decode_s,
            "model_frames_of_decode": self.model_frames_s / self.decode_s,
            "model_frames_gate_off_of_decode": self.model_frames_gate_off_s / self.decode_s,
            "once_per_node_of_decode": (
                None if self.once_per_node_s is None else self.once_per_node_s / self.decode_s
            ),
        }
        return {**plain, **ratios}

    def _times(self, seconds: float | None) -> float | None:
        return None if seconds is None else self.footage_s / max(seconds, 1e-9)


@dataclass(slots=True)
class _Meter:
    """Seconds spent in something, added up."""

    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started

    def of(self, items: Generator[T, None, None]) -> Generator[T, None, None]:
        """The items, with the time measured that each is waited for."""
        with closing(items):
            while True:
                with self.running():
                    item = next(items, None)
                if item is None:
                    return
                yield item


@dataclass(slots=True)
class _Watched:
    """A decoder that remembers what was asked of it, and how long was waited for it."""

    inner: Decoder
    meter: _Meter = field(default_factory=_Meter)
    asked: list[tuple[tuple[Part, ...], tuple[Wanted, ...]]] = field(default_factory=list)

    def probe(self, path: Path) -> Probe:
        return self.inner.probe(path)

    def texts(self, path: Path) -> tuple[Cue, ...]:
        with self.meter.running():
            return self.inner.texts(path)

    def gather(
        self, parts: Sequence[Part], wanted: Sequence[Wanted]
    ) -> Generator[NDArray[np.uint8], None, None]:
        self.asked.append((tuple(parts), tuple(wanted)))
        return self.meter.of(self.inner.gather(parts, wanted))

    def shown(
        self, parts: Sequence[Part], span: Span, max_side_px: int | None
    ) -> Generator[Frame, None, None]:
        return self.meter.of(self.inner.shown(parts, span, max_side_px))

    def survey(
        self, parts: Sequence[Part], slot_s: float, step_s: float = 1.0
    ) -> Generator[Sample | Picture, None, None]:
        return self.meter.of(self.inner.survey(parts, slot_s, step_s))

    def cut(self, parts: Sequence[Part], span: Span, out: Path, exact: bool = False) -> None:
        self.inner.cut(parts, span, out, exact)

    def until(self, cancelled: Callable[[], bool]) -> Decoder:
        return replace(self, inner=self.inner.until(cancelled))

    def close(self) -> None:
        self.inner.close()


class _MeteredArchive(Archive):
    """An archive that adds up the time spent in it."""

    def __init__(self, path: Path, meter: _Meter) -> None:
        super().__init__(path)
        self._meter = meter

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[Database]:
        with self._meter.running(), super().transaction(durable=durable) as database:
            yield database


def bench_ingest(
    path: Path,
    settings: Settings,
    say: Callable[[str], None] = lambda line: None,
    *,
    gate_off: bool = True,
    once_per_node: bool = True,
) -> IngestFigures:
    """Measure what taking in a file, or the files of a folder, costs; each is a recording.

    Raises NotFoundError where there is none, MediaError for one that cannot be read.
    """
    files = _files(path)
    say(f"{len(files)} files, from there to complete trees")
    found = [(file, HERE.probe(file)) for file in files]
    with tempfile.TemporaryDirectory(prefix="edge-lvr1-bench-") as folder:
        run = _build(found, settings, Path(folder) / "on.db")
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        off: _Run | None = None
        if gate_off:
            say("the same with the gate off")
            off = _build(found, _with_gate(settings, "off"), Path(folder) / "off.db")
    decoded = _decode_again(run, say, once_per_node=once_per_node)
    return IngestFigures(
        files=len(files),
        footage_s=sum(probe.duration_s for _, probe in found),
        nodes=run.nodes,
        calls_made=run.calls_made,
        calls_saved=run.calls_saved,
        calls_made_gate_off=off.calls_made if off else run.nodes,
        active_s=run.active_s,
        decode_s=decoded["decode"],
        survey_s=decoded["survey"],
        frames_s=decoded["frames"],
        build_s=run.seconds,
        build_gate_off_s=off.seconds if off else None,
        waited_s=run.waited_s,
        store_s=run.store_s,
        peak_mb=peak_mb,
        model_frames_s=decoded["model"],
        model_frames_gate_off_s=decoded["model, gate off"],
        once_per_node_s=decoded.get("once per node"),
    )


def _decode_again(
    run: _Run, say: Callable[[str], None], *, once_per_node: bool
) -> dict[str, float]:
    """Seconds of each way of decoding by itself, in this process, one after the other."""
    seconds: dict[str, float] = {}

    def timed(name: str, items: Iterable[object]) -> None:
        meter = _Meter()
        with meter.running():
            for _ in items:
                pass
        seconds[name] = seconds.get(name, 0.0) + meter.seconds

    say("one plain decode of all frames, the survey alone, the captioner's frames alone")
    for recording in run.recordings:
        for part in recording.parts:
            timed("decode", _frames_of(Path(part.path)))
        timed("survey", HERE.survey(recording.parts, max(2.0, recording.duration_s / 512)))
    for parts, wanted in run.asked:
        timed("frames", HERE.gather(parts, wanted))
    say("frames as a vision-language model wants them")
    for recording, looked, everything in run.wanted:
        footage = Footage(recording.parts)
        timed("model", footage.gather(looked))
        timed("model, gate off", footage.gather(everything))
        for one in everything if once_per_node else ():
            timed("once per node", footage.at(one.times_s, one.max_side_px, one.tolerance_s))
    return seconds


@dataclass(frozen=True, slots=True)
class _Run:
    """One way from files to complete trees. `wanted`: of looked nodes, and of all nodes."""

    recordings: list[Recording]
    seconds: float
    waited_s: float
    store_s: float
    nodes: int
    calls_made: int
    calls_saved: int
    active_s: float
    asked: list[tuple[tuple[Part, ...], tuple[Wanted, ...]]]
    wanted: list[tuple[Recording, list[Wanted], list[Wanted]]]


def _build(found: Sequence[tuple[Path, Probe]], settings: Settings, database: Path) -> _Run:
    store, decoder = _Meter(), _Watched(decoder_of(settings.ingest))
    archive = _MeteredArchive(database, store)
    trees, glances = Trees(archive), Glances(archive)
    captioner = load_captioner(settings, Residency(settings.models.memory_limit_mb))
    builder = Builder(trees, glances, captioner, tree_of(settings), settings.ingest)
    recordings = []
    with closing(decoder), archive.open():
        archive.connect()
        started = time.perf_counter()
        for file, probe in found:
            recordings.append(_recording(trees, file, probe, captioner.name))
            builder.build(recordings[-1], Footage(recordings[-1].parts, decoder))
        seconds = time.perf_counter() - started
        told = [trees.progress(one.id) for one in recordings]
        curves = [activity for one in recordings if (activity := glances.activity(one.id))]
        return _Run(
            recordings=recordings,
            seconds=seconds,
            waited_s=decoder.meter.seconds,
            store_s=store.seconds,
            nodes=sum(one.total for one in told),
            calls_made=sum(one.calls_made for one in told),
            calls_saved=sum(one.calls_saved for one in told),
            active_s=sum(span.duration_s for curve in curves for span in curve.active),
            asked=decoder.asked,
            wanted=[(one, *_wanted(one, trees, glances, settings.ingest)) for one in recordings],
        )


def _recording(trees: Trees, file: Path, probe: Probe, captioner: str) -> Recording:
    now = file.stat()
    part = Part(str(file), 0.0, probe.duration_s, now.st_size, now.st_mtime_ns, str(file))
    return trees.add_recording(
        "bench",
        datetime.fromtimestamp(now.st_mtime, tz=timezone.utc),
        StartSource.MTIME,
        [part],
        None,
        captioner,
    )


def _wanted(
    recording: Recording, trees: Trees, glances: Glances, ingest: Ingest
) -> tuple[list[Wanted], list[Wanted]]:
    """The frames that a vision-language model wants of the looked nodes, and of all nodes."""
    plan, activity = trees.plan(recording.id), glances.activity(recording.id)
    assert activity is not None
    decisions = decide(plan, activity, glances.hashes(recording.id), ingest)
    looked = [node for node in plan.nodes if decisions[node.id].source is None]
    return (
        [wanted_of(node, LOOKS[node.level], activity.active) for node in looked],
        [wanted_of(node, LOOKS[node.level], None) for node in plan.nodes],
    )


def _with_gate(settings: Settings, gate: str) -> Settings:
    return settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"gate": gate})})


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)
    else:
        found = [path] if path.is_file() else []
    if not found:
        raise NotFoundError(f"there is no footage at {path}; name a video file or a folder of some")
    return found


def _frames_of(file: Path) -> Iterator[object]:
    with open_video(file) as video, closing(pictures(video)) as run:
        yield from run
