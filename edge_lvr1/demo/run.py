"""The demo: a real daemon in a temporary folder, footage dropped in, questions answered.

Without a file of the user's it draws footage whose truth is known, and fails where an
answer is wrong; with one it shows the same path on that file and judges nothing.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from edge_lvr1 import display
from edge_lvr1.client import Client
from edge_lvr1.demo.process import DaemonProcess
from edge_lvr1.demo.scene import YARD, Scene, render
from edge_lvr1.domain import Span
from edge_lvr1.errors import NotFoundError
from edge_lvr1.follow import follow_jobs, follow_question

SETTLE_S = 2.0
_FOUND_WITHIN_S = 60.0  # from the last byte until the daemon has a job for the file
Found = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """A question with the truth about it, in words and as a test of the answer."""

    question: str
    truth: str
    holds: Callable[[Found], bool]


def run_demo(
    console: Console, *, video: Path | None, questions: Sequence[str], keep: Path | None
) -> int:
    """Run the main job once; the exit code: 0, or 1 where an answer is wrong or failed."""
    if video is not None and not video.is_file():
        raise NotFoundError(f"there is no file at {video}; give the path of a video")
    checks = [] if video else checks_of(YARD)
    asked = [*(check.question for check in checks), *questions]
    if not asked:
        asked = ["What happens, and when?", "How many people come into view?"]
    with ExitStack() as stack:
        folder = _folder(stack, keep)
        source = video or _draw(console, folder / "yard.mp4")
        watched = folder / "footage"
        watched.mkdir(exist_ok=True)
        daemon = DaemonProcess(
            data=folder / "archive", watch=watched, socket=folder / "s", settle_s=SETTLE_S
        )
        client = stack.enter_context(daemon.running())
        console.print(display.plain(f"daemon running, watching {watched}"))
        _take_in(console, client, source, watched / source.name)
        answers = []
        for question in asked:
            console.print(display.plain(f"\n? {question}", style="bold"))
            asked_as = client.ask({"question": question})
            answers.append(follow_question(client, asked_as, console))
            console.print(display.answer(answers[-1]))
    if keep:
        console.print(display.plain(f"\nkept in {keep}: footage, archive and daemon.log"))
    return _judge(console, checks, answers)


def checks_of(scene: Scene) -> list[Check]:
    """Three questions about a drawn scene, each with what is true."""
    people, vehicles = scene.of_kind("person"), scene.of_kind("vehicle")
    first, vehicle = people[0].present, vehicles[0]
    return [
        Check(
            "How many people come into view?",
            f"{len(people)}",
            lambda found: _first_number(found["text"]) == len(people),
        ),
        Check(
            "When is the first person there?",
            f"from {first.start_s:.0f} to {first.end_s:.0f} s",
            lambda found: _overlaps(found, first),
        ),
        Check(
            f"Which way does the {vehicle.colour_name} car move?",
            vehicle.leaves,
            lambda found: (
                re.search(rf"\b{vehicle.leaves}\b", found["text"]) is not None
                and _overlaps(found, vehicle.present)
            ),
        ),
    ]


def _first_number(text: str) -> int | None:
    match = re.search(r"\d+", text)
    return int(match[0]) if match else None


def _overlaps(found: Found, truth: Span) -> bool:
    spans = [Span(entry["start_s"], entry["end_s"]) for entry in found["evidence"]]
    return bool(spans) and all(span.overlap_s(truth) > 0 for span in spans)


def _folder(stack: ExitStack, keep: Path | None) -> Path:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        return keep.absolute()
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-lvr1-")))


@contextmanager
def _bar(console: Console, what: str) -> Iterator[Callable[[float], None]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda share: progress.update(task, completed=share)


def _draw(console: Console, target: Path) -> Path:
    with _bar(console, f"drawing {YARD.duration_s:.0f} s of footage") as on_progress:
        render(target, on_progress=on_progress)
    told = ", ".join(
        f"{actor.colour_name} {actor.kind} {actor.present.start_s:.0f}-{actor.present.end_s:.0f} s"
        for actor in YARD.actors
    )
    console.print(f"drew {YARD.duration_s:.0f} s of footage; what is true in it: {told}")
    return target


def _take_in(console: Console, client: Client, source: Path, target: Path) -> None:
    size = source.stat().st_size
    with source.open("rb") as whole, target.open("wb") as dropped:
        dropped.write(whole.read(size // 2))
        dropped.flush()
        told = f"dropped the first half of {target.name} ({size // 2:,} bytes)"
        console.print(display.plain(told))
        time.sleep(SETTLE_S / 2)
        taken = "taken too early" if client.jobs() else "not taken yet, as it may still grow"
        console.print(f"  {taken}")
        shutil.copyfileobj(whole, dropped)
    console.print(f"dropped the second half; it is taken once it stands still for {SETTLE_S:g} s")
    begun = time.monotonic()
    while not (jobs := client.jobs()):
        if time.monotonic() - begun > _FOUND_WITHIN_S:
            raise NotFoundError(f"the daemon did not find {target.name}; see daemon.log")
        time.sleep(0.1)
    for job in follow_jobs(client, [job["id"] for job in jobs], console):
        if job["state"] == "failed":
            raise NotFoundError(f"{target.name} cannot be taken in: {job['reason']}")
    seconds = time.monotonic() - begun
    for recording in client.recordings():
        console.print(
            f"captioned: recording {recording['id']}, {recording['duration_s']:.1f} s, "
            f"{recording['captions']} captions, {seconds:.1f} s after it was dropped"
        )


def _judge(console: Console, checks: Sequence[Check], answers: Sequence[Found]) -> int:
    wrong = sum(found["verdict"] in ("failed", "gave_up") for found in answers[len(checks) :])
    if checks:
        console.print()
    for check, found in zip(checks, answers, strict=False):
        right = found["verdict"] == "answered" and check.holds(found)
        wrong += not right
        mark = "[green]right[/green]" if right else "[red]wrong[/red]"
        console.print(f"{mark}  {check.question} truth: {check.truth}")
    return 1 if wrong else 0
