"""Asking all questions: once each, resumed, in several processes, stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from edge_lvr1.config import load
from edge_lvr1.domain import NodeId, Span, Verdict
from edge_lvr1.errors import ModelError
from edge_lvr1.evaluate.asking import Asker, Configuration
from edge_lvr1.evaluate.captions import CaptionFiles
from edge_lvr1.evaluate.measure import make_agent, open_source
from edge_lvr1.evaluate.results import Result, SeenNode, open_results
from edge_lvr1.evaluate.run import Asking, run
from edge_lvr1.evaluate.score import score
from edge_lvr1.evaluate.trees import PlacedTree, TreeSource
from tests.evaluate.made import RepeatingAgent, answer, call, item, write_captions
from tests.navigator.written_trees import Clock, ScriptedAgent

CONFIGURATION = Configuration({"backend": "scripted"}, 10, 60.0)


@pytest.fixture
def source(tmp_path: Path) -> CaptionFiles:
    return CaptionFiles(write_captions(tmp_path / "c", "tape", "other"))


def asking(source: TreeSource, agent: RepeatingAgent, **change: int) -> Asking:
    @contextmanager
    def opened() -> Iterator[TreeSource]:
        yield source

    return Asking(opened, lambda: agent, replace(CONFIGURATION, **change))  # type: ignore[arg-type]


def test_result_tells_what_was_opened_and_cited(source: CaptionFiles) -> None:
    agent = RepeatingAgent(
        call("(1,2)"), call("(1,2,2)"), call("(1,2,2)"), call("(7,7)"), answer("A (1,2,2)")
    )
    found = Asker(source, agent, CONFIGURATION, clock=Clock()).ask(item())

    assert found.opened == (
        SeenNode(1, NodeId((1, 2)), Span(20, 40)),
        SeenNode(1, NodeId((1, 2, 2)), Span(30, 40)),
    )
    assert found.evidence == (SeenNode(1, NodeId((1, 2, 2)), Span(30, 40)),)
    assert found.repeat_ratio == 0.25
    assert (found.answer.option, found.answer.invalid_steps) == ("A", 1)
    scored = score(item(), found)
    assert (scored.correct, scored.hit, scored.coverage, scored.precision) == (True, True, 0.5, 1)


def test_agent_is_given_an_index_of_the_tree(source: CaptionFiles) -> None:
    agent = RepeatingAgent(answer("B"))
    Asker(source, agent, replace(CONFIGURATION, hints=False)).ask(item())

    (finder,) = agent.finders
    assert finder is not None


def test_lost_agent_gets_hints_only_where_they_are_on(source: CaptionFiles) -> None:
    lost = (call("(2,2)"), call("(2,2)"), answer("A"))
    with_hints = Asker(source, RepeatingAgent(*lost), CONFIGURATION).ask(item())
    bare = replace(CONFIGURATION, hints=False)
    without = Asker(source, RepeatingAgent(*lost), bare).ask(item())

    assert "(1,2,2)" in with_hints.steps[1].hint
    assert not any(step.hint for step in without.steps)


def test_spans_of_a_part_are_those_of_the_video(source: CaptionFiles) -> None:
    class Halves:
        """A video in two recordings: the second begins at 80 s."""

        def of(self, video: str) -> tuple[PlacedTree, ...]:
            views = [source.of(name)[0].view for name in ("tape", "other")]
            second = replace(views[1], recording=replace(views[1].recording, id=2))
            return PlacedTree(views[0]), PlacedTree(second, begins_s=80.0)

        def digest(self, video: str) -> str:
            return "x"

    agent = ScriptedAgent(clock=Clock())
    agent.enqueue(answer("not found: no"), call("(1,2,1)"), answer("A (1,2,1)"))
    bare = replace(CONFIGURATION, hints=False)
    found = Asker(Halves(), agent, bare).ask(item(clues=[(100, 110)]))

    assert found.evidence == (SeenNode(2, NodeId((1, 2, 1)), Span(100, 110)),)
    assert [one.recording for one in found.openings] == [1, 2]


def test_video_without_a_tree_fails_and_counts_as_wrong(source: CaptionFiles) -> None:
    asked = item(video="gone")
    found = Asker(source, RepeatingAgent(), CONFIGURATION).ask(asked)

    assert found.answer.verdict is Verdict.FAILED
    assert score(asked, found).correct is False


def test_question_with_a_result_is_not_asked_again(tmp_path: Path, source: CaptionFiles) -> None:
    agent = RepeatingAgent(answer("A"))
    told: list[str] = []
    with open_results(tmp_path / "r") as file:
        run([item(1)], source, asking(source, agent, hints=0), file)
    with open_results(tmp_path / "r") as file:
        found = run(
            [item(2), item(1)],
            source,
            asking(source, agent, hints=0),
            file,
            on_result=lambda one: told.append(one.id),
        )

    assert [one.id for one in found] == ["q2", "q1"]
    assert told == ["q1", "q2"]
    assert len(agent.conversations) == 2


@pytest.mark.parametrize("change", [{"max_rounds": 5}, {"hints": 1}])
def test_other_settings_ask_again(
    tmp_path: Path, source: CaptionFiles, change: dict[str, int]
) -> None:
    agent = RepeatingAgent(call("(1,2)"), answer("A (1,2)"))
    with open_results(tmp_path / "r") as file:
        run([item()], source, asking(source, agent, hints=0), file)
        run([item()], source, asking(source, agent, **{"hints": 0, **change}), file)

    assert len(agent.conversations) == 2


def test_other_captions_ask_again(tmp_path: Path, source: CaptionFiles) -> None:
    agent = RepeatingAgent(answer("A"))
    with open_results(tmp_path / "r") as file:
        run([item()], source, asking(source, agent, hints=0), file)
        path = tmp_path / "c" / "tape.json"
        path.write_text(path.read_text("utf-8").replace("bus", "van"), "utf-8")
        again = CaptionFiles(tmp_path / "c")
        run([item()], again, asking(again, agent, hints=0), file)

    assert len(agent.conversations) == 2


def test_mended_answer_is_scored_without_asking_again(tmp_path: Path, source: CaptionFiles) -> None:
    agent = RepeatingAgent(answer("A"))
    with open_results(tmp_path / "r") as file:
        run([item(answer="B")], source, asking(source, agent, hints=0), file)
        (found,) = run([item(answer="A")], source, asking(source, agent, hints=0), file)

    assert len(agent.conversations) == 1
    assert found.item.answer == "A"


def test_stop_keeps_what_is_done(tmp_path: Path, source: CaptionFiles) -> None:
    agent = RepeatingAgent(answer("A"))

    def stop_after_two(result: Result) -> None:
        if result.id == "q2":
            raise KeyboardInterrupt

    items = [item(number) for number in (1, 2, 3)]
    with open_results(tmp_path / "r") as file, pytest.raises(KeyboardInterrupt):
        run(items, source, asking(source, agent, hints=0), file, on_result=stop_after_two)
    with open_results(tmp_path / "r") as file:
        run(items, source, asking(source, agent, hints=0), file)

    assert len(agent.conversations) == 3


def test_failing_agent_is_a_result_and_the_next_question_is_asked(source: CaptionFiles) -> None:
    agent = ScriptedAgent().enqueue(ModelError("no memory"), answer("A"))
    asker = Asker(source, agent, replace(CONFIGURATION, hints=False))

    first, second = asker.ask(item(1)), asker.ask(item(2))

    assert (first.answer.verdict, first.answer.text) == (Verdict.FAILED, "no memory")
    assert first.openings == ()
    assert second.answer.option == "A"


def test_processes_answer_what_one_process_does(tmp_path: Path, source: CaptionFiles) -> None:
    settings = load({"data": tmp_path})
    items = [item(number, ("tape", "other")[number % 2]) for number in range(6)]
    parts = Asking(
        partial(open_source, settings, tmp_path / "c"),
        partial(make_agent, settings),
        CONFIGURATION,
    )
    here = run(items, source, parts)
    with open_results(tmp_path / "r") as file:
        apart = run(items, source, parts, file, workers=2)

    def told(results: list[Result]) -> list[object]:
        return [
            (one.id, one.fingerprint, one.answer.option, one.opened, one.evidence)
            for one in results
        ]

    assert told(here) == told(apart)
