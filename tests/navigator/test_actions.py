"""Reading of replies: total, lenient in form, strict in rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import FinalAnswer, GetCaption, Invalid, NodeId, VideoQa
from edge_lvr1.models.base import Moves
from edge_lvr1.navigator.actions import is_not_found, option_of, parse_reply

LEAF = NodeId((1, 2, 3))
MOVES = Moves(width=4, opened=frozenset({LEAF}))
LETTERED = Moves(width=4, opened=frozenset(), letters="ABCD")


@pytest.mark.parametrize(
    ("reply", "node"),
    [
        ("<think>x</think><tool>get_caption((1,2))</tool>", "(1,2)"),
        ("<think>x</think>\n<tool>get_caption((1,2,3))</tool>", "(1,2,3)"),
        ("<THINK>x</THINK> <Tool> GET_CAPTION( ( 1 , 2 ) ) </Tool>", "(1,2)"),
        ("<tool>get_caption((1,2,3))", "(1,2,3)"),
        ("<tool>get_caption((1,2,3)", "(1,2,3)"),
        ("<tool>get_caption(1,2)</tool>", "(1,2)"),
        ("<tool>get_caption([4, 4])</tool>", "(4,4)"),
        ("<tool>get_caption(node=(1,2))</tool>", "(1,2)"),
        ("<tool>`get_caption((1,2))`</tool>", "(1,2)"),
        ("I think (3,3) first. <tool>get_caption((1,2))</tool> Then (2,2).", "(1,2)"),
        ("opened by the template</think><tool>get_caption((1,2))</tool>", "(1,2)"),
        ("<think>a</think><tool>get_caption((1,2))</tool><answer>late</answer>", "(1,2)"),
        ("<think>a <tool>get_caption((2,2))</tool></think><tool>get_caption((1,2))", "(1,2)"),
        (
            "<think>a</think><think><tool>get_caption((2,2))</tool></think>"
            "<tool>get_caption((1,2))</tool>",
            "(1,2)",
        ),
    ],
)
def test_a_call_is_read_however_it_is_written(reply: str, node: str) -> None:
    _, action = parse_reply(reply, MOVES)

    assert action == GetCaption(NodeId.parse(node))


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ('(1,2,3), "what is that?"', "what is that?"),
        ("(1,2,3), 'what is that?'", "what is that?"),
        ("(1,2,3), \u201cwhat is that?\u201d", "what is that?"),
        ("(1,2,3), what's the man's hat?", "what's the man's hat?"),
        ("(1,2,3), \"what's the man's hat?\"", "what's the man's hat?"),
        ("(1,2,3),what (if any) is red", "what (if any) is red"),
        ('(1,2,3), "what (if any)"', "what (if any)"),
        ('(1,2,3), "an open ("', "an open ("),
        ('(1,2,3), query="why?"', "why?"),
        ("(1,2,3) why?", "why?"),
        ('1,2,3, "2 men?"', "2 men?"),
        ('(1,2,3), "does it say "stop"?"', 'does it say "stop"?'),
    ],
)
@pytest.mark.parametrize("end", [")</tool>", ")"])
def test_a_query_is_read_however_it_is_quoted(arguments: str, query: str, end: str) -> None:
    _, action = parse_reply(f"<think>look</think><tool>video_qa({arguments}{end}", MOVES)

    assert action == VideoQa(LEAF, query)


@pytest.mark.parametrize(
    ("reply", "moves", "told"),
    [
        ("", MOVES, "no call and no answer"),
        ("get_caption((1,2))", MOVES, "no call and no answer"),
        ("<think>I would <tool>get_caption((1,2))</tool>", MOVES, "not closed"),
        ("<tool></tool>", MOVES, "not understood"),
        ("<tool>open((1,2))</tool>", MOVES, "not understood"),
        ("<tool>get_caption()</tool>", MOVES, "names no node"),
        ("<tool>get_caption(first)</tool>", MOVES, "names no node"),
        ("<tool>get_caption((5,1))</tool>", MOVES, "from 1 to 4"),
        ("<tool>get_caption((0,1))</tool>", MOVES, "from 1 to 4"),
        ("<tool>get_caption((1,1,1,1))</tool>", MOVES, "from 1 to 4"),
        (f"<tool>get_caption(({'9' * 5000},1))</tool>", MOVES, "from 1 to 4"),
        ("<tool>get_caption((2))</tool>", MOVES, "get_caption((2,1))"),
        ('<tool>video_qa((1,2), "q")</tool>', MOVES, "low-level"),
        ('<tool>video_qa((1,2,4), "q")</tool>', MOVES, "get_caption((1,2,4))"),
        ('<tool>video_qa((1,2,3), "")</tool>', MOVES, "query was empty"),
        ("<tool>video_qa((1,2,3))</tool>", MOVES, "query was empty"),
        ("<answer> </answer>", MOVES, "answer was empty"),
        ("<answer>", MOVES, "answer was empty"),
        ("<answer>A red car.</answer>", LETTERED, "letter of one option (A, B, C, D)"),
        ("<answer>E</answer>", LETTERED, "letter of one option"),
        ("<answer>I do not know</answer>", LETTERED, "letter of one option"),
    ],
)
def test_what_is_no_legal_move_is_told_why(reply: str, moves: Moves, told: str) -> None:
    _, action = parse_reply(reply, moves)

    assert isinstance(action, Invalid)
    assert told in action.reason


def test_only_an_answer_is_legal_on_the_last_round() -> None:
    last = Moves(width=4, opened=frozenset({LEAF}), must_answer=True)

    _, call = parse_reply("<tool>get_caption((1,2))</tool>", last)
    _, answer = parse_reply("<answer>yes</answer>", last)

    assert isinstance(call, Invalid)
    assert "last round" in call.reason
    assert answer == FinalAnswer("yes")


@pytest.mark.parametrize(
    ("text", "letter", "words"),
    [
        ("B", "B", ""),
        ("b", "B", ""),
        ("(B)", "B", ""),
        ("B.", "B", ""),
        ("B. red", "B", "red"),
        ("B) red", "B", "red"),
        ("B: red (1,2,3)", "B", "red (1,2,3)"),
        ("B (1,2,3)", "B", "(1,2,3)"),
        ("option B: red", "B", "red"),
        ("Option (c)", "C", ""),
        ("The correct answer is D.", "D", ""),
        ("Answer: A. left", "A", "left"),
        ("**B**", "B", ""),
        ("B\nbecause it is red", "B", "because it is red"),
        ("B because it is red", "B", "because it is red"),
    ],
)
def test_an_option_is_read_by_its_letter(text: str, letter: str, words: str) -> None:
    assert option_of(text, "ABCD") == (letter, words)


@pytest.mark.parametrize(
    "text", ["A red car", "a man", "because", "E", "Absolutely", "none", "answer a question", ""]
)
def test_a_word_is_no_option(text: str) -> None:
    assert option_of(text, "ABCD") is None


def test_an_option_answer_is_normalised_to_its_letter() -> None:
    _, alone = parse_reply("<answer>(b)</answer>", LETTERED)
    _, with_words = parse_reply("<answer>option B. red, see (1,2,1)</answer>", LETTERED)

    assert alone == FinalAnswer("B")
    assert with_words == FinalAnswer("B: red, see (1,2,1)")


def test_not_found_is_an_answer_where_options_were_given() -> None:
    _, action = parse_reply("<answer>Not found: no car at all</answer>", LETTERED)

    assert action == FinalAnswer("Not found: no car at all")
    assert is_not_found("Not found: no car at all")
    assert is_not_found(" *not found*.")
    assert not is_not_found("it was not found at first")


def test_the_thought_comes_without_its_tags() -> None:
    thought, _ = parse_reply(" <think> a b </think> <answer>yes</answer>", MOVES)

    assert thought == "a b"


TEXT = st.text(
    st.one_of(st.sampled_from("<>/()[],\"'\u201c 0123456789\nABCD.:"), st.characters(codec="utf-8"))
)
PIECES = st.lists(
    st.one_of(
        TEXT,
        st.sampled_from(
            ["<think>", "</think>", "<tool>", "</tool>", "<answer>", "</answer>", "get_caption(",
             "video_qa(", "(1,2,3)", "(1,2)", ", ", ")", "not found", "B. "]
        ),
    )
).map("".join)  # fmt: skip


@given(reply=PIECES, letters=st.sampled_from(["", "AB", "ABCDEFGHIJ"]), must=st.booleans())
def test_no_text_makes_reading_fail(reply: str, letters: str, must: bool) -> None:
    moves = Moves(width=4, opened=frozenset({LEAF}), letters=letters, must_answer=must)

    thought, action = parse_reply(reply, moves)

    assert isinstance(thought, str)
    assert isinstance(action, GetCaption | VideoQa | FinalAnswer | Invalid)
    if isinstance(action, Invalid):
        assert action.reason.strip()
    if must:
        assert isinstance(action, FinalAnswer | Invalid)


PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="<>"), min_size=1).filter(
    lambda text: text.strip() == text
)
NODES = st.lists(st.integers(1, 4), min_size=2, max_size=3).map(lambda path: NodeId(tuple(path)))


@given(thought=PLAIN, node=NODES)
def test_a_well_formed_call_reads_back(thought: str, node: NodeId) -> None:
    reply = f"<think>{thought}</think>\n<tool>get_caption({node})</tool>"

    assert parse_reply(reply, MOVES) == (thought, GetCaption(node))


@given(thought=PLAIN, query=PLAIN)
def test_a_well_formed_look_reads_back(thought: str, query: str) -> None:
    reply = f'<think>{thought}</think>\n<tool>video_qa({LEAF}, "{query}")</tool>'

    assert parse_reply(reply, MOVES) == (thought, VideoQa(LEAF, query))


@given(thought=PLAIN, answer=PLAIN)
def test_a_well_formed_answer_reads_back(thought: str, answer: str) -> None:
    reply = f"<think>{thought}</think>\n<answer>{answer}</answer>"

    assert parse_reply(reply, MOVES) == (thought, FinalAnswer(answer))
