"""The embedded agent on the embedded captioner's sentences: what it answers, and from where."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_lvr1.domain import Answer, FinalAnswer, NodeId, Span, Step, Verdict
from edge_lvr1.media.words import Cue, with_words
from edge_lvr1.models.base import Cancel, Finder, Message, Moves, never
from edge_lvr1.models.embedded.retrieval.agent import EmbeddedAgent
from edge_lvr1.models.embedded.wording import NOTHING_SEEN, Kind, SceneEvent, Sighting
from edge_lvr1.navigator.actions import parse_reply
from edge_lvr1.prompts import question_turn
from tests.navigator.written_trees import (
    WrittenTree,
    ask,
    cars,
    figure,
    people,
    question,
    tree_of,
    vehicle,
)

PEOPLE = [
    ("How many people come to the table?", "6 person-like figures"),
    ("How many persons can be seen in total?", "6 person-like figures"),
    ("Count the visitors.", "6 person-like figures"),
    ("What is the number of different people in the video?", "6 person-like figures"),
    ("How many people wear black?", "3 black person-like figures"),
    ("How many people came in the first minute?", "3 person-like figures"),
    ("How many people were there after 1:40?", "2 person-like figures"),
    ("How many people are there at the same time?", "at least 1 person-like figure at once"),
    ("Are there more than five people?", "Yes: 6"),
    ("Are there more than six people?", "No: 6"),
    ("Did at least four people come?", "Yes: 6"),
    ("Are there fewer than 3 people?", "No: 6"),
    ("Were there exactly six people?", "Yes: 6"),
    ("Are there seven people?", "No: 6"),
    ("When is the first person there?", "From 6.3 to 20.4 s: P1"),
    ("When does the first person come?", "At 6.3 s: P1"),
    ("When does someone first appear?", "At 6.3 s: P1"),
    ("At what time does the second man arrive?", "At 22.6 s: P2"),
    ("When does the last person leave?", "At 136.4 s: P6"),
    ("When was somebody last seen?", "At 136.4 s: P6"),
    ("When did the third visitor go away?", "At 70.4 s: P3"),
    ("Was anyone there after 100 s?", "Yes: P5"),
    ("Was anyone there in the last 10 seconds?", "Yes: P6"),
    ("Is somebody at the table between 0:30 and 0:40?", "Yes: P2"),
    ("Is nobody there at 30 s?", "No, there is somebody: P2"),
    ("Do you see a person?", "Yes: P"),
    ("person", "Yes: P"),
    ("How long did the second person stay?", "22.7 s: P2"),
    ("For how long was the first person in view?", "14.1 s: P1"),
    ("How long did the first person stand still?", "5.7 s: P1"),
    ("What colour is the first person's jacket?", "grey: P1"),
    ("What is the second person wearing?", "black: P2"),
    ("Is anyone wearing blue?", "Yes: P5"),
    ("Where does the first person enter from?", "from the bottom: P1"),
    ("On which side does the third person leave?", "at the right: P3"),
    ("Which way does the first person go?", "right: P1"),
    ("Did a person come after the fifth person left?", "Yes: P6"),
    ("How long is the video?", "139.4 s"),
    ("What happens at 15 s?", "P1, a grey person-like figure, from 6.3 to 20.4 s"),
]
CARS = [
    ("Is there a red car?", "Yes: V3"),
    ("Do you see a red vehicle anywhere?", "Yes: V3"),
    ("Did a red truck pass?", "Yes: V3"),
    ("Find the red car", "Yes: V3"),
    ("red car?", "Yes: V3"),
    ("Which way does the red car move?", "up: V3"),
    ("In what direction is the red car driving?", "up: V3"),
    ("Where is the red car going?", "up: V3"),
    ("Does the red car move up or down?", "up: V3"),
    ("Does the red car drive upwards?", "Yes: V3"),
    ("Does the red car drive down?", "No: V3"),
    ("Is the light-blue car moving down?", "Yes: V2"),
    ("How many cars pass?", "4 vehicle-like shapes"),
    ("How many white cars are there?", "2 white vehicle-like shapes"),
    ("How many cars drive up?", "2 vehicle-like shapes moving up"),
    ("Are there two cars at once?", "Yes: at least 2"),
    ("What colour is the second car?", "light blue: V2"),
    ("What color was the last car?", "white: V4"),
    ("What was the colour of the car that came first?", "white: V1"),
    ("Is the second car red?", "No: V2"),
    ("Is the third car red?", "Yes: V3"),
    ("Is there a blue car?", "Yes: V2"),
    ("Is there a dark blue car?", "Nearly: V2"),
    ("When does the red car appear?", "At 15.0 s: V3"),
    ("When was the red car there?", "From 15.0 to 19.8 s: V3"),
    ("When did the second white car come?", "At 25.5 s: V4"),
    ("How long was the red car in view?", "4.8 s: V3"),
    ("Did a car come after the red car left?", "Yes: V4"),
]
ABSENT = [
    (people, "Is there a dog?", '"dog"'),
    (people, "Are there any cats in the room?", '"cats"'),
    (people, "How many dogs are there?", '"dogs"'),
    (people, "Is there a person with a hat?", '"hat"'),
    (people, "Does anyone fall?", '"fall"'),
    (people, "What colour is the man's hat?", '"hat"'),
    (people, "Why did the boy smile?", '"smile"'),
    (people, "Is there a car?", "vehicle-like shape"),
    (people, "Does anyone enter from the left?", "entering from the left"),
    (people, "Is anyone there between 20.5 and 22 s?", "from 20.5 to 22.0 s"),
    (people, "Did the light dim?", "the light dims"),
    (people, "When did the seventh person come?", "person-like figure"),
    (people, "Did anyone come after the red car left?", "a red vehicle-like shape"),
    (cars, "Is there a dog on the road?", '"dog"'),
    (cars, "Is there a green car?", "a green vehicle-like shape"),
    (cars, "Was there a person?", "a person-like figure"),
    (cars, "Does a bicycle pass?", '"bicycle"'),
]


def asked_of(tree: WrittenTree, text: str, *options: str) -> tuple[Answer, list[Step]]:
    answer, steps = ask(EmbeddedAgent(), question(text, *options), tree)
    assert answer.invalid_steps == 0
    assert not any(step.repeated for step in steps)
    assert answer.rounds <= 10
    return answer, steps


@pytest.mark.parametrize(("text", "begins"), PEOPLE)
def test_it_answers_about_people(text: str, begins: str) -> None:
    answer, _ = asked_of(people(), text)

    assert answer.verdict is Verdict.ANSWERED
    assert answer.text.startswith(begins), answer.text


@pytest.mark.parametrize(("text", "begins"), CARS)
def test_it_answers_about_cars(text: str, begins: str) -> None:
    answer, _ = asked_of(cars(), text)

    assert answer.verdict is Verdict.ANSWERED
    assert answer.text.startswith(begins), answer.text


@pytest.mark.parametrize(("make", "text", "names"), ABSENT)
def test_it_says_what_it_did_not_find(make: type[WrittenTree], text: str, names: str) -> None:
    answer, _ = asked_of(make(), text)

    assert answer.verdict is Verdict.NOT_FOUND
    assert answer.text.startswith("not found: ")
    assert names in answer.text


@pytest.mark.parametrize(
    ("make", "text", "true_span"),
    [
        (cars, "Is there a red car?", Span(15.0, 19.8)),
        (cars, "Which way does the red car move?", Span(15.0, 19.8)),
        (people, "Was anyone there after 100 s?", Span(100.0, 139.4)),
        (people, "What is the second person wearing?", Span(22.6, 45.3)),
        (people, "Did anyone stay at the table?", Span(92.8, 120.3)),
    ],
)
def test_its_evidence_is_a_leaf_inside_the_true_span(
    make: type[WrittenTree], text: str, true_span: Span
) -> None:
    answer, _ = asked_of(make(), text)

    assert len(answer.evidence) == 1
    evidence = answer.evidence[0]
    assert len(evidence.node.path) == 3
    assert true_span.start_s <= evidence.span.start_s
    assert evidence.span.end_s <= true_span.end_s


def test_the_first_presence_is_shown_by_its_first_leaf() -> None:
    answer, _ = asked_of(people(), "When is the first person there?")

    assert [str(e.node) for e in answer.evidence] == ["(1,1,4)"]
    assert answer.evidence[0].span.overlap_s(Span(6.0, 20.5)) > 0


def test_a_count_rests_on_a_leaf_of_every_subject() -> None:
    answer, _ = asked_of(people(), "How many people come to the table?")

    spans = [(6.3, 20.4), (22.6, 45.3), (50.7, 70.4), (74.8, 87.4), (92.8, 120.3), (123.7, 136.4)]
    assert len(answer.evidence) == 6
    for evidence, (start_s, end_s) in zip(answer.evidence, spans, strict=True):
        assert len(evidence.node.path) == 3
        assert evidence.span.overlap_s(Span(start_s, end_s)) == evidence.span.duration_s
    assert answer.rounds <= 8


def test_it_goes_down_the_tree_and_stops_at_the_leaf() -> None:
    _, steps = asked_of(cars(), "Is there a red car?")

    assert [step.reply.splitlines()[-1] for step in steps[:-1]] == [
        "<tool>get_caption((2,1))</tool>",
        "<tool>get_caption((2,1,1))</tool>",
    ]
    assert "(2) scores 3 (V2, V3, V4)" in steps[0].thought
    assert "V3" in steps[1].thought


def test_it_says_that_it_cannot_tell_what_was_asked_for() -> None:
    truck, _ = asked_of(cars(), "Did a red truck pass?")
    woman, _ = asked_of(people(), "When does the first woman come to the table?")

    assert 'cannot bear out "truck"' in truck.text
    assert 'cannot bear out "woman"' in woman.text
    assert 'No caption mentions "table"' in woman.text


def test_for_words_that_no_caption_has_it_looks_once_before_it_gives_up() -> None:
    tree = people(look="I cannot recognise a dog.")

    answer, steps = asked_of(tree, "Is there a dog?")

    assert answer.verdict is Verdict.NOT_FOUND
    assert len(tree.looks) == 1
    assert len(steps) <= 4


def test_it_believes_a_look_that_says_yes() -> None:
    tree = people(look="A dog lies under the table.")

    answer, _ = asked_of(tree, "Is there a dog?")

    assert answer.verdict is Verdict.ANSWERED
    assert "A dog lies under the table." in answer.text
    assert [e.node for e in answer.evidence] == [tree.looks[0][0]]


@pytest.mark.parametrize(
    ("make", "text", "options", "letter"),
    [
        (cars, "Which direction did the red car go?", ("left", "up", "down", "right"), "B"),
        (cars, "Which way did it go, the red car?", ("To the left.", "Upwards.", "Down"), "B"),
        (cars, "What colour is the second car?", ("white", "red", "blue", "black"), "C"),
        (cars, "What colour is the second car?", ("dark blue", "light blue", "blue"), "B"),
        (cars, "How many cars are there?", ("two", "three", "four", "five"), "C"),
        (cars, "How many cars are there?", ("1-3", "4-6", "7 or more"), "B"),
        (cars, "Is there a red car?", ("Yes", "No"), "A"),
        (cars, "Is the second car red?", ("Yes", "No"), "B"),
        (cars, "When does the red car appear?", ("at 5 s", "at 15 s", "at 25 s"), "B"),
        (cars, "When does the red car appear?", ("0:00-0:10", "0:10-0:20", "0:20-0:30"), "B"),
        (people, "How many people come to the table?", ("4", "5", "6", "7"), "C"),
        (people, "How long did the second person stay?", ("5 s", "23 seconds", "a minute"), "B"),
        (people, "On which side do the people leave?", ("left", "right", "top"), "B"),
        (people, "Are there more than five people?", ("yes", "no"), "A"),
    ],
)
def test_it_weighs_lettered_options(
    make: type[WrittenTree], text: str, options: tuple[str, ...], letter: str
) -> None:
    answer, _ = asked_of(make(), text, *options)

    assert answer.verdict is Verdict.ANSWERED
    assert answer.option == letter
    assert answer.evidence


def test_options_written_into_the_question_are_weighed_too() -> None:
    text = "Which direction did the red car go? A. left B. up C. down D. right"

    answer, _ = asked_of(cars(), text)

    assert answer.text.startswith("B: up")


def test_it_names_no_option_where_none_agrees() -> None:
    answer, _ = asked_of(cars(), "Which way does the red car move?", "left", "right")

    assert answer.verdict is Verdict.NOT_FOUND
    assert answer.option is None
    assert "up: V3" in answer.text


EVENTS = [SceneEvent(12.0, "dims"), SceneEvent(20.0, "brightens"), SceneEvent(25.0, "camera")]


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("Did the light dim?", "Yes: the light dims at 12.0 s"),
        ("When did the lights go out?", "the light dims at 12.0 s"),
        ("When does it get darker?", "the light dims at 12.0 s"),
        ("How many times does the light change?", "2 times"),
        ("Was the camera moved?", "Yes: the camera moves at 25.0 s"),
        ("Is there a red car after the light brightens?", None),
    ],
)
def test_it_knows_what_happens_to_the_picture(text: str, begins: str | None) -> None:
    red = vehicle(1, 15.0, 19.0, "red", -0.9)
    tree = tree_of([red], EVENTS, duration_s=30.2, width=2)

    answer, _ = asked_of(tree, text)

    if begins is None:
        assert answer.verdict is Verdict.NOT_FOUND
    else:
        assert answer.text.startswith(begins), answer.text
        assert answer.evidence


def test_a_subject_in_several_captions_is_counted_once() -> None:
    tree = tree_of([figure(1, 2.0, 28.0, "red")], duration_s=30.0, width=2)

    answer, _ = asked_of(tree, "How many people are there?")

    assert answer.text.startswith("1 person-like figure:")


def test_it_opens_what_a_full_high_caption_left_undescribed() -> None:
    many = [vehicle(n, n * 1.5, n * 1.5 + 1.2, "white", -0.9) for n in range(1, 18)]
    many.append(vehicle(18, 28.0, 29.5, "red", 0.9))
    tree = tree_of(many, duration_s=30.2, width=2, max_words=120)

    answer, _ = asked_of(tree, "Is there a red car?")
    total, _ = asked_of(tree, "How many cars are there?")

    assert answer.text.startswith("Yes: V18, a red vehicle-like shape")
    assert total.text.startswith("18 vehicle-like shapes")


def test_uneven_trees_are_found_out_by_the_times_that_come_back() -> None:
    tree = people()
    shifted = {NodeId((1, 1)): Span(0.0, 20.0), NodeId((1, 2)): Span(20.0, 26.0)}
    nodes = tuple(
        type(n)(n.id, shifted.get(n.id, n.span)) if n.id.path[0] == 1 else n
        for n in tree.plan.nodes
    )
    tree.plan = type(tree.plan)(tree.plan.duration_s, 4, "activity", nodes)

    answer, steps = asked_of(tree, "What is the first person wearing?")

    assert answer.verdict is Verdict.ANSWERED
    assert len(steps) >= 3


def test_with_a_single_round_it_answers_from_the_high_captions() -> None:
    asked = replace(question("Is there a red car?"), max_rounds=1)

    answer, steps = ask(EmbeddedAgent(), asked, cars())

    assert answer.verdict is Verdict.ANSWERED
    assert [str(e.node) for e in answer.evidence] == ["(2)"]
    assert len(steps) == 1


def test_a_conversation_can_be_continued_by_a_fresh_agent() -> None:
    _, steps = asked_of(cars(), "Is there a red car?")

    class Forgetful(EmbeddedAgent):
        def reply(
            self, messages: list[Message], moves: Moves, deadline: float, cancelled: Cancel = never
        ) -> str:
            return EmbeddedAgent().open().reply(messages, moves, deadline)

        def open(self, finder: Finder | None = None) -> Forgetful:  # type: ignore[override]
            return self

        def close(self) -> None: ...

    _, again = ask(Forgetful(), question("Is there a red car?"), cars())

    assert [step.reply for step in again] == [step.reply for step in steps]


SIGHTINGS = st.lists(
    st.builds(
        lambda kind, number, start, length, colours, dx, dy: Sighting(
            label=f"{kind.letter}{number}",
            kind=kind,
            seen=Span(start, start + length),
            colours=colours,
            dx=dx,
            dy=dy,
        ),
        st.sampled_from(Kind),
        st.integers(1, 30),
        st.floats(0, 100),
        st.floats(0.1, 60),
        st.sampled_from([(), ("red",), ("light blue", "black"), ("grey",)]),
        st.floats(-1, 1),
        st.floats(-1, 1),
    ),
    max_size=12,
    unique_by=lambda s: s.label,
)
VOCABULARY = (
    "how many when is are was were did which what colour way does the a first second last red "
    "blue dark light person people man car dog hat move leave enter from to left up at after "
    "before between 10 20 s 1:30 and or more than two still long there dims camera video"
)
WORDS = st.lists(st.sampled_from([*VOCABULARY.split(), *"<>()\"'?,"]), max_size=12).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    sightings=SIGHTINGS,
    text=st.one_of(WORDS, st.text(max_size=60)),
    options=st.lists(WORDS, max_size=4),
    rounds=st.integers(1, 12),
)
def test_whatever_is_asked_it_makes_legal_moves_and_ends(
    sightings: list[Sighting], text: str, options: list[str], rounds: int
) -> None:
    tree = tree_of(sightings, EVENTS, duration_s=120.0, width=3, max_words=100)

    answer, steps = ask(EmbeddedAgent(), replace(question(text, *options), max_rounds=rounds), tree)

    assert answer.verdict in (Verdict.ANSWERED, Verdict.NOT_FOUND)
    assert answer.invalid_steps == 0
    assert not any(step.repeated for step in steps)
    assert answer.rounds <= min(10, rounds)


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ("What is said about the parcel?", "<tool>get_caption((2,1))"),
        ("When does somebody speak of a parcel?", "<tool>get_caption((2,1))"),
        ("Is a letter mentioned?", "<answer>not found"),
        ("How many people are there?", "<answer>not found: no caption tells of a person"),
    ],
)
def test_text_found_with_the_footage_is_searched_and_not_taken_for_what_was_seen(
    asked: str, begins: str
) -> None:
    said = Cue(Span(30, 40), "Where is the parcel? P1, a person-like figure (red, small), is in.")
    spans = [Span(start, start + 30.0) for start in (0.0, 30.0, 60.0, 90.0)]
    highs = [(span, with_words(NOTHING_SEEN, [said], span, 50)) for span in spans]
    turn = Message("user", question_turn(asked, [], 120.0, highs))

    reply = EmbeddedAgent().open().reply([turn], Moves(width=4, opened=frozenset()), 0.0)

    assert reply.partition("\n")[2].startswith(begins)


def test_an_empty_conversation_gets_an_answer() -> None:
    reply = EmbeddedAgent().open().reply([], Moves(width=4, opened=frozenset()), 0.0)

    _, action = parse_reply(reply, Moves(width=4, opened=frozenset()))
    assert isinstance(action, FinalAnswer)
    assert action.text.startswith("not found")
