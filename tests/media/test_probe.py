import os
from datetime import datetime, timezone
from pathlib import Path

import av
import pytest

from edge_lvr1.errors import MediaError, NoVideoError
from edge_lvr1.media.probe import probe
from tests import media_files

CLIPS = Path(__file__).resolve().parents[2] / ".." / "shared" / "footage"


def test_an_ordinary_file_is_described(tmp_path: Path) -> None:
    path = media_files.video(
        tmp_path / "a.mp4", audio_s=3.0, metadata={"creation_time": "2024-05-06T07:08:09Z"}
    )

    found = probe(path)

    assert found.path == path
    assert "mp4" in found.container
    assert found.codec == "h264"
    assert (found.width_px, found.height_px, found.rotation) == (160, 96, 0)
    assert found.fps == pytest.approx(25)
    assert found.duration_s == pytest.approx(4.0)
    assert found.first_pts_s == 0
    assert found.keyframe_s == pytest.approx(1.0)
    assert found.created_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
    assert (found.audio_tracks, found.subtitle_tracks) == (1, 0)


def test_sound_and_subtitle_tracks_are_counted(tmp_path: Path) -> None:
    found = probe(media_files.with_subtitles(tmp_path / "a.mkv", tmp_path))

    assert (found.audio_tracks, found.subtitle_tracks) == (1, 1)


def test_a_transport_stream_counts_from_its_first_picture(tmp_path: Path) -> None:
    found = probe(media_files.transport_stream(tmp_path / "a.ts", start_s=27.0))

    assert found.first_pts_s == pytest.approx(27.0, abs=0.01)
    assert found.duration_s == pytest.approx(4.0)
    assert found.keyframe_s == pytest.approx(1.0)


def test_raw_h264_is_measured_by_counting(tmp_path: Path) -> None:
    found = probe(media_files.raw_h264(tmp_path / "a.h264"))

    assert found.fps == pytest.approx(25)
    assert found.duration_s == pytest.approx(4.0)
    assert found.keyframe_s is None


def test_variable_rate_is_measured_by_times(tmp_path: Path) -> None:
    path, times = media_files.uneven(tmp_path / "a.mp4")

    assert probe(path).duration_s == pytest.approx(times[-1], abs=0.05)


def test_the_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mkv").rename(tmp_path / "a.txt")

    assert probe(path).duration_s == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("degrees", "size_px"), [(0, (160, 96)), (90, (96, 160)), (180, (160, 96)), (270, (96, 160))]
)
def test_sizes_are_those_of_the_upright_picture(
    tmp_path: Path, degrees: int, size_px: tuple[int, int]
) -> None:
    found = probe(media_files.rotated(tmp_path / "a.mp4", degrees))

    assert (found.width_px, found.height_px) == size_px
    assert found.rotation == -degrees % 360


@pytest.mark.parametrize("keep", [0.45, 0.6, 0.8])
def test_a_truncated_mp4_is_as_long_as_what_decodes(tmp_path: Path, keep: float) -> None:
    path = media_files.truncated_mp4(tmp_path / "a.mp4", keep)

    assert probe(path).duration_s == pytest.approx(last_decoded_s(path), abs=0.09)
    assert probe(path).duration_s < 7.0


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.8])
def test_a_truncated_mkv_is_as_long_as_what_decodes(tmp_path: Path, keep: float) -> None:
    path = media_files.truncated_mkv(tmp_path / "a.mkv", keep)

    assert probe(path).duration_s == pytest.approx(last_decoded_s(path), abs=0.09)
    assert probe(path).duration_s < 7.0


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_a_stated_duration_is_not_believed(tmp_path: Path, factor: float) -> None:
    path = media_files.lying_duration(tmp_path / "a.mp4", factor)

    assert probe(path).duration_s == pytest.approx(4.0)


def test_a_tail_of_rot_is_not_counted(tmp_path: Path) -> None:
    path = media_files.video(
        tmp_path / "a.mp4", media_files.steady(200), muxing={"movflags": "faststart"}
    )
    media_files.rot_all(path, after=0.5)

    assert 3.0 < probe(path).duration_s < 6.0


@pytest.mark.parametrize("spoken", ["1970-01-01T00:00:00Z", "1904-01-01T00:00:00Z", "yesterday"])
def test_a_creation_time_that_means_nothing_is_absent(tmp_path: Path, spoken: str) -> None:
    path = media_files.video(tmp_path / "a.mkv", metadata={"creation_time": spoken})

    assert probe(path).created_at is None


def test_metadata_that_is_not_text_does_no_harm(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mkv", metadata={"title": "QQQQQQQQ"})
    path.write_bytes(path.read_bytes().replace(b"QQQQQQQQ", b"\xff\xfe\x80\xc0QQQQ"))

    assert probe(path).duration_s == pytest.approx(4.0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    expect(MediaError, tmp_path / "a.mp4", "there is no file")


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()

    expect(MediaError, path, "is empty")


def test_text_is_called_text(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("not a film, alas: größer\n" * 300, "utf-8")

    expect(MediaError, path, "is text")


def test_a_folder_is_called_a_folder(tmp_path: Path) -> None:
    expect(MediaError, tmp_path, "is a folder")


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    os.mkfifo(path)

    expect(MediaError, path, "pipe")


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mp4")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")

    expect(MediaError, path, "permissions")


def test_noise_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(range(256)) * 300)

    expect(MediaError, path, "damaged")


def test_an_mp4_that_was_broken_off_says_that_its_index_is_missing(tmp_path: Path) -> None:
    expect(MediaError, media_files.without_moov(tmp_path / "a.mp4"), "without its index")


def test_a_file_with_only_rot_says_that_nothing_decodes(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mp4")
    media_files.rot_all(path)

    expect(MediaError, path, "decode")


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    expect(NoVideoError, media_files.audio_only(tmp_path / "a.m4a"), "only sound")


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    expect(NoVideoError, media_files.cover_art_only(tmp_path / "a.mp3"), "cover picture")


def test_pictures_of_absurd_size_are_refused(tmp_path: Path) -> None:
    path = media_files.video(
        tmp_path / "a.mkv",
        media_files.steady(2),
        codec="mjpeg",
        pix_fmt="yuvj420p",
        size_px=(20000, 16),
    )

    expect(MediaError, path, "20000 x 16")


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile '{target}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{target}\n#EXT-X-ENDLIST\n",
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".ffconcat"])
def test_a_list_that_names_another_file_is_not_followed(
    tmp_path: Path, playlist: str, suffix: str
) -> None:
    target = media_files.transport_stream(tmp_path / "target.ts")
    path = tmp_path / f"list{suffix}"
    path.write_text(playlist.format(target=target.name), "utf-8")

    expect(MediaError, path, "is text")


def test_a_name_that_looks_like_an_address_is_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media_files.video(tmp_path / "a.mp4").rename(tmp_path / "concat:b|c.mp4")
    monkeypatch.chdir(tmp_path)

    assert probe(Path("concat:b|c.mp4")).duration_s == pytest.approx(4.0)


@pytest.mark.footage
@pytest.mark.parametrize(
    ("name", "duration_s", "fps"),
    [
        ("bottle.mp4", 39.9, 29.8),
        ("car-detection.mp4", 30.16, 12.5),
        ("one-by-one-person.mp4", 139.4, 10),
    ],
)
def test_real_clips_are_described(name: str, duration_s: float, fps: float) -> None:
    path = CLIPS / name
    if not path.is_file():
        pytest.skip(f"{name} is not beside the project")

    found = probe(path)

    assert found.duration_s == pytest.approx(duration_s, abs=0.1)
    assert found.fps == pytest.approx(fps, abs=0.1)


def expect(kind: type[MediaError], path: Path, says: str) -> None:
    """The one clear sentence: what is wrong, in which file, on one line."""
    with pytest.raises(kind) as caught:
        probe(path)
    sentence = str(caught.value)
    assert says in sentence
    assert path.name in sentence
    assert "\n" not in sentence
    assert isinstance(caught.value, kind)


def last_decoded_s(path: Path) -> float:
    last_s = 0.0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                for frame in packet.decode():
                    last_s = max(last_s, frame.time)
            except av.error.InvalidDataError:
                continue
    return last_s
