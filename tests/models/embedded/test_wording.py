from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import Span
from edge_lvr1.models.embedded import wording
from edge_lvr1.models.embedded.retrieval.evidence import is_account
from edge_lvr1.models.embedded.wording import (
    EVENTS,
    HEADINGS,
    NOTHING_SEEN,
    SIDES,
    Kind,
    SceneEvent,
    Sighting,
    read,
    tallies,
    write,
)

times = st.integers(0, 72_000).map(lambda n: n / 10)
spans = st.tuples(times, st.integers(6, 900)).map(
    lambda pair: Span(pair[0], round(pair[0] + pair[1] / 10, 1))
)
colours = st.lists(st.sampled_from(["red", "light blue", "grey"]), max_size=2, unique=True)


@st.composite
def sightings(draw: st.DrawFn) -> Sighting:
    kind = draw(st.sampled_from(list(Kind)))
    seen = draw(spans)
    before, after, rests = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    sides = st.sampled_from([None, *SIDES])
    dx, dy = draw(st.sampled_from([(0.0, 0.0), *HEADINGS.values()]))
    return Sighting(
        label=f"{kind.letter}{draw(st.integers(1, 999))}",
        kind=kind,
        seen=seen,
        colours=tuple(draw(colours)),
        size=draw(st.sampled_from(["small", "medium", "large"])),
        before=before,
        after=after,
        enters=None if before else draw(sides),
        leaves=None if after or rests else draw(sides),
        rests=rests and not after,
        dx=dx,
        dy=dy,
        still=draw(st.none() | st.just(seen)),
    )


several = st.lists(sightings(), max_size=6, unique_by=lambda s: s.label)
events = st.lists(st.builds(SceneEvent, times, st.sampled_from(sorted(EVENTS))), max_size=3)


@given(several, events)
def test_what_is_written_is_read_back(told: list[Sighting], happened: list[SceneEvent]) -> None:
    account = read(write(told, happened, max_words=10_000, tally=True))

    assert list(account.sightings) == told
    assert list(account.events) == happened
    assert [(t.kind, t.labels, t.seen, t.at_once) for t in account.tallies] == [
        (t.kind, t.labels, t.seen, t.at_once) for t in tallies(told)
    ]


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    account = read(text)

    assert len(account.sightings) <= len(text)


@given(several.filter(bool), st.integers(1, 60))
def test_what_does_not_fit_is_counted_and_not_lost(told: list[Sighting], words: int) -> None:
    text = write(told, [], max_words=words, tally=True)

    account = read(text)
    left_out = len(told) - len(account.sightings)
    assert sum(len(t.labels) for t in account.tallies) == len(told)
    assert (f"{left_out} more" in text) == (left_out > 0)


def test_nothing_seen_is_not_nobody() -> None:
    assert write([], [], max_words=100, tally=False) == NOTHING_SEEN
    assert "nobody" not in NOTHING_SEEN.lower()


def test_a_glimpse_at_the_edge_of_a_leaf_is_named_but_not_described() -> None:
    foot = Sighting("P4", Kind.PERSON, Span(87.1, 87.4), before=True, leaves="right")

    assert write([foot], [], max_words=100, tally=False) == "P4 is glimpsed from 87.1 to 87.4 s."
    assert "person-like" in write([foot], [], max_words=100, tally=True)


def test_a_short_appearance_inside_a_leaf_is_described() -> None:
    bird = Sighting("M1", Kind.OTHER, Span(5.0, 5.3), enters="top", leaves="right")

    assert read(write([bird], [], max_words=100, tally=False)).sightings == (bird,)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_sentence_names_only_the_kind_that_was_seen(kind: Kind) -> None:
    text = write([Sighting(f"{kind.letter}1", kind, Span(1, 9))], [], max_words=99, tally=True)

    assert [other for other in Kind if other.value in text] == [kind]


def test_a_caption_of_glimpses_alone_is_known_as_the_captioners() -> None:
    edge = Sighting("V1", Kind.VEHICLE, Span(20.0, 20.2), before=True, size="large")
    caption = wording.write([edge], [], max_words=50, tally=False)

    assert wording.only_glimpses(caption)
    assert is_account(caption)
    assert not wording.only_glimpses(f"{caption} A man runs.")
    assert not is_account("V1 is a rocket.")
