"""A question taken apart: what the embedded agent takes it to ask."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge_lvr1.domain import Span
from edge_lvr1.models.embedded.retrieval.words import Colour
from edge_lvr1.models.embedded.wording import Kind


class Intent(str, Enum):
    """What kind of answer a question wants."""

    EXISTS = "whether"
    COUNT = "how many"
    WHEN = "when"
    HOW_LONG = "how long"
    COLOUR = "which colour"
    DIRECTION = "which direction"
    ENTERS = "from which side"
    LEAVES = "on which side it leaves"
    LENGTH = "how long the recording is"
    DESCRIBE = "what"


class Moment(str, Enum):
    """Which part of a subject's time in view is asked for."""

    ALL = "all of it"
    START = "its start"
    END = "its end"
    STILL = "its longest stop"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, taken apart.

    `kinds` is empty where any kind may be meant. `ordinal` counts from 1, or from the end
    with -1. Colours and the heading either select the subjects (`colour`, `heading`) or are
    what is to be confirmed of them (`is_colour`, `is_heading`). `side` is where in the
    picture it is to be. A window is `vague` where words name a part of the recording and no
    time. `compare` is an operator (">", ">=", "<",
    "<=", "=") and a number.
    """

    text: str
    intent: Intent
    kinds: tuple[Kind, ...] = ()
    thing: str = ""
    ordinal: int | None = None
    moment: Moment = Moment.ALL
    colour: Colour | None = None
    is_colour: Colour | None = None
    heading: str | None = None
    is_heading: str | None = None
    enters: str | None = None
    leaves: str | None = None
    side: str | None = None
    window: Span | None = None
    vague: bool = False
    compare: tuple[str, int] | None = None
    at_once: bool = False
    still: bool = False
    negated: bool = False
    events: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    specifics: tuple[str, ...] = ()
    clothes: bool = False
    relation: Relation | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """A clause that places the question in time by another subject: "after the red car left"."""

    word: str  # before, after or while
    other: Asked
