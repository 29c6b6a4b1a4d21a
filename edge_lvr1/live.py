"""The daemon's state in a terminal, drawn anew while one watches."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from edge_lvr1 import display
from edge_lvr1.client import Client
from edge_lvr1.errors import Unreachable

EACH_S = 1.0
_MOST_FAILED = 5
_ENDS = frozenset(b"qQ\x04")
JsonObject = dict[str, Any]


def follow_status(
    client: Client, console: Console, wait: Callable[[float], bool] | None = None
) -> None:
    """Draw the status again and again, until q is pressed; Ctrl-C ends it as any command.

    A daemon that restarts meanwhile is waited for. `wait` sleeps that long and says whether it
    was enough. Raises Unreachable where there is no daemon at the start.
    """
    drawn = _look(client)
    with contextlib.ExitStack() as stack:
        pause = wait or stack.enter_context(keys(sys.stdin))
        live = stack.enter_context(Live(drawn, console=console, auto_refresh=False, screen=True))
        live.refresh()
        while not pause(EACH_S):
            try:
                drawn = _look(client)
            except Unreachable as error:
                drawn = Group(display.plain(f"{error}", style="red"), drawn)
            live.update(drawn, refresh=True)
    console.print(drawn)


def view(status: Mapping[str, Any], failed: Sequence[Mapping[str, Any]]) -> RenderableType:
    """One picture: what is wrong and in hand first, then every fact."""
    lines: list[RenderableType] = [display.status(status)]
    if failed:
        lines.append(display.jobs(failed[:_MOST_FAILED]))
        if (more := len(failed) - _MOST_FAILED) > 0:
            lines.append(Text(f"and {more} more files set aside"))
    lines.append(Text(f"{time.strftime('%H:%M:%S')}, q ends", style="dim"))
    return Group(*lines)


@contextlib.contextmanager
def keys(source: TextIO) -> Iterator[Callable[[float], bool]]:
    """A wait that a key of _ENDS cuts short, and says so; without a terminal it only waits."""
    if not source.isatty():
        yield _sleep
        return
    descriptor = source.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)

    def wait(seconds: float) -> bool:
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            if select.select([descriptor], [], [], left_s)[0]:
                typed = os.read(descriptor, 64)
                if not typed or _ENDS & set(typed):  # nothing: the terminal is gone
                    return True
        return False

    try:
        yield wait
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _look(client: Client) -> RenderableType:
    return view(client.status(), client.jobs("failed"))
