"""`edge-lvr1 web`: the address of the page with its token, for whoever may read that."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge_lvr1 import config
from edge_lvr1.display import plain
from edge_lvr1.errors import DaemonError
from edge_lvr1.told import told

err = Console(stderr=True)


@told
def web(
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT of a proxy; else what the daemon listens on.")
    ] = None,
    socket: Annotated[
        Path | None, typer.Option(help="The daemon's socket.", envvar="EDGE_LVR1_SOCKET")
    ] = None,
    config_file: Annotated[Path | None, typer.Option("--config", help="Settings (TOML).")] = None,
) -> None:
    """Print the address to open in a browser, with the token that lets it in."""
    from edge_lvr1.client import Client
    from edge_lvr1.daemon.http.tokens import FILE, read_token

    settings = config.load({"socket": socket}, config_file)
    with Client(settings.socket_path) as client:
        status = client.status()
    where = address or status["listen"]
    if where is None:
        raise DaemonError(
            "the daemon serves no browser; start it with --listen 127.0.0.1:8765, "
            "or give the --address of a proxy in front of its socket"
        )
    token = read_token(settings.access.token_file or Path(status["data"]) / FILE)
    sys.stdout.write(f"http://{where}/?token={token}\n")
    err.print(plain("whoever has this address may ask; the page keeps the token for 30 days"))
