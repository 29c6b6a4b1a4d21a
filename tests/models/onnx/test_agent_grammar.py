"""The grammar offers what the conversation allows, and no more.

That replies within it are legal moves is tested on random weights, in test_agent_session.py.
"""

from __future__ import annotations

import re

import pytest

from edge_lvr1.domain import (
    CountObjects,
    FinalAnswer,
    Invalid,
    ListRecordings,
    NodeId,
    SearchCaptions,
)
from edge_lvr1.models.base import MORE_TOOLS, TWO_TOOLS, Moves
from edge_lvr1.models.onnx.grammar import move_grammar, reply_grammar
from edge_lvr1.navigator.actions import parse_reply

OPENED = frozenset({NodeId((2, 1)), NodeId((1, 2, 2)), NodeId((2, 1, 1)), NodeId((3, 3, 3))})


def rules(grammar: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in grammar.splitlines())


def test_numbers_run_to_the_width() -> None:
    assert rules(reply_grammar(Moves(3, frozenset()), 50))["ID"] == '"1" | "2" | "3"'


def test_a_look_is_offered_at_opened_leaves_within_the_width_only() -> None:
    offered = rules(reply_grammar(Moves(2, OPENED), 50))

    assert offered["LEAF"] == '"(1,2,2)" | "(2,1,1)"'
    assert "look" in offered["tool"]


def test_no_look_is_offered_before_a_leaf_was_opened() -> None:
    offered = rules(reply_grammar(Moves(2, frozenset({NodeId((2, 1))})), 50))

    assert "look" not in offered
    assert "look" not in offered["tool"]


def test_only_the_answer_is_offered_where_one_is_due() -> None:
    offered = rules(reply_grammar(Moves(2, OPENED, letters="AB", must_answer=True), 50))

    assert offered["move"] == "answer"
    assert "tool" not in offered


def test_further_tools_are_offered_to_agents_that_know_them_only() -> None:
    two = rules(reply_grammar(Moves(2, OPENED), 50))
    more = rules(reply_grammar(Moves(2, OPENED, tools=TWO_TOOLS | MORE_TOOLS), 50))

    assert two["tool"] == '"<tool>" (caption | look) "</tool>"'
    assert two["look"].startswith('("video_qa(") LEAF')
    assert more["tool"] == '"<tool>" (caption | look | search | list) "</tool>"'
    assert '"count_objects("' in more["look"]
    assert "search_captions" in more["search"]
    assert "list_recordings" in more["list"]


@pytest.mark.parametrize("text", ["red car", "a", "x'y)", "(1,2), what"])
def test_a_query_of_the_grammar_is_read_as_it_stands(text: str) -> None:
    moves = Moves(2, OPENED, tools=TWO_TOOLS | MORE_TOOLS)
    pattern = rules(reply_grammar(moves, 50))["QUERY"].strip("/")
    assert re.fullmatch(pattern, text)

    calls = {
        f'search_captions("{text}")': SearchCaptions(text),
        f'list_recordings("{text}")': ListRecordings(text),
        f'count_objects((2,1,1), "{text}")': CountObjects(NodeId((2, 1, 1)), text),
    }

    for call, action in calls.items():
        assert parse_reply(f"<think>x</think><tool>{call}</tool>", moves)[1] == action


def test_a_move_alone_has_no_thought() -> None:
    offered = rules(move_grammar(Moves(2, OPENED), 50))

    assert offered["start"] == "move"
    assert "THOUGHT" not in offered


@pytest.mark.parametrize(
    ("letters", "text", "legal"),
    [
        ("AB", "A", True),
        ("AB", "B: the door (2,1,1)", True),
        ("AB", "not found. I looked at (2,1)", True),
        ("AB", "C", False),
        ("AB", "A red bag", False),
        ("AB", "the door", False),
        ("", "the door", True),
        ("", "   ", False),
        ("", "a <b> c", False),
    ],
)
def test_the_answers_pattern_agrees_with_the_reader(letters: str, text: str, legal: bool) -> None:
    moves = Moves(2, frozenset(), letters=letters)
    pattern = rules(reply_grammar(moves, 50))["ANSWER"].strip("/")

    matched = re.fullmatch(pattern, text) is not None

    assert matched == legal
    if matched:
        _, action = parse_reply(f"<think>x</think><answer>{text}</answer>", moves)
        assert isinstance(action, FinalAnswer)
        assert not isinstance(action, Invalid)
