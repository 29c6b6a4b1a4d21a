"""The daemon's log: lines on stderr, or entries with fields in systemd's journal.

The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL) is spoken where stderr is
connected to the journal: an entry of many lines stays one entry, and `journalctl
EDGE_LVR1_RECORDING=12` finds all that was said of a recording. A message may carry those
fields as `extra`: log.info("...", extra={"recording": 12}), and all that a thread says within
`about(recording=12)` has them. What comes from footage, file
names and clients loses its control characters either way.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType

from edge_lvr1.untrusted import visible

SOCKET = Path("/run/systemd/journal/socket")
IDENTIFIER = "edge-lvr1"
FIELDS = ("recording", "question", "job", "path", "camera", "worker", "client", "fault", "kind")
_PREFIX = "EDGE_LVR1_"
_FORMAT, _TIMES = "%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"
# syslog(3): what is at least so grave has that priority.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7
_MOST_BYTES = 48 * 1024  # below what a datagram may have; a longer message is cut


_about: ContextVar[Mapping[str, object]] = ContextVar("about", default=MappingProxyType({}))


@contextlib.contextmanager
def about(**fields: object) -> Iterator[None]:
    """While this is open, what this thread logs has these fields in the journal: see FIELDS."""
    before = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(before)


class Printable(logging.Formatter):
    """A formatter whose lines can do nothing to a terminal: a file's name may hold anything.

    A message is one line, so that none can be forged; a traceback has its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines."""
        told = copy.copy(record)
        told.msg, told.args = visible(record.getMessage()), None
        return visible(super().format(told), lines=True)


class Journal(logging.Handler):
    """Entries for the journal; where it does not take one, the line goes to stderr."""

    def __init__(self, address: Path = SOCKET) -> None:
        super().__init__()
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.setFormatter(Printable("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Send one entry."""
        try:
            entry = encoded(fields_of(record, self.format(record)))
            try:
                self._socket.sendto(entry, str(self._address))
            except OSError:
                # sd-daemon(3): <N> in front of a line on stderr is its priority.
                line = self.format(record).replace("\n", " | ")
                sys.stderr.write(f"<{priority(record.levelno)}>{line}\n")
                sys.stderr.flush()
        except Exception:  # noqa: BLE001 (as logging does: a log line breaks nothing)
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def set_up_log(level: str, environment: Mapping[str, str] | None = None) -> None:
    """The daemon's log: into the journal where stderr leads there, else lines on stderr."""
    handler: logging.Handler
    if to_journal(os.environ if environment is None else environment) and SOCKET.exists():
        handler = Journal()
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Printable(_FORMAT, _TIMES))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def to_journal(environment: Mapping[str, str], descriptor: int = 2) -> bool:
    """Whether a descriptor is connected to the journal: systemd.exec(5), JOURNAL_STREAM."""
    device, colon, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    if not colon:
        return False
    try:
        now = os.fstat(descriptor)
    except OSError:
        return False
    return (str(now.st_dev), str(now.st_ino)) == (device, inode)


def fields_of(record: logging.LogRecord, message: str) -> dict[str, str]:
    """The fields of an entry, by their names in the journal."""
    fields = {
        "MESSAGE": message,
        "PRIORITY": str(priority(record.levelno)),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
        "LOGGER": record.name,
        "THREAD_NAME": record.threadName or "",
    }
    within = _about.get()
    given = {name: getattr(record, name, None) or within.get(name) for name in FIELDS}
    told = {name: visible(str(value), lines=True) for name, value in given.items() if value}
    return fields | {_PREFIX + name.upper(): value for name, value in told.items()}


def encoded(fields: Mapping[str, str]) -> bytes:
    """A datagram of the native protocol: NAME=value, or a length before a value of many lines."""
    parts = []
    for name, value in fields.items():
        data = value.encode("utf-8", "replace")[:_MOST_BYTES]
        if b"\n" in data:
            parts.append(b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data))
        else:
            parts.append(b"%s=%s\n" % (name.encode(), data))
    return b"".join(parts)


def priority(level: int) -> int:
    """The syslog priority of a logging level."""
    return next((one for least, one in _PRIORITIES if level >= least), _DEBUG)
