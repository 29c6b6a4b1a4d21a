"""The token that stands for a role where the kernel tells no user: loopback TCP and proxies.

It is made once, in a file that only the daemon's user may read, and is shown as a bearer or as
a cookie that opening `/?token=...` sets. It is never logged. A browser sends a cookie of one
loopback port to all ports of that host, so a person should not open a stranger's pages on the
same host name.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.requests import cookie_parser

from edge_lvr1.config import Settings
from edge_lvr1.daemon.http.limits import Buckets
from edge_lvr1.errors import SettingsError

FILE = "web-token"
COOKIE_AGE_S = 30 * 24 * 3600
_BYTES = 32
_WRONG_AT_ONCE, _WRONG_PER_S = 10, 0.5
_LEAST_CHARS = 32  # of a token that somebody else made; it has to be beyond guessing
_MOST_BYTES = 1024


def token_path(settings: Settings) -> Path:
    """The file with the token: the setting, or one in the data folder."""
    return settings.access.token_file or settings.data / FILE


def load_token(settings: Settings) -> str:
    """The token in force; made where there is none and no file is set.

    Raises SettingsError for a file that cannot be read, that others may read, or whose token
    is too short.
    """
    path = token_path(settings)
    if settings.access.token_file is None:
        try:
            _make(path)
        except OSError as error:
            raise SettingsError(
                f"the token file {path} cannot be made: {error.strerror}; check the data folder"
            ) from error
    return read_token(path)


def read_token(path: Path) -> str:
    """The token in a file; raises SettingsError as `load_token` does."""
    try:
        return _read(path)
    except OSError as error:
        raise SettingsError(
            f"the token file {path} cannot be read: {error.strerror}; "
            "check access.token_file, or use the daemon's user"
        ) from error


def cookie_name(host: str) -> str:
    """The cookie of the daemon at an address: two on one host do not take each other's."""
    port = host.rpartition(":")[2]
    return f"edge_lvr1_{port}" if port.isascii() and port.isdigit() else "edge_lvr1"


def bearer_of(headers: Mapping[bytes, str]) -> str | None:
    """What a request shows as Authorization: Bearer."""
    scheme, _, shown = headers.get(b"authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else None


def cookie_of(headers: Mapping[bytes, str]) -> str | None:
    """What a request shows as our cookie."""
    return cookie_parser(headers.get(b"cookie", "")).get(cookie_name(headers.get(b"host", "")))


class Tokens:
    """The token and how often something else was shown lately; None where none is taken.

    The right one always counts, whatever others try. `clock` gives seconds.
    """

    def __init__(self, token: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = token
        self._wrong = Buckets(_WRONG_PER_S, _WRONG_AT_ONCE, clock)

    def right(self, shown: str) -> bool:
        """Whether this is the token."""
        return self._token is not None and _same(shown, self._token)

    def wait_s(self) -> float:
        """Count a wrong one: 0, or how long to wait before the next is looked at."""
        return self._wrong.take("")


def _same(shown: str, token: str) -> bool:
    """Whether a token is the one, told in a time that does not depend on it."""
    return hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode("utf-8", "replace"))


def _make(path: Path) -> None:
    """Write a new token beside its place and link it there; one that is there stays.

    The data folder is this daemon's alone: what lies beside is of one that was killed.
    """
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)
    if path.exists():
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_urlsafe(_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(beside)
    finally:
        beside.unlink(missing_ok=True)


def _read(path: Path) -> str:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        content = file.read(_MOST_BYTES + 1) if stat.S_ISREG(mode) else b""
    if mode & 0o007:
        raise SettingsError(f"the token file {path} may be read by everybody; chmod 600 it")
    token = content.decode("ascii", "replace").strip()
    if not _LEAST_CHARS <= len(token) <= _MOST_BYTES or not token.isascii() or " " in token:
        raise SettingsError(
            f"the token file {path} must hold one token of {_LEAST_CHARS} or more characters "
            "without spaces; `openssl rand -base64 32` makes one"
        )
    return token
