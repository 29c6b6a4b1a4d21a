"""A client that calls the application itself, without a server and without a socket."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI


class Http:
    """Requests to an application. A port in the base address stands for loopback TCP."""

    def __init__(
        self, app: FastAPI, base_url: str = "http://localhost", *, raise_errors: bool = True
    ) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=raise_errors)
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
