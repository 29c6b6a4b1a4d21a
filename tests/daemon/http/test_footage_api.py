"""Recordings, trees, pictures, clips and search over HTTP."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest
from PIL import Image

from edge_lvr1.daemon.context import Context
from edge_lvr1.domain import Recording
from tests.daemon.asgi import Http
from tests.daemon.conftest import DURATION_S, store
from tests.media_files import steady, video


def test_recording_is_told_with_how_far_its_tree_is(
    http: Http, recording: Recording, footage: Path
) -> None:
    (listed,) = http.get("/v1/recordings").json()["recordings"]

    assert listed == http.get(f"/v1/recordings/{recording.id}").json()
    assert listed == {
        "id": recording.id,
        "camera": "yard",
        "starts_at": "2026-03-14T09:30:00+01:00",
        "ends_at": "2026-03-14T09:30:16+01:00",
        "start_source": "file name",
        "confidence": "likely",
        "duration_s": DURATION_S,
        "width": 2,
        "captioner": "fake",
        "nodes": 14,
        "captions": 14,
        "calls_made": 14,
        "calls_saved": 0,
        "state": "queued",
        "reason": "",
        "remark": "",
        "queryable": True,
        "complete": True,
        "files": [str(footage)],
        "hold": None,
    }


def test_tree_is_told_in_order_of_node_ids(http: Http, recording: Recording) -> None:
    tree = http.get(f"/v1/recordings/{recording.id}/tree").json()

    nodes = tree.pop("nodes")
    assert tree == {
        "recording": recording.id,
        "duration_s": DURATION_S,
        "width": 2,
        "captioner": "fake",
    }
    assert [node["node"] for node in nodes[:5]] == ["(1)", "(1,1)", "(1,1,1)", "(1,1,2)", "(1,2)"]
    assert nodes[2] == {
        "node": "(1,1,1)",
        "level": "low",
        "start_s": 0.0,
        "end_s": 2.0,
        "caption": "A lorry is seen in (1,1,1).",
        "written_by": "fake 1",
        "inherits": None,
    }


def test_node_without_caption_is_told_as_null(http: Http, context: Context, footage: Path) -> None:
    bare = store(context, footage, captioned=False)

    nodes = http.get(f"/v1/recordings/{bare.id}/tree").json()["nodes"]

    assert {(node["caption"], node["written_by"]) for node in nodes} == {(None, None)}


@pytest.mark.parametrize("path", ["", "/tree", "/thumbnail?time_s=1", "/clip?start_s=0&end_s=1"])
def test_recording_that_is_not_there_is_404(http: Http, path: str) -> None:
    response = http.get(f"/v1/recordings/7{path}")

    assert response.status_code == 404
    assert "no recording 7" in response.json()["error"]


def test_thumbnail_is_a_jpeg_of_the_moment(http: Http, recording: Recording) -> None:
    response = http.get(f"/v1/recordings/{recording.id}/thumbnail", params={"time_s": 3.0})

    picture = Image.open(io.BytesIO(response.content))
    assert response.headers["content-type"] == "image/jpeg"
    assert (picture.format, picture.size) == ("JPEG", (160, 96))


@pytest.mark.parametrize("time_s", ["-1", "16", "NaN", "inf", "x", ""])
def test_thumbnail_outside_the_recording_is_refused(
    http: Http, recording: Recording, time_s: str
) -> None:
    response = http.get(f"/v1/recordings/{recording.id}/thumbnail?time_s={time_s}")

    assert response.status_code == 422
    assert "time_s" in response.json()["error"]


@pytest.mark.parametrize(
    ("exact", "most"), [("false", 31), ("true", 20)], ids=["from a keyframe", "exact"]
)
def test_clip_is_an_mp4_of_the_span(
    http: Http, recording: Recording, exact: str, most: int
) -> None:
    query = {"start_s": 4.2, "end_s": 8.2, "exact": exact}

    response = http.get(f"/v1/recordings/{recording.id}/clip", params=query)

    with av.open(io.BytesIO(response.content)) as clip:
        frames = sum(1 for _ in clip.decode(video=0))
    assert response.headers["content-type"] == "video/mp4"
    assert 20 <= frames <= most


@pytest.mark.parametrize(
    "query", ["start_s=5&end_s=5", "start_s=5&end_s=4", "start_s=99&end_s=100"]
)
def test_clip_of_no_footage_is_refused(http: Http, recording: Recording, query: str) -> None:
    response = http.get(f"/v1/recordings/{recording.id}/clip?{query}")

    assert response.status_code == 422
    assert "_s must be less than" in response.json()["error"]


@pytest.mark.parametrize("path", ["thumbnail?time_s=1", "clip?start_s=0&end_s=1"])
def test_footage_whose_file_is_gone_is_told(
    http: Http, context: Context, tmp_path: Path, path: str
) -> None:
    gone = video(tmp_path / "gone.mp4", steady(10))
    recording = store(context, gone)
    gone.unlink()

    response = http.get(f"/v1/recordings/{recording.id}/{path}")

    assert response.status_code in (404, 409)
    assert "gone.mp4" in response.json()["error"]


def test_search_finds_captions_within_a_scope(http: Http, context: Context, footage: Path) -> None:
    yard, gate = store(context, footage, "yard"), store(context, footage, "gate")

    everywhere = http.get("/v1/search", params={"q": "lorry", "limit": 100}).json()["hits"]
    at_gate = http.get("/v1/search", params={"q": "lorry", "camera": "gate"}).json()["hits"]
    early = http.get(
        "/v1/search", params={"q": "lorry", "until": "2026-03-14T09:30:01+01:00", "limit": 100}
    ).json()["hits"]

    assert {hit["recording"] for hit in everywhere} == {yard.id, gate.id}
    assert {hit["camera"] for hit in at_gate} == {"gate"}
    assert {hit["start_s"] for hit in early} == {0.0}


def test_search_words_are_never_syntax(http: Http, recording: Recording) -> None:
    for words in ('"', "lorry AND (", "text:lorry*", "NEAR(a b)", "lorry'); DROP TABLE nodes"):
        assert http.get("/v1/search", params={"q": words}).status_code == 200


@pytest.mark.parametrize("query", ["", "q=", "q=%20", "q=a&limit=0", "q=a&since=x"])
def test_search_without_sense_is_refused(http: Http, query: str) -> None:
    assert http.get(f"/v1/search?{query}").status_code == 422
