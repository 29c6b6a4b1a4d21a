"""A decoding child that does harm, as the name of the file says that it is asked about."""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import time
from pathlib import Path

from edge_lvr1.media.sandbox import Limits, confine
from edge_lvr1.media.wire import Wire

sock, ring, parent, limits = (json.loads(argument) for argument in sys.argv[1:])
missing = confine(Limits(**limits), parent)
raw = socket.socket(fileno=sock)
wire = Wire(raw, 2**20)
shared = mmap.mmap(ring, 0)


def state() -> str:
    status = Path("/proc/self/status").read_text("ascii")
    return json.dumps(
        {
            "interfaces": [name for _, name in socket.if_nameindex()],
            "no_new_privs": "NoNewPrivs:\t1" in status,
            "capabilities": int(status.split("CapEff:")[1].split()[0], 16),
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "oom": int(Path("/proc/self/oom_score_adj").read_text("ascii")),
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            "data": resource.getrlimit(resource.RLIMIT_DATA)[1],
            "written": resource.getrlimit(resource.RLIMIT_FSIZE)[1],
            "secret": os.environ.get("SERVER_KEY"),
            "stdin": str(Path("/proc/self/fd/0").readlink()),
        }
    )


def read_on(megabytes: float, for_s: float) -> None:
    with open("/dev/zero", "rb", buffering=0) as endless:  # noqa: PTH123
        until_s = time.monotonic() + for_s
        while time.monotonic() < until_s:
            endless.read(int(megabytes * 2**20))
            time.sleep(0.02)


def misbehave(how: str) -> None:
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how == "exit":
        print("a last word", file=sys.stderr)
        raise SystemExit(3)
    elif how == "hang":
        signal.pause()
    elif how == "fill":
        try:
            held = [bytearray(2**24) for _ in range(1000)]
            wire.send({"is": "item", "filled": len(held)})
        except MemoryError:
            wire.send({"is": "error", "kind": "memory", "text": ""})
    elif how == "slow":
        read_on(0.1, 2.5)
        wire.send({"is": "error", "kind": "media", "text": "read to the end"})
    elif how == "endless":
        read_on(4.0, 60.0)
    elif how == "chatter":
        while True:
            wire.send({"is": "log", "level": 20, "text": "still here"})
    elif how == "state":
        wire.send({"is": "error", "kind": "media", "text": state()})
    elif how == "shrink":
        try:
            os.ftruncate(ring, 0)
        except OSError as error:
            wire.send({"is": "error", "kind": "media", "text": f"refused: {error.strerror}"})
    elif how == "raw":
        raw.sendall(b"\x80\x04\x95" * 1000)
    elif how == "long":
        raw.sendall(struct.pack(">I", 2**31))
    elif how == "deep":
        raw.sendall(struct.pack(">I", 100_000) + b"[" * 100_000)
    elif how.startswith("says "):
        wire.send(json.loads(how.removeprefix("says ")))
        if '"end"' not in how:
            wire.send({"is": "end"})


wire.send({"is": "ready", "missing": []})
while (head := wire.receive()) is not None:
    if "op" in head:
        asked = head.get("path") or head["parts"][0][0]
        misbehave(asked.removesuffix(".mp4"))
