"""Access to a real daemon: other users, tokens, and requests that are wrong in every way."""

from __future__ import annotations

import grp
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_lvr1.config import Access
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http.api import create_app
from edge_lvr1.daemon.http.peer import Peer
from tests.daemon.asgi import Http
from tests.daemon.operations import operations
from tests.daemon.processes import Daemon
from tests.daemon.stranger import as_user

INSIDE, OUTSIDE, THIRD = 54321, 54322, 54323
ASKING = grp.getgrall()[1]
STATUS = "GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
HEALTH = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
OFFER = (
    "POST /v1/ingest HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    'content-type: application/json\r\ncontent-length: 14\r\n\r\n{"path":"/etc"}'
).replace("14", "15")
SEED = 20261
UNPRIVILEGED = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon that one group may ask, in a folder which others may enter."""
    folder = Path(tempfile.mkdtemp(prefix="edge-lvr1-access-"))
    folder.chmod(0o755)
    access = {"group": ASKING.gr_name, "ask": [ASKING.gr_name], "ingest": [], "admin": []}
    place = Daemon(folder, given={"fake": True, "access": access})
    place.given["listen"] = f"127.0.0.1:{free_port()}"
    # So many that what is refused is refused for what it is.
    place.given["limits"] = {"requests_per_s": 1e6, "burst": 10**6, "request_timeout_s": 0.5}
    try:
        place.start()
        yield place
        assert place.stop() == 0, place.log
    finally:
        place.kill()
        shutil.rmtree(folder)


@pytest.fixture
def token(daemon: Daemon) -> str:
    return (daemon.data / "web-token").read_text("ascii").strip()


@pytest.fixture
def address(daemon: Daemon) -> str:
    return f"http://{daemon.given['listen']}"


def by(uid: int, groups: list[int], daemon: Daemon, *requests: str) -> list[Any]:
    given = {"socket": str(daemon.socket), "requests": list(requests)}
    found: list[Any] = as_user(uid, uid, groups, "ask", **given)
    return found


@UNPRIVILEGED
def test_user_in_the_group_may_ask_and_no_more(daemon: Daemon) -> None:
    status, offer = by(INSIDE, [ASKING.gr_gid], daemon, STATUS, OFFER)

    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o660
    assert daemon.socket.stat().st_gid == ASKING.gr_gid
    assert status[0] == 200
    assert offer[0] == 403
    assert "root or the daemon's own user" in offer[1]


@UNPRIVILEGED
def test_user_outside_the_group_does_not_reach_the_socket(daemon: Daemon) -> None:
    assert by(OUTSIDE, [OUTSIDE], daemon, HEALTH, STATUS) == ["PermissionError"] * 2


@UNPRIVILEGED
def test_user_outside_the_group_is_refused_where_the_mode_lets_anybody_in(daemon: Daemon) -> None:
    daemon.socket.chmod(0o666)
    try:
        health, status, offer = by(OUTSIDE, [OUTSIDE], daemon, HEALTH, STATUS, OFFER)
    finally:
        daemon.socket.chmod(0o660)

    assert health[0] == 200
    assert (status[0], offer[0]) == (403, 403)
    assert f"membership in group {ASKING.gr_name}" in status[1]


@UNPRIVILEGED
def test_group_that_a_process_gave_up_does_not_count(daemon: Daemon) -> None:
    daemon.socket.chmod(0o666)
    try:
        (status,) = by(INSIDE, [], daemon, STATUS)
    finally:
        daemon.socket.chmod(0o660)

    assert status[0] == 403


def test_browser_gets_in_with_the_token_once_and_then_by_cookie(
    daemon: Daemon, address: str, token: str
) -> None:
    with httpx.Client(base_url=address, trust_env=False) as browser:
        before = browser.get("/v1/status").status_code
        page = browser.get("/", params={"token": token}, follow_redirects=True)
        after = browser.get("/v1/status", headers={"sec-fetch-site": "same-origin"})
        asked = browser.post(
            "/v1/questions", json={"question": "Is there a lorry?"}, headers={"origin": address}
        )
        foreign = browser.post("/v1/questions", json={"question": "Is there a lorry?"})
        events = browser.get(asked.json()["events"]).text

    assert (before, page.status_code, after.status_code) == (401, 200, 200)
    assert str(page.url) == f"{address}/"
    assert (asked.status_code, foreign.status_code) == (202, 403)
    assert "event: done" in events


def test_token_is_nowhere_but_in_its_file(daemon: Daemon, address: str, token: str) -> None:
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=address, headers=headers, trust_env=False) as web:
        told = [web.get(path).text for path in ("/v1/status", "/metrics", "/openapi.json", "/")]
        web.get(f"/v1/nothing?token={token}")
    database = b"".join(file.read_bytes() for file in daemon.data.glob("archive.db*"))

    assert all(token not in one for one in told)
    assert token not in daemon.log
    assert str(daemon.data / "web-token") in daemon.log
    assert token.encode() not in database


def forbidden(context: Context, asked: list[list[str]]) -> list[str]:
    """The operations that are refused to whoever may only ask."""
    access = Access(ask=(ASKING.gr_name,), ingest=(), admin=())
    settings = context.settings.model_copy(update={"access": access})
    asker = Peer(1, INSIDE, INSIDE, frozenset({ASKING.gr_gid}))
    http = Http(create_app(replace(context, settings=settings)), peer=asker)
    return [
        f"{method} {path}"
        for method, path, body in asked
        if http.request(method, path, content=body).status_code == 403
    ]


def attacked(daemon: Daemon, context: Context, token: str, count: int) -> dict[str, dict[str, Any]]:
    """Send mutated requests as a user of the group, with the token, and as nobody."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(daemon.socket))) as own:
        asked = operations(own.get("http://edge/openapi.json").json())
    assert "POST /v1/ingest" in forbidden(context, asked)
    page = [["GET", "/", ""], ["GET", "/page.js", ""], ["POST", "/login", '{"token":"x"}']]
    given = {"operations": [*asked, *page], "forbidden": forbidden(context, asked)}
    nothing = [f"{method} {path}" for method, path, _ in asked if path != "/healthz"]
    port = int(daemon.given["listen"].rpartition(":")[2])
    ways: dict[str, dict[str, Any]] = {
        "token": {"port": port, "token": token},
        "no token": {"port": port, "token": None, "forbidden": nothing},
    }
    uid, groups = None, list[int]()
    if os.geteuid() == 0:
        ways["socket"] = {"socket": str(daemon.socket)}
        uid, groups = INSIDE, [ASKING.gr_gid]
    told = {}
    for number, (way, where) in enumerate(ways.items()):
        more = {**given, "seed": SEED + number, "count": count // len(ways), **where}
        told[way] = as_user(uid, uid, groups, "barrage", **more)
    return told


def check_unharmed(daemon: Daemon, told: dict[str, dict[str, Any]]) -> None:
    """The daemon lives, broke nowhere, and did nothing that was not for whoever asked."""
    broke = daemon.log.partition("Traceback")[2]
    assert not broke, broke[-3000:]
    for way, found in told.items():
        assert not found["wrong"], f"{way}: {found['wrong']}"
    assert not daemon.is_gone(), daemon.log
    with daemon.client as client:
        assert client.jobs() == []
        assert client.recordings() == []
        assert client.status()["pid"] == (daemon.process.pid if daemon.process else 0)
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(daemon.socket))) as own:
        assert own.get("http://edge/healthz").status_code == 200


def test_mutated_requests_neither_stop_the_daemon_nor_get_past_the_roles(
    daemon: Daemon, context: Context, token: str
) -> None:
    told = attacked(daemon, context, token, 360)

    check_unharmed(daemon, told)
    assert all(any(one.startswith("2") for one in found["outcomes"]) for found in told.values())


@pytest.mark.reliability
@pytest.mark.timeout(1800)
def test_20000_mutated_requests(daemon: Daemon, context: Context, token: str) -> None:
    told = attacked(daemon, context, token, 20_100)

    for way, one in told.items():
        print(f"{way}: {one['seconds']:.0f} s", one["outcomes"])
    check_unharmed(daemon, told)
