"""Memory for pictures, used again: new pages cost more than what is copied into them."""

from __future__ import annotations

import weakref
from collections import deque

import numpy as np

from edge_lvr1.media.wire import Bytes

KEPT_BYTES = 32 * 2**20
SMALLEST_BYTES = 64 * 1024  # below, new memory costs no page


class Buffers:
    """Gives flat arrays, and takes their memory back when nobody has them any more.

    From any thread, and without a lock: memory comes back wherever an array is let go.
    """

    def __init__(self) -> None:
        self._idle: deque[bytearray] = deque()  # let go last stands last
        self._out: dict[int, weakref.ref[object]] = {}

    def room(self, size: int) -> Bytes:
        """A flat uint8 array of that length, with anything in it."""
        if not SMALLEST_BYTES <= size <= KEPT_BYTES // 4:
            return np.empty(size, np.uint8)
        memory = self._taken(size)
        array = np.frombuffer(memory, np.uint8)
        # All views of the array hold its base, a memoryview, which holds the memory.
        number = id(array.base)
        self._out[number] = weakref.ref(array.base, lambda _: self._back(number, memory))
        return array

    def _taken(self, size: int) -> bytearray:
        for _ in range(len(self._idle)):
            try:
                memory = self._idle.pop()
            except IndexError:
                break
            if len(memory) == size:
                return memory
            self._idle.appendleft(memory)
        return bytearray(size)

    def _back(self, number: int, memory: bytearray) -> None:
        self._out.pop(number, None)
        self._idle.append(memory)
        while len(self._idle) * len(memory) > KEPT_BYTES:
            self._idle.popleft()
