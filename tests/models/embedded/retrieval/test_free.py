"""The embedded agent on captions in free words: top down, by the words they share."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_lvr1.domain import GetCaption, Level, NodeId, Verdict
from edge_lvr1.errors import ModelError
from edge_lvr1.models.embedded.retrieval.agent import EmbeddedAgent
from edge_lvr1.models.embedded.retrieval.terms import Corpus, affirming_sentence, matched, stem
from tests.navigator.written_trees import WrittenTree, ask, question, recording, uniform_plan

DULL = "An empty courtyard with a fence and a gate."


def garden(**texts: str) -> WrittenTree:
    """A tree of width 3 over 270 s; keyword "n12" is the caption of (1,2), all else is dull."""
    plan = uniform_plan(270.0, 3)
    told = {NodeId(tuple(map(int, key[1:]))): text for key, text in texts.items()}
    captions = {node.id: told.get(node.id, DULL) for node in plan.nodes}
    return WrittenTree(recording(1, 270.0, 3), plan, captions, "Nothing of note is visible.")


def with_dog() -> WrittenTree:
    return garden(
        n2="The yard. Later two puppies play near the gate.",
        n23="Two dogs chase a ball on the grass.",
        n232="A brown dog and a white dog chase a red ball. A man watches.",
        n3="A woman waters flowers.",
    )


def test_it_goes_from_the_best_high_caption_to_a_leaf() -> None:
    answer, steps = ask(EmbeddedAgent(), question("Is there a dog?"), with_dog())

    opened = [step.action.node for step in steps if isinstance(step.action, GetCaption)]
    assert all(node.path[0] == 2 for node in opened)
    assert NodeId((2, 3, 2)) in opened
    assert answer.verdict is Verdict.ANSWERED
    assert answer.text.startswith("Yes: ")
    assert "A brown dog and a white dog chase a red ball." in answer.text
    assert [str(e.node) for e in answer.evidence] == ["(2,3,2)"]


def test_times_within_a_caption_lead_straight_to_the_child() -> None:
    tree = garden(
        n1="From 0.0s: A fence. From 30.0s: A gate. From 60.0s: A dog runs past.",
        n13="From 60.0s: A dog runs past. From 70.0s: A fence. From 80.0s: A gate.",
        n131="A dog runs past the fence.",
    )

    _, steps = ask(EmbeddedAgent(), question("Where does the dog run?"), tree)

    opened = [step.action.node for step in steps if isinstance(step.action, GetCaption)]
    assert opened[:2] == [NodeId((1, 3)), NodeId((1, 3, 1))]


def test_when_is_answered_with_the_times_of_the_best_leaf() -> None:
    answer, _ = ask(EmbeddedAgent(), question("When do the dogs chase the ball?"), with_dog())

    assert answer.text.startswith("From 160.0 to 170.0 s: ")
    assert [str(e.node) for e in answer.evidence] == ["(2,3,2)"]


def test_what_no_opened_caption_mentions_is_not_found() -> None:
    answer, steps = ask(EmbeddedAgent(), question("Is there an elephant?"), with_dog())

    assert answer.verdict is Verdict.NOT_FOUND
    assert '"elephant"' in answer.text
    assert len(steps) <= 6


@pytest.mark.parametrize(
    ("options", "letter"),
    [
        (("a cat sleeping", "a ball", "a bone", "a bird"), "B"),
        (("a bird", "a cat sleeping", "a bone", "the red ball"), "D"),
    ],
)
def test_options_are_weighed_against_what_was_read(options: tuple[str, ...], letter: str) -> None:
    asked = question("What do the dogs chase?", *options)

    answer, _ = ask(EmbeddedAgent(), asked, with_dog())

    assert answer.option == letter
    assert answer.evidence


def test_an_option_that_nothing_speaks_for_is_not_chosen() -> None:
    asked = question("Why do the dogs chase?", "hunger", "boredom")

    answer, _ = ask(EmbeddedAgent(), asked, with_dog())

    assert answer.verdict is Verdict.NOT_FOUND
    assert answer.option is None


def test_a_look_at_the_best_leaf_is_believed() -> None:
    tree = with_dog()
    tree.look = "The ball has the letters ABC written on it."

    answer, _ = ask(EmbeddedAgent(), question("What is written on the ball?"), tree)

    assert tree.looks[0][0] == NodeId((2, 3, 2))
    assert "letters ABC" in answer.text


def test_a_look_that_fails_is_done_without() -> None:
    tree = with_dog()

    class Blind(WrittenTree):
        def video_qa(self, node_id: NodeId, query: str) -> str:
            raise ModelError("there is no clip of the dogs and the ball")

    blind = Blind(tree.recording, tree.plan, tree.texts)

    answer, _ = ask(EmbeddedAgent(), question("What do the dogs chase?"), blind)

    assert answer.verdict is Verdict.ANSWERED
    assert "there is no clip" not in answer.text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dogs", "dog"),
        ("running", "run"),
        ("ladies", "lady"),
        ("watches", "watch"),
        ("chase", "chasing"),
    ],
)
def test_forms_of_a_word_have_one_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_synonyms_match_and_rare_words_weigh_more() -> None:
    corpus = Corpus.of(["a dog", "a man", "a man", "a man"])

    assert matched(["puppy"], "two dogs") == ["puppy"]
    assert corpus.score({"dog": 1.0}, "a dog") > corpus.score({"man": 1.0}, "a man") > 0
    assert corpus.score({stem("puppy"): 1.0}, "a dog") < corpus.score({"dog": 1.0}, "a dog")


@pytest.mark.parametrize(
    ("said", "affirmed"),
    [
        ("A dog lies there.", True),
        ("Something lies there. Two dogs play.", True),
        ("No dog is visible.", False),
        ("I cannot recognise a dog.", False),
        ('Looked for "a dog": a shape moves.', False),
        ("Is there a dog? A shape moves.", False),
        ("A shape moves.", False),
    ],
)
def test_only_a_sentence_that_denies_nothing_affirms(said: str, affirmed: bool) -> None:
    assert (affirming_sentence(said, ["dog"]) is not None) == affirmed


WORDS = "dog man red ball chase grass two the <tool> From 10 s: ?"
CAPTIONS = st.lists(st.sampled_from(WORDS.split()))


@settings(max_examples=80, deadline=None)
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

    answer, steps = ask(EmbeddedAgent(), question(text, *options), tree)

    assert answer.verdict in (Verdict.ANSWERED, Verdict.NOT_FOUND)
    assert answer.invalid_steps == 0
    assert not any(step.repeated for step in steps)
    assert sum(node.id.level is Level.LOW for node in plan.nodes) == 8
