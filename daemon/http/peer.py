"""Who is at the other end of a UNIX socket, as the kernel says (SO_PEERCRED, unix(7))."""

from __future__ import annotations

import array
import os
import pwd
import socket
import struct
from dataclasses import dataclass

PEER_KEY = "peer"
"""Where the state of a request has its Peer."""

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_SO_PEERGROUPS = 59  # Linux 4.13 on; the socket module has no name for it
_MOST_BYTES = 1024  # of an option that the socket module reads: 256 groups


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that connected: its user, and the groups that it had when it did."""

    pid: int
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()


def peer_at(link: socket.socket | None) -> Peer | None:
    """The peer of a connection; None over TCP, where the kernel tells nothing."""
    if link is None or link.family != socket.AF_UNIX:
        return None
    told = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(told)
    return Peer(pid, uid, gid, frozenset({gid}) | _groups(link, uid, gid))


def name_of(uid: int) -> str:
    """A user's name, or words with the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"


def _groups(link: socket.socket, uid: int, gid: int) -> frozenset[int]:
    """The supplementary groups: the process's own, as file modes go by; else the user's."""
    try:
        told = link.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_BYTES)
    except OSError:  # an old kernel, or more groups than fit
        try:
            return frozenset(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
        except (KeyError, OSError):
            return frozenset()
    return frozenset(array.array("I", told))
