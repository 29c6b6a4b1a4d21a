"""A client that calls the application itself, without a server and without a socket.

Its requests come from the daemon's own user over the UNIX socket, unless told otherwise.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_lvr1.daemon.http.peer import PEER_KEY, Peer

OWN = Peer(os.getpid(), os.geteuid(), os.getegid())


class Http:
    """Requests to an application. A port in the base address stands for loopback TCP."""

    def __init__(
        self,
        app: FastAPI,
        base_url: str = "http://localhost",
        *,
        raise_errors: bool = True,
        peer: Peer = OWN,
    ) -> None:
        over_tcp = httpx.URL(base_url).port is not None
        seen = _seen(app, None if over_tcp else peer)
        self._transport = httpx.ASGITransport(seen, raise_app_exceptions=raise_errors)
        self._base_url = base_url

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=self._transport, base_url=self._base_url
            ) as client:
                return await client.request(method, path, **given)

        return asyncio.run(send())

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.request("GET", path, **given)

    def post(self, path: str, **given: Any) -> httpx.Response:
        return self.request("POST", path, **given)

    def put(self, path: str) -> httpx.Response:
        return self.request("PUT", path)

    def delete(self, path: str) -> httpx.Response:
        return self.request("DELETE", path)


def _seen(app: FastAPI, peer: Peer | None) -> ASGIApp:
    """The application, told who is at the other end as the server tells it."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": {PEER_KEY: peer}}, receive, send)

    return call
