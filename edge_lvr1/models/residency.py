"""Which models are in memory: loaded at first need, within a limit, least recently used out.

Agent and captioner share a small GPU this way. The amounts are what the bundles' manifests
estimate; nothing here measures memory, and nothing here knows what a model is made of.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from edge_lvr1.domain import Caption, Node, Span
from edge_lvr1.errors import Cancelled, ModelError
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
    Usage,
    Written,
    never,
    tools_of,
    usage_of,
)

log = logging.getLogger(__name__)

_LOOK_UP_S = 0.2  # how often whoever waits for a model asks whether it is still wanted


class Loadable(Protocol):
    """Something heavy that can be brought into memory and let go again."""

    @property
    def memory_mb(self) -> int:
        """What it needs while loaded, in MiB."""
        ...

    def load(self) -> None:
        """Bring it into memory, if it is not there. Raises ModelError."""
        ...

    def unload(self) -> None:
        """Free its memory."""
        ...


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that residency looks after, as `status` shows it."""

    role: str
    name: str
    loaded: bool
    memory_mb: int


class Residency:
    """Keeps the models that are loaded within `limit_mb` MiB; None is no limit."""

    def __init__(self, limit_mb: int | None = None) -> None:
        self._limit_mb = limit_mb
        self._changed = threading.Condition()
        self._known: dict[str, tuple[str, Loadable]] = {}
        self._loaded: list[str] = []  # roles, the least recently used first
        self._busy: set[str] = set()

    def add(self, role: str, name: str, model: Loadable) -> None:
        """Look after a model, which is not loaded yet. Raises ModelError if it can never fit."""
        if self._limit_mb is not None and model.memory_mb > self._limit_mb:
            raise ModelError(
                f"the {role} {name} needs {model.memory_mb} MiB and models.memory_limit_mb is "
                f"{self._limit_mb}: raise the limit, or export with a smaller precision"
            )
        self._known[role] = (name, model)

    def states(self) -> list[Resident]:
        """Every model, loaded or not."""
        with self._changed:
            return [
                Resident(role, name, role in self._loaded, model.memory_mb)
                for role, (name, model) in self._known.items()
            ]

    @contextmanager
    def using(self, role: str, cancelled: Cancel = never) -> Iterator[None]:
        """The model of that role is loaded in this block, and used by nobody else.

        Waits while another thread uses it, or uses what would have to leave for it. Raises
        ModelError where it cannot be loaded, Cancelled where nobody wants it any more.
        """
        with self._changed:
            self._wait(lambda: role not in self._busy, cancelled)
            self._busy.add(role)
        try:
            self._bring_in(role, cancelled)
            yield
        finally:
            with self._changed:
                self._busy.discard(role)
                self._changed.notify_all()

    def _wait(self, ready: Callable[[], bool], cancelled: Cancel) -> None:
        while not self._changed.wait_for(ready, _LOOK_UP_S):
            if cancelled():
                raise Cancelled("the model is not wanted any more")

    def _bring_in(self, role: str, cancelled: Cancel) -> None:
        model = self._known[role][1]
        with self._changed:
            if role not in self._loaded:
                self._wait(lambda: self._made_room(model.memory_mb), cancelled)
                # Loading under the lock: two models coming in at once could pass the limit.
                model.load()
            else:
                self._loaded.remove(role)
            self._loaded.append(role)

    def _made_room(self, needed_mb: int) -> bool:
        """Let idle models go, the least recently used first, until there is room."""
        if self._limit_mb is None:
            return True
        for role in list(self._loaded):
            if self._resident_mb() + needed_mb <= self._limit_mb:
                return True
            if role not in self._busy:
                name, model = self._known[role]
                model.unload()
                self._loaded.remove(role)
                log.info("let the %s %s go (%d MiB)", role, name, model.memory_mb)
        return self._resident_mb() + needed_mb <= self._limit_mb

    def _resident_mb(self) -> int:
        return sum(self._known[role][1].memory_mb for role in self._loaded)


class ResidentCaptioner:
    """A captioner that is loaded for each look, and may leave between two."""

    def __init__(self, captioner: Captioner, residency: Residency) -> None:
        self.name = captioner.name
        self.version = captioner.version
        self._captioner = captioner
        self._residency = residency

    def watch(
        self, footage: Footage, notes: Notes | None, active: Sequence[Span] | None = None
    ) -> Iterator[Notes]:
        """As the captioner inside, which needs no weights for it."""
        return self._captioner.watch(footage, notes, active)

    def wants(self, node: Node, active: Sequence[Span] | None = None) -> Wanted | None:
        """As the captioner inside, which needs no weights for it."""
        return self._captioner.wants(node, active)

    def caption(self, clip: Clip) -> Written:
        """As the captioner inside."""
        with self._residency.using("captioner", clip.footage.cancelled):
            return self._captioner.caption(clip)

    def fold(self, node: Node, children: Sequence[Caption]) -> Written | None:
        """As the captioner inside."""
        return self._captioner.fold(node, children)

    def video_qa(self, clip: Clip, query: str) -> str:
        """As the captioner inside."""
        with self._residency.using("captioner", clip.footage.cancelled):
            return self._captioner.video_qa(clip, query)


class ResidentAgent:
    """An agent that is loaded for each reply, and may leave between two.

    A conversation whose model left begins its cache anew at the next reply: it is read again
    from the start, since conversations are append-only and whole.
    """

    def __init__(self, agent: Agent, residency: Residency) -> None:
        self.name = agent.name
        self._agent = agent
        self._residency = residency
        self._sessions: list[ResidentSession] = []

    @property
    def tools(self) -> frozenset[str]:
        """The tools of the agent inside."""
        return tools_of(self._agent)

    def open(self, finder: Finder | None = None) -> AgentSession:
        """Begin a conversation; the model is loaded with its first reply."""
        session = ResidentSession(self._agent, finder, self._residency, self._sessions.remove)
        self._sessions.append(session)
        return session

    def forget(self) -> None:
        """The model leaves: open conversations let their caches go with it."""
        for session in self._sessions:
            session.forget()


class ResidentSession:
    """One conversation of a ResidentAgent."""

    def __init__(
        self,
        agent: Agent,
        finder: Finder | None,
        residency: Residency,
        on_close: Callable[[ResidentSession], None],
    ) -> None:
        self._agent = agent
        self._finder = finder
        self._residency = residency
        self._on_close = on_close
        self._inner: AgentSession | None = None
        self._forgotten = Usage()  # by conversations whose model left

    @property
    def usage(self) -> Usage:
        """Tokens read and written, those that were read again included."""
        return self._forgotten + usage_of(self._inner)

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        """The next reply. Raises ModelError, Cancelled."""
        with self._residency.using("agent", cancelled):
            if self._inner is None:
                self._inner = self._agent.open(self._finder)
            return self._inner.reply(messages, moves, deadline, cancelled)

    def forget(self) -> None:
        """Free what the conversation holds; the next reply reads it again."""
        if self._inner is not None:
            self._forgotten = self.usage
            self._inner.close()
            self._inner = None

    def close(self) -> None:
        """Free what the conversation held."""
        self.forget()
        self._on_close(self)


class LoadableAgent:
    """An agent's weights together with the conversations that hold on to them."""

    def __init__(self, model: Loadable, agent: ResidentAgent) -> None:
        self._model = model
        self._agent = agent

    @property
    def memory_mb(self) -> int:
        """What it needs while loaded, in MiB."""
        return self._model.memory_mb

    def load(self) -> None:
        """Bring the weights into memory. Raises ModelError."""
        self._model.load()

    def unload(self) -> None:
        """Free the weights and the caches of open conversations."""
        self._agent.forget()
        self._model.unload()
