"""A real daemon as a child process, for as long as it is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_lvr1.client import Client
from edge_lvr1.errors import DaemonError, Unreachable

_STARTS_WITHIN_S = 60.0
_STOPS_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class DaemonProcess:
    """How to start `edge-lvr1 run` on a folder of its own."""

    data: Path
    watch: Path
    socket: Path
    settle_s: float
    config: Path | None = None

    @property
    def log(self) -> Path:
        """Where the daemon's log goes."""
        return self.data.parent / "daemon.log"

    @contextmanager
    def running(self) -> Iterator[Client]:
        """The daemon runs inside this block; a client that reaches it is handed out.

        Raises DaemonError with the end of the log where it does not come up.
        """
        # Only what is given here is in force: the user's own settings are another archive's.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_LVR1_")}
        environment["EDGE_LVR1_INGEST__SETTLE_S"] = str(self.settle_s)
        command = [sys.executable, "-m", "edge_lvr1", "run", "--watch", str(self.watch)]
        command += ["--data", str(self.data), "--socket", str(self.socket)]
        if self.config is not None:
            command += ["--config", str(self.config)]
        with self.log.open("wb") as log:
            process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
            try:
                with Client(self.socket) as client:
                    self._reach(process, client)
                    yield client
            finally:
                _stop(process)

    def _reach(self, process: subprocess.Popen[bytes], client: Client) -> None:
        until = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < until and process.poll() is None:
            with suppress(Unreachable):
                # Asking a socket that is not there yet would leave unclosed ones behind (httpcore).
                if self.socket.exists():
                    client.status()
                    return
            time.sleep(0.05)
        end = self.log.read_text("utf-8", "replace")[-2000:]
        raise DaemonError(f"the daemon did not start; its log ends with:\n{end}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
