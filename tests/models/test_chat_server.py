"""The client of chat servers: tries, deadlines, refusals, and streams of every kind.

The fake stands at the transport; what a real server does is in test_server.py.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.errors import ModelError, ServerAway, SettingsError
from edge_lvr1.models.chat_server import ChatServer, Completion, Endpoint
from edge_lvr1.models.chat_stream import MOST_BYTES, Reply

URL = "http://127.0.0.1:8000/v1"
KEY = "sk-very-secret"
STOPS = ("</tool>", "</answer>")
ASK = {"model": "m", "messages": [{"role": "user", "content": "?"}]}


class Scripted(httpx.AsyncBaseTransport):
    """Answers requests in order with what is queued: a response, or an error to raise."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[httpx.Headers] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(request.content or "{}"))
        self.headers.append(request.headers)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return httpx.Response(200, content=answer())
        assert isinstance(answer, httpx.Response)
        return answer


class Naps:
    """Sleeps that take no time and are written down."""

    def __init__(self) -> None:
        self.taken_s: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken_s.append(seconds)


def server(*answers: object, naps: Naps | None = None, **settings: object) -> ChatServer:
    endpoint = Endpoint(**{"url": URL, "model": "m", "api_key": KEY, **settings})
    return ChatServer(endpoint, transport=Scripted(*answers), sleep=naps or Naps())


def streamed(
    *deltas: dict[str, Any], finish: str | None = "stop", **choice: object
) -> httpx.Response:
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    if finish is not None:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish, **choice}]})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return httpx.Response(
        200,
        headers={"content-type": "text/event-stream"},
        content="".join(lines) + "data: [DONE]\n\n",
    )


def test_text_comes_together_from_its_pieces() -> None:
    chat = server(streamed({"role": "assistant"}, {"content": "a "}, {"content": "car"}))

    assert chat.complete(ASK) == Completion("a car", "stop", 2)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_that_comes_apart_is_put_back_into_its_tags(name: str) -> None:
    deltas = [{name: "it "}, {name: "moves"}, {"content": "<answer>yes</answer>"}]

    done = server(streamed(*deltas)).complete(ASK, STOPS)

    assert done.text == "<think>it moves</think>\n<answer>yes</answer>"


def test_a_stop_string_that_the_server_left_out_is_put_back() -> None:
    opened = {"content": "<think>x</think>\n<tool>get_caption((1,2))"}

    by_tag = server(streamed(opened)).complete(ASK, STOPS)
    by_name = server(streamed({"content": "so"}, stop_reason="</answer>")).complete(ASK, STOPS)

    assert by_tag.text == "<think>x</think>\n<tool>get_caption((1,2))</tool>"
    assert by_name.text == "so</answer>"


def test_a_reply_is_cut_after_the_first_stop_string_of_a_server_that_runs_on() -> None:
    deltas = [{"content": "<answer>A"}, {"content": "</answer> and <tool>"}, {"content": "more"}]

    done = server(streamed(*deltas, finish="length")).complete(ASK, STOPS)

    assert done == Completion("<answer>A</answer>", "cut", 2)


def test_a_stop_string_within_the_thought_does_not_end_a_reply() -> None:
    text = "<think>I write </tool> last</think>\n<tool>get_caption((1,1))</tool>"

    assert server(streamed({"content": text})).complete(ASK, STOPS).text == text


def test_an_answer_that_was_not_streamed_is_taken_too() -> None:
    message = {"role": "assistant", "reasoning_content": "t", "content": "a car"}
    whole = {"choices": [{"message": message}], "usage": {"completion_tokens": 7}}

    done = server(httpx.Response(200, json=whole)).complete(ASK)

    assert done == Completion("<think>t</think>\na car", "stop", 7)


def counting(finish: str | None = "stop") -> httpx.Response:
    """A stream that tells of tokens in an event of its own, after the reply's end."""
    whole = streamed({"content": "a "}, {"content": "car"}, finish=finish)
    told = {"choices": [], "usage": {"prompt_tokens": 31, "completion_tokens": 5}}
    content = whole.text.replace("data: [DONE]", f"data: {json.dumps(told)}\n\ndata: [DONE]")
    return httpx.Response(200, headers=whole.headers, content=content)


def test_tokens_are_counted_as_the_server_counts_them() -> None:
    assert server(counting()).complete(ASK) == Completion("a car", "stop", 5, read=31)


def test_a_server_that_never_ends_its_stream_is_not_waited_for_long() -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield streamed({"content": "a car"}).content.replace(b"data: [DONE]\n\n", b"")
            await asyncio.sleep(60.0)

    kind = {"content-type": "text/event-stream"}
    began_s = time.monotonic()

    done = server(httpx.Response(200, headers=kind, stream=Endless())).complete(ASK)

    assert done == Completion("a car", "stop", 1)
    assert time.monotonic() - began_s < 5.0


def test_a_server_that_refuses_to_count_is_asked_without_it() -> None:
    refused = httpx.Response(422, json={"detail": "unknown field: stream_options"})
    transport = Scripted(refused, streamed({"content": "x"}), streamed({"content": "y"}))
    chat = ChatServer(Endpoint(URL, api_key=KEY), transport=transport)

    assert [chat.complete(ASK).text, chat.complete(ASK).text] == ["x", "y"]
    assert ["stream_options" in body for body in transport.bodies] == [True, False, False]


def test_stop_strings_and_streaming_are_asked_for() -> None:
    transport = Scripted(streamed({"content": "x"}))
    chat = ChatServer(Endpoint(URL, api_key=KEY), transport=transport)

    chat.complete(ASK, STOPS)

    counted = {"stream_options": {"include_usage": True}}
    assert transport.bodies == [{**ASK, "stop": list(STOPS), "stream": True, **counted}]
    assert transport.headers[0]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.RemoteProtocolError("cut off"),
        httpx.Response(429, json={"error": {"message": "busy"}}),
        httpx.Response(503, text="starting"),
        streamed({"content": "half a"}, finish=None),
        httpx.Response(
            200,
            headers={"content-type": "text/event-stream"},
            content='data: {"error": "it "said" so"}\n\n',
        ),
    ],
    ids=["refused", "connect", "cut", "429", "503", "half", "error event"],
)
def test_a_trouble_that_may_pass_is_tried_again(trouble: object) -> None:
    naps = Naps()

    done = server(trouble, streamed({"content": "whole"}), naps=naps).complete(ASK)

    assert done.text == "whole"
    assert naps.taken_s == [0.5]


def test_waits_double_up_to_a_bound_and_tries_end() -> None:
    naps = Naps()
    chat = server(*[httpx.ConnectError("refused")] * 6, naps=naps, attempts=6, most_backoff_s=3.0)

    with pytest.raises(ModelError, match=r"did not answer in 6 tries \(refused\)"):
        chat.complete(ASK)

    assert naps.taken_s == [0.5, 1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("trouble", "reached"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("late"), False),
        (httpx.Response(503, text="loading"), False),
        (httpx.Response(500, text="broke"), True),
        (httpx.RemoteProtocolError("hung up"), True),
        (httpx.ReadTimeout(""), True),
    ],
)
def test_a_server_that_is_away_is_told_from_one_that_broke_over_the_request(
    trouble: object, reached: bool
) -> None:
    with pytest.raises(ServerAway) as caught:
        server(trouble, attempts=1).complete(ASK)

    assert caught.value.reached is reached


def test_a_refusal_is_no_absence() -> None:
    with pytest.raises(ModelError) as caught:
        server(httpx.Response(400, text="too long"), attempts=1).complete(ASK)

    assert not isinstance(caught.value, ServerAway)


@pytest.mark.parametrize(("asked", "waited_s"), [("2", 2.0), ("3600", 8.0), ("Tomorrow", 0.5)])
def test_the_wait_that_a_server_asks_for_is_kept_within_the_bound(
    asked: str, waited_s: float
) -> None:
    naps = Naps()
    busy = httpx.Response(429, headers={"retry-after": asked}, text="busy")

    server(busy, streamed({"content": "x"}), naps=naps).complete(ASK)

    assert naps.taken_s == [waited_s]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "refused the request"),
        (401, "refuses the API key"),
        (404, "usually ends in /v1"),
        (307, "refused the request"),
    ],
)
def test_a_refusal_is_told_at_once(status: int, words: str) -> None:
    naps = Naps()
    refusal = httpx.Response(status, json={"detail": "context is 8192 tokens"})

    with pytest.raises(ModelError, match=words) as caught:
        server(refusal, naps=naps).complete(ASK)

    assert "context is 8192 tokens" in str(caught.value)
    assert naps.taken_s == []


def test_a_refusal_within_the_stream_is_told_at_once() -> None:
    event = json.dumps({"error": {"code": 400, "message": "too long"}})
    answer = httpx.Response(
        200, headers={"content-type": "text/event-stream"}, content=f"data: {event}\n\n"
    )

    with pytest.raises(ModelError, match="refused the request: too long"):
        server(answer).complete(ASK)


def test_the_key_is_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = httpx.Response(503, text=f"bad key {KEY}\nsecond line " + "x" * 1000)

    with pytest.raises(ModelError) as caught:
        server(echo, echo, attempts=2).complete(ASK)

    assert "bad key [key] second line" in str(caught.value)
    assert len(str(caught.value)) < 600
    assert KEY not in str(caught.value) + caplog.text + repr(Endpoint(URL, api_key=KEY))


def test_a_server_that_never_ends_is_cut_off() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    with pytest.raises(ModelError, match=f"more than {MOST_BYTES >> 20} MiB"):
        server(endless).complete(ASK)


def test_what_is_no_chat_server_is_told() -> None:
    page = httpx.Response(200, headers={"content-type": "application/json"}, text='{"ok": true}')
    html = httpx.Response(200, content="data: <html>\n\n")

    for answer in (page, html):
        with pytest.raises(ModelError, match="is it a chat server"):
            server(answer).complete(ASK)


def hung(first: bytes) -> Callable[[], AsyncIterator[bytes]]:
    async def blocks() -> AsyncIterator[bytes]:
        yield first
        await asyncio.Event().wait()

    return blocks


def test_a_server_that_hangs_gives_what_it_wrote_at_the_deadline() -> None:
    first = b'data: {"choices": [{"delta": {"content": "so far"}}]}\n\n'
    started = time.monotonic()

    done = server(hung(first)).complete(ASK, deadline=started + 0.2)

    assert done == Completion("so far", "deadline", 1)
    assert time.monotonic() - started < 5


def test_a_server_that_hangs_without_a_deadline_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"did not finish within 0\.2 s"):
        server(hung(b""), total_s=0.2).complete(ASK)


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    transport = Scripted()
    chat = ChatServer(Endpoint(URL), transport=transport, clock=lambda: 10.0)

    assert chat.complete(ASK, deadline=9.0) == Completion("", "deadline", 0)
    assert transport.bodies == []


def test_a_server_that_is_not_there_is_told_at_the_deadline_too() -> None:
    chat = ChatServer(
        Endpoint(URL, backoff_s=60.0, most_backoff_s=60.0),
        transport=Scripted(httpx.ConnectError("refused")),
    )

    with pytest.raises(ModelError, match="refused"):
        chat.complete(ASK, deadline=time.monotonic() + 0.2)


def test_a_server_that_is_silent_is_an_error() -> None:
    with pytest.raises(ModelError, match="silent for 120 s"):
        server(httpx.ReadTimeout("")).complete(ASK)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "localhost:8000"}, "must begin with http"),
        ({"url": "http://me:secret@host/v1"}, "give it as api_key"),
        ({"url": "http://host/v1?key=secret"}, "give it as api_key"),
        ({"url": "http://[::1"}, "is no URL"),
        ({"url": URL, "api_key": "a\nb"}, "no header can carry"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused(settings: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        Endpoint(**settings)  # type: ignore[arg-type]

    assert "secret" not in str(caught.value)


def test_models_are_listed() -> None:
    listing = {"object": "list", "data": [{"id": "one"}, {"id": 2}, "x", {"id": "two"}]}

    assert server(httpx.Response(200, json=listing)).models() == ["one", "two"]


def test_a_server_without_a_description_has_an_empty_one() -> None:
    assert server(httpx.Response(404)).schema() == {}
    assert server(httpx.ConnectError("refused")).schema() == {}
    assert server(httpx.Response(200, json={"paths": {}})).schema() == {"paths": {}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "message", "content", "reasoning", "finish_reason", "usage"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(events=st.lists(JSON, max_size=6))
def test_no_event_of_any_shape_breaks_a_reply(events: list[Any]) -> None:
    reply = Reply(STOPS)

    for event in events:
        reply.take(event)

    assert isinstance(reply.text(), str)


@given(text=st.text(alphabet="<>/tolanswerhik ", max_size=60), cuts=st.lists(st.integers(0, 60)))
def test_a_reply_does_not_depend_on_how_it_was_cut_into_pieces(text: str, cuts: list[int]) -> None:
    whole, pieces = Reply(STOPS), Reply(STOPS)
    whole.take({"choices": [{"delta": {"content": text}}]})

    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for begin, end in itertools.pairwise(edges):
        if pieces.take({"choices": [{"delta": {"content": text[begin:end]}}]}):
            break

    assert pieces.text() == whole.text()
