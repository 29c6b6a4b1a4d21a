"""Who may do what: the role of each request, and the routes' dependency on one.

Each request has a `Who` and a `Role` in its state before a route sees it (`guard.py` puts
them there). Whoever may ask may also see every question and answer, whoever asked: the
archive is one body of evidence for one team. What differs is who may end one (whoever asked
it, or an admin), have files taken in (ingest), and hold, release or remove recordings (admin).
"""

from __future__ import annotations

import grp
import os
import pwd
import time
from collections.abc import Callable, Sequence

from fastapi import Depends, Request, params
from starlette.types import Scope

from edge_lvr1.access import Role, Who
from edge_lvr1.config import Access
from edge_lvr1.daemon.peer import PEER_KEY, Peer, name_of
from edge_lvr1.errors import AccessError

ROOT = 0
_WHO, _ROLE, _RULES = "who", "role", "rules"
_FRESH_S = 10.0  # how long a group's number is believed; looking it up may ask a directory


class Rules:
    """Which role somebody has, by the settings' groups. `clock` gives seconds."""

    def __init__(
        self,
        settings: Access,
        own_uid: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._own_uid = os.geteuid() if own_uid is None else own_uid
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, int | None]] = {}

    def role(self, peer: Peer) -> Role:
        """The highest role of a process on the UNIX socket."""
        if peer.uid in (ROOT, self._own_uid):
            return Role.ADMIN
        for role in (Role.ADMIN, Role.INGEST, Role.ASK):
            if any(self._gid(name) in peer.groups for name in self.groups(role)):
                return role
        return Role.NONE

    def groups(self, role: Role) -> Sequence[str]:
        """The groups that are given a role."""
        given = {
            Role.ASK: self._settings.ask,
            Role.INGEST: self._settings.ingest,
            Role.ADMIN: self._settings.admin,
        }
        return given.get(role, ())

    def is_proxy(self, peer: Peer) -> bool:
        """Whether a process passes on what a browser sends, so that a token counts instead."""
        return any(self._uid(name) == peer.uid for name in self._settings.proxy_users)

    def refusal(self, who: Who, wanted: Role) -> str:
        """One sentence that says what is missing."""
        if who.via == "tcp":
            return f"this needs the role {wanted.value}, which the token does not have"
        groups = " or ".join(self.groups(wanted)) or "of root"
        plural = "one of the groups" if " or " in groups else "group"
        user = "this user" if who.uid is None else f"user {who.name}"
        return f"{user} may not do this: it needs membership in {plural} {groups}"

    def _gid(self, name: str) -> int | None:
        return self._looked_up("group", name, lambda: grp.getgrnam(name).gr_gid)

    def _uid(self, name: str) -> int | None:
        return self._looked_up("user", name, lambda: pwd.getpwnam(name).pw_uid)

    def _looked_up(self, kind: str, name: str, look: Callable[[], int]) -> int | None:
        now = self._clock()
        until, found = self._known.get((kind, name), (now, None))
        if until <= now:
            try:
                found = look()
            except KeyError:
                found = None
            self._known[kind, name] = (now + _FRESH_S, found)
        return found


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


def who_is(peer: Peer) -> Who:
    """A process on the UNIX socket, as somebody."""
    return Who("socket", peer.uid, peer.gid, peer.pid, name_of(peer.uid))


def peer_in(scope: Scope) -> Peer | None:
    """The process at the other end of a request's connection; None over TCP."""
    peer: Peer | None = scope.get("state", {}).get(PEER_KEY)
    return peer
