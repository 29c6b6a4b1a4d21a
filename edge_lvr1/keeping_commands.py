"""`edge-lvr1 hold`, `release`, `backup` and `restore`: what is kept, and brought back.

All but `restore` ask the daemon; `restore` works on the files of one that does not run.
Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import getpass
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from edge_lvr1 import config
from edge_lvr1.display import json_text, plain, table, wall_clock
from edge_lvr1.told import told

out = Console()

Socket = Annotated[
    Path | None, typer.Option(help="The daemon's socket.", envvar="EDGE_LVR1_SOCKET")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
RecordingId = Annotated[int, typer.Argument(help="Number of the recording.", min=1)]


@told
def hold(
    recording: RecordingId,
    reason: Annotated[str, typer.Option(help="Why: it stands in the audit log.")],
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Hold a recording: no rule removes what is known of it. Footage itself is never deleted."""
    from edge_lvr1.client import Client

    with Client(config.load({"socket": socket}).socket_path) as client:
        held = client.hold(recording, reason)
    _show(held, f"recording {recording} is held: {held['reason']}", as_json)


@told
def release(recording: RecordingId, socket: Socket = None, as_json: AsJson = False) -> None:
    """Release a recording that was held; the rules apply to it again."""
    from edge_lvr1.client import Client

    with Client(config.load({"socket": socket}).socket_path) as client:
        released = client.release(recording)
    _show(released, f"recording {recording} is not held any more", as_json)


@told
def backup(
    to: Annotated[
        Path | None, typer.Option(help="A folder there is, instead of the scheduled backups'.")
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="List the scheduled backups; make none.")
    ] = False,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Make a backup of the archive now, while the daemon works."""
    from edge_lvr1.client import Client

    if listing and to is not None:
        raise typer.BadParameter("--list is of the scheduled backups; leave --to out")
    with Client(config.load({"socket": socket}).socket_path) as client:
        if listing:
            found = client.backups()
        else:
            made = client.backup(to)
    if listing:
        if as_json:
            out.out(json_text(found), highlight=False)
        else:
            out.print(_listed(found))
    else:
        _show(made, f"wrote {made['path']}, {made['size_bytes'] / 1e6:.1f} MB", as_json)


@told
def restore(
    backup: Annotated[Path, typer.Argument(help="A folder backup-…, or a database file.")],
    data: Annotated[
        Path | None, typer.Option(help="Where the archive is kept; what is there is kept aside.")
    ] = None,
    config_file: Annotated[Path | None, typer.Option("--config", help="Settings (TOML).")] = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the archive's place. The daemon must not run.

    The backup is checked first, and what it replaces is kept in a folder replaced-…, which
    can be restored in turn. Footage that came since is taken in again by the daemon.
    """
    from edge_lvr1.access import Who
    from edge_lvr1.daemon.http.listen import sole_daemon
    from edge_lvr1.store.restore import restore as put_back

    folder = config.load({"data": data}, config_file).data.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    who = Who("command", os.getuid(), os.getgid(), os.getpid(), _user())
    with sole_daemon(folder / "daemon.lock", f"the archive {folder}"):
        done = put_back(backup.absolute(), folder, who, time.time)
    if as_json:
        found = {
            "data": str(folder),
            "entries": done.entries,
            "aside": None if done.aside is None else str(done.aside),
            "newer": done.newer,
            "why": done.why,
        }
        out.out(json_text(found), highlight=False)
        return
    out.print(
        plain(f"{folder} is as it was in {backup}, {done.entries} audit entries"), soft_wrap=True
    )
    if done.aside is not None:
        out.print(plain(f"what was there is kept in {done.aside}"), soft_wrap=True)
    if done.newer is None:
        out.print(
            plain(f"what it had that the backup has not cannot be told: {done.why}"), soft_wrap=True
        )
    elif done.newer:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(done.newer.items()))
        out.print(
            plain(f"it had {sum(done.newer.values())} later entries: {kinds}"), soft_wrap=True
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return ""


def _show(found: dict[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        out.out(json_text(found), highlight=False)
    else:
        out.print(plain(sentence), soft_wrap=True)


def _listed(found: list[dict[str, Any]]) -> Any:  # noqa: ANN401 (a renderable)
    rows = [
        (
            plain(one["path"]),
            wall_clock(one["made_at"]),
            f"{one['size_bytes'] / 1e6:.1f} MB",
            str(one["entries"]),
        )
        for one in found
    ]
    return table(("backup", "made at", "size", "audit entries"), rows)
