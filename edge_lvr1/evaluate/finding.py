"""An index of one video's captions, in memory: what an agent that can search is given.

An archive has its own index; a folder of caption files has this one. It matches words by
FTS5's BM25 as the archive does, over the nodes of all levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edge_lvr1.domain import Caption
from edge_lvr1.evaluate.bm25 import WordIndex, word_index
from edge_lvr1.evaluate.trees import PlacedTree
from edge_lvr1.models.base import Agent, AgentSession, Finder, Found


class TreeFinder:
    """A Finder over the captions of one tree, and the index of their texts in that order."""

    def __init__(self, captions: Sequence[Caption], index: WordIndex) -> None:
        self._captions = captions
        self._index = index

    def find(self, texts: Sequence[str], limit: int) -> list[Found]:
        """The best matches at all levels, best first."""
        ranked = sorted(self._index.scores(" ".join(texts)).items(), key=lambda one: -one[1])
        found = ((self._captions[place], score) for place, score in ranked[:limit])
        return [Found(caption.node, score, caption.text) for caption, score in found]


class FindingAgent:
    """An agent that is given the index of the one tree that it will be asked about."""

    def __init__(self, agent: Agent, finder: Finder) -> None:
        self.name = agent.name
        self._agent = agent
        self._finder = finder

    def open(self, finder: Finder | None = None) -> AgentSession:
        """Begin a conversation, with the index."""
        return self._agent.open(finder or self._finder)


@contextmanager
def with_index(agent: Agent, placed: Sequence[PlacedTree]) -> Iterator[Agent]:
    """The agent with an index, where a video is one tree; several have no common one.

    Raises what the view raises.
    """
    if len(placed) != 1:
        yield agent
        return
    view = placed[0].view
    captions = [view.caption(node.id) for node in view.plan.nodes]
    with word_index([caption.text for caption in captions]) as index:
        yield FindingAgent(agent, TreeFinder(captions, index))
