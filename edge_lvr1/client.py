"""A client of the daemon: each endpoint as a function, over the UNIX socket.

Answers are the daemon's JSON objects as they came; their fields stand in the OpenAPI
description (`curl --unix-socket … http://edge/openapi.json`). Knows nothing of terminals.

Errors: Unreachable where no daemon answers, NotFoundError for 404, QuestionError for a
request that the daemon refuses, DaemonError for everything else.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx

from edge_lvr1.client_events import Event, JsonObject, Told, events
from edge_lvr1.errors import DaemonError, EdgeLvr1Error, NotFoundError, QuestionError, Unreachable

_FIRST = 9  # the highest priority
_PAGE = 1000
_PAGE_IDS = 500  # numbers in one address

T = TypeVar("T")

_BASE_URL = "http://edge-lvr1"  # a UNIX socket needs no host, HTTP does
_CONNECT_S = 5.0
RESTART_S = 60.0  # how long a daemon is waited for that went away
_LOOK_AGAIN_S = 0.25
_BACKUP_S = 3600.0
_QUIET_S = 60.0  # the event stream says something at least every 15 s


class _BrokenOff(Unreachable):
    """The daemon was there and went away before it had answered."""


class Client:
    """A connection to one daemon. Use as a context manager, or call `close`."""

    def __init__(self, socket_path: Path, timeout_s: float = 60.0) -> None:
        self._socket_path = socket_path
        self._timeout_s = timeout_s
        self._opened: httpx.Client | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection; a later call opens another."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def status(self) -> JsonObject:
        """Version, queues, the job in hand, recordings, backends."""
        return self._object("GET", "/v1/status")

    def ask(
        self, request: Mapping[str, Any], key: str | None = None, wait_s: float = RESTART_S
    ) -> str:
        """Queue a question and return its id at once.

        It is sent with an idempotency key, a new one unless `key` is given. So it is sent
        again where the connection broke before the answer came, for up to `wait_s`, and asked
        once all the same.

        `request` has `question`, and may have `options`, `recording`, `cameras`, `since`,
        `until` (datetimes, ISO 8601, or words), `max_rounds`, `max_seconds` and `confirm`;
        None and empty ones count as not given.
        """
        body = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in request.items()
            if value is not None and value != () and value != []
        }
        headers = {"idempotency-key": key or secrets.token_hex(16)}
        return str(
            self._patiently(lambda: self._object("POST", "/v1/questions", body, headers), wait_s)[
                "id"
            ]
        )

    def follow(
        self, question_id: str, wait_s: float = 0.0, on_wait: Callable[[], None] = lambda: None
    ) -> Iterator[Event]:
        """What happens to a question, from its beginning, as it happens; ends with "done".

        Where the daemon goes away, it is waited for up to `wait_s`, which `on_wait` is told,
        and followed on. Steps that were told already are not told again; a question that is
        asked anew by the daemon that came back tells its new ones.
        """
        told = Told()
        while True:
            try:
                for event in self._follow(question_id):
                    if told.is_news(event):
                        yield event
                    if event.name == "done":
                        return
            except _BrokenOff:
                if not wait_s:
                    raise
            if not wait_s:
                raise Unreachable(
                    f"the daemon stopped before question {question_id} was answered; "
                    "it goes on with it when it is started again"
                )
            on_wait()
            self.close()
            self._return_of(lambda: self._object("GET", f"/v1/questions/{question_id}"), wait_s)

    def _follow(self, question_id: str) -> Iterator[Event]:
        timeout = httpx.Timeout(_QUIET_S, connect=_CONNECT_S)
        with (
            self._reaching(),
            self._http().stream(
                "GET", f"/v1/questions/{question_id}/events", timeout=timeout
            ) as response,
        ):
            _check(response)
            yield from events(response.iter_lines())

    def question(self, question_id: str) -> JsonObject:
        """A question with its `state`, its answer (`verdict` is None before) and its `steps`."""
        return self._object("GET", f"/v1/questions/{question_id}")

    def questions(self, limit: int = 50) -> list[JsonObject]:
        """The latest questions, newest first."""
        return self._list("/v1/questions", {"limit": limit}, "questions")

    def cancel(self, question_id: str) -> JsonObject:
        """Take a question back, queued or running."""
        return self._object("DELETE", f"/v1/questions/{question_id}")

    def recordings(
        self,
        cameras: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[JsonObject]:
        """The recordings, or those of a scope, with how far their trees are."""
        query: dict[str, Any] = {"camera": list(cameras)}
        query |= {"since": since.isoformat()} if since else {}
        query |= {"until": until.isoformat()} if until else {}
        return self._pages("/v1/recordings", query, "recordings")

    def recording(self, recording: int) -> JsonObject:
        """One recording."""
        return self._object("GET", f"/v1/recordings/{recording}")

    def tree(self, recording: int) -> JsonObject:
        """A recording's caption tree."""
        return self._object("GET", f"/v1/recordings/{recording}/tree")

    def search(
        self,
        text: str,
        recording: int | None = None,
        cameras: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 20,
    ) -> list[JsonObject]:
        """Captions that match some words, best first."""
        query: dict[str, Any] = {"q": text, "limit": limit, "camera": list(cameras)}
        query |= {"recording": recording} if recording is not None else {}
        query |= {"since": since.isoformat()} if since else {}
        query |= {"until": until.isoformat()} if until else {}
        return self._list("/v1/search", query, "hits")

    def ingest(self, path: Path, first: bool = False) -> JsonObject:
        """Offer a file or folder: `taken` (jobs), and `refused` with a reason each.

        With `first` it goes before everything that waits.
        """
        body: JsonObject = {"path": str(path.absolute())}
        if first:
            body["priority"] = _FIRST
        return self._object("POST", "/v1/ingest", body=body)

    def retry_job(self, job: int) -> JsonObject:
        """Try a failed file again: how many `jobs` and `recordings` that were."""
        return self._object("POST", f"/v1/ingest/{job}/retry")

    def retry_recording(self, recording: int) -> JsonObject:
        """Try a failed recording again: how many `jobs` and `recordings` that were."""
        return self._object("POST", f"/v1/recordings/{recording}/retry")

    def retry_failed(self) -> JsonObject:
        """Try everything again that failed: how many `jobs` and `recordings` that were."""
        return self._object("POST", "/v1/ingest/retry")

    def jobs(self, state: str | None = None, ids: Sequence[int] | None = None) -> list[JsonObject]:
        """The ingest jobs with state, progress, and the reason where one failed.

        All of them, those in a state, or those with the numbers `ids`.
        """
        query: dict[str, Any] = {} if state is None else {"state": state}
        if ids is None:
            return self._pages("/v1/ingest", query, "jobs")
        found: list[JsonObject] = []
        for start in range(0, len(ids), _PAGE_IDS):
            found += self._pages(
                "/v1/ingest", {**query, "job": list(ids[start : start + _PAGE_IDS])}, "jobs"
            )
        return found

    def job(self, job: int) -> JsonObject:
        """One ingest job."""
        return self._object("GET", f"/v1/ingest/{job}")

    def clip(
        self, recording: int, start_s: float, end_s: float, out: Path, exact: bool = False
    ) -> None:
        """Write a span of a recording to an MP4 file, whole or not at all."""
        query = {"start_s": start_s, "end_s": end_s, "exact": exact}
        unfinished = out.with_name(f".{out.name}.part")
        with (
            self._reaching(),
            self._http().stream(
                "GET", f"/v1/recordings/{recording}/clip", params=query, timeout=None
            ) as response,
        ):
            _check(response)
            try:
                with unfinished.open("wb") as file:
                    for block in response.iter_bytes():
                        file.write(block)
                unfinished.replace(out)
            finally:
                unfinished.unlink(missing_ok=True)

    def activity(self, recording: int) -> JsonObject:
        """How much happens in a recording: `times_s`, `scores`, `active` spans, `switches`."""
        return self._object("GET", f"/v1/recordings/{recording}/activity")

    def hold(self, recording: int, reason: str) -> JsonObject:
        """Hold a recording, so that no rule removes it: `reason`, `who`, `since`."""
        return self._object("POST", f"/v1/recordings/{recording}/hold", body={"reason": reason})

    def release(self, recording: int) -> JsonObject:
        """Release a recording to the rules."""
        return self._object("DELETE", f"/v1/recordings/{recording}/hold")

    def backup(self, to: Path | None = None) -> JsonObject:
        """Make a backup, in a folder of the daemon's machine: `path`, `size_bytes`, `entries`.

        Returns when it is whole and checked, which takes as long as its size needs.
        """
        body = {"to": None if to is None else str(to.absolute())}
        return self._object("POST", "/v1/backups", body=body, timeout_s=_BACKUP_S)

    def backups(self) -> list[JsonObject]:
        """The backups where the scheduled ones are kept, the oldest first."""
        return self._list("/v1/backups", {}, "backups")

    def parts(self, recording: int) -> list[JsonObject]:
        """The files of a recording: `path`, `offset_s`, `duration_s`, `size_bytes`, `sha256`."""
        return self._list(f"/v1/recordings/{recording}/parts", {}, "parts")

    def case(self, question_id: str, contents: str) -> JsonObject:
        """Note that a case was exported; what the audit log says of it, and the log's head.

        `contents` is the digest of what the case holds, 64 hexadecimal digits.
        """
        return self._object("POST", "/v1/cases", {"question": question_id, "contents": contents})

    def thumbnail(
        self,
        recording: int,
        time_s: float | None = None,
        node: str | None = None,
        side_px: int | None = None,
    ) -> bytes:
        """The picture at a moment of a recording as JPEG, or that of a node as WebP.

        `side_px` is the longest that a side of the JPEG may have.
        """
        query: dict[str, Any] = {"node": node} if node is not None else {"time_s": time_s}
        query |= {} if side_px is None else {"side_px": side_px}
        with self._reaching():
            response = self._http().get(f"/v1/recordings/{recording}/thumbnail", params=query)
        _check(response)
        return response.content

    def _http(self) -> httpx.Client:
        if self._opened is None:
            _knock(self._socket_path)
            self._opened = httpx.Client(
                transport=httpx.HTTPTransport(uds=str(self._socket_path)),
                base_url=_BASE_URL,
                timeout=httpx.Timeout(self._timeout_s, connect=_CONNECT_S),
                trust_env=False,
            )
        return self._opened

    def _patiently(self, ask: Callable[[], T], wait_s: float) -> T:
        """What a request gives that can be sent again, sent again where it broke off."""
        try:
            return ask()
        except _BrokenOff:
            if not wait_s:
                raise
            self.close()
            return self._return_of(ask, wait_s)

    def _return_of(self, ask: Callable[[], T], wait_s: float) -> T:
        """What a request gives as soon as a daemon answers it. Raises Unreachable."""
        until_s = time.monotonic() + wait_s
        while True:
            time.sleep(_LOOK_AGAIN_S)  # at first, too: what goes away may still be seen to go
            try:
                return ask()
            except Unreachable:
                self.close()
                if time.monotonic() >= until_s:
                    raise

    def _object(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        extra: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> JsonObject:
        # ASCII: a path that is not UTF-8 holds lone surrogates, which only escapes carry.
        content = None if body is None else json.dumps(body)
        headers = {} if body is None else {"content-type": "application/json", **(extra or {})}
        with self._reaching():
            timeout = httpx.Timeout(timeout_s or self._timeout_s, connect=_CONNECT_S)
            response = self._http().request(
                method, path, content=content, headers=headers, timeout=timeout
            )
        _check(response)
        return _decoded(response)

    def _list(self, path: str, query: Mapping[str, Any], key: str) -> list[JsonObject]:
        with self._reaching():
            response = self._http().get(path, params=query)
        _check(response)
        return list(_decoded(response)[key])

    def _pages(self, path: str, query: Mapping[str, Any], key: str) -> list[JsonObject]:
        found: list[JsonObject] = []
        while page := self._list(path, {**query, "offset": len(found), "limit": _PAGE}, key):
            found += page
            if len(page) < _PAGE:
                break
        return found

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            self.close()
            raise Unreachable(
                f"no daemon answers at {self._socket_path}; start one with `edge-lvr1 run`"
            ) from error
        except httpx.TimeoutException as error:
            raise Unreachable(
                f"the daemon at {self._socket_path} does not answer; look at its log"
            ) from error
        except httpx.TransportError as error:
            raise _BrokenOff(
                f"the daemon at {self._socket_path} went away while it answered ({error}); "
                "start it again with `edge-lvr1 run`"
            ) from error


def _decoded(response: httpx.Response) -> JsonObject:
    try:
        found = response.json()
    except ValueError as error:
        raise DaemonError(f"{response.url} answered something that is not JSON") from error
    if not isinstance(found, dict):
        raise DaemonError(f"{response.url} answered something else than an object")
    return found


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    response.read()
    try:
        sentence = str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        sentence = f"the daemon answered {response.status_code} {response.reason_phrase}"
    kinds: dict[int, type[EdgeLvr1Error]] = {
        404: NotFoundError,
        413: QuestionError,
        422: QuestionError,
    }
    raise kinds.get(response.status_code, DaemonError)(sentence)


def _knock(path: Path) -> None:
    """Raise Unreachable, with what to do, where nobody listens at a socket.

    httpcore tells less of the reason, and leaves a socket open where it cannot connect.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
        knocking.settimeout(_CONNECT_S)
        try:
            knocking.connect(str(path))
        except OSError as error:
            raise Unreachable(_why_not(path, error)) from error


def _why_not(path: Path, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"the socket {path} may not be used by user {os.getuid()}; join group edge-lvr1"
    if error.errno == errno.ENOENT:
        return f"there is no daemon: no socket at {path}; start one with `edge-lvr1 run`"
    if error.errno == errno.ECONNREFUSED:
        return f"no daemon answers at {path}; start one with `edge-lvr1 run`"
    return f"no daemon can be reached at {path} ({error}); check --socket"
