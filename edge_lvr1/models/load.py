"""From settings to a backend: the one place where backends are chosen by name.

A backend is imported when it is chosen, so that the others need not be installed.
"""

from __future__ import annotations

from edge_lvr1.config import Settings
from edge_lvr1.models.base import Agent, Captioner


def load_captioner(settings: Settings) -> Captioner:
    """The captioner that the settings name, ready to use by one thread."""
    choice = settings.models.captioner
    if choice == "embedded":
        from edge_lvr1.models.embedded.captioner import EmbeddedCaptioner

        words = settings.tree
        return EmbeddedCaptioner(words.words_low, words.words_medium, words.words_high)
    raise AssertionError(choice)


def load_agent(settings: Settings) -> Agent:
    """The agent that the settings name."""
    choice = settings.models.agent
    if choice == "embedded":
        from edge_lvr1.models.embedded.retrieval.agent import EmbeddedAgent

        return EmbeddedAgent()
    raise AssertionError(choice)
