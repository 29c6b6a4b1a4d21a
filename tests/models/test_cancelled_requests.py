"""Replies that nobody wants any more, from a slow server on the loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edge_lvr1.errors import Cancelled
from edge_lvr1.models.base import Message, Moves
from edge_lvr1.models.chat_server import ChatServer, Endpoint
from edge_lvr1.models.server import ServerAgent

TURN = [Message("user", "Where is the man?")]
MOVES = Moves(2, frozenset())


class Slow(ThreadingHTTPServer):
    """A chat server that writes a token each 20 ms without end, or `silent` nothing at all."""

    daemon_threads = True

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.silent = silent
        self.written = 0
        self.left = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Slow

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        token = {"choices": [{"index": 0, "delta": {"content": "on "}}]}
        try:
            while True:
                if not self.server.silent:
                    self.wfile.write(f"data: {json.dumps(token)}\n\n".encode())
                elif self.connection.recv(1) == b"":
                    raise ConnectionResetError
                self.wfile.flush()
                self.server.written += 1
                time.sleep(0.02)
        except OSError:
            self.server.left.set()


@pytest.fixture(params=["slow", "silent"])
def slow(request: pytest.FixtureRequest) -> Iterator[Slow]:
    server = Slow(silent=request.param == "silent")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_reply_that_nobody_wants_ends_at_once_and_its_request_is_closed(slow: Slow) -> None:
    endpoint = Endpoint(f"http://127.0.0.1:{slow.server_port}/v1", "m")
    session = ServerAgent(ChatServer(endpoint), constraint="none").open()
    began_s = time.monotonic()

    with pytest.raises(Cancelled):
        session.reply(TURN, MOVES, began_s + 60.0, lambda: time.monotonic() > began_s + 0.3)

    assert time.monotonic() - began_s < 1.0
    assert slow.left.wait(5.0)
    assert slow.silent or slow.written > 3
    session.close()
