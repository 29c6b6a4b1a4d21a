"""One recording, from its parts to its complete caption tree. Knows no queue and no thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from edge_lvr1.domain import Part, Recording
from edge_lvr1.media.decoder import Decoder
from edge_lvr1.media.frames import Footage, Frame, Wanted
from edge_lvr1.tree.build import WATCH, Builder

OnProgress = Callable[[str, int, int], None]


class PatientFootage(Footage):
    """Footage that calls `on_frame` with each frame's time, where it may wait or raise.

    A captioner looks at many frames between two commits; this lets questions go first, and a
    stop come through, without the captioner knowing of either.
    """

    def __init__(
        self, parts: Sequence[Part], decoder: Decoder, on_frame: Callable[[float], None]
    ) -> None:
        super().__init__(parts, decoder)
        self._on_frame = on_frame

    def looked(self, wanted: Sequence[Wanted]) -> Generator[tuple[int, Frame], None, None]:
        """As `Footage.looked`."""
        for index, frame in super().looked(wanted):
            self._on_frame(frame.time_s)
            yield index, frame


@dataclass(frozen=True, slots=True)
class Building:
    """What captioning recordings needs."""

    builder: Builder
    decoder: Decoder

    def build(
        self, recording: Recording, between: Callable[[], None], on_progress: OnProgress
    ) -> None:
        """Caption a recording; goes on from what is stored.

        `between` is called often, and may wait or raise. Raises MediaError, NotFoundError
        where the recording was put together anew, and what the captioner and `between` raise.
        """
        told_captions = False

        def on_frame(time_s: float) -> None:
            between()
            if not told_captions:
                on_progress(WATCH, round(time_s), round(recording.duration_s))

        def on_build(stage: str, done: int, total: int) -> None:
            nonlocal told_captions
            if stage != WATCH:  # how far it watched, the frames tell better
                told_captions = True
                on_progress(stage, done, total)

        footage = PatientFootage(recording.parts, self.decoder, on_frame)
        self.builder.build(recording, footage, between, on_build)
