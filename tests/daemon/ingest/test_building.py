"""A recording from its parts to its tree, without threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.ingest.building import Building, PatientFootage
from edge_lvr1.domain import Part, Span
from edge_lvr1.media.decoder import HERE
from tests.daemon.conftest import builder_of, store


def test_recording_is_looked_over_then_captioned(context: Context, footage: Path) -> None:
    recording = store(context, footage, captioned=False)
    told: list[tuple[str, int, int]] = []
    work = Building(builder_of(context), HERE)

    work.build(recording, lambda: None, lambda *step: told.append(step))

    assert context.trees.progress(recording.id).complete
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == ["survey", "caption"]
    assert told[-1] == ("caption", 14, 14)
    activity = context.glances.activity(recording.id)
    assert activity is not None
    assert activity.times_s[-1] >= 14.0
    assert context.glances.picture(recording.id, Span(0.0, 2.0)) is not None


def test_frames_may_wait_or_stop_one_by_one(footage: Path) -> None:
    class Enough(Exception):  # noqa: N818
        pass

    seen: list[float] = []

    def on_frame(time_s: float) -> None:
        seen.append(time_s)
        if len(seen) == 3:
            raise Enough

    patient = PatientFootage([Part(str(footage), 0.0, 16.0, 0, 0, "")], HERE, on_frame)

    with pytest.raises(Enough):
        list(patient.every(1.0, Span(0.0, 16.0)))
    list(patient.at([5.0]))
    assert seen == [0.0, 1.0, 2.0, 5.0]
