"""Secrets that a service manager hands over: systemd.exec(5), LoadCredential.

They are files in a folder that only this process sees. A setting that names a file of its own
goes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge_lvr1.config import Settings

DIRECTORY = "CREDENTIALS_DIRECTORY"
NONE = b"none"  # what our unit gives where there is no file
TOKEN, API_KEY = "edge-lvr1.token", "edge-lvr1.api-key"


def with_credentials(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """The settings with the credentials' files where they name none."""
    folder = environment.get(DIRECTORY)
    if not folder:
        return settings
    access, server = settings.access, settings.server
    if access.token_file is None and (found := _there(Path(folder) / TOKEN)):
        access = access.model_copy(update={"token_file": found})
    if server.api_key_file is None and (found := _there(Path(folder) / API_KEY)):
        server = server.model_copy(update={"api_key_file": found})
    return settings.model_copy(update={"access": access, "server": server})


def _there(file: Path) -> Path | None:
    try:
        with file.open("rb") as opened:
            return file if opened.read(len(NONE) + 2).strip() not in (b"", NONE) else None
    except OSError:
        return None
