"""The command line: each command parses, calls one thing, prints, and returns an exit code.

Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 daemon not reachable. Nothing heavy is
imported before a command needs it.
"""

from __future__ import annotations

import dataclasses
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from edge_lvr1 import (
    bench_commands,
    config,
    display,
    eval_commands,
    evidence_commands,
    keeping_commands,
    retry_commands,
    systemd_commands,
    web_commands,
)
from edge_lvr1.domain import Verdict
from edge_lvr1.errors import DaemonError, NotFoundError, QuestionError
from edge_lvr1.export import commands as export_commands
from edge_lvr1.told import FAILED, NOT_FOUND, told

if TYPE_CHECKING:
    from edge_lvr1.client import Client

app = typer.Typer(
    name="edge-lvr1",
    help="Ask questions of recorded footage, on this machine, without a network.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(export_commands.app, name="export")
app.add_typer(bench_commands.app, name="bench")
app.command("eval")(eval_commands.evaluate)
app.add_typer(eval_commands.trajectories, name="trajectories")
app.add_typer(evidence_commands.audit, name="audit")
app.add_typer(systemd_commands.app, name="systemd")
app.command("web")(web_commands.web)
app.command("retry")(retry_commands.retry)
app.command("hold")(keeping_commands.hold)
app.command("release")(keeping_commands.release)
app.command("backup")(keeping_commands.backup)
app.command("restore")(keeping_commands.restore)
app.add_typer(evidence_commands.case, name="case")
app.command("verify")(evidence_commands.verify)
out = Console()
err = Console(stderr=True)

Socket = Annotated[
    Path | None, typer.Option(help="The daemon's socket.", envvar="EDGE_LVR1_SOCKET")
]
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
_TIMES += ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
_TRACE = ("state", "asked_at", "options", "steps")  # beyond the answer
_WORDS = "ISO 8601, or words: 'yesterday 22:00', 'last Tuesday night'."
_SINCE, _UNTIL = "Only footage from this time on.", "Only footage before this time."
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
RecordingId = Annotated[int, typer.Argument(help="Number of the recording.", min=1)]


def main() -> None:
    """Entry point of the `edge-lvr1` command."""
    app()


def _client(socket: Path | None) -> Client:
    from edge_lvr1.client import Client

    return Client(config.load({"socket": socket}).socket_path)


def _print_json(value: Any) -> None:  # noqa: ANN401 (whatever the socket returned)
    sys.stdout.write(display.json_text(value) + "\n")


@app.command()
@told
def run(
    watch: Annotated[
        list[Path] | None, typer.Option(help="A folder to watch; may be given again.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Where the archive is kept.")] = None,
    socket: Socket = None,
    listen: Annotated[str | None, typer.Option(help="Also serve loopback HOST:PORT.")] = None,
    config_file: Annotated[Path | None, typer.Option("--config", help="Settings (TOML).")] = None,
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = None,
) -> None:
    """Run the daemon in the foreground."""
    from edge_lvr1.daemon.main import run as run_daemon

    flags = {
        "watch": tuple(path.absolute() for path in watch or ()),
        "data": data.absolute() if data else None,
        "socket": socket.absolute() if socket else None,
        "listen": listen,
        "log_level": log_level.upper() if log_level else None,
    }
    raise typer.Exit(run_daemon(config.load(flags, config_file)))


@app.command()
@told
def demo(
    video: Annotated[Path | None, typer.Argument(help="Your own file instead.")] = None,
    question: Annotated[
        list[str] | None, typer.Option(help="Ask this of your file; may be given again.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep footage, archive and log in this folder.")
    ] = None,
) -> None:
    """Show the main job once, end to end, in a temporary folder."""
    from edge_lvr1.demo.run import run_demo

    raise typer.Exit(run_demo(out, video=video, questions=question or [], keep=keep))


@app.command()
@told
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders to take in.")],
    wait: Annotated[bool, typer.Option(help="Wait until they are captioned.")] = True,
    first: Annotated[bool, typer.Option("--first", help="Before everything that waits.")] = False,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Hand files to the daemon, and watch them being captioned."""
    from edge_lvr1.follow import follow_jobs

    jobs: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    with _client(socket) as client:
        for path in paths:
            try:
                offer = client.ingest(path, first)
            except NotFoundError as error:
                refused.append({"path": str(path), "reason": str(error), "missing": True})
            else:
                jobs += offer["taken"]
                refused += [{**entry, "missing": False} for entry in offer["refused"]]
        if wait and jobs:
            jobs = follow_jobs(client, [job["id"] for job in jobs], None if as_json else err)
    if as_json:
        _print_json({"jobs": jobs, "refused": refused})
    else:
        if jobs:
            out.print(display.jobs(jobs))
        for entry in refused:
            err.print(display.plain(f"edge-lvr1: {entry['reason']}", style="red", lines=False))
    if any(job["state"] == "failed" for job in jobs):
        raise typer.Exit(FAILED)
    if refused:
        raise typer.Exit(NOT_FOUND if all(entry["missing"] for entry in refused) else FAILED)


@app.command()
@told
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    option: Annotated[
        list[str] | None, typer.Option(help="A possible answer; give each (A, B, ... in turn).")
    ] = None,
    recording: Annotated[int | None, typer.Option(help="Only this recording.")] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; repeat.")] = None,
    since: Annotated[str | None, typer.Option(help=f"{_SINCE} {_WORDS}")] = None,
    until: Annotated[str | None, typer.Option(help=_UNTIL)] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Have the evidence looked at again.")
    ] = False,
    rounds: Annotated[int | None, typer.Option(help="Most rounds to spend.", min=1)] = None,
    seconds: Annotated[float | None, typer.Option(help="Most seconds to spend.")] = None,
    within: Annotated[
        float | None, typer.Option(help="Give up where it is not answered in so many seconds.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The same key with the same question asks it once.")
    ] = None,
    follow: Annotated[bool, typer.Option(help="Show each round as it happens.")] = False,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Ask a question, and wait for the answer and its evidence."""
    from edge_lvr1.follow import follow_question

    with _client(socket) as client:
        asked = client.ask(
            {
                "question": question,
                "options": option,
                "recording": recording,
                "cameras": camera,
                "since": since,
                "until": until,
                "max_rounds": rounds,
                "max_seconds": seconds,
                "confirm": confirm or None,
                "deadline_s": within,
            },
            key,
        )
        shown = (err if as_json else out) if follow else None
        answer = follow_question(client, asked, shown)
    if answer["verdict"] is None:
        raise DaemonError(f"question {asked} was cancelled before it was begun")
    if as_json:
        _print_json({name: value for name, value in answer.items() if name not in _TRACE})
    else:
        out.print(display.answer(answer))
    if answer["verdict"] == Verdict.FAILED.value:
        raise typer.Exit(FAILED)


@app.command()
@told
def recordings(
    recording: Annotated[int | None, typer.Argument(help="One recording, more closely.")] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; repeat.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=_TIMES, help=_SINCE)] = None,
    until: Annotated[datetime | None, typer.Option(formats=_TIMES, help=_UNTIL)] = None,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """List the recordings in the archive, or show when something happens in one."""
    with _client(socket) as client:
        if recording is None:
            listed = client.recordings(camera or (), _aware(since), _aware(until))
            found: Any = listed
            drawn = display.recordings(listed)
        else:
            found = client.recording(recording)
            try:
                activity = client.activity(recording)
            except NotFoundError:  # not looked over yet
                activity = None
            found["activity"] = activity
            drawn = display.recording(found, activity)
    if as_json:
        _print_json(found)
    else:
        out.print(drawn)


@app.command()
@told
def tree(recording: RecordingId, socket: Socket = None, as_json: AsJson = False) -> None:
    """Draw a recording's caption tree."""
    with _client(socket) as client:
        found = client.tree(recording)
    if as_json:
        _print_json(found)
    else:
        out.print(display.caption_tree(found))


@app.command()
@told
def search(
    words: Annotated[str, typer.Argument(help="Words to look for in the captions.")],
    recording: Annotated[int | None, typer.Option(help="Only this recording.")] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; repeat.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=_TIMES, help=_SINCE)] = None,
    until: Annotated[datetime | None, typer.Option(formats=_TIMES, help=_UNTIL)] = None,
    limit: Annotated[int, typer.Option(help="Most captions shown.", min=1, max=1000)] = 20,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Find captions by words, and by meaning where there is an embedder, best first."""
    with _client(socket) as client:
        hits = client.search(
            words, recording, camera or (), _aware(since), _aware(until), limit=limit
        )
    if as_json:
        _print_json(hits)
    elif hits:
        out.print(display.hits(hits))
    else:
        out.print(display.plain(f"no caption matches {words!r}"))


@app.command()
@told
def questions(
    question: Annotated[str | None, typer.Argument(help="One question, with its rounds.")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take that question back.")] = False,
    limit: Annotated[int, typer.Option(help="How many to list.", min=1, max=1000)] = 20,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """List questions, newest first; or show or cancel one."""
    if cancel and question is None:
        raise QuestionError("say which question to cancel: edge-lvr1 questions ID --cancel")
    with _client(socket) as client:
        if question is None:
            found: Any = client.questions(limit)
            drawn = display.questions(found)
        else:
            found = client.cancel(question) if cancel else client.question(question)
            drawn = display.question(found)
    if as_json:
        _print_json(found)
    else:
        out.print(drawn)


@app.command()
@told
def clip(
    recording: RecordingId,
    start_s: Annotated[float, typer.Argument(help="Where it begins, in seconds.", min=0)],
    end_s: Annotated[float, typer.Argument(help="Where it ends, in seconds.", min=0)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The MP4 file to write.")],
    exact: Annotated[
        bool, typer.Option(help="Cut on the very frame: re-encodes, which takes longer.")
    ] = False,
    socket: Socket = None,
) -> None:
    """Cut a span out of a recording into a file of its own."""
    if not output.parent.is_dir():
        raise NotFoundError(f"there is no folder {output.parent}; create it first")
    with _client(socket) as client:
        client.clip(recording, start_s, end_s, output, exact=exact)
    out.print(display.plain(f"wrote {output}"))


@app.command()
@told
def status(
    live: Annotated[bool, typer.Option("--live", help="Drawn anew each second; q ends.")] = False,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Show what the daemon is doing."""
    with _client(socket) as client:
        if live:
            from edge_lvr1.live import follow_status

            follow_status(client, out)
            return
        found = client.status()
        failed = client.jobs("failed")
    if as_json:
        _print_json(found)
    else:
        out.print(display.status(found))
        if failed:
            out.print(display.jobs(failed))


@app.command()
@told
def doctor(
    data: Annotated[Path | None, typer.Option(help="Where the archive is kept.")] = None,
    socket: Socket = None,
    config_file: Annotated[Path | None, typer.Option("--config", help="Settings (TOML).")] = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine, and say what to do about what is missing."""
    from edge_lvr1.doctor import examine

    findings = list(examine(config.load({"data": data, "socket": socket}, config_file)))
    if as_json:
        _print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        out.print(display.findings(findings))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(FAILED)


def _aware(moment: datetime | None) -> datetime | None:
    """A time without an offset is meant in this machine's zone."""
    return moment.astimezone() if moment else None
