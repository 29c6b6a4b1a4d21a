"""Text that is found beside and in media files."""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import pytest
from av.packet import Packet
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import SubtitleSet
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import Span
from edge_lvr1.media.text_tracks import (
    MAX_CUE_CHARS,
    MAX_CUES,
    Sidecars,
    decoded,
    parse,
    plain,
    read_sidecar,
    read_tracks,
    words_of,
)
from edge_lvr1.media.words import Cue
from tests.media_files import truncated_mkv, video

SRT = (
    "1\n00:00:01,000 --> 00:00:02,500\nHello <i>there</i>\n\n"
    "2\n00:01:03,000 --> 00:01:04,000\nline one\nline two\n"
)
VTT = (
    "WEBVTT - of a camera\n\nSTYLE\n::cue { color: red }\n\n"
    "00:01.000 --> 00:02.500 align:start\n<v Ann>Hello</v> &lt;there&gt; &amp; there\n\n"
    "NOTE nobody reads this\n\nintro\n01:01:03.000 --> 01:01:04.000\nline one\nline two\n"
)


def told(data: bytes) -> list[tuple[float, float, str]]:
    return [(cue.span.start_s, cue.span.end_s, cue.text) for cue in parse(data, "x")]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_srt_is_read(line_end: str) -> None:
    assert told(SRT.replace("\n", line_end).encode()) == [
        (1.0, 2.5, "Hello there"),
        (63.0, 64.0, "line one line two"),
    ]


def test_webvtt_is_read_without_its_styles_and_notes() -> None:
    assert told(VTT.encode()) == [
        (1.0, 2.5, "Ann: Hello there & there"),
        (3663.0, 3664.0, "line one line two"),
    ]


def test_malformed_cues_are_passed_over() -> None:
    text = (
        "1\n00:00:05,000 --> 00:00:02,000\nends before it starts\n\n"
        "2\n00:00:xx,000 --> 00:00:06,000\nno time\n\n"
        "three\n00:00:07,000 --> 00:00:08,000\nkept\n\n"
        "4\n00:00:09,000 --> 00:00:10,000\n\n"
    )

    assert told(text.encode()) == [(7.0, 8.0, "kept")]


def test_cue_of_another_week_is_passed_over() -> None:
    assert told(b"WEBVTT\n\n9000:00:00.000 --> 9000:00:01.000\nx\n") == []


def test_cue_that_never_ends_is_cut() -> None:
    assert told(b"00:00:01,000 --> 50:00:00,000\nx\n") == [(1.0, 601.0, "x")]


GERMAN = (
    "1\n00:00:01,000 --> 00:00:02,000\nDie Tür geht auf, und überall hört man Geräusche.\n\n"
    "2\n00:00:03,000 --> 00:00:04,000\nFür Müller ist das kein schöner Abend: es ist später.\n\n"
)
RUSSIAN = (
    "1\n00:00:01,000 --> 00:00:02,000\nДверь открывается, и кто-то медленно входит в комнату.\n\n"  # noqa: RUF001
    "2\n00:00:03,000 --> 00:00:04,000\nОн говорит, что сегодня уже слишком поздно для этого.\n\n"  # noqa: RUF001
)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "cp1252"),
        (RUSSIAN, "utf-16-be"),
        (RUSSIAN, "cp1251"),
    ],
)
def test_text_is_read_whatever_its_encoding(text: str, encoding: str) -> None:
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""

    assert told(mark + text.encode(encoding)) == told(text.encode())


def test_text_that_breaks_off_within_a_character_is_read() -> None:
    assert decoded("naïve é".encode()[:-1]) == "naïve "


def test_sidecar_that_is_too_large_is_read_in_part(tmp_path: Path) -> None:
    path = tmp_path / "clip.srt"
    path.write_text("".join(
        f"{n}\n00:{n // 60 % 60:02}:{n % 60:02},000 --> 00:{n // 60 % 60:02}:{n % 60:02},900\n"
        f"{'word ' * 40}{n}\n\n" for n in range(20_000)
    ))  # fmt: skip

    cues = read_sidecar(path)

    assert 1000 < len(cues) < MAX_CUES
    assert cues[0].text.endswith("word 0")


@pytest.mark.parametrize("bad", ["<a", "{\\", "\n", "<v ", "&", "-->", "00:00:01,000 ", "< "])
def test_text_made_to_take_for_ever_does_not(bad: str) -> None:
    data = f"WEBVTT\n\n00:01.000 --> 00:02.000\n{bad * 300_000}x\n".encode()[:2_000_000]

    began_s = time.perf_counter()
    parse(data, "x")

    assert time.perf_counter() - began_s < 20.0  # about a second; quadratic would be hours


def test_control_characters_and_markup_are_taken_out() -> None:
    text = plain("a\x00b\x1b[31m <b>c</b> {\\an8}d\u202e e\ud800 <tool>f</tool> g < h\n i")

    assert text == "a b [31m c d e f g h i"
    assert len(plain("x" * 10_000)) == MAX_CUE_CHARS


times = st.builds(
    "{:02}:{:02}:{:02}{}{:03}".format,
    *(st.integers(0, n) for n in (99, 99, 99)),
    st.sampled_from(",."),
    st.integers(0, 999),
)
pieces = (
    st.text(max_size=20)
    | times
    | st.sampled_from([" --> ", "\n", "\n\n", "WEBVTT\n\n", "<i>", "{\\an8}", "\\N", "&lt;", "1\n"])
    | st.builds("{} --> {}\n{}\n\n".format, times, times, st.text(max_size=10))
)


@given(st.lists(pieces, max_size=20).map("".join), st.sampled_from(["utf-8", "utf-16", "latin-1"]))
def test_any_text_gives_cues_that_can_be_shown(text: str, encoding: str) -> None:
    cues = parse(text.encode(encoding, "replace"), "x")

    assert list(cues) == sorted(cues, key=lambda cue: cue.span)
    for cue in cues:
        assert cue.text == cue.text.strip() != ""
        assert cue.text.isprintable()
        assert not set("<>") & set(cue.text)
        assert len(cue.text) <= MAX_CUE_CHARS


@given(st.binary(max_size=400))
def test_any_bytes_can_be_parsed(data: bytes) -> None:
    assert all(cue.span.duration_s <= 600.0 for cue in parse(data, "x"))
    assert all(cue.span.start_s == 1.0 for cue in parse(b"0:00:01,000 --> 0:00:02,000\n" + data, "")
               if b"-->" not in data)  # fmt: skip


def test_sidecars_of_a_file_are_found(tmp_path: Path) -> None:
    names = ["clip.srt", "clip.VTT", "clip.en.srt", "clip.pt-BR.vtt", "clip.mp4.srt", "clip.txt"]
    for name in [*names, "clip2.srt", "clip.part 2.srt", "clip.mp4"]:
        (tmp_path / name).write_text(SRT)
    (tmp_path / "clip.fr.srt").symlink_to(tmp_path / "clip2.srt")
    (tmp_path / "clip.de.srt").mkdir()
    sidecars = Sidecars()

    found = sidecars.of(tmp_path / "clip.mp4")

    assert sorted(path.name for path in found) == sorted(names[:-1])
    assert sidecars.of(tmp_path / "other.mp4") == ()
    assert sidecars.of(tmp_path / "gone" / "clip.mp4") == ()


def test_sidecar_that_comes_later_is_found(tmp_path: Path) -> None:
    sidecars = Sidecars()
    before = sidecars.of(tmp_path / "clip.mp4")

    (tmp_path / "clip.srt").write_text(SRT)

    assert before == ()
    assert [path.name for path in sidecars.of(tmp_path / "clip.mp4")] == ["clip.srt"]


def test_sidecar_that_is_gone_gives_no_text(tmp_path: Path) -> None:
    assert read_sidecar(tmp_path / "gone.srt") == ()


ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Alignment, Encoding
Style: Default,Arial,16,&Hffffff,2,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def with_track(path: Path, codec: str, texts: list[tuple[int, int, str]], start_s: float) -> Path:
    """A file whose pictures begin at `start_s`, with texts at milliseconds of the container."""
    source = video(path.with_name(f"pictures{path.suffix}"), [start_s + n / 25 for n in range(100)])
    with av.open(str(source)) as pictures, av.open(str(path), "w") as out:
        moving = out.add_stream_from_template(pictures.streams.video[0])
        track = out.add_stream(codec)
        assert isinstance(track, SubtitleStream)
        track.codec_context.subtitle_header = ASS_HEADER
        track.codec_context.time_base = track.time_base = Fraction(1, 1000)
        said = []
        for number, (start_ms, end_ms, text) in enumerate(texts):
            line = f"{number},0,Default,,0,0,0,,{text}".encode()
            packet = track.codec_context.encode_subtitle(
                SubtitleSet.create(line, 0, end_ms - start_ms, start_ms)
            )
            packet.time_base, packet.pts, packet.dts = Fraction(1, 1000), start_ms, start_ms
            packet.duration = end_ms - start_ms
            said.append((track, packet))
        shown: list[tuple[av.VideoStream, Packet]] = [
            (moving, packet) for packet in pictures.demux() if packet.dts is not None
        ]
        for stream, packet in chain(shown, said):
            packet.stream = stream
            out.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mkv", "subrip"), ("a.mp4", "mov_text"), ("a.mkv", "webvtt"), ("a.mkv", "ass")],
)
def test_text_tracks_are_read(tmp_path: Path, name: str, codec: str) -> None:
    texts = [(500, 2000, "Hello {\\i1}there{\\i0} ä"), (2500, 3000, "line one\\Nline two")]

    cues = read_tracks(with_track(tmp_path / name, codec, texts, 0.0))

    assert [(cue.text, cue.source) for cue in cues] == [
        ("Hello there ä", "track 1"),
        ("line one line two", "track 1"),
    ]
    times = [edge for cue in cues for edge in (cue.span.start_s, cue.span.end_s)]
    assert times == pytest.approx([0.5, 2.0, 2.5, 3.0], abs=0.05)


def test_times_of_a_track_count_from_the_first_picture(tmp_path: Path) -> None:
    path = with_track(tmp_path / "a.mkv", "subrip", [(7500, 8000, "x")], start_s=7.0)

    (cue,) = read_tracks(path)

    assert cue.span.start_s == pytest.approx(0.5, abs=0.05)  # B-frames shift the first picture


def test_file_without_text_or_without_anything_gives_none(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes(b"no video at all")

    assert read_tracks(video(tmp_path / "a.mp4")) == ()
    assert read_tracks(tmp_path / "b.mp4") == ()
    assert read_tracks(truncated_mkv(tmp_path / "c.mkv")) == ()


def test_text_beside_and_in_a_file_comes_in_order_of_time(tmp_path: Path) -> None:
    path = with_track(tmp_path / "a.mkv", "subrip", [(1500, 2000, "in it")], 0.0)
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nbeside it\n")
    (tmp_path / "a.de.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nbeside it\n")

    cues = words_of(path, Sidecars(), read_tracks)

    assert [cue.text for cue in cues] == ["beside it", "in it"]


def test_cue_of_a_file_is_moved_to_its_place_in_the_recording() -> None:
    assert Cue(Span(1, 2), "x").later(-0.5) == Cue(Span(0.5, 1.5), "x")
