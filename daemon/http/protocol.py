"""HTTP/1.1 on one connection: uvicorn's, with the peer noted, and slow or greedy clients cut off.

What is refused here is refused before there is a request: too many connections, a head that is
too long or is no HTTP, a request that takes too long to arrive, an answer that nobody reads.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_lvr1.config import Limits
from edge_lvr1.daemon.http.access_rules import is_privileged
from edge_lvr1.daemon.http.limits import Connections, Refusal
from edge_lvr1.daemon.http.peer import PEER_KEY, peer_at

TCP = "tcp"
UNREAD_S = 120.0
"""An answer of which nothing is read for so long is given up, and its connection."""
_LINGER_S = 2.0  # for a refused client to read why, and for a last answer to be taken
_MOST_LINGERING = 32


class Door:
    """What the connections of a server share: their count, and the limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.connections = Connections(limits.max_connections, limits.max_connections_per_client)
        self.lingering = 0

    def protocol(self, **given: Any) -> H11Protocol:  # noqa: ANN401 (uvicorn's own)
        """A connection, as uvicorn asks for one."""
        return GuardedProtocol(self, **given)


class GuardedProtocol(H11Protocol):
    """One connection."""

    def __init__(self, door: Door, **given: Any) -> None:  # noqa: ANN401 (uvicorn's own)
        super().__init__(**given)
        self._door = door
        self._refusal: Refusal | None = None
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no whole request of it is in work."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered or self.conn.their_state is h11.SEND_BODY

    def drop(self) -> None:
        """Close it in favour of another."""
        self._finish()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected: it is counted, and has to say something soon."""
        super().connection_made(transport)
        peer = peer_at(transport.get_extra_info("socket"))
        self.app_state = {**self.app_state, PEER_KEY: peer}
        client = TCP if peer is None else f"uid:{peer.uid}"
        privileged = peer is not None and is_privileged(peer.uid)
        self._refusal = self._door.connections.enter(self, client, privileged=privileged)
        if self._refusal is None:
            self._expect_request()
        elif self._door.lingering >= _MOST_LINGERING:
            self._refusal = None
            transport.abort()
        else:
            self._door.lingering += 1
            self._late = self.loop.call_later(_LINGER_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._door.connections.leave(self)
        self._door.lingering -= self._refusal is not None
        self._stop("_late")
        self._stop("_unread")
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._refusal is not None:
            # Told only now: an answer ahead of the request is lost with the closing connection.
            self._answer(self._refusal)
            return
        super().data_received(data)
        self._expect_rest()

    def on_response_complete(self) -> None:
        """An answer is sent, and the next request may have begun to come already."""
        super().on_response_complete()
        self._expect_rest()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP, or too long."""
        most = self._door.limits.max_header_kib
        if len(self.conn.trailing_data[0]) > most * 1024:
            self._answer(Refusal(431, f"the address and headers may be {most} KiB long together"))
        else:
            self._answer(Refusal(400, "this is not a request of HTTP/1.1"))

    def timeout_keep_alive_handler(self) -> None:
        """Nothing more was asked."""
        self._finish()

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client read on."""
        self._stop("_unread")
        super().resume_writing()

    def _expect_request(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self._door.limits.request_timeout_s, self._too_late)

    def _expect_rest(self) -> None:
        """Have the time run while a request is there in part; each byte does not renew it."""
        if self.transport.is_closing():
            return
        state = self.conn.their_state
        begun = state is h11.SEND_BODY or (
            state is h11.IDLE and (self.cycle is None or bool(self.conn.trailing_data[0]))
        )
        if begun:
            self._expect_request()
        else:
            self._stop("_late")

    def _too_late(self) -> None:
        self._late = None
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.SEND_BODY or self.conn.trailing_data[0]:
            within = f"{self._door.limits.request_timeout_s:g} s"
            self._answer(Refusal(408, f"the request was not there whole within {within}"))
        else:
            self._finish()

    def _answer(self, refusal: Refusal) -> None:
        """Send a refusal past the state machine, which may be amid a request, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.abort()
                return
        if not self.transport.is_closing():
            self.transport.write(_raw(refusal))
            self._finish()

    def _finish(self) -> None:
        """Close, and do not wait for ever until the client has read what is left."""
        if not self.transport.is_closing():
            self.transport.close()
            self._stop("_late")
            self._late = self.loop.call_later(_LINGER_S, self.transport.abort)

    def _stop(self, timer: str) -> None:
        running: asyncio.TimerHandle | None = getattr(self, timer)
        if running is not None:
            running.cancel()
            setattr(self, timer, None)


def _raw(refusal: Refusal) -> bytes:
    body = json.dumps({"error": refusal.sentence}).encode("ascii")
    head = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    if refusal.retry_after is not None:
        head.append(f"retry-after: {refusal.retry_after}")
    return "\r\n".join([*head, "", ""]).encode("ascii") + body
