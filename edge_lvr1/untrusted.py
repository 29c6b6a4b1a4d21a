"""Text that others wrote: signs, subtitles, file names, questions, what models say.

It leaves the program by two doors. Into a prompt it goes through `harmless`, which keeps it
one line that is nothing but words, and what a chat template is put around goes through
`without_marks`. Onto a terminal or into a log it goes through `visible`. As data (JSON, the
database, a text node of a page) it stays as it is. Pure; standard library only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_OPEN, _CLOSE = "\u2039", "\u203a"  # single guillemets: they look like brackets and are no tags
# Also the wide and the small form, which some tokenizers turn into the plain one.
_LESS, _BAR = "<\uff1c\ufe64", "|\uff5c"
_OURS = "think|tool|answer|information"  # which the loop reads with spaces in them too
_TAG_START = re.compile(
    rf"[{_LESS}](?=[/\\]?[^\W\d]|[{_LESS}]|[{_BAR}]|\s*[/\\]?\s*(?:{_OURS})\b)", re.I
)
_MARK_START = re.compile(rf"[{_LESS}](?=[{_BAR}])")
_MARK_END = re.compile(rf"([{_BAR}])[>\uff1e\ufe65]")
_BRACKETED = re.compile(r"\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_[A-Z]+|IMG)\])")
_HEADING = re.compile(r"\b(?:high|medium|low)-level\s+caption(?=\s+(?:\d|from\s+tool))", re.I)
_JOINERS = "\u200c\u200d"  # part of words in some scripts, and of emoji
_HIDDEN = re.compile(r"[\U000e0000-\U000e0fff]")  # tags and selectors: letters that nobody sees


def harmless(text: str) -> str:
    """One line of text that holds no tag, chat mark, heading of the protocol or hidden letters.

    Text without any of these comes back as it is.
    """
    kept = _HIDDEN.sub("", text)
    kept = kept if kept.isprintable() else "".join(map(_in_prompt, kept))
    line = " ".join(kept.split())
    line = _HEADING.sub(lambda found: found[0].lower(), _BRACKETED.sub("(", line))
    return without_marks(_TAG_START.sub(_OPEN, line))


def without_marks(text: str, marks: Iterable[str] = ()) -> str:
    """A text in which no tokenizer finds a chat template's marks, such as <|im_end|>.

    `marks` are further ones that a model is known to have. All else stays as it is, the
    protocol's own tags too.
    """
    found = _MARK_END.sub(rf"\1{_CLOSE}", _MARK_START.sub(_OPEN, text))
    for mark in marks:
        if mark and mark in found:
            found = found.replace(mark, broken(mark))
    return found


def broken(mark: str) -> str:
    """A mark that reads the same and is none: its first character replaced or set apart."""
    return _OPEN + mark[1:] if mark[0] in _LESS else f"{mark[0]} {mark[1:]}"


def visible(text: str, *, lines: bool = False) -> str:
    """A text that can do nothing to a terminal or a log: what would act is spelled out.

    That is every control, format (directions among them), private and unassigned character
    and every lone surrogate, as an escape like \\x1b or \\u202e. Line breaks stay with `lines`;
    else they are spelled out too.
    """
    return text if text.isprintable() else "".join(_shown(c, lines=lines) for c in text)


def _in_prompt(char: str) -> str:
    kind = unicodedata.category(char)
    if kind == "Cs":
        return "\ufffd"
    return "" if kind in ("Cc", "Cf") and not char.isspace() and char not in _JOINERS else char


def _shown(char: str, *, lines: bool) -> str:
    if char == "\n" and lines:
        return char
    if char == "\t":
        return " "
    if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        return char.encode("unicode_escape").decode("ascii")
    return char
