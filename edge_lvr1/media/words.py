"""Text that comes with footage (subtitles), and how it goes into captions. Pure.

LongVideo-R1 shows its captioner the subtitle of each frame's moment. Here what falls into a
node's span stands behind its caption, marked as text that was found, so that it is searched
and read whichever captioner wrote the rest, and is never taken for what was seen. Where the
text comes from is the matter of `text_tracks.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from edge_lvr1.domain import Span

MARK = "Subtitles (text found with the footage):"
_MARKED = re.compile(rf"\s*{re.escape(MARK)} \"(?P<text>[^\"]*)\"")
_LEFT_OUT = "..."


@dataclass(frozen=True, slots=True)
class Cue:
    """A piece of text and when it shows, in seconds. `source` says where it was found.

    The text is one line of printable characters without markup (`text_tracks.plain`).
    """

    span: Span
    text: str
    source: str = ""

    def later(self, offset_s: float) -> Cue:
        """The same text so many seconds later: a file's cue as one of its recording."""
        return replace(self, span=Span(self.span.start_s + offset_s, self.span.end_s + offset_s))


class Said(Protocol):
    """What `with_words` needs of a cue, read from a file or kept in a store."""

    @property
    def span(self) -> Span: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102


def with_words(caption: str, cues: Iterable[Said], span: Span, max_words: int) -> str:
    """A caption with the text that shows in its span, marked and at most so many words of it.

    Where there is more, cues are left out evenly over the span, and dots stand for them. A
    caption without such text comes back as it was.
    """
    texts = _texts(cues, span)
    told = _evenly(texts, max_words)
    if not told:
        return caption
    quoted = " ".join(told).replace('"', "'")
    return f'{caption} {MARK} "{quoted}"'.strip()


def without_words(caption: str) -> str:
    """The caption alone: what was seen, without text that was found with the footage."""
    return _MARKED.sub("", caption)


def found_words(caption: str) -> str:
    """The text that was found with the footage, alone; empty where there is none."""
    return " ".join(match["text"] for match in _MARKED.finditer(caption))


def _texts(cues: Iterable[Said], span: Span) -> list[str]:
    """The texts that show in a span, in order; what is repeated at once stands once."""
    shown = [cue for cue in cues if _shows(cue.span, span)]
    texts: list[str] = []
    for cue in sorted(shown, key=lambda cue: (cue.span, cue.text)):
        if cue.text and cue.text not in texts[-2:]:  # two languages may take turns
            texts.append(cue.text)
    return texts


def _shows(cue: Span, span: Span) -> bool:
    return cue.overlap_s(span) > 0 or span.contains(cue.start_s)


def _evenly(texts: Sequence[str], max_words: int) -> list[str]:
    lengths = [len(text.split()) for text in texts]
    if sum(lengths) <= max_words:
        return list(texts)
    for step in range(2, len(texts) + 1):
        if sum(lengths[::step]) <= max_words:
            return [word for text in texts[::step] for word in (text, _LEFT_OUT)]
    words = texts[0].split()[: max(0, max_words)]
    return [*words, _LEFT_OUT] if words else []
