"""What was found for a question: the fact in words, its value, and where to see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge_lvr1.domain import Span


@dataclass(frozen=True, slots=True)
class Aim:
    """Time at which something is to be seen, and which leaf of it shows it best."""

    span: Span
    where: Literal["best", "first", "last"]
    what: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Value:
    """The fact itself, in the forms that options can be weighed against."""

    yes: bool | None = None
    number: int | None = None
    seconds: float | None = None
    colours: tuple[str, ...] = ()
    direction: str | None = None
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, in words that begin with the fact; or why nothing was."""

    found: bool
    text: str
    value: Value = Value()
    aims: tuple[Aim, ...] = ()
