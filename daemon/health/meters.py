"""What is counted as it happens, since the daemon's start: stages, replies, tokens, failures.

What the database knows anyway is counted there, when it is asked for: `metrics`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram

from edge_lvr1.domain import Answer
from edge_lvr1.models.base import Usage

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
_ROUNDS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30)

# The reason of a failed file or recording is a sentence for people; what class it is of, words
# of ours in it tell, the first of them that does.
_CLASSES = (
    ("empty", r"is empty \(0 bytes\)"),
    ("gone", r"\bis gone\b|no (longer|such) file"),
    ("no_video", r"no video"),
    ("decoder_memory", r"needs more memory|memory runs out"),
    ("decoder_time", r"gave nothing for"),
    ("decoder_crash", r"crashed its decoder|cannot be decoded"),
    ("model_server", r"model server|\bserver\b"),
    ("unreadable", r"cannot be read|may not be read|[Pp]ermission denied"),
    ("no_room", r"[Nn]o space|is full|no room"),
    ("damaged", r"damaged|not a video|cannot be opened|ends too early|no frame|truncated"),
)
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _CLASSES)


def reason_class(reason: str) -> str:
    """The class that a reason of failure is of, for counting; "other" for what is in none."""
    return next((name for name, pattern in _PATTERNS if pattern.search(reason)), "other")


class Meters:
    """Counters and histograms. Safe to share by threads; `clock` runs like time.monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._lock = threading.Lock()
        self._at: dict[str, tuple[str, float]] = {}
        self._stages = Histogram(
            "edge_lvr1_stage_seconds",
            "Seconds that a stage of a piece of work took",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._questions = Histogram(
            "edge_lvr1_question_seconds",
            "Seconds from beginning a question to its answer",
            ("verdict",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._rounds = Histogram(
            "edge_lvr1_question_rounds",
            "Rounds of a question",
            buckets=_ROUNDS,
            registry=self.registry,
        )
        self._replies = Counter(
            "edge_lvr1_agent_replies", "Replies of the agent", registry=self.registry
        )
        self._agent_tokens = Counter(
            "edge_lvr1_agent_tokens",
            "Tokens that the agent read and wrote, as far as its backend tells",
            ("direction",),
            registry=self.registry,
        )
        self._tokens = Counter(
            "edge_lvr1_caption_tokens", "Tokens of captions written", registry=self.registry
        )

    def moved(self, worker: str, stage: str | None) -> None:
        """A worker is in this stage from now on, None for none: the one before is counted."""
        now = self._clock()
        with self._lock:
            before = self._at.get(worker)
            if before is not None and before[0] == stage:
                return
            if stage is None:
                self._at.pop(worker, None)
            else:
                self._at[worker] = (stage, now)
        if before is not None:
            self._stages.labels(before[0]).observe(now - before[1])

    def took(self, stage: str, seconds: float) -> None:
        """A call of a model took so long."""
        self._stages.labels(stage).observe(seconds)

    def replied(self, seconds: float) -> None:
        """The agent gave a reply."""
        self._replies.inc()
        self.took("reply", seconds)

    def talked(self, usage: Usage) -> None:
        """The agent read and wrote so many tokens, whatever became of the reply."""
        self._agent_tokens.labels("read").inc(usage.read)
        self._agent_tokens.labels("written").inc(usage.written)

    def wrote(self, tokens: int) -> None:
        """A caption was written by a model, of so many tokens."""
        self._tokens.inc(tokens)

    def answered(self, answer: Answer) -> None:
        """A question came to its end."""
        self._questions.labels(answer.verdict.value).observe(answer.seconds)
        self._rounds.observe(answer.rounds)
