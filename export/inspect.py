"""`export inspect`: what a bundle is, in lines that a person can read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_lvr1.bundle import Manifest, load, read_manifest
from edge_lvr1.errors import BundleError

_MIB = 1 << 20
_PROMPT_CHARS = 70


def describe(path: Path) -> list[tuple[str, str]]:
    """Names and values, in the order to show them. Raises BundleError where it is no bundle.

    A damaged or failed bundle is described too, and what is wrong with it is said.
    """
    manifest = read_manifest(path)
    return [
        ("bundle", str(path)),
        ("role", f"{manifest.role}, {manifest.family}"),
        ("runs on", f"{manifest.runtime}, {manifest.target}"),
        ("precision", manifest.precision),
        ("made from", _source(manifest)),
        *_facts(manifest),
        ("memory", f"about {manifest.memory_estimate_mb} MiB"),
        ("files", _files(path, manifest)),
        ("verified", _verified(manifest)),
        ("state", _state(path)),
    ]


def _source(manifest: Manifest) -> str:
    return f"{manifest.source} ({manifest.revision})" if manifest.revision else manifest.source


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    if manifest.context_tokens:
        yield "context", f"{manifest.context_tokens} tokens"
    if manifest.frame_sizes:
        sizes = ", ".join(f"{width}x{height}" for height, width in manifest.frame_sizes)
        yield "frames", f"{sizes} px"
    if manifest.chat:
        yield "chat", manifest.chat
    for name, text in manifest.prompts.items():
        line = " ".join(text.split())
        short = line if len(line) <= _PROMPT_CHARS else line[: _PROMPT_CHARS - 1] + "…"
        yield f"prompt {name}", short
    if manifest.sampling:
        yield "sampling", ", ".join(f"{name} {value}" for name, value in manifest.sampling.items())
    if manifest.tools:
        yield "tools", ", ".join(manifest.tools)
    for note in manifest.extra.get("notes", ()):
        yield "note", str(note)
    if manifest.versions:
        yield "made with", ", ".join(f"{name} {v}" for name, v in manifest.versions.items())


def _files(path: Path, manifest: Manifest) -> str:
    there = [path / name for name in manifest.files if (path / name).is_file()]
    size = sum(file.stat().st_size for file in there)
    return f"{len(manifest.files)} files, {size / _MIB:.1f} MiB"


def _verified(manifest: Manifest) -> str:
    report = manifest.verification
    if report is None:
        return "not yet: run export verify"
    figures = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in report.get("figures", {}).items()
    )
    outcome = "passed" if report["passed"] else f"FAILED: {report.get('reason', '')}"
    return f"{outcome} against {report.get('against', 'its original')} ({figures})"


def _state(path: Path) -> str:
    try:
        load(path, allow_failed=True)
    except BundleError as error:
        return str(error)
    return "whole"
