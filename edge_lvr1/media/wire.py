"""What passes between the daemon and a decoding child, and how it is framed.

    message:  4 bytes, big-endian: length of the head | head: a JSON object | payload, if any

A request goes to the child as a head with "op". Back come heads with "is": "item" (any
number), then "end" or "error"; between them "file" (what is opened next) and "log". An item's
bytes stand in a ring of shared memory ("at", "size") where they fit, and else right behind
the head ("inline"). The parent copies them out and now and then sends "free", up to where it
has read, and at once where the child says that the ring is "full"; so the child runs ahead by
as much as the ring holds. "stop" ends a request half way.

The parent takes nothing on trust: heads are short and plain JSON, and every number in them is
checked before it is used (`number`, `count`).
"""

from __future__ import annotations

import json
import math
import mmap
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

MOST_HEAD_BYTES = 256 * 1024  # of what a child says; requests may be longer
_LENGTH = struct.Struct(">I")
_BLOCK_BYTES = 64 * 1024

Head: TypeAlias = dict[str, Any]
Bytes: TypeAlias = NDArray[np.uint8]


class WireError(Exception):
    """The other side said what it cannot say, or is gone."""


class Wire:
    """Messages over a stream socket. One thread at a time."""

    def __init__(self, sock: socket.socket, most_head_bytes: int) -> None:
        self._socket = sock
        self._most_head_bytes = most_head_bytes
        self._read = bytearray()

    def send(
        self,
        head: Mapping[str, Any],
        payload: memoryview | bytes = b"",
        deadline_s: float | None = None,
    ) -> None:
        """Send a message. Raises OSError, TimeoutError."""
        text = json.dumps(head).encode()
        self._wait(deadline_s)
        self._socket.sendall(_LENGTH.pack(len(text)) + text)
        if len(payload):
            self._socket.sendall(payload)

    def receive(self, deadline_s: float | None = None) -> Head | None:
        """The next head; None where the other side has closed.

        `deadline_s` is a moment of time.monotonic(). Raises WireError, OSError, TimeoutError;
        after a TimeoutError it can be called again.
        """
        if not self._filled(_LENGTH.size, deadline_s):
            return None
        (length,) = _LENGTH.unpack_from(self._read)
        if length > self._most_head_bytes:
            raise WireError(f"a head of {length} bytes")
        if not self._filled(_LENGTH.size + length, deadline_s):
            return None
        text = bytes(self._read[_LENGTH.size : _LENGTH.size + length])
        del self._read[: _LENGTH.size + length]
        try:
            head = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WireError("a head that is no JSON") from error
        if not isinstance(head, dict):
            raise WireError("a head that is no object")
        return head

    def receive_into(self, out: Bytes, deadline_s: float | None = None) -> None:
        """Fill a flat array with what follows a head. Raises WireError, OSError, TimeoutError."""
        view = out.data
        done = min(len(self._read), len(view))
        view[:done] = self._read[:done]
        del self._read[:done]
        while done < len(view):
            self._wait(deadline_s)
            count = self._socket.recv_into(view[done:])
            if not count:
                raise WireError("bytes that end too early")
            done += count

    def waiting(self) -> bool:
        """Whether a message, or a part of one, has come."""
        if self._read:
            return True
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _filled(self, count: int, deadline_s: float | None) -> bool:
        while len(self._read) < count:
            self._wait(deadline_s)
            block = self._socket.recv(_BLOCK_BYTES)
            if not block:
                return False
            self._read += block
        return True

    def _wait(self, deadline_s: float | None) -> None:
        if deadline_s is not None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)


class RingWriter:
    """The child's end of the ring: where the next bytes may be put."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._size = len(memory)
        self._head = self._tail = 0  # bytes ever taken and given back

    def clear(self) -> None:
        """Begin anew: nothing is held."""
        self._head = self._tail = 0

    def freed(self, upto: int) -> None:
        """What was taken before a position may be overwritten."""
        self._tail = upto

    def takes(self, size: int) -> bool:
        """Whether so many bytes can stand in the ring at all, and leave room to run ahead."""
        return 0 < size <= self._size // 2

    def put(self, data: memoryview) -> tuple[int, int] | None:
        """Write bytes: (place, position behind them); None where there is no room yet."""
        place = self._head % self._size
        skipped = self._size - place if place + len(data) > self._size else 0
        if self._head + skipped + len(data) - self._tail > self._size:
            return None
        place = 0 if skipped else place
        self._memory[place : place + len(data)] = data
        self._head += skipped + len(data)
        return place, self._head


def copy_out(memory: mmap.mmap, place: int, out: Bytes) -> None:
    """Fill an array from the ring. Raises WireError where that has not so many bytes there."""
    if place + len(out) > len(memory):
        raise WireError(f"{len(out)} bytes at {place}, outside of the ring")
    out[:] = np.frombuffer(memory, np.uint8, len(out), place)


def number(head: Mapping[str, Any], key: str, least: float = -math.inf) -> float:
    """A finite number of a head, no less than `least`. Raises WireError."""
    value = head.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WireError(f"{key} is no number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found) or found < least:
        raise WireError(f"{key} is {found}")
    return found


def count(head: Mapping[str, Any], key: str, most: int) -> int:
    """A whole number of a head, from nought to `most`. Raises WireError."""
    value = head.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise WireError(f"{key} is no whole number up to {most}")
    return value


def text(head: Mapping[str, Any], key: str, longest: int = 2000) -> str:
    """A text of a head, cut off where it is too long. Raises WireError."""
    value = head.get(key)
    if not isinstance(value, str):
        raise WireError(f"{key} is no text")
    return value[:longest]
