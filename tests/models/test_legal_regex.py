"""Legal moves as a regular expression, and the servers that can keep to one."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import Invalid, NodeId
from edge_lvr1.models.base import MORE_TOOLS, TWO_TOOLS, Moves
from edge_lvr1.models.legal_regex import CONSTRAINTS, constrain, constraint_of, legal_regex
from edge_lvr1.navigator.actions import parse_reply


@st.composite
def states(draw: st.DrawFn) -> Moves:
    width = draw(st.integers(1, 12))
    index = st.integers(1, width)
    opened = draw(st.sets(st.lists(index, min_size=2, max_size=3).map(tuple), max_size=6))
    return Moves(
        width=width,
        opened=frozenset(NodeId(path) for path in opened),
        letters=draw(st.sampled_from(["", "AB", "ABCDE"])),
        must_answer=draw(st.booleans()),
        tools=TWO_TOOLS | draw(st.frozensets(st.sampled_from(sorted(MORE_TOOLS)))),
    )


@given(data=st.data(), moves=states())
def test_whatever_matches_is_a_legal_move(data: st.DataObject, moves: Moves) -> None:
    reply = data.draw(st.from_regex(legal_regex(moves), fullmatch=True))

    _, action = parse_reply(reply, moves)

    assert not isinstance(action, Invalid)


MOVES = Moves(4, frozenset({NodeId((2, 1)), NodeId((2, 1, 3))}), letters="AB")


@pytest.mark.parametrize(
    ("reply", "legal"),
    [
        ("<think>look</think>\n<tool>get_caption((2,4))</tool>", True),
        ("<think>look</think>\n<tool>get_caption((2,4,4))</tool>", True),
        ('<think>look</think>\n<tool>video_qa((2,1,3), "what colour?")</tool>', True),
        ("<think>sure</think>\n<answer>B: red, see (2,1,3)</answer>", True),
        ("<answer>not found: looked at all</answer>", True),
        ("<think>look</think>\n<tool>get_caption((2,5))</tool>", False),
        ("<think>look</think>\n<tool>get_caption((2))</tool>", False),
        ('<think>look</think>\n<tool>video_qa((2,1,2), "what?")</tool>', False),
        ("<think>sure</think>\n<answer>C</answer>", False),
        ("<think>sure</think>", False),
    ],
)
def test_moves_match_where_they_are_legal(reply: str, legal: bool) -> None:
    assert (re.fullmatch(legal_regex(MOVES), reply) is not None) is legal


def test_the_last_round_allows_no_call() -> None:
    last = legal_regex(Moves(4, MOVES.opened, "AB", must_answer=True))

    assert re.fullmatch(last, "<think>x</think>\n<answer>A</answer>")
    assert not re.fullmatch(last, "<think>x</think>\n<tool>get_caption((1,1))</tool>")


def described(**fields: object) -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/ChatCompletionRequest"}
    content = {"application/json": {"schema": reference}}
    return {
        "paths": {"/v1/chat/completions": {"post": {"requestBody": {"content": content}}}},
        "components": {"schemas": {"ChatCompletionRequest": {"properties": fields}, **FORMATS}},
    }


FORMATS = {
    "Format": {"properties": {"type": {"enum": ["text", "json_object", "regex"]}}},
    "PlainFormat": {"properties": {"type": {"enum": ["text", "json_object"]}}},
}


@pytest.mark.parametrize("name", CONSTRAINTS[:-1])
def test_a_server_with_a_field_for_it_is_asked_by_that_field(name: str) -> None:
    assert constraint_of(described(messages={}, **{name: {"anyOf": []}})) == name


def test_a_server_whose_response_format_takes_regular_expressions_is_asked_by_that() -> None:
    able = {"anyOf": [{"$ref": "#/components/schemas/Format"}, {"type": "null"}]}
    unable = {"anyOf": [{"$ref": "#/components/schemas/PlainFormat"}]}

    assert constraint_of(described(response_format=able)) == "response_format"
    assert constraint_of(described(response_format=unable)) is None


JUNK = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["paths", "/chat/completions", "post", "$ref"]), inner)
    ),
    max_leaves=12,
)


@given(schema=st.dictionaries(st.sampled_from(["paths", "components"]), JUNK))
def test_a_description_of_any_shape_names_no_constraint(schema: dict[str, Any]) -> None:
    assert constraint_of(schema) is None


def test_each_constraint_asks_in_the_words_of_its_servers() -> None:
    asked = {name: constrain(name, "a|b") for name in CONSTRAINTS}

    assert asked == {
        "structured_outputs": {"structured_outputs": {"regex": "a|b"}},
        "guided_regex": {"guided_regex": "a|b"},
        "guided_decoding": {"guided_decoding": {"regex": "a|b"}},
        "regex": {"regex": "a|b"},
        "response_format": {"response_format": {"type": "regex", "regex": "a|b"}},
    }


MORE = replace(MOVES, tools=TWO_TOOLS | MORE_TOOLS)


@pytest.mark.parametrize(
    "call",
    [
        'search_captions("red car")',
        "list_recordings()",
        'list_recordings("gate")',
        'count_objects((2,1,3), "person")',
    ],
)
def test_further_tools_match_for_agents_that_know_them_only(call: str) -> None:
    reply = f"<think>x</think>\n<tool>{call}</tool>"

    assert re.fullmatch(legal_regex(MORE), reply)
    assert not re.fullmatch(legal_regex(MOVES), reply)
    assert not isinstance(parse_reply(reply, MORE)[1], Invalid)
    assert isinstance(parse_reply(reply, MOVES)[1], Invalid)
