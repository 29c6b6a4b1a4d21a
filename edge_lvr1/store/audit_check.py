"""Whether the audit log's chain holds, and where it does not.

What a chain alone cannot tell is that its end was cut off and written anew: whoever may write
the file can make another chain. The daemon says number and hash of the last entry in its own
log when it starts and stops; a check that is given those finds that too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edge_lvr1.errors import QuestionError
from edge_lvr1.store.audit import FIRST, Entry, Head, Rows, every, given_out, hash_of

_HEAD = re.compile(r"(\d{1,18}):([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place where the log is not what was written, and in which way."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look over the whole log came to: so many entries, the last of them, what is wrong."""

    entries: int
    head: Head
    broken: Broken | None = None


def check(source: Rows, expected: Head | None = None) -> Checked:
    """Look over a log from its first entry; `expected` is an entry that must be in it.

    While a daemon appends, entries that come during the look are looked at as well.
    """
    written = given_out(source)  # before the entries are read: more may come meanwhile
    found = check_chain(every(source), expected)
    if found.broken is None and found.head.number < written:
        told = f"the log ends at entry {found.head.number}, and {written} were written"
        return Checked(found.entries, found.head, Broken(found.head.number + 1, told))
    return found


def check_chain(entries: Iterable[Entry], expected: Head | None = None) -> Checked:
    """Look over all entries of a log, in order, up to the first that is not right."""
    last, count = Head(0, FIRST), 0
    for entry in entries:
        wrong = _wrong(entry, last, expected)
        if wrong is not None:
            return Checked(count, last, wrong)
        last, count = Head(entry.number, entry.hash), count + 1
    if expected is not None and last.number < expected.number:
        told = f"the log ends at entry {last.number}, and entry {expected.number} was expected"
        return Checked(count, last, Broken(last.number + 1, told))
    return Checked(count, last)


def _wrong(entry: Entry, last: Head, expected: Head | None) -> Broken | None:
    due = last.number + 1
    if entry.number != due:
        missing = (
            f"entry {due} is"
            if entry.number == due + 1
            else (f"entries {due} to {entry.number - 1} are")
        )
        return Broken(due, f"{missing} missing")
    if hash_of(entry, last.hash) != entry.hash:
        return Broken(due, f"entry {due} ({entry.kind}) is not what was written")
    if expected is not None and entry.number == expected.number and entry.hash != expected.hash:
        told = f"entry {due} ({entry.kind}) is another than expected; the log was written anew"
        return Broken(due, told)
    return None


def expected_head(text: str) -> Head:
    """Read NUMBER:HASH, as the daemon says it. Raises QuestionError."""
    match = _HEAD.fullmatch(text.strip())
    if match is None:
        raise QuestionError(
            f"{text[:90]!r} is no head of the audit log; give NUMBER:HASH as the daemon's log says"
        )
    return Head(int(match[1]), match[2].lower())
