"""An agent that is lost is pointed to captions, and finds its way; without hints it does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from edge_lvr1 import prompts
from edge_lvr1.domain import Answer, NodeId, Question, Step, Verdict
from edge_lvr1.models.base import Cancel, Finder, Found, Message, Moves, never
from edge_lvr1.navigator.loop import Rules, navigate
from tests.navigator.written_trees import Clock, WrittenTree, question, recording, uniform_plan

TRUTH = NodeId((3, 2, 1))
ASKED = question("Where is the red car?", max_rounds=12)


def street(**more: object) -> WrittenTree:
    """A tree in which one leaf shows a red car, and many show look-alikes."""
    plan = uniform_plan(64.0, 4)
    texts = {node.id: "a red van stands at the kerb" for node in plan.nodes}
    texts[TRUTH] = "a red car drives by"
    return WrittenTree(recording(1, 64.0, 4), plan, texts, **more)  # type: ignore[arg-type]


@dataclass
class WordFinder:
    """An index of a tree: the share of the words that a caption holds."""

    tree: WrittenTree

    def find(self, texts: Sequence[str], limit: int) -> list[Found]:
        words = set(re.findall(r"\w{3,}", " ".join(texts).lower())) - {"where", "the"}
        found = [
            Found(node, len(words & set(text.split())) / len(words), text)
            for node, text in self.tree.texts.items()
        ]
        kept = [one for one in found if one.score > 0]
        return sorted(kept, key=lambda one: (-one.score, -len(one.node.path), one.node))[:limit]


@dataclass
class Only:
    """An index that knows of these nodes alone."""

    nodes: Sequence[NodeId]

    def find(self, texts: Sequence[str], limit: int) -> list[Found]:
        return [Found(node, 1.0, "a red car") for node in self.nodes][:limit]


class Following:
    """An agent with a habit, which does what a hint says; it answers once it read the truth."""

    name = "following"

    def __init__(self, habit: Callable[[int], str]) -> None:
        self.habit = habit
        self.rounds = 0

    def open(self, finder: Finder | None = None) -> Following:
        return self

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        self.rounds += 1
        said = messages[-1].content
        if "a red car drives by" in said:
            return f"<think>there it is</think><answer>at the kerb, see {TRUTH}</answer>"
        if hint := re.search(r"Hint: .*?(\(\d,\d,\d\))", said):
            return f"<think>as I am told</think><tool>get_caption({hint[1]})</tool>"
        return self.habit(self.rounds)

    def close(self) -> None:
        pass


def misled(number: int) -> str:
    """Opens one look-alike after the other."""
    return (
        f"<think>a red van</think>"
        f"<tool>get_caption((1,{(number - 1) % 4 + 1},{number // 4 % 4 + 1}))</tool>"
    )


def repeats(number: int) -> str:
    return "<think>again</think><tool>get_caption((1,1,1))</tool>"


def breaks_rules(number: int) -> str:
    return "<think>I want the last one</think><tool>get_caption((9,9,9))</tool>"


def asks_without_opening(number: int) -> str:
    return '<think>look</think><tool>video_qa((4,4,4), "a car?")</tool>'


def answers_at_once(number: int) -> str:
    return "<think>surely</think><answer>on the roof</answer>"


def denies_at_once(number: int) -> str:
    return "<think>none</think><answer>not found: there is no car</answer>"


HABITS = [
    misled,
    repeats,
    breaks_rules,
    asks_without_opening,
    answers_at_once,
    denies_at_once,
]


def walk(
    agent: Following, finder: Finder | None, *, hints: bool = True, asked: Question = ASKED
) -> tuple[Answer, list[Step]]:
    steps: list[Step] = []
    rules = Rules(finder=lambda recording: finder, hints=hints)
    answer = navigate(asked, [street()], agent, Clock(), steps.append, rules=rules)
    return answer, steps


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("finder", [Only([TRUTH]), WordFinder(street())], ids=["sure", "words"])
def test_a_lost_agent_recovers_by_hints_and_does_not_without_them(
    habit: Callable[[int], str], finder: Finder
) -> None:
    with_hints, steps = walk(Following(habit), finder)
    without, bare = walk(Following(habit), finder, hints=False)

    assert with_hints.verdict is Verdict.ANSWERED
    assert [evidence.node for evidence in with_hints.evidence] == [TRUTH]
    assert any(step.hint for step in steps)
    assert TRUTH not in [evidence.node for evidence in without.evidence]
    assert not any(step.hint for step in bare)
    assert with_hints.rounds <= ASKED.max_rounds


def test_a_hint_names_what_captions_mention_and_stands_in_the_turn_and_in_the_trace() -> None:
    _, steps = walk(Following(repeats), WordFinder(street()))

    hinted = next(step for step in steps if step.hint)
    assert hinted.hint.startswith("Hint: captions that mention red, car: (3,2,1)")
    assert hinted.observation.endswith(hinted.hint)
    assert hinted.repeated


def test_a_hint_leaves_out_what_was_read() -> None:
    agent = Following(repeats)

    _, steps = walk(agent, Only([NodeId((1, 1, 1)), TRUTH]))

    assert "(1,1,1)" not in next(step.hint for step in steps if step.hint)


def test_an_agent_that_finds_its_way_is_told_nothing() -> None:
    path = ["(3,1)", "(3,2)", "(3,2,1)"]

    _, steps = walk(
        Following(lambda n: f"<think>on</think><tool>get_caption({path[n - 1]})</tool>"),
        Only([TRUTH, NodeId((3, 1))]),
    )

    assert [step.hint for step in steps] == ["", "", "", ""]


def test_an_index_that_knows_nothing_gives_no_hint() -> None:
    for finder in (Only([]), None, Only([NodeId((7, 7, 7))]), Only([NodeId((2,))])):
        _, steps = walk(Following(repeats), finder)

        assert not any(step.hint for step in steps)


def test_an_answer_is_given_back_once_only() -> None:
    class Stubborn(Following):
        def reply(
            self,
            messages: Sequence[Message],
            moves: Moves,
            deadline: float,
            cancelled: Cancel = never,
        ) -> str:
            return answers_at_once(1)

    answer, steps = walk(Stubborn(answers_at_once), Only([TRUTH]))

    assert answer.verdict is Verdict.ANSWERED
    assert answer.text == "on the roof"
    assert prompts.NOTHING_READ in steps[0].observation
    assert len(steps) == 2


def test_an_agent_that_repeats_one_call_for_ever_ends_within_the_budget() -> None:
    class Deaf(Following):
        def reply(
            self,
            messages: Sequence[Message],
            moves: Moves,
            deadline: float,
            cancelled: Cancel = never,
        ) -> str:
            return repeats(1)

    asked = replace(ASKED, max_rounds=30)

    answer, steps = walk(Deaf(repeats), Only([TRUTH]), asked=asked)

    assert answer.verdict is Verdict.GAVE_UP
    assert len(steps) == 30
    assert 0 < sum(bool(step.hint) for step in steps) <= 4


def test_the_agent_is_given_the_finder_also_without_hints() -> None:
    given: list[Finder | None] = []

    class Taking(Following):
        def open(self, finder: Finder | None = None) -> Following:
            given.append(finder)
            return self

    finder = Only([TRUTH])

    walk(Taking(misled), finder, hints=False)

    assert given == [finder]


def test_replies_without_a_move_are_asked_for_the_answer_once_and_then_given_up() -> None:
    agent = Following(lambda number: "<think>The context is full.</think>")

    answer, steps = walk(agent, None)

    assert answer.verdict is Verdict.GAVE_UP
    assert len(steps) == 3
    assert steps[1].observation.endswith(prompts.LAST_ROUND)
