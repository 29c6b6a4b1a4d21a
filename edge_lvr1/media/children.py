"""Decoding in child processes: what a file does to its decoder, it does to that alone.

A few children at most, started when they are needed and reused from file to file; each
answers one request at a time. One that crashes, hangs or fills its memory costs the request
that it was on, with a MediaError that says so, and the next request gets a fresh one.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import queue
import shutil
import threading
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice, repeat
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.config import Ingest
from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import MediaError
from edge_lvr1.media.buffers import Buffers
from edge_lvr1.media.clips import check_out
from edge_lvr1.media.decoder import HERE, Decoder, Here
from edge_lvr1.media.measure import Sample
from edge_lvr1.media.opening import Within
from edge_lvr1.media.packing import ImagesIn, cue_of, probe_of, seen_of
from edge_lvr1.media.probe import Probe
from edge_lvr1.media.process import CHILD, Asked, BrokenDecoder, Process, Read, start
from edge_lvr1.media.reading import Frame, Wanted, looks
from edge_lvr1.media.sandbox import Limits
from edge_lvr1.media.survey import STEP_S, Picture
from edge_lvr1.media.text_tracks import MAX_CUES
from edge_lvr1.media.wire import Head, number
from edge_lvr1.media.words import Cue

logger = logging.getLogger(__name__)

MOST_CHILDREN = 6
KEPT_CHILDREN = 2  # idle ones; each holds some 80 MB
MOST_REQUESTS = 1000  # of one child: what a library leaks is given back
MOST_OUTPUT_MB = 16 * 1024

T = TypeVar("T")


class Children:
    """A `Decoder` in child processes. Close it, or use it as a context.

    Links in `roots` are followed only where they stay in them.
    """

    def __init__(
        self,
        memory_mb: int = 1024,
        timeout_s: float = 60.0,
        most: int = MOST_CHILDREN,
        output_mb: int = MOST_OUTPUT_MB,
        program: Sequence[str] = CHILD,
        roots: Iterable[Path] = (),
    ) -> None:
        self._limits = Limits(memory_mb, output_mb, tuple(map(str, roots)))
        self._timeout_s = timeout_s
        self._program = program
        self._buffers = Buffers()
        # Generators may be closed by the garbage collector anywhere, so that nothing here
        # may wait for a lock: a SimpleQueue and a deque do without.
        self._free: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(most):
            self._free.put(None)
        self._idle: deque[Process] = deque()
        self._living: dict[int, Process] = {}
        self._told = False
        self._cancelled: Callable[[], bool] = lambda: False
        self._closed = threading.Event()
        # A child ends with the thread that started it: this one stays to the end.
        self._starter = ThreadPoolExecutor(1, "decoder-starter")

    def probe(self, path: Path) -> Probe:
        """As `Decoder.probe`."""
        head = {"op": "probe", "path": str(path)}
        return self._one(Asked(head, [path]), lambda head, data: probe_of(path, head))

    def gather(
        self, parts: Sequence[Part], wanted: Sequence[Wanted]
    ) -> Generator[NDArray[np.uint8], None, None]:
        """As `Decoder.gather`."""
        terms = [
            {"times_s": one.times_s, "side": one.max_side_px, "near": one.tolerance_s}
            for one in wanted
        ]
        expected = looks(wanted) if parts else []
        images = ImagesIn(look.max_side_px for look in expected)
        with closing(self._about(parts, {"op": "gather", "wanted": terms}, images)) as given:
            yield from given
        if images.left():
            raise MediaError(f"the decoder gave too few frames of {parts[0].path}; try again")

    def shown(
        self, parts: Sequence[Part], span: Span, max_side_px: int | None
    ) -> Generator[Frame, None, None]:
        """As `Decoder.shown`."""
        head = {"op": "shown", "span": _ends(span), "side": max_side_px}
        images = ImagesIn(repeat(max_side_px))
        return self._about(
            parts, head, lambda head, data: Frame(number(head, "time_s"), images(head, data))
        )

    def survey(
        self, parts: Sequence[Part], slot_s: float, step_s: float = STEP_S
    ) -> Generator[Sample | Picture, None, None]:
        """As `Decoder.survey`."""
        return self._about(parts, {"op": "survey", "slot_s": slot_s, "step_s": step_s}, seen_of)

    def texts(self, path: Path) -> tuple[Cue, ...]:
        """As `Decoder.texts`."""
        asked = Asked({"op": "texts", "path": str(path)}, [path])
        return tuple(islice(self._items(asked, lambda head, data: cue_of(head)), MAX_CUES))

    def cut(self, parts: Sequence[Part], span: Span, out: Path, exact: bool = False) -> None:
        """As `Decoder.cut`."""
        check_out(parts, out)
        # In a folder of its own, so that nothing is left of a child that was ended half way.
        folder = out.with_name(f".{out.name[:200]}.{uuid.uuid4().hex[:8]}.part")
        head = {"op": "cut", "span": _ends(span), "out": str(folder / out.name), "exact": exact}
        try:
            folder.mkdir()
            for _ in self._about(parts, head, lambda head, data: None):
                raise MediaError(f"the decoder said what makes no sense of {out}; try again")
            (folder / out.name).replace(out)
        except OSError as error:
            raise MediaError(f"the clip {out} cannot be written: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def until(self, cancelled: Callable[[], bool]) -> Decoder:
        """As `Decoder.until`: the same children; one that does not stop at once is ended."""
        bound = copy.copy(self)
        bound._cancelled = cancelled
        return bound

    def close(self) -> None:
        """As `Decoder.close`: ends all children."""
        self._closed.set()
        for process in list(self._living.values()):
            process.kill()
        with contextlib.suppress(IndexError):
            while True:
                self._end(self._idle.pop())
        self._starter.shutdown()

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _one(self, asked: Asked, read: Read[T]) -> T:
        found = list(self._items(asked, read))
        if len(found) != 1:
            raise MediaError(f"the decoder said nothing of {asked.paths[0]}; try again")
        return found[0]

    def _about(self, parts: Sequence[Part], head: Head, read: Read[T]) -> Generator[T, None, None]:
        told = [(part.path, part.offset_s, part.duration_s) for part in parts]
        return self._items(Asked({**head, "parts": told}, [Path(p.path) for p in parts]), read)

    def _items(self, asked: Asked, read: Read[T]) -> Generator[T, None, None]:
        process = self._lent()
        try:
            with closing(process.items(asked, self._timeout_s, read, self._cancelled)) as items:
                yield from items
        except BrokenDecoder as error:
            if self._closed.is_set():
                raise MediaError("decoding was broken off: the decoder was closed") from error
            raise
        finally:
            self._given_back(process)

    def _lent(self) -> Process:
        try:
            self._free.get(timeout=self._timeout_s)
        except queue.Empty:
            raise MediaError("all decoders are busy; try again later") from None
        try:
            with contextlib.suppress(IndexError):
                while True:
                    process = self._idle.pop()
                    if process.runs():
                        return process
                    self._end(process)
            return self._started()
        except BaseException:
            self._free.put(None)
            raise

    def _started(self) -> Process:
        try:
            process = self._starter.submit(
                start, self._limits, self._buffers, self._program
            ).result()
        except RuntimeError as error:
            raise MediaError("the decoder was closed; nothing can be decoded") from error
        self._living[process.pid] = process
        try:
            missing = process.await_ready()
        except BaseException:
            self._end(process)
            raise
        if missing and not self._told:
            self._told = True
            logger.warning("decoders could not %s; all else holds", "; ".join(missing))
        logger.debug("decoder %d started", process.pid)
        return process

    def _given_back(self, process: Process) -> None:
        worn = process.requests >= MOST_REQUESTS or len(self._idle) >= KEPT_CHILDREN
        if process.ended or worn or self._closed.is_set():
            self._end(process)
        else:
            self._idle.append(process)
        self._free.put(None)

    def _end(self, process: Process) -> None:
        process.end()
        self._living.pop(process.pid, None)


def decoder_of(ingest: Ingest, roots: Sequence[Path] = ()) -> Decoder:
    """The decoder that the settings ask for. Whoever has it closes it.

    Links in `roots` are followed only where they stay in them.
    """
    if ingest.decoder == "here":
        return Here(Within(roots)) if roots else HERE
    return Children(ingest.decoder_memory_mb, ingest.decoder_timeout_s, roots=roots)


def _ends(span: Span) -> tuple[float, float]:
    return span.start_s, span.end_s
