"""What the C library keeps of freed memory: little, so that a daemon of months stays small.

glibc gives each thread an arena of its own, and keeps what is freed in it. With two dozen
threads that decode, caption and answer by turns, that grew the daemon by a tenth in minutes.
Two arenas, and giving back early, cost nothing that was measurable (mallopt(3)).
"""

from __future__ import annotations

import ctypes
import logging

log = logging.getLogger(__name__)

# malloc.h of glibc
_M_TRIM_THRESHOLD = -1
_M_ARENA_MAX = -8
_ARENAS = 2
_KEPT_BYTES = 128 * 1024


def keep_little() -> bool:
    """Bound what is kept; False where the C library has no such setting. Before any thread."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError) as error:
        log.debug("the C library keeps memory as it likes: %s", error)
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(mallopt(_M_ARENA_MAX, _ARENAS)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
