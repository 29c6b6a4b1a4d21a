"""What a client may cost: counted connections and requests, and slow ones cut off."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from edge_lvr1.config import Limits
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http import protocol
from edge_lvr1.daemon.http.api import create_app
from edge_lvr1.daemon.http.limits import Buckets, Connections, Refusal, Turns
from tests.daemon.serving import serving

TOKEN = "a-token-that-nobody-guesses-0123456789"
ASKS = b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer " + TOKEN.encode()
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
WITHIN_S = 20.0


@dataclass
class Link:
    """A connection that is counted, as `Connections` sees one."""

    idle: bool = True
    dropped: bool = False

    def drop(self) -> None:
        self.dropped = True

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def test_bucket_lets_a_burst_through_and_then_so_many_a_second() -> None:
    now = [0.0]
    buckets = Buckets(2.0, 3, lambda: now[0])

    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] = 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    now[0] = 1000.0
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_buckets_of_many_clients_are_bounded_and_keep_the_busy_ones() -> None:
    now = [0.0]
    buckets = Buckets(0.001, 2, lambda: now[0])
    for number in range(1500):
        now[0] += 0.001
        buckets.take(f"client {number}")
        assert buckets.take("busy") > 0 or number < 2

    assert len(buckets._filled) <= 1000


def test_one_client_cannot_take_all_connections() -> None:
    doors = Connections(16, 8)
    mine = [Link(idle=False) for _ in range(9)]

    told = [doors.enter(link, "uid:1") for link in mine]

    assert told[:8] == [None] * 8
    assert told[8] == Refusal(429, "you have 8 connections open already; close some", 1)
    assert doors.enter(Link(), "uid:2") is None
    doors.leave(mine[0])
    assert doors.enter(Link(), "uid:1") is None


def test_clients_own_idle_connection_makes_room_for_its_next() -> None:
    doors = Connections(16, 2)
    busy, idle, new = Link(idle=False), Link(), Link()
    for link in (busy, idle, new):
        assert doors.enter(link, "uid:1") is None

    assert (busy.dropped, idle.dropped, len(doors)) == (False, True, 2)


def test_client_with_few_connections_displaces_an_idle_one_of_who_has_many() -> None:
    doors = Connections(8, 8)
    greedy = [Link() for _ in range(6)]
    for link in greedy:
        assert doors.enter(link, "uid:1") is None

    assert doors.enter(Link(), "uid:2") is None
    assert [link.dropped for link in greedy] == [True] + [False] * 5
    assert doors.enter(Link(), "uid:1") == Refusal(
        503, "too many connections are open; come again in a moment", 2
    )


def test_some_connections_are_kept_for_root_and_the_daemons_own_user() -> None:
    doors = Connections(8, 8)
    for _ in range(6):
        assert doors.enter(Link(idle=False), "uid:1") is None

    assert doors.enter(Link(), "uid:2") is not None
    assert doors.enter(Link(), "uid:0", privileged=True) is None
    assert doors.enter(Link(), "uid:0", privileged=True) is None


def test_requests_of_one_client_wait_for_each_other_and_not_for_others() -> None:
    async def run() -> list[str]:
        turns, order = Turns(at_once=1), list[str]()
        held = asyncio.Event()

        async def ask(client: str, name: str) -> None:
            async with turns.turn(client):
                order.append(name)
                if name == "first":
                    await held.wait()

        first = asyncio.create_task(ask("a", "first"))
        await asyncio.sleep(0)
        second = asyncio.create_task(ask("a", "second"))
        await asyncio.sleep(0)
        await ask("b", "other")
        held.set()
        await asyncio.gather(first, second)
        assert not turns._turns
        return order

    assert asyncio.run(run()) == ["first", "other", "second"]


# --- over real sockets ---


@pytest.fixture
def limits() -> Limits:
    return Limits(
        max_connections=12,
        max_connections_per_client=4,
        request_timeout_s=0.5,
        max_header_kib=4,
        max_body_kib=4,
    )


@pytest.fixture
def port(context: Context, limits: Limits, tmp_path: Path) -> Iterator[int]:
    given = replace(context, settings=context.settings.model_copy(update={"limits": limits}))
    with serving(create_app(given, TOKEN), limits, tmp_path / "sock") as port:
        yield port


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S) as link:
        yield link


def once(link: socket.socket) -> int:
    """The status of one answer, read whole."""
    came = b""
    while b"\r\n\r\n" not in came:
        came += link.recv(65536)
    head, _, body = came.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    while len(body) < length:
        body += link.recv(65536)
    return int(head.split()[1])


def told(link: socket.socket) -> tuple[int, dict[str, Any], str]:
    """Status, JSON and head of what is answered until the connection ends."""
    came = b"".join(iter(lambda: link.recv(65536), b""))
    head, _, body = came.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body), head.decode("latin-1")


def test_half_a_head_is_cut_off_however_slowly_it_goes_on(port: int) -> None:
    with connected(port) as link:
        begun = time.monotonic()
        status = _dripped(link, b"GET /healthz HTTP/1.1\r\nx: ")

    assert status == 408
    assert 0.4 < time.monotonic() - begun < 5


def test_half_a_body_is_cut_off_however_slowly_it_goes_on(port: int) -> None:
    with connected(port) as link:
        head = b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4000\r\n\r\n"
        assert _dripped(link, head) == 408


def test_who_says_nothing_is_cut_off_without_a_word(port: int) -> None:
    with connected(port) as link:
        assert link.recv(100) == b""


def test_request_in_time_is_answered_and_its_connection_kept(port: int) -> None:
    with connected(port) as link:
        for _ in range(3):
            link.sendall(HEALTH)
            assert once(link) == 200
            time.sleep(0.3)  # longer in all than one request may take


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 5000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 5000,
        b"GET /healthz?" + b"y" * 5000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 900 + b"\r\n",
    ],
)
def test_head_that_is_too_long_is_refused(port: int, request_: bytes) -> None:
    with connected(port) as link:
        link.sendall(request_)
        status, body, _ = told(link)

    assert status == 431
    assert "4 KiB long together" in body["error"]


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40,
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n no: fold\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /login HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_refused_in_one_sentence(port: int, request_: bytes) -> None:
    with connected(port) as link:
        link.sendall(request_)
        status, body, _ = told(link)

    assert status == 400
    assert list(body) == ["error"]


def test_body_that_is_too_long_is_refused_once_it_is_sent(port: int) -> None:
    with connected(port) as link:
        head = b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 500000\r\n\r\n"
        link.sendall(head + b"x" * 500_000)
        status, body, _ = told(link)

    assert (status, body["error"][:28]) == (413, "a request may be 4 KiB long;")


def test_half_a_request_does_nothing(port: int) -> None:
    body = json.dumps({"question": "Is there a lorry?"}).encode()
    head = b"POST /v1/questions" + ASKS.removeprefix(b"GET /v1/status")
    with connected(port) as link:
        link.sendall(head + b"\r\ncontent-length: 500\r\n\r\n" + body)
        link.shutdown(socket.SHUT_WR)
        link.recv(100)
    with connected(port) as link:
        link.sendall(ASKS.replace(b"status", b"questions") + b"\r\nconnection: close\r\n\r\n")
        status, answer, _ = told(link)

    assert (status, answer) == (200, {"questions": []})


def test_own_user_gets_through_while_others_hold_half_requests(port: int, tmp_path: Path) -> None:
    with ExitStack() as stack:
        for _ in range(4):
            link = stack.enter_context(connected(port))
            link.sendall(ASKS)
        with socket.socket(socket.AF_UNIX) as own:
            own.connect(str(tmp_path / "sock"))
            own.sendall(HEALTH)
            assert once(own) == 200


def test_idle_connections_make_room_for_new_ones(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            link = stack.enter_context(connected(port))
            link.sendall(HEALTH)
            assert once(link) == 200


def test_busy_connections_of_a_client_are_refused_more(limits: Limits, tmp_path: Path) -> None:
    app, go_on = FastAPI(), threading.Event()

    @app.get("/wait")
    def wait() -> str:
        assert go_on.wait(WITHIN_S)
        return "done"

    slow = limits.model_copy(update={"request_timeout_s": 10.0})
    with serving(app, slow, tmp_path / "sock") as port, ExitStack() as stack:
        links = [stack.enter_context(connected(port)) for _ in range(4)]
        for link in links:
            link.sendall(b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n")
        time.sleep(0.1)
        with connected(port) as more:
            more.sendall(HEALTH)
            status, body, head = told(more)
        go_on.set()
        answers = [once(link) for link in links]

    assert (status, body["error"]) == (429, "you have 4 connections open already; close some")
    assert "retry-after: 1" in head
    assert answers == [200] * 4


def test_answer_that_nobody_reads_is_given_up(
    limits: Limits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "UNREAD_S", 0.3)
    app = FastAPI()

    @app.get("/much")
    def much() -> StreamingResponse:
        return StreamingResponse(repeat(b"x" * 65536))

    with serving(app, limits, tmp_path / "sock") as port, connected(port) as link:
        link.sendall(b"GET /much HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert _is_cut_off(link)


def _dripped(link: socket.socket, begin: bytes) -> int:
    """Send a byte at a time until something is answered; its status."""
    link.sendall(begin)
    link.settimeout(0.05)
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        try:
            return int(link.recv(65536).split()[1])
        except TimeoutError:
            link.sendall(b"y")
    raise AssertionError("never cut off")


def _is_cut_off(link: socket.socket) -> bool:
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        try:
            link.sendall(b"x")
        except (BrokenPipeError, ConnectionResetError):
            return True
        time.sleep(0.05)
    return False
