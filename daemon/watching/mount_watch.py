"""Being told at once when something is mounted or unmounted: the kernel says so on mountinfo."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

from edge_lvr1.daemon.watching.filesystems import MOUNTINFO

log = logging.getLogger(__name__)


class MountWatch:
    """Calls `on_change`, in a thread of its own, after the table of mounts changed.

    See proc_pid_mounts(5): the file polls as an exception then. Where there is no such file,
    nothing is told, and mounts are found by walks.
    """

    def __init__(self, on_change: Callable[[], None], table: Path = MOUNTINFO) -> None:
        self._on_change = on_change
        self._table = table
        self._wake: int | None = None
        self._thread = threading.Thread(target=self._run, name="mounts", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread.start()

    def stop(self) -> None:
        """End, started or not."""
        if self._wake is None:
            return
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)
        self._wake = None

    def _run(self) -> None:
        assert self._wake is not None
        try:
            with self._table.open("rb") as table:
                poller = select.poll()
                poller.register(table.fileno(), select.POLLPRI)
                poller.register(self._wake, select.POLLIN)
                while all(fd != self._wake for fd, _ in poller.poll()):
                    self._on_change()
        except OSError as error:
            log.debug("watch: mounts are not told of: %s", error)
