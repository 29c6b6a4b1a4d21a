"""The routes of questions: ask, look, follow, take back."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from edge_lvr1.access import Role
from edge_lvr1.config import Questions
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http.access_rules import needs, role_of, told_who, who_of
from edge_lvr1.daemon.http.question_schemas import (
    AcceptedOut,
    AnswerOut,
    QuestionIn,
    QuestionOut,
    QuestionsOut,
    answer_fields,
    step_out,
)
from edge_lvr1.daemon.ingest.zone import zone_of
from edge_lvr1.daemon.questions.asking import question_of, request_hash
from edge_lvr1.domain import Step
from edge_lvr1.errors import AccessError, BusyError, KeyReusedError
from edge_lvr1.store.keeping import removed_by
from edge_lvr1.store.queues import Asked, QuestionRecord, QuestionState, Room

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 15.0  # proxies and clients give up on a stream that says nothing for long
_NOTHING: Mapping[int, str] = MappingProxyType({})
_STATES = {QuestionState.RUNNING: "running"}
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x20-\x7e]+$",
        description="the same key with the same question asks once, however often it is sent",
    ),
]


def question_routes(context: Context) -> APIRouter:
    """/v1/questions and what is below it."""
    routes = APIRouter(prefix="/v1/questions", tags=["questions"], dependencies=[needs(Role.ASK)])

    @routes.post("", status_code=202)
    def ask(
        asked: QuestionIn,
        request: Request,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> AcceptedOut:
        """Queue a question; it is answered in its turn.

        A request that comes again with its Idempotency-Key finds the question that it made.
        """
        who = who_of(request.scope)
        how = Asked(who.client, told_who(who), idempotency_key, request_hash(asked), who)
        limits = context.settings.questions
        try:
            known = context.questions.again(how)
            question_id = known or _queued(context, asked, how, limits)
        except BusyError as error:
            later = {"retry-after": str(math.ceil(error.retry_after_s))}
            raise HTTPException(429, str(error), later) from error
        except KeyReusedError as error:
            raise HTTPException(409, str(error)) from error
        if known is not None:
            response.status_code = 200
        state = context.questions.get(question_id).state.value
        events = f"/v1/questions/{question_id}/events"
        return AcceptedOut(id=question_id, state=state, events=events)

    @routes.get("")
    def questions(limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> QuestionsOut:
        """The latest questions, newest first."""
        records = context.questions.list(limit=limit)
        removed = _removed(context, records)
        return QuestionsOut(questions=[_summary(record, removed) for record in records])

    @routes.get("/{question_id}")
    def question(question_id: str) -> QuestionOut:
        """A question, its answer and its steps so far."""
        record = context.questions.get(question_id)
        return _told(record, _removed(context, [record]))

    @routes.delete("/{question_id}")
    def cancel(question_id: str, request: Request) -> QuestionOut:
        """Take a question back; one that is being answered ends within about a second.

        That is for whoever asked it, and for admins.
        """
        who = who_of(request.scope)
        theirs = context.questions.client_of(question_id) == who.client
        if not theirs and not role_of(request.scope).allows(Role.ADMIN):
            raise AccessError("only whoever asked a question, or an admin, may take it back")
        context.questions.cancel(question_id, who)
        context.turnstile.news()
        context.hub.tell(question_id)
        return _told(context.questions.get(question_id))

    @routes.get("/{question_id}/events", response_class=StreamingResponse)
    async def events(question_id: str) -> StreamingResponse:
        """What happens to a question from its beginning, as server-sent events.

        queued, started, step (each round) and done (the question as its own route tells it).
        """
        await run_in_threadpool(context.questions.get, question_id)  # 404 before the stream
        return StreamingResponse(
            follow(context, question_id),
            media_type="text/event-stream",
            headers={"cache-control": "no-store"},
        )

    return routes


def _queued(context: Context, asked: QuestionIn, how: Asked, limits: Questions) -> str:
    """Queue what is asked; the id that it is known by."""
    zone = zone_of(context.settings.time_zone)
    question = question_of(asked, limits, context.trees, context.clock, zone)
    room = Room(limits.max_queued, limits.max_queued_per_client)
    question_id = context.questions.put(question, how, room)
    context.turnstile.news()
    log.info("question %s: asked by %s", question_id, how.by)
    return question_id


async def follow(context: Context, question_id: str) -> AsyncIterator[str]:
    """The events of a question, read from the database each time that there is news."""
    told = _Told()
    with context.hub.listening(question_id) as news:
        while not context.hub.closed:
            news.clear()
            record = await run_in_threadpool(context.questions.get, question_id)
            for event in told.news(record):
                yield event
            if record.finished:
                return
            try:
                await asyncio.wait_for(news.wait(), KEEP_ALIVE_S)
            except asyncio.TimeoutError:
                yield ": still there\n\n"


class _Told:
    """What a listener was told already."""

    def __init__(self) -> None:
        self._queued = self._started = False
        self._steps: tuple[Step, ...] = ()

    def news(self, record: QuestionRecord) -> list[str]:
        """The events that this state of the question adds."""
        events = []
        if not self._queued:
            events.append(_event("queued", {"id": record.question.id}))
            self._queued = True
        begun = record.state is QuestionState.RUNNING or bool(record.steps)
        if not self._started and (begun or record.state is QuestionState.DONE):
            events.append(_event("started", {"id": record.question.id}))
            self._started = True
        if record.steps[: len(self._steps)] == self._steps:
            new = record.steps[len(self._steps) :]
        else:
            new = record.steps  # asked again from its start
        events += [_event("step", step_out(step).model_dump(mode="json")) for step in new]
        self._steps = record.steps
        if record.finished:
            events.append(_event("done", _told(record).model_dump(mode="json")))
        return events


def _event(name: str, data: dict[str, object]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"


def _summary(record: QuestionRecord, removed: Mapping[int, str] = _NOTHING) -> AnswerOut:
    question = record.question
    return AnswerOut(
        id=question.id,
        question=question.text,
        state=_STATES.get(record.state, record.state.value),
        asked_at=question.asked_at,
        options=list(question.options),
        deadline=question.deadline,
        read_as=question.read_as,
        **answer_fields(record.answer, removed),
    )


def _told(record: QuestionRecord, removed: Mapping[int, str] = _NOTHING) -> QuestionOut:
    steps = [step_out(step) for step in record.steps]
    return QuestionOut(**_summary(record, removed).model_dump(), steps=steps)


def _day(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, timezone.utc).date().isoformat()


def _removed(context: Context, records: Sequence[QuestionRecord]) -> Mapping[int, str]:
    """What became of the recordings that answers rest on, where rules removed them."""
    cited = {
        entry.recording
        for record in records
        for entry in (record.answer.evidence if record.answer else ())
    }
    found = removed_by(context.archive, sorted(cited)) if cited else {}
    return {
        recording: f"removed {_day(at_s)} by the rule {rule}"
        for recording, (at_s, rule) in found.items()
    }
