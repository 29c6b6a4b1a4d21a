from pathlib import Path

import av
import numpy as np
import pytest

from edge_lvr1.domain import Span
from edge_lvr1.errors import MediaError
from edge_lvr1.media.frames import Footage
from edge_lvr1.media.probe import probe
from tests import media_files
from tests.media.test_frames import CLIPS, footage


def shown(path: Path) -> list[tuple[float, int]]:
    """Time and number of every frame of a clip."""
    recording = footage(path)
    frames = recording.shown(Span(0.0, recording.duration_s))
    return [(round(frame.time_s, 3), media_files.number_in(frame.image)) for frame in frames]


@pytest.mark.parametrize("source", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("out", ["clip.mp4", "clip.mkv"])
def test_a_copy_begins_at_the_keyframe_before(tmp_path: Path, source: str, out: str) -> None:
    make = media_files.transport_stream if source == "a.ts" else media_files.video
    recording = footage(make(tmp_path / source))

    recording.cut(Span(1.5, 2.5), tmp_path / out)

    frames = shown(tmp_path / out)
    assert frames[0] == (0.0, 25)
    assert [number for _, number in frames][:37] == list(range(25, 62))
    assert len(frames) <= 42
    for time_s, number in frames:
        assert time_s == pytest.approx((number - 25) * 0.04, abs=0.002)


@pytest.mark.parametrize("source", ["a.mp4", "a.ts", "a.h264"])
def test_an_exact_clip_is_the_very_span(tmp_path: Path, source: str) -> None:
    make = {
        "a.mp4": media_files.video,
        "a.ts": media_files.transport_stream,
        "a.h264": media_files.raw_h264,
    }[source]
    recording = footage(make(tmp_path / source))

    recording.cut(Span(1.5, 2.5), tmp_path / "clip.mp4", exact=True)

    numbers = [number for _, number in shown(tmp_path / "clip.mp4")]
    assert numbers == list(range(37, 63))
    assert probe(tmp_path / "clip.mp4").duration_s == pytest.approx(1.0, abs=0.05)


def test_a_copy_runs_over_parts_of_one_kind(tmp_path: Path) -> None:
    parts = [
        media_files.video(
            tmp_path / f"{index}.mp4", media_files.steady(50), first_number=50 * index
        )
        for index in range(3)
    ]

    footage(*parts).cut(Span(1.2, 4.5), tmp_path / "clip.mp4")

    frames = shown(tmp_path / "clip.mp4")
    assert [number for _, number in frames][:87] == list(range(25, 112))
    assert frames[85][0] == pytest.approx(3.4, abs=0.01)


def test_parts_of_different_kinds_are_encoded(tmp_path: Path) -> None:
    parts = (
        media_files.video(tmp_path / "a.mp4", media_files.steady(50)),
        media_files.video(
            tmp_path / "b.mp4", media_files.steady(50), size_px=(320, 192), first_number=50
        ),
    )

    footage(*parts).cut(Span(1.6, 2.4), tmp_path / "clip.mp4")

    numbers = [number for _, number in shown(tmp_path / "clip.mp4")]
    assert numbers == list(range(40, 60))


def test_raw_h264_which_cannot_be_copied_is_encoded(tmp_path: Path) -> None:
    recording = footage(media_files.raw_h264(tmp_path / "a.h264"))

    recording.cut(Span(1.0, 2.0), tmp_path / "clip.mp4")

    assert [number for _, number in shown(tmp_path / "clip.mp4")] == list(range(25, 50))


@pytest.mark.parametrize("exact", [False, True])
def test_a_clip_of_rotated_footage_is_upright(tmp_path: Path, exact: bool) -> None:
    recording = footage(media_files.rotated(tmp_path / "a.mp4", 90, frames=50))

    recording.cut(Span(0.4, 1.0), tmp_path / "clip.mp4", exact)

    (frame,) = footage(tmp_path / "clip.mp4").at([0.0])
    assert frame.image.shape == (160, 96, 3)
    assert media_files.number_in(np.rot90(frame.image)) == (10 if exact else 0)


def test_odd_sizes_are_encoded(tmp_path: Path) -> None:
    path = media_files.video(
        tmp_path / "a.mkv", media_files.steady(10), codec="ffv1", size_px=(161, 97)
    )

    footage(path).cut(Span(0.0, 0.4), tmp_path / "clip.mp4", exact=True)

    assert probe(tmp_path / "clip.mp4").width_px == 160


def test_what_the_clip_s_container_does_not_take_is_encoded(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.avi", codec="ffv1")

    footage(path).cut(Span(1.0, 2.0), tmp_path / "clip.mp4")

    assert shown(tmp_path / "clip.mp4")[0][1] == 25


@pytest.mark.parametrize("exact", [False, True])
def test_variable_rate_keeps_its_times(tmp_path: Path, exact: bool) -> None:
    path, times = media_files.uneven(tmp_path / "a.mp4")
    start_s = times[60] + 0.001

    footage(path).cut(Span(start_s, times[80]), tmp_path / "clip.mkv", exact)

    frames = shown(tmp_path / "clip.mkv")
    first = frames[0][1]
    origin_s = start_s if exact else times[first]
    assert first == 60 if exact else first <= 60
    for time_s, number in frames[1:]:
        assert time_s == pytest.approx(times[number] - origin_s, abs=0.002)


@pytest.mark.parametrize("span", [Span(10.0, 12.0), Span(2.0, 2.0), Span(-3.0, -1.0)])
@pytest.mark.parametrize("exact", [False, True])
def test_a_span_outside_the_recording_is_refused(tmp_path: Path, span: Span, exact: bool) -> None:
    recording = footage(media_files.video(tmp_path / "a.mp4"))

    with pytest.raises(MediaError, match=r"runs from 0\.0 to 4\.0 s"):
        recording.cut(span, tmp_path / "clip.mp4", exact)

    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_a_span_that_runs_over_the_end_is_cut_there(tmp_path: Path) -> None:
    recording = footage(media_files.video(tmp_path / "a.mp4"))

    recording.cut(Span(3.2, 9.0), tmp_path / "clip.mp4", exact=True)

    assert probe(tmp_path / "clip.mp4").duration_s == pytest.approx(0.8, abs=0.05)


def test_a_part_that_has_gone_is_reported_and_leaves_no_half_clip(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mp4")
    recording = footage(path)
    path.unlink()

    with pytest.raises(MediaError, match="there is no file"):
        recording.cut(Span(0.0, 1.0), tmp_path / "clip.mp4")

    assert list(tmp_path.iterdir()) == []


def test_an_earlier_clip_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mp4")
    recording = footage(path)
    out = tmp_path / "clip.mp4"
    out.write_bytes(b"earlier")
    path.unlink()

    with pytest.raises(MediaError):
        recording.cut(Span(0.0, 1.0), out, exact=True)

    assert out.read_bytes() == b"earlier"


def test_a_clip_never_takes_the_place_of_the_footage(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mp4")
    before = path.read_bytes()

    with pytest.raises(MediaError, match="choose another name"):
        footage(path).cut(Span(0.0, 1.0), path)

    assert path.read_bytes() == before


@pytest.mark.parametrize(("name", "says"), [("clip.exe", "mp4"), ("gone/clip.mp4", "no folder")])
def test_a_name_that_cannot_be_written_is_refused(tmp_path: Path, name: str, says: str) -> None:
    recording = footage(media_files.video(tmp_path / "a.mp4"))

    with pytest.raises(MediaError, match=says):
        recording.cut(Span(0.0, 1.0), tmp_path / name)


def test_an_empty_recording_has_nothing_to_cut(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="nothing to cut"):
        Footage([]).cut(Span(0.0, 1.0), tmp_path / "clip.mp4")


@pytest.mark.footage
@pytest.mark.parametrize("exact", [False, True])
def test_a_real_clip_is_cut(tmp_path: Path, exact: bool) -> None:
    path = CLIPS / "bottle.mp4"
    if not path.is_file():
        pytest.skip("bottle.mp4 is not beside the project")
    recording = footage(path)

    recording.cut(Span(10.0, 12.0), tmp_path / "clip.mp4", exact)

    begins_s = 10.0 if exact else 8.38
    found = probe(tmp_path / "clip.mp4")
    assert found.duration_s == pytest.approx(12.0 - begins_s, abs=0.2)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    (original,) = recording.at([begins_s])
    assert np.abs(first.astype(int) - original.image).mean() < 3
