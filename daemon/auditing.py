"""What the daemon says of itself in the audit log, and of the log in its own.

The last entry's number and hash go into the daemon's log when it starts and when it stops.
Where that log is kept elsewhere, an end of the audit log that was cut off or written anew is
found by `edge-lvr1 audit verify --expect NUMBER:HASH`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from edge_lvr1 import bundle
from edge_lvr1.access import DAEMON
from edge_lvr1.config import Settings
from edge_lvr1.daemon.context import program_version
from edge_lvr1.errors import StoreError
from edge_lvr1.models.load import Backends
from edge_lvr1.store.audit import AuditLog

log = logging.getLogger(__name__)


def say_started(audit: AuditLog, settings: Settings, models: Mapping[str, object]) -> None:
    """The daemon serves from now on. Raises StoreError."""
    head = audit.add_for_good(
        "daemon.started",
        DAEMON,
        version=program_version(),
        settings=told_settings(settings),
        models=dict(models),
    )
    log.info("audit log: entry %s at the start", head)


def say_stopped(audit: AuditLog) -> None:
    """The daemon ends; one that is killed leaves no such entry."""
    try:
        head = audit.add_for_good("daemon.stopped", DAEMON, version=program_version())
        log.info("audit log: entry %s at the end", head)
    except StoreError as error:
        log.warning("the audit log does not say that the daemon stops: %s", error)


def told_models(settings: Settings, backends: Backends) -> dict[str, object]:
    """Who captions and answers: backend, name, version, and the digest of a bundle."""
    models = settings.models
    told: dict[str, object] = {
        "captioner": {
            "backend": models.captioner,
            "name": backends.captioner.name,
            "version": backends.captioner.version,
            **_digest(models.captioner_bundle if models.captioner == "onnx" else None),
        },
        "agent": {
            "backend": models.agent,
            "name": backends.agent.name,
            "version": program_version(),
            **_digest(models.agent_bundle if models.agent == "onnx" else None),
        },
    }
    if models.embedder_bundle is not None:
        told["embedder"] = {"backend": "onnx", **_digest(models.embedder_bundle)}
    return told


def told_settings(settings: Settings) -> dict[str, Any]:
    """The settings that are not the defaults. Secrets stand in files; addresses lose theirs."""
    # Not pydantic's JSON, which takes no path that is not UTF-8.
    plain = json.dumps(settings.model_dump(exclude_defaults=True), default=str)
    told: dict[str, Any] = json.loads(plain)
    server = told.get("server", {})
    for name in ("url", "captioner_url"):
        if server.get(name):
            server[name] = without_secret(server[name])
    return told


def without_secret(url: str) -> str:
    """An address without user, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    host = parts.netloc.rpartition("@")[2]
    path = parts.path if parts.netloc else parts.path.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, path, "", ""))


def _digest(path: Path | None) -> dict[str, str]:
    """A bundle by the SHA-256 of its manifest, which names those of all its files."""
    if path is None or not (path / bundle.MANIFEST).is_file():
        return {}
    return {"bundle": str(path), "sha256": bundle.hash_file(path / bundle.MANIFEST)}
