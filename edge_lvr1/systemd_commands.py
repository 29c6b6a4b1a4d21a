"""`edge-lvr1 systemd`: the daemon as a service of this machine."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge_lvr1 import display
from edge_lvr1.errors import SettingsError
from edge_lvr1.told import FAILED, told

app = typer.Typer(no_args_is_help=True, help="Run as a service: install its units, check them.")
out = Console()
err = Console(stderr=True)

_START_MOST_S = 1800.0
Program = Annotated[
    Path | None, typer.Option(help="The program that the units start; this one if not given.")
]
Root = Annotated[Path, typer.Option(help="Another root, for a package or an image.")]


@app.command()
@told
def install(
    root: Root = Path("/"),
    gpu: Annotated[bool, typer.Option("--gpu", help="Let it use NVIDIA GPUs.")] = False,
    jetson: Annotated[bool, typer.Option("--jetson", help="Let it use a Jetson's GPU.")] = False,
    model_server: Annotated[
        bool, typer.Option("--model-server", help="A model server on loopback beside it.")
    ] = False,
    web: Annotated[bool, typer.Option("--web", help="The page on 127.0.0.1:8765.")] = False,
    vendor: Annotated[bool, typer.Option("--vendor", help="Into /usr/lib, for a package.")] = False,
    program: Program = None,
    force: Annotated[bool, typer.Option("--force", help="Also over changed files.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be.")] = False,
) -> None:
    """Write units, users, and settings where there are none; says what to type next."""
    from edge_lvr1.systemd import units

    if gpu and jetson:
        raise SettingsError("--gpu is for PCs and --jetson for Jetsons; give one of them")
    choice = units.Choice(gpu, jetson, model_server, web, vendor)
    started = program.absolute() if program else units.program_path()
    if root == Path("/") and not dry_run:
        unseen = units.hidden(started, *([] if program else [Path(sys.base_prefix)]))
        for path in unseen[:1]:
            sentence = (
                f"edge-lvr1: {path} is hidden from the service, which sees no homes and has its "
                "own /tmp: install Python and the package elsewhere, as in /opt/edge-lvr1"
            )
            err.print(display.plain(sentence, style="yellow"))
    wanted = units.pieces(choice, started)
    for piece, state in units.install(wanted, root, force=force, dry_run=dry_run):
        left = piece.kept and state is not units.State.ABSENT
        done = "kept" if left or state is units.State.CURRENT else "written"
        done = {"written": "would be written"}.get(done, done) if dry_run else done
        out.print(display.plain(f"{done:8} {root / piece.place}"))
    out.print(display.plain("next, as root:" if root == Path("/") else "next, on the machine:"))
    for line in units.commands(choice):
        out.print(display.plain(f"  {line}"))


@app.command()
@told
def check(
    root: Root = Path("/"),
    program: Program = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Check units, users and socket against what this version installs."""
    from edge_lvr1.systemd.check import check as checked
    from edge_lvr1.systemd.units import program_path

    findings = list(checked(program.absolute() if program else program_path(), root))
    if as_json:
        told_all = display.json_text([dataclasses.asdict(one) for one in findings])
        sys.stdout.write(f"{told_all}\n")
    else:
        out.print(display.findings(findings))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(FAILED)


@app.command("await-server")
@told
def await_server(
    url: Annotated[str, typer.Argument(help="http://127.0.0.1:PORT/v1")],
    within_s: Annotated[float, typer.Option("--within", help="Seconds.", min=0)] = _START_MOST_S,
) -> None:
    """Wait until the model server answers (for edge-lvr1-model.service)."""
    from edge_lvr1.systemd.waiting import await_server as wait

    wait(url, within_s)
