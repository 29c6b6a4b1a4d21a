"""Which moments a model is shown, and what is kept of what it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import Node, NodeId, Span
from edge_lvr1.models.looking import caption_words, moments, query_words, said


@given(start=st.floats(0, 7200), length=st.floats(0.1, 600), count=st.integers(1, 64))
def test_moments_stand_evenly_within_the_span(start: float, length: float, count: int) -> None:
    span = Span(start, start + length)

    times_s = moments(span, count)

    assert len(times_s) == count
    assert all(span.contains(time_s) for time_s in times_s)
    assert times_s[0] - span.start_s == pytest.approx(span.end_s - times_s[-1], abs=1e-6)


def test_the_prompts_name_the_times_of_the_clip() -> None:
    node = Node(NodeId((1, 2, 3)), Span(6.25, 12.0))

    assert "16 frames" in caption_words(node, 16, 200)
    assert "from 6.2 s to 12.0 s" in caption_words(node, 16, 200)
    assert query_words(node, 16, "a\n red {car}?").endswith("Question: a red {car}?")


@pytest.mark.parametrize(
    ("text", "words", "kept"),
    [
        ("  A red car. ", 10, "A red car."),
        ("<think>hm, a car?</think>\nA red car.", 10, "A red car."),
        ("<think>never ends", 10, "never ends"),
        ("A car stops. A man gets out and", 6, "A car stops."),
        ("It is 6.3 m long. Then", 5, "It is 6.3 m long."),
        ("a b c d e", 3, "a b c"),
        ("", 3, ""),
    ],
)
def test_what_was_said_is_kept_within_its_words(text: str, words: int, kept: str) -> None:
    assert said(text, words) == kept
