"""Caption trees from the archive: the recordings of a video are known by their file's name.

Only what is stored is read: a measurement writes nothing into an archive. A recording whose
captions are not complete counts as not there. Several parts make one recording only where
they have been joined; then its time in each video begins where that part does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath

from edge_lvr1.domain import Caption, NodeId, Recording, TreePlan
from edge_lvr1.errors import NotFoundError
from edge_lvr1.evaluate.trees import PlacedTree, stem
from edge_lvr1.media.frames import Footage
from edge_lvr1.models.base import Captioner, Clip
from edge_lvr1.store.trees import Trees


class ArchiveTree:
    """A TreeView over a stored recording."""

    def __init__(
        self, recording: Recording, trees: Trees, captioner: Callable[[], Captioner]
    ) -> None:
        self._recording = recording
        self._trees = trees
        self._captioner = captioner

    @property
    def recording(self) -> Recording:
        """The recording."""
        return self._recording

    @cached_property
    def plan(self) -> TreePlan:
        """Its nodes and their spans, read when first asked for."""
        return self._trees.plan(self._recording.id)

    def caption(self, node_id: NodeId) -> Caption:
        """A node's caption. Raises NotFoundError, StoreError."""
        caption = self._trees.caption(self._recording.id, node_id)
        if caption is None:
            raise NotFoundError(f"recording {self._recording.id} has no caption of {node_id}")
        return caption

    def video_qa(self, node_id: NodeId, query: str) -> str:
        """What a look at a leaf's clip says to a query. Raises EdgeLvr1Error."""
        node = self.plan.node(node_id)
        if node is None:
            raise NotFoundError(f"recording {self._recording.id} has no node {node_id}")
        captioner = self._captioner()
        writer = f"{captioner.name} {captioner.version}"
        notes = self._trees.notes(self._recording.id, writer)
        return captioner.video_qa(Clip(Footage(self._recording.parts), node, notes), query)


@dataclass(frozen=True)
class ArchiveTrees:
    """A TreeSource over an archive; `captioner` is made when a clip is first looked at."""

    trees: Trees
    captioner: Callable[[], Captioner]
    _digests: dict[str, str] = field(default_factory=dict)

    def of(self, video: str) -> tuple[PlacedTree, ...]:
        """The complete recordings that hold the file of that name, in order of its time."""
        return self._by_video.get(stem(video), ())

    def digest(self, video: str) -> str:
        """The hash of all captions of the video's recordings."""
        if video not in self._digests:
            told = hashlib.sha256()
            for placed in self.of(video):
                for caption in self.trees.captions(placed.view.recording.id):
                    told.update(f"{caption.node} {caption.span} {caption.text}\0".encode())
            self._digests[video] = told.hexdigest()
        return self._digests[video]

    @cached_property
    def _by_video(self) -> dict[str, tuple[PlacedTree, ...]]:
        found: dict[str, list[PlacedTree]] = {}
        for recording in self.trees.recordings():
            if not self.trees.progress(recording.id).complete:
                continue
            view = ArchiveTree(recording, self.trees, self.captioner)
            for part in recording.parts:
                placed = PlacedTree(view, begins_s=-part.offset_s)
                found.setdefault(stem(PurePath(part.path).name), []).append(placed)
        return {
            video: tuple(sorted(placed, key=lambda one: one.begins_s))
            for video, placed in found.items()
        }
