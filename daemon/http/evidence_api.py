"""The routes of evidence: what a recording's bytes are, the audit log, exported cases."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from edge_lvr1.access import Role
from edge_lvr1.daemon.context import Context, program_version
from edge_lvr1.daemon.http.access_rules import needs, who_of
from edge_lvr1.daemon.http.schemas import Shown
from edge_lvr1.domain import Evidence, Part
from edge_lvr1.errors import QuestionError
from edge_lvr1.store.audit import Entry, Filter, about, before, entries, head

_MOST_ENTRIES = 1000
EXPORTED = "case.exported"


class PartOut(BaseModel):
    """A file of a recording, and what its bytes were when it was taken in."""

    path: Shown
    offset_s: float
    duration_s: float
    size_bytes: int
    sha256: str


class PartsOut(BaseModel):
    """The files of a recording, in order."""

    recording: int
    parts: list[PartOut]


class EntryOut(BaseModel):
    """An entry of the audit log. `who` and `what` are JSON texts, as they were hashed.

    `hash` is the SHA-256 of the compact ASCII JSON list of before, number, at, kind, who, what.
    """

    number: int
    at: str
    kind: str
    who: str
    what: str
    before: str = Field(description="the hash of the entry before")
    hash: str


class HeadOut(BaseModel):
    """The last entry of the audit log."""

    number: int
    hash: str


class AuditOut(BaseModel):
    """Entries of the audit log, in order."""

    entries: list[EntryOut]
    head: HeadOut


class CaseIn(BaseModel):
    """A case that was put together: its question, and the digest of what it holds."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(min_length=1, max_length=100)
    contents: str = Field(pattern="^[0-9a-f]{64}$")


class CaseOut(AuditOut):
    """What the audit log says of a case; its head is the entry that tells of the export."""

    version: str


def evidence_routes(context: Context) -> APIRouter:
    """/v1/recordings/{id}/parts, /v1/audit and /v1/cases."""
    routes = APIRouter(prefix="/v1", tags=["evidence"])
    archive = context.archive

    @routes.get("/recordings/{recording}/parts", dependencies=[needs(Role.ASK)])
    def parts(recording: int) -> PartsOut:
        """The files of a recording, with their SHA-256."""
        found = context.trees.recording(recording)
        return PartsOut(recording=recording, parts=[_part(part) for part in found.parts])

    @routes.get("/audit", dependencies=[needs(Role.ADMIN)])
    def audit(
        after: Annotated[int, Query(ge=0, le=2**53)] = 0,
        limit: Annotated[int, Query(ge=1, le=_MOST_ENTRIES)] = _MOST_ENTRIES,
        kind: Annotated[str, Query(max_length=40)] = "",
        since: datetime | None = None,
    ) -> AuditOut:
        """Entries of the audit log after a number; of a kind, or a family of kinds."""
        if since is not None and since.utcoffset() is None:
            raise QuestionError("since has no UTC offset; write it like 2026-03-14T09:30:00+00:00")
        found = entries(archive, after, limit, Filter(kind, since))
        return AuditOut(entries=_told(context, found), head=_head(context))

    @routes.post("/cases", status_code=201, dependencies=[needs(Role.ADMIN)])
    def case(made: CaseIn, request: Request) -> CaseOut:
        """Note that a case was exported, and tell what the audit log says of it."""
        record = context.questions.get(made.question)
        evidence = record.answer.evidence if record.answer else ()
        who = who_of(request.scope)
        what = {"question": record.question.id, "contents": made.contents}
        exported = context.audit.add_for_good(EXPORTED, who, **what)
        numbers = sorted({entry.recording for entry in evidence})
        found = about(archive, record.question.id, _contents(context, evidence), numbers)
        return CaseOut(
            entries=_told(context, found),
            head=HeadOut(number=exported.number, hash=exported.hash),
            version=program_version(),
        )

    return routes


def _part(part: Part) -> PartOut:
    return PartOut(
        path=part.path,
        offset_s=part.offset_s,
        duration_s=part.duration_s,
        size_bytes=part.size_bytes,
        sha256=part.sha256,
    )


def _contents(context: Context, evidence: tuple[Evidence, ...]) -> list[str]:
    """The SHA-256 of the files that pieces of evidence lie in."""
    rows = [
        row
        for entry in evidence
        for row in context.archive.rows(
            "SELECT sha256 FROM parts WHERE recording = ? AND offset_s < ? "
            "AND offset_s + duration_s > ?",
            [entry.recording, entry.span.end_s, entry.span.start_s],
        )
    ]
    return sorted({row["sha256"] for row in rows})


def _told(context: Context, found: list[Entry]) -> list[EntryOut]:
    return [
        EntryOut(
            number=entry.number,
            at=entry.at,
            kind=entry.kind,
            who=entry.who,
            what=entry.what,
            before=before(context.archive, entry),
            hash=entry.hash,
        )
        for entry in found
    ]


def _head(context: Context) -> HeadOut:
    last = head(context.archive)
    return HeadOut(number=last.number, hash=last.hash)
