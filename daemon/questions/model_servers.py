"""Model servers that go away and come back: patience with them, within bounds.

An agent or captioner is wrapped here, so that the rest of the daemon learns when its server is
away, that it is again there, and when to try next. A server that refuses what it is sent is
none of this: that is an error of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.health.meters import Meters
from edge_lvr1.daemon.turnstile import Stopped, Turnstile
from edge_lvr1.domain import Caption, Node, Span
from edge_lvr1.errors import Cancelled, ModelError, ServerAway
from edge_lvr1.media.frames import Footage, Wanted
from edge_lvr1.models.base import (
    Agent,
    AgentSession,
    Cancel,
    Captioner,
    Clip,
    Finder,
    Message,
    Moves,
    Notes,
    Written,
    never,
    tools_of,
    usage_of,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_S, _MOST_S = 2.0, 60.0
_LOOK_UP_S = 0.5  # how often a wait asks whether anybody still wants its end


@runtime_checkable
class OnServer(Protocol):
    """A model on a server, which can be looked for without any work for it."""

    def reach(self) -> None:
        """Raise ServerAway where the server cannot be reached, ModelError where it refuses."""
        ...


class Away:
    """Whether the server of a role is away, and until when it is left alone.

    Waits double with each miss, up to a minute. Safe to share by threads; `clock` runs like
    time.monotonic. `model` is who has the role: where it is on a server, that can be looked for.
    """

    def __init__(
        self,
        role: str,
        faults: Faults,
        clock: Callable[[], float] = time.monotonic,
        model: object = None,
    ) -> None:
        self._role = role
        self._faults = faults
        self._model = model
        self._clock = clock
        self._lock = threading.Lock()
        self._misses = 0
        self._again_s = float("-inf")

    def missed(self, error: ServerAway) -> None:
        """It was away just now."""
        with self._lock:
            self._again_s = self._clock() + min(_MOST_S, _FIRST_S * 2.0**self._misses)
            self._misses = min(self._misses + 1, 10)
        self._faults.put(f"server.{self._role}", f"the {self._role} waits: {error}")

    def met(self) -> None:
        """It answered."""
        with self._lock:
            missed, self._misses, self._again_s = self._misses, 0, float("-inf")
        if missed:
            self._faults.clear(f"server.{self._role}")

    def look_again(self) -> bool:
        """Look whether it is back, where it was away and may be looked for; whether it is away."""
        with self._lock:
            if not self._misses:
                return False
            if self._clock() < self._again_s:
                return True
        if not isinstance(self._model, OnServer):
            return False  # only work for it will tell
        try:
            self._model.reach()
        except ServerAway as error:
            self.missed(error)
            return True
        except ModelError as error:  # it is there, and says no
            log.debug("the %s is there: %s", self._role, error)
        self.met()
        return False

    def waiting(self) -> bool:
        """Whether it is to be left alone yet."""
        with self._lock:
            return self._clock() < self._again_s


class PatientCaptioner:
    """A captioner whose absences, and whose returns, are noted, and what it takes."""

    def __init__(self, captioner: Captioner, away: Away, meters: Meters | None = None) -> None:
        self.name = captioner.name
        self.version = captioner.version
        self._captioner = captioner
        self._away = away
        self._meters = meters or Meters()

    def watch(
        self, footage: Footage, notes: Notes | None, active: Sequence[Span] | None = None
    ) -> Iterator[Notes]:
        """As the captioner inside."""
        return self._captioner.watch(footage, notes, active)

    def wants(self, node: Node, active: Sequence[Span] | None = None) -> Wanted | None:
        """As the captioner inside."""
        return self._captioner.wants(node, active)

    def caption(self, clip: Clip) -> Written:
        """As the captioner inside."""
        written = self._noted("caption", lambda: self._captioner.caption(clip))
        self._meters.wrote(written.tokens)
        return written

    def fold(self, node: Node, children: Sequence[Caption]) -> Written | None:
        """As the captioner inside."""
        return self._captioner.fold(node, children)

    def video_qa(self, clip: Clip, query: str) -> str:
        """As the captioner inside."""
        return self._noted("video_qa", lambda: self._captioner.video_qa(clip, query))

    def _noted(self, stage: str, ask: Callable[[], T]) -> T:
        began_s = time.monotonic()
        try:
            said = ask()
        except ServerAway as error:
            self._away.missed(error)
            raise
        self._away.met()
        self._meters.took(stage, time.monotonic() - began_s)
        return said


class PatientAgent:
    """An agent that is asked again while its server is away, as long as a reply may take.

    Meanwhile ingest passes at the turnstile. `clock` runs like time.monotonic.
    """

    def __init__(
        self,
        agent: Agent,
        away: Away,
        turnstile: Turnstile,
        clock: Callable[[], float] = time.monotonic,
        meters: Meters | None = None,
    ) -> None:
        self.name = agent.name
        self.meters = meters or Meters()
        self.away = away
        self.turnstile = turnstile
        self.clock = clock
        self._agent = agent

    @property
    def tools(self) -> frozenset[str]:
        """The tools of the agent inside."""
        return tools_of(self._agent)

    def open(self, finder: Finder | None = None) -> AgentSession:
        """Begin a conversation."""
        return _PatientSession(self, self._agent.open(finder))


class _PatientSession:
    """A conversation of a PatientAgent."""

    def __init__(self, agent: PatientAgent, inner: AgentSession) -> None:
        self._agent = agent
        self._inner = inner

    def reply(
        self,
        messages: Sequence[Message],
        moves: Moves,
        deadline: float,
        cancelled: Cancel = never,
    ) -> str:
        """The next reply. Raises ModelError, Cancelled; ServerAway where it stayed away."""
        agent, wait_s = self._agent, _FIRST_S
        while True:
            began_s, before = time.monotonic(), usage_of(self._inner)
            try:
                try:
                    said = self._inner.reply(messages, moves, deadline, cancelled)
                finally:
                    agent.meters.talked(usage_of(self._inner) - before)
            except ServerAway as error:
                agent.away.missed(error)
                if agent.clock() + wait_s >= deadline:
                    raise
                self._wait(agent.clock() + wait_s, cancelled)
                wait_s = min(_MOST_S, 2.0 * wait_s)
            else:
                agent.away.met()
                agent.meters.replied(time.monotonic() - began_s)
                return said

    def close(self) -> None:
        """Free what the conversation held."""
        self._inner.close()

    def _wait(self, until_s: float, cancelled: Cancel) -> None:
        agent = self._agent
        with agent.turnstile.aside():
            while (left_s := until_s - agent.clock()) > 0:
                if cancelled():
                    raise Cancelled("the reply is not wanted any more")
                try:
                    agent.turnstile.rest(min(left_s, _LOOK_UP_S))
                except Stopped:
                    raise Cancelled("the daemon stops") from None
