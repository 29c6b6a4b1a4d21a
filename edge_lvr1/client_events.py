"""What happens to a question, as a client of the daemon reads it from the event stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a question: "queued", "started", "step" or "done"."""

    name: str
    data: JsonObject


class Told:
    """What a follower was told already, over several streams of the same question."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._steps: list[JsonObject] = []

    def is_news(self, event: Event) -> bool:
        """Whether to tell an event of the stream in hand.

        A question that is asked anew begins with round 1 again: of its steps those that come
        as they came before are not told twice.
        """
        if event.name != "step":
            known = event.name in self._names
            self._names.add(event.name)
            return not known
        step = {key: value for key, value in event.data.items() if key != "seconds"}
        place = int(step["round"]) - 1
        if step in self._steps[place : place + 1]:
            return False
        self._steps[place:] = [step]
        return True


def events(lines: Iterator[str]) -> Iterator[Event]:
    """The wire form of server-sent events, as far as the daemon uses it."""
    name, data = "", ""
    for line in lines:
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            data += line.removeprefix("data:").strip()
        elif not line and name:
            yield Event(name, json.loads(data or "{}"))
            name, data = "", ""
