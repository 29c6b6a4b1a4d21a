"""Questions go before ingest, and a stop goes before both."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from edge_lvr1.daemon.turnstile import Stopped, Turnstile

LONG_S = 30.0


class Passing:
    """A thread that passes the turnstile as ingest does, and how that ended."""

    def __init__(self, turnstile: Turnstile) -> None:
        self.ended = ""
        self.waits = threading.Semaphore(0)
        self._turnstile = turnstile
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._turnstile.pass_ingest(look_again_s=0.01, on_wait=self.waits.release)
        except Stopped:
            self.ended = "stopped"
        else:
            self.ended = "passed"

    def is_held(self) -> bool:
        """Whether it came round to waiting, twice, and did not pass."""
        return self.waits.acquire(timeout=LONG_S) and self.waits.acquire(timeout=LONG_S)

    def end(self) -> str:
        self._thread.join(LONG_S)
        return self.ended


def nothing_queued() -> int:
    return 0


def test_ingest_passes_where_nobody_asks() -> None:
    Turnstile(nothing_queued).pass_ingest()


def test_ingest_waits_while_a_question_is_answered() -> None:
    turnstile = Turnstile(nothing_queued)

    with turnstile.asking():
        ingest = Passing(turnstile)
        held = ingest.is_held()

    assert held
    assert ingest.end() == "passed"


def test_ingest_waits_while_a_question_is_queued() -> None:
    queued = [1]
    turnstile = Turnstile(lambda: queued[0])
    ingest = Passing(turnstile)
    held = ingest.is_held()

    queued[0] = 0
    turnstile.news()

    assert held
    assert ingest.end() == "passed"


def test_stop_ends_the_wait_even_while_questions_keep_coming() -> None:
    turnstile = Turnstile(lambda: 1)
    ingest = Passing(turnstile)
    held = ingest.is_held()

    turnstile.stop()

    assert held
    assert ingest.end() == "stopped"


@pytest.mark.parametrize(
    "come_by",
    [
        lambda turnstile: turnstile.pass_ingest(),
        lambda turnstile: turnstile.wait(turnstile.mark(), LONG_S),
        lambda turnstile: turnstile.rest(LONG_S),
    ],
    ids=["pass", "wait", "rest"],
)
def test_whoever_comes_after_the_stop_is_stopped(come_by: Callable[[Turnstile], None]) -> None:
    turnstile = Turnstile(nothing_queued)
    turnstile.stop()

    with pytest.raises(Stopped):
        come_by(turnstile)


def test_news_between_looking_and_waiting_is_not_lost() -> None:
    turnstile = Turnstile(nothing_queued)
    mark = turnstile.mark()
    turnstile.news()

    waited = threading.Thread(target=turnstile.wait, args=(mark, LONG_S), daemon=True)
    waited.start()
    waited.join(LONG_S / 3)

    assert not waited.is_alive()


def test_asking_ends_also_where_answering_broke() -> None:
    turnstile = Turnstile(nothing_queued)

    with pytest.raises(RuntimeError), turnstile.asking():
        raise RuntimeError

    turnstile.pass_ingest()
