"""Who is at the other end of a UNIX socket, as the kernel says (SO_PEERCRED, unix(7))."""

from __future__ import annotations

import asyncio
import pwd
import socket
import struct
from dataclasses import dataclass
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_KEY = "peer"


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that connected, and its user."""

    pid: int
    uid: int

    def __str__(self) -> str:
        try:
            name = pwd.getpwuid(self.uid).pw_name
        except KeyError:
            name = f"number {self.uid}"
        return f"user {name} (process {self.pid})"


class PeerProtocol(H11Protocol):
    """uvicorn's protocol, which also notes the peer in the state of each request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _KEY: _peer(transport)}


def peer_of(scope: Scope) -> str:
    """Who sent a request, in words."""
    state: dict[str, Any] = scope.get("state", {})
    peer = state.get(_KEY)
    return "an unknown user" if peer is None else str(peer)


def _peer(transport: asyncio.Transport) -> Peer | None:
    """None over TCP, where the kernel tells nothing."""
    link = transport.get_extra_info("socket")
    if link is None or link.family != socket.AF_UNIX:
        return None
    told = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(told)
    return Peer(pid, uid)
