"""What the navigator sees of a recording: its plan, its captions, and a second look."""

from __future__ import annotations

from typing import Protocol

from edge_lvr1.domain import Caption, NodeId, Recording, TreePlan


class TreeView(Protocol):
    """A recording's caption tree, behind whatever stores it and whoever writes it."""

    @property
    def recording(self) -> Recording:
        """The recording."""
        ...

    @property
    def plan(self) -> TreePlan:
        """Its nodes and their spans."""
        ...

    def caption(self, node_id: NodeId) -> Caption:
        """A node's caption, written on demand where it is missing. Raises EdgeLvr1Error."""
        ...

    def video_qa(self, node_id: NodeId, query: str) -> str:
        """What a look at a leaf's clip says to a query. Raises EdgeLvr1Error."""
        ...
