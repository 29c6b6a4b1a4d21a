"""A client of OpenAI-compatible chat servers: requests, their deadlines, tries and failures.

It knows HTTP and nothing of captions or navigation; `chat_stream` reads what comes back. What
a server says in an error is not trusted: it is cut short, and the key is taken out of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from edge_lvr1.errors import Cancelled, ModelError, ServerAway, SettingsError
from edge_lvr1.models.chat_stream import (
    NOT_TAKEN_STATUS,
    RETRIED_STATUS,
    BrokenOff,
    Reply,
    events,
    model_names,
    parsed,
    whole,
    words_of,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

_LOOK_UP_S = 0.1  # how often a request under way is asked whether it is still wanted
_COUNT = "stream_options"  # the field that asks for the count of tokens
_USAGE_S = 0.5  # how long a reply that is whole waits for the count of its tokens
_MOST_WORDS = 300  # characters of a server's own words in an error


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is, and how long to bear with it.

    `url` is the base that /chat/completions stands below, as in http://127.0.0.1:8000/v1.
    `silence_s` is the longest wait for the next byte, the first token included;
    `attempts` counts tries of a request that the server did not take or broke off.
    """

    url: str
    model: str = ""
    api_key: str = field(default="", repr=False)
    ca_file: Path | None = None
    connect_s: float = 5.0
    silence_s: float = 120.0
    total_s: float = 600.0
    attempts: int = 4
    backoff_s: float = 0.5
    most_backoff_s: float = 8.0

    def __post_init__(self) -> None:
        try:
            url = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise SettingsError(f"the server's address {self.url!r} is no URL: {error}") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise SettingsError(
                f"the server's address must begin with http:// or https://, not {self.url!r}"
            )
        if url.userinfo or url.query:
            raise SettingsError("the server's address must hold no key: give it as api_key")
        if not self.api_key.isascii() or not self.api_key.isprintable():
            raise SettingsError("the server's api_key holds characters that no header can carry")


@dataclass(frozen=True, slots=True)
class Completion:
    """What a server wrote: text (reasoning first, in its tags), why it ended, tokens.

    `tokens` were written: as the server counts, or else pieces of the stream. `read` are those
    of the prompt, 0 where the server does not tell. `finish` is the server's own word ("stop",
    "length", ...), "cut" where the text was ended here, or "deadline".
    """

    text: str
    finish: str
    tokens: int
    read: int = 0


class ChatServer:
    """Sends conversations to one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.endpoint = endpoint
        self.transport = transport
        self.clock = clock
        self.sleep = sleep
        self._counts_if_asked = True

    def complete(
        self,
        body: Mapping[str, Any],
        stops: Sequence[str] = (),
        deadline: float | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Completion:
        """The server's reply to a request body, streamed, ended here after a stop string.

        `stops` are also sent as stop strings, and stand in the text whether or not the server
        leaves them out. `deadline` is a moment of the clock; what was written by then is
        returned. Raises ServerAway when the server cannot be reached, is silent or breaks off,
        ModelError when it refuses, and Cancelled, with the request closed, soon after
        `cancelled` says so.
        """
        if stops:
            body = {**body, "stop": list(stops)}
        reply = Reply(stops)
        left_s = self._left_s(deadline)
        if left_s <= 0:
            return Completion("", "deadline", 0)
        try:
            asked: dict[str, Any] = {"stream": True}
            if self._counts_if_asked:
                asked[_COUNT] = {"include_usage": True}
            work = self._complete({**body, **asked}, reply)
            asyncio.run(self._bounded(_unless(cancelled, work), left_s))
        except TimeoutError:
            if deadline is None or left_s == self.endpoint.total_s:
                raise self._too_slow(left_s) from None
            if reply.failure and not reply.text():
                raise ServerAway(reply.failure, reached=reply.reached) from None
            reply.finish = "deadline"
        except ModelError as error:
            if not self._counts_if_asked or _COUNT not in str(error):
                raise
            log.info("%s does not count tokens of a stream: %s", self.endpoint.url, error)
            self._counts_if_asked = False
            return self.complete(body, stops, deadline, cancelled)
        return Completion(reply.text(), reply.finish, reply.tokens, reply.read)

    def models(self, deadline: float | None = None) -> list[str]:
        """The names of the models that the server lists. Raises ModelError."""
        left_s = max(0.0, self._left_s(deadline))
        try:
            return model_names(asyncio.run(self._bounded(self._get("/models"), left_s)))
        except TimeoutError:
            raise self._too_slow(left_s) from None

    def schema(self) -> Mapping[str, Any]:
        """The server's OpenAPI description; empty where it has none."""
        try:
            data = asyncio.run(self._bounded(self._openapi(), 2 * self.endpoint.connect_s))
        except (ModelError, TimeoutError, httpx.TransportError, BrokenOff) as error:
            log.debug("%s describes no API: %s", self.endpoint.url, error)
            return {}
        return data if isinstance(data, dict) else {}

    def _left_s(self, deadline: float | None) -> float:
        total_s = self.endpoint.total_s
        return total_s if deadline is None else min(total_s, deadline - self.clock())

    def _too_slow(self, limit_s: float) -> ModelError:
        return ModelError(
            f"the server at {self.endpoint.url} did not finish within {limit_s:.1f} s: "
            f"allow it more time, or fewer tokens"
        )

    async def _bounded(self, work: Awaitable[T], limit_s: float) -> T:
        try:
            return await asyncio.wait_for(work, limit_s)
        except asyncio.TimeoutError:
            raise TimeoutError(f"no end within {limit_s:g} s") from None  # one name before 3.11

    def _client(self) -> httpx.AsyncClient:
        endpoint = self.endpoint
        headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        verify: ssl.SSLContext | bool = True
        if endpoint.ca_file is not None:
            try:
                verify = ssl.create_default_context(cafile=str(endpoint.ca_file))
            except OSError as error:
                raise SettingsError(f"{endpoint.ca_file} is no CA file: {error}") from error
        return httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(endpoint.silence_s, connect=endpoint.connect_s),
            transport=self.transport,
            verify=verify,
            # Pictures go to the server that the settings name, not to a proxy of the
            # environment's.
            trust_env=False,
        )

    async def _complete(self, body: Mapping[str, Any], reply: Reply) -> None:
        async def ask(client: httpx.AsyncClient) -> None:
            reply.clear()
            url = self._url("/chat/completions")
            async with client.stream("POST", url, json=body) as response:
                await self._check(response)
                if "json" in response.headers.get("content-type", ""):
                    reply.take_whole(parsed(await whole(response.aiter_bytes())))
                    return
                stream = events(response.aiter_bytes())
                async for event in stream:
                    if reply.take(event):
                        await self._take_usage(stream, reply)
                        return
                if not reply.finish:
                    raise BrokenOff("the stream ended before the reply did")

        await self._with_retries(ask, reply)

    async def _take_usage(self, stream: AsyncIterator[object], reply: Reply) -> None:
        """What a server tells of tokens comes after the reply, if it comes: soon or never."""

        async def listen() -> None:
            async for event in stream:
                if reply.take_usage(event):
                    return

        if reply.finish == "cut":  # the server writes on
            return
        with contextlib.suppress(asyncio.TimeoutError, httpx.TransportError, ModelError, BrokenOff):
            await asyncio.wait_for(listen(), _USAGE_S)

    async def _get(self, path: str) -> object:
        async def ask(client: httpx.AsyncClient) -> object:
            async with client.stream("GET", self._url(path)) as response:
                await self._check(response)
                return parsed(await whole(response.aiter_bytes()))

        return await self._with_retries(ask, Reply())

    async def _openapi(self) -> object:
        root = self.endpoint.url.rstrip("/").removesuffix("/v1")
        async with (
            self._client() as client,
            client.stream("GET", f"{root}/openapi.json") as response,
        ):
            await self._check(response)
            return parsed(await whole(response.aiter_bytes()))

    async def _with_retries(
        self, ask: Callable[[httpx.AsyncClient], Awaitable[T]], reply: Reply
    ) -> T:
        """Ask until it works; waits double, or are what the server asks for, up to a bound."""
        endpoint = self.endpoint
        async with self._client() as client:
            for attempt in range(1, endpoint.attempts + 1):
                wait_s = endpoint.backoff_s * 2 ** (attempt - 1)
                try:
                    return await ask(client)
                except httpx.ReadTimeout:
                    raise ServerAway(
                        f"the server at {endpoint.url} has been silent for "
                        f"{endpoint.silence_s:g} s: see whether it is overloaded",
                        reached=True,
                    ) from None
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    why = str(error) or type(error).__name__
                except httpx.TransportError as error:
                    why, reply.reached = str(error) or type(error).__name__, True
                except BrokenOff as error:
                    if error.final:
                        raise ModelError(
                            f"the server at {endpoint.url} refused the request: "
                            f"{self._clean(str(error))}"
                        ) from None
                    why, wait_s = str(error), max(wait_s, error.wait_s)
                    reply.reached = reply.reached or error.taken
                reply.failure = (
                    f"the server at {endpoint.url} did not answer in {attempt} "
                    f"{'try' if attempt == 1 else 'tries'} ({self._clean(why)}): "
                    f"see whether it runs there"
                )
                if attempt < endpoint.attempts:
                    wait_s = min(wait_s, endpoint.most_backoff_s)
                    log.warning("%s: %s; again in %.1f s", endpoint.url, self._clean(why), wait_s)
                    await self.sleep(wait_s)
        raise ServerAway(reply.failure, reached=reply.reached)

    async def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status < 300:
            return
        words = self._clean(words_of(await whole(response.aiter_bytes())))
        where = self.endpoint.url
        if status in RETRIED_STATUS:
            taken = status not in NOT_TAKEN_STATUS
            raise BrokenOff(f"status {status}: {words}", _retry_after_s(response), taken=taken)
        if status in (401, 403):
            raise ModelError(f"the server at {where} refuses the API key ({status}): {words}")
        if status == 404:
            raise ModelError(
                f"the server at {where} knows no such address or model (404): {words}; check "
                f"the address (it usually ends in /v1) and the model's name"
            )
        raise ModelError(f"the server at {where} refused the request ({status}): {words}")

    def _url(self, path: str) -> str:
        return self.endpoint.url.rstrip("/") + path

    def _clean(self, words: str) -> str:
        """A server's words on one line, cut short, without the key."""
        if self.endpoint.api_key:
            words = words.replace(self.endpoint.api_key, "[key]")
        words = " ".join("".join(c if c.isprintable() else " " for c in words).split())
        return words if len(words) <= _MOST_WORDS else words[:_MOST_WORDS] + "..."


async def _unless(cancelled: Callable[[], bool], work: Awaitable[T]) -> T:
    """What comes of the work. Raises Cancelled, with the work put down, once that is said."""
    doing = asyncio.ensure_future(work)
    try:
        while not doing.done():
            if cancelled():
                raise Cancelled("the reply is not wanted any more")
            await asyncio.wait([doing], timeout=_LOOK_UP_S)
        return doing.result()
    finally:
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)


def _retry_after_s(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0  # a date: the doubling waits do as well
