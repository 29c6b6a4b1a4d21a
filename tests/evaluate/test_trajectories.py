"""Conversations as training data: the same turns that the agent read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from edge_lvr1.domain import Answer, FinalAnswer, Question, Step, Verdict
from edge_lvr1.evaluate.archive_trees import ArchiveTrees
from edge_lvr1.evaluate.asking import Asker, Configuration
from edge_lvr1.evaluate.captions import CaptionFiles
from edge_lvr1.evaluate.finding import finders
from edge_lvr1.evaluate.trajectories import (
    Filter,
    Trajectory,
    from_archive,
    from_results,
    sharegpt,
    write,
)
from edge_lvr1.navigator.loop import Rules, navigate
from edge_lvr1.store.db import Archive
from edge_lvr1.store.queues import QuestionQueue
from edge_lvr1.store.trees import Trees
from tests.evaluate.made import RepeatingAgent, answer, call, item, write_captions
from tests.evaluate.test_archive_trees import captioned, no_captioner
from tests.store.footage import NOON

LOOKED = '<tool>video_qa((1,2,1), "which dog?")</tool>'


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "archive.db").open() as opened:
        yield opened


@pytest.fixture
def queue(archive: Archive) -> QuestionQueue:
    return QuestionQueue(archive, time.time)


@pytest.fixture
def trees(archive: Archive) -> Trees:
    found = Trees(archive)
    for name in ("one", "two"):
        captioned(found, name)
    return found


def asked(
    queue: QuestionQueue,
    trees: Trees,
    agent: RepeatingAgent,
    question: Question,
    videos: Sequence[str] = ("one",),
) -> Answer:
    """A question that is answered as the daemon does it, its steps stored as they come."""
    source = ArchiveTrees(trees, no_captioner)
    placed = [found for video in videos for found in source.of(video)]
    queue.put(question)
    queue.lease("worker", 60.0)

    def store(step: Step) -> None:
        assert queue.add_step(question.id, step)

    with finders(placed) as finder:
        views = [one.view for one in placed]
        found = navigate(question, views, agent, time.monotonic, store, rules=Rules(finder=finder))
    queue.finish(question.id, found)
    return found


def question(text: str = "Which gate?", *options: str, **more: object) -> Question:
    return replace(Question("q1", text, NOON, options), **more)  # type: ignore[arg-type]


SCRIPTS = {
    "plain": (call("(1,2)"), call("(1,2,1)"), LOOKED, answer("B (1,2,1)")),
    "broken rules": ("nothing", call("(9,9)"), call("(1,2)"), call("(1,2)"), answer("B (1,2)")),
    "given back": (answer("B"), call("(2,1,1)"), answer("B (2,1,1)")),
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_rebuilt_conversation_is_the_live_one(
    queue: QuestionQueue, trees: Trees, script: tuple[str, ...]
) -> None:
    agent = RepeatingAgent(*script)
    asked(queue, trees, agent, question("one gate?", "red", "blue", about="one gate"))

    (found,) = from_archive(queue, trees)

    live = agent.conversations[0]
    assert found.messages[: len(live)] == live
    extra = found.messages[len(live) :]
    assert [message.role for message in extra] in ([], ["user"])


def test_conversation_of_one_round_is_the_live_one(queue: QuestionQueue, trees: Trees) -> None:
    agent = RepeatingAgent(answer("blue"))
    asked(queue, trees, agent, question(max_rounds=1))

    (found,) = from_archive(queue, trees)

    assert found.messages == agent.conversations[0]
    assert "Your next reply is the last one" in found.messages[1].content


def test_each_recording_has_a_conversation_of_its_own(queue: QuestionQueue, trees: Trees) -> None:
    agent = RepeatingAgent(call("(1,1)"), answer("not found: nothing there"))
    asked(queue, trees, agent, question(max_rounds=20), videos=("one", "two"))

    found = list(from_archive(queue, trees))

    assert [one.recording for one in found] == [1, 2]
    assert [one.messages for one in found] == agent.conversations
    assert {one.verdict for one in found} == {Verdict.NOT_FOUND}


def test_count_over_recordings_is_asked_without_options(queue: QuestionQueue, trees: Trees) -> None:
    agent = RepeatingAgent(call("(1,1)"), answer("2 (1,1)"))
    counted = question("How many cars?", "one", "four", max_rounds=20)
    asked(queue, trees, agent, counted, videos=("one", "two"))

    found = list(from_archive(queue, trees))

    assert [one.messages for one in found] == agent.conversations
    assert "A. one" not in found[0].messages[1].content


def test_question_that_gave_up_says_so(queue: QuestionQueue, trees: Trees) -> None:
    agent = RepeatingAgent(call("(1,1)"), call("(1,2)"))
    asked(queue, trees, agent, question(max_rounds=2))

    (found,) = from_archive(queue, trees)

    assert found.verdict is Verdict.GAVE_UP
    assert not Filter().wants(found)
    assert Filter(frozenset({Verdict.GAVE_UP})).wants(found)


def test_unfinished_questions_are_left_out(queue: QuestionQueue, trees: Trees) -> None:
    queue.put(question())

    assert list(from_archive(queue, trees)) == []


def test_sharegpt_alternates_and_ends_with_the_agent(queue: QuestionQueue, trees: Trees) -> None:
    agent = RepeatingAgent(call("(1,1)"), "no call", call("(1,1)"))
    asked(queue, trees, agent, question(max_rounds=3))
    (found,) = from_archive(queue, trees)

    told = sharegpt(found)

    sources = [turn["from"] for turn in told["conversations"]]
    assert sources == ["human", "gpt"] * 3
    assert told["system"].startswith("You answer a question about a video.")
    assert told["conversations"][1]["value"] == call("(1,1)")
    assert (told["reward"], told["correct"], told["verdict"]) == (None, None, "gave_up")
    assert (told["rounds"], told["repeat_ratio"]) == (3, 0.0)


def measured(tmp_path: Path) -> tuple[RepeatingAgent, list[Trajectory]]:
    source = CaptionFiles(write_captions(tmp_path / "c", "tape"))
    agent = RepeatingAgent(call("(1,2)"), call("(1,2,2)"), call("(1,2)"), answer("A (1,2,2)"))
    asker = Asker(source, agent, Configuration({}, 10, 60.0, hints=False))
    right, wrong, unknown = item(1), item(2, answer="B"), item(3, clues=())
    return agent, list(from_results(asker.ask(one) for one in (right, wrong, unknown)))


def test_results_carry_their_rewards(tmp_path: Path) -> None:
    agent, found = measured(tmp_path)

    assert [one.messages for one in found] == agent.conversations
    repeats = 0.2 / 3
    f1 = 2 * 0.5 / 1.5
    assert found[0].reward == pytest.approx(f1 + 1 - repeats)
    assert found[1].reward == pytest.approx(f1 - repeats)
    assert [sharegpt(one)["correct"] for one in found] == [True, False, True]
    assert found[2].reward is None


def test_conversations_are_filtered_by_reward_and_verdict(tmp_path: Path) -> None:
    _, found = measured(tmp_path)
    out = tmp_path / "new" / "train.json"

    assert write(out, found, Filter(min_reward=1.0)) == 1
    assert [one["question_id"] for one in json.loads(out.read_text("utf-8"))] == ["q1"]
    assert write(out, found, Filter()) == 3
    assert write(out, found, Filter(frozenset({Verdict.NOT_FOUND}))) == 0
    assert json.loads(out.read_text("utf-8")) == []
    assert [path.name for path in out.parent.iterdir()] == ["train.json"]


def test_answer_that_was_given_back_is_no_end(queue: QuestionQueue, trees: Trees) -> None:
    agent = RepeatingAgent(*SCRIPTS["given back"])
    found = asked(queue, trees, agent, question("one gate?", "red", "blue"))
    (conversation,) = from_archive(queue, trees)

    assert found.verdict is Verdict.ANSWERED
    assert isinstance(conversation.steps[0].action, FinalAnswer)
    assert conversation.messages[3].role == "user"
    assert sharegpt(conversation)["hints"] == 1
