"""The server backend against a real chat server with checkpoints that know their lines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("torch", reason="the server under test runs on torch")
pytest.importorskip("transformers", reason="the server under test is transformers serve")

from edge_lvr1.domain import Level, Node, NodeId, Span
from edge_lvr1.errors import ModelError
from edge_lvr1.media.frames import Footage, Frame
from edge_lvr1.models.base import Clip, Message, Moves
from edge_lvr1.models.chat_server import ChatServer, Endpoint
from edge_lvr1.models.looking import Look, caption_words, moments, query_words
from edge_lvr1.models.server import Sampling, ServerAgent, ServerCaptioner
from tests.chat_server_process import serving
from tests.tiny_server_models import make_language_model, make_vision_model

SYSTEM = "You answer a question about a video."
ASKED = "Which colour is the car?"
CALL = "<think>the second part shows it</think>\n<tool>get_caption((1,2))</tool>"
SHOWN = "Medium-level Caption from tool get_caption((1,2)). From 0.0 to 4.0: a red car"
ANSWER = "<think>seen</think>\n<answer>red, as (1,2) shows</answer>"
BABBLE = "<think>" + "and so on " * 20 + "</think>"
NODE = Node(NodeId((1, 2, 3)), Span(0.0, 4.0))
LOOKS = {Level.LOW: Look(frames=4, max_side_px=64, words=30)}
QUERY = "is there a car?"
COLOURS = {"red": (200, 20, 20), "blue": (20, 20, 200)}


class Wall(Footage):
    """Footage that shows one colour all the time."""

    def __init__(self, colour: str) -> None:
        super().__init__(())
        self.colour = colour

    def at(  # type: ignore[override]
        self, times_s: Sequence[float], max_side_px: int | None = None, tolerance_s: float = 0.0
    ) -> Iterator[Frame]:
        for time_s in times_s:
            yield Frame(time_s, picture(self.colour))


def picture(colour: str) -> np.ndarray:
    return np.full((60, 80, 3), COLOURS[colour], np.uint8)


@dataclass(frozen=True)
class Served:
    url: str
    language: str
    vision: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    turns = [("system", SYSTEM), ("user", ASKED), ("assistant", CALL)]
    turns += [("user", SHOWN), ("assistant", ANSWER)]
    on_and_on = [("user", "Go on."), ("assistant", BABBLE)]
    make_language_model(
        folder / "language",
        [[{"role": role, "content": text} for role, text in talk] for talk in (turns, on_and_on)],
    )
    make_vision_model(
        folder / "vision",
        [
            (_content(words), [picture(colour)] * 4, f"{said} {colour} wall.")
            for colour in COLOURS
            for words, said in (
                (caption_words(NODE, 4, 30), "A"),
                (query_words(NODE, 4, QUERY), "No, only a"),
            )
        ],
    )
    with serving(folder / "server.log") as url:
        yield Served(url, str(folder / "language"), str(folder / "vision"))


def _content(words: str) -> list[dict[str, str]]:
    content = [{"type": "text", "text": words}]
    for time_s in moments(NODE.span, 4):
        content += [{"type": "text", "text": f"{time_s:.1f} s"}, {"type": "image"}]
    return content


def _agent(served: Served, **sampling: int) -> ServerAgent:
    return ServerAgent(ChatServer(Endpoint(served.url, served.language)), Sampling(**sampling))


def _soon(seconds: float = 60.0) -> float:
    return time.monotonic() + seconds


def test_a_conversation_goes_on_over_rounds(served: Served) -> None:
    session = _agent(served).open()
    messages = [Message("system", SYSTEM), Message("user", ASKED)]

    first = session.reply(messages, Moves(4, frozenset()), _soon())
    messages += [Message("assistant", first), Message("user", SHOWN)]
    second = session.reply(messages, Moves(4, frozenset()), _soon())

    assert [first, second] == [CALL, ANSWER]


def test_a_reply_that_is_too_long_ends_at_the_limit_of_tokens(served: Served) -> None:
    reply = (
        _agent(served, max_tokens=12)
        .open()
        .reply([Message("user", "Go on.")], Moves(4, frozenset()), _soon())
    )

    assert reply.startswith("<think>and so on")
    assert len(reply) < len(BABBLE)


def test_at_the_deadline_what_was_written_is_returned(served: Served) -> None:
    agent = _agent(served)
    asked = [Message("user", "Go on.")]
    started = time.monotonic()
    whole = agent.open().reply(asked, Moves(4, frozenset()), _soon())
    whole_s = time.monotonic() - started

    # How fast the server is the next time is not ours to say; far below, none can be done.
    cut = [
        agent.open().reply(asked, Moves(4, frozenset()), time.monotonic() + whole_s / share)
        for share in (2, 8, 100)
    ]

    assert all(whole.startswith(reply.removesuffix("</think>\n")) for reply in cut)
    assert len(cut[-1]) < len(whole)


def test_a_server_that_describes_no_constraint_is_left_free(served: Served) -> None:
    agent = _agent(served)

    agent.open().reply(
        [Message("system", SYSTEM), Message("user", ASKED)], Moves(4, frozenset()), _soon()
    )

    assert agent.constraint == "none"


def test_a_model_that_is_not_there_is_an_error_that_names_the_server(served: Served) -> None:
    endpoint = Endpoint(served.url, "no/such-model", attempts=1)

    with pytest.raises(ModelError, match=served.url):
        ServerAgent(ChatServer(endpoint)).open().reply(
            [Message("user", ASKED)], Moves(4, frozenset()), _soon()
        )


def test_a_server_that_lists_no_model_needs_one_named(served: Served) -> None:
    agent = ServerAgent(ChatServer(Endpoint(served.url)))

    with pytest.raises(ModelError, match="lists no models: name the one"):
        agent.open().reply([Message("user", ASKED)], Moves(4, frozenset()), _soon())


@pytest.mark.parametrize("colour", COLOURS)
def test_a_caption_says_what_the_pictures_show(served: Served, colour: str) -> None:
    captioner = _captioner(served)

    written = captioner.caption(Clip(Wall(colour), NODE))

    assert written.text == f"A {colour} wall."
    assert (written.frames, written.prompt) == (4, caption_words(NODE, 4, 30))
    assert written.tokens > 0


@pytest.mark.parametrize("colour", COLOURS)
def test_a_second_look_answers_the_query(served: Served, colour: str) -> None:
    said = _captioner(served).video_qa(Clip(Wall(colour), NODE), QUERY)

    assert said == f"No, only a {colour} wall."


def _captioner(served: Served) -> ServerCaptioner:
    server = ChatServer(Endpoint(served.url, served.vision))
    return ServerCaptioner(server, LOOKS)
