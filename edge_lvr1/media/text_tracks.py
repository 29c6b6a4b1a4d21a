"""Reading the text that comes with a file: sidecars (.srt, .vtt) and its own text tracks.

None of it is trusted: sizes, counts and lengths are bounded, encodings are guessed and never
fatal, malformed cues are passed over, and markup and control characters are taken out. What
cannot be read gives no text, and a line in the log; a file is never refused for its text.
"""

from __future__ import annotations

import html
import logging
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path

import pysubs2
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle
from charset_normalizer import from_bytes

from edge_lvr1.domain import Span
from edge_lvr1.errors import MediaError
from edge_lvr1.media.container import Video, open_video
from edge_lvr1.media.opening import Opens, opened
from edge_lvr1.media.words import Cue

logger = logging.getLogger(__name__)

MAX_BYTES = 2 * 1024 * 1024  # of a sidecar; an hour of speech is about 100 kB
MAX_CUES = 20_000
MAX_CUE_CHARS = 500
MAX_SHOWN_S = 600.0  # a cue that claims to show for longer is cut
MAX_START_S = 7 * 86_400.0
MAX_PACKETS = 200_000  # of a file's text tracks
SAMPLE_BYTES = 32 * 1024  # enough to guess an encoding from
SUFFIXES = frozenset({".srt", ".vtt"})
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})?")

# Each in linear time, and no "<" is left after them: pysubs2's own patterns take quadratic time
# over tags that never end (24 s for 160 kB of "<a").
_SPEAKER = re.compile(r"<v(?:\.[^\s<>]*)?[ \t]+([^<>\n]{1,80})>")
_TAG = re.compile(r"</?[A-Za-z\d][^<>\n]*>")
_OVERRIDE = re.compile(r"\{[\\*][^{}\n]*\}")
_BLANK_LINE = re.compile(r"\\N[ \t]*\\N")


class Sidecars:
    """Finds the text files beside media files. Remembers the last folder's, for the next file.

    A folder of 20,000 files is listed once, not once for each of them. `opens` opens them.
    """

    def __init__(self, opens: Opens = opened) -> None:
        self.opens = opens
        self._listed: tuple[str, int] | None = None
        self._texts: Mapping[str, tuple[Path, ...]] = {}

    def of(self, path: Path) -> tuple[Path, ...]:
        """The text files of a media file: clip.srt, clip.mp4.vtt, clip.en.srt. Links are not."""
        folder = path.parent
        try:
            listed = (str(folder), folder.stat().st_mtime_ns)
            if listed != self._listed:
                self._texts, self._listed = _texts_in(folder), listed
        except OSError as error:
            logger.debug("%s: cannot be listed: %s", folder, error)
            return ()
        names = {path.stem, path.name}
        return tuple(text for name in sorted(names) for text in self._texts.get(name, ()))


def words_of(
    path: Path, sidecars: Sidecars, tracks: Callable[[Path], Iterable[Cue]]
) -> tuple[Cue, ...]:
    """All text of a media file, beside it and in it, by time. Seconds from its first picture.

    `tracks` reads what is in it: `read_tracks`, or a decoder's `texts`.
    """
    cues = [cue for text in sidecars.of(path) for cue in read_sidecar(text, sidecars.opens)]
    return tuple(_in_order([*cues, *tracks(path)]))


def read_sidecar(path: Path, opens: Opens = opened) -> tuple[Cue, ...]:
    """The cues of a .srt or .vtt file, in order of time; empty where it cannot be read."""
    try:
        with opens(path) as raw, BufferedReader(raw) as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, MediaError) as error:
        logger.info("%s cannot be read: %s", path, error)
        return ()
    if len(data) > MAX_BYTES:
        logger.info("%s: text after the first %d bytes is left out", path, MAX_BYTES)
    return parse(data[:MAX_BYTES], path.name)


def parse(data: bytes, source: str) -> tuple[Cue, ...]:
    """The cues in the bytes of a SubRip or WebVTT file, whatever else is in them."""
    text = _unmarked(decoded(data))
    kind = "vtt" if text.lstrip().startswith("WEBVTT") else "srt"
    events = pysubs2.SSAFile.from_string(text, format_=kind)
    if not len(events) and text.strip():
        logger.info("%s holds no text with times that can be read", source)
    cues = (
        _cue(event.start / 1000, event.end / 1000, _BLANK_LINE.split(event.text)[0], source)
        for event in events
    )
    return tuple(_in_order(cue for cue in cues if cue))


def decoded(data: bytes) -> str:
    """Bytes of a text as text, by its mark, as UTF-8, or by a guess; never an exception."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"),
                           (b"\xfe\xff", "utf-16")):  # fmt: skip
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start > len(data) - 4:  # cut in the middle of a character
            return data[: error.start].decode("utf-8")
    guess = from_bytes(data[:SAMPLE_BYTES]).best()
    try:
        return data.decode(guess.encoding if guess else "cp1252", "replace")
    except (LookupError, UnicodeError):
        return data.decode("latin-1")


def read_tracks(path: Path, opens: Opens = opened) -> tuple[Cue, ...]:
    """The cues of a file's own text tracks (mov_text, SubRip, WebVTT, ASS), by time.

    Empty where it has none, or they are pictures. Decodes: see `media/decoder.py`.
    """
    try:
        with open_video(path, opens) as video:
            tracks = {s.index: s for s in video.container.streams.subtitles if s.codec_context}
            return tuple(_in_order(_track_cues(video, tracks))) if tracks else ()
    except (MediaError, FFmpegError, ValueError) as error:
        logger.info("%s: its text cannot be read: %s", path, error)
        return ()


def plain(text: str) -> str:
    """Text in one line without markup or characters that do not print; cut to its bound."""
    text = html.unescape(_unmarked(text[: 4 * MAX_CUE_CHARS]))
    text = unicodedata.normalize("NFC", text.encode("utf-8", "ignore").decode("utf-8"))
    text = "".join(map(_printed, text))
    return " ".join(text.split())[:MAX_CUE_CHARS].rstrip()


def _printed(character: str) -> str:
    if character in "<>":  # of the protocol, and no words
        return " "
    if character.isprintable():
        return character
    return "" if unicodedata.category(character) == "Cf" else " "


def _unmarked(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _OVERRIDE.sub("", _TAG.sub("", _SPEAKER.sub(r"\1: ", text))).replace("<", " ")


def _cue(start_s: float, end_s: float, text: str, source: str) -> Cue | None:
    said = plain(text.replace("\\N", " ").replace("\\n", " ").replace("\\h", " "))
    if not said or not 0 <= start_s <= min(end_s, MAX_START_S):
        return None
    return Cue(Span(start_s, min(end_s, start_s + MAX_SHOWN_S)), said, source)


def _in_order(cues: Iterable[Cue]) -> list[Cue]:
    """By time, each text at each time once, and no more than are taken."""
    first = {(cue.span, cue.text): cue for cue in reversed(list(cues))}
    return [first[key] for key in sorted(first)][:MAX_CUES]


def _texts_in(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The text files of a folder by the names that they are for."""
    found: dict[str, list[Path]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if path.suffix.lower() not in SUFFIXES or not entry.is_file(follow_symlinks=False):
                continue
            found.setdefault(path.stem, []).append(path)
            stem, dot, language = path.stem.rpartition(".")
            if dot and _LANGUAGE.fullmatch(language):
                found.setdefault(stem, []).append(path)
    return {name: tuple(sorted(paths)) for name, paths in found.items()}


def _track_cues(video: Video, tracks: Mapping[int, SubtitleStream]) -> Iterator[Cue]:
    cues = 0
    for count, packet in enumerate(video.container.demux(list(tracks.values()))):
        if count >= MAX_PACKETS or cues >= MAX_CUES:
            logger.info("%s: the rest of its text is left out", video.path)
            return
        if packet.pts is None or not packet.size:
            continue
        start_s = float(packet.pts * packet.time_base) - video.first_pts_s
        end_s = start_s + float((packet.duration or 0) * packet.time_base)
        for text in _texts(packet):
            cue = _cue(max(0.0, start_s), max(0.0, end_s), text, f"track {packet.stream_index}")
            if cue:
                cues += 1
                yield cue


def _texts(packet: Packet[Stream]) -> list[str]:
    try:
        decoded_texts = packet.decode()
    except (FFmpegError, ValueError) as error:
        logger.debug("a packet of text does not decode: %s", error)
        return []
    return [
        text.dialogue.decode("utf-8", "replace")
        for text in decoded_texts
        if isinstance(text, AssSubtitle)
    ]
