"""A model server that goes away and returns: questions and recordings wait, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.health.meters import Meters
from edge_lvr1.daemon.ingest.building import Building
from edge_lvr1.daemon.ingest.ingest_work import BuildWork
from edge_lvr1.daemon.questions.answering import Answering
from edge_lvr1.daemon.questions.model_servers import Away, PatientAgent, PatientCaptioner
from edge_lvr1.daemon.questions.question_work import QuestionWork
from edge_lvr1.daemon.turnstile import Stopped, Turnstile
from edge_lvr1.domain import Question, Verdict
from edge_lvr1.errors import Cancelled, ServerAway
from edge_lvr1.media.decoder import HERE
from edge_lvr1.models.base import AgentSession, Cancel, Finder, Message, Moves, Usage, never
from edge_lvr1.models.chat_server import ChatServer, Endpoint
from edge_lvr1.models.load import tree_of
from edge_lvr1.models.server import ServerAgent, ServerCaptioner
from edge_lvr1.store.queues import BuildState, QuestionState
from edge_lvr1.tree.build import Builder
from tests.daemon.conftest import STARTS_AT, store
from tests.daemon.fakes import answer
from tests.scripted_server import Reply, ScriptedServer

MOVES = Moves(width=2, opened=frozenset())
TURNS = [Message("user", "Is there a lorry?")]


class Time(Turnstile):
    """A clock that only waiting at the turnstile moves; `at` happens once that is reached."""

    def __init__(self) -> None:
        super().__init__(lambda: 0)
        self.now_s = 1000.0
        self.at: list[tuple[float, Callable[[], None]]] = []
        self.passed_aside = 0

    def __call__(self) -> float:
        return self.now_s

    def rest(self, seconds: float) -> None:
        self.now_s += seconds
        self.passed_aside += self._aside
        for moment_s, happens in [one for one in self.at if one[0] <= self.now_s]:
            self.at.remove((moment_s, happens))
            happens()
        if self.stopped:
            raise Stopped


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer(lambda body: answer("Yes, in (1)."))
    yield scripted
    scripted.stop()


def chat(server: ScriptedServer, time: Time) -> ChatServer:
    endpoint = Endpoint(server.url, model="m", attempts=1, connect_s=5.0)
    return ChatServer(endpoint, clock=time)


def patient(server: ScriptedServer, time: Time, faults: Faults) -> PatientAgent:
    agent = ServerAgent(chat(server, time), constraint="none")
    return PatientAgent(agent, Away("agent", faults, time, agent), time, clock=time)


def test_reply_is_asked_for_again_until_the_server_is_back(
    server: ScriptedServer, time: Time
) -> None:
    faults = Faults()
    session = patient(server, time, faults).open()
    time.at.append((1005.0, server.start))
    seen: list[str] = []
    time.at.append((1003.0, lambda: seen.extend(one.sentence for one in faults.now())))

    said = session.reply(TURNS, MOVES, deadline=time() + 60.0)

    assert said == answer("Yes, in (1).")
    assert server.asked == 1
    assert 1005.0 <= time() < 1010.0
    assert time.passed_aside > 0  # ingest could pass meanwhile
    assert "the agent waits: the server at" in seen[0]
    assert faults.now() == ()


def test_server_that_stays_away_is_told_when_the_reply_has_no_time_left(
    server: ScriptedServer, time: Time
) -> None:
    session = patient(server, time, Faults()).open()

    with pytest.raises(ServerAway, match="did not answer"):
        session.reply(TURNS, MOVES, deadline=time() + 20.0)

    assert time() <= 1020.0


class Costly:
    """A conversation of which each reply costs, whether or not it comes to be."""

    def __init__(self) -> None:
        self.usage = Usage()

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        self.usage += Usage(read=100, written=7)
        if cancelled():
            raise Cancelled("the reply is not wanted any more")
        return "said"

    def close(self) -> None:
        pass


class CostlyAgent:
    name = "costly"

    def open(self, finder: Finder | None = None) -> AgentSession:
        return Costly()


def test_tokens_of_replies_are_counted_whatever_becomes_of_them(time: Time) -> None:
    meters = Meters()
    away = Away("agent", Faults(), time)
    session = PatientAgent(CostlyAgent(), away, time, clock=time, meters=meters).open()

    session.reply(TURNS, MOVES, time() + 60.0)
    with pytest.raises(Cancelled):
        session.reply(TURNS, MOVES, time() + 60.0, lambda: True)

    counted = "edge_lvr1_agent_tokens_total"
    assert meters.registry.get_sample_value(counted, {"direction": "read"}) == 200.0
    assert meters.registry.get_sample_value(counted, {"direction": "written"}) == 14.0


@pytest.mark.parametrize("how", ["cancelled", "stopped"])
def test_waiting_for_a_server_ends_when_nobody_wants_the_reply(
    server: ScriptedServer, time: Time, how: str
) -> None:
    session = patient(server, time, Faults()).open()
    wanted = [True]
    end: Callable[[], Any] = wanted.clear if how == "cancelled" else time.stop
    time.at.append((1001.0, end))

    with pytest.raises(Cancelled):
        session.reply(TURNS, MOVES, time() + 60.0, lambda: not wanted)

    assert time() < 1003.0


def test_waits_for_a_server_double_up_to_a_minute(time: Time) -> None:
    away = Away("agent", Faults(), time)
    waits = []
    for _ in range(8):
        away.missed(ServerAway("gone"))
        began = time()
        while away.waiting():
            time.rest(1.0)
        waits.append(time() - began)
    away.met()
    away.missed(ServerAway("gone"))
    time.rest(2.0)

    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert not away.waiting()


def test_server_is_looked_for_while_nothing_waits_for_it(
    context: Context, server: ScriptedServer, time: Time
) -> None:
    work = question_work(context, server, time)
    context.questions.cancel("q1")
    work.away.missed(ServerAway("gone"))
    assert not work()
    time.rest(60.0)
    assert not work()
    still = [fault.key for fault in context.faults.now()]
    server.start()
    time.rest(60.0)

    assert not work()

    assert still == ["server.agent"]
    assert context.faults.now() == ()
    assert server.asked == 0


def question_work(context: Context, server: ScriptedServer, time: Time) -> QuestionWork:
    agent = patient(server, time, context.faults)
    builder = Builder(
        context.trees,
        context.glances,
        context.backends.captioner,
        tree_of(context.settings),
        context.settings.ingest,
    )
    answering = Answering(context.archive, context.trees, context.jobs, builder, agent, HERE, time)
    context.questions.put(Question("q1", "Is there a lorry?", STARTS_AT, max_seconds=30.0))
    return QuestionWork(context, answering, agent.away)


def test_question_waits_in_the_queue_while_its_agent_is_away_and_is_answered_once(
    context: Context, footage: Path, server: ScriptedServer, time: Time
) -> None:
    store(context, footage)
    work = question_work(context, server, time)

    first = work()
    put_back = context.questions.get("q1")
    left_alone = work()
    server.start()
    time.rest(60.0)
    second = work()

    assert (first, left_alone, second) == (True, False, True)
    assert (put_back.state, put_back.steps) == (QuestionState.QUEUED, ())
    found = context.questions.get("q1")
    assert found.answer is not None
    assert found.answer.verdict is Verdict.ANSWERED
    assert server.asked == 1
    assert not work()
    assert context.faults.now() == ()


def test_question_whose_agent_stays_away_fails_in_the_end_with_the_reason(
    context: Context, footage: Path, server: ScriptedServer, time: Time
) -> None:
    store(context, footage)
    work = question_work(context, server, time)

    tries = 0
    while context.questions.queued():
        tries += work()
        time.rest(60.0)

    assert tries == 4
    found = context.questions.get("q1").answer
    assert found is not None
    assert found.verdict is Verdict.FAILED
    assert "did not answer" in found.text
    assert "so 4 times" in found.text


def build_work(context: Context, server: ScriptedServer, time: Time) -> BuildWork:
    served = ServerCaptioner(chat(server, time))
    away = Away("captioner", context.faults, time, served)
    captioner = PatientCaptioner(served, away)
    builder = Builder(
        context.trees,
        context.glances,
        captioner,
        context.settings.tree.model_copy(update={"parents": "frames"}),
        context.settings.ingest,
    )
    return BuildWork(context, Building(builder, HERE), away)


def test_recordings_wait_for_their_captioners_server_without_a_failed_try(
    context: Context, footage: Path, server: ScriptedServer, time: Time
) -> None:
    server.reply = lambda body: "A lorry passes."
    recordings = [store(context, footage, name, captioned=False) for name in ("yard", "gate")]
    work = build_work(context, server, time)

    for _ in range(6):
        work()
        time.rest(60.0)
    attempts = context.archive.rows("SELECT DISTINCT attempts, state FROM recordings")
    faults = [fault.key for fault in context.faults.now()]
    server.start()
    while work():
        pass

    assert attempts == [{"attempts": 0, "state": "queued"}]
    assert faults == ["server.captioner"]
    assert all(context.trees.progress(one.id).complete for one in recordings)
    assert context.builds.counts()[BuildState.DONE] == 2
    assert context.faults.now() == ()


def test_building_leaves_a_server_that_is_away_alone(
    context: Context, footage: Path, server: ScriptedServer, time: Time
) -> None:
    store(context, footage, captioned=False)
    work = build_work(context, server, time)

    found = [work() for _ in range(5)]

    assert found == [True, False, False, False, False]


@pytest.mark.parametrize("trouble", [None, 500])
def test_recording_over_which_the_server_breaks_each_time_does_not_block_the_others(
    context: Context, footage: Path, server: ScriptedServer, time: Time, trouble: Reply
) -> None:
    poisoned = store(context, footage, "yard", captioned=False)
    store(context, footage, "gate", captioned=False)
    work = build_work(context, server, time)
    server.start()
    server.reply = lambda body: trouble

    for _ in range(5):
        work()
        time.rest(60.0)

    row = context.archive.row("SELECT attempts, reason FROM recordings WHERE id = ?", [poisoned.id])
    assert row is not None
    assert row["attempts"] == 1
    assert "so 5 times" in row["reason"]
    server.reply = lambda body: "A lorry passes."
    work()
    assert context.builds.counts()[BuildState.DONE] == 1  # the other's turn
