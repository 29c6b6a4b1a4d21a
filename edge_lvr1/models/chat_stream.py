"""What a chat server sends, read: events of a stream, replies put together, words of errors.

Servers differ in where they put reasoning (`reasoning_content`, `reasoning`, or plain text in
tags) and in whether a stop string is part of the text; those differences end here. Nothing a
server sends is trusted: it is bounded in size and may have any shape. Nothing here knows of
requests, addresses or tries.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

from edge_lvr1.errors import ModelError

NOT_TAKEN_STATUS = frozenset({408, 425, 429, 502, 503, 504})
RETRIED_STATUS = NOT_TAKEN_STATUS | {500}
MOST_BYTES = 8 << 20  # of one answer; the longest reply is a few thousand tokens
_THINK, _END_THINK = "<think>", "</think>"


class BrokenOff(Exception):  # noqa: N818 (reads as what it says)
    """The server did not take the request, or broke off. Unless `final`, another try may work.

    `taken`: it had taken the request.
    """

    def __init__(
        self, why: str, wait_s: float = 0.0, *, final: bool = False, taken: bool = True
    ) -> None:
        super().__init__(why)
        self.wait_s = wait_s
        self.final = final
        self.taken = taken


class Reply:
    """A reply as it comes in.

    `finish` stays empty until the reply has ended; then it is the server's own word, or "cut"
    where a stop string ended it here. `failure`, and whether any try of it `reached` a server
    that took it, are for whoever sends the request.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self.stops = tuple(stops)
        self.failure = ""
        self.reached = False
        self.clear()

    def clear(self) -> None:
        """Begin again: a request that is sent again writes its reply anew."""
        self.reasoning = ""
        self.content = ""
        self.finish = ""
        self.tokens = 0
        self.read = 0
        self.left_out = ""

    def text(self) -> str:
        """All that was written, reasoning first and in its tags, up to the first stop string."""
        text = self.content
        if self.reasoning:
            close = _END_THINK if self.content or self.finish == "stop" else ""
            gap = "\n" if close and not self.content.startswith("\n") else ""
            text = f"{_THINK}{self.reasoning}{close}{gap}{self.content}"
        end = self._end(text)
        return text + self.left_out if end is None else text[:end]

    def take(self, event: object) -> bool:
        """Take one event of the stream; whether the reply has ended."""
        self._take(event, "delta")
        if not self.finish and self._end(self.content) is not None:
            self.finish = "cut"
        return bool(self.finish)

    def take_whole(self, answer: object) -> None:
        """Take an answer that was not streamed. Raises ModelError where it is none."""
        if not self._take(answer, "message"):
            raise ModelError("the server's answer holds no reply: is it a chat server?")
        self.finish = self.finish or "stop"

    def _take(self, data: object, part: str) -> bool:
        choice = _first(_get(data, "choices"))
        message = _get(choice, part)
        reasoning = _text(message, "reasoning_content") or _text(message, "reasoning")
        content = _text(message, "content")
        self.reasoning += reasoning
        self.content += content
        self.tokens += bool(reasoning or content)
        self.take_usage(data)
        self.finish = _text(choice, "finish_reason") or self.finish
        if self.finish == "stop" and choice is not None:
            self.left_out = self._left_out(_get(choice, "stop_reason"))
        return choice is not None

    def take_usage(self, data: object) -> bool:
        """Take what an event or answer says of tokens; whether it says anything."""
        usage = _get(data, "usage")
        written, read = _count(usage, "completion_tokens"), _count(usage, "prompt_tokens")
        self.tokens = written or self.tokens
        self.read = read or self.read
        return written > 0 or read > 0

    def _left_out(self, named: object) -> str:
        """The stop string that ended the reply and that the server left out of its text.

        Some servers name it; where none does, an opened tag says which it was.
        """
        if self._end(self.content) is not None:
            return ""
        if isinstance(named, str) and named in self.stops:
            return named
        after_thought = self.content.rpartition(_END_THINK)[2]
        for stop in self.stops:
            if stop.startswith("</") and stop.replace("</", "<", 1) in after_thought:
                return stop
        return ""

    def _end(self, text: str) -> int | None:
        """Where the first stop string after the thought ends; None where there is none."""
        thought = text.find(_END_THINK)
        if thought < 0 and _THINK in text:
            return None
        found = [(text.find(stop, max(thought, 0)), len(stop)) for stop in self.stops]
        ends = [(at, at + length) for at, length in found if at >= 0]
        return min(ends)[1] if ends else None


async def events(blocks: AsyncIterator[bytes]) -> AsyncIterator[object]:
    """The data of each server-sent event, parsed, up to "[DONE]".

    Raises ModelError where an event is no JSON, BrokenOff where it is an error.
    """
    async for line in _lines(blocks):
        if line.startswith("data:"):
            data = line[5:].strip()
            if data == "[DONE]":
                return
            if data:
                yield parsed(data)


async def whole(blocks: AsyncIterator[bytes]) -> str:
    """A body that was not streamed. Raises ModelError where it is too long."""
    read = b""
    async for block in blocks:
        read += block
        _check_size(len(read))
    return read.decode("utf-8", "replace")


def parsed(text: str) -> object:
    """What a server sent, from JSON. Raises ModelError, or BrokenOff where it is an error."""
    try:
        data = json.loads(text)
    except ValueError:
        if text.startswith('{"error"'):  # some servers do not escape their own words
            raise BrokenOff(text) from None
        raise ModelError(
            f"the server sent what is no JSON ({text[:40]!r}): is it a chat server?"
        ) from None
    error = _get(data, "error")
    if error:
        code = _get(error, "code")
        final = isinstance(code, int) and 400 <= code < 500 and code not in RETRIED_STATUS
        raise BrokenOff(words_of(text), final=final)
    return data


def model_names(data: object) -> list[str]:
    """The models that a server lists."""
    entries = _get(data, "data")
    found = [_text(entry, "id") for entry in entries] if isinstance(entries, list) else []
    return [name for name in found if name]


def words_of(text: str) -> str:
    """What an error answer says: its message where it is JSON, else its text."""
    with suppress(ValueError):
        data = json.loads(text)
        for key in ("error", "detail", "message"):
            said = _get(data, key)
            said = _get(said, "message") or said
            if said:
                return said if isinstance(said, str) else json.dumps(said)
    return text


async def _lines(blocks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    rest, size = b"", 0
    async for block in blocks:
        size += len(block)
        _check_size(size)
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if rest:
        yield rest.decode("utf-8", "replace")


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise ModelError(f"the server sent more than {MOST_BYTES >> 20} MiB for one reply")


def _get(data: object, key: str) -> object:
    return data.get(key) if isinstance(data, Mapping) else None


def _text(data: object, key: str) -> str:
    value = _get(data, key)
    return value if isinstance(value, str) else ""


def _count(data: object, key: str) -> int:
    value = _get(data, key)
    return value if isinstance(value, int) and value > 0 else 0


def _first(entries: object) -> object:
    return entries[0] if isinstance(entries, list) and entries else None
