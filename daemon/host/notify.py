"""What passes between the daemon and a service manager: sd_notify(3), sd_listen_fds(3).

The protocol is small and documented: datagrams of NAME=value lines to the socket that
NOTIFY_SOCKET names, and listening sockets that are open from descriptor 3 on. Whatever the
manager, and where there is none, nothing here raises but for sockets that cannot be used.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from edge_lvr1.errors import SettingsError

log = logging.getLogger(__name__)

FIRST_PASSED = 3  # SD_LISTEN_FDS_START
_MOST_PASSED = 16
_SEND_WITHIN_S = 1.0  # a manager that does not read must not hold up the daemon
_TOLD_CHARS = 200
_EXTEND_EACH_S, _EXTEND_BY_S = 5.0, 30.0
START_MOST_S = 1800.0  # loading, building engines, migrating: longer is stuck


class Notifier:
    """Tells a service manager how the daemon is; without an address it tells nobody.

    An address is a path, or begins with @ for the abstract namespace. Safe to share by threads.
    """

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        self._address = address
        self._status = ""
        self.watchdog_s = watchdog_s

    @property
    def active(self) -> bool:
        """Whether somebody is told."""
        return self._address is not None

    def ready(self, status: str) -> None:
        """Requests are answered from now on."""
        self._status = status
        self._send("READY=1", f"STATUS={_line(status)}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1", "STATUS=stopping")

    def status(self, sentence: str) -> None:
        """What `systemctl status` shows; sent when it changes."""
        if sentence != self._status:
            self._status = sentence
            self._send(f"STATUS={_line(sentence)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Starting or stopping takes that much longer from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    @contextlib.contextmanager
    def starting(
        self, each_s: float = _EXTEND_EACH_S, most_s: float = START_MOST_S
    ) -> Iterator[None]:
        """While this is open the time for the start is extended, up to `most_s` in all."""
        if not self.active:
            yield
            return
        done = threading.Event()

        def extend() -> None:
            for _ in range(max(1, int(most_s / each_s))):
                self.extend(_EXTEND_BY_S)
                if done.wait(each_s):
                    return

        self.status("starting: loading models, opening the archive")
        thread = threading.Thread(target=extend, name="starting", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        where = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.settimeout(_SEND_WITHIN_S)
                out.sendto("\n".join(lines).encode("utf-8", "replace"), where)
        except OSError as error:
            log.debug("the service manager at %s was not told: %s", self._address, error)


def notifier_of(environment: MutableMapping[str, str], pid: int) -> Notifier:
    """The notifier that the environment asks for; what it says is taken out of it.

    Children then know nothing of it and cannot speak for the daemon.
    """
    address = environment.pop("NOTIFY_SOCKET", "")
    usec = environment.pop("WATCHDOG_USEC", "")
    whose = environment.pop("WATCHDOG_PID", "")
    if address and address[0] not in "/@":
        log.warning("a notify socket at %s is of no known kind; nobody is told", address)
        address = ""
    ours = not whose or whose == str(pid)
    watchdog_s = int(usec) / 1e6 if ours and usec.isascii() and usec.isdigit() else None
    return Notifier(address or None, watchdog_s or None)


@dataclass(frozen=True, slots=True)
class Passed:
    """A listening socket that the service manager opened, and the name it gave to it."""

    name: str
    listener: socket.socket

    @property
    def path(self) -> Path | None:
        """Where it listens; None in the abstract namespace."""
        address = self.listener.getsockname()
        return Path(address) if isinstance(address, str) and address else None


def passed_sockets(
    environment: MutableMapping[str, str], pid: int, first: int = FIRST_PASSED
) -> list[Passed]:
    """The sockets that were passed to this process; the environment's word of them is removed.

    Raises SettingsError for one that is no listening stream socket of the UNIX family: what
    reaches the daemon over TCP, it opens itself, on loopback only.
    """
    whose = environment.pop("LISTEN_PID", "")
    told = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if whose != str(pid) or not (told.isascii() and told.isdigit()):
        return []
    count = int(told)
    if count > _MOST_PASSED:
        raise SettingsError(f"{count} sockets were passed; one is wanted: see edge-lvr1.socket")
    passed: list[Passed] = []
    try:
        for place in range(count):
            name = names[place] if place < len(names) else "unknown"
            passed.append(Passed(name, _listener(first + place, name)))
    except SettingsError:
        for one in passed:
            one.listener.close()
        raise
    return passed


def _listener(descriptor: int, name: str) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        found = socket.socket(fileno=descriptor)
    except OSError as error:
        raise SettingsError(
            f"the passed socket {name!r} cannot be used: {error.strerror}; "
            "check what starts the daemon"
        ) from error
    listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if found.family != socket.AF_UNIX or found.type != socket.SOCK_STREAM or not listens:
        found.close()
        raise SettingsError(
            f"the passed socket {name!r} does not listen on a UNIX path; use ListenStream=/PATH, "
            "and edge-lvr1-web.socket for browsers"
        )
    return found


def _line(text: str) -> str:
    return " ".join(text.split())[:_TOLD_CHARS]
