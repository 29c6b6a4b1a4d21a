"""A real daemon process under a service manager: the test binds its socket and hears it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_lvr1.client import Client
from tests.daemon.processes import ROOT, WITHIN_S, until

# As systemd does between fork and exec.
_PASS = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "tests.daemon.child", sys.argv[2]])
"""


def command(descriptor: int, told: dict[str, Any]) -> list[str]:
    """What starts a daemon whose third descriptor is that one."""
    return [sys.executable, "-c", _PASS, str(descriptor), json.dumps(told)]


def faults(client: Client) -> set[str]:
    return {fault["key"] for fault in client.status()["faults"]}


@dataclass
class Manager:
    """What a service manager knows of its service."""

    folder: Path
    process: subprocess.Popen[bytes]
    notify: socket.socket

    def hears(self, line: str) -> str:
        """Wait for a datagram with that line; all that came until then."""
        heard: list[str] = []
        end = time.monotonic() + WITHIN_S
        self.notify.settimeout(0.2)
        while not any(line in one.split("\n") for one in heard):
            try:
                heard.append(self.notify.recv(4096).decode())
            except TimeoutError:
                if time.monotonic() > end or self.process.poll() is not None:
                    log = (self.folder / "log").read_text()
                    raise AssertionError(f"{line} was not said, but {heard}\n{log}") from None
        return "\n".join(heard)

    def silence(self, for_s: float) -> bool:
        """Whether the watchdog is left alone for so long from now on."""
        self.notify.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:  # what was said before
                self.notify.recv(4096)
        self.notify.settimeout(for_s)
        try:
            while self.notify.recv(4096) != b"WATCHDOG=1":
                pass
        except TimeoutError:
            return True
        return False


@contextlib.contextmanager
def started(folder: Path, watchdog_s: float, **given: Any) -> Iterator[Manager]:
    """A daemon on a socket that is bound here, before there is a daemon."""
    (folder / "watched").mkdir()
    told = {
        "data": str(folder / "data"),
        "socket": str(folder / "elsewhere"),
        "watch": [str(folder / "watched")],
        "settle_s": 0.1,
        "fake": True,
        **given,
    }
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_LVR1_")}
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify,
        (folder / "log").open("wb") as log,
    ):
        listener.bind(str(folder / "s"))
        listener.listen()
        notify.bind(str(folder / "notify"))
        notify.settimeout(WITHIN_S)
        environment |= {
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": "edge-lvr1",
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": str(round(watchdog_s * 1e6)),
        }
        process = subprocess.Popen(
            command(listener.fileno(), told),
            cwd=ROOT,
            env=environment,
            pass_fds=(listener.fileno(),),
            stdout=log,
            stderr=log,
        )
        try:
            yield Manager(folder, process, notify)
        finally:
            process.kill()
            process.wait(WITHIN_S)


def test_daemon_serves_the_socket_it_is_given_and_says_how_it_is(
    tmp_path: Path, footage: Path
) -> None:
    with started(tmp_path, watchdog_s=0.6) as manager:
        before = manager.hears("READY=1")
        with Client(tmp_path / "s") as client:
            status = client.status()
            shutil.copy(footage, tmp_path / "watched" / "yard.mp4")
            until(lambda: client.status()["complete"] == 1, "captions")
        manager.hears("WATCHDOG=1")
        working = manager.hears("STATUS=1 recordings, no file waits, 0 questions wait, no fault")
        manager.process.send_signal(signal.SIGTERM)
        ending = manager.hears("STOPPING=1")
        code = manager.process.wait(WITHIN_S)
        inherited = (tmp_path / "s").is_socket()

    assert status["socket"] == str(tmp_path / "s")
    assert "EXTEND_TIMEOUT_USEC=30000000" in before
    assert "no fault" in before
    assert "WATCHDOG=1" not in before
    assert "WATCHDOG=1" in working + ending
    assert code == 0
    assert inherited  # it is the manager's: the next daemon is given it again
    assert not (tmp_path / "elsewhere").exists()


def test_watchdog_is_starved_while_a_worker_is_stuck_and_the_log_says_where(
    tmp_path: Path, footage: Path
) -> None:
    limits = {"stuck_s": 1.0}
    with started(tmp_path, watchdog_s=0.3, limits=limits, caption_s=30.0) as manager:
        manager.hears("WATCHDOG=1")
        shutil.copy(footage, tmp_path / "watched" / "yard.mp4")
        with Client(tmp_path / "s") as client:
            until(lambda: "stuck.build" in faults(client), "the fault")
            starved = manager.silence(1.0)
            manager.process.send_signal(signal.SIGABRT)  # as systemd does
            manager.process.wait(WITHIN_S)

    assert starved
    log = (tmp_path / "log").read_text()
    assert "tests/daemon/child.py" in log
    assert "Fatal Python error: Aborted" in log


def test_socket_that_is_not_a_listener_ends_the_start_with_one_sentence(tmp_path: Path) -> None:
    told = {"data": str(tmp_path / "d"), "socket": str(tmp_path / "s"), "watch": [], "settle_s": 1}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_LVR1_")}
    with Path(os.devnull).open() as nothing:
        ended = subprocess.run(
            command(nothing.fileno(), told),
            cwd=ROOT,
            env=environment | {"LISTEN_FDS": "1"},
            pass_fds=(nothing.fileno(),),
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    assert ended.returncode == 2
    assert "cannot be used" in ended.stderr
    assert "Traceback" not in ended.stderr
