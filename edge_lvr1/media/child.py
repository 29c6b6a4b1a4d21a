"""A decoding child: answers one request after another, until its parent is gone.

Started by `media/process.py` as `python -m edge_lvr1.media.child SOCKET RING PARENT LIMITS`:
two descriptors, a process id and the limits as JSON. What it decodes is not trusted, and may
take this process over: it has no network, little memory, and nothing that it says is taken
on trust.
"""

from __future__ import annotations

import json
import logging
import mmap
import socket
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from io import FileIO
from pathlib import Path
from typing import Any, TypeAlias

from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import MediaError, NoVideoError
from edge_lvr1.media.decoder import Decoder, Here
from edge_lvr1.media.opening import Opens, Within
from edge_lvr1.media.packing import ImagesOut, pack_cue, pack_probe, pack_seen
from edge_lvr1.media.reading import Wanted
from edge_lvr1.media.sandbox import Limits, confine
from edge_lvr1.media.wire import Bytes, Head, RingWriter, Wire

MOST_REQUEST_BYTES = 2**30
MOST_LOGS = 50  # of one request
LONGEST_TEXT = 2000

Item: TypeAlias = "tuple[Head, Bytes | None]"
"""What is told of an item, and its bytes."""


class _Stopped(Exception):  # noqa: N818 (a wish, not a failure)
    """The parent wants no more of this request."""


class Child:
    """The loop of a child over its socket and its ring."""

    def __init__(self, wire: Wire, ring: RingWriter, opens: Opens) -> None:
        self._wire = wire
        self._ring = ring
        self._logs = 0
        self._open = opens
        self._decoder: Decoder = Here(self._opens)

    def serve(self) -> None:
        """Answer requests until the parent closes."""
        while (head := self._wire.receive()) is not None:
            if "op" in head:  # else "free" or "stop" that came after the end
                self._ring.clear()
                self._logs = 0
                self._wire.send(self._answer(head))

    def log(self, level: int, text: str) -> None:
        """Pass a line of the log on, if there were not too many."""
        self._logs += 1
        if self._logs <= MOST_LOGS:
            self._wire.send({"is": "log", "level": level, "text": text[:LONGEST_TEXT]})

    def _answer(self, head: Head) -> Head:
        try:
            with closing(ANSWERS[head["op"]](self._decoder, head)) as items:
                for about, data in items:
                    self._give(about, data)
        except _Stopped:
            pass
        except MemoryError:
            return {"is": "error", "kind": "memory", "text": ""}
        except MediaError as error:
            kind = "no video" if isinstance(error, NoVideoError) else "media"
            return {"is": "error", "kind": kind, "text": str(error)[:LONGEST_TEXT]}
        except (OSError, ValueError, LookupError, ArithmeticError, RuntimeError) as error:
            # Whatever a file makes a library raise costs this request, and this process.
            said = f"{type(error).__name__}: {error}"
            return {"is": "error", "kind": "broken", "text": said[:LONGEST_TEXT]}
        return {"is": "end"}

    def _give(self, about: Head, data: Bytes | None) -> None:
        while self._wire.waiting():
            self._hear()
        if data is None:
            self._wire.send({"is": "item", **about})
            return
        view = data.reshape(-1).data
        if not self._ring.takes(len(view)):
            self._wire.send({"is": "item", **about, "inline": len(view)}, view)
            return
        while (put := self._ring.put(view)) is None:
            self._wire.send({"is": "full"})
            self._hear()
        self._wire.send({"is": "item", **about, "at": put[0], "size": len(view), "upto": put[1]})

    def _hear(self) -> None:
        head = self._wire.receive()
        if head is None:
            raise SystemExit(0)
        if "stop" in head:
            raise _Stopped
        self._ring.freed(head["free"])

    def _opens(self, path: Path) -> FileIO:
        self._wire.send({"is": "file", "path": str(path)[-LONGEST_TEXT:]})
        return self._open(path)


class _Passed(logging.Handler):
    def __init__(self, child: Child) -> None:
        super().__init__(logging.INFO)
        self._child = child

    def emit(self, record: logging.LogRecord) -> None:
        self._child.log(record.levelno, record.getMessage())


def _probe(decoder: Decoder, head: Head) -> Generator[Item, None, None]:
    yield pack_probe(decoder.probe(Path(head["path"]))), None


def _gather(decoder: Decoder, head: Head) -> Generator[Item, None, None]:
    wanted = [Wanted(tuple(one["times_s"]), one["side"], one["near"]) for one in head["wanted"]]
    pack = ImagesOut()
    with closing(decoder.gather(_parts(head), wanted)) as images:
        for image in images:
            yield pack(image)


def _shown(decoder: Decoder, head: Head) -> Generator[Item, None, None]:
    pack = ImagesOut()
    with closing(decoder.shown(_parts(head), _span(head), head["side"])) as frames:
        for frame in frames:
            about, data = pack(frame.image)
            yield {**about, "time_s": frame.time_s}, data


def _survey(decoder: Decoder, head: Head) -> Generator[Item, None, None]:
    with closing(decoder.survey(_parts(head), head["slot_s"], head["step_s"])) as seen:
        for one in seen:
            yield pack_seen(one)


def _texts(decoder: Decoder, head: Head) -> Generator[Item, None, None]:
    for cue in decoder.texts(Path(head["path"])):
        yield pack_cue(cue), None


def _cut(decoder: Decoder, head: Head) -> Generator[Item, None, None]:
    decoder.cut(_parts(head), _span(head), Path(head["out"]), head["exact"])
    yield from ()


def _parts(head: Mapping[str, Any]) -> list[Part]:
    return [Part(path, offset_s, end_s, 0, 0, "") for path, offset_s, end_s in head["parts"]]


def _span(head: Mapping[str, Any]) -> Span:
    return Span(*head["span"])


ANSWERS: Mapping[str, Callable[[Decoder, Head], Generator[Item, None, None]]] = {
    "probe": _probe,
    "gather": _gather,
    "shown": _shown,
    "survey": _survey,
    "texts": _texts,
    "cut": _cut,
}


def main(arguments: list[str]) -> None:
    """Run as a child; returns when the parent closes."""
    sock, ring, parent, limits = (json.loads(argument) for argument in arguments)
    limits = Limits(**limits)
    missing = confine(limits, parent)
    wire = Wire(socket.socket(fileno=sock), MOST_REQUEST_BYTES)
    child = Child(wire, RingWriter(mmap.mmap(ring, 0)), Within(map(Path, limits.roots)))
    logging.basicConfig(level=logging.INFO, handlers=[_Passed(child)])
    wire.send({"is": "ready", "missing": missing})
    try:
        child.serve()
    except OSError:  # the parent is gone
        return


if __name__ == "__main__":
    main(sys.argv[1:])
