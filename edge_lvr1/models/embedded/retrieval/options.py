"""Which lettered option agrees with what was found. Pure; None where none does.

An option is never chosen because the others seem worse: where nothing speaks for one, the
agent says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from edge_lvr1.domain import Span
from edge_lvr1.models.embedded.retrieval import words
from edge_lvr1.models.embedded.retrieval.asked import Asked, Intent
from edge_lvr1.models.embedded.retrieval.found import Value
from edge_lvr1.models.embedded.retrieval.times import read_window, seconds

_TIME = re.compile(
    r"\d{1,3}:\d{2}(?::\d{2})?|\d{1,6}(?:\.\d{1,3})?\s*(?:seconds?|secs?|s|minutes?|mins?|m)?\b"
)
_NEAR_S = 10.0  # a time further off than this speaks for no option


def choose(options: Sequence[str], asked: Asked, value: Value, duration_s: float) -> int | None:
    """Index of the one option that agrees best with a value; None on a tie or no agreement."""
    merits: list[Callable[[str], float]] = [lambda option: _kind_merit(option, value)]
    if asked.intent is Intent.COUNT and not asked.compare:
        merits = [lambda option: _number_merit(option, value)]
    elif asked.intent in (Intent.DIRECTION, Intent.ENTERS, Intent.LEAVES):
        merits = [lambda option: _direction_merit(option, value)]
    elif asked.intent is Intent.COLOUR:
        merits = [lambda option: _colour_merit(option, value)]
    elif asked.intent is Intent.WHEN:
        merits = [lambda option: _time_merit(option, value, duration_s)]
    elif asked.intent in (Intent.HOW_LONG, Intent.LENGTH):
        merits = [lambda option: _length_merit(option, value)]
    else:
        merits += [
            lambda option: _colour_merit(option, value),
            lambda option: _direction_merit(option, value),
            lambda option: _number_merit(option, value),
        ]
    for merit in merits:
        index = _only_best([merit(option.lower()) for option in options])
        if index is not None:
            return index
    return None


def _only_best(merits: Sequence[float]) -> int | None:
    best = max(merits, default=0.0)
    return merits.index(best) if best > 0 and merits.count(best) == 1 else None


def _kind_merit(option: str, value: Value) -> float:
    """Yes and no."""
    if value.yes is None:
        return 0.0
    match = re.match(r"\W*(yes|no|true|false)\b", option)
    return float(match is not None and (match[1] in ("yes", "true")) == value.yes)


def _number_merit(option: str, value: Value) -> float:
    if value.number is None:
        return 0.0
    for operator, pattern in (
        (">", r"(?:more than|over)\s+(\w+)"),
        ("<", r"(?:fewer than|less than)\s+(\w+)"),
        (">=", r"at least\s+(\w+)|(\w+) or more"),
    ):
        match = re.search(pattern, option)
        number = words.number_in(next(g for g in match.groups() if g)) if match else None
        if number is not None:
            holds = {">": value.number > number, "<": value.number < number}
            return 0.5 * holds.get(operator, value.number >= number)
    bounds = re.search(r"\b(\d{1,6})\s*(?:-|to|\u2013)\s*(\d{1,6})\b", option)
    if bounds:
        return 0.5 * (int(bounds[1]) <= value.number <= int(bounds[2]))
    numbers = (words.number_in(token) for token in re.findall(r"[a-z0-9]+", option))
    return float(next((n for n in numbers if n is not None), None) == value.number)


def _colour_merit(option: str, value: Value) -> float:
    """3 for the main colour as told, less for another colour told, least for a near one."""
    told = [colour for name in value.colours for colour in words.colours_in(name)]
    best = 0.0
    for colour in words.colours_in(option):
        for place, other in enumerate(told):
            near = words.nearness(colour, other)
            exact = 0.5 if colour == other else 0.0
            best = max(best, (near + exact if near == 2 else near * 0.5) / (1 + place))
    return best


def _direction_merit(option: str, value: Value) -> float:
    if value.direction is None:
        return 0.0
    named = {words.DIRECTIONS.get(word, word) for word in re.findall(r"[a-z]+", option)}
    named = {
        {"top": "up", "bottom": "down", "above": "up", "below": "down"}.get(n, n) for n in named
    }
    named &= {"left", "right", "up", "down"}
    told = {{"top": "up", "bottom": "down"}.get(n, n) for n in value.direction.split()}
    told &= {"left", "right", "up", "down"}
    if not named or not named <= told:
        return 0.0
    return len(named) / len(told)


def _time_merit(option: str, value: Value, duration_s: float) -> float:
    if not value.spans:
        return 0.0
    told = value.spans[0]
    window = read_window(option, duration_s).window or _window_of(option)
    if window is None:
        return 0.0
    if window.overlap_s(told) > 0:
        return 1 + window.overlap_s(told) / max(window.duration_s, told.duration_s)
    apart_s = max(window.start_s - told.end_s, told.start_s - window.end_s, 0.0)
    return max(0.0, 1 - apart_s / _NEAR_S)


def _window_of(option: str) -> Span | None:
    found = [t for match in _TIME.findall(option) if (t := seconds(match)) is not None]
    return Span(min(found), max(found)) if found else None


def _length_merit(option: str, value: Value) -> float:
    found = [t for match in _TIME.findall(option) if (t := seconds(match)) is not None]
    if value.seconds is None or not found:
        return 0.0
    apart = abs(found[0] - value.seconds) / max(found[0], value.seconds, 1e-6)
    return max(0.0, 1 - 2 * apart)
