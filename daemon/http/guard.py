"""What is refused before a route is reached: strangers, foreign web pages, too much, too long.

Who sent a request is found out here, so that no route can be reached without a role but those
that are open. A page from elsewhere in a browser on this machine can send requests to a
loopback port, and under a name that it points at 127.0.0.1 could even read the answers (DNS
rebinding). The UNIX socket is out of a browser's reach, unless a proxy stands in front of it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_lvr1.access import Role, Who
from edge_lvr1.config import Limits
from edge_lvr1.daemon.http import origins, tokens
from edge_lvr1.daemon.http.access_rules import Rules, is_privileged, peer_in, put_who
from edge_lvr1.daemon.http.limits import Buckets, Refusal, Turns
from edge_lvr1.daemon.http.refusals import Refusals
from edge_lvr1.daemon.http.tokens import Tokens

LOGIN = "/login"
OPEN = frozenset({"/", "/page.css", "/page.js", "/healthz", LOGIN})
"""What needs no role: the page, which holds nothing by itself, and whether there is a daemon."""
# A longer body is read on and dropped up to here, so that the client, which listens only once
# it has sent everything, gets the sentence and not a broken connection.
_DRAINED_BYTES = 4 * 1024 * 1024
_EVENTS = "/events"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a request.

    `by_cookie`: a browser added the proof by itself. `wait_s`: too many wrong tokens were shown.
    """

    who: Who
    role: Role
    by_cookie: bool = False
    wait_s: float = 0.0


class Guard:
    """ASGI middleware in front of the whole app."""

    def __init__(
        self,
        app: ASGIApp,
        rules: Rules,
        limits: Limits,
        refusals: Refusals,
        shown: Tokens,
        token_role: Role,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._rules = rules
        self._limits = limits
        self._refusals = refusals
        self._tokens = shown
        self._token_role = token_role
        self._rates = Buckets(limits.requests_per_s, limits.burst, clock)
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body read, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        sender = await self._sender(scope, headers)
        put_who(scope, sender.who, sender.role, self._rules)
        body = await self._body(receive)
        if body is None:
            return
        refusal = self._barred(scope, headers, sender) or self._unfit(scope, body)
        if refusal is not None:
            await _refuse(send, refusal)
            await self._noted(scope, sender.who, refusal.status)
            return
        told = _Status(send)
        await self._passed(scope, _replay(body.content, receive), told, sender.who)
        await self._noted(scope, sender.who, told.status)

    async def _sender(self, scope: Scope, headers: dict[bytes, str]) -> Sender:
        peer = peer_in(scope)
        if peer is not None and not self._rules.knows(peer):
            await run_in_threadpool(self._rules.look_up, peer)
        if peer is not None and not self._rules.is_proxy(peer):
            return Sender(self._rules.who(peer), self._rules.role(peer))
        return self._shown(headers)

    def _shown(self, headers: dict[bytes, str]) -> Sender:
        """Whoever comes without a user of its own: what the token says."""
        bearer, cookie = tokens.bearer_of(headers), tokens.cookie_of(headers)
        shown = cookie if bearer is None else bearer
        if shown is not None and self._tokens.right(shown):
            who = Who("tcp", name="the holder of the token")
            return Sender(who, self._token_role, by_cookie=bearer is None)
        stranger = Who("tcp", name="somebody without the token")
        wait_s = 0.0 if shown is None else self._tokens.wait_s()
        return Sender(stranger, Role.NONE, wait_s=wait_s)

    async def _body(self, receive: Receive) -> _Body | None:
        """The body; None where the client left before it was whole."""
        most = self._limits.max_body_kib * 1024
        try:
            within_s = self._limits.request_timeout_s
            return await asyncio.wait_for(_read(receive, most), within_s)
        except asyncio.TimeoutError:
            return _Body(b"", late=True)

    def _barred(self, scope: Scope, headers: dict[bytes, str], sender: Sender) -> Refusal | None:
        """Why whoever sent a request gets no answer; None where they do."""
        who = sender.who
        browser = who.via == "tcp"
        if why := origins.foreign(scope, headers, browser=browser, by_cookie=sender.by_cookie):
            return Refusal(403, why)
        if not (who.uid is not None and is_privileged(who.uid)):
            # Strangers at the loopback port do not use up what its token's holder may ask.
            whose = f"{who.client}/{sender.role.value}"
            wait_s = max(self._rates.take(whose), sender.wait_s)
            if wait_s > 0:
                return Refusal(429, "too many requests from you; slow down", wait_s)
        if sender.role is Role.NONE and scope["path"] not in OPEN:
            if browser:
                return Refusal(401, "this needs the token; open the page and give it there")
            return Refusal(403, self._rules.refusal(who, Role.ASK))
        return None

    def _unfit(self, scope: Scope, body: _Body) -> Refusal | None:
        """Why a request itself is not passed on; None where it is."""
        limits = self._limits
        if _head_bytes(scope) > limits.max_header_kib * 1024:
            most = f"{limits.max_header_kib} KiB"
            return Refusal(431, f"the address and headers may be {most} long together")
        if body.late:
            return Refusal(408, f"the request was not whole within {limits.request_timeout_s:g} s")
        if body.too_long:
            sentence = f"a request may be {limits.max_body_kib} KiB long; ask something shorter"
            return Refusal(413, sentence)
        return None

    async def _passed(self, scope: Scope, receive: Receive, send: Send, who: Who) -> None:
        exempt = who.uid is not None and is_privileged(who.uid)
        # Streams of events do no work while they wait: as connections they are counted anyway.
        if exempt or scope["path"].endswith(_EVENTS):
            await self._app(scope, receive, send)
            return
        async with self._turns.turn(who.client):
            await self._app(scope, receive, send)

    async def _noted(self, scope: Scope, who: Who, status: int) -> None:
        """Have a refusal for lack of a role in the audit log."""
        if status not in (401, 403):
            return
        untold = self._refusals.due(who)
        if untold is not None:
            note = self._refusals.note
            await run_in_threadpool(note, who, scope["method"], scope["path"], status, untold)


@dataclass(frozen=True, slots=True)
class _Body:
    content: bytes
    too_long: bool = False
    late: bool = False


class _Status:
    """A `send` that remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _head_bytes(scope: Scope) -> int:
    sizes = [len(name) + len(value) + 4 for name, value in scope["headers"]]
    target = len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
    return sum(sizes) + target


async def _read(receive: Receive, limit_bytes: int) -> _Body | None:
    content, total_bytes = bytearray(), 0
    while total_bytes <= _DRAINED_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None  # half a request is none
        block = message.get("body", b"")
        total_bytes += len(block)
        if total_bytes <= limit_bytes:
            content += block
        if not message.get("more_body", False):
            break
    too_long = total_bytes > limit_bytes
    return _Body(b"" if too_long else bytes(content), too_long)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(send: Send, refusal: Refusal) -> None:
    body = json.dumps({"error": refusal.sentence}).encode("ascii")
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    headers.append((b"content-length", str(len(body)).encode("ascii")))
    if refusal.retry_after is not None:
        headers.append((b"retry-after", refusal.retry_after.encode("ascii")))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
