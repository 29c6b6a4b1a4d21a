"""An answer's evidence looked at again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import Confirmation, NodeId, Verdict
from edge_lvr1.navigator.confirm import judge
from tests.navigator.test_loop import call, say
from tests.navigator.written_trees import ScriptedAgent, ask, people, question

ASKED = question("Is there a red car?", confirm=True)
CONFIRMED, DENIED, UNCLEAR = (
    Confirmation.CONFIRMED,
    Confirmation.NOT_CONFIRMED,
    Confirmation.UNCLEAR,
)


@pytest.mark.parametrize(
    ("said", "judged"),
    [
        ("Yes, it drives by.", CONFIRMED),
        ("yes", CONFIRMED),
        ("No. There is a van only.", DENIED),
        ("No", DENIED),
        ("No, it does not.", DENIED),
        ("The clip does not show a car.", DENIED),
        ("V3, a red vehicle-like shape, is in view.", CONFIRMED),
        ("No motion seen.", DENIED),
        ("Looked again at 40 frames. No vehicle-like shape seen here.", DENIED),
        ("A red light. I cannot recognise a car.", UNCLEAR),
        ("I look for shapes; I cannot recognise a car.", UNCLEAR),
        ("A red bag lies there. A black car stands.", UNCLEAR),
        ("", UNCLEAR),
        ("A man walks.", UNCLEAR),
    ],
)
def test_what_a_look_says_is_read_with_care(said: str, judged: Confirmation) -> None:
    assert judge(said, ["red", "car"]) is judged


@given(st.text(max_size=80), st.lists(st.text(max_size=8), max_size=3))
def test_any_look_is_read(said: str, words: list[str]) -> None:
    assert judge(said, words) in Confirmation


def test_an_answer_that_a_look_bears_out_is_confirmed() -> None:
    tree = people(look="Yes.")
    agent = ScriptedAgent().enqueue(call("(1,2,1)"), say("a red car (1,2,1)"))

    answer, _ = ask(agent, ASKED, tree)

    assert (answer.verdict, answer.confirmation) == (Verdict.ANSWERED, CONFIRMED)
    assert [node for node, _ in tree.looks] == [NodeId((1, 2, 1))]
    assert "'Is there a red car?'" in tree.looks[0][1]
    assert "(1,2,1)" not in tree.looks[0][1]


def test_a_refuted_answer_goes_back_once_and_another_may_be_found() -> None:
    tree = people(look="No.")
    agent = ScriptedAgent().enqueue(call("(1,2,1)"), say("yes (1,2,1)"), say("not found: none"))

    answer, steps = ask(agent, ASKED, tree)

    assert "do not bear it out. (1,2,1): No." in steps[1].observation
    assert agent.asked[2][0][-1].content == steps[1].observation
    assert (answer.verdict, answer.confirmation) == (Verdict.NOT_FOUND, None)


def test_an_answer_that_is_kept_stands_as_not_confirmed() -> None:
    agent = ScriptedAgent().enqueue(call("(1,2,1)"), say("yes (1,2,1)"), say("yes (1,2,1)"))

    answer, steps = ask(agent, ASKED, people(look="No."))

    assert (answer.verdict, answer.confirmation) == (Verdict.ANSWERED, DENIED)
    assert len(steps) == 3


def test_on_the_last_round_a_refuted_answer_stands_as_not_confirmed() -> None:
    asked = question("Is there a red car?", confirm=True, max_rounds=2)
    agent = ScriptedAgent().enqueue(call("(1,2,1)"), say("yes (1,2,1)"))

    answer, _ = ask(agent, asked, people(look="No."))

    assert (answer.verdict, answer.confirmation) == (Verdict.ANSWERED, DENIED)


def test_a_clip_that_cannot_be_looked_at_leaves_it_unclear() -> None:
    tree = people()
    agent = ScriptedAgent().enqueue(call("(1,2)"), say("yes (1,2)"))
    tree.broken = frozenset(n.id for n in tree.plan.nodes if len(n.id.path) == 3)

    answer, _ = ask(agent, ASKED, tree)

    assert answer.confirmation is UNCLEAR


def test_of_a_wider_node_a_few_leaves_are_looked_at() -> None:
    tree = people(look="Yes.")
    agent = ScriptedAgent().enqueue(call("(1,2)"), say("yes (1,2)"))

    ask(agent, ASKED, tree)

    assert [str(node) for node, _ in tree.looks] == ["(1,2,1)", "(1,2,2)", "(1,2,3)"]


def test_nothing_is_looked_at_unless_it_was_asked_for_and_something_was_found() -> None:
    tree = people()

    plain, _ = ask(ScriptedAgent().enqueue(say("yes")), question("Is there a red car?"), tree)
    absent, _ = ask(ScriptedAgent().enqueue(say("not found: none")), ASKED, tree)

    assert plain.confirmation is absent.confirmation is None
    assert tree.looks == []
