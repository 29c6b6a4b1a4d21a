"""Whether a browser sends a request for our own page, or for a page from elsewhere.

Host is checked against DNS rebinding, Origin and Sec-Fetch-Site against foreign pages; a
request that changes something, and for which the browser added a cookie by itself, has to
prove that it comes from our page (Fetch Metadata; OWASP on cross-site request forgery).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.types import Scope

OWN_HEADER = b"x-edge-lvr1"
"""What a script of ours may send instead: a foreign page cannot without being asked about."""
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_FOREIGN = "requests from other web pages are refused"


def foreign(
    scope: Scope, headers: Mapping[bytes, str], *, browser: bool, by_cookie: bool
) -> str | None:
    """Why a request is refused, in one sentence; None where it may be ours.

    `browser`: it came over loopback TCP or a proxy. `by_cookie`: a cookie is all it shows.
    """
    origin, host = headers.get(b"origin"), headers.get(b"host", "")
    if not browser:
        return None if origin is None or _name(origin) in _LOOPBACK_NAMES else _FOREIGN
    if _name(f"//{host}") not in _LOOPBACK_NAMES:
        return "the address must name this machine as localhost, 127.0.0.1 or [::1]"
    if origin is not None and origin != f"http://{host}":
        return _FOREIGN
    site = headers.get(b"sec-fetch-site", "")
    if site not in ("", "same-origin", "none") and not _is_link(scope, headers):
        return _FOREIGN
    if by_cookie and scope["method"] not in _HARMLESS:
        proven = site == "same-origin" or origin is not None or OWN_HEADER in headers
        return None if proven else "this needs a same-origin Origin, or the header x-edge-lvr1"
    return None


def _is_link(scope: Scope, headers: Mapping[bytes, str]) -> bool:
    """Whether somebody followed a link to our page from elsewhere."""
    navigates = headers.get(b"sec-fetch-mode") == "navigate"
    return navigates and scope["method"] == "GET" and scope["path"] == "/"


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
