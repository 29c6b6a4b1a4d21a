"""Questions about where in the picture, answered from where tracked subjects come and go."""

from __future__ import annotations

import pytest

from edge_lvr1.domain import Verdict
from edge_lvr1.models.embedded.retrieval.agent import EmbeddedAgent
from edge_lvr1.models.embedded.retrieval.question import understand
from tests.navigator.written_trees import WrittenTree, ask, figure, question, tree_of


def three() -> WrittenTree:
    return tree_of(
        [
            figure(1, 5, 20, "red", enters="left", leaves="left"),
            figure(2, 30, 50, "blue", enters="top", leaves="right"),
            figure(3, 60, 80, "grey", enters="right", leaves="bottom"),
        ],
        duration_s=100,
        width=3,
    )


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("Is there anyone on the left?", "Yes: P1"),
        ("How many people are on the left side?", "1 person-like figure"),
        ("How many people were on the right of the picture?", "2 person-like figures"),
        ("When is a person at the top?", "From 30.0 to 50.0 s: P2"),
        ("What colour is the person on the left-hand side?", "red: P1"),
        ("Was anyone in the left half?", "Yes: P1"),
        ("When does someone enter on the left?", "At 5.0 s: P1"),
        ("Did anyone leave on the right?", "Yes: P2"),
    ],
)
def test_only_subjects_on_the_side_asked_about_count(text: str, begins: str) -> None:
    answer, _ = ask(EmbeddedAgent(), question(text), three())

    assert answer.text.startswith(begins)


def test_it_says_that_sides_are_told_of_coming_and_going_only() -> None:
    answer, _ = ask(EmbeddedAgent(), question("Is there anyone on the left?"), three())

    assert "Captions tell a side only where somebody or something comes or goes." in answer.text


def test_the_leaf_that_shows_the_side_is_the_evidence() -> None:
    answer, _ = ask(EmbeddedAgent(), question("Is there a person at the bottom?"), three())

    assert answer.evidence[0].span.contains(79.9)


def test_nobody_on_a_side_is_not_found() -> None:
    tree = tree_of([figure(1, 5, 20, "red", enters="left", leaves="left")], duration_s=100, width=3)

    answer, _ = ask(EmbeddedAgent(), question("Is anyone on the right?"), tree)

    assert answer.verdict is Verdict.NOT_FOUND


@pytest.mark.parametrize(
    "text",
    [
        "Is anyone to the left of the door?",
        "Who left?",
        "Does the car turn right?",
        "Who moves up?",
    ],
)
def test_other_uses_of_the_words_name_no_side(text: str) -> None:
    assert understand(text, 100.0).side is None
