"""Lettered options: those written into the question, and which of them is the right one."""

from __future__ import annotations

import re

from edge_lvr1.domain import OPTION_LETTERS
from edge_lvr1.errors import DatasetError
from edge_lvr1.evaluate.datasets.rows import Row
from edge_lvr1.prompts import option_texts

# "(A) red", at any place; "A. red" and "A) red" only where a line begins.
_BRACKETED = re.compile(r"(?:^|(?<=\s))\((?P<letter>[A-J])\)[.:]?\s*")
_LINE = re.compile(r"^[ \t]*(?P<letter>[A-J])\s*[.):][ \t]+", re.M)
_FEWEST = 2


def split_options(question: str) -> tuple[str, tuple[str, ...]]:
    """A question and the options that stand in it, in order; none where it has none.

    Options count as such only where their letters run from A without a gap.
    """
    for pattern in (_BRACKETED, _LINE):
        marks = _in_order(list(pattern.finditer(question)))
        if len(marks) >= _FEWEST:
            ends = [mark.start() for mark in marks[1:]] + [len(question)]
            options = (question[m.end() : end].strip() for m, end in zip(marks, ends, strict=True))
            return question[: marks[0].start()].strip(), tuple(options)
    return question.strip(), ()


def inline_question(row: Row, *names: str) -> tuple[str, tuple[str, ...]]:
    """Question and options of a field that holds both. Raises DatasetError."""
    name = row.first(*names)
    question, options = split_options(row.text(name))
    if not options or not question:
        raise DatasetError(
            f"{row.place}: the field {name!r} should hold the question and then its options "
            "as (A) …, (B) …"
        )
    return question, options


def options_of(row: Row, *names: str) -> tuple[str, ...]:
    """The options of a field that lists them, without letters of their own."""
    options = option_texts(row.texts(*names))
    listed = len(row.texts(*names))
    if not _FEWEST <= listed <= len(OPTION_LETTERS):
        raise row.wrong(row.first(*names), f"2 to {len(OPTION_LETTERS)} options", listed)
    return options


def letter(row: Row, name: str, options: tuple[str, ...]) -> str | None:
    """The right option, given as its letter; None where the row has none."""
    if not row.has(name) or not str(row.fields[name]).strip():
        return None
    told = row.text(name)
    match = re.fullmatch(r"\(?([A-Ja-j])\)?[.:]?", told)
    found = match[1].upper() if match else None
    if found is None or found not in OPTION_LETTERS[: len(options)]:
        raise row.wrong(name, f"a letter from A to {OPTION_LETTERS[len(options) - 1]}", told)
    return found


def letter_of_text(row: Row, name: str, options: tuple[str, ...]) -> str | None:
    """The right option, given as its text (or as its letter); None where the row has none."""
    if not row.has(name) or not str(row.fields[name]).strip():
        return None
    told = option_texts([row.text(name)])[0]
    places = [place for place, option in enumerate(options) if _same(option, told)]
    if len(places) == 1:
        return OPTION_LETTERS[places[0]]
    if places:
        raise row.wrong(name, "the text of one option only", told)
    return letter(row, name, options)


def letter_of_index(row: Row, name: str, options: tuple[str, ...]) -> str | None:
    """The right option, given as its place from 0; None where the row has none, or -1."""
    if not row.has(name) or not str(row.fields[name]).strip():
        return None
    place = row.number(name, row.fields[name])
    if place == -1:
        return None
    if place != int(place) or not 0 <= place < len(options):
        raise row.wrong(name, f"a whole number from 0 to {len(options) - 1}", row.fields[name])
    return OPTION_LETTERS[int(place)]


def _in_order(marks: list[re.Match[str]]) -> list[re.Match[str]]:
    """The marks of A, B, C, ... in this order, from the first A on."""
    kept: list[re.Match[str]] = []
    for mark in marks:
        if len(kept) < len(OPTION_LETTERS) and mark["letter"] == OPTION_LETTERS[len(kept)]:
            kept.append(mark)
    return kept


def _same(option: str, told: str) -> bool:
    return " ".join(option.split()).casefold() == " ".join(told.split()).casefold()
