from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import Caption, Node, NodeId, Span
from edge_lvr1.errors import ModelError
from edge_lvr1.media.frames import Footage
from edge_lvr1.models.base import Clip
from edge_lvr1.models.embedded.vision import notes as memory
from edge_lvr1.models.embedded.vision.captioner import EmbeddedCaptioner
from edge_lvr1.models.embedded.wording import read
from tests.models.embedded.vision.drawn import person, yard

NOWHERE = Footage([])  # captions from notes must not decode
DURATION_S = 60.0

times = st.integers(0, round(DURATION_S * 100)).map(lambda n: n / 100)
places = st.integers(0, 1000).map(lambda n: n / 1000)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    moments = sorted(draw(st.lists(times, min_size=2, max_size=6, unique=True)))
    still = draw(st.lists(st.sampled_from(moments), max_size=4, unique=True).map(sorted))
    stays = draw(st.booleans()) and moments[-1] == DURATION_S
    return {
        "kind": draw(st.sampled_from("PVM")),
        "from_s": moments[0],
        "to_s": moments[-1],
        "colours": draw(st.lists(st.sampled_from(["red", "light blue", "grey"]), max_size=2)),
        "size": draw(st.sampled_from(["small", "medium", "large"])),
        "enters": draw(st.sampled_from([None, "left", "bottom"])),
        "leaves": None if stays else draw(st.sampled_from([None, "right", "top"])),
        "rests": draw(st.booleans()) and not stays,
        "stays": stays,
        "early": moments[0] == 0.0,
        "still": [list(pair) for pair in zip(still[::2], still[1::2], strict=False)],
        "path": [[moment, draw(places), draw(places)] for moment in moments],
    }


@st.composite
def recordings(draw: st.DrawFn) -> dict[str, Any]:
    what = st.sampled_from(["dims", "brightens", "cut", "camera"])
    return {
        "format": memory.FORMAT,
        "until_s": DURATION_S,
        "done": True,
        "records": draw(st.lists(records(), max_size=6)),
        "events": draw(st.lists(st.tuples(times, what).map(list), max_size=4)),
        "full_s": draw(st.one_of(st.none(), times)),
        "watch": {},
    }


edges = st.lists(times, min_size=1, max_size=5, unique=True).map(sorted)


def caption(captioner: EmbeddedCaptioner, node: Node, notes: dict[str, Any]) -> Caption:
    written = captioner.caption(Clip(NOWHERE, node, notes))
    details = json.loads(json.dumps(written.details))
    return Caption(node.id, node.span, written.text, "embedded", "1", details=details)


@given(recordings(), edges)
def test_folding_children_says_what_the_parents_span_says(
    notes: dict[str, Any], cuts: list[float]
) -> None:
    captioner = EmbeddedCaptioner()
    bounds = sorted({0.0, *cuts, DURATION_S})
    parent = Node(NodeId((1, 1)), Span(0.0, DURATION_S))
    children = [
        caption(captioner, Node(NodeId((1, 1, n)), Span(a, b)), notes)
        for n, (a, b) in enumerate(pairwise(bounds), start=1)
    ]

    folded = captioner.fold(parent, children)

    looked = captioner.caption(Clip(NOWHERE, parent, notes))
    assert folded is not None
    assert folded.text == looked.text
    assert read(folded.text).tallies == read(looked.text).tallies


@given(recordings(), edges)
def test_a_leaf_tells_or_names_everything_in_it(notes: dict[str, Any], cuts: list[float]) -> None:
    bounds = sorted({0.0, *cuts, DURATION_S})
    for a, b in pairwise(bounds):
        leaf = Node(NodeId((1, 1, 1)), Span(a, b))
        written = caption(EmbeddedCaptioner(words_low=10_000), leaf, notes)
        inside = [r for r in notes["records"] if r["from_s"] < b and r["to_s"] > a]

        assert written.details is not None
        assert len(written.details["pieces"]) == len(inside)
        assert all(piece["label"] in written.text for piece in written.details["pieces"])


def test_a_parent_of_another_captioners_children_is_looked_at() -> None:
    child = Caption(NodeId((1, 1)), Span(0, 5), "a street", "server", "1")

    assert EmbeddedCaptioner().fold(Node(NodeId((1,)), Span(0, 5)), [child]) is None


def test_many_small_windows_resumed_end_like_an_uninterrupted_watch(tmp_path: Path) -> None:
    footage = yard(tmp_path / "walk.mp4", 24.0, person(Span(3, 20), Span(8, 14)))
    captioner = EmbeddedCaptioner(window_s=5.0)
    uninterrupted = [json.dumps(notes) for notes in captioner.watch(footage, None)]

    notes = json.loads(uninterrupted[0])
    while not notes["done"]:  # killed and started again after every window
        notes = json.loads(json.dumps(next(iter(captioner.watch(footage, notes)))))

    assert len(uninterrupted) == 5
    assert json.dumps(notes) == uninterrupted[-1]
    assert [record["kind"] for record in notes["records"]] == ["P"]


def test_foreign_notes_are_refused_in_one_sentence() -> None:
    clip = Clip(NOWHERE, Node(NodeId((1,)), Span(0, 5)), {"format": 99})

    with pytest.raises(ModelError, match="ingest the recording again"):
        EmbeddedCaptioner().caption(clip)


def test_a_place_between_two_path_points_is_between_them() -> None:
    path = [[10.0, 0.2, 0.5], [12.0, 0.4, 0.7]]

    assert memory.place(path, 11.0) == pytest.approx([0.3, 0.6])
    assert memory.place(path, 5.0) == [0.2, 0.5]
    assert memory.place(path, 15.0) == [0.4, 0.7]
