"""What a decoder is, and the one that decodes in this process.

The other one, `media/children.py`, does the same in child processes: that is what the daemon
uses, since footage is not trusted. One contract suite runs over both.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import Part, Span
from edge_lvr1.media.clips import cut
from edge_lvr1.media.measure import Sample
from edge_lvr1.media.opening import Opens, opened
from edge_lvr1.media.probe import Probe, probe
from edge_lvr1.media.reading import Frame, Reader, Wanted
from edge_lvr1.media.survey import STEP_S, Picture, survey
from edge_lvr1.media.text_tracks import read_tracks
from edge_lvr1.media.words import Cue


class Decoder(Protocol):
    """Media files -> what is in them. Safe to use from several threads.

    Generators give files and processes back when they end or are closed.
    """

    def probe(self, path: Path) -> Probe:
        """As `media.probe.probe`. Raises MediaError."""
        ...

    def gather(
        self, parts: Sequence[Part], wanted: Sequence[Wanted]
    ) -> Generator[NDArray[np.uint8], None, None]:
        """The image for each of `reading.looks(wanted)`, in their order: the one showing then.

        uint8 RGB of shape (height, width, 3), from one plan over all times. None at all where
        there are no parts. Raises MediaError.
        """
        ...

    def shown(
        self, parts: Sequence[Part], span: Span, max_side_px: int | None
    ) -> Generator[Frame, None, None]:
        """Every frame that begins within the span, at its own time. Raises MediaError."""
        ...

    def survey(
        self, parts: Sequence[Part], slot_s: float, step_s: float = STEP_S
    ) -> Generator[Sample | Picture, None, None]:
        """As `media.survey.survey`. Raises MediaError."""
        ...

    def texts(self, path: Path) -> tuple[Cue, ...]:
        """The text tracks of a file, as `media.text_tracks.read_tracks`. Raises MediaError."""
        ...

    def cut(self, parts: Sequence[Part], span: Span, out: Path, exact: bool = False) -> None:
        """As `media.clips.cut`. Raises MediaError."""
        ...

    def until(self, cancelled: Callable[[], bool]) -> Decoder:
        """This decoder, for work that is not wanted any more once `cancelled` says so.

        What waits for a frame then raises Cancelled, within a fraction of a second where
        decoding is done elsewhere.
        """
        ...

    def close(self) -> None:
        """Let go of what is held. Requests that are under way fail."""
        ...


class Here:
    """Decodes in this process, which a file made to do harm may crash or fill.

    `opens` opens each file.
    """

    def __init__(self, opens: Opens = opened) -> None:
        self._opens = opens
        self._reader = Reader(opens)

    def probe(self, path: Path) -> Probe:
        """As `Decoder.probe`."""
        return probe(path, self._opens)

    def gather(
        self, parts: Sequence[Part], wanted: Sequence[Wanted]
    ) -> Generator[NDArray[np.uint8], None, None]:
        """As `Decoder.gather`."""
        return self._reader.gather(parts, wanted)

    def shown(
        self, parts: Sequence[Part], span: Span, max_side_px: int | None
    ) -> Generator[Frame, None, None]:
        """As `Decoder.shown`."""
        return self._reader.shown(parts, span, max_side_px)

    def survey(
        self, parts: Sequence[Part], slot_s: float, step_s: float = STEP_S
    ) -> Generator[Sample | Picture, None, None]:
        """As `Decoder.survey`."""
        return survey(parts, slot_s, step_s, self._opens)

    def texts(self, path: Path) -> tuple[Cue, ...]:
        """As `Decoder.texts`."""
        return read_tracks(path, self._opens)

    def cut(self, parts: Sequence[Part], span: Span, out: Path, exact: bool = False) -> None:
        """As `Decoder.cut`."""
        cut(parts, span, out, exact, self._opens)

    def until(self, cancelled: Callable[[], bool]) -> Decoder:
        """As `Decoder.until`; a frame that is being decoded here is decoded to its end."""
        return self

    def close(self) -> None:
        """As `Decoder.close`: nothing is held."""


HERE = Here()
