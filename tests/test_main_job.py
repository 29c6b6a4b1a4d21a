"""The main job on real clips: a real daemon, a real socket, and what is true in the footage."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_lvr1.client import Client
from edge_lvr1.demo.process import DaemonProcess
from edge_lvr1.domain import Span
from edge_lvr1.follow import follow_jobs, follow_question
from tests.footage import clip, truth

pytestmark = pytest.mark.footage

PEOPLE, CARS, BOTTLES = "one-by-one-person.mp4", "car-detection.mp4", "bottle.mp4"
MOST_ROUNDS = 10


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A daemon that has taken in the three real clips."""
    folder = tmp_path_factory.mktemp("archive")
    watched = folder / "footage"
    watched.mkdir()
    for name in (PEOPLE, CARS, BOTTLES):
        shutil.copy(clip(name), watched / name)
    process = DaemonProcess(folder / "data", watched, folder / "s", settle_s=0.2)
    with process.running() as client:
        ids = [client.ingest(watched)["taken"]]
        jobs = follow_jobs(client, [job["id"] for job in ids[0]], None)
        assert {job["state"] for job in jobs} == {"done"}, jobs
        yield client


def recording(client: Client, name: str) -> dict[str, Any]:
    by_camera = {entry["camera"]: entry for entry in client.recordings()}
    return by_camera[Path(name).stem]


def ask(client: Client, name: str, question: str) -> dict[str, Any]:
    asked = client.ask({"question": question, "recording": recording(client, name)["id"]})
    found = follow_question(client, asked, None)
    assert found["rounds"] <= MOST_ROUNDS
    assert found["invalid_steps"] == 0
    return found


def evidence(found: dict[str, Any]) -> list[Span]:
    return [Span(entry["start_s"], entry["end_s"]) for entry in found["evidence"]]


def test_people_who_come_to_the_table_are_counted(archive: Client) -> None:
    found = ask(archive, PEOPLE, "How many people come to the table?")

    assert found["verdict"] == "answered"
    assert re.findall(r"\d+", found["text"])[0] == str(len(truth(PEOPLE)))
    present = [entry["span"] for entry in truth(PEOPLE)]
    assert evidence(found)
    assert all(any(e.overlap_s(span) for span in present) for e in evidence(found))


def test_the_first_person_is_found_in_time(archive: Client) -> None:
    found = ask(archive, PEOPLE, "When is the first person there?")

    assert found["verdict"] == "answered"
    first = truth(PEOPLE)[0]["span"]
    assert evidence(found)
    assert all(e.overlap_s(first) > 0 for e in evidence(found))
    told = [float(number) for number in re.findall(r"\d+\.\d", found["text"])]
    assert Span(told[0], told[1]).overlap_s(first) >= 0.8 * first.duration_s


def test_a_red_car_is_there_and_moves_up(archive: Client) -> None:
    red = next(entry["span"] for entry in truth(CARS) if "red" in entry["who"])

    there = ask(archive, CARS, "Is there a red car?")
    way = ask(archive, CARS, "Which way does the red car move?")

    assert there["verdict"] == way["verdict"] == "answered"
    assert there["text"].lower().startswith("yes")
    assert re.search(r"\bup\b", way["text"])
    for found in (there, way):
        assert evidence(found)
        assert all(red.start_s <= e.start_s and e.end_s <= red.end_s for e in evidence(found))


@pytest.mark.parametrize("name", [PEOPLE, CARS])
def test_a_dog_is_not_found_and_what_was_searched_is_said(archive: Client, name: str) -> None:
    found = ask(archive, name, "Is there a dog?")

    assert found["verdict"] == "not_found"
    assert found["evidence"] == []
    assert any(recording(archive, name)["camera"] in line for line in found["searched"])


def test_lettered_options_are_answered_by_letter(archive: Client) -> None:
    asked = archive.ask(
        {
            "question": "Which way does the red car go?",
            "options": ["left", "down", "up", "right"],
            "recording": recording(archive, CARS)["id"],
        }
    )

    found = follow_question(archive, asked, None)

    assert (found["verdict"], found["option"]) == ("answered", "C")


def test_a_question_to_the_whole_archive_finds_the_recording(archive: Client) -> None:
    found = follow_question(archive, archive.ask({"question": "Is there a red car?"}), None)

    assert found["verdict"] == "answered"
    assert {entry["recording"] for entry in found["evidence"]} == {recording(archive, CARS)["id"]}


def test_captions_of_the_bottles_claim_no_person(archive: Client) -> None:
    tree = archive.tree(recording(archive, BOTTLES)["id"])

    assert all(node["caption"] for node in tree["nodes"])
    assert not [node for node in tree["nodes"] if "person" in node["caption"]]


def test_a_clip_of_the_evidence_can_be_cut_and_read(archive: Client, tmp_path: Path) -> None:
    import av

    out = tmp_path / "red.mp4"

    archive.clip(recording(archive, CARS)["id"], 15.1, 18.9, out, exact=True)

    with av.open(str(out)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames == pytest.approx(3.8 * 12.5, abs=2)
