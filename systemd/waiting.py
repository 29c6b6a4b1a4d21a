"""Waiting for a model server, so that what depends on it starts after it."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from edge_lvr1.errors import SettingsError, Unreachable

_EACH_S = 1.0
_ANSWER_WITHIN_S = 5.0


def await_server(
    url: str,
    within_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return as soon as an OpenAI-compatible server on loopback answers, busy or not.

    Raises SettingsError for an address elsewhere, Unreachable where none answers in time.
    """
    _check_loopback(url)
    end_s = clock() + within_s
    with httpx.Client(timeout=_ANSWER_WITHIN_S, trust_env=False) as client:
        while True:
            try:
                # One that wants a key is there too.
                if client.get(f"{url.rstrip('/')}/models").status_code < 500:
                    return
            except httpx.HTTPError:
                pass
            if clock() > end_s:
                raise Unreachable(
                    f"no model server answers at {url} after {within_s:.0f} s; "
                    "journalctl -u edge-lvr1-model says why"
                )
            sleep(_EACH_S)


def _check_loopback(url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        near = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        near = False
    if parts.scheme != "http" or not near:
        raise SettingsError(f"{url!r} is not on this machine; write http://127.0.0.1:PORT/v1")
