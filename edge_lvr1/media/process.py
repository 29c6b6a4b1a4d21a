"""One decoding child, as its parent sees it: started, asked, listened to, ended.

Knows nothing of what is asked. The child is ended by its id; should the daemon die first,
the kernel ends it (PR_SET_PDEATHSIG), or the end of its socket does.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from edge_lvr1.errors import Cancelled, MediaError, NoVideoError
from edge_lvr1.media.buffers import Buffers
from edge_lvr1.media.container import MAX_PIXELS
from edge_lvr1.media.sandbox import Limits
from edge_lvr1.media.wire import (
    MOST_HEAD_BYTES,
    Bytes,
    Head,
    Wire,
    WireError,
    copy_out,
    count,
    text,
)

logger = logging.getLogger(__name__)

RING_BYTES = 8 * 2**20  # 48 frames at 320x180; what decoding may run ahead
FREED_BYTES = RING_BYTES // 4  # are told of at once: less often costs less
START_S = 60.0
LOOK_UP_S = 0.25  # how often whoever waits for a child asks whether it is still to wait
STOP_S = 0.5  # a new child is there as soon
PROGRESS_BYTES = 256 * 1024  # a child that read so much since the last look is at work
MOST_READ = 4  # times the files' size, for one item
LEAST_READ_BYTES = 64 * 2**20
WORDS_BYTES = 16 * 1024
MOST_LOGS = 50  # of one request
CHILD = ("-m", "edge_lvr1.media.child")
ENVIRONMENT = {
    # One thread is enough to copy arrays with, and a second would forbid a new namespace.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    # Pictures are used again instead of going back to the kernel: a tenth of the time.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
}


KEPT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "PYTHONHOME", "TZ")


class BrokenDecoder(MediaError):  # noqa: N818 (reads as what it says)
    """A child that is of no more use; the message says what happened and to which file."""


T = TypeVar("T")
Read: TypeAlias = "Callable[[Head, Bytes | None], T]"
"""Makes something of an item's head and its bytes. Raises WireError."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: what goes to the child, and the files that it is about."""

    head: Head
    paths: Sequence[Path]


class Process:
    """A running child. One request at a time."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        wire: Wire,
        ring: mmap.mmap,
        words: mmap.mmap,
        limits: Limits,
        buffers: Buffers,
    ) -> None:
        self._process = process
        self._wire = wire
        self._ring = ring
        self._words = words
        self._limits = limits
        self._buffers = buffers
        self._opened: str | None = None
        self._logs = self._read_to = self._freed = 0
        self.requests = 0
        self.ended = False

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def runs(self) -> bool:
        """Whether the child is still there."""
        return not self.ended and self._process.poll() is None

    def items(
        self,
        asked: Asked,
        timeout_s: float,
        read: Read[T],
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Generator[T, None, None]:
        """What the child answers, item by item, as `read` makes it of head and bytes.

        Closed half way, the child is told to stop, and ended where it does not. Raises
        MediaError as the child does, BrokenDecoder, after which there is no child, and
        Cancelled as soon as `cancelled` says so.
        """
        self._opened, self._logs, self._read_to, self._freed = None, 0, 0, 0
        self.requests += 1
        done = False
        try:
            self._wire.send(asked.head, deadline_s=time.monotonic() + timeout_s)
            while (head := self._next(asked, timeout_s, cancelled)) is not None:
                yield read(head, self._bytes(head, time.monotonic() + timeout_s))
            done = True
        except MediaError as error:
            done = not isinstance(error, BrokenDecoder)
            raise
        except (WireError, OSError) as error:
            raise self._broken(asked, error, timeout_s) from error
        finally:
            if not done and not self._stopped():
                self.end()

    def kill(self) -> None:
        """Have the kernel end the child; a request under way then fails. From any thread."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """End the child, whatever it does."""
        if not self.ended:
            self.ended = True
            self._process.kill()
            self._process.wait()
            self._wire.close()
            self._ring.close()
            self._words.close()

    def await_ready(self) -> list[str]:
        """Wait until the child has confined itself: what it could not give up.

        Raises BrokenDecoder.
        """
        try:
            head = self._wire.receive(time.monotonic() + START_S)
        except (WireError, OSError) as error:
            raise BrokenDecoder(f"a decoder process did not start: {error}") from error
        missing = head.get("missing") if head is not None and head.get("is") == "ready" else None
        if not isinstance(missing, list):
            raise BrokenDecoder(
                f"a decoder process did not start: {self._last_words() or 'no reason'}"
            )
        return [str(line)[:200] for line in missing]

    def _next(self, asked: Asked, timeout_s: float, cancelled: Callable[[], bool]) -> Head | None:
        patience = _Patience(self.pid, asked.paths, timeout_s)
        while True:
            if cancelled():
                raise Cancelled(f"decoding {self._suspect(asked)} is not wanted any more")
            try:
                look_s = min(patience.deadline_s, time.monotonic() + LOOK_UP_S)
                head = self._wire.receive(look_s)
            except TimeoutError:
                if time.monotonic() >= patience.deadline_s:
                    patience.renew()
                continue
            if head is None:
                raise WireError("the child is gone")
            kind = head.get("is")
            if kind == "item":
                return head
            if kind == "end":
                return None
            if kind == "error":
                raise self._error(head, asked)
            if kind == "file":
                self._opened = text(head, "path")
            elif kind == "log" and self._logs < MOST_LOGS:
                self._logs += 1
                logger.log(count(head, "level", logging.CRITICAL), "%s", text(head, "text"))
            elif kind == "full":
                self._free()
            elif kind != "log":
                raise WireError("a head of no known kind")

    def _bytes(self, head: Head, deadline_s: float) -> Bytes | None:
        if "at" in head:
            data = self._buffers.room(count(head, "size", len(self._ring)))
            copy_out(self._ring, count(head, "at", len(self._ring)), data)
            self._read_to = count(head, "upto", 2**63)
            if self._read_to - self._freed > FREED_BYTES:
                self._free()
            return data
        if "inline" in head:
            data = self._buffers.room(count(head, "inline", 3 * MAX_PIXELS))
            self._wire.receive_into(data, deadline_s)
            return data
        return None

    def _free(self) -> None:
        self._freed = self._read_to
        self._wire.send({"free": self._freed})

    def _stopped(self) -> bool:
        """Whether the child has come to the end of a request that is not wanted any more."""
        deadline_s = time.monotonic() + STOP_S
        with contextlib.suppress(WireError, OSError):
            self._wire.send({"stop": True})
            while (head := self._wire.receive(deadline_s)) is not None:
                if head.get("is") in ("end", "error"):
                    return head.get("kind") != "broken"
                if "inline" in head:
                    skipped = self._buffers.room(count(head, "inline", 3 * MAX_PIXELS))
                    self._wire.receive_into(skipped, deadline_s)
        return False

    def _error(self, head: Head, asked: Asked) -> MediaError:
        kind, said = head.get("kind"), text(head, "text")
        if kind == "no video":
            return NoVideoError(said)
        if kind == "media":
            return MediaError(said)
        if kind == "memory":
            return BrokenDecoder(
                f"{self._suspect(asked)} needs more memory to decode than "
                f"ingest.decoder_memory_mb allows ({self._limits.memory_mb}); raise it, or "
                "convert the file to smaller pictures"
            )
        return BrokenDecoder(
            f"{self._suspect(asked)} cannot be decoded ({said}); copy or convert it"
        )

    def _broken(self, asked: Asked, error: Exception, timeout_s: float) -> BrokenDecoder:
        name = self._suspect(asked)
        if isinstance(error, TimeoutError):
            return BrokenDecoder(
                f"decoding {name} gave nothing for {timeout_s:.0f} s and was ended: the file is "
                "damaged, or ingest.decoder_timeout_s is too short for it"
            )
        self._process_is_over()
        code = self._process.returncode
        if code is None:
            return BrokenDecoder(
                f"the decoder of {name} said what makes no sense ({error}); ended it"
            )
        if code == -signal.SIGKILL:
            return BrokenDecoder(
                f"the decoder of {name} was killed, as happens when memory runs out; free some, "
                "or convert the file to smaller pictures"
            )
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        logger.warning("decoder %d of %s: %s: %s", self.pid, name, how, self._last_words())
        return BrokenDecoder(f"{name} crashed its decoder ({how}): it is damaged; copy it again")

    def _process_is_over(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)

    def _last_words(self) -> str:
        lines = self._words[:].rstrip(b"\0").decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]

    def _suspect(self, asked: Asked) -> str:
        return self._opened or str(asked.paths[0] if asked.paths else "the footage")


class _Patience:
    """How long to wait for an item: on, while the child gets through its files.

    It is asked twice within the time: a child that did not read on in the second half of it,
    or has read its files several times over, is not waited for.
    """

    def __init__(self, pid: int, paths: Sequence[Path], timeout_s: float) -> None:
        self._pid = pid
        self._paths = paths
        self._half_s = timeout_s / 2
        self._moved: list[int] = []
        self.deadline_s = time.monotonic() + self._half_s

    def renew(self) -> None:
        """Wait on if the child is at work. Raises TimeoutError."""
        self._moved.append(_moved_bytes(self._pid))
        if len(self._moved) > 1:
            most = LEAST_READ_BYTES + MOST_READ * sum(map(_size_bytes, self._paths))
            if self._moved[-1] - self._moved[-2] < PROGRESS_BYTES:
                raise TimeoutError
            if self._moved[-1] - self._moved[0] > most:
                raise TimeoutError
        self.deadline_s = time.monotonic() + self._half_s


def start(limits: Limits, buffers: Buffers, program: Sequence[str] = CHILD) -> Process:
    """Start a child. It lives as long as the thread that calls this. Raises BrokenDecoder.

    `program` is what Python is to run.
    """
    ours, theirs = socket.socketpair()
    ring, words = _shared("frames", RING_BYTES), _shared("words", WORDS_BYTES)
    try:
        about = (theirs.fileno(), ring, os.getpid(), asdict(limits))
        process = subprocess.Popen(
            [sys.executable, *program, *(json.dumps(one) for one in about)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
            pass_fds=(theirs.fileno(), ring),
            env=_environment(os.environ),
            start_new_session=True,  # Ctrl-C is for the daemon, which ends its children
        )
        wire = Wire(ours, MOST_HEAD_BYTES)
        return Process(process, wire, mmap.mmap(ring, 0), mmap.mmap(words, 0), limits, buffers)
    except OSError as error:
        ours.close()
        raise BrokenDecoder(f"a decoder process cannot be started: {error}") from error
    finally:
        theirs.close()
        os.close(ring)
        os.close(words)


def _shared(name: str, size: int) -> int:
    """Memory to share with a child, which cannot change its size: a read beyond would kill us."""
    descriptor = os.memfd_create(f"edge-lvr1-{name}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Nothing that is not needed: there may be keys of servers in ours."""
    kept = {name: ours[name] for name in KEPT if name in ours}
    return {**kept, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}


def _moved_bytes(pid: int) -> int:
    """Bytes that a process has ever read and written; nought where that is not told."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text("ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line[:6] in ("rchar:", "wchar:"))
    except (OSError, ValueError, IndexError):
        return 0


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
