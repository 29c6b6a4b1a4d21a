"""The routes of the web page: three files from this folder, and nothing from elsewhere.

Over loopback TCP the page needs the token once: opened as `/?token=...`, or given in its form.
Then a cookie has it, which no script can read and no foreign page can send.
"""

from __future__ import annotations

import math
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from edge_lvr1.daemon.http.access_rules import who_of
from edge_lvr1.daemon.http.guard import LOGIN
from edge_lvr1.daemon.http.tokens import COOKIE_AGE_S, Tokens, cookie_name

_FILES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
# Captions and file names are shown as text only; were one ever taken for markup, this would
# still keep it from running or loading anything.
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"  # noqa: E501


class TokenIn(BaseModel):
    """What the page's form sends."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=1024)


def web_routes(tokens: Tokens) -> APIRouter:
    """/ and the files that it loads, and the way in."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def index(request: Request) -> Response:
        """The page; opened with a token, the way to it without one in its address."""
        shown = request.query_params.get("token")
        if shown is None:
            return _file("index.html")
        to_page = RedirectResponse("/", 303, {"referrer-policy": "no-referrer"})
        if _needed(request):
            _let_in(to_page, request, shown, tokens)
        return to_page

    @routes.post(LOGIN, status_code=204)
    def login(request: Request, response: Response, given: TokenIn) -> None:
        """Take a token for a cookie."""
        if _needed(request) and not _let_in(response, request, given.token.strip(), tokens):
            raise HTTPException(403, "this is not the token")

    @routes.get("/page.css")
    def css() -> Response:
        """Its looks."""
        return _file("page.css")

    @routes.get("/page.js")
    def script() -> Response:
        """What it does."""
        return _file("page.js")

    return routes


def _needed(request: Request) -> bool:
    return who_of(request.scope).via == "tcp"


def _let_in(answer: Response, request: Request, shown: str, tokens: Tokens) -> bool:
    """Whether the token is right; then the answer sets the cookie."""
    if tokens.right(shown):
        name = cookie_name(request.headers.get("host", ""))
        answer.set_cookie(
            name, shown, max_age=COOKIE_AGE_S, httponly=True, samesite="strict", path="/"
        )
        return True
    if (wait_s := tokens.wait_s()) > 0:
        headers = {"retry-after": str(max(1, math.ceil(wait_s)))}
        raise HTTPException(429, "too many wrong tokens; wait a little", headers)
    return False


def _file(name: str) -> Response:
    content = files("edge_lvr1.daemon.http").joinpath("web", name).read_bytes()
    headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
    headers |= {"referrer-policy": "no-referrer", "cache-control": "no-cache"}
    return Response(content, media_type=_FILES[name], headers=headers)
