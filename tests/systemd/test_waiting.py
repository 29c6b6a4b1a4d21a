"""Waiting for a model server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from edge_lvr1.errors import SettingsError, Unreachable
from edge_lvr1.systemd.waiting import await_server


@pytest.fixture
def statuses() -> list[int]:
    return []


@pytest.fixture
def url(statuses: list[int]) -> Iterator[str]:
    """A server that answers with one status after another."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0))
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("last", [200, 401, 404])
def test_server_that_loads_is_waited_for(url: str, statuses: list[int], last: int) -> None:
    statuses += [503, 500, last]
    naps: list[float] = []

    await_server(url, 60.0, sleep=naps.append)

    assert (len(naps), statuses) == (2, [])


def test_server_that_never_comes_is_said() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(Unreachable, match="journalctl -u edge-lvr1-model"):
        await_server("http://127.0.0.1:1/v1", 3.0, clock=lambda: now[0], sleep=sleep)


@pytest.mark.parametrize("url", ["http://10.0.0.1/v1", "https://127.0.0.1/v1", "file:///x", ""])
def test_server_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="not on this machine"):
        await_server(url, 1.0)
