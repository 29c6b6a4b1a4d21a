from __future__ import annotations

import json
import mmap
import socket
import struct
import time
from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.media.wire import RingWriter, Wire, WireError, copy_out, count, number, text

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def pair() -> tuple[socket.socket, Wire]:
    ours, theirs = socket.socketpair()
    return ours, Wire(theirs, 1000)


def test_heads_and_bytes_come_as_they_were_sent() -> None:
    ours, wire = pair()
    with ours:
        Wire(ours, 1000).send({"is": "item", "inline": 3}, b"abc")
        Wire(ours, 1000).send({"is": "end"})

        assert wire.receive() == {"is": "item", "inline": 3}
        out = np.zeros(3, np.uint8)
        wire.receive_into(out)
        assert bytes(out) == b"abc"
        assert wire.waiting()
        assert wire.receive() == {"is": "end"}
        assert not wire.waiting()
    assert wire.receive() is None
    wire.close()


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">I", 1001) + b" " * 1001,
        struct.pack(">I", 4) + b"\xff\xfe\x00\x00",
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 1000) + b"[" * 1000,
        struct.pack(">I", 0),
    ],
)
def test_what_is_no_head_is_refused(sent: bytes) -> None:
    ours, wire = pair()
    with ours:
        ours.sendall(sent)

        with pytest.raises(WireError):
            wire.receive()
    wire.close()


def test_bytes_that_break_off_are_refused() -> None:
    ours, wire = pair()
    ours.sendall(b"ab")
    ours.close()

    with pytest.raises(WireError, match="too early"):
        wire.receive_into(np.zeros(3, np.uint8))
    wire.close()


def test_a_message_that_comes_bit_by_bit_does_not_stretch_the_time() -> None:
    ours, wire = pair()
    with ours:
        ours.sendall(b"\0")
        with pytest.raises(TimeoutError):
            wire.receive(time.monotonic() + 0.01)
        ours.sendall(b"\0\0")
        with pytest.raises(TimeoutError):
            wire.receive(time.monotonic() - 1.0)
        ours.sendall(b"\2{}")

        assert wire.receive(time.monotonic() + 5.0) == {}
    wire.close()


@given(ANY_JSON)
def test_a_field_is_what_it_should_be_or_refused(value: Any) -> None:
    head = {"field": json.loads(json.dumps(value))}
    for read in (number, text, lambda head, key: count(head, key, 10)):
        try:
            found = read(head, "field")
        except WireError:
            continue
        if read is text:
            assert isinstance(found, str)
        else:
            assert isinstance(found, int | float)
            assert found == value
            assert abs(found) < float("inf")
    with pytest.raises(WireError):
        number(head, "missing")


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=60))
def test_the_ring_never_writes_over_what_is_not_freed(steps: list[tuple[int, bool]]) -> None:
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    unit = mmap.PAGESIZE // 80
    ring = RingWriter(memory)
    held: deque[tuple[int, int, bytes]] = deque()
    for number_, (units, free) in enumerate(steps):
        data = bytes([number_ % 251]) * (units * unit)
        if not ring.takes(len(data)):
            continue
        while (put := ring.put(memoryview(data))) is None:
            assert held, "an empty ring has room for all that it takes"
            ring.freed(held.popleft()[1])
        held.append((put[0], put[1], data))
        if free:
            ring.freed(held.popleft()[1])
        for place, _, expected in held:
            out = np.zeros(len(expected), np.uint8)
            copy_out(memory, place, out)
            assert out.tobytes() == expected
    memory.close()


def test_nothing_is_read_outside_of_the_ring() -> None:
    memory = mmap.mmap(-1, mmap.PAGESIZE)

    with pytest.raises(WireError, match="outside"):
        copy_out(memory, mmap.PAGESIZE - 2, np.zeros(3, np.uint8))

    memory.close()
