"""The daemon in the foreground: its log, signals, the service manager, an exit code."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from edge_lvr1.config import Settings
from edge_lvr1.daemon.host.credentials import with_credentials
from edge_lvr1.daemon.host.journal import set_up_log
from edge_lvr1.daemon.host.memory import keep_little
from edge_lvr1.daemon.host.notify import notifier_of, passed_sockets
from edge_lvr1.daemon.service import running, summary
from edge_lvr1.errors import EdgeLvr1Error, SettingsError
from edge_lvr1.models.load import Backends

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
FAILED, USAGE = 1, 2


def run(settings: Settings, backends: Backends | None = None) -> int:
    """Serve until a signal asks to end; the exit code: 0, 1 failed, 2 for bad settings."""
    set_up_log(settings.log_level)
    keep_little()
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)  # a watchdog's SIGABRT tells where every thread was
    notifier = notifier_of(os.environ, os.getpid())
    stop = threading.Event()
    asked = False
    try:
        settings = with_credentials(settings, os.environ)
        passed = passed_sockets(os.environ, os.getpid())
        if passed and (path := passed[0].path):
            settings = settings.model_copy(update={"socket": path})
        with _signals_set(stop) as signals, ExitStack() as stack:
            with notifier.starting():
                serving = running(settings, stop, backends, notifier, passed)
                context = stack.enter_context(serving)
            log.info("answering on %s", context.settings.socket_path)
            notifier.ready(summary(context))
            stop.wait()
            asked = bool(signals)
            notifier.stopping()
            log.info("stopping" if asked else "stopping: the server ended by itself")
    except SettingsError as error:
        log.error("%s", error)
        return USAGE
    except EdgeLvr1Error as error:
        log.error("%s", error)
        return FAILED
    log.info("stopped")
    return 0 if asked else FAILED


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
