"""The status that is drawn anew."""

from __future__ import annotations

import io
import os
import pty
from typing import Any

import pytest
from rich.console import Console

from edge_lvr1.client import Client
from edge_lvr1.errors import Unreachable
from edge_lvr1.live import follow_status, keys, view


class Scripted(Client):
    """A client whose daemon says one thing after another, or is away."""

    def __init__(self, *said: dict[str, Any] | None) -> None:
        self._said = list(said)

    def status(self) -> dict[str, Any]:
        found = self._said.pop(0)
        if found is None:
            raise Unreachable("no daemon answers")
        return found

    def jobs(self, *args: Any, **given: Any) -> list[dict[str, Any]]:
        return []


def screen() -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=True)


def drawn(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_status_is_drawn_until_it_is_enough_and_a_restart_is_waited_for() -> None:
    console, waits = screen(), [False, False, True]

    follow_status(
        Scripted({"recordings": 1}, None, {"recordings": 2}), console, lambda seconds: waits.pop(0)
    )

    assert waits == []
    assert "no daemon answers" in drawn(console)
    last = drawn(console).rpartition("\x1b[?1049l")[2]  # what stays when the screen is given back
    assert "2" in last
    assert "no daemon answers" not in last


def test_no_daemon_at_the_start_is_said_at_once() -> None:
    with pytest.raises(Unreachable):
        follow_status(Scripted(None), screen(), lambda seconds: True)


def test_of_many_failed_files_the_first_are_named() -> None:
    console = screen()
    failed = [{"state": "failed", "path": f"/srv/{n}.mp4", "reason": "empty"} for n in range(8)]

    console.print(view({"recordings": 1}, failed))

    assert "/srv/4.mp4" in drawn(console)
    assert "/srv/5.mp4" not in drawn(console)
    assert "and 3 more files set aside" in drawn(console)


def test_key_ends_the_wait_and_the_terminal_is_as_before() -> None:
    ours, theirs = pty.openpty()
    try:
        with os.fdopen(theirs, "r", closefd=False) as source:
            with keys(source) as wait:
                os.write(ours, b"xq")
                ended = wait(10.0)
                quiet = wait(0.01)
            echoed = wait_is_cooked(theirs)
    finally:
        os.close(ours)
        os.close(theirs)

    assert ended
    assert not quiet
    assert echoed


def wait_is_cooked(descriptor: int) -> bool:
    import termios

    return bool(termios.tcgetattr(descriptor)[3] & termios.ICANON)


def test_without_a_terminal_it_only_waits() -> None:
    with keys(io.StringIO("q")) as wait:
        assert not wait(0.0)
