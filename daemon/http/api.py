"""The HTTP application: its routes put together, and every error as one sentence of JSON.

The routes live in `questions_api`, `footage_api`, `service_api` and `web_page`; what happens
behind them is not known here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from edge_lvr1.access import Role
from edge_lvr1.daemon.context import Context, program_version
from edge_lvr1.daemon.http.access_rules import Rules
from edge_lvr1.daemon.http.evidence_api import evidence_routes
from edge_lvr1.daemon.http.footage_api import footage_routes, picture_routes, search_routes
from edge_lvr1.daemon.http.guard import Guard
from edge_lvr1.daemon.http.keeping_api import keeping_routes
from edge_lvr1.daemon.http.questions_api import question_routes
from edge_lvr1.daemon.http.refusals import Refusals
from edge_lvr1.daemon.http.retry_api import retry_routes
from edge_lvr1.daemon.http.schemas import shown_safely
from edge_lvr1.daemon.http.service_api import service_routes
from edge_lvr1.daemon.http.tokens import Tokens
from edge_lvr1.daemon.http.web_page import web_routes
from edge_lvr1.errors import (
    AccessError,
    EdgeLvr1Error,
    MediaError,
    NotFoundError,
    QuestionError,
    StoreError,
    StoreFull,
)
from edge_lvr1.store.opening import FULL

log = logging.getLogger(__name__)

_STATUS: tuple[tuple[type[EdgeLvr1Error], int], ...] = (
    (NotFoundError, 404),
    (QuestionError, 422),
    (AccessError, 403),
    (MediaError, 409),  # the recording is known, but its file cannot be read any more
    (StoreFull, 507),
    (StoreError, 503),
    (EdgeLvr1Error, 500),
)


_PLACES = (("body",), ("query",), ("path",), ("header",))


def create_app(context: Context, token: str | None = None) -> FastAPI:
    """The application over a daemon's parts; without a token nothing is told over TCP."""
    shown, access = Tokens(token), context.settings.access
    app = FastAPI(
        title="edge_lvr1",
        version=program_version(),
        summary="Questions about recorded footage, answered with evidence.",
        docs_url=None,  # its page would load scripts from the network
        redoc_url=None,
    )
    for router in (
        question_routes,
        footage_routes,
        picture_routes,
        search_routes,
        retry_routes,
        service_routes,
        evidence_routes,
        keeping_routes,
    ):
        app.include_router(router(context))
    app.include_router(web_routes(shown))
    app.add_exception_handler(EdgeLvr1Error, _told)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(OSError, _os_error)
    app.add_exception_handler(Exception, _broken)
    app.add_middleware(
        Guard,
        rules=Rules(access),
        limits=context.settings.limits,
        refusals=Refusals(context.audit, time.monotonic),
        shown=shown,
        token_role=Role(access.token_role),
    )
    return app


def _error(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": shown_safely(sentence)}, status, headers)


async def _told(request: Request, error: Exception) -> JSONResponse:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return _error(status, str(error))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentence = str(error.detail)
    if sentence == "Not Found":
        sentence = "there is nothing at this address; /openapi.json lists what there is"
    return _error(error.status_code, sentence, dict(error.headers or {}))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _error(422, sentence_of(error.errors()))


async def _os_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, OSError) and error.errno in FULL:
        return _error(507, "a disk of the daemon's machine is full; free some space on it")
    log.error("%s %s broke something", request.method, request.url.path, exc_info=error)
    return await _broken(request, error)


async def _broken(request: Request, error: Exception) -> JSONResponse:
    return _error(500, "something broke inside the daemon; its log says what")


def sentence_of(errors: Sequence[Any]) -> str:
    """One sentence for the first of pydantic's errors, naming the field."""
    first = errors[0]
    # The first says where the field is, and a field may have that name itself.
    where = [str(part) for part in first["loc"][first["loc"][:1] in _PLACES :]]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "it ends too early")
        return f"the request is not valid JSON: {reason}"
    if first["type"] == "missing" and not where:
        return "the request has no body; send a JSON object as application/json"
    if first["type"] == "extra_forbidden":
        return f"the request has a field {where[-1][:80]!r} that is not known; leave it out"
    field = ".".join(where)[:80] or "the request"
    message = str(first["msg"])
    return f"{field}: {message[:1].lower()}{message[1:]}"
