"""The scope that the words of a question name, where no field of the request does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from edge_lvr1.daemon.questions.cameras import no_camera
from edge_lvr1.domain import Scope, TimeSpan
from edge_lvr1.navigator.asked_cameras import read_cameras
from edge_lvr1.navigator.asked_times import AskedTimes, read_times
from edge_lvr1.navigator.calendar_words import CLOCK, minutes_of
from edge_lvr1.store.overview import Extent

_MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class AskedScope:
    """A scope, the question without the words that named it, and how these were read."""

    scope: Scope
    about: str = ""
    read_as: str = ""


class Footage(Protocol):
    """What is to be known of all footage to read a question's words."""

    def cameras(self) -> Sequence[str]:
        """The cameras of all recordings."""
        ...

    def extent(self, scope: Scope) -> Extent | None:
        """How far the recordings that a scope touches reach; None where there are none."""
        ...

    def any_in(self, scope: Scope) -> bool:
        """Whether any recording is of the times of a scope."""
        ...


def narrowed(text: str, scope: Scope, footage: Footage, now: datetime) -> AskedScope:
    """The scope of a request, narrowed by the question's own words.

    A field of the request goes before words; a question about one recording is not read for
    any, since its times are that recording's own. Raises NotFoundError for a camera that is
    named by its number and not there.
    """
    known = footage.cameras()
    if scope.recording is not None or not known:
        return AskedScope(scope)
    rest, read = text, list[str]()
    if not scope.cameras:
        asked = read_cameras(text, known)
        if asked.unknown:
            raise no_camera(asked.unknown[0], known)
        if asked.cameras:
            scope, rest = replace(scope, cameras=asked.cameras), asked.rest
            read.append(", ".join(asked.cameras))
    if scope.since is None and scope.until is None:
        ours = footage.extent(scope)
        times = read_times(rest, now, ours.span if ours else None)
        if times.times and (times.sure or _are_wall_clock(times, scope, ours, footage)):
            first, last = times.times[0].since, times.times[-1].until
            several = times.times if len(times.times) > 1 else ()
            scope = replace(scope, since=first, until=last, times=several)
            rest = times.rest
            read.append(told_times(times.times))
    if not read:
        return AskedScope(scope)
    return AskedScope(scope, rest, f"the question is about {', '.join(read)}")


def told_times(times: tuple[TimeSpan, ...]) -> str:
    """Spans in words, a few of them."""
    told = [
        f"{one.since.isoformat(' ', 'minutes')} to {one.until.isoformat(' ', 'minutes')}"
        for one in times[:_MOST_TOLD]
    ]
    if more := len(times) - len(told):
        told.append(f"{more} more such times, the last to {times[-1].until.date().isoformat()}")
    return ", ".join(told)


def _are_wall_clock(times: AskedTimes, scope: Scope, ours: Extent | None, footage: Footage) -> bool:
    """Whether bare clock times are the day's rather than a recording's own.

    They are its own where there is one recording, and where no footage is of that time of
    the day while some recording is so long that "22:00" may be minutes and seconds of it.
    """
    if ours is None or ours.recordings == 1:
        return False
    if footage.any_in(replace(scope, times=times.times)):
        return True
    said = re.findall(CLOCK, " ".join(times.words), re.I)
    as_seconds = [minutes for clock in said if (minutes := minutes_of(clock)) is not None]
    return min(as_seconds, default=0) > ours.longest_s
