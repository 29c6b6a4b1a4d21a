"""Requests that are wrong in every way that came to mind, and what a daemon makes of them.

The same seed makes the same requests. They begin as right requests to each operation of the
daemon's own description and are then mutated: bodies, paths, methods, headers, bytes, halves,
several at once. Standard library only, so that a process without rights can run it.
"""

from __future__ import annotations

import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

_THREADS = 8
_ANSWER_S = 5.0
_MORE_S = 0.2  # for further answers on a connection that stays open
_KEPT_BYTES = 300
_MOST_ANSWER_BYTES = 4_000_000


@dataclass
class Shot:
    """One connection's worth: what is sent, in which pieces, and how it ends."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes = b""
    pieces: int = 1
    hangs_up: bool = False
    expected: int = 1
    told: list[str] = field(default_factory=list)

    def bytes_(self) -> bytes:
        """What goes over the wire."""
        if self.raw:
            return self.raw
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + self.body


Mutation = Callable[[random.Random, Shot], None]

JUNK: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**63, 2**64, 10**400, -0.0, 1e308, "", " ", "\0", "\ud800"),
    *("x" * 3000, "1; DROP TABLE questions", "../../etc/passwd", "/etc/shadow", "\u202e", "NaN"),
    *([], [[]], {}, {"a": 1}, [None], ["x"] * 100, {"question": {"question": {}}}, "☃", "1e999"),
)
PATHS = (
    *[
        "/v1/../v1/ingest",
        "//v1/ingest",
        "/v1//ingest",
        "/v1/%2e%2e/v1/ingest",
        "/V1/INGEST",
        "/v1/ingest/",
        "/v1/ingest;x=1",
        "/v1/ingest%00",
        "/v1/ingest%20",
        "/v1/ingest?",
        "/page.css",
        "/healthz/../v1/ingest",
        "/healthz%2f..%2fv1%2fingest",
        "/page.css/../v1/ingest",
        "/./v1/ingest",
        "/login/../v1/ingest",
        "/v1/ingest#/healthz",
        "http://localhost/v1/ingest",
        "*",
        "/",
        "/login",
        "http://evil.example/v1/status",
        "/v1/recordings/../ingest",
        "/%76%31/ingest",
        "/v1%2fingest",
        "/v1/recordings/1/clip/../../../../etc/passwd",
        "/../../../etc/passwd",
        "/web/../config.py",
        "/v1/recordings/-1",
        "/v1/recordings/99999999999999999999",
        "/v1/recordings/1e3",
        "/%",
        "/v1/recordings/%2e%2e",
        "/v1/questions/%00/events",
        "/v1/questions/%ff%fe",
        "/?token=x",
        "/v1/search?q=%22%27%28%29*%5E",
        "/v1/search?q=NEAR(a%20b)&limit=1",
        "/v1/search?q=%00",
        "/v1/recordings?limit=-1",
        "/v1/recordings?since=x",
        "/v1/recordings?offset=9e99",
        "/docs",
        "/v1/recordings?since=0001-01-01T00:00:00%2B23:59",
        "/v1/recordings?until=9999-12-31T23:59:59Z",
    ],
    *("/" + "a" * 9000, "/" + "%41" * 3000, "/v1/search?q=" + "x" * 5000, "/" + "../" * 500),
)
HEADERS: tuple[tuple[str, str], ...] = (
    *(
        (name, value.strip())
        for name, _, value in (
            line.partition(":")
            for line in """\
x-forwarded-for: 127.0.0.1
x-forwarded-user: root
x-remote-user: root
x-http-method-override: POST
x-original-url: /v1/ingest
x-edge-lvr1: 1
x-rewrite-url: /v1/ingest
forwarded: for=127.0.0.1;proto=https
uid: 0
authorization: Bearer x
authorization: Basic cm9vdDpyb290
authorization:
host: evil.example
host:
host: localhost:99999
host: [::1
origin: https://evil.example
origin: null
origin: http://localhost
content-length: -1
content-length: 0
content-length: 99999999999999999999
content-length: 1, 2
content-length: +5
content-length: 0x10
transfer-encoding: chunked
transfer-encoding: gzip, chunked
transfer-encoding: identity
transfer-encoding: xchunked
te: trailers
expect: 100-continue
expect: 200-ok
upgrade: websocket
upgrade: h2c
connection: upgrade
connection: close, keep-alive
content-type: text/plain
content-type: application/xml
content-type:
content-type: multipart/form-data; boundary=x
content-type: application/json;;;
content-type: application/x-www-form-urlencoded
content-encoding: gzip
cookie: edge_lvr1=x; =; ;;
range: bytes=0-,-1,9-1
idempotency-key: k
idempotency-key:
bad name: x
sec-fetch-site: cross-site
if-none-match: *
""".splitlines()
        )
    ),
    *(("connection", "x" * 500), ("cookie", "a" * 3000), ("accept", "\x80\xff"), ("", "empty")),
    *(
        ("idempotency-key", "x" * 300),
        ("last-event-id", "9" * 100),
        ("x", "y" * 20000),
        ("x\0y", "z"),
    ),
)
CHUNKS = (
    *(b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\nhello\r\n", b"ffffffffffffffff\r\n", b"5\r\nhel"),
    *(b"-1\r\n", b"0\r\nx: y\r\n\r\n", b"1;a=b\r\nx\r\n0\r\n\r\n"),
)
PARAMETERS = ("limit", "offset", "node", "time_s", "start_s", "state", "q", "since", "job")
VALUES = ("-1", "nan", "inf", "1e999", "%00", "%ff", "a" * 200, "9" * 40, "%F0%9F", "")
SEGMENTS = ("..", ".", "", "%2e%2e", "%2f", "-1", "9" * 30, "\xff")
NO_HTTP = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 60,  # TLS
    *(b"GET /healthz\r\n", b"\r\n" * 50, b"\0" * 100, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "post")
METHODS += ("BREW", "G\tET", "PRI", "", "X" * 200)


def shots(given: dict[str, Any]) -> list[Shot]:
    """`count` shots of `seed` at `operations`: each [method, path, body as JSON or ""]."""
    dice = random.Random(given["seed"])
    operations, token = given["operations"], given.get("token")
    return [_shot(dice, operations, token) for _ in range(given["count"])]


def barrage(given: dict[str, Any], made: list[Shot]) -> dict[str, Any]:
    """Send shots; outcomes by status, and each answer that must not be.

    `given`: forbidden ("METHOD path" that may not succeed), and socket (a path) or port, with
    token or None.
    """
    forbidden = set(given["forbidden"])
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    began = time.monotonic()
    with ThreadPoolExecutor(_THREADS) as pool:
        for shot in pool.map(lambda shot: _fired(given, shot), made):
            for outcome in shot.told:
                outcomes[outcome] += 1
                broken = outcome.startswith("5") and outcome != "503"
                allowed_in = outcome.startswith("2") and f"{shot.method} {shot.path}" in forbidden
                if broken or (allowed_in and shot.expected == 1):
                    wrong.append(f"{outcome}: {shot.bytes_()[:_KEPT_BYTES]!r}")
    return {
        "outcomes": dict(sorted(outcomes.items())),
        "wrong": wrong[:50],
        "seconds": time.monotonic() - began,
    }


def _shot(dice: random.Random, operations: list[list[str]], token: str | None) -> Shot:
    shot = _right(dice, operations, token)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        dice.choice(MUTATIONS)(dice, shot)
    if dice.random() < 0.05:
        others = [_right(dice, operations, token) for _ in range(dice.randint(1, 4))]
        shot.raw = b"".join([shot.bytes_(), *(other.bytes_() for other in others)])
        shot.expected = 1 + len(others)
    return shot


def _right(dice: random.Random, operations: list[list[str]], token: str | None) -> Shot:
    method, path, body = dice.choice(operations)
    content = body.encode()
    headers = [("host", "localhost")]
    headers += [("authorization", f"Bearer {token}")] if token else []
    if content or method in ("POST", "PUT"):
        headers += [("content-type", "application/json"), ("content-length", str(len(content)))]
    if dice.random() < 0.8:
        headers.append(("connection", "close"))
    return Shot(method, path, headers, content)


def _with_body(shot: Shot, body: bytes, *, said: bool = True) -> None:
    shot.body = body
    if said:
        shot.headers = [one for one in shot.headers if one[0] != "content-length"]
        shot.headers.append(("content-length", str(len(body))))


def _bad_json(dice: random.Random, shot: Shot) -> None:
    deep = b"[" * dice.choice((10, 1000, 30000))
    cut = shot.body[: dice.randint(0, len(shot.body))]
    odd = b'{"question":"a","question":"b"}', b'{"question": NaN}', b"\xef\xbb\xbf{}", b"\xff\xfe{"
    body = dice.choice((cut, deep, b"{" * 50, b"\0", b"nul", b'"' * 3, dice.randbytes(200), *odd))
    _with_body(shot, body)


def _wrong_types(dice: random.Random, shot: Shot) -> None:
    try:
        found = json.loads(shot.body or b"{}")
    except (ValueError, RecursionError):
        found = {}
    if not isinstance(found, dict):
        found = {}
    names = [*found, "question", "path", "options", "recording", "cameras", "since", "max_rounds"]
    for _ in range(dice.randint(1, 3)):
        found[dice.choice(names)] = dice.choice(JUNK)
    _with_body(shot, json.dumps(dice.choice((found, found, dice.choice(JUNK)))).encode())


def _huge(dice: random.Random, shot: Shot) -> None:
    size = dice.choice((64 * 1024 + 1, 100_000, 300_000))
    _with_body(shot, b'{"question": "' + b"x" * size + b'"}')


def _other_length(dice: random.Random, shot: Shot) -> None:
    said = dice.choice((0, len(shot.body) + 1, max(0, len(shot.body) - 1), 10**6, 10**18))
    shot.headers = [one for one in shot.headers if one[0] != "content-length"]
    shot.headers.append(("content-length", str(said)))


def _odd_path(dice: random.Random, shot: Shot) -> None:
    shot.path = dice.choice(PATHS)


def _odd_parameter(dice: random.Random, shot: Shot) -> None:
    name, value = dice.choice(PARAMETERS), dice.choice(VALUES)
    shot.path += f"{'&' if '?' in shot.path else '?'}{name}={value}"


def _odd_segment(dice: random.Random, shot: Shot) -> None:
    parts = shot.path.split("/")
    parts[dice.randrange(len(parts))] = dice.choice(SEGMENTS)
    shot.path = "/".join(parts)


def _odd_method(dice: random.Random, shot: Shot) -> None:
    shot.method = dice.choice(METHODS)


def _odd_header(dice: random.Random, shot: Shot) -> None:
    for _ in range(dice.randint(1, 3)):
        shot.headers.insert(dice.randrange(len(shot.headers) + 1), dice.choice(HEADERS))


def _many_headers(dice: random.Random, shot: Shot) -> None:
    shot.headers += [(f"x-{number}", "y") for number in range(dice.choice((50, 300, 3000)))]


def _chunked(dice: random.Random, shot: Shot) -> None:
    if dice.random() < 0.7:
        shot.headers = [one for one in shot.headers if one[0] != "content-length"]
    shot.headers.append(("transfer-encoding", "chunked"))
    shot.body = dice.choice(CHUNKS)


def _flipped(dice: random.Random, shot: Shot) -> None:
    content = bytearray(shot.bytes_())
    for _ in range(dice.randint(1, 5)):
        byte = dice.choice((0, 10, 13, 32, 127, 255, dice.randrange(256)))
        content[dice.randrange(len(content))] = byte
    shot.raw = bytes(content)


def _halved(dice: random.Random, shot: Shot) -> None:
    content = shot.bytes_()
    shot.raw = content[: dice.randrange(1, max(2, len(content)))]
    shot.hangs_up = dice.random() < 0.9


def _in_pieces(dice: random.Random, shot: Shot) -> None:
    shot.pieces = dice.randint(2, 6)


def _no_http(dice: random.Random, shot: Shot) -> None:
    shot.raw = dice.choice((*NO_HTTP, dice.randbytes(300)))
    shot.hangs_up = dice.random() < 0.8


MUTATIONS: tuple[Mutation, ...] = (
    *(_bad_json, _bad_json, _wrong_types, _wrong_types, _wrong_types, _huge, _other_length),
    *(_odd_path, _odd_path, _odd_parameter, _odd_segment, _odd_method, _odd_header, _odd_header),
    *(_many_headers, _chunked, _flipped, _flipped, _halved, _in_pieces, _no_http),
)


def _fired(given: dict[str, Any], shot: Shot) -> Shot:
    try:
        with _link(given) as link:
            link.settimeout(_ANSWER_S)
            content = shot.bytes_()
            step = max(1, -(-len(content) // shot.pieces))
            for start in range(0, len(content), step):
                link.sendall(content[start : start + step])
            if shot.hangs_up:
                shot.told.append("hung up")
                return shot
            shot.told += _answers(link, shot.expected) or ["closed"]
    except TimeoutError:
        shot.told.append("no answer")
    except OSError as error:
        shot.told.append(type(error).__name__)
    return shot


def _link(given: dict[str, Any]) -> socket.socket:
    if given.get("socket"):
        link = socket.socket(socket.AF_UNIX)
        try:
            link.settimeout(_ANSWER_S)
            link.connect(given["socket"])
        except BaseException:
            link.close()
            raise
        return link
    return socket.create_connection(("127.0.0.1", given["port"]), _ANSWER_S)


def _answers(link: socket.socket, expected: int) -> list[str]:
    """The statuses of the answers on a connection; waits longest for the first."""
    came, statuses = b"", list[str]()
    while len(statuses) < expected and len(came) < _MOST_ANSWER_BYTES:
        try:
            block = link.recv(65536)
        except TimeoutError:
            if statuses:
                break
            raise
        except ConnectionResetError:
            if statuses:
                break
            raise
        if not block:
            break
        came += block
        statuses = _statuses(came)
        if statuses:
            link.settimeout(_MORE_S)
    return statuses


def _statuses(came: bytes) -> list[str]:
    """The statuses in what came so far; answers to HEAD have no body, and may be told late."""
    found = []
    while came.startswith(b"HTTP/1.1 "):
        head, end, rest = came.partition(b"\r\n\r\n")
        if not end:
            break
        status = head[9:12].decode("ascii", "replace")
        if not status.startswith("1"):
            found.append(status)
        said = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
        came = rest[int(said) :] if said.isdigit() and not rest.startswith(b"HTTP/1.1 ") else rest
    return found
