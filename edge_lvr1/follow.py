"""Watching long work in a terminal: jobs being captioned, a question being answered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from edge_lvr1 import display
from edge_lvr1.client import RESTART_S, Client

_POLL_S = 0.2
_MOST_BARS = 12
_ENDED = ("done", "failed")
JsonObject = dict[str, Any]


def follow_jobs(client: Client, ids: Sequence[int], console: Console | None) -> list[JsonObject]:
    """Wait until ingest jobs have ended, drawing a bar for each; their last state.

    Without a console it only waits.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=console is None) as bars:
        draw = _one_bar_each if len(ids) <= _MOST_BARS else _one_bar
        ended: dict[int, JsonObject] = {}
        tasks: dict[int, TaskID] = {}
        while True:
            waiting = client.jobs(ids=[number for number in ids if number not in ended])
            draw(bars, tasks, waiting, len(ids))
            ended |= {job["id"]: job for job in waiting if job["state"] in _ENDED}
            if len(ended) == len(set(ids)):
                return [ended[number] for number in ids]
            time.sleep(_POLL_S)


def _one_bar_each(
    bars: Progress, tasks: dict[int, TaskID], jobs: Sequence[JsonObject], total: int
) -> None:
    for job in jobs:
        if job["id"] not in tasks:
            tasks[job["id"]] = bars.add_task(_describe(job), total=None)
        progress = job.get("progress") or {}
        bars.update(
            tasks[job["id"]],
            description=_describe(job),
            completed=progress.get("done", 0),
            total=progress.get("total"),
        )


def _one_bar(
    bars: Progress, tasks: dict[int, TaskID], jobs: Sequence[JsonObject], total: int
) -> None:
    if 0 not in tasks:
        tasks[0] = bars.add_task("files", total=total)
    left = sum(job["state"] not in _ENDED for job in jobs)
    stages = dict(Counter(job["state"] for job in jobs))
    told = ", ".join(f"{count} {state}" for state, count in stages.items())
    bars.update(tasks[0], description=f"files: {told}", completed=total - left)


def follow_question(client: Client, question_id: str, console: Console | None) -> JsonObject:
    """Wait for an answer, showing each round as it happens where there is a console.

    A daemon that is started again meanwhile goes on with the question, and so does this.
    """

    def on_wait() -> None:
        if console:
            console.print(display.plain("the daemon went away; waiting for its return"))

    for event in client.follow(question_id, RESTART_S, on_wait):
        if console and event.name == "step":
            console.print(display.step(event.data))
    return client.question(question_id)


def _describe(job: JsonObject) -> str:
    progress = job.get("progress") or {}
    stage = progress.get("stage") or job["state"]
    name = display.plain(str(job["path"]).rpartition("/")[2], limit=40, lines=False)
    return f"{name.plain}: {stage}"
