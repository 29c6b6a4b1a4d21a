"""The loop: budgets, rules, repeats, verdicts, evidence, and what is handed out on the way."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

import pytest

from edge_lvr1 import prompts
from edge_lvr1.domain import (
    Caption,
    FinalAnswer,
    GetCaption,
    Invalid,
    Level,
    NodeId,
    Step,
    Verdict,
    VideoQa,
)
from edge_lvr1.errors import Cancelled, ModelError
from edge_lvr1.navigator.loop import TreeView, navigate
from tests.navigator.written_trees import (
    START,
    Clock,
    ScriptedAgent,
    WrittenTree,
    ask,
    people,
    question,
    recording,
)

ASKED = question("What do the people carry?")


def call(node: str) -> str:
    return f"<think>next {node.strip('()')}</think><tool>get_caption({node})</tool>"


def look(node: str, query: str) -> str:
    return f'<think>look</think><tool>video_qa({node}, "{query}")</tool>'


def say(text: str, thought: str = "enough") -> str:
    return f"<think>{thought}</think><answer>{text}</answer>"


def another(number: int, **more: object) -> WrittenTree:
    tree = people(**more)
    return replace(tree, recording=recording(number, 139.4, 4, camera=f"camera{number}"))


def test_an_answer_ends_the_question_with_its_cost() -> None:
    agent = ScriptedAgent().enqueue(call("(1,2)"), call("(1,2,1)"), say("six (1,2,1)"))

    answer, steps = ask(agent, ASKED, people())

    assert answer.verdict is Verdict.ANSWERED
    assert answer.text == "six (1,2,1)"
    assert (answer.rounds, answer.captions_opened, answer.invalid_steps) == (3, 2, 0)
    assert (answer.agent, answer.captioner) == ("scripted", "embedded")
    assert [step.round for step in steps] == [1, 2, 3]
    assert isinstance(steps[-1].action, FinalAnswer)
    assert agent.opened == agent.closed == 1


def test_every_step_is_handed_out_before_the_next_reply() -> None:
    agent = ScriptedAgent().enqueue(call("(1,2)"), call("(1,3)"), say("yes"))
    seen: list[int] = []

    def on_step(step: Step) -> None:
        seen.append(len(agent.asked))
        assert step.round == len(agent.asked)

    navigate(ASKED, [people()], agent, Clock(), on_step, lambda: False)

    assert seen == [1, 2, 3]


def test_the_agent_sees_what_it_opened_in_an_append_only_conversation() -> None:
    agent = ScriptedAgent().enqueue(call("(1,2)"), look("(1,2,1)", "hat?"), say("yes"))
    tree = people()

    ask(agent, ASKED, tree)

    conversations = [messages for messages, _ in agent.asked]
    for earlier, later in itertools.pairwise(conversations):
        assert later[: len(earlier)] == earlier
    shown = conversations[1][-1].content
    assert shown.startswith("Medium-level Caption from tool get_caption((1,2)). From 8.7 to 17.4: ")
    assert tree.texts[NodeId((1, 2))] in shown


def test_moves_tell_what_is_opened_and_which_letters_there_are() -> None:
    agent = ScriptedAgent().enqueue(call("(1,2,3)"), say("A"))

    ask(agent, question("Which?", "red", "blue"), people())

    first, second = (moves for _, moves in agent.asked)
    assert (first.width, first.letters, first.opened) == (4, "AB", frozenset())
    assert second.opened == {NodeId((1, 2, 3))}


def test_a_repeat_is_pointed_out_and_costs_a_round() -> None:
    agent = ScriptedAgent().enqueue(call("(1,2)"), call("(1,2)"), say("yes"))

    answer, steps = ask(agent, ASKED, people())

    assert steps[1].repeated
    assert prompts.OPENED_BEFORE in steps[1].observation
    assert (answer.rounds, answer.captions_opened) == (3, 1)


def test_a_look_is_for_opened_leaves_and_asked_once() -> None:
    tree = people(look="a straw hat")
    agent = ScriptedAgent().enqueue(
        look("(1,2,1)", "hat?"),
        call("(1,2,1)"),
        look("(1,2,1)", "hat?"),
        look("(1,2,1)", " HAT?"),
        say("a straw hat"),
    )

    answer, steps = ask(agent, ASKED, tree)

    assert isinstance(steps[0].action, Invalid)
    assert steps[2].action == VideoQa(NodeId((1, 2, 1)), "hat?")
    assert steps[2].observation == "<information>a straw hat</information>"
    assert steps[3].repeated
    assert tree.looks == [(NodeId((1, 2, 1)), "hat?")]
    assert answer.invalid_steps == 1


def test_an_invalid_reply_is_answered_with_its_reason_and_the_loop_goes_on() -> None:
    agent = ScriptedAgent().enqueue("no tags", call("(9,9)"), say("yes"))

    answer, steps = ask(agent, ASKED, people())

    assert answer.verdict is Verdict.ANSWERED
    assert answer.invalid_steps == 2
    assert isinstance(steps[1].action, Invalid)
    assert steps[1].action.reason in steps[1].observation
    assert agent.asked[1][0][-1].content == steps[0].observation


def test_a_node_that_the_plan_does_not_have_is_refused() -> None:
    tree = people()
    gone = NodeId((1, 2))
    plan = replace(tree.plan, nodes=tuple(n for n in tree.plan.nodes if n.id != gone))
    agent = ScriptedAgent().enqueue(call("(1,2)"), say("yes"))

    _, steps = ask(agent, ASKED, replace(tree, plan=plan))

    assert isinstance(steps[0].action, Invalid)


def test_the_last_round_is_told_of_in_the_turn_before_and_forced() -> None:
    agent = ScriptedAgent().enqueue(call("(1,1)"), call("(1,2)"), say("yes"))

    answer, steps = ask(agent, replace(ASKED, max_rounds=3), people())

    assert prompts.LAST_ROUND not in steps[0].observation
    assert steps[1].observation.endswith(prompts.LAST_ROUND)
    assert [moves.must_answer for _, moves in agent.asked] == [False, False, True]
    assert answer.verdict is Verdict.ANSWERED


def test_a_single_round_is_the_last_from_the_start() -> None:
    agent = ScriptedAgent().enqueue(say("yes"))

    ask(agent, replace(ASKED, max_rounds=1), people())

    messages, moves = agent.asked[0]
    assert moves.must_answer
    assert messages[-1].content.endswith(prompts.LAST_ROUND)


def test_without_an_answer_on_the_last_round_no_option_is_made_up() -> None:
    agent = ScriptedAgent().enqueue(call("(1,2)"), call("(1,2,2)"), call("(1,2,3)"))

    answer, steps = ask(agent, question("Which?", "red", "blue", max_rounds=3), people())

    assert answer.verdict is Verdict.GAVE_UP
    assert answer.option is None
    assert answer.text == "No answer within 3 rounds."
    assert [str(e.node) for e in answer.evidence] == ["(1,2,2)"]
    assert isinstance(steps[-1].action, Invalid)
    assert answer.rounds == 3


def test_an_option_comes_as_letter_and_as_its_text() -> None:
    options = ("red", "light blue")

    alone, _ = ask(ScriptedAgent().enqueue(say("(b)")), question("?", *options), people())
    worded, _ = ask(ScriptedAgent().enqueue(say("A: it is red")), question("?", *options), people())
    same, _ = ask(
        ScriptedAgent().enqueue(say("B. light blue, as seen")), question("?", *options), people()
    )

    assert (alone.option, alone.text) == ("B", "light blue")
    assert (worded.option, worded.text) == ("A", "red: it is red")
    assert (same.option, same.text) == ("B", "light blue, as seen")


def test_not_found_says_what_was_searched_and_what_was_not() -> None:
    agent = ScriptedAgent().enqueue(
        call("(1,2)"),
        call("(2,2)"),
        call("(1,2,1)"),
        look("(1,2,1)", "dog?"),
        say("Not found: none"),
    )

    answer, _ = ask(agent, ASKED, people())

    assert answer.verdict is Verdict.NOT_FOUND
    assert answer.text == "Not found: none"
    assert answer.evidence == ()
    assert answer.searched == (
        "camera1, recording 1: 4 high, 2 medium and 1 low captions of 84 (0.0-139.4 s), "
        "1 looked at again; 63 leaves were not opened",
    )


def test_evidence_is_what_the_answer_names_if_it_was_seen() -> None:
    agent = ScriptedAgent().enqueue(
        call("(1,2)"), call("(1,2,1)"), say("2 (2) men, (1,2,1) and (1, 2), not (4,4,4)", "(1,2)")
    )

    answer, _ = ask(agent, ASKED, people())

    assert [str(e.node) for e in answer.evidence] == ["(1,2,1)", "(1,2)"]


def test_a_high_node_is_evidence_where_a_word_says_that_it_is_a_node() -> None:
    answer, _ = ask(ScriptedAgent().enqueue(say("six, see caption (2)")), ASKED, people())

    assert [str(e.node) for e in answer.evidence] == ["(2)"]


@pytest.mark.parametrize(
    ("thought", "nodes"),
    [("so (1,2) holds it", ["(1,2)"]), ("so be it", ["(1,2,1)", "(1,3,1)"])],
)
def test_evidence_is_else_of_the_last_thought_else_the_opened_leaves(
    thought: str, nodes: list[str]
) -> None:
    agent = ScriptedAgent().enqueue(
        call("(1,2)"), call("(1,2,1)"), call("(1,3,1)"), say("six", thought)
    )

    answer, _ = ask(agent, ASKED, people())

    assert [str(e.node) for e in answer.evidence] == nodes


def test_evidence_has_its_wall_clock_span_and_caption() -> None:
    tree = people()
    agent = ScriptedAgent().enqueue(call("(1,2)"), say("(1,2)"))

    answer, _ = ask(agent, ASKED, tree)

    evidence = answer.evidence[0]
    began = START + timedelta(hours=1)
    assert evidence.starts_at == began + timedelta(seconds=evidence.span.start_s)
    assert evidence.ends_at == began + timedelta(seconds=evidence.span.end_s)
    assert (evidence.recording, evidence.camera) == (1, "camera1")
    assert evidence.caption == tree.texts[NodeId((1, 2))]


def test_an_agent_that_fails_ends_the_question_with_its_reason() -> None:
    agent = ScriptedAgent().enqueue(call("(1,2,1)"), ModelError("the engine ran out of memory"))

    answer, steps = ask(agent, ASKED, people(), another(2))

    assert answer.verdict is Verdict.FAILED
    assert answer.text == "the engine ran out of memory"
    assert len(steps) == 1
    assert agent.opened == agent.closed == 1


def test_a_caption_or_a_look_that_fails_is_told_to_the_agent() -> None:
    leaf, bad = NodeId((1, 2, 1)), NodeId((1, 3))
    tree = replace(people(), broken=frozenset({bad}))
    failing_look = ScriptedAgent().enqueue(call("(1,3)"), call(str(leaf)), say("yes"))

    answer, steps = ask(failing_look, ASKED, tree)

    assert "no memory left" in steps[0].observation
    assert answer.captions_opened == 1
    tree = people()
    agent = ScriptedAgent().enqueue(call(str(leaf)), look(str(leaf), "hat?"), say("yes"))

    def on_step(step: Step) -> None:
        if isinstance(step.action, GetCaption):
            tree.broken = frozenset({leaf})

    answer = navigate(ASKED, [tree], agent, Clock(), on_step)

    assert answer.verdict is Verdict.ANSWERED
    assert prompts.NO_LOOK in agent.asked[2][0][-1].content
    assert "the clip is gone" in agent.asked[2][0][-1].content


def test_a_recording_without_its_high_captions_is_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = replace(people(), broken=frozenset({NodeId((2,))}))
    agent = ScriptedAgent().enqueue(say("yes"))

    with caplog.at_level(logging.WARNING):
        answer, _ = ask(agent, ASKED, broken, another(2))
    alone, _ = ask(ScriptedAgent(), ASKED, broken)

    assert answer.verdict is Verdict.ANSWERED
    assert "recording 1 cannot be asked" in caplog.text
    assert alone.verdict is Verdict.FAILED
    assert alone.text == "recording 1: the captioner has no memory left"


def test_seconds_are_a_budget_too_and_the_last_round_comes_before_they_end() -> None:
    clock = Clock()
    agent = ScriptedAgent(clock=clock, each_s=4.0).enqueue(call("(1,1)"), call("(1,2)"), say("yes"))

    answer, _ = ask(agent, replace(ASKED, max_seconds=14.0), people(), clock=clock)

    assert [moves.must_answer for _, moves in agent.asked] == [False, False, True]
    assert answer.verdict is Verdict.ANSWERED
    assert answer.seconds == pytest.approx(12.0)


def test_when_the_seconds_are_spent_the_question_is_given_up() -> None:
    clock = Clock()
    agent = ScriptedAgent(clock=clock, each_s=20.0).enqueue(call("(1,2,1)"))

    answer, _ = ask(agent, replace(ASKED, max_seconds=14.0), people(), another(2), clock=clock)

    assert answer.verdict is Verdict.GAVE_UP
    assert answer.text == "No answer within 14 s."
    assert [str(e.node) for e in answer.evidence] == ["(1,2,1)"]
    assert answer.searched[1] == "camera2, recording 2: not searched, the budget was spent"


def test_a_cancelled_question_stops_between_rounds_and_says_so() -> None:
    agent = ScriptedAgent().enqueue(call("(1,2,1)"), call("(1,2,2)"))

    answer, steps = ask(agent, ASKED, people(), another(2), cancelled=lambda: len(agent.asked) >= 2)

    assert answer.verdict is Verdict.GAVE_UP
    assert answer.text == "The question was cancelled after 2 rounds."
    assert len(steps) == 2
    assert agent.opened == agent.closed == 1


def test_the_next_recording_is_asked_when_one_does_not_show_it() -> None:
    agent = ScriptedAgent().enqueue(say("not found: none here"), call("(1,2)"), say("six (1,2)"))

    answer, steps = ask(agent, ASKED, another(1), another(2), another(3))

    assert answer.verdict is Verdict.ANSWERED
    assert [step.recording for step in steps] == [1, 2, 2]
    assert [step.round for step in steps] == [1, 2, 3]
    assert [e.recording for e in answer.evidence] == [2]
    assert agent.opened == agent.closed == 2
    assert len(answer.searched) == 2


def test_rounds_are_shared_out_over_the_recordings() -> None:
    agent = ScriptedAgent().enqueue(*[call("(1,2)")] * 10)

    answer, steps = ask(agent, ASKED, another(1), another(2))

    assert answer.verdict is Verdict.GAVE_UP
    assert [step.recording for step in steps] == [1] * 5 + [2] * 5
    assert [moves.must_answer for _, moves in agent.asked] == ([False] * 4 + [True]) * 2
    assert answer.rounds == 10


def test_a_question_is_not_found_only_if_all_recordings_were_searched() -> None:
    nothing = [say("not found: none")] * 2

    both, _ = ask(ScriptedAgent().enqueue(*nothing), ASKED, another(1), another(2))
    some, _ = ask(
        ScriptedAgent().enqueue(*nothing),
        replace(ASKED, max_rounds=2),
        another(1),
        another(2),
        another(3),
    )

    assert both.verdict is Verdict.NOT_FOUND
    assert both.text == "not found: none"
    assert some.verdict is Verdict.GAVE_UP
    assert "1 recording was not searched" in some.text
    assert some.searched[-1] == "camera3, recording 3: not searched, the budget was spent"


def test_nothing_to_ask_is_not_found() -> None:
    answer, steps = ask(ScriptedAgent(), ASKED)

    assert answer.verdict is Verdict.NOT_FOUND
    assert steps == []


def test_the_number_of_leaves_left_counts_the_plans_leaves() -> None:
    agent = ScriptedAgent().enqueue(say("six"))
    tree = people()

    answer, _ = ask(agent, ASKED, tree)

    leaves = sum(node.level is Level.LOW for node in tree.plan.nodes)
    assert f"{leaves} leaves were not opened" in answer.searched[0]


def test_a_round_that_is_broken_off_is_not_told() -> None:
    agent = ScriptedAgent().enqueue(call("(1,2,1)"), Cancelled("not wanted"))

    answer, steps = ask(agent, ASKED, people(), another(2))

    assert answer.verdict is Verdict.GAVE_UP
    assert answer.text == "The question was cancelled after 1 round."
    assert [str(e.node) for e in answer.evidence] == ["(1,2,1)"]
    assert len(steps) == 1
    assert agent.opened == agent.closed == 1


@pytest.mark.parametrize("where", ["caption", "video_qa"])
def test_a_look_that_is_broken_off_ends_the_question(where: str) -> None:
    tree = people()

    def broken_off(*_: object) -> NoReturn:
        raise Cancelled("not wanted")

    agent = ScriptedAgent().enqueue(call("(1,2,1)"), say("unreached"))
    if where == "video_qa":
        look = '<think>x</think><tool>video_qa((1,2,1), "who?")</tool>'
        agent = ScriptedAgent().enqueue(call("(1,2,1)"), look, say("unreached"))
    view = Breaking(tree, where, broken_off)

    answer, steps = ask(agent, ASKED, view, another(2))

    assert answer.verdict is Verdict.GAVE_UP
    assert "was cancelled" in answer.text
    assert len(steps) == (1 if where == "video_qa" else 0)
    assert answer.searched[-1].startswith("camera2, recording 2: not searched")


class Breaking:
    """A tree of which one thing cannot be had below its high captions."""

    def __init__(self, tree: TreeView, what: str, instead: Callable[..., NoReturn]) -> None:
        self.recording, self.plan = tree.recording, tree.plan
        self._tree, self._what, self._instead = tree, what, instead

    def caption(self, node_id: NodeId) -> Caption:
        if self._what == "caption" and len(node_id.path) > 1:
            self._instead()
        return self._tree.caption(node_id)

    def video_qa(self, node_id: NodeId, query: str) -> str:
        self._instead()
