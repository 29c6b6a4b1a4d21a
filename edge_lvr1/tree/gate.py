"""Which nodes of a tree are worth a call of the captioner, and what is said of the others. Pure.

A leaf in which something happens is looked at, and so is one in which the light or the scene
changes. Of what stands still the first leaf is, and one more in every heartbeat; the others
say so, and where to look. A parent needs a caption of its own only where two of its children
tell something.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from edge_lvr1.config import Ingest
from edge_lvr1.domain import Activity, Caption, Level, Node, NodeId, Span, TreePlan
from edge_lvr1.media.pictures import apart
from edge_lvr1.models.base import Written

STILL = "No motion seen."
"""What a caption of stillness begins with; the embedded captioner's own words for it."""

QUOTED_WORDS = 60


class How(str, Enum):
    """Where a node's caption comes from."""

    LOOK = "look"  # a call of the captioner
    FOLD = "fold"  # from its children, or a call where the captioner cannot fold
    STILL = "still"  # nothing happens: it says so, and points to its source
    ALIKE = "alike"  # and its pictures are those of its source
    ONE = "one"  # the only child that tells something tells it


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a node. `source` is the node that it inherits from, None for a call."""

    node: NodeId
    how: How
    why: str
    source: NodeId | None = None


@dataclass(frozen=True, slots=True)
class Calls:
    """How many captions are written by the captioner: of leaves, of parents; and how many not."""

    leaves: int
    parents: int
    saved: int

    @property
    def made(self) -> int:
        """All calls."""
        return self.leaves + self.parents


def decide(
    plan: TreePlan,
    activity: Activity,
    hashes: Sequence[tuple[float, int]],
    settings: Ingest,
) -> dict[NodeId, Decision]:
    """A decision for every node of a tree.

    `hashes` are the moments (ascending) and perceptual hashes of the recording's pictures.
    """
    decisions = {decision.node: decision for decision in _leaves(plan, activity, hashes, settings)}
    for level in (Level.MEDIUM, Level.HIGH):
        for node in plan.at(level):
            children = [decisions[child.id] for child in plan.children(node.id)]
            decisions[node.id] = _parent(node.id, children)
    return decisions


def calls(plan: TreePlan, decisions: Mapping[NodeId, Decision]) -> Calls:
    """What the decisions come to, where parents cannot be folded; without any, all are calls."""
    made = [
        node.level is Level.LOW
        for node in plan.nodes
        if node.id not in decisions or decisions[node.id].source is None
    ]
    return Calls(sum(made), len(made) - sum(made), len(plan.nodes) - len(made))


def order(plan: TreePlan, decisions: Mapping[NodeId, Decision], parents: str) -> list[Node]:
    """The nodes in the order they are captioned; each after the one it inherits from.

    With parents "frames": high captions first, then the leaves in which something happens,
    then the rest. Else leaves first, the lively ones before the others, then their parents.
    """
    leaves = list(plan.at(Level.LOW))
    called = [node for node in leaves if _source(node.id, decisions) is None]
    lively = [node for node in called if _tells(decisions.get(node.id))] if decisions else called
    high, medium = list(plan.at(Level.HIGH)), list(plan.at(Level.MEDIUM))
    if parents == "frames":
        wanted = [*high, *(lively if decisions else []), *medium, *called, *leaves]
    else:
        wanted = [*lively, *called, *leaves, *medium, *high]
    placed: dict[NodeId, Node] = {}
    for node in wanted:
        chain = [node]
        while (source := _source(chain[-1].id, decisions)) is not None:
            of = plan.node(source)
            assert of is not None, f"{source} is not in the tree"
            chain.append(of)
        placed.update((each.id, each) for each in reversed(chain) if each.id not in placed)
    return list(placed.values())


def inherited(node: Node, decision: Decision, source: Caption) -> Written:
    """The caption of a node that takes it from another, without a call."""
    told = f"{source.node}, {source.span.start_s:.1f} to {source.span.end_s:.1f} s"
    if decision.how is How.ONE:
        return Written(source.text, details=source.details)
    # A caption with details is the embedded captioner's: it names subjects with their times,
    # and would have them seen here.
    quoted = "" if source.details is not None else _quoted(source.text)
    looks = "It looks as in" if decision.how is How.ALIKE else "Last looked at in"
    return Written(f"{STILL} {looks} {told}{': ' + quoted if quoted else '.'}")


def telling(children: Sequence[Caption], decisions: Mapping[NodeId, Decision]) -> list[Caption]:
    """The children whose captions say more than that nothing happens: those to fold."""
    still = (How.STILL, How.ALIKE)
    return [c for c in children if c.node not in decisions or decisions[c.node].how not in still]


def _quoted(text: str) -> str:
    words = text.split()
    return " ".join(words[:QUOTED_WORDS]) + (" …" if len(words) > QUOTED_WORDS else "")


def _leaves(
    plan: TreePlan,
    activity: Activity,
    hashes: Sequence[tuple[float, int]],
    settings: Ingest,
) -> Iterator[Decision]:
    still: Node | None = None  # the last one that was looked at while nothing happened
    looked_s = 0.0
    stirred = False
    for node in plan.at(Level.LOW):
        event = _event(node.span, activity)
        how = How.STILL
        if event is not None:
            why = event
            if event == "active":
                # The light may have changed too, and `still` no longer show what it is like.
                switched = any(node.span.contains(s.time_s) for s in activity.switches)
                still, stirred = None if switched else still, True
            else:
                still = node
        elif still is None:
            why, still = "first", node
        elif node.span.end_s - looked_s > settings.gate_heartbeat_s:
            why, still = "heartbeat", node
        else:
            alike = _alike(_shown(node.span, hashes), _shown(still.span, hashes), settings)
            if stirred and alike is False:
                why, still = "changed", node
            else:
                how = How.ALIKE if alike else How.STILL
                yield Decision(node.id, how, "still", still.id)
                stirred = False
                continue
            stirred = False
        looked_s = node.span.end_s
        yield Decision(node.id, How.LOOK, why)


def _event(span: Span, activity: Activity) -> str | None:
    first = bisect_left(activity.active, span.start_s, key=lambda active: active.end_s)
    if any(span.overlap_s(active) > 0 for active in activity.active[first : first + 2]):
        return "active"
    return next((s.kind for s in activity.switches if span.contains(s.time_s)), None)


def _shown(span: Span, hashes: Sequence[tuple[float, int]]) -> list[int]:
    first = bisect_left(hashes, (span.start_s, 0))
    end = bisect_left(hashes, (span.end_s, 0))
    return [each for _, each in hashes[first:end]]


def _alike(these: Sequence[int], those: Sequence[int], settings: Ingest) -> bool | None:
    """Whether each of these pictures is like one of those; None where there is none to tell."""
    if not these or not those:
        return None
    return all(min(apart(one, other) for other in those) <= settings.reuse_bits for one in these)


def _parent(node: NodeId, children: Sequence[Decision]) -> Decision:
    telling = [child for child in children if _tells(child)]
    if len(telling) > 1:
        return Decision(node, How.FOLD, "active")
    if telling:
        return Decision(node, How.ONE, telling[0].why, telling[0].node)
    looked = [child for child in children if child.source is None]
    source = looked[0].node if looked else children[0].source
    return Decision(node, How.STILL, "still", source)


def _tells(decision: Decision | None) -> bool:
    return decision is not None and decision.why in ("active", "light", "cut")


def _source(node: NodeId, decisions: Mapping[NodeId, Decision]) -> NodeId | None:
    decision = decisions.get(node)
    return decision.source if decision else None
