"""Rounds and seconds of one question, over all of its recordings."""

from __future__ import annotations

from collections.abc import Callable

from edge_lvr1.domain import Question


class Budget:
    """What a question may cost, and what it has cost. `clock` runs like time.monotonic."""

    def __init__(self, question: Question, clock: Callable[[], float]) -> None:
        self._question = question
        self._clock = clock
        self._started_s = clock()
        self._slowest_s = 0.0
        self.rounds = 0

    @property
    def rounds_left(self) -> int:
        """Rounds that may still be asked for."""
        return self._question.max_rounds - self.rounds

    @property
    def deadline_s(self) -> float:
        """The moment of the clock when the seconds are spent."""
        return self._started_s + self._question.max_seconds

    @property
    def seconds_left(self) -> float:
        """Seconds that may still pass."""
        return self.deadline_s - self._clock()

    @property
    def seconds_spent(self) -> float:
        """Seconds since it began."""
        return self._clock() - self._started_s

    def now(self) -> float:
        """The clock."""
        return self._clock()

    def took(self, seconds: float) -> None:
        """A round took so long; the slowest tells whether there is time for another."""
        self._slowest_s = max(self._slowest_s, seconds)

    def one_more_only(self, end: int, spent_s: float) -> bool:
        """Whether rounds up to `end`, or the seconds at the pace seen so far, allow one more.

        `spent_s` is what the round in hand has taken.
        """
        slowest_s = max(self._slowest_s, spent_s)
        return end - self.rounds <= 1 or self.seconds_left < 2 * slowest_s
