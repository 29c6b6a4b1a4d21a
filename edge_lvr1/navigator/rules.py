"""How the loop treats an agent, and what it may look things up in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_lvr1.domain import Recording
from edge_lvr1.models.base import Finder


def no_finder(recording: Recording) -> Finder | None:
    """For callers that have no index."""
    return None


@dataclass(frozen=True, slots=True)
class Rules:
    """How the loop treats an agent.

    `finder` gives the index of a recording's tree, which the agent is given too. `hints`:
    point an agent that is lost to captions; off measures the bare agent. `dry_rounds` that
    bring nothing new are one reason for it. `carry`: tell the agent what the recordings
    before came to, in a line that no agent was trained on.
    """

    finder: Callable[[Recording], Finder | None] = no_finder
    hints: bool = True
    dry_rounds: int = 3
    carry: bool = False
