"""Daemons as processes that start in a tenth of a second, since their imports are done.

`python -m tests.reliability.nursery` imports the program once. For each line of JSON on its
standard input it forks a process, which runs a daemon as told and may kill itself at a point
(`points`); it answers with the process id, and with the exit status when that process is over.
A daemon here is the program's own; only the models of meaning are a stand-in, and blocks are
sealed when they hold a few captions rather than thousands, so that sealing is killed too.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.bundle import Manifest, write_bundle
from edge_lvr1.config import Settings
from edge_lvr1.daemon.main import run
from edge_lvr1.media.sandbox import PR_SET_PDEATHSIG
from edge_lvr1.models.load import load_backends
from edge_lvr1.store import postings
from edge_lvr1.store.backup import Backups
from edge_lvr1.store.vectors import Vectors
from tests.reliability import locked_disk, memory_probe
from tests.reliability.points import Point, Points

SEALED_FROM = 4  # captions that may be open


class HashEmbedder:
    """Vectors that depend on the text alone; their nearness means nothing."""

    name = "hashes"
    dim = 64

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        made = [hashlib.sha512(text.encode("utf-8")).digest() for text in texts]
        return np.array([np.frombuffer(one, np.int8) for one in made], np.float32)


def serve(told: dict[str, Any]) -> int:
    """Run a daemon: `settings` as its settings file would nest them."""
    die_with_parent()
    log = os.open(told["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ.update(told.get("environment", {}))
    dies_at = told.get("dies_at")
    synced = Path(told["log"]).with_name("synced")
    points = Points(Point.parse(dies_at) if dies_at else None, synced)
    if told.get("counted", True):
        points.install()
    if "locked_by" in told:
        locked_disk.install(Path(told["settings"]["data"]), Path(told["locked_by"]))
    if "bundle" in told or "backup" in told:
        if "bundle" in told:
            export(Path(told["bundle"]), told["version"])
        else:
            Backups(Path(told["backup"]), "tests", time.time).make(Path(told["into"]))
        points.tell(Path(told["log"]).with_name("counts"))
        return 0
    if "probe_s" in told:
        probe = Path(told["log"]).with_name("memory")
        memory_probe.begin(probe, told["probe_s"], told.get("traced", False))
    if told.get("sealing", True):
        postings.due.__defaults__ = (SEALED_FROM,)
        Vectors.due.__defaults__ = (SEALED_FROM,)
    settings = Settings(**told["settings"])
    backends = replace(load_backends(settings), embedder=HashEmbedder())
    code = run(settings, backends)
    points.tell(Path(told["log"]).with_name("counts"))
    return code


def export(out: Path, version: int) -> None:
    """Write a bundle of a few made-up files, over the one that is there."""

    def fill(folder: Path) -> Manifest:
        (folder / "parts").mkdir()
        for number in range(3):
            content = np.full(1000, version * 10 + number, np.float32)
            np.save(folder / "parts" / f"{number}.npy", content)
        return Manifest("agent", "made up", "none", f"version {version}", "fp32", "cpu")

    write_bundle(out, fill, overwrite=True)


def die_with_parent() -> None:
    """Let no daemon outlive the tests."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main() -> None:
    """Answer one line after the other."""
    die_with_parent()
    with tempfile.TemporaryDirectory() as folder:
        load_backends(Settings(data=Path(folder)))
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = serve(json.loads(line))
            except BaseException:  # noqa: BLE001 (the end of a process)
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
