"""The routes of keeping: recordings held and released, backups made and listed."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from edge_lvr1.access import Role
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http.access_rules import needs, who_of
from edge_lvr1.daemon.http.footage_schemas import HoldOut, hold_out
from edge_lvr1.daemon.http.schemas import Shown
from edge_lvr1.daemon.keeping import back_up, backup_folder
from edge_lvr1.daemon.turnstile import Stopped
from edge_lvr1.errors import DaemonError, QuestionError
from edge_lvr1.store.backup import Backup, listed
from edge_lvr1.store.holds import Holds

_MOST_REASON = 1000


class HoldIn(BaseModel):
    """Why a recording is held."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=_MOST_REASON)


class ReleasedOut(BaseModel):
    """A recording that is not held any more."""

    recording: int


class BackupIn(BaseModel):
    """Where a backup is made; null: where the scheduled ones are."""

    model_config = ConfigDict(extra="forbid")

    to: str | None = Field(default=None, max_length=4096)


class BackupOut(BaseModel):
    """A whole backup; `entries` are those of the audit log in it."""

    path: Shown
    made_at: datetime
    size_bytes: int
    entries: int


class BackupsOut(BaseModel):
    """The backups in the folder of the scheduled ones, the oldest first."""

    backups: list[BackupOut]


def keeping_routes(context: Context) -> APIRouter:
    """/v1/recordings/{recording}/hold and /v1/backups."""
    routes = APIRouter(tags=["keeping"])
    holds = Holds(context.archive, context.clock)

    @routes.post("/v1/recordings/{recording}/hold", dependencies=[needs(Role.ADMIN)])
    def hold(recording: int, wanted: HoldIn, request: Request) -> HoldOut:
        """Hold a recording, so that no rule removes it; held already: change the reason."""
        if not wanted.reason.strip():
            raise QuestionError("say why the recording is held")
        return hold_out(holds.hold(recording, wanted.reason, who_of(request.scope)))

    @routes.delete("/v1/recordings/{recording}/hold", dependencies=[needs(Role.ADMIN)])
    def release(recording: int, request: Request) -> ReleasedOut:
        """Release a recording to the rules."""
        holds.release(recording, who_of(request.scope))
        return ReleasedOut(recording=recording)

    @routes.get("/v1/backups", dependencies=[needs(Role.ADMIN)])
    def backups() -> BackupsOut:
        """The scheduled backups, and those that were made among them."""
        found = listed(backup_folder(context.settings))
        return BackupsOut(backups=[_backup(one) for one in found])

    @routes.post("/v1/backups", status_code=201, dependencies=[needs(Role.ADMIN)])
    def make(wanted: BackupIn, request: Request) -> BackupOut:
        """Make a backup now; answers when it is whole and checked."""
        folder = backup_folder(context.settings)
        if wanted.to is not None:
            folder = _folder(wanted.to)
        try:
            return _backup(back_up(context, folder, who_of(request.scope)))
        except Stopped:
            raise DaemonError("the daemon stops; no backup was made") from None

    return routes


def _folder(path: str) -> Path:
    if "\0" in path or not Path(path).is_absolute():
        raise QuestionError(f"{path!r} is not an absolute path; give one from / on")
    if not Path(path).is_dir():
        raise QuestionError(f"there is no folder {path} that the daemon can see; make it first")
    return Path(path)


def _backup(made: Backup) -> BackupOut:
    return BackupOut(
        path=str(made.path),
        made_at=datetime.fromtimestamp(made.made_s, timezone.utc),
        size_bytes=made.size_bytes,
        entries=made.audit.number,
    )
