"""The daemon's server over real sockets, without a daemon around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fastapi import FastAPI

from edge_lvr1.config import Limits
from edge_lvr1.daemon.http.listen import tcp_socket, unix_socket
from edge_lvr1.daemon.http.server import Server


@contextmanager
def serving(app: FastAPI, limits: Limits, path: Path) -> Iterator[int]:
    """A server over a UNIX socket at `path` and a loopback port, which is given."""
    with ExitStack() as stack:
        unix = stack.enter_context(unix_socket(path))
        tcp = stack.enter_context(tcp_socket("127.0.0.1:0"))
        server = Server(app, [unix, tcp], limits, on_end=lambda: None)
        stack.callback(server.stop)
        server.start()
        yield tcp.getsockname()[1]
