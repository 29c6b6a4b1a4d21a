"""The daemon as its users have it: a process, a socket, a folder, signals."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_lvr1.client import Client
from edge_lvr1.client_events import Event
from edge_lvr1.errors import NotFoundError, QuestionError, Unreachable
from tests.daemon.processes import WITHIN_S, Daemon, ended_jobs, until
from tests.media_files import audio_only, steady, truncated_mp4, video, without_moov


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    place = Daemon(tmp_path)
    yield place
    place.kill()


def stored(daemon: Daemon) -> list[tuple[Any, ...]]:
    """Every node with its caption, as the database has them."""
    with closing(sqlite3.connect(daemon.data / "archive.db")) as db:
        return db.execute(
            "SELECT n.recording, n.h, n.m, n.l, n.start_s, n.end_s, c.text, c.written_by, "
            "c.version, c.details FROM nodes n LEFT JOIN captions c ON c.node = n.id "
            "ORDER BY n.recording, n.h, n.m, n.l"
        ).fetchall()


def answered(client: Client, question: str) -> dict[str, Any]:
    return until(
        lambda: found if (found := client.question(question))["verdict"] else None, "an answer"
    )


def test_footage_that_lands_is_captioned_and_answers_questions(
    daemon: Daemon, footage: Path
) -> None:
    with daemon.running() as client:
        shutil.copy(footage, daemon.watched / "yard.mp4")
        job = ended_jobs(client, 1)["yard.mp4"]
        (recording,) = client.recordings()
        question = client.ask({"question": "Is there a dog?", "recording": recording["id"]})
        events = list(client.follow(question))
        told = client.question(question)
        mode = stat.S_IMODE(daemon.socket.stat().st_mode)

    assert (job["state"], job["recordings"]) == ("done", [recording["id"]])
    assert recording["complete"]
    assert [events[0].name, events[1].name, events[-1].name] == ["queued", "started", "done"]
    assert sum(event.name == "step" for event in events) == told["rounds"] == len(told["steps"])
    assert 1 <= told["rounds"] <= 10
    assert told["verdict"] == "not_found"
    assert told["searched"]
    assert mode == 0o660
    assert not daemon.socket.exists()
    assert "ready in" in daemon.log


def test_file_is_taken_only_when_it_is_whole(daemon: Daemon, footage: Path) -> None:
    content = footage.read_bytes()
    middle = len(content) // 2
    daemon.settle_s = 0.6
    with daemon.running(fake=True) as client:
        with (daemon.watched / "a.mp4").open("wb") as file:
            file.write(content[:middle])
            file.flush()
            until(lambda: client.status()["settling"] == 1, "noticing the file")
            for place in range(middle, len(content), len(content) // 20):
                time.sleep(0.1)  # a writer that is slower than the settling time in all
                file.write(content[place : place + len(content) // 20])
                file.flush()
                assert client.jobs() == []
        job = ended_jobs(client, 1)["a.mp4"]
        (recording,) = client.recordings()

    assert (job["state"], job["size_bytes"]) == ("done", len(content))
    assert recording["duration_s"] == pytest.approx(16.0, abs=0.3)


def test_bad_files_each_leave_their_reason_and_the_daemon_goes_on(
    daemon: Daemon, footage: Path
) -> None:
    watched = daemon.watched
    (watched / "empty.mp4").touch()
    (watched / "notes.txt").write_text("milk, eggs\n")
    audio_only(watched / "song.mp4")
    without_moov(watched / "half.mp4")
    truncated_mp4(watched / "cut.mp4", keep=0.6)
    (watched / "folder.mp4").mkdir()
    shutil.copy(footage, watched / "good.mp4")
    shutil.copy(footage, watched / "same.mp4")

    with daemon.running(fake=True) as client:
        jobs = ended_jobs(client, 7)
        with pytest.raises(NotFoundError, match="no file or folder at"):
            client.ingest(daemon.folder / "missing.mp4")
        refused = client.ingest(watched / "folder.mp4")["refused"]
        status = client.status()

    reasons = {name: job["reason"] for name, job in jobs.items()}
    failed = {name for name, job in jobs.items() if job["state"] == "failed"}
    assert failed == {"empty.mp4", "notes.txt", "song.mp4", "half.mp4"}
    assert "empty" in reasons["empty.mp4"]
    assert all(reasons[name] and "\n" not in reasons[name] for name in failed)
    assert len({reasons[name] for name in failed}) == 4
    assert jobs["cut.mp4"]["state"] == "done"
    assert {jobs["good.mp4"]["reason"], jobs["same.mp4"]["reason"]} == {
        "",
        f"the same footage as {watched / 'good.mp4'}",
    }
    assert jobs["good.mp4"]["recordings"] == jobs["same.mp4"]["recordings"]
    assert "no files" in refused[0]["reason"]
    assert status["recordings"] == status["complete"] == 2


def test_file_that_failed_is_tried_again_when_it_changes(daemon: Daemon, footage: Path) -> None:
    with daemon.running(fake=True) as client:
        (daemon.watched / "a.mp4").write_text("not yet footage")
        first = ended_jobs(client, 1)["a.mp4"]["state"]
        shutil.copy(footage, daemon.watched / "a.mp4")
        until(lambda: client.jobs()[0]["state"] == "done", "the second try")

    assert first == "failed"


def test_long_file_becomes_several_recordings(daemon: Daemon, footage: Path) -> None:
    with daemon.running(fake=True, ingest={"max_recording_s": 6.0}) as client:
        shutil.copy(footage, daemon.watched / "a.mp4")
        job = ended_jobs(client, 1)["a.mp4"]
        recordings = client.recordings()
        picture = client.thumbnail(recordings[2]["id"], 5.0)

    assert job["state"] == "done"
    assert job["recordings"] == [one["id"] for one in recordings]
    assert [one["duration_s"] for one in recordings] == pytest.approx([5.33] * 3, abs=0.1)
    assert recordings[1]["starts_at"] == recordings[0]["ends_at"]
    assert picture.startswith(b"\xff\xd8")


@pytest.mark.parametrize(("other", "what"), [("socket", "archive"), ("data", "socket")])
def test_second_daemon_is_refused_with_the_process_of_the_first(
    daemon: Daemon, tmp_path: Path, other: str, what: str
) -> None:
    with daemon.running(fake=True) as client:
        second = daemon.launch(fake=True, **{other: str(tmp_path / f"other-{other}")})
        code = second.wait(WITHIN_S)
        pid = client.status()["pid"]

    assert code == 1
    assert f"another daemon (process {pid}) already serves the {what}" in daemon.log
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"watch": ["/dev/null"]}, "/dev/null is not a folder"),
        ({"socket": "/" + "x" * 120}, "give a shorter one with --socket"),
        ({"listen": "0.0.0.0:80"}, "only a loopback address"),
    ],
)
def test_settings_that_cannot_be_used_end_the_start_with_one_sentence(
    daemon: Daemon, given: dict[str, Any], sentence: str
) -> None:
    process = daemon.launch(fake=True, **given)

    assert process.wait(WITHIN_S) == 2
    assert sentence in daemon.log
    assert "Traceback" not in daemon.log


def test_daemon_starts_over_the_socket_of_one_that_was_killed(daemon: Daemon) -> None:
    daemon.start(fake=True)
    daemon.kill()
    assert daemon.socket.exists()

    with daemon.running(fake=True) as client:
        assert client.status()["recordings"] == 0


@pytest.mark.parametrize("dies_at", [1, 7, 15])
def test_killed_during_ingest_ends_with_the_same_tree(
    daemon: Daemon, tmp_path: Path, footage: Path, dies_at: int, whole_tree: list[tuple[Any, ...]]
) -> None:
    shutil.copy(footage, daemon.watched / "yard.mp4")
    daemon.start(dies_at=dies_at)
    until(daemon.is_gone, "the kill")
    assert daemon.process is not None
    killed_by = -daemon.process.returncode
    before = [row for row in stored(daemon) if row[6] is not None]

    with daemon.running() as client:
        job = ended_jobs(client, 1)["yard.mp4"]

    assert killed_by == signal.SIGKILL
    assert len(before) < len(whole_tree)
    assert job["state"] == "done"
    assert stored(daemon) == whole_tree


@pytest.fixture(scope="module")
def whole_tree(tmp_path_factory: pytest.TempPathFactory, footage: Path) -> list[tuple[Any, ...]]:
    """The tree that a daemon builds which nobody interrupts."""
    daemon = Daemon(tmp_path_factory.mktemp("whole"))
    shutil.copy(footage, daemon.watched / "yard.mp4")
    with daemon.running() as client:
        ended_jobs(client, 1)
    rows = stored(daemon)
    assert len(rows) == 14
    assert all(row[6] for row in rows)
    return rows


def test_sigterm_during_ingest_hands_the_job_back(daemon: Daemon, footage: Path) -> None:
    shutil.copy(footage, daemon.watched / "yard.mp4")
    with daemon.start(fake=True, caption_s=0.3) as client:
        until(lambda: [one for one in client.recordings() if one["captions"] > 1], "captions")
    began = time.monotonic()
    code = daemon.stop()
    stopped_s = time.monotonic() - began
    before = sum(row[6] is not None for row in stored(daemon))

    with daemon.running(fake=True) as client:
        job = ended_jobs(client, 1)["yard.mp4"]

    assert code == 0
    assert stopped_s < 5.0
    assert 2 <= before < 14
    assert "is put down; it goes on at the next start" in daemon.log
    assert (job["state"], job["attempts"]) == ("done", 0)
    assert all(row[6] for row in stored(daemon))


def test_sigterm_during_a_question_asks_it_again_at_the_next_start(
    daemon: Daemon, footage: Path
) -> None:
    shutil.copy(footage, daemon.watched / "yard.mp4")
    ends: list[str] = []

    def listen(client: Client, question: str) -> None:
        with client:
            try:
                ends.extend(event.name for event in client.follow(question))
            except Unreachable as error:
                ends.append(str(error))

    with daemon.start(fake=True, reply_s=0.6) as client:
        ended_jobs(client, 1)
        question = client.ask({"question": "Is there a lorry?"})
        listener = threading.Thread(target=listen, args=(daemon.client, question))
        listener.start()
        until(lambda: client.question(question)["steps"], "the first round")
    began = time.monotonic()
    code = daemon.stop()
    stopped_s = time.monotonic() - began
    listener.join(WITHIN_S)

    with daemon.running(fake=True) as client:
        told = answered(client, question)

    assert code == 0
    assert stopped_s < 8.0
    assert "before question" in ends[-1]
    assert (told["verdict"], told["rounds"], len(told["steps"])) == ("answered", 3, 3)
    assert told["evidence"][0]["node"] == "(1,1,1)"


def test_question_goes_before_ingest(daemon: Daemon, footage: Path, tmp_path: Path) -> None:
    shutil.copy(footage, daemon.watched / "first.mp4")
    with daemon.running(fake=True, caption_s=0.1) as client:
        ended_jobs(client, 1)
        video(daemon.watched / "second.mp4", steady(90, fps=5.0))
        until(lambda: [one for one in client.recordings() if not one["complete"]], "more ingest")
        told = answered(client, client.ask({"question": "Is there a lorry?"}))
        unfinished = [one for one in client.recordings() if not one["complete"]]
        ended_jobs(client, 2)

    assert told["verdict"] == "answered"
    assert unfinished
    assert any(": not searched, still" in line for line in told["searched"])


def test_question_to_an_empty_archive_is_told_so(daemon: Daemon) -> None:
    with daemon.running(fake=True) as client:
        told = answered(client, client.ask({"question": "Is there a lorry?"}))
        with pytest.raises(NotFoundError, match="no recording 1"):
            client.ask({"question": "Is there a lorry?", "recording": 1})
        with pytest.raises(QuestionError, match="64 KiB"):
            client.ask({"question": "x" * 100_000})
        with pytest.raises(QuestionError, match="64 KiB"):
            client.ask({"question": "x" * 5_000_000})
        with pytest.raises(QuestionError, match="empty"):
            client.ask({"question": " "})

    assert told["verdict"] == "not_found"
    assert "the archive is empty" in told["text"]


def test_loopback_port_serves_the_page_to_this_machine_only(daemon: Daemon) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with daemon.running(fake=True, listen=f"127.0.0.1:{port}") as client:
        page = httpx.get(f"http://127.0.0.1:{port}/")
        script = httpx.get(f"http://127.0.0.1:{port}/page.js")
        foreign = httpx.get(f"http://127.0.0.1:{port}/", headers={"host": "evil.example"})
        client.ask({"question": "Is there a lorry?"})

    assert (page.status_code, script.status_code, foreign.status_code) == (200, 200, 403)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert f"(process {os.getpid()})" in daemon.log


def test_running_question_can_be_cancelled(daemon: Daemon, footage: Path) -> None:
    shutil.copy(footage, daemon.watched / "yard.mp4")
    with daemon.running(fake=True, reply_s=100.0) as client:
        ended_jobs(client, 1)
        question = client.ask({"question": "Is there a lorry?"})
        until(lambda: client.question(question)["state"] == "running", "the first round")
        began_s = time.monotonic()
        client.cancel(question)
        names = [event.name for event in client.follow(question)]
        took_s = time.monotonic() - began_s
        told = client.question(question)

    assert names[-1] == "done"
    assert told["state"] == "cancelled"
    assert told["text"] == "The question was cancelled after 0 rounds."
    assert took_s < 2.0


def test_asking_outlives_a_daemon_that_is_killed_over_the_question(
    daemon: Daemon, footage: Path
) -> None:
    shutil.copy(footage, daemon.watched / "yard.mp4")
    told: list[Event] = []
    client = daemon.start(fake=True, reply_s=0.4)
    ended_jobs(client, 1)
    question = client.ask({"question": "Is there a lorry?"}, key="k")

    def follow() -> None:
        with Client(daemon.socket) as follower:
            told.extend(follower.follow(question, WITHIN_S))

    following = threading.Thread(target=follow)
    following.start()
    until(lambda: client.question(question)["steps"], "the first round")
    daemon.kill()
    client.close()
    with daemon.running(fake=True) as client:
        again = client.ask({"question": "Is there a lorry?"}, key="k")
        following.join(WITHIN_S)
        listed = client.questions()

    names = [event.name for event in told]
    assert (names[0], names[-1]) == ("queued", "done")
    assert names.count("step") == 3
    assert told[-1].data["verdict"] == "answered"
    assert again == question
    assert [one["id"] for one in listed] == [question]


def test_clip_is_written_whole_or_not_at_all(daemon: Daemon, footage: Path) -> None:
    out = daemon.folder / "out.mp4"
    with daemon.running(fake=True) as client:
        shutil.copy(footage, daemon.watched / "yard.mp4")
        (number,) = ended_jobs(client, 1)["yard.mp4"]["recordings"]
        client.clip(number, 2.0, 4.0, out)
        with pytest.raises(QuestionError, match="start_s must be less"):
            client.clip(number, 99.0, 100.0, daemon.folder / "none.mp4")

    assert out.stat().st_size > 1000
    assert sorted(path.name for path in daemon.folder.glob("*.mp4*")) == ["out.mp4"]


def test_client_says_what_is_wrong_where_no_daemon_answers(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"no socket at .* start one with `edge-lvr1 run`"):
        Client(tmp_path / "none").status()
    with pytest.raises(Unreachable, match="can be reached"):
        Client(tmp_path / ("x" * 120)).status()
