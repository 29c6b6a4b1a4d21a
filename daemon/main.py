"""The daemon in the foreground: logs on stderr, signals, an exit code."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from edge_lvr1.config import Settings
from edge_lvr1.daemon.service import running
from edge_lvr1.errors import EdgeLvr1Error, SettingsError
from edge_lvr1.models.load import Backends

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
FAILED, USAGE = 1, 2


def run(settings: Settings, backends: Backends | None = None) -> int:
    """Serve until a signal asks to end; the exit code: 0, 1 failed, 2 for bad settings."""
    set_up_log(settings.log_level)
    stop = threading.Event()
    asked = False
    try:
        with _signals_set(stop) as signals, running(settings, stop, backends) as context:
            log.info("answering on %s", context.settings.socket_path)
            stop.wait()
            asked = bool(signals)
            log.info("stopping" if asked else "stopping: the server ended by itself")
    except SettingsError as error:
        log.error("%s", error)
        return USAGE
    except EdgeLvr1Error as error:
        log.error("%s", error)
        return FAILED
    log.info("stopped")
    return 0 if asked else FAILED


def set_up_log(level: str) -> None:
    """One readable line an event, on stderr."""
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )


@contextmanager
def _signals_set(stop: threading.Event) -> Iterator[list[int]]:
    """While open, signals only set `stop`; those that came are in the list."""
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        came.append(number)
        stop.set()

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
