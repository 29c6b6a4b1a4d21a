"""How many, how often and when, over several recordings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_lvr1.domain import Answer, Question, Step, Verdict
from edge_lvr1.navigator.loop import navigate
from edge_lvr1.navigator.merge import Kind, kind_of, number_in
from tests.navigator.test_loop import another, say
from tests.navigator.written_trees import Clock, ScriptedAgent, ask, question


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("How many people come?", Kind.COUNT),
        ("What is the number of cars?", Kind.COUNT),
        ("How often does a car pass?", Kind.OFTEN),
        ("How many times does a car pass?", Kind.OFTEN),
        ("When did the red car come?", Kind.WHEN),
        ("At what time does she leave?", Kind.WHEN),
        ("What did he hold when he came in?", Kind.OTHER),
        ("Is anyone there when the light goes out?", Kind.OTHER),
        ("Which colour is the car?", Kind.OTHER),
    ],
)
def test_a_question_over_all_footage_is_known_by_its_words(text: str, kind: Kind) -> None:
    assert kind_of(question(text)) is kind


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("6 person-like figures: P1 from 6.3 to 20.4 s", 6),
        ("Two cars (1,2,3)", 2),
        ("(1,2,3) shows twelve of them", 12),
        ("Nobody came", 0),
        ("no cars", 0),
        ("Yes, at 12:30", None),
        ("between 6.3 and 8.7 s", None),
        ("P1 stands still", None),
        ("", None),
    ],
)
def test_the_first_number_of_an_answer_is_read(text: str, number: int | None) -> None:
    assert number_in(text) == number


def put(asked: Question, *replies: str) -> Answer:
    views = [another(number + 1) for number in range(len(replies))]
    answer, _ = ask(ScriptedAgent().enqueue(*map(say, replies)), asked, *views)
    return answer


def test_counts_are_added_and_say_that_one_may_be_counted_twice() -> None:
    answer = put(question("How many people come?"), "six (1)", "not found: none", "2 people (2)")

    assert answer.verdict is Verdict.ANSWERED
    assert answer.text.startswith("8 in 2 recordings: 6 on camera1 from 2026-11-22 10:00")
    assert "counted in each" in answer.text
    assert answer.rounds == 3


def test_an_option_is_chosen_by_the_sum_and_none_is_made_up() -> None:
    fits = put(question("How many people come?", "2", "five", "8"), "2 (1)", "3 (2)")
    fits_none = put(question("How many people come?", "2", "4"), "2 (1)", "3 (2)")

    assert (fits.verdict, fits.option) == (Verdict.ANSWERED, "B")
    assert (fits_none.verdict, fits_none.option) == (Verdict.GAVE_UP, None)
    assert "5 in 2 recordings" in fits_none.text


def test_each_recording_gets_a_round_and_what_was_left_out_is_said() -> None:
    asked = question("How many people come?", max_rounds=2)
    agent = ScriptedAgent().enqueue(say("2 (1)"), say("3 (2)"))

    answer, _ = ask(agent, asked, another(1), another(2), another(3))

    assert [moves.must_answer for _, moves in agent.asked] == [True, True]
    assert answer.verdict is Verdict.ANSWERED
    assert answer.text.startswith("at least 5 in 2 recordings")
    assert "Not all of the footage was searched." in answer.text
    assert answer.searched[-1] == "camera3, recording 3: not searched, the budget was spent"


def test_what_none_surely_shows_is_asked_of_all_that_may_and_what_is_left_is_said() -> None:
    asked = question("How often does a car pass?", max_rounds=2)
    steps: list[Step] = []
    agent = ScriptedAgent().enqueue(say("2 (1)"), say("1 (2)"))
    also = [another(1), another(2), another(3)]

    answer = navigate(asked, [], agent, Clock(), steps.append, also=also)

    assert [step.recording for step in steps] == [1, 2]
    assert answer.text.startswith("at least 3 in 2 recordings")


def test_times_come_in_order_with_their_camera() -> None:
    both = ("At 50.7 s: a man, see (2,2,1)", "At 6.3 s: a man, see (1,1,3)")
    asked = question("When did a man come?")
    calls = [
        "<think>x</think><tool>get_caption((2,2,1))</tool>",
        say(both[0]),
        "<think>x</think><tool>get_caption((1,1,3))</tool>",
        say(both[1]),
    ]

    def times(text: str) -> Answer:
        views = [another(2), another(1)]
        return ask(ScriptedAgent().enqueue(*calls), replace(asked, text=text), *views)[0]

    both_times = times("When did a man come?")
    first, last = times("When did the first man come?"), times("When did the last man come?")

    assert both_times.text.startswith("at 2026-11-22 10:00:")
    assert " on camera1, at 2026-11-22 11:00:" in both_times.text
    assert [str(one.node) for one in both_times.evidence] == ["(2,2,1)", "(1,1,3)"]
    assert first.text.startswith("first at 2026-11-22 10:00:")
    assert [(one.camera, str(one.node)) for one in first.evidence] == [("camera1", "(1,1,3)")]
    assert last.text.startswith("last at 2026-11-22 11:00:")
    assert [(one.camera, str(one.node)) for one in last.evidence] == [("camera2", "(2,2,1)")]


def test_where_no_recording_shows_it_it_is_not_found() -> None:
    answer = put(question("How many dogs come?"), "not found: none", "No dogs at all")

    assert answer.verdict is Verdict.NOT_FOUND


def test_one_recording_is_asked_as_ever() -> None:
    answer = put(question("How many people come?"), "six, as I see")

    assert answer.text == "six, as I see"


def test_of_many_recordings_an_answer_says_which_it_is_from() -> None:
    def one(text: str, reply: str) -> str:
        calls = ["<think>x</think><tool>get_caption((1,1,3))</tool>", say(reply)]
        agent = ScriptedAgent().enqueue(*calls)
        return ask(agent, question(text), another(1), among_others=True)[0].text

    colour = one("Which colour is the car?", "Red, see (1,1,3).")
    moment = one("When did a man come?", "At 6.3 s: a man, see (1,1,3).")

    said = "On camera1, in recording 1 from 2026-11-22 10:00:00+01:00."
    assert colour == f"Red, see (1,1,3). {said}"
    assert moment.startswith("at 2026-11-22 10:00:")


def test_a_plain_no_holds_for_its_recording_alone() -> None:
    later = put(question("Is there a dog?"), "No, there is none.", "Yes, a dog (2)")
    nowhere = put(question("Is there a dog?"), "No, there is none.", "not found: no dog")
    alone = put(question("Is there a dog?"), "No, there is none.")
    chosen = put(question("Is there a dog?", "yes", "no"), "B", "B: none")

    assert (later.verdict, later.text) == (Verdict.ANSWERED, "Yes, a dog (2)")
    assert nowhere.verdict is Verdict.NOT_FOUND
    assert (alone.verdict, alone.text) == (Verdict.ANSWERED, "No, there is none.")
    assert (chosen.verdict, chosen.option) == (Verdict.ANSWERED, "B")
