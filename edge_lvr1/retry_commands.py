"""`edge-lvr1 retry`: files and recordings that failed are tried again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge_lvr1 import config
from edge_lvr1.display import json_text, plain
from edge_lvr1.told import told

out = Console()


@told
def retry(
    jobs: Annotated[list[int] | None, typer.Argument(help="Numbers of failed jobs.")] = None,
    recording: Annotated[
        list[int] | None, typer.Option(help="Number of a failed recording; may be given again.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Everything that failed.")] = False,
    socket: Annotated[
        Path | None, typer.Option(help="The daemon's socket.", envvar="EDGE_LVR1_SOCKET")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Try again what failed: `retry 12 13`, `retry --recording 4`, or `retry --failed`."""
    from edge_lvr1.client import Client

    if not (jobs or recording or failed):
        raise typer.BadParameter("name jobs or recordings, or give --failed")
    done = {"jobs": 0, "recordings": 0}
    with Client(config.load({"socket": socket}).socket_path) as client:
        answers = [client.retry_job(job) for job in jobs or ()]
        answers += [client.retry_recording(number) for number in recording or ()]
        answers += [client.retry_failed()] if failed else []
    for answer in answers:
        done = {name: count + answer[name] for name, count in done.items()}
    if as_json:
        sys.stdout.write(json_text(done) + "\n")
    else:
        told_of = f"{done['jobs']} files and {done['recordings']} recordings are tried again"
        out.print(plain(told_of))
