from collections.abc import Callable, Generator, Sequence
from io import FileIO
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import MediaError
from edge_lvr1.media.decoder import Here
from edge_lvr1.media.frames import Footage, Frame, Wanted
from edge_lvr1.media.opening import opened
from edge_lvr1.media.probe import probe
from edge_lvr1.media.reading import Route, plan_runs
from tests import media_files

CLIPS = Path(__file__).resolve().parents[2] / ".." / "shared" / "footage"
PICTURE_LENGTH_S = 0.04


def part(path: Path, offset_s: float = 0.0) -> Part:
    return Part(str(path), offset_s, probe(path).duration_s, path.stat().st_size, 0, "")


def footage(*paths: Path) -> Footage:
    parts: list[Part] = []
    for path in paths:
        parts.append(part(path, parts[-1].offset_s + parts[-1].duration_s if parts else 0.0))
    return Footage(parts)


def all_decoded(path: Path) -> list[tuple[float, np.ndarray]]:
    """Every frame with its time after the first, by the plainest use of PyAV there is."""
    with av.open(str(path)) as container:
        frames = [
            (frame.pts, frame.time_base, frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]
    if frames[0][0] is None:
        return [(index * PICTURE_LENGTH_S, image) for index, (_, _, image) in enumerate(frames)]
    return [(float((pts - frames[0][0]) * base), image) for pts, base, image in frames]


def showing(decoded: list[tuple[float, np.ndarray]], time_s: float) -> np.ndarray:
    return [image for shown_s, image in decoded if shown_s <= time_s + 1e-4][-1]


SOUND: dict[str, Callable[[Path], Path]] = {
    "a.mp4": media_files.video,
    "b.mkv": media_files.video,
    "one_gop.mp4": lambda path: media_files.video(path, gop=250),
    "open_gop.mp4": lambda path: media_files.video(path, options={"x264-params": "open-gop=1"}),
    "c.ts": media_files.transport_stream,
    "d.h264": media_files.raw_h264,
    "e.mp4": lambda path: media_files.uneven(path)[0],
    "f.avi": lambda path: media_files.video(path, codec="mpeg4", options={"bf": "0"}),
}


@pytest.fixture(params=sorted(SOUND))
def sound_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return SOUND[request.param](tmp_path / request.param)


def test_a_seek_to_each_time_gives_the_frames_of_a_full_decode(sound_file: Path) -> None:
    decoded = all_decoded(sound_file)
    times = [time_s + 0.003 for time_s, _ in decoded[::7]]
    recording = footage(sound_file)

    for time_s in times:
        (frame,) = recording.at([time_s])

        assert np.array_equal(frame.image, showing(decoded, time_s)), time_s


def test_one_call_for_all_times_gives_the_frames_of_a_full_decode(sound_file: Path) -> None:
    decoded = all_decoded(sound_file)
    far_and_near = [time_s for time_s, _ in decoded[::41]] + [decoded[50][0] + 0.01, 3.0]

    frames = list(footage(sound_file).at(far_and_near))

    assert [frame.time_s for frame in frames] == sorted(far_and_near)
    for frame in frames:
        assert np.array_equal(frame.image, showing(decoded, frame.time_s)), frame.time_s


def test_every_gives_the_frame_showing_at_each_step(sound_file: Path) -> None:
    decoded = all_decoded(sound_file)
    recording = footage(sound_file)

    frames = list(recording.every(0.13, Span(0.5, 3.5)))

    assert [frame.time_s for frame in frames] == [index * 0.13 for index in range(4, 27)]
    for frame in frames:
        assert np.array_equal(frame.image, showing(decoded, frame.time_s)), frame.time_s


@pytest.mark.parametrize("border_s", [0.31, 1.0, 1.95, 2.08, 3.99])
def test_frames_do_not_depend_on_where_a_span_begins(sound_file: Path, border_s: float) -> None:
    recording = footage(sound_file)

    whole = list(recording.every(0.2, Span(0.1, 4.0)))
    halves = [
        *recording.every(0.2, Span(0.1, border_s)),
        *recording.every(0.2, Span(border_s, 4.0)),
    ]

    assert [frame.time_s for frame in whole] == [frame.time_s for frame in halves]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(whole, halves, strict=True))


def test_every_frame_of_a_span_comes_at_its_own_time(sound_file: Path) -> None:
    decoded = [(time_s, image) for time_s, image in all_decoded(sound_file) if 1.5 <= time_s < 2.5]

    frames = list(footage(sound_file).shown(Span(1.5, 2.5)))

    assert [frame.time_s for frame in frames] == pytest.approx([time_s for time_s, _ in decoded])
    assert all(np.array_equal(a.image, b) for a, (_, b) in zip(frames, decoded, strict=True))


def test_a_tolerance_is_met_by_keyframes(tmp_path: Path) -> None:
    recording = footage(media_files.video(tmp_path / "a.mp4", gop=20))

    frames = list(recording.at([0.1, 0.5, 0.9, 2.5, 3.99], tolerance_s=1.0))

    assert media_files.numbers(frame.image for frame in frames) == [0, 0, 20, 60, 80]


def test_a_keyframe_older_than_the_tolerance_is_not_taken(tmp_path: Path) -> None:
    path = media_files.video(
        tmp_path / "a.mp4", media_files.steady(1200), gop=2000, key_at=range(0, 1000, 5)
    )
    recording = footage(path)

    frames = list(recording.at([1.1, 39.0, 45.0], tolerance_s=1.0))

    assert media_files.numbers(frame.image for frame in frames) == [25, 975, 1125 - 1024]


@pytest.mark.parametrize(
    ("times_s", "keyframe_s", "tolerance_s", "routes"),
    [
        ([], 2.0, 0.0, []),
        ([1, 2, 3], 2.0, 0.0, [Route.PASS]),
        ([1, 21, 41], 2.0, 0.0, [Route.SEEK] * 3),
        ([1, 2, 50, 51, 99], 2.0, 0.0, [Route.PASS, Route.PASS, Route.SEEK]),
        ([1, 21, 41], 30.0, 0.0, [Route.PASS]),
        ([1, 21, 41], 2.0, 2.0, [Route.SNAP]),
        ([1, 21, 41], 2.0, 1.9, [Route.SEEK] * 3),
        ([1, 21, 41], None, 9.0, [Route.PASS]),
    ],
)
def test_the_cheapest_route_is_chosen(
    times_s: list[float], keyframe_s: float | None, tolerance_s: float, routes: list[Route]
) -> None:
    runs = plan_runs(times_s, keyframe_s, [tolerance_s] * len(times_s))

    assert [run.route for run in runs] == routes


def test_what_a_pass_goes_by_is_not_sought_as_a_keyframe() -> None:
    times_s = [0.5, 10.0, 11.0, 11.5, 12.0, 40.0]
    tolerances_s = [9.0, 0.0, 9.0, 0.0, 0.0, 9.0]

    runs = plan_runs(times_s, 2.0, tolerances_s)

    assert [(run.route, run.times_s) for run in runs] == [
        (Route.SNAP, (0.5,)),
        (Route.PASS, (10.0, 11.0, 11.5, 12.0)),
        (Route.SNAP, (40.0,)),
    ]


@given(
    st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 100))).map(sorted),
    st.none() | st.floats(0.01, 100),
)
def test_a_plan_covers_every_time_once_and_in_order(
    terms: list[tuple[float, float]], keyframe_s: float | None
) -> None:
    times_s = [time_s for time_s, _ in terms]

    runs = plan_runs(times_s, keyframe_s, [tolerance_s for _, tolerance_s in terms])

    assert [time_s for run in runs for time_s in run.times_s] == times_s


def test_parts_are_read_end_to_end(tmp_path: Path) -> None:
    parts = (
        media_files.video(tmp_path / "a.mp4", media_files.steady(50)),
        media_files.transport_stream(tmp_path / "b.ts", first_number=50),
        media_files.raw_h264(tmp_path / "c.h264", first_number=150),
    )
    recording = footage(*parts)

    frames = list(recording.every(0.2, Span(0.0, 100.0)))

    assert recording.duration_s == pytest.approx(10.0)
    assert media_files.numbers(frame.image for frame in frames) == list(range(0, 250, 5))
    around = recording.at([1.96, 2.0, 5.97, 6.01])
    assert media_files.numbers(frame.image for frame in around) == [49, 50, 149, 150]


def test_many_requests_hold_only_the_frames_of_those_that_are_open(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mp4")
    counting = Counting()
    wanted = [Wanted(tuple(n / 2 + k / 10 for k in range(4)), 64) for n in range(8)]

    for done, (index, frames) in enumerate(
        Footage([part(path)], counting).gather(list(reversed(wanted))), 1
    ):
        assert index == 8 - done
        assert [frame.time_s for frame in frames] == list(wanted[done - 1].times_s)
        assert counting.given == 4 * done


class Counting(Here):
    given = 0

    def gather(
        self, parts: Sequence[Part], wanted: Sequence[Wanted]
    ) -> Generator[np.ndarray, None, None]:
        for image in super().gather(parts, wanted):
            self.given += 1
            yield image


def test_many_requests_open_each_file_once(tmp_path: Path) -> None:
    parts = []
    for number in range(12):
        path = media_files.video(tmp_path / f"{number}.mp4", first_number=number * 25, gop=10)
        parts.append(Part(str(path), float(number), 1.0, 0, 0, ""))
    names: list[str] = []

    def noted(path: Path) -> FileIO:
        names.append(path.name)
        return opened(path)

    decoder = Here(noted)
    wanted = [Wanted(tuple(n / 4 + k / 16 for k in range(8)), 80) for n in range(40)]

    given = dict(Footage(parts, decoder).gather(wanted))

    assert names == [f"{number}.mp4" for number in range(11)]
    for index, frames in given.items():
        numbers = media_files.numbers(frame.image for frame in frames)
        assert numbers == [int(time_s * 25 + 1e-6) for time_s in wanted[index].times_s]


def test_requests_of_several_sizes_share_what_they_can(tmp_path: Path) -> None:
    recording = footage(media_files.video(tmp_path / "a.mp4"))
    wanted = [Wanted((1.0,), 80), Wanted((1.0,), 80), Wanted((1.0,), 40)]

    one, two, three = (frames[0].image for _, frames in recording.gather(wanted))

    assert one is two
    assert three.shape == (24, 40, 3)


def test_a_footage_that_holds_frames_gives_them_for_exactly_these_terms(tmp_path: Path) -> None:
    recording = footage(media_files.video(tmp_path / "a.mp4"))
    wanted = Wanted((1.0, 2.0), 80, 0.5)
    ((_, frames),) = recording.gather([wanted])

    holding = recording.holding(wanted, frames)

    assert all(a is b for a, b in zip(holding.at([2.0, 1.0], 80, 0.5), frames, strict=True))
    assert all(a is b for a, b in zip(holding.at((1.0, 2.0), 80, 0.5), frames, strict=True))
    for terms in (([1.0, 2.0], 80, 0.0), ([1.0, 2.0], None, 0.5), ([1.0, 2.1], 80, 0.5)):
        fresh = list(holding.at(*terms))
        assert fresh[0] is not frames[0]
        assert media_files.number_in(fresh[0].image) == 25
    assert not any(a is b for a, b in zip(recording.at([1.0, 2.0], 80, 0.5), frames, strict=True))


def test_times_outside_the_recording_show_its_first_or_last_frame(tmp_path: Path) -> None:
    recording = footage(media_files.video(tmp_path / "a.mp4"))

    frames = list(recording.at([-5.0, 500.0]))

    assert media_files.numbers(frame.image for frame in frames) == [0, 99]


def test_no_times_and_empty_spans_give_no_frames(tmp_path: Path) -> None:
    recording = footage(media_files.video(tmp_path / "a.mp4"))

    assert list(recording.at([])) == []
    assert list(recording.every(0.2, Span(1.0, 1.0))) == []
    assert list(recording.every(0.2, Span(50.0, 60.0))) == []
    assert list(Footage([]).every(1.0, Span(0.0, 1.0))) == []


@pytest.mark.parametrize("step_s", [0.0, -1.0, float("nan")])
def test_a_step_that_leads_nowhere_is_refused(step_s: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="step"):
        list(footage(media_files.video(tmp_path / "a.mp4")).every(step_s, Span(0.0, 1.0)))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotated_footage_comes_out_upright(tmp_path: Path, degrees: int) -> None:
    path = media_files.rotated(tmp_path / "a.mp4", degrees)

    (frame,) = footage(path).at([0.0])

    turned = np.rot90(all_decoded(path)[0][1], -degrees // 90)  # clockwise
    assert np.array_equal(frame.image, turned)
    assert frame.image.flags["C_CONTIGUOUS"]


def test_frames_are_scaled_to_the_longest_side_and_never_enlarged(tmp_path: Path) -> None:
    recording = footage(media_files.rotated(tmp_path / "a.mp4", 90))

    (small,) = recording.at([0.2], max_side_px=80)
    (large,) = recording.at([0.2], max_side_px=4000)

    assert small.image.shape == (80, 48, 3)
    assert large.image.shape == (160, 96, 3)
    assert media_files.number_in(np.rot90(small.image)) == 5


def test_bit_rot_costs_few_frames(tmp_path: Path) -> None:
    recording = footage(media_files.bit_rot(tmp_path / "a.mp4", spots=3))

    frames = list(recording.shown(Span(0.0, 8.0)))

    assert len(frames) >= 190
    assert len(list(recording.every(0.1, Span(0.0, 8.0)))) == 80


def test_a_file_of_rot_only_is_reported_and_not_read_for_ever(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mp4", media_files.steady(900), gop=10)
    whole = part(path)
    media_files.rot_all(path)

    with pytest.raises(MediaError, match="damaged"):
        list(Footage([whole]).every(1.0, Span(0.0, 30.0)))


@pytest.mark.parametrize("rotten_s", [9000.0, 120.0, 3.0])
def test_a_rotten_time_does_not_cost_the_pictures_after_it(tmp_path: Path, rotten_s: float) -> None:
    path = media_files.transport_stream(tmp_path / "a.ts", start_s=27.0)
    media_files.spoil_time(path, 28.6, rotten_s)

    frames = list(footage(path).shown(Span(0.0, 1e6)))

    numbers = media_files.numbers(frame.image for frame in frames)
    assert numbers == [number for number in range(100) if number != 40]
    assert probe(path).duration_s == pytest.approx(4.0)


def test_a_long_pause_between_pictures_is_kept(tmp_path: Path) -> None:
    times = [*media_files.steady(50), *media_files.steady(50, start_s=300.0)]
    recording = footage(media_files.video(tmp_path / "a.mkv", times))

    assert recording.duration_s == pytest.approx(302.0, abs=0.1)
    numbers = media_files.numbers(f.image for f in recording.at([100.0, 299.9, 300.0, 301.0]))
    assert numbers == [49, 49, 50, 75]


def test_a_track_that_begins_half_way_does_not_end_the_pictures(tmp_path: Path) -> None:
    silent = media_files.transport_stream(tmp_path / "a.ts")
    heard = media_files.video(
        tmp_path / "b.ts", media_files.steady(100, start_s=31.0), audio_s=4.0, first_number=100
    )
    silent.write_bytes(silent.read_bytes() + heard.read_bytes())
    recording = footage(silent)

    assert recording.duration_s == pytest.approx(8.0, abs=0.2)
    numbers = media_files.numbers(frame.image for frame in recording.shown(Span(0.0, 9.0)))
    assert numbers == list(range(200))


def test_a_truncated_file_shows_its_last_frame_to_its_end(tmp_path: Path) -> None:
    path = media_files.truncated_mp4(tmp_path / "a.mp4")
    whole = Footage([Part(str(path), 0.0, 8.0, 0, 0, "")])

    frames = list(whole.every(0.5, Span(0.0, 8.0)))

    assert len(frames) == 16
    assert media_files.number_in(frames[-1].image) == media_files.number_in(frames[-2].image)


def test_files_are_closed_when_a_reader_stops_half_way(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mp4")
    recording = footage(path)

    for make in (
        lambda: recording.every(0.1, Span(0.0, 4.0)),
        lambda: recording.at([0.0, 0.1, 3.0]),
        lambda: recording.shown(Span(0.0, 4.0)),
    ):
        frames = make()
        assert isinstance(next(frames), Frame)
        assert open_files(path) == 1
        frames.close()
        assert open_files(path) == 0


def open_files(path: Path) -> int:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("needs /proc to see which files are open")
    held = 0
    for entry in folder.iterdir():
        try:
            held += entry.readlink() == path
        except FileNotFoundError:  # the folder's own descriptor
            continue
    return held


@pytest.mark.footage
@pytest.mark.parametrize("name", ["bottle.mp4", "car-detection.mp4", "one-by-one-person.mp4"])
def test_real_clips_give_the_frames_of_a_full_decode(name: str) -> None:
    path = CLIPS / name
    if not path.is_file():
        pytest.skip(f"{name} is not beside the project")
    recording = footage(path)
    times = [index * recording.duration_s / 13 for index in range(13)]
    wanted = iter(times)
    time_s = next(wanted)
    expected: list[np.ndarray] = []
    held = None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            while held is not None and frame.time > time_s + 1e-4:
                expected.append(held.to_ndarray(format="rgb24"))
                time_s = next(wanted, float("inf"))
            held = frame

    sought = list(recording.at(times))
    passed = [frame for time_s in times for frame in recording.at([time_s, time_s + 0.01])][::2]

    assert len(expected) == len(times)
    for exact, one, two in zip(expected, sought, passed, strict=True):
        assert np.array_equal(exact, one.image)
        assert np.array_equal(exact, two.image)


def in_a_row(folder: Path, count: int) -> list[Path]:
    """Files of a second each, whose pictures are numbered on."""
    times = media_files.steady(25)
    return [
        media_files.video(folder / f"{number}.mp4", times, first_number=25 * number)
        for number in range(count)
    ]


def test_part_that_is_gone_shows_what_was_shown_before_it(tmp_path: Path) -> None:
    paths = [
        media_files.video(
            tmp_path / f"{number}.mp4", media_files.steady(25), first_number=25 * number
        )
        for number in range(3)
    ]
    whole = footage(*paths)
    paths[1].unlink()

    shown = [media_files.number_in(frame.image) for frame in whole.at([0.9, 1.5, 1.9, 2.1])]

    assert shown == [22, 22, 22, 52]


def test_first_part_that_is_gone_shows_what_comes_after_it(tmp_path: Path) -> None:
    paths = [
        media_files.video(
            tmp_path / f"{number}.mp4", media_files.steady(25), first_number=25 * number
        )
        for number in range(2)
    ]
    whole = footage(*paths)
    paths[0].unlink()

    shown = [media_files.number_in(frame.image) for frame in whole.at([0.0, 0.5, 1.2])]

    assert shown == [30, 30, 30]


def test_footage_of_which_nothing_is_left_is_told(tmp_path: Path) -> None:
    paths = [
        media_files.video(tmp_path / f"{number}.mp4", media_files.steady(25)) for number in range(2)
    ]
    whole = footage(*paths)
    for path in paths:
        path.unlink()

    with pytest.raises(MediaError, match="there is no file"):
        list(whole.at([0.5, 1.5]))
