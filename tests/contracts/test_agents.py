"""One suite over every agent: what the loop relies on, whatever is behind the Protocol."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Sequence

import pytest

from edge_lvr1.domain import FinalAnswer, Invalid, NodeId, Verdict
from edge_lvr1.errors import Cancelled
from edge_lvr1.models.base import (
    Agent,
    AgentSession,
    Cancel,
    CountsTokens,
    Finder,
    Message,
    Moves,
    Usage,
    never,
    usage_of,
)
from edge_lvr1.models.embedded.retrieval.agent import EmbeddedAgent
from edge_lvr1.models.residency import Residency, ResidentAgent
from edge_lvr1.navigator.actions import parse_reply
from edge_lvr1.navigator.conversation import Conversation, caption_observation
from tests.navigator.written_trees import ScriptedAgent, WrittenTree, ask, cars, people, question

SCRIPT = [
    "<think>first a look</think>\n<tool>get_caption((1,2))</tool>",
    "<think>enough</think>\n<answer>A</answer>",
] * 10


def scripted() -> Agent:
    """An agent with a script long enough for every test here."""
    return ScriptedAgent(list(SCRIPT))


class Counting:
    """A scripted agent that counts words for tokens."""

    name = "counting"

    def open(self, finder: Finder | None = None) -> AgentSession:
        return CountingSession(scripted().open(finder))


class CountingSession:
    def __init__(self, inner: AgentSession) -> None:
        self.usage = Usage()
        self._inner = inner

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        said = self._inner.reply(messages, moves, deadline, cancelled)
        self.usage += Usage(len(messages[-1].content.split()), len(said.split()))
        return said

    def close(self) -> None:
        self._inner.close()


def shared() -> Agent:
    """An agent that counts, as it is where models share memory."""
    residency = Residency()
    residency.add("agent", "scripted", Weightless())
    return ResidentAgent(Counting(), residency)


class Weightless:
    memory_mb = 1

    def load(self) -> None:
        pass

    def unload(self) -> None:
        pass


MAKERS = {"embedded": EmbeddedAgent, "scripted": scripted, "shared": shared}


@pytest.fixture(params=sorted(MAKERS))
def make_agent(request: pytest.FixtureRequest) -> Callable[[], Agent]:
    return MAKERS[request.param]


def conversation_of(
    tree: WrittenTree, text: str, *options: str, last: bool = False
) -> Conversation:
    highs = [tree.caption(NodeId((n,))) for n in range(1, tree.plan.width + 1)]
    return Conversation.begin(question(text, *options), tree.plan.duration_s, highs, last=last)


def far_away() -> float:
    return time.monotonic() + 60.0


def test_it_has_a_name(make_agent: Callable[[], Agent]) -> None:
    assert make_agent().name


def test_it_replies_with_a_thought_and_a_legal_move(make_agent: Callable[[], Agent]) -> None:
    tree = people()
    session = make_agent().open()
    moves = Moves(width=4, opened=frozenset())

    reply = session.reply(conversation_of(tree, "Is anyone there?").messages, moves, far_away())

    thought, action = parse_reply(reply, moves)
    assert thought
    assert not isinstance(action, Invalid)
    session.close()


def test_it_goes_on_from_what_came_back(make_agent: Callable[[], Agent]) -> None:
    tree = people()
    session = make_agent().open()
    conversation = conversation_of(tree, "Is anyone there?", "yes", "no")
    opened = NodeId((1, 2))
    first = session.reply(conversation.messages, Moves(4, frozenset(), "AB"), far_away())
    conversation = conversation.replied(first).told(
        caption_observation(tree.caption(opened), last=False)
    )
    moves = Moves(4, frozenset({opened}), "AB")

    second = session.reply(conversation.messages, moves, far_away())

    assert not isinstance(parse_reply(second, moves)[1], Invalid)
    session.close()


def test_the_conversation_it_is_given_stays_as_it_was(make_agent: Callable[[], Agent]) -> None:
    messages = list(conversation_of(cars(), "Is there a red car?").messages)
    before = [Message(message.role, message.content) for message in messages]
    session = make_agent().open()

    session.reply(messages, Moves(2, frozenset()), far_away())

    assert messages == before
    session.close()


def test_sessions_do_not_know_of_each_other(make_agent: Callable[[], Agent]) -> None:
    agent = make_agent()
    one, other = agent.open(), agent.open()
    moves = Moves(2, frozenset())

    of_cars = one.reply(conversation_of(cars(), "Is there a red car?").messages, moves, far_away())
    one.close()
    of_people = other.reply(
        conversation_of(people(), "Is there a dog?").messages, Moves(4, frozenset()), far_away()
    )

    assert not isinstance(parse_reply(of_cars, moves)[1], Invalid)
    assert not isinstance(parse_reply(of_people, Moves(4, frozenset()))[1], Invalid)
    other.close()


def test_the_loop_brings_a_question_with_options_to_an_end(
    make_agent: Callable[[], Agent],
) -> None:
    asked = question("Which way does the red car move?", "up", "down")

    answer, steps = ask(make_agent(), asked, cars())

    assert answer.verdict is Verdict.ANSWERED
    assert answer.option == "A"
    assert isinstance(steps[-1].action, FinalAnswer)
    assert answer.rounds <= asked.max_rounds


def test_what_a_conversation_has_cost_never_goes_down(make_agent: Callable[[], Agent]) -> None:
    session = make_agent().open()
    messages = list(conversation_of(cars(), "Is there a red car?").messages)
    costs = [usage_of(session)]

    for _ in range(2):
        reply = session.reply(messages, Moves(2, frozenset()), far_away())
        messages += [Message("assistant", reply), Message("user", "Go on.")]
        costs.append(usage_of(session))

    assert costs[0] == Usage()
    for before, after in itertools.pairwise(costs):
        more = after - before
        assert min(more.read, more.written) >= (1 if isinstance(session, CountsTokens) else 0)
    session.close()


def test_a_reply_that_nobody_wants_does_not_keep_anybody_waiting(
    make_agent: Callable[[], Agent],
) -> None:
    messages = conversation_of(cars(), "Is there a red car?").messages
    session = make_agent().open()
    began_s = time.monotonic()

    with contextlib.suppress(Cancelled):  # one that takes but a moment may reply all the same
        session.reply(messages, Moves(2, frozenset()), far_away(), lambda: True)

    assert time.monotonic() - began_s < 1.0
    session.close()
