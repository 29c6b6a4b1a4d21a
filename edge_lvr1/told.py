"""How a command tells an error: one sentence on stderr, and the exit code it stands for."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer
from rich.console import Console

from edge_lvr1.display import plain
from edge_lvr1.errors import (
    EdgeLvr1Error,
    NotFoundError,
    QuestionError,
    SettingsError,
    Unreachable,
)

FAILED, USAGE, NOT_FOUND, UNREACHABLE = 1, 2, 3, 4
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it

P = ParamSpec("P")


def exit_code(error: EdgeLvr1Error) -> int:
    """The exit code that an error stands for."""
    if isinstance(error, Unreachable):
        return UNREACHABLE
    if isinstance(error, NotFoundError):
        return NOT_FOUND
    if isinstance(error, SettingsError | QuestionError):
        return USAGE
    return FAILED


def told(command: Callable[P, None]) -> Callable[P, None]:
    """Errors of our own become one sentence on stderr and their exit code."""

    @wraps(command)
    def run_command(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except EdgeLvr1Error as error:
            Console(stderr=True).print(plain(f"edge-lvr1: {error}", style="red", lines=False))
            raise typer.Exit(exit_code(error)) from error
        except KeyboardInterrupt:
            raise typer.Exit(_INTERRUPTED) from None

    return run_command
