"""What a process's memory is made of, written down now and then. Off by default: it costs."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import threading
import time
import tracemalloc
from collections import Counter
from pathlib import Path

MOST = 12


class _Heap(ctypes.Structure):
    """What mallinfo2 of the GNU C library tells (malloc.h)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    ]  # fmt: skip


def begin(out: Path, every_s: float, traced: bool) -> None:
    """Write a line of JSON to a file now and then; `traced`: with where Python's memory is from."""
    if traced:
        tracemalloc.start(8)
    threading.Thread(target=_look_on, args=(out, every_s), daemon=True).start()


def _look_on(out: Path, every_s: float) -> None:
    before: tracemalloc.Snapshot | None = None
    while True:
        time.sleep(every_s)
        told = {**_counted(), "kinds": dict(_kinds().most_common(MOST))}
        if tracemalloc.is_tracing():
            now = tracemalloc.take_snapshot().filter_traces(
                (tracemalloc.Filter(False, tracemalloc.__file__),)
            )
            if before is not None:
                told["grew"] = [str(one) for one in now.compare_to(before, "lineno")[:MOST]]
            else:
                before = now
            told["traced_mb"] = tracemalloc.get_traced_memory()[0] / 1e6
        with out.open("a") as file:
            file.write(json.dumps(told) + "\n")


def _counted() -> dict[str, object]:
    status = Path("/proc/self/status").read_text("ascii").splitlines()
    kb = {line.split(":")[0]: int(line.split()[1]) for line in status if line.startswith("Rss")}
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Heap
    heap = libc.mallinfo2()
    return {
        "anonymous_mb": kb["RssAnon"] / 1024,
        "of_files_mb": (kb["RssFile"] + kb["RssShmem"]) / 1024,
        "python_blocks": sys.getallocatedblocks(),
        "heap_used_mb": (heap.uordblks + heap.hblkhd) / 1e6,
        "heap_free_mb": heap.fordblks / 1e6,
        "sqlite_mb": _sqlite_mb(),
        "threads": threading.active_count(),
        "objects": len(gc.get_objects()),
        "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
    }


def _sqlite_mb() -> float | None:
    import _sqlite3

    try:
        used = ctypes.CDLL(_sqlite3.__file__).sqlite3_memory_used
    except (AttributeError, OSError):
        return None
    used.restype = ctypes.c_int64
    return float(used()) / 1e6


def _kinds() -> Counter[str]:
    return Counter(type(one).__qualname__ for one in gc.get_objects())
