"""A stored recording as the navigator sees it: captions, and an index of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from edge_lvr1.domain import Caption, NodeId, Recording, Scope, TreePlan
from edge_lvr1.errors import NotFoundError
from edge_lvr1.media.decoder import Decoder
from edge_lvr1.media.frames import Footage
from edge_lvr1.models.base import Cancel, Clip, Embedder, Finder, Found, Notes, never
from edge_lvr1.models.load import index_of
from edge_lvr1.navigator.clipped import inside
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.build import Builder


class StoredIndex:
    """An index of the captions that a recording has and a scope names, made when first asked."""

    def __init__(
        self, recording: Recording, trees: Trees, scope: Scope, embedder: Embedder | None
    ) -> None:
        self._recording = recording
        self._trees = trees
        self._scope = scope
        self._embedder = embedder

    def find(self, texts: Sequence[str], limit: int) -> list[Found]:
        """The best matches at all levels, best first."""
        return self._index.find(texts, limit)

    @cached_property
    def _index(self) -> Finder:
        captions = self._trees.captions(self._recording.id)
        named = (one for one in captions if inside(self._recording, one.span, self._scope))
        return index_of(named, self._embedder)


class StoredTree:
    """A recording's tree. The captioner is asked for a caption that is not there yet.

    The recording's parts are read when its footage is looked at. Once `cancelled` says so,
    what takes long raises Cancelled.
    """

    def __init__(
        self,
        recording: Recording,
        builder: Builder,
        decoder: Decoder,
        cancelled: Cancel = never,
    ) -> None:
        self._recording = recording
        self._builder = builder
        self._decoder = decoder
        self._cancelled = cancelled

    @property
    def recording(self) -> Recording:
        """The recording."""
        return self._recording

    @cached_property
    def plan(self) -> TreePlan:
        """Its nodes and their spans, read when first asked for."""
        return self._builder.trees.plan(self._recording.id)

    def caption(self, node_id: NodeId) -> Caption:
        """A node's caption. Raises EdgeLvr1Error."""
        return self._builder.caption(self._recording, node_id, self._footage)

    def video_qa(self, node_id: NodeId, query: str) -> str:
        """What a look at a leaf's clip says to a query. Raises EdgeLvr1Error."""
        node = self.plan.node(node_id)
        if node is None:
            raise NotFoundError(f"recording {self._recording.id} has no node {node_id}")
        return self._builder.captioner.video_qa(Clip(self._footage, node, self._notes), query)

    @cached_property
    def _footage(self) -> Footage:
        parts = self._builder.trees.recording(self._recording.id).parts
        return Footage(parts, self._decoder).until(self._cancelled)

    @cached_property
    def _notes(self) -> Notes | None:
        return self._builder.trees.notes(self._recording.id, self._builder.writer)
