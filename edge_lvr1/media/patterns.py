"""How recorders name their files: a table of patterns, to which a user's own are added.

Data and its checking only; what a pattern found in a path comes to is said in `names.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edge_lvr1.config import NamedPattern
from edge_lvr1.errors import SettingsError

_YEAR, _MONTH, _DAY = r"(?P<year>19[89]\d|20\d\d)", r"(?P<month>\d\d)", r"(?P<day>\d\d)"
_HOUR, _MINUTE, _SECOND = r"(?P<hour>\d\d)", r"(?P<minute>\d\d)", r"(?P<second>\d\d)"
_DATE = rf"(?<!\d){_YEAR}-{_MONTH}-{_DAY}"
_IN_FILE_NAME = r"(?=[^/]*\Z)"
_OFFSET = r"(?P<offset>Z|[+-](?:0\d|1[0-4]):?(?:00|15|30|45)(?!\d))?"

CALENDAR = frozenset({"year", "month", "day", "hour", "minute", "second"})
"""The groups of a pattern that tells a date and a time of day."""


@dataclass(frozen=True, slots=True)
class NamePattern:
    """How a kind of recorder names its files.

    The regular expression is searched in the path below the watched folder, without the
    suffix, with "/" between folders. Groups: year (two digits are of this century) month day
    hour minute second, or epoch; and, where they occur, fraction, offset ("Z", "+0200"),
    summer, camera.
    """

    name: str
    regex: re.Pattern[str]
    utc: bool = False


def _pattern(name: str, regex: str, utc: bool = False) -> NamePattern:
    return NamePattern(name, re.compile(regex, re.ASCII), utc)


# The special before the general: the first that gives a real time is taken.
PATTERNS = (
    _pattern("Frigate", rf"{_DATE}/{_HOUR}/(?P<camera>[^/]+)/{_MINUTE}\.{_SECOND}\Z", utc=True),
    _pattern(
        "Dahua",
        rf"{_DATE}/(?:[^/]+/){{0,3}}{_HOUR}\.{_MINUTE}\.{_SECOND}-\d\d\.\d\d\.\d\d(?!\d)",
    ),
    _pattern("exacqVision", rf"(?<!\d){_YEAR}/{_MONTH}/{_DAY}/{_HOUR}/{_MINUTE}{_SECOND}(?!\d)"),
    _pattern(
        "Reolink",
        rf"(?<![^/])Rec\w{{0,8}}?_(?P<summer>DST)?{_YEAR}{_MONTH}{_DAY}_"
        rf"{_HOUR}{_MINUTE}{_SECOND}(?!\d){_IN_FILE_NAME}",
    ),
    _pattern(
        "Blue Iris",
        rf"(?<![^/])(?P<camera>[^/]+)\.{_YEAR}{_MONTH}{_DAY}_{_HOUR}{_MINUTE}{_SECOND}\Z",
    ),
    _pattern(  # ISO 8601, telephones and most others
        "date and time",
        rf"(?<!\d){_YEAR}[-_.]?{_MONTH}[-_.]?{_DAY}(?:(?P<iso>T)|[ _.-]{{0,3}})"
        rf"{_HOUR}[-_.:h]?{_MINUTE}[-_.:m]?{_SECOND}"
        rf"(?:[.,]?(?P<fraction>\d{{3}}(?:\d{{3}})?))?(?!\d)(?(iso){_OFFSET}){_IN_FILE_NAME}",
    ),
    _pattern(
        "seconds since 1970",
        rf"(?<!\d)(?P<epoch>[12]\d{{9}})(?P<fraction>\d{{3}})?(?!\d){_IN_FILE_NAME}",
    ),
)


def with_users(named: Iterable[NamedPattern]) -> tuple[NamePattern, ...]:
    """The table with a user's own patterns before it, in their order.

    Raises SettingsError for one that is no regular expression or can tell no time.
    """
    return (*(_users(pattern) for pattern in named), *PATTERNS)


def _users(pattern: NamedPattern) -> NamePattern:
    what = f"ingest.name_patterns: the pattern {pattern.name!r}"
    try:
        regex = re.compile(pattern.regex, re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise SettingsError(f"{what} is not a regular expression ({error}); correct it") from error
    if "epoch" not in regex.groupindex and (missing := CALENDAR - regex.groupindex.keys()):
        raise SettingsError(
            f"{what} has no group {', '.join(sorted(missing))}; give it year, month, day, hour, "
            "minute and second as named groups, (?P<year>...), or epoch alone"
        )
    return NamePattern(pattern.name, regex, pattern.utc)
