"""A daemon as a process of its own, with models that can be made slow or deadly.

`python -m tests.daemon.child JSON`, where JSON has data, socket, watch and what follows in
`main`. The models are the embedded ones unless it says `fake`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edge_lvr1.config import Access, Ingest, Limits, Settings
from edge_lvr1.daemon.main import run
from edge_lvr1.domain import Caption, Node, Span
from edge_lvr1.errors import Cancelled
from edge_lvr1.media.frames import Footage, Wanted
from edge_lvr1.models.base import (
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
)
from edge_lvr1.models.load import Backends, load_backends
from tests.daemon.fakes import FakeCaptioner, ScriptedAgent, answer, get_caption


class Deadly:
    """A captioner whose process is killed at its nth piece of work."""

    def __init__(self, inner: Captioner, dies_at: int, pause_s: float) -> None:
        self.name = inner.name
        self.version = inner.version
        self._inner = inner
        self._left = dies_at
        self._pause_s = pause_s

    def wants(self, node: Node, active: Sequence[Span] | None = None) -> Wanted | None:
        return self._inner.wants(node, active)

    def watch(
        self, footage: Footage, notes: Notes | None, active: Sequence[Span] | None = None
    ) -> Iterator[Notes]:
        for latest in self._inner.watch(footage, notes, active):
            self._work()
            yield latest

    def caption(self, clip: Clip) -> Written:
        self._work()
        return self._inner.caption(clip)

    def fold(self, node: Node, children: Sequence[Caption]) -> Written | None:
        self._work()
        return self._inner.fold(node, children)

    def video_qa(self, clip: Clip, query: str) -> str:
        return self._inner.video_qa(clip, query)

    def _work(self) -> None:
        time.sleep(self._pause_s)
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class SlowAgent:
    """An agent that takes its time for each reply."""

    def __init__(self, inner: ScriptedAgent, pause_s: float) -> None:
        self.name = inner.name
        self._inner = inner
        self._pause_s = pause_s

    def open(self, finder: Finder | None = None) -> AgentSession:
        return self

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        until_s = time.monotonic() + self._pause_s
        while time.monotonic() < until_s:
            if cancelled():
                raise Cancelled("the reply is not wanted any more")
            time.sleep(min(0.05, self._pause_s))
        return self._inner.reply(messages, moves, deadline, cancelled)

    def close(self) -> None:
        pass


def main(given: dict[str, Any]) -> int:
    """Run a daemon as told: dies_at, caption_s and reply_s, besides its places."""
    fake = given.get("fake", False)

    script = [get_caption("(1,1)"), get_caption("(1,1,1)"), answer("Yes, in (1,1,1).")]
    agent = SlowAgent(ScriptedAgent(*script), given.get("reply_s", 0.0))
    settings = Settings(
        data=Path(given["data"]),
        socket=Path(given["socket"]),
        watch=tuple(map(Path, given["watch"])),
        listen=given.get("listen"),
        time_zone=given.get("time_zone"),
        ingest=Ingest(settle_s=given["settle_s"], **given.get("ingest", {})),
        limits=Limits(**given.get("limits", {})),
        access=Access(**given.get("access", {})),
    )
    real = load_backends(settings)
    captioner = Deadly(
        FakeCaptioner() if fake else real.captioner,
        given.get("dies_at", 0),
        given.get("caption_s", 0.0),
    )
    return run(settings, Backends(captioner, agent if fake else real.agent, real.residency))


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
