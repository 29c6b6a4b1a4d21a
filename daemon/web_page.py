"""The routes of the web page: three files from this folder, and nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response

_FILES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
# Captions and file names are shown as text only; were one ever taken for markup, this would
# still keep it from running or loading anything.
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"  # noqa: E501


def web_routes() -> APIRouter:
    """/ and the files that it loads."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def index() -> Response:
        """The page."""
        return _file("index.html")

    @routes.get("/page.css")
    def css() -> Response:
        """Its looks."""
        return _file("page.css")

    @routes.get("/page.js")
    def script() -> Response:
        """What it does."""
        return _file("page.js")

    return routes


def _file(name: str) -> Response:
    content = files("edge_lvr1.daemon").joinpath("web", name).read_bytes()
    headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
    return Response(content, media_type=_FILES[name], headers=headers)
