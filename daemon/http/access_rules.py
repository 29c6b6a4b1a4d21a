"""Who may do what: the role of each request, and the routes' dependency on one.

Each request has a `Who` and a `Role` in its state before a route sees it (`guard.py` puts
them there). Whoever may ask may also see every question and answer, whoever asked: the
archive is one body of evidence for one team. What differs is who may end one (whoever asked
it, or an admin), have files taken in (ingest), and hold, release or remove recordings (admin).
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import time
from collections.abc import Callable, Sequence

from fastapi import Depends, Request, params
from starlette.types import Scope

from edge_lvr1.access import Role, Who
from edge_lvr1.config import Access
from edge_lvr1.daemon.http.peer import PEER_KEY, Peer, name_of
from edge_lvr1.errors import AccessError

ROOT = 0
_WHO, _ROLE, _RULES = "who", "role", "rules"
_FRESH_S = 10.0  # how long names and numbers are believed; looking them up may ask a directory


def is_privileged(uid: int) -> bool:
    """Whether a user is root or the daemon's own: admin, and never kept waiting by others."""
    return uid in (ROOT, os.geteuid())


class Rules:
    """Which role somebody has, by the settings' groups. `clock` gives seconds."""

    def __init__(self, settings: Access, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._until = float("-inf")
        self._gids: dict[Role, frozenset[int]] = {}
        self._proxies: frozenset[int] = frozenset()
        self._names: dict[int, str] = {}

    def knows(self, peer: Peer) -> bool:
        """Whether nothing has to be looked up for a peer, which can take its time."""
        return self._clock() < self._until and peer.uid in self._names

    def look_up(self, peer: Peer) -> None:
        """Ask the system for the numbers of the settings' groups and for the peer's name."""
        if self._clock() >= self._until:
            self._gids = {role: _gids(self.groups(role)) for role in CHECKS}
            self._proxies = _uids(self._settings.proxy_users)
            self._names = {}
            self._until = self._clock() + _FRESH_S
        self._names[peer.uid] = name_of(peer.uid)

    def who(self, peer: Peer) -> Who:
        """A process on the UNIX socket, as somebody."""
        name = self._names.get(peer.uid, f"number {peer.uid}")
        return Who("socket", peer.uid, peer.gid, peer.pid, name)

    def role(self, peer: Peer) -> Role:
        """The highest role of a process on the UNIX socket."""
        if is_privileged(peer.uid):
            return Role.ADMIN
        for role in (Role.ADMIN, Role.INGEST, Role.ASK):
            if self._gids.get(role, frozenset()) & peer.groups:
                return role
        return Role.NONE

    def is_proxy(self, peer: Peer) -> bool:
        """Whether a process passes on what a browser sends, so that a token counts instead."""
        return peer.uid in self._proxies

    def groups(self, role: Role) -> Sequence[str]:
        """The groups that are given a role."""
        given = {
            Role.ASK: self._settings.ask,
            Role.INGEST: self._settings.ingest,
            Role.ADMIN: self._settings.admin,
        }
        return given.get(role, ())

    def refusal(self, who: Who, wanted: Role) -> str:
        """One sentence that says what is missing."""
        if who.via != "socket":
            return (
                f"the token does not have the role {wanted.value} that this needs; "
                "use the socket, as a member of " + (_listed(self.groups(wanted)) or "root")
            )
        groups = _listed(self.groups(wanted))
        lacks = f"membership in {groups}" if groups else "to be root or the daemon's own user"
        return f"user {who.name} may not do this: it needs {lacks}"


def _listed(groups: Sequence[str]) -> str:
    return f"group {' or '.join(groups)}" if groups else ""


def _gids(names: Sequence[str]) -> frozenset[int]:
    found = set()
    for name in names:
        with contextlib.suppress(KeyError):
            found.add(grp.getgrnam(name).gr_gid)
    return frozenset(found)


def _uids(names: Sequence[str]) -> frozenset[int]:
    found = set()
    for name in names:
        with contextlib.suppress(KeyError):
            found.add(pwd.getpwnam(name).pw_uid)
    return frozenset(found)


def put_who(scope: Scope, who: Who, role: Role, rules: Rules) -> None:
    """Note in a request who sent it, for everything behind."""
    scope["state"] = {**scope.get("state", {}), _WHO: who, _ROLE: role, _RULES: rules}


def who_of(scope: Scope) -> Who:
    """Who sent a request."""
    who: Who = scope["state"][_WHO]
    return who


def role_of(scope: Scope) -> Role:
    """What whoever sent a request may do."""
    role: Role = scope["state"][_ROLE]
    return role


def told_who(who: Who) -> str:
    """Somebody in words, for the log."""
    if who.uid is None:
        return who.name or who.via
    return f"user {who.name or who.uid} (process {who.pid})"


def check(scope: Scope, wanted: Role) -> None:
    """Raise AccessError, with what is missing, where a request's sender lacks a role."""
    if not role_of(scope).allows(wanted):
        rules: Rules = scope["state"][_RULES]
        raise AccessError(rules.refusal(who_of(scope), wanted))


def needs(role: Role) -> params.Depends:
    """The dependency of a route that is only for those who have a role."""
    found: params.Depends = Depends(CHECKS[role])
    return found


async def _may_ask(request: Request) -> None:
    check(request.scope, Role.ASK)


async def _may_ingest(request: Request) -> None:
    check(request.scope, Role.INGEST)


async def _may_admin(request: Request) -> None:
    check(request.scope, Role.ADMIN)


CHECKS = {Role.ASK: _may_ask, Role.INGEST: _may_ingest, Role.ADMIN: _may_admin}
"""What a route with `needs` depends on, by role."""


def peer_in(scope: Scope) -> Peer | None:
    """The process at the other end of a request's connection; None over TCP."""
    peer: Peer | None = scope.get("state", {}).get(PEER_KEY)
    return peer
