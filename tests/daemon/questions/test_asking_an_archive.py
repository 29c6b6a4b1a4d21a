"""Questions to an archive of 200 recordings over 14 days and 4 cameras, whose truth is known.

Captions are written as the embedded captioner writes them; the agent is the embedded one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from edge_lvr1.config import Ingest, Questions, Settings
from edge_lvr1.daemon.http.question_schemas import QuestionIn
from edge_lvr1.daemon.questions.answering import Answering
from edge_lvr1.daemon.questions.asking import question_of
from edge_lvr1.domain import Answer, Caption, Part, StartSource, Step, Verdict
from edge_lvr1.media.decoder import HERE
from edge_lvr1.models.base import Clip
from edge_lvr1.models.embedded import wording
from edge_lvr1.models.embedded.retrieval.agent import EmbeddedAgent
from edge_lvr1.models.embedded.wording import Sighting
from edge_lvr1.models.load import tree_of as tree_settings
from edge_lvr1.store.db import Archive
from edge_lvr1.store.glances import Glances
from edge_lvr1.store.queues import IngestQueue
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.build import Builder
from tests.daemon.fakes import FakeCaptioner
from tests.navigator.written_trees import figure, tree_of, vehicle


class Still(FakeCaptioner):
    """Sees nothing when it is asked to look again."""

    def video_qa(self, clip: Clip, query: str) -> str:
        return wording.NOTHING_SEEN


ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 14, 0, tzinfo=ZONE)  # a Friday
FIRST = datetime(2026, 11, 6, tzinfo=ZONE)
CAMERAS = ("camera1", "camera2", "camera3", "camera4")
LENGTH_S = 600.0
HOURS = (1, 5, 9, 13, 17, 20, 22)  # recordings begin then, in turn over cameras and days


def at(day: int, hour: int) -> datetime:
    return FIRST + timedelta(days=day, hours=hour)


RED_CAR = vehicle(1, 100.0, 112.0, "red", -0.9)
# What is seen, by camera and start: all else is still.
SEEN: dict[tuple[str, datetime], list[Sighting]] = {
    ("camera3", at(11, 22)): [RED_CAR],  # Tuesday 17 November
    ("camera2", at(3, 9)): [vehicle(1, 50.0, 62.0, "white", 0.9)],
    ("camera1", at(13, 17)): [figure(1, 20.0, 60.0, "black"), figure(2, 200.0, 260.0, "grey")],
    ("camera1", at(13, 20)): [figure(1, 30.0, 90.0, "blue")],
    ("camera4", at(5, 13)): [figure(1, 300.0, 420.0, "red")],
    ("camera2", at(8, 1)): [vehicle(1, 10.0, 30.0, "blue", -0.9)],
    ("camera2", at(9, 1)): [vehicle(1, 10.0, 30.0, "blue", 0.9)],
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    archive = Archive(tmp_path_factory.mktemp("archive") / "archive.db")
    with archive.open():
        trees = Trees(archive)
        slots = [
            (camera, at(day, hour))
            for day in range(14)
            for place, camera in enumerate(CAMERAS)
            for hour in HOURS
            if (camera, at(day, hour)) in SEEN or (day + place + hour) % 2 == 0
        ][:200]
        assert set(SEEN) <= set(slots)
        assert len(slots) == 200
        for camera, starts_at in slots:
            put(trees, camera, starts_at, SEEN.get((camera, starts_at), ()))
        yield archive


def put(trees: Trees, camera: str, starts_at: datetime, seen: Sequence[Sighting]) -> None:
    written = tree_of(seen, duration_s=LENGTH_S, width=3)
    part = Part(
        f"/footage/{camera}/{starts_at:%d%H}.mp4", 0.0, LENGTH_S, 1, 1, f"{camera}{starts_at}"
    )
    source = StartSource.FILE_NAME
    recording = trees.add_recording(camera, starts_at, source, [part], written.plan, "embedded")
    for node in written.plan.nodes:
        text = written.texts[node.id]
        trees.put_caption(recording.id, Caption(node.id, node.span, text, "embedded", "1"))


def ask(archive: Archive, text: str, **more: object) -> tuple[Answer, list[Step]]:
    trees = Trees(archive)
    asked = QuestionIn(question=text, **more)  # type: ignore[arg-type]
    question = question_of(asked, Questions(max_rounds=12), trees, NOW.timestamp, ZONE)
    builder = Builder(trees, Glances(archive), Still(), tree_settings(Settings()), Ingest())
    answering = Answering(
        archive,
        trees,
        IngestQueue(archive, time.time),
        builder,
        EmbeddedAgent(),
        HERE,
        time.monotonic,
    )
    steps: list[Step] = []
    return answering.answer(question, steps.append, lambda: False), steps


ANSWERED = [
    ("Was there a red car on camera 3 last Tuesday night?", "camera3", at(11, 22), "red"),
    ("Was there a red car on camera 3?", "camera3", at(11, 22), "red"),
    ("Was there a red car last week or this week?", "camera3", at(11, 22), "red"),
    ("Is there a red vehicle?", "camera3", at(11, 22), "red"),
    ("Was there a white car on 9 November?", "camera2", at(3, 9), "white"),
    ("When did the white car come?", "camera2", at(3, 9), "2026-11-09 09:0"),
    ("Which colour did the person on camera 4 wear on 11 November?", "camera4", at(5, 13), "red"),
    ("Was anyone on camera 1 yesterday evening?", "camera1", at(13, 20), "blue"),
    (
        "How many people were there on camera 1 yesterday between 17:00 and 23:00?",
        "camera1",
        at(13, 20),
        "3",
    ),
    ("How many people came on 19 November?", "camera1", at(13, 17), "3"),
    ("How many blue cars were there at night?", "camera2", at(9, 1), "2 in 2 recordings"),
    ("When was the blue car first seen?", "camera2", at(8, 1), "first at 2026-11-14 01:0"),
    ("When was the blue car last seen?", "camera2", at(9, 1), "last at 2026-11-15 01:0"),
]
NOT_FOUND = [
    "Was there a red car on camera 2 last Tuesday night?",
    "Was there a red car on camera 3 last Wednesday night?",
    "Was there a green car?",
    "Was there a dog?",
    "Was anyone on camera 2 yesterday evening?",
    "Was there a white car on camera 4?",
    "How many people came on 18 November?",
    "When did the yellow car come?",
]


@pytest.mark.parametrize(("text", "camera", "starts_at", "word"), ANSWERED)
def test_what_is_there_is_found_within_the_rounds(
    archive: Archive, text: str, camera: str, starts_at: datetime, word: str
) -> None:
    answer, _ = ask(archive, text)

    assert answer.verdict is Verdict.ANSWERED, answer
    assert word in answer.text
    assert answer.rounds <= 12
    assert any(
        one.camera == camera
        and starts_at <= one.starts_at < starts_at + timedelta(seconds=LENGTH_S)
        for one in answer.evidence
    )


@pytest.mark.parametrize("text", NOT_FOUND)
def test_what_is_not_there_is_not_found_and_what_was_searched_is_said(
    archive: Archive, text: str
) -> None:
    answer, _ = ask(archive, text)

    assert answer.verdict is Verdict.NOT_FOUND, answer
    assert answer.rounds <= 12
    assert answer.searched
