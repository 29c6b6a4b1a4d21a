"""Frames of a recording at given times, at the lowest cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import Part, Span


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture: uint8 RGB of shape (height, width, 3), and its time in the recording."""

    time_s: float
    image: NDArray[np.uint8]


class Footage:
    """The parts of a recording as one run of frames."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)

    @property
    def duration_s(self) -> float:
        """Seconds from the first part's start to the last part's end."""
        raise NotImplementedError

    def at(self, times_s: Sequence[float], max_side_px: int | None = None) -> Iterator[Frame]:
        """One frame for each time (ascending), the one showing then."""
        raise NotImplementedError

    def every(self, step_s: float, span: Span, max_side_px: int | None = None) -> Iterator[Frame]:
        """The frames nearest after each multiple of step_s within the span."""
        raise NotImplementedError
