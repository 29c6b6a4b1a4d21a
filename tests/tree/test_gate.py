from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.config import Ingest
from edge_lvr1.domain import Activity, Caption, Level, Node, NodeId, Span, Switch, TreePlan
from edge_lvr1.models.embedded import wording
from edge_lvr1.models.embedded.retrieval.evidence import is_account
from edge_lvr1.tree.gate import (
    QUOTED_WORDS,
    Decision,
    How,
    calls,
    decide,
    inherited,
    order,
    telling,
)
from edge_lvr1.tree.plan import plan_tree

HOUR = plan_tree(3600.0)  # six wide: leaves of 16.7 s
EMPTY, PARCEL = 0, 0b11111 << 20
SAME = Ingest(gate_heartbeat_s=7200.0)


def active(*spans: tuple[float, float], switches: Sequence[Switch] = ()) -> Activity:
    return Activity((), (), tuple(Span(*span) for span in spans), tuple(switches))


def pictures(plan: TreePlan, changed_from_s: float = 1e9) -> list[tuple[float, int]]:
    """A hash in the middle of each leaf: the scene is another from a moment on."""
    middles = [(leaf.span.start_s + leaf.span.end_s) / 2 for leaf in plan.at(Level.LOW)]
    return [(time_s, PARCEL if time_s >= changed_from_s else EMPTY) for time_s in middles]


def looked(decisions: dict[NodeId, Decision]) -> list[str]:
    return [str(d.node) for d in decisions.values() if d.how is How.LOOK]


def node(text: str, plan: TreePlan = HOUR) -> Node:
    found = plan.node(NodeId.parse(text))
    assert found is not None
    return found


def caption(text: str, told: str, details: dict[str, object] | None = None) -> Caption:
    return Caption(node(text).id, node(text).span, told, "somebody", "1", details=details)


def test_of_stillness_the_first_leaf_alone_is_looked_at() -> None:
    decisions = decide(HOUR, active(), pictures(HOUR), SAME)

    assert looked(decisions) == ["(1,1,1)"]
    others = [d for d in decisions.values() if str(d.node) != "(1,1,1)"]
    assert {str(d.source) for d in others} == {"(1,1,1)"}


def test_every_leaf_that_activity_touches_is_looked_at() -> None:
    decisions = decide(HOUR, active((99.9, 100.1), (3599.0, 3600.0)), pictures(HOUR), SAME)

    assert looked(decisions) == ["(1,1,1)", "(1,1,6)", "(1,2,1)", "(6,6,6)"]


def test_a_span_that_only_meets_a_leaf_does_not_touch_it() -> None:
    decisions = decide(HOUR, active((83.333, 100.0)), pictures(HOUR), SAME)

    assert looked(decisions) == ["(1,1,1)", "(1,1,6)"]


def test_stillness_is_looked_at_in_every_heartbeat() -> None:
    decisions = decide(HOUR, active(), pictures(HOUR), Ingest(gate_heartbeat_s=600.0))

    starts = [node(text).span.start_s for text in looked(decisions)]
    assert starts[0] == 0.0
    assert all(second - first <= 617 for first, second in pairwise([*starts, 3600.0]))
    assert {decisions[NodeId.parse(text)].why for text in looked(decisions)[1:]} == {"heartbeat"}


def test_a_look_at_activity_is_a_heartbeat_too() -> None:
    settings = Ingest(gate_heartbeat_s=590.0)

    decisions = decide(HOUR, active((300.0, 310.0)), pictures(HOUR), settings)

    beats = [d.node for d in decisions.values() if d.why == "heartbeat"]
    assert beats[0] == node("(2,4,1)").id  # it ends 600 s after the look at (1,4,1)


@pytest.mark.parametrize("kind", ["light", "cut"])
def test_a_switch_is_looked_at_and_what_follows_looks_like_it(kind: str) -> None:
    switched = active(switches=[Switch(1000.0, kind)])

    decisions = decide(HOUR, switched, pictures(HOUR), SAME)

    leaf = next(leaf for leaf in HOUR.at(Level.LOW) if leaf.span.contains(1000.0))
    assert decisions[leaf.id] == Decision(leaf.id, How.LOOK, kind)
    after = [d for d in decisions.values() if d.node > leaf.id and d.how is How.ALIKE]
    assert {d.source for d in after if d.node.level is Level.LOW} == {leaf.id}


def test_after_a_switch_amid_activity_the_scene_is_looked_at_anew() -> None:
    switched = active((500.0, 520.0), switches=[Switch(510.0, "light")])

    decisions = decide(HOUR, switched, pictures(HOUR), SAME)

    assert looked(decisions) == ["(1,1,1)", "(1,6,1)", "(1,6,2)", "(1,6,3)"]


def test_what_was_left_behind_is_looked_at_once() -> None:
    decisions = decide(HOUR, active((500.0, 520.0)), pictures(HOUR, 520.0), SAME)

    assert looked(decisions) == ["(1,1,1)", "(1,6,1)", "(1,6,2)", "(1,6,3)"]
    assert decisions[node("(1,6,3)").id].why == "changed"
    assert decisions[node("(1,6,4)").id].how is How.ALIKE
    assert decisions[node("(1,6,4)").id].source == node("(1,6,3)").id


def test_alike_are_pictures_within_the_bits_of_the_settings() -> None:
    still = [(time_s, hash_ ^ 0b111 if time_s > 100 else hash_) for time_s, hash_ in pictures(HOUR)]

    near = decide(HOUR, active(), still, Ingest(reuse_bits=3, gate_heartbeat_s=7200.0))
    far = decide(HOUR, active(), still, Ingest(reuse_bits=2, gate_heartbeat_s=7200.0))

    assert near[node("(4,4,4)").id].how is How.ALIKE
    assert far[node("(4,4,4)").id].how is How.STILL


def test_without_pictures_stillness_is_still_all_the_same() -> None:
    decisions = decide(HOUR, active((500.0, 520.0)), [], SAME)

    assert looked(decisions) == ["(1,1,1)", "(1,6,1)", "(1,6,2)"]
    assert decisions[node("(4,4,4)").id].how is How.STILL


def test_a_parent_of_one_lively_child_takes_its_caption() -> None:
    decisions = decide(HOUR, active((500.0, 510.0)), pictures(HOUR), SAME)

    leaf, medium, high = (node(text).id for text in ("(1,6,1)", "(1,6)", "(1)"))
    assert decisions[medium] == Decision(medium, How.ONE, "active", leaf)
    assert decisions[high] == Decision(high, How.ONE, "active", medium)


def test_a_parent_of_two_lively_children_has_a_caption_of_its_own() -> None:
    decisions = decide(HOUR, active((499.0, 501.0)), pictures(HOUR), SAME)

    assert decisions[node("(1,5)").id].how is How.ONE
    assert decisions[node("(1,6)").id].how is How.ONE
    assert decisions[node("(1)").id] == Decision(node("(1)").id, How.FOLD, "active")


def test_a_still_parent_points_to_a_child_that_was_looked_at() -> None:
    decisions = decide(HOUR, active(), pictures(HOUR), Ingest(gate_heartbeat_s=600.0))

    for level in (Level.MEDIUM, Level.HIGH):
        for parent in HOUR.at(level):
            decision = decisions[parent.id]
            assert decision.how is How.STILL
            assert decision.source is not None
            source = decisions[decision.source]
            assert source.how is How.LOOK or source.source is not None


def test_calls_are_counted() -> None:
    decisions = decide(HOUR, active((499.0, 501.0)), pictures(HOUR), SAME)

    counted = calls(HOUR, decisions)

    assert (counted.leaves, counted.parents, counted.made) == (3, 1, 4)
    assert counted.made + counted.saved == len(HOUR.nodes) == 258
    assert calls(HOUR, {}).made == 258


def test_with_frames_high_captions_come_first_then_lively_leaves() -> None:
    decisions = decide(HOUR, active((499.0, 501.0), (2000.0, 2100.0)), pictures(HOUR), SAME)

    placed = [each.id for each in order(HOUR, decisions, "frames")]

    called = [each for each in placed if decisions[each].source is None]
    high = [each for each in called if each.level is Level.HIGH]
    assert called[: len(high)] == [node("(1)").id]
    leaves = [each for each in placed if decisions[each].why == "active" and len(each.path) == 3]
    still = [each for each in placed if decisions[each].how is How.ALIKE and len(each.path) == 3]
    assert max(map(placed.index, leaves)) < min(map(placed.index, still))
    last_high = max(placed.index(each.id) for each in HOUR.at(Level.HIGH))
    assert last_high < min(map(placed.index, still))


def test_with_folding_lively_leaves_come_first_and_parents_after_their_children() -> None:
    decisions = decide(HOUR, active((499.0, 501.0), (2000.0, 2100.0)), pictures(HOUR), SAME)

    placed = [each.id for each in order(HOUR, decisions, "fold")]

    assert {decisions[each].why for each in placed[:8]} == {"active"}
    assert "active" not in {decisions[each].why for each in placed[8:] if len(each.path) == 3}
    for child, parent in ((n.id, n.id.parent) for n in HOUR.nodes):
        assert parent is None or placed.index(child) < placed.index(parent)


@pytest.mark.parametrize(("parents", "first"), [("frames", "(1)"), ("fold", "(1,1,1)")])
def test_without_decisions_the_order_is_by_level(parents: str, first: str) -> None:
    placed = order(HOUR, {}, parents)

    assert str(placed[0].id) == first
    assert sorted(each.id for each in placed) == sorted(each.id for each in HOUR.nodes)


def test_a_still_caption_says_so_and_where_it_was_looked_at() -> None:
    alike = Decision(node("(1,1,2)").id, How.ALIKE, "still", node("(1,1,1)").id)

    written = inherited(node("(1,1,2)"), alike, caption("(1,1,1)", "A yard with a parked car."))

    assert written.text == (
        "No motion seen. It looks as in (1,1,1), 0.0 to 16.7 s: A yard with a parked car."
    )


def test_a_long_caption_is_quoted_in_part() -> None:
    still = Decision(node("(1,1,2)").id, How.STILL, "still", node("(1,1,1)").id)

    written = inherited(node("(1,1,2)"), still, caption("(1,1,1)", "word " * 500))

    assert written.text.startswith("No motion seen. Last looked at in (1,1,1)")
    assert written.text.count("word") == QUOTED_WORDS


def test_an_inherited_stillness_repeats_no_subject_of_the_embedded_captioner() -> None:
    seen = (
        "P1, a person-like figure (red, medium), is in view from 2.0 to 9.0 s: "
        "appears at 2.0 s, goes out of sight at 9.0 s."
    )
    assert wording.read(seen).sightings
    still = Decision(node("(1,1,2)").id, How.STILL, "still", node("(1,1,1)").id)

    written = inherited(node("(1,1,2)"), still, caption("(1,1,1)", seen, {"pieces": []}))

    assert wording.read(written.text) == wording.read(wording.NOTHING_SEEN)
    assert is_account(written.text)


def test_the_words_of_stillness_are_those_of_the_embedded_captioner() -> None:
    still = Decision(node("(1,1,2)").id, How.STILL, "still", node("(1,1,1)").id)

    written = inherited(node("(1,1,2)"), still, caption("(1,1,1)", wording.NOTHING_SEEN, {}))

    assert written.text.startswith(wording.NOTHING_SEEN)


def test_the_caption_of_an_only_lively_child_is_taken_with_its_details() -> None:
    one = Decision(node("(1,1)").id, How.ONE, "active", node("(1,1,1)").id)

    written = inherited(node("(1,1)"), one, caption("(1,1,1)", "A cat.", {"pieces": [1]}))

    assert (written.text, written.details) == ("A cat.", {"pieces": [1]})


def test_children_that_only_say_that_nothing_happens_are_not_folded() -> None:
    decisions = decide(HOUR, active((499.0, 501.0)), pictures(HOUR), SAME)
    children = [caption(str(child.id), "text") for child in HOUR.children(node("(1,6)").id)]

    assert [str(child.node) for child in telling(children, decisions)] == ["(1,6,1)"]
    assert telling(children, {}) == children


@st.composite
def activities(draw: st.DrawFn, duration_s: float) -> Activity:
    edges = sorted(draw(st.lists(st.floats(0, duration_s), max_size=12, unique=True)))
    times = draw(st.lists(st.floats(0, duration_s - 0.01), max_size=3))
    return Activity(
        (),
        (),
        tuple(Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)),
        tuple(Switch(t, draw(st.sampled_from(["light", "cut"]))) for t in sorted(times)),
    )


@given(
    data=st.data(),
    duration_s=st.sampled_from([3.0, 30.2, 139.4, 3600.0]),
    heartbeat_s=st.floats(1, 1e4),
    parents=st.sampled_from(["fold", "frames"]),
)
def test_decisions_hold_together(
    data: st.DataObject, duration_s: float, heartbeat_s: float, parents: str
) -> None:
    plan = plan_tree(duration_s)
    activity = data.draw(activities(duration_s))
    hashes = sorted(
        data.draw(
            st.lists(st.tuples(st.floats(0, duration_s), st.integers(0, 2**64 - 1)), max_size=20)
        )
    )

    decisions = decide(plan, activity, hashes, Ingest(gate_heartbeat_s=heartbeat_s))

    assert decisions.keys() == {each.id for each in plan.nodes}
    for leaf in plan.at(Level.LOW):
        if any(leaf.span.overlap_s(span) > 0 for span in activity.active):
            assert decisions[leaf.id].how is How.LOOK
    for decision in decisions.values():
        assert (decision.source is None) == (decision.how in (How.LOOK, How.FOLD))
    placed = [each.id for each in order(plan, decisions, parents)]
    assert sorted(placed) == sorted(decisions)
    rank = {each: index for index, each in enumerate(placed)}
    assert all(d.source is None or rank[d.source] < rank[d.node] for d in decisions.values())
    unseen_s = 0.0
    for leaf in plan.at(Level.LOW):
        still = decisions[leaf.id].source is not None
        unseen_s = unseen_s + leaf.span.duration_s if still else 0.0
        assert unseen_s <= heartbeat_s + 0.01
