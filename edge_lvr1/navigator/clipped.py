"""A recording of which only a part is asked about: the rest of its tree is not told."""

from __future__ import annotations

from edge_lvr1 import prompts
from edge_lvr1.domain import Caption, NodeId, Recording, Scope, Span, TreePlan
from edge_lvr1.navigator.view import TreeView


class ClippedTree:
    """A view whose nodes outside of a scope's times say only that they are outside."""

    def __init__(self, view: TreeView, scope: Scope) -> None:
        self._view = view
        self._scope = scope

    @property
    def recording(self) -> Recording:
        """The recording."""
        return self._view.recording

    @property
    def plan(self) -> TreePlan:
        """Its whole plan."""
        return self._view.plan

    def caption(self, node_id: NodeId) -> Caption:
        """A node's caption, or that the node is not asked about. Raises EdgeLvr1Error."""
        node = self._view.plan.node(node_id)
        if node is None or inside(self.recording, node.span, self._scope):
            return self._view.caption(node_id)
        return Caption(node_id, node.span, prompts.OUTSIDE, "", "")

    def video_qa(self, node_id: NodeId, query: str) -> str:
        """What a look says, or that the node is not asked about. Raises EdgeLvr1Error."""
        node = self._view.plan.node(node_id)
        if node is None or inside(self.recording, node.span, self._scope):
            return self._view.video_qa(node_id, query)
        return prompts.OUTSIDE


def cuts(scope: Scope, recording: Recording) -> bool:
    """Whether a scope names a part of a recording only."""
    starts, ends = recording.starts_at, recording.wall_clock(recording.duration_s)
    if not scope.times:
        before = scope.since is not None and scope.since > starts
        return before or (scope.until is not None and scope.until < ends)
    return not any(one.since <= starts and ends <= one.until for one in scope.times)


def inside(recording: Recording, span: Span, scope: Scope) -> bool:
    """Whether a scope names any moment of a recording's span."""
    return scope.overlaps(recording.wall_clock(span.start_s), recording.wall_clock(span.end_s))
