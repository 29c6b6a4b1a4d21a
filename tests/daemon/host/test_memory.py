"""Arenas of the C library, counted in a process of its own."""

from __future__ import annotations

import platform
import re
import subprocess
import sys

import pytest

from tests.daemon.processes import ROOT

COUNT = """
import ctypes, threading
from edge_lvr1.daemon.host.memory import keep_little
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
if {few}:
    assert keep_little()
together = threading.Barrier(16)
def run():
    together.wait()
    libc.malloc(70_000)
    together.wait()
threads = [threading.Thread(target=run) for _ in range(16)]
for one in threads: one.start()
for one in threads: one.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_threads_share_two_arenas() -> None:
    def arenas(*, few: bool) -> int:
        code = COUNT.format(few=few)
        told = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
        )
        return len(re.findall("<heap nr", told.stdout))

    assert arenas(few=True) <= 2 < arenas(few=False)
