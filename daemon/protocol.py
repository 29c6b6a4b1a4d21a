"""uvicorn's HTTP/1.1, which also notes the peer of a connection in each of its requests."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_lvr1.daemon.peer import PEER_KEY, peer_at


class PeerProtocol(H11Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, PEER_KEY: peer_at(transport.get_extra_info("socket"))}
