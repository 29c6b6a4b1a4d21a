"""`edge-lvr1 audit`, `edge-lvr1 verify` and `edge-lvr1 case`: what shows that evidence holds.

`audit` and `verify` read the archive's files, with or without a daemon, and change nothing;
`case` asks the daemon. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from typer.core import TyperGroup

from edge_lvr1 import config
from edge_lvr1.display import plain, table, wall_clock
from edge_lvr1.told import FAILED, told

if TYPE_CHECKING:
    from edge_lvr1.cases.footage import Found, OnBytes
    from edge_lvr1.store.audit import Entry

out = Console()
err = Console(stderr=True)

Data = Annotated[Path | None, typer.Option(help="Where the archive is kept.")]
Config = Annotated[Path | None, typer.Option("--config", help="Settings (TOML).")]
Socket = Annotated[
    Path | None, typer.Option(help="The daemon's socket.", envvar="EDGE_LVR1_SOCKET")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
_TIMES += ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
_NAMED = ("question", "verdict", "recording", "path", "words", "reason", "version", "text")
"""What a line of the list says of an entry, where it has them."""
_STYLES = {"unchanged": "green", "changed": "bold red", "gone": "yellow", "unreadable": "yellow"}

audit = typer.Typer(
    help="The log of what came, was asked and answered, and by whom.", no_args_is_help=True
)


@audit.command("verify")
@told
def verify_audit(
    expect: Annotated[
        str | None,
        typer.Option(
            help="NUMBER:HASH of an entry that must be there, as the daemon's log says it.",
            metavar="NUMBER:HASH",
        ),
    ] = None,
    data: Data = None,
    config_file: Config = None,
    as_json: AsJson = False,
) -> None:
    """Check that no entry was changed, taken out or put in; name the first that was."""
    from edge_lvr1.store.audit_check import check, expected_head
    from edge_lvr1.store.read_only import read_only

    expected = expected_head(expect) if expect is not None else None
    with read_only(_database(data, config_file)) as rows:
        found = check(rows, expected)
    if as_json:
        broken = found.broken
        told_broken = {"number": broken.number, "reason": broken.reason} if broken else None
        head = {"number": found.head.number, "hash": found.head.hash}
        _print_json({"entries": found.entries, "head": head, "broken": told_broken})
    elif found.broken is None:
        out.print(
            plain(f"{found.entries} entries, each follows from the one before"), soft_wrap=True
        )
        out.print(plain(f"the last is {found.head}"), soft_wrap=True)
    else:
        err.print(plain(f"edge-lvr1: {found.broken.reason}", style="red"), soft_wrap=True)
        err.print(plain(f"the {found.entries} entries before are sound"), soft_wrap=True)
    if found.broken is not None:
        raise typer.Exit(FAILED)


@audit.command("list")
@told
def list_audit(
    since: Annotated[
        datetime | None, typer.Option(formats=_TIMES, help="Only entries from this time on.")
    ] = None,
    kind: Annotated[
        str, typer.Option(help="Only entries of a kind (question.asked) or a family (question).")
    ] = "",
    limit: Annotated[int, typer.Option(help="Only the last so many.", min=1)] = 1000,
    data: Data = None,
    config_file: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the audit log, oldest first."""
    from collections import deque

    from edge_lvr1.store.audit import Filter, every
    from edge_lvr1.store.read_only import read_only

    wanted = Filter(kind, since.astimezone() if since else None)
    with read_only(_database(data, config_file)) as rows:
        found = deque(every(rows, wanted), maxlen=limit)
    if as_json:
        _print_json([_entry(one) for one in found])
    else:
        rows_shown = [_shown(_entry(one)) for one in found]
        out.print(table(("entry", "when (UTC)", "kind", "who", "what"), rows_shown))


@told
def verify(
    recording: Annotated[
        int | None, typer.Argument(help="Only the files of this recording.", min=1)
    ] = None,
    data: Data = None,
    config_file: Config = None,
    as_json: AsJson = False,
) -> None:
    """Hash the footage again: is every file what it was when it was taken in?"""
    from edge_lvr1.cases.footage import check_footage, sources
    from edge_lvr1.store.audit_check import check
    from edge_lvr1.store.read_only import read_only

    with read_only(_database(data, config_file)) as rows:
        broken = check(rows).broken
        files = sources(rows, recording)
        with _progress(sum(one.size_bytes for one in files)) as on_bytes:
            found = list(check_footage(rows, files, on_bytes))
    if as_json:
        log = {"number": broken.number, "reason": broken.reason} if broken else None
        _print_json({"files": [_told_file(one) for one in found], "audit_broken": log})
    else:
        _print_files(found)
        if broken:
            err.print(plain(f"edge-lvr1: the audit log is broken: {broken.reason}", style="red"))
    if broken or not all(one.sound for one in found):
        raise typer.Exit(FAILED)


class _CaseGroup(TyperGroup):
    """`case ID -o FOLDER` makes one; only what is no command's name is an id."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 (click's)
        """What comes first is a command or, if not, begins a case's making."""
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["make", *args]
        return super().parse_args(ctx, args)


case = typer.Typer(
    cls=_CaseGroup,
    help="Case folders: an answer with its evidence, to be shown elsewhere.\n\n"
    "`edge-lvr1 case QUESTION_ID -o FOLDER` makes one.",
    no_args_is_help=True,
)


@case.command("make")
@told
def make(
    question: Annotated[str, typer.Argument(help="The question's id: edge-lvr1 questions.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write; new.")],
    exact: Annotated[
        bool, typer.Option(help="Cut clips on the very frame: re-encodes, which takes longer.")
    ] = False,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Write clips, answer, trace, hashes and a readable report into a folder."""
    from edge_lvr1.cases.folder import make_case
    from edge_lvr1.cases.layout import REPORT, SUMS
    from edge_lvr1.client import Client

    with (
        Client(config.load({"socket": socket}).socket_path) as client,
        err.status("question", spinner="line") as status,
    ):
        made = make_case(client, question, output, exact, status.update)
    missing = [one for piece in made.pieces for one in (piece.clip, piece.picture) if one.missing]
    if as_json:
        _print_json(
            {
                "folder": str(output.absolute()),
                "question": made.question["id"],
                "evidence": len(made.pieces),
                "missing": [one.missing for one in missing],
                "footage_replaced": made.replaced(),
                "sources": {one.path: one.state for one in made.sources},
                "contents": made.contents,
                "audit_head": made.head,
            }
        )
        return
    for one in missing:
        err.print(plain(f"edge-lvr1: not in the case: {one.missing}", style="yellow"))
    if made.replaced():
        told_replaced = (
            "edge-lvr1: the footage was replaced since the answer; the report says which"
        )
        err.print(plain(told_replaced, style="yellow"))
    for source in made.sources:
        if source.state != "unchanged":
            err.print(plain(f"edge-lvr1: {source.path} is {source.state}", style="yellow"))
    out.print(plain(f"wrote {output / REPORT}"), soft_wrap=True)
    out.print(plain(f"keep apart: {SUMS}, and the audit log's {made.head}"), soft_wrap=True)


@case.command("verify")
@told
def verify_case(
    folder: Annotated[Path, typer.Argument(help="A case folder.")],
    footage: Annotated[
        bool, typer.Option("--footage", help="Hash the source footage too, where it lies here.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check that a case folder is what was exported, and that its pieces fit together."""
    from edge_lvr1.cases.check import check_case

    with _progress(None) as on_bytes:
        found = check_case(folder, footage, on_bytes)
    if as_json:
        sources = [_told_file(one) for one in found.sources]
        _print_json({"files": found.files, "wrong": list(found.wrong), "sources": sources})
    else:
        for line in found.wrong:
            err.print(plain(f"edge-lvr1: {line}", style="red"))
        if found.sound:
            out.print(plain(f"{found.files} files are what was exported, and fit together"))
        if found.sources:
            _print_files(found.sources)
    if not found.sound:
        raise typer.Exit(FAILED)


def _database(data: Path | None, config_file: Path | None) -> Path:
    return config.load({"data": data.absolute() if data else None}, config_file).database_path


def _entry(entry: Entry) -> dict[str, Any]:
    who, what = json.loads(entry.who), json.loads(entry.what)
    told = {"number": entry.number, "at": entry.at, "kind": entry.kind}
    return {**told, "who": who, "what": what, "hash": entry.hash}


def _shown(entry: dict[str, Any]) -> tuple[Any, ...]:
    who = entry["who"]
    by = str(who.get("name") or (f"uid {who['uid']}" if "uid" in who else who.get("via", "")))
    what = entry["what"]
    named = [key for key in _NAMED if what.get(key) not in (None, "", [])] or list(what)[:3]
    said = ", ".join(f"{key} {_one(what[key])}" for key in named)
    cells = (str(entry["number"]), wall_clock(entry["at"])[:19], entry["kind"], by)
    return (*(plain(_one(cell)) for cell in cells), plain(said, limit=200))


def _one(value: object) -> str:
    """A value on one line."""
    return " ".join((value if isinstance(value, str) else json.dumps(value)).split())


def _told_file(found: Found) -> dict[str, Any]:
    return {
        "path": found.source.path,
        "state": found.state.value,
        "sha256": found.source.sha256,
        "sha256_now": found.sha256 or None,
        "reason": found.reason,
        "in_audit_log": found.logged,
    }


def _print_files(found: Sequence[Found]) -> None:
    """All that are not as they were; and how many are."""
    counts = {state: sum(one.state.value == state for one in found) for state in _STYLES}
    rows = [
        (plain(one.state.value, style=_STYLES[one.state.value]), one.source.path, _remark(one))
        for one in found
        if one.state.value != "unchanged" or one.logged is False
    ]
    if rows:
        out.print(table(("state", "file", "to know"), rows))
    unlogged = sum(one.logged is None for one in found)
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    out.print(plain(f"{len(found)} files: {told or 'none'}"))
    if unlogged and any(one.logged is not None for one in found):
        out.print(plain(f"{unlogged} were taken in before there was an audit log", style="dim"))


def _remark(found: Found) -> str:
    if found.logged is False:
        return "the audit log tells of other bytes when it was taken in"
    return found.reason


@contextmanager
def _progress(total_bytes: int | None) -> Iterator[OnBytes]:
    columns = (TextColumn("hashing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("", total=total_bytes)
        yield lambda count: progress.advance(task, count)


def _print_json(value: Any) -> None:  # noqa: ANN401 (any JSON value)
    # ASCII: paths may hold what is no Unicode.
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
