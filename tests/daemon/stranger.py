"""A process that gives up root for another user and then speaks to a daemon.

`python -m tests.daemon.stranger JSON` with uid, gid, groups, work ("ask" or "barrage") and
what that takes; what came of it is printed as JSON. Everything is imported before the user
changes, who may not be allowed to read the checkout.
"""

from __future__ import annotations

import encodings.idna
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.daemon import fuzzing

ROOT = Path(__file__).resolve().parents[2]
_WITHIN_S = 20.0
_LOADED = encodings.idna  # what sockets load late


def ask(given: dict[str, Any]) -> list[Any]:
    """Send raw requests over the UNIX socket; the status of each, or the name of the error."""
    return [_asked(given["socket"], request) for request in given["requests"]]


def as_user(uid: int, gid: int, groups: list[int], work: str, **given: Any) -> Any:
    """Have some work done by a process of another user; what came of it."""
    told = {"uid": uid, "gid": gid, "groups": groups, "work": work, **given}
    done = subprocess.run(
        [sys.executable, "-m", "tests.daemon.stranger"],
        input=json.dumps(told).encode(),
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return json.loads(done.stdout)


def _asked(path: str, request: str) -> Any:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_WITHIN_S)
        try:
            link.connect(path)
            link.sendall(request.encode("latin-1"))
            came = b"".join(iter(lambda: link.recv(65536), b""))
        except OSError as error:
            return type(error).__name__
    return [int(came.split()[1]), came.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")]


def main() -> None:
    given = json.load(sys.stdin)
    made = fuzzing.shots(given) if given["work"] == "barrage" else []
    if given["uid"] is not None:
        os.setgroups(given["groups"])
        os.setgid(given["gid"])
        os.setuid(given["uid"])
    told = fuzzing.barrage(given, made) if given["work"] == "barrage" else ask(given)
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
