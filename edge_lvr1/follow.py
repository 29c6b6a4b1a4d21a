"""Watching long work in a terminal: jobs being captioned, a question being answered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from edge_lvr1 import display
from edge_lvr1.client import Client

_POLL_S = 0.2
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
        tasks: dict[int, Any] = {}
        while True:
            jobs = [job for job in client.jobs() if job["id"] in ids]
            for job in jobs:
                task = tasks.get(job["id"])
                if task is None:
                    task = tasks[job["id"]] = bars.add_task(_describe(job), total=None)
                progress = job.get("progress") or {}
                bars.update(
                    task,
                    description=_describe(job),
                    completed=progress.get("done", 0),
                    total=progress.get("total"),
                )
            if all(job["state"] in _ENDED for job in jobs):
                return jobs
            time.sleep(_POLL_S)


def follow_question(client: Client, question_id: str, console: Console | None) -> JsonObject:
    """Wait for an answer, showing each round as it happens where there is a console."""
    for event in client.follow(question_id):
        if console and event.name == "step":
            console.print(display.step(event.data))
    return client.question(question_id)


def _describe(job: JsonObject) -> str:
    progress = job.get("progress") or {}
    stage = progress.get("stage") or job["state"]
    name = display.plain(str(job["path"]).rpartition("/")[2], limit=40)
    return f"{name.plain}: {stage}"
