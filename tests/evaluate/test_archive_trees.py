"""Trees of videos from an archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_lvr1.domain import NodeId, Recording, Span
from edge_lvr1.errors import ModelError, NotFoundError
from edge_lvr1.evaluate.archive_trees import ArchiveTrees
from edge_lvr1.models.base import Captioner
from edge_lvr1.store.db import Archive
from edge_lvr1.store.trees import Trees
from tests.store.footage import add, caption


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    with Archive(tmp_path / "archive.db").open() as archive:
        yield Trees(archive)


def captioned(trees: Trees, name: str, leave: int = 0) -> Recording:
    recording = add(trees, sha256=name)
    nodes = trees.plan(recording.id).nodes
    for node in nodes[: len(nodes) - leave]:
        trees.put_caption(recording.id, caption(node, f"{name} {node.id}"))
    return recording


def no_captioner() -> Captioner:
    raise ModelError("no captioner here")


def test_recording_is_found_by_the_stem_of_its_file(trees: Trees) -> None:
    recording = captioned(trees, "gate1")
    source = ArchiveTrees(trees, no_captioner)

    (placed,) = source.of("gate1.mkv")
    assert placed.view.recording.id == recording.id
    assert placed.begins_s == 0.0
    assert placed.view.caption(NodeId((1, 2))).text == "gate1 (1,2)"
    assert source.of("gate") == ()


def test_recording_that_is_not_complete_is_not_there(trees: Trees) -> None:
    captioned(trees, "gate1", leave=1)

    assert ArchiveTrees(trees, no_captioner).of("gate1") == ()


def test_digest_follows_the_captions(trees: Trees) -> None:
    captioned(trees, "gate1")
    captioned(trees, "gate2")
    source = ArchiveTrees(trees, no_captioner)

    assert source.digest("gate1") == ArchiveTrees(trees, no_captioner).digest("gate1.mp4")
    assert source.digest("gate1") != source.digest("gate2")


def test_placed_spans_are_of_the_video(trees: Trees) -> None:
    captioned(trees, "gate1")
    (placed,) = ArchiveTrees(trees, no_captioner).of("gate1")

    assert placed.in_video(Span(1, 2)) == Span(1, 2)


def test_captioner_is_made_when_a_clip_is_looked_at(trees: Trees) -> None:
    captioned(trees, "gate1")
    (placed,) = ArchiveTrees(trees, no_captioner).of("gate1")

    with pytest.raises(ModelError, match="no captioner here"):
        placed.view.video_qa(NodeId((1, 1, 1)), "who?")
    with pytest.raises(NotFoundError, match="no node"):
        placed.view.video_qa(NodeId((9, 9, 9)), "who?")
