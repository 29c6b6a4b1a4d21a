"""What the embedded agent takes questions, times and trees to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import Level, NodeId, Span
from edge_lvr1.models.base import Message
from edge_lvr1.models.embedded.retrieval.asked import Asked, Intent, Moment
from edge_lvr1.models.embedded.retrieval.dialogue import (
    Dialogue,
    Shown,
    inline_options,
    read_dialogue,
)
from edge_lvr1.models.embedded.retrieval.grid import Grid
from edge_lvr1.models.embedded.retrieval.question import understand
from edge_lvr1.models.embedded.retrieval.times import read_window, seconds
from edge_lvr1.models.embedded.retrieval.words import Colour, colours_in, nearness
from edge_lvr1.models.embedded.wording import Kind
from edge_lvr1.navigator.conversation import (
    Conversation,
    caption_observation,
    information_observation,
)
from tests.navigator.written_trees import people, question, uniform_plan


def asked(text: str) -> Asked:
    return understand(text, 120.0)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Is there a car?", Intent.EXISTS),
        ("car", Intent.EXISTS),
        ("Please find a red car", Intent.EXISTS),
        ("Can you tell if anyone is there?", Intent.EXISTS),
        ("How many cars pass?", Intent.COUNT),
        ("What is the number of people?", Intent.COUNT),
        ("Are there more than two cars?", Intent.COUNT),
        ("When does a car pass?", Intent.WHEN),
        ("At which second does the car come?", Intent.WHEN),
        ("On which day was there a red car?", Intent.WHEN),
        ("How long does the car stop?", Intent.HOW_LONG),
        ("How many seconds was he there?", Intent.HOW_LONG),
        ("How long is this clip?", Intent.LENGTH),
        ("What colour is the car?", Intent.COLOUR),
        ("Is the car red or white?", Intent.COLOUR),
        ("What does the first person wear?", Intent.COLOUR),
        ("Which way does the car go?", Intent.DIRECTION),
        ("Does the car go left or right?", Intent.DIRECTION),
        ("From which side does the person come?", Intent.ENTERS),
        ("Where does the person come from?", Intent.ENTERS),
        ("Which side does the car leave on?", Intent.LEAVES),
        ("What happens?", Intent.DESCRIBE),
    ],
)
def test_the_kind_of_answer_wanted_is_understood(text: str, intent: Intent) -> None:
    assert asked(text).intent is intent


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Did the lady leave?", (Kind.PERSON,)),
        ("Is anybody there?", (Kind.PERSON,)),
        ("Who came?", (Kind.PERSON,)),
        ("Did a lorry pass?", (Kind.VEHICLE,)),
        ("Are there people or cars?", (Kind.PERSON, Kind.VEHICLE)),
        ("Does anything move?", ()),
        ("Is there a dog?", ()),
    ],
)
def test_the_subject_is_understood(text: str, kinds: tuple[Kind, ...]) -> None:
    assert asked(text).kinds == kinds


def test_colours_before_the_noun_select_and_after_it_are_to_be_confirmed() -> None:
    assert asked("Is there a light blue car?").colour == Colour("blue", "light")
    assert asked("Is the second car red?").is_colour == Colour("red")
    assert asked("Is the second car red?").colour is None
    assert asked("Did a man in a dark coat come?").colour == Colour("", "dark")


def test_left_is_a_direction_or_a_verb() -> None:
    assert asked("Does a car go to the left?").heading == "left"
    assert asked("When has the car left?").heading is None
    assert asked("When has the car left?").moment is Moment.END
    assert asked("Did anyone leave on the left?").leaves == "left"
    assert asked("Does anyone come from the right?").enters == "right"


def test_ordinals_are_not_confused_with_times() -> None:
    assert asked("When does the second car come?").ordinal == 2
    assert asked("Is anyone there in the first 30 seconds?").ordinal is None
    assert asked("Is anyone there in the second half?").ordinal is None
    assert asked("How long does it last?").ordinal is None
    assert asked("What colour is the last car?").ordinal == -1


def test_words_that_captions_cannot_bear_out_are_kept_apart_from_places() -> None:
    plain = asked("How many people come to the table?")
    odd = asked("Is there a dog on the wet lawn?")

    assert (plain.unknown, plain.places) == ((), ("table",))
    assert odd.unknown == ("dog",)
    assert "lawn" in odd.places
    assert asked("Does the man wave?").unknown == ("wave",)
    assert asked("Did the first person's visit last long?").unknown == ()


def test_a_light_colour_is_no_lamp() -> None:
    assert asked("Is there a light blue car?").events == ()
    assert asked("Did the light go out?").events == ("dims",)
    assert asked("Is there a dark car?").events == ()


def test_a_clause_places_a_question_in_time() -> None:
    relation = asked("Did anyone come after the red car left?").relation

    assert relation is not None
    assert relation.word == "after"
    assert relation.other.colour == Colour("red")


@given(st.text(max_size=200), st.floats(0, 7200))
def test_every_text_is_understood_somehow(text: str, duration_s: float) -> None:
    assert isinstance(understand(text, duration_s), Asked)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("after 100 s", (100.0, 120.0)),
        ("after 1:40", (100.0, 120.0)),
        ("before 30 seconds", (0.0, 30.0)),
        ("between 10 and 20 s", (10.0, 20.0)),
        ("between 1 and 2 minutes", (60.0, 120.0)),
        ("from 0:10 to 0:20", (10.0, 20.0)),
        ("10-20 s", (10.0, 20.0)),
        ("at 15 s", (14.0, 16.0)),
        ("in the first minute", (0.0, 60.0)),
        ("in the last 30 seconds", (90.0, 120.0)),
        ("after the first 30 s", (30.0, 120.0)),
        ("in the second half", (60.0, 120.0)),
        ("in the first half", (0.0, 60.0)),
        ("at the end of the video", (108.0, 120.0)),
        ("after 500 s", (500.0, 500.0)),
    ],
)
def test_times_are_read(text: str, window: tuple[float, float]) -> None:
    read = read_window(f"is anyone there {text}?", 120.0)

    assert read.window is not None
    assert (read.window.start_s, read.window.end_s) == pytest.approx(window)
    assert "is anyone there" in read.text


@pytest.mark.parametrize("text", ["the first person", "after the car", "at the table", "two cars"])
def test_what_is_no_time_is_left(text: str) -> None:
    assert read_window(text, 120.0).window is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90), ("1.5 min", 90), ("1:30", 90), ("1:00:00", 3600), ("a car", None), ("", None)],
)
def test_seconds_are_read(text: str, value: float | None) -> None:
    assert seconds(text) == value


def test_a_colour_asked_for_is_answered_by_its_shades_and_neighbours() -> None:
    def near(one: str, other: str) -> int:
        return nearness(colours_in(one)[0], colours_in(other)[0])

    assert near("blue", "light blue") == 2
    assert near("gray", "dark grey") == 2
    assert near("light blue", "blue") == 1
    assert near("silver", "grey") == 1
    assert near("red", "green") == 0
    assert near("black", "white") == 0


def test_options_written_into_a_question_are_taken_out() -> None:
    apart = ("Which way?", ("left", "up", "down"))
    assert inline_options("Which way? A. left B. up C. down") == apart
    assert inline_options("Which way? (A) left, (B) up, (C) down") == apart
    assert inline_options("What is the U.S. A. doing?") == ("What is the U.S. A. doing?", ())


def test_a_conversation_reads_back_from_its_messages() -> None:
    tree = people()
    highs = [tree.caption(NodeId((n,))) for n in (1, 2, 3, 4)]
    medium, leaf = tree.caption(NodeId((1, 2))), tree.caption(NodeId((1, 2, 3)))
    conversation = Conversation.begin(question("Which?", "red", "blue"), 139.4, highs)
    for reply, came in (
        (
            "<think>a</think>\n<tool>get_caption((1,2))</tool>",
            caption_observation(medium, last=False),
        ),
        ("<tool>get_caption((1,2,3))</tool>", caption_observation(leaf, last=True)),
        (
            '<tool>video_qa((1,2,3), "a "hat"?")</tool>',
            information_observation("no hat", last=True),
        ),
        ("<tool>get_caption((4,4))</tool>", information_observation("gone", last=False)),
    ):
        conversation = conversation.replied(reply).told(came)

    dialogue = read_dialogue(conversation.messages)

    assert (dialogue.question, dialogue.options) == ("Which?", ("red", "blue"))
    assert dialogue.duration_s == 139.4
    assert [shown.text for shown in dialogue.at(Level.HIGH)] == [c.text for c in highs]
    assert [s.node for s in dialogue.shown[4:]] == [medium.node, leaf.node]
    assert dialogue.caption(leaf.node) == Shown(leaf.node, Span(13.1, 15.2), leaf.text)
    assert [(look.node, look.said) for look in dialogue.looks] == [(leaf.node, "no hat")]
    assert dialogue.tried == {medium.node, leaf.node, NodeId((4, 4))}
    assert dialogue.replies == 4


@given(st.lists(st.text(max_size=80), max_size=6))
def test_any_messages_can_be_read(texts: list[str]) -> None:
    roles = ("user", "assistant")
    messages = [Message(roles[i % 2], text) for i, text in enumerate(texts)]  # type: ignore[arg-type]

    assert isinstance(read_dialogue(messages), Dialogue)


def grid_of(*known: tuple[tuple[int, ...], float, float], width: int = 3) -> Grid:
    shown = tuple(Shown(NodeId(path), Span(start, end), "") for path, start, end in known)
    return Grid(Dialogue("", (), 90.0, shown, (), frozenset(), 0), width)


HIGHS = (((1,), 0.0, 27.0), ((2,), 27.0, 54.0), ((3,), 54.0, 81.0))


def test_unopened_nodes_are_taken_to_be_equally_long() -> None:
    plan = uniform_plan(81.0, 3)

    leaves = grid_of(*HIGHS).leaves()

    assert [node for node, _ in leaves] == [node.id for node in plan.at(Level.LOW)]
    for (_, span), node in zip(leaves, plan.at(Level.LOW), strict=True):
        assert (span.start_s, span.end_s) == pytest.approx((node.span.start_s, node.span.end_s))


def test_a_span_that_came_back_moves_its_neighbours() -> None:
    grid = grid_of(*HIGHS, ((1, 1), 0.0, 20.0))

    spans = dict(grid.children(NodeId((1,))))

    assert spans[NodeId((1, 1))] == Span(0.0, 20.0)
    assert spans[NodeId((1, 2))] == Span(20.0, 23.5)


def test_the_leaf_that_shows_most_is_the_middlemost_of_the_full_ones() -> None:
    grid = grid_of(*HIGHS)

    assert grid.best_leaf(Span(4.0, 14.5)) == NodeId((1, 2, 1))
    assert grid.best_leaf(Span(4.0, 5.0)) == NodeId((1, 1, 2))
    assert grid.best_leaf(Span(40.0, 40.0)) == NodeId((2, 2, 2))
    assert grid.best_leaf(Span(100.0, 101.0)) is None


def test_the_first_leaf_shows_a_fair_share_of_the_beginning() -> None:
    grid = grid_of(*HIGHS)

    assert grid.first_leaf(Span(2.9, 20.0)) == NodeId((1, 1, 2))
    assert grid.first_leaf(Span(2.0, 20.0)) == NodeId((1, 1, 1))
    assert grid.last_leaf(Span(2.0, 18.2)) == NodeId((1, 2, 3))
    assert grid.first_leaf(Span(2.9, 3.1)) == NodeId((1, 1, 1))


@pytest.mark.parametrize("text", ["Which cameras saw a red car?", "On what date did a car come?"])
def test_words_for_cameras_and_days_are_no_subjects(text: str) -> None:
    assert asked(text).unknown == ()
    assert asked(text).kinds == (Kind.VEHICLE,)
