"""Trees from caption files of LongVideo-R1's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_lvr1.domain import Level, NodeId, Span
from edge_lvr1.errors import DatasetError, NotFoundError
from edge_lvr1.evaluate.captions import CaptionFiles, read_tree
from edge_lvr1.evaluate.trees import stem
from edge_lvr1.navigator.conversation import Conversation
from tests.evaluate.made import TEXTS, caption_file, write_captions
from tests.navigator.written_trees import ScriptedAgent, ask, question


def written(tmp_path: Path, told: Any) -> Path:
    path = tmp_path / "tape.json"
    path.write_text(json.dumps(told), "utf-8")
    return path


def test_file_becomes_a_tree_of_its_width(tmp_path: Path) -> None:
    tree = read_tree(written(tmp_path, caption_file()))

    assert (tree.plan.width, tree.plan.duration_s, len(tree.plan.nodes)) == (2, 80.0, 14)
    assert [node.id for node in tree.plan.children(NodeId((1, 2)))] == [
        NodeId((1, 2, 1)),
        NodeId((1, 2, 2)),
    ]
    leaf = tree.caption(NodeId((1, 2, 2)))
    assert (leaf.text, leaf.span) == (TEXTS[3], Span(30.0, 40.0))
    assert tree.caption(NodeId((2,))).span == Span(40.0, 80.0)
    assert (tree.recording.camera, tree.recording.duration_s) == ("tape", 80.0)


def test_segment_lasts_until_the_next_begins(tmp_path: Path) -> None:
    told = caption_file()
    told["captions"][2][0]["frame_time"] = [0.0, 4.0, 8.0]  # sampled frames, not bounds
    told["captions"][2][1]["frame_time"] = [12.0]
    tree = read_tree(written(tmp_path, told))

    leaves = list(tree.plan.at(Level.LOW))
    assert [leaf.span for leaf in leaves[:3]] == [Span(0, 12), Span(12, 20), Span(20, 30)]


def test_counts_that_do_not_fit_the_width_are_refused(tmp_path: Path) -> None:
    told = caption_file()
    told["captions"][2].pop()
    with pytest.raises(
        DatasetError,
        match=r"tape\.json: a tree of width 2 has 2, 4 and 8 captions .* holds 2, 4 and 7",
    ):
        read_tree(written(tmp_path, told))


def with_leaf(**change: Any) -> dict[str, Any]:
    told = caption_file()
    told["captions"][2][2] |= change
    return told


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([], "one object"),
        ({"width": 2}, "'captions' should be three lists"),
        ({"width": 2, "captions": [[], []]}, "'captions' should be three lists"),
        ({**caption_file(), "width": "4"}, "'width' should be a number from 1 to 32"),
        ({**caption_file(), "width": 10**9}, "'width' should be a number"),
        (with_leaf(caption=None), "low caption 3: the field 'caption' should be text"),
        (with_leaf(frame_time=[]), "low caption 3: the field 'frame_time'"),
        (with_leaf(frame_time=[9, 3]), "low caption 3: the field 'frame_time'"),
        (with_leaf(frame_time=["a"]), "low caption 3: the field 'frame_time'"),
        (with_leaf(frame_time=[1.0, 2.0]), "low caption 3 begins before the one before it"),
    ],
)
def test_wrong_file_is_one_sentence_with_the_place(tmp_path: Path, told: Any, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        read_tree(written(tmp_path, told))


def test_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tape.json"
    path.write_text("{", "utf-8")
    with pytest.raises(DatasetError, match="cannot be read as a caption file"):
        read_tree(path)


def test_look_says_that_there_is_no_footage(tmp_path: Path) -> None:
    tree = read_tree(written(tmp_path, caption_file()))
    agent = ScriptedAgent().enqueue(
        "<tool>get_caption((1,2,1))</tool>",
        '<tool>video_qa((1,2,1), "which dog?")</tool>',
        "<answer>brown (1,2,1)</answer>",
    )

    _, steps = ask(agent, question("Which dog?"), tree)  # type: ignore[arg-type]

    assert "there is no footage beside these captions" in steps[1].observation
    with pytest.raises(NotFoundError, match="no node"):
        tree.caption(NodeId((3,)))


def test_tree_begins_a_conversation(tmp_path: Path) -> None:
    tree = read_tree(written(tmp_path, caption_file()))
    highs = [tree.caption(node.id) for node in tree.plan.at(Level.HIGH)]

    begun = Conversation.begin(question("Where?"), tree.plan.duration_s, highs)

    assert "High-level Caption 2 from 40.0 to 80.0: Two women" in begun.messages[1].content


def test_file_is_found_by_the_name_or_stem_of_its_video(tmp_path: Path) -> None:
    files = CaptionFiles(write_captions(tmp_path / "c", "tape", "cam.1"))

    assert [len(files.of(name)) for name in ("tape", "tape.mp4", "a/tape.mkv")] == [1, 1, 1]
    assert files.of("cam.1")[0].view.recording.camera == "cam.1"
    assert files.of("cam") == ()
    assert files.of("../c/tape")[0].view.recording.camera == "tape"
    assert files.digest("cam") == ""
    assert files.digest("tape") != files.digest("cam.1")


def test_only_a_videos_suffix_is_cut_off_its_name() -> None:
    assert [stem(name) for name in ("a.mp4", "x/a.b.MKV", "a.b", "v1.5", ".mp4")] == [
        "a",
        "a.b",
        "a.b",
        "v1.5",
        ".mp4",
    ]
