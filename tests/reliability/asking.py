"""Asking over the socket by hand, so that a question can be sent again under the same key."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from edge_lvr1.errors import DaemonError
from tests.reliability.invariants import Ledger

ACCEPTED = (200, 202)
BUSY = 429
PAGE = 1000
TIMEOUT_S = 30.0


class UnixConnection(HTTPConnection):
    """HTTP over a UNIX socket, which is closed whatever happens."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__("edge", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(str(self._path))
        except OSError:
            self.close()
            raise


@dataclass(frozen=True)
class Talk:
    """What tests say to a daemon: a connection for each request, closed at its end.

    Raises OSError or HTTPException where nobody answers, DaemonError for a refusal.
    """

    path: Path
    timeout_s: float = TIMEOUT_S

    def request(
        self, method: str, at: str, body: object = None, key: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send something once: the status, and what was answered."""
        head = {"content-type": "application/json"} if body is not None else {}
        head |= {"idempotency-key": key} if key else {}
        with closing(UnixConnection(self.path, self.timeout_s)) as http:
            http.request(method, at, None if body is None else json.dumps(body), head)
            response = http.getresponse()
            told: dict[str, Any] = json.loads(response.read())
            return response.status, told

    def get(self, at: str) -> dict[str, Any]:
        status, told = self.request("GET", at)
        if status != 200:
            raise DaemonError(f"{at}: {status}: {told}")
        return told

    def status(self) -> dict[str, Any]:
        return self.get("/v1/status")

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while page := self.get(f"/v1/ingest?limit={PAGE}&offset={len(found)}")["jobs"]:
            found += page
            if len(page) < PAGE:
                break
        return found

    def question(self, number: str) -> dict[str, Any]:
        return self.get(f"/v1/questions/{number}")

    def cancel(self, number: str) -> None:
        self.request("DELETE", f"/v1/questions/{number}")

    def ask(self, key: str, request: Mapping[str, Any], ledger: Ledger) -> str:
        """Ask with an idempotency key, known before anything is sent; the question's id."""
        ledger.keys.add(key)
        status, told = self.request("POST", "/v1/questions", request, key)
        if status not in ACCEPTED:
            raise DaemonError(f"{status}: {told}")
        ledger.questions.add(str(told["id"]))
        return str(told["id"])
