"""Models that share memory: who is loaded, who leaves, who waits."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from edge_lvr1.errors import Cancelled, ModelError
from edge_lvr1.models.base import (
    TWO_TOOLS,
    AgentSession,
    Cancel,
    Finder,
    Message,
    Moves,
    Usage,
    never,
    tools_of,
    usage_of,
)
from edge_lvr1.models.residency import LoadableAgent, Residency, ResidentAgent

MOVES = Moves(width=2, opened=frozenset())
TURN = [Message("user", "who?")]


class Weights:
    """Something that can be loaded, and counts how often it was."""

    def __init__(self, memory_mb: int) -> None:
        self.memory_mb = memory_mb
        self.loaded = False
        self.loads = 0

    def load(self) -> None:
        self.loads += not self.loaded
        self.loaded = True

    def unload(self) -> None:
        self.loaded = False


def both(limit_mb: int | None) -> tuple[Residency, Weights, Weights]:
    residency = Residency(limit_mb)
    agent, captioner = Weights(60), Weights(50)
    residency.add("agent", "a", agent)
    residency.add("captioner", "c", captioner)
    return residency, agent, captioner


def test_nothing_is_loaded_before_it_is_needed() -> None:
    residency, agent, captioner = both(None)

    assert [state.loaded for state in residency.states()] == [False, False]
    with residency.using("agent"):
        assert (agent.loaded, captioner.loaded) == (True, False)


def test_without_a_limit_both_stay() -> None:
    residency, agent, captioner = both(None)
    for role in ("agent", "captioner", "agent", "captioner"):
        with residency.using(role):
            pass

    assert (agent.loads, captioner.loads) == (1, 1)
    assert all(state.loaded for state in residency.states())


def test_within_a_limit_the_least_recently_used_leaves() -> None:
    residency, agent, captioner = both(100)
    with residency.using("agent"):
        pass
    with residency.using("captioner"):
        assert (agent.loaded, captioner.loaded) == (False, True)
    with residency.using("agent"):
        assert (agent.loaded, captioner.loaded) == (True, False)

    assert (agent.loads, captioner.loads) == (2, 1)
    assert sum(state.memory_mb for state in residency.states() if state.loaded) <= 100


def test_the_oldest_of_three_leaves_first() -> None:
    residency, agent, captioner = both(120)
    embedder = Weights(20)
    residency.add("embedder", "e", embedder)
    for role in ("agent", "captioner", "agent", "embedder"):
        with residency.using(role):
            pass

    assert (agent.loaded, captioner.loaded, embedder.loaded) == (True, False, True)


def test_what_can_never_fit_is_refused_with_figures() -> None:
    residency = Residency(40)

    with pytest.raises(ModelError, match=r"needs 60 MiB .* is 40"):
        residency.add("agent", "a", Weights(60))


def test_a_model_in_use_does_not_leave_and_the_other_waits_for_it() -> None:
    residency, agent, captioner = both(100)
    came_in = threading.Event()

    def look() -> None:
        with residency.using("captioner"):
            assert not agent.loaded
            came_in.set()

    with residency.using("agent"):
        looking = threading.Thread(target=look)
        looking.start()
        assert not came_in.wait(0.1)
        assert agent.loaded
    looking.join(10)

    assert came_in.is_set()
    assert captioner.loaded


def test_a_model_that_fails_to_load_leaves_the_others_usable() -> None:
    residency, agent, _ = both(100)

    def fail() -> None:
        raise ModelError("no memory")

    agent.load = fail  # type: ignore[method-assign]

    with pytest.raises(ModelError, match="no memory"), residency.using("agent"):
        pass
    with residency.using("captioner"):
        assert [state.loaded for state in residency.states()] == [False, True]


class CountingAgent:
    """Counts its conversations and how many were closed."""

    name = "counting"

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0

    def open(self, finder: Finder | None = None) -> AgentSession:
        self.opened += 1
        return self

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        return f"reply {len(messages)} of conversation {self.opened}"

    def close(self) -> None:
        self.closed += 1


def test_a_conversation_whose_model_left_is_read_again_and_goes_on() -> None:
    residency = Residency(100)
    inner, weights, captioner = CountingAgent(), Weights(60), Weights(50)
    agent = ResidentAgent(inner, residency)
    residency.add("agent", "a", LoadableAgent(weights, agent))
    residency.add("captioner", "c", captioner)
    session = agent.open()

    first = session.reply(TURN, MOVES, 1.0)
    with residency.using("captioner"):
        assert (inner.closed, weights.loaded) == (1, False)
    second = session.reply(TURN * 3, MOVES, 1.0)
    session.close()

    assert (first, second) == ("reply 1 of conversation 1", "reply 3 of conversation 2")
    assert (inner.opened, inner.closed, weights.loads) == (2, 2, 2)


def test_the_tools_of_the_agent_inside_are_known_before_it_is_loaded() -> None:
    class Knowing(CountingAgent):
        tools = frozenset({"search_captions"})

    residency = Residency(None)

    assert tools_of(ResidentAgent(CountingAgent(), residency)) == TWO_TOOLS
    assert tools_of(ResidentAgent(Knowing(), residency)) == TWO_TOOLS | {"search_captions"}


def test_who_waits_for_a_model_that_is_in_use_may_go_away() -> None:
    residency = Residency()
    residency.add("agent", "a", Weights(1))
    in_use, done = threading.Event(), threading.Event()

    def use() -> None:
        with residency.using("agent"):
            in_use.set()
            done.wait(20.0)

    user = threading.Thread(target=use)
    user.start()
    in_use.wait(20.0)

    with pytest.raises(Cancelled), residency.using("agent", lambda: True):
        pass
    done.set()
    user.join()
    with residency.using("agent"):
        pass


class Costly:
    """A session that counts, and begins at nothing when it is opened anew."""

    def __init__(self) -> None:
        self.usage = Usage()

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        self.usage += Usage(read=10 * len(messages), written=3)
        return "so"

    def close(self) -> None:
        pass


class CostlyAgent:
    name = "costly"

    def open(self, finder: Finder | None = None) -> AgentSession:
        return Costly()


def test_a_conversation_whose_model_left_counts_on() -> None:
    residency, _, _ = both(110)
    agent = ResidentAgent(CostlyAgent(), residency)
    session = agent.open()
    session.reply(TURN, MOVES, 1e12)
    agent.forget()

    assert usage_of(session) == Usage(10, 3)
    session.reply(TURN, MOVES, 1e12)
    assert usage_of(session) == Usage(20, 6)
