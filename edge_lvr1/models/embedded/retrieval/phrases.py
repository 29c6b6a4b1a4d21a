"""How the embedded agent names things in an answer: kinds, counts, subjects, times. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edge_lvr1.domain import Span
from edge_lvr1.models.embedded.retrieval.asked import Asked
from edge_lvr1.models.embedded.retrieval.evidence import Subject
from edge_lvr1.models.embedded.wording import EVENTS, Kind

_LISTED = 10
"""Most subjects named one by one in an answer."""


def noun(kinds: Sequence[Kind], number: int) -> str:
    """What kinds are called: "person-like figures", "moving subject"."""
    plural = "" if number == 1 else "s"
    return " or ".join(f"{kind.value}{plural}" for kind in kinds) or f"moving subject{plural}"


def counted(kinds: Sequence[Kind], number: int, asked: Asked | None = None) -> str:
    """A count with the looks that were asked for: "2 white vehicle-like shapes moving up"."""
    return f"{number} {_looks(asked)}{noun(kinds, number)}{_ways(asked)}"


def sought(asked: Asked) -> str:
    """What a question looks for: "a red vehicle-like shape", "the light dims"."""
    if asked.events:
        return " or ".join(EVENTS[what].lower() for what in asked.events)
    looks = f"{_looks(asked)}{noun(asked.kinds, 1)}{_ways(asked)}"
    article = "an" if looks[0] in "aeio" else "a"
    window = f" {times([asked.window])}" if asked.window else ""
    ordinal = f" that would be number {asked.ordinal}" if (asked.ordinal or 0) > 1 else ""
    return f"{article} {looks}{ordinal}{window}"


def _looks(asked: Asked | None) -> str:
    return f"{asked.colour} " if asked and asked.colour else ""


def _ways(asked: Asked | None) -> str:
    if asked is None:
        return ""
    heading = f" moving {asked.heading}" if asked.heading else ""
    side = f" coming or going at the {asked.side}" if asked.side else ""
    enters = f" entering from the {asked.enters}" if asked.enters else ""
    leaves = f" leaving at the {asked.leaves}" if asked.leaves else ""
    return heading + side + enters + leaves


def called(subject: Subject) -> str:
    """What one subject is called: "P1, a grey person-like figure"."""
    looks = f"{' and '.join(subject.colours)} {subject.kind.value}".strip()
    return f"{subject.label}, {'an' if looks[0] in 'aeio' else 'a'} {looks}"


def times(spans: Sequence[Span]) -> str:
    """Spans in words: "from 6.3 to 20.4 s"."""
    told = (f"from {span.start_s:.1f} to {span.end_s:.1f} s" for span in spans)
    return ", ".join(told)


def listing(subjects: Sequence[Subject]) -> str:
    """The subjects one by one in order of time, as far as a reader wants them."""
    told = ", ".join(_entry(subject) for subject in subjects[:_LISTED])
    more = len(subjects) - _LISTED
    return f"{told} and {more} more" if more > 0 else told


def _entry(subject: Subject) -> str:
    looks = f" ({' and '.join(subject.colours)})" if subject.colours else ""
    return f"{subject.label}{looks} {times([subject.seen])}"
