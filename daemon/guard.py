"""What is refused before a route is reached: strangers, foreign web pages, bodies too long.

Who sent a request is found out here, so that no route can be reached without a role but those
that are open. A page from elsewhere in a browser on this machine can send requests to a
loopback port, and under a name that it points at 127.0.0.1 could even read the answers (DNS
rebinding). The UNIX socket is out of a browser's reach.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_lvr1.access import Role, Who
from edge_lvr1.daemon.access_rules import Rules, peer_in, put_who, who_is

MAX_BODY_BYTES = 64 * 1024
OPEN = frozenset({"/", "/page.css", "/page.js", "/healthz"})
"""What needs no role: the page, which holds nothing by itself, and whether there is a daemon."""
# A longer body is read on and dropped up to here, so that the client, which listens only once
# it has sent everything, gets the sentence and not a broken connection.
_DRAINED_BYTES = 4 * 1024 * 1024
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """ASGI middleware in front of the whole app."""

    def __init__(self, app: ASGIApp, rules: Rules, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._rules = rules
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body read, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not _is_ours(headers, over_tcp=_over_tcp(scope)):
            await _refuse(send, 403, "requests from other web pages are refused")
            return
        who, role = await run_in_threadpool(self._identified, scope)
        put_who(scope, who, role, self._rules)
        if role is Role.NONE and scope["path"] not in OPEN:
            await _refuse(send, 403, self._rules.refusal(who, Role.ASK))
            return
        body = await _read(receive, self._max_body_bytes)
        if body is None:
            limit = f"a request may be {self._max_body_bytes // 1024} KiB long"
            await _refuse(send, 413, f"{limit}; ask something shorter")
            return
        await self._app(scope, _replay(body, receive), send)

    def _identified(self, scope: Scope) -> tuple[Who, Role]:
        peer = peer_in(scope)
        if peer is None:
            return Who("tcp"), Role.ASK
        return who_is(peer), self._rules.role(peer)


def _over_tcp(scope: Scope) -> bool:
    server = scope.get("server")
    return server is not None and server[1] is not None


def _is_ours(headers: dict[bytes, str], *, over_tcp: bool) -> bool:
    origin = headers.get(b"origin")
    named = [origin] if origin is not None else []
    if over_tcp:
        named.append("//" + headers.get(b"host", ""))
    return all(_host(name) in _LOOPBACK_NAMES for name in named)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


async def _read(receive: Receive, limit_bytes: int) -> bytes | None:
    """The body; None where it is longer than the limit."""
    body, total_bytes = b"", 0
    while total_bytes <= _DRAINED_BYTES:
        message = await receive()
        block = message.get("body", b"")
        total_bytes += len(block)
        if total_bytes <= limit_bytes:
            body += block
        if message["type"] != "http.request" or not message.get("more_body", False):
            break
    return body if total_bytes <= limit_bytes else None


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode("ascii")
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    headers.append((b"content-length", str(len(body)).encode("ascii")))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
