"""The HTTP server in a thread of its own, on sockets that are bound already."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Sequence

import uvicorn
from fastapi import FastAPI

from edge_lvr1.daemon.protocol import PeerProtocol

log = logging.getLogger(__name__)

_GRACE_S = 3  # for answers that are being sent when the daemon stops
_KEEP_ALIVE_S = 75  # longer than a client that follows a question is busy elsewhere
_POLL_S = 0.02


class Server:
    """uvicorn over given sockets. `on_end` is called when it ends, wanted or not."""

    def __init__(
        self, app: FastAPI, sockets: Sequence[socket.socket], on_end: Callable[[], None]
    ) -> None:
        self._sockets = list(sockets)
        self._on_end = on_end
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=PeerProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Begin to serve; returns once requests are answered."""
        # uvicorn tells of its own start and end, which is not the operator's story.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(_POLL_S)

    def stop(self) -> None:
        """End; answers that are being sent have a few seconds."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_GRACE_S * 3)

    def _run(self) -> None:
        try:
            self._server.run(sockets=self._sockets)
        except Exception:
            log.exception("http: the server broke")
        finally:
            self._on_end()
