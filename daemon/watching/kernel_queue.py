"""The kernel's queue of inotify events, as watchdog 7.1 reads it, with its troubles told.

watchdog passes over what matters to who must miss nothing: that events were lost, that a folder
was not watched for want of watches, that the watched folder itself was moved or unmounted.
Watchdog 6, the last for Python 3.10, has no such class: there an import of this module fails.
"""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import Protocol

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

log = logging.getLogger(__name__)


class Troubles(Protocol):
    """Who is told. All are called in threads of watchdog, and must not wait."""

    def sign(self) -> None:
        """One more folder is about to be watched."""
        ...

    def limited(self) -> None:
        """A folder is not watched: the kernel has no watches left."""
        ...

    def lost(self) -> None:
        """What is watched is not what it was: it is to be watched anew."""
        ...

    def overflowed(self) -> None:
        """Events were lost; everything is watched again."""
        ...


class KernelQueue(InotifyFD):
    """A queue for one root, so that a file system that does not answer holds up only its own."""

    def __init__(self, root: Path, troubles: Troubles) -> None:
        super().__init__()
        self._root = os.fsencode(root)
        self._root_wd: WatchDescriptor | None = None
        self._troubles = troubles

    def add_callback(
        self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> WatchDescriptor:
        """Watch one folder. Raises OSError, which watchdog ignores below the root."""
        self._troubles.sign()
        try:
            number = super().add_callback(path, mask, callback, id_)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                self._troubles.limited()
            raise
        if number == -1:  # watchdog takes it for a watch where a folder may not be read
            self.remove_callbacks([(number, id_)])
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if path == self._root:
            self._root_wd = number
        return number

    def handle_event(self, event: InotifyEvent) -> None:
        """Have watchdog handle one event, and tell what it does not."""
        moved = event.is_move_self and event.wd == self._root_wd
        try:
            super().handle_event(event)
        except Exception:  # one event; a walk finds what it was, and the thread must go on
            log.exception("watch: %r broke something", event)
            self._troubles.lost()
        if moved or event.mask & InotifyConstants.IN_UNMOUNT:
            self._troubles.lost()
        if event.is_queue_overflow:
            self._troubles.overflowed()  # after all is watched again: a walk misses nothing then
