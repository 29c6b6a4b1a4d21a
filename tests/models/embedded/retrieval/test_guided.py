"""The embedded agent on captions in free words, with an index of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_lvr1.domain import Answer, GetCaption, Level, NodeId, Question, Step, Verdict
from edge_lvr1.errors import ModelError
from edge_lvr1.models.base import AgentSession, Finder, Found
from edge_lvr1.models.embedded.retrieval.agent import EmbeddedAgent
from edge_lvr1.models.embedded.retrieval.dialogue import Dialogue
from edge_lvr1.models.embedded.retrieval.grid import Grid
from edge_lvr1.models.embedded.retrieval.index import TreeIndex
from edge_lvr1.models.embedded.retrieval.weighing import weigh
from tests.models.embedded.retrieval.test_free import CAPTIONS, garden, with_dog
from tests.navigator.written_trees import (
    WrittenTree,
    ask,
    people,
    question,
    recording,
    uniform_plan,
)


class Indexed:
    """The embedded agent with a finder of the test's own."""

    name = "embedded"

    def __init__(self, finder: Finder) -> None:
        self._finder = finder

    def open(self, finder: Finder | None = None) -> AgentSession:
        return EmbeddedAgent().open(self._finder)


class Counted:
    """A finder that counts what it is asked."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self.asked: list[tuple[str, ...]] = []

    def find(self, texts: Sequence[str], limit: int) -> list[Found]:
        self.asked.append(tuple(texts))
        return self._finder.find(texts, limit)


def index_of(tree: WrittenTree) -> TreeIndex:
    return TreeIndex.of([tree.caption(node.id) for node in tree.plan.nodes])


def indexed(asked: Question, tree: WrittenTree) -> tuple[Answer, list[Step]]:
    return ask(Indexed(index_of(tree)), asked, tree)


def opened(steps: Sequence[Step]) -> list[str]:
    return [str(step.action.node) for step in steps if isinstance(step.action, GetCaption)]


def test_the_leaf_that_the_index_knows_is_opened_at_once() -> None:
    tree = garden(n321="A man repairs a bicycle.")

    answer, steps = indexed(question("What does the man repair?"), tree)

    assert opened(steps) == ["(3,2,1)"]
    assert 'caption (3,2,1), from 210.0 to 220.0 s, says: "A man repairs' in answer.text
    assert [str(e.node) for e in answer.evidence] == ["(3,2,1)"]


def test_candidates_are_followed_until_one_is_clearly_best() -> None:
    tree = garden(n111="A man with a bag.", n321="A man with a red bag runs.", n233="A bag.")
    alike = garden(**{f"n{n}2{n}": f"A man with a bag number {n}." for n in (1, 2, 3)})

    _, clear = indexed(question("Why does the man with the red bag run?"), tree)
    _, unclear = indexed(question("Why does the man have a bag?", "to carry", "to sell"), alike)

    assert opened(clear) == ["(3,2,1)"]
    assert {"(1,2,1)", "(2,2,2)", "(3,2,3)"} <= set(opened(unclear))


@pytest.mark.parametrize(
    ("options", "letter"),
    [
        (("a cat sleeping", "a ball", "a bone", "a bird"), "B"),
        (("a bird", "a cat sleeping", "a bone", "the red ball"), "D"),
    ],
)
def test_options_are_weighed_and_the_answer_says_by_which_words(
    options: tuple[str, ...], letter: str
) -> None:
    answer, _ = indexed(question("What do the dogs chase?", *options), with_dog())

    assert answer.option == letter
    assert '"ball"' in answer.text
    assert str(answer.evidence[0].node) == "(2,3,2)"


def test_options_lead_the_search_where_the_question_does_not() -> None:
    tree = garden(n113="A boy eats an apple.", n331="A boy eats a cake.")

    answer, steps = indexed(question("What is eaten in the garden?", "cake", "soup"), tree)

    assert answer.option == "A"
    assert opened(steps)[0] == "(3,3,1)"


def test_the_leaf_after_is_opened_for_a_question_about_after() -> None:
    tree = garden(n222="A woman drops a cup.")
    after = question("What happens after the woman drops the cup?", "she sweeps", "she sings")
    before = question("What happens before the woman drops the cup?", "she sweeps", "she sings")

    _, later = indexed(after, tree)
    _, earlier = indexed(before, tree)

    assert opened(later) == ["(2,2,2)", "(2,2,3)"]
    assert opened(earlier) == ["(2,2,2)", "(2,2,1)"]


def test_when_is_answered_with_every_stretch_that_was_read() -> None:
    tree = garden(n112="A dog barks.", n113="A dog barks.", n332="A dog barks.")

    answer, _ = indexed(question("When does the dog bark?"), tree)

    assert answer.text.startswith("From 10.0 to 30.0 s, from 250.0 to 260.0 s: ")
    assert {"(1,1,2)", "(1,1,3)", "(3,3,2)"} == {str(e.node) for e in answer.evidence}


def test_how_often_is_answered_with_a_number_of_stretches() -> None:
    tree = garden(n112="A dog barks.", n113="A dog barks.", n332="A dog barks.")

    answer, _ = indexed(question("How many times does the dog bark?"), tree)

    assert answer.text.startswith("In 2 stretches of what was read, from 10.0 to 30.0 s, ")


def test_the_first_and_the_last_are_told_apart() -> None:
    tree = garden(n112="A dog barks.", n332="A dog barks.")

    first, _ = indexed(question("When does the dog bark first?"), tree)
    last, _ = indexed(question("When does the dog bark last?"), tree)

    assert first.text.startswith("From 10.0 to 20.0 s: ")
    assert last.text.startswith("From 250.0 to 260.0 s: ")


def test_only_leaves_in_the_time_asked_about_are_opened() -> None:
    tree = garden(n112="A dog barks at a red car.", n332="A dog barks.")

    answer, steps = indexed(question("Why does the dog bark after 100 s?"), tree)

    assert opened(steps)[0] == "(3,3,2)"
    assert not any(node.startswith("(1,1,") for node in opened(steps))
    assert str(answer.evidence[0].node) == "(3,3,2)"


def test_asked_why_a_sentence_with_a_reason_is_quoted() -> None:
    tree = garden(n222="A man runs on the road. The man runs because a bus leaves.")

    answer, _ = indexed(question("Why does the man run?"), tree)

    assert 'says: "The man runs because a bus leaves."' in answer.text


def test_a_number_told_before_the_noun_decides_between_numbers() -> None:
    tree = garden(n222="Three girls jump. One of the girls falls.")

    answer, _ = indexed(question("How many girls jump?", "one", "2", "three"), tree)

    assert answer.option == "C"


def test_a_look_decides_where_captions_do_not() -> None:
    tree = garden(n222="A man holds a cup.")
    tree.look = "The cup is blue."

    answer, _ = indexed(
        question("Which colour has the cup that the man holds?", "red", "blue"), tree
    )

    assert answer.option == "B"
    assert tree.looks[0][0] == NodeId((2, 2, 2))


def test_an_option_that_nothing_speaks_for_is_not_chosen() -> None:
    answer, _ = indexed(question("Why do the dogs chase?", "hunger", "boredom"), with_dog())

    assert answer.verdict is Verdict.NOT_FOUND
    assert answer.option is None


def test_what_no_caption_mentions_is_not_found() -> None:
    answer, _ = indexed(question("Is there an elephant?"), with_dog())

    assert answer.verdict is Verdict.NOT_FOUND
    assert '"elephant"' in answer.text


def test_a_score_is_no_evidence_before_the_caption_is_opened() -> None:
    tree = with_dog()
    asked = question("What do the dogs chase?", "a ball", "a cat", max_rounds=1)

    answer, _ = indexed(asked, tree)

    assert answer.captions_opened == 0
    assert all(e.node.level is Level.HIGH for e in answer.evidence)


def test_a_caption_that_cannot_be_had_is_passed_over() -> None:
    tree = with_dog()
    index = index_of(tree)
    broken = WrittenTree(
        tree.recording, tree.plan, tree.texts, broken=frozenset({NodeId((2, 3, 2))})
    )

    answer, steps = ask(Indexed(index), question("What do the dogs chase?", "ball", "cat"), broken)

    assert opened(steps)[0] == "(2,3,2)"
    assert not any(step.repeated for step in steps)
    assert "(2,3,2)" not in {str(e.node) for e in answer.evidence}


def test_each_text_is_looked_for_once_in_a_conversation() -> None:
    tree = with_dog()
    finder = Counted(index_of(tree))

    ask(Indexed(finder), question("What do the dogs chase?", "a ball", "a cat"), tree)

    assert sorted(finder.asked) == [
        ("What do the dogs chase?", "a ball"),
        ("What do the dogs chase?", "a cat"),
    ]


def test_tracks_are_gone_by_whatever_an_index_says() -> None:
    tree = people()

    without, _ = ask(EmbeddedAgent(), question("How many people are there?"), tree)
    with_index, _ = indexed(question("How many people are there?"), tree)

    assert with_index == without
    assert with_index.text.startswith("6 ")


def test_an_index_that_fails_ends_the_question_with_its_reason() -> None:
    class Broken:
        def find(self, texts: Sequence[str], limit: int) -> list[Found]:
            raise ModelError("the index is gone")

    answer, _ = ask(Indexed(Broken()), question("Is there a dog?"), with_dog())

    assert answer.verdict is Verdict.FAILED
    assert "the index is gone" in answer.text


SCORES = st.dictionaries(
    st.sampled_from([node.id for node in uniform_plan(80.0, 2).nodes]),
    st.floats(1e-3, 60.0),
    max_size=14,
)


@settings(deadline=None)
@given(st.lists(SCORES, min_size=1, max_size=4))
def test_weights_are_one_distribution_over_leaves_and_options(
    rows: list[dict[NodeId, float]],
) -> None:
    class Scored:
        def find(self, texts: Sequence[str], limit: int) -> list[Found]:
            return [Found(node, score) for node, score in rows[int(texts[-1])].items()]

    dialogue = Dialogue("which?", (), 80.0, (), (), frozenset(), 0)
    options = [str(number) for number in range(len(rows))]

    weights = weigh(Scored(), "which?", options, Grid(dialogue, 2))

    leaves = {node for row in rows for node in row if node.level is Level.LOW}
    if weights is None:
        assert not leaves
        return
    assert set(weights.leaves) == leaves
    assert weights.shares.sum() == pytest.approx(1.0)
    assert sum(weights.share(leaf) for leaf in leaves) == pytest.approx(1.0)
    shares = [weights.share(leaf) for leaf in weights.ranked()]
    assert shares == sorted(shares, reverse=True)
    assert sum(weights.merits(weights.ranked())) == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(
    captions=st.lists(CAPTIONS.map(" ".join), min_size=14, max_size=14),
    text=st.one_of(st.text(max_size=40), CAPTIONS.map(" ".join)),
    options=st.lists(CAPTIONS.map(" ".join), max_size=3),
)
def test_whatever_captions_say_it_makes_legal_moves_and_ends(
    captions: list[str], text: str, options: list[str]
) -> None:
    plan = uniform_plan(80.0, 2)
    texts = {node.id: caption for node, caption in zip(plan.nodes, captions, strict=True)}
    tree = WrittenTree(recording(1, 80.0, 2), plan, texts, "A dog.")

    answer, steps = indexed(question(text, *options), tree)

    assert answer.verdict in (Verdict.ANSWERED, Verdict.NOT_FOUND)
    assert answer.invalid_steps == 0
    assert not any(step.repeated for step in steps)


def test_a_time_alone_is_answered_with_what_its_captions_say() -> None:
    tree = garden(n331="A gate opens.", n332="A gate opens.", n333="A gate closes.")

    end, _ = indexed(question("What happens at the end?"), tree)
    begin, steps = indexed(question("What happens in the first 10 seconds?"), tree)

    assert end.verdict is Verdict.ANSWERED
    assert str(end.evidence[0].node).startswith("(3,3,")
    assert opened(steps) == ["(1,1,1)"]
    assert "An empty courtyard" in begin.text
