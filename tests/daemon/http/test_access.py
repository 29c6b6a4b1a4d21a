"""Roles: which group gives which, and that no route is without one."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from dataclasses import replace
from typing import Any

import pytest

from edge_lvr1.access import Role, Who
from edge_lvr1.config import Access, Limits, Settings
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http import guard
from edge_lvr1.daemon.http.access_rules import Rules
from edge_lvr1.daemon.http.api import create_app
from edge_lvr1.daemon.http.peer import Peer, peer_at
from edge_lvr1.daemon.http.refusals import KIND, Refusals
from edge_lvr1.store.audit import what_of
from tests.daemon.asgi import Http
from tests.daemon.operations import operations

# Three groups that every system has, and somebody who is in none of them.
ASKING, TAKING, RULING = (grp.getgrgid(entry.gr_gid) for entry in grp.getgrall()[1:4])
STRANGER = 54321
ACCESS = Access(ask=(ASKING.gr_name,), ingest=(TAKING.gr_name,), admin=(RULING.gr_name,))
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def peer(*gids: int, uid: int = STRANGER) -> Peer:
    return Peer(1234, uid, STRANGER, frozenset({STRANGER, *gids}))


def rules(settings: Access = ACCESS) -> Rules:
    made = Rules(settings, lambda: 0.0)
    made.look_up(peer())
    return made


@pytest.fixture
def context(context: Context, settings: Settings) -> Context:
    given = {"access": ACCESS, "limits": Limits(burst=10_000)}
    return replace(context, settings=settings.model_copy(update=given))


@pytest.mark.parametrize(
    ("gids", "role"),
    [
        ((), Role.NONE),
        ((ASKING.gr_gid,), Role.ASK),
        ((TAKING.gr_gid,), Role.INGEST),
        ((RULING.gr_gid,), Role.ADMIN),
        ((ASKING.gr_gid, RULING.gr_gid), Role.ADMIN),
    ],
)
def test_role_is_the_highest_that_a_group_gives(gids: tuple[int, ...], role: Role) -> None:
    assert rules().role(peer(*gids)) is role


def test_root_and_the_daemons_own_user_may_do_everything() -> None:
    assert rules().role(peer(uid=0)) is Role.ADMIN
    assert rules().role(peer(uid=os.geteuid())) is Role.ADMIN


def test_group_that_does_not_exist_gives_nothing_to_anybody() -> None:
    nobodys = rules(Access(ask=("no-such-group",), ingest=(), admin=("no-such-group",)))

    assert nobodys.role(peer(ASKING.gr_gid)) is Role.NONE


def test_numbers_of_groups_are_looked_up_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    watched = Rules(ACCESS, lambda: now[0])
    watched.look_up(peer())
    monkeypatch.setattr(grp, "getgrnam", _no_group)

    assert watched.knows(peer())
    assert watched.role(peer(ASKING.gr_gid)) is Role.ASK
    now[0] = 60.0
    assert not watched.knows(peer())
    watched.look_up(peer())
    assert watched.role(peer(ASKING.gr_gid)) is Role.NONE


def test_refusal_names_the_groups_that_would_do() -> None:
    who = Who("socket", STRANGER, STRANGER, 1, "eve")

    assert rules().refusal(who, Role.INGEST) == (
        f"user eve may not do this: it needs membership in group {TAKING.gr_name}"
    )
    assert "root or the daemon's own user" in rules(Access(admin=())).refusal(who, Role.ADMIN)


def test_peer_is_told_by_the_kernel_with_its_groups() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        told = peer_at(here)

    assert told is not None
    assert (told.pid, told.uid, told.gid) == (os.getpid(), os.geteuid(), os.getegid())
    assert told.groups == {os.getegid(), *os.getgroups()}


def test_nobody_is_told_over_tcp() -> None:
    with socket.socket(socket.AF_INET) as link:
        assert peer_at(link) is None
    assert peer_at(None) is None


def test_every_operation_needs_a_role_by_itself(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the guard in front of them lets everybody through."""
    app = create_app(context)
    asked = operations(app.openapi())
    monkeypatch.setattr(guard, "OPEN", {path.partition("?")[0] for _, path, _ in asked})
    http = Http(app, peer=peer())

    told = {
        f"{method} {path}": http.request(method, path, content=body).status_code
        for method, path, body in asked
    }

    assert told.pop("GET /healthz") == 200
    assert len(told) > 15
    assert {name: status for name, status in told.items() if status != 403} == {}


def test_nobody_without_a_role_gets_past_the_guard(context: Context) -> None:
    app = create_app(context)
    http = Http(app, peer=peer())
    paths = {path for _, path, _ in operations(app.openapi())}
    paths |= {"/openapi.json", "/docs", "/nothing", "/v1", "/v1/status/", "/healthz/"}

    for path in paths - guard.OPEN:
        for method in METHODS:
            answer = http.request(method, path)
            assert answer.status_code == 403, f"{method} {path}"
            assert f"membership in group {ASKING.gr_name}" in answer.json()["error"]
    assert http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/v1/recordings", Role.ASK),
        ("GET", "/v1/questions", Role.ASK),
        ("GET", "/v1/ingest", Role.ASK),
        ("GET", "/v1/status", Role.ASK),
        ("GET", "/metrics", Role.ASK),
        ("GET", "/openapi.json", Role.ASK),
        ("POST", "/v1/ingest", Role.INGEST),
        ("GET", "/v1/recordings/1/parts", Role.ASK),
        ("GET", "/v1/audit", Role.ADMIN),
        ("POST", "/v1/cases", Role.ADMIN),
    ],
)
def test_route_is_for_its_role_and_those_above(
    context: Context, method: str, path: str, least: Role
) -> None:
    app = create_app(context)
    gids = {Role.ASK: ASKING.gr_gid, Role.INGEST: TAKING.gr_gid, Role.ADMIN: RULING.gr_gid}

    for role, gid in gids.items():
        answer = Http(app, peer=peer(gid)).request(method, path, **_body(method))
        assert (answer.status_code != 403) is role.allows(least)


def test_health_is_for_everybody_but_not_what_is_wrong(context: Context) -> None:
    context.faults.put("disk", "the disk of /srv/secret is full")
    app = create_app(context)

    assert Http(app, peer=peer()).get("/healthz").json() == {"status": "degraded", "faults": []}
    assert "/srv/secret" in Http(app, peer=peer(ASKING.gr_gid)).get("/healthz").text


def test_question_is_taken_back_by_whoever_asked_it_and_by_admins(context: Context) -> None:
    app = create_app(context)
    asker, other = Http(app, peer=peer(ASKING.gr_gid)), Http(app, peer=peer(TAKING.gr_gid, uid=4))
    first, second = (
        asker.post("/v1/questions", json={"question": "Is there a lorry?"}).json()["id"]
        for _ in range(2)
    )

    refused = other.delete(f"/v1/questions/{first}")

    assert (refused.status_code, asker.get(f"/v1/questions/{first}").json()["state"]) == (
        403,
        "queued",
    )
    assert "whoever asked" in refused.json()["error"]
    assert asker.delete(f"/v1/questions/{first}").json()["state"] == "cancelled"
    assert Http(app).delete(f"/v1/questions/{second}").json()["state"] == "cancelled"
    assert other.delete("/v1/questions/none").status_code == 404


def test_refusals_are_in_the_audit_log_without_the_query(context: Context) -> None:
    Http(create_app(context), peer=peer()).get("/v1/status?token=secret")

    (entry,) = [one for one in context.audit.entries() if one.kind == KIND]
    assert what_of(entry)["path"] == "/v1/status"
    assert str(STRANGER) in entry.who
    assert "secret" not in entry.what


def test_refusals_of_one_client_do_not_fill_the_log(context: Context) -> None:
    now = [0.0]
    refusals = Refusals(context.audit, lambda: now[0])
    eve, adam = Who("socket", 1, 1, 1, "eve"), Who("socket", 2, 2, 2, "adam")

    told = [refusals.due(eve) for _ in range(1000)]

    assert told == [0] * 10 + [None] * 990
    assert refusals.due(adam) == 0
    now[0] = 700.0
    assert refusals.due(eve) == 990


def _body(method: str) -> dict[str, Any]:
    return {"json": {"path": "/nothing"}} if method == "POST" else {}


def _no_group(name: str) -> None:
    raise KeyError(name)


def test_names_of_users_without_an_entry_are_their_numbers() -> None:
    with pytest.raises(KeyError):
        pwd.getpwuid(STRANGER)

    assert rules().who(peer()).name == f"number {STRANGER}"
