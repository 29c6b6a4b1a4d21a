"""One suite over every decoder: in this process, and in child processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import Cancelled, MediaError, NoVideoError
from edge_lvr1.media.children import Children
from edge_lvr1.media.decoder import HERE, Decoder, Here
from edge_lvr1.media.frames import Footage
from edge_lvr1.media.measure import Sample
from edge_lvr1.media.probe import probe
from edge_lvr1.media.reading import Wanted
from edge_lvr1.media.survey import Picture
from tests import media_files


@pytest.fixture(scope="module", params=["here", "children"])
def decoder(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    made: Decoder = Here() if request.param == "here" else Children(timeout_s=60.0)
    yield made
    made.close()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Part]:
    """Three parts end to end, numbered from 0 to 249 at 25 a second."""
    folder = tmp_path_factory.mktemp("decoders")
    paths = (
        media_files.video(folder / "a.mp4", media_files.steady(50)),
        media_files.transport_stream(folder / "b.ts", first_number=50),
        media_files.raw_h264(folder / "c.h264", first_number=150),
    )
    offsets_s = (0.0, 2.0, 6.0)
    return [
        Part(str(path), offset_s, probe(path).duration_s, path.stat().st_size, 0, "")
        for path, offset_s in zip(paths, offsets_s, strict=True)
    ]


def test_a_probe_tells_all_of_a_file(decoder: Decoder, tmp_path: Path) -> None:
    path = media_files.rotated(tmp_path / "a.mp4", 90)
    dated = media_files.video(
        tmp_path / "b.mp4", metadata={"creation_time": "2024-05-01T10:00:00Z"}, audio_s=1.0
    )

    assert decoder.probe(path) == probe(path)
    assert decoder.probe(dated) == probe(dated)
    assert decoder.probe(dated).created_at is not None


def test_what_cannot_be_read_is_told_in_the_same_words(decoder: Decoder, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video\n")
    media_files.audio_only(tmp_path / "sound.m4a")

    for name, kind in (("text.mp4", MediaError), ("gone.mp4", MediaError)):
        with pytest.raises(kind) as told:
            decoder.probe(tmp_path / name)
        with pytest.raises(kind) as known:
            probe(tmp_path / name)
        assert str(told.value) == str(known.value)
    with pytest.raises(NoVideoError, match="only sound"):
        decoder.probe(tmp_path / "sound.m4a")


def test_frames_come_over_part_borders_at_their_times(decoder: Decoder, parts: list[Part]) -> None:
    frames = list(Footage(parts, decoder).every(0.2, Span(0.0, 100.0)))

    assert [frame.time_s for frame in frames] == [index * 0.2 for index in range(50)]
    assert media_files.numbers(frame.image for frame in frames) == list(range(0, 250, 5))


def test_frames_are_the_same_whoever_decodes(decoder: Decoder, parts: list[Part]) -> None:
    times_s = [0.0, 0.02, 0.5, 1.99, 2.0, 3.7, 9.9, 500.0]
    for side_px, tolerance_s in ((None, 0.0), (64, 0.0), (100, 5.0)):
        ours = list(Footage(parts, decoder).at(times_s, side_px, tolerance_s))
        known = list(Footage(parts, HERE).at(times_s, side_px, tolerance_s))

        assert [frame.time_s for frame in ours] == times_s
        for one, other in zip(ours, known, strict=True):
            assert np.array_equal(one.image, other.image)


def test_images_are_arrays_of_their_own_that_may_be_written_to(
    decoder: Decoder, parts: list[Part]
) -> None:
    frames = list(Footage(parts, decoder).shown(Span(0.0, 2.0)))
    kept = [frame.image.copy() for frame in frames]

    frames[0].image[:] = 7

    assert all(np.array_equal(a.image, b) for a, b in zip(frames[1:], kept[1:], strict=True))
    assert frames[1].image.flags["C_CONTIGUOUS"]
    assert frames[1].image.dtype == np.uint8


def test_shown_gives_every_frame_at_its_own_time(decoder: Decoder, parts: list[Part]) -> None:
    frames = list(Footage(parts, decoder).shown(Span(1.5, 2.5)))

    assert media_files.numbers(frame.image for frame in frames) == list(range(38, 63))
    assert frames[0].time_s == pytest.approx(1.52)


def test_many_requests_come_from_one_plan_each_when_it_is_complete(
    decoder: Decoder, parts: list[Part]
) -> None:
    wanted = [
        Wanted((0.0, 5.0, 9.0), 80),
        Wanted((0.2, 0.4)),
        Wanted(()),
        Wanted((0.4, 1.0, 3.0), 80, 4.0),
    ]

    given = list(Footage(parts, decoder).gather(wanted))

    assert [index for index, _ in given] == [2, 1, 3, 0]
    found = dict(given)
    assert [f.time_s for f in found[0]] == [0.0, 5.0, 9.0]
    assert media_files.numbers(f.image for f in found[0]) == [0, 125, 225]
    assert media_files.numbers(f.image for f in found[1]) == [5, 10]
    assert found[1][1].image.shape[1] == 160
    assert found[3][0].image.shape[1] == 80


def test_no_parts_and_no_times_give_nothing(decoder: Decoder, parts: list[Part]) -> None:
    assert list(Footage([], decoder).at([1.0])) == []
    assert list(Footage([], decoder).gather([Wanted((1.0,))])) == [(0, [])]
    assert list(Footage(parts, decoder).gather([])) == []
    assert list(Footage([], decoder).shown(Span(0.0, 1.0))) == []


def test_where_a_part_has_gone_what_was_shown_last_stands_for_it(
    decoder: Decoder, parts: list[Part]
) -> None:
    gone = Part("/nowhere/b.ts", 2.0, 4.0, 0, 0, "")
    wanted = [Wanted((1.0, 3.0, 7.0), 80), Wanted((4.0, 5.0), 40), Wanted((6.5,))]

    given = dict(Footage([parts[0], gone, parts[2]], decoder).gather(wanted))

    numbers = [media_files.numbers(frame.image for frame in given[index]) for index in range(3)]
    assert numbers == [[25, 25, 175], [25, 25], [162]]
    assert [given[index][-1].image.shape[1] for index in range(3)] == [80, 40, 160]


def test_a_file_that_has_gone_is_named(decoder: Decoder, parts: list[Part]) -> None:
    for gone in ([Part("/nowhere/a.mp4", 0.0, 4.0, 0, 0, "")] * n for n in (1, 2)):
        with pytest.raises(MediaError, match=r"no file at /nowhere/a\.mp4"):
            list(Footage(gone, decoder).every(1.0, Span(0.0, 4.0)))


def test_a_survey_tells_the_same_whoever_decodes(decoder: Decoder, parts: list[Part]) -> None:
    found = list(decoder.survey(parts, 2.0))

    assert found == list(HERE.survey(parts, 2.0))
    assert {type(one) for one in found} == {Sample, Picture}


def test_text_tracks_are_read(decoder: Decoder, tmp_path: Path) -> None:
    path = media_files.with_subtitles(tmp_path / "a.mkv", tmp_path)

    (cue,) = decoder.texts(path)

    assert cue.text == "hello"
    assert cue.span.duration_s == pytest.approx(2.0, abs=0.1)
    assert [cue] == list(HERE.texts(path))
    assert decoder.texts(media_files.video(tmp_path / "b.mp4")) == ()


@pytest.mark.parametrize("exact", [False, True])
def test_a_clip_is_cut_over_a_border(decoder: Decoder, tmp_path: Path, exact: bool) -> None:
    paths = (
        media_files.video(tmp_path / "a.mp4", media_files.steady(50)),
        media_files.video(tmp_path / "b.mp4", media_files.steady(50), first_number=50),
    )
    parts = [Part(str(path), 2.0 * n, 2.0, 0, 0, "") for n, path in enumerate(paths)]
    out = tmp_path / "out" / "clip.mp4"
    out.parent.mkdir()

    decoder.cut(parts, Span(1.5, 2.5), out, exact)

    whole = [Part(str(out), 0.0, 9.0, 0, 0, "")]
    first = 38 if exact else 25
    seen = media_files.numbers(f.image for f in Footage(whole).shown(Span(0.0, 9.0)))
    assert set(range(38, 62)) <= set(seen)
    assert seen[0] in (first, first - 1)
    assert [path.name for path in out.parent.iterdir()] == ["clip.mp4"]


def test_a_clip_that_cannot_be_cut_leaves_nothing(decoder: Decoder, tmp_path: Path) -> None:
    gone = [Part(str(tmp_path / "gone.mp4"), 0.0, 4.0, 0, 0, "")]

    for name in ("clip.mp4", "clip.exe", "nowhere/clip.mp4"):
        with pytest.raises(MediaError):
            decoder.cut(gone, Span(0.0, 1.0), tmp_path / name)

    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_is_dropped_half_way_leaves_the_next_one_sound(
    decoder: Decoder, parts: list[Part]
) -> None:
    footage = Footage(parts, decoder)
    for count in (1, 2, 30):
        frames = footage.every(0.04, Span(0.0, 9.0))
        for _ in range(count):
            next(frames)
        frames.close()

        (frame,) = footage.at([3.0])

        assert media_files.number_in(frame.image) == 75


def test_two_streams_of_one_decoder_do_not_mix(decoder: Decoder, parts: list[Part]) -> None:
    footage = Footage(parts, decoder)
    one, two = footage.every(0.2, Span(0.0, 10.0)), footage.every(0.2, Span(2.0, 8.0), 80)

    pairs = [(next(one), next(two)) for _ in range(30)]

    assert media_files.numbers(a.image for a, _ in pairs) == list(range(0, 150, 5))
    assert media_files.numbers(b.image for _, b in pairs) == list(range(50, 200, 5))


def test_a_step_that_is_none_is_refused(decoder: Decoder, parts: list[Part]) -> None:
    with pytest.raises(ValueError, match="step"):
        list(Footage(parts, decoder).every(0.0, Span(0.0, 1.0)))


def test_frames_that_nobody_wants_any_more_end_the_reading(
    decoder: Decoder, parts: list[Part]
) -> None:
    seen: list[float] = []
    footage = Footage(parts, decoder).until(lambda: len(seen) >= 3)

    with pytest.raises(Cancelled):
        seen.extend(frame.time_s for frame in footage.every(0.2, Span(0.0, 100.0)))

    assert len(seen) == 3
    assert len(list(Footage(parts, decoder).every(0.5, Span(0.0, 2.0)))) == 4
