"""The HTTP server in a thread of its own, on sockets that are bound already."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Sequence

import uvicorn
from fastapi import FastAPI

from edge_lvr1.config import Limits
from edge_lvr1.daemon.http.protocol import Door

log = logging.getLogger(__name__)

_GRACE_S = 3  # for answers that are being sent when the daemon stops
_KEEP_ALIVE_S = 75  # longer than a client that follows a question is busy elsewhere
_POLL_S = 0.02


class _Looped(uvicorn.Server):
    """uvicorn that keeps its loop, so that others can ask whether it still turns."""

    loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn has it."""
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)


class Server:
    """uvicorn over given sockets. `on_end` is called when it ends, wanted or not."""

    def __init__(
        self,
        app: FastAPI,
        sockets: Sequence[socket.socket],
        limits: Limits,
        on_end: Callable[[], None],
    ) -> None:
        self._sockets = list(sockets)
        self._on_end = on_end
        self._server = _Looped(
            uvicorn.Config(
                app,
                http=Door(limits).protocol,  # type: ignore[arg-type]  # it makes a protocol
                ws="none",
                loop="asyncio",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=limits.max_header_kib * 1024,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Begin to serve; returns once requests are answered."""
        # uvicorn tells of its own start and end, which is not the operator's story; nor is what
        # a client sends wrongly, as often as it likes.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(_POLL_S)

    def answers(self, within_s: float) -> bool:
        """Whether the loop that serves requests does what it is asked, within that time.

        No request is sent for it, so that clients who fill the queue cannot make it fail.
        """
        if self._server.loop is None:
            return False
        turned = threading.Event()
        try:
            self._server.loop.call_soon_threadsafe(turned.set)
        except RuntimeError:  # it is closed
            return False
        return turned.wait(within_s)

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
