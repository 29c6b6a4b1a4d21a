from __future__ import annotations

import numpy as np

from edge_lvr1.media.buffers import KEPT_BYTES, SMALLEST_BYTES, Buffers

SIZE = SMALLEST_BYTES * 2


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_memory_is_used_again_once_nobody_has_it() -> None:
    buffers = Buffers()
    first = buffers.room(SIZE)
    place = address(first)
    del first

    assert address(buffers.room(SIZE)) == place


def test_memory_that_a_view_still_shows_is_left_alone() -> None:
    buffers = Buffers()
    image = buffers.room(SIZE).reshape(-1, 64)[3:5]
    image[:] = 7

    others = [buffers.room(SIZE) for _ in range(3)]
    for other in others:
        other[:] = 9

    assert (image == 7).all()


def test_only_so_much_memory_is_kept() -> None:
    buffers = Buffers()
    held = [buffers.room(KEPT_BYTES // 4) for _ in range(9)]

    held.clear()

    assert sum(map(len, buffers._idle)) <= KEPT_BYTES


def test_sizes_are_not_mixed() -> None:
    buffers = Buffers()
    for size in (SIZE, SIZE + 1, SIZE, 10, KEPT_BYTES, 0):
        assert len(buffers.room(size)) == size
