"""Browsers at the loopback port: tokens, cookies, and pages from elsewhere."""

from __future__ import annotations

import pwd
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_lvr1.config import Access, Limits, Settings
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http.api import create_app
from edge_lvr1.daemon.http.peer import Peer
from edge_lvr1.daemon.http.tokens import cookie_name, load_token, token_path
from edge_lvr1.errors import SettingsError
from tests.daemon.asgi import Http

TOKEN = "a-token-that-nobody-guesses-0123456789"
HERE = "http://localhost:8765"
COOKIE = {"cookie": f"{cookie_name('localhost:8765')}={TOKEN}"}
BEARER = {"authorization": f"Bearer {TOKEN}"}
QUESTION: dict[str, Any] = {"json": {"question": "Is there a lorry?"}}


@pytest.fixture
def web(context: Context) -> Http:
    return Http(create_app(context, TOKEN), HERE)


def of(context: Context, **sections: Any) -> Context:
    """The context with other settings."""
    return replace(context, settings=context.settings.model_copy(update=sections))


@pytest.mark.parametrize("proof", [BEARER, COOKIE, {"authorization": f"bearer  {TOKEN} "}])
def test_token_opens_the_port_as_a_bearer_and_as_a_cookie(web: Http, proof: dict[str, str]) -> None:
    assert web.get("/v1/status", headers=proof).status_code == 200


@pytest.mark.parametrize(
    "proof",
    [
        {},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": "Bearer \xff".encode("latin-1").decode("latin-1")},
        {"cookie": f"edge_lvr1_1234={TOKEN}"},
        {"cookie": "edge_lvr1_8765="},
        {"cookie": ";;=;=="},
        {"authorization": "Bearer wrong", **COOKIE},
    ],
)
def test_without_the_token_the_port_tells_nothing(web: Http, proof: dict[str, str]) -> None:
    raw = {name: value.encode("latin-1") for name, value in proof.items()}

    answer = web.get("/v1/recordings", headers=raw)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert list(answer.json()) == ["error"]


def test_no_token_is_taken_where_there_is_none(context: Context) -> None:
    http = Http(create_app(context), HERE)

    assert http.get("/v1/status", headers={"authorization": "Bearer None"}).status_code == 401
    assert http.get("/v1/status", headers={"authorization": "Bearer "}).status_code == 401


def test_token_has_its_role_and_no_other(context: Context) -> None:
    offer = {"json": {"path": "/nothing"}, "headers": BEARER}
    asking = Http(create_app(context, TOKEN), HERE)
    taking = Http(create_app(of(context, access=Access(token_role="ingest")), TOKEN), HERE)

    assert asking.post("/v1/ingest", **offer).status_code == 403
    assert taking.post("/v1/ingest", **offer).status_code == 404


def test_page_is_open_and_its_address_with_the_token_sets_the_cookie(web: Http) -> None:
    opened = web.get(f"/?token={TOKEN}", follow_redirects=False)

    cookie = opened.headers["set-cookie"]
    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    assert cookie.startswith(f"edge_lvr1_8765={TOKEN};")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert TOKEN not in opened.headers["location"] + opened.text
    assert web.get("/").status_code == 200
    assert web.get("/page.js").status_code == 200


def test_wrong_token_in_the_address_leads_to_the_page_without_a_cookie(web: Http) -> None:
    opened = web.get("/?token=wrong", follow_redirects=False)

    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    assert "set-cookie" not in opened.headers


def test_form_takes_the_token_for_the_cookie(web: Http) -> None:
    given = web.post("/login", json={"token": f" {TOKEN} "}, headers={"origin": HERE})

    assert given.status_code == 204
    assert given.headers["set-cookie"].startswith(f"edge_lvr1_8765={TOKEN};")
    assert web.post("/login", json={"token": "wrong"}).status_code == 403
    assert web.post("/login", json={"token": "é"}).status_code == 403


def test_wrong_tokens_are_soon_told_to_wait_while_the_right_one_works(web: Http) -> None:
    told = [
        web.get("/v1/status", headers={"authorization": f"Bearer {n}"}).status_code
        for n in range(20)
    ]

    assert told == [401] * 10 + [429] * 10
    assert web.post("/login", json={"token": "wrong"}).status_code == 429
    assert web.get("/v1/status", headers=BEARER).status_code == 200
    assert web.post("/login", json={"token": TOKEN}).status_code == 204


def test_token_means_nothing_on_the_socket_and_is_not_needed_there(context: Context) -> None:
    stranger = Peer(1, 54321, 54321)
    http = Http(create_app(context, TOKEN), peer=stranger)

    assert http.get("/v1/status", headers=BEARER).status_code == 403
    assert http.get("/v1/status", headers=COOKIE).status_code == 403
    assert "set-cookie" not in http.get(f"/?token={TOKEN}", follow_redirects=False).headers


def test_proxy_user_on_the_socket_needs_the_token_and_a_loopback_host(context: Context) -> None:
    name = pwd.getpwuid(1).pw_name
    proxied = Http(
        create_app(of(context, access=Access(proxy_users=(name,))), TOKEN), peer=Peer(1, 1, 1)
    )

    assert proxied.get("/v1/status").status_code == 401
    shown = {"authorization": BEARER["authorization"]}
    assert proxied.get("/v1/status", headers=shown).status_code == 200
    assert proxied.get("/v1/status", headers={**shown, "host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1234"},
        {"origin": "https://localhost:8765"},
        {"host": "evil.example"},
        {"host": "localhost.evil.example:8765"},
        {"host": ""},
        {"origin": "http://[bad"},
        {"host": "[bad"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_requests_of_foreign_web_pages_are_refused(web: Http, headers: dict[str, str]) -> None:
    for proof in (BEARER, COOKIE):
        assert web.get("/v1/status", headers={**proof, **headers}).status_code == 403


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1:8765", "[::1]:8765"])
def test_requests_of_our_own_page_are_answered(web: Http, host: str) -> None:
    headers = {"host": host, "origin": f"http://{host}", **COOKIE}

    assert web.post("/v1/questions", headers=headers, **QUESTION).status_code == 202


def test_link_from_elsewhere_opens_the_page_but_nothing_else(web: Http) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", **COOKIE}

    assert web.get("/", headers=link).status_code == 200
    assert web.get("/v1/status", headers=link).status_code == 403
    assert web.post("/", headers=link).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": "same-origin"}, 202),
        ({"origin": HERE}, 202),
        ({"x-edge-lvr1": "1"}, 202),
    ],
)
def test_cookie_alone_changes_nothing(web: Http, headers: dict[str, str], status: int) -> None:
    answer = web.post("/v1/questions", headers={**COOKIE, **headers}, **QUESTION)

    assert answer.status_code == status
    assert web.post("/v1/questions", headers=BEARER, **QUESTION).status_code == 202


def test_foreign_pages_are_refused_on_the_socket_too(http: Http) -> None:
    assert http.get("/v1/status", headers={"origin": "https://evil.example"}).status_code == 403
    assert http.get("/v1/status", headers={"host": "anything"}).status_code == 200


def test_token_is_made_once_for_its_owner_only(settings: Settings) -> None:
    settings.data.mkdir()

    first, again = load_token(settings), load_token(settings)

    path = token_path(settings)
    assert first == again == path.read_text("ascii").strip()
    assert len(first) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in settings.data.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        ("short", 0o600, "32 or more"),
        ("", 0o600, "32 or more"),
        ("two words that are long enough to be one", 0o600, "without spaces"),
        ("x" * 2000, 0o600, "32 or more"),
        (TOKEN, 0o644, "read by everybody"),
    ],
)
def test_token_file_that_is_no_good_is_refused(
    settings: Settings, tmp_path: Path, content: str, mode: int, why: str
) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(mode)
    given = settings.model_copy(update={"access": Access(token_file=path)})

    with pytest.raises(SettingsError, match=why) as told:
        load_token(given)

    assert TOKEN not in str(told.value)


def test_token_file_that_is_not_there_is_not_made(settings: Settings, tmp_path: Path) -> None:
    given = settings.model_copy(update={"access": Access(token_file=tmp_path / "token")})

    with pytest.raises(SettingsError, match="No such file"):
        load_token(given)


def test_no_answer_log_or_audit_entry_holds_the_token(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    web = Http(create_app(context, TOKEN), HERE)

    answers: list[httpx.Response] = [
        web.get("/v1/status", headers=BEARER),
        web.get("/metrics", headers=BEARER),
        web.get("/openapi.json", headers=BEARER),
        web.get(f"/v1/nothing?token={TOKEN}", headers=BEARER),
        web.post("/v1/ingest", headers=BEARER, json={"path": "/x"}),
        web.post("/login", json={"token": TOKEN, "more": TOKEN}),
        web.get(f"/v1/status?token={TOKEN}"),
        web.get(f"/v1/recordings?limit={TOKEN}", headers=BEARER),
    ]

    assert all(TOKEN not in answer.text for answer in answers)
    ours = [one for one in caplog.records if one.name.startswith(("edge_lvr1", "uvicorn"))]
    assert ours
    assert all(TOKEN not in one.getMessage() for one in ours)
    assert all(TOKEN not in one.what + one.who for one in context.audit.entries())


def test_client_that_asks_too_often_waits_while_others_are_answered(context: Context) -> None:
    few = of(context, limits=Limits(burst=3, requests_per_s=0.1))
    app = create_app(few, TOKEN)
    web = Http(app, HERE)

    told = [web.get("/v1/status", headers=BEARER) for _ in range(4)]

    assert [one.status_code for one in told] == [200, 200, 200, 429]
    assert 1 <= int(told[-1].headers["retry-after"]) <= 10
    assert web.get("/healthz").status_code == 200
    assert Http(app).get("/v1/status").status_code == 200
