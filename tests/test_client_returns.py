"""A client whose daemon goes away: what is sent again, and what is told once."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_lvr1.client import Client
from edge_lvr1.client_events import Event, Told, events
from edge_lvr1.errors import DaemonError, Unreachable


def answer(status: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode("ascii")
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n"
    return head.encode("ascii") + b"connection: close\r\n\r\n" + data


def stream(*told: tuple[str, dict[str, Any]]) -> bytes:
    blocks = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in told)
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    return (head + blocks).encode("ascii")


@contextmanager
def scripted(path: Path, *answers: bytes) -> Iterator[list[str]]:
    """A daemon that gives these answers in order, b"" being a connection that breaks."""
    requests: list[str] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(20.0)

        def serve() -> None:
            left = list(answers)
            while left:
                link, _ = listening.accept()
                with link:
                    link.settimeout(20.0)
                    if not (request := link.recv(65536)):
                        continue  # only a knock
                    requests.append(request.decode("latin-1"))
                    link.sendall(left.pop(0))

        thread = threading.Thread(target=serve)
        thread.start()
        yield requests
        thread.join(20.0)
        assert not thread.is_alive()


ACCEPTED = answer("202 Accepted", {"id": "q1", "state": "queued", "events": "/"})


def keys(requests: list[str]) -> list[str]:
    lines = [line for request in requests for line in request.split("\r\n")]
    return [line for line in lines if line.lower().startswith("idempotency-key: ")]


def test_question_whose_answer_was_lost_is_sent_again_with_its_key(tmp_path: Path) -> None:
    with scripted(tmp_path / "s", b"", ACCEPTED) as requests, Client(tmp_path / "s") as client:
        assert client.ask({"question": "Why?"}) == "q1"

    first, again = keys(requests)
    assert first == again
    assert len(first) > 40


def test_each_question_has_a_key_of_its_own_unless_it_is_given(tmp_path: Path) -> None:
    with (
        scripted(tmp_path / "s", ACCEPTED, ACCEPTED, ACCEPTED) as requests,
        Client(tmp_path / "s") as client,
    ):
        for key in (None, None, "mine"):
            client.ask({"question": "Why?"}, key)

    first, second, given = keys(requests)
    assert first != second
    assert given.endswith(": mine")


def test_what_a_daemon_refuses_is_not_sent_again(tmp_path: Path) -> None:
    busy = answer("429 Too Many Requests", {"error": "the queue is full"})
    with (
        scripted(tmp_path / "s", busy) as requests,
        Client(tmp_path / "s") as client,
        pytest.raises(DaemonError, match="the queue is full"),
    ):
        client.ask({"question": "Why?"})

    assert len(requests) == 1


def test_daemon_that_does_not_return_is_said(tmp_path: Path) -> None:
    with (
        scripted(tmp_path / "s", b""),
        Client(tmp_path / "s") as client,
        pytest.raises(Unreachable),
    ):
        client.ask({"question": "Why?"}, wait_s=0.0)


def test_following_goes_on_where_the_daemon_returns(tmp_path: Path) -> None:
    one, two = {"round": 1, "action": "a", "seconds": 1.0}, {"round": 2, "action": "b"}
    before = stream(("queued", {}), ("started", {}), ("step", one))
    known = answer("200 OK", {"id": "q1"})
    after = stream(
        ("queued", {}), ("started", {}), ("step", {**one, "seconds": 2.0}), ("step", two)
    )
    ended = stream(("queued", {}), ("step", one), ("step", two), ("done", {"id": "q1"}))
    waits: list[None] = []

    with (
        scripted(tmp_path / "s", before, known, after, b"", known, ended),
        Client(tmp_path / "s") as client,
    ):
        told = list(client.follow("q1", 20.0, lambda: waits.append(None)))

    assert [event.name for event in told] == ["queued", "started", "step", "step", "done"]
    assert [event.data["action"] for event in told[2:4]] == ["a", "b"]
    assert len(waits) == 2


def test_following_without_patience_says_that_the_daemon_stopped(tmp_path: Path) -> None:
    with (
        scripted(tmp_path / "s", stream(("queued", {}))),
        Client(tmp_path / "s") as client,
        pytest.raises(Unreachable, match="stopped before question q1 was answered"),
    ):
        list(client.follow("q1"))


def test_steps_that_differ_when_a_question_is_asked_anew_are_told() -> None:
    told = Told()
    steps = [
        Event("step", {"round": number, "action": action})
        for number, action in ((1, "a"), (2, "b"), (1, "a"), (2, "c"), (3, "d"))
    ]

    assert [told.is_news(step) for step in steps] == [True, True, False, True, True]


def test_a_stream_is_read_event_by_event() -> None:
    lines = iter(["event: step", 'data: {"a": 1}', "", ": still there", "", "event: done", ""])

    assert list(events(lines)) == [Event("step", {"a": 1}), Event("done", {})]
